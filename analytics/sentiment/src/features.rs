//! What the model sees of a message.
//!
//! Three groups of hashed features, and a few numbers. *Words*: words and their pairs and triples, apart when they are negated.
//! *Characters*: pieces of words, which reach over dialects, endings and misspellings. *Marks*: how the message begins and ends, and
//! which kinds of tone come together in it, so that thanks inside a complaint are not taken for thanks. The *numbers* sum up what the
//! lexicon knows; each has a place for Arabic and one for all other languages.
//!
//! A change here needs another [`FEATURES_VERSION`] and a newly trained model.

use crate::lexicon::{Class, Entry, Lexicon, MAX_PHRASE_WORDS, PhraseHash, is_contrast, is_negation};
use crate::text::{Kind, Text, Token};

/// The version of what is seen.
pub const FEATURES_VERSION: u16 = 1;

/// Hashed features have numbers below two to this.
pub const BUCKET_BITS: u32 = 19;

/// How many numbers a language has.
const NUMBERS_OF_A_LANGUAGE: usize = 18;

/// How many numbers there are.
pub const NUMBERS: usize = 2 * NUMBERS_OF_A_LANGUAGE;

/// How many words a negation reaches.
const NEGATION_REACH: usize = 3;

/// The lengths of pieces of words, in characters.
const PIECES: std::ops::RangeInclusive<usize> = 2..=5;

/// What the model sees of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Numbers of hashed words, pairs and triples.
    pub words: Vec<u32>,
    /// Numbers of hashed pieces of words.
    pub characters: Vec<u32>,
    /// Numbers of hashed marks.
    pub marks: Vec<u32>,
    /// What is summed up.
    pub numbers: [f32; NUMBERS],
    /// Whether there is anything to judge.
    pub is_empty: bool,
}

impl Features {
    /// The features of a message.
    pub fn of(message: &str) -> Self {
        let text = Text::of(message);
        let mut features = Self {
            words: Vec::with_capacity(3 * text.tokens().len()),
            characters: Vec::with_capacity(12 * text.tokens().len()),
            marks: Vec::with_capacity(8),
            numbers: [0.0; NUMBERS],
            is_empty: !text.tokens().iter().any(|token| is_said(token.kind)),
        };
        features.add_words(&text);
        features.add_characters(&text);
        let tone = Tone::of(&text);
        features.add_marks(&text, &tone);
        features.add_numbers(&text, &tone);
        features
    }

    fn add_words(&mut self, text: &Text) {
        let mut before: [Option<Hash>; 2] = [None, None];
        let mut reach = 0;
        for token in text.tokens() {
            if !is_said(token.kind) {
                if token.kind != Kind::Mention {
                    before = [None, None];
                    reach = 0;
                }
                continue;
            }
            let word = text.word(*token);
            let seed = if reach > 0 { Hash::of(b'n') } else { Hash::of(b'w') };
            let whole = seed.add(word);
            self.words.push(whole.bucket());
            if let Some(one) = before[1] {
                self.words.push(one.add(" ").add(word).bucket());
                if let Some(two) = before[0] {
                    self.words.push(two.add(" ").add(word).bucket());
                }
            }
            before = [before[1].map(|one| one.add(" ").add(word)), Some(Hash::of(b'p').add(word))];
            reach = if is_negation(word) { NEGATION_REACH } else { usize::saturating_sub(reach, 1) };
        }
    }

    fn add_characters(&mut self, text: &Text) {
        let mut padded: Vec<char> = Vec::with_capacity(40);
        for token in text.tokens().iter().filter(|token| token.kind == Kind::Word) {
            padded.clear();
            padded.push(' ');
            padded.extend(text.word(*token).chars());
            padded.push(' ');
            for start in 0..padded.len() {
                let mut hash = Hash::of(b'c');
                for (length, character) in padded.iter().skip(start).take(*PIECES.end()).enumerate() {
                    hash = hash.add_character(*character);
                    if length + 1 >= *PIECES.start() {
                        self.characters.push(hash.bucket());
                    }
                }
            }
        }
    }

