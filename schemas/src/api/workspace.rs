//! Workspaces, members, labels and API tokens.

use serde::{Deserialize, Serialize};

use crate::channel::Secret;
use crate::workspace::Role;
use crate::{TeamId, Timestamp, TokenId, UserId};

/// A workspace to make. Whoever makes it becomes its owner.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// The IANA time zone in which its days begin and end; `UTC` if absent.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// Changes of a workspace; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceChange {
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Another time zone.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// A member of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// Which person.
    pub user_id: UserId,
    /// By which they sign in.
    pub email: String,
    /// The name that colleagues see.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// `false` once they have left.
    pub active: bool,
    /// The most open conversations that automatic assignment gives them.
    pub capacity: u32,
    /// The teams that they belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamId>,
    /// When they joined.
    pub created_at: Timestamp,
}

/// A member to add.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// By which they sign in.
    pub email: String,
    /// The name that colleagues see, 1 to 100 characters.
    pub name: String,
    /// Their role; nobody can give more than their own.
    pub role: Role,
    /// Their first password, 12 to 128 characters. Without effect if the person has a sign-in already.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
    /// The most open conversations that automatic assignment gives them; 20 if absent.
    #[serde(default)]
    pub capacity: Option<u32>,
}

/// Changes of a member; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Another role.
    #[serde(default)]
    pub role: Option<Role>,
    /// `false` ends their membership and their sign-ins here, `true` begins it again.
    #[serde(default)]
    pub active: Option<bool>,
    /// Another capacity.
    #[serde(default)]
    pub capacity: Option<u32>,
}

/// A label that the workspace offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Label {
    /// Its name, 1 to 50 characters; also its id.
    pub name: String,
    /// Its colour as `#rrggbb`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

/// A label's settings.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelChange {
    /// Its colour as `#rrggbb`.
    #[serde(default)]
    pub color: Option<String>,
}

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiToken {
    /// Which.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// For whom it acts.
    pub user_id: UserId,
    /// With which role, at most that person's own.
    pub role: Role,
    /// The name under which a program writes with it. Absent: what is written with it is that person's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An API token to make; it acts for the caller.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// With which role; at most the caller's own.
    pub role: Role,
    /// For how many days, 1 to 365; 90 if absent.
    #[serde(default)]
    pub expires_in_days: Option<u32>,
    /// The name under which a program writes with it, 1 to 100 characters: such messages are no human answer and leave the
    /// contact waiting. Absent: what is written with it is the caller's own.
    #[serde(default)]
    pub bot: Option<String>,
}

/// An API token with its secret, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedApiToken {
    /// What it is.
    #[serde(flatten)]
    pub token: ApiToken,
    /// The token itself: `saler_`, its id, its secret.
    pub secret: String,
}
