//! The model of the tables port: ordered maps of typed values, and nothing clever.
//!
//! Other engines are compared with it, and tests of other crates stand on it. It keeps everything in memory and can be told
//! to fail as a disk would: no room, no answer, a loss of power.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use schemas::tables::{Order, Table, Value};

use super::dump::Dump;
use super::turns::Turns;
use super::{Batch, Key, Mutation, Row, Scan, Sync, Tables, TablesError, codec, validation};

type Columns = BTreeMap<usize, Value>;
type Partition = BTreeMap<Vec<Value>, Columns>;
type Partitions = BTreeMap<Vec<Value>, Partition>;

/// Tables in memory.
#[derive(Debug, Default)]
pub struct MemoryTables {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    /// What a loss of power leaves, and the batches since; kept only on request.
    durable: Option<(Rows, Vec<Vec<Change>>)>,
    turns: Turns,
    disk_full: bool,
    unavailable: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Rows(BTreeMap<u16, Partitions>);

#[derive(Clone, Debug)]
struct Change {
    table: u16,
    key: Key,
    /// `None` deletes the row.
    columns: Option<Vec<(usize, Value)>>,
}

impl MemoryTables {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty tables that remember what is durable, so that [`MemoryTables::lose_power`] can be called. Takes twice the
    /// memory.
    pub fn with_loss_of_power() -> Self {
        let tables = Self::new();
        tables.lock().durable = Some((Rows::default(), Vec::new()));
        tables
    }

    /// Refuses every write with [`TablesError::DiskFull`] until told otherwise.
    pub fn set_disk_full(&self, full: bool) {
        self.lock().disk_full = full;
    }

    /// Answers every call with [`TablesError::Unavailable`] for this reason, until told otherwise with `None`.
    pub fn set_unavailable(&self, reason: Option<&str>) {
        self.lock().unavailable = reason.map(str::to_owned);
    }

