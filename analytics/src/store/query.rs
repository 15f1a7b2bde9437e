//! What a query is given: the committed files, and the rows that are in none yet, sealed into files of their own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use schemas::WorkspaceId;

use super::file::{io_error, write_ipc};
use super::{NamedFiles, Partition, StoreError};
use crate::batch;
use crate::schema::{self, Table};

/// Numbers the files of fresh rows. Never twice the same in a process: whoever had a partition open before removes such files
/// when it lets go of them, which may be after the partition was opened again.
static NEXT_SEAL: AtomicU64 = AtomicU64::new(0);

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

    /// Keeps sealed rows for the next query, if they are still the newest.
    pub fn keep_seal(&mut self, seal: Seal) {
        if let Some(buffer) = self.buffers.get_mut(&seal.workspace_id)
            && buffer.rows.revision() == seal.revision
        {
            buffer.sealed = Some((seal.revision, seal.files));
        }
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
