//! The statements, each prepared once and kept.
//!
//! There are as many as there are tables, times a few ways to use each, times the sets of columns that are written: all of
//! them follow from the code, so what is kept is bounded by it.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::tables::{Column, Order, Table};
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::schema::{self, direction, names, quoted};

/// How many rows a page of a scan has. Bodies of some kilobytes make some megabytes.
pub(super) const PAGE_ROWS: i32 = 500;

/// A set of columns outside the key, by their numbers in the declaration.
pub(super) type ColumnSet = u64;

/// A bound of a scan: whether the rows that begin with its values belong to the range, and how many values it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Edge {
    pub(super) is_included: bool,
    pub(super) columns: usize,
}

/// What is done with a declared table. The comment gives the values in the order of the `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    /// A row. Key.
    Get,
    /// Rows of a table without a clustering key. Partition key but for its last column, a list of values for that one.
    GetSeveral,
    /// A row as the conditional writes left it, of which those that were under way are finished first. Key.
    SerialGet,
    /// Rows of a partition. Partition key, values of the start, values of the end, limit.
    Scan { backwards: bool, start: Option<Edge>, end: Option<Edge> },
    /// All rows, in no order.
    All,
    /// Sets columns of a row, `cleared` ones to null. Key, the columns in order, and the timestamp if there is one.
    Put { columns: ColumnSet, with_timestamp: bool },
    /// Removes a row. The timestamp if there is one, key.
    Delete { with_timestamp: bool },
    /// Writes a row if there is none. Key, the columns in order.
    Insert { columns: ColumnSet },
    /// Sets columns if one has a value, or none. The columns in order, key, the value expected if there is one.
    Update { columns: ColumnSet, compared: usize, expects_value: bool },
}

/// What is done with the engine's own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Own {
    /// Whether a quorum answers.
    Probe,
    /// The journal of a partition of the log, as `SerialGet`. Log partition.
    ReadJournal,
    /// The first turn. Log partition.
    BeginTurns,
    /// The next turn. New turn, log partition, old turn.
    TakeTurn,
    /// A batch. Version, data, log partition, turn, version before.
    Commit,
    /// A part of a batch. Log partition, turn, version, chunk, data.
    PutChunk,
    /// The parts of a batch. Log partition, turn, version.
    ReadChunks,
    /// Removes the parts of a batch. Log partition, turn, version.
    DeleteChunks,
}

/// A statement in the cache: the name of the table, and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Of(&'static str, Operation),
    Own(Own),
}

/// How a statement is executed: its consistency, and whether it may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A quorum reads; sent again and to a second node as the profile says.
    Read,
    /// Finishes conditional writes that are under way; sent once.
    SerialRead,
    /// A quorum writes; sending it again does not change what it did, since it carries its timestamp.
    Repeatable,
    /// A quorum writes; sent once.
    Once,
    /// A quorum writes after an agreement on the order; sent once.
    Conditional,
}

/// How statements are sent: reads and other ones.
#[derive(Clone, Debug)]
pub(super) struct Profiles {
    pub(super) read: ExecutionProfileHandle,
    pub(super) write: ExecutionProfileHandle,
    pub(super) once: ExecutionProfileHandle,
}

/// The statements that were prepared.
pub(super) struct Statements {
    keyspace: String,
    profiles: Profiles,
    prepared: Mutex<HashMap<Shape, Arc<PreparedStatement>>>,
}

impl Statements {
    pub(super) fn new(keyspace: &str, profiles: Profiles) -> Self {
        Self { keyspace: quoted(keyspace), profiles, prepared: Mutex::default() }
    }

    /// The statement for an operation on a table, or its text if it must be prepared first.
    pub(super) fn find(&self, table: &'static Table, operation: Operation) -> Result<Arc<PreparedStatement>, Missing> {
        self.get(Shape::Of(table.name, operation), || self.text_of(table, operation))
    }

    /// The same for the engine's own tables.
    pub(super) fn find_own(&self, own: Own) -> Result<Arc<PreparedStatement>, Missing> {
        self.get(Shape::Own(own), || self.text_of_own(own))
    }