    /// Forgets the batches that are not durable, but for the first `keep` of them. Does nothing if the tables were not
    /// made by [`MemoryTables::with_loss_of_power`]. Returns how many batches were forgotten.
    pub fn lose_power(&self, keep: usize) -> usize {
        let mut state = self.lock();
        let Some((durable, later)) = state.durable.take() else {
            return 0;
        };
        let lost = later.len().saturating_sub(keep);
        let mut rows = durable;
        for batch in later.into_iter().take(keep) {
            rows.apply_all(batch);
        }
        state.rows = rows.clone();
        state.durable = Some((rows, Vec::new()));
        lost
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held; if it did, the maps would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_readable(&self) -> Result<(), TablesError> {
        match &self.unavailable {
            Some(reason) => Err(TablesError::Unavailable { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn check_writable(&self) -> Result<(), TablesError> {
        self.check_readable()?;
        if self.disk_full {
            return Err(TablesError::DiskFull { path: "memory".to_owned() });
        }
        Ok(())
    }

    fn commit(&mut self, changes: Vec<Change>, sync: Sync) {
        if let Some((durable, later)) = &mut self.durable {
            later.push(changes.clone());
            if sync == Sync::Now {
                for batch in later.drain(..) {
                    durable.apply_all(batch);
                }
            }
        }
        self.rows.apply_all(changes);
    }
}

impl Rows {
    fn columns(&self, table: u16, key: &Key) -> Option<&Columns> {
        self.0.get(&table)?.get(&key.partition)?.get(&key.clustering)
    }

    fn apply_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: Change) {
        let partitions = self.0.entry(change.table).or_default();
        match change.columns {
            Some(columns) => partitions
                .entry(change.key.partition)
                .or_default()
                .entry(change.key.clustering)
                .or_default()
                .extend(columns),
            None => {
                if let Some(partition) = partitions.get_mut(&change.key.partition) {
                    partition.remove(&change.key.clustering);
                    if partition.is_empty() {
                        partitions.remove(&change.key.partition);
                    }
                }
            }
        }
    }
}

fn row(table: &Table, key: Key, columns: &Columns) -> Row {
    let columns =
        columns.iter().filter_map(|(number, value)| Some((table.columns.get(*number)?.name, value.clone()))).collect();
    Row { key, columns }
}

fn change(table: &Table, row: Row) -> Result<Change, TablesError> {
    codec::encode_key(table, &row.key)?;
    let (key, columns) = validation::check_row(table, row)?;
    Ok(Change { table: validation::table_number(table)?, key, columns: Some(columns) })
}

/// Where a clustering key stands to a bound that may name only its first columns, in the order of the table.
fn compare(table: &Table, clustering: &[Value], bound: &[Value]) -> Ordering {
    let ascending = clustering.iter().take(bound.len()).cmp(bound);
    match table.order {
        Order::Ascending => ascending,
        Order::Descending => ascending.reverse(),
    }
}

fn is_within(table: &Table, scan: &Scan, clustering: &[Value]) -> bool {
    let starts = match &scan.start {
        Bound::Unbounded => true,
        Bound::Included(bound) => compare(table, clustering, bound).is_ge(),
        Bound::Excluded(bound) => compare(table, clustering, bound).is_gt(),
    };
    let ends = match &scan.end {
        Bound::Unbounded => true,
        Bound::Included(bound) => compare(table, clustering, bound).is_le(),
        Bound::Excluded(bound) => compare(table, clustering, bound).is_lt(),
    };
    starts && ends
}

#[async_trait]
impl Tables for MemoryTables {
    async fn get_many(&self, keys: Vec<(&'static Table, Key)>) -> Result<Vec<Option<Row>>, TablesError> {
        let state = self.lock();
        state.check_readable()?;
        keys.into_iter()
            .map(|(table, key)| {
                codec::encode_key(table, &key)?;
                let found = state.rows.columns(validation::table_number(table)?, &key);
                Ok(found.map(|columns| row(table, key, columns)))
            })
            .collect()
    }

    async fn scan(&self, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError> {
        codec::encode_scan(table, &scan)?;
        let state = self.lock();
        state.check_readable()?;
        let Some(partition) =
            state.rows.0.get(&validation::table_number(table)?).and_then(|partitions| partitions.get(&scan.partition))
        else {
            return Ok(Vec::new());
        };
        let rows = partition.iter().filter(|(clustering, _)| is_within(table, &scan, clustering)).map(
            |(clustering, columns)| {
                let key = Key { partition: scan.partition.clone(), clustering: clustering.clone() };
                (key, columns)
            },
        );
        let make = |(key, columns)| row(table, key, columns);
        Ok(if scan.backwards == (table.order == Order::Descending) {
            rows.take(scan.limit).map(make).collect()
        } else {
            rows.rev().take(scan.limit).map(make).collect()
        })
    }

    async fn write(&self, batch: Batch, sync: Sync) -> Result<(), TablesError> {
        let changes = batch
            .mutations
            .into_iter()
            .map(|mutation| match mutation {
                Mutation::Put(table, row) => change(table, row),
                Mutation::Delete(table, key) => {
                    codec::encode_key(table, &key)?;
                    Ok(Change { table: validation::table_number(table)?, key, columns: None })
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut state = self.lock();
        state.check_writable()?;
        state.turns.check(batch.derivation)?;
        state.commit(changes, sync);
        Ok(())
    }

    async fn insert_if_absent(&self, table: &'static Table, new: Row) -> Result<Option<Row>, TablesError> {
        let change = change(table, new)?;
        let mut state = self.lock();
        state.check_writable()?;
        if let Some(columns) = state.rows.columns(change.table, &change.key) {
            return Ok(Some(row(table, change.key, columns)));
        }
        state.commit(vec![change], Sync::Now);
        Ok(None)
    }

    async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError> {
        let number = validation::check_column(table, column, expected.as_ref())?;
        let change = change(table, row)?;
        let mut state = self.lock();
        state.check_writable()?;
        let found = state.rows.columns(change.table, &change.key).and_then(|columns| columns.get(&number));
        if found != expected.as_ref() {
            return Ok(false);
        }
        state.commit(vec![change], Sync::Now);
        Ok(true)
    }

    async fn take_turn(&self, partition: u32) -> Result<u64, TablesError> {
        let mut state = self.lock();
        state.check_writable()?;
        Ok(state.turns.take(partition))
    }

    fn refusing(&self) -> Option<String> {
        self.lock().check_writable().err().map(|error| error.to_string())
    }

    async fn sync(&self) -> Result<(), TablesError> {
        let mut state = self.lock();
        state.check_writable()?;
        state.commit(Vec::new(), Sync::Now);
        Ok(())
    }
}

#[async_trait]
impl Dump for MemoryTables {
    async fn page(&self, table: &'static Table, after: Option<Key>, limit: usize) -> Result<Vec<Row>, TablesError> {
        let number = validation::table_number(table)?;
        let state = self.lock();
        let mut rows = Vec::new();
        for (partition, clusters) in state.rows.0.get(&number).into_iter().flatten() {
            let mut clusters: Vec<_> = clusters.iter().collect();
            if table.order == Order::Descending {
                clusters.reverse();
            }
            for (clustering, columns) in clusters {
                let is_after = after.as_ref().is_none_or(|key| {
                    partition.cmp(&key.partition).then_with(|| compare(table, clustering, &key.clustering)).is_gt()
                });
                if is_after && rows.len() < limit {
                    let key = Key { partition: partition.clone(), clustering: clustering.clone() };
                    rows.push(row(table, key, columns));
                }
            }
        }
        Ok(rows)
    }
}
