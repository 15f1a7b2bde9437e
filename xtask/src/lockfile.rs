//! Versions below which a library has a known hole that advisory databases have missed or that matters most here.

use std::path::Path;

use anyhow::{Context, Result};

/// A library, the first version without the hole, and the hole. A major version of 0 is compared within its minor.
const FLOORS: &[(&str, [u32; 3], &str)] = &[
    ("actix-http", [3, 12, 1], "request smuggling, CVE-2026-73051"),
    ("bytes", [1, 11, 1], "integer overflow in reserve, RUSTSEC-2026-0007"),
    ("h2", [0, 4, 16], "RUSTSEC-2026-0258; no version 0.3 is repaired"),
    ("jsonwebtoken", [10, 3, 0], "claims of the wrong type, CVE-2026-25537"),
    ("regex", [1, 5, 5], "denial of service, CVE-2022-24713"),
    ("rustls-webpki", [0, 103, 13], "revocation lists"),
    ("time", [0, 3, 47], "stack exhaustion"),
];

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("Cargo.lock")).context("read Cargo.lock")?;
    Ok(check_text(&text))
}

fn check_text(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ") {
            let version = value.trim_matches('"');
            for (library, floor, hole) in FLOORS.iter().filter(|(library, ..)| *library == name) {
                if numbers(version) < *floor {
                    let [major, minor, patch] = floor;
                    faults.push(format!(
                        "{library} {version} has a hole ({hole}): take {major}.{minor}.{patch} or later"
                    ));
                }
            }
        }
    }
    faults
}

fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::check_text;

    #[test]
    fn compares_by_number_and_names_the_remedy() {
        let lock = "name = \"actix-http\"\nversion = \"3.11.0\"\n\nname = \"h2\"\nversion = \"0.3.27\"\n";
        let faults = check_text(lock);
        assert_eq!(faults.len(), 2);
        assert!(faults[0].contains("take 3.12.1 or later"));
        assert!(check_text("name = \"actix-http\"\nversion = \"3.20.0\"\n").is_empty());
    }
}
