//! What this process knows of a partition: how far it goes, and its last records.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::{Bounds, NewRecord, ReadBudget, ReadLimit, Record, Topic};

/// Bounds that the broker told are taken as true for so long. What this process appended or followed counts at once; so
/// this is how late it may learn of other processes' records in a partition that it does not follow.
const BOUNDS_AGE: Duration = Duration::from_millis(100);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What waiters watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The offset after the last record known to be readable.
    pub(super) end: u64,
    /// The offset after the last record in memory, while the partition is followed.
    pub(super) ring_next: Option<u64>,
    /// The log is closed.
    pub(super) closed: bool,
}

/// The last records of a partition that is followed, without holes.
#[derive(Debug)]
struct Ring {
    /// The offset of the first in `records`, or of the next if there is none.
    start: u64,
    records: VecDeque<Record>,
    bytes: usize,
}

impl Ring {
    const fn new(start: u64) -> Self {
        Self { start, records: VecDeque::new(), bytes: 0 }
    }

    fn next(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    /// Takes the record if it is the next one.
    fn push(&mut self, record: Record, most_bytes: usize) {
        if record.offset != self.next() {
            return;
        }
        self.bytes += record.value.len();
        self.records.push_back(record);
        while self.bytes > most_bytes && self.records.len() > 1 {
            if let Some(oldest) = self.records.pop_front() {
                self.bytes -= oldest.value.len();
                self.start += 1;
            }
        }
    }
}

/// What is in memory of a partition.
#[derive(Debug)]
struct Held {
    ring: Option<Ring>,
    /// When the known end grew last.
    grown: Instant,
}

#[derive(Debug, Default)]
struct Known {
    earliest: u64,
    /// When the broker was asked last; `None` if what it said does not count any more.
    asked: Option<Instant>,
}

/// A partition as this process sees it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its place among all slots.
    pub(super) index: usize,
    pub(super) topic: Topic,
    pub(super) number: u32,
    /// Held while somebody begins to follow the partition, so that not everybody who waits does.
    pub(super) following: tokio::sync::Mutex<()>,
    seen: watch::Sender<Seen>,
    held: Mutex<Held>,
    known: Mutex<Known>,
    tail_bytes: usize,
    waiting: AtomicUsize,
    /// When it was used last, in milliseconds since `made`.
    used: AtomicU64,
    made: Instant,
}

/// Somebody waits on a partition.
#[derive(Debug)]
pub(super) struct Interest<'a>(&'a Slot);

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.touch();
    }
}

impl Slot {
    pub(super) fn new(index: usize, topic: Topic, number: u32, tail_bytes: usize) -> Self {
        Self {
            index,
            topic,
            number,
            following: tokio::sync::Mutex::default(),
            seen: watch::Sender::default(),
            held: Mutex::new(Held { ring: None, grown: Instant::now() }),
            known: Mutex::default(),
            tail_bytes,
            waiting: AtomicUsize::new(0),
            used: AtomicU64::new(0),
            made: Instant::now(),
        }
    }

