//! The tables port: typed rows under a partition key and a clustering key, as declared in [`schemas::tables`].
//!
//! Guarantees, the same for every engine:
//!
//! - A [`Batch`] is written whole or not at all, and readers that began after [`Tables::write`] returned see it.
//! - With [`Sync::Later`] a batch survives a crash of the process, but a loss of power may take the last batches, newest
//!   first: never one without those after it. With [`Sync::Now`] it survives that too, and so do all before it.
//! - Writing a row sets the columns that it names and leaves the others as they are. Deleting removes the row whole.
//! - [`Tables::insert_if_absent`] and [`Tables::update_if`] are atomic and durable when they return.
//! - A scan reads one partition, in the order that the table declares.
//! - Whoever derives rows from a partition of the log takes a turn first ([`Tables::take_turn`]). Once a turn is taken, every
//!   batch of an earlier one is refused as [`TablesError::Superseded`], whole, and all that was written in one can be read.
//!   Rows of derived batches are written by such batches alone, all of them from the same partition of the log.
//!   The outbox ([`schemas::tables::OUTBOX`] and where it begins) is for whoever has just taken a turn: its rows are put once,
//!   and other processes may see them no sooner than in their own turn.

pub mod codec;
#[cfg(feature = "cluster")]
pub mod cql;
pub mod dump;
pub mod embedded;
pub mod memory;
mod turns;
pub mod validation;

use std::fmt;
use std::ops::Bound;

use async_trait::async_trait;
use schemas::WorkspaceId;
use schemas::tables::{Table, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What making or completing the tables of a server did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// How many tables were made.
    pub tables: usize,
    /// How many columns were added.
    pub columns: usize,
    /// How often tables were made or changed, ever.
    pub version: i64,
}

/// The key of a row, or of a partition (without `clustering`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// One value for each column of the partition key.
    pub partition: Vec<Value>,
    /// One value for each column of the clustering key.
    pub clustering: Vec<Value>,
}

impl Key {
    /// The key of a table whose partitions are single rows.
    pub fn of(partition: impl IntoIterator<Item = Value>) -> Self {
        Self { partition: partition.into_iter().collect(), clustering: Vec::new() }
    }

    /// The same partition with a place in it.
    #[must_use]
    pub fn at(mut self, clustering: impl IntoIterator<Item = Value>) -> Self {
        self.clustering = clustering.into_iter().collect();
        self
    }
}

/// A row: its key and the columns that are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub key: Key,
    /// Name and value of each column that is set, in the order of the declaration when read.
    pub columns: Vec<(&'static str, Value)>,
}

impl Row {
    /// A row of nothing but its key.
    pub const fn new(key: Key) -> Self {
        Self { key, columns: Vec::new() }
    }

    /// The same row with a column set.
    #[must_use]
    pub fn with(mut self, column: &'static str, value: impl Into<Value>) -> Self {
        self.columns.push((column, value.into()));
        self
    }

    /// The same row with its `body` set to the JSON of `entity`.
    ///
    /// # Errors
    /// [`TablesError::Invalid`] if the entity has no JSON form.
    pub fn with_body(self, entity: &impl Serialize) -> Result<Self, TablesError> {
        let json = serde_json::to_vec(entity).map_err(|error| TablesError::Invalid {
            reason: format!("a row's body cannot be written as JSON: {error}"),
        })?;
        Ok(self.with("body", json))
    }

    /// The value of a column, if it is set.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.columns.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }

    /// The value of an integer column, if it is set and one.
    pub fn int(&self, column: &str) -> Option<i64> {
        match self.get(column) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// The workspace in the column `workspace_id`, if it is set.
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        match self.get("workspace_id") {
            Some(Value::Workspace(id)) => Some(*id),
            _ => None,
        }
    }

    /// The sixteen bytes of an id column, if it is set and one.
    pub fn uuid(&self, column: &str) -> Option<[u8; 16]> {
        match self.get(column) {
            Some(Value::Uuid(bytes)) => Some(*bytes),
            _ => None,
        }
    }

    /// The entity in its `body`.
    ///
    /// # Errors
    /// [`TablesError::Corrupt`] if the body is missing or is not that entity.
    pub fn body<T: DeserializeOwned>(&self, table: &Table) -> Result<T, TablesError> {
        let Some(Value::Blob(json)) = self.get("body") else {
            return Err(TablesError::Corrupt { table: table.name, reason: format!("row {:?} has no body", self.key) });
        };
        serde_json::from_slice(json).map_err(|error| TablesError::Corrupt {
            table: table.name,
            reason: format!("the body of row {:?} cannot be read: {error}", self.key),
        })
    }
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Sets the row's columns.
    Put(&'static Table, Row),
    /// Removes the row.
    Delete(&'static Table, Key),
}

/// Which commands a batch was derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The partition of the topic `commands`.
    pub partition: u32,
    /// The turn in which it was derived, from [`Tables::take_turn`].
    pub turn: u64,
    /// The offset after the last command that the batch reflects; it never goes back from one batch to the next.
    pub next_offset: u64,
}

/// Changes that are made together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order: of two changes of one row, the later counts.
    pub mutations: Vec<Mutation>,
    /// Set if the changes are derived from the log; without, they are wishes of this moment.
    pub derivation: Option<Derivation>,
}

