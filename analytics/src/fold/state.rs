//! What the fold remembers of a conversation, and of a workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::calendar::{Calendar, business_micros};
use schemas::conversation::{Conversation, Status};
use schemas::service::ServiceSetting;
use schemas::sla::{SlaState, SlaTarget};
use schemas::{ChannelId, ConversationId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::cell::{Cell, CellKey, Window};
use super::fact::micros_from;
use super::gauge::Gauges;

/// How many resolved conversations of a workspace are remembered, those resolved last. A conversation that is opened again
/// after it was forgotten has a `reopen` fact without a start, and no first response any more.
pub const RESOLVED_KEPT: usize = 10_000;

/// Where the clock of a conversation's first response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstResponse {
    /// It runs since then.
    Runs(Timestamp),
    /// It has ended, or never begins: the workspace wrote first, or the beginning is not known.
    Settled,
}

/// What the fold remembers of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationState {
    /// Its channel.
    pub channel_id: ChannelId,
    /// Its status.
    pub status: Status,
    /// Its assignee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<UserId>,
    /// Since when the contact waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// The clock of the first response.
    pub first_response: FirstResponse,
    /// Since when it has its present assignee, or none; `None` if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_since: Option<Timestamp>,
    /// When it was resolved, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// Since when it is pending, if it is; `None` if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_since: Option<Timestamp>,
    /// Whether the contact has written and no person has ever answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_answered: bool,
    /// How its promises of service levels stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<SlaState>,
    /// Promises that are broken and have not ended, with whoever the conversation was assigned to when they were due.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sla_missed_by: BTreeMap<SlaTarget, Option<UserId>>,
    /// Since when its present holder holds it, if it has one; see [`ConversationState::holder`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    /// Who has held it since it was last opened.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<UserId, Holding>,
}

/// What somebody has had of a conversation since it was last opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// When they first held it.
    pub since: Timestamp,
    /// How long they held it, in microseconds; what still runs not counted.
    pub micros: i64,
    /// How much of that was business time; `None` if some of it was when no hours were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_micros: Option<i64>,
}

impl ConversationState {
    /// The state of a conversation that is first seen as `conversation`. Of its past, nothing is assumed.
    pub fn unknown(conversation: &Conversation) -> Self {
        Self {
            channel_id: conversation.channel_id,
            status: conversation.status,
            assignee: conversation.assignee,
            waiting_since: conversation.waiting_since,
            first_response: FirstResponse::Settled,
            assigned_since: None,
            resolved_at: conversation.resolved_at,
            pending_since: None,
            never_answered: never_answered(conversation),
            sla: sla_state(conversation),
            sla_missed_by: BTreeMap::new(),
            held_since: None,
            held: BTreeMap::new(),
        }
    }

    /// Who has it on their desk: its assignee, while it is open.
    pub fn holder(&self) -> Option<UserId> {
        self.assignee.filter(|_| self.status == Status::Open)
    }

    /// Whether it is open, the contact has written, and nobody has ever answered or they wait again.
    pub fn is_unattended(&self) -> bool {
        self.status == Status::Open && (self.never_answered || self.waiting_since.is_some())
    }

    /// Ends the holding that runs, at this instant.
    pub fn let_go(&mut self, at: Timestamp, calendar: Option<&Calendar>) {
        if let (Some(holder), Some(since)) = (self.holder(), self.held_since.take()) {
            let nothing = Holding { since, micros: 0, business_micros: Some(0) };
            let holding = self.held.entry(holder).or_insert(nothing);
            holding.micros = holding.micros.saturating_add(micros_from(since, at));
            let business = business_micros(calendar, since, at);
            holding.business_micros = holding.business_micros.zip(business).map(|(sum, more)| sum.saturating_add(more));
        }
    }

    /// Takes over what the conversation says of itself after an event at this instant.
    pub fn follow(&mut self, conversation: &Conversation, at: Timestamp) {
        if conversation.status != Status::Pending {
            self.pending_since = None;
        } else if self.status != Status::Pending {
            self.pending_since = Some(at);
        }
        self.channel_id = conversation.channel_id;
        self.status = conversation.status;
        self.assignee = conversation.assignee;
        self.waiting_since = conversation.waiting_since;
        self.resolved_at = conversation.resolved_at;
        self.never_answered = never_answered(conversation);
        self.sla = sla_state(conversation);
        if self.holder().is_some() {
            self.held_since.get_or_insert(at);
        }
    }

