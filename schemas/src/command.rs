//! Commands: wishes and facts from outside, as appended to the topic `commands`.
//!
//! Whatever reaches the conversation engine reaches it as a command: messages and delivery reports of providers, the
//! wishes of agents, settings, presence, fired timers, the results of sends. So the log alone decides what happened.

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::contact::Identity;
use crate::conversation::{ConversationChanges, Priority, Status};
use crate::desk::SettingChange;
use crate::message::{Author, Body, DeliveryError, DeliveryStatus};
use crate::service::ServiceSetting;
use crate::workspace::{Agent, Availability};
use crate::{ChannelId, CommandId, ContactId, ConversationId, MessageId, Timestamp, UserId, WorkspaceId};

/// The version of [`CommandRecord`] that this code writes. Raised only if old readers would misread the record.
pub const COMMAND_VERSION: u16 = 1;

/// Who caused a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// The hub itself: timers, senders, automatic assignment.
    System,
    /// A signed-in person, or a token that acts for them.
    User {
        /// Which person.
        user_id: UserId,
    },
    /// A provider, through a channel's webhook; or a visitor, through the web chat's socket.
    Channel {
        /// Which channel.
        channel_id: ChannelId,
    },
}

/// A command with what the log needs to know about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// [`COMMAND_VERSION`] of the writer.
    pub v: u16,
    /// Its id; events name it as their cause.
    pub id: CommandId,
    /// Whose it is; also decides the partition.
    pub workspace_id: WorkspaceId,
    /// When the hub took it: the engine's only clock.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The client's idempotency key: a second command of the same actor with the same key has no second effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `true` if somebody waits for the outcome: the engine then publishes a `command_settled` event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wants_outcome: bool,
    /// What is wished or known.
    pub command: Command,
}

/// A message from a contact, as a provider's module read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The provider's id of the message, unique on its channel.
    pub external_id: String,
    /// The contact's address on the channel: what an answer is sent to.
    pub from: String,
    /// Further addresses of the same contact on this channel (a WhatsApp user's business-scoped id beside the number).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_from: Vec<String>,
    /// The contact's phone number in E.164, if the address is one or comes with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The contact's e-mail address, if the channel tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Our own address that it was sent to.
    pub to: String,
    /// The name that the contact gave the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// What it says.
    pub body: Body,
    /// `Some(true)` asks for no more messages, `Some(false)` takes that back (STOP and START).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<bool>,
}

/// A report of a provider on an outbound message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryReport {
    /// The provider's id of the message.
    pub external_id: String,
    /// The provider's own word.
    pub provider_status: String,
    /// What it means; `None` for a word that we do not know, which changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// Why, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<DeliveryError>,
    /// What to do about the failure; `None` if there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What to do about a message that a provider took and then reports as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It certainly did not arrive and what kept it passes: send it again, for as long as the schedule of retries lasts.
    Resend,
    /// As [`Remedy::Resend`], but once: a second failure of the kind is taken for the last word.
    ResendOnce,
    /// The contact has asked for no more messages: write them none.
    OptOut,
}

/// How a call to a provider ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SendOutcome {
    /// The provider took the message.
    Accepted {
        /// The provider's id of it.
        external_id: String,
        /// What its answer says of the status.
        status: DeliveryStatus,
    },
    /// It was certainly not taken, or a look-up found it missing: it will be tried again.
    Deferred {
        /// Why.
        error: DeliveryError,
        /// When the next attempt is due.
        next_attempt_at: Timestamp,
    },
    /// It may or may not have been taken: the provider is asked before anything is sent again.
    Ambiguous {
        /// Why.
        error: DeliveryError,
        /// When the provider is asked.
        next_attempt_at: Timestamp,
    },
    /// It will never be taken.
    Failed {
        /// Why, for the agent to read.
        error: DeliveryError,
        /// `true` if the contact has asked for no more messages.
        opted_out: bool,
    },
}

/// Which timer fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// A snoozed conversation comes back.
    SnoozeEnds,
    /// Whoever holds the conversation handles none any more: it and their others are to be released.
    HolderLeft,
    /// Something that was promised is due, or soon will be.
    Sla,
}

impl TimerKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::SnoozeEnds, Self::HolderLeft, Self::Sla];

    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SnoozeEnds => "snooze_ends",
            Self::HolderLeft => "holder_left",
            Self::Sla => "sla",
        }
    }
}

