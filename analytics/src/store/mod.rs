//! What a partition's fold has made: rows in memory, older rows in files, and one commit that says which files count.
//!
//! ```text
//! <root>/manifests/<partition>.json                 {files, next offset, gaps, the fold's snapshot}: one atomic commit
//! <root>/lake/workspace=<id>/<table>/<n>.parquet    rows that are committed
//! <root>/lake/workspace=<id>/fresh/<n>-<table>.arrow  rows that are not, sealed for a query; removed at start
//! ```
//!
//! Invariants: a row is in exactly one of {the files that the manifest names, memory}. The manifest's offset, its snapshot
//! and its files describe the same moment. A file is written and synced before a manifest names it, and what no manifest
//! names is removed at start (what the lake still shows to other readers: by the lake, later). No two files of a table
//! ever have the same name. So a crash at any moment leaves the last commit, and replaying the topic `events` from its
//! offset derives the rest again, each row once.
//!
//! A workspace's folder holds nothing of any other workspace: it is what a query's process is let into.

pub mod file;
mod manifest;
pub(crate) mod merge;
mod orphans;
mod query;
mod retention;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use schemas::WorkspaceId;
use schemas::event::EventRecord;

use self::file::{DataFile, FileError, FileKind, io_error, sync_folder, write_parquet};
use self::manifest::Manifest;
pub use self::manifest::{Gap, Saved};
pub use self::merge::Merge;
pub use self::query::{QueryFiles, QuerySnapshot, Seal};
pub use self::retention::{Aged, Removal};
use crate::batch;
use crate::fold::{Fold, SnapshotError};
use crate::rows::WorkspaceRows;
use crate::schema::{self, Table};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A manifest is not as it was written.
    #[error("{path} is damaged; stop the hub and remove {root} to derive everything again from the log")]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// The analytics' folder.
        root: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A committed file is not there, or has another size than when it was committed.
    #[error("{path} is missing or was changed; stop the hub and remove {root} to derive everything again from the log")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The analytics' folder.
        root: PathBuf,
    },
    /// The fold's state has no bytes.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Rows do not become Arrow.
    #[error("rows cannot be written as Arrow")]
    Arrow(#[from] ArrowError),
}

