//! The tables of a hub on one machine, on fjall, a log-structured store of ordered keys.
//!
//! # Files
//!
//! ```text
//! DIR/lock      held while the tables are open, so that two processes never open one folder
//! DIR/durable   the number of the last batch that was acknowledged as durable (see `mark`)
//! DIR/store/    fjall's own files
//! ```
//!
//! # One keyspace for all tables
//!
//! Rows of all tables stand in one keyspace, under keys that begin with the table's number (see [`super::codec`]).
//! - fjall recovers each keyspace by itself: what was flushed, then its journal. With several, a journal that ends early
//!   leaves one keyspace ahead of another. With one, what is recovered is always a beginning of the sequence of batches,
//!   which is what [`Sync::Later`] promises.
//! - One write buffer of [`EmbeddedTablesOptions::write_buffer_bytes`] in place of thirty, and one set of files.
//! - Tables do not mix: a scan is a range of keys, a point read asks a Bloom filter (about 1 % false positives, so that the
//!   question "was this provider's message seen before" rarely reads a block).
//!
//! # One writer thread
//!
//! fjall's commit blocks, on the disk and when its background work is behind, and holds one lock while it does. So one
//! thread takes requests from a bounded queue and makes one commit, and at most one fsync, for all that wait together.
//! Being alone, it needs no lock for reading before it writes: insert-if-absent, update-if, and a put of some columns of a
//! row (a put of all columns does not read). Reads go to a bounded number of blocking threads, each over a snapshot, so
//! that none sees half a batch.
//!
//! # What is guarded against
//!
//! - A write that takes longer than [`EmbeddedTablesOptions::write_stall_limit`]: until it ends, [`Tables::refusing`] says
//!   so and new writes are refused at once.
//! - A disk that fills up. fjall cannot go on after a failed write, so writes are refused with [`TablesError::DiskFull`]
//!   while less than [`EmbeddedTablesOptions::minimum_free_bytes`] are free.
//! - A store that failed nevertheless: every later write is [`TablesError::Unavailable`] with the advice to restart.
//! - An opening that hangs (seen after a kill in the middle of writes): it is given up and tried once more.
//! - A journal that is damaged in the middle, which fjall would take for its end: see `journal` and `mark`.
//! - fjall's `clear` is never called.

mod health;
mod journal;
mod mark;
mod opening;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fjall::Readable;
use schemas::tables::{Table, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::health::Health;
use self::opening::Store;
use self::writer::{Change, ChangeAt, Outcome, Request, Work, Writer};
use super::codec::Cell;
use super::dump::Dump;
use super::validation::MAX_BATCH_BYTES;
use super::{Batch, Key, Mutation, Row, Scan, Sync, Tables, TablesError, codec, validation};
use crate::background::give_way;

/// How many writes wait in the queue at most; further callers wait for a place.
const QUEUE_REQUESTS: usize = 1_024;

/// After so many rows of a batch, others go first: some 50 µs of work.
const MUTATIONS_BETWEEN_PAUSES: usize = 32;

/// How many reads run at once, each on a blocking thread.
const READERS: usize = 8;

/// Where the tables stand, and how much they may use.
#[derive(Clone, Debug)]
pub struct EmbeddedTablesOptions {
    /// The folder; made if it is not there.
    pub dir: PathBuf,
    /// Blocks of files kept in memory, in bytes. Default 32 MiB.
    pub cache_bytes: u64,
    /// Rows kept in memory before they are written to a file, in bytes as fjall counts them. Up to four times as much is
    /// held while the disk is behind. Fixed when the folder is made. Default 8 MiB.
    pub write_buffer_bytes: u64,
    /// Below this many free bytes on the volume, writes are refused. Must leave room for what the background work still
    /// writes: the write buffers and one merge of files. Default 256 MiB.
    pub minimum_free_bytes: u64,
    /// A write that takes longer counts as stalled. Default 10 s.
    pub write_stall_limit: Duration,
}

impl EmbeddedTablesOptions {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            cache_bytes: 32 << 20,
            write_buffer_bytes: 8 << 20,
            minimum_free_bytes: 256 << 20,
            write_stall_limit: Duration::from_secs(10),
        }
    }
}

/// Tables in a folder. Dropping it makes everything durable and lets go of the folder.
pub struct EmbeddedTables {
    store: Arc<Store>,
    health: Arc<Health>,
    readers: Arc<Semaphore>,
    /// `None` once closing has begun.
    requests: Option<mpsc::Sender<Request>>,
    writer_ended: Mutex<std_mpsc::Receiver<()>>,
}

