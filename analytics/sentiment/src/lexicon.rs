//! Words and short phrases whose tone is known beforehand.
//!
//! The lists stand in `lexicon/`: a line is a valence from -3 to 3 with an optional class letter, and entries of that kind. Words of a
//! phrase are joined by `_`; a `*` at the end stands for any ending. Entries are brought to the one spelling of [`crate::text`], so a
//! list may spell them in any way.

use std::sync::LazyLock;

use crate::text::{Kind, Text};

/// The most words of a phrase.
pub(crate) const MAX_PHRASE_WORDS: usize = 4;

const LISTS: [&str; 4] = [
    include_str!("../lexicon/en.txt"),
    include_str!("../lexicon/ar.txt"),
    include_str!("../lexicon/other.txt"),
    include_str!("../lexicon/emoji.txt"),
];

/// What kind of word it is, beside its valence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It judges.
    Opinion,
    /// It tells of a fault, a delay or a loss.
    Trouble,
    /// It thanks.
    Gratitude,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// From -3 to 3, never 0.
    pub(crate) valence: f32,
    pub(crate) class: Class,
}

/// All entries, by the hash of their words.
#[derive(Debug)]
pub(crate) struct Lexicon {
    whole: Entries,
    beginnings: Entries,
}

/// Entries by hash, and bits that say for most hashes that there is none: most words are in no list.
#[derive(Debug)]
struct Entries {
    sorted: Vec<(u64, Entry)>,
    bits: Vec<u64>,
}

/// How many hashes are told apart by [`Entries::bits`], as a power of two.
const FILTER_BITS: u32 = 16;

impl Entries {
    fn of(mut entries: Vec<(u64, Entry)>) -> Self {
        // The first list that names a word counts: sorting is stable.
        entries.sort_by_key(|(hash, _)| *hash);
        entries.dedup_by_key(|(hash, _)| *hash);
        let mut bits = vec![0; 1 << (FILTER_BITS - 6)];
        for (hash, _) in &entries {
            let (place, bit) = Self::place(*hash);
            if let Some(word) = bits.get_mut(place) {
                *word |= bit;
            }
        }
        Self { sorted: entries, bits }
    }

    const fn place(hash: u64) -> (usize, u64) {
        let number = (hash ^ (hash >> 32)) & ((1 << FILTER_BITS) - 1);
        ((number >> 6) as usize, 1 << (number & 63))
    }

    fn find(&self, hash: PhraseHash) -> Option<Entry> {
        let (place, bit) = Self::place(hash.0);
        if self.bits.get(place)? & bit == 0 {
            return None;
        }
        let index = self.sorted.binary_search_by_key(&hash.0, |(hash, _)| *hash).ok()?;
        self.sorted.get(index).map(|(_, entry)| *entry)
    }
}

/// A hash that grows byte by byte (FNV-1a, 64 bits), so that a phrase's goes on from its first word's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhraseHash(u64);

impl PhraseHash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
    }
}

impl Lexicon {
    /// The lists of this crate.
    pub(crate) fn built_in() -> &'static Self {
        static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(&LISTS));
        &LEXICON
    }

    fn parse(lists: &[&str]) -> Self {
        let (mut whole, mut beginnings) = (Vec::new(), Vec::new());
        for line in lists.iter().flat_map(|list| list.lines()).filter(|line| !line.starts_with('#')) {
            let mut items = line.split_whitespace();
            let Some(entry) = items.next().and_then(parse_head) else { continue };
            for item in items {
                match item.strip_suffix('*') {
                    Some(item) => beginnings.extend(hash_of(item).map(|hash| (hash, entry))),
                    None => whole.extend(hash_of(item).map(|hash| (hash, entry))),
                }
            }
        }
        Self { whole: Entries::of(whole), beginnings: Entries::of(beginnings) }
    }

    /// What a phrase says whose words but the last have the hash `before`, and the hash with the last one.
    pub(crate) fn look_up(&self, before: Option<PhraseHash>, word: &str) -> (Option<Entry>, PhraseHash) {
        let mut hash = before.map_or(PhraseHash::new(), |before| before.add(b"_"));
        let mut beginning = None;
        for byte in word.as_bytes() {
            hash = hash.add(&[*byte]);
            if let Some(entry) = self.beginnings.find(hash) {
                beginning = Some(entry);
            }
        }
        (self.whole.find(hash).or(beginning), hash)
    }
}

