//! The clocks of service levels: when they start, stand still, are due and end.
//!
//! [`follow`] compares a conversation before and after an event and is pure, as `evolve` is. A clock's instants are computed when
//! it is set going, by the hours that hold then; one timer a conversation waits for the earliest of them. Before anything else
//! happens to a conversation, what has become due by then is recorded (`Decider::tell_overdue`), so the outcome does not depend on
//! how punctual timers are.

use schemas::Timestamp;
use schemas::conversation::{Conversation, Status};
use schemas::event::Event;
use schemas::message::Direction;
use schemas::sla::{ConversationSla, SlaChange, SlaClock, SlaPolicy, SlaStep, SlaTarget};

use super::changes::Found;
use super::decide::Decider;
use super::service::Service;
use super::state::StoredConversation;

/// The most warnings and breaches that one command records of a conversation: two for each target.
const INSTANTS_AT_ONCE: usize = 6;

/// Takes the clocks of a conversation through an event that happened to it, and tells what that did to them.
pub(super) fn follow(
    before: Option<&Conversation>,
    after: &mut StoredConversation,
    service: &Service,
    event: &Event,
    at: Timestamp,
) -> Vec<SlaChange> {
    if service.policies().is_empty() && after.conversation.sla.is_none() {
        return Vec::new();
    }
    let clocks = after.conversation.sla.as_ref().map(|sla| sla.clocks.clone()).unwrap_or_default();
    let mut step = Step { service, at, after, clocks, changes: Vec::new() };
    step.end(before, event);
    step.mark(event);
    if is_matched_anew(before, step.after.conversation.as_ref(), event) {
        step.match_anew();
    } else if begins_to_wait(before, &step.after.conversation) {
        step.start_if_promised(SlaTarget::NextResponse);
    }
    step.pause_or_resume(before);
    let Step { clocks, changes, .. } = step;
    if !changes.is_empty() {
        std::sync::Arc::make_mut(&mut after.conversation).sla = ConversationSla::of(clocks);
    }
    changes
}

/// The earliest instant at which something is to be recorded of a conversation's clocks.
pub(super) fn next_instant(conversation: &Conversation) -> Option<Timestamp> {
    conversation.sla.as_ref()?.clocks.iter().filter_map(SlaClock::next_instant).min()
}

/// Whether the policies are looked through: when a conversation opens, and when something changes by which they choose.
fn is_matched_anew(before: Option<&Conversation>, after: &Conversation, event: &Event) -> bool {
    let opens = before.is_none_or(|before| before.status == Status::Resolved) && after.status != Status::Resolved;
    opens || matches!(event, Event::ConversationPriorityChanged { .. } | Event::ConversationLabelsChanged { .. })
}

fn begins_to_wait(before: Option<&Conversation>, after: &Conversation) -> bool {
    after.waiting_since.is_some() && before.is_some_and(|before| before.waiting_since.is_none())
}

/// Clocks on their way through an event.
struct Step<'a> {
    service: &'a Service,
    at: Timestamp,
    after: &'a StoredConversation,
    clocks: Vec<SlaClock>,
    changes: Vec<SlaChange>,
}

impl<'a> Step<'a> {
    /// Ends the clocks whose promise was kept or has lost its sense.
    fn end(&mut self, before: Option<&Conversation>, event: &Event) {
        let is_answer = matches!(event, Event::MessageAdded { message }
            if message.direction == Direction::Outbound && message.author.is_human_agent());
        let resolved = self.after.conversation.status == Status::Resolved
            && before.is_some_and(|before| before.status != Status::Resolved);
        if !is_answer && !resolved {
            return;
        }
        for clock in std::mem::take(&mut self.clocks) {
            let is_kept = if clock.target == SlaTarget::Resolution { resolved } else { is_answer };
            let step = match (is_kept, resolved, clock.breached) {
                (false, false, _) => {
                    self.clocks.push(clock);
                    continue;
                }
                (.., true) => SlaStep::Ended,
                (true, ..) => SlaStep::Met,
                (false, true, false) => SlaStep::Dropped,
            };
            self.changes.push(SlaChange { step, clock });
        }
    }