    fn add_marks(&mut self, text: &Text, tone: &Tone) {
        let words: Vec<&str> =
            text.tokens().iter().filter(|token| is_said(token.kind)).map(|token| text.word(*token)).collect();
        if let [first, rest @ ..] = words.as_slice() {
            let begins = Hash::of(b'b').add(first);
            self.marks.push(begins.bucket());
            if let Some(second) = rest.first() {
                self.marks.push(begins.add(" ").add(second).bucket());
            }
        }
        if let Some(last) = words.last() {
            self.marks.push(Hash::of(b'e').add(last).bucket());
        }
        let length = words.len().checked_ilog2().map_or(0, |log| log + 1).min(6);
        let language = if text.is_arabic() { "a" } else { "o" };
        self.marks.push(Hash::of(b'l').add(language).add_character(digit(length)).bucket());
        let together = tone.together();
        self.marks.push(Hash::of(b't').add(language).add(&together).bucket());
        self.marks.push(Hash::of(b'u').add(language).add(&together).add_character(digit(length)).bucket());
    }

    fn add_numbers(&mut self, text: &Text, tone: &Tone) {
        let words = text.tokens().iter().filter(|token| token.kind == Kind::Word).count();
        let shouted = text.tokens().iter().filter(|token| token.shouted).count();
        let of = |kind: Kind| text.tokens().iter().filter(|token| token.kind == kind).count();
        let values = [
            1.0,
            share(tone.positive),
            share(tone.negative),
            share(tone.trouble),
            share(tone.gratitude),
            share(tone.emoji_positive),
            share(tone.emoji_negative),
            share(tone.last_positive),
            share(tone.last_negative),
            tone.highest / 3.0,
            tone.lowest / 3.0,
            share(amount(tone.negations)),
            share(amount(of(Kind::Exclamation))),
            share(amount(of(Kind::Question))),
            share(amount(shouted)),
            share(amount(text.held)),
            amount(words) / (amount(words) + 12.0),
            share(amount(of(Kind::Link))),
        ];
        let values: [f32; NUMBERS_OF_A_LANGUAGE] = values;
        let from = if text.is_arabic() { NUMBERS_OF_A_LANGUAGE } else { 0 };
        for (number, value) in self.numbers.iter_mut().skip(from).zip(values) {
            *number = value;
        }
    }
}

const fn is_said(kind: Kind) -> bool {
    matches!(kind, Kind::Word | Kind::Emoji)
}

/// An amount as a share of what it can be at most, so that the tenth of a kind says less than the first.
fn share(amount: f32) -> f32 {
    amount / (amount + 2.5)
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens are far below 2^24")]
const fn amount(count: usize) -> f32 {
    count as f32
}

fn digit(value: u32) -> char {
    char::from_digit(value, 10).unwrap_or('9')
}

/// A hash that grows (FNV-1a, 32 bits).
#[derive(Clone, Copy)]
struct Hash(u32);

impl Hash {
    fn of(kind: u8) -> Self {
        Self(0x811c_9dc5).add_byte(kind)
    }

    const fn add_byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u32).wrapping_mul(0x0100_0193))
    }

    fn add(self, word: &str) -> Self {
        word.bytes().fold(self, Self::add_byte)
    }

    /// One step for a character, whatever its length in bytes.
    fn add_character(self, character: char) -> Self {
        Self((self.0 ^ u32::from(character)).wrapping_mul(0x0100_0193).rotate_left(5))
    }

    /// Mixed, since FNV leaves little in the high bits of short words (the finaliser of `MurmurHash3`).
    const fn bucket(self) -> u32 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) >> (32 - BUCKET_BITS)
    }
}

/// What the lexicon finds.
#[derive(Debug, Default)]
struct Tone {
    positive: f32,
    negative: f32,
    trouble: f32,
    gratitude: f32,
    emoji_positive: f32,
    emoji_negative: f32,
    /// Since the last contrast, or in all if there is none.
    last_positive: f32,
    last_negative: f32,
    highest: f32,
    lowest: f32,
    negations: usize,
    questions: usize,
}

