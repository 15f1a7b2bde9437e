//! Facts: durations and decisions that are over, and so never change. Attributed as of the event, never by a later join.

use schemas::{ChannelId, ContactId, ConversationId, EventId, Timestamp, UserId};

/// What a fact states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// A conversation began. Attributed to the assignee. One that is born resolved, of a blocked contact, has none.
    Opening,
    /// A person first answered a contact who had written first. At most once a conversation. From its opening (the
    /// latest one, if it was resolved and reopened unanswered) to the answer; credited to who answered. Bots do not stop
    /// the clock; conversations that the workspace began have none.
    FirstResponse,
    /// A wait ended in a person's answer, the first one included. From the oldest unanswered message of the contact to
    /// the answer; credited to who answered.
    ReplyTime,
    /// A wait ended because the conversation was resolved without an answer. Attributed to the assignee.
    AbandonedWait,
    /// A conversation was resolved. From its last opening; credited to the assignee, or to who resolved it if there is none.
    Resolution,
    /// Somebody had a conversation that was resolved. How long it was open and theirs since its last opening, with what
    /// they had before it went to others and came back; one for each person who had it.
    Handling,
    /// A resolved conversation was opened again. From when it was resolved; attributed to the assignee.
    Reopen,
    /// The assignee changed; the agent is the new one, or none. From when the assignee had last changed.
    Assignment,
    /// A conversation went from one person to another; attributed to the one who had it. From when they had got it.
    Transfer,
    /// A conversation that was pending, with a bot or a third party, was opened. From when it became pending; attributed
    /// to the assignee.
    Handoff,
}

impl FactKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Opening,
        Self::FirstResponse,
        Self::ReplyTime,
        Self::AbandonedWait,
        Self::Resolution,
        Self::Handling,
        Self::Reopen,
        Self::Assignment,
        Self::Transfer,
        Self::Handoff,
    ];

    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::FirstResponse => "first_response",
            Self::ReplyTime => "reply_time",
            Self::AbandonedWait => "abandoned_wait",
            Self::Resolution => "resolution",
            Self::Handling => "handling",
            Self::Reopen => "reopen",
            Self::Assignment => "assignment",
            Self::Transfer => "transfer",
            Self::Handoff => "handoff",
        }
    }
}

/// Something that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Derived from the event, the kind and the agent: a replay gives the same one.
    pub id: EventId,
    /// What it states.
    pub kind: FactKind,
    /// Of which conversation.
    pub conversation_id: ConversationId,
    /// On which channel.
    pub channel_id: ChannelId,
    /// With whom.
    pub contact_id: ContactId,
    /// To whom it is credited.
    pub agent_id: Option<UserId>,
    /// For a transfer: to whom it went.
    pub to_agent_id: Option<UserId>,
    /// The person who caused it, if a person did.
    pub actor_id: Option<UserId>,
    /// The conversation's labels at its end.
    pub labels: Vec<String>,
    /// When it began; `None` if that is no longer known.
    pub start_at: Option<Timestamp>,
    /// When it ended.
    pub end_at: Timestamp,
    /// How long it took, in microseconds, never below zero; `None` if its beginning is not known.
    pub micros: Option<i64>,
    /// How much of that was business time, by the hours that held at its end, in microseconds; `None` if there were none, or
    /// if its beginning is not known.
    pub business_micros: Option<i64>,
}

/// From one instant to another in microseconds; nothing if the second is earlier, as clocks of several machines allow.
pub fn micros_from(start: Timestamp, end: Timestamp) -> i64 {
    end.unix_micros().saturating_sub(start.unix_micros()).max(0)
}
