//! Refresh tokens: opaque, 256 random bits, good once, stored as SHA-256.
//!
//! A token is `rt_` and base64url of the sign-in's id (16 bytes), the secret (32) and a tag (16) that shows that this hub
//! made it. The secret of a successor is a keyed hash of its predecessor's: whoever presents the direct predecessor within
//! [`GRACE`] (a client that lost the answer, two tabs at once) gets the very same successor, without any secret being stored.
//! Any other old token is a theft: the whole sign-in ends. A token that we never made ends nothing.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use schemas::{SessionId, Timestamp};
use sha2::Sha256;
use storage::tables::TablesError;
use subtle::ConstantTimeEq;

use super::{hash_of, same};
use crate::directory::Directory;
use crate::directory::sessions::SessionRecord;

/// For how long the direct predecessor still gives the same successor.
pub const GRACE: Duration = Duration::from_secs(10);
/// How often a rotation is tried again when somebody else changed the sign-in at the same moment.
const ATTEMPTS: usize = 5;
const PREFIX: &str = "rt_";
const TAG_BYTES: usize = 16;

/// Why a refresh token gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Malformed, unknown, expired, revoked.
    #[error("the refresh token is not good: sign in again")]
    Invalid,
    /// It was used before: the sign-in was ended.
    #[error("the refresh token was used before, so the sign-in was ended: sign in again")]
    Reused,
    /// Others refresh the same sign-in all the time.
    #[error("the sign-in is being refreshed by others: try again")]
    Contended,
    /// The tables failed.
    #[error("the sign-in cannot be read or written")]
    Tables(#[from] TablesError),
}

/// Makes, checks and rotates refresh tokens.
#[derive(Clone)]
pub struct RefreshTokens {
    key: [u8; 32],
}

impl std::fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshTokens(***)")
    }
}

/// A token taken apart.
struct Presented {
    session_id: SessionId,
    secret: [u8; 32],
}

impl RefreshTokens {
    /// With the installation's key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The first token of a sign-in, and the hash to store.
    pub fn first(&self, session_id: SessionId) -> (String, String) {
        let secret: [u8; 32] = rand::random();
        (self.write(session_id, &secret), hash_of(&secret))
    }

    /// The sign-in that a token of ours belongs to, whether or not it is still good.
    pub fn session_of(&self, token: &str) -> Option<SessionId> {
        self.read(token).map(|presented| presented.session_id)
    }

    /// Changes a token for its successor. Returns it with the sign-in as it is then.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn rotate(
        &self,
        directory: &Directory,
        now: Timestamp,
        token: &str,
    ) -> Result<(String, SessionRecord), RefreshError> {
        let presented = self.read(token).ok_or(RefreshError::Invalid)?;
        let hash = hash_of(&presented.secret);
        let successor = self.successor(&presented);
        for _attempt in 0..ATTEMPTS {
            let (mut session, version) = directory.session(presented.session_id).await?.ok_or(RefreshError::Invalid)?;
            if !session.is_alive(now) {
                return Err(RefreshError::Invalid);
            }
            if same(&session.current_hash, &hash) {
                session.previous_hash = Some(std::mem::replace(&mut session.current_hash, hash_of(&successor)));
                session.last_used_at = now;
                if directory.update_session(&session, version).await? {
                    return Ok((self.write(session.id, &successor), session));
                }
                continue;
            }
            let is_direct_predecessor = session.previous_hash.as_deref().is_some_and(|previous| same(previous, &hash))
                && now.since(session.last_used_at) <= GRACE
                && same(&session.current_hash, &hash_of(&successor));
            if is_direct_predecessor {
                return Ok((self.write(session.id, &successor), session));
            }
            directory.revoke_session(session.id).await?;
            tracing::warn!(session.id = %session.id, user.id = %session.user_id, "a used refresh token was presented: the sign-in was ended");
            return Err(RefreshError::Reused);
        }
        Err(RefreshError::Contended)
    }

    fn mac(&self, domain: &[u8], session_id: SessionId, secret: &[u8; 32]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(domain);
        mac.update(session_id.as_bytes());
        mac.update(secret);
        mac.finalize().into_bytes().into()
    }

    fn successor(&self, presented: &Presented) -> [u8; 32] {
        self.mac(b"successor", presented.session_id, &presented.secret)
    }

    fn write(&self, session_id: SessionId, secret: &[u8; 32]) -> String {
        let tag = self.mac(b"tag", session_id, secret);
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(session_id.as_bytes());
        bytes.extend_from_slice(secret);
        bytes.extend(tag.iter().take(TAG_BYTES));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn read(&self, token: &str) -> Option<Presented> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, tag) = rest.split_first_chunk::<32>()?;
        let session_id = SessionId::from_bytes(*id);
        let expected = self.mac(b"tag", session_id, secret);
        let ours: bool = expected.get(..TAG_BYTES)?.ct_eq(tag).into();
        ours.then_some(Presented { session_id, secret: *secret })
    }
}
