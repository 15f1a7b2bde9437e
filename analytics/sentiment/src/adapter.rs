//! What a workspace's own corrections add to the model.
//!
//! A correction says what a message really was. The adapter keeps small weights on top of the model's evidence: for words and marks,
//! hashed to a fixed number of places, for what the lexicon sums up, and for the model's own opinion. It learns online, a few steps for
//! each correction, by gradient steps that shrink. It has a fixed size, knows no texts, and the same corrections in the same order give the same bytes.

use crate::features::{Features, NUMBERS};
use crate::model::{Evidence, Model, group_factor};
use crate::{Label, Sentiment};

const MAGIC: [u8; 4] = *b"SSA1";

/// How many places words and marks share.
const PLACES: usize = 4_096;

/// How many weights there are for each of negative and positive: places, numbers, and the model's evidence for both.
const WEIGHTS: usize = PLACES + NUMBERS + 2;

/// The bytes of a weight in a file: its index, and a value and a pressure for negative and for positive.
const ENTRY_BYTES: usize = 2 + 4 * 4;

/// The most bytes of an adapter's file.
pub const MAX_ADAPTER_BYTES: usize = 4 + 4 + WEIGHTS * ENTRY_BYTES;

/// The most steps that are made for a correction.
const STEPS: usize = 3;

/// How likely the right label is to be before no more steps are made.
const ENOUGH: f32 = 0.8;

/// How far a step goes.
const RATE: f32 = 0.5;

/// How little a single correction moves a weight, compared with many that agree.
const CAUTION: f32 = 1.0;

/// Evidence of the model beyond this, in logits, weighs no more.
const MAX_EVIDENCE: f32 = 4.0;

/// An adapter's file cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AdapterError {
    /// It is another kind of file, or is cut off.
    #[error("these are not a sentiment adapter's bytes")]
    Damaged,
}

/// A weight for negative and one for positive, each with the sum of the squares of its gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Weight {
    values: [f32; 2],
    pressures: [f32; 2],
}

/// What corrections have taught.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    corrections: u32,
    /// Empty until the first correction.
    weights: Vec<Weight>,
}

impl Adapter {
    /// How many corrections it has learned.
    pub const fn corrections(&self) -> u32 {
        self.corrections
    }

    /// Learns that a message was `label`; returns how it sounded before.
    pub fn learn(&mut self, model: &Model, message: &str, label: Label) -> Sentiment {
        let features = Features::of(message);
        let base = model.evidence(&features);
        let before = self.adapt(&features, base).sentiment();
        if features.is_empty {
            return before;
        }
        self.weights.resize(WEIGHTS, Weight::default());
        self.corrections = self.corrections.saturating_add(1);
        let inputs = inputs(&features, base);
        for _ in 0..STEPS {
            let probabilities = self.sum(&inputs, base).probabilities();
            if probabilities.get(label.index()).is_some_and(|probability| *probability >= ENOUGH) {
                break;
            }
            let wanted = |of: Label| if of == label { 1.0 } else { 0.0 };
            let [negative, _, positive] = probabilities;
            let errors = [negative - wanted(Label::Negative), positive - wanted(Label::Positive)];
            for (index, input) in &inputs {
                let Some(weight) = self.weights.get_mut(*index) else { continue };
                for ((value, pressure), error) in weight.values.iter_mut().zip(&mut weight.pressures).zip(errors) {
                    let gradient = error * input;
                    *pressure += gradient * gradient;
                    *value -= RATE * gradient / (CAUTION + pressure.sqrt());
                }
            }
        }
        before
    }

    pub(crate) fn adapt(&self, features: &Features, base: Evidence) -> Evidence {
        if self.weights.is_empty() || features.is_empty { base } else { self.sum(&inputs(features, base), base) }
    }

    fn sum(&self, inputs: &[(usize, f32)], base: Evidence) -> Evidence {
        let mut evidence = base;
        for (index, input) in inputs {
            let Some(weight) = self.weights.get(*index) else { continue };
            let [negative, positive] = weight.values;
            evidence.negative += negative * input;
            evidence.positive += positive * input;
        }
        evidence
    }

