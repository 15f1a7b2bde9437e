//! Sign-in at the doors of SQL that are not HTTP: by API token, with failures counted like those of passwords.

use std::net::IpAddr;
use std::sync::Arc;

use analytics::sql::door::{SignInRefused, SqlSession, SqlSignIn};
use async_trait::async_trait;
use schemas::WorkspaceId;
use schemas::policy::{Action, allows};

use super::principal::{AuthError, Authenticator, Credential, Principal};
use super::sign_in::SignInService;

/// The longest user name that is looked at, in bytes.
const LONGEST_USER: usize = 256;

/// Lets the holders of API tokens in whose role may query.
#[derive(Debug)]
pub struct TokenSignIn {
    sign_in: Arc<SignInService>,
}

impl TokenSignIn {
    /// Over this sign-in, whose count of failures it shares.
    pub fn new(sign_in: Arc<SignInService>) -> Self {
        Self { sign_in }
    }

    /// Who holds the token, if it is one, and of the workspace that the user's name names, if it names one.
    async fn holder(&self, user: &str, secret: &str) -> Result<SqlSession, SignInRefused> {
        let principal = self.sign_in.authenticator().authenticate(secret).await.map_err(refused)?;
        let Credential::ApiToken(token_id) = principal.credential else { return Err(SignInRefused::Wrong) };
        let named: Option<WorkspaceId> = user.parse().ok();
        if user.len() > LONGEST_USER || named.is_some_and(|named| named != principal.workspace_id) {
            return Err(SignInRefused::Wrong);
        }
        if !allows(principal.role, Action::RunSql) {
            return Err(SignInRefused::NotAllowed);
        }
        Ok(SqlSession {
            workspace_id: principal.workspace_id,
            user_id: principal.user_id,
            token_id,
            role: principal.role,
            expires_at: principal.expires_at,
        })
    }
}

fn refused(error: AuthError) -> SignInRefused {
    match error {
        AuthError::Invalid => SignInRefused::Wrong,
        AuthError::Unavailable => SignInRefused::Unavailable,
    }
}

#[async_trait]
impl SqlSignIn for TokenSignIn {
    async fn sign_in(&self, user: &str, secret: &str, address: IpAddr) -> Result<SqlSession, SignInRefused> {
        let throttle = self.sign_in.throttle();
        let now = self.sign_in.now();
        // Counted by where it comes from: nobody can keep others out by their user name.
        let account = format!("sql from {address}");
        if let Some(wait) = throttle.wait(now, &account, Some(address)) {
            return Err(SignInRefused::Throttled { wait });
        }
        let holder = self.holder(user, secret).await;
        match &holder {
            Ok(_) => throttle.succeeded(&account),
            Err(SignInRefused::Wrong | SignInRefused::NotAllowed) => throttle.failed(now, &account, Some(address)),
            Err(SignInRefused::Throttled { .. } | SignInRefused::Unavailable) => {}
        }
        holder
    }

    async fn recheck(&self, session: &SqlSession) -> Result<(), SignInRefused> {
        let principal = Principal {
            user_id: session.user_id,
            workspace_id: session.workspace_id,
            role: session.role,
            credential: Credential::ApiToken(session.token_id),
            bot: None,
            expires_at: session.expires_at,
        };
        self.sign_in.authenticator().recheck(&principal).await.map(drop).map_err(refused)
    }
}
