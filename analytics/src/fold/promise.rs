//! What becomes of promises of service levels: a row for each that tells how it stands, and counts.

use schemas::event::Event;
use schemas::message::{Author, Direction};
use schemas::sla::{SlaChange, SlaClock, SlaStep, SlaTarget};
use schemas::{EventId, Timestamp, UserId};

use super::Step;
use super::cell::{Cell, Count};
use crate::rows::SlaRow;

impl Step<'_> {
    /// Counts what the event did to the conversation's promises.
    ///
    /// A promise that was broken counts when it was due, for whoever the conversation was assigned to then; one that was kept
    /// counts for who answered, or, if it was the resolution, for the assignee or else for who resolved it.
    pub(super) fn promises(&mut self, changes: Vec<SlaChange>, event: &Event) {
        for SlaChange { step, clock } in changes {
            let agent_id = self.responsible(step, clock.target, event);
            let counted_at = if step == SlaStep::Breached { clock.due_at.unwrap_or(self.at) } else { self.at };
            if let Some(count) = Count::of_promise(clock.target, step) {
                let mut delta = Cell::default();
                delta.add(count, 1);
                self.add_at(counted_at, agent_id, &delta);
            }
            let row = self.promise_row(step, clock, agent_id);
            self.rows.put_promise(row);
        }
    }

    fn responsible(&mut self, step: SlaStep, target: SlaTarget, event: &Event) -> Option<UserId> {
        let assignee = self.conversation.assignee;
        match step {
            SlaStep::Met => match event {
                Event::MessageAdded { message } if message.direction == Direction::Outbound => match message.author {
                    Author::Agent { user_id } => Some(user_id),
                    Author::Contact { .. } | Author::Bot { .. } => assignee,
                },
                _ => assignee.or_else(|| self.actor_id()),
            },
            SlaStep::Breached => {
                self.state.sla_missed_by.insert(target, assignee);
                assignee
            }
            SlaStep::Ended => self.state.sla_missed_by.remove(&target).unwrap_or(assignee),
            _ => assignee,
        }
    }

    fn promise_row(&self, step: SlaStep, clock: SlaClock, agent_id: Option<UserId>) -> SlaRow {
        let target = clock.target.as_str().as_bytes();
        SlaRow {
            id: EventId::derive(clock.started_at, &[self.conversation.id.as_bytes(), target]),
            version: self.offset,
            conversation_id: self.conversation.id,
            channel_id: self.conversation.channel_id,
            contact_id: self.conversation.contact_id,
            agent_id,
            labels: self.labels(),
            priority: self.conversation.priority,
            state: state_after(step, &clock),
            ended_at: is_over(step).then_some(self.at),
            clock,
            updated_at: self.at,
        }
    }
}

/// How a promise stands after a step.
const fn state_after(step: SlaStep, clock: &SlaClock) -> &'static str {
    match step {
        SlaStep::Met => "met",
        SlaStep::Breached | SlaStep::Ended => "missed",
        SlaStep::Dropped => "dropped",
        SlaStep::Paused => "paused",
        SlaStep::Started | SlaStep::Retargeted | SlaStep::Resumed | SlaStep::Warned => {
            if clock.left_micros.is_some() {
                "paused"
            } else if clock.warned {
                "at_risk"
            } else {
                "running"
            }
        }
    }
}

const fn is_over(step: SlaStep) -> bool {
    matches!(step, SlaStep::Met | SlaStep::Ended | SlaStep::Dropped)
}

impl SlaRow {
    /// When the promise was broken, if it was.
    pub fn breached_at(&self) -> Option<Timestamp> {
        self.clock.due_at.filter(|_| self.clock.breached)
    }
}
