//! What the hub and a query's process say to each other: one JSON request on the process's standard input; on its standard
//! output one line of JSON, and after it, if the query succeeded, an Arrow IPC stream.

use serde::{Deserialize, Serialize};

use super::SqlError;
use super::parameters::{SqlType, SqlValue};
use crate::store::file::FileKind;

/// A query with all that it may touch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The query; it has passed the gate once, and passes it again in the worker.
    pub(crate) sql: String,
    /// What is to be done with it.
    pub(crate) work: Work,
    /// The most rows of the answer.
    pub(crate) max_rows: usize,
    /// The most bytes of the answer.
    pub(crate) max_bytes: usize,
    /// What the process allows itself.
    pub(crate) limits: Limits,
    /// The workspace's files, by table; paths are relative to the process's working folder, which is the workspace's.
    pub(crate) files: Vec<FileEntry>,
}

/// What is to be done with a query.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Run it with these values of its parameters.
    Run(Vec<SqlValue>),
    /// Plan it, for the columns of its answer and the types of its parameters, some of which are known.
    Describe(Vec<Option<SqlType>>),
}

/// What a query's process allows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space, in bytes.
    pub address_space_bytes: u64,
    /// Memory that DataFusion's operators may share, in bytes.
    pub pool_bytes: usize,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
}

/// A file to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// The table.
    pub(crate) table: String,
    /// Its path, relative to the workspace's folder.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) kind: FileKind,
}

/// The line that comes before an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Head {
    /// An Arrow IPC stream follows.
    Answer {
        /// How many rows it has.
        rows: usize,
        /// Whether there were more.
        truncated: bool,
    },
    /// An Arrow IPC stream without rows follows.
    Shape {
        /// The types of the parameters, in order.
        parameters: Vec<SqlType>,
    },
    /// Nothing follows.
    Error(SqlError),
}
