//! What a batch does to each row, and the statements that do it.
//!
//! All changes of a batch carry one timestamp, and of a deletion and a value with the same timestamp the deletion counts. So
//! several changes of one row are made one before they are written. A row that is deleted and then set in the same batch is
//! written with its other columns cleared.
//!
//! A row is written by INSERT, which leaves a marker that the row is there, and so is found with no column set.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use schemas::tables::{Table, Value};

use super::statements::{ColumnSet, Operation, set_of};
use super::values::{Bind, bind_key};
use crate::tables::validation::{self, MAX_BATCH_BYTES, value_bytes};
use crate::tables::{Key, Mutation, Row, TablesError, codec};

/// The largest row, in bytes: 8 MiB. The servers take a write of up to 16 MiB, all of its parts and frames together.
pub(super) const ROW_BYTES: usize = 8 << 20;

/// What a statement and a value take beside their bytes, about.
const OVERHEAD_BYTES: usize = 64;

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// These columns are set, the others stay. By their numbers, in that order.
    Put(Vec<(usize, Value)>),
    /// These columns are set, the others are cleared.
    Replace(Vec<(usize, Value)>),
    /// It is removed.
    Delete,
}

/// A change of a row, the only one of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) table: &'static Table,
    pub(super) key: Key,
    pub(super) kind: Kind,
}

/// The values of a statement, and the statement.
pub(super) struct Write<'a> {
    pub(super) table: &'static Table,
    pub(super) operation: Operation,
    pub(super) values: Vec<Bind<'a>>,
}

impl Change {
    /// Takes a row to be put, if it fits the declaration of its table and the servers.
    pub(super) fn put(table: &'static Table, row: Row) -> Result<Self, TablesError> {
        let (key, columns) = validation::check_row(table, row)?;
        codec::encode_key(table, &key)?;
        check_partition_key(table, &key)?;
        let change = Self { table, key, kind: Kind::Put(columns) };
        if change.size_bytes() > ROW_BYTES {
            return Err(TablesError::Invalid {
                reason: format!(
                    "a row for the table {} has {} bytes, the limit of the servers is {ROW_BYTES}",
                    table.name,
                    change.size_bytes()
                ),
            });
        }
        Ok(change)
    }

    fn delete(table: &'static Table, key: Key) -> Result<Self, TablesError> {
        codec::encode_key(table, &key)?;
        check_partition_key(table, &key)?;
        Ok(Self { table, key, kind: Kind::Delete })
    }

    /// How much room it takes, about.
    pub(super) fn size_bytes(&self) -> usize {
        let key: usize =
            self.key.partition.iter().chain(&self.key.clustering).map(|value| value_bytes(value) + 8).sum();
        let columns = match &self.kind {
            Kind::Put(columns) | Kind::Replace(columns) => columns.as_slice(),
            Kind::Delete => &[],
        };
        columns.iter().map(|(_, value)| value_bytes(value) + OVERHEAD_BYTES).sum::<usize>() + key + OVERHEAD_BYTES
    }

    /// What this change makes of one that came before it in the same batch.
    pub(super) fn after(self, before: Kind) -> Self {
        let kind = match (before, self.kind) {
            (_, Kind::Delete) => Kind::Delete,
            (Kind::Put(older), Kind::Put(newer)) => Kind::Put(merged(older, newer)),
            (Kind::Replace(older), Kind::Put(newer)) => Kind::Replace(merged(older, newer)),
            (Kind::Delete, Kind::Put(columns)) | (_, Kind::Replace(columns)) => Kind::Replace(columns),
        };
        Self { kind, ..self }
    }

    /// The columns that are written.
    pub(super) fn column_set(&self) -> ColumnSet {
        match &self.kind {
            Kind::Put(columns) => set_of(columns.iter().map(|(number, _)| *number)),
            Kind::Replace(_) => set_of(0..self.table.columns.len()),
            Kind::Delete => 0,
        }
    }

    /// The values of the columns that are written, in the order of the declaration.
    pub(super) fn column_values(&self) -> impl Iterator<Item = Bind<'_>> {
        let (numbers, columns): (Range<usize>, _) = match &self.kind {
            Kind::Put(columns) => (0..0, columns.as_slice()),
            Kind::Replace(columns) => (0..self.table.columns.len(), columns.as_slice()),
            Kind::Delete => (0..0, &[][..]),
        };
        let put = if numbers.is_empty() { columns } else { &[] };
        put.iter().map(|(_, value)| Bind::Value(value)).chain(numbers.map(|number| {
            columns.iter().find(|(found, _)| *found == number).map_or(Bind::Null, |(_, value)| Bind::Value(value))
        }))
    }

    /// The statement that makes it, with the timestamp or with the servers' own.
    pub(super) fn write(&self, timestamp: Option<i64>) -> Write<'_> {
        let mut values =
            Vec::with_capacity(self.key.partition.len() + self.key.clustering.len() + self.table.columns.len() + 1);
        let with_timestamp = timestamp.is_some();
        let operation = if self.kind == Kind::Delete {
            values.extend(timestamp.map(Bind::Int));
            values.extend(bind_key(&self.key));
            Operation::Delete { with_timestamp }
        } else {
            values.extend(bind_key(&self.key));
            values.extend(self.column_values());
            values.extend(timestamp.map(Bind::Int));
            Operation::Put { columns: self.column_set(), with_timestamp }
        };
        Write { table: self.table, operation, values }
    }
}

