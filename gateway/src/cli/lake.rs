//! `lake list|verify|rebuild`: what the lake holds, whether it is what the log gives, and deriving it anew.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::analytics::lake::{self, Progress};
use anyhow::{Context, bail};
use clap::Subcommand;
use schemas::WorkspaceId;
use storage::log::Log;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use tokio::time::Instant;

use super::{block_on, clock, note, open, print, print_json};
use crate::app::{AnalyticsLock, DataFolder};
use crate::config::Config;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// More partitions than any log has.
const ALL_PARTITIONS: u32 = 256;

#[derive(Debug, Subcommand)]
pub(super) enum LakeCommand {
    /// The tables with their folders, rows, bytes and files. The hub may run.
    #[command(after_help = "Example:\n  saler lake list --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d\n  \
            saler lake list --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d --table messages --paths")]
    List {
        /// Only of this workspace.
        #[arg(long)]
        workspace: Option<WorkspaceId>,
        /// Only this table.
        #[arg(long)]
        table: Option<String>,
        /// Only the paths of the files, one a line: for programs that read Parquet and no Delta log.
        #[arg(long)]
        paths: bool,
    },
    /// Derives all rows from the log again and compares them with the lake, table by table, row for row. Changes nothing of
    /// the lake. Exits with 1 if anything differs. With the embedded log, the hub must be stopped.
    #[command(after_help = "Example:\n  saler lake verify\n\n\
        Where retention has removed the beginning of the log (log.retention_hours, log.retention_gb), the answer says so, and\n\
        what can be compared is: conversations that began since, but no sums.")]
    Verify {
        /// Where rows are derived to: a folder that does not exist yet. By default one beside the lake, removed at the end.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// Derives the lake anew from the log and puts it in the place of the old one at once, for every reader. The hub must be
    /// stopped. Refused where the log no longer holds the events of rows that the lake has.
    #[command(after_help = "Example:\n  saler lake rebuild")]
    Rebuild,
}

pub(super) fn run(config: &Config, command: LakeCommand) -> anyhow::Result<ExitCode> {
    let root = DataFolder::of(config).analytics();
    match command {
        LakeCommand::List { workspace, table, paths } => {
            let mut tables = lake::contents(&root, ALL_PARTITIONS)?;
            tables.retain(|found| {
                workspace.is_none_or(|wanted| wanted == found.workspace_id)
                    && table.as_ref().is_none_or(|wanted| wanted == found.table)
            });
            if paths {
                for path in tables.iter().flat_map(|table| &table.files) {
                    print(&std::path::absolute(path)?.display().to_string())?;
                }
            } else {
                print_json(&tables)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        LakeCommand::Verify { into } => {
            let scratch = into.clone().unwrap_or_else(|| root.join("verify"));
            if scratch.exists() && into.is_some() {
                bail!("--into: {} exists already: name a folder that does not", scratch.display());
            }
            // What a killed verification has left.
            remove(&scratch)?;
            let report = block_on(async {
                let (log, _lock) = open_log(config).await?;
                lake::verify(log.as_ref(), &root, &scratch, &mut teller()).await.context("the lake cannot be verified")
            });
            if into.is_none() {
                remove(&scratch)?;
            }
            let report = report?;
            print_json(&report)?;
            Ok(ExitCode::from(u8::from(!report.same)))
        }
        LakeCommand::Rebuild => {
            let options = config.lake.options().map_err(anyhow::Error::msg)?;
            let report = block_on(async {
                let (log, _lock) = open_log(config).await?;
                let now = clock().now();
                let rebuilt = lake::rebuild(log.as_ref(), &root, &options, now, &mut teller()).await;
                rebuilt.context("the lake cannot be rebuilt")
            })?;
            print_json(&report)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Opens the log to read it, and keeps others from the analytics' folder meanwhile.
async fn open_log(config: &Config) -> anyhow::Result<(Arc<dyn Log>, Option<AnalyticsLock>)> {
    let folder = DataFolder::of(config);
    if config.is_shared() {
        let lock = folder.take_for_analytics().context("stop the process with the role analytics first")?;
        return Ok((open(config, "stop it").await?.log, Some(lock)));
    }
    let options =
        EmbeddedLogOptions { min_free_bytes: 0, ..EmbeddedLogOptions::new(folder.log(), config.log.partitions) };
    let log = EmbeddedLog::open(options).context("the hub's log cannot be opened: stop the hub first")?;
    Ok((Arc::new(log), None))
}

/// Tells progress now and then.
fn teller() -> impl FnMut(Progress) + Send {
    let mut told = Instant::now();
    move |progress| {
        if progress.next == progress.until || told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            note(&format!("partition {}: {} of {} events", progress.partition, progress.next, progress.until));
        }
    }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}
