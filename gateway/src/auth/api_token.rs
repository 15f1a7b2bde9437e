//! API tokens: `saler_`, the token's id, `_`, 256 random bits in base64url. Stored as SHA-256, shown once, never in addresses.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::api::workspace::ApiToken;
use schemas::workspace::Role;
use schemas::{TokenId, UserId, WorkspaceId};

use super::{hash_of, same};
use crate::directory::tokens::TokenRecord;
use crate::directory::{Directory, DirectoryError, checked_text};

/// What every API token begins with, for scanners of secrets.
pub const PREFIX: &str = "saler_";
/// For how many days a token is good unless said otherwise, and at most.
pub const DEFAULT_DAYS: u32 = 90;
const MAX_DAYS: u32 = 365;

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// With which role.
    pub role: Role,
    /// The name under which a program writes with it, if it does.
    pub bot: Option<String>,
    /// For how many days; [`DEFAULT_DAYS`] if absent.
    pub days: Option<u32>,
}

/// Makes a token that acts for a member and stores its hash. Returns what is shown, and the token itself.
///
/// # Errors
/// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
pub async fn create(
    directory: &Directory,
    workspace_id: WorkspaceId,
    user_id: UserId,
    new: NewToken,
) -> Result<(ApiToken, String), DirectoryError> {
    let days = new.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(DirectoryError::invalid("expires_in_days", format!("it is {days}: write 1 to {MAX_DAYS}")));
    }
    let now = directory.now();
    let secret: [u8; 32] = rand::random();
    let token = ApiToken {
        id: TokenId::new(now, &rand::random()),
        name: checked_text("name", &new.name, 1, 100)?,
        user_id,
        role: new.role,
        bot: new.bot.map(|bot| checked_text("bot", &bot, 1, 100)).transpose()?,
        created_at: now,
        expires_at: now.after(Duration::from_secs(u64::from(days) * 86_400)),
    };
    let record = TokenRecord { token: token.clone(), workspace_id, secret_hash: hash_of(&secret) };
    directory.create_token(workspace_id, &record).await?;
    let shown = format!("{PREFIX}{}_{}", token.id.uuid().simple(), URL_SAFE_NO_PAD.encode(secret));
    Ok((token, shown))
}

/// The id and the secret in a token's text.
pub fn read(text: &str) -> Option<(TokenId, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    if id.len() != 32 {
        return None;
    }
    let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
    Some((id.parse().ok()?, secret.try_into().ok()?))
}

/// Whether this secret is the one whose hash is stored.
pub fn matches(record: &TokenRecord, secret: &[u8; 32]) -> bool {
    same(&record.secret_hash, &hash_of(secret))
}

#[cfg(test)]
mod tests {
    use super::read;

    proptest::proptest! {
        #[test]
        fn reading_never_panics(text: String) {
            let _read = read(&text);
            let _read = read(&format!("saler_{text}"));
        }
    }
}
