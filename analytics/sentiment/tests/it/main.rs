//! How good the built-in model is on messages that it has not seen, and that it has not seen them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::collections::BTreeSet;

use sentiment::evaluate::Confusion;
use sentiment::{Adapter, Label, Model};

const HELD_OUT_ENGLISH: &str = include_str!("../../data/heldout_en.txt");
const HELD_OUT_ARABIC: &str = include_str!("../../data/heldout_ar.txt");
const TRAINING: [&str; 10] = [
    include_str!("../../data/support_ar_1.txt"),
    include_str!("../../data/support_ar_2.txt"),
    include_str!("../../data/support_ar_3.txt"),
    include_str!("../../data/support_ar_4.txt"),
    include_str!("../../data/support_en_1.txt"),
    include_str!("../../data/support_en_2.txt"),
    include_str!("../../data/support_en_3.txt"),
    include_str!("../../data/support_en_4.txt"),
    include_str!("../../data/support_en_5.txt"),
    include_str!("../../data/support_other.txt"),
];

fn messages(file: &str) -> impl Iterator<Item = (Label, &str)> {
    file.lines().map(|line| match line.split_once(' ').unwrap() {
        ("-", text) => (Label::Negative, text),
        ("0", text) => (Label::Neutral, text),
        ("+", text) => (Label::Positive, text),
        (mark, _) => panic!("{mark} is not a label: {line}"),
    })
}

fn macro_f1(file: &str, label: impl Fn(&str) -> Label) -> f64 {
    let mut confusion = Confusion::default();
    messages(file).for_each(|(truth, text)| confusion.add(truth, label(text)));
    confusion.macro_f1()
}

#[test]
fn judges_messages_that_it_has_not_seen() {
    let model = Model::built_in();
    for (file, goal) in [(HELD_OUT_ENGLISH, 0.70), (HELD_OUT_ARABIC, 0.66)] {
        let reached = macro_f1(file, |text| model.score(text).label);
        assert!(reached >= goal, "{reached:.3} is below {goal}");
    }
}

#[test]
fn held_out_messages_are_not_trained_on_and_none_stands_twice() {
    let plain = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
    let mut seen = BTreeSet::new();
    for file in TRAINING.iter().chain([&HELD_OUT_ENGLISH, &HELD_OUT_ARABIC]) {
        for (_, text) in messages(file) {
            // Of emoji nothing is left; they may come again.
            let plain = plain(text);
            assert!(plain.is_empty() || seen.insert(plain), "{text}");
        }
    }
}

#[test]
fn label_and_score_agree() {
    for (_, text) in messages(HELD_OUT_ENGLISH).chain(messages(HELD_OUT_ARABIC)) {
        let sentiment = Model::built_in().score(text);
        assert!((-1.0..=1.0).contains(&sentiment.score), "{text}: {sentiment:?}");
        match sentiment.label {
            Label::Negative => assert!(sentiment.score <= 0.0, "{text}: {sentiment:?}"),
            Label::Neutral => {}
            Label::Positive => assert!(sentiment.score >= 0.0, "{text}: {sentiment:?}"),
        }
    }
}

#[test]
fn a_message_without_words_is_neutral() {
    for text in ["", " \n", "...", "https://example.org/a", "@shop", "\u{200f}"] {
        let sentiment = Model::built_in().score(text);
        assert_eq!((sentiment.label, sentiment.score), (Label::Neutral, 0.0), "{text:?}");
    }
}

#[test]
fn emoji_speak_in_every_language() {
    assert_eq!(Model::built_in().score("Доставка 😍😍").label, Label::Positive);
    assert_eq!(Model::built_in().score("配送 😡😡").label, Label::Negative);
}

#[test]
fn corrections_of_a_workspace_are_followed_there_and_nowhere_else() {
    // A shop of scary masks: what is dreadful elsewhere is praise here.
    let corrections = [
        "the mask is horrible, kids screamed",
        "horrible teeth",
        "so disgusting, horrible slime",
        "my horrible zombie mask",
    ];
    let mut adapter = Adapter::default();
    for _ in 0..5 {
        for text in corrections {
            adapter.learn(Model::built_in(), text, Label::Positive);
        }
    }
    assert_eq!(Model::built_in().score_adapted("a horrible mask", &adapter).label, Label::Positive);
    assert_eq!(Model::built_in().score("a horrible mask").label, Label::Negative);
}
