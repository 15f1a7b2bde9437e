//! Removing rows that are older than they may become.
//!
//! A file whose rows are all too old goes; one with some that have been too old for a day is written anew without them. So
//! rows go within a day of their time, and a file is not rewritten for every row.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use schemas::{Timestamp, WorkspaceId};

use super::file::{DataFile, FileError, FileKind, io_error, sync_folder, write_parquet};
use super::merge::read;
use super::{Commit, Partition, StoreError};
use crate::schema::Table;

/// How much too old rows may become before a file is written anew without them.
const SLACK: Duration = Duration::from_hours(24);

/// The files of a table, about to lose what is too old.
#[derive(Debug)]
pub struct Removal {
    table: &'static Table,
    column: &'static str,
    before: Timestamp,
    /// Each with where it is written anew, if it is.
    files: Vec<(WorkspaceId, Arc<DataFile>, PathBuf)>,
}

/// A file with rows that are too old, and what stays of it.
#[derive(Debug)]
pub struct Aged {
    workspace_id: WorkspaceId,
    file: Arc<DataFile>,
    rest: Option<DataFile>,
}

impl Partition {
    /// Takes a look at the files of a table whose rows from before an instant are to go. `None` if they have no age.
    pub fn begin_removal(&mut self, table: &'static Table, before: Timestamp) -> Option<Removal> {
        let column = table.time_column()?;
        let mut files = Vec::new();
        for ((workspace_id, name), of_table) in &self.files {
            if *name == table.name {
                files.extend(of_table.iter().map(|file| (*workspace_id, Arc::clone(file))));
            }
        }
        let mut place = |(workspace_id, file): (WorkspaceId, Arc<DataFile>)| {
            let path = self.folder(workspace_id).join(table.name).join(format!("{:012}.parquet", self.next_file));
            self.next_file += 1;
            (workspace_id, file, path)
        };
        let files = files.into_iter().map(&mut place).collect();
        Some(Removal { table, column, before, files })
    }

    /// A commit without the rows that were too old. As [`Partition::plan_merge_commit`].
    ///
    /// # Errors
    /// If the commit before it cannot be read.
    pub fn plan_removal_commit(&self, removal: &Removal, aged: Vec<Aged>) -> Result<Commit, StoreError> {
        let (mut files, mut retired) = (self.files.clone(), Vec::with_capacity(aged.len()));
        for aged in aged {
            let of_table = files.entry((aged.workspace_id, removal.table.name)).or_default();
            if let Some(at) = of_table.iter().position(|file| Arc::ptr_eq(file, &aged.file)) {
                let rest = aged.rest.map(|rest| Arc::new(rest.merged_from(vec![aged.file.name().to_owned()])));
                of_table.splice(at..=at, rest);
                retired.push(aged.file);
            }
        }
        files.retain(|_, of_table| !of_table.is_empty());
        let mut removed_before = self.removed_before.clone();
        let known = removed_before.entry(removal.table.name.to_owned()).or_insert(i64::MIN);
        *known = removal.before.unix_micros().max(*known);
        self.replace_files(files, retired, removed_before)
    }
}

impl Removal {
    /// Finds the files with rows that are too old, and writes those anew that have others. Blocks.
    ///
    /// # Errors
    /// If the disk fails; no file is left behind.
    pub fn write(&self) -> Result<Vec<Aged>, StoreError> {
        let mut aged: Vec<Aged> = Vec::new();
        for (workspace_id, file, path) in &self.files {
            match self.age(file, path) {
                Ok(Some(rest)) => aged.push(Aged { workspace_id: *workspace_id, file: Arc::clone(file), rest }),
                Ok(None) => {}
                Err(error) => {
                    aged.iter().filter_map(|aged| aged.rest.as_ref()).for_each(DataFile::retire);
                    return Err(error);
                }
            }
        }
        Ok(aged)
    }

    /// What stays of a file, if something goes.
    #[expect(clippy::option_option, reason = "nothing goes; all goes; some stays in a file")]
    fn age(&self, file: &DataFile, path: &Path) -> Result<Option<Option<DataFile>>, StoreError> {
        let before = self.before.unix_micros();
        let slack = i64::try_from(SLACK.as_micros()).unwrap_or(i64::MAX);
        let Some((oldest, newest)) = range(&file.path, self.column)? else { return Ok(None) };
        if newest < before {
            return Ok(Some(None));
        }
        if oldest >= before.saturating_sub(slack) {
            return Ok(None);
        }
        let schema = self.table.schema();
        let rows = read(&file.path, &schema)?.map(|batch| self.keep_new(&batch?, path));
        let rest = write_parquet(path, Arc::clone(&schema), rows, FileKind::Parquet)?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(Some(Some(rest)))
    }

    fn keep_new(&self, batch: &RecordBatch, path: &Path) -> Result<RecordBatch, FileError> {
        let Some(instants) = batch.column_by_name(self.column).map(AsArray::as_primitive::<TimestampMicrosecondType>)
        else {
            return Ok(batch.clone());
        };
        let before = self.before.unix_micros();
        let keep = |row| Some(instants.is_null(row) || instants.value(row) >= before);
        let keep: BooleanArray = (0..instants.len()).map(keep).collect();
        filter_record_batch(batch, &keep).map_err(|source| FileError::Arrow { path: path.to_owned(), source })
    }
}

/// The oldest and the newest instant in a column of a file, in Unix microseconds; `None` if the file does not tell.
fn range(path: &Path, column: &str) -> Result<Option<(i64, i64)>, FileError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let parquet_error = |source| FileError::Parquet { action: "read", path: path.to_owned(), source };
    let reader = SerializedFileReader::new(file).map_err(parquet_error)?;
    let of_group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let column = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
        match column.statistics()? {
            Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
            _ => None,
        }
    };
    let ranges: Option<Vec<_>> = reader.metadata().row_groups().iter().map(of_group).collect();
    let widest = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
    Ok(ranges.and_then(|ranges| ranges.into_iter().reduce(widest)))
}
