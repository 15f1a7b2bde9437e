//! What a command or a batch changes: an overlay over the [`State`], later written as rows.
//!
//! A command that turns out to need more is undone by dropping its overlay. A batch's overlays are merged, so that a row
//! that changes ten times in a batch is written once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::channel::Channel;
use schemas::command::{DeliveryReport, TimerKind};
use schemas::contact::Contact;
use schemas::desk::{Notification, NotificationMarks};
use schemas::message::Message;
use schemas::workspace::Agent;
use schemas::{ChannelId, ContactId, ConversationId, MessageId, Timestamp, UserId, WorkspaceId};

use super::evolve::holder;
use super::service::Service;
use super::state::{KeyRecord, MessageRef, Need, State, StoredConversation, WorkspaceState};
use crate::outbound::pending::PendingSend;

/// A timer that is set.
pub(super) type Timer = (Timestamp, ConversationId, TimerKind);

/// What is missing to go on.
pub(super) type Found<T> = Result<T, Need>;

/// Entities as they are after a command or a batch; only what changed. `None` in a map means removed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Each with the conversation as it was before the batch, if there was one.
    pub(super) conversations: BTreeMap<(WorkspaceId, ConversationId), ChangedConversation>,
    pub(super) contacts: BTreeMap<(WorkspaceId, ContactId), Contact>,
    pub(super) new_contacts: BTreeSet<(WorkspaceId, ContactId)>,
    pub(super) identities: BTreeMap<(WorkspaceId, ChannelId, String), ContactId>,
    pub(super) latest: BTreeMap<(WorkspaceId, ContactId, ChannelId), ConversationId>,
    pub(super) externals: BTreeMap<(WorkspaceId, ChannelId, String), MessageRef>,
    pub(super) parked: BTreeMap<(WorkspaceId, ChannelId, String), Option<DeliveryReport>>,
    pub(super) messages: BTreeMap<(WorkspaceId, ConversationId, u64), Arc<Message>>,
    pub(super) keys: BTreeMap<(WorkspaceId, String), KeyRecord>,
    pub(super) pending: BTreeMap<(WorkspaceId, MessageId), Option<PendingSend>>,
    pub(super) agents: BTreeMap<(WorkspaceId, UserId), Agent>,
    pub(super) channels: BTreeMap<(WorkspaceId, ChannelId), Channel>,
    pub(super) service: BTreeMap<WorkspaceId, Arc<Service>>,
    pub(super) queue: BTreeMap<(WorkspaceId, Timestamp, ConversationId), bool>,
    pub(super) timers: BTreeMap<(WorkspaceId, Timer), bool>,
    /// How many conversations stand in views; 0 for an empty one.
    pub(super) counts: BTreeMap<(WorkspaceId, String), u64>,
    pub(super) marks: BTreeMap<(WorkspaceId, UserId), NotificationMarks>,
    /// New ones, by their number.
    pub(super) notifications: BTreeMap<(WorkspaceId, UserId, u64), Notification>,
}

/// A conversation before and after.
#[derive(Debug)]
pub(super) struct ChangedConversation {
    pub(super) before: Option<StoredConversation>,
    pub(super) after: StoredConversation,
}

