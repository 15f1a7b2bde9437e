//! Latencies in an HDR histogram: microseconds, three digits, merged by adding counts and never by averaging percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart, in microseconds; longer ones count as this.
const LONGEST_MICROS: u64 = 120_000_000;

/// A collection of latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// What is reported of latencies. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half were not longer.
    pub p50_ms: f64,
    /// 90 % were not longer.
    pub p90_ms: f64,
    /// 99 % were not longer.
    pub p99_ms: f64,
    /// 99.9 % were not longer.
    pub p99_9_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for Latencies {
    #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram accepts, as every test shows")]
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("constant bounds are valid"))
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST_MICROS).max(1));
    }

    /// Adds all of another collection.
    pub fn merge(&mut self, other: &Self) {
        // Cannot fail: both have the same bounds.
        let _same_bounds = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that the share `quantile` (0 to 1) did not exceed, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        millis(self.0.value_at_quantile(quantile))
    }

    /// Everything that is reported.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1_000.0,
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            p99_9_ms: self.quantile_ms(0.999),
            max_ms: millis(self.0.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 1.2e8, which a double holds exactly")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} samples: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
            self.count, self.p50_ms, self.p90_ms, self.p99_ms, self.p99_9_ms, self.max_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_merged_collections_are_those_of_all_samples() {
        let (mut even, mut odd, mut all) = (Latencies::default(), Latencies::default(), Latencies::default());
        for i in 1..=1_000_u64 {
            let latency = Duration::from_micros(i * 100);
            if i % 2 == 0 {
                even.record(latency);
            } else {
                odd.record(latency);
            }
            all.record(latency);
        }
        even.merge(&odd);
        assert_eq!(even.summary(), all.summary());
        let summary = all.summary();
        assert!((summary.p50_ms - 50.0).abs() < 0.1, "{summary}");
        assert!((summary.p99_ms - 99.0).abs() < 0.2, "{summary}");
        assert_eq!(summary.count, 1_000);
    }

    #[test]
    fn keeps_what_is_too_long_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_secs(10_000));
        latencies.record(Duration::ZERO);
        assert!(latencies.summary().max_ms >= 119_000.0);
        assert_eq!(latencies.count(), 2);
    }
}
