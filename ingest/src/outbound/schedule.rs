//! Which message is sent next: the state of one partition's worker, without I/O.
//!
//! Messages stand in lanes, one a channel, and within a lane in queues, one a conversation. Only the head of a queue is
//! ever sent, and a queue sends one message at a time; so messages of a conversation go out by `seq`, and one that waits
//! holds back those behind it. Lanes take turns, each with its own limits, so that a channel that hangs holds up no other.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use schemas::{ChannelId, ConversationId, MessageId, WorkspaceId};
use tokio::time::Instant;

use super::lane::{Busy, Entry, Gate, Health, Lane, Limits};
use super::sender::Sender;

/// The most messages that a worker keeps in mind; what is beyond waits in the table.
pub(super) const MAX_TRACKED: usize = 100_000;

/// The most calls of one worker that are under way at a time, over all channels.
const MAX_IN_FLIGHT: usize = 1_024;

/// A message that is to be sent now.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) sender: Arc<dyn Sender>,
}

/// What became of a job's message.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is off the list: sent, failed for good, or gone from the table. Events about it that stem from commands up to
    /// this offset tell nothing new.
    Done { fence: Option<u64> },
    /// It waits, as the entry says.
    Waits(Entry),
}

/// Whether a message was taken into a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Added,
    /// It is there already, or was dealt with.
    Known,
    Full,
}

/// The state of one partition's worker.
#[derive(Debug)]
pub(super) struct Schedule {
    limits: Limits,
    lanes: HashMap<ChannelId, Lane>,
    /// Where each message stands.
    places: HashMap<MessageId, (ChannelId, ConversationId, u64)>,
    /// Lanes with something due, in the order of their turns.
    rotation: VecDeque<ChannelId>,
    in_flight: usize,
    /// For messages that are done: the last command about them that was ours.
    fences: HashMap<MessageId, u64>,
    fences_by_offset: BTreeSet<(u64, MessageId)>,
    /// Messages that were queued again before the end of the job that had sent them was taken in here.
    again: HashSet<MessageId>,
    /// Whether such a job has ended since: the row of its message is to be read.
    missed: bool,
}

