//! The manifest of a partition: one JSON file, replaced atomically, that says what counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::WorkspaceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::{DataFile, FileKind, io_error, replace};
use super::{Committed, Partition, StoreError, TableFiles, workspace_folder};
use crate::schema;

/// Events that the log no longer held when they were needed: what follows from them is missing in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first offset that is missing.
    pub from: u64,
    /// The first offset that is there again.
    pub to: u64,
}

/// A file that counts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) workspace_id: WorkspaceId,
    pub(super) table: String,
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) kind: FileKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<String>,
}

/// What a partition has committed, for whoever looks at it from outside.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The files, and what they reflect.
    pub committed: Committed,
    /// Events that are missing in them.
    pub gaps: Vec<Gap>,
    /// By table: rows from before this instant, in Unix microseconds, are gone or may be.
    pub removed_before: BTreeMap<String, i64>,
}

impl Saved {
    /// Reads the commit of a partition. `None` if there is none. The hub may run.
    ///
    /// # Errors
    /// If it is damaged or incomplete.
    pub fn load(root: &Path, partition: u32) -> Result<Option<Self>, StoreError> {
        let Some(manifest) = Manifest::load(root, partition)? else { return Ok(None) };
        Ok(Some(Self {
            committed: Committed {
                files: manifest.files(root)?,
                epoch: manifest.epoch,
                next_offset: manifest.next_offset,
            },
            gaps: manifest.gaps,
            removed_before: manifest.removed_before,
        }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) epoch: String,
    pub(super) next_offset: Option<u64>,
    pub(super) next_file: u64,
    #[serde(default)]
    pub(super) gaps: Vec<Gap>,
    /// By table: rows from before this instant, in Unix microseconds, are gone or may be.
    #[serde(default)]
    pub(super) removed_before: BTreeMap<String, i64>,
    pub(super) files: Vec<Entry>,
    pub(super) fold: Box<RawValue>,
}

impl Manifest {
    pub(super) fn path(root: &Path, partition: u32) -> PathBuf {
        root.join("manifests").join(format!("{partition}.json"))
    }

    pub(super) fn of(epoch: &str, files: &TableFiles, gaps: &[Gap], fold: Vec<u8>) -> Result<Self, serde_json::Error> {
        let fold = String::from_utf8(fold)
            .map_err(<serde_json::Error as serde::ser::Error>::custom)
            .and_then(RawValue::from_string)?;
        Ok(Self {
            epoch: epoch.to_owned(),
            next_offset: None,
            next_file: 0,
            gaps: gaps.to_vec(),
            removed_before: BTreeMap::new(),
            files: entries(files),
            fold,
        })
    }

    /// The same moment of the log, kept in other files.
    pub(super) fn with_files(mut self, files: &TableFiles, next_file: u64) -> Self {
        self.files = entries(files);
        self.next_file = next_file;
        self
    }

    /// The files that count.
    ///
    /// # Errors
    /// If one of them is not as it was committed.
    pub(super) fn files(&self, root: &Path) -> Result<TableFiles, StoreError> {
        let mut files = TableFiles::new();
        for entry in &self.files {
            // A table that this program does not know any more keeps no files.
            let Some(table) = schema::by_name(&entry.table) else { continue };
            let path = workspace_folder(root, entry.workspace_id).join(table.name).join(&entry.file);
            let found = fs::metadata(&path).ok().map(|metadata| metadata.len());
            if found != Some(entry.bytes) {
                return Err(StoreError::Missing { path, root: root.to_owned() });
            }
            let file = DataFile::new(path, entry.rows, entry.bytes, entry.kind).merged_from(entry.sources.clone());
            files.entry((entry.workspace_id, table.name)).or_default().push(Arc::new(file));
        }
        Ok(files)
    }

    pub(super) fn without(mut self, removed_before: BTreeMap<String, i64>) -> Self {
        self.removed_before = removed_before;
        self
    }

    pub(super) fn at(mut self, next_offset: Option<u64>, next_file: u64) -> Self {
        self.next_offset = next_offset;
        self.next_file = next_file;
        self
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub(super) fn load(root: &Path, partition: u32) -> Result<Option<Self>, StoreError> {
        let path = Self::path(root, partition);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io_error("read", &path))?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| StoreError::Damaged {
            path,
            root: root.to_owned(),
            source,
        })
    }
}

impl Partition {
    /// Puts the last commit of this partition, which is in `folder`, in the place of the one in another folder, durably. The
    /// files must have been moved there.
    ///
    /// # Errors
    /// If the disk fails; the former commit still counts.
    pub fn write_manifest_to(&self, folder: &Path, root: &Path) -> Result<(), StoreError> {
        let path = Manifest::path(folder, self.number);
        let manifest = fs::read(&path).map_err(io_error("read", &path))?;
        Ok(replace(&Manifest::path(root, self.number), &manifest)?)
    }
}

fn entries(files: &TableFiles) -> Vec<Entry> {
    let of_table = |((workspace_id, table), files): (&(WorkspaceId, &'static str), &Vec<Arc<DataFile>>)| {
        let (workspace_id, table) = (*workspace_id, (*table).to_owned());
        let entry = move |file: &Arc<DataFile>| Entry {
            workspace_id,
            table: table.clone(),
            file: file.name().to_owned(),
            rows: file.rows,
            bytes: file.bytes,
            kind: file.kind,
            sources: file.sources.clone(),
        };
        files.iter().map(entry).collect::<Vec<_>>()
    };
    files.iter().flat_map(of_table).collect()
}
