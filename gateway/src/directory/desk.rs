//! Canned replies, teams and saved views.
//!
//! Each is a few small rows of a workspace, with a bound. Two people who make the last one that fits at the same moment may
//! both succeed: the bounds keep lists short, they are no quota.

use std::collections::{BTreeMap, BTreeSet};

use schemas::desk::{
    CANNED_REPLIES_PER_WORKSPACE, CANNED_REPLY_CHARS, CannedReply, SAVED_VIEWS_PER_PERSON, SavedView, ViewFilters,
};
use schemas::tables::{CANNED_REPLIES, SAVED_VIEWS, TEAMS};
use schemas::workspace::{MEMBERS_PER_TEAM, TEAMS_PER_WORKSPACE, Team};
use schemas::{SavedViewId, TeamId, UserId, WorkspaceId, template};
use storage::tables::{Row, TablesError};

use super::{Directory, DirectoryError, checked_text, in_workspace};

/// The most characters of a canned reply's shortcut.
const SHORTCUT_CHARS: usize = 50;

/// The most characters of a language's tag.
const LANGUAGE_CHARS: usize = 35;

/// What a canned reply is to say.
#[derive(Clone, Debug)]
pub struct CannedReplyText {
    /// The text.
    pub text: String,
    /// What people call it.
    pub title: Option<String>,
    /// In which language it is.
    pub language: Option<String>,
}

/// What of a saved view is to change.
#[derive(Clone, Debug, Default)]
pub struct SavedViewEdit {
    /// Another name.
    pub name: Option<String>,
    /// Shared or not.
    pub shared: Option<bool>,
    /// Other filters.
    pub filters: Option<ViewFilters>,
}

