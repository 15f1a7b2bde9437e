//! The one thread that writes.
//!
//! It takes what waits in the queue as one group: evaluates the requests in order over what the group has changed so far,
//! commits all changes together with the group's number, answers those who need no fsync, makes one fsync, answers the
//! others, and moves the mark. (The mark guards against damage, which a fresh batch is not likely to suffer in the
//! moment before the mark has moved; nobody need wait for a second fsync.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use fjall::{OwnedWriteBatch, PersistMode};
use schemas::tables::Table;
use tokio::sync::{mpsc, oneshot};

use super::health::Health;
use super::mark::Mark;
use super::opening::{self, BATCH_NUMBER_KEY, Store};
use crate::background::give_way;
use crate::tables::codec::{self, Cell};
use crate::tables::turns::Turns;
use crate::tables::{Derivation, Key, Row, Sync, TablesError};

/// How many requests are committed together at most.
const GROUP_REQUESTS: usize = 256;

/// How many bytes are committed together at most, but for the last request of a group.
const GROUP_BYTES: usize = 4 << 20;

pub(super) struct Request {
    pub(super) work: Work,
    pub(super) sync: Sync,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<Outcome, TablesError>>,
}

pub(super) enum Work {
    Batch(Vec<ChangeAt>, Option<Derivation>),
    /// Of this partition of the log.
    TakeTurn(u32),
    /// With the decoded key of the change.
    InsertIfAbsent(ChangeAt, Key),
    UpdateIf {
        change: ChangeAt,
        column: usize,
        expected: Option<Cell>,
    },
}

pub(super) enum Outcome {
    Done,
    /// Insert-if-absent found this row.
    Existing(Row),
    /// Update-if found another value.
    Refused,
    /// The turn with this number has begun.
    Turn(u64),
}

/// What becomes of a row.
pub(super) enum Change {
    Delete,
    /// All columns, encoded.
    Replace(Vec<u8>),
    /// Some columns; the others stay.
    Merge(Vec<Cell>),
}

pub(super) struct ChangeAt {
    pub(super) table: &'static Table,
    pub(super) key: Vec<u8>,
    change: Change,
}

impl Change {
    pub(super) const fn at(self, table: &'static Table, key: Vec<u8>) -> ChangeAt {
        ChangeAt { table, key, change: self }
    }
}

impl ChangeAt {
    /// Whether it says all of what the row will be.
    const fn is_whole(&self) -> bool {
        matches!(self.change, Change::Delete | Change::Replace(_))
    }

    pub(super) fn size_bytes(&self) -> usize {
        let row = match &self.change {
            Change::Delete => 0,
            Change::Replace(row) => row.len(),
            Change::Merge(cells) => cells.iter().map(|cell| cell.bytes.len() + 8).sum(),
        };
        self.key.len() + row
    }
}

impl Work {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Batch(changes, _) => changes.iter().map(ChangeAt::size_bytes).sum(),
            Self::InsertIfAbsent(change, _) | Self::UpdateIf { change, .. } => change.size_bytes(),
            Self::TakeTurn(_) => 0,
        }
    }
}

/// Rows as they will be: `None` is deleted.
type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

pub(super) struct Writer {
    store: Arc<Store>,
    health: Arc<Health>,
    mark: Mark,
    turns: Turns,
    /// The number of the last batch committed.
    number: u64,
}

struct Answer {
    sync: Sync,
    since: Instant,
    reply: oneshot::Sender<Result<Outcome, TablesError>>,
    outcome: Outcome,
}

impl Answer {
    fn send(self, result: Result<(), TablesError>) {
        let sync = match self.sync {
            Sync::Now => "now",
            Sync::Later => "later",
        };
        metrics::histogram!("saler_tables_write_seconds", "sync" => sync).record(self.since.elapsed());
        // Whoever asked may have gone; the write stands all the same.
        let _gone = self.reply.send(result.map(|()| self.outcome));
    }
}

impl Writer {
    pub(super) fn new(store: Arc<Store>, health: Arc<Health>, mark: Mark, number: u64) -> Self {
        Self { store, health, mark, turns: Turns::default(), number }
    }