impl fmt::Debug for EmbeddedTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedTables")
            .field("dir", &self.health.options().dir)
            .field("refusing", &self.refusing())
            .finish_non_exhaustive()
    }
}

impl EmbeddedTables {
    /// Opens the tables in a folder, or makes them. Blocks while it reads the journal, some hundred milliseconds at most
    /// on a healthy disk.
    ///
    /// # Errors
    /// [`TablesError::Unavailable`] if another process has them open, or the disk fails. [`TablesError::Corrupt`] if rows
    /// that were acknowledged as durable are not there. [`TablesError::DiskFull`].
    pub fn open(options: EmbeddedTablesOptions) -> Result<Self, TablesError> {
        let health = Arc::new(Health::new(options));
        health.check_space()?;
        let (store, mark, number) = opening::open(health.options())?;
        let store = Arc::new(store);
        let (requests, queue) = mpsc::channel(QUEUE_REQUESTS);
        let (ended, writer_ended) = std_mpsc::sync_channel(1);
        let writer = Writer::new(Arc::clone(&store), Arc::clone(&health), mark, number);
        std::thread::Builder::new()
            .name("tables-writer".to_owned())
            .spawn(move || {
                writer.run(queue);
                // Nobody listens if the tables were dropped and did not wait any longer.
                let _nobody_waits = ended.try_send(());
            })
            .map_err(|error| TablesError::Unavailable {
                reason: format!("the tables' writer thread cannot be started: {error}"),
            })?;
        Ok(Self {
            store,
            health,
            readers: Arc::new(Semaphore::new(READERS)),
            requests: Some(requests),
            writer_ended: Mutex::new(writer_ended),
        })
    }

    /// Bytes on disk: rows and journal.
    pub fn size_bytes(&self) -> u64 {
        self.store.database.disk_space().unwrap_or_default()
    }

    async fn submit(&self, work: Work, sync: Sync) -> Result<Outcome, TablesError> {
        self.health.check()?;
        let closed = || TablesError::Unavailable { reason: "the tables are closed".to_owned() };
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        let request = Request { work, sync, since: Instant::now(), reply };
        let answered = async {
            requests.send(request).await.map_err(|_closed| closed())?;
            answer.await.map_err(|_closed| closed())?
        };
        tokio::pin!(answered);
        let mut fatal = self.health.subscribe_fatal();
        loop {
            tokio::select! {
                biased;
                outcome = &mut answered => return outcome,
                error = fatal.failed() => return Err(error),
                () = tokio::time::sleep(self.health.stall_limit()) => self.health.look_into_stall(&self.store),
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, TablesError> + Send + 'static,
    ) -> Result<T, TablesError> {
        let unavailable = |reason: String| TablesError::Unavailable { reason };
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|error| unavailable(error.to_string()))?;
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let result = work(&store);
            drop(permit);
            result
        })
        .await
        .map_err(|error| unavailable(format!("a read of the tables did not end: {error}")))?
    }
}

impl Drop for EmbeddedTables {
    fn drop(&mut self) {
        self.requests = None;
        let ended = self.writer_ended.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if ended.recv_timeout(self.health.stall_limit()).is_err() {
            tracing::error!(dir = %self.health.options().dir.display(), "the tables' writer did not end; what was not durable may be lost");
        }
    }
}

fn put(table: &'static Table, row: Row) -> Result<(ChangeAt, Vec<Cell>), TablesError> {
    let (key, columns) = validation::check_row(table, row)?;
    let key_bytes = codec::encode_key(table, &key)?;
    let cells = columns.into_iter().map(|(number, value)| Cell::new(number, value)).collect::<Result<Vec<_>, _>>()?;
    let change = if cells.len() == table.columns.len() {
        Change::Replace(codec::encode_row(&key_bytes, &cells))
    } else {
        Change::Merge(cells.clone())
    };
    Ok((change.at(table, key_bytes), cells))
}

