//! The library of believable conversations, and what fills their blanks.
//!
//! Format of `dialogues/*.txt`: `#` begins a comment, `= name` a dialogue, `C ` a line of the customer, `A ` a good answer
//! of an agent. A customer's line may begin with `[image]`, `[voice]`, `[document]` (the rest is its caption) or be
//! `[location latitude,longitude | label | address]`.

use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};

const ENGLISH: &str = include_str!("dialogues/english.txt");
const ARABIC: &str = include_str!("dialogues/arabic.txt");

/// Which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Arabic and its dialects.
    Arabic,
}

/// What a customer's line is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text alone.
    Text(String),
    /// A file of this media type, with a caption.
    File {
        /// Its media type.
        content_type: &'static str,
        /// Its caption.
        caption: String,
    },
    /// A place.
    Location {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// The place's name.
        label: String,
        /// Its postal address.
        address: String,
    },
}

/// One line of a dialogue.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The customer says this.
    Customer(Content),
    /// A good answer of an agent.
    Agent(String),
}

/// A conversation, its blanks not yet filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialogue {
    /// What it is about.
    pub name: String,
    /// Its lines, in order; the first is the customer's.
    pub lines: Vec<Line>,
}

/// Who a customer is, and what fills the blanks of their dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persona {
    /// Which library they speak from.
    pub language: Language,
    /// Their name.
    pub name: String,
    /// Their number in E.164.
    pub number: String,
    blanks: [(&'static str, String); 6],
}

/// Every dialogue of a language.
pub fn library(language: Language) -> Vec<Dialogue> {
    parse(match language {
        Language::English => ENGLISH,
        Language::Arabic => ARABIC,
    })
}

fn parse(text: &str) -> Vec<Dialogue> {
    let mut dialogues: Vec<Dialogue> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("= ") {
            dialogues.push(Dialogue { name: name.to_owned(), lines: Vec::new() });
        } else if let Some(dialogue) = dialogues.last_mut() {
            if let Some(said) = line.strip_prefix("C ") {
                dialogue.lines.push(Line::Customer(content(said)));
            } else if let Some(said) = line.strip_prefix("A ") {
                dialogue.lines.push(Line::Agent(said.to_owned()));
            }
        }
    }
    dialogues
}

fn content(said: &str) -> Content {
    for (mark, content_type) in [("[image]", "image/png"), ("[voice]", "audio/ogg"), ("[document]", "application/pdf")]
    {
        if let Some(caption) = said.strip_prefix(mark) {
            return Content::File { content_type, caption: caption.trim().to_owned() };
        }
    }
    location(said).unwrap_or_else(|| Content::Text(said.to_owned()))
}

fn location(said: &str) -> Option<Content> {
    let inner = said.strip_prefix("[location ")?.strip_suffix(']')?;
    let mut parts = inner.split('|').map(str::trim);
    let (latitude, longitude) = parts.next()?.split_once(',')?;
    Some(Content::Location {
        latitude: latitude.trim().parse().ok()?,
        longitude: longitude.trim().parse().ok()?,
        label: parts.next()?.to_owned(),
        address: parts.next()?.to_owned(),
    })
}

const ENGLISH_NAMES: &[&str] = &[
    "Olivia Bennett",
    "James Okafor",
    "Priya Nair",
    "Daniel Cruz",
    "Emma Whitfield",
    "Noah Williams",
    "Aisha Khan",
    "Liam O'Connor",
    "Grace Mensah",
    "Rahul Verma",
    "Sophie Turner",
    "Marcus Lee",
    "Hannah Schmidt",
    "Tom Fletcher",
    "Zara Ahmed",
    "Lucas Moreau",
    "Isabella Rossi",
    "Ethan Brooks",
    "Mei Lin",
    "Samuel Adeyemi",
    "Chloe Martin",
    "Arjun Patel",
    "Nora Jensen",
    "Victor Almeida",
    "Fatima Noor",
    "George Papadakis",
    "Amara Diallo",
    "Jack Murphy",
];
const ARABIC_NAMES: &[&str] = &[
    "سارة العتيبي",
    "محمد القحطاني",
    "نورة الدوسري",
    "أحمد عبد الرحمن",
    "فاطمة الزهراء",
    "خالد المطيري",
    "ريم الشمري",
    "عبدالله الغامدي",
    "منى حسن",
    "يوسف إبراهيم",
    "هند المنصوري",
    "عمر الخطيب",
    "ليلى حداد",
    "طارق بن علي",
    "شيماء عبد العزيز",
    "سلطان الحربي",
    "دانة الكعبي",
    "مصطفى السيد",
    "رنا خوري",
    "فهد العنزي",
    "أمينة بنجلون",
    "حسين الجبوري",
    "جواهر السبيعي",
    "كريم منصور",
    "هيا الرشيد",
    "بدر الزهراني",
    "ياسمين فؤاد",
    "ماجد البلوشي",
];
const ENGLISH_CITIES: &[&str] = &["Dubai", "Riyadh", "London", "Doha", "Jeddah", "Cairo", "Manchester", "Kuwait City"];
const ARABIC_CITIES: &[&str] =
    &["الرياض", "جدة", "دبي", "القاهرة", "الدمام", "بيروت", "الكويت", "الدار البيضاء", "بغداد", "أبوظبي"];
