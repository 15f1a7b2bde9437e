//! When a message is tried again: 2 s, 10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h, each ±50 %; then it has failed.

use std::time::Duration;

/// The waits between attempts, in seconds.
const DELAYS_S: [u64; 8] = [2, 10, 60, 300, 1_800, 7_200, 21_600, 43_200];

/// The longest Retry-After that is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A schedule of retries.
#[derive(Clone, Debug)]
pub struct Backoff {
    delays: Vec<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(DELAYS_S.iter().map(|seconds| Duration::from_secs(*seconds)).collect())
    }
}

impl Backoff {
    /// Waits of these lengths, ±50 %.
    pub const fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// How long to wait after the failure with this number (1, 2, 3, …); `None` if there were enough of them.
    ///
    /// `random` spreads the wait: 0 gives half of it, 1 gives one and a half.
    pub fn delay(&self, failures: u32, random: f64) -> Option<Duration> {
        let index = usize::try_from(failures.max(1) - 1).ok()?;
        self.delays.get(index).map(|delay| delay.mul_f64(0.5 + random.clamp(0.0, 1.0)))
    }

    /// As [`Backoff::delay`], but not before the provider wants to hear from us again.
    pub fn delay_after(&self, failures: u32, random: f64, retry_after: Option<Duration>) -> Option<Duration> {
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        self.delay(failures, random).map(|delay| delay.max(asked))
    }

    /// The longest wait of the schedule for what is not counted as a failure of the message.
    pub fn longest(&self) -> Duration {
        self.delays.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn follows_the_schedule_and_ends() {
        let backoff = Backoff::default();
        for (failures, seconds) in (1..).zip(DELAYS_S) {
            assert_eq!(backoff.delay(failures, 0.5), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(backoff.delay(9, 0.5), None);
        assert_eq!(backoff.delay(u32::MAX, 0.5), None);
    }

    proptest! {
        #[test]
        fn stays_within_half_and_one_and_a_half(failures in 1..9_u32, random in 0.0..1.0_f64, asked in 0..10_000_u64) {
            let backoff = Backoff::default();
            let middle = backoff.delay(failures, 0.5).unwrap();
            let delay = backoff.delay(failures, random).unwrap();
            prop_assert!(delay >= middle / 2 && delay <= middle * 3 / 2);
            let after = backoff.delay_after(failures, random, Some(Duration::from_secs(asked))).unwrap();
            prop_assert_eq!(after, delay.max(Duration::from_secs(asked.min(3_600))));
        }
    }
}
