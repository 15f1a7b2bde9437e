//! Signing in, refreshing, signing out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use schemas::api::auth::{Me, Tokens, WorkspaceRole};
use schemas::channel::Secret;
use schemas::workspace::Role;
use schemas::{SessionId, Timestamp, UserId, WorkspaceId};
use storage::tables::TablesError;

use super::access_token::{AccessTokens, KeyError};
use super::authenticator::DirectoryAuthenticator;
use super::password::{PasswordError, Passwords, check_choice};
use super::refresh::{RefreshError, RefreshTokens};
use super::throttle::Throttle;
use crate::config::AuthConfig;
use crate::directory::members::Membership;
use crate::directory::sessions::SessionRecord;
use crate::directory::users::{UserRecord, checked_email};
use crate::directory::{Directory, DirectoryError};

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown address, wrong password, no such workspace, disabled: one answer for all.
    #[error("the e-mail address or the password is wrong")]
    Refused,
    /// Too many failures.
    #[error("too many failed sign-ins: try again in {} s", wait.as_secs().max(1))]
    Throttled {
        /// For how long.
        wait: Duration,
    },
    /// Too many at once.
    #[error("too many sign-ins at once: try again in a moment")]
    Busy,
    /// The refresh token is not good.
    #[error("the refresh token is not good: sign in again")]
    RefreshRefused(#[source] RefreshError),
    /// A value cannot be.
    #[error("a value cannot be taken")]
    Directory(#[from] DirectoryError),
    /// The tables failed.
    #[error("the sign-in cannot be read or written")]
    Tables(#[from] TablesError),
    /// The key failed.
    #[error("the access token cannot be made")]
    Key(#[from] KeyError),
    /// Hashing failed.
    #[error("the password cannot be checked")]
    Hashing,
}

impl From<PasswordError> for SignInError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Failed => Self::Hashing,
        }
    }
}

/// The service behind the routes under `/auth`.
#[derive(Debug)]
pub struct SignInService {
    directory: Directory,
    passwords: Passwords,
    access_tokens: Arc<AccessTokens>,
    refresh_tokens: RefreshTokens,
    throttle: Throttle,
    authenticator: Arc<DirectoryAuthenticator>,
    config: AuthConfig,
}

impl SignInService {
    /// Puts the parts together; makes the installation's keys at the first start.
    ///
    /// # Errors
    /// If the keys cannot be read, stored or used.
    pub async fn open(directory: Directory, config: AuthConfig, cores: usize) -> Result<Self, SignInError> {
        let seed = directory.installation_secret("access_token_key").await?;
        let refresh_key = directory.installation_secret("refresh_token_key").await?;
        let access_tokens = Arc::new(AccessTokens::new(seed, config.access_token_minutes)?);
        let authenticator = Arc::new(DirectoryAuthenticator::new(directory.clone(), Arc::clone(&access_tokens)));
        Ok(Self {
            passwords: Passwords::new(cores)?,
            refresh_tokens: RefreshTokens::new(refresh_key),
            throttle: Throttle::new(config.failures_per_minute),
            directory,
            access_tokens,
            authenticator,
            config,
        })
    }

    /// Checks bearer tokens.
    pub fn authenticator(&self) -> &Arc<DirectoryAuthenticator> {
        &self.authenticator
    }

    /// Counts failures.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// The time by which it counts.
    pub fn now(&self) -> Timestamp {
        self.directory.now()
    }

