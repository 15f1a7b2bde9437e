//! Authentic webhooks that could not be read, kept by month, newest first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::api::dead_letter::DeadLetter;
use schemas::tables::{DEAD_LETTERS, month_bucket};
use schemas::{DeadLetterId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, Scan, TablesError};

use super::{Directory, DirectoryError};

/// The most bytes of a body that are kept.
pub const KEPT_BODY_BYTES: usize = 256 * 1024;
/// How many months back lists look.
pub const MONTHS_BACK: i64 = 12;

/// A row of [`DEAD_LETTERS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterRecord {
    /// What lists show.
    pub letter: DeadLetter,
    /// The body, or its first [`KEPT_BODY_BYTES`], in base64.
    pub body_base64: String,
}

impl DeadLetterRecord {
    /// Keeps what of `body` is kept.
    pub fn new(letter: DeadLetter, body: &[u8]) -> Self {
        let kept = body.get(..KEPT_BODY_BYTES).unwrap_or(body);
        Self {
            letter: DeadLetter { size_bytes: body.len() as u64, truncated: kept.len() < body.len(), ..letter },
            body_base64: STANDARD.encode(kept),
        }
    }

    /// The body as it came, unless it was cut or damaged.
    pub fn body(&self) -> Option<Vec<u8>> {
        (!self.letter.truncated).then(|| STANDARD.decode(&self.body_base64).ok()).flatten()
    }
}

/// The key of a letter; its id holds the time, and so the month.
fn key(workspace_id: WorkspaceId, id: DeadLetterId) -> Key {
    Key::of([workspace_id.into(), month_bucket(time_of(id)).into()]).at([id.into()])
}

/// The time in an id of version 7 (RFC 9562: the first 48 bits are milliseconds).
fn time_of(id: DeadLetterId) -> Timestamp {
    let millis = id.as_bytes().iter().take(6).fold(0_i64, |millis, byte| millis << 8 | i64::from(*byte));
    Timestamp::from_unix_millis(millis)
}

impl Directory {
    /// Stores a letter, or its changed state.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn put_dead_letter(
        &self,
        workspace_id: WorkspaceId,
        record: &DeadLetterRecord,
    ) -> Result<(), TablesError> {
        let row = Row::new(key(workspace_id, record.letter.id)).with_body(record)?;
        self.put(vec![(DEAD_LETTERS, row)]).await
    }

    /// A letter.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn dead_letter(
        &self,
        workspace_id: WorkspaceId,
        id: DeadLetterId,
    ) -> Result<DeadLetterRecord, DirectoryError> {
        self.entity(DEAD_LETTERS, key(workspace_id, id)).await?.ok_or(DirectoryError::NotFound { what: "dead letter" })
    }

    /// Up to `limit` letters after `after`, newest first, of the last [`MONTHS_BACK`] months.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn dead_letters(
        &self,
        workspace_id: WorkspaceId,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, TablesError> {
        let oldest = month_bucket(self.now()) - MONTHS_BACK;
        let mut month = after.map_or_else(|| month_bucket(self.now()), |id| month_bucket(time_of(id)));
        let mut place = after;
        let mut found = Vec::new();
        while month >= oldest && found.len() < limit {
            let mut scan = Scan::of([workspace_id.into(), month.into()], limit - found.len());
            if let Some(id) = place.take() {
                scan = scan.after(vec![id.into()]);
            }
            for row in self.tables.scan(DEAD_LETTERS, scan).await? {
                found.push(row.body(DEAD_LETTERS)?);
            }
            month -= 1;
        }
        Ok(found)
    }

    /// Removes a letter.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn remove_dead_letter(&self, workspace_id: WorkspaceId, id: DeadLetterId) -> Result<(), DirectoryError> {
        self.dead_letter(workspace_id, id).await?;
        Ok(self.remove(vec![(DEAD_LETTERS, key(workspace_id, id))]).await?)
    }
}
