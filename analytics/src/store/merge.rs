//! Merging of files: many small ones become one, and superseded rows go.
//!
//! Rows of most tables are only moved. Files are told into levels by their size; eight of a level become one of the next, until
//! a file is large enough. Of what changes (a conversation, a contact) the row with the largest version counts. Files of kind
//! [`FileKind::Parquet`] are merged among themselves until together they weigh against the base; then all become a new base. So
//! a query opens few files, and each row is rewritten a number of times that grows with the logarithm of the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::WorkspaceId;

use super::file::{DataFile, FileError, FileKind, io_error, sync_folder, write_parquet};
use super::manifest::Manifest;
use super::{Commit, CommitKind, Partition, StoreError, TableFiles};
use crate::schema::{self, Table};

/// From how many files of a level on they are merged.
const MERGE_FILES: usize = 8;
/// How large the smallest files may be, in bytes: those of the lowest level.
const LEVEL_BYTES: u64 = 64 * 1024;
/// How large a merged file becomes at most, about, in bytes.
const MERGED_BYTES: u64 = 256 << 20;
/// A file of this size, in bytes, is not merged any more.
const FULL_BYTES: u64 = MERGED_BYTES / 2;
/// Files over a base are merged into it once they hold this part of its rows: a quarter.
const BASE_PART: u64 = 4;

/// Files of one table of one workspace that are to become one.
#[derive(Debug)]
pub struct Merge {
    workspace_id: WorkspaceId,
    table: &'static Table,
    inputs: Vec<Arc<DataFile>>,
    kind: FileKind,
    path: PathBuf,
}

impl Partition {
    /// The next files to merge, if there are any.
    pub fn next_merge(&mut self) -> Option<Merge> {
        let (workspace_id, table, inputs, kind) = self.files.iter().find_map(|((workspace_id, table), files)| {
            let table = schema::by_name(table)?;
            let (inputs, kind) = choose(table, files)?;
            Some((*workspace_id, table, inputs, kind))
        })?;
        let path = self.folder(workspace_id).join(table.name).join(format!("{:012}.parquet", self.next_file));
        self.next_file += 1;
        Some(Merge { workspace_id, table, inputs, kind, path })
    }

    /// A commit that replaces the inputs of a merge by its result. It reflects as much of the log as the commit before it;
    /// no other commit may be written between this and [`Partition::finish_commit`].
    ///
    /// # Errors
    /// If the commit before it cannot be read.
    pub fn plan_merge_commit(&self, merge: &Merge, merged: DataFile) -> Result<Commit, StoreError> {
        let mut files = self.files.clone();
        let of_table = files.entry((merge.workspace_id, merge.table.name)).or_default();
        let is_input = |file: &Arc<DataFile>| merge.inputs.iter().any(|input| Arc::ptr_eq(input, file));
        let at = of_table.iter().position(is_input).unwrap_or(0);
        of_table.retain(|file| !is_input(file));
        let sources = merge.inputs.iter().map(|input| input.name().to_owned()).collect();
        of_table.insert(at.min(of_table.len()), Arc::new(merged.merged_from(sources)));
        self.replace_files(files, merge.inputs.clone(), self.removed_before.clone())
    }

    /// A commit that changes nothing but which files there are, and how old their rows are at most.
    pub(super) fn replace_files(
        &self,
        files: TableFiles,
        retired: Vec<Arc<DataFile>>,
        removed_before: BTreeMap<String, i64>,
    ) -> Result<Commit, StoreError> {
        let path = Manifest::path(&self.root, self.number);
        let Some(before) = Manifest::load(&self.root, self.number)? else {
            return Err(StoreError::Missing { path, root: self.root.clone() });
        };
        let manifest = before.with_files(&files, self.next_file).without(removed_before.clone());
        let manifest =
            manifest.bytes().map_err(|source| StoreError::Damaged { path, root: self.root.clone(), source })?;
        Ok(Commit { files, retired, manifest, removed_before, kind: CommitKind::Rewrite })
    }
}

/// The level of a file: that of the smallest is 0, and each level's files are [`MERGE_FILES`] times as large.
fn level(file: &DataFile) -> u32 {
    (file.bytes / LEVEL_BYTES).checked_ilog(MERGE_FILES as u64).map_or(0, |level| level + 1)
}

