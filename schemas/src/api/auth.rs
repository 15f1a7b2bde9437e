//! Sign-in.

use serde::{Deserialize, Serialize};

use crate::channel::Secret;
use crate::workspace::Role;
use crate::{SessionId, Timestamp, UserId, WorkspaceId};

/// A sign-in with a password.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The person's e-mail address.
    pub email: String,
    /// Their password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// Into which workspace; absent: the one joined first.
    #[serde(default)]
    pub workspace_id: Option<WorkspaceId>,
    /// `true` for browsers: the refresh token comes as a cookie that no script can read, instead of in the answer.
    #[serde(default)]
    pub cookie: bool,
}

/// A refresh token to change for new tokens, or to end.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The token, as it was given. Absent: that of the cookie `saler_refresh`, and the next one comes as a cookie too.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub refresh_token: Option<Secret>,
}

/// Another workspace of the caller to sign in to.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchWorkspace {
    /// Which.
    pub workspace_id: WorkspaceId,
}

/// Another password.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    #[schema(value_type = String, format = Password)]
    pub current_password: Secret,
    /// The new one, 12 to 128 characters.
    #[schema(value_type = String, format = Password)]
    pub new_password: Secret,
}

/// A workspace that somebody belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkspaceRole {
    /// Which.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// As what.
    pub role: Role,
}

/// Who is signed in, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Me {
    /// Who.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name in this workspace.
    pub name: String,
    /// The workspace of this token.
    pub workspace_id: WorkspaceId,
    /// Their role there.
    pub role: Role,
    /// All their workspaces.
    pub workspaces: Vec<WorkspaceRole>,
}

/// What a sign-in or a refresh gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tokens {
    /// For the header `Authorization: Bearer` and for the socket.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// For how many seconds the access token is good.
    pub expires_in: u64,
    /// For the next refresh; good once. Absent if it came as a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Which sign-in this is.
    pub session_id: SessionId,
    /// Who is signed in, and where.
    pub me: Me,
}

/// A sign-in of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Into which workspace.
    pub workspace_id: WorkspaceId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// Whether this request came by it.
    pub current: bool,
}

/// Kinds of second factors that a person may set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// A time-based code (RFC 6238).
    Totp,
    /// A security key or passkey.
    Webauthn,
    /// A single-use code on paper.
    RecoveryCode,
}
