//! A table's columns as Delta declares them, and how a declaration grows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::schema::{Column, Kind, Table};

/// What is declared cannot be joined with what was.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "column {column:?} was of type {before} and is now of type {now}: rebuild the lake, so that no file has the old type"
)]
pub struct RetypedColumn {
    column: String,
    before: String,
    now: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Struct {
    r#type: String,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Field {
    name: String,
    r#type: Value,
    nullable: bool,
    metadata: Map<String, Value>,
}

/// The columns of a table as Delta's schema string.
///
/// # Errors
/// None that a declared table can cause.
pub(super) fn declare(table: &Table) -> Result<String, serde_json::Error> {
    serde_json::to_string(&of(table))
}

/// The columns of a table beside those that it was declared with before: what is new comes last, what is gone stays, as null in
/// new files.
///
/// # Errors
/// [`RetypedColumn`], or if `before` is not a schema string.
pub(super) fn grow(before: &str, table: &Table) -> Result<Result<String, RetypedColumn>, serde_json::Error> {
    let mut grown: Struct = serde_json::from_str(before)?;
    for field in of(table).fields {
        match grown.fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) if known.r#type == field.r#type => *known = field,
            Some(known) => {
                let (before, now) = (known.r#type.to_string(), field.r#type.to_string());
                return Ok(Err(RetypedColumn { column: field.name, before, now }));
            }
            None => grown.fields.push(field),
        }
    }
    serde_json::to_string(&grown).map(Ok)
}

fn of(table: &Table) -> Struct {
    Struct { r#type: "struct".to_owned(), fields: table.columns.iter().map(field).collect() }
}

fn field(column: &Column) -> Field {
    let comment = format!("{} [{}]", column.meaning, column.unit);
    Field {
        name: column.name.to_owned(),
        r#type: kind(column.kind),
        nullable: true,
        metadata: Map::from_iter([("comment".to_owned(), Value::String(comment))]),
    }
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!("string"),
        Kind::Int => json!("long"),
        Kind::Float => json!("double"),
        Kind::Bool => json!("boolean"),
        Kind::Instant => json!("timestamp"),
        Kind::TextList => json!({"type": "array", "elementType": "string", "containsNull": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    const SMALL: Table = Table {
        name: "small",
        about: "Something.",
        newest_of: None,
        columns: &[
            Column { name: "id", kind: Kind::Text, unit: "id", source: "event", meaning: "An id." },
            Column { name: "at", kind: Kind::Instant, unit: "UTC", source: "event", meaning: "When." },
        ],
    };
    const GROWN: Table = Table {
        columns: &[
            Column { name: "tags", kind: Kind::TextList, unit: "names", source: "event", meaning: "Tags." },
            Column { name: "id", kind: Kind::Text, unit: "id", source: "event", meaning: "An id." },
        ],
        ..SMALL
    };
    const RETYPED: Table = Table {
        columns: &[Column { name: "at", kind: Kind::Int, unit: "UTC", source: "event", meaning: "When." }],
        ..SMALL
    };

    #[test]
    fn every_table_has_a_declaration_that_stays_as_it_is() {
        for table in schema::STORED {
            let declared = declare(table).unwrap();
            assert_eq!(grow(&declared, table).unwrap().as_ref(), Ok(&declared), "{}", table.name);
        }
    }

    #[test]
    fn new_columns_come_last_and_none_goes() {
        let grown = grow(&declare(&SMALL).unwrap(), &GROWN).unwrap().unwrap();
        let grown: Struct = serde_json::from_str(&grown).unwrap();
        let names: Vec<_> = grown.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["id", "at", "tags"]);
        assert!(grown.fields.iter().all(|field| field.nullable));
        let retyped = grow(&declare(&SMALL).unwrap(), &RETYPED).unwrap().unwrap_err();
        assert!(retyped.to_string().contains("\"at\" was of type \"timestamp\""), "{retyped}");
    }
}