impl Schedule {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            places: HashMap::new(),
            rotation: VecDeque::new(),
            in_flight: 0,
            fences: HashMap::new(),
            fences_by_offset: BTreeSet::new(),
            again: HashSet::new(),
            missed: false,
        }
    }

    /// How many messages it keeps in mind.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn paused_channels(&self) -> usize {
        self.lanes.values().filter(|lane| lane.pause.is_some()).count()
    }

    pub(super) fn open_breakers(&self) -> usize {
        self.lanes.values().filter(|lane| lane.breaker.is_open()).count()
    }

    /// Whether an event about a message, from the command at this offset, tells nothing new.
    pub(super) fn is_stale(&self, message_id: MessageId, offset: u64) -> bool {
        self.fences.get(&message_id).is_some_and(|fence| offset <= *fence)
    }

    /// Notes that events have been read up to a command: what was remembered to recognise older ones may go.
    pub(super) fn passed(&mut self, offset: u64) {
        while let Some((fence, message_id)) =
            self.fences_by_offset.first().copied().filter(|(fence, _)| *fence < offset)
        {
            self.fences_by_offset.remove(&(fence, message_id));
            if self.fences.get(&message_id) == Some(&fence) {
                self.fences.remove(&message_id);
            }
        }
    }

    pub(super) fn knows(&self, message_id: MessageId) -> bool {
        self.places.contains_key(&message_id)
    }

    /// Notes that a message was queued again, by the command at this offset: so what was done of it before then is over.
    pub(super) fn queued_again(&mut self, message_id: MessageId, offset: u64) {
        if self.is_under_way(message_id) {
            self.again.insert(message_id);
        } else if self.fences.get(&message_id).is_some_and(|fence| *fence <= offset) {
            // The very command that ended the job may have queued the message again, by a report that had come before.
            self.fences.remove(&message_id);
        }
    }

    /// Whether a message was queued again whose job was still under way, and has ended since. Asked once for each.
    pub(super) fn missed_a_message(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    fn is_under_way(&self, message_id: MessageId) -> bool {
        let busy = |(channel_id, conversation_id, seq): &(ChannelId, ConversationId, u64)| {
            let queue = self.lanes.get(channel_id).and_then(|lane| lane.queues.get(conversation_id));
            queue.and_then(|queue| queue.busy).is_some_and(|busy| busy.seq == *seq)
        };
        self.places.get(&message_id).is_some_and(busy)
    }

    /// Takes a message in.
    pub(super) fn admit(&mut self, entry: Entry, now: Instant) -> Admission {
        // With a fence its row may be older than what was done: the events that it reflects are not read that far.
        if self.knows(entry.message_id) || self.fences.contains_key(&entry.message_id) {
            return Admission::Known;
        }
        if self.places.len() >= self.limits.tracked {
            return Admission::Full;
        }
        let (channel_id, conversation_id) = (entry.channel_id, entry.conversation_id);
        self.places.insert(entry.message_id, (channel_id, conversation_id, entry.seq));
        let limits = &self.limits;
        let lane = self.lanes.entry(channel_id).or_insert_with(|| Lane::new(entry.workspace_id, limits, now));
        lane.queues.entry(conversation_id).or_default().messages.insert(entry.seq, entry);
        lane.relist(conversation_id);
        self.rotate_in(channel_id);
        Admission::Added
    }

    /// Drops a message that no longer waits, unless a call for it is under way.
    pub(super) fn forget(&mut self, message_id: MessageId) {
        let Some((channel_id, conversation_id, seq)) = self.places.get(&message_id).copied() else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&channel_id) else {
            return;
        };
        let Some(queue) = lane.queues.get_mut(&conversation_id) else {
            return;
        };
        if queue.busy.is_some_and(|busy| busy.seq == seq) {
            return;
        }
        queue.messages.remove(&seq);
        lane.relist(conversation_id);
        self.places.remove(&message_id);
        self.drop_idle(channel_id);
    }

    /// The next message to send, if one may be sent now. Its queue is busy until [`Schedule::finished`].
    pub(super) fn next_job(&mut self, now: Instant) -> Option<Job> {
        if self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        for _ in 0..self.rotation.len() {
            let channel_id = self.rotation.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&channel_id) else {
                continue;
            };
            if lane.due.is_empty() {
                lane.in_rotation = false;
                continue;
            }
            self.rotation.push_back(channel_id);
            if lane.ready_at(now, self.limits.in_flight_per_channel).is_none_or(|ready| ready > now) {
                continue;
            }
            let Gate::Open(sender) = &lane.gate else { continue };
            let sender = Arc::clone(sender);
            let Some((_, conversation_id)) = lane.due.first().copied() else {
                continue;
            };
            let Some(queue) = lane.queues.get_mut(&conversation_id) else {
                continue;
            };
            let Some(entry) = queue.messages.first_key_value().map(|(_, entry)| entry.clone()) else {
                continue;
            };
            if lane.limiter.take(now).is_err() {
                continue;
            }
            queue.busy = Some(Busy { seq: entry.seq, settings: lane.settings });
            lane.breaker.begin(now);
            lane.in_flight += 1;
            self.in_flight += 1;
            lane.relist(conversation_id);
            return Some(Job { entry, sender });
        }
        None
    }

    /// When something may be possible that is not now.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.rotation
            .iter()
            .filter_map(|channel_id| self.lanes.get(channel_id)?.ready_at(now, self.limits.in_flight_per_channel))
            .min()
    }

    /// Channels with something to send whose row must be read now.
    pub(super) fn channels_to_read(&self, now: Instant) -> Vec<(WorkspaceId, ChannelId)> {
        self.rotation
            .iter()
            .filter_map(|channel_id| {
                let lane = self.lanes.get(channel_id)?;
                let read = !lane.due.is_empty() && matches!(lane.gate, Gate::Unread { from } if from <= now);
                read.then_some((lane.workspace_id, *channel_id))
            })
            .collect()
    }

    /// The channel can be used through this client.
    pub(super) fn open(&mut self, channel_id: ChannelId, sender: Arc<dyn Sender>) {
        if let Some(lane) = self.lanes.get_mut(&channel_id) {
            lane.limiter.set_rate(sender.messages_per_second());
            lane.gate = Gate::Open(sender);
        }
    }

    /// The channel is switched off.
    pub(super) fn close(&mut self, channel_id: ChannelId) {
        if let Some(lane) = self.lanes.get_mut(&channel_id) {
            lane.gate = Gate::Off;
        }
    }

    /// The channel's row could not be read: again from then on.
    pub(super) fn read_again(&mut self, channel_id: ChannelId, from: Instant) {
        if let Some(lane) = self.lanes.get_mut(&channel_id) {
            lane.gate = Gate::Unread { from };
        }
    }

    /// The channel's messages are not sent by calls: they are none of ours.
    pub(super) fn discard(&mut self, channel_id: ChannelId) {
        self.lanes.remove(&channel_id);
        self.rotation.retain(|other| *other != channel_id);
        self.places.retain(|_, (channel, ..)| *channel != channel_id);
    }

    /// The channel's settings changed: its row is read again, and what waited for that is due.
    pub(super) fn reconfigured(&mut self, channel_id: ChannelId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&channel_id) else {
            return;
        };
        lane.gate = Gate::Unread { from: now };
        lane.settings += 1;
        lane.pause = None;
        let mut changed = Vec::new();
        for (conversation_id, queue) in &mut lane.queues {
            for entry in queue.messages.values_mut().filter(|entry| entry.held) {
                entry.due = now;
                entry.held = false;
                changed.push(*conversation_id);
            }
        }
        for conversation_id in changed {
            lane.relist(conversation_id);
        }
        self.rotate_in(channel_id);
    }

    /// A job is over. Returns whether the channel was healthy before and is not now.
    pub(super) fn finished(&mut self, entry: &Entry, fate: Fate, health: Health, now: Instant) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        let again = self.again.remove(&entry.message_id);
        let (channel_id, conversation_id) = (entry.channel_id, entry.conversation_id);
        let Some(lane) = self.lanes.get_mut(&channel_id) else {
            return false;
        };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        let begun_with = lane.queues.get(&conversation_id).and_then(|queue| queue.busy).map(|busy| busy.settings);
        // What was refused may have been mended while the call was under way.
        let mended = health == Health::Refused && begun_with.is_some_and(|settings| settings != lane.settings);
        let health = if mended { Health::Answered } else { health };
        let worsened = lane.note(health, self.limits.first_pause, now);
        if let Some(queue) = lane.queues.get_mut(&conversation_id) {
            queue.busy = None;
            match fate {
                Fate::Waits(mut waiting) => {
                    if mended {
                        (waiting.due, waiting.held) = (now, false);
                    }
                    queue.messages.insert(waiting.seq, waiting);
                }
                Fate::Done { fence } => {
                    queue.messages.remove(&entry.seq);
                    self.places.remove(&entry.message_id);
                    if again {
                        self.missed = true;
                    } else if let Some(fence) = fence {
                        self.fences.insert(entry.message_id, fence);
                        self.fences_by_offset.insert((fence, entry.message_id));
                    }
                }
            }
        }
        lane.relist(conversation_id);
        self.rotate_in(channel_id);
        self.drop_idle(channel_id);
        worsened
    }

    /// The provider asked for silence on a channel.
    pub(super) fn quiet(&mut self, channel_id: ChannelId, until: Instant) {
        if let Some(lane) = self.lanes.get_mut(&channel_id) {
            lane.quiet_until = Some(lane.quiet_until.map_or(until, |before| before.max(until)));
        }
    }

    fn rotate_in(&mut self, channel_id: ChannelId) {
        let Some(lane) = self.lanes.get_mut(&channel_id) else {
            return;
        };
        if !lane.in_rotation && !lane.due.is_empty() {
            lane.in_rotation = true;
            self.rotation.push_back(channel_id);
        }
    }

    /// Forgets a lane that has nothing to send and nothing to remember, so that lanes are bounded by messages.
    fn drop_idle(&mut self, channel_id: ChannelId) {
        /// How many idle channels stay at hand with their clients.
        const MAX_LANES: usize = 10_000;
        if self.lanes.len() <= MAX_LANES {
            return;
        }
        let idle = self
            .lanes
            .get(&channel_id)
            .is_some_and(|lane| lane.queues.is_empty() && lane.pause.is_none() && !lane.breaker.is_open());
        if idle {
            self.lanes.remove(&channel_id);
            self.rotation.retain(|other| *other != channel_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use schemas::Timestamp;

    use super::super::breaker::BreakerSettings;
    use super::super::sender::{LookUp, OutboundMessage, SendVerdict};
    use super::*;

    #[derive(Debug)]
    struct Client(u32);

    #[async_trait]
    impl Sender for Client {
        async fn send(&self, _message: &OutboundMessage) -> SendVerdict {
            unreachable!("a schedule calls nobody")
        }

        async fn look_up(&self, _message: &OutboundMessage, _since: Timestamp) -> LookUp {
            LookUp::NotFound
        }

        fn messages_per_second(&self) -> u32 {
            self.0
        }
    }

    const AT: Timestamp = Timestamp::from_unix_seconds(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn channel(n: u8) -> ChannelId {
        ChannelId::derive(AT, &[&[n]])
    }

    fn entry(channel_number: u8, conversation: u8, seq: u64, due: Instant) -> Entry {
        Entry {
            workspace_id: WorkspaceId::derive(AT, &[]),
            channel_id: channel(channel_number),
            conversation_id: ConversationId::derive(AT, &[&[channel_number, conversation]]),
            message_id: MessageId::derive(AT, &[&[channel_number, conversation], &seq.to_le_bytes()]),
            seq,
            attempt: 0,
            failures: 0,
            look_ups: 0,
            unresolved: false,
            settled_at: due,
            held: false,
            due,
        }
    }

    /// A schedule with channels 0 and 1 at 1,000 messages a second.
    fn schedule(now: Instant, messages: impl IntoIterator<Item = (u8, u8, u64)>) -> Schedule {
        let breaker = BreakerSettings { consecutive: 3, ..BreakerSettings::default() };
        let mut schedule =
            Schedule::new(Limits { in_flight_per_channel: 2, breaker, first_pause: 60 * SECOND, tracked: 100 });
        for (channel, conversation, seq) in messages {
            assert_eq!(schedule.admit(entry(channel, conversation, seq, now), now), Admission::Added);
        }
        for (_, channel_id) in schedule.channels_to_read(now) {
            schedule.open(channel_id, Arc::new(Client(1_000)));
        }
        schedule
    }

    /// Takes jobs until there are none; `(channel, seq)` of each.
    fn take(schedule: &mut Schedule, now: Instant) -> Vec<Entry> {
        std::iter::from_fn(|| schedule.next_job(now)).map(|job| job.entry).collect()
    }

    fn seqs(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.seq).collect()
    }

    fn done(schedule: &mut Schedule, entry: &Entry, now: Instant) {
        schedule.finished(entry, Fate::Done { fence: None }, Health::Answered, now);
    }

    #[test]
    fn a_conversation_sends_one_at_a_time_in_order() {
        let now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 3), (0, 0, 1), (0, 0, 2)]);
        for seq in 1..=3 {
            let jobs = take(&mut schedule, now);
            assert_eq!(seqs(&jobs), [seq]);
            done(&mut schedule, &jobs[0], now);
        }
        assert_eq!((schedule.len(), schedule.next_wake(now)), (0, None));
    }

    #[test]
    fn one_that_waits_holds_back_its_conversation_until_it_is_due() {
        let now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 1), (0, 0, 2), (0, 1, 7)]);
        let jobs = take(&mut schedule, now);
        assert_eq!(jobs.len(), 2);
        for job in &jobs {
            let fate = if job.seq == 1 {
                Fate::Waits(Entry { due: now + 5 * SECOND, ..job.clone() })
            } else {
                Fate::Done { fence: None }
            };
            schedule.finished(job, fate, Health::Answered, now);
        }
        assert!(take(&mut schedule, now).is_empty());
        assert_eq!(schedule.next_wake(now), Some(now + 5 * SECOND));
        assert_eq!(seqs(&take(&mut schedule, now + 5 * SECOND)), [1]);
    }

    #[test]
    fn channels_take_turns_and_each_has_its_bound() {
        let now = Instant::now();
        let of = |channel| (0..4).map(move |conversation| (channel, conversation, 1));
        let mut schedule = schedule(now, of(0).chain(of(1)));
        let channels: Vec<_> = take(&mut schedule, now).iter().map(|entry| entry.channel_id).collect();
        assert_eq!(channels.len(), 4, "two of each are under way");
        assert_ne!(channels[0], channels[1]);
        assert_eq!(schedule.next_wake(now), None, "only the end of a call makes room");
    }

    #[test]
    fn a_refused_channel_pauses_for_longer_and_longer_and_resumes_when_mended() {
        let mut now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 1), (0, 1, 1)]);
        let jobs = take(&mut schedule, now);
        done(&mut schedule, &jobs[1], now);
        let mut job = jobs[0].clone();
        for minutes in [1, 2, 4, 8, 15, 15] {
            let waiting = Entry { held: true, due: now + 60 * SECOND, ..job.clone() };
            let worsened = schedule.finished(&job, Fate::Waits(waiting), Health::Refused, now);
            assert_eq!(worsened, minutes == 1);
            let until = now + minutes * 60 * SECOND;
            assert!(schedule.channels_to_read(until - SECOND).is_empty());
            now = until;
            assert_eq!(schedule.channels_to_read(now).len(), 1);
            schedule.open(channel(0), Arc::new(Client(1_000)));
            job = take(&mut schedule, now).pop().unwrap();
        }
        // The settings change while a call is under way: what it says of the old ones does not count.
        schedule.reconfigured(channel(0), now);
        let waiting = Entry { held: true, due: now + 60 * SECOND, ..job.clone() };
        assert!(!schedule.finished(&job, Fate::Waits(waiting), Health::Refused, now));
        assert_eq!(schedule.paused_channels(), 0);
        schedule.open(channel(0), Arc::new(Client(1_000)));
        assert_eq!(take(&mut schedule, now).len(), 1);
    }

    #[test]
    fn a_broken_channel_is_probed_with_one_call() {
        let now = Instant::now();
        let mut schedule = schedule(now, (0..10).map(|conversation| (0, conversation, 1)));
        let mut failed = 0;
        while failed < 3 {
            for job in take(&mut schedule, now) {
                schedule.finished(&job, Fate::Waits(Entry { due: now + SECOND, ..job.clone() }), Health::Down, now);
                failed += 1;
            }
        }
        assert!(take(&mut schedule, now + 9 * SECOND).is_empty());
        let later = now + 10 * SECOND;
        let probe = take(&mut schedule, later);
        assert_eq!(probe.len(), 1);
        done(&mut schedule, &probe[0], later);
        assert_eq!(take(&mut schedule, later).len(), 2);
    }

    #[test]
    fn the_rate_of_a_channel_is_kept() {
        let now = Instant::now();
        let mut schedule = schedule(now, (0..3).map(|conversation| (0, conversation, 1)));
        schedule.open(channel(0), Arc::new(Client(1)));
        let jobs = take(&mut schedule, now);
        assert_eq!(jobs.len(), 1);
        assert_eq!(schedule.next_wake(now), Some(now + SECOND));
        assert!(take(&mut schedule, now + SECOND / 2).is_empty());
        assert_eq!(take(&mut schedule, now + SECOND).len(), 1);
    }

    #[test]
    fn old_news_of_a_message_that_is_done_is_recognised_for_as_long_as_it_may_come() {
        let now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 1)]);
        let job = take(&mut schedule, now).pop().unwrap();
        schedule.finished(&job, Fate::Done { fence: Some(8) }, Health::Answered, now);
        assert!(schedule.is_stale(job.message_id, 8) && !schedule.is_stale(job.message_id, 9));
        assert_eq!(schedule.admit(job.clone(), now), Admission::Known, "its row may be an old one");
        schedule.passed(8);
        assert!(schedule.is_stale(job.message_id, 8));
        schedule.passed(9);
        assert!(schedule.fences.is_empty() && schedule.fences_by_offset.is_empty());
        assert_eq!(schedule.admit(job, now), Admission::Added, "queued again by hand");
    }

    #[test]
    fn what_is_queued_again_is_taken_in_whichever_comes_first_that_or_the_end_of_its_job() {
        let now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 1)]);
        let job = take(&mut schedule, now).pop().unwrap();
        schedule.finished(&job, Fate::Done { fence: Some(8) }, Health::Answered, now);
        assert_eq!(schedule.admit(job.clone(), now), Admission::Known);
        schedule.queued_again(job.message_id, 8);
        assert_eq!(schedule.admit(job.clone(), now), Admission::Added, "by the command that ended the job");
        let job = take(&mut schedule, now).pop().unwrap();
        schedule.queued_again(job.message_id, 9);
        assert_eq!(schedule.admit(job.clone(), now), Admission::Known);
        assert!(!schedule.missed_a_message());
        schedule.finished(&job, Fate::Done { fence: Some(9) }, Health::Answered, now);
        assert!(schedule.missed_a_message() && !schedule.missed_a_message());
        assert_eq!(schedule.admit(job, now), Admission::Added);
    }

    #[test]
    fn forgets_what_no_longer_waits_but_not_what_is_under_way() {
        let now = Instant::now();
        let mut schedule = schedule(now, [(0, 0, 1), (0, 0, 2), (0, 0, 3)]);
        let job = take(&mut schedule, now).pop().unwrap();
        schedule.forget(job.message_id);
        assert!(schedule.knows(job.message_id));
        schedule.forget(entry(0, 0, 2, now).message_id);
        done(&mut schedule, &job, now);
        assert_eq!(seqs(&take(&mut schedule, now)), [3]);
    }
}