impl Directory {
    /// Up to `limit` canned replies that follow `after`, by shortcut.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn canned_replies_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CannedReply>, TablesError> {
        self.entities_after(CANNED_REPLIES, workspace_id, after, limit).await
    }

    /// A canned reply.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn canned_reply(&self, workspace_id: WorkspaceId, shortcut: &str) -> Result<CannedReply, DirectoryError> {
        let found = self.entity(CANNED_REPLIES, in_workspace(workspace_id, shortcut)).await?;
        found.ok_or(DirectoryError::NotFound { what: "canned reply" })
    }

    /// Makes a canned reply, or changes it.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn put_canned_reply(
        &self,
        workspace_id: WorkspaceId,
        shortcut: &str,
        says: CannedReplyText,
        by: UserId,
    ) -> Result<CannedReply, DirectoryError> {
        let shortcut = checked_shortcut(shortcut)?;
        let key = in_workspace(workspace_id, shortcut.as_str());
        if self.tables.get(CANNED_REPLIES, key.clone()).await?.is_none() {
            let most = CANNED_REPLIES_PER_WORKSPACE;
            let known = self.rows_after(CANNED_REPLIES, workspace_id, None::<String>, most).await?;
            full("shortcut", known.len(), most, "canned replies")?;
        }
        let CannedReplyText { text, title, language } = says;
        let reply = CannedReply {
            shortcut,
            title: title.map(|title| checked_text("title", &title, 1, 100)).transpose()?,
            text: checked_reply(text)?,
            language: language.map(|language| checked_language(&language)).transpose()?,
            updated_at: self.now(),
            updated_by: Some(by),
        };
        self.put(vec![(CANNED_REPLIES, Row::new(key).with_body(&reply)?)]).await?;
        Ok(reply)
    }

    /// Removes a canned reply.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn remove_canned_reply(&self, workspace_id: WorkspaceId, shortcut: &str) -> Result<(), DirectoryError> {
        self.canned_reply(workspace_id, shortcut).await?;
        Ok(self.remove(vec![(CANNED_REPLIES, in_workspace(workspace_id, shortcut))]).await?)
    }

    /// Up to `limit` teams that follow `after`, first made first.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn teams_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<TeamId>,
        limit: usize,
    ) -> Result<Vec<Team>, TablesError> {
        self.entities_after(TEAMS, workspace_id, after, limit).await
    }

    /// A team.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn team(&self, workspace_id: WorkspaceId, team_id: TeamId) -> Result<Team, DirectoryError> {
        let found = self.entity(TEAMS, in_workspace(workspace_id, team_id)).await?;
        found.ok_or(DirectoryError::NotFound { what: "team" })
    }

    /// The teams of everybody who belongs to one.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn teams_by_member(
        &self,
        workspace_id: WorkspaceId,
    ) -> Result<BTreeMap<UserId, Vec<TeamId>>, TablesError> {
        let mut by_member: BTreeMap<UserId, Vec<TeamId>> = BTreeMap::new();
        for team in self.teams_after(workspace_id, None, TEAMS_PER_WORKSPACE).await? {
            for user_id in team.members {
                by_member.entry(user_id).or_default().push(team.id);
            }
        }
        Ok(by_member)
    }

    /// Makes a team.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn create_team(
        &self,
        workspace_id: WorkspaceId,
        name: &str,
        members: BTreeSet<UserId>,
    ) -> Result<Team, DirectoryError> {
        let known = self.rows_after(TEAMS, workspace_id, None::<TeamId>, TEAMS_PER_WORKSPACE).await?;
        full("name", known.len(), TEAMS_PER_WORKSPACE, "teams")?;
        let at = self.now();
        let team = Team {
            id: TeamId::new(at, &rand::random()),
            name: checked_text("name", name, 1, 100)?,
            members: self.checked_members(workspace_id, members).await?,
            created_at: at,
        };
        self.put(vec![(TEAMS, Row::new(in_workspace(workspace_id, team.id)).with_body(&team)?)]).await?;
        Ok(team)
    }

    /// Changes a team.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn change_team(
        &self,
        workspace_id: WorkspaceId,
        team_id: TeamId,
        name: Option<&str>,
        members: Option<BTreeSet<UserId>>,
    ) -> Result<Team, DirectoryError> {
        let mut team = self.team(workspace_id, team_id).await?;
        if let Some(name) = name {
            team.name = checked_text("name", name, 1, 100)?;
        }
        if let Some(members) = members {
            team.members = self.checked_members(workspace_id, members).await?;
        }
        self.put(vec![(TEAMS, Row::new(in_workspace(workspace_id, team_id)).with_body(&team)?)]).await?;
        Ok(team)
    }

    /// Removes a team. Conversations that it has keep its id.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn remove_team(&self, workspace_id: WorkspaceId, team_id: TeamId) -> Result<(), DirectoryError> {
        self.team(workspace_id, team_id).await?;
        Ok(self.remove(vec![(TEAMS, in_workspace(workspace_id, team_id))]).await?)
    }

    async fn checked_members(
        &self,
        workspace_id: WorkspaceId,
        members: BTreeSet<UserId>,
    ) -> Result<BTreeSet<UserId>, DirectoryError> {
        if members.len() > MEMBERS_PER_TEAM {
            let reason = format!("it has {} people: write at most {MEMBERS_PER_TEAM}", members.len());
            return Err(DirectoryError::invalid("members", reason));
        }
        for user_id in &members {
            if self.membership(workspace_id, *user_id).await?.is_none() {
                let reason = format!("{user_id} is not a member of this workspace: take them out");
                return Err(DirectoryError::invalid("members", reason));
            }
        }
        Ok(members)
    }

    /// Up to `limit` saved views of a workspace that follow `after`, first made first, whosever they are.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn saved_views_after(
        &self,
        workspace_id: WorkspaceId,
        after: Option<SavedViewId>,
        limit: usize,
    ) -> Result<Vec<SavedView>, TablesError> {
        self.entities_after(SAVED_VIEWS, workspace_id, after, limit).await
    }

    /// A saved view, whosever it is.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`], [`DirectoryError::Tables`].
    pub async fn saved_view(
        &self,
        workspace_id: WorkspaceId,
        saved_view_id: SavedViewId,
    ) -> Result<SavedView, DirectoryError> {
        let found = self.entity(SAVED_VIEWS, in_workspace(workspace_id, saved_view_id)).await?;
        found.ok_or(DirectoryError::NotFound { what: "saved view" })
    }

    /// Keeps filters under a name.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn create_saved_view(
        &self,
        workspace_id: WorkspaceId,
        owner: UserId,
        name: &str,
        shared: bool,
        filters: ViewFilters,
    ) -> Result<SavedView, DirectoryError> {
        let known: Vec<SavedView> = self.entities(SAVED_VIEWS, vec![workspace_id.into()]).await?;
        let own = known.iter().filter(|view| view.owner == owner).count();
        full("name", own, SAVED_VIEWS_PER_PERSON, "saved views")?;
        let at = self.now();
        let name = checked_text("name", name, 1, 100)?;
        let view =
            SavedView { id: SavedViewId::new(at, &rand::random()), name, owner, shared, filters, created_at: at };
        self.put_saved_view(workspace_id, &view).await?;
        Ok(view)
    }

    /// Changes a saved view.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Tables`].
    pub async fn change_saved_view(
        &self,
        workspace_id: WorkspaceId,
        mut view: SavedView,
        edit: SavedViewEdit,
    ) -> Result<SavedView, DirectoryError> {
        if let Some(name) = edit.name {
            view.name = checked_text("name", &name, 1, 100)?;
        }
        view.shared = edit.shared.unwrap_or(view.shared);
        view.filters = edit.filters.unwrap_or(view.filters);
        self.put_saved_view(workspace_id, &view).await?;
        Ok(view)
    }

    async fn put_saved_view(&self, workspace_id: WorkspaceId, view: &SavedView) -> Result<(), TablesError> {
        self.put(vec![(SAVED_VIEWS, Row::new(in_workspace(workspace_id, view.id)).with_body(view)?)]).await
    }

    /// Removes a saved view.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn remove_saved_view(&self, workspace_id: WorkspaceId, id: SavedViewId) -> Result<(), TablesError> {
        self.remove(vec![(SAVED_VIEWS, in_workspace(workspace_id, id))]).await
    }
}

