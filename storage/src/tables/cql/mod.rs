//! The tables of a hub on many machines, on ScyllaDB or Apache Cassandra.
//!
//! Only what both servers have is used. Tables follow from their declarations (see `schema`), are made and changed by
//! whichever process comes first (see `migration`), and every statement is prepared (see `statements`).
//!
//! # What is written and read how
//!
//! | operation | statement | consistency | sent again |
//! | --- | --- | --- | --- |
//! | get, scan, dump | `SELECT`; several rows of a table by one, where they share all of their key but its last column | `LOCAL_QUORUM` | by the driver, and to a second node after [`CqlOptions::speculative_read_after`] |
//! | write, derived: commit | conditional `UPDATE` of the journal | `LOCAL_SERIAL`, then `LOCAL_QUORUM` | after a serial read says that it was not made |
//! | write, derived: rows | `INSERT`, `DELETE` with timestamps; unlogged batches of rows of one node | `LOCAL_QUORUM` | by the driver; then by the next write or turn |
//! | write, not derived, one partition | one statement, or an unlogged batch, which is whole within a partition | `LOCAL_QUORUM` | no |
//! | write, not derived, several partitions | logged batch | `LOCAL_QUORUM` | no |
//! | insert-if-absent | `INSERT … IF NOT EXISTS` | `LOCAL_SERIAL`, then `LOCAL_QUORUM` | after a serial read says that it was not made |
//! | update-if | `UPDATE … IF column = …` | the same | the same |
//! | take a turn | the same, on the journal | the same | the same |
//!
//! Quorums of reads and writes overlap, so who reads after a write has returned sees it. All processes of a hub must work in
//! one datacenter: `LOCAL_SERIAL` agrees within one only.
//!
//! # Batches
//!
//! A derived batch is one conditional write of a journal, after which it is made whatever happens: see `journal`. Other
//! batches are small and rare (settings); over several partitions they are logged batches, which the servers finish
//! themselves, up to [`LOGGED_BATCH_BYTES`]. The outbox is read only by whoever has just taken a turn, so its rows stay in the
//! journal until then: another process sees them once it has taken the turn (see `carried`). In both cases a reader that runs beside a batch may see some of its rows before
//! the others; who begins to read after the write has returned sees all.
//!
//! Durability is that of the servers: a quorum has the write in its commit log. [`Sync::Now`] and [`Sync::Later`] are the
//! same here.
//!
//! # Timestamps
//!
//! Of two values of a column the servers keep the one with the larger timestamp. Derived rows carry the version of their
//! batch. All others carry the timestamp of the node that coordinates them, never the client's: a conditional write always
//! has the coordinator's (in Apache Cassandra cut to the millisecond, unless it is in use), and a plain write by a client whose
//! clock is a millisecond ahead would hide the conditional write that follows it. So the nodes' clocks must agree to within
//! the time between a plain and a conditional write of the same row, which for what people set up is many milliseconds: run
//! NTP, as both servers ask for anyway. A row is written by derived batches alone or by others alone.
//!
//! # When servers are away
//!
//! A request ends after [`CqlOptions::request_timeout`] at the latest, and at once if no node is connected. After three
//! failures in a row [`Tables::refusing`] says so; connecting and asking go on in the background, and once a quorum answers
//! again everything works again.

mod apply;
mod carried;
mod changes;
mod conditional;
mod failure;
mod journal;
mod journal_codec;
mod limits;
mod migration;
mod options;
mod reads;
mod scan;
mod schema;
mod server;
mod statements;
mod values;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use schemas::tables::{Order, Table, Value};
use scylla::statement::batch::BatchType;
use tokio::task::AbortHandle;

use self::carried::is_carried;
use self::changes::{Change, by_partition, changes_of};
use self::conditional::Conditional;
use self::journal::Journal;
use self::limits::BatchLimits;
use self::migration::Migration;
pub use self::migration::{migrate, migrate_tables};
pub use self::options::{CqlCredentials, CqlOptions, CqlTls};
use self::server::{Bound, Server, connect};
use super::dump::Dump;
use super::{Batch, Key, Row, Scan, Sync, Tables, TablesError, codec, validation};

/// The largest batch that is not derived and changes several partitions, in bytes: 40 KiB. Apache Cassandra refuses such
/// batches over 50 KiB, as it counts them, unless it is configured otherwise.
pub const LOGGED_BATCH_BYTES: usize = 40 << 10;

/// The largest batch that is not derived and changes one partition, in bytes: 8 MiB.
pub const PARTITION_BATCH_BYTES: usize = changes::ROW_BYTES;

/// Tables on CQL servers.
pub struct CqlTables {
    server: Arc<Server>,
    journal: Journal,
    conditional: Conditional,
    probing: AbortHandle,
}

impl fmt::Debug for CqlTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlTables").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for CqlTables {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

impl CqlTables {
    /// Connects, and makes or checks the tables.
    ///
    /// # Errors
    /// [`TablesError::Unavailable`] if no server answers, [`TablesError::Invalid`] if the options make no sense or the
    /// tables that are there are others, and cannot be made into those declared.
    pub async fn open(options: CqlOptions) -> Result<Self, TablesError> {
        let (session, profiles) = Box::pin(connect(&options)).await?;
        let migration = Migration { session: &session, options: &options };
        if options.migrate {
            Box::pin(migration.run(schema::all())).await?;
        } else {
            Box::pin(migration.check(schema::all())).await?;
        }
        // The tables may be younger than what the session knows, and are needed for routing.
        Box::pin(session.refresh_metadata()).await.map_err(|error| TablesError::Unavailable {
            reason: format!("the nodes at {} do not tell of the cluster: {error}", options.nodes_text()),
        })?;
        let limits = Box::pin(BatchLimits::of(&session)).await;
        let server = Arc::new(Server::new(&options, session, profiles, limits));
        Ok(Self {
            journal: Journal::new(Arc::clone(&server)),
            conditional: Conditional::new(Arc::clone(&server)),
            probing: tokio::spawn(Arc::clone(&server).probe()).abort_handle(),
            server,
        })
    }

