//! A mergeable histogram of durations with 1 % relative error.
//!
//! Bins grow by the factor 1.02, as in `DDSketch` (Masson, Rim, Lee: "`DDSketch`: a fast and fully-mergeable quantile sketch
//! with relative-error guarantees", VLDB 2019): bin 0 holds up to a millisecond, bin n what is above the bound of bin n−1
//! and up to 1 ms · 1.02ⁿ. The bounds come from repeated multiplication, which IEEE 754 fixes to the bit, and not from a
//! logarithm, which differs between machines: the same durations give the same bins everywhere, in any order.
//!
//! In tables a histogram is text, `bin:count` pairs by ascending bin, such as `120:3,455:1`; without values it is empty.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The factor between the bounds of neighbouring bins.
pub const GAMMA: f64 = 1.02;
/// The upper bound of bin 0, in microseconds.
pub const FIRST_BOUND_MICROS: f64 = 1_000.0;
/// The number of bins; the last one ends above 200 days and takes all that is longer.
pub const BINS: u16 = 1_200;

/// Upper bounds of the bins, in microseconds.
static BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    std::iter::successors(Some(FIRST_BOUND_MICROS), |bound| Some(bound * GAMMA)).take(usize::from(BINS)).collect()
});

/// Durations, counted by bin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u16, u64>);

/// The text is not a histogram.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a histogram: expected bin:count pairs such as 120:3,455:1")]
pub struct ParseHistogramError {
    /// What was given, cut after 64 characters.
    pub text: String,
}

impl Histogram {
    /// One that holds none.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Counts one duration, in microseconds.
    pub fn record(&mut self, micros: i64) {
        let micros = as_f64(micros);
        let bin = BOUNDS.partition_point(|bound| *bound < micros);
        let bin = u16::try_from(bin).unwrap_or(BINS).min(BINS - 1);
        *self.0.entry(bin).or_default() += 1;
    }

    /// How many durations it holds.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many bins are in use.
    pub fn bins(&self) -> usize {
        self.0.len()
    }

    /// The bins in use, ascending, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.iter().map(|(bin, count)| (*bin, *count))
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (bin, count) in &other.0 {
            let mine = self.0.entry(*bin).or_default();
            *mine = mine.saturating_add(*count);
        }
    }

    /// Takes away what `other` holds, which must have been added before.
    pub fn subtract(&mut self, other: &Self) {
        for (bin, count) in &other.0 {
            if let Some(mine) = self.0.get_mut(bin) {
                *mine = mine.saturating_sub(*count);
                if *mine == 0 {
                    self.0.remove(bin);
                }
            }
        }
    }

    /// The nearest-rank quantile in seconds, off by at most 1 %; `None` if it is empty.
    ///
    /// `quantile` is 0 to 1 (0.5 is the median); what is outside counts as the nearer end.
    pub fn quantile_seconds(&self, quantile: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (quantile.clamp(0.0, 1.0) * as_f64_u64(count)).ceil().max(1.0);
        let mut seen = 0_u64;
        let mut found = None;
        for (bin, in_bin) in &self.0 {
            seen = seen.saturating_add(*in_bin);
            found = Some(*bin);
            if as_f64_u64(seen) >= rank {
                break;
            }
        }
        found.map(value_seconds)
    }

    /// How many durations lie up to each of these bounds (seconds, ascending) and above the one before it, and how many lie
    /// above the last. Near a bound, within 1 %, a duration may count on its other side.
    pub fn counts_up_to(&self, bounds: &[f64]) -> Vec<u64> {
        let mut counts = vec![0_u64; bounds.len() + 1];
        for (bin, in_bin) in &self.0 {
            let value = value_seconds(*bin);
            if let Some(count) = counts.get_mut(bounds.partition_point(|bound| *bound < value)) {
                *count = count.saturating_add(*in_bin);
            }
        }
        counts
    }

    /// Its text in tables.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 6);
        for (bin, count) in &self.0 {
            let separator = if text.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _written = write!(text, "{separator}{bin}:{count}");
        }
        text
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// If the text is something else.
    pub fn decode(text: &str) -> Result<Self, ParseHistogramError> {
        let mut histogram = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let parsed = pair
                .split_once(':')
                .and_then(|(bin, count)| Some((bin.parse::<u16>().ok()?, count.parse::<u64>().ok()?)))
                .filter(|(bin, _)| *bin < BINS);
            let Some((bin, count)) = parsed else {
                return Err(ParseHistogramError { text: text.chars().take(64).collect() });
            };
            let mine = histogram.0.entry(bin).or_default();
            *mine = mine.saturating_add(count);
        }
        Ok(histogram)
    }
}

/// The value that stands for a bin: within 1 % of everything in it.
fn value_seconds(bin: u16) -> f64 {
    let high = BOUNDS.get(usize::from(bin)).copied().unwrap_or(FIRST_BOUND_MICROS);
    let low = high / GAMMA;
    2.0 * low * high / (low + high) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "durations and counts are far below 2^52; above, 1 % is still kept")]
const fn as_f64(n: i64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "durations and counts are far below 2^52; above, 1 % is still kept")]
const fn as_f64_u64(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_within_one_percent_of_the_exact_one(
            mut micros in prop::collection::vec(1_000_i64..8_000_000_000_000, 1..60), percent in 0_u32..=100,
        ) {
            let mut histogram = Histogram::default();
            for value in &micros {
                histogram.record(*value);
            }
            micros.sort_unstable();
            let quantile = f64::from(percent) / 100.0;
            let rank = (quantile * as_f64_u64(micros.len() as u64)).ceil().max(1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank below 60")]
            let exact = as_f64(micros[rank as usize - 1]) / 1e6;
            let told = histogram.quantile_seconds(quantile).unwrap();
            prop_assert!((told - exact).abs() <= exact * 0.0101, "{told} for {exact}");
        }

        #[test]
        fn merging_is_order_independent_and_subtracting_takes_it_back(
            a in prop::collection::vec(0_i64..100_000_000, 0..40), b in prop::collection::vec(0_i64..100_000_000, 0..40),
        ) {
            let of = |values: &[i64]| {
                let mut histogram = Histogram::default();
                for value in values {
                    histogram.record(*value);
                }
                histogram
            };
            let (mut left, mut right) = (of(&a), of(&b));
            left.merge(&of(&b));
            right.merge(&of(&a));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&Histogram::decode(&left.encode()).unwrap(), &left);
            left.subtract(&of(&b));
            prop_assert_eq!(left, of(&a));
        }

        #[test]
        fn never_panics_on_any_text_or_number(text: String, micros: i64, quantile: f64) {
            let _parsed = Histogram::decode(&text);
            let mut histogram = Histogram::default();
            histogram.record(micros);
            prop_assert!(histogram.quantile_seconds(quantile).is_some());
        }
    }
}