impl Batch {
    /// An empty batch of what is derived from the log.
    pub const fn derived(derivation: Derivation) -> Self {
        Self { mutations: Vec::new(), derivation: Some(derivation) }
    }

    /// Adds a row to set.
    pub fn put(&mut self, table: &'static Table, row: Row) {
        self.mutations.push(Mutation::Put(table, row));
    }

    /// Adds a row to remove.
    pub fn delete(&mut self, table: &'static Table, key: Key) {
        self.mutations.push(Mutation::Delete(table, key));
    }
}

/// When a batch must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When the write returns.
    Now,
    /// Some time later: the log can derive it again.
    Later,
}

/// Which rows of a partition to read.
///
/// `start` comes before `end` in the order of the table (for a descending table `start` is the larger). Each bound gives
/// values for the first columns of the clustering key, or for all of them; with fewer, it speaks of all rows that begin so.
#[derive(Clone, Debug)]
pub struct Scan {
    /// One value for each column of the partition key.
    pub partition: Vec<Value>,
    /// Where the range begins.
    pub start: Bound<Vec<Value>>,
    /// Where it ends.
    pub end: Bound<Vec<Value>>,
    /// `true` reads from the end to the start.
    pub backwards: bool,
    /// At most this many rows.
    pub limit: usize,
}

impl Scan {
    /// The first `limit` rows of a partition.
    pub fn of(partition: impl IntoIterator<Item = Value>, limit: usize) -> Self {
        Self {
            partition: partition.into_iter().collect(),
            start: Bound::Unbounded,
            end: Bound::Unbounded,
            backwards: false,
            limit,
        }
    }

    /// From the partition's end to its start.
    #[must_use]
    pub const fn backwards(mut self) -> Self {
        self.backwards = true;
        self
    }

    /// Only what follows this place in the direction of reading: the next page.
    #[must_use]
    pub fn after(mut self, clustering: Vec<Value>) -> Self {
        if self.backwards {
            self.end = Bound::Excluded(clustering);
        } else {
            self.start = Bound::Excluded(clustering);
        }
        self
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// There is no room; nothing was written. Writes succeed again once there is room.
    #[error("the tables' disk is full: free some space on the volume of {path}")]
    DiskFull {
        /// The folder on the full volume.
        path: String,
    },
    /// The engine does not answer. Whether a write was kept is not known.
    #[error("the tables are not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// Something stored is not as it was written.
    #[error("the table {table} is damaged: {reason}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Another writer has begun a turn; nothing was written, and nothing that is derived further counts.
    #[error("another process has taken over what is derived from partition {partition} of the log")]
    Superseded {
        /// Which partition of the topic `commands`.
        partition: u32,
    },
    /// The caller's key or value does not fit the declaration of the table.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
}

/// A store of tables. See the module for what every engine guarantees.
#[async_trait]
pub trait Tables: Send + std::marker::Sync + fmt::Debug {
    /// Reads a row.
    ///
    /// # Errors
    /// Any [`TablesError`] but `DiskFull`.
    async fn get(&self, table: &'static Table, key: Key) -> Result<Option<Row>, TablesError> {
        Ok(self.get_many(vec![(table, key)]).await?.pop().flatten())
    }

    /// Reads rows, each as [`Tables::get`] would; one answer for each key, in order.
    ///
    /// # Errors
    /// Any [`TablesError`] but `DiskFull`.
    async fn get_many(&self, keys: Vec<(&'static Table, Key)>) -> Result<Vec<Option<Row>>, TablesError>;

    /// Reads rows of one partition, in order.
    ///
    /// # Errors
    /// Any [`TablesError`] but `DiskFull`.
    async fn scan(&self, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError>;

    /// Makes the changes of a batch, all or none.
    ///
    /// # Errors
    /// [`TablesError::DiskFull`], [`TablesError::Invalid`], [`TablesError::Superseded`]: nothing was written.
    /// [`TablesError::Unavailable`]: not known.
    async fn write(&self, batch: Batch, sync: Sync) -> Result<(), TablesError>;

    /// Writes a row if there is none with its key; else returns the row that is there and changes nothing.
    ///
    /// # Errors
    /// As [`Tables::write`].
    async fn insert_if_absent(&self, table: &'static Table, row: Row) -> Result<Option<Row>, TablesError>;

    /// Sets the columns of `row` if the row's `column` has the value `expected` (`None`: is not set, or there is no row).
    /// Returns whether it did.
    ///
    /// # Errors
    /// As [`Tables::write`].
    async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError>;

    /// Begins a turn of deriving rows from a partition of the log, ends all turns before it, and finishes what a crash cut
    /// short. Rows to derive from are read after it. Returns the turn's number, larger than those before.
    ///
    /// # Errors
    /// As [`Tables::write`].
    async fn take_turn(&self, partition: u32) -> Result<u64, TablesError>;

    /// Why writes are refused or stalled now, if they are.
    fn refusing(&self) -> Option<String>;

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// [`TablesError::DiskFull`], [`TablesError::Unavailable`].
    async fn sync(&self) -> Result<(), TablesError>;
}
