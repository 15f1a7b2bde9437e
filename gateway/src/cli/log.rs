//! `log inspect|verify|replay`: looks into the log of a stopped hub.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use storage::log::{Topic, inspect};

use super::{note, print, print_json, replay};
use crate::app::DataFolder;
use crate::config::{Config, LogEngine};

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// What the log holds; with --topic and --partition, the records themselves, one JSON object a line.
    #[command(
        after_help = "Example:\n  saler log inspect\n  saler log inspect --topic commands --partition 0 --from 120 --limit 10"
    )]
    Inspect {
        /// The topic whose records are shown.
        #[arg(long, requires = "partition")]
        topic: Option<TopicArgument>,
        /// The partition whose records are shown.
        #[arg(long, requires = "topic")]
        partition: Option<u32>,
        /// The first offset.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many records at most.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Reads every byte of the log and reports damage. Exits with 1 if there is any.
    #[command(after_help = "Example:\n  saler log verify")]
    Verify,
    /// Derives all conversations from the log again, into a new folder, and compares them with the hub's own: events record
    /// by record, tables row by row. Changes nothing of the hub. Exits with 1 if anything differs.
    #[command(after_help = "Example:\n  saler log replay --into /tmp/replayed\n\n\
        The log must reach back to its beginning: once retention has removed commands (log.retention_hours,\n\
        log.retention_gb), it cannot be replayed. The new folder is for comparing; it holds no people and no channels.")]
    Replay {
        /// The folder for the derived tables; must not exist.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum TopicArgument {
    Commands,
    Events,
}

impl From<TopicArgument> for Topic {
    fn from(topic: TopicArgument) -> Self {
        match topic {
            TopicArgument::Commands => Self::Commands,
            TopicArgument::Events => Self::Events,
        }
    }
}

pub(super) fn run(config: &Config, command: LogCommand) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        config.log.engine == LogEngine::Embedded,
        "`saler log` looks into the embedded log; log.engine is \"kafka\": use Kafka's own tools on the topics {}.*",
        config.kafka.topic_prefix
    );
    let folder = DataFolder::of(config).log();
    match command {
        LogCommand::Inspect { topic: Some(topic), partition: Some(partition), from, limit } => {
            for record in inspect::records(&folder, topic.into(), partition, from, limit)? {
                let record = record?;
                let value: serde_json::Value = serde_json::from_slice(&record.value)
                    .unwrap_or_else(|_not_json| json!(String::from_utf8_lossy(&record.value)));
                let line = json!({
                    "offset": record.offset, "workspace_id": record.key, "at": record.at, "value": value,
                });
                print(&line.to_string())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        LogCommand::Inspect { .. } => {
            print_json(&inspect::inspect(&folder)?)?;
            Ok(ExitCode::SUCCESS)
        }
        LogCommand::Verify => {
            let report = inspect::verify(&folder, &mut |progress| {
                note(&format!(
                    "segment {} of {}: {} records, {} MB",
                    progress.segments,
                    progress.total_segments,
                    progress.records,
                    progress.bytes >> 20
                ));
            })?;
            print_json(&report)?;
            Ok(ExitCode::from(u8::from(!report.damage.is_empty())))
        }
        LogCommand::Replay { into } => replay::run(config, &into).context("the log cannot be replayed"),
    }
}
