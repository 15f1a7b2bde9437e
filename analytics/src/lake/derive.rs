//! Deriving a partition's rows from the log again, into a folder of their own.

use std::path::Path;

use storage::log::{Log, LogError, ReadLimit, Topic};

use crate::FlushOptions;
use crate::store::{Partition, StoreError};
use crate::tail::parse;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// Rows cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task was cancelled or has panicked.
    #[error("a task was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// How far a derivation has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The partition.
    pub partition: u32,
    /// The next offset.
    pub next: u64,
    /// The offset to end before.
    pub until: u64,
}

/// Folds a partition's events before `until` into files in `folder`, which is empty. What the log no longer holds becomes a
/// gap.
///
/// # Errors
/// Any [`DeriveError`].
pub(super) async fn derive(
    log: &dyn Log,
    number: u32,
    folder: &Path,
    first_file: u64,
    until: u64,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Partition, DeriveError> {
    let mut partition = Partition::open(folder, number, log.partitions(), log.epoch())?;
    partition.number_files_from(first_file);
    let earliest = log.bounds(Topic::Events, number).await?.earliest;
    let mut next = earliest.min(until);
    if next > 0 {
        partition.skip_to(next);
    }
    let limits = FlushOptions::default();
    while next < until {
        let records = log.read(Topic::Events, number, next, ReadLimit::default()).await?;
        let folder = folder.to_owned();
        let work = move || {
            for record in records.iter().filter(|record| record.offset < until) {
                partition.apply(record.offset, parse(record).ok());
            }
            let (rows, bytes) = partition.pending();
            if rows >= limits.rows || bytes >= limits.bytes {
                write(&mut partition, &folder)?;
            }
            Ok::<_, StoreError>(partition)
        };
        partition = tokio::task::spawn_blocking(work).await??;
        let reached = partition.next_offset().unwrap_or(until);
        if reached <= next {
            // The log ends before what was asked for; what comes of it is told by whoever compares.
            break;
        }
        next = reached;
        tell(Progress { partition: number, next, until });
    }
    let folder = folder.to_owned();
    let work = move || write(&mut partition, &folder).map(|()| partition);
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Writes what is in memory to files, commits, and merges. Blocks.
fn write(partition: &mut Partition, folder: &Path) -> Result<(), StoreError> {
    if partition.is_dirty() {
        let flush = partition.begin_flush()?;
        let written = flush.write()?;
        let commit = partition.plan_commit(flush, written)?;
        commit.write(folder, partition.number())?;
        partition.finish_commit(commit);
    }
    while let Some(merge) = partition.next_merge() {
        let merged = merge.write()?;
        let commit = partition.plan_merge_commit(&merge, merged)?;
        commit.write(folder, partition.number())?;
        partition.finish_commit(commit);
    }
    Ok(())
}