    /// The number as Kafka wants it.
    pub(super) fn kafka_number(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    pub(super) fn touch(&self) {
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    /// Says that somebody waits, until the guard is dropped.
    pub(super) fn interest(&self) -> Interest<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.touch();
        Interest(self)
    }

    /// Whether nobody has wanted it for so long.
    pub(super) fn is_idle(&self, period: Duration) -> bool {
        let used = Duration::from_millis(self.used.load(Ordering::Relaxed));
        self.waiting.load(Ordering::SeqCst) == 0 && self.made.elapsed().saturating_sub(used) >= period
    }

    pub(super) fn close(&self) {
        self.seen.send_modify(|seen| seen.closed = true);
    }

    /// Publishes what there is to read; under the lock of what is held, so that an older state never follows a newer one.
    fn publish(&self, held: &mut Held, end: u64) {
        let ring_next = held.ring.as_ref().map(Ring::next);
        self.seen.send_if_modified(|seen| {
            let now = Seen { end: seen.end.max(end), ring_next, closed: seen.closed };
            if now.end > seen.end {
                held.grown = Instant::now();
            }
            let changed = *seen != now;
            *seen = now;
            changed
        });
    }

    /// Begins to keep records from `start` on; `false` if it does already.
    pub(super) fn begin_ring(&self, start: u64) -> bool {
        let mut held = lock(&self.held);
        if held.ring.is_some() {
            return false;
        }
        held.ring = Some(Ring::new(start));
        self.publish(&mut held, start);
        true
    }

    /// Forgets the records in memory, and whoever waits follows the partition again.
    pub(super) fn end_ring(&self) {
        let mut held = lock(&self.held);
        held.ring = None;
        self.publish(&mut held, 0);
    }

    /// Takes records that a reader brought, in order; `Err` with the first offset that cannot be joined to those before it.
    pub(super) fn take_read(&self, records: impl IntoIterator<Item = Record>) -> Result<(), u64> {
        let mut held = lock(&self.held);
        let Some(ring) = held.ring.as_mut() else { return Ok(()) };
        let mut gap = None;
        for record in records {
            if record.offset > ring.next() {
                gap = Some(record.offset);
                break;
            }
            ring.push(record, self.tail_bytes);
        }
        let end = ring.next();
        self.publish(&mut held, end);
        gap.map_or(Ok(()), Err)
    }

    /// Forgets the records in memory and goes on after a place that cannot be kept there.
    pub(super) fn skip_to(&self, next: u64) {
        let mut held = lock(&self.held);
        if held.ring.as_ref().is_some_and(|ring| ring.next() < next) {
            held.ring = Some(Ring::new(next));
            self.publish(&mut held, next);
        }
    }

    /// Takes records that this process appended, at `first` and those after it.
    pub(super) fn take_own(&self, first: u64, records: &[NewRecord]) {
        let mut held = lock(&self.held);
        if let Some(ring) = held.ring.as_mut() {
            for (offset, record) in (first..).zip(records) {
                let NewRecord { key, at, value } = record.clone();
                ring.push(Record { offset, key, at, value }, self.tail_bytes);
            }
        }
        self.publish(&mut held, first + records.len() as u64);
    }

    /// Learns that records before `end` can be read.
    pub(super) fn saw_end(&self, end: u64) {
        self.publish(&mut lock(&self.held), end);
    }

    /// Records from `from` on, if they are in memory.
    pub(super) fn read(&self, from: u64, limit: ReadLimit) -> Option<Vec<Record>> {
        let held = lock(&self.held);
        let ring = held.ring.as_ref().filter(|ring| ring.start <= from && from < ring.next())?;
        let skip = usize::try_from(from - ring.start).ok()?;
        let mut budget = ReadBudget::new(limit);
        Some(ring.records.range(skip..).take_while(|record| budget.admit(record.value.len())).cloned().collect())
    }

    /// Whether the record at `from` is in memory, or will be once it has been fetched.
    pub(super) fn will_hold(&self, from: u64) -> bool {
        lock(&self.held).ring.as_ref().is_some_and(|ring| ring.start <= from)
    }

    /// Notes what the broker said when it was asked at `asked`, and returns what is known now.
    pub(super) fn learn_bounds(&self, asked: Instant, earliest: u64, next: u64) -> Bounds {
        {
            let mut known = lock(&self.known);
            known.earliest = earliest;
            known.asked = known.asked.max(Some(asked));
        }
        let mut held = lock(&self.held);
        let end = self.seen().end;
        if next < end && held.grown < asked {
            // Records that were readable are gone: an unclean election, or the topic was removed and made again.
            let (topic, partition) = (self.topic, self.number);
            tracing::error!(%topic, partition, end, next, "Kafka has lost records: the partition ends before it did");
            held.ring = None;
            self.seen.send_modify(|seen| *seen = Seen { end: next, ring_next: None, closed: seen.closed });
        } else {
            self.publish(&mut held, next);
        }
        drop(held);
        self.bounds_now()
    }

    /// The bounds, if they were asked for lately.
    pub(super) fn fresh_bounds(&self) -> Option<Bounds> {
        let is_fresh = lock(&self.known).asked.is_some_and(|asked| asked.elapsed() < BOUNDS_AGE);
        is_fresh.then(|| self.bounds_now())
    }

    /// The next who wants the bounds asks the broker: what is known here may not be all.
    pub(super) fn forget_bounds(&self) {
        lock(&self.known).asked = None;
    }

    fn bounds_now(&self) -> Bounds {
        let next = self.seen().end;
        let earliest = lock(&self.known).earliest.min(next);
        Bounds { earliest, next, durable: next }
    }
}
