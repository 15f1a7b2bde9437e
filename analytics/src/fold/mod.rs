//! The fold: events of one partition in, facts, cells and rows out.
//!
//! It is a pure function of the sequence of events: no clock, no randomness, and nothing that depends on the order of a
//! hash map. So a replay gives the same rows, bit for bit, and [`Fold::snapshot`] followed by [`Fold::restore`] at any point
//! changes nothing. An event at or before the last source seen is a duplicate and has no effect.
//!
//! What it does not do: read the log, keep rows, know the time. The rolling window of 24 hours moves by the time of events.

pub mod cell;
pub mod fact;
pub mod gauge;
mod promise;
pub mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::calendar::{Calendar, business_micros};
use schemas::command::Actor;
use schemas::conversation::{Conversation, Status};
use schemas::event::{AssignmentReason, Event, EventRecord, Source};
use schemas::message::{Author, DeliveryError, DeliveryStatus, Direction, Message, SentimentLabel};
use schemas::{EventId, MessageId, Timestamp, UserId, WorkspaceId};
use sentiment::{Label, Model, Sentiment};
use serde::{Deserialize, Serialize};

use self::cell::{Cell, CellKey, Count, Lasting, WINDOW_MINUTES, minute_of};
use self::fact::{Fact, FactKind, micros_from};
use self::state::{ConversationState, FirstResponse, WorkspaceFold, WorkspaceSnapshot};
use crate::rows::{AssignmentRow, DeliveryRow, MessageRow, WorkspaceRows};

/// The version of a snapshot. Raised when the fold's rules change, so that all is derived again from the log.
pub const FOLD_VERSION: u16 = 5;

/// A snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It was written by other rules.
    #[error("the fold's snapshot has version {found}, this program reads {FOLD_VERSION}")]
    Version {
        /// Its version.
        found: u16,
    },
    /// It is damaged.
    #[error("the fold's snapshot cannot be read")]
    Damaged(#[from] serde_json::Error),
}

/// The state of the fold of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    last_source: Option<Source>,
    last_minute: i64,
    workspaces: BTreeMap<WorkspaceId, WorkspaceFold>,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    v: u16,
    #[serde(default)]
    last_source: Option<Source>,
    #[serde(default)]
    last_minute: i64,
    workspaces: Vec<WorkspaceSnapshot>,
}

impl Fold {
    /// Applies one event, which stands at `offset` of the topic `events`, and adds what follows from it to `rows`, the rows
    /// of the event's workspace. Returns `false` for a duplicate, which has no effect.
    pub fn apply(&mut self, offset: u64, record: EventRecord, rows: &mut WorkspaceRows) -> bool {
        if self.last_source.is_some_and(|last| record.source <= last) {
            return false;
        }
        self.last_source = Some(record.source);
        self.advance(minute_of(record.at));
        let EventRecord { workspace_id, at, id, actor, event, conversation, sla, .. } = record;
        let Some(conversation) = conversation else {
            self.apply_to_workspace(workspace_id, offset, at, event, rows);
            return true;
        };
        let workspace = self.workspaces.entry(workspace_id).or_default();
        workspace.revision += 1;
        let calendar = workspace.calendar();
        let before = workspace.take(conversation.id);
        let known = before.is_some();
        let mut step = Step {
            id,
            at,
            offset,
            actor: &actor,
            conversation: &conversation,
            state: before.unwrap_or_else(|| ConversationState::unknown(&conversation)),
            known,
            calendar: calendar.as_deref(),
            window: &mut workspace.window,
            rows,
        };
        step.promises(sla, &event);
        step.event(event);
        let mut state = step.state;
        state.follow(&conversation, at);
        workspace.put(conversation.id, state);
        rows.put_conversation(Arc::unwrap_or_clone(conversation), offset, at);
        true
    }

    /// Applies an event that is about no conversation: contacts have a table, hours are remembered; channels, members and
    /// presence are not counted.
    fn apply_to_workspace(
        &mut self,
        workspace_id: WorkspaceId,
        offset: u64,
        at: Timestamp,
        event: Event,
        rows: &mut WorkspaceRows,
    ) {
        match event {
            Event::ContactCreated { contact } | Event::ContactUpdated { contact } => {
                rows.put_contact(contact, offset, at);
            }
            Event::ServiceConfigured { setting, .. } => {
                self.workspaces.entry(workspace_id).or_default().set_hours(*setting);
            }
            _ => {}
        }
    }

