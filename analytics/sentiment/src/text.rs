//! A message as tokens, in one spelling.
//!
//! Letters are lower-case and without accents; Arabic letters lose diacritics, tatweel and the forms that people mix up (alef, ya,
//! ta marbuta, hamza); presentation forms become letters; a letter that is held (`sooo`, `راااائع`) is shortened. Digits are all
//! `0`. Links and mentions are tokens without text. Only the first [`MAX_CHARACTERS`] of a message are read, so that its cost has a
//! bound.

/// How much of a message is read, in characters.
pub const MAX_CHARACTERS: usize = 800;

/// The most characters of a word that count.
const MAX_WORD_CHARACTERS: usize = 32;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word, or a number with its digits as `0`.
    Word,
    /// An emoji, or an emoticon as the emoji that says the same.
    Emoji,
    /// An exclamation mark.
    Exclamation,
    /// A question mark.
    Question,
    /// Punctuation that ends a clause.
    Break,
    /// The name of an account.
    Mention,
    /// An address of the web.
    Link,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    start: usize,
    end: usize,
    pub(crate) kind: Kind,
    /// Written in capitals.
    pub(crate) shouted: bool,
}

/// A message as tokens.
#[derive(Debug, Default)]
pub(crate) struct Text {
    buffer: String,
    tokens: Vec<Token>,
    /// Words in which a letter is held.
    pub(crate) held: usize,
    arabic: usize,
    letters: usize,
}

impl Text {
    pub(crate) fn of(message: &str) -> Self {
        let characters: Vec<char> = message.chars().take(MAX_CHARACTERS).collect();
        let mut text = Self { buffer: String::with_capacity(message.len().min(4 * MAX_CHARACTERS)), ..Self::default() };
        let mut rest = characters.as_slice();
        while let Some(&first) = rest.first() {
            let taken = text.take(first, rest).max(1);
            rest = rest.get(taken..).unwrap_or_default();
        }
        text
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of a token; empty for mentions and links.
    pub(crate) fn word(&self, token: Token) -> &str {
        self.buffer.get(token.start..token.end).unwrap_or_default()
    }

    /// Whether most letters are Arabic.
    pub(crate) const fn is_arabic(&self) -> bool {
        self.arabic * 2 > self.letters
    }

    /// Takes a token off the beginning; returns how many characters it was.
    fn take(&mut self, first: char, rest: &[char]) -> usize {
        if first.is_ascii_digit() || is_arabic_digit(first) {
            return self.take_number(rest);
        }
        if first.is_alphabetic() {
            return if is_link(rest) { self.take_link(rest) } else { self.take_word(rest) };
        }
        if let Some((emoji, taken)) = emoticon(rest) {
            self.push_emoji(emoji);
            return taken;
        }
        match first {
            '!' => self.push(Kind::Exclamation),
            '?' | '؟' => self.push(Kind::Question),
            '.' | ',' | ';' | ':' | '،' | '؛' | '…' | '\n' | '(' | ')' | '-' | '–' | '—' | '"' | '“' | '”' | '|' =>
            {
                self.push(Kind::Break);
            }
            '@' if rest.get(1).is_some_and(|next| next.is_alphanumeric() || *next == '_') => {
                self.push(Kind::Mention);
                return 1 + count(rest, 1, |next| next.is_alphanumeric() || next == '_');
            }
            '[' => return placeholder(rest),
            _ if is_emoji(first) => self.push_emoji(first),
            _ => {}
        }
        1
    }

    fn push(&mut self, kind: Kind) {
        let end = self.buffer.len();
        self.tokens.push(Token { start: end, end, kind, shouted: false });
    }

    fn push_emoji(&mut self, emoji: char) {
        let start = self.buffer.len();
        self.buffer.push(emoji);
        self.tokens.push(Token { start, end: self.buffer.len(), kind: Kind::Emoji, shouted: false });
    }

    fn take_link(&mut self, rest: &[char]) -> usize {
        self.push(Kind::Link);
        count(rest, 0, |next| !next.is_whitespace())
    }

    fn take_number(&mut self, rest: &[char]) -> usize {
        let start = self.buffer.len();
        let taken = count(rest, 0, |next| {
            next.is_ascii_digit() || is_arabic_digit(next) || matches!(next, '.' | ',' | '/' | ':' | '٫' | '٬')
        });
        let digits = rest.get(..taken).unwrap_or_default();
        if digits.starts_with(&['1', '0', '/', '1', '0']) {
            self.buffer.push_str("10/10");
        } else {
            let length = digits.iter().filter(|digit| digit.is_numeric()).count();
            self.buffer.extend(std::iter::repeat_n('0', length.min(4)));
        }
        self.tokens.push(Token { start, end: self.buffer.len(), kind: Kind::Word, shouted: false });
        // What ends a clause after a number still ends it.
        if digits.last().is_some_and(|last| matches!(last, '.' | ',' | ':')) {
            self.push(Kind::Break);
        }
        taken
    }

    fn take_word(&mut self, rest: &[char]) -> usize {
        let start = self.buffer.len();
        let mut word = Word::default();
        let mut taken = 0;
        for &character in rest {
            let inside = character.is_alphabetic() || is_mark(character) || matches!(character, '\'' | '’' | '`');
            if !inside {
                break;
            }
            taken += 1;
            if word.length < MAX_WORD_CHARACTERS {
                word.add(character, &mut self.buffer);
            }
        }
        self.held += usize::from(word.held);
        self.arabic += word.arabic;
        self.letters += word.length;
        if self.buffer.len() > start {
            let shouted = word.capitals > 2 && word.capitals == word.cased;
            self.tokens.push(Token { start, end: self.buffer.len(), kind: Kind::Word, shouted });
        }
        taken
    }
}

/// A word that is being read.
#[derive(Default)]
struct Word {
    length: usize,
    arabic: usize,
    capitals: usize,
    cased: usize,
    held: bool,
    last: Option<char>,
    run: usize,
}

impl Word {
    fn add(&mut self, character: char, buffer: &mut String) {
        self.cased += usize::from(character.is_lowercase() || character.is_uppercase());
        self.capitals += usize::from(character.is_uppercase());
        match presentation_form(character) {
            Some(('ل', true)) => {
                self.add_letter('ل', buffer);
                self.add_letter('ا', buffer);
            }
            Some((letter, _)) => self.add_letter(letter, buffer),
            None => {
                if let Some(letter) = fold(character) {
                    self.add_letter(letter, buffer);
                }
            }
        }
    }

