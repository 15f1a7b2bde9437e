//! Conditional writes of single rows: insert-if-absent and update-if.
//!
//! Such a write is an agreement among the replicas, and it can end without anybody knowing whether it was made: it is sent
//! once, never again by the driver. What became of it is looked up with a serial read, which finishes or ends whatever was
//! under way; if it can be proved that it was not made, it is tried again. Else the caller is told that it is not known.
//!
//! Writes of one process to one partition take turns, so that only processes compete, not the tasks of one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use schemas::tables::{Table, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::changes::{Change, Kind};
use super::failure::Failure;
use super::server::Server;
use super::statements::Operation;
use super::values::{Answer, AnswerRow, Bind, bind_key};
use crate::tables::{Key, Row, TablesError, validation};

/// Partitions are told apart by as many places of a hash.
const STRIPES: usize = 64;

/// How often a write is tried that was proved not to have been made.
const ATTEMPTS: usize = 6;

/// Conditional writes.
#[derive(Debug)]
pub(super) struct Conditional {
    server: Arc<Server>,
    stripes: Vec<Semaphore>,
}

/// An answer to a conditional write.
struct Outcome {
    was_applied: bool,
    row: Option<AnswerRow>,
}

impl Conditional {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, stripes: (0..STRIPES).map(|_| Semaphore::new(1)).collect() }
    }

    pub(super) async fn insert_if_absent(&self, table: &'static Table, row: Row) -> Result<Option<Row>, TablesError> {
        let change = Change::put(table, row)?;
        let _permit = self.alone(table, &change.key).await;
        self.insert(&change).await
    }

    async fn insert(&self, change: &Change) -> Result<Option<Row>, TablesError> {
        let operation = Operation::Insert { columns: change.column_set() };
        let mut unknown = "the servers gave an answer without a row".to_owned();
        for _ in 0..ATTEMPTS {
            let values = bind_key(&change.key).chain(change.column_values()).collect();
            match self.execute(change.table, operation, values).await {
                Ok(Outcome { was_applied: true, .. }) => return Ok(None),
                Ok(Outcome { row: Some(mut row), .. }) => return row.row(change.table, change.key.clone()).map(Some),
                Ok(Outcome { row: None, .. }) => {}
                Err(Failure::Unknown(reason)) => unknown = reason,
                Err(failure) => return Err(failure.into()),
            }
            match self.read(change.table, &change.key).await? {
                // It was not made, and cannot be any more.
                None => {}
                Some(found) if is_made(change, &found) => break,
                Some(found) => return Ok(Some(found)),
            }
        }
        Err(not_known(&unknown))
    }

    pub(super) async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError> {
        let compared = validation::check_column(table, column, expected.as_ref())?;
        let mut change = Change::put(table, row)?;
        let _permit = self.alone(table, &change.key).await;
        if let Kind::Put(columns) = &mut change.kind
            && columns.is_empty()
        {
            match &expected {
                // An update must set something: the column is set to what it is.
                Some(value) => columns.push((compared, value.clone())),
                // The row is to be there, if it is not there with the column set.
                None => return Ok(self.insert(&change).await?.is_none_or(|found| found.get(column).is_none())),
            }
        }
        self.update(&change, compared, expected.as_ref()).await
    }

    async fn update(&self, change: &Change, compared: usize, expected: Option<&Value>) -> Result<bool, TablesError> {
        let operation = Operation::Update { columns: change.column_set(), compared, expects_value: expected.is_some() };
        let mut unknown = String::new();
        for _ in 0..ATTEMPTS {
            let values = change.column_values().chain(bind_key(&change.key)).chain(expected.map(Bind::Value)).collect();
            match self.execute(change.table, operation, values).await {
                Ok(outcome) => return Ok(outcome.was_applied),
                Err(Failure::Unknown(reason)) => unknown = reason,
                Err(failure) => return Err(failure.into()),
            }
            let found = self.read(change.table, &change.key).await?;
            let name = change.table.columns.get(compared).map_or("", |column| column.name);
            let is_as_before = found.as_ref().and_then(|row| row.get(name)) == expected;
            let would_differ = match &change.kind {
                Kind::Put(columns) => {
                    columns.iter().any(|(number, value)| *number == compared && Some(value) != expected)
                }
                Kind::Replace(_) | Kind::Delete => false,
            };
            // Only what still has the old value, and would not if it had been made, was not made.
            if !(is_as_before && would_differ) {
                break;
            }
        }
        Err(not_known(&unknown))
    }

    async fn execute(
        &self,
        table: &'static Table,
        operation: Operation,
        values: Vec<Bind<'_>>,
    ) -> Result<Outcome, Failure> {
        let result = self.server.operate(table, operation, values).await?;
        let unreadable = |error: String| Failure::Unknown(error);
        let rows = result.into_rows_result().map_err(|error| unreadable(error.to_string()))?;
        let answer = Answer::new(table.name, &rows).map_err(|error| unreadable(error.to_string()))?;
        let mut row = answer.into_rows().next();
        Ok(Outcome { was_applied: row.as_mut().is_some_and(AnswerRow::was_applied), row })
    }

    /// The row as the conditional writes left it.
    async fn read(&self, table: &'static Table, key: &Key) -> Result<Option<Row>, TablesError> {
        let result = self.server.operate(table, Operation::SerialGet, bind_key(key).collect()).await?;
        first_row(table, key, result)
    }

    async fn alone(&self, table: &'static Table, key: &Key) -> Option<SemaphorePermit<'_>> {
        let mut hasher = DefaultHasher::new();
        (table.name, &key.partition).hash(&mut hasher);
        let place = hasher.finish() % STRIPES as u64;
        let stripe = self.stripes.get(usize::try_from(place).unwrap_or(0))?;
        // The semaphores are never closed.
        stripe.acquire().await.ok()
    }
}

/// The row of an answer to a question by its key.
pub(super) fn first_row(
    table: &'static Table,
    key: &Key,
    result: scylla::response::query_result::QueryResult,
) -> Result<Option<Row>, TablesError> {
    let rows = result.into_rows_result().map_err(|error| TablesError::Unavailable { reason: error.to_string() })?;
    let first = Answer::new(table.name, &rows)?.into_rows().next();
    first.map(|mut row| row.row(table, key.clone())).transpose()
}

/// Whether a row has all that a change sets.
fn is_made(change: &Change, found: &Row) -> bool {
    match &change.kind {
        Kind::Put(columns) => columns.iter().all(|(number, value)| {
            change.table.columns.get(*number).and_then(|column| found.get(column.name)) == Some(value)
        }),
        Kind::Replace(_) | Kind::Delete => false,
    }
}

fn not_known(reason: &str) -> TablesError {
    TablesError::Unavailable { reason: format!("it is not known whether a conditional write was made: {reason}") }
}
