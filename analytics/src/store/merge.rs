//! Merging of files: many small ones become one, and superseded rows go.
//!
//! Rows of most tables are only moved. Of what changes (a conversation, a contact) the row with the largest version counts.
//! Files of kind [`FileKind::Parquet`] are merged among themselves until together they weigh against the base; then all become
//! a new base. So each row is rewritten a number of times that grows with the logarithm of the table, not with its age.

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
use super::{Commit, Partition, StoreError};
use crate::schema::{self, Table};

/// From how many small files on they are merged.
const MERGE_FILES: usize = 8;
/// Up to how many rows a file is small.
const SMALL_ROWS: u64 = 100_000;
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
    pub fn next_merge(&self) -> Option<Merge> {
        self.files.iter().find_map(|((workspace_id, table), files)| {
            let table = schema::by_name(table)?;
            let (inputs, kind) = choose(table, files)?;
            let name = format!("{:012}.parquet", self.next_file);
            Some(Merge {
                workspace_id: *workspace_id,
                table,
                inputs,
                kind,
                path: self.folder(*workspace_id).join(table.name).join(name),
            })
        })
    }

    /// A commit that replaces the inputs of a merge by its result. Nothing may have been applied since the last commit.
    ///
    /// # Errors
    /// If the manifest has no bytes.
    pub fn plan_merge_commit(&self, merge: &Merge, merged: DataFile) -> Result<Commit, StoreError> {
        debug_assert!(!self.is_dirty(), "the fold's snapshot and the committed offset must be of one moment");
        let mut files = self.files.clone();
        let of_table = files.entry((merge.workspace_id, merge.table.name)).or_default();
        let is_input = |file: &Arc<DataFile>| merge.inputs.iter().any(|input| Arc::ptr_eq(input, file));
        let at = of_table.iter().position(is_input).unwrap_or(0);
        of_table.retain(|file| !is_input(file));
        of_table.insert(at.min(of_table.len()), Arc::new(merged));
        let next_file = self.next_file + 1;
        Ok(Commit {
            manifest: self.manifest(&files, self.committed, next_file, self.fold.snapshot()?)?,
            files,
            retired: merge.inputs.clone(),
            next_offset: self.committed,
            next_file,
            clears_buffers: false,
        })
    }
}

fn choose(table: &Table, files: &[Arc<DataFile>]) -> Option<(Vec<Arc<DataFile>>, FileKind)> {
    if table.newest_of.is_none() {
        let small: Vec<_> = files.iter().filter(|file| file.rows < SMALL_ROWS).cloned().collect();
        return (small.len() >= MERGE_FILES).then_some((small, FileKind::Parquet));
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
fn read<'a>(
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
