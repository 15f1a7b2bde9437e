//! `webhook verify` and `webhook parse`: for whoever must find out why a webhook is refused.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use ingest::provider::describe::{parse_body, verify_request};

use super::{clock, note, print, print_json};

/// The largest input that is read, in bytes.
const MAX_INPUT_BYTES: u64 = 16 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Whether a provider sent exactly this request. Exits with 0 if it is valid, with 1 and the reason if not.
    #[command(after_help = "Example:\n  saler webhook verify --provider twilio --request request.json\n\n\
        The request is a JSON object: secrets, method, url, headers, body_base64, now, tolerance_s.")]
    Verify {
        /// Whose webhook it is.
        #[arg(long)]
        provider: String,
        /// The file with the request; - for standard input.
        #[arg(long, value_name = "FILE|-")]
        request: PathBuf,
    },
    /// What is read from a webhook's body on standard input, as a JSON array.
    #[command(after_help = "Example:\n  saler webhook parse --provider twilio \\\n    \
        --content-type application/x-www-form-urlencoded < body.txt")]
    Parse {
        /// Whose webhook it is.
        #[arg(long)]
        provider: String,
        /// The content type of the body.
        #[arg(long)]
        content_type: String,
    },
}

pub(super) fn run(command: WebhookCommand) -> anyhow::Result<ExitCode> {
    match command {
        WebhookCommand::Verify { provider, request } => {
            let text = String::from_utf8(input(&request)?).context("--request: the file is not UTF-8")?;
            let report = verify_request(&provider, &text, clock().now())?;
            match report.refusal {
                None => {
                    print("valid")?;
                    Ok(ExitCode::SUCCESS)
                }
                Some(refusal) => {
                    print(&format!("invalid: {refusal}"))?;
                    Ok(ExitCode::FAILURE)
                }
            }
        }
        WebhookCommand::Parse { provider, content_type } => {
            let report = parse_body(&provider, &content_type, &input(Path::new("-"))?)?;
            print_json(&report.results)?;
            match report.unreadable {
                None => Ok(ExitCode::SUCCESS),
                Some(error) => {
                    note(&format!("saler: the body cannot be read: {error}"));
                    Ok(ExitCode::FAILURE)
                }
            }
        }
    }
}

fn input(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT_BYTES)
            .read_to_end(&mut bytes)
            .context("standard input cannot be read")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        file.take(MAX_INPUT_BYTES)
            .read_to_end(&mut bytes)
            .with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(bytes)
}
