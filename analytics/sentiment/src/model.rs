//! The linear model: a table of small weights, and how a message is scored with it.
//!
//! The file, in little endian: the magic `SSM1`, the features' version (u16), the bits of a bucket (u16), the value of one step of a
//! weight (f32), a pair of f32 for each number of [`Features`], then a pair of i8 for each bucket. The first of a pair is for negative
//! and the second for positive; both are relative to neutral.
//!
//! Scoring uses sums of integers and IEEE additions, multiplications, divisions and square roots in a fixed order, so a message has the
//! same score on every machine.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::adapter::Adapter;
use crate::features::{BUCKET_BITS, FEATURES_VERSION, Features, NUMBERS};
use crate::{Label, Sentiment};

const MAGIC: [u8; 4] = *b"SSM1";
const HEADER_BYTES: usize = 4 + 2 + 2 + 4;

/// How many buckets a table has.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;

/// How much a group of features counts, before it is divided by the square root of its size.
pub(crate) const WORDS_FACTOR: f32 = 1.0;
pub(crate) const CHARACTERS_FACTOR: f32 = 1.0;
/// How much a mark counts.
pub(crate) const MARKS_FACTOR: f32 = 0.3;

/// How much speaks for negative and for positive, relative to neutral, in logits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// For negative.
    pub negative: f32,
    /// For positive.
    pub positive: f32,
}

impl Evidence {
    /// How likely it is negative, neutral and positive.
    pub fn probabilities(self) -> [f32; 3] {
        let highest = self.negative.max(self.positive).max(0.0);
        let parts = [exp(self.negative - highest), exp(-highest), exp(self.positive - highest)];
        let sum: f32 = parts.iter().sum();
        parts.map(|part| part / sum)
    }

    /// Label and score.
    pub fn sentiment(self) -> Sentiment {
        let label = if self.negative > 0.0 && self.negative >= self.positive {
            Label::Negative
        } else if self.positive > 0.0 {
            Label::Positive
        } else {
            Label::Neutral
        };
        let [negative, _, positive] = self.probabilities();
        // Adding 0 makes no score a negative 0.
        Sentiment { label, score: ((positive - negative) * 1_000.0).round() / 1_000.0 + 0.0 }
    }
}

/// e to the power of a number that is not above 0, from operations that are the same on every machine; to 1 in 1,000 above 1e-6.
fn exp(power: f32) -> f32 {
    let mut value = 1.0 + f64::from(power.max(-30.0)) / 16_384.0;
    for _ in 0..14 {
        value *= value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1")]
    let value = value as f32;
    value
}

/// A model's file cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModelError {
    /// It is another kind of file.
    #[error("this is not a sentiment model")]
    Magic,
    /// It was trained for other features.
    #[error(
        "the model was trained for features of version {found}, this program has {FEATURES_VERSION}: train it again"
    )]
    Features {
        /// Those it was trained for.
        found: u16,
    },
    /// It is cut off, or too long.
    #[error("the model has {found} bytes instead of {expected}")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
}

/// A model.
#[derive(Clone, Debug)]
pub struct Model {
    step: f32,
    numbers: [Evidence; NUMBERS],
    /// Pairs of i8.
    weights: Cow<'static, [u8]>,
    version: String,
}

