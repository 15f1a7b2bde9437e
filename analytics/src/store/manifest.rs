//! The manifest of a partition: one JSON file, replaced atomically, that says what counts.

use std::fs;
use std::path::{Path, PathBuf};

use schemas::WorkspaceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::file::{FileKind, io_error};
use super::{StoreError, TableFiles};

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
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) epoch: String,
    pub(super) next_offset: Option<u64>,
    pub(super) next_file: u64,
    #[serde(default)]
    pub(super) gaps: Vec<Gap>,
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
        let entry = |((workspace_id, table), file): ((&WorkspaceId, &&'static str), &super::DataFile)| Entry {
            workspace_id: *workspace_id,
            table: (*table).to_owned(),
            file: file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            rows: file.rows,
            bytes: file.bytes,
            kind: file.kind,
        };
        Ok(Self {
            epoch: epoch.to_owned(),
            next_offset: None,
            next_file: 0,
            gaps: gaps.to_vec(),
            files: files
                .iter()
                .flat_map(|((id, table), files)| files.iter().map(move |file| entry(((id, table), file))))
                .collect(),
            fold,
        })
    }

    pub(super) const fn at(mut self, next_offset: Option<u64>, next_file: u64) -> Self {
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
