//! Files of rows: written whole, synced, then named by a manifest. A file that is no longer named is removed when the last
//! query that was given it has ended.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Rows of a Parquet row group: what a reader must hold to read a column of it.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// What a file holds, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Parquet; of a conversation, a row that may be superseded and may supersede.
    Parquet,
    /// Parquet; of a conversation, at most one row, which supersedes nothing.
    Base,
    /// Arrow IPC: rows that no manifest names yet.
    Fresh,
}

/// A file on disk.
#[derive(Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many rows it holds.
    pub rows: u64,
    /// How large it is.
    pub bytes: u64,
    /// What it holds.
    pub kind: FileKind,
    /// The names of the files that it was merged from; empty if its rows were in no file before.
    pub sources: Vec<String>,
    obsolete: AtomicBool,
}

impl DataFile {
    /// A file that is there.
    pub const fn new(path: PathBuf, rows: u64, bytes: u64, kind: FileKind) -> Self {
        Self { path, rows, bytes, kind, sources: Vec::new(), obsolete: AtomicBool::new(false) }
    }

    /// The same file, merged from files with these names.
    #[must_use]
    pub fn merged_from(mut self, sources: Vec<String>) -> Self {
        self.sources = sources;
        self
    }

    /// Its name in its table's folder.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Lets the file be removed once nobody holds it.
    pub fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            // What stays is removed as an orphan at the next start.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

/// A file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// Parquet failed.
    #[error("cannot {action} {path}")]
    Parquet {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: ParquetError,
    },
    /// Arrow failed.
    #[error("cannot write {path}")]
    Arrow {
        /// On which file.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: arrow::error::ArrowError,
    },
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError::Io { action, path: path.to_owned(), source }
}

fn parquet_error(action: &'static str, path: &Path) -> impl FnOnce(ParquetError) -> FileError {
    move |source| FileError::Parquet { action, path: path.to_owned(), source }
}

/// Writes batches of one schema as a Parquet file and makes its content durable (its name is not, until its folder is
/// synced).
///
/// # Errors
/// If the disk or the encoding fails; what was written is removed.
pub fn write_parquet(
    path: &Path,
    schema: arrow::datatypes::SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch, FileError>>,
    kind: FileKind,
) -> Result<DataFile, FileError> {
    let written = try_write_parquet(path, schema, batches, kind);
    if written.is_err() {
        let _removed = fs::remove_file(path);
    }
    written
}

fn try_write_parquet(
    path: &Path,
    schema: arrow::datatypes::SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch, FileError>>,
    kind: FileKind,
) -> Result<DataFile, FileError> {
    create_parent(path)?;
    let file = File::create(path).map_err(io_error("create", path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(parquet_error("write", path))?;
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(parquet_error("write", path))?;
    }
    let file = writer.into_inner().map_err(parquet_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))?;
    let bytes = file.metadata().map_err(io_error("measure", path))?.len();
    Ok(DataFile::new(path.to_owned(), rows, bytes, kind))
}

/// Writes a batch as an Arrow IPC file. It is not synced: the log can derive its rows again.
///
/// # Errors
/// If the disk fails.
pub fn write_ipc(path: &Path, batch: &RecordBatch) -> Result<DataFile, FileError> {
    create_parent(path)?;
    let arrow_error = |source| FileError::Arrow { path: path.to_owned(), source };
    let file = File::create(path).map_err(io_error("create", path))?;
    let mut writer = FileWriter::try_new(file, &batch.schema()).map_err(arrow_error)?;
    writer.write(batch).map_err(arrow_error)?;
    writer.finish().map_err(arrow_error)?;
    let bytes = batch.get_array_memory_size() as u64;
    let file = DataFile::new(path.to_owned(), batch.num_rows() as u64, bytes, FileKind::Fresh);
    file.retire();
    Ok(file)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If the disk fails.
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))
}

/// Writes a small file so that, whatever happens, either the old content or the new one is there.
///
/// # Errors
/// If the disk fails; the old content stays.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    create_parent(path)?;
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = File::create(&draft)?;
        io::Write::write_all(&mut file, content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(io_error("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn create_parent(path: &Path) -> Result<(), FileError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(io_error("create the folder of", path))
}
