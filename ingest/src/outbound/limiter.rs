//! A rate limit: a token bucket that holds one second's worth, kept as the time at which it will be full again.

use std::time::Duration;

use tokio::time::Instant;

/// The limit of one channel.
#[derive(Debug)]
pub struct RateLimiter {
    /// Between two calls at the full rate.
    interval: Duration,
    /// When the bucket is full again; calls push it forward.
    full_at: Instant,
}

impl RateLimiter {
    /// A full bucket of `per_second` calls; 0 counts as 1.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { interval: interval_of(per_second), full_at: now }
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, per_second: u32) {
        self.interval = interval_of(per_second);
    }

    /// When the next call is allowed: `now` or later.
    pub fn ready_at(&self, now: Instant) -> Instant {
        let burst = Duration::from_secs(1).saturating_sub(self.interval);
        self.full_at.checked_sub(burst).map_or(now, |ready| ready.max(now))
    }

    /// Takes a token if there is one.
    ///
    /// # Errors
    /// When there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let ready = self.ready_at(now);
        if ready > now {
            return Err(ready);
        }
        self.full_at = self.full_at.max(now) + self.interval;
        Ok(())
    }
}

fn interval_of(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any window, no more than a burst of one second and the rate over the window.
        #[test]
        fn never_lets_more_through_than_the_rate(rate in 1..50_u32, gaps in prop::collection::vec(0..400_u64, 1..200)) {
            let start = Instant::now();
            let mut limiter = RateLimiter::new(rate, start);
            let mut now = start;
            let mut taken = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                match limiter.take(now) {
                    Ok(()) => taken.push(now),
                    Err(ready) => prop_assert!(ready > now && limiter.ready_at(now) == ready),
                }
            }
            for (i, from) in taken.iter().enumerate() {
                for (n, to) in taken[i..].iter().enumerate() {
                    let allowed = f64::from(rate) * (1.0 + to.duration_since(*from).as_secs_f64());
                    prop_assert!(f64::from(u32::try_from(n + 1).unwrap()) <= allowed + 1e-6);
                }
            }
        }
    }

    #[test]
    fn gives_the_full_rate_to_whoever_waits() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(10, start);
        let mut now = start;
        for _ in 0..30 {
            while let Err(ready) = limiter.take(now) {
                now = ready;
            }
        }
        assert_eq!(now - start, Duration::from_secs(2));
    }
}
