//! The rules for what people wish of conversations, contacts and themselves, and for timers.

use std::collections::BTreeSet;

use schemas::command::TimerKind;
use schemas::conversation::{Priority, Status};
use schemas::event::{AssignmentReason, Event, Rejection, StatusReason};
use schemas::message::{Author, Body, Direction};
use schemas::workspace::{Agent, Availability};
use schemas::{ContactId, ConversationId, Timestamp, UserId};

use super::decide::{Decider, Ruling, Stop, check_text, reject};
use super::evolve;

/// The most labels that a conversation may have.
const LABELS_PER_CONVERSATION: usize = 50;

/// The most characters of a label.
const LABEL_CHARS: usize = 50;

/// The most characters of a private note.
const NOTE_CHARS: usize = 10_000;

impl Decider<'_> {
    pub(super) fn add_note(&mut self, id: ConversationId, author: &Author, text: &str, mentions: &[UserId]) -> Ruling {
        self.require(id)?;
        check_text("text", text, NOTE_CHARS)?;
        let mentions: BTreeSet<_> = mentions.iter().copied().collect();
        for user_id in &mentions {
            if self.view.agent(*user_id)?.is_none_or(|agent| !agent.active) {
                let reason = format!("mentions: {user_id} is not a member of this workspace");
                return Err(reject(Rejection::InvalidValue, reason));
            }
        }
        let mut note = self.new_message(id, Direction::Note, author.clone(), Body::text(text))?;
        note.mentions = mentions.iter().copied().collect();
        let seq = note.seq;
        self.add_message(note)?;
        for user_id in mentions {
            self.notify_of_mention(id, user_id, seq, text)?;
        }
        Ok(())
    }

    pub(super) fn set_status(&mut self, id: ConversationId, to: Status, snoozed_until: Option<Timestamp>) -> Ruling {
        if self.move_to(id, to, snoozed_until)? { self.distribute() } else { Ok(()) }
    }

    /// Makes a change of status that somebody asks for, if it is allowed; says whether it is one. What it makes room for is
    /// not distributed yet.
    pub(super) fn move_to(
        &mut self,
        id: ConversationId,
        to: Status,
        snoozed_until: Option<Timestamp>,
    ) -> Result<bool, Stop> {
        let conversation = &self.require(id)?.conversation;
        let from = conversation.status;
        if from == to && (to != Status::Snoozed || conversation.snoozed_until == snoozed_until) {
            return Ok(false);
        }
        if !from.may_become(to) {
            let reason =
                format!("status: a {} conversation cannot become {}; open it first", from.as_str(), to.as_str());
            return Err(reject(Rejection::InvalidTransition, reason));
        }
        match snoozed_until {
            Some(_) if to != Status::Snoozed => {
                let reason = "snoozed_until: only the status snoozed takes a time; leave it out";
                return Err(reject(Rejection::InvalidValue, reason));
            }
            Some(until) if until <= self.at() => {
                let reason = format!("snoozed_until: {until} is not in the future");
                return Err(reject(Rejection::InvalidValue, reason));
            }
            _ => {}
        }
        self.change_status(id, to, StatusReason::Asked, snoozed_until)?;
        Ok(true)
    }

    pub(super) fn set_priority(&mut self, id: ConversationId, to: Priority) -> Ruling {
        let from = self.require(id)?.conversation.priority;
        if from != to {
            self.emit_in(id, Event::ConversationPriorityChanged { from, to })?;
        }
        Ok(())
    }

    /// Publishes a change of status that is allowed. `snoozed_until` counts only for [`Status::Snoozed`]. What becomes open is
    /// taken from a holder who handles no conversations any more: nobody else would see it.
    pub(super) fn change_status(
        &mut self,
        id: ConversationId,
        to: Status,
        reason: StatusReason,
        snoozed_until: Option<Timestamp>,
    ) -> Ruling {
        let from = self.require(id)?.conversation.status;
        self.emit_in(id, Event::ConversationStatusChanged { from, to, reason, snoozed_until })?;
        if to == Status::Open {
            self.release_from_absent_agent(id)?;
        }
        Ok(())
    }

    pub(super) fn assign(&mut self, id: ConversationId, to: Option<UserId>) -> Ruling {
        if self.require(id)?.conversation.assignee == to {
            return Ok(());
        }
        let from = self.hand_to(id, to)?;
        self.distribute_except(from)
    }

    /// Makes a change of assignee that somebody asks for, if it is allowed, and says who loses it. What that makes room for is
    /// not distributed yet.
    pub(super) fn hand_to(&mut self, id: ConversationId, to: Option<UserId>) -> Result<Option<UserId>, Stop> {
        let from = self.require(id)?.conversation.assignee;
        if from == to {
            return Ok(None);
        }
        if let Some(user_id) = to {
            let agent = self.view.agent(user_id)?;
            if agent.is_none_or(|agent| !agent.handles_conversations()) {
                let reason = format!("assignee: {user_id} is not a member who handles conversations");
                return Err(reject(Rejection::InvalidValue, reason));
            }
        }
        let reason = AssignmentReason::Asked;
        self.emit_in(id, Event::ConversationAssigned { from, to, reason })?;
        if let Some(user_id) = to {
            self.notify_of_assignment(id, user_id, reason)?;
        }
        Ok(from)
    }

    pub(super) fn change_labels(&mut self, id: ConversationId, add: &[String], remove: &[String]) -> Ruling {
        let labels = &self.require(id)?.conversation.labels;
        let mut added = BTreeSet::new();
        for label in add {
            check_text("add", label, LABEL_CHARS)?;
            if !labels.contains(label) {
                added.insert(label.clone());
            }
        }
        let removed: BTreeSet<_> =
            remove.iter().filter(|label| labels.contains(*label) && !added.contains(*label)).cloned().collect();
        if labels.len() + added.len() - removed.len() > LABELS_PER_CONVERSATION {
            let reason = format!("add: a conversation has at most {LABELS_PER_CONVERSATION} labels; remove some");
            return Err(reject(Rejection::InvalidValue, reason));
        }
        if !added.is_empty() || !removed.is_empty() {
            let (added, removed) = (added.into_iter().collect(), removed.into_iter().collect());
            self.emit_in(id, Event::ConversationLabelsChanged { added, removed })?;
        }
        Ok(())
    }

    pub(super) fn mark_read(&mut self, id: ConversationId, user_id: UserId, seq: u64) -> Ruling {
        let stored = self.require(id)?;
        let seq = seq.min(stored.conversation.last_seq);
        let seen = evolve::seen_up_to(stored, seq);
        if seen > stored.conversation.reads.get(&user_id).copied().unwrap_or(0) {
            self.emit_in(id, Event::ConversationRead { user_id, seq })?;
        }
        Ok(())
    }

    pub(super) fn update_contact(
        &mut self,
        id: ContactId,
        name: Option<&str>,
        email: Option<&str>,
        blocked: Option<bool>,
    ) -> Ruling {
        let Some(known) = self.view.contact(id)? else {
            let reason = format!("contact_id: there is no contact {id} in this workspace");
            return Err(reject(Rejection::NotFound, reason));
        };
        let mut contact = known.clone();
        if let Some(name) = name {
            check_text("name", name, 200)?;
            contact.name = Some(name.trim().to_owned());
            contact.name_is_set = true;
        }
        if let Some(email) = email {
            if !email.is_empty() && !email.contains('@') {
                let reason = format!("email: {email:?} is not an e-mail address");
                return Err(reject(Rejection::InvalidValue, reason));
            }
            contact.email = Some(email.to_owned()).filter(|email| !email.is_empty());
        }
        contact.blocked = blocked.unwrap_or(contact.blocked);
        if contact != *known {
            self.emit(Event::ContactUpdated { contact })?;
        }
        Ok(())
    }

    pub(super) fn configure_agent(&mut self, agent: &Agent) -> Ruling {
        let known = self.view.agent(agent.user_id)?;
        // Presence and counts belong to the engine; a change of settings does not touch them.
        let merged = match known {
            Some(known) => Agent {
                availability: known.availability,
                connected: known.connected,
                gateways: known.gateways.clone(),
                open_conversations: known.open_conversations,
                last_assigned: known.last_assigned,
                ..agent.clone()
            },
            None => Agent {
                availability: Availability::Online,
                connected: false,
                gateways: BTreeSet::new(),
                open_conversations: 0,
                last_assigned: 0,
                ..agent.clone()
            },
        };
        if known == Some(&merged) {
            return Ok(());
        }
        self.emit(Event::AgentConfigured { agent: merged })?;
        self.release_from_absent_agents()
    }

    /// `connection` is whether a socket is connected at a gateway. Each gateway speaks for its own sockets, and a person is
    /// connected for as long as one of them says so.
    pub(super) fn set_presence(
        &mut self,
        user_id: UserId,
        availability: Option<Availability>,
        connection: Option<(bool, &str)>,
    ) -> Ruling {
        let Some(agent) = self.view.agent(user_id)? else {
            let reason = format!("user_id: {user_id} is not a member of this workspace");
            return Err(reject(Rejection::NotFound, reason));
        };
        let availability = availability.unwrap_or(agent.availability);
        let mut gateways = agent.gateways.clone();
        let connected = match connection {
            None => agent.connected,
            Some((true, gateway)) => {
                gateways.insert(gateway.to_owned());
                true
            }
            Some((false, gateway)) => {
                gateways.remove(gateway);
                !gateways.is_empty()
            }
        };
        let is_news = (availability, connected) != (agent.availability, agent.connected);
        if !is_news && gateways == agent.gateways {
            return Ok(());
        }
        self.emit(Event::AgentPresenceChanged { user_id, availability, connected, gateways })?;
        if is_news { self.distribute() } else { Ok(()) }
    }

    pub(super) fn fire_timer(&mut self, id: ConversationId, timer: TimerKind, due: Timestamp) -> Ruling {
        let Some(stored) = self.view.conversation(id)? else {
            return Ok(());
        };
        let conversation = &stored.conversation;
        match timer {
            TimerKind::HolderLeft => {
                self.view.changes.timers.insert((self.view.workspace_id, (due, id, timer)), false);
                self.release_from_absent_agents()?;
            }
            TimerKind::Sla => self.tell_overdue(id, due.max(self.at()))?,
            TimerKind::SnoozeEnds => {
                if conversation.status == Status::Snoozed && conversation.snoozed_until == Some(due) {
                    self.change_status(id, Status::Open, StatusReason::SnoozeEnded, None)?;
                    self.distribute()?;
                }
            }
        }
        Ok(())
    }
}