    /// What is remembered of a workspace.
    pub fn workspace(&self, id: WorkspaceId) -> Option<&WorkspaceFold> {
        self.workspaces.get(&id)
    }

    /// The source of the last event that was applied.
    pub const fn last_source(&self) -> Option<Source> {
        self.last_source
    }

    /// All that must be remembered, as bytes.
    ///
    /// # Errors
    /// If it has no JSON form, which no value of it has caused so far.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(serde_json::to_vec(&Snapshot {
            v: FOLD_VERSION,
            last_source: self.last_source,
            last_minute: self.last_minute,
            workspaces: self.workspaces.iter().map(|(id, workspace)| WorkspaceSnapshot::of(*id, workspace)).collect(),
        })?)
    }

    /// The fold as it was when the snapshot was taken.
    ///
    /// # Errors
    /// If the snapshot has another version or is damaged.
    pub fn restore(snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot: Snapshot = serde_json::from_slice(snapshot)?;
        if snapshot.v != FOLD_VERSION {
            return Err(SnapshotError::Version { found: snapshot.v });
        }
        Ok(Self {
            last_source: snapshot.last_source,
            last_minute: snapshot.last_minute,
            workspaces: snapshot.workspaces.into_iter().map(WorkspaceSnapshot::restore).collect(),
        })
    }

    /// Moves the window on, for all workspaces at once, so that one that has gone quiet keeps nothing either.
    fn advance(&mut self, minute: i64) {
        if minute <= self.last_minute {
            return;
        }
        self.last_minute = minute;
        let first = minute - WINDOW_MINUTES + 1;
        self.workspaces.retain(|_, workspace| {
            workspace.window.forget_before(first);
            !workspace.is_empty()
        });
    }
}

/// One event being applied.
struct Step<'a> {
    id: EventId,
    at: Timestamp,
    offset: u64,
    actor: &'a Actor,
    /// As it is after the event.
    conversation: &'a Conversation,
    /// As it was before the event.
    state: ConversationState,
    /// Whether anything was known of it before the event.
    known: bool,
    /// The business hours that hold at the event.
    calendar: Option<&'a Calendar>,
    window: &'a mut cell::Window,
    rows: &'a mut WorkspaceRows,
}