#[async_trait]
impl Tables for EmbeddedTables {
    async fn get_many(&self, keys: Vec<(&'static Table, Key)>) -> Result<Vec<Option<Row>>, TablesError> {
        let keys = keys
            .into_iter()
            .map(|(table, key)| Ok((table, codec::encode_key(table, &key)?, key)))
            .collect::<Result<Vec<_>, TablesError>>()?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |store| {
            let snapshot = store.database.snapshot();
            keys.into_iter()
                .map(|(table, bytes, key)| {
                    snapshot
                        .get(&store.rows, &bytes)
                        .map_err(|error| opening::read_error(table.name, &error))?
                        .map(|row| codec::decode_row(table, key, &bytes, &row))
                        .transpose()
                })
                .collect()
        })
        .await
    }

    async fn scan(&self, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError> {
        let (first, last) = codec::encode_scan(table, &scan)?;
        if first >= last || scan.limit == 0 {
            return Ok(Vec::new());
        }
        self.read(move |store| rows_between(store, table, (first, last), scan.limit, scan.backwards)).await
    }

    async fn write(&self, batch: Batch, sync: Sync) -> Result<(), TablesError> {
        let mut changes = Vec::with_capacity(batch.mutations.len());
        let mut size_bytes = 0_usize;
        for (index, mutation) in batch.mutations.into_iter().enumerate() {
            if index % MUTATIONS_BETWEEN_PAUSES == 0 {
                give_way();
            }
            let change = match mutation {
                Mutation::Put(table, row) => put(table, row)?.0,
                Mutation::Delete(table, key) => Change::Delete.at(table, codec::encode_key(table, &key)?),
            };
            size_bytes = size_bytes.saturating_add(change.size_bytes());
            changes.push(change);
        }
        if size_bytes > MAX_BATCH_BYTES {
            return Err(TablesError::Invalid {
                reason: format!("a batch has {size_bytes} bytes, the limit is {MAX_BATCH_BYTES}: write it in parts"),
            });
        }
        self.submit(Work::Batch(changes, batch.derivation), sync).await.map(drop)
    }

    async fn insert_if_absent(&self, table: &'static Table, row: Row) -> Result<Option<Row>, TablesError> {
        let key = row.key.clone();
        let (change, _) = put(table, row)?;
        match self.submit(Work::InsertIfAbsent(change, key), Sync::Now).await? {
            Outcome::Existing(row) => Ok(Some(row)),
            Outcome::Done | Outcome::Refused | Outcome::Turn(_) => Ok(None),
        }
    }

    async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError> {
        let number = validation::check_column(table, column, expected.as_ref())?;
        let expected = expected.map(|value| Cell::new(number, value)).transpose()?;
        let (change, cells) = put(table, row)?;
        let work =
            Work::UpdateIf { change: Change::Merge(cells).at(change.table, change.key), column: number, expected };
        Ok(matches!(self.submit(work, Sync::Now).await?, Outcome::Done))
    }

    async fn take_turn(&self, partition: u32) -> Result<u64, TablesError> {
        match self.submit(Work::TakeTurn(partition), Sync::Later).await? {
            Outcome::Turn(turn) => Ok(turn),
            _ => Err(TablesError::Unavailable { reason: "a turn was not begun".to_owned() }),
        }
    }

    fn refusing(&self) -> Option<String> {
        self.health.check().err().map(|error| error.to_string())
    }

    async fn sync(&self) -> Result<(), TablesError> {
        self.submit(Work::Batch(Vec::new(), None), Sync::Now).await.map(drop)
    }
}

#[async_trait]
impl Dump for EmbeddedTables {
    async fn page(&self, table: &'static Table, after: Option<Key>, limit: usize) -> Result<Vec<Row>, TablesError> {
        let (mut first, last) = codec::encode_table(table)?;
        if let Some(key) = after {
            first = codec::encode_key(table, &key)?;
            // The smallest key after this one.
            first.push(0);
        }
        self.read(move |store| rows_between(store, table, (first, last), limit, false)).await
    }
}

fn rows_between(
    store: &Store,
    table: &'static Table,
    (first, last): (Vec<u8>, Vec<u8>),
    limit: usize,
    backwards: bool,
) -> Result<Vec<Row>, TablesError> {
    let range = store.database.snapshot().range(&store.rows, first..last);
    let decode = |guard: fjall::Guard| {
        let (key, row) = guard.into_inner().map_err(|error| opening::read_error(table.name, &error))?;
        codec::decode_row(table, codec::decode_key(table, &key)?, &key, &row)
    };
    if backwards { range.rev().take(limit).map(decode).collect() } else { range.take(limit).map(decode).collect() }
}
