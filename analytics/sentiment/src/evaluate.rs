//! How good labels are: counts of what was said for what was true.

use crate::Label;

/// How often each label was given to messages of each label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// `[true][given]`, in the order of [`Label::ALL`].
    counts: [[u32; 3]; 3],
}

impl Confusion {
    /// Counts a message.
    pub fn add(&mut self, truth: Label, given: Label) {
        if let Some(count) = self.counts.get_mut(truth.index()).and_then(|row| row.get_mut(given.index())) {
            *count += 1;
        }
    }

    /// How many messages of a label were given another.
    pub fn count(&self, truth: Label, given: Label) -> u32 {
        self.counts.get(truth.index()).and_then(|row| row.get(given.index())).copied().unwrap_or(0)
    }

    /// How many messages were counted.
    pub fn total(&self) -> u32 {
        self.counts.iter().flatten().sum()
    }

    /// The share of messages with the right label; 0 without messages.
    pub fn accuracy(&self) -> f64 {
        let right: u32 = Label::ALL.iter().map(|label| self.count(*label, *label)).sum();
        f64::from(right) / f64::from(self.total().max(1))
    }

    /// The harmonic mean of precision and recall of a label; 0 if it was never right.
    pub fn f1(&self, label: Label) -> f64 {
        let right = self.count(label, label);
        let given: u32 = Label::ALL.iter().map(|truth| self.count(*truth, label)).sum();
        let truly: u32 = Label::ALL.iter().map(|given| self.count(label, *given)).sum();
        2.0 * f64::from(right) / f64::from((given + truly).max(1))
    }

    /// The mean of the labels' [`Confusion::f1`], so that a rare label counts as much as a frequent one.
    pub fn macro_f1(&self) -> f64 {
        Label::ALL.iter().map(|label| self.f1(*label)).sum::<f64>() / 3.0
    }
}

#[cfg(test)]
mod tests {
    use super::Confusion;
    use crate::Label;

    #[test]
    fn counts_each_label_alike() {
        let mut confusion = Confusion::default();
        assert!(confusion.macro_f1().abs() < f64::EPSILON);
        for (truth, given, times) in [
            (Label::Negative, Label::Negative, 6),
            (Label::Negative, Label::Neutral, 2),
            (Label::Neutral, Label::Neutral, 1),
            (Label::Positive, Label::Neutral, 1),
        ] {
            (0..times).for_each(|_| confusion.add(truth, given));
        }
        assert!((confusion.accuracy() - 0.7).abs() < 1e-9);
        // Negative: precision 1, recall 0.75. Neutral: precision 0.25, recall 1. Positive: never given.
        assert!((confusion.macro_f1() - (6.0 / 7.0 + 0.4) / 3.0).abs() < 1e-9);
    }
}
