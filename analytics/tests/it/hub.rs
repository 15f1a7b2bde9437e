//! Analytics over a log in memory, with the real worker process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use analytics::sql::pool::SqlOptions;
use analytics::sql::{SqlError, SqlRequest, SqlResult};
use analytics::{Analytics, AnalyticsOptions};
use bytes::Bytes;
use schemas::event::EventRecord;
use schemas::{Timestamp, WorkspaceId};
use serde_json::Value;
use storage::clock::{Clock, ManualClock};
use storage::log::memory::MemoryLog;
use storage::log::{Log, NewRecord, Topic, partition_of};
use tokio_util::sync::CancellationToken;

use crate::events::START;

/// The longest that a test waits for something, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const PARTITIONS: u32 = 2;

/// What each query of a test may take, unless the test is about it.
pub(crate) const GENEROUS: Duration = Duration::from_secs(50);

pub(crate) fn options(folder: &Path) -> AnalyticsOptions {
    let mut sql = SqlOptions::new(env!("CARGO_BIN_EXE_sql-worker").into(), Vec::new());
    sql.timeout = GENEROUS;
    sql.limits.cpu_seconds = 60;
    sql.limits.pool_bytes = 64 << 20;
    sql.stops_before_pause = usize::MAX;
    AnalyticsOptions::new(folder.to_owned(), sql)
}

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) analytics: Arc<Analytics>,
    pub(crate) clock: Arc<ManualClock>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Hub {
    pub(crate) fn open(options: AnalyticsOptions, log: &Arc<MemoryLog>) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let analytics = Analytics::open(options, Arc::clone(log) as Arc<dyn Log>, Arc::clone(&clock) as _).unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&analytics).run(stop.clone()));
        Self { analytics, clock, stop, running }
    }

    /// Lets time go on until it is this late.
    pub(crate) fn at(&self, now: Timestamp) {
        self.clock.advance(now.since(self.clock.now()));
    }

    /// As a crash leaves it: nothing is flushed.
    pub(crate) async fn crash(self) {
        self.running.abort();
        let _aborted = self.running.await;
    }

    /// As a shutdown leaves it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// Waits until all that is in the log is counted.
    pub(crate) async fn caught_up(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let wait = async {
            for partition in 0..PARTITIONS {
                while self.analytics.lag(partition).await.unwrap() > 0 {
                    ticks.tick().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("events are counted");
    }

    pub(crate) async fn try_sql(&self, workspace_id: WorkspaceId, sql: &str) -> Result<SqlResult, SqlError> {
        self.sql_within(workspace_id, sql, GENEROUS).await
    }

    pub(crate) async fn sql_within(
        &self,
        workspace_id: WorkspaceId,
        sql: &str,
        timeout: Duration,
    ) -> Result<SqlResult, SqlError> {
        let request = SqlRequest { timeout: Some(timeout), ..SqlRequest::new(sql) };
        self.analytics.sql(workspace_id, request).await
    }

    pub(crate) async fn sql(&self, workspace_id: WorkspaceId, sql: &str) -> Vec<Vec<Value>> {
        let answer = self.try_sql(workspace_id, sql).await;
        answer.unwrap_or_else(|error| panic!("{sql}: {error}")).to_json_rows().unwrap()
    }
}

pub(crate) async fn append(log: &MemoryLog, events: &[EventRecord]) {
    for event in events {
        let record =
            NewRecord { key: event.workspace_id, at: event.at, value: Bytes::from(serde_json::to_vec(event).unwrap()) };
        let partition = partition_of(event.workspace_id, log.partitions());
        log.append(Topic::Events, partition, vec![record]).await.unwrap();
    }
}
