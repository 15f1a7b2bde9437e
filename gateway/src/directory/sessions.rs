//! Sign-ins as rows: each a family of refresh tokens. The rules: [`crate::auth::refresh`].
//!
//! A row's `version` is compared by every change, so of two changes at once one is lost and notices.

use schemas::tables::{SESSIONS, USER_SESSIONS, Value};
use schemas::{SessionId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, Scan, TablesError};

use super::{Directory, clustering_ids};

/// The most sign-ins of a person that are looked at; more than anybody may have.
const SESSIONS_OF_USER: usize = 500;

/// The body of a row of [`SESSIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Into which workspace.
    pub workspace_id: WorkspaceId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// Seconds without use after which it ends.
    pub idle_s: u64,
    /// SHA-256 of the refresh token that is good now, in base64.
    pub current_hash: String,
    /// SHA-256 of the one before it: good for a few seconds more, and then gives the same successor.
    #[serde(default)]
    pub previous_hash: Option<String>,
    /// `true` once it was ended.
    #[serde(default)]
    pub revoked: bool,
}

impl SessionRecord {
    /// Whether it may still be used at `now`.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        !self.revoked && now < self.expires_at && now.since(self.last_used_at).as_secs() < self.idle_s
    }
}

impl Directory {
    /// Stores a sign-in that has just begun.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn create_session(&self, session: &SessionRecord) -> Result<(), TablesError> {
        let row = Row::new(Key::of([session.id.into()])).with("version", 1_i64).with_body(session)?;
        self.put(vec![
            (SESSIONS, row),
            (USER_SESSIONS, Row::new(Key::of([session.user_id.into()]).at([session.id.into()]))),
        ])
        .await
    }

    /// A sign-in and its version.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn session(&self, session_id: SessionId) -> Result<Option<(SessionRecord, i64)>, TablesError> {
        let Some(row) = self.tables.get(SESSIONS, Key::of([session_id.into()])).await? else {
            return Ok(None);
        };
        let version = row.int("version").unwrap_or(0);
        row.body(SESSIONS).map(|session| Some((session, version)))
    }

    /// Changes a sign-in if it is still at `version`. Returns whether it did.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn update_session(&self, session: &SessionRecord, version: i64) -> Result<bool, TablesError> {
        let row = Row::new(Key::of([session.id.into()])).with("version", version + 1).with_body(session)?;
        self.tables.update_if(SESSIONS, row, "version", Some(Value::Int(version))).await
    }

    /// Ends a sign-in, whoever else changes it at the same moment.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn revoke_session(&self, session_id: SessionId) -> Result<(), TablesError> {
        while let Some((mut session, version)) = self.session(session_id).await? {
            session.revoked = true;
            if self.update_session(&session, version).await? {
                break;
            }
        }
        Ok(())
    }

    /// The sign-ins of a person, oldest first, ended ones too.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn sessions_of(&self, user_id: UserId) -> Result<Vec<SessionRecord>, TablesError> {
        let rows = self.tables.scan(USER_SESSIONS, Scan::of([user_id.into()], SESSIONS_OF_USER)).await?;
        let keys = clustering_ids(&rows).map(|id| (SESSIONS, Key::of([SessionId::from_bytes(id).into()]))).collect();
        self.tables.get_many(keys).await?.iter().flatten().map(|row| row.body(SESSIONS)).collect()
    }

    /// Forgets sign-ins that have ended.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn forget_sessions(&self, sessions: &[SessionRecord]) -> Result<(), TablesError> {
        if sessions.is_empty() {
            return Ok(());
        }
        let keys = sessions.iter().flat_map(|session| {
            [
                (SESSIONS, Key::of([session.id.into()])),
                (USER_SESSIONS, Key::of([session.user_id.into()]).at([session.id.into()])),
            ]
        });
        self.remove(keys.collect()).await
    }
}