    fn add_letter(&mut self, letter: char, buffer: &mut String) {
        self.length += 1;
        let arabic = ('\u{600}'..='\u{6ff}').contains(&letter);
        self.arabic += usize::from(arabic);
        self.run = if self.last == Some(letter) { self.run + 1 } else { 1 };
        self.last = Some(letter);
        if self.run < 3 {
            buffer.push(letter);
        } else {
            // Two of a letter may be spelling, three are feeling. No Arabic word needs the second.
            if self.run == 3 && arabic {
                buffer.pop();
            }
            self.held = true;
        }
    }
}

fn count(rest: &[char], from: usize, inside: impl Fn(char) -> bool) -> usize {
    rest.iter().skip(from).take_while(|next| inside(**next)).count()
}

fn is_link(rest: &[char]) -> bool {
    const BEGINNINGS: [&str; 3] = ["http://", "https://", "www."];
    BEGINNINGS.iter().any(|beginning| {
        beginning.chars().zip(rest).filter(|(wanted, found)| found.eq_ignore_ascii_case(wanted)).count()
            == beginning.len()
    })
}

/// A word in capitals in square brackets, which stands for something that was removed; returns how long it is.
fn placeholder(rest: &[char]) -> usize {
    let inside = count(rest, 1, |next| next.is_ascii_uppercase());
    if inside > 0 && rest.get(inside + 1) == Some(&']') { inside + 2 } else { 1 }
}

/// An emoticon at the beginning as an emoji, and how many characters it is.
fn emoticon(rest: &[char]) -> Option<(char, usize)> {
    let (&first, after) = rest.split_first()?;
    match (first, after) {
        ('<', ['3', ..]) => return Some(('❤', 2)),
        ('^', ['_', '^', ..]) => return Some(('😊', 3)),
        ('^', ['^', ..]) => return Some(('😊', 2)),
        (':' | ';' | '=', _) => {}
        _ => return None,
    }
    let nose = usize::from(matches!(after.first(), Some('-' | '\'')));
    let mouth = *after.get(nose)?;
    let next = after.get(nose + 1);
    let word_goes_on = mouth.is_alphabetic() && next.is_some_and(|next| next.is_alphanumeric());
    let emoji = match mouth {
        ')' | ']' if first == ';' => '😉',
        ')' | ']' | '}' => '😊',
        'D' if !word_goes_on => '😃',
        'P' | 'p' if !word_goes_on => '😜',
        '(' | '[' | '{' => '😞',
        '/' if next != Some(&'/') => '😕',
        '\\' | '|' => '😕',
        '@' if nose == 0 && !next.is_some_and(|next| next.is_alphanumeric()) => '😡',
        _ => return None,
    };
    Some((emoji, nose + 2))
}

const fn is_arabic_digit(character: char) -> bool {
    matches!(character, '٠'..='٩' | '۰'..='۹')
}

/// Characters in a word that leave no letter: diacritics, tatweel, joiners, marks of direction.
const fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}'
            | '\u{610}'..='\u{61a}'
            | '\u{640}'
            | '\u{64b}'..='\u{65f}'
            | '\u{670}'
            | '\u{6d6}'..='\u{6ed}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

const fn is_emoji(character: char) -> bool {
    matches!(character, '\u{1f000}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{231b}' | '\u{23f3}')
}

