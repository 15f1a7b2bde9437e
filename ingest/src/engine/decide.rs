//! From a command to its events: the rules.
//!
//! [`decide`] dispatches; the rules for messages of contacts stand in `inbound`, those for sending in `send`, those for
//! what people wish in `wishes`, those for automatic assignment in `assignment`.

use std::fmt::Write as _;
use std::sync::Arc;

use schemas::command::{Actor, Command, CommandRecord};
use schemas::conversation::Conversation;
use schemas::event::{EVENT_VERSION, Event, EventRecord, Rejection, Source};
use schemas::message::{Author, Body, Direction, Message};
use schemas::sla::SlaChange;
use schemas::{ContactId, ConversationId, EventId, MessageId, Timestamp};

use super::changes::{Changes, Found, View};
use super::state::{Need, State, StoredConversation};
use super::{evolve, sla};

/// What a command leads to.
#[derive(Debug)]
pub struct Decision {
    /// What happened, in order.
    pub events: Vec<EventRecord>,
    /// What is different now.
    pub changes: Changes,
    /// The refusal of a command, for logs and metrics.
    pub rejected: Option<(Rejection, String)>,
}

/// The events of the command at `offset` of `partition`, given `state`. Pure: the same input gives the same bytes.
///
/// # Errors
/// What must be loaded into the state before the command can be decided.
pub fn decide(state: &State, partition: u32, offset: u64, record: &CommandRecord) -> Result<Decision, Need> {
    let mut decider = Decider::new(state, partition, offset, record);
    let ruling = match decider.repeats_a_key()? {
        Some(outcome) => Err(outcome),
        None => decider.rule().and_then(|()| Ok(decider.tell_counts()?)).map_err(Ending::from),
    };
    let ending = match ruling {
        Ok(()) => Ending::Applied,
        Err(Ending::Missing(need)) => return Err(need),
        Err(ending) => {
            // A refused command leaves nothing behind, whatever it did before it was refused.
            decider = Decider::new(state, partition, offset, record);
            ending
        }
    };
    let rejected = match &ending {
        Ending::Rejected { code, reason } => Some((*code, reason.clone())),
        _ => None,
    };
    decider.settle(ending)?;
    Ok(Decision { events: decider.events, changes: decider.view.changes, rejected })
}

/// Why a rule stops.
#[derive(Debug)]
pub(super) enum Stop {
    Missing(Need),
    Rejected { code: Rejection, reason: String },
}

impl From<Need> for Stop {
    fn from(need: Need) -> Self {
        Self::Missing(need)
    }
}

/// How a command ended.
#[derive(Debug)]
pub(super) enum Ending {
    Applied,
    Repeated(super::state::KeyRecord),
    Rejected { code: Rejection, reason: String },
    Missing(Need),
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Missing(need) => Self::Missing(need),
            Stop::Rejected { code, reason } => Self::Rejected { code, reason },
        }
    }
}

pub(super) type Ruling = Result<(), Stop>;

pub(super) fn reject(code: Rejection, reason: impl Into<String>) -> Stop {
    Stop::Rejected { code, reason: reason.into() }
}

/// What a command made, for whoever waits for its outcome.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) message_id: Option<MessageId>,
    pub(super) seq: Option<u64>,
}

/// A command while it is decided.
#[derive(Debug)]
pub(super) struct Decider<'a> {
    pub(super) view: View<'a>,
    pub(super) record: &'a CommandRecord,
    pub(super) made: Made,
    /// The contact's name as this command makes it known; the conversation takes it over.
    pub(super) contact_name: Option<String>,
    partition: u32,
    offset: u64,
    events: Vec<EventRecord>,
}

impl<'a> Decider<'a> {
    fn new(state: &'a State, partition: u32, offset: u64, record: &'a CommandRecord) -> Self {
        let made = Made { conversation_id: record.command.conversation_id(), ..Made::default() };
        Self {
            view: View::new(state, record.workspace_id),
            record,
            made,
            contact_name: None,
            partition,
            offset,
            events: Vec::new(),
        }
    }

    pub(super) fn at(&self) -> Timestamp {
        self.record.at
    }