    /// Works until the queue is closed and empty, then makes everything durable.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(first) = queue.blocking_recv() {
            let mut size_bytes = first.work.size_bytes();
            let mut group = vec![first];
            while group.len() < GROUP_REQUESTS && size_bytes < GROUP_BYTES {
                let Ok(request) = queue.try_recv() else { break };
                size_bytes += request.work.size_bytes();
                group.push(request);
            }
            give_way();
            self.health.write_begins();
            self.write_group(group);
            self.health.write_ended();
        }
        if let Err(error) = self.sync_journal().and_then(|()| self.move_mark()) {
            tracing::error!(error, "the tables could not be made durable while closing");
        }
    }

    fn write_group(&mut self, group: Vec<Request>) {
        let mut changes = Overlay::new();
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            let evaluated = self.health.check_space().and_then(|()| self.evaluate(request.work, &mut changes));
            match evaluated {
                Ok(outcome) => {
                    answers.push(Answer { sync: request.sync, since: request.since, reply: request.reply, outcome });
                }
                Err(error) => {
                    metrics::counter!("saler_tables_refused_writes_total").increment(1);
                    let _gone = request.reply.send(Err(error));
                }
            }
        }
        if let Err(reason) = self.commit(changes) {
            self.fail_all(answers, &reason);
            return;
        }
        let (now, later): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.sync == Sync::Now);
        for answer in later {
            answer.send(Ok(()));
        }
        if now.is_empty() {
            return;
        }
        if let Err(reason) = self.sync_journal() {
            self.fail_all(now, &reason);
            return;
        }
        for answer in now {
            answer.send(Ok(()));
        }
        if let Err(reason) = self.move_mark() {
            self.health.fail(&reason);
        }
    }

    fn fail_all(&self, answers: Vec<Answer>, reason: &str) {
        let reason = self.health.fail(reason);
        for answer in answers {
            answer.send(Err(TablesError::Unavailable { reason: reason.clone() }));
        }
    }

    /// Adds what a request changes to what its group has changed before it: all of it, or nothing after an error.
    fn evaluate(&mut self, work: Work, group: &mut Overlay) -> Result<Outcome, TablesError> {
        let mut changes = Overlay::new();
        match work {
            Work::TakeTurn(partition) => return Ok(Outcome::Turn(self.turns.take(partition))),
            Work::Batch(batch, derivation) if batch.iter().all(ChangeAt::is_whole) => {
                self.turns.check(derivation)?;
                // Nothing is looked up, so nothing can fail half-way.
                for change in batch {
                    self.apply(change, &Overlay::new(), group)?;
                }
                return Ok(Outcome::Done);
            }
            Work::Batch(batch, derivation) => {
                self.turns.check(derivation)?;
                for change in batch {
                    self.apply(change, group, &mut changes)?;
                }
            }
            Work::InsertIfAbsent(change, key) => {
                if let Some(row) = self.current(change.table, &change.key, group, &changes)? {
                    let row = codec::decode_row(change.table, key, &change.key, &row)?;
                    return Ok(Outcome::Existing(row));
                }
                self.apply(change, group, &mut changes)?;
            }
            Work::UpdateIf { change, column, expected } => {
                let found = match self.current(change.table, &change.key, group, &changes)? {
                    Some(row) => codec::decode_cells(change.table, &change.key, &row)?
                        .into_iter()
                        .find(|cell| usize::from(cell.column) == column),
                    None => None,
                };
                if found != expected {
                    return Ok(Outcome::Refused);
                }
                self.apply(change, group, &mut changes)?;
            }
        }
        group.extend(changes);
        Ok(Outcome::Done)
    }

    fn apply(&self, change: ChangeAt, before: &Overlay, changes: &mut Overlay) -> Result<(), TablesError> {
        let row = match change.change {
            Change::Delete => None,
            Change::Replace(row) => Some(row),
            Change::Merge(cells) => {
                let older = match self.current(change.table, &change.key, before, changes)? {
                    Some(row) => codec::decode_cells(change.table, &change.key, &row)?,
                    None => Vec::new(),
                };
                Some(codec::encode_row(&change.key, &codec::merge_cells(older, &cells)))
            }
        };
        changes.insert(change.key, row);
        Ok(())
    }

    fn current(
        &self,
        table: &Table,
        key: &[u8],
        before: &Overlay,
        changes: &Overlay,
    ) -> Result<Option<Vec<u8>>, TablesError> {
        if let Some(row) = changes.get(key).or_else(|| before.get(key)) {
            return Ok(row.clone());
        }
        let row = self.store.rows.get(key).map_err(|error| opening::read_error(table.name, &error))?;
        Ok(row.map(|row| row.to_vec()))
    }

    /// Writes the changes and the group's number, all or none. The operating system has them when this returns.
    fn commit(&mut self, changes: Overlay) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        metrics::histogram!("saler_tables_batch_rows").record(u32::try_from(changes.len()).unwrap_or(u32::MAX));
        let number = self.number + 1;
        let rows = &self.store.rows;
        let mut batch = OwnedWriteBatch::with_capacity(self.store.database.clone(), changes.len() + 1)
            .durability(Some(PersistMode::Buffer));
        for (key, row) in changes {
            match row {
                Some(row) => batch.insert(rows, key, row),
                None => batch.remove(rows, key),
            }
        }
        batch.insert(rows, BATCH_NUMBER_KEY, number.to_be_bytes());
        batch.commit().map_err(|error| format!("the store cannot write ({error})"))?;
        self.number = number;
        Ok(())
    }

    fn sync_journal(&self) -> Result<(), String> {
        self.store
            .database
            .persist(PersistMode::SyncAll)
            .map_err(|error| format!("the store cannot make its journal durable ({error})"))
    }

    /// To the last batch, which is durable.
    fn move_mark(&mut self) -> Result<(), String> {
        self.mark
            .write(self.number)
            .map_err(|error| format!("the file {} cannot be written ({error})", super::mark::FILE))
    }
}
