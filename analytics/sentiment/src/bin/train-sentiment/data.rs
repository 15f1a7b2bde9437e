//! Labelled texts from files.

use std::path::{Path, PathBuf};

use sentiment::Label;

/// Labelled texts cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A row has no label.
    #[error("{}: row {row} does not begin with -, 0 or +, or has no label negative, neutral or positive", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        row: usize,
    },
}

fn read(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(|source| DataError::File { path: path.to_owned(), source })
}

/// The files of a folder that models are trained on, sorted.
pub(crate) fn training_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let list =
        || -> std::io::Result<Vec<PathBuf>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut files = list().map_err(|source| DataError::File { path: folder.to_owned(), source })?;
    let is_training =
        |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("support_"));
    files.retain(|path| is_training(path));
    files.sort();
    Ok(files)
}

/// Messages of a file: each line is `-`, `0` or `+`, a space, and the message.
pub(crate) fn messages(path: &Path) -> Result<Vec<(String, Label)>, DataError> {
    let text = read(path)?;
    let message = |(index, line): (usize, &str)| {
        let label = match line.split_once(' ') {
            Some(("-", text)) => Some((text, Label::Negative)),
            Some(("0", text)) => Some((text, Label::Neutral)),
            Some(("+", text)) => Some((text, Label::Positive)),
            _ => None,
        };
        let (text, label) = label.ok_or_else(|| DataError::Label { path: path.to_owned(), row: index + 1 })?;
        Ok((text.to_owned(), label))
    };
    text.lines().enumerate().map(message).collect()
}

/// The columns text and label of a CSV file (RFC 4180) with a header.
pub(crate) fn table(path: &Path) -> Result<Vec<(String, Label)>, DataError> {
    let rows = rows(&read(path)?);
    let row = |(index, fields): (usize, Vec<String>)| match fields.as_slice() {
        [text, label, ..] => Label::parse(label)
            .map(|label| (text.clone(), label))
            .ok_or_else(|| DataError::Label { path: path.to_owned(), row: index + 1 }),
        _ => Err(DataError::Label { path: path.to_owned(), row: index + 1 }),
    };
    rows.into_iter().enumerate().skip(1).map(row).collect()
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn reads_quotes_commas_and_lines_inside_fields() {
        let read = rows("text,label\n\"a, \"\"b\"\"\nc\",neutral\r\nd,positive");
        assert_eq!(read, [vec!["text", "label"], vec!["a, \"b\"\nc", "neutral"], vec!["d", "positive"]]);
    }
}