fn choose(table: &Table, files: &[Arc<DataFile>]) -> Option<(Vec<Arc<DataFile>>, FileKind)> {
    if table.newest_of.is_none() {
        return choose_level(files).map(|inputs| (inputs, FileKind::Parquet));
    }
    let (base, over): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|file| file.kind == FileKind::Base);
    if over.len() < MERGE_FILES {
        return None;
    }
    let rows = |files: &[Arc<DataFile>]| files.iter().map(|file| file.rows).sum::<u64>();
    if rows(&over).saturating_mul(BASE_PART) >= rows(&base) {
        Some((files.to_vec(), FileKind::Base))
    } else {
        Some((over, FileKind::Parquet))
    }
}

/// The oldest files of the lowest level that has enough of them, as many as make a file that is not too large.
fn choose_level(files: &[Arc<DataFile>]) -> Option<Vec<Arc<DataFile>>> {
    let mut levels: BTreeMap<u32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.bytes < FULL_BYTES) {
        levels.entry(level(file)).or_default().push(file);
    }
    let ripe = levels.into_values().find(|files| files.len() >= MERGE_FILES)?;
    let mut bytes = 0;
    let fits = |file: &&Arc<DataFile>| {
        bytes += file.bytes;
        bytes <= MERGED_BYTES
    };
    Some(ripe.into_iter().take(MERGE_FILES).take_while(fits).cloned().collect())
}

impl Merge {
    /// Writes the merged file. Blocks.
    ///
    /// # Errors
    /// If the disk fails; no file is left behind.
    pub fn write(&self) -> Result<DataFile, StoreError> {
        let schema = self.table.schema();
        let newest = match self.table.newest_of {
            Some(key) => Some((key, self.newest_versions(key, &schema)?)),
            None => None,
        };
        let rows = self
            .inputs
            .iter()
            .flat_map(|input| match read(&input.path, &schema) {
                Ok(batches) => batches,
                Err(error) => Box::new(std::iter::once(Err(error))),
            })
            .map(|batch| match &newest {
                Some((key, newest)) => keep_newest(&batch?, key, newest, &self.path),
                None => batch,
            });
        let merged = write_parquet(&self.path, Arc::clone(&schema), rows, self.kind)?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder)?;
        }
        Ok(merged)
    }

    /// The newest version of each thing of the files over the base, by the text in the column `key`.
    fn newest_versions(&self, key: &str, schema: &SchemaRef) -> Result<BTreeMap<String, i64>, FileError> {
        let mut newest = BTreeMap::new();
        for input in self.inputs.iter().filter(|input| input.kind != FileKind::Base) {
            for batch in read(&input.path, schema)? {
                for (id, version) in versions(&batch?, key) {
                    let known = newest.entry(id.to_owned()).or_insert(version);
                    *known = version.max(*known);
                }
            }
        }
        Ok(newest)
    }
}

fn keep_newest(
    batch: &RecordBatch,
    key: &str,
    newest: &BTreeMap<String, i64>,
    path: &Path,
) -> Result<RecordBatch, FileError> {
    let keep: BooleanArray = versions(batch, key)
        .map(|(id, version)| Some(newest.get(id).is_none_or(|newest| *newest == version)))
        .collect();
    filter_record_batch(batch, &keep).map_err(|source| FileError::Arrow { path: path.to_owned(), source })
}

fn versions<'a>(batch: &'a RecordBatch, key: &str) -> impl Iterator<Item = (&'a str, i64)> + use<'a> {
    let ids = batch.column_by_name(key).map(AsArray::as_string::<i32>);
    let versions = batch.column_by_name("version").map(AsArray::as_primitive::<Int64Type>);
    ids.zip(versions)
        .into_iter()
        .flat_map(|(ids, versions)| (0..ids.len()).map(|row| (ids.value(row), versions.value(row))))
}

/// The batches of a Parquet file in this schema: columns that it does not have yet read as null.
pub(crate) fn read<'a>(
    path: &Path,
    schema: &SchemaRef,
) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, FileError>> + 'a>, FileError> {
    let path = path.to_owned();
    let schema = Arc::clone(schema);
    let arrow_error = move |path: &Path, source| FileError::Arrow { path: path.to_owned(), source };
    let file = File::open(&path).map_err(io_error("open", &path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(8_192).build())
        .map_err(|source| FileError::Parquet { action: "read", path: path.clone(), source })?;
    Ok(Box::new(reader.map(move |batch| {
        let batch = batch.map_err(|source| arrow_error(&path, source))?;
        let columns: Vec<ArrayRef> = schema
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), batch.num_rows()),
            })
            .collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|source| arrow_error(&path, source))
    })))
}
