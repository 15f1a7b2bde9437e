//! Assignment by the hub: which agent gets which waiting conversation, and what becomes of those whose holder left.

use schemas::channel::AssignmentPolicy;
use schemas::command::TimerKind;
use schemas::event::{AssignmentReason, Event};
use schemas::workspace::Agent;
use schemas::{ConversationId, UserId};

use super::changes::Found;
use super::decide::{Decider, Ruling};
use super::evolve;

/// The most places of the queue that one command looks at, so that no command takes long. What is left goes with the next.
const QUEUE_STEPS_PER_COMMAND: usize = 100;

/// The most conversations that one command takes from somebody who left.
const RELEASED_PER_COMMAND: usize = 100;

/// The most people from whom one command takes conversations: fewer than the cache of what people hold has room for.
const HOLDERS_PER_COMMAND: usize = 50;

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
            let reason = AssignmentReason::Automatic;
            self.emit_in(id, Event::ConversationAssigned { from: None, to: Some(agent), reason })?;
            self.notify_of_assignment(id, agent, reason)?;
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

    /// Takes a conversation from somebody who handles none any more.
    pub(super) fn release_from_absent_agent(&mut self, id: ConversationId) -> Found<()> {
        let Some(user_id) = self.view.conversation(id)?.and_then(|stored| stored.conversation.assignee) else {
            return Ok(());
        };
        if self.view.agent(user_id)?.is_some_and(|agent| !agent.handles_conversations()) {
            let event =
                Event::ConversationAssigned { from: Some(user_id), to: None, reason: AssignmentReason::AgentLeft };
            self.emit_in(id, event)?;
        }
        Ok(())
    }

    /// Takes open conversations, oldest first, from whoever handles none any more, and gives them to others.
    ///
    /// What one command leaves is the business of a timer that is due at once, so that it is done even if the workspace is
    /// quiet, and a crash does not forget it.
    pub(super) fn release_from_absent_agents(&mut self) -> Ruling {
        let is_absent = |agent: &&Agent| !agent.handles_conversations() && agent.open_conversations > 0;
        let absent = self.view.agents()?.filter(is_absent).map(|agent| agent.user_id);
        let absent: Vec<UserId> = absent.take(HOLDERS_PER_COMMAND).collect();
        let mut held: Vec<ConversationId> = Vec::new();
        for user_id in absent {
            let room = RELEASED_PER_COMMAND + 1 - held.len();
            if room == 0 {
                break;
            }
            held.extend(self.view.held(user_id)?.iter().take(room));
        }
        let left = if held.len() > RELEASED_PER_COMMAND { held.pop() } else { None };
        self.view.must_know_conversations(&held)?;
        for id in held {
            self.release_from_absent_agent(id)?;
        }
        if let Some(id) = left {
            let timer = (self.at(), id, TimerKind::HolderLeft);
            self.view.changes.timers.insert((self.view.workspace_id, timer), true);
        }
        self.distribute()
    }
}