/// The servers have no partition under a single empty text.
pub(super) fn is_storable(key: &Key) -> bool {
    !matches!(key.partition.as_slice(), [Value::Text(text)] if text.is_empty())
        && !matches!(key.partition.as_slice(), [Value::Blob(bytes)] if bytes.is_empty())
}

fn check_partition_key(table: &Table, key: &Key) -> Result<(), TablesError> {
    if is_storable(key) {
        return Ok(());
    }
    Err(TablesError::Invalid {
        reason: format!("the partition key of the table {} is empty, which the servers do not take", table.name),
    })
}

fn merged(mut columns: Vec<(usize, Value)>, newer: Vec<(usize, Value)>) -> Vec<(usize, Value)> {
    columns.retain(|(number, _)| newer.iter().all(|(other, _)| other != number));
    columns.extend(newer);
    columns.sort_by_key(|(number, _)| *number);
    columns
}

/// The changes of a batch, one a row, in the order of the first change of each.
pub(super) fn changes_of(mutations: Vec<Mutation>) -> Result<Vec<Change>, TablesError> {
    let mut changes: Vec<Change> = Vec::with_capacity(mutations.len());
    let mut places: HashMap<(&'static str, Key), usize> = HashMap::with_capacity(mutations.len());
    let mut size_bytes = 0_usize;
    for mutation in mutations {
        let change = match mutation {
            Mutation::Put(table, row) => Change::put(table, row)?,
            Mutation::Delete(table, key) => Change::delete(table, key)?,
        };
        size_bytes = size_bytes.saturating_add(change.size_bytes());
        match places.entry((change.table.name, change.key.clone())) {
            Entry::Vacant(place) => {
                place.insert(changes.len());
                changes.push(change);
            }
            Entry::Occupied(place) => {
                if let Some(before) = changes.get_mut(*place.get()) {
                    let kind = std::mem::replace(&mut before.kind, Kind::Delete);
                    *before = change.after(kind);
                }
            }
        }
    }
    if size_bytes > MAX_BATCH_BYTES {
        return Err(TablesError::Invalid {
            reason: format!("a batch has {size_bytes} bytes, the limit is {MAX_BATCH_BYTES}: write it in parts"),
        });
    }
    Ok(changes)
}

/// Changes by the partition of their table in which they stand; the order of the first of each.
pub(super) fn by_partition<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<Vec<&'a Change>> {
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    let mut places: HashMap<(&'static str, &[Value]), usize> = HashMap::new();
    for change in changes {
        let place = *places.entry((change.table.name, &change.key.partition)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use schemas::tables::SESSIONS;

    use super::*;

    fn key(n: u8) -> Key {
        Key::of([Value::Uuid([n; 16])])
    }

    fn put(n: u8, columns: &[(&'static str, Value)]) -> Mutation {
        Mutation::Put(SESSIONS, Row { key: key(n), columns: columns.to_vec() })
    }

    #[test]
    fn of_several_changes_of_a_row_one_is_left() {
        let body = |text: &str| ("body", Value::Blob(text.as_bytes().to_vec()));
        let version = |n: i64| ("version", Value::Int(n));
        let delete = || Mutation::Delete(SESSIONS, key(1));
        for (mutations, expected) in [
            (vec![put(1, &[version(1)]), put(1, &[body("a")])], Kind::Put(vec![(0, version(1).1), (1, body("a").1)])),
            (
                vec![put(1, &[version(1), body("a")]), put(1, &[version(2)])],
                Kind::Put(vec![(0, version(2).1), (1, body("a").1)]),
            ),
            (vec![put(1, &[version(1)]), delete()], Kind::Delete),
            (vec![put(1, &[body("a")]), delete(), put(1, &[version(1)])], Kind::Replace(vec![(0, version(1).1)])),
            (
                vec![delete(), put(1, &[version(1)]), put(1, &[body("a")])],
                Kind::Replace(vec![(0, version(1).1), (1, body("a").1)]),
            ),
            (vec![delete(), put(1, &[]), delete()], Kind::Delete),
        ] {
            let changes = changes_of(mutations).unwrap();
            assert_eq!(changes, [Change { table: SESSIONS, key: key(1), kind: expected }]);
        }
        let changes = changes_of(vec![put(1, &[]), put(2, &[]), put(1, &[version(1)])]).unwrap();
        assert_eq!(changes.iter().map(|change| change.key.clone()).collect::<Vec<_>>(), [key(1), key(2)]);
    }

    #[test]
    fn a_replaced_row_clears_what_it_does_not_name() {
        let change = Change { table: SESSIONS, key: key(1), kind: Kind::Replace(vec![(0, Value::Int(1))]) };
        assert_eq!(change.column_set(), 0b11);
        assert!(matches!(change.column_values().collect::<Vec<_>>()[..], [Bind::Value(Value::Int(1)), Bind::Null]));
    }
}
