//! Automatic assignment: which agent gets which waiting conversation.

use schemas::channel::AssignmentPolicy;
use schemas::event::{AssignmentReason, Event};
use schemas::{ConversationId, UserId};

use super::changes::Found;
use super::decide::{Decider, Ruling};
use super::evolve;

/// The most places of the queue that one command looks at, so that no command takes long. What is left goes with the next.
const QUEUE_STEPS_PER_COMMAND: usize = 100;

impl Decider<'_> {
    /// Gives waiting conversations to agents who take new ones, longest waiting first.
    pub(super) fn distribute(&mut self) -> Ruling {
        self.distribute_except(None)
    }

    /// As [`Self::distribute`], but nothing goes to `except`: they have just given one back.
    pub(super) fn distribute_except(&mut self, except: Option<UserId>) -> Ruling {
        let mut after = None;
        for _ in 0..QUEUE_STEPS_PER_COMMAND {
            let Some(place) = self.view.next_in_queue(after)? else {
                return Ok(());
            };
            after = Some(place);
            let (_, id) = place;
            let Some(stored) = self.view.conversation(id)? else {
                continue;
            };
            let policy = match self.view.channel(stored.conversation.channel_id)? {
                Some(channel) => channel.assignment,
                None => AssignmentPolicy::Manual,
            };
            if policy == AssignmentPolicy::Manual {
                // The policy was switched off while this one waited.
                evolve::leave_queue(&mut self.view, id)?;
                continue;
            }
            let Some(agent) = self.pick_agent(policy, except)? else {
                return Ok(());
            };
            let event =
                Event::ConversationAssigned { from: None, to: Some(agent), reason: AssignmentReason::Automatic };
            self.emit_in(id, event)?;
        }
        Ok(())
    }

    /// Who gets the next conversation. Ties go to the smallest id, so that a replay picks the same one.
    fn pick_agent(&self, policy: AssignmentPolicy, except: Option<UserId>) -> Found<Option<UserId>> {
        let free = self.view.agents()?.filter(|agent| agent.takes_new_conversations() && Some(agent.user_id) != except);
        let picked = match policy {
            AssignmentPolicy::Manual => None,
            AssignmentPolicy::RoundRobin => free.min_by_key(|agent| (agent.last_assigned, agent.user_id)),
            AssignmentPolicy::FewestOpen => {
                free.min_by_key(|agent| (agent.open_conversations, agent.last_assigned, agent.user_id))
            }
        };
        Ok(picked.map(|agent| agent.user_id))
    }

    /// Takes a conversation from somebody who has left the workspace.
    pub(super) fn release_from_absent_agent(&mut self, id: ConversationId) -> Ruling {
        let Some(user_id) = self.require(id)?.conversation.assignee else {
            return Ok(());
        };
        if self.view.agent(user_id)?.is_some_and(|agent| !agent.active) {
            let event =
                Event::ConversationAssigned { from: Some(user_id), to: None, reason: AssignmentReason::AgentLeft };
            self.emit_in(id, event)?;
        }
        Ok(())
    }
}
