//! Authentic webhooks that could not be read, kept by month, newest first to the hour.
//!
//! A provider that delivers a webhook twice makes one letter: the id is derived from the webhook and the hour in which it
//! came, and whoever sets one aside looks for it under the hours of the last day.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::api::dead_letter::DeadLetter;
use schemas::channel::Channel;
use schemas::tables::{DEAD_LETTERS, month_bucket};
use schemas::{DeadLetterId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, Scan, TablesError};

use super::{Directory, DirectoryError};

/// The most bytes of a body that are kept.
pub const KEPT_BODY_BYTES: usize = 256 * 1024;
/// How many months back lists look.
pub const MONTHS_BACK: i64 = 12;

/// For how many hours a webhook that comes again is known to be the same.
const KNOWN_FOR_HOURS: i64 = 24;

/// A webhook that is to be set aside.
#[derive(Clone, Debug)]
pub struct UnreadableWebhook<'a> {
    /// To which channel it came.
    pub channel: &'a Channel,
    /// Its content type.
    pub content_type: String,
    /// What it says.
    pub body: &'a [u8],
    /// Why it cannot be read.
    pub reason: String,
}

impl UnreadableWebhook<'_> {
    /// The id of its letter, if it came in this hour since the Unix epoch.
    fn id(&self, hour: i64) -> DeadLetterId {
        let Channel { id, workspace_id, .. } = self.channel;
        let at = Timestamp::from_unix_seconds(hour * 3_600);
        DeadLetterId::derive(at, &[workspace_id.as_bytes(), id.as_bytes(), self.content_type.as_bytes(), self.body])
    }
}

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
    /// Sets a webhook aside; returns the new letter's id, or `None` if the same webhook was set aside within a day before.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn bury(&self, webhook: UnreadableWebhook<'_>) -> Result<Option<DeadLetterId>, TablesError> {
        let (at, workspace_id) = (self.now(), webhook.channel.workspace_id);
        let hour = at.unix_seconds().div_euclid(3_600);
        let earlier = (0..=KNOWN_FOR_HOURS).map(|hours| (DEAD_LETTERS, key(workspace_id, webhook.id(hour - hours))));
        if self.tables.get_many(earlier.collect()).await?.iter().any(Option::is_some) {
            return Ok(None);
        }
        let id = webhook.id(hour);
        let letter = DeadLetter {
            id,
            channel_id: webhook.channel.id,
            provider: webhook.channel.provider,
            received_at: at,
            reason: webhook.reason,
            content_type: webhook.content_type,
            size_bytes: 0,
            truncated: false,
            replayed_at: None,
        };
        self.put_dead_letter(workspace_id, &DeadLetterRecord::new(letter, webhook.body)).await?;
        Ok(Some(id))
    }

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
