//! What the engine knows: a cache of rows, and the word for what is missing in it.
//!
//! Every answer is one of three: the entity, the knowledge that there is none, or a [`Need`]. The cache never guesses.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use schemas::channel::Channel;
use schemas::command::DeliveryReport;
use schemas::contact::Contact;
use schemas::conversation::Conversation;
use schemas::desk::NotificationMarks;
use schemas::message::Message;
use schemas::workspace::Agent;
use schemas::{ChannelId, CommandId, ContactId, ConversationId, MessageId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::service::Service;
use crate::outbound::pending::PendingSend;

/// How many entities of each kind a partition keeps in memory. A conversation takes about 1 KB.
const CACHE_ENTITIES: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// How many workspaces a partition keeps in memory with their channels, agents and assignment queue.
const CACHE_WORKSPACES: NonZeroUsize = NonZeroUsize::new(2_000).expect("not zero");

/// For how many people a partition keeps in memory which open conversations they hold. It is asked for when somebody leaves.
const CACHE_HOLDERS: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// How many numbers of the contact's last messages are kept to count what somebody has not read. Older ones count as read.
pub(super) const RECENT_INBOUND: usize = 100;

/// A conversation with what only the engine needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConversation {
    /// What everybody sees.
    pub conversation: Arc<Conversation>,
    /// The rest.
    pub engine: EnginePart,
}

/// The part of a conversation that only the engine needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnginePart {
    /// Since when it waits for automatic assignment, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// Since when the contact, who wrote first, waits for a person's first answer: from the last opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_since: Option<Timestamp>,
    /// The numbers of the contact's last messages, oldest first, at most [`RECENT_INBOUND`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_inbound: Vec<u64>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// Under which number.
    pub seq: u64,
}

/// What became of a command that came with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The command.
    pub command_id: CommandId,
    /// When it came; the key may be used anew 24 hours later.
    pub at: Timestamp,
    /// A hash of what was wished.
    pub fingerprint: String,
    /// The conversation that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// The message or note that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// That message's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// What must be loaded before a command can be decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// Channels, agents, the assignment queue and the counts of the workspace.
    Workspace(WorkspaceId),
    /// A conversation.
    Conversation(WorkspaceId, ConversationId),
    /// Several conversations.
    Conversations(WorkspaceId, Vec<ConversationId>),
    /// The open conversations that somebody holds.
    Held(WorkspaceId, UserId),
    /// A contact.
    Contact(WorkspaceId, ContactId),
    /// The contact behind an address on a channel.
    Identity(WorkspaceId, ChannelId, String),
    /// The newest conversation of a contact on a channel.
    Latest(WorkspaceId, ContactId, ChannelId),
    /// The message behind a provider's id.
    External(WorkspaceId, ChannelId, String),
    /// A delivery report that came before its message.
    Parked(WorkspaceId, ChannelId, String),
    /// A message.
    Message(WorkspaceId, ConversationId, u64),
    /// The outcome of a command with this key (actor and key in one).
    Key(WorkspaceId, String),
    /// A message that no provider has taken yet.
    Pending(WorkspaceId, MessageId),
    /// Which notifications somebody has had and read.
    Marks(WorkspaceId, UserId),
}

/// A workspace's channels, agents, assignment queue and counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WorkspaceState {
    /// Channels, without secrets.
    pub channels: BTreeMap<ChannelId, Channel>,
    /// Members.
    pub agents: BTreeMap<UserId, Agent>,
    /// Open conversations that wait for automatic assignment, longest waiting first.
    pub queue: BTreeSet<(Timestamp, ConversationId)>,
    /// How it serves its customers.
    pub service: Arc<Service>,
    /// How many conversations stand in each view; empty views are absent.
    pub counts: BTreeMap<String, u64>,
    /// Whether the counts stand in no rows yet.
    pub counts_unwritten: bool,
}

/// A bounded cache of one kind of entity, absent ones included.
#[derive(Debug)]
pub(super) struct Cache<K: Hash + Eq, V>(LruCache<K, Option<V>>);

impl<K: Hash + Eq, V> Cache<K, V> {
    fn new(capacity: NonZeroUsize) -> Self {
        // Unbounded at first, so that the table grows with its use; `put` keeps the bound.
        let mut cache = LruCache::unbounded();
        cache.resize(capacity);
        Self(cache)
    }

    /// The entity, `Some(None)` if it is known that there is none, `None` if nothing is known.
    #[expect(clippy::option_option, reason = "three answers: it, none, not known")]
    pub(super) fn get(&self, key: &K) -> Option<Option<&V>> {
        self.0.peek(key).map(Option::as_ref)
    }

    pub(super) fn put(&mut self, key: K, value: Option<V>) {
        self.0.put(key, value);
    }

