//! Memberships: who belongs to a workspace, and as what.

use std::collections::BTreeSet;

use schemas::api::workspace::Member;
use schemas::tables::{MEMBERSHIPS, USER_WORKSPACES};
use schemas::workspace::{Agent, Availability, Role};
use schemas::{TeamId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, Scan, TablesError};

use super::{Directory, DirectoryError, checked_text, clustering_ids, in_workspace};

/// The most open conversations that automatic assignment gives a member, unless set otherwise.
pub const DEFAULT_CAPACITY: u32 = 20;
/// The largest capacity that can be set.
const CAPACITY_MAX: u32 = 10_000;
/// The most workspaces of one person: they are all told when the person signs in.
const WORKSPACES_OF_USER: usize = 200;

/// A row of [`MEMBERSHIPS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who.
    pub user_id: UserId,
    /// The name that colleagues see.
    pub name: String,
    /// As what.
    pub role: Role,
    /// `false` once they have left.
    pub active: bool,
    /// The most open conversations that automatic assignment gives them.
    pub capacity: u32,
    /// Grows when the role or `active` changes: access tokens of before no longer hold.
    #[serde(default)]
    pub epoch: u64,
    /// When they joined.
    pub created_at: Timestamp,
}

impl Membership {
    /// The member as the conversation engine knows them; presence and counts are its own.
    pub fn agent(&self) -> Agent {
        Agent {
            user_id: self.user_id,
            name: self.name.clone(),
            role: self.role,
            active: self.active,
            capacity: self.capacity,
            availability: Availability::default(),
            connected: false,
            gateways: BTreeSet::new(),
            open_conversations: 0,
            last_assigned: 0,
        }
    }

    /// The member as the API shows them.
    pub fn member(&self, email: String, teams: Vec<TeamId>) -> Member {
        Member {
            user_id: self.user_id,
            email,
            name: self.name.clone(),
            role: self.role,
            active: self.active,
            capacity: self.capacity,
            teams,
            created_at: self.created_at,
        }
    }
}

/// What of a membership is to change.
#[derive(Clone, Debug, Default)]
pub struct MembershipChange {
    /// Another name.
    pub name: Option<String>,
    /// Another role.
    pub role: Option<Role>,
    /// Left or back.
    pub active: Option<bool>,
    /// Another capacity.
    pub capacity: Option<u32>,
}

fn checked_capacity(capacity: u32) -> Result<u32, DirectoryError> {
    if capacity <= CAPACITY_MAX {
        Ok(capacity)
    } else {
        Err(DirectoryError::invalid("capacity", format!("it is {capacity}: write 0 to {CAPACITY_MAX}")))
    }
}

impl Directory {
    /// Adds a person to a workspace.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`] if they belong to it already; [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn add_member(
        &self,
        workspace_id: WorkspaceId,
        user_id: UserId,
        name: &str,
        role: Role,
        capacity: Option<u32>,
    ) -> Result<Membership, DirectoryError> {
        let membership = Membership {
            user_id,
            name: checked_text("name", name, 1, 100)?,
            role,
            active: true,
            capacity: checked_capacity(capacity.unwrap_or(DEFAULT_CAPACITY))?,
            epoch: 0,
            created_at: self.now(),
        };
        let pointers = self.tables.scan(USER_WORKSPACES, Scan::of([user_id.into()], WORKSPACES_OF_USER)).await?;
        let is_new = !clustering_ids(&pointers).any(|id| WorkspaceId::from_bytes(id) == workspace_id);
        if is_new && pointers.len() >= WORKSPACES_OF_USER {
            let reason = format!("the person belongs to {WORKSPACES_OF_USER} workspaces already: use another address");
            return Err(DirectoryError::invalid("email", reason));
        }
        // The pointer first: one without a membership is skipped, a membership without one could not be signed in to.
        self.put(vec![(USER_WORKSPACES, Row::new(Key::of([user_id.into()]).at([workspace_id.into()])))]).await?;
        let row = Row::new(in_workspace(workspace_id, user_id)).with_body(&membership)?;
        match self.tables.insert_if_absent(MEMBERSHIPS, row).await? {
            None => Ok(membership),
            Some(_) => Err(DirectoryError::Exists { what: "a member with this e-mail address" }),
        }
    }

    /// A membership, whether active or not.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn membership(
        &self,
        workspace_id: WorkspaceId,
        user_id: UserId,
    ) -> Result<Option<Membership>, TablesError> {
        self.entity(MEMBERSHIPS, in_workspace(workspace_id, user_id)).await
    }

    /// Everybody who belongs or belonged to a workspace.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn memberships(&self, workspace_id: WorkspaceId) -> Result<Vec<Membership>, TablesError> {
        self.entities(MEMBERSHIPS, vec![workspace_id.into()]).await
    }

    /// Up to `limit` of those who belong or belonged to a workspace and follow `after`, first made first.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn memberships_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Membership>, TablesError> {
        self.entities_after(MEMBERSHIPS, workspace_id, after, limit).await
    }

    /// The workspaces in which a person is active, first joined first, each with their membership.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn workspaces_of(&self, user_id: UserId) -> Result<Vec<(WorkspaceId, Membership)>, TablesError> {
        let rows = self.tables.scan(USER_WORKSPACES, Scan::of([user_id.into()], WORKSPACES_OF_USER)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for workspace_id in clustering_ids(&rows).map(WorkspaceId::from_bytes) {
            if let Some(membership) = self.membership(workspace_id, user_id).await?
                && membership.active
            {
                found.push((workspace_id, membership));
            }
        }
        found.sort_by_key(|(workspace_id, membership)| (membership.created_at, *workspace_id));
        Ok(found)
    }

    /// Changes a membership. A changed role or a leaving ends the access tokens of before.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn change_member(
        &self,
        workspace_id: WorkspaceId,
        user_id: UserId,
        change: MembershipChange,
    ) -> Result<Membership, DirectoryError> {
        let mut membership =
            self.membership(workspace_id, user_id).await?.ok_or(DirectoryError::NotFound { what: "member" })?;
        let before = (membership.role, membership.active);
        if let Some(name) = change.name {
            membership.name = checked_text("name", &name, 1, 100)?;
        }
        if let Some(capacity) = change.capacity {
            membership.capacity = checked_capacity(capacity)?;
        }
        membership.role = change.role.unwrap_or(membership.role);
        membership.active = change.active.unwrap_or(membership.active);
        if before != (membership.role, membership.active) {
            membership.epoch += 1;
            let lost_owner = before == (Role::Owner, true);
            if lost_owner && !self.has_other_owner(workspace_id, user_id).await? {
                return Err(DirectoryError::invalid(
                    "role",
                    "the workspace would be without an owner: make somebody else one first",
                ));
            }
        }
        self.put(vec![(MEMBERSHIPS, Row::new(in_workspace(workspace_id, user_id)).with_body(&membership)?)]).await?;
        Ok(membership)
    }

    async fn has_other_owner(&self, workspace_id: WorkspaceId, user_id: UserId) -> Result<bool, TablesError> {
        let all = self.memberships(workspace_id).await?;
        Ok(all.iter().any(|other| other.user_id != user_id && other.active && other.role == Role::Owner))
    }
}