/// The files of each table of each workspace, oldest first.
pub type TableFiles = BTreeMap<(WorkspaceId, &'static str), Vec<Arc<DataFile>>>;

/// Files, each with the name of its table.
pub type NamedFiles = Vec<(&'static str, Arc<DataFile>)>;

/// Rows that no file holds yet.
#[derive(Debug, Default)]
struct Buffer {
    rows: WorkspaceRows,
    /// The same rows as files, for queries, and the revision of the rows that they hold.
    sealed: Option<(u64, NamedFiles)>,
}

/// One partition.
#[derive(Debug)]
pub struct Partition {
    number: u32,
    root: PathBuf,
    epoch: String,
    fold: Fold,
    next_offset: Option<u64>,
    committed: Option<u64>,
    buffers: BTreeMap<WorkspaceId, Buffer>,
    files: TableFiles,
    gaps: Vec<Gap>,
    next_file: u64,
    /// By table: rows from before this instant, in Unix microseconds, are gone or may be.
    removed_before: BTreeMap<String, i64>,
    /// Files that no manifest names any more and that other readers may still be reading; `None` if there are none such.
    replaced: Option<Vec<Arc<DataFile>>>,
}

/// What the files of a partition hold, as of one commit.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The log's epoch.
    pub epoch: String,
    /// The next offset of the topic `events` that they do not reflect; `None` if there is no commit.
    pub next_offset: Option<u64>,
    /// The files.
    pub files: TableFiles,
}

/// The rows of a flush, on their way to files.
#[derive(Debug)]
pub struct Flush {
    work: Vec<(WorkspaceId, &'static Table, RecordBatch, PathBuf, FileKind)>,
    fold: Vec<u8>,
    next_offset: Option<u64>,
}

/// A change of the set of files that is ready to be committed.
#[derive(Debug)]
pub struct Commit {
    /// The table's files as they will be.
    files: TableFiles,
    retired: Vec<Arc<DataFile>>,
    manifest: Vec<u8>,
    removed_before: BTreeMap<String, i64>,
    kind: CommitKind,
}

#[derive(Clone, Copy, Debug)]
enum CommitKind {
    /// The log up to this offset is reflected, and no row stays in memory only.
    Flush { next_offset: Option<u64> },
    /// The same rows, or fewer, in other files.
    Rewrite,
}

impl Partition {
    /// Opens a partition: loads its last commit and removes what the commit does not name. `epoch` is the log's: what was
    /// derived from another history of the log is dropped, and derived again.
    ///
    /// # Errors
    /// If the commit is damaged or incomplete, or the disk fails.
    pub fn open(root: &Path, number: u32, partitions: u32, epoch: &str) -> Result<Self, StoreError> {
        let mut partition = Self {
            number,
            root: root.to_owned(),
            epoch: epoch.to_owned(),
            fold: Fold::default(),
            next_offset: None,
            committed: None,
            buffers: BTreeMap::new(),
            files: BTreeMap::new(),
            gaps: Vec::new(),
            next_file: 0,
            removed_before: BTreeMap::new(),
            replaced: None,
        };
        if let Some(manifest) = Manifest::load(root, number)? {
            partition.next_file = manifest.next_file;
            if manifest.epoch == epoch {
                partition.adopt(manifest)?;
            } else {
                tracing::warn!(
                    partition = number,
                    "the log has another epoch than the analytics: everything is derived again"
                );
            }
        }
        let last_shown = partition.remove_orphans(partitions)?;
        partition.next_file = last_shown.map_or(partition.next_file, |last| partition.next_file.max(last + 1));
        Ok(partition)
    }

    fn adopt(&mut self, manifest: Manifest) -> Result<(), StoreError> {
        let fold = match Fold::restore(manifest.fold.get().as_bytes()) {
            Ok(fold) => fold,
            Err(SnapshotError::Version { found }) => {
                tracing::warn!(
                    partition = self.number,
                    found,
                    "the fold's rules have changed: everything is derived again"
                );
                return Ok(());
            }
            Err(SnapshotError::Damaged(source)) => {
                return Err(StoreError::Damaged {
                    path: Manifest::path(&self.root, self.number),
                    root: self.root.clone(),
                    source,
                });
            }
        };
        self.files = manifest.files(&self.root)?;
        self.fold = fold;
        self.next_offset = manifest.next_offset;
        self.committed = manifest.next_offset;
        self.gaps = manifest.gaps;
        self.removed_before = manifest.removed_before;
        Ok(())
    }

    /// Which partition it is.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The next offset of the topic `events` to apply; `None` until something was applied: the earliest there is.
    pub const fn next_offset(&self) -> Option<u64> {
        self.next_offset
    }

    /// The offset from which a restart would read: what is before it is in files.
    pub const fn committed_offset(&self) -> Option<u64> {
        self.committed
    }

    /// Events that the log no longer held when they were needed.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The fold.
    pub const fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Goes on at `to`, since the log no longer holds what is before it. The gap is kept, and committed with the rest.
    pub fn skip_to(&mut self, to: u64) {
        self.gaps.push(Gap { from: self.next_offset.unwrap_or(0), to });
        self.next_offset = Some(to);
    }

    /// Applies the event at `offset`, or notes that the record there is not one.
    pub fn apply(&mut self, offset: u64, record: Option<EventRecord>) {
        self.next_offset = Some(offset + 1);
        let Some(record) = record else { return };
        let buffer = self.buffers.entry(record.workspace_id).or_default();
        self.fold.apply(offset, record, &mut buffer.rows);
    }

    /// How many rows are in no file yet, and about how many bytes they take.
    pub fn pending(&self) -> (usize, usize) {
        self.buffers
            .values()
            .fold((0, 0), |(rows, bytes), buffer| (rows + buffer.rows.len(), bytes + buffer.rows.bytes()))
    }

    /// Whether there is something that a commit would add.
    pub fn is_dirty(&self) -> bool {
        self.next_offset != self.committed
    }

    fn folder(&self, workspace_id: WorkspaceId) -> PathBuf {
        workspace_folder(&self.root, workspace_id)
    }

    /// No file has this number or a larger one.
    pub const fn next_file(&self) -> u64 {
        self.next_file
    }

    /// From here on, files have this number or a larger one.
    pub fn number_files_from(&mut self, number: u64) {
        self.next_file = self.next_file.max(number);
    }

    /// Takes the rows that are in no file as of now. They stay in memory until the commit.
    ///
    /// # Errors
    /// If rows do not become Arrow, or the fold has no bytes.
    pub fn begin_flush(&mut self) -> Result<Flush, StoreError> {
        let mut work = Vec::new();
        let mut next_file = self.next_file;
        let fold = self.fold.snapshot()?;
        for (id, buffer) in &self.buffers {
            for (table, batch) in batch::batches(*id, &buffer.rows)? {
                let path = self.folder(*id).join(table.name).join(format!("{next_file:012}.parquet"));
                let first = table.newest_of.is_some() && !self.files.contains_key(&(*id, table.name));
                let kind = if first { FileKind::Base } else { FileKind::Parquet };
                work.push((*id, table, batch, path, kind));
                next_file += 1;
            }
        }
        self.next_file = next_file;
        Ok(Flush { work, fold, next_offset: self.next_offset })
    }

    /// A commit of the files of a flush. Nothing may have been applied since [`Partition::begin_flush`].
    ///
    /// # Errors
    /// If the manifest has no bytes.
    pub fn plan_commit(&self, flush: Flush, written: Vec<Written>) -> Result<Commit, StoreError> {
        let mut files = self.files.clone();
        for (workspace_id, table, file) in written {
            files.entry((workspace_id, table.name)).or_default().push(file);
        }
        let manifest = Manifest::of(&self.epoch, &files, &self.gaps, flush.fold)
            .map(|manifest| manifest.without(self.removed_before.clone()))
            .and_then(|manifest| manifest.at(flush.next_offset, self.next_file).bytes())
            .map_err(|source| StoreError::Snapshot(SnapshotError::Damaged(source)))?;
        let removed_before = self.removed_before.clone();
        Ok(Commit {
            files,
            retired: Vec::new(),
            manifest,
            removed_before,
            kind: CommitKind::Flush { next_offset: flush.next_offset },
        })
    }

    /// Makes a commit count in memory, after [`Commit::write`].
    pub fn finish_commit(&mut self, commit: Commit) {
        self.files = commit.files;
        self.removed_before = commit.removed_before;
        if let CommitKind::Flush { next_offset } = commit.kind {
            self.committed = next_offset;
            self.buffers.clear();
        }
        match &mut self.replaced {
            Some(replaced) => replaced.extend(commit.retired),
            None => commit.retired.iter().for_each(|file| file.retire()),
        }
    }

    /// From here on, files that are replaced stay until [`Partition::forget_replaced`]: readers other than the hub's own
    /// queries were told of them.
    pub fn keep_replaced(&mut self) {
        self.replaced.get_or_insert_default();
    }

    /// Lets a file that was replaced be removed, once no query holds it. Returns whether the file was known.
    pub fn forget_replaced(&mut self, path: &Path) -> bool {
        let Some(replaced) = &mut self.replaced else { return false };
        let Some(at) = replaced.iter().position(|file| file.path == path) else { return false };
        replaced.swap_remove(at).retire();
        true
    }

    /// What is in files, as of the last commit.
    pub fn committed(&self) -> Committed {
        Committed { epoch: self.epoch.clone(), next_offset: self.committed, files: self.files.clone() }
    }

    /// The rows of [`schema::KPI_MINUTE`] of a workspace as of now: in files, and in none yet.
    ///
    /// # Errors
    /// If rows do not become Arrow.
    pub fn minutes(&self, workspace_id: WorkspaceId) -> Result<(Vec<Arc<DataFile>>, Option<RecordBatch>), StoreError> {
        let files = self.files.get(&(workspace_id, schema::KPI_MINUTE.name)).cloned().unwrap_or_default();
        let buffer = self.buffers.get(&workspace_id);
        let fresh = buffer.map(|buffer| batch::minutes(workspace_id, &buffer.rows)).transpose()?;
        Ok((files, fresh))
    }
}

/// A file that a flush has written.
pub type Written = (WorkspaceId, &'static Table, Arc<DataFile>);

impl Flush {
    /// Writes the rows to files and makes them durable. Blocks.
    ///
    /// # Errors
    /// If the disk fails; no file is left behind.
    pub fn write(&self) -> Result<Vec<Written>, StoreError> {
        let mut written: Vec<Written> = Vec::with_capacity(self.work.len());
        let mut folders = BTreeSet::new();
        for (workspace_id, table, batch, path, kind) in &self.work {
            match write_parquet(path, table.schema(), [Ok(batch.clone())], *kind) {
                Ok(file) => written.push((*workspace_id, table, Arc::new(file))),
                Err(error) => {
                    for (_, _, file) in &written {
                        file.retire();
                    }
                    return Err(error.into());
                }
            }
            folders.extend(path.ancestors().skip(1).take(3).map(Path::to_owned));
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(written)
    }
}

impl Commit {
    /// Puts the manifest in place, durably: from here on its files count. Blocks.
    ///
    /// # Errors
    /// If the disk fails; the former commit still counts.
    pub fn write(&self, root: &Path, number: u32) -> Result<(), StoreError> {
        Ok(file::replace(&Manifest::path(root, number), &self.manifest)?)
    }
}

/// The folder of a workspace's tables below the analytics' folder.
pub fn workspace_folder(root: &Path, workspace_id: WorkspaceId) -> PathBuf {
    root.join("lake").join(format!("workspace={workspace_id}"))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    match read() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(read.map_err(io_error("list", folder))?),
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut entries = entries(folder)?;
    entries.retain(|entry| entry.is_dir());
    Ok(entries)
}
