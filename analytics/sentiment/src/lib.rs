//! How a message sounds: negative, neutral or positive, by a built-in model.
//!
//! [`Model::built_in`] scores a message of a customer in its own language: Arabic with its dialects, English, and others as far as
//! emoji and a few words reach. It takes some microseconds, allocates little, and gives the same score on every machine. A
//! workspace's corrections are learned by an [`Adapter`] on top of it.
//!
//! `cargo run --release -p sentiment --bin train-sentiment` trains the model and says how good it is; see the README beside this crate.
//!
//! What it does not do: detect languages, read anything but text, reach the network.

mod adapter;
pub mod evaluate;
pub mod features;
mod lexicon;
mod model;
mod text;
pub mod train;

pub use self::adapter::{Adapter, AdapterError, MAX_ADAPTER_BYTES};
pub use self::model::{Evidence, Model, ModelError};
pub use self::text::MAX_CHARACTERS;

/// What a message is, on the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// It complains, reports what went wrong, or is angry.
    Negative,
    /// It asks, informs, or says nothing of how its author feels.
    Neutral,
    /// It thanks, praises, or is glad.
    Positive,
}

impl Label {
    /// All, from negative to positive.
    pub const ALL: [Self; 3] = [Self::Negative, Self::Neutral, Self::Positive];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }

    /// The label of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.as_str() == name)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// How a message sounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sentiment {
    /// On the whole.
    pub label: Label,
    /// How likely it is positive less how likely it is negative: from -1 to 1, in steps of 0.001.
    pub score: f32,
}
