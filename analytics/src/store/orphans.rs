//! Files that no manifest names: left by a crash, or replaced and not removed yet.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::file::io_error;
use super::{Partition, StoreError, entries, folders};
use crate::lake;

impl Partition {
    /// Removes what no manifest names. What the lake of a table has shown to other readers stays: the lake removes it once
    /// they have had time to go on. Returns the largest number of a file that stays so.
    pub(super) fn remove_orphans(&self, partitions: u32) -> Result<Option<u64>, StoreError> {
        let named: BTreeSet<&Path> = self.files.values().flatten().map(|file| file.path.as_path()).collect();
        let mut last_shown = None;
        for workspace in folders(&self.root.join("lake"))? {
            let name = workspace.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = name.strip_prefix("workspace=").and_then(|id| id.parse().ok());
            let ours = id.is_some_and(|id| storage::log::partition_of(id, partitions) == self.number);
            if !ours {
                continue;
            }
            for folder in folders(&workspace)? {
                last_shown = last_shown.max(remove_unnamed(&folder, &named)?);
            }
        }
        Ok(last_shown)
    }
}

fn remove_unnamed(folder: &Path, named: &BTreeSet<&Path>) -> Result<Option<u64>, StoreError> {
    let mut unnamed = entries(folder)?;
    unnamed.retain(|path| !named.contains(path.as_path()) && !path.is_dir());
    if unnamed.is_empty() {
        return Ok(None);
    }
    let shown = lake::shown_files(folder);
    let is_shown =
        |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| shown.contains(name));
    for path in unnamed.iter().filter(|path| !is_shown(path)) {
        fs::remove_file(path).map_err(io_error("remove the orphan", path))?;
    }
    let number = |name: &String| name.strip_suffix(".parquet")?.parse().ok();
    Ok(shown.iter().filter_map(number).max())
}