impl Changes {
    /// Takes in the changes of a later command.
    pub(super) fn merge(&mut self, later: Self) {
        for (key, changed) in later.conversations {
            match self.conversations.entry(key) {
                std::collections::btree_map::Entry::Occupied(mut earlier) => earlier.get_mut().after = changed.after,
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(changed);
                }
            }
        }
        self.contacts.extend(later.contacts);
        self.new_contacts.extend(later.new_contacts);
        self.identities.extend(later.identities);
        self.latest.extend(later.latest);
        self.externals.extend(later.externals);
        self.parked.extend(later.parked);
        self.messages.extend(later.messages);
        self.keys.extend(later.keys);
        self.pending.extend(later.pending);
        self.agents.extend(later.agents);
        self.channels.extend(later.channels);
        self.service.extend(later.service);
        self.queue.extend(later.queue);
        self.timers.extend(later.timers);
        self.counts.extend(later.counts);
        self.marks.extend(later.marks);
        self.notifications.extend(later.notifications);
    }

    /// Completes what was loaded for `need` by what these changes, which are not in the tables yet, make of it.
    pub(super) fn complete(&self, state: &mut State, need: &Need) {
        let Need::Held(workspace_id, user_id) = need else { return };
        let Some(held) = state.held.get_mut(&(*workspace_id, *user_id)) else { return };
        for ((w, id), changed) in &self.conversations {
            if w == workspace_id && holder(&changed.after) == Some(*user_id) {
                held.insert(*id);
            } else {
                held.remove(id);
            }
        }
    }

    /// Puts the changes into the state.
    pub(super) fn apply_to(&self, state: &mut State) {
        for (key, changed) in &self.conversations {
            let from = changed.before.as_ref().and_then(holder);
            state.follow_holder(key.0, key.1, from, holder(&changed.after));
            state.conversations.put(*key, Some(changed.after.clone()));
        }
        for (key, contact) in &self.contacts {
            state.contacts.put(*key, Some(contact.clone()));
        }
        for (key, contact_id) in &self.identities {
            state.identities.put(key.clone(), Some(*contact_id));
        }
        for (key, conversation_id) in &self.latest {
            state.latest.put(*key, Some(*conversation_id));
        }
        for (key, reference) in &self.externals {
            state.externals.put(key.clone(), Some(*reference));
        }
        for (key, report) in &self.parked {
            state.parked.put(key.clone(), report.clone());
        }
        for (key, message) in &self.messages {
            state.messages.put(*key, Some(Arc::clone(message)));
        }
        for (key, record) in &self.keys {
            state.keys.put(key.clone(), Some(record.clone()));
        }
        for (key, pending) in &self.pending {
            state.pending.put(*key, pending.clone());
        }
        for (key, marks) in &self.marks {
            state.marks.put(*key, Some(marks.clone()));
        }
        self.apply_to_workspaces(state);
    }

    fn apply_to_workspaces(&self, state: &mut State) {
        for ((workspace_id, view), count) in &self.counts {
            state.with_workspace(*workspace_id, |workspace| {
                workspace.counts_unwritten = false;
                if *count == 0 {
                    workspace.counts.remove(view);
                } else {
                    workspace.counts.insert(view.clone(), *count);
                }
            });
        }
        for ((workspace_id, user_id), agent) in &self.agents {
            state.with_workspace(*workspace_id, |workspace| {
                workspace.agents.insert(*user_id, agent.clone());
            });
        }
        for ((workspace_id, channel_id), channel) in &self.channels {
            state.with_workspace(*workspace_id, |workspace| {
                workspace.channels.insert(*channel_id, channel.clone());
            });
        }
        for (workspace_id, service) in &self.service {
            state.with_workspace(*workspace_id, |workspace| workspace.service = Arc::clone(service));
        }
        for ((workspace_id, queued_at, conversation_id), queued) in &self.queue {
            state.with_workspace(*workspace_id, |workspace| {
                if *queued {
                    workspace.queue.insert((*queued_at, *conversation_id));
                } else {
                    workspace.queue.remove(&(*queued_at, *conversation_id));
                }
            });
        }
    }
}

/// The state with an overlay: what a command reads and changes while it is decided.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) workspace_id: WorkspaceId,
    state: &'a State,
    pub(super) changes: Changes,
}

