//! An event on its way to sockets: read just far enough to know who may see it, and put into a frame once.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use schemas::conversation::visible;
use schemas::event::Source;
use schemas::policy::{Action, allows};
use schemas::workspace::Role;
use schemas::{ChannelId, CommandId, ConversationId, UserId, WorkspaceId};
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::log::Record;

/// Who may see an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever may see the conversation as it is after the event; see [`Entry::view_for`].
    Conversation(Box<Visibility>),
    /// Everybody who sees conversations at all: contacts.
    Contacts,
    /// Every member: presence and members.
    Members,
    /// Owners and admins: channels.
    Admins,
    /// Whoever works at the desk: counts, canned replies, teams.
    Desk,
    /// One person at the desk: their notifications, their own views.
    Person(UserId),
    /// Nobody: it is answered to one waiting sender, or of no interest to people.
    Nobody,
}

/// What decides who sees an event of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Visibility {
    pub(crate) conversation_id: ConversationId,
    assignee: Option<UserId>,
    participants: BTreeSet<UserId>,
    was: Was,
}

/// Whose a conversation was before the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    /// The same person's, or nobody's, as after it.
    Same,
    /// Nobody's.
    Nobodys,
    /// This person's.
    Theirs(UserId),
}

/// What somebody gets of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// All of it.
    Whole,
    /// Only that a conversation is out of their sight now.
    Gone,
    /// Nothing.
    Nothing,
}

/// An event with its frames.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) audience: Audience,
    /// The frame for all who may see it.
    pub(crate) frame: Bytes,
    /// The frame for those who could see the conversation until now; made only if there may be some.
    pub(crate) gone: Option<Bytes>,
}

/// What the tail needs to know beside the entry.
#[derive(Debug)]
pub(crate) struct Peeked {
    /// The event's identity: grows from one event of a partition to the next.
    pub(crate) source: Source,
    pub(crate) command_id: CommandId,
    pub(crate) kind: Kind,
    /// The channel and the contact's address, for events of a conversation.
    pub(crate) contact: Option<(ChannelId, String)>,
}

/// Kinds of events that the tail treats apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    CommandSettled,
    MessageAdded,
    AgentPresenceChanged,
    Other,
}

#[derive(Deserialize)]
struct PeekRecord<'a> {
    workspace_id: WorkspaceId,
    source: Source,
    command_id: CommandId,
    #[serde(borrow)]
    event: PeekEvent<'a>,
    #[serde(default, borrow)]
    conversation: Option<PeekConversation<'a>>,
}

#[derive(Deserialize)]
struct PeekEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    from: Option<&'a RawValue>,
    #[serde(default)]
    user_id: Option<UserId>,
}

#[derive(Deserialize)]
struct PeekConversation<'a> {
    id: ConversationId,
    channel_id: ChannelId,
    #[serde(borrow)]
    contact_address: Cow<'a, str>,
    #[serde(default)]
    assignee: Option<UserId>,
    #[serde(default)]
    participants: BTreeSet<UserId>,
}

/// Reads a record of the topic `events` and builds its frames.
///
/// # Errors
/// If it is not an event of this or an earlier version.
pub(crate) fn read(partition: u32, record: &Record) -> Result<(Entry, Peeked), serde_json::Error> {
    let peek: PeekRecord<'_> = serde_json::from_slice(&record.value)?;
    let kind = match peek.event.kind.as_ref() {
        "command_settled" => Kind::CommandSettled,
        "message_added" => Kind::MessageAdded,
        "agent_presence_changed" => Kind::AgentPresenceChanged,
        _ => Kind::Other,
    };
    let mut contact = None;
    let audience = match (peek.event.kind.as_ref(), peek.conversation) {
        ("command_settled" | "delivery_parked", _) => Audience::Nobody,
        ("contact_created" | "contact_updated", _) => Audience::Contacts,
        ("agent_presence_changed" | "agent_configured", _) => Audience::Members,
        ("channel_configured", _) => Audience::Admins,
        ("counts_changed" | "service_configured", _) => Audience::Desk,
        ("setting_changed", _) => peek.event.user_id.map_or(Audience::Desk, Audience::Person),
        ("notification_added" | "notifications_read", _) => {
            peek.event.user_id.map_or(Audience::Nobody, Audience::Person)
        }
        (name, Some(conversation)) => {
            contact = Some((conversation.channel_id, conversation.contact_address.into_owned()));
            Audience::Conversation(Box::new(Visibility {
                conversation_id: conversation.id,
                assignee: conversation.assignee,
                participants: conversation.participants,
                was: match peek.event.from {
                    _ if name != "conversation_assigned" => Was::Same,
                    None => Was::Nobodys,
                    Some(from) => serde_json::from_str::<Option<UserId>>(from.get())?.map_or(Was::Nobodys, Was::Theirs),
                },
            }))
        }
        (_, None) => Audience::Nobody,
    };
    let entry = Entry {
        offset: record.offset,
        workspace_id: peek.workspace_id,
        frame: if audience == Audience::Nobody { Bytes::new() } else { event_frame(partition, record) },
        gone: gone_frame(partition, record.offset, &audience),
        audience,
    };
    Ok((entry, Peeked { source: peek.source, command_id: peek.command_id, kind, contact }))
}