    /// Hashes passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Signs a person in with their password.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn sign_in(
        &self,
        email: &str,
        password: &Secret,
        workspace_id: Option<WorkspaceId>,
        address: Option<IpAddr>,
    ) -> Result<Tokens, SignInError> {
        let now = self.directory.now();
        // What cannot be an address is counted and hashed like any other.
        let email = checked_email(email).unwrap_or_else(|_invalid| "?".to_owned());
        if let Some(wait) = self.throttle.wait(now, &email, address) {
            return Err(SignInError::Throttled { wait });
        }
        let user = self.directory.user_by_email(&email).await?.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password_hash.as_ref());
        let known = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| known) else {
            self.throttle.failed(now, &email, address);
            return Err(SignInError::Refused);
        };
        let memberships = self.directory.workspaces_of(user.id).await?;
        let chosen = memberships.iter().find(|(id, _)| workspace_id.is_none_or(|wanted| wanted == *id));
        let Some((workspace_id, membership)) = chosen else {
            self.throttle.failed(now, &email, address);
            return Err(SignInError::Refused);
        };
        self.throttle.succeeded(&email);
        self.begin_session(&user, *workspace_id, membership, None).await
    }

    /// Signs a person who is signed in by a password into another of their workspaces, and ends the sign-in that they had.
    /// The new one ends no later than the old one would have: only a password begins that time anew.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if they do not belong to it; otherwise as its parts.
    pub async fn switch(
        &self,
        user_id: UserId,
        session_id: SessionId,
        workspace_id: WorkspaceId,
    ) -> Result<Tokens, SignInError> {
        let user = self.directory.user(user_id).await?.filter(|user| !user.disabled).ok_or(SignInError::Refused)?;
        let membership = self.directory.membership(workspace_id, user_id).await?.filter(|member| member.active);
        let membership = membership.ok_or(DirectoryError::NotFound { what: "workspace" })?;
        let now = self.directory.now();
        let session = self.directory.session(session_id).await?.map(|(session, _version)| session);
        let session = session
            .filter(|session| session.is_alive(now))
            .ok_or(SignInError::RefreshRefused(RefreshError::Invalid))?;
        let tokens = self.begin_session(&user, workspace_id, &membership, Some(session.expires_at)).await?;
        self.directory.revoke_session(session_id).await?;
        self.authenticator.forget_all();
        Ok(tokens)
    }

    /// Begins a sign-in that ends in any case when the role says, and no later than `latest_end`.
    async fn begin_session(
        &self,
        user: &UserRecord,
        workspace_id: WorkspaceId,
        membership: &Membership,
        latest_end: Option<Timestamp>,
    ) -> Result<Tokens, SignInError> {
        let now = self.directory.now();
        let session_id = SessionId::new(now, &rand::random());
        let (refresh_token, current_hash) = self.refresh_tokens.first(session_id);
        let (idle, absolute) = self.lifetimes(membership.role);
        let session = SessionRecord {
            id: session_id,
            user_id: user.id,
            workspace_id,
            created_at: now,
            last_used_at: now,
            expires_at: latest_end.map_or(now.after(absolute), |latest| latest.min(now.after(absolute))),
            idle_s: idle.as_secs(),
            current_hash,
            previous_hash: None,
            revoked: false,
        };
        self.make_room(user.id).await?;
        self.directory.create_session(&session).await?;
        self.tokens(&session, refresh_token, user, membership).await
    }

    /// Changes a refresh token for new tokens.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn refresh(&self, token: &Secret) -> Result<Tokens, SignInError> {
        let now = self.directory.now();
        let (refresh_token, session) =
            self.refresh_tokens.rotate(&self.directory, now, token.expose()).await.map_err(|error| match error {
                RefreshError::Tables(error) => SignInError::Tables(error),
                refused => {
                    if matches!(refused, RefreshError::Reused) {
                        self.authenticator.forget_all();
                    }
                    SignInError::RefreshRefused(refused)
                }
            })?;
        let refused = || SignInError::RefreshRefused(RefreshError::Invalid);
        let user = self.directory.user(session.user_id).await?.filter(|user| !user.disabled).ok_or_else(refused)?;
        let membership = self.directory.membership(session.workspace_id, session.user_id).await?;
        let membership = membership.filter(|member| member.active).ok_or_else(refused)?;
        self.tokens(&session, refresh_token, &user, &membership).await
    }

    /// Ends the sign-in of a refresh token. A token that is not ours changes nothing.
    ///
    /// # Errors
    /// [`SignInError::Tables`].
    pub async fn sign_out(&self, token: &Secret) -> Result<(), SignInError> {
        if let Some(session_id) = self.refresh_tokens.session_of(token.expose()) {
            self.directory.revoke_session(session_id).await?;
            self.authenticator.forget_all();
        }
        Ok(())
    }

    /// The sign-ins of a person that have not ended.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn sessions(&self, user_id: UserId) -> Result<Vec<SessionRecord>, TablesError> {
        let now = self.directory.now();
        let mut sessions = self.directory.sessions_of(user_id).await?;
        sessions.retain(|session| session.is_alive(now));
        Ok(sessions)
    }

    /// Ends one sign-in of a person.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if they have no such sign-in.
    pub async fn revoke(&self, user_id: UserId, session_id: SessionId) -> Result<(), SignInError> {
        let sessions = self.sessions(user_id).await?;
        if !sessions.iter().any(|session| session.id == session_id) {
            return Err(DirectoryError::NotFound { what: "sign-in" }.into());
        }
        self.directory.revoke_session(session_id).await?;
        self.authenticator.forget_all();
        Ok(())
    }

    /// Ends a person's sign-ins: those into one workspace, or all but one.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn revoke_where(
        &self,
        user_id: UserId,
        ends: impl Fn(&SessionRecord) -> bool,
    ) -> Result<(), TablesError> {
        for session in self.sessions(user_id).await? {
            if ends(&session) {
                self.directory.revoke_session(session.id).await?;
            }
        }
        self.authenticator.forget_all();
        Ok(())
    }

    /// Changes a person's password and ends their other sign-ins.
    ///
    /// # Errors
    /// [`SignInError::Refused`] if the present password is wrong; otherwise as its parts.
    pub async fn change_password(
        &self,
        user_id: UserId,
        keep: Option<SessionId>,
        current: &Secret,
        new: &Secret,
        address: Option<IpAddr>,
    ) -> Result<(), SignInError> {
        let now = self.directory.now();
        let user = self.directory.user(user_id).await?.ok_or(SignInError::Refused)?;
        if let Some(wait) = self.throttle.wait(now, &user.email, address) {
            return Err(SignInError::Throttled { wait });
        }
        if !self.passwords.verify(current, user.password_hash.as_ref()).await? {
            self.throttle.failed(now, &user.email, address);
            return Err(SignInError::Refused);
        }
        check_choice("new_password", new, &user.email)?;
        let hash = self.passwords.hash(new).await?;
        self.directory.set_password_hash(user_id, hash).await?;
        Ok(self.revoke_where(user_id, |session| Some(session.id) != keep).await?)
    }

    /// Who somebody is in a workspace.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn me(&self, workspace_id: WorkspaceId, user_id: UserId) -> Result<Option<Me>, TablesError> {
        let user = self.directory.user(user_id).await?;
        let membership = self.directory.membership(workspace_id, user_id).await?;
        match (user, membership) {
            (Some(user), Some(membership)) => self.describe(workspace_id, &user, &membership).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn describe(
        &self,
        workspace_id: WorkspaceId,
        user: &UserRecord,
        membership: &Membership,
    ) -> Result<Me, TablesError> {
        let mut workspaces = Vec::new();
        for (id, member) in self.directory.workspaces_of(user.id).await? {
            match self.directory.workspace(id).await {
                Ok(workspace) => {
                    workspaces.push(WorkspaceRole { workspace_id: id, name: workspace.name, role: member.role });
                }
                Err(DirectoryError::Tables(error)) => return Err(error),
                Err(_gone) => {}
            }
        }
        Ok(Me {
            user_id: user.id,
            email: user.email.clone(),
            name: membership.name.clone(),
            workspace_id,
            role: membership.role,
            workspaces,
        })
    }

    async fn tokens(
        &self,
        session: &SessionRecord,
        refresh_token: String,
        user: &UserRecord,
        membership: &Membership,
    ) -> Result<Tokens, SignInError> {
        let access_token = self.access_tokens.mint(
            self.directory.now(),
            (session.id, session.user_id, session.workspace_id),
            membership.role,
            membership.epoch,
        )?;
        Ok(Tokens {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in: self.access_tokens.lifetime_s(),
            refresh_token: Some(refresh_token),
            session_id: session.id,
            me: self.describe(session.workspace_id, user, membership).await?,
        })
    }

    /// Without use, and in any case.
    fn lifetimes(&self, role: Role) -> (Duration, Duration) {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        match role {
            Role::Owner | Role::Admin => {
                (hours(self.config.privileged_idle_hours), hours(self.config.privileged_absolute_hours))
            }
            Role::Manager | Role::Agent | Role::Analyst => {
                (hours(self.config.refresh_idle_days * 24), hours(self.config.refresh_absolute_days * 24))
            }
        }
    }

    /// Forgets ended sign-ins, and ends the oldest so that one more fits.
    async fn make_room(&self, user_id: UserId) -> Result<(), TablesError> {
        let now = self.directory.now();
        let (alive, ended): (Vec<_>, Vec<_>) =
            self.directory.sessions_of(user_id).await?.into_iter().partition(|session| session.is_alive(now));
        self.directory.forget_sessions(&ended).await?;
        let too_many = (alive.len() + 1).saturating_sub(self.config.max_sessions);
        for session in alive.iter().take(too_many) {
            self.directory.revoke_session(session.id).await?;
        }
        if too_many > 0 {
            self.authenticator.forget_all();
        }
        Ok(())
    }
}
