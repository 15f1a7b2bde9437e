//! Who is connected, and what each wishes to see.
//!
//! One room a workspace. The tail of a partition publishes into rooms; sessions register and leave. Locks are held for
//! the length of a fan-out and never across an await; they are taken in this order: a partition, the rooms, a room.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use schemas::policy::{Action, allows};
use schemas::workspace::Role;
use schemas::{ConversationId, WorkspaceId};
use tokio::time::Instant;

use super::close::CloseCode;
use super::connection::{Class, Connection};
use super::entry::{Audience, Entry, View};
use crate::auth::principal::Principal;

/// The most conversations that one socket may subscribe to one by one.
pub(crate) const MAX_CONVERSATION_TOPICS: usize = 64;

/// What a socket may subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Inbox,
    Conversation(ConversationId),
    Desk,
    Presence,
    Kpis,
}

impl FromStr for Topic {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inbox" => Ok(Self::Inbox),
            "desk" => Ok(Self::Desk),
            "presence" => Ok(Self::Presence),
            "kpis" => Ok(Self::Kpis),
            _ => text.strip_prefix("conversation:").and_then(|id| id.parse().ok()).map(Self::Conversation).ok_or(()),
        }
    }
}

impl Topic {
    /// Whether a person of this role may subscribe to it at all. What they see of it is decided event by event.
    pub(crate) const fn is_open_to(self, role: Role) -> bool {
        match self {
            Self::Inbox | Self::Conversation(_) | Self::Desk => allows(role, Action::ReadConversations),
            Self::Presence => allows(role, Action::ReadMembers),
            Self::Kpis => allows(role, Action::ReadKpis),
        }
    }

    const fn flag(self) -> u8 {
        match self {
            Self::Inbox => 1,
            Self::Presence => 2,
            Self::Kpis => 4,
            Self::Desk => 8,
            Self::Conversation(_) => 0,
        }
    }
}

/// A signed-in socket.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) connection: Arc<Connection>,
    pub(crate) principal: Principal,
    /// The same person with the newest token: what is checked again.
    current: Mutex<Principal>,
    pub(crate) device: Option<Box<str>>,
    /// Live events before this offset are not for it: it has them already.
    pub(crate) first_offset: u64,
    flags: AtomicU8,
    conversations: Mutex<Vec<ConversationId>>,
}

impl Member {
    pub(crate) fn new(
        connection: Arc<Connection>,
        principal: Principal,
        device: Option<Box<str>>,
        first_offset: u64,
    ) -> Self {
        let current = Mutex::new(principal.clone());
        let (flags, conversations) = (AtomicU8::new(0), Mutex::default());
        Self { connection, principal, current, device, first_offset, flags, conversations }
    }

    /// The person has renewed the token.
    pub(crate) fn renew(&self, principal: Principal) {
        *locked(&self.current) = principal;
    }

    /// The person with the newest token.
    pub(crate) fn current(&self) -> Principal {
        locked(&self.current).clone()
    }

    /// Whether it subscribed to a topic of this kind.
    pub(crate) fn has(&self, topic: Topic) -> bool {
        match topic {
            Topic::Conversation(id) => locked(&self.conversations).contains(&id),
            other => self.flags.load(Ordering::Relaxed) & other.flag() != 0,
        }
    }

    /// What it gets of an event, by its topics and its rights.
    pub(crate) fn view(&self, entry: &Entry) -> View {
        let subscribed = match &entry.audience {
            Audience::Members => self.has(Topic::Presence),
            Audience::Conversation(of) => self.has(Topic::Inbox) || self.has(Topic::Conversation(of.conversation_id)),
            Audience::Contacts | Audience::Admins => self.has(Topic::Inbox),
            Audience::Desk | Audience::Person(_) => self.has(Topic::Desk),
            Audience::Nobody => false,
        };
        if subscribed { entry.view_for(self.principal.user_id, self.principal.role) } else { View::Nothing }
    }
}

