//! Who a bearer token belongs to, now.
//!
//! What the tables say of a sign-in or an API token is kept for at most [`FRESH`]: so a sign-out, a disabled person or
//! another role takes effect within five seconds everywhere, and at once in the process that made the change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use schemas::policy::may_grant;
use schemas::workspace::Role;
use schemas::{SessionId, Timestamp, TokenId, UserId, WorkspaceId};
use storage::tables::TablesError;

use super::access_token::AccessTokens;
use super::api_token;
use super::principal::{AuthError, Authenticator, Credential, Principal};
use crate::directory::Directory;
use crate::directory::tokens::TokenRecord;

/// How old what is known of a credential may be.
const FRESH: Duration = Duration::from_secs(5);
/// Credentials that are remembered; above, stale ones are forgotten, then all.
const REMEMBERED: usize = 50_000;
/// The longest bearer token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 4_096;

/// What the tables say of a credential.
#[derive(Clone, Debug)]
struct Standing {
    user_id: UserId,
    workspace_id: WorkspaceId,
    role: Role,
    bot: Option<Arc<str>>,
    epoch: u64,
    ends_at: Timestamp,
    read_at: Timestamp,
}

/// Checks bearer tokens against the tables.
#[derive(Debug)]
pub struct DirectoryAuthenticator {
    directory: Directory,
    access_tokens: Arc<AccessTokens>,
    standings: Mutex<HashMap<Credential, Standing>>,
}

impl DirectoryAuthenticator {
    /// Over this directory, with these access tokens.
    pub fn new(directory: Directory, access_tokens: Arc<AccessTokens>) -> Self {
        Self { directory, access_tokens, standings: Mutex::default() }
    }

    /// Forgets what is remembered, so that a change of a role or a sign-out takes effect at once in this process.
    pub fn forget_all(&self) {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn standing(&self, credential: Credential) -> Result<Standing, AuthError> {
        let now = self.directory.now();
        let known = self.standings.lock().unwrap_or_else(PoisonError::into_inner).get(&credential).cloned();
        if let Some(standing) = known
            && now.since(standing.read_at) < FRESH
        {
            return if now < standing.ends_at { Ok(standing) } else { Err(AuthError::Invalid) };
        }
        let read = match credential {
            Credential::Session(session_id) => self.read_session(session_id, now).await,
            Credential::ApiToken(token_id) => self.read_token(token_id, now).await,
        };
        let standing = read.map_err(|error| unavailable(&error))?.ok_or(AuthError::Invalid)?;
        self.remember(credential, standing.clone());
        Ok(standing)
    }

    fn remember(&self, credential: Credential, standing: Standing) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        if standings.len() >= REMEMBERED {
            standings.retain(|_, other| standing.read_at.since(other.read_at) < FRESH);
            if standings.len() >= REMEMBERED {
                standings.clear();
            }
        }
        standings.insert(credential, standing);
    }

    async fn read_session(&self, session_id: SessionId, now: Timestamp) -> Result<Option<Standing>, TablesError> {
        let Some((session, _version)) = self.directory.session(session_id).await? else {
            return Ok(None);
        };
        if !session.is_alive(now) {
            return Ok(None);
        }
        let member = self.read_member(session.workspace_id, session.user_id).await?;
        Ok(member.map(|(role, epoch)| Standing {
            user_id: session.user_id,
            workspace_id: session.workspace_id,
            role,
            bot: None,
            epoch,
            ends_at: session.expires_at,
            read_at: now,
        }))
    }

    async fn read_token(&self, token_id: TokenId, now: Timestamp) -> Result<Option<Standing>, TablesError> {
        match self.directory.token(token_id).await? {
            Some(record) => self.standing_of_token(&record, now).await,
            None => Ok(None),
        }
    }

    async fn standing_of_token(&self, record: &TokenRecord, now: Timestamp) -> Result<Option<Standing>, TablesError> {
        if now >= record.token.expires_at {
            return Ok(None);
        }
        let member = self.read_member(record.workspace_id, record.token.user_id).await?;
        // A token never does more than its owner could hand out today.
        Ok(member.filter(|(role, _)| may_grant(*role, record.token.role)).map(|(_, epoch)| Standing {
            user_id: record.token.user_id,
            workspace_id: record.workspace_id,
            role: record.token.role,
            bot: record.token.bot.as_deref().map(Arc::from),
            epoch,
            ends_at: record.token.expires_at,
            read_at: now,
        }))
    }

    /// The role and epoch of somebody who belongs to the workspace and may sign in.
    async fn read_member(
        &self,
        workspace_id: WorkspaceId,
        user_id: UserId,
    ) -> Result<Option<(Role, u64)>, TablesError> {
        let disabled = self.directory.user(user_id).await?.is_none_or(|user| user.disabled);
        if disabled {
            return Ok(None);
        }
        let membership = self.directory.membership(workspace_id, user_id).await?;
        Ok(membership.filter(|member| member.active).map(|member| (member.role, member.epoch)))
    }

    async fn by_api_token(&self, bearer: &str) -> Result<Principal, AuthError> {
        let (token_id, secret) = api_token::read(bearer).ok_or(AuthError::Invalid)?;
        // The secret is compared every time: what is remembered is what a *believed* token may do.
        let record =
            self.directory.token(token_id).await.map_err(|error| unavailable(&error))?.ok_or(AuthError::Invalid)?;
        if !api_token::matches(&record, &secret) {
            return Err(AuthError::Invalid);
        }
        let credential = Credential::ApiToken(token_id);
        let standing = self.standing(credential).await?;
        let ends_at = standing.ends_at;
        Ok(principal(standing, credential, ends_at))
    }
}

fn unavailable(error: &TablesError) -> AuthError {
    tracing::error!(error = error as &dyn std::error::Error, "a credential cannot be checked");
    AuthError::Unavailable
}

fn principal(standing: Standing, credential: Credential, expires_at: Timestamp) -> Principal {
    Principal {
        user_id: standing.user_id,
        workspace_id: standing.workspace_id,
        role: standing.role,
        credential,
        bot: standing.bot,
        expires_at: expires_at.min(standing.ends_at),
    }
}

#[async_trait]
impl Authenticator for DirectoryAuthenticator {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        if bearer.len() > LONGEST_TOKEN {
            return Err(AuthError::Invalid);
        }
        if bearer.starts_with(api_token::PREFIX) {
            return self.by_api_token(bearer).await;
        }
        let claims = self.access_tokens.check(bearer, self.directory.now()).ok_or(AuthError::Invalid)?;
        let credential = Credential::Session(claims.sid);
        let standing = self.standing(credential).await?;
        let agrees = (standing.user_id, standing.workspace_id, standing.role, standing.epoch)
            == (claims.sub, claims.wid, claims.role, claims.epoch);
        if agrees {
            Ok(principal(standing, credential, Timestamp::from_unix_seconds(claims.exp)))
        } else {
            Err(AuthError::Invalid)
        }
    }

    async fn recheck(&self, known: &Principal) -> Result<Principal, AuthError> {
        if self.directory.now() >= known.expires_at {
            return Err(AuthError::Invalid);
        }
        let standing = self.standing(known.credential).await?;
        let agrees =
            (standing.user_id, standing.workspace_id, standing.role) == (known.user_id, known.workspace_id, known.role);
        if agrees { Ok(known.clone()) } else { Err(AuthError::Invalid) }
    }
}
