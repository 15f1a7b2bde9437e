//! Deriving the lake anew from the log, and putting the new files in the place of the old ones at once.
//!
//! ```text
//! <root>/rebuild/<partition>/…     the new files, until they are complete
//! ```
//!
//! The new files are moved to the tables' folders under names that no file has had, and then one manifest, replaced
//! atomically, names them and no others. So whatever happens, either the old rows count or the new ones. Delta logs go on where
//! they were: one commit that takes the old files away and adds the new ones.

use std::fs;
use std::path::Path;

use schemas::Timestamp;
use serde::Serialize;
use storage::log::{Log, Topic};

use super::derive::{Progress, derive};
use super::{LakeError, LakeOptions, Publisher};
use crate::store::file::{io_error, sync_folder};
use crate::store::{Gap, Partition, Saved, StoreError, workspace_folder};

/// What came of it.
#[derive(Debug, Serialize)]
pub struct RebuildReport {
    /// Each partition of the topic `events`.
    pub partitions: Vec<Rebuilt>,
}

/// What came of a partition.
#[derive(Debug, Serialize)]
pub struct Rebuilt {
    /// Which.
    pub partition: u32,
    /// The lake reflects the log before this offset.
    pub next_offset: u64,
    /// Rows in files.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Events that the log no longer holds.
    pub gaps: Vec<Gap>,
}

/// Derives the lake in `root` anew. Nobody else may work in it. `now` is when.
///
/// # Errors
/// If the log no longer holds events whose rows the lake has, or log or files cannot be read or written. Partitions that
/// were not finished are as they were.
pub async fn rebuild(
    log: &dyn Log,
    root: &Path,
    options: &LakeOptions,
    now: Timestamp,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<RebuildReport, LakeError> {
    for partition in 0..log.partitions() {
        refuse_loss(log, root, partition).await?;
    }
    let scratch = root.join("rebuild");
    remove_folder(&scratch)?;
    let mut report = RebuildReport { partitions: Vec::new() };
    for number in 0..log.partitions() {
        let until = log.bounds(Topic::Events, number).await?.next;
        // Opening removes what crashes have left, and says which names are taken.
        let partition = Partition::open(root, number, log.partitions(), log.epoch())?;
        let folder = scratch.join(number.to_string());
        let derived = derive(log, number, &folder, partition.next_file(), until, tell).await?;
        drop(partition);
        let (root, partitions, options) = (root.to_owned(), log.partitions(), options.clone());
        let epoch = log.epoch().to_owned();
        let rebuilt = tokio::task::spawn_blocking(move || {
            // A partition that never had an event has nothing to adopt.
            if derived.committed_offset().is_some() {
                adopt(&root, &folder, &derived)?;
            }
            let mut partition = Partition::open(&root, number, partitions, &epoch)?;
            if options.publish {
                partition.keep_replaced();
                let mut publisher = Publisher::new(root.join("lake"), number, partitions, options.keep_replaced);
                publisher.publish(&partition.committed(), now)?;
            }
            Ok::<_, LakeError>(summary(&partition))
        });
        report.partitions.push(rebuilt.await??);
    }
    remove_folder(&scratch)?;
    Ok(report)
}

/// Only what the log can give again may be given up.
async fn refuse_loss(log: &dyn Log, root: &Path, partition: u32) -> Result<(), LakeError> {
    let earliest = log.bounds(Topic::Events, partition).await?.earliest;
    let Some(saved) = Saved::load(root, partition)? else { return Ok(()) };
    let missed = saved.gaps.iter().find(|gap| gap.from == 0).map_or(0, |gap| gap.to);
    if earliest > missed && saved.committed.epoch == log.epoch() {
        return Err(LakeError::Loss { partition, missed, earliest });
    }
    Ok(())
}

/// Moves derived files to their tables' folders, and lets the manifest name them.
fn adopt(root: &Path, folder: &Path, derived: &Partition) -> Result<(), StoreError> {
    for ((workspace_id, table), files) in &derived.committed().files {
        let to = workspace_folder(root, *workspace_id).join(table);
        fs::create_dir_all(&to).map_err(io_error("create", &to))?;
        for file in files {
            fs::rename(&file.path, to.join(file.name())).map_err(io_error("move", &file.path))?;
        }
        for folder in to.ancestors().take(3) {
            sync_folder(folder)?;
        }
    }
    derived.write_manifest_to(folder, root)
}

fn summary(partition: &Partition) -> Rebuilt {
    let committed = partition.committed();
    let files: Vec<_> = committed.files.values().flatten().collect();
    Rebuilt {
        partition: partition.number(),
        next_offset: committed.next_offset.unwrap_or(0),
        rows: files.iter().map(|file| file.rows).sum(),
        files: files.len() as u64,
        gaps: partition.gaps().to_vec(),
    }
}

fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", folder)(error).into()),
        _ => Ok(()),
    }
}
