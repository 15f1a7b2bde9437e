//! Values on their way to the servers and back.
//!
//! | column | CQL type | why not the obvious one |
//! | --- | --- | --- |
//! | uuid | `blob` | CQL's `uuid` sorts by version and time first; ours sort bytewise |
//! | text | `text` | sorts by its UTF-8 bytes, as ours do |
//! | int | `bigint` | |
//! | timestamp | `bigint` | CQL's `timestamp` counts milliseconds, ours microseconds |
//! | blob | `blob` | |

use schemas::tables::{Column, ColumnType, Table, Value};
use schemas::{Timestamp, WorkspaceId};
use scylla::errors::SerializationError;
use scylla::frame::response::result::ColumnType as CqlType;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::value::{CqlValue, Row as CqlRow};

use crate::tables::validation::type_name;
use crate::tables::{Key, Row, TablesError};

/// The CQL type of a column.
pub(super) const fn cql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Workspace | ColumnType::Uuid | ColumnType::Blob => "blob",
        ColumnType::Text => "text",
        ColumnType::Int | ColumnType::Timestamp => "bigint",
    }
}

/// What stands for a `?` of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bind<'a> {
    /// The value of a column.
    Value(&'a Value),
    /// A text.
    Text(&'a str),
    /// A number of 64 bits.
    Int(i64),
    /// A number of 32 bits, as limits are.
    Small(i32),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list of values of a column.
    List(&'a [&'a Value]),
    /// No value: clears a column.
    Null,
}

impl SerializeValue for Bind<'_> {
    // The types were compared with the declarations when the tables were opened, so they are not compared for each value.
    fn serialize<'b>(
        &self,
        _cql_type: &CqlType,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Self::Value(value) => with_bytes(value, |bytes| writer.set_value(bytes)),
            Self::Bytes(bytes) => writer.set_value(bytes),
            Self::Text(text) => writer.set_value(text.as_bytes()),
            Self::Int(n) => writer.set_value(&n.to_be_bytes()),
            Self::Small(n) => writer.set_value(&n.to_be_bytes()),
            Self::List(values) => {
                let mut list = writer.into_value_builder();
                let count = i32::try_from(values.len()).map_err(SerializationError::new)?;
                list.append_bytes(&count.to_be_bytes());
                for value in *values {
                    with_bytes(value, |bytes| list.make_sub_writer().set_value(bytes).map(drop))
                        .map_err(SerializationError::new)?;
                }
                return list.finish().map_err(SerializationError::new);
            }
            Self::Null => return Ok(writer.set_null()),
        }
        .map_err(SerializationError::new)
    }
}

/// Gives the bytes that a value has on the wire.
fn with_bytes<T>(value: &Value, take: impl FnOnce(&[u8]) -> T) -> T {
    match value {
        Value::Workspace(id) => take(id.as_bytes()),
        Value::Uuid(bytes) => take(bytes),
        Value::Blob(bytes) => take(bytes),
        Value::Text(text) => take(text.as_bytes()),
        Value::Int(n) => take(&n.to_be_bytes()),
        Value::Timestamp(at) => take(&at.unix_micros().to_be_bytes()),
    }
}

/// The values of a key in the order of its columns.
pub(super) fn bind_key(key: &Key) -> impl Iterator<Item = Bind<'_>> {
    key.partition.iter().chain(&key.clustering).map(Bind::Value)
}

/// The rows of an answer, each with its columns by name.
pub(super) struct Answer {
    names: Vec<String>,
    rows: Vec<CqlRow>,
}

impl Answer {
    /// Takes an answer apart.
    pub(super) fn new(table: &'static str, result: &QueryRowsResult) -> Result<Self, TablesError> {
        let unreadable =
            |error: String| TablesError::Corrupt { table, reason: format!("an answer cannot be read: {error}") };
        let names = result.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let rows = result.rows::<CqlRow>().map_err(|error| unreadable(error.to_string()))?;
        let rows = rows.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { names, rows })
    }

    /// Each row as a function from names to values.
    pub(super) fn into_rows(self) -> impl Iterator<Item = AnswerRow> {
        let names: std::sync::Arc<[String]> = self.names.into();
        self.rows.into_iter().map(move |row| AnswerRow { names: std::sync::Arc::clone(&names), columns: row.columns })
    }
}

/// A row of an answer.
pub(super) struct AnswerRow {
    names: std::sync::Arc<[String]>,
    columns: Vec<Option<CqlValue>>,
}

impl AnswerRow {
    fn take(&mut self, name: &str) -> Option<CqlValue> {
        let place = self.names.iter().position(|found| found == name)?;
        self.columns.get_mut(place)?.take()
    }

    /// A number, if it is set.
    pub(super) fn int(&mut self, name: &str) -> Option<i64> {
        match self.take(name) {
            Some(CqlValue::BigInt(n)) => Some(n),
            _ => None,
        }
    }

    /// A number of 32 bits, if it is set.
    pub(super) fn small(&mut self, name: &str) -> Option<i64> {
        match self.take(name) {
            Some(CqlValue::Int(n)) => Some(i64::from(n)),
            _ => None,
        }
    }

    /// A text, if it is set.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Some(CqlValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Bytes, if they are set.
    pub(super) fn bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        match self.take(name) {
            Some(CqlValue::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Whether a conditional statement was carried out. Servers tell it in a column of this name.
    pub(super) fn was_applied(&mut self) -> bool {
        matches!(self.take("[applied]"), Some(CqlValue::Boolean(true)))
    }

    /// The row of a table. `key` gives the part of the key that was asked for, and so is not in the answer.
    pub(super) fn row(&mut self, table: &'static Table, mut key: Key) -> Result<Row, TablesError> {
        if key.partition.is_empty() {
            key.partition = self.key_part(table, table.partition_key)?;
        }
        if key.clustering.is_empty() {
            key.clustering = self.key_part(table, table.clustering_key)?;
        }
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            if let Some(value) = self.take(column.name) {
                columns.push((column.name, value_of(table, column, value)?));
            }
        }
        Ok(Row { key, columns })
    }

    fn key_part(&mut self, table: &'static Table, part: &[Column]) -> Result<Vec<Value>, TablesError> {
        part.iter()
            .map(|column| {
                let value = self.take(column.name).ok_or_else(|| TablesError::Corrupt {
                    table: table.name,
                    reason: format!("the servers gave a row without its key column {}", column.name),
                })?;
                value_of(table, column, value)
            })
            .collect()
    }
}

fn value_of(table: &'static Table, column: &Column, value: CqlValue) -> Result<Value, TablesError> {
    let other = || TablesError::Corrupt {
        table: table.name,
        reason: format!("the column {} does not hold a {}", column.name, type_name(column.kind)),
    };
    Ok(match (column.kind, value) {
        (ColumnType::Workspace, CqlValue::Blob(bytes)) => {
            Value::Workspace(WorkspaceId::from_bytes(bytes.try_into().map_err(|_wrong_length: Vec<u8>| other())?))
        }
        (ColumnType::Uuid, CqlValue::Blob(bytes)) => {
            Value::Uuid(bytes.try_into().map_err(|_wrong_length: Vec<u8>| other())?)
        }
        (ColumnType::Text, CqlValue::Text(text)) => Value::Text(text),
        (ColumnType::Int, CqlValue::BigInt(n)) => Value::Int(n),
        (ColumnType::Timestamp, CqlValue::BigInt(n)) => Value::Timestamp(Timestamp::from_unix_micros(n)),
        (ColumnType::Blob, CqlValue::Blob(bytes)) => Value::Blob(bytes),
        _ => return Err(other()),
    })
}
