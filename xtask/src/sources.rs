//! What every source file keeps to.

use std::path::Path;

use anyhow::{Context, Result};

use super::files;

/// The most lines of a source file, not counting its tests.
const FILE_LINES: usize = 500;

/// Words that say that something is not done.
const UNDONE: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")];

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in files(root, ".rs")? {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        faults.extend(check_file(&shown, &text));
    }
    Ok(faults)
}

fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().count();
    if path.contains("/src/") && lines > FILE_LINES {
        faults.push(format!("{path}: {lines} lines without tests, at most {FILE_LINES} are allowed; split it"));
    }
    if !text.starts_with("//!") {
        faults.push(format!("{path}: it must open with a `//!` that says what it is for"));
    }
    for (number, line) in text.lines().enumerate() {
        if UNDONE.iter().any(|word| line.contains(word)) {
            faults.push(format!("{path}:{}: something is left undone", number + 1));
        }
        if line.trim_start().starts_with(concat!("#[", "ignore")) {
            faults.push(format!("{path}:{}: a test must run or not be there", number + 1));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::check_file;

    #[test]
    fn counts_lines_without_tests_and_finds_what_is_undone() {
        let long = format!("//! x\n{}", "let a = 1;\n".repeat(500));
        assert_eq!(check_file("a/src/b.rs", &long).len(), 1);
        let tested = format!("//! x\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "let a = 1;\n".repeat(500));
        assert!(check_file("a/src/b.rs", &tested).is_empty());
        let undone = format!("fn a() {{}}\n// {}\n", super::UNDONE[0]);
        assert_eq!(check_file("a/src/b.rs", &undone).len(), 2);
    }
}