    fn get(&self, shape: Shape, text: impl FnOnce() -> String) -> Result<Arc<PreparedStatement>, Missing> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.get(&shape).map_or_else(|| Err(Missing { shape, text: text() }), |statement| Ok(Arc::clone(statement)))
    }

    /// Keeps a statement that was missing.
    pub(super) fn keep(&self, missing: &Missing, mut statement: PreparedStatement) -> Arc<PreparedStatement> {
        let manner = missing.shape.manner();
        statement.set_consistency(match manner {
            Manner::SerialRead => Consistency::LocalSerial,
            _ => Consistency::LocalQuorum,
        });
        statement.set_is_idempotent(matches!(manner, Manner::Read | Manner::Repeatable));
        statement.set_page_size(PAGE_ROWS);
        let profile = match manner {
            Manner::Read => &self.profiles.read,
            Manner::Repeatable | Manner::Once => &self.profiles.write,
            Manner::SerialRead | Manner::Conditional => &self.profiles.once,
        };
        statement.set_execution_profile_handle(Some(profile.clone()));
        let statement = Arc::new(statement);
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert(missing.shape, Arc::clone(&statement));
        statement
    }

    /// How batches are sent.
    pub(super) fn write_profile(&self) -> ExecutionProfileHandle {
        self.profiles.write.clone()
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{}", self.keyspace, quoted(name))
    }

    fn text_of(&self, table: &Table, operation: Operation) -> String {
        let name = self.table(table.name);
        match operation {
            Operation::Get | Operation::SerialGet => {
                // A table without columns outside the key is asked for its key.
                let columns = if table.columns.is_empty() { names(table.partition_key) } else { names(table.columns) };
                format!("SELECT {columns} FROM {name} WHERE {}", key_is(table))
            }
            Operation::GetSeveral => {
                let (last, shared) =
                    table.partition_key.split_last().map_or(("", &[][..]), |(c, shared)| (c.name, shared));
                let shared: Vec<_> = shared.iter().map(|column| format!("{} = ? AND ", quoted(column.name))).collect();
                let all = names(table.partition_key.iter().chain(table.columns));
                format!("SELECT {all} FROM {name} WHERE {}{} IN ?", shared.concat(), quoted(last))
            }
            Operation::Scan { backwards, start, end } => scan(table, &name, backwards, start, end),
            Operation::All => {
                let all = table.partition_key.iter().chain(table.clustering_key).chain(table.columns);
                format!("SELECT {} FROM {name}", names(all))
            }
            Operation::Put { columns, with_timestamp } => {
                let timestamp = if with_timestamp { " USING TIMESTAMP ?" } else { "" };
                format!("{}{timestamp}", insert(table, &name, columns))
            }
            Operation::Insert { columns } => format!("{} IF NOT EXISTS", insert(table, &name, columns)),
            Operation::Delete { with_timestamp } => {
                let timestamp = if with_timestamp { " USING TIMESTAMP ?" } else { "" };
                format!("DELETE FROM {name}{timestamp} WHERE {}", key_is(table))
            }
            Operation::Update { columns, compared, expects_value } => {
                let set: Vec<_> = chosen(table, columns).map(|column| format!("{} = ?", quoted(column.name))).collect();
                let compared = table.columns.get(compared).map_or("", |column| column.name);
                let expected = if expects_value { "?" } else { "null" };
                format!(
                    "UPDATE {name} SET {} WHERE {} IF {} = {expected}",
                    set.join(", "),
                    key_is(table),
                    quoted(compared)
                )
            }
        }
    }

    fn text_of_own(&self, own: Own) -> String {
        let journal = self.table(schema::TURN_JOURNAL);
        let chunks = self.table(schema::TURN_JOURNAL_CHUNKS);
        let batch = "\"log_partition\" = ? AND \"turn\" = ? AND \"version\" = ?";
        match own {
            Own::Probe => {
                format!("SELECT \"version\" FROM {} WHERE \"name\" = 'tables'", self.table(schema::SCHEMA_VERSION))
            }
            Own::ReadJournal => {
                format!("SELECT \"turn\", \"version\", \"data\" FROM {journal} WHERE \"log_partition\" = ?")
            }
            Own::BeginTurns => {
                format!(
                    "INSERT INTO {journal} (\"log_partition\", \"turn\", \"version\") VALUES (?, 1, 0) IF NOT EXISTS"
                )
            }
            Own::TakeTurn => format!("UPDATE {journal} SET \"turn\" = ? WHERE \"log_partition\" = ? IF \"turn\" = ?"),
            Own::Commit => format!(
                "UPDATE {journal} SET \"version\" = ?, \"data\" = ? WHERE \"log_partition\" = ? IF \"turn\" = ? AND \"version\" = ?"
            ),
            Own::PutChunk => format!(
                "INSERT INTO {chunks} (\"log_partition\", \"turn\", \"version\", \"chunk\", \"data\") VALUES (?, ?, ?, ?, ?)"
            ),
            Own::ReadChunks => format!("SELECT \"chunk\", \"data\" FROM {chunks} WHERE {batch}"),
            Own::DeleteChunks => format!("DELETE FROM {chunks} WHERE {batch}"),
        }
    }
}

impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statements").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

/// A statement that is not prepared yet.
#[derive(Debug)]
pub(super) struct Missing {
    shape: Shape,
    /// What to prepare.
    pub(super) text: String,
}

impl Shape {
    const fn manner(self) -> Manner {
        match self {
            Self::Of(_, Operation::Get | Operation::GetSeveral | Operation::Scan { .. } | Operation::All)
            | Self::Own(Own::Probe | Own::ReadChunks) => Manner::Read,
            Self::Of(_, Operation::SerialGet) | Self::Own(Own::ReadJournal) => Manner::SerialRead,
            Self::Of(_, Operation::Put { with_timestamp, .. } | Operation::Delete { with_timestamp }) => {
                if with_timestamp {
                    Manner::Repeatable
                } else {
                    Manner::Once
                }
            }
            // A part of a batch is never written with another content, nor after its removal.
            Self::Own(Own::PutChunk | Own::DeleteChunks) => Manner::Repeatable,
            Self::Of(_, Operation::Insert { .. } | Operation::Update { .. })
            | Self::Own(Own::BeginTurns | Own::TakeTurn | Own::Commit) => Manner::Conditional,
        }
    }
}

/// The columns of a set, in the order of the declaration.
pub(super) fn chosen(table: &Table, columns: ColumnSet) -> impl Iterator<Item = &Column> {
    table.columns.iter().enumerate().filter(move |(number, _)| columns & (1 << number) != 0).map(|(_, column)| column)
}

/// The set that holds these columns.
pub(super) fn set_of(numbers: impl IntoIterator<Item = usize>) -> ColumnSet {
    numbers.into_iter().fold(0, |set, number| set | 1 << number)
}

fn key_is(table: &Table) -> String {
    let key: Vec<_> = table
        .partition_key
        .iter()
        .chain(table.clustering_key)
        .map(|column| format!("{} = ?", quoted(column.name)))
        .collect();
    key.join(" AND ")
}

fn insert(table: &Table, name: &str, columns: ColumnSet) -> String {
    let all: Vec<&Column> =
        table.partition_key.iter().chain(table.clustering_key).chain(chosen(table, columns)).collect();
    let marks = vec!["?"; all.len()].join(", ");
    format!("INSERT INTO {name} ({}) VALUES ({marks})", names(all))
}

fn scan(table: &Table, name: &str, backwards: bool, start: Option<Edge>, end: Option<Edge>) -> String {
    let mut text = format!(
        "SELECT {} FROM {name} WHERE {}",
        names(table.clustering_key.iter().chain(table.columns)),
        table
            .partition_key
            .iter()
            .map(|column| format!("{} = ?", quoted(column.name)))
            .collect::<Vec<_>>()
            .join(" AND ")
    );
    let ascending = table.order == Order::Ascending;
    for (edge, is_start) in [(start, true), (end, false)] {
        let Some(Edge { is_included, columns }) = edge else { continue };
        // The start of a descending table is the larger bound.
        let relation = match (is_start == ascending, is_included) {
            (true, true) => ">=",
            (true, false) => ">",
            (false, true) => "<=",
            (false, false) => "<",
        };
        let marks = vec!["?"; columns].join(", ");
        // Writing into a String does not fail.
        let _infallible =
            write!(text, " AND ({}) {relation} ({marks})", names(table.clustering_key.iter().take(columns)));
    }
    if backwards && !table.clustering_key.is_empty() {
        let order = direction(if ascending { Order::Descending } else { Order::Ascending });
        let order: Vec<_> =
            table.clustering_key.iter().map(|column| format!("{} {order}", quoted(column.name))).collect();
        let _infallible = write!(text, " ORDER BY {}", order.join(", "));
    }
    text.push_str(" LIMIT ?");
    text
}