/// A letter in its one spelling; `None` for what is not written.
fn fold(character: char) -> Option<char> {
    if is_mark(character) {
        return None;
    }
    Some(match character {
        'a'..='z' => character,
        'A'..='Z' => character.to_ascii_lowercase(),
        '\'' | '’' | '`' | 'ء' => return None,
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' | 'ئ' | 'ی' | 'ې' => 'ي',
        'ة' | 'ھ' | 'ہ' | 'ە' => 'ه',
        'ؤ' => 'و',
        'گ' | 'ک' | 'ڪ' => 'ك',
        'چ' => 'ج',
        'پ' => 'ب',
        'ڤ' => 'ف',
        'à'..='å' | 'À'..='Å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'Ç' | 'ć' | 'č' => 'c',
        'è'..='ë' | 'È'..='Ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ì'..='ï' | 'Ì'..='Ï' | 'ı' | 'İ' | 'ī' => 'i',
        'ñ' | 'Ñ' | 'ń' => 'n',
        'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'ō' => 'o',
        'ù'..='ü' | 'Ù'..='Ü' | 'ū' => 'u',
        'ş' | 'Ş' | 'š' | 'ś' => 's',
        'ğ' | 'Ğ' => 'g',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ź' | 'ż' => 'z',
        other => other.to_lowercase().next().unwrap_or(other),
    })
}

/// The letter of an Arabic presentation form, and whether it is a ligature of lam with an alef.
fn presentation_form(character: char) -> Option<(char, bool)> {
    /// The last presentation form of each letter, in their order from U+FE80.
    const LAST_FORMS: [(u32, char); 32] = [
        (0xfe82, 'ا'),
        (0xfe84, 'ا'),
        (0xfe86, 'و'),
        (0xfe88, 'ا'),
        (0xfe8c, 'ي'),
        (0xfe8e, 'ا'),
        (0xfe92, 'ب'),
        (0xfe94, 'ه'),
        (0xfe98, 'ت'),
        (0xfe9c, 'ث'),
        (0xfea0, 'ج'),
        (0xfea4, 'ح'),
        (0xfea8, 'خ'),
        (0xfeaa, 'د'),
        (0xfeac, 'ذ'),
        (0xfeae, 'ر'),
        (0xfeb0, 'ز'),
        (0xfeb4, 'س'),
        (0xfeb8, 'ش'),
        (0xfebc, 'ص'),
        (0xfec0, 'ض'),
        (0xfec4, 'ط'),
        (0xfec8, 'ظ'),
        (0xfecc, 'ع'),
        (0xfed0, 'غ'),
        (0xfed4, 'ف'),
        (0xfed8, 'ق'),
        (0xfedc, 'ك'),
        (0xfee0, 'ل'),
        (0xfee4, 'م'),
        (0xfee8, 'ن'),
        (0xfeec, 'ه'),
    ];
    match u32::from(character) {
        code @ 0xfe81..=0xfeec => LAST_FORMS.iter().find(|(last, _)| code <= *last).map(|(_, letter)| (*letter, false)),
        0xfeed | 0xfeee => Some(('و', false)),
        0xfeef..=0xfef4 => Some(('ي', false)),
        0xfef5..=0xfefc => Some(('ل', true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Kind, MAX_CHARACTERS, Text};

    fn spelt(message: &str) -> String {
        let text = Text::of(message);
        let words: Vec<_> = text
            .tokens()
            .iter()
            .map(|token| match token.kind {
                Kind::Word | Kind::Emoji => text.word(*token).to_owned(),
                Kind::Exclamation => "!".to_owned(),
                Kind::Question => "?".to_owned(),
                Kind::Break => ".".to_owned(),
                Kind::Mention => "@".to_owned(),
                Kind::Link => "link".to_owned(),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn brings_spellings_to_one() {
        assert_eq!(spelt("I don't KNOW, café"), "i dont know . cafe");
        assert_eq!(spelt("sooooo good!! 2am"), "soo good ! ! 0 am");
        assert_eq!(spelt("رااااائِعَةٌ جـــدًا أَحْمَد"), "رايعه جدا احمد");
        assert_eq!(spelt("ﺑﺘﻔﺮﺡ ﻻ"), "بتفرح لا");
        assert_eq!(spelt("٧٨٧.٥ ريال؟"), "0000 ريال ?");
    }

    #[test]
    fn knows_emoji_mentions_and_links() {
        assert_eq!(spelt("@shop_1 look https://t.co/abc :) :( 👍🏽 <3 10/10"), "@ look link 😊 😞 👍 ❤ 10/10");
        assert_eq!(spelt("[NAME] is #so_happy"), "is so happy");
    }

    #[test]
    fn tells_arabic_from_the_rest() {
        assert!(Text::of("وين طلبي من amazon").is_arabic());
        assert!(!Text::of("where is my شاورما order").is_arabic());
    }

    proptest! {
        #[test]
        fn reads_anything_within_its_bound(message in "\\PC{0,80}", more in any::<String>()) {
            for message in [message.as_str(), more.as_str(), &more.repeat(300)] {
                let text = Text::of(message);
                prop_assert!(text.tokens().len() <= 2 * MAX_CHARACTERS);
                for token in text.tokens() {
                    prop_assert_eq!(text.word(*token).is_empty(), !matches!(token.kind, Kind::Word | Kind::Emoji));
                }
            }
        }
    }
}