    /// Takes over that a warning was given, or that a clock was due.
    fn mark(&mut self, event: &Event) {
        let (wanted, step) = match event {
            Event::SlaWarned { target, .. } => (*target, SlaStep::Warned),
            Event::SlaBreached { target, .. } => (*target, SlaStep::Breached),
            _ => return,
        };
        for clock in self.clocks.iter_mut().filter(|clock| clock.target == wanted) {
            clock.warn_at = None;
            match step {
                SlaStep::Warned => clock.warned = true,
                _ => clock.breached = true,
            }
            self.changes.push(SlaChange { step, clock: clock.clone() });
        }
    }

    /// Finds the policy that holds now, and sets the clocks by it. What is broken stays so.
    fn match_anew(&mut self) {
        let policy = self.policy();
        for mut clock in std::mem::take(&mut self.clocks) {
            if clock.breached || policy.is_some_and(|policy| policy.id == clock.policy_id) {
                self.clocks.push(clock);
                continue;
            }
            let promised = policy.and_then(|policy| Some((policy, policy.seconds(clock.target)?)));
            let used = self.used_up(&clock);
            let Some((policy, goal)) = promised else {
                self.changes.push(SlaChange { step: SlaStep::Dropped, clock });
                continue;
            };
            let set = used.and_then(|used| self.set(policy, clock.target, goal, clock.started_at, used));
            let step = if set.is_some() { SlaStep::Retargeted } else { SlaStep::Dropped };
            if let Some(set) = set {
                clock = SlaClock { warned: false, ..set };
                self.clocks.push(clock.clone());
            }
            self.changes.push(SlaChange { step, clock });
        }
        for target in SlaTarget::ALL {
            self.start_if_promised(target);
        }
    }