/// The identity of an event, without the rest of it; `None` if it cannot be read.
pub(crate) fn source_of(record: &Record) -> Option<Source> {
    #[derive(Deserialize)]
    struct Head {
        source: Source,
    }
    serde_json::from_slice::<Head>(&record.value).ok().map(|head| head.source)
}

/// `{"op":"ev","p":[partition,offset],"d":<the record as it stands in the log>}`.
fn event_frame(partition: u32, record: &Record) -> Bytes {
    let head = format!("{{\"op\":\"ev\",\"p\":[{partition},{}],\"d\":", record.offset);
    let mut frame = BytesMut::with_capacity(head.len() + record.value.len() + 1);
    frame.put_slice(head.as_bytes());
    frame.put_slice(&record.value);
    frame.put_u8(b'}');
    frame.freeze()
}

/// Only a conversation that was nobody's can leave the sight of agents who had no part in it.
fn gone_frame(partition: u32, offset: u64, audience: &Audience) -> Option<Bytes> {
    match audience {
        Audience::Conversation(visibility) if visibility.was == Was::Nobodys && visibility.assignee.is_some() => {
            let id = visibility.conversation_id;
            Some(Bytes::from(format!("{{\"op\":\"gone\",\"p\":[{partition},{offset}],\"conversation_id\":\"{id}\"}}")))
        }
        _ => None,
    }
}

impl Entry {
    /// What this person gets of it. The rule for conversations is the one of REST, and beside it: who had the
    /// conversation until now learns where it went, and who could see it while it was nobody's learns that it is gone.
    pub(crate) fn view_for(&self, user_id: UserId, role: Role) -> View {
        let whole = match &self.audience {
            Audience::Conversation(conversation) => {
                let visible = visible(conversation.assignee, &conversation.participants, user_id, role);
                if !visible && role == Role::Agent && self.gone.is_some() {
                    return View::Gone;
                }
                visible || (role == Role::Agent && conversation.was == Was::Theirs(user_id))
            }
            Audience::Contacts => allows(role, Action::ReadContacts),
            Audience::Members => allows(role, Action::ReadMembers),
            Audience::Admins => allows(role, Action::ManageChannels),
            Audience::Desk => allows(role, Action::ReadConversations),
            Audience::Person(of) => *of == user_id && allows(role, Action::ReadConversations),
            Audience::Nobody => false,
        };
        if whole { View::Whole } else { View::Nothing }
    }

    /// The frame of a view.
    pub(crate) fn frame_of(&self, view: View) -> Option<&Bytes> {
        match view {
            View::Whole => Some(&self.frame),
            View::Gone => self.gone.as_ref(),
            View::Nothing => None,
        }
    }

    /// The conversation that it is about.
    pub(crate) fn conversation_id(&self) -> Option<ConversationId> {
        match &self.audience {
            Audience::Conversation(visibility) => Some(visibility.conversation_id),
            _ => None,
        }
    }

    /// What it holds of memory, roughly, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.frame.len() + self.gone.as_ref().map_or(0, Bytes::len) + 256
    }
}