impl Step<'_> {
    fn event(&mut self, event: Event) {
        let holder = self.conversation.assignee.filter(|_| self.conversation.status == Status::Open);
        if self.state.holder() != holder {
            self.state.let_go(self.at, self.calendar);
        }
        match event {
            Event::ConversationCreated { initiated } => self.created(initiated),
            Event::MessageAdded { message } => self.message(Arc::unwrap_or_clone(message)),
            Event::ConversationStatusChanged { from, to, .. } => self.status(from, to),
            Event::ConversationAssigned { from, to, reason } => self.assigned(from, to, assignment_reason(reason)),
            Event::MessageStatusChanged { message_id, seq, from, to, error, .. } => {
                let written_at = written_at(message_id);
                self.delivery(Delivery { message_id, seq, from: Some(from), to, error, written_at });
            }
            _ => {}
        }
    }

    fn created(&mut self, initiated: Direction) {
        let assignee = self.conversation.assignee;
        if assignee.is_some() {
            self.assigned(None, assignee, "created");
        }
        self.state.assigned_since = Some(self.at);
        // A blocked contact's conversation is born resolved: it needs nobody.
        if self.conversation.status == Status::Resolved {
            return;
        }
        if initiated == Direction::Inbound {
            self.state.first_response = FirstResponse::Runs(self.conversation.opened_at);
        }
        self.fact(FactKind::Opening, assignee, Some(self.at));
        self.count(assignee, Count::Opened);
    }

    fn message(&mut self, message: Message) {
        let sentiment = sentiment_of(&message);
        match (message.direction, &message.author) {
            (Direction::Inbound, _) => {
                let mut delta = Cell::default();
                delta.add(Count::MessagesIn, 1);
                if let Some(sentiment) = sentiment {
                    delta.add(sentiment_count(sentiment.label), 1);
                }
                self.add(self.conversation.assignee, &delta);
            }
            (Direction::Outbound, Author::Agent { user_id }) => self.answered(*user_id),
            (Direction::Outbound, _) => self.count(None, Count::MessagesOutBot),
            (Direction::Note, Author::Agent { user_id }) => self.count(Some(*user_id), Count::Notes),
            (Direction::Note, _) => self.count(None, Count::Notes),
        }
        if message.direction == Direction::Outbound {
            self.delivery(Delivery {
                message_id: message.id,
                seq: message.seq,
                from: None,
                to: message.status.unwrap_or(DeliveryStatus::Queued),
                error: None,
                written_at: message.created_at,
            });
        }
        self.rows.push_message(MessageRow {
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            assignee: self.conversation.assignee,
            labels: self.labels(),
            recorded_at: self.at,
            sentiment,
            message,
        });
    }

    fn answered(&mut self, agent: UserId) {
        self.count(Some(agent), Count::MessagesOutHuman);
        if let FirstResponse::Runs(since) = self.state.first_response {
            self.state.first_response = FirstResponse::Settled;
            self.lasted(FactKind::FirstResponse, Lasting::FirstResponse, Some(agent), since);
        }
        if let Some(since) = self.waiting_before() {
            self.lasted(FactKind::ReplyTime, Lasting::ReplyTime, Some(agent), since);
        }
    }

    fn assigned(&mut self, from: Option<UserId>, to: Option<UserId>, reason: &'static str) {
        let since = self.state.assigned_since.replace(self.at);
        let held_micros = since.map(|since| micros_from(since, self.at));
        self.fact(FactKind::Assignment, to, since);
        if let (Some(_), Some(to)) = (from, to) {
            let transfer = Fact { to_agent_id: Some(to), ..self.new_fact(FactKind::Transfer, from, since) };
            self.rows.push_fact(transfer);
            self.count(from, Count::Transferred);
        }
        self.rows.push_assignment(AssignmentRow {
            id: self.id,
            conversation_id: self.conversation.id,
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            from,
            to,
            reason,
            actor_id: self.actor_id(),
            labels: self.labels(),
            held_micros,
            at: self.at,
        });
    }

    fn status(&mut self, from: Status, to: Status) {
        let assignee = self.conversation.assignee;
        if to == Status::Resolved && from != Status::Resolved {
            self.resolved(assignee);
        } else if from == Status::Resolved && to != Status::Resolved {
            let resolved_at = self.state.resolved_at.filter(|_| self.known);
            self.fact(FactKind::Reopen, assignee, resolved_at);
            self.count(assignee, Count::Reopened);
            if matches!(self.state.first_response, FirstResponse::Runs(_)) {
                self.state.first_response = FirstResponse::Runs(self.conversation.opened_at);
            }
        } else if from == Status::Pending && to == Status::Open {
            self.fact(FactKind::Handoff, assignee, self.state.pending_since);
            self.count(assignee, Count::HandedOff);
        }
    }

    fn resolved(&mut self, assignee: Option<UserId>) {
        let agent = assignee.or_else(|| self.actor_id());
        self.count(agent, Count::Resolved);
        self.lasted(FactKind::Resolution, Lasting::ResolutionTime, agent, self.conversation.opened_at);
        if let Some(since) = self.waiting_before() {
            self.lasted(FactKind::AbandonedWait, Lasting::AbandonedWait, assignee, since);
        }
        for (agent, holding) in std::mem::take(&mut self.state.held) {
            let fact = self.new_fact(FactKind::Handling, Some(agent), Some(holding.since));
            let (micros, business_micros) = (Some(holding.micros), holding.business_micros);
            self.rows.push_fact(Fact { micros, business_micros, ..fact });
            self.record(Some(agent), Lasting::HandleTime, holding.micros, business_micros);
        }
    }

    /// A step of a message's delivery. It counts in the minute in which the message was written, for its channel only: who
    /// wrote it is not told again when its status changes.
    fn delivery(&mut self, delivery: Delivery) {
        let mut delta = Cell::default();
        for (status, amount) in [(delivery.from, -1), (Some(delivery.to), 1)] {
            if let Some(count) = status.and_then(Count::of_delivery) {
                delta.add(count, amount);
            }
        }
        if delta != Cell::default() {
            let minute = minute_of(delivery.written_at);
            let key = CellKey { channel_id: self.conversation.channel_id, agent_id: None };
            self.window.add(minute, key, &delta);
            self.rows.add_cell(minute, key, Vec::new(), &delta);
        }
        self.rows.push_delivery(DeliveryRow {
            id: self.id,
            message_id: delivery.message_id,
            conversation_id: self.conversation.id,
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            seq: delivery.seq,
            from: delivery.from,
            to: delivery.to,
            error_code: delivery.error.map(|error| error.code),
            written_at: delivery.written_at,
            at: self.at,
        });
    }

    /// Since when the contact had waited before this event.
    fn waiting_before(&self) -> Option<Timestamp> {
        self.state.waiting_since.filter(|_| self.known)
    }

    fn actor_id(&self) -> Option<UserId> {
        match self.actor {
            Actor::User { user_id } => Some(*user_id),
            Actor::System | Actor::Channel { .. } => None,
        }
    }

    fn labels(&self) -> Vec<String> {
        self.conversation.labels.iter().cloned().collect()
    }

    /// Adds a fact that ends now.
    fn fact(&mut self, kind: FactKind, agent_id: Option<UserId>, start_at: Option<Timestamp>) {
        let fact = self.new_fact(kind, agent_id, start_at);
        self.rows.push_fact(fact);
    }

    /// Adds a fact that ends now, and counts how long it took.
    fn lasted(&mut self, kind: FactKind, lasting: Lasting, agent_id: Option<UserId>, start_at: Timestamp) {
        let fact = self.new_fact(kind, agent_id, Some(start_at));
        self.record(agent_id, lasting, fact.micros.unwrap_or(0), fact.business_micros);
        self.rows.push_fact(fact);
    }

    fn new_fact(&self, kind: FactKind, agent_id: Option<UserId>, start_at: Option<Timestamp>) -> Fact {
        let agent = agent_id.map(|id| *id.as_bytes()).unwrap_or_default();
        Fact {
            id: EventId::derive(self.at, &[self.id.as_bytes(), kind.as_str().as_bytes(), &agent]),
            kind,
            conversation_id: self.conversation.id,
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            agent_id,
            to_agent_id: None,
            actor_id: self.actor_id(),
            labels: self.labels(),
            start_at,
            end_at: self.at,
            micros: start_at.map(|start| micros_from(start, self.at)),
            business_micros: start_at.and_then(|start| business_micros(self.calendar, start, self.at)),
        }
    }

    fn count(&mut self, agent_id: Option<UserId>, count: Count) {
        let mut delta = Cell::default();
        delta.add(count, 1);
        self.add(agent_id, &delta);
    }

    fn record(&mut self, agent_id: Option<UserId>, lasting: Lasting, micros: i64, business_micros: Option<i64>) {
        let mut delta = Cell::default();
        delta.record(lasting, micros);
        if let Some(micros) = business_micros {
            delta.record(lasting.in_business_time(), micros);
        }
        self.add(agent_id, &delta);
    }

    fn add(&mut self, agent_id: Option<UserId>, delta: &Cell) {
        self.add_at(self.at, agent_id, delta);
    }

    /// Counts something that happened at another instant than the event.
    fn add_at(&mut self, at: Timestamp, agent_id: Option<UserId>, delta: &Cell) {
        let key = CellKey { channel_id: self.conversation.channel_id, agent_id };
        let minute = minute_of(at);
        self.window.add(minute, key, delta);
        self.rows.add_cell(minute, key, self.labels(), delta);
    }
}

