//! Who may do what: one table, used by the routes, the sockets and the tests.
//!
//! What is not in the table is forbidden. A right speaks of the caller's own workspace only; what an agent may see *within*
//! it is decided by [`crate::conversation::Conversation::visible_to`].

use crate::workspace::Role;

/// Something that a route or a socket's command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See the workspace's name and settings.
    ReadWorkspace,
    /// Change them.
    ManageWorkspace,
    /// Make further workspaces.
    CreateWorkspaces,
    /// See who is in the workspace, and who is online.
    ReadMembers,
    /// Add, change and remove members.
    ManageMembers,
    /// See channels, without secrets.
    ReadChannels,
    /// Make and change channels.
    ManageChannels,
    /// List, make and revoke API tokens.
    ManageTokens,
    /// See contacts.
    ReadContacts,
    /// Change contacts.
    EditContacts,
    /// See conversations and their messages.
    ReadConversations,
    /// Write messages and notes; change status, assignee, priority and labels.
    WriteConversations,
    /// See which labels there are.
    ReadLabels,
    /// Make and remove labels.
    ManageLabels,
    /// See canned replies.
    ReadCannedReplies,
    /// Make, change and remove canned replies.
    ManageCannedReplies,
    /// Make, change and remove teams.
    ManageTeams,
    /// Change what is promised to customers and how they are asked for their opinion.
    ManageService,
    /// Share saved views, and change those that others share.
    ShareViews,
    /// See webhooks that could not be read.
    ReadDeadLetters,
    /// Replay and discard them.
    ManageDeadLetters,
    /// See KPIs.
    ReadKpis,
    /// Query with SQL.
    RunSql,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 23] = [
        Self::ReadWorkspace,
        Self::ManageWorkspace,
        Self::CreateWorkspaces,
        Self::ReadMembers,
        Self::ManageMembers,
        Self::ReadChannels,
        Self::ManageChannels,
        Self::ManageTokens,
        Self::ReadContacts,
        Self::EditContacts,
        Self::ReadConversations,
        Self::WriteConversations,
        Self::ReadLabels,
        Self::ManageLabels,
        Self::ReadCannedReplies,
        Self::ManageCannedReplies,
        Self::ManageTeams,
        Self::ManageService,
        Self::ShareViews,
        Self::ReadDeadLetters,
        Self::ManageDeadLetters,
        Self::ReadKpis,
        Self::RunSql,
    ];

    /// A phrase for "you may not …".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::ReadWorkspace => "see the workspace",
            Self::ManageWorkspace => "change the workspace",
            Self::CreateWorkspaces => "make workspaces",
            Self::ReadMembers => "see members",
            Self::ManageMembers => "change members",
            Self::ReadChannels => "see channels",
            Self::ManageChannels => "change channels",
            Self::ManageTokens => "manage API tokens",
            Self::ReadContacts => "see contacts",
            Self::EditContacts => "change contacts",
            Self::ReadConversations => "see conversations",
            Self::WriteConversations => "write in conversations",
            Self::ReadLabels => "see labels",
            Self::ManageLabels => "change labels",
            Self::ReadCannedReplies => "see canned replies",
            Self::ManageCannedReplies => "change canned replies",
            Self::ManageTeams => "change teams",
            Self::ManageService => "change service levels",
            Self::ShareViews => "share views",
            Self::ReadDeadLetters => "see dead letters",
            Self::ManageDeadLetters => "replay or discard dead letters",
            Self::ReadKpis => "see KPIs",
            Self::RunSql => "query with SQL",
        }
    }
}

/// Whether a member of this role may do this in their workspace.
pub const fn allows(role: Role, action: Action) -> bool {
    use Role::{Admin, Agent, Analyst, Manager, Owner};
    match action {
        Action::ManageWorkspace | Action::CreateWorkspaces => matches!(role, Owner),
        Action::ManageMembers
        | Action::ManageTeams
        | Action::ManageService
        | Action::ManageChannels
        | Action::ManageTokens => matches!(role, Owner | Admin),
        Action::ManageLabels
        | Action::ManageCannedReplies
        | Action::ShareViews
        | Action::ReadDeadLetters
        | Action::ManageDeadLetters => matches!(role, Owner | Admin | Manager),
        Action::ReadChannels
        | Action::ReadContacts
        | Action::EditContacts
        | Action::ReadConversations
        | Action::WriteConversations
        | Action::ReadCannedReplies => matches!(role, Owner | Admin | Manager | Agent),
        Action::ReadKpis | Action::RunSql => matches!(role, Owner | Admin | Manager | Analyst),
        Action::ReadWorkspace | Action::ReadMembers | Action::ReadLabels => true,
    }
}

/// Whether somebody of role `grantor` may give, change or take away the role `grantee`: nobody reaches above themselves.
pub const fn may_grant(grantor: Role, grantee: Role) -> bool {
    use Role::{Admin, Agent, Analyst, Manager, Owner};
    match grantor {
        Owner => true,
        Admin => !matches!(grantee, Owner),
        Manager => matches!(grantee, Manager | Agent | Analyst),
        Agent => matches!(grantee, Agent),
        Analyst => matches!(grantee, Analyst),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_grant_a_role_has_every_right_of_it() {
        for grantor in Role::ALL {
            for grantee in Role::ALL {
                if may_grant(grantor, grantee) {
                    for action in Action::ALL {
                        assert!(
                            allows(grantor, action) || !allows(grantee, action),
                            "{grantor:?} may grant {grantee:?} but may not {action:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn analysts_see_no_conversations_and_agents_no_settings() {
        assert!(!allows(Role::Analyst, Action::ReadConversations) && !allows(Role::Analyst, Action::ReadContacts));
        for action in [Action::ManageMembers, Action::ManageTokens, Action::RunSql, Action::ReadDeadLetters] {
            assert!(!allows(Role::Agent, action), "{action:?}");
        }
    }

    #[test]
    fn every_action_is_listed_once_and_has_an_owner() {
        let mut seen = Action::ALL.to_vec();
        seen.dedup();
        assert_eq!(seen.len(), Action::ALL.len());
        assert!(Action::ALL.into_iter().all(|action| allows(Role::Owner, action)));
    }
}
