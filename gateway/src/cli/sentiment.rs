//! `sentiment`: how lines sound.

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

use sentiment::Model;

/// The most bytes of a line that are read; the model reads far less.
const LINE_BYTES: u64 = 1 << 20;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    match score_lines(std::io::stdin().lock(), out) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Writes label, tab and score for each line, also for an empty one, so that lines and answers stay side by side.
fn score_lines(mut input: impl BufRead, mut out: impl Write) -> std::io::Result<()> {
    let model = Model::built_in();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return out.flush();
        }
        if line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
        }
        let sentiment = model.score(&String::from_utf8_lossy(&line));
        writeln!(out, "{}\t{:.3}", sentiment.label, sentiment.score)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, score_lines};

    fn scored(input: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        score_lines(input, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn answers_each_line_with_label_and_score() {
        let answers =
            scored("Thank you so much, this is wonderful!\n\nطلبي متأخر ولا أحد يرد\nwhat time do you open?".as_bytes());
        let [thanks, empty, late, question] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(thanks.starts_with("positive\t0."), "{thanks}");
        assert_eq!(empty, "neutral\t0.000");
        assert!(late.starts_with("negative\t-0."), "{late}");
        assert!(question.starts_with("neutral\t"), "{question}");
    }

    #[test]
    fn takes_broken_text_and_endless_lines() {
        let mut input = vec![0xff, 0xfe, b'\n'];
        input.extend(std::iter::repeat_n(b'x', usize::try_from(LINE_BYTES).unwrap() + 10));
        input.extend(b"\nthanks\n");
        assert_eq!(scored(&input).len(), 3);
    }
}