fn full(field: &'static str, count: usize, most: usize, what: &str) -> Result<(), DirectoryError> {
    if count < most {
        return Ok(());
    }
    Err(DirectoryError::invalid(field, format!("there are {most} {what} already: remove one first")))
}

fn checked_shortcut(text: &str) -> Result<String, DirectoryError> {
    let shortcut = checked_text("shortcut", text, 1, SHORTCUT_CHARS)?;
    if shortcut.chars().any(|c| c.is_whitespace() || c == '/') {
        return Err(DirectoryError::invalid("shortcut", "it holds blanks or slashes: write one word, such as hello"));
    }
    Ok(shortcut)
}

/// A text that may have several lines; its variables must be ones that there are.
fn checked_reply(text: String) -> Result<String, DirectoryError> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > CANNED_REPLY_CHARS {
        let reason = format!("it has {length} characters: write 1 to {CANNED_REPLY_CHARS}");
        return Err(DirectoryError::invalid("text", reason));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(DirectoryError::invalid("text", "it holds control characters: remove them"));
    }
    template::check(&text).map_err(|reason| DirectoryError::invalid("text", reason))?;
    Ok(text)
}

fn checked_language(tag: &str) -> Result<String, DirectoryError> {
    let sound = (2..=LANGUAGE_CHARS).contains(&tag.len())
        && tag.split('-').all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if sound { Ok(tag.to_owned()) } else { Err(DirectoryError::invalid("language", "write a tag such as ar or en-GB")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_and_languages_are_words() {
        assert_eq!(checked_shortcut(" شكرا ").unwrap(), "شكرا");
        for wrong in ["", "two words", "a/b", "a\tb", &"x".repeat(51)] {
            assert!(checked_shortcut(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(checked_language("en-GB").unwrap(), "en-GB");
        for wrong in ["", "e", "en_GB", "en-", "عربي", "toolongsubtag"] {
            assert!(checked_language(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_reply_may_have_lines_but_no_unknown_variables() {
        assert!(checked_reply("Hello {{contact.name}},\nthanks!".to_owned()).is_ok());
        for wrong in ["", " \n", "{{contact.salary}}", "\u{0}", &"x".repeat(5_001)] {
            assert!(checked_reply(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}
