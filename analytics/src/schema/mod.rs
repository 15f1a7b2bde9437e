//! The tables that SQL sees: every column with its type, its unit, where it comes from and what it means.
//!
//! The same declarations give the Arrow schemas, the Parquet files, and the table `catalogue` that SQL itself can read.
//! Types are portable: text, 64-bit integers and floats, booleans, instants in UTC with microseconds, lists of text. Ids are
//! text. A column may be added; none is renamed, retyped or given another meaning, so older files stay readable.

mod tables;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// True or false.
    Bool,
    /// An instant, UTC, microseconds.
    Instant,
    /// A list of texts.
    TextList,
}

impl Kind {
    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }

    /// The name in the catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int64",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Instant => "timestamp_us_utc",
            Self::TextList => "list<text>",
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What its values count or are: `seconds`, `messages`, `id`, …
    pub unit: &'static str,
    /// Where its values come from.
    pub source: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in SQL, in folders, in the manifest.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// For a table of things that change: the column that names one. Of the rows with the same name, the one with the
    /// largest `version` counts; SQL sees no other.
    pub newest_of: Option<&'static str>,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// The column by which old rows are told from new ones: when they were recorded, or when what they count happened. `None`
    /// for things that change: they have no age.
    pub fn time_column(&self) -> Option<&'static str> {
        let is_time = |column: &&Column| ["recorded_at", "minute"].contains(&column.name);
        self.columns.iter().find(is_time).filter(|_| self.newest_of.is_none()).map(|column| column.name)
    }

    /// Its Arrow schema. Every column is nullable, so that a file written before a column was added reads as null there.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns.iter().map(|column| Field::new(column.name, column.kind.arrow(), true)).collect::<Vec<_>>(),
        ))
    }
}

pub use self::tables::{
    ASSIGNMENTS, CATALOGUE, CATALOGUE_TABLES, CONTACTS, CONVERSATION_FACTS, CONVERSATIONS, DELIVERIES, KPI_DEFINITIONS,
    KPI_MINUTE, MESSAGE_STATUSES, MESSAGES, SENTIMENT, SLA,
};

/// The tables that are kept in files, in the order of the catalogue.
pub const STORED: [&Table; 9] =
    [MESSAGES, SENTIMENT, DELIVERIES, CONVERSATIONS, CONVERSATION_FACTS, ASSIGNMENTS, SLA, CONTACTS, KPI_MINUTE];

/// All tables that SQL sees.
pub const ALL: [&Table; 13] = [
    MESSAGES,
    SENTIMENT,
    DELIVERIES,
    MESSAGE_STATUSES,
    CONVERSATIONS,
    CONVERSATION_FACTS,
    ASSIGNMENTS,
    SLA,
    CONTACTS,
    KPI_MINUTE,
    CATALOGUE,
    CATALOGUE_TABLES,
    KPI_DEFINITIONS,
];

/// The table with this name among those that are kept in files.
pub fn by_name(name: &str) -> Option<&'static Table> {
    STORED.iter().copied().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fold::cell::{Count, Lasting};

    #[test]
    fn every_table_and_every_column_says_what_it_is() {
        let names: BTreeSet<_> = ALL.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), ALL.len());
        for table in ALL {
            assert!(table.about.ends_with('.'), "{}", table.name);
            let columns: BTreeSet<_> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
            for column in table.columns {
                let place = format!("{}.{}", table.name, column.name);
                assert!(column.meaning.len() >= 8 && column.meaning.ends_with('.'), "{place}: its meaning is missing");
                assert!(!column.unit.is_empty() && !column.source.is_empty(), "{place}: its unit or source is missing");
            }
            if let Some(key) = table.newest_of {
                assert!(columns.contains(key) && columns.contains("version"), "{}", table.name);
            }
        }
        assert!(STORED.iter().all(|table| names.contains(table.name)));
    }

    #[test]
    fn minutes_have_a_column_for_everything_that_is_counted() {
        let columns: Vec<_> = KPI_MINUTE.columns.iter().skip(5).map(|column| column.name).collect();
        let counted =
            Count::ALL.map(Count::column).into_iter().chain(Lasting::ALL.into_iter().flat_map(Lasting::columns));
        assert_eq!(columns, counted.collect::<Vec<_>>());
    }
}