const ENGLISH_PRODUCTS: &[&str] = &[
    "travel mug",
    "wireless headphones",
    "linen jacket",
    "coffee grinder",
    "desk lamp",
    "running shoes",
    "power bank",
    "air purifier",
    "oud perfume",
    "date box",
];
const ARABIC_PRODUCTS: &[&str] = &[
    "السماعة اللاسلكية",
    "ماكينة القهوة",
    "العباية الكتان",
    "الساعة الذكية",
    "عطر العود",
    "المبخرة",
    "الشاحن المتنقل",
    "الحذاء الرياضي",
    "مصباح المكتب",
    "منقي الهواء",
];
const ENGLISH_DATES: &[&str] = &["Sunday", "Monday", "Thursday", "the 3rd", "the 12th", "next Wednesday"];
const ARABIC_DATES: &[&str] = &["الأحد", "الاثنين", "الخميس", "3 الشهر", "12 الشهر", "الأربعاء القادم"];
/// Prefixes of mobile numbers, to which seven digits are added: Saudi Arabia, the Emirates, Egypt, Britain, …
const ENGLISH_PREFIXES: &[&str] = &["+44774", "+97150", "+96650", "+9745", "+1415"];
const ARABIC_PREFIXES: &[&str] = &["+96655", "+96653", "+97156", "+20100", "+9659", "+9617", "+21266", "+964770"];

impl Persona {
    /// A new customer. `index` keeps numbers apart.
    pub fn invent(language: Language, index: u32, random: &mut SmallRng) -> Self {
        let (names, cities, products, dates, prefixes) = match language {
            Language::English => (ENGLISH_NAMES, ENGLISH_CITIES, ENGLISH_PRODUCTS, ENGLISH_DATES, ENGLISH_PREFIXES),
            Language::Arabic => (ARABIC_NAMES, ARABIC_CITIES, ARABIC_PRODUCTS, ARABIC_DATES, ARABIC_PREFIXES),
        };
        let name = pick(names, random);
        let first_name = name.split(' ').next().unwrap_or(&name).to_owned();
        let amount = random.random_range(15..900);
        let amount = match language {
            Language::English => format!("SAR {amount}.00"),
            Language::Arabic => format!("{amount} ريال"),
        };
        Self {
            language,
            number: format!("{}{:07}", pick(prefixes, random), (2_750_159 * u64::from(index) + 1_234_567) % 10_000_000),
            blanks: [
                ("{name}", first_name),
                ("{order}", format!("#{}", random.random_range(10_000..99_999))),
                ("{city}", pick(cities, random)),
                ("{product}", pick(products, random)),
                ("{amount}", amount),
                ("{date}", pick(dates, random)),
            ],
            name,
        }
    }

    /// A text with its blanks filled.
    pub fn fill(&self, text: &str) -> String {
        self.blanks.iter().fold(text.to_owned(), |text, (blank, value)| text.replace(blank, value))
    }
}

fn pick(choices: &[&str], random: &mut SmallRng) -> String {
    choices.choose(random).copied().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn both_libraries_are_rich_and_well_formed() {
        for language in [Language::English, Language::Arabic] {
            let dialogues = library(language);
            assert!(dialogues.len() >= 30, "{language:?} has {}", dialogues.len());
            let names: HashSet<_> = dialogues.iter().map(|dialogue| &dialogue.name).collect();
            assert_eq!(names.len(), dialogues.len());
            let mut random = SmallRng::seed_from_u64(1);
            let persona = Persona::invent(language, 0, &mut random);
            for dialogue in &dialogues {
                assert!(matches!(dialogue.lines.first(), Some(Line::Customer(_))), "{}", dialogue.name);
                assert!(dialogue.lines.iter().any(|line| matches!(line, Line::Agent(_))), "{}", dialogue.name);
                for line in &dialogue.lines {
                    let text = match line {
                        Line::Agent(text) | Line::Customer(Content::Text(text)) => text,
                        Line::Customer(Content::File { caption, .. }) => caption,
                        Line::Customer(Content::Location { label, .. }) => label,
                    };
                    let filled = persona.fill(text);
                    assert!(!filled.contains(['{', '}']), "an unknown blank in {text}");
                    assert!(!filled.starts_with('['), "an unknown mark in {text}");
                }
            }
        }
    }

    #[test]
    fn reads_places_and_files() {
        let place = content("[location 24.5,46.25 | Shop | King Road, Riyadh]");
        assert_eq!(
            place,
            Content::Location {
                latitude: 24.5,
                longitude: 46.25,
                label: "Shop".into(),
                address: "King Road, Riyadh".into()
            }
        );
        assert_eq!(content("[image] look"), Content::File { content_type: "image/png", caption: "look".into() });
        assert_eq!(content("[location nowhere]"), Content::Text("[location nowhere]".into()));
    }

    #[test]
    fn customers_have_numbers_of_their_own() {
        let mut random = SmallRng::seed_from_u64(3);
        let numbers: HashSet<_> =
            (0..2_000).map(|i| Persona::invent(Language::Arabic, i, &mut random).number).collect();
        assert!(numbers.len() >= 1_999);
    }
}
