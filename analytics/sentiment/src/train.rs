//! Training the model: multinomial logistic regression by adaptive gradients (`AdaGrad`) over hashed features.
//!
//! Training texts are of several kinds, and the model is for one of them: customers writing to companies. So each kind but that one
//! has weights of its own on top of the common ones. They take up what is peculiar to it, and are thrown away in the end.
//!
//! Everything is deterministic: the same examples in the same order give the same model.

use crate::Label;
use crate::features::{Features, NUMBERS};
use crate::model::{BUCKETS, CHARACTERS_FACTOR, Evidence, MARKS_FACTOR, Model, WORDS_FACTOR, group_factor};

/// What kind of text an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A message of a customer.
    Support,
    /// A comment in a forum, in English.
    Forum,
    /// A tweet, in Arabic.
    Tweet,
}

/// A text of which the label is known.
#[derive(Clone, Debug)]
pub struct Example {
    /// The text.
    pub text: String,
    /// What it is.
    pub label: Label,
    /// What kind of text it is.
    pub source: Source,
}

/// How training works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often all examples are seen.
    pub epochs: u32,
    /// How far a first step goes.
    pub rate: f32,
    /// How strongly weights are drawn to 0, for each step.
    pub decay: f32,
    /// How much an example of each source counts: support, forum, tweet.
    pub sources: [f32; 3],
    /// How far rare labels are made to count as much as frequent ones, from 0 to 1.
    pub balance: f32,
    /// A bucket that fewer examples touch is not used.
    pub min_examples: u32,
    /// How much the rarity of a feature makes it count, from 0 to 1.
    pub rarity: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epochs: 16,
            rate: 0.03,
            decay: 2e-5,
            sources: [8.0, 0.3, 2.0],
            balance: 0.7,
            min_examples: 3,
            rarity: 1.0,
        }
    }
}

/// An example as it is learned from.
struct Prepared {
    buckets: Vec<(u32, f32)>,
    numbers: [f32; NUMBERS],
    label: usize,
    source: Source,
    weight: f32,
}

/// A weight for each label, with the sums of the squares of their gradients.
#[derive(Clone, Copy, Default)]
struct Weight {
    values: [f32; 3],
    pressures: [f32; 3],
}

impl Weight {
    fn step(&mut self, errors: [f32; 3], input: f32, options: &Options) {
        for ((value, pressure), error) in self.values.iter_mut().zip(&mut self.pressures).zip(errors) {
            let gradient = error * input + options.decay * *value;
            *pressure += gradient * gradient;
            if *pressure > 0.0 {
                *value -= options.rate * gradient / pressure.sqrt();
            }
        }
    }
}

struct Weights {
    common: Vec<Weight>,
    /// What is peculiar to forums.
    forum: Vec<Weight>,
    common_numbers: [Weight; NUMBERS],
    forum_numbers: [Weight; NUMBERS],
}

/// Trains a model.
pub fn train(examples: &[Example], options: &Options) -> Model {
    let (prepared, rarities) = prepare(examples, options);
    let mut weights = Weights {
        common: vec![Weight::default(); BUCKETS],
        forum: vec![Weight::default(); BUCKETS],
        common_numbers: [Weight::default(); NUMBERS],
        forum_numbers: [Weight::default(); NUMBERS],
    };
    let mut order: Vec<usize> = (0..prepared.len()).collect();
    let mut random = Random(0x5eed_0f5a_1e20);
    for _ in 0..options.epochs {
        random.shuffle(&mut order);
        for index in &order {
            if let Some(example) = prepared.get(*index) {
                weights.learn(example, options);
            }
        }
    }
    weights.finish(&rarities)
}

impl Weights {
    fn learn(&mut self, example: &Prepared, options: &Options) {
        let is_forum = example.source == Source::Forum;
        let mut sums = [0.0_f32; 3];
        let add = |weight: &Weight, input: f32, sums: &mut [f32; 3]| {
            sums.iter_mut().zip(weight.values).for_each(|(sum, value)| *sum += value * input);
        };
        for (bucket, input) in &example.buckets {
            if let Some(weight) = self.common.get(*bucket as usize) {
                add(weight, *input, &mut sums);
            }
            if is_forum && let Some(weight) = self.forum.get(*bucket as usize) {
                add(weight, *input, &mut sums);
            }
        }
        for ((common, forum), input) in self.common_numbers.iter().zip(&self.forum_numbers).zip(example.numbers) {
            add(common, input, &mut sums);
            if is_forum {
                add(forum, input, &mut sums);
            }
        }
        let highest = sums.iter().copied().fold(f32::MIN, f32::max);
        let parts = sums.map(|sum| (sum - highest).exp());
        let total: f32 = parts.iter().sum();
        let mut errors = parts.map(|part| part / total * example.weight);
        if let Some(error) = errors.get_mut(example.label) {
            *error -= example.weight;
        }
        for (bucket, input) in &example.buckets {
            if let Some(weight) = self.common.get_mut(*bucket as usize) {
                weight.step(errors, *input, options);
            }
            if is_forum && let Some(weight) = self.forum.get_mut(*bucket as usize) {
                weight.step(errors, *input, options);
            }
        }
        for ((common, forum), input) in self.common_numbers.iter_mut().zip(&mut self.forum_numbers).zip(example.numbers)
        {
            if input != 0.0 {
                common.step(errors, input, options);
                if is_forum {
                    forum.step(errors, input, options);
                }
            }
        }
    }

