//! Events: what happened, as the conversation engine decided it and published it on the topic `events`.
//!
//! The engine's state is the fold of its events; sockets, analytics and senders read nothing else. The sequence of a
//! partition's events is a pure function of the sequence of its commands: the same commands give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::command::{Actor, DeliveryReport};
use crate::contact::Contact;
use crate::conversation::{Conversation, Priority, Status};
use crate::desk::{Notification, SettingChange};
use crate::message::{DeliveryError, DeliveryStatus, Direction, Message};
use crate::service::ServiceSetting;
use crate::sla::{SlaChange, SlaTarget};
use crate::workspace::{Agent, Availability};
use crate::{
    ChannelId, CommandId, ConversationId, EventId, MessageId, SlaPolicyId, TeamId, Timestamp, UserId, WorkspaceId,
};

/// The version of [`EventRecord`] that this code writes. Raised only if old readers would misread the record.
pub const EVENT_VERSION: u16 = 1;

/// The place of a command in the log, and which of its events this is: the event's identity.
///
/// Readers that apply events drop what is at or before the source that they have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Source {
    /// The partition of the topic `commands`.
    pub partition: u32,
    /// The command's offset in it.
    pub offset: u64,
    /// 0, 1, 2, … within the command.
    pub index: u32,
}

/// An event with what every reader needs to know about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventRecord {
    /// [`EVENT_VERSION`] of the writer.
    pub v: u16,
    /// Its id, derived from `source`.
    pub id: EventId,
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// When it happened: the time of its command.
    pub at: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// The command that caused it.
    pub command_id: CommandId,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
    /// The conversation as it is after the event, for events of a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Conversation>)]
    pub conversation: Option<Arc<Conversation>>,
    /// What it did to the conversation's promises of service levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sla: Vec<SlaChange>,
}

/// Why a status changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// Somebody asked for it.
    Asked,
    /// The contact wrote.
    ContactWrote,
    /// An agent answered a pending conversation.
    AgentAnswered,
    /// The snooze was over.
    SnoozeEnded,
}

/// Why an assignee changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentReason {
    /// Somebody asked for it.
    Asked,
    /// The channel's assignment policy.
    Automatic,
    /// The assignee left the workspace, or was given a role that handles no conversations.
    AgentLeft,
}

