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
//! names is removed at start. So a crash at any moment leaves the last commit, and replaying the topic `events` from its
//! offset derives the rest again, each row once.
//!
//! A workspace's folder holds nothing of any other workspace: it is what a query's process is let into.

pub mod file;
mod manifest;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use schemas::WorkspaceId;
use schemas::event::EventRecord;

use self::file::{DataFile, FileError, FileKind, io_error, sync_folder, write_ipc, write_parquet};
pub use self::manifest::Gap;
use self::manifest::Manifest;
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

/// Numbers the files of fresh rows. Never twice the same in a process: whoever had a partition open before removes such files
/// when it lets go of them, which may be after the partition was opened again.
static NEXT_SEAL: AtomicU64 = AtomicU64::new(0);

/// The files of one table of one workspace.
type TableFiles = BTreeMap<(WorkspaceId, &'static str), Vec<Arc<DataFile>>>;

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
}

/// The rows of a flush, on their way to files.
#[derive(Debug)]
pub struct Flush {
    work: Vec<(WorkspaceId, &'static Table, RecordBatch, PathBuf, FileKind)>,
    fold: Vec<u8>,
    next_offset: Option<u64>,
    next_file: u64,
}

/// A change of the set of files that is ready to be committed.
#[derive(Debug)]
pub struct Commit {
    /// The table's files as they will be.
    files: TableFiles,
    retired: Vec<Arc<DataFile>>,
    manifest: Vec<u8>,
    next_offset: Option<u64>,
    next_file: u64,
    clears_buffers: bool,
}

/// What a query is given: files that stay as they are while this is held.
#[derive(Debug)]
pub struct QueryFiles {
    /// The workspace's folder.
    pub folder: PathBuf,
    /// By table.
    pub files: NamedFiles,
}

/// What a query needs, as of one moment, before fresh rows are sealed.
#[derive(Debug)]
pub struct QuerySnapshot {
    workspace_id: WorkspaceId,
    folder: PathBuf,
    files: NamedFiles,
    fresh: Vec<(&'static Table, RecordBatch)>,
    revision: u64,
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
        };
        if let Some(manifest) = Manifest::load(root, number)? {
            if manifest.epoch == epoch {
                partition.adopt(manifest)?;
            } else {
                tracing::warn!(
                    partition = number,
                    "the log has another epoch than the analytics: everything is derived again"
                );
            }
        }
        partition.remove_orphans(partitions)?;
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
        for entry in manifest.files {
            // A table that this program does not know any more keeps no files.
            let Some(table) = schema::by_name(&entry.table) else { continue };
            let path = self.folder(entry.workspace_id).join(table.name).join(&entry.file);
            let found = fs::metadata(&path).ok().map(|metadata| metadata.len());
            if found != Some(entry.bytes) {
                return Err(StoreError::Missing { path, root: self.root.clone() });
            }
            let file = DataFile::new(path, entry.rows, entry.bytes, entry.kind);
            self.files.entry((entry.workspace_id, table.name)).or_default().push(Arc::new(file));
        }
        self.fold = fold;
        self.next_offset = manifest.next_offset;
        self.committed = manifest.next_offset;
        self.gaps = manifest.gaps;
        self.next_file = manifest.next_file;
        Ok(())
    }

    fn remove_orphans(&self, partitions: u32) -> Result<(), StoreError> {
        let named: BTreeSet<&Path> = self.files.values().flatten().map(|file| file.path.as_path()).collect();
        for workspace in folders(&self.root.join("lake"))? {
            let name = workspace.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = name.strip_prefix("workspace=").and_then(|id| id.parse().ok());
            let ours = id.is_some_and(|id| storage::log::partition_of(id, partitions) == self.number);
            if !ours {
                continue;
            }
            for folder in folders(&workspace)? {
                for file in entries(&folder)? {
                    if !named.contains(file.as_path()) {
                        fs::remove_file(&file).map_err(io_error("remove the orphan", &file))?;
                    }
                }
            }
        }
        Ok(())
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
        self.root.join("lake").join(format!("workspace={workspace_id}"))
    }

