//! What every engine of the [`tables`](crate::tables) port must do, as functions over a [`Factory`].
//!
//! [`tables_contract!`](crate::tables_contract) makes one test of each for an engine. A property that does not hold panics
//! with what it saw. Each makes rows under partitions of its own, so that all can run over one store at once.

mod races;
mod refusals;
mod scans;
mod turns;
mod writes;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use schemas::tables::{Table, Value};
use schemas::{Timestamp, WorkspaceId};

pub use self::races::*;
pub use self::refusals::*;
pub use self::scans::*;
pub use self::turns::*;
pub use self::writes::*;
use crate::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};

/// Opens the engine under test.
#[async_trait]
pub trait Factory: Send + std::marker::Sync {
    /// The engine, over the same rows each time it is opened. The one before was dropped.
    async fn open(&self) -> Arc<dyn Tables>;

    /// Whether rows outlive the engine.
    fn is_persistent(&self) -> bool;

    /// Why the engine cannot be tested here, if it cannot.
    fn skipped(&self) -> Option<&'static str> {
        None
    }

    /// Whether a reader that runs beside a batch sees all of it or nothing. One that begins after the batch was written sees
    /// all of it in every engine.
    fn isolates_batches(&self) -> bool {
        true
    }
}

/// What a property ends with: an error of the engine fails its test.
pub type Outcome = Result<(), TablesError>;

/// Makes a module with one test for each property; the expression makes the [`Factory`].
#[macro_export]
macro_rules! tables_contract {
    ($module:ident, $factory:expr) => {
        $crate::tables_contract!(@tests $module, $factory,
            reads_what_was_written
            a_put_sets_only_the_columns_it_names
            a_delete_removes_the_row_whole
            the_later_change_of_a_row_counts
            a_batch_changes_many_tables
            a_batch_with_a_fault_changes_nothing
            an_empty_batch_is_written
            many_rows_are_read_in_the_order_of_the_keys
            a_scan_reads_one_partition_in_order
            bounds_that_name_some_columns_speak_of_all_rows_that_begin_so
            a_descending_table_is_read_from_the_largest
            bounds_the_wrong_way_round_hold_nothing
            a_scan_pages_in_both_directions
            limits_are_kept
            text_of_every_kind_keeps_its_order
            negative_numbers_and_extreme_times_keep_their_order
            partitions_that_look_alike_stay_apart
            large_rows_come_back
            one_of_many_inserts_wins
            an_insert_that_loses_changes_nothing
            one_of_many_updates_wins
            an_update_compares_what_is_there
            updates_that_try_again_lose_nothing
            a_turn_that_is_on_writes_and_a_turn_that_is_over_does_not
            of_turns_taken_at_once_the_last_is_on
            keys_that_do_not_fit_are_refused_by_name
            rows_that_do_not_fit_are_refused_by_name
            rows_outlive_the_engine
        );
    };
    (@tests $module:ident, $factory:expr, $($property:ident)*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let factory = $factory;
                if let Some(reason) = $crate::contract::tables::Factory::skipped(&factory) {
                    println!("skipped: {reason}");
                    return;
                }
                if let Err(error) = $crate::contract::tables::$property(&factory).await {
                    panic!("{error}");
                }
            })*
        }
    };
}

/// An id that no other property uses.
fn id() -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().skip(8).zip(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()) {
        *place = byte;
    }
    Value::Uuid(bytes)
}

/// A workspace that no other property uses.
fn fresh_workspace() -> Value {
    match id() {
        Value::Uuid(bytes) => WorkspaceId::from_bytes(bytes).into(),
        other => other,
    }
}

fn numbered(n: u8) -> Value {
    Value::Uuid([n; 16])
}

fn at(micros: i64) -> Value {
    Value::Timestamp(Timestamp::from_unix_micros(micros))
}

fn body(text: &str) -> Value {
    Value::Blob(text.as_bytes().to_vec())
}

async fn put(tables: &dyn Tables, table: &'static Table, row: Row) -> Outcome {
    let mut batch = Batch::default();
    batch.put(table, row);
    tables.write(batch, Sync::Later).await
}

async fn remove(tables: &dyn Tables, table: &'static Table, key: Key) -> Outcome {
    let mut batch = Batch::default();
    batch.delete(table, key);
    tables.write(batch, Sync::Later).await
}

async fn clusterings(tables: &dyn Tables, table: &'static Table, scan: Scan) -> Result<Vec<Vec<Value>>, TablesError> {
    let rows = tables.scan(table, scan).await?;
    Ok(rows.into_iter().map(|row| row.key.clustering).collect())
}

fn scan(partition: &[Value], start: Bound<Vec<Value>>, end: Bound<Vec<Value>>) -> Scan {
    Scan { start, end, ..Scan::of(partition.to_vec(), usize::MAX) }
}

fn body_of(n: i64) -> Value {
    body(&n.to_string())
}
