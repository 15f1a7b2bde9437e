//! All rows of an engine in one fixed order, as text: two stores that hold the same give the same lines.
//!
//! For tests that compare a replay with its original, and for whoever must look into a store. Nothing in the hub's
//! ordinary work reads tables whole.

use std::fmt::Write;

use async_trait::async_trait;
use schemas::tables::{ALL, Column, Table, Value};

use super::{Key, Row, Tables, TablesError};

/// How many rows are read at a time.
const PAGE_ROWS: usize = 1_000;

/// An engine that can give all rows of a table.
#[async_trait]
pub trait Dump: Tables {
    /// Rows of a table after a key (or from the beginning), at most `limit`: partitions ascending by value, rows of a
    /// partition in the order of the table.
    ///
    /// # Errors
    /// [`TablesError::Corrupt`], [`TablesError::Unavailable`].
    async fn page(&self, table: &'static Table, after: Option<Key>, limit: usize) -> Result<Vec<Row>, TablesError>;
}

/// All rows of all tables, one line each: the table, the columns of the key, the columns that are set.
///
/// # Errors
/// As [`Dump::page`].
pub async fn dump(tables: &dyn Dump) -> Result<Vec<String>, TablesError> {
    dump_tables(tables, ALL).await
}

/// All rows of some tables, as [`dump`].
///
/// # Errors
/// As [`Dump::page`].
pub async fn dump_tables(tables: &dyn Dump, which: &[&'static Table]) -> Result<Vec<String>, TablesError> {
    let mut lines = Vec::new();
    for table in which {
        let mut after = None;
        loop {
            let rows = tables.page(table, after.take(), PAGE_ROWS).await?;
            lines.extend(rows.iter().map(|row| line(table, row)));
            match rows.into_iter().last() {
                Some(row) => after = Some(row.key),
                None => break,
            }
        }
    }
    Ok(lines)
}

fn line(table: &Table, row: &Row) -> String {
    let mut text = table.name.to_owned();
    push_columns(&mut text, table.partition_key, &row.key.partition);
    push_columns(&mut text, table.clustering_key, &row.key.clustering);
    text.push_str(" :");
    for (name, value) in &row.columns {
        push_column(&mut text, name, value);
    }
    text
}

fn push_columns(text: &mut String, columns: &[Column], values: &[Value]) {
    for (column, value) in columns.iter().zip(values) {
        push_column(text, column.name, value);
    }
}

fn push_column(text: &mut String, name: &str, value: &Value) {
    // Writing into a String does not fail.
    let _infallible = match value {
        Value::Workspace(id) => write!(text, " {name}={:032x}", u128::from_be_bytes(*id.as_bytes())),
        Value::Uuid(bytes) => write!(text, " {name}={:032x}", u128::from_be_bytes(*bytes)),
        Value::Int(n) => write!(text, " {name}={n}"),
        Value::Timestamp(at) => write!(text, " {name}={at}"),
        Value::Text(value) => write!(text, " {name}={value:?}"),
        Value::Blob(bytes) => write!(text, " {name}={}", bytes.escape_ascii()),
    };
}