impl Tone {
    fn of(text: &Text) -> Self {
        let mut tone = Self::default();
        let mut reach = 0;
        let mut rest = text.tokens();
        while let Some(token) = rest.first() {
            let mut taken = 1;
            match token.kind {
                Kind::Word => {
                    let word = text.word(*token);
                    if is_contrast(word) {
                        (tone.last_positive, tone.last_negative) = (0.0, 0.0);
                    }
                    if let Some((entry, words)) = longest(text, rest) {
                        tone.add(entry, reach > 0);
                        taken = words;
                    }
                    if taken == 1 && is_negation(word) {
                        tone.negations += 1;
                        reach = NEGATION_REACH;
                    } else {
                        reach = reach.saturating_sub(taken);
                    }
                }
                Kind::Emoji => tone.add_emoji(text.word(*token)),
                Kind::Question => tone.questions += 1,
                Kind::Mention | Kind::Link => {}
                Kind::Exclamation | Kind::Break => reach = 0,
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        tone
    }

    fn add(&mut self, entry: Entry, negated: bool) {
        let valence = match (negated, entry.class) {
            (false, _) => entry.valence,
            // "not late" says little; "not bad" a little good; "not good" is bad, and "no thanks" is only polite.
            (true, Class::Trouble | Class::Gratitude) => return,
            (true, Class::Opinion) if entry.valence < 0.0 => -0.4 * entry.valence,
            (true, Class::Opinion) => -0.7 * entry.valence,
        };
        self.highest = self.highest.max(valence);
        self.lowest = self.lowest.min(valence);
        match entry.class {
            Class::Gratitude => self.gratitude += valence,
            Class::Trouble => {
                self.trouble -= valence;
                self.last_negative -= valence;
            }
            Class::Opinion if valence > 0.0 => {
                self.positive += valence;
                self.last_positive += valence;
            }
            Class::Opinion => {
                self.negative -= valence;
                self.last_negative -= valence;
            }
        }
    }

    fn add_emoji(&mut self, emoji: &str) {
        let Some(entry) = Lexicon::built_in().look_up(None, emoji).0 else { return };
        if entry.valence > 0.0 {
            self.emoji_positive += entry.valence;
        } else {
            self.emoji_negative -= entry.valence;
        }
    }

    /// Which kinds come together, as a short word.
    fn together(&self) -> String {
        let kinds = [
            ('p', self.positive > 0.0),
            ('P', self.last_positive > 0.0),
            ('n', self.negative > 0.0),
            ('N', self.last_negative > 0.0),
            ('t', self.trouble >= 2.0),
            ('g', self.gratitude > 0.0),
            ('q', self.questions > 0),
            ('x', self.negations > 0),
            ('e', self.emoji_positive > 0.0),
            ('E', self.emoji_negative > 1.0),
        ];
        kinds.iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| *kind).collect()
    }
}

/// The longest phrase of the lexicon at the beginning, and how many tokens it is.
fn longest(text: &Text, tokens: &[Token]) -> Option<(Entry, usize)> {
    let mut found = None;
    let mut before: Option<PhraseHash> = None;
    for (index, token) in tokens.iter().take(MAX_PHRASE_WORDS).enumerate() {
        if token.kind != Kind::Word {
            break;
        }
        let (entry, hash) = Lexicon::built_in().look_up(before, text.word(*token));
        if let Some(entry) = entry {
            found = Some((entry, index + 1));
        }
        before = Some(hash);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Features, Tone};
    use crate::text::Text;

    fn together(message: &str) -> String {
        Tone::of(&Text::of(message)).together()
    }

    #[test]
    fn tells_which_tones_come_together() {
        assert_eq!(together("Great service, thank you!"), "pPg");
        assert_eq!(together("thanks for losing my luggage"), "nN");
        assert_eq!(together("nice room but the shower is broken"), "pNt");
        assert_eq!(together("not good"), "nN");
        assert_eq!(together("not delayed at all"), "x");
        assert_eq!(together("المنتج حلو لكن التوصيل متأخر"), "pNt");
    }

    #[test]
    fn what_a_negation_reaches_is_another_word() {
        let plain = Features::of("good");
        let negated = Features::of("never good");
        assert!(!negated.words.contains(&plain.words[0]));
        assert!(Features::of("never. good").words.contains(&plain.words[0]));
    }

    #[test]
    fn spellings_of_one_word_have_one_form() {
        assert_eq!(Features::of("خدمة رائعة").words, Features::of("خدمه رآئعه").words);
        assert!(Features::of("@shop https://t.co/x").is_empty);
    }
}