/// The hash of an entry's words.
fn hash_of(item: &str) -> Option<u64> {
    let text = Text::of(&item.replace('_', " "));
    let mut words = text.tokens().iter().filter(|token| matches!(token.kind, Kind::Word | Kind::Emoji));
    let first = PhraseHash::new().add(text.word(*words.next()?).as_bytes());
    Some(words.fold(first, |hash, token| hash.add(b"_").add(text.word(*token).as_bytes())).0)
}

fn parse_head(head: &str) -> Option<Entry> {
    let (number, class) = match head.strip_suffix(['t', 'g']) {
        Some(number) if head.ends_with('t') => (number, Class::Trouble),
        Some(number) => (number, Class::Gratitude),
        None => (head, Class::Opinion),
    };
    Some(Entry { valence: number.parse().ok()?, class })
}

const NEGATIONS: &str = "not no never none cannot cant dont doesnt didnt wont wouldnt couldnt shouldnt isnt arent wasnt werent hasnt havent \
    hadnt aint without neither nor hardly barely لا لم لن ما مش مو مب موب مهو ليس ليست لست غير بدون دون بلا مافي مافيه ماكو ولا nicht \
    kein keine pas nao sin non";

const CONTRASTS: &str = "but however although though except yet لكن ولكن بس الا انما pero aber mais mas";

fn contains(list: &LazyLock<Vec<String>>, word: &str) -> bool {
    list.binary_search_by(|known| known.as_str().cmp(word)).is_ok()
}

fn sorted(list: &str) -> Vec<String> {
    let mut words: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
    words.sort();
    words
}

/// Whether a word turns what follows into its opposite.
pub(crate) fn is_negation(word: &str) -> bool {
    static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| sorted(NEGATIONS));
    contains(&WORDS, word)
}

/// Whether what follows a word counts more than what is before it.
pub(crate) fn is_contrast(word: &str) -> bool {
    static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| sorted(CONTRASTS));
    contains(&WORDS, word)
}

#[cfg(test)]
mod tests {
    use super::{Class, Lexicon, is_contrast, is_negation};

    fn valence(phrase: &str) -> Option<f32> {
        let mut before = None;
        let mut found = None;
        for word in phrase.split(' ') {
            let (entry, hash) = Lexicon::built_in().look_up(before, word);
            (found, before) = (entry, Some(hash));
        }
        found.map(|entry| entry.valence)
    }

    #[test]
    fn knows_words_phrases_endings_and_emoji() {
        assert_eq!(valence("awful"), Some(-3.0));
        assert_eq!(valence("spot on"), Some(3.0));
        assert_eq!(valence("malfunctioning"), Some(-2.0));
        assert_eq!(valence("ممتازه"), Some(3.0));
        assert_eq!(valence("😡"), Some(-3.0));
        assert_eq!(valence("table"), None);
        let (thanks, _) = Lexicon::built_in().look_up(None, "thanks");
        assert_eq!(thanks.map(|entry| entry.class), Some(Class::Gratitude));
    }

    #[test]
    fn every_line_has_a_head_and_every_head_a_valence() {
        for line in super::LISTS.iter().flat_map(|list| list.lines()).filter(|line| !line.starts_with('#')) {
            let head = line.split(' ').next().unwrap();
            let entry = super::parse_head(head).unwrap_or_else(|| panic!("{line}"));
            assert!((1.0..=3.0).contains(&entry.valence.abs()), "{line}");
        }
        assert!(Lexicon::built_in().whole.sorted.len() > 1_000);
    }

    #[test]
    fn knows_negations_and_contrasts() {
        assert!(is_negation("dont") && is_negation("مش") && !is_negation("yes"));
        assert!(is_contrast("لكن") && !is_contrast("and"));
    }
}
