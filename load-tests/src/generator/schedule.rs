//! The open loop: when each request is *meant* to leave is fixed by the rate alone. Latency counts from that instant, so
//! that a stall of the server is charged to every request that should have left meanwhile (no coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// The shortest sleep of the pacing thread: below this, requests leave in small groups.
const SHORTEST_SLEEP: Duration = Duration::from_micros(100);
/// Lets every waiting sender through at the end, to see that nothing is left.
const FAREWELL_PERMITS: usize = 1 << 20;

/// `count` requests at `per_second`, the first at `start`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    per_second: u32,
    count: u64,
}

impl Schedule {
    /// A schedule; a rate of 0 counts as 1.
    pub fn new(start: Instant, per_second: u32, count: u64) -> Self {
        Self { start, per_second: per_second.max(1), count }
    }

    /// When the first request leaves.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// How many requests there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// When request `index` (from 0) is meant to leave.
    pub fn intended(&self, index: u64) -> Instant {
        self.start + self.offset(index)
    }

    fn offset(&self, index: u64) -> Duration {
        let nanos = u128::from(index) * NANOS_PER_SECOND / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many requests should have left by `now`.
    pub fn due(&self, now: Instant) -> u64 {
        let Some(elapsed) = now.checked_duration_since(self.start) else { return 0 };
        // The greatest index whose offset, rounded down to a nanosecond, is not after `elapsed`.
        let index = ((elapsed.as_nanos() + 1) * u128::from(self.per_second)).div_ceil(NANOS_PER_SECOND);
        u64::try_from(index).unwrap_or(u64::MAX).min(self.count)
    }
}

/// Hands out the requests of a [`Schedule`] to any number of senders, each when it is due.
///
/// A sender that is free takes the oldest request that is due. If all senders are busy, requests wait, and their wait is
/// part of their latency.
#[derive(Debug)]
pub struct Pacer {
    schedule: Schedule,
    due: Semaphore,
    next: AtomicU64,
    stopped: AtomicBool,
}

impl Pacer {
    /// Starts the pacing thread. A thread of its own, since the timers of tokio are a millisecond coarse.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(schedule: Schedule) -> std::io::Result<Arc<Self>> {
        let pacer = Arc::new(Self {
            schedule,
            due: Semaphore::new(0),
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&pacer);
        std::thread::Builder::new().name("pacer".to_owned()).spawn(move || shared.pace())?;
        Ok(pacer)
    }

    /// The next request and when it was meant to leave; waits until it is due. `None` when all are gone.
    pub async fn take(&self) -> Option<(u64, Instant)> {
        self.due.acquire().await.ok()?.forget();
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.schedule.count && !self.stopped.load(Ordering::Relaxed))
            .then(|| (index, self.schedule.intended(index)))
    }

    /// Hands out nothing more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.due.add_permits(FAREWELL_PERMITS);
    }

    fn pace(&self) {
        let mut released = 0;
        while released < self.schedule.count && !self.stopped.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = self.schedule.due(now);
            if due > released {
                self.due.add_permits(usize::try_from(due - released).unwrap_or(usize::MAX >> 4));
                released = due;
            }
            let wait = self.schedule.intended(released).saturating_duration_since(Instant::now());
            std::thread::sleep(wait.max(SHORTEST_SLEEP));
        }
        self.due.add_permits(FAREWELL_PERMITS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// `due` and `intended` are two views of one schedule.
        #[test]
        fn a_request_is_due_from_its_intended_time_on(rate in 1_u32..200_000, index in 0_u64..10_000_000) {
            let schedule = Schedule::new(Instant::now(), rate, u64::MAX);
            let intended = schedule.intended(index);
            prop_assert!(schedule.due(intended) > index);
            if index > 0 {
                prop_assert!(schedule.due(intended - Duration::from_nanos(1)) <= index);
            }
        }
    }

    #[test]
    fn nothing_is_due_before_the_start_or_after_the_end() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1_000, 10);
        assert_eq!(schedule.due(start.checked_sub(Duration::from_secs(1)).unwrap()), 0);
        assert_eq!(schedule.due(start), 1);
        assert_eq!(schedule.due(start + Duration::from_millis(5)), 6);
        assert_eq!(schedule.due(start + Duration::from_mins(1)), 10);
        assert_eq!(schedule.intended(1_000), start + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn every_request_is_handed_out_once_and_never_early() {
        let schedule = Schedule::new(Instant::now(), 5_000, 500);
        let pacer = Pacer::start(schedule).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let pacer = Arc::clone(&pacer);
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    while let Some((index, intended)) = pacer.take().await {
                        assert!(Instant::now() >= intended);
                        taken.push(index);
                    }
                    taken
                })
            })
            .collect();
        let mut all = Vec::new();
        for sender in senders {
            all.extend(sender.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_stall_is_charged_to_everything_that_should_have_left_meanwhile() {
        let schedule = Schedule::new(Instant::now(), 1_000, 200);
        let pacer = Pacer::start(schedule).unwrap();
        let (_first, intended) = pacer.take().await.unwrap();
        // The only sender is stuck with its first request until 150 more should have left.
        while schedule.due(Instant::now()) < 150 {
            tokio::task::yield_now().await;
        }
        let stalled = intended.elapsed();
        let (index, intended) = pacer.take().await.unwrap();
        assert_eq!(index, 1);
        assert!(intended.elapsed() + Duration::from_millis(1) >= stalled);
        pacer.stop();
        assert_eq!(pacer.take().await, None);
    }
}