    /// Commits a derived batch and stops there, as a process does that dies at that moment: for tests of what follows.
    ///
    /// # Errors
    /// As [`Tables::write`].
    #[doc(hidden)]
    pub async fn commit_only(&self, batch: Batch) -> Result<(), TablesError> {
        let Some(derivation) = batch.derivation else { return Ok(()) };
        let changes = changes_of(batch.mutations)?;
        Box::pin(self.journal.commit(derivation, &changes)).await.map(drop)
    }

    /// Rows that this process carries are written before they are read.
    async fn settle(&self, table: &Table, partition: &[Value]) -> Result<(), TablesError> {
        if !is_carried(table) {
            return Ok(());
        }
        let partition = match partition {
            [Value::Int(number), ..] => u32::try_from(*number).ok(),
            _ => None,
        };
        Box::pin(self.journal.settle(partition)).await
    }

    /// Writes changes that are not derived.
    async fn write_now(&self, changes: &[Change]) -> Result<(), TablesError> {
        let partitions = by_partition(changes).len();
        let size_bytes: usize = changes.iter().map(Change::size_bytes).sum();
        let (kind, limit) = if partitions > 1 {
            (BatchType::Logged, LOGGED_BATCH_BYTES)
        } else {
            (BatchType::Unlogged, PARTITION_BATCH_BYTES)
        };
        if size_bytes > limit {
            return Err(TablesError::Invalid {
                reason: format!(
                    "a batch over {partitions} partitions has {size_bytes} bytes, the limit of the servers is {limit}: write it in parts"
                ),
            });
        }
        let mut statements = Vec::with_capacity(changes.len());
        for change in changes {
            let write = change.write(None);
            let statement = self.server.prepare(write.table, write.operation).await?;
            statements.push(Bound { statement, values: write.values });
        }
        if statements.len() > 1 {
            return Ok(self.server.batch(kind, false, statements).await?);
        }
        for bound in statements {
            self.server.execute(bound).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Tables for CqlTables {
    async fn get_many(&self, keys: Vec<(&'static Table, Key)>) -> Result<Vec<Option<Row>>, TablesError> {
        for (table, key) in &keys {
            codec::encode_key(table, key)?;
            self.settle(table, &key.partition).await?;
        }
        Box::pin(reads::rows(&self.server, &keys)).await
    }

    async fn scan(&self, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError> {
        self.settle(table, &scan.partition).await?;
        Box::pin(scan::scan(&self.server, table, scan)).await
    }

    async fn write(&self, batch: Batch, _sync: Sync) -> Result<(), TablesError> {
        let changes = changes_of(batch.mutations)?;
        let begun = tokio::time::Instant::now();
        match batch.derivation {
            Some(derivation) => Box::pin(self.journal.write(derivation, &changes)).await,
            None => Box::pin(self.write_now(&changes)).await,
        }?;
        #[expect(clippy::cast_precision_loss, reason = "a histogram")]
        metrics::histogram!("saler_tables_batch_rows").record(changes.len() as f64);
        metrics::histogram!("saler_tables_write_seconds").record(begun.elapsed().as_secs_f64());
        Ok(())
    }

    async fn insert_if_absent(&self, table: &'static Table, row: Row) -> Result<Option<Row>, TablesError> {
        Box::pin(self.conditional.insert_if_absent(table, row)).await
    }

    async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError> {
        Box::pin(self.conditional.update_if(table, row, column, expected)).await
    }

    async fn take_turn(&self, partition: u32) -> Result<u64, TablesError> {
        Box::pin(self.journal.take_turn(partition)).await
    }

    fn refusing(&self) -> Option<String> {
        self.server.away()
    }

    /// A write is as durable as it gets when it returns.
    async fn sync(&self) -> Result<(), TablesError> {
        Ok(())
    }
}

#[async_trait]
impl Dump for CqlTables {
    /// Servers keep partitions in the order of a hash, so each page reads the table whole and keeps the rows that come next:
    /// for tests and small stores.
    async fn page(&self, table: &'static Table, after: Option<Key>, limit: usize) -> Result<Vec<Row>, TablesError> {
        validation::table_number(table)?;
        self.settle(table, &[]).await?;
        let compare = |a: &Key, b: &Key| {
            let clustering = a.clustering.cmp(&b.clustering);
            a.partition.cmp(&b.partition).then(match table.order {
                Order::Ascending => clustering,
                Order::Descending => clustering.reverse(),
            })
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut take = |row: Row| {
            if after.as_ref().is_none_or(|after| compare(&row.key, after).is_gt()) {
                rows.push(row);
                if rows.len() >= limit.saturating_mul(2).max(1) {
                    rows.sort_by(|a, b| compare(&a.key, &b.key));
                    rows.truncate(limit);
                }
            }
        };
        Box::pin(scan::everything(&self.server, table, &mut take)).await?;
        rows.sort_by(|a, b| compare(&a.key, &b.key));
        rows.truncate(limit);
        Ok(rows)
    }
}
