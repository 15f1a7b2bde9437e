//! A circuit breaker: stops calling a provider that fails, and finds out with single probes when it is back.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// This many failures in a row open it.
    pub consecutive: u32,
    /// Over this window …
    pub window: Duration,
    /// … at least this many calls …
    pub minimum_calls: u32,
    /// … of which at least half failed open it, too.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { consecutive: 10, window: Duration::from_secs(30), minimum_calls: 20, open_for: Duration::from_secs(10) }
    }
}

/// How many parts a window is kept in: the bound of a breaker's memory.
const SLICES: u32 = 30;

/// What came of the calls in one slice of the window.
#[derive(Debug)]
struct Slice {
    start: Instant,
    calls: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Closed,
    /// No calls until then; after it, one at a time.
    Open {
        until: Instant,
    },
}

/// The breaker of one channel.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    in_a_row: u32,
    slices: VecDeque<Slice>,
}

impl Breaker {
    /// A closed one.
    pub const fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed, in_a_row: 0, slices: VecDeque::new() }
    }

    /// Whether calls are being held back.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When the next call is allowed, if not now.
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// Notes that a call begins. While the breaker is open this is the probe: the next one waits for its verdict or for
    /// another `open_for`.
    pub fn begin(&mut self, now: Instant) {
        if let State::Open { until } = &mut self.state {
            *until = now + self.settings.open_for;
        }
    }

    /// Notes that the provider answered, whatever it said of the message.
    pub fn succeeded(&mut self, now: Instant) {
        self.in_a_row = 0;
        if self.is_open() {
            self.state = State::Closed;
            self.slices.clear();
        }
        self.slice(now).calls += 1;
    }

    /// Notes that the provider could not be reached, did not answer or failed. Returns whether this opened the breaker.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let slice = self.slice(now);
        slice.calls += 1;
        slice.failures += 1;
        let calls: u32 = self.slices.iter().map(|slice| slice.calls).sum();
        let failures: u32 = self.slices.iter().map(|slice| slice.failures).sum();
        let too_many = self.in_a_row >= self.settings.consecutive
            || (calls >= self.settings.minimum_calls && failures.saturating_mul(2) >= calls);
        let was_open = self.is_open();
        if was_open || too_many {
            self.state = State::Open { until: now + self.settings.open_for };
        }
        too_many && !was_open
    }

    /// The present slice; what is older than the window goes.
    fn slice(&mut self, now: Instant) -> &mut Slice {
        while self.slices.front().is_some_and(|slice| now.duration_since(slice.start) >= self.settings.window) {
            self.slices.pop_front();
        }
        let length = self.settings.window / SLICES;
        let current = self.slices.back().is_some_and(|slice| now.duration_since(slice.start) < length);
        if !current {
            self.slices.push_back(Slice { start: now, calls: 0, failures: 0 });
        }
        let last = self.slices.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "there is at least the slice that was just found or added")]
        &mut self.slices[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, Instant) {
        (Breaker::new(BreakerSettings::default()), Instant::now())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn opens_after_ten_failures_in_a_row_and_closes_after_a_probe() {
        let (mut breaker, start) = breaker();
        for _ in 0..9 {
            assert!(!breaker.failed(start));
        }
        assert_eq!(breaker.ready_at(start), None);
        assert!(breaker.failed(start));
        assert_eq!(breaker.ready_at(start), Some(start + 10 * SECOND));
        let later = start + 10 * SECOND;
        assert_eq!(breaker.ready_at(later), None);
        breaker.begin(later);
        assert_eq!(breaker.ready_at(later), Some(later + 10 * SECOND), "a second probe waits");
        assert!(!breaker.failed(later + SECOND));
        assert_eq!(breaker.ready_at(later + SECOND), Some(later + 11 * SECOND));
        breaker.begin(later + 11 * SECOND);
        breaker.succeeded(later + 12 * SECOND);
        assert_eq!(breaker.ready_at(later + 12 * SECOND), None);
        assert!(!breaker.is_open());
        assert!(!breaker.failed(later + 13 * SECOND), "starts afresh");
    }

    #[test]
    fn opens_when_half_of_twenty_calls_fail_within_the_window_only() {
        let (mut breaker, start) = breaker();
        for i in 0..9 {
            breaker.succeeded(start + i * SECOND);
            assert!(!breaker.failed(start + i * SECOND));
        }
        breaker.succeeded(start + 9 * SECOND);
        assert!(breaker.failed(start + 9 * SECOND));

        let (mut breaker, start) = (Breaker::new(BreakerSettings::default()), start);
        for i in 0..100 {
            breaker.succeeded(start + i * 4 * SECOND);
            assert!(!breaker.failed(start + i * 4 * SECOND), "fewer than twenty calls in any 30 s");
        }
        assert!(breaker.slices.len() <= usize::try_from(SLICES).unwrap());
    }
}
