//! Who signs in at the doors of SQL that are not HTTP: the Postgres wire and Flight SQL.
//!
//! The credential alone says which workspace a connection sees, and it is asked again before every statement: a token that was
//! revoked, has expired or whose owner has left ends the connections that it opened.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use schemas::workspace::Role;
use schemas::{Timestamp, TokenId, UserId, WorkspaceId};

/// Somebody who may query one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlSession {
    /// Whose tables they see.
    pub workspace_id: WorkspaceId,
    /// For whom the token acts.
    pub user_id: UserId,
    /// The token by which they signed in.
    pub token_id: TokenId,
    /// What they may do.
    pub role: Role,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// Why nobody was let in. Says no more to the outside than it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefused {
    /// The secret is no API token that holds, or not one of the workspace that the user's name names.
    #[error("the password must be an API token of the workspace that holds: make one with `saler token create`")]
    Wrong,
    /// The token's role may not query.
    #[error("the token's role may not query with SQL: use a token of the role analyst or above")]
    NotAllowed,
    /// Too many failures.
    #[error("too many failed sign-ins: try again in {} s", wait.as_secs().max(1))]
    Throttled {
        /// For how long.
        wait: Duration,
    },
    /// It cannot be checked now.
    #[error("sign-in cannot be checked now: try again")]
    Unavailable,
}

/// Checks credentials.
#[async_trait]
pub trait SqlSignIn: Send + Sync + std::fmt::Debug {
    /// Who holds this API token, now. The user's name is free, unless it is the id of a workspace: then the token must be of
    /// that one. `address` is where the attempt comes from; failures are counted by it.
    ///
    /// # Errors
    /// See [`SignInRefused`].
    async fn sign_in(&self, user: &str, secret: &str, address: IpAddr) -> Result<SqlSession, SignInRefused>;

    /// Whether somebody who signed in before still may query.
    ///
    /// # Errors
    /// See [`SignInRefused`].
    async fn recheck(&self, session: &SqlSession) -> Result<(), SignInRefused>;
}