    /// The common weights relative to neutral, in steps of one byte.
    fn finish(self, rarities: &[f32]) -> Model {
        let evidence = |weight: &Weight, factor: f32| {
            let [negative, neutral, positive] = weight.values;
            Evidence { negative: (negative - neutral) * factor, positive: (positive - neutral) * factor }
        };
        let pairs: Vec<Evidence> =
            self.common.iter().zip(rarities).map(|(weight, rarity)| evidence(weight, *rarity)).collect();
        let mut sizes: Vec<f32> = pairs.iter().flat_map(|pair| [pair.negative.abs(), pair.positive.abs()]).collect();
        sizes.retain(|size| *size > 0.0);
        sizes.sort_by(f32::total_cmp);
        // The few largest are cut, so that the many small ones keep more of their precision.
        let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 2_000)).copied().unwrap_or(1.0);
        let step = largest / 127.0;
        let weights = pairs.iter().flat_map(|pair| [byte(pair.negative / step), byte(pair.positive / step)]).collect();
        Model::new(step, &self.common_numbers.map(|weight| evidence(&weight, 1.0)), weights)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of a byte")]
fn byte(steps: f32) -> u8 {
    (steps.round().clamp(-127.0, 127.0) as i8).cast_unsigned()
}

/// Examples as inputs and weights, and how much each bucket counts for its rarity; 0 for those that are not used.
#[expect(clippy::cast_precision_loss, reason = "counts of examples are far below 2^24")]
fn prepare(examples: &[Example], options: &Options) -> (Vec<Prepared>, Vec<f32>) {
    let features: Vec<Features> = examples.iter().map(|example| Features::of(&example.text)).collect();
    let mut seen = vec![0_u32; BUCKETS];
    for features in &features {
        let mut buckets: Vec<u32> =
            features.words.iter().chain(&features.characters).chain(&features.marks).copied().collect();
        buckets.sort_unstable();
        buckets.dedup();
        for bucket in buckets {
            if let Some(count) = seen.get_mut(bucket as usize) {
                *count += 1;
            }
        }
    }
    let all = examples.len() as f32;
    let rarity = |count: &u32| {
        if *count < options.min_examples { 0.0 } else { ((1.0 + all / *count as f32).ln() / 3.0).powf(options.rarity) }
    };
    let rarities: Vec<f32> = seen.iter().map(rarity).collect();
    let label_weights = label_weights(examples, options.balance);
    let prepared = examples
        .iter()
        .zip(&features)
        .map(|(example, features)| Prepared {
            buckets: inputs(features, &rarities),
            numbers: features.numbers,
            label: example.label.index(),
            source: example.source,
            weight: label_weights
                .get(example.source as usize)
                .and_then(|labels| labels.get(example.label.index()))
                .zip(options.sources.get(example.source as usize))
                .map_or(1.0, |(label, source)| label * source),
        })
        .collect();
    (prepared, rarities)
}

fn inputs(features: &Features, rarities: &[f32]) -> Vec<(u32, f32)> {
    let groups = [
        (&features.words, group_factor(WORDS_FACTOR, features.words.len())),
        (&features.characters, group_factor(CHARACTERS_FACTOR, features.characters.len())),
        (&features.marks, MARKS_FACTOR),
    ];
    groups
        .into_iter()
        .flat_map(|(buckets, factor)| buckets.iter().map(move |bucket| (*bucket, factor)))
        .filter_map(|(bucket, factor)| {
            let rarity = rarities.get(bucket as usize).copied().filter(|rarity| *rarity > 0.0)?;
            Some((bucket, factor * rarity))
        })
        .collect()
}

/// How much an example counts, by source and label.
#[expect(clippy::cast_precision_loss, reason = "counts of examples are far below 2^24")]
fn label_weights(examples: &[Example], balance: f32) -> [[f32; 3]; 3] {
    let mut counts = [[0_u32; 3]; 3];
    for example in examples {
        let count = counts.get_mut(example.source as usize).and_then(|labels| labels.get_mut(example.label.index()));
        if let Some(count) = count {
            *count += 1;
        }
    }
    counts.map(|labels| {
        let mean = labels.iter().sum::<u32>() as f32 / 3.0;
        labels.map(|count| if count == 0 { 1.0 } else { (mean / count as f32).powf(balance) })
    })
}

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(mixed).unwrap_or(0) % bound.max(1)
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Example, Options, Source, train};
    use crate::Label;

    fn examples() -> Vec<Example> {
        let texts = [
            ("the blorp is grumf", Label::Negative),
            ("such a grumf snorble", Label::Negative),
            ("a very zindle blorp", Label::Positive),
            ("zindle snorble today", Label::Positive),
            ("where can I see a blorp", Label::Neutral),
            ("the snorble is at noon", Label::Neutral),
        ];
        let example = |(text, label): (&str, Label)| Example { text: text.to_owned(), label, source: Source::Support };
        texts.into_iter().map(example).collect()
    }

    #[test]
    fn learns_what_words_mean_and_the_same_each_time() {
        let options = Options { min_examples: 1, epochs: 40, ..Options::default() };
        let model = train(&examples(), &options);
        assert_eq!(model.score("grumf blorp").label, Label::Negative);
        assert_eq!(model.score("zindle blorp").label, Label::Positive);
        assert_eq!(model.version(), train(&examples(), &options).version());
    }
}
