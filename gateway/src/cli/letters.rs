//! `dead-letter list|show|replay`: for a stopped hub; a running one has the same under /api/v1/dead-letters.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use ingest::commands::Commands;
use schemas::{DeadLetterId, WorkspaceId};
use serde_json::json;

use super::{block_on, clock, open, print_json};
use crate::config::Config;
use crate::directory::Directory;
use crate::directory::propagate::reconcile;
use crate::http::dead_letters::replay;

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetterCommand {
    /// The dead letters of a workspace, newest first.
    #[command(after_help = "Example:\n  saler dead-letter list --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d")]
    List {
        /// The workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// A dead letter with its body in base64.
    #[command(
        after_help = "Example:\n  saler dead-letter show --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
        019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8e"
    )]
    Show {
        /// The workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// Which.
        id: DeadLetterId,
    },
    /// Reads dead letters again and appends what they hold; it takes effect when the hub starts.
    #[command(
        after_help = "Example:\n  saler dead-letter replay --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
        019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8e"
    )]
    Replay {
        /// The workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// Which.
        #[arg(required = true)]
        ids: Vec<DeadLetterId>,
    },
}

pub(super) fn run(config: &Config, command: DeadLetterCommand) -> anyhow::Result<ExitCode> {
    block_on(async {
        let engines = open(config, "use /api/v1/dead-letters of its API").await?;
        let directory = Directory::new(engines.tables, clock());
        match command {
            DeadLetterCommand::List { workspace, limit } => {
                let records = directory.dead_letters(workspace, None, limit).await?;
                print_json(&records.into_iter().map(|record| record.letter).collect::<Vec<_>>())
            }
            DeadLetterCommand::Show { workspace, id } => print_json(&directory.dead_letter(workspace, id).await?),
            DeadLetterCommand::Replay { workspace, ids } => {
                let commands = Commands::new(engines.log, clock());
                // The engine must know the letter's channel before what the letter holds reaches it.
                reconcile(&directory, &commands).await?;
                let mut done = Vec::new();
                for id in ids {
                    let entries = replay(&directory, &commands, workspace, id)
                        .await
                        .with_context(|| format!("dead letter {id}"))?;
                    done.push(json!({ "id": id, "entries": entries }));
                }
                print_json(&done)
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
