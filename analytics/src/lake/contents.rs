//! What the lake holds, for whoever asks while the hub runs or does not.

use std::path::{Path, PathBuf};

use schemas::WorkspaceId;
use serde::Serialize;

use super::LakeError;
use super::delta::{DeltaLog, table_folder};
use super::place::LocalPlace;
use crate::schema;
use crate::store::{Saved, workspace_folder};

/// A table of a workspace.
#[derive(Clone, Debug, Serialize)]
pub struct TableContents {
    /// Of which workspace.
    pub workspace_id: WorkspaceId,
    /// Which.
    pub table: &'static str,
    /// Its folder, as readers of Delta tables name it.
    pub folder: PathBuf,
    /// Rows in its files; of things that change, rows that no longer count among them.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The newest version of its Delta log; null if it has none.
    pub delta_version: Option<u64>,
    /// Its files, oldest first.
    pub files: Vec<PathBuf>,
}

/// The tables of the lake in `root`, by workspace.
///
/// # Errors
/// If a commit is damaged or incomplete.
pub fn contents(root: &Path, partitions: u32) -> Result<Vec<TableContents>, LakeError> {
    let place = LocalPlace::new(root.join("lake"));
    let mut tables = Vec::new();
    for partition in 0..partitions {
        let Some(saved) = Saved::load(root, partition)? else { continue };
        for ((workspace_id, name), files) in saved.committed.files {
            let Some(table) = schema::by_name(name) else { continue };
            let now = schemas::Timestamp::from_unix_seconds(0);
            let log = DeltaLog::load(&place, &table_folder(workspace_id, table), now);
            tables.push(TableContents {
                workspace_id,
                table: name,
                folder: workspace_folder(root, workspace_id).join(name),
                rows: files.iter().map(|file| file.rows).sum(),
                bytes: files.iter().map(|file| file.bytes).sum(),
                delta_version: log.ok().and_then(|log| log.version()),
                files: files.iter().map(|file| file.path.clone()).collect(),
            });
        }
    }
    tables.sort_by_key(|table| (table.workspace_id, table.table));
    Ok(tables)
}