    /// Takes the rows that are in no file as of now. They stay in memory until the commit.
    ///
    /// # Errors
    /// If rows do not become Arrow, or the fold has no bytes.
    pub fn begin_flush(&self) -> Result<Flush, StoreError> {
        let mut work = Vec::new();
        let mut next_file = self.next_file;
        for (id, buffer) in &self.buffers {
            for (table, batch) in batch::batches(*id, &buffer.rows)? {
                let path = self.folder(*id).join(table.name).join(format!("{next_file:012}.parquet"));
                let first = table.newest_of.is_some() && !self.files.contains_key(&(*id, table.name));
                let kind = if first { FileKind::Base } else { FileKind::Parquet };
                work.push((*id, table, batch, path, kind));
                next_file += 1;
            }
        }
        Ok(Flush { work, fold: self.fold.snapshot()?, next_offset: self.next_offset, next_file })
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
        let manifest = self.manifest(&files, flush.next_offset, flush.next_file, flush.fold)?;
        Ok(Commit {
            files,
            retired: Vec::new(),
            manifest,
            next_offset: flush.next_offset,
            next_file: flush.next_file,
            clears_buffers: true,
        })
    }

    fn manifest(
        &self,
        files: &TableFiles,
        next_offset: Option<u64>,
        next_file: u64,
        fold: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let manifest = Manifest::of(&self.epoch, files, &self.gaps, fold);
        manifest
            .and_then(|manifest| manifest.at(next_offset, next_file).bytes())
            .map_err(|source| StoreError::Snapshot(SnapshotError::Damaged(source)))
    }

    /// Makes a commit count in memory, after [`Commit::write`].
    pub fn finish_commit(&mut self, commit: Commit) {
        self.files = commit.files;
        self.next_file = commit.next_file;
        if commit.clears_buffers {
            self.committed = commit.next_offset;
            self.buffers.clear();
        }
        commit.retired.iter().for_each(|file| file.retire());
    }

    /// What a query over a workspace is given, as of now.
    ///
    /// # Errors
    /// If rows do not become Arrow.
    pub fn query(&self, workspace_id: WorkspaceId) -> Result<QuerySnapshot, StoreError> {
        let mut files = Vec::new();
        for table in schema::STORED {
            let of_table = self.files.get(&(workspace_id, table.name)).into_iter().flatten();
            files.extend(of_table.map(|file| (table.name, Arc::clone(file))));
        }
        let mut fresh = Vec::new();
        let mut revision = 0;
        if let Some(buffer) = self.buffers.get(&workspace_id) {
            revision = buffer.rows.revision();
            match &buffer.sealed {
                Some((sealed, known)) if *sealed == revision => files.extend(known.iter().cloned()),
                _ => fresh = batch::batches(workspace_id, &buffer.rows)?,
            }
        }
        Ok(QuerySnapshot { workspace_id, folder: self.folder(workspace_id), files, fresh, revision })
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

    /// Keeps sealed rows for the next query, if they are still the newest.
    pub fn keep_seal(&mut self, seal: Seal) {
        if let Some(buffer) = self.buffers.get_mut(&seal.workspace_id)
            && buffer.rows.revision() == seal.revision
        {
            buffer.sealed = Some((seal.revision, seal.files));
        }
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

/// Sealed rows.
#[derive(Debug)]
pub struct Seal {
    workspace_id: WorkspaceId,
    revision: u64,
    files: NamedFiles,
}

impl QuerySnapshot {
    /// Seals the fresh rows into files, if they are not yet. Blocks.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn seal(self) -> Result<(QueryFiles, Option<Seal>), StoreError> {
        fs::create_dir_all(&self.folder).map_err(io_error("create", &self.folder))?;
        let mut files = self.files;
        let mut sealed = Vec::with_capacity(self.fresh.len());
        for (table, batch) in &self.fresh {
            let number = NEXT_SEAL.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join("fresh").join(format!("{number:012}-{}.arrow", table.name));
            sealed.push((table.name, Arc::new(write_ipc(&path, batch)?)));
        }
        let seal = (!sealed.is_empty()).then(|| Seal {
            workspace_id: self.workspace_id,
            revision: self.revision,
            files: sealed.clone(),
        });
        files.extend(sealed);
        Ok((QueryFiles { folder: self.folder, files }, seal))
    }
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
