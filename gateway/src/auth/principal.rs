//! Who makes a request or holds a socket, once sign-in has been checked.

use std::sync::Arc;

use async_trait::async_trait;
use schemas::message::Author;
use schemas::workspace::Role;
use schemas::{SessionId, Timestamp, TokenId, UserId, WorkspaceId};

/// A person (or a token that acts for them) in one workspace, with a checked and current role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub user_id: UserId,
    /// Where. Every key and every query takes it from here, never from the request.
    pub workspace_id: WorkspaceId,
    /// What they may do there.
    pub role: Role,
    /// By what they signed in.
    pub credential: Credential,
    /// The name under which it writes, if it is a program's token.
    pub bot: Option<Arc<str>>,
    /// When this must be checked again: the access token's end.
    pub expires_at: Timestamp,
}

impl Principal {
    /// Who writes what is written by this principal: a program's token writes as that program, whoever it acts for.
    pub fn author(&self) -> Author {
        match &self.bot {
            Some(name) => Author::Bot { name: name.to_string() },
            None => Author::Agent { user_id: self.user_id },
        }
    }
}

/// By what somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A password, by way of an access token of this sign-in.
    Session(SessionId),
    /// An API token.
    ApiToken(TokenId),
}

/// Why a credential is not believed. Says no more to the outside than it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Missing, malformed, forged, expired, revoked.
    #[error("the access token is missing, malformed, expired or revoked: sign in again")]
    Invalid,
    /// It could not be checked now.
    #[error("sign-in cannot be checked now: try again")]
    Unavailable,
}

/// Checks access tokens and API tokens.
#[async_trait]
pub trait Authenticator: Send + Sync + std::fmt::Debug {
    /// Who holds this bearer token (a JWT of the hub or an API token), now.
    ///
    /// # Errors
    /// See [`AuthError`].
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError>;

    /// Whether a principal that was checked before still holds: not signed out, disabled or given another role.
    ///
    /// # Errors
    /// See [`AuthError`].
    async fn recheck(&self, principal: &Principal) -> Result<Principal, AuthError>;
}