macro_rules! lookup {
    ($(#[$doc:meta])* $name:ident, $map:ident, $cache:ident, ($($arg:ident: $ty:ty),+), $key:expr, $need:expr, $value:ty, |$v:ident| $get:expr) => {
        $(#[$doc])*
        pub(super) fn $name(&self, $($arg: $ty),+) -> Found<Option<&$value>> {
            let workspace_id = self.workspace_id;
            let key = $key(workspace_id);
            if let Some($v) = self.changes.$map.get(&key) {
                return Ok($get);
            }
            self.state.$cache.get(&key).ok_or_else(|| $need(workspace_id))
        }
    };
}

impl<'a> View<'a> {
    pub(super) fn new(state: &'a State, workspace_id: WorkspaceId) -> Self {
        Self { workspace_id, state, changes: Changes::default() }
    }

    pub(super) fn workspace(&self) -> Found<&'a WorkspaceState> {
        self.state.workspaces.get(&self.workspace_id).flatten().ok_or(Need::Workspace(self.workspace_id))
    }

    pub(super) fn channel(&self, id: ChannelId) -> Found<Option<&Channel>> {
        match self.changes.channels.get(&(self.workspace_id, id)) {
            Some(channel) => Ok(Some(channel)),
            None => Ok(self.workspace()?.channels.get(&id)),
        }
    }

    pub(super) fn agent(&self, id: UserId) -> Found<Option<&Agent>> {
        match self.changes.agents.get(&(self.workspace_id, id)) {
            Some(agent) => Ok(Some(agent)),
            None => Ok(self.workspace()?.agents.get(&id)),
        }
    }

    /// How the workspace serves its customers.
    pub(super) fn service(&self) -> Found<&Arc<Service>> {
        match self.changes.service.get(&self.workspace_id) {
            Some(service) => Ok(service),
            None => Ok(&self.workspace()?.service),
        }
    }

    /// How many conversations stand in a view.
    pub(super) fn count(&self, view: &str) -> Found<u64> {
        match self.changes.counts.get(&(self.workspace_id, view.to_owned())) {
            Some(count) => Ok(*count),
            None => Ok(self.workspace()?.counts.get(view).copied().unwrap_or(0)),
        }
    }

    /// The open conversations that somebody held before this command.
    pub(super) fn held(&self, id: UserId) -> Found<&'a BTreeSet<ConversationId>> {
        let key = (self.workspace_id, id);
        self.state.held.get(&key).flatten().ok_or(Need::Held(self.workspace_id, id))
    }

    /// Asks at once for all of these that are not in memory.
    pub(super) fn must_know_conversations(&self, ids: &[ConversationId]) -> Found<()> {
        let is_missing = |id: &&ConversationId| matches!(self.conversation(**id), Err(Need::Conversation(..)));
        let missing: Vec<_> = ids.iter().filter(is_missing).copied().collect();
        if missing.is_empty() { Ok(()) } else { Err(Need::Conversations(self.workspace_id, missing)) }
    }

    /// Every agent as of now, in the order of their ids.
    pub(super) fn agents(&self) -> Found<impl Iterator<Item = &Agent>> {
        let workspace = self.workspace()?;
        let changed = self.changes.agents.values().filter(|agent| !workspace.agents.contains_key(&agent.user_id));
        let known = workspace
            .agents
            .values()
            .map(|agent| self.changes.agents.get(&(self.workspace_id, agent.user_id)).unwrap_or(agent));
        Ok(known.chain(changed))
    }

    /// The conversation that waits longest for automatic assignment, after `after`.
    pub(super) fn next_in_queue(
        &self,
        after: Option<(Timestamp, ConversationId)>,
    ) -> Found<Option<(Timestamp, ConversationId)>> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self
            .workspace()?
            .queue
            .range((start, Bound::Unbounded))
            .find(|(at, id)| self.changes.queue.get(&(self.workspace_id, *at, *id)) != Some(&false));
        let added = self
            .changes
            .queue
            .iter()
            .filter(|(_, queued)| **queued)
            .map(|((_, at, id), _)| (*at, *id))
            .find(|place| after.is_none_or(|after| *place > after));
        Ok(known.copied().into_iter().chain(added).min())
    }

    lookup!(conversation, conversations, conversations, (id: ConversationId), |w| (w, id), |w| Need::Conversation(w, id),
        StoredConversation, |v| Some(&v.after));
    lookup!(contact, contacts, contacts, (id: ContactId), |w| (w, id), |w| Need::Contact(w, id), Contact, |v| Some(v));
    lookup!(identity, identities, identities, (channel: ChannelId, address: &str), |w| (w, channel, address.to_owned()),
        |w| Need::Identity(w, channel, address.to_owned()), ContactId, |v| Some(v));
    lookup!(latest, latest, latest, (contact: ContactId, channel: ChannelId), |w| (w, contact, channel),
        |w| Need::Latest(w, contact, channel), ConversationId, |v| Some(v));
    lookup!(external, externals, externals, (channel: ChannelId, external_id: &str), |w| (w, channel, external_id.to_owned()),
        |w| Need::External(w, channel, external_id.to_owned()), MessageRef, |v| Some(v));
    lookup!(parked, parked, parked, (channel: ChannelId, external_id: &str), |w| (w, channel, external_id.to_owned()),
        |w| Need::Parked(w, channel, external_id.to_owned()), DeliveryReport, |v| v.as_ref());
    lookup!(message, messages, messages, (conversation: ConversationId, seq: u64), |w| (w, conversation, seq),
        |w| Need::Message(w, conversation, seq), Arc<Message>, |v| Some(v));
    lookup!(key, keys, keys, (key: &str), |w| (w, key.to_owned()), |w| Need::Key(w, key.to_owned()), KeyRecord, |v| Some(v));
    lookup!(pending, pending, pending, (id: MessageId), |w| (w, id), |w| Need::Pending(w, id), PendingSend, |v| v.as_ref());
    lookup!(marks, marks, marks, (id: UserId), |w| (w, id), |w| Need::Marks(w, id), NotificationMarks, |v| Some(v));
}

impl State {
    fn with_workspace(&mut self, id: WorkspaceId, change: impl FnOnce(&mut WorkspaceState)) {
        self.workspaces.touch(&id);
        if let Some(workspace) = self.workspaces.get_mut(&id) {
            change(workspace);
        }
    }
}
