//! Workspaces (tenants), the people in them, and what each role may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::hours::BusinessHours;
use crate::{TeamId, Timestamp, UserId, WorkspaceId};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// The IANA time zone in which its days begin and end.
    pub time_zone: String,
    /// When it is at work; absent if that is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_hours: Option<BusinessHours>,
    /// Grows with every change of the time zone and the business hours, so that an old change never overwrites a newer one.
    #[serde(default)]
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a person may do in a workspace. The table of rights is in the gateway's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, the workspace's end included.
    Owner,
    /// Members, channels, tokens; all conversations.
    Admin,
    /// All conversations, boards, dead letters.
    Manager,
    /// Own and unassigned conversations.
    Agent,
    /// Numbers and SQL; no conversations.
    Analyst,
}

impl Role {
    /// Every role, most powerful first.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Manager, Self::Agent, Self::Analyst];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Agent => "agent",
            Self::Analyst => "analyst",
        }
    }

    /// Whether conversations can be assigned to somebody of this role.
    pub const fn handles_conversations(self) -> bool {
        !matches!(self, Self::Analyst)
    }

    /// Whether this role sees every conversation of the workspace, not only own and unassigned ones.
    pub const fn sees_all_conversations(self) -> bool {
        matches!(self, Self::Owner | Self::Admin | Self::Manager)
    }
}

/// The most teams of a workspace.
pub const TEAMS_PER_WORKSPACE: usize = 100;

/// The most members of a team.
pub const MEMBERS_PER_TEAM: usize = 200;

/// A group of members to whom conversations can be given. Who sees what follows from roles alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Who belongs to it.
    #[serde(default)]
    pub members: BTreeSet<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What an agent says of their own availability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Takes conversations.
    #[default]
    Online,
    /// Connected, but takes no new ones.
    Busy,
    /// Not working, connected or not.
    Away,
}

/// A member as the conversation engine knows them: who can be assigned what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// Which person.
    pub user_id: UserId,
    /// The name that colleagues see.
    pub name: String,
    /// Their role in this workspace.
    pub role: Role,
    /// `false` once they have left the workspace: nothing is assigned to them any more.
    pub active: bool,
    /// The most open conversations that automatic assignment gives them.
    pub capacity: u32,
    /// What they say of themselves.
    #[serde(default)]
    pub availability: Availability,
    /// Whether at least one of their sockets is connected (with a grace for reconnects).
    #[serde(default)]
    pub connected: bool,
    /// The gateways at which a socket is connected: the last that says it has none ends `connected`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gateways: BTreeSet<String>,
    /// How many open conversations they hold now.
    #[serde(default)]
    pub open_conversations: u32,
    /// Counts automatic assignments in the workspace; round robin picks the agent whose number is smallest.
    #[serde(default)]
    pub last_assigned: u64,
}

impl Agent {
    /// Whether conversations can be assigned to this agent, and stay with them.
    pub const fn handles_conversations(&self) -> bool {
        self.active && self.role.handles_conversations()
    }

    /// Whether automatic assignment may pick this agent now.
    pub fn takes_new_conversations(&self) -> bool {
        self.handles_conversations()
            && self.connected
            && self.availability == Availability::Online
            && self.open_conversations < self.capacity
    }
}
