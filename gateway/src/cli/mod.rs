//! The command line: `saler --help`.
//!
//! Answers go to standard output, everything else to standard error. A failure exits with 1, a wrong call with 2.

mod create;
mod lake;
mod letters;
mod log;
mod replay;
mod sentiment;
mod serve;
mod webhook;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use storage::clock::{Clock, SystemClock};

use crate::app::Engines;
use crate::config::{Config, Sources, load};

/// A real-time, multi-tenant messaging hub with streaming analytics.
#[derive(Debug, Parser)]
#[command(
    name = "saler",
    version,
    after_help = "Example:\n  saler serve\n\nThe settings and their defaults: saler check-config"
)]
struct Cli {
    /// The configuration file; the variable `SALER_CONFIG` if absent.
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the hub.
    #[command(
        after_help = "Example:\n  SALER_HTTP__LISTEN=0.0.0.0:8080 saler serve\n  saler --config cluster.toml serve --roles gateway,ingest"
    )]
    Serve {
        /// Which roles: `all`, or a list of gateway, ingest, analytics.
        #[arg(long, default_value = "all", value_delimiter = ',')]
        roles: Vec<String>,
    },
    /// Prints the effective configuration, with secrets hidden; or every mistake in it.
    #[command(after_help = "Example:\n  saler --config saler.toml check-config")]
    CheckConfig,
    /// Makes what the hub keeps its data in, or checks it: the data folder, or topics and tables of a cluster.
    #[command(after_help = "Example:\n  SALER_DATA__DIR=/var/lib/saler saler migrate")]
    Migrate,
    /// Looks into the log of a stopped hub.
    #[command(subcommand, after_help = "Example:\n  saler log inspect --topic commands --partition 0 --limit 10")]
    Log(log::LogCommand),
    /// The rows of analytics in files, which other programs read too.
    #[command(subcommand, after_help = "Example:\n  saler lake list\n  saler lake verify")]
    Lake(lake::LakeCommand),
    /// Workspaces.
    #[command(subcommand, after_help = "Example:\n  saler workspace create --name 'Rana Shoes' --time-zone Asia/Amman")]
    Workspace(create::WorkspaceCommand),
    /// People.
    #[command(
        subcommand,
        after_help = "Example:\n  saler user create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
            --email rana@shop.example --name Rana --role owner"
    )]
    User(create::UserCommand),
    /// Channels.
    #[command(
        subcommand,
        after_help = "Example:\n  saler channel create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
            --name Shop --provider web_chat --origin https://shop.example"
    )]
    Channel(create::ChannelCommand),
    /// API tokens.
    #[command(
        subcommand,
        after_help = "Example:\n  saler token create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
            --email rana@shop.example --name nightly-export --role analyst"
    )]
    Token(create::TokenCommand),
    /// Authentic webhooks that could not be read, of a stopped hub.
    #[command(
        subcommand,
        after_help = "Example:\n  saler dead-letter list --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d"
    )]
    DeadLetter(letters::DeadLetterCommand),
    /// Finds out why a webhook is refused, or what is read from it.
    #[command(subcommand, after_help = "Example:\n  saler webhook verify --provider twilio --request request.json")]
    Webhook(webhook::WebhookCommand),
    /// Says how each line of standard input sounds: label, tab, score from -1 to 1.
    #[command(after_help = "Example:\n  saler sentiment < messages.txt")]
    Sentiment,
    /// Runs one SQL query for the hub. Not for people.
    #[command(hide = true)]
    SqlWorker,
}

/// How the process ends if it was called wrongly, or given what cannot be read.
const WRONG_CALL: u8 = 2;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // First of all, before threads and allocations: a query's process must be small and lose its rights early.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "sql-worker") {
        return analytics::sql::worker::main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let failed = error.use_stderr();
            drop(error.print());
            return ExitCode::from(if failed { WRONG_CALL } else { 0 });
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "saler: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // What needs no configuration comes first: it must work on any machine.
    match cli.command {
        Command::Webhook(command) => return webhook::run(command),
        Command::Sentiment => return sentiment::run(),
        _ => {}
    }
    let config = load(&Sources::of_process(cli.config))?;
    match cli.command {
        Command::Serve { roles } => serve::run(config, &roles),
        Command::CheckConfig => {
            print(&config.to_toml().context("the configuration cannot be printed")?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate => serve::migrate(&config),
        Command::Log(command) => log::run(&config, command),
        Command::Lake(command) => lake::run(&config, command),
        Command::Workspace(command) => create::workspace(&config, command),
        Command::User(command) => create::user(&config, command),
        Command::Channel(command) => create::channel(&config, command),
        Command::Token(command) => create::token(&config, command),
        Command::DeadLetter(command) => letters::run(&config, command),
        Command::Webhook(_) | Command::Sentiment | Command::SqlWorker => Ok(ExitCode::SUCCESS),
    }
}

/// Writes to standard output. A reader that has gone is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes an answer as JSON, for people and programs.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Tells whoever waits at the terminal.
fn note(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Runs a future on a small runtime: for commands that do one thing.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Opens the data folder of a stopped hub.
async fn open(config: &Config, instead: &str) -> anyhow::Result<Engines> {
    Engines::open(config, "", &clock(), &tokio::runtime::Handle::current()).await.map_err(|error| {
        let in_use = error.is_in_use();
        let error = anyhow::Error::from(error);
        if in_use && !config.is_shared() {
            error.context(format!(
                "the data folder {} cannot be opened; if the hub is running on it, {instead}, or stop it first",
                config.data.dir.display()
            ))
        } else {
            error
        }
    })
}