    fn knows(&self, key: &K) -> bool {
        self.0.contains(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.peek_mut(key).and_then(Option::as_mut)
    }

    pub(super) fn touch(&mut self, key: &K) {
        self.0.promote(key);
    }
}

/// What a partition's engine knows.
#[derive(Debug)]
pub struct State {
    pub(super) workspaces: Cache<WorkspaceId, WorkspaceState>,
    pub(super) conversations: Cache<(WorkspaceId, ConversationId), StoredConversation>,
    /// The open conversations of people, for those who were asked for: kept up to date from then on.
    pub(super) held: Cache<(WorkspaceId, UserId), BTreeSet<ConversationId>>,
    pub(super) contacts: Cache<(WorkspaceId, ContactId), Contact>,
    pub(super) identities: Cache<(WorkspaceId, ChannelId, String), ContactId>,
    pub(super) latest: Cache<(WorkspaceId, ContactId, ChannelId), ConversationId>,
    pub(super) externals: Cache<(WorkspaceId, ChannelId, String), MessageRef>,
    pub(super) parked: Cache<(WorkspaceId, ChannelId, String), DeliveryReport>,
    pub(super) messages: Cache<(WorkspaceId, ConversationId, u64), Arc<Message>>,
    pub(super) keys: Cache<(WorkspaceId, String), KeyRecord>,
    pub(super) pending: Cache<(WorkspaceId, MessageId), PendingSend>,
    pub(super) marks: Cache<(WorkspaceId, UserId), NotificationMarks>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            workspaces: Cache::new(CACHE_WORKSPACES),
            conversations: Cache::new(CACHE_ENTITIES),
            held: Cache::new(CACHE_HOLDERS),
            contacts: Cache::new(CACHE_ENTITIES),
            identities: Cache::new(CACHE_ENTITIES),
            latest: Cache::new(CACHE_ENTITIES),
            externals: Cache::new(CACHE_ENTITIES),
            parked: Cache::new(CACHE_ENTITIES),
            messages: Cache::new(CACHE_ENTITIES),
            keys: Cache::new(CACHE_ENTITIES),
            pending: Cache::new(CACHE_ENTITIES),
            marks: Cache::new(CACHE_ENTITIES),
        }
    }
}

impl State {
    /// A state that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The conversation, if it is in memory.
    pub fn conversation(&self, workspace_id: WorkspaceId, id: ConversationId) -> Option<&Conversation> {
        self.conversations.get(&(workspace_id, id)).flatten().map(|stored| stored.conversation.as_ref())
    }

    /// Whether the answer to a need is in memory, be it that there is none.
    pub(super) fn knows(&self, need: &Need) -> bool {
        match need {
            Need::Workspace(id) => self.workspaces.knows(id),
            Need::Conversation(w, id) => self.conversations.knows(&(*w, *id)),
            Need::Conversations(w, ids) => ids.iter().all(|id| self.conversations.knows(&(*w, *id))),
            Need::Held(w, user_id) => self.held.knows(&(*w, *user_id)),
            Need::Contact(w, id) => self.contacts.knows(&(*w, *id)),
            Need::Identity(w, channel, address) => self.identities.knows(&(*w, *channel, address.clone())),
            Need::Latest(w, contact, channel) => self.latest.knows(&(*w, *contact, *channel)),
            Need::External(w, channel, id) => self.externals.knows(&(*w, *channel, id.clone())),
            Need::Parked(w, channel, id) => self.parked.knows(&(*w, *channel, id.clone())),
            Need::Message(w, conversation, seq) => self.messages.knows(&(*w, *conversation, *seq)),
            Need::Key(w, key) => self.keys.knows(&(*w, key.clone())),
            Need::Pending(w, id) => self.pending.knows(&(*w, *id)),
            Need::Marks(w, user_id) => self.marks.knows(&(*w, *user_id)),
        }
    }

    /// Follows a conversation from one holder to another, where it is known what they hold.
    pub(super) fn follow_holder(
        &mut self,
        w: WorkspaceId,
        id: ConversationId,
        from: Option<UserId>,
        to: Option<UserId>,
    ) {
        if from == to {
            return;
        }
        if let Some(held) = from.and_then(|user_id| self.held.get_mut(&(w, user_id))) {
            held.remove(&id);
        }
        if let Some(held) = to.and_then(|user_id| self.held.get_mut(&(w, user_id))) {
            held.insert(id);
        }
    }

    /// The members of a workspace, if they are in memory.
    pub fn agents(&self, workspace_id: WorkspaceId) -> Option<&BTreeMap<UserId, Agent>> {
        self.workspaces.get(&workspace_id).flatten().map(|workspace| &workspace.agents)
    }
}
