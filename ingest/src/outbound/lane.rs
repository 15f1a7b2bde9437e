//! One channel's messages that are to be sent, and what its provider bears.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use schemas::{ChannelId, ConversationId, MessageId, WorkspaceId};
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerSettings};
use super::limiter::RateLimiter;
use super::sender::Sender;

/// The longest time between two tries of a channel whose account or configuration is at fault.
const MAX_PAUSE: Duration = Duration::from_mins(15);

/// A message that is to be sent, without its content.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) workspace_id: WorkspaceId,
    pub(super) channel_id: ChannelId,
    pub(super) conversation_id: ConversationId,
    pub(super) message_id: MessageId,
    pub(super) seq: u64,
    /// Calls begun so far.
    pub(super) attempt: u32,
    /// Calls of which the message's own failure counts.
    pub(super) failures: u32,
    /// Look-ups that told nothing, since the last call.
    pub(super) look_ups: u32,
    /// `true` if the last call may have been taken.
    pub(super) unresolved: bool,
    /// From when on a look-up that finds nothing is believed.
    pub(super) settled_at: Instant,
    /// `true` if it waits only for the account or the configuration to be mended.
    pub(super) held: bool,
    /// When it is due.
    pub(super) due: Instant,
}

/// What a job says of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing was asked of the provider.
    Unknown,
    /// The provider answered.
    Answered,
    /// The provider answered that this account or channel is at fault.
    Refused,
    /// The provider could not be reached, did not answer or failed.
    Down,
}

/// The limits of a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) in_flight_per_channel: usize,
    pub(super) breaker: BreakerSettings,
    pub(super) first_pause: Duration,
    pub(super) tracked: usize,
}

/// Whether a channel can be used.
#[derive(Debug)]
pub(super) enum Gate {
    /// Its row must be read, from then on.
    Unread { from: Instant },
    /// Its messages go through this client.
    Open(Arc<dyn Sender>),
    /// It is switched off: its messages wait.
    Off,
}

#[derive(Debug)]
pub(super) struct Pause {
    pub(super) until: Instant,
    pub(super) length: Duration,
}

/// A message that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy {
    pub(super) seq: u64,
    /// The channel's settings with which its call was begun.
    pub(super) settings: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: BTreeMap<u64, Entry>,
    /// The message that is under way.
    pub(super) busy: Option<Busy>,
    /// What stands in [`Lane::due`] for this queue.
    pub(super) listed: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) workspace_id: WorkspaceId,
    pub(super) gate: Gate,
    /// Counts changes of the settings, so that a refusal of older ones is recognised.
    pub(super) settings: u64,
    pub(super) queues: HashMap<ConversationId, Queue>,
    /// The heads of the queues that are not busy.
    pub(super) due: BTreeSet<(Instant, ConversationId)>,
    pub(super) in_flight: usize,
    pub(super) limiter: RateLimiter,
    pub(super) breaker: Breaker,
    /// The provider asked for silence until then.
    pub(super) quiet_until: Option<Instant>,
    pub(super) pause: Option<Pause>,
    pub(super) in_rotation: bool,
}

impl Lane {
    pub(super) fn new(workspace_id: WorkspaceId, limits: &Limits, now: Instant) -> Self {
        Self {
            workspace_id,
            gate: Gate::Unread { from: now },
            settings: 0,
            queues: HashMap::new(),
            due: BTreeSet::new(),
            in_flight: 0,
            limiter: RateLimiter::new(1, now),
            breaker: Breaker::new(limits.breaker),
            quiet_until: None,
            pause: None,
            in_rotation: false,
        }
    }

    /// Puts the head of a queue where it belongs, after any change of the queue.
    pub(super) fn relist(&mut self, conversation_id: ConversationId) {
        let Some(queue) = self.queues.get_mut(&conversation_id) else {
            return;
        };
        if let Some(listed) = queue.listed.take() {
            self.due.remove(&(listed, conversation_id));
        }
        if queue.busy.is_some() {
            return;
        }
        match queue.messages.first_key_value() {
            Some((_, head)) => {
                queue.listed = Some(head.due);
                self.due.insert((head.due, conversation_id));
            }
            None => {
                self.queues.remove(&conversation_id);
            }
        }
    }

    /// The earliest moment at which this lane may begin a call; `None` if only an event or the end of a call changes that.
    pub(super) fn ready_at(&self, now: Instant, in_flight_limit: usize) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        match &self.gate {
            Gate::Unread { from } => return Some(*from),
            Gate::Off => return None,
            Gate::Open(_) => {}
        }
        // A paused or broken channel is tried with one call at a time.
        let limit = if self.pause.is_some() || self.breaker.is_open() { 1 } else { in_flight_limit };
        if self.in_flight >= limit {
            return None;
        }
        let waits = [self.pause.as_ref().map(|pause| pause.until), self.quiet_until, self.breaker.ready_at(now)];
        Some(waits.into_iter().flatten().fold(*due, Instant::max).max(self.limiter.ready_at(now)))
    }

    /// Draws the consequences of a call. Returns whether they are bad news.
    pub(super) fn note(&mut self, health: Health, first_pause: Duration, now: Instant) -> bool {
        match health {
            Health::Unknown => false,
            Health::Answered => {
                self.breaker.succeeded(now);
                self.pause = None;
                false
            }
            Health::Refused => {
                self.breaker.succeeded(now);
                let worsened = self.pause.is_none();
                let length = self.pause.as_ref().map_or(first_pause, |pause| (pause.length * 2).min(MAX_PAUSE));
                let until = now + length;
                self.pause = Some(Pause { until, length });
                // The next try is with what the row says by then.
                self.gate = Gate::Unread { from: until };
                worsened
            }
            Health::Down => self.breaker.failed(now),
        }
    }
}
