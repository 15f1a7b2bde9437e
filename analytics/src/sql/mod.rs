//! SQL of people over one workspace.
//!
//! Foreign SQL never runs in this process. A gate on the syntax tree comes first ([`gate`]); then the query runs in a process of
//! its own ([`worker`]) that is given one workspace's files, few rights and few resources, and is killed at its deadline
//! ([`pool`]). 16 KB of SQL can make DataFusion abort by stack overflow, and some plans never yield to a timeout, so nothing
//! less than a process holds them.

pub mod door;
pub mod functions;
pub mod gate;
pub mod parameters;
pub mod pool;
pub(crate) mod protocol;
pub mod worker;

use std::io::Cursor;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::parameters::{SqlType, SqlValue};

/// The most rows of an answer.
pub const MAX_ROWS: usize = 10_000;
/// The most bytes of an answer, as an Arrow IPC stream.
pub const MAX_RESULT_BYTES: usize = 8 << 20;

/// A query.
#[derive(Clone, Debug)]
pub struct SqlRequest {
    /// One SELECT.
    pub sql: String,
    /// The values of `$1`, `$2`, … in it.
    pub parameters: Vec<SqlValue>,
    /// The most rows wanted; at most [`MAX_ROWS`], which is also the default.
    pub max_rows: Option<usize>,
    /// How long it may take; at most what the options say, which is also the default.
    pub timeout: Option<Duration>,
}

impl SqlRequest {
    /// A query without parameters, with the usual limits.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new(), max_rows: None, timeout: None }
    }
}

/// Why a query gave no answer. The text of each names the limit and the fix, and nothing of another workspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SqlError {
    /// The query asks for something that is not allowed, or is larger than a query may be. It was not run.
    #[error("refused: {reason}")]
    Refused {
        /// What, which limit, and the fix.
        reason: String,
    },
    /// It is not valid SQL over these tables. It was not run.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// It failed while it ran, such as by a division by zero.
    #[error("the query failed: {reason}")]
    Failed {
        /// How.
        reason: String,
    },
    /// It took too long and was stopped.
    #[error(
        "the query was stopped after its {limit_ms} ms: narrow it, for example by created_at, or aggregate before joining"
    )]
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// It needed too much memory and was stopped.
    #[error(
        "the query was stopped at its {limit_mib} MiB of memory: narrow it, group by fewer values, or select fewer columns"
    )]
    OutOfMemory {
        /// The limit, in MiB.
        limit_mib: u64,
    },
    /// Too many queries run or wait.
    #[error(
        "too many queries: a workspace may have {running} running and {queued} waiting; try again when one has ended"
    )]
    TooBusy {
        /// How many may run.
        running: usize,
        /// How many may wait.
        queued: usize,
    },
    /// Several queries of the workspace had to be stopped shortly after one another.
    #[error("queries of this workspace are paused for {seconds} s, since {stopped} had to be stopped in a short time")]
    Paused {
        /// For how long from now.
        seconds: u64,
        /// How many were stopped.
        stopped: usize,
    },
    /// The hub cannot run queries now.
    #[error("queries cannot be run now")]
    Unavailable,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow calls it.
    pub data_type: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct SqlResult {
    /// Schema and rows as an Arrow IPC stream, at most [`MAX_RESULT_BYTES`].
    pub ipc: Bytes,
    /// How many rows it has.
    pub rows: usize,
    /// `true` if there were more rows than wanted, or than fit.
    pub truncated: bool,
    /// How long it took, waiting included.
    pub elapsed: Duration,
}

/// What a query would answer, and what it wants to know.
#[derive(Clone, Debug)]
pub struct SqlShape {
    /// The schema as an Arrow IPC stream without rows.
    pub ipc: Bytes,
    /// The types of its parameters `$1`, `$2`, …; text where nothing says another.
    pub parameters: Vec<SqlType>,
}

impl SqlShape {
    /// The schema of its answer.
    ///
    /// # Errors
    /// If the worker gave something other than an Arrow IPC stream.
    pub fn schema(&self) -> Result<SchemaRef, ArrowError> {
        Ok(StreamReader::try_new(Cursor::new(self.ipc.clone()), None)?.schema())
    }
}

impl SqlResult {
    /// The schema.
    ///
    /// # Errors
    /// If the worker gave something other than an Arrow IPC stream.
    pub fn schema(&self) -> Result<SchemaRef, ArrowError> {
        Ok(self.reader()?.schema())
    }

    /// The columns.
    ///
    /// # Errors
    /// If the worker gave something other than an Arrow IPC stream.
    pub fn columns(&self) -> Result<Vec<SqlColumn>, ArrowError> {
        let reader = self.reader()?;
        let fields = reader.schema();
        Ok(fields
            .fields()
            .iter()
            .map(|field| SqlColumn { name: field.name().clone(), data_type: field.data_type().to_string() })
            .collect())
    }

    /// The rows as Arrow.
    ///
    /// # Errors
    /// As [`SqlResult::columns`].
    pub fn batches(&self) -> Result<Vec<RecordBatch>, ArrowError> {
        self.reader()?.collect()
    }

    /// The rows as JSON: one value for each column, in order. Instants are RFC 3339 text.
    ///
    /// # Errors
    /// As [`SqlResult::columns`], or if a type has no JSON form.
    pub fn to_json_rows(&self) -> Result<Vec<Vec<serde_json::Value>>, ArrowError> {
        let mut rows = Vec::with_capacity(self.rows);
        for batch in self.batches()? {
            // Written by position and not by name: two columns may have the same name.
            let names: Vec<String> = (0..batch.num_columns()).map(|i| i.to_string()).collect();
            let fields: Vec<_> = names
                .iter()
                .zip(batch.schema().fields())
                .map(|(name, field)| field.as_ref().clone().with_name(name))
                .collect();
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
            let numbered = RecordBatch::try_new_with_options(
                schema,
                batch.columns().to_vec(),
                &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
            )?;
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::JsonArray>(Vec::new());
            writer.write(&numbered)?;
            writer.finish()?;
            let json = writer.into_inner();
            let objects: Vec<serde_json::Map<String, serde_json::Value>> =
                serde_json::from_slice(&json).map_err(|error| ArrowError::JsonError(error.to_string()))?;
            rows.extend(objects.into_iter().map(|mut object| {
                names.iter().map(|name| object.remove(name).unwrap_or(serde_json::Value::Null)).collect::<Vec<_>>()
            }));
        }
        Ok(rows)
    }

    /// The rows as CSV with a header line.
    ///
    /// # Errors
    /// As [`SqlResult::columns`], or if a type has no CSV form, such as a list: convert it with `array_to_string`.
    pub fn to_csv(&self) -> Result<String, ArrowError> {
        let mut writer = arrow::csv::Writer::new(Vec::new());
        let reader = self.reader()?;
        let empty = RecordBatch::new_empty(reader.schema());
        // An empty batch first, so that the header is there even without rows.
        writer.write(&empty)?;
        for batch in reader {
            writer.write(&batch?)?;
        }
        String::from_utf8(writer.into_inner()).map_err(|error| ArrowError::CsvError(error.to_string()))
    }

    fn reader(&self) -> Result<StreamReader<Cursor<Bytes>>, ArrowError> {
        StreamReader::try_new(Cursor::new(self.ipc.clone()), None)
    }
}