#[derive(Debug, Default)]
struct Members {
    all: Vec<Arc<Member>>,
    inbox: Vec<Arc<Member>>,
    desk: Vec<Arc<Member>>,
    presence: Vec<Arc<Member>>,
    kpis: Vec<Arc<Member>>,
    conversations: HashMap<ConversationId, Vec<Arc<Member>>>,
}

impl Members {
    fn list(&mut self, topic: Topic) -> &mut Vec<Arc<Member>> {
        match topic {
            Topic::Inbox => &mut self.inbox,
            Topic::Desk => &mut self.desk,
            Topic::Presence => &mut self.presence,
            Topic::Kpis => &mut self.kpis,
            Topic::Conversation(id) => self.conversations.entry(id).or_default(),
        }
    }

    fn subscribe(&mut self, member: &Arc<Member>, topic: Topic) -> bool {
        if member.has(topic) {
            return true;
        }
        if let Topic::Conversation(id) = topic {
            let mut held = locked(&member.conversations);
            if held.len() >= MAX_CONVERSATION_TOPICS {
                return false;
            }
            held.push(id);
        }
        member.flags.fetch_or(topic.flag(), Ordering::Relaxed);
        self.list(topic).push(Arc::clone(member));
        true
    }

    fn unsubscribe(&mut self, member: &Arc<Member>, topic: Topic) {
        remove(self.list(topic), member);
        if let Topic::Conversation(id) = topic {
            locked(&member.conversations).retain(|held| *held != id);
            if self.conversations.get(&id).is_some_and(Vec::is_empty) {
                self.conversations.remove(&id);
            }
        }
        member.flags.fetch_and(!topic.flag(), Ordering::Relaxed);
    }

    fn leave(&mut self, member: &Arc<Member>) {
        for topic in [Topic::Inbox, Topic::Desk, Topic::Presence, Topic::Kpis] {
            if member.has(topic) {
                self.unsubscribe(member, topic);
            }
        }
        let conversations = std::mem::take(&mut *locked(&member.conversations));
        for id in conversations {
            self.unsubscribe(member, Topic::Conversation(id));
        }
        remove(&mut self.all, member);
    }
}