/// How a command ended, for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// It took effect (or wished for what already was).
    Applied,
    /// Its key was used before for the same wish; the first one's effect stands.
    Repeated {
        /// The first command with that key.
        first: CommandId,
    },
    /// It did not take effect.
    Rejected {
        /// A word for programs.
        code: Rejection,
        /// A sentence for people, which names the field and the fix.
        reason: String,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// There is no such conversation, contact, message, channel or agent in the workspace.
    NotFound,
    /// The state does not allow it.
    InvalidTransition,
    /// The medium's reply window is over.
    ReplyWindowClosed,
    /// The contact has asked for no more messages, or is blocked.
    ContactOptedOut,
    /// The channel is switched off.
    ChannelInactive,
    /// A value is wrong: too long, empty, in the past.
    InvalidValue,
    /// The idempotency key was used before for another wish.
    KeyReused,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A contact was seen for the first time.
    ContactCreated {
        /// As they are now.
        contact: Contact,
    },
    /// Something about a contact changed.
    ContactUpdated {
        /// As they are now.
        contact: Contact,
    },
    /// A conversation began.
    ConversationCreated {
        /// Who wrote first: `inbound` or `outbound`.
        initiated: Direction,
    },
    /// A conversation's status changed.
    ConversationStatusChanged {
        /// What it was.
        from: Status,
        /// What it is.
        to: Status,
        /// Why.
        reason: StatusReason,
        /// When it comes back by itself, if it was snoozed until a moment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snoozed_until: Option<Timestamp>,
    },
    /// A conversation's assignee changed.
    ConversationAssigned {
        /// Who it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<UserId>,
        /// Who it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UserId>,
        /// Why.
        reason: AssignmentReason,
    },
    /// A conversation was given to a team, or taken from one.
    ConversationTeamChanged {
        /// Which it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TeamId>,
        /// Which it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<TeamId>,
    },
    /// A conversation's priority changed.
    ConversationPriorityChanged {
        /// What it was.
        from: Priority,
        /// What it is.
        to: Priority,
    },
    /// Labels were put on or taken off.
    ConversationLabelsChanged {
        /// Put on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<String>,
        /// Taken off.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<String>,
    },
    /// Most of the time in which something was promised is used up. Whatever else happens to a conversation at that moment or
    /// later follows it.
    SlaWarned {
        /// What was promised.
        target: SlaTarget,
        /// By which policy.
        policy_id: SlaPolicyId,
        /// When it is due.
        due_at: Timestamp,
    },
    /// What was promised did not come in time. Whatever else happens to a conversation at that moment or later follows it.
    SlaBreached {
        /// What was promised.
        target: SlaTarget,
        /// By which policy.
        policy_id: SlaPolicyId,
        /// When it was due: the moment that counts, however late it is recorded.
        due_at: Timestamp,
    },
    /// A person has seen a conversation up to a message.
    ConversationRead {
        /// Who.
        user_id: UserId,
        /// Up to which number.
        seq: u64,
    },
    /// A message or a note was added.
    MessageAdded {
        /// Which.
        #[schema(value_type = Message)]
        message: Arc<Message>,
    },
    /// An outbound message's delivery status changed.
    MessageStatusChanged {
        /// Which message.
        message_id: MessageId,
        /// Its number.
        seq: u64,
        /// What it was.
        from: DeliveryStatus,
        /// What it is.
        to: DeliveryStatus,
        /// Why, if it failed or is to be sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<DeliveryError>,
        /// The provider's id, when this event makes it known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
    },
    /// A call to the provider begins.
    MessageSendBegun {
        /// Which message.
        message_id: MessageId,
        /// Its number.
        seq: u64,
        /// 1, 2, 3, …
        attempt: u32,
    },
    /// A call to the provider ended without a verdict; the message waits for its next attempt.
    MessageSendDeferred {
        /// Which message.
        message_id: MessageId,
        /// Its number.
        seq: u64,
        /// The attempt that ended.
        attempt: u32,
        /// Why.
        error: DeliveryError,
        /// `true` if the provider may have taken it: it is asked before anything is sent again.
        ambiguous: bool,
        /// When the next attempt is due.
        next_attempt_at: Timestamp,
    },
    /// A delivery report came for a provider's id that no message has yet; it is kept for the message to come.
    DeliveryParked {
        /// On which channel.
        channel_id: ChannelId,
        /// What.
        report: DeliveryReport,
    },
    /// A channel was made or changed.
    ChannelConfigured {
        /// As it is now.
        channel: Channel,
    },
    /// A member was added or changed.
    AgentConfigured {
        /// As they are now.
        agent: Agent,
    },
    /// A setting of how the workspace serves its customers was changed.
    ServiceConfigured {
        /// As it is now.
        setting: Box<ServiceSetting>,
        /// Grows with every change of this kind.
        version: u64,
    },
    /// An agent's presence changed.
    AgentPresenceChanged {
        /// Whose.
        user_id: UserId,
        /// What they say of themselves.
        availability: Availability,
        /// Whether a socket is connected.
        connected: bool,
        /// The gateways at which one is, if gateways have names.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        gateways: BTreeSet<String>,
    },
    /// How many conversations stand in views, for those views in which it changed.
    CountsChanged {
        /// The number of conversations by view, such as `open/all` or `open/<user>`.
        views: BTreeMap<String, u64>,
    },
    /// Somebody is told of something. Only for them.
    NotificationAdded {
        /// Who.
        user_id: UserId,
        /// Of what.
        notification: Notification,
        /// How many they have not read, this one included.
        unread: u64,
    },
    /// Somebody has read notifications. Only for them.
    NotificationsRead {
        /// Who.
        user_id: UserId,
        /// All up to this number are read.
        read_up_to: u64,
        /// Those after it that are read.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        read: BTreeSet<u64>,
        /// How many they have not read.
        unread: u64,
    },
    /// A setting was changed.
    SettingChanged {
        /// Whom alone it concerns; everybody, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        /// As it is now.
        change: Box<SettingChange>,
    },
    /// A command ended; only for commands whose sender waits.
    CommandSettled {
        /// The command's idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// A hash of what was wished, so that a reused key is noticed. Hexadecimal.
        fingerprint: String,
        /// How it ended.
        outcome: Outcome,
        /// The conversation that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation_id: Option<ConversationId>,
        /// The message or note that it made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
        /// That message's number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
}

impl Event {
    /// The event's name on the wire, as in its `type` field.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ContactCreated { .. } => "contact_created",
            Self::ContactUpdated { .. } => "contact_updated",
            Self::ConversationCreated { .. } => "conversation_created",
            Self::ConversationStatusChanged { .. } => "conversation_status_changed",
            Self::ConversationAssigned { .. } => "conversation_assigned",
            Self::ConversationTeamChanged { .. } => "conversation_team_changed",
            Self::ConversationPriorityChanged { .. } => "conversation_priority_changed",
            Self::ConversationLabelsChanged { .. } => "conversation_labels_changed",
            Self::SlaWarned { .. } => "sla_warned",
            Self::SlaBreached { .. } => "sla_breached",
            Self::ConversationRead { .. } => "conversation_read",
            Self::MessageAdded { .. } => "message_added",
            Self::MessageStatusChanged { .. } => "message_status_changed",
            Self::MessageSendBegun { .. } => "message_send_begun",
            Self::MessageSendDeferred { .. } => "message_send_deferred",
            Self::DeliveryParked { .. } => "delivery_parked",
            Self::ChannelConfigured { .. } => "channel_configured",
            Self::AgentConfigured { .. } => "agent_configured",
            Self::ServiceConfigured { .. } => "service_configured",
            Self::AgentPresenceChanged { .. } => "agent_presence_changed",
            Self::CountsChanged { .. } => "counts_changed",
            Self::NotificationAdded { .. } => "notification_added",
            Self::NotificationsRead { .. } => "notifications_read",
            Self::SettingChanged { .. } => "setting_changed",
            Self::CommandSettled { .. } => "command_settled",
        }
    }
}
