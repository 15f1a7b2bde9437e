//! How many conversations stand in each view, kept as they move between views.
//!
//! A view is a status and `all`, `none`, the id of a person, `mentioned:<person>`, `team:<team>`, `channel:<channel>` or
//! `label:<label>`. Resolved conversations, which only grow in number, are counted by the first three alone, so that labels
//! which nobody uses any more leave nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use schemas::conversation::{Conversation, Status};
use schemas::event::Event;

use super::changes::{Found, View};
use super::decide::Decider;
use super::rows;

/// The views in which a conversation is counted.
pub(super) fn counted_in(conversation: &Conversation) -> BTreeSet<String> {
    let status = conversation.status;
    let mut views = BTreeSet::from(rows::views_of_all(status, conversation.assignee));
    if status != Status::Resolved {
        views.extend(rows::further_views(conversation));
        let status = status.as_str();
        views.insert(format!("{status}/channel:{}", conversation.channel_id));
        views.extend(conversation.labels.iter().map(|label| format!("{status}/label:{label}")));
    }
    views
}

/// Whether a change cannot have moved the conversation from one view to another.
fn stays(before: &Conversation, after: &Conversation) -> bool {
    (before.status, before.assignee, before.team) == (after.status, after.assignee, after.team)
        && before.labels == after.labels
        && before.participants == after.participants
}

/// Lets counts that stand in no rows yet be written with the first that changes: later there are some, and they are believed.
fn keep_all(view: &mut View<'_>) -> Found<()> {
    let workspace = view.workspace()?;
    if !workspace.counts_unwritten {
        return Ok(());
    }
    let workspace_id = view.workspace_id;
    for (name, count) in &workspace.counts {
        view.changes.counts.entry((workspace_id, name.clone())).or_insert(*count);
    }
    Ok(())
}

/// Follows a conversation from the views in which it was counted to those in which it is.
pub(super) fn follow(view: &mut View<'_>, before: Option<&Conversation>, after: &Conversation) -> Found<()> {
    if before.is_some_and(|before| stays(before, after)) {
        return Ok(());
    }
    keep_all(view)?;
    let old = before.map(counted_in).unwrap_or_default();
    let new = counted_in(after);
    for left in old.difference(&new) {
        let count = view.count(left)?.saturating_sub(1);
        view.changes.counts.insert((view.workspace_id, left.clone()), count);
    }
    for entered in new.difference(&old) {
        let count = view.count(entered)?.saturating_add(1);
        view.changes.counts.insert((view.workspace_id, entered.clone()), count);
    }
    Ok(())
}

impl Decider<'_> {
    /// Publishes the numbers that the command changed, if it did.
    pub(super) fn tell_counts(&mut self) -> Found<()> {
        if self.view.changes.counts.is_empty() {
            return Ok(());
        }
        let known = &self.view.workspace()?.counts;
        let changed = self.view.changes.counts.iter().map(|((_, view), count)| (view.clone(), *count));
        let views: BTreeMap<String, u64> =
            changed.filter(|(view, count)| known.get(view).copied().unwrap_or(0) != *count).collect();
        if views.is_empty() { Ok(()) } else { self.emit(Event::CountsChanged { views }) }
    }
}