impl Model {
    /// The model that ships with the program.
    pub fn built_in() -> &'static Self {
        static MODEL: LazyLock<Model> = LazyLock::new(|| {
            // A test reads the same bytes; a model without weights finds everything neutral.
            Model::parse(include_bytes!("../model.bin"))
                .unwrap_or_else(|_| Model::new(0.0, &[Evidence::default(); NUMBERS], Vec::new()))
        });
        &MODEL
    }

    /// A model of weights: pairs for each bucket, in steps.
    pub(crate) fn new(step: f32, numbers: &[Evidence; NUMBERS], weights: Vec<u8>) -> Self {
        let mut model = Self { step, numbers: *numbers, weights: Cow::Owned(weights), version: String::new() };
        model.version = version_of(&model.bytes());
        model
    }

    /// A model from its file.
    ///
    /// # Errors
    /// Any [`ModelError`].
    pub fn parse(bytes: &'static [u8]) -> Result<Self, ModelError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(ModelError::Magic)?;
        let expected = HEADER_BYTES + NUMBERS * 8 + BUCKETS * 2;
        let length = || ModelError::Length { found: bytes.len(), expected };
        let (features, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (bits, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let found = u16::from_le_bytes(*features);
        if found != FEATURES_VERSION || u32::from(u16::from_le_bytes(*bits)) != BUCKET_BITS {
            return Err(ModelError::Features { found });
        }
        let (step, mut rest) = rest.split_first_chunk().ok_or_else(length)?;
        let mut numbers = [Evidence::default(); NUMBERS];
        for number in &mut numbers {
            let (negative, after) = rest.split_first_chunk().ok_or_else(length)?;
            let (positive, after) = after.split_first_chunk().ok_or_else(length)?;
            *number = Evidence { negative: f32::from_le_bytes(*negative), positive: f32::from_le_bytes(*positive) };
            rest = after;
        }
        if rest.len() != BUCKETS * 2 {
            return Err(length());
        }
        let step = f32::from_le_bytes(*step);
        Ok(Self { step, numbers, weights: Cow::Borrowed(rest), version: version_of(bytes) })
    }

    /// The model's file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + NUMBERS * 8 + self.weights.len());
        bytes.extend(MAGIC);
        bytes.extend(FEATURES_VERSION.to_le_bytes());
        bytes.extend(u16::try_from(BUCKET_BITS).unwrap_or_default().to_le_bytes());
        bytes.extend(self.step.to_le_bytes());
        for number in &self.numbers {
            bytes.extend(number.negative.to_le_bytes());
            bytes.extend(number.positive.to_le_bytes());
        }
        bytes.extend(self.weights.iter());
        bytes
    }

    /// What distinguishes this model's scores from any other's: the features' version and a hash of the weights.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How a message sounds.
    pub fn score(&self, message: &str) -> Sentiment {
        self.evidence(&Features::of(message)).sentiment()
    }

    /// How a message sounds to a workspace that has corrected the model.
    pub fn score_adapted(&self, message: &str, adapter: &Adapter) -> Sentiment {
        let features = Features::of(message);
        adapter.adapt(&features, self.evidence(&features)).sentiment()
    }

    /// What speaks for each label.
    pub fn evidence(&self, features: &Features) -> Evidence {
        let mut evidence = Evidence::default();
        if features.is_empty {
            return evidence;
        }
        for (number, weights) in features.numbers.iter().zip(&self.numbers) {
            evidence.negative += number * weights.negative;
            evidence.positive += number * weights.positive;
        }
        let groups = [
            (&features.words, group_factor(WORDS_FACTOR, features.words.len())),
            (&features.characters, group_factor(CHARACTERS_FACTOR, features.characters.len())),
            (&features.marks, MARKS_FACTOR),
        ];
        for (buckets, factor) in groups {
            let (negative, positive) = self.sum(buckets);
            evidence.negative += negative * self.step * factor;
            evidence.positive += positive * self.step * factor;
        }
        evidence
    }

    #[expect(clippy::cast_precision_loss, reason = "a few thousand features of at most 128 steps are below 2^24")]
    fn sum(&self, buckets: &[u32]) -> (f32, f32) {
        let mut sums = (0_i32, 0_i32);
        for bucket in buckets {
            let index = 2 * *bucket as usize;
            if let Some([negative, positive]) = self.weights.get(index..index + 2) {
                sums.0 += i32::from(negative.cast_signed());
                sums.1 += i32::from(positive.cast_signed());
            }
        }
        (sums.0 as f32, sums.1 as f32)
    }
}

/// What each feature of a group of this size counts.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
pub(crate) fn group_factor(factor: f32, size: usize) -> f32 {
    if size == 0 { 0.0 } else { factor / (size as f32).sqrt() }
}

fn version_of(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{FEATURES_VERSION}-{hash:08x}")
}