/// A wish or a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// A contact has written.
    ReceiveMessage {
        /// On which channel.
        channel_id: ChannelId,
        /// What.
        message: Box<InboundMessage>,
    },
    /// A provider reports on an outbound message.
    RecordDelivery {
        /// On which channel.
        channel_id: ChannelId,
        /// What.
        report: DeliveryReport,
    },
    /// Somebody writes to the contact of a conversation.
    SendMessage {
        /// Where.
        conversation_id: ConversationId,
        /// Who writes.
        author: Author,
        /// What.
        body: Body,
    },
    /// Somebody writes to an address first; the conversation is found or begun.
    StartConversation {
        /// To whom, on which channel.
        to: Identity,
        /// Who writes.
        author: Author,
        /// What.
        body: Body,
    },
    /// A failed message is to be sent again.
    RetryMessage {
        /// Where.
        conversation_id: ConversationId,
        /// Its number.
        seq: u64,
    },
    /// A private note.
    AddNote {
        /// Where.
        conversation_id: ConversationId,
        /// Who writes.
        author: Author,
        /// What.
        text: String,
        /// Whom it mentions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<UserId>,
    },
    /// Another status.
    SetStatus {
        /// Where.
        conversation_id: ConversationId,
        /// Which.
        status: Status,
        /// When it comes back, if it is to be snoozed until a moment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snoozed_until: Option<Timestamp>,
    },
    /// Another assignee, or none.
    Assign {
        /// Where.
        conversation_id: ConversationId,
        /// Who; `None` gives it back.
        assignee: Option<UserId>,
    },
    /// Another priority.
    SetPriority {
        /// Where.
        conversation_id: ConversationId,
        /// Which.
        priority: Priority,
    },
    /// Labels put on and taken off.
    ChangeLabels {
        /// Where.
        conversation_id: ConversationId,
        /// Put on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<String>,
        /// Taken off.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
    },
    /// Several changes of a conversation that are decided as one: all of them or none.
    ChangeConversation {
        /// Where.
        conversation_id: ConversationId,
        /// What is to be different.
        changes: ConversationChanges,
    },
    /// A person has seen a conversation up to a message.
    MarkRead {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Up to which number.
        seq: u64,
    },
    /// An agent changes what is known of a contact; `None` leaves a field as it is.
    UpdateContact {
        /// Whom.
        contact_id: ContactId,
        /// Another name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Another e-mail address; empty removes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
        /// Blocked or no longer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blocked: Option<bool>,
    },
    /// A person has read notifications.
    ReadNotifications {
        /// Who.
        user_id: UserId,
        /// All up to this number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_to: Option<u64>,
        /// And these.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        numbers: Vec<u64>,
    },
    /// A setting that the engine does not need was stored: whoever shows it is to hear of it.
    AnnounceSetting {
        /// Whom alone it concerns; everybody, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        /// As it is now.
        change: Box<SettingChange>,
    },
    /// A channel was made or its settings changed.
    ConfigureChannel {
        /// As it is now.
        channel: Channel,
    },
    /// A member was added or changed. Presence and counts in `agent` are ignored.
    ConfigureAgent {
        /// As they are now.
        agent: Agent,
    },
    /// A setting of how the workspace serves its customers was changed.
    ConfigureService {
        /// As it is now.
        setting: Box<ServiceSetting>,
        /// Grows with every change of this kind.
        version: u64,
    },
    /// An agent's presence changed.
    SetPresence {
        /// Whose.
        user_id: UserId,
        /// What they say of themselves; `None` leaves it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        availability: Option<Availability>,
        /// Whether a socket is connected at `gateway`; `None` leaves it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connected: Option<bool>,
        /// The gateway that speaks of its own sockets; empty for the only one there is.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        gateway: String,
    },
    /// A timer's moment has come. Without effect if the timer was changed since.
    FireTimer {
        /// Where.
        conversation_id: ConversationId,
        /// Which timer.
        timer: TimerKind,
        /// The moment for which it was set.
        due: Timestamp,
    },
    /// A call to the provider begins: written, durably, before its first byte goes out.
    BeginSend {
        /// Where.
        conversation_id: ConversationId,
        /// Which message.
        message_id: MessageId,
        /// 1, 2, 3, …
        attempt: u32,
    },
    /// A call to the provider ended.
    FinishSend {
        /// Where.
        conversation_id: ConversationId,
        /// Which message.
        message_id: MessageId,
        /// The attempt that ended.
        attempt: u32,
        /// How.
        outcome: SendOutcome,
    },
    /// Stands where a loss of power took a command whose effect the tables kept; only a log that makes its records durable
    /// at intervals can lose any. It has no effect of its own.
    Lost,
}

impl Command {
    /// The conversation that it names, if it names one.
    pub const fn conversation_id(&self) -> Option<ConversationId> {
        match self {
            Self::SendMessage { conversation_id, .. }
            | Self::RetryMessage { conversation_id, .. }
            | Self::AddNote { conversation_id, .. }
            | Self::SetStatus { conversation_id, .. }
            | Self::Assign { conversation_id, .. }
            | Self::SetPriority { conversation_id, .. }
            | Self::ChangeLabels { conversation_id, .. }
            | Self::ChangeConversation { conversation_id, .. }
            | Self::MarkRead { conversation_id, .. }
            | Self::FireTimer { conversation_id, .. }
            | Self::BeginSend { conversation_id, .. }
            | Self::FinishSend { conversation_id, .. } => Some(*conversation_id),
            Self::ReceiveMessage { .. }
            | Self::RecordDelivery { .. }
            | Self::StartConversation { .. }
            | Self::UpdateContact { .. }
            | Self::ReadNotifications { .. }
            | Self::AnnounceSetting { .. }
            | Self::ConfigureChannel { .. }
            | Self::ConfigureAgent { .. }
            | Self::ConfigureService { .. }
            | Self::SetPresence { .. }
            | Self::Lost => None,
        }
    }
}