    /// The gauge in which it counts.
    pub const fn key(&self) -> CellKey {
        CellKey { channel_id: self.channel_id, agent_id: self.assignee }
    }
}

fn sla_state(conversation: &Conversation) -> Option<SlaState> {
    conversation.sla.as_ref().map(|sla| sla.state)
}

fn never_answered(conversation: &Conversation) -> bool {
    conversation.inbound_count > 0 && conversation.first_reply_at.is_none()
}

/// What the fold remembers of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceFold {
    /// Its conversations: all that are not resolved, and the [`RESOLVED_KEPT`] that were resolved last.
    pub conversations: BTreeMap<ConversationId, ConversationState>,
    /// Those of them that are resolved, by when.
    resolved: BTreeSet<(Timestamp, ConversationId)>,
    /// How many stand where.
    pub gauges: Gauges,
    /// What happened in the last 24 hours.
    pub window: Window,
    /// When it is at work, as it last said.
    hours: Option<ServiceSetting>,
    /// The calendar of these hours; follows from them.
    calendar: Option<Arc<Calendar>>,
    /// Grows with each event; begins at 0 with each process.
    pub revision: u64,
}

impl WorkspaceFold {
    /// Takes over when the workspace is at work.
    pub fn set_hours(&mut self, hours: ServiceSetting) {
        self.calendar = hours.calendar().map(Arc::new);
        self.hours = Some(hours);
    }

    /// The hours that hold now.
    pub fn calendar(&self) -> Option<Arc<Calendar>> {
        self.calendar.clone()
    }

    /// Forgets a conversation's state and returns it, counted out of everything.
    pub fn take(&mut self, id: ConversationId) -> Option<ConversationState> {
        let state = self.conversations.remove(&id)?;
        self.gauges.leave(id, &state);
        if let Some(at) = state.resolved_at {
            self.resolved.remove(&(at, id));
        }
        Some(state)
    }

    /// Remembers a conversation's state. [`WorkspaceFold::take`] comes before.
    pub fn put(&mut self, id: ConversationId, state: ConversationState) {
        self.gauges.enter(id, &state);
        if let Some(at) = state.resolved_at {
            self.resolved.insert((at, id));
        }
        self.conversations.insert(id, state);
        while self.resolved.len() > RESOLVED_KEPT {
            if let Some((_, oldest)) = self.resolved.pop_first() {
                self.conversations.remove(&oldest);
            }
        }
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty() && self.window.is_empty() && self.hours.is_none()
    }
}

/// A workspace in a snapshot. Gauges and sums follow from the rest.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkspaceSnapshot {
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// When it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<ServiceSetting>,
    /// Its conversations.
    pub conversations: Vec<(ConversationId, ConversationState)>,
    /// Its cells.
    pub cells: Vec<(i64, CellKey, Cell)>,
}

impl WorkspaceSnapshot {
    /// What is to be remembered of a workspace.
    pub fn of(workspace_id: WorkspaceId, workspace: &WorkspaceFold) -> Self {
        Self {
            workspace_id,
            hours: workspace.hours.clone(),
            conversations: workspace.conversations.iter().map(|(id, state)| (*id, state.clone())).collect(),
            cells: workspace.window.cells().map(|(minute, key, cell)| (minute, key, cell.clone())).collect(),
        }
    }

    /// The workspace as it was.
    pub fn restore(self) -> (WorkspaceId, WorkspaceFold) {
        let mut workspace = WorkspaceFold::default();
        if let Some(hours) = self.hours {
            workspace.set_hours(hours);
        }
        for (id, state) in self.conversations {
            workspace.put(id, state);
        }
        for (minute, key, cell) in self.cells {
            workspace.window.add(minute, key, &cell);
        }
        (self.workspace_id, workspace)
    }
}
