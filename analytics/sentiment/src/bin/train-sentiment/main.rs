//! Trains the built-in model, and says how good it is.
//!
//! `train-sentiment --data FOLDER` trains on the messages beside this crate and on the public texts in FOLDER, writes `model.bin` and
//! evaluates it. `train-sentiment evaluate [--data FOLDER]` only evaluates what is built in; without the folder on the crate's own
//! held-out messages alone. `train-sentiment folds --data FOLDER` says how good models are on parts of the crate's messages that they
//! were not trained on. FOLDER holds `en_train.csv`, `en_dev.csv`, `ar_train.csv` and `ar_dev.csv` with the columns text and label.

mod data;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sentiment::evaluate::Confusion;
use sentiment::train::{Example, Options, Source, train};
use sentiment::{Adapter, Label, Model};

use self::data::DataError;

/// Into how many parts `folds` cuts the messages.
const FOLDS: usize = 5;

/// How many corrections the evaluation of an adapter gives it.
const CORRECTIONS: usize = 300;

#[expect(clippy::print_stderr, reason = "this program speaks to whoever runs it")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["--data", folder] => train_and_write(Path::new(folder)),
        ["evaluate"] => evaluate(Model::built_in(), None),
        ["evaluate", "--data", folder] => evaluate(Model::built_in(), Some(Path::new(folder))),
        ["folds", "--data", folder] => folds(Path::new(folder)),
        _ => {
            eprintln!("usage: train-sentiment --data FOLDER | evaluate [--data FOLDER] | folds --data FOLDER");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train-sentiment: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of this crate's own messages.
fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn own_examples() -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    for path in data::training_files(&own())? {
        let messages = data::messages(&path)?.into_iter();
        examples.extend(messages.map(|(text, label)| Example { text, label, source: Source::Support }));
    }
    Ok(examples)
}

fn public_examples(folder: &Path) -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    for (file, source) in [("en_train.csv", Source::Forum), ("ar_train.csv", Source::Tweet)] {
        let rows = data::table(&folder.join(file))?.into_iter();
        examples.extend(rows.map(|(text, label)| Example { text, label, source }));
    }
    Ok(examples)
}

fn train_and_write(folder: &Path) -> Result<(), DataError> {
    let mut examples = public_examples(folder)?;
    examples.extend(own_examples()?);
    let model = train(&examples, &Options::default());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("model.bin");
    std::fs::write(&path, model.bytes()).map_err(|source| DataError::File { path, source })?;
    evaluate(&model, Some(folder))
}

#[expect(clippy::print_stdout, reason = "this program speaks to whoever runs it")]
fn evaluate(model: &Model, folder: Option<&Path>) -> Result<(), DataError> {
    println!("model {}, {} bytes", model.version(), model.bytes().len());
    println!(
        "{:<28} {:>8} {:>9} {:>9}   {:<23} {:>10}",
        "held out", "messages", "macro-F1", "accuracy", "F1 -, 0, +", "µs each"
    );
    let mut sets = vec![
        ("customers, English", data::messages(&own().join("heldout_en.txt"))?),
        ("customers, Arabic", data::messages(&own().join("heldout_ar.txt"))?),
    ];
    if let Some(folder) = folder {
        sets.push(("tweets, Arabic", data::table(&folder.join("ar_dev.csv"))?));
        sets.push(("forum, English", data::table(&folder.join("en_dev.csv"))?));
    }
    for (name, messages) in &sets {
        let start = Instant::now();
        let confusion = confusion(messages, |text| model.score(text).label);
        report(name, &confusion, start.elapsed());
    }
    if let Some((name, messages)) = sets.last().filter(|_| folder.is_some()) {
        // Forum comments are not what the model is for, so they stand for a workspace that talks in its own way.
        let (corrections, rest) = messages.split_at(messages.len().min(CORRECTIONS));
        let mut adapter = Adapter::default();
        for (text, label) in corrections {
            adapter.learn(model, text, *label);
        }
        let start = Instant::now();
        let corrected = confusion(rest, |text| model.score_adapted(text, &adapter).label);
        report(&format!("{name}, {CORRECTIONS} corrected"), &corrected, start.elapsed());
    }
    Ok(())
}

fn confusion(messages: &[(String, Label)], label: impl Fn(&str) -> Label) -> Confusion {
    let mut confusion = Confusion::default();
    for (text, truth) in messages {
        confusion.add(*truth, label(text));
    }
    confusion
}

#[expect(clippy::print_stdout, reason = "this program speaks to whoever runs it")]
fn report(name: &str, confusion: &Confusion, took: Duration) {
    let [negative, neutral, positive] = Label::ALL.map(|label| confusion.f1(label));
    println!(
        "{name:<28} {:>8} {:>9.3} {:>9.3}   {negative:.3}, {neutral:.3}, {positive:.3}     {:>10.1}",
        confusion.total(),
        confusion.macro_f1(),
        confusion.accuracy(),
        took.as_secs_f64() * 1e6 / f64::from(confusion.total().max(1)),
    );
}

/// Every message is judged by a model that was trained on the others, in [`FOLDS`] parts.
#[expect(clippy::print_stdout, reason = "this program speaks to whoever runs it")]
fn folds(folder: &Path) -> Result<(), DataError> {
    let public = public_examples(folder)?;
    let own = own_examples()?;
    let is_arabic = |text: &str| text.chars().any(|letter| ('\u{600}'..='\u{6ff}').contains(&letter));
    let mut judged = Vec::new();
    for fold in 0..FOLDS {
        let is_out = |index: usize| index * 7_919 % 1_009 % FOLDS == fold;
        let mut examples = public.clone();
        let parts = own.iter().enumerate();
        examples.extend(parts.clone().filter(|(index, _)| !is_out(*index)).map(|(_, example)| example.clone()));
        let model = train(&examples, &Options::default());
        let out = parts.filter(|(index, _)| is_out(*index));
        judged.extend(out.map(|(_, example)| (example, model.score(&example.text).label)));
    }
    for (name, arabic) in [("customers, English", false), ("customers, Arabic", true)] {
        let of_language = || judged.iter().filter(|(example, _)| is_arabic(&example.text) == arabic);
        let mut confusion = Confusion::default();
        of_language().for_each(|(example, given)| confusion.add(example.label, *given));
        report(name, &confusion, Duration::ZERO);
        for (example, given) in of_language().filter(|(example, given)| example.label != *given) {
            println!("  {} as {given}: {}", example.label, example.text);
        }
    }
    Ok(())
}
