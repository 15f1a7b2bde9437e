//! `webhook verify` and `webhook parse`: for whoever must find out why a webhook is refused.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use ingest::provider::MODULES;
use ingest::provider::describe::{VerifyReport, parse_body, verify_request};

use super::{WRONG_CALL, clock, note, print, print_json};

/// The largest input that is read, in bytes.
const MAX_INPUT_BYTES: u64 = 16 << 20;

/// How a request is written down.
const REQUEST_HELP: &str = r#"Example:
  saler webhook verify --provider twilio --request request.json

where request.json holds
  {
    "secrets": ["the auth token", "the one before it"],
    "method": "POST",
    "url": "https://hub.example.com/webhooks/twilio/019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b01",
    "headers": {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "…"},
    "body_base64": "Qm9keT1oaQ==",
    "now": 1795000000,
    "tolerance_s": 300
  }

The url is the public one, as the provider called it. "body" with the text may stand for "body_base64". Without "now"
(seconds since 1970, or a text such as 2026-11-22T09:00:00Z) the present time is taken."#;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Whether a provider sent exactly this request. Exits with 0 if it is valid, with 1 and the reason if not, with 2 if
    /// the request cannot be read.
    #[command(after_help = REQUEST_HELP)]
    Verify {
        /// Whose webhook it is.
        #[arg(long, value_parser = providers())]
        provider: String,
        /// The file with the request; - for standard input.
        #[arg(long, value_name = "FILE|-")]
        request: PathBuf,
    },
    /// What is read from a webhook's body on standard input, as a JSON array. Exits with 1 if the body cannot be read.
    #[command(after_help = "Example:\n  saler webhook parse --provider twilio \\\n    \
        --content-type application/x-www-form-urlencoded < body.txt")]
    Parse {
        /// Whose webhook it is.
        #[arg(long, value_parser = providers())]
        provider: String,
        /// The content type of the body.
        #[arg(long)]
        content_type: String,
    },
}

pub(super) fn run(command: WebhookCommand) -> anyhow::Result<ExitCode> {
    match command {
        WebhookCommand::Verify { provider, request } => {
            let report = match verify(&provider, &request) {
                Ok(report) => report,
                Err(error) => {
                    note(&format!("saler: {error:#}"));
                    return Ok(ExitCode::from(WRONG_CALL));
                }
            };
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

/// The providers that post webhooks.
fn providers() -> PossibleValuesParser {
    MODULES.iter().map(|module| module.name()).collect::<Vec<_>>().into()
}

fn verify(provider: &str, request: &Path) -> anyhow::Result<VerifyReport> {
    let text = String::from_utf8(input(request)?).context("--request: the file is not UTF-8")?;
    Ok(verify_request(provider, &text, clock().now())?)
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