fn remove(list: &mut Vec<Arc<Member>>, member: &Arc<Member>) {
    if let Some(place) = list.iter().position(|held| Arc::ptr_eq(held, member)) {
        list.swap_remove(place);
    }
    if list.is_empty() {
        *list = Vec::new();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Rooms = HashMap<WorkspaceId, Arc<Mutex<Members>>>;

/// All rooms of the process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    rooms: RwLock<Rooms>,
}

impl Hub {
    fn room(&self, workspace_id: WorkspaceId) -> Option<Arc<Mutex<Members>>> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(&workspace_id).map(Arc::clone)
    }

    /// Lets a member in. An older socket of the same person and device is closed.
    ///
    /// # Errors
    /// [`CloseCode::TooManyConnections`] if the person has `max_per_user` others.
    pub(crate) fn join(&self, member: &Arc<Member>, topics: &[Topic], max_per_user: usize) -> Result<(), CloseCode> {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(member.principal.workspace_id).or_default();
        let mut members = locked(room);
        let mut others = 0;
        for other in members.all.iter().filter(|other| other.principal.user_id == member.principal.user_id) {
            if member.device.is_some() && other.device == member.device {
                other.connection.close(CloseCode::Replaced);
            } else {
                others += 1;
            }
        }
        if others >= max_per_user {
            return Err(CloseCode::TooManyConnections);
        }
        members.all.push(Arc::clone(member));
        for topic in topics {
            members.subscribe(member, *topic);
        }
        Ok(())
    }

    /// Lets a member go, and forgets an empty room.
    pub(crate) fn leave(&self, member: &Arc<Member>) {
        let workspace_id = member.principal.workspace_id;
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let Some(room) = rooms.get(&workspace_id) else { return };
        let mut members = locked(room);
        members.leave(member);
        let empty = members.all.is_empty();
        drop(members);
        if empty {
            rooms.remove(&workspace_id);
        }
    }

    /// Adds a topic; `false` if the member has too many.
    pub(crate) fn subscribe(&self, member: &Arc<Member>, topic: Topic) -> bool {
        self.room(member.principal.workspace_id).is_some_and(|room| locked(&room).subscribe(member, topic))
    }

    /// Takes a topic back.
    pub(crate) fn unsubscribe(&self, member: &Arc<Member>, topic: Topic) {
        if let Some(room) = self.room(member.principal.workspace_id) {
            locked(&room).unsubscribe(member, topic);
        }
    }

    /// Gives an event to all who may see it; returns to how many sockets it went.
    pub(crate) fn publish(&self, entry: &Entry, now: Instant) -> u64 {
        let Some(room) = self.room(entry.workspace_id) else { return 0 };
        let members = locked(&room);
        let list = match entry.audience {
            Audience::Members => &members.presence,
            Audience::Desk | Audience::Person(_) => &members.desk,
            _ => &members.inbox,
        };
        let mut sent = 0;
        let mut give = |member: &Member| {
            let view = entry.view_for(member.principal.user_id, member.principal.role);
            if entry.offset >= member.first_offset
                && let Some(frame) = entry.frame_of(view)
            {
                member.connection.push(frame, Class::Counted, now);
                sent += 1;
            }
        };
        for member in list {
            give(member);
        }
        if let Some(watchers) = entry.conversation_id().and_then(|id| members.conversations.get(&id)) {
            for member in watchers.iter().filter(|member| !member.has(Topic::Inbox)) {
                give(member);
            }
        }
        sent
    }

    /// Gives a frame that never stood in the log to those members of a room who have one of the topics and pass.
    pub(crate) fn whisper(
        &self,
        workspace_id: WorkspaceId,
        conversation_id: ConversationId,
        frame: &Bytes,
        passes: impl Fn(&Principal) -> bool,
    ) {
        let Some(room) = self.room(workspace_id) else { return };
        let now = Instant::now();
        let members = locked(&room);
        let watchers = members.conversations.get(&conversation_id).into_iter().flatten();
        members
            .inbox
            .iter()
            .chain(watchers.filter(|member| !member.has(Topic::Inbox)))
            .filter(|member| passes(&member.principal))
            .for_each(|member| member.connection.push(frame, Class::Ephemeral, now));
    }

    /// Gives a board to its watchers; `false` if there are none.
    pub(crate) fn show_board(&self, workspace_id: WorkspaceId, frame: &Bytes) -> bool {
        let Some(room) = self.room(workspace_id) else { return false };
        let now = Instant::now();
        let members = locked(&room);
        members.kpis.iter().for_each(|member| member.connection.push(frame, Class::Latest, now));
        !members.kpis.is_empty()
    }

    /// Whether anybody watches the board.
    pub(crate) fn has_board_watchers(&self, workspace_id: WorkspaceId) -> bool {
        self.room(workspace_id).is_some_and(|room| !locked(&room).kpis.is_empty())
    }

    /// Every member of every room.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        let rooms: Vec<_> = self.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rooms.iter().flat_map(|room| locked(room).all.clone()).collect()
    }

    /// Rooms and, in all of them, members and subscriptions: all zero when nobody is connected.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        let rooms: Vec<_> = self.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        rooms.iter().fold((rooms.len(), 0, 0), |(rooms, members, topics), room| {
            let room = locked(room);
            let watchers: usize = room.conversations.values().map(Vec::len).sum();
            (
                rooms,
                members + room.all.len(),
                topics + room.inbox.len() + room.desk.len() + room.presence.len() + room.kpis.len() + watchers,
            )
        })
    }
}