    /// Its bytes; at most [`MAX_ADAPTER_BYTES`].
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(self.corrections.to_le_bytes());
        for (index, weight) in (0_u16..).zip(&self.weights) {
            if *weight != Weight::default() {
                bytes.extend(index.to_le_bytes());
                for value in weight.values.iter().chain(&weight.pressures) {
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// An adapter from its bytes.
    ///
    /// # Errors
    /// [`AdapterError::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AdapterError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(AdapterError::Damaged)?;
        let (corrections, rest) = rest.split_first_chunk().ok_or(AdapterError::Damaged)?;
        let (entries, rest) = rest.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || entries.len() > WEIGHTS {
            return Err(AdapterError::Damaged);
        }
        let corrections = u32::from_le_bytes(*corrections);
        let mut weights = if corrections == 0 { Vec::new() } else { vec![Weight::default(); WEIGHTS] };
        for entry in entries {
            let (index, values) = entry.split_first_chunk().ok_or(AdapterError::Damaged)?;
            let weight = weights.get_mut(usize::from(u16::from_le_bytes(*index))).ok_or(AdapterError::Damaged)?;
            let (values, _) = values.as_chunks();
            for (place, value) in weight.values.iter_mut().chain(&mut weight.pressures).zip(values) {
                *place = f32::from_le_bytes(*value);
                if !place.is_finite() {
                    return Err(AdapterError::Damaged);
                }
            }
        }
        Ok(Self { corrections, weights })
    }
}

/// Which weights a message touches, and how much.
fn inputs(features: &Features, base: Evidence) -> Vec<(usize, f32)> {
    let mut inputs = Vec::with_capacity(features.words.len() + features.marks.len() + 12);
    let factor = group_factor(1.0, features.words.len());
    inputs.extend(features.words.iter().map(|bucket| (*bucket as usize % PLACES, factor)));
    inputs.extend(features.marks.iter().map(|bucket| (*bucket as usize % PLACES, 0.3)));
    let numbers = features.numbers.iter().enumerate().filter(|(_, number)| **number != 0.0);
    inputs.extend(numbers.map(|(index, number)| (PLACES + index, *number)));
    let opinion =
        [base.negative, base.positive].map(|evidence| evidence.clamp(-MAX_EVIDENCE, MAX_EVIDENCE) / MAX_EVIDENCE);
    inputs.extend(opinion.into_iter().enumerate().map(|(index, evidence)| (PLACES + NUMBERS + index, evidence)));
    inputs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Adapter, AdapterError, MAX_ADAPTER_BYTES};
    use crate::{Label, Model};

    /// Words of a trade that mean there what they mean nowhere else.
    const TRADE: [(&str, Label); 8] = [
        ("that beat is sick, the drop is filthy", Label::Positive),
        ("filthy bassline on the new preset", Label::Positive),
        ("sick kick drum in pack 4", Label::Positive),
        ("the snare is nasty, insane pack", Label::Positive),
        ("the loop clicks at bar 8", Label::Negative),
        ("preset 12 clicks when I hold a note", Label::Negative),
        ("which pack has the 808", Label::Neutral),
        ("is the 808 in the free pack", Label::Neutral),
    ];

    #[test]
    fn learns_the_words_of_a_trade() {
        let model = Model::built_in();
        let mut adapter = Adapter::default();
        for _ in 0..6 {
            for (message, label) in TRADE {
                adapter.learn(model, message, label);
            }
        }
        assert_eq!(adapter.corrections(), 48);
        for (message, label) in TRADE {
            assert_eq!(model.score_adapted(message, &adapter).label, label, "{message}");
        }
        assert_eq!(model.score_adapted("what a filthy bassline", &adapter).label, Label::Positive);
    }

    #[test]
    fn a_fresh_one_changes_nothing() {
        for (message, _) in TRADE {
            assert_eq!(Model::built_in().score_adapted(message, &Adapter::default()), Model::built_in().score(message));
        }
    }

    #[test]
    fn refuses_foreign_bytes() {
        for bytes in [&b""[..], b"SSM1....", b"SSA1\0\0", b"SSA1\0\0\0\0x", b"SSA1\0\0\0\0................\0\0"] {
            assert_eq!(Adapter::parse(bytes), Err(AdapterError::Damaged));
        }
        assert_eq!(Adapter::parse(&Adapter::default().bytes()), Ok(Adapter::default()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn its_bytes_are_all_it_knows(corrections in prop::collection::vec(("\\PC{0,60}", 0_usize..3), 0..40)) {
            let model = Model::built_in();
            let mut adapter = Adapter::default();
            for (message, label) in &corrections {
                adapter.learn(model, message, Label::ALL[*label]);
                let bytes = adapter.bytes();
                prop_assert!(bytes.len() <= MAX_ADAPTER_BYTES);
                adapter = Adapter::parse(&bytes).unwrap();
            }
            let mut again = Adapter::default();
            for (message, label) in &corrections {
                again.learn(model, message, Label::ALL[*label]);
            }
            prop_assert_eq!(adapter, again);
        }
    }
}