    fn policy(&self) -> Option<&'a SlaPolicy> {
        let service = self.service;
        service.policies().iter().find(|policy| policy.matches(&self.after.conversation))
    }

    /// Starts a clock, if the promise makes sense now, the policy makes it, and none runs.
    fn start_if_promised(&mut self, target: SlaTarget) {
        let conversation = &self.after.conversation;
        let is_open = conversation.status != Status::Resolved;
        let unanswered = self.after.engine.unanswered_since;
        let started_at = match target {
            SlaTarget::FirstResponse => unanswered,
            SlaTarget::NextResponse => conversation.waiting_since.filter(|_| unanswered.is_none()),
            SlaTarget::Resolution => Some(conversation.opened_at),
        };
        let Some(started_at) = started_at.filter(|_| is_open) else { return };
        if self.clocks.iter().any(|clock| clock.target == target) {
            return;
        }
        let Some(policy) = self.policy() else { return };
        let Some(goal) = policy.seconds(target) else { return };
        let used = self.between(policy.business_time, started_at, self.at);
        let Some(clock) = used.and_then(|used| self.set(policy, target, goal, started_at, used)) else { return };
        self.clocks.push(clock.clone());
        self.changes.push(SlaChange { step: SlaStep::Started, clock });
    }

    /// A clock of a policy of which so much is used up by now; `None` if its instants cannot be told, because it counts business
    /// time and there are no hours.
    fn set(
        &self,
        policy: &SlaPolicy,
        target: SlaTarget,
        goal_seconds: u32,
        started_at: Timestamp,
        used_micros: i64,
    ) -> Option<SlaClock> {
        let left = (i64::from(goal_seconds) * 1_000_000 - used_micros).max(0);
        let mut clock = SlaClock {
            target,
            policy_id: policy.id,
            started_at,
            goal_seconds,
            business_time: policy.business_time,
            pauses: policy.pauses.clone(),
            warn_percent: policy.warn_percent,
            due_at: None,
            warn_at: None,
            left_micros: Some(left),
            warned: false,
            breached: false,
        };
        if !clock.pauses.contains(&self.after.conversation.status) {
            self.run(&mut clock)?;
        }
        Some(clock)
    }

    /// Sets a paused clock going.
    fn run(&self, clock: &mut SlaClock) -> Option<()> {
        let left = clock.left_micros?;
        clock.due_at = Some(self.later(clock.business_time, left)?);
        let percent = clock.warn_percent.filter(|_| !clock.warned);
        clock.warn_at = percent.and_then(|percent| {
            // A warning whose moment is past is given at once, unless the clock is due at once, too.
            let after_warning = i64::from(clock.goal_seconds) * 10_000 * (100 - i64::from(percent.min(99)));
            let until = (left - after_warning).max(0);
            if left > 0 { self.later(clock.business_time, until) } else { None }
        });
        clock.left_micros = None;
        Some(())
    }

    /// Stops clocks when the conversation enters a status in which they are paused, and sets them going when it leaves it.
    fn pause_or_resume(&mut self, before: Option<&Conversation>) {
        let status = self.after.conversation.status;
        if before.is_none_or(|before| before.status == status) {
            return;
        }
        for mut clock in std::mem::take(&mut self.clocks) {
            let is_paused = clock.left_micros.is_some();
            if clock.breached || clock.pauses.contains(&status) == is_paused {
                self.clocks.push(clock);
                continue;
            }
            let step = if is_paused {
                self.run(&mut clock).map(|()| SlaStep::Resumed)
            } else {
                self.stop(&mut clock).map(|()| SlaStep::Paused)
            };
            let step = step.unwrap_or(SlaStep::Dropped);
            if step != SlaStep::Dropped {
                self.clocks.push(clock.clone());
            }
            self.changes.push(SlaChange { step, clock });
        }
    }

    fn stop(&self, clock: &mut SlaClock) -> Option<()> {
        let left = self.between(clock.business_time, self.at, clock.due_at?)?;
        clock.left_micros = Some(left);
        clock.due_at = None;
        clock.warn_at = None;
        Some(())
    }

    /// How much of its time a clock has used up, in microseconds.
    fn used_up(&self, clock: &SlaClock) -> Option<i64> {
        let left = match (clock.left_micros, clock.due_at) {
            (Some(left), _) => left,
            (None, Some(due_at)) => self.between(clock.business_time, self.at, due_at)?,
            (None, None) => return None,
        };
        Some(i64::from(clock.goal_seconds) * 1_000_000 - left)
    }

    /// The time between two instants in microseconds; `None` for business time where there are no hours.
    fn between(&self, business_time: bool, from: Timestamp, to: Timestamp) -> Option<i64> {
        if business_time {
            return self.service.calendar().map(|calendar| calendar.micros_between(from, to));
        }
        Some(to.unix_micros().saturating_sub(from.unix_micros()).max(0))
    }

    /// The instant at which so much time has passed from now on.
    fn later(&self, business_time: bool, micros: i64) -> Option<Timestamp> {
        if business_time {
            return self.service.calendar().and_then(|calendar| calendar.after(self.at, micros));
        }
        Some(Timestamp::from_unix_micros(self.at.unix_micros().saturating_add(micros)))
    }
}

impl Decider<'_> {
    /// Records which of a conversation's clocks were to warn or were due by `now`, in the order of these instants.
    pub(super) fn tell_overdue(&mut self, id: schemas::ConversationId, now: Timestamp) -> Found<()> {
        for _ in 0..INSTANTS_AT_ONCE {
            let Some(stored) = self.view.conversation(id)? else { return Ok(()) };
            let Some(event) = stored.conversation.sla.as_ref().and_then(|sla| overdue(&sla.clocks, now)) else {
                return Ok(());
            };
            self.put_event(id, event)?;
        }
        Ok(())
    }
}

/// What is to be recorded first of these clocks. Who is told that a clock was due needs no warning any more.
fn overdue(clocks: &[SlaClock], now: Timestamp) -> Option<Event> {
    let waiting = clocks.iter().filter_map(|clock| Some((clock.next_instant().filter(|next| *next <= now)?, clock)));
    let (_, clock) = waiting.min_by_key(|(next, clock)| (*next, clock.target))?;
    let SlaClock { target, policy_id, .. } = *clock;
    let due_at = clock.due_at?;
    Some(if due_at <= now {
        Event::SlaBreached { target, policy_id, due_at }
    } else {
        Event::SlaWarned { target, policy_id, due_at }
    })
}