/// A step of a message's delivery; the first one has no status before.
struct Delivery {
    message_id: MessageId,
    seq: u64,
    from: Option<DeliveryStatus>,
    to: DeliveryStatus,
    error: Option<DeliveryError>,
    written_at: Timestamp,
}

/// When a message was written, to the millisecond: its id says so.
fn written_at(message_id: MessageId) -> Timestamp {
    let millis = message_id.uuid().get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000).saturating_add(i64::from(nanos / 1_000_000))
    });
    Timestamp::from_unix_millis(millis)
}

/// How a customer's message sounds; `None` for what is not a customer's or has no text. What the event says counts; events of
/// before it was said there are judged by the built-in model, which gives the same program the same answer each time.
fn sentiment_of(message: &Message) -> Option<Sentiment> {
    if let Some(said) = message.sentiment {
        let label = match said.label {
            SentimentLabel::Negative => Label::Negative,
            SentimentLabel::Neutral => Label::Neutral,
            SentimentLabel::Positive => Label::Positive,
        };
        return Some(Sentiment { label, score: said.score });
    }
    let is_said = message.direction == Direction::Inbound && !message.body.text.trim().is_empty();
    is_said.then(|| Model::built_in().score(&message.body.text))
}

const fn sentiment_count(label: Label) -> Count {
    match label {
        Label::Negative => Count::Negative,
        Label::Neutral => Count::Neutral,
        Label::Positive => Count::Positive,
    }
}

const fn assignment_reason(reason: AssignmentReason) -> &'static str {
    match reason {
        AssignmentReason::Asked => "asked",
        AssignmentReason::Automatic => "automatic",
        AssignmentReason::AgentLeft => "agent_left",
    }
}
