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
pub mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::command::Actor;
use schemas::conversation::{Conversation, Status};
use schemas::event::{Event, EventRecord, Source};
use schemas::message::{Author, Direction, Message};
use schemas::{EventId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use self::cell::{Cell, CellKey, WINDOW_MINUTES, minute_of};
use self::fact::{Fact, FactKind};
use self::state::{ConversationState, FirstResponse, WorkspaceFold, WorkspaceSnapshot};
use crate::rows::{MessageRow, StatusRow, WorkspaceRows};

/// The version of a snapshot. Raised when the fold's rules change, so that all is derived again from the log.
pub const FOLD_VERSION: u16 = 1;

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
        let EventRecord { workspace_id, at, id, actor, event, conversation, .. } = record;
        // What is not about a conversation (contacts, channels, presence) is not counted yet.
        let Some(conversation) = conversation else { return true };
        let workspace = self.workspaces.entry(workspace_id).or_default();
        workspace.revision += 1;
        let before = workspace.take(conversation.id);
        let known = before.is_some();
        let mut step = Step {
            id,
            at,
            actor: &actor,
            conversation: &conversation,
            state: before.unwrap_or_else(|| ConversationState::unknown(&conversation)),
            known,
            window: &mut workspace.window,
            rows,
        };
        step.event(event);
        let mut state = step.state;
        state.follow(&conversation);
        workspace.put(conversation.id, state);
        rows.put_conversation(Arc::unwrap_or_clone(conversation), offset, at);
        true
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
    actor: &'a Actor,
    /// As it is after the event.
    conversation: &'a Conversation,
    /// As it was before the event.
    state: ConversationState,
    /// Whether anything was known of it before the event.
    known: bool,
    window: &'a mut cell::Window,
    rows: &'a mut WorkspaceRows,
}

impl Step<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::ConversationCreated { initiated } => self.created(initiated),
            Event::MessageAdded { message } => self.message(Arc::unwrap_or_clone(message)),
            Event::ConversationStatusChanged { from, to, .. } => self.status(from, to),
            Event::ConversationAssigned { to, .. } => {
                self.fact(FactKind::Assignment, to, self.state.assigned_since);
                self.state.assigned_since = Some(self.at);
            }
            Event::MessageStatusChanged { message_id, seq, from, to, error, .. } => self.rows.push_status(StatusRow {
                id: self.id,
                message_id,
                conversation_id: self.conversation.id,
                channel_id: self.conversation.channel_id,
                seq,
                from,
                to,
                error_code: error.map(|error| error.code),
                at: self.at,
            }),
            _ => {}
        }
    }

    fn created(&mut self, initiated: Direction) {
        self.state.assigned_since = Some(self.at);
        // A blocked contact's conversation is born resolved: it needs nobody.
        if self.conversation.status == Status::Resolved {
            return;
        }
        if initiated == Direction::Inbound {
            self.state.first_response = FirstResponse::Runs(self.conversation.opened_at);
        }
        self.count(self.conversation.assignee, |cell| cell.opened = 1);
    }

    fn message(&mut self, message: Message) {
        match (message.direction, &message.author) {
            (Direction::Inbound, _) => self.count(self.conversation.assignee, |cell| cell.messages_in = 1),
            (Direction::Outbound, Author::Agent { user_id }) => self.answered(*user_id),
            (Direction::Outbound, _) => self.count(None, |cell| cell.messages_out_bot = 1),
            (Direction::Note, Author::Agent { user_id }) => self.count(Some(*user_id), |cell| cell.notes = 1),
            (Direction::Note, _) => self.count(None, |cell| cell.notes = 1),
        }
        self.rows.push_message(MessageRow {
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            assignee: self.conversation.assignee,
            labels: self.conversation.labels.iter().cloned().collect(),
            message,
        });
    }

    fn answered(&mut self, agent: UserId) {
        self.count(Some(agent), |cell| cell.messages_out_human = 1);
        if let FirstResponse::Runs(since) = self.state.first_response {
            self.state.first_response = FirstResponse::Settled;
            let micros = self.fact(FactKind::FirstResponse, Some(agent), Some(since));
            self.count(Some(agent), |cell| cell.first_response.record(micros));
        }
        if let Some(since) = self.waiting_before() {
            let micros = self.fact(FactKind::ReplyTime, Some(agent), Some(since));
            self.count(Some(agent), |cell| cell.reply_time.record(micros));
        }
    }

    fn status(&mut self, from: Status, to: Status) {
        let assignee = self.conversation.assignee;
        if to == Status::Resolved && from != Status::Resolved {
            let resolver = match self.actor {
                Actor::User { user_id } => Some(*user_id),
                Actor::System | Actor::Channel { .. } => None,
            };
            let agent = assignee.or(resolver);
            self.fact(FactKind::Resolution, agent, Some(self.conversation.opened_at));
            self.count(agent, |cell| cell.resolved = 1);
            if let Some(since) = self.waiting_before() {
                self.fact(FactKind::AbandonedWait, assignee, Some(since));
            }
        } else if from == Status::Resolved && to != Status::Resolved {
            let resolved_at = self.state.resolved_at.filter(|_| self.known);
            self.fact(FactKind::Reopen, assignee, resolved_at);
            self.count(assignee, |cell| cell.reopened = 1);
            if matches!(self.state.first_response, FirstResponse::Runs(_)) {
                self.state.first_response = FirstResponse::Runs(self.conversation.opened_at);
            }
        }
    }

    /// Since when the contact had waited before this event.
    fn waiting_before(&self) -> Option<Timestamp> {
        self.state.waiting_since.filter(|_| self.known)
    }

    /// Adds a fact that ends now and returns how long it took, in microseconds.
    fn fact(&mut self, kind: FactKind, agent_id: Option<UserId>, start_at: Option<Timestamp>) -> i64 {
        let fact = Fact {
            id: EventId::derive(self.at, &[self.id.as_bytes(), kind.as_str().as_bytes()]),
            kind,
            conversation_id: self.conversation.id,
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            agent_id,
            labels: self.conversation.labels.iter().cloned().collect(),
            start_at,
            end_at: self.at,
        };
        let micros = fact.micros().unwrap_or(0);
        self.rows.push_fact(fact);
        micros
    }

    fn count(&mut self, agent_id: Option<UserId>, change: impl FnOnce(&mut Cell)) {
        let key = CellKey { channel_id: self.conversation.channel_id, agent_id };
        let mut delta = Cell::default();
        change(&mut delta);
        let minute = minute_of(self.at);
        self.window.add(minute, key, &delta);
        self.rows.add_cell(minute, key, &delta);
    }
}
