//! Rows that are carried from one journal to the next instead of being written.
//!
//! The outbox of a partition of the log, and where it begins, is read by whoever has just taken the turn, and by nobody else.
//! Its rows are the largest of a batch, and most are removed by the next one. So they stand in the journal alone: each batch
//! takes with it what the one before carried and it does not remove. Taking a turn writes whatever the journal holds, these
//! rows too, after which they are rows like all others, and removed like them. So does a process that reads such a table in
//! its turn (see `Journal::settle`).
//!
//! A removal of a row that is carried leaves nothing, since the row was never written: unless it was. A batch of which a process
//! does not know how far it came is written, whole, before it is derived and carried again. So what was written in a turn is
//! remembered until it is removed. What was written in turns before has keys that are not used again, as those of the outbox
//! are not.

use std::collections::{BTreeMap, BTreeSet};

use schemas::tables::{self as t, Table};

use super::changes::{Change, Kind};
use crate::tables::Key;

/// The tables whose rows are carried. The first column of their keys is the partition of the log.
const TABLES: [&Table; 2] = [t::OUTBOX, t::OUTBOX_START];

/// About how many bytes are carried: 1 MiB. What is more is written, and removed when its time comes.
const CARRIED_BYTES: usize = 1 << 20;

/// Whether the rows of a table are carried.
pub(super) fn is_carried(table: &Table) -> bool {
    TABLES.iter().any(|carried| carried.name == table.name)
}

/// A row of a table.
type Place = (&'static str, Key);

/// Rows that stand in the journal alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    rows: BTreeMap<Place, Change>,
    /// Rows of these tables that were written all the same.
    written: BTreeSet<Place>,
}

/// A batch, parted into what is written and what is carried on.
#[derive(Debug)]
pub(super) struct Parted<'a> {
    /// Changes of the batch that are written as rows.
    rows: Vec<&'a Change>,
    /// What was carried before, and is written since it is too much.
    left: BTreeMap<Place, Change>,
    /// What is carried on.
    pub(super) carried: Carried,
}

impl Carried {
    /// After all of these were written: nothing is carried.
    pub(super) fn none_of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let of_these = changes.into_iter().filter(|change| is_carried(change.table) && change.kind != Kind::Delete);
        Self { rows: BTreeMap::new(), written: of_these.map(place_of).collect() }
    }

    /// After all of it was written: nothing is carried.
    pub(super) fn all_written(mut self) -> Self {
        self.written.extend(std::mem::take(&mut self.rows).into_keys());
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.rows.values()
    }
}

fn place_of(change: &Change) -> Place {
    (change.table.name, change.key.clone())
}

impl<'a> Parted<'a> {
    /// Parts a batch that comes after one that carried this.
    pub(super) fn new(mut carried: Carried, changes: &'a [Change]) -> Self {
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            if !is_carried(change.table) {
                rows.push(change);
                continue;
            }
            let place = place_of(change);
            let before = carried.rows.remove(&place);
            if change.kind == Kind::Delete {
                if carried.written.remove(&place) || before.is_none() {
                    rows.push(change);
                }
                continue;
            }
            let change = match before {
                Some(before) => change.clone().after(before.kind),
                None => change.clone(),
            };
            carried.rows.insert(place, change);
        }
        let size_bytes: usize = carried.changes().map(Change::size_bytes).sum();
        let mut left = BTreeMap::new();
        if size_bytes > CARRIED_BYTES {
            left = std::mem::take(&mut carried.rows);
            carried.written.extend(left.keys().cloned());
        }
        Self { rows, left, carried }
    }

    /// What is written as rows.
    pub(super) fn written(&self) -> impl Iterator<Item = &Change> {
        self.left.values().chain(self.rows.iter().copied())
    }

    /// All that the journal must hold.
    pub(super) fn journaled(&self) -> impl Iterator<Item = &Change> {
        self.carried.changes().chain(self.written())
    }
}

#[cfg(test)]
mod tests {
    use schemas::tables::Value;

    use super::*;

    fn put(table: &'static Table, offset: i64, size_bytes: usize) -> Change {
        let key = Key::of([Value::Int(0)]).at([Value::Int(offset)]);
        Change { table, key, kind: Kind::Put(vec![(0, Value::Blob(vec![1; size_bytes]))]) }
    }

    fn delete(offset: i64) -> Change {
        Change { kind: Kind::Delete, ..put(t::OUTBOX, offset, 0) }
    }

    fn offsets<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<(&'static str, Value)> {
        changes.map(|change| (change.table.name, change.key.clustering[0].clone())).collect()
    }

    #[test]
    fn a_row_that_was_carried_goes_without_a_trace_and_one_that_was_written_is_removed() {
        let first = [put(t::OUTBOX, 1, 10), put(t::MESSAGES, 7, 10)];
        let parted = Parted::new(Carried::default(), &first);
        assert_eq!(offsets(parted.written()), [("messages", Value::Int(7))]);
        assert_eq!(offsets(parted.journaled()), [("outbox", Value::Int(1)), ("messages", Value::Int(7))]);
        let second = [delete(1), delete(0), put(t::OUTBOX, 2, 10)];
        let parted = Parted::new(parted.carried, &second);
        assert_eq!(offsets(parted.written()), [("outbox", Value::Int(0))]);
        assert_eq!(offsets(parted.journaled()), [("outbox", Value::Int(2)), ("outbox", Value::Int(0))]);
    }

    #[test]
    fn a_row_that_was_written_and_carried_again_is_removed() {
        let first = [put(t::OUTBOX, 1, 10), put(t::OUTBOX, 2, 10)];
        let carried = Parted::new(Carried::none_of(&first[..1]), &first).carried.all_written();
        let again = Parted::new(carried, &first).carried;
        let removal = [delete(1), delete(2)];
        let parted = Parted::new(again, &removal);
        assert_eq!(offsets(parted.written()), [("outbox", Value::Int(1)), ("outbox", Value::Int(2))]);
        assert_eq!(parted.carried, Carried::default());
    }

    #[test]
    fn what_is_too_much_to_carry_is_written_and_later_removed() {
        let first = [put(t::OUTBOX, 1, CARRIED_BYTES / 2)];
        let carried = Parted::new(Carried::default(), &first).carried;
        let second = [put(t::OUTBOX, 2, CARRIED_BYTES / 2)];
        let parted = Parted::new(carried, &second);
        assert!(parted.carried.is_empty());
        assert_eq!(offsets(parted.written()), [("outbox", Value::Int(1)), ("outbox", Value::Int(2))]);
        let third = [delete(1)];
        let parted = Parted::new(parted.carried, &third);
        assert_eq!(offsets(parted.written()), [("outbox", Value::Int(1))]);
    }
}
