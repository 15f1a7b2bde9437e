//! What people set up: workspaces, people, memberships, channels, labels, tokens, sign-ins, dead letters, and what stands at the desk.
//!
//! A typed repository over the tables. Whatever belongs to a workspace is reached only by a function that takes the
//! [`WorkspaceId`] first, so a foreign id finds nothing. Every write is durable when it returns. What must be unique is
//! claimed with an insert-if-absent.
//!
//! What the conversation engine must know of channels and members follows as commands: see [`propagate`].

use std::sync::Arc;

use schemas::tables::{Table, Value};
use schemas::{Timestamp, WorkspaceId};
use serde::de::DeserializeOwned;
use storage::clock::Clock;
use storage::tables::{Key, Row, Scan, Sync, Tables, TablesError};

pub mod business_hours;
pub mod channels;
pub mod dead_letters;
pub mod desk;
pub mod installation;
pub mod members;
pub mod propagate;
pub mod service;
pub mod sessions;
pub mod tokens;
pub mod users;
pub mod workspaces;

/// Rows that are read at a time where all rows of a partition are wanted.
const ROWS_AT_ONCE: usize = 500;

/// Why something could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no such thing in this workspace.
    #[error("there is no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// There is one already.
    #[error("{what} exists already")]
    Exists {
        /// What it is.
        what: &'static str,
    },
    /// A value cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong and what to write.
        reason: String,
    },
    /// Somebody else changed it at the same moment.
    #[error("it was changed by somebody else at the same moment: try again")]
    Conflict,
    /// The tables failed.
    #[error("the directory cannot be read or written")]
    Tables(#[source] TablesError),
}

impl From<TablesError> for DirectoryError {
    fn from(error: TablesError) -> Self {
        Self::Tables(error)
    }
}

impl DirectoryError {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

/// The repository. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory {
    tables: Arc<dyn Tables>,
    clock: Arc<dyn Clock>,
}

impl Directory {
    /// Over these tables, with this clock.
    pub fn new(tables: Arc<dyn Tables>, clock: Arc<dyn Clock>) -> Self {
        Self { tables, clock }
    }

    /// The tables beneath.
    pub fn tables(&self) -> &Arc<dyn Tables> {
        &self.tables
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The entity in the body of a row.
    pub(crate) async fn entity<T: DeserializeOwned>(
        &self,
        table: &'static Table,
        key: Key,
    ) -> Result<Option<T>, TablesError> {
        match self.tables.get(table, key).await? {
            Some(row) => row.body(table).map(Some),
            None => Ok(None),
        }
    }

    /// Every row of a partition, in order, however many there are.
    pub(crate) async fn rows(&self, table: &'static Table, partition: Vec<Value>) -> Result<Vec<Row>, TablesError> {
        let mut found: Vec<Row> = Vec::new();
        loop {
            let mut scan = Scan::of(partition.clone(), ROWS_AT_ONCE);
            if let Some(last) = found.last() {
                scan = scan.after(last.key.clustering.clone());
            }
            let rows = self.tables.scan(table, scan).await?;
            let is_last = rows.len() < ROWS_AT_ONCE;
            found.extend(rows);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Every entity of a partition, in order.
    pub(crate) async fn entities<T: DeserializeOwned>(
        &self,
        table: &'static Table,
        partition: Vec<Value>,
    ) -> Result<Vec<T>, TablesError> {
        self.rows(table, partition).await?.iter().map(|row| row.body(table)).collect()
    }

    /// Up to `limit` rows of a workspace's or a person's partition that follow the place `after`, in order.
    pub(crate) async fn rows_after(
        &self,
        table: &'static Table,
        owner: impl Into<Value>,
        after: Option<impl Into<Value>>,
        limit: usize,
    ) -> Result<Vec<Row>, TablesError> {
        let mut scan = Scan::of([owner.into()], limit);
        if let Some(place) = after {
            scan = scan.after(vec![place.into()]);
        }
        self.tables.scan(table, scan).await
    }

    /// Up to `limit` entities of a workspace that follow the place `after`, in order.
    pub(crate) async fn entities_after<T: DeserializeOwned>(
        &self,
        table: &'static Table,
        workspace_id: WorkspaceId,
        after: Option<impl Into<Value>>,
        limit: usize,
    ) -> Result<Vec<T>, TablesError> {
        let rows = self.rows_after(table, workspace_id, after, limit).await?;
        rows.iter().map(|row| row.body(table)).collect()
    }

    /// Writes rows together, durably.
    pub(crate) async fn put(&self, rows: Vec<(&'static Table, Row)>) -> Result<(), TablesError> {
        let mut batch = storage::tables::Batch::default();
        for (table, row) in rows {
            batch.put(table, row);
        }
        self.tables.write(batch, Sync::Now).await
    }

    /// Removes rows together, durably.
    pub(crate) async fn remove(&self, keys: Vec<(&'static Table, Key)>) -> Result<(), TablesError> {
        let mut batch = storage::tables::Batch::default();
        for (table, key) in keys {
            batch.delete(table, key);
        }
        self.tables.write(batch, Sync::Now).await
    }
}

/// The ids in the clustering key of the rows of a partition.
pub(crate) fn clustering_ids(rows: &[Row]) -> impl Iterator<Item = [u8; 16]> + '_ {
    rows.iter().filter_map(|row| match row.key.clustering.first() {
        Some(Value::Workspace(id)) => Some(*id.as_bytes()),
        Some(Value::Uuid(bytes)) => Some(*bytes),
        _ => None,
    })
}

/// A key whose partition is a workspace and which stands at `id` in it.
pub(crate) fn in_workspace(workspace_id: WorkspaceId, id: impl Into<Value>) -> Key {
    Key::of([workspace_id.into()]).at([id.into()])
}

/// A text of `min` to `max` characters without control characters, with blanks at both ends removed.
///
/// # Errors
/// [`DirectoryError::Invalid`], naming the field.
pub fn checked_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<String, DirectoryError> {
    let text = text.trim();
    let length = text.chars().count();
    if !(min..=max).contains(&length) {
        return Err(DirectoryError::invalid(field, format!("it has {length} characters: write {min} to {max}")));
    }
    if text.chars().any(char::is_control) {
        return Err(DirectoryError::invalid(field, "it holds control characters: remove them"));
    }
    Ok(text.to_owned())
}
