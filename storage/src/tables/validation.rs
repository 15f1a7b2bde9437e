//! Whether keys, rows and scans fit the declaration of their table. Every engine asks here before it touches anything, so
//! that all refuse the same things in the same words.

use std::ops::Bound;

use schemas::tables::{Column, ColumnType, Table, Value};

use super::{Key, Row, Scan, TablesError};

/// The largest key, in bytes of its encoded form: 8 KiB.
pub const MAX_KEY_BYTES: usize = 8 << 10;

/// The largest row without its key, in bytes: 16 MiB.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// The largest batch, in bytes of its keys and rows: 64 MiB.
pub const MAX_BATCH_BYTES: usize = 64 << 20;

/// The number that a table has in keys.
///
/// # Errors
/// [`TablesError::Invalid`] if the table is not one of [`schemas::tables::ALL`].
pub fn table_number(table: &Table) -> Result<u16, TablesError> {
    table.number().ok_or_else(|| TablesError::Invalid {
        reason: format!("the table {} is not declared in schemas::tables::ALL", table.name),
    })
}

/// A whole key: every column of both parts, each of its type.
///
/// # Errors
/// [`TablesError::Invalid`], naming table, column and the type expected.
pub fn check_key(table: &Table, key: &Key) -> Result<(), TablesError> {
    check_partition(table, &key.partition)?;
    check_count(table, "clustering key", table.clustering_key, key.clustering.len())?;
    check_types(table, table.clustering_key, &key.clustering)
}

/// The partition part of a key.
///
/// # Errors
/// As [`check_key`].
pub fn check_partition(table: &Table, values: &[Value]) -> Result<(), TablesError> {
    check_count(table, "partition key", table.partition_key, values.len())?;
    check_types(table, table.partition_key, values)
}

/// A scan: a whole partition key, and bounds that are beginnings of clustering keys.
///
/// # Errors
/// As [`check_key`].
pub fn check_scan(table: &Table, scan: &Scan) -> Result<(), TablesError> {
    check_partition(table, &scan.partition)?;
    for bound in [&scan.start, &scan.end] {
        let (Bound::Included(values) | Bound::Excluded(values)) = bound else {
            continue;
        };
        if values.len() > table.clustering_key.len() {
            return check_count(table, "clustering key", table.clustering_key, values.len());
        }
        check_types(table, table.clustering_key, values)?;
    }
    Ok(())
}

/// A row to write. Returns its columns by their number in the declaration, in that order.
///
/// # Errors
/// As [`check_key`]; also for a column that is not declared, is named twice, or a row that is too large.
pub fn check_row(table: &Table, row: Row) -> Result<(Key, Vec<(usize, Value)>), TablesError> {
    check_key(table, &row.key)?;
    let mut columns = Vec::with_capacity(row.columns.len());
    let mut size_bytes = 0_usize;
    for (name, value) in row.columns {
        let (number, column) = find_column(table, name)?;
        check_type(table, column, &value)?;
        size_bytes = size_bytes.saturating_add(value_bytes(&value));
        columns.push((number, value));
    }
    columns.sort_by_key(|(number, _)| *number);
    if let Some([(number, _), _]) = columns.array_windows::<2>().find(|[a, b]| a.0 == b.0) {
        let name = table.columns.get(*number).map_or("", |column| column.name);
        return Err(TablesError::Invalid {
            reason: format!("a row for the table {} sets its column {name} twice", table.name),
        });
    }
    if size_bytes > MAX_ROW_BYTES {
        return Err(TablesError::Invalid {
            reason: format!("a row for the table {} has {size_bytes} bytes, the limit is {MAX_ROW_BYTES}", table.name),
        });
    }
    Ok((row.key, columns))
}

/// The number and the declaration of a column, and that `value` is of its type.
///
/// # Errors
/// As [`check_key`].
pub fn check_column(table: &Table, name: &str, value: Option<&Value>) -> Result<usize, TablesError> {
    let (number, column) = find_column(table, name)?;
    if let Some(value) = value {
        check_type(table, column, value)?;
    }
    Ok(number)
}

/// How much room a value takes, about.
pub const fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Workspace(_) | Value::Uuid(_) => 16,
        Value::Int(_) | Value::Timestamp(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

/// The name of a type in messages.
pub const fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Workspace => "workspace",
        ColumnType::Uuid => "uuid",
        ColumnType::Text => "text",
        ColumnType::Int => "int",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Blob => "blob",
    }
}

fn find_column<'a>(table: &'a Table, name: &str) -> Result<(usize, &'a Column), TablesError> {
    table.columns.iter().enumerate().find(|(_, column)| column.name == name).ok_or_else(|| TablesError::Invalid {
        reason: format!(
            "the table {} has no column {name} outside its key; it has: {}",
            table.name,
            names(table.columns)
        ),
    })
}

fn check_count(table: &Table, part: &str, columns: &[Column], given: usize) -> Result<(), TablesError> {
    if columns.len() == given {
        return Ok(());
    }
    Err(TablesError::Invalid {
        reason: format!(
            "the {part} of the table {} has {} columns ({}), but {given} values were given",
            table.name,
            columns.len(),
            names(columns)
        ),
    })
}

fn check_types(table: &Table, columns: &[Column], values: &[Value]) -> Result<(), TablesError> {
    columns.iter().zip(values).try_for_each(|(column, value)| check_type(table, column, value))
}

fn check_type(table: &Table, column: &Column, value: &Value) -> Result<(), TablesError> {
    if value.kind() == column.kind {
        return Ok(());
    }
    Err(TablesError::Invalid {
        reason: format!(
            "the column {} of the table {} is a {}, but a {} was given",
            column.name,
            table.name,
            type_name(column.kind),
            type_name(value.kind())
        ),
    })
}

fn names(columns: &[Column]) -> String {
    if columns.is_empty() {
        return "none".to_owned();
    }
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}
