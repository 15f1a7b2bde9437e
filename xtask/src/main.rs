//! House rules as a program: `cargo run -p xtask -- tidy`.
//!
//! What a compiler or a linter cannot say about this workspace is checked here: which crate may depend on which, which one
//! may use which library, versions below which a library has a known hole, how long a file may be, what each file opens
//! with, and that links between documents lead somewhere.

mod crates;
mod documents;
mod lockfile;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(&root()?),
        _ => bail!("usage: cargo run -p xtask -- tidy"),
    }
}

fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask has a parent folder")?.to_owned())
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this program speaks to whoever runs it")]
fn tidy(root: &Path) -> Result<ExitCode> {
    let mut faults = crates::check(root)?;
    faults.extend(lockfile::check(root)?);
    faults.extend(sources::check(root)?);
    faults.extend(documents::check(root)?);
    if faults.is_empty() {
        println!("tidy: everything is in its place");
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    eprintln!("tidy: {} faults", faults.len());
    Ok(ExitCode::FAILURE)
}

/// Every file below `folder` with this ending, sorted, without build output and hidden folders.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules", "data"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