    /// The bytes that make ids of this command's next event unique.
    fn place(&self) -> [u8; 16] {
        let mut place = [0; 16];
        let (partition, rest) = place.split_at_mut(4);
        let (offset, index) = rest.split_at_mut(8);
        partition.copy_from_slice(&self.partition.to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        index.copy_from_slice(&self.index().to_le_bytes());
        place
    }

    fn index(&self) -> u32 {
        u32::try_from(self.events.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn new_conversation_id(&self) -> ConversationId {
        ConversationId::derive(self.at(), &[self.record.workspace_id.as_bytes(), &self.place()])
    }

    pub(super) fn new_contact_id(&self) -> ContactId {
        ContactId::derive(self.at(), &[self.record.workspace_id.as_bytes(), &self.place()])
    }

    pub(super) fn new_message_id(&self) -> MessageId {
        MessageId::derive(self.at(), &[self.record.workspace_id.as_bytes(), &self.place()])
    }

    /// Publishes an event that is not about a conversation.
    pub(super) fn emit(&mut self, event: Event) -> Found<()> {
        evolve::entities(&mut self.view, &self.record.actor, self.record.at, self.record.id, None, &event)?;
        self.push(event, None, Vec::new());
        Ok(())
    }

    /// Publishes an event about a conversation that exists, after what became due in it before.
    pub(super) fn emit_in(&mut self, id: ConversationId, event: Event) -> Found<()> {
        self.tell_overdue(id, self.at())?;
        self.put_event(id, event)
    }

    /// Publishes an event about a conversation that exists.
    pub(super) fn put_event(&mut self, id: ConversationId, event: Event) -> Found<()> {
        let Some(before) = self.view.conversation(id)?.cloned() else {
            debug_assert!(false, "a rule speaks of a conversation that does not exist");
            return Ok(());
        };
        let mut after = before.clone();
        let channel = self.view.channel(after.conversation.channel_id)?.cloned();
        evolve::conversation(&mut after, channel.as_ref(), &event, self.record.at);
        if let Some(name) = &self.contact_name
            && after.conversation.contact_name != *name
        {
            Arc::make_mut(&mut after.conversation).contact_name.clone_from(name);
        }
        self.put_conversation(Some(before), after, event)
    }

    /// Publishes that a conversation began.
    pub(super) fn emit_created(&mut self, new: StoredConversation, initiated: Direction) -> Found<()> {
        self.made.conversation_id = Some(new.conversation.id);
        self.put_conversation(None, new, Event::ConversationCreated { initiated })
    }

    fn put_conversation(
        &mut self,
        before: Option<StoredConversation>,
        mut after: StoredConversation,
        event: Event,
    ) -> Found<()> {
        let earlier = before.as_ref().map(|before| before.conversation.as_ref());
        let promises = sla::follow(earlier, &mut after, self.view.service()?, &event, self.record.at);
        evolve::entities(
            &mut self.view,
            &self.record.actor,
            self.record.at,
            self.record.id,
            Some(&after.conversation),
            &event,
        )?;
        evolve::indexes(&mut self.view, before.as_ref(), &mut after)?;
        let snapshot = Arc::clone(&after.conversation);
        evolve::store(&mut self.view, before, after);
        self.push(event, Some(snapshot), promises);
        Ok(())
    }

    fn push(&mut self, event: Event, conversation: Option<Arc<Conversation>>, promises: Vec<SlaChange>) {
        let source = Source { partition: self.partition, offset: self.offset, index: self.index() };
        self.events.push(EventRecord {
            v: EVENT_VERSION,
            id: EventId::derive(self.at(), &[self.record.workspace_id.as_bytes(), &self.place()]),
            workspace_id: self.record.workspace_id,
            at: self.at(),
            source,
            command_id: self.record.id,
            actor: self.record.actor.clone(),
            event,
            conversation,
            sla: promises,
        });
    }

    /// The conversation of a command, or its refusal.
    pub(super) fn require(&self, id: ConversationId) -> Result<&StoredConversation, Stop> {
        self.view.conversation(id)?.ok_or_else(|| {
            reject(Rejection::NotFound, format!("conversation_id: there is no conversation {id} in this workspace"))
        })
    }

    fn rule(&mut self) -> Ruling {
        match &self.record.command {
            Command::ReceiveMessage { channel_id, message } => self.receive_message(*channel_id, message),
            Command::RecordDelivery { channel_id, report } => self.record_delivery(*channel_id, report),
            Command::SendMessage { conversation_id, author, body } => self.send_message(*conversation_id, author, body),
            Command::StartConversation { to, author, body } => self.start_conversation(to, author, body),
            Command::RetryMessage { conversation_id, seq } => self.retry_message(*conversation_id, *seq),
            Command::AddNote { conversation_id, author, text, mentions } => {
                self.add_note(*conversation_id, author, text, mentions)
            }
            Command::SetStatus { conversation_id, status, snoozed_until } => {
                self.set_status(*conversation_id, *status, *snoozed_until)
            }
            Command::Assign { conversation_id, assignee } => self.assign(*conversation_id, *assignee),
            Command::SetPriority { conversation_id, priority } => self.set_priority(*conversation_id, *priority),
            Command::ChangeLabels { conversation_id, add, remove } => self.change_labels(*conversation_id, add, remove),
            Command::ChangeConversation { conversation_id, changes } => {
                self.change_conversation(*conversation_id, changes)
            }
            Command::ReadNotifications { user_id, up_to, numbers } => {
                self.read_notifications(*user_id, *up_to, numbers)
            }
            Command::AnnounceSetting { user_id, change } => {
                Ok(self.emit(Event::SettingChanged { user_id: *user_id, change: change.clone() })?)
            }
            Command::MarkRead { conversation_id, user_id, seq } => self.mark_read(*conversation_id, *user_id, *seq),
            Command::UpdateContact { contact_id, name, email, blocked } => {
                self.update_contact(*contact_id, name.as_deref(), email.as_deref(), *blocked)
            }
            Command::ConfigureChannel { channel } => {
                if self.view.channel(channel.id)?.is_none_or(|known| known.version < channel.version) {
                    self.emit(Event::ChannelConfigured { channel: channel.clone() })?;
                }
                Ok(())
            }
            Command::ConfigureAgent { agent } => self.configure_agent(agent),
            Command::ConfigureService { setting, version } => self.configure_service(setting, *version),
            Command::SetPresence { user_id, availability, connected, gateway } => {
                self.set_presence(*user_id, *availability, connected.map(|connected| (connected, gateway.as_str())))
            }
            Command::FireTimer { conversation_id, timer, due } => self.fire_timer(*conversation_id, *timer, *due),
            Command::BeginSend { message_id, attempt, .. } => self.begin_send(*message_id, *attempt),
            Command::FinishSend { message_id, attempt, outcome, .. } => {
                self.finish_send(*message_id, *attempt, outcome)
            }
            Command::Lost => Ok(()),
        }
    }

    /// The next message of a conversation; it becomes part of it by [`Self::add_message`].
    pub(super) fn new_message(
        &self,
        conversation_id: ConversationId,
        direction: Direction,
        author: Author,
        body: Body,
    ) -> Result<Message, Stop> {
        Ok(Message {
            id: self.new_message_id(),
            conversation_id,
            seq: self.require(conversation_id)?.conversation.last_seq + 1,
            direction,
            author,
            body,
            created_at: self.at(),
            status: None,
            error: None,
            sentiment: None,
            external_id: None,
            client_key: self.record.key.clone(),
            attempts: 0,
            resends: 0,
            mentions: Vec::new(),
        })
    }

    pub(super) fn add_message(&mut self, message: Message) -> Ruling {
        self.made.message_id = Some(message.id);
        self.made.seq = Some(message.seq);
        Ok(self.emit_in(message.conversation_id, Event::MessageAdded { message: Arc::new(message) })?)
    }
}

/// Refuses a text that is empty, too long, or holds U+0000.
pub(super) fn check_text(field: &str, text: &str, limit_chars: usize) -> Ruling {
    if text.trim().is_empty() {
        return Err(reject(Rejection::InvalidValue, format!("{field}: it must not be empty")));
    }
    if text.contains('\0') {
        return Err(reject(Rejection::InvalidValue, format!("{field}: it must not hold the character U+0000")));
    }
    let chars = text.chars().count();
    if chars > limit_chars {
        let reason = format!("{field}: it has {chars} characters, and at most {limit_chars} are allowed");
        return Err(reject(Rejection::InvalidValue, reason));
    }
    Ok(())
}

/// The actor and the key in one text: keys of two actors never meet.
pub(super) fn scoped_key(actor: &Actor, key: &str) -> String {
    let mut scoped = String::with_capacity(key.len() + 48);
    // Writing to a string cannot fail.
    let _written = match actor {
        Actor::System => write!(scoped, "system:"),
        Actor::User { user_id } => write!(scoped, "user {user_id}:"),
        Actor::Channel { channel_id } => write!(scoped, "channel {channel_id}:"),
    };
    scoped.push_str(key);
    scoped
}
