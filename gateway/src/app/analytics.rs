//! Connects analytics: SQL and KPIs for REST, live boards for sockets, and when the log may let go of events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::analytics::kpi::series::QuestionError;
use ::analytics::sql::pool::SqlOptions;
use ::analytics::sql::{SqlError, SqlRequest};
use ::analytics::{Analytics, AnalyticsOptions, SeriesError};
use anyhow::Context;
use async_trait::async_trait;
use schemas::WorkspaceId;
use schemas::api::analytics::{KpiSeriesQuery, SqlAnswer, SqlColumn};
use schemas::kpi::{KpiBoard, KpiSeriesAnswer};
use storage::clock::Clock;
use storage::log::{Log, Topic};
use tokio_util::sync::CancellationToken;

use super::engines::DataFolder;
use super::remote::{Remote, RemoteBoards};
use super::tasks::Tasks;
use crate::bucket::Bucket;
use crate::config::{Config, Role, Roles};
use crate::http::analytics::{AnalyticsPort, QueryError};
use crate::realtime::{BoardFeed, BoardSource, WatchFeed};

/// How often the log is told which events are counted durably.
const RELEASE_EVERY: Duration = Duration::from_secs(30);

/// What of analytics the rest of the hub is given.
#[derive(Clone, Debug)]
pub(super) struct Started {
    pub(super) port: Arc<dyn AnalyticsPort>,
    pub(super) boards: Arc<dyn BoardSource>,
}

/// Analytics behind the gateway's port.
#[derive(Debug)]
struct Adapter {
    analytics: Arc<Analytics>,
    max_rows: usize,
}

#[async_trait]
impl AnalyticsPort for Adapter {
    async fn sql(&self, workspace_id: WorkspaceId, sql: &str) -> Result<SqlAnswer, QueryError> {
        let request = SqlRequest { max_rows: Some(self.max_rows), ..SqlRequest::new(sql) };
        let result = self.analytics.sql(workspace_id, request).await.map_err(|error| match error {
            SqlError::TooBusy { .. } | SqlError::Paused { .. } => QueryError::Busy { reason: error.to_string() },
            SqlError::Unavailable => QueryError::Unavailable { reason: error.to_string() },
            refused => QueryError::Refused { reason: refused.to_string() },
        })?;
        let unreadable = |error: String| QueryError::Unavailable { reason: error };
        let columns = result.columns().map_err(|error| unreadable(error.to_string()))?;
        let rows = result.to_json_rows().map_err(|error| unreadable(error.to_string()))?;
        let columns =
            columns.into_iter().map(|column| SqlColumn { name: column.name, data_type: column.data_type }).collect();
        Ok(SqlAnswer { columns, rows, truncated: result.truncated })
    }

    async fn kpis(&self, workspace_id: WorkspaceId) -> Result<KpiBoard, QueryError> {
        let board = self.analytics.kpi_board(workspace_id).await;
        board.map_err(|error| QueryError::Unavailable { reason: error.to_string() })
    }

    async fn kpi_series(
        &self,
        workspace_id: WorkspaceId,
        time_zone: &str,
        query: &KpiSeriesQuery,
    ) -> Result<KpiSeriesAnswer, QueryError> {
        let unknown = || QueryError::Unavailable { reason: format!("the time zone {time_zone:?} is not known here") };
        let zone = time_zone.parse().map_err(|_unknown| unknown())?;
        self.analytics.kpi_series(workspace_id, zone, query).await.map_err(|error| match error {
            SeriesError::Question(QuestionError { field, reason }) => {
                QueryError::Invalid { field: field.to_owned(), reason }
            }
            SeriesError::Busy => QueryError::Busy { reason: error.to_string() },
            SeriesError::TimedOut => QueryError::Refused { reason: error.to_string() },
            SeriesError::Failed(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a series of KPIs cannot be computed");
                QueryError::Unavailable { reason: error.to_string() }
            }
        })
    }
}

#[derive(Debug)]
struct BoardsOf(Arc<Analytics>);

impl BoardSource for BoardsOf {
    fn subscribe(&self, workspace_id: WorkspaceId) -> Box<dyn BoardFeed> {
        Box::new(WatchFeed::new(self.0.subscribe(workspace_id)))
    }
}

/// Starts analytics in this process if it has the role; else asks those that have it.
pub(super) async fn start(
    config: &Config,
    roles: &Roles,
    log: &Arc<dyn Log>,
    clock: &Arc<dyn Clock>,
    tasks: &mut Tasks,
) -> anyhow::Result<Started> {
    if roles.has(Role::Analytics) {
        return start_here(config, log, clock, tasks).await;
    }
    if config.analytics.urls().is_empty() && roles.has(Role::Gateway) {
        tracing::warn!("analytics.urls is empty: KPIs, boards and SQL are answered 503 by this process");
    }
    let remote = Arc::new(Remote::new(config).context("no HTTP client can be made for analytics")?);
    Ok(Started { port: Arc::clone(&remote) as _, boards: Arc::new(RemoteBoards(remote)) })
}

/// Opens what analytics keeps and starts to follow the log.
async fn start_here(
    config: &Config,
    log: &Arc<dyn Log>,
    clock: &Arc<dyn Clock>,
    tasks: &mut Tasks,
) -> anyhow::Result<Started> {
    let mut options = AnalyticsOptions::new(DataFolder::of(config).analytics(), sql_options(config)?);
    options.lake = config.lake.options().map_err(anyhow::Error::msg)?;
    if let Some(bucket) = config.lake.bucket().map_err(anyhow::Error::msg)? {
        let bucket = Bucket::new(bucket, Arc::clone(clock), tokio::runtime::Handle::current());
        options.lake.remote = Some(Arc::new(bucket.context("lake.url")?));
    }
    let (opened_log, opened_clock) = (Arc::clone(log), Arc::clone(clock));
    let analytics = tokio::task::spawn_blocking(move || Analytics::open(options, opened_log, opened_clock))
        .await?
        .context("analytics cannot be opened")?;
    let (following, shutdown) = (Arc::clone(&analytics), tasks.shutdown());
    tasks.start(async move {
        following.run(shutdown).await;
        Ok(())
    });
    let (releasing, log, shutdown) = (Arc::clone(&analytics), Arc::clone(log), tasks.shutdown());
    tasks.start(async move {
        release_events(&releasing, log.as_ref(), &shutdown).await;
        Ok(())
    });
    let port = Arc::new(Adapter { analytics: Arc::clone(&analytics), max_rows: config.sql.max_rows });
    Ok(Started { port, boards: Arc::new(BoardsOf(analytics)) })
}

fn sql_options(config: &Config) -> anyhow::Result<SqlOptions> {
    let program: PathBuf = std::env::current_exe().context("the hub's own program cannot be found")?;
    let mut options = SqlOptions::new(program, vec!["sql-worker".into()]);
    options.timeout = Duration::from_millis(config.sql.timeout_ms);
    options.running = config.sql.max_running;
    options.running_per_workspace = config.sql.max_running_per_workspace;
    options.queued_per_workspace = config.sql.max_waiting_per_workspace;
    options.limits.address_space_bytes = config.sql.memory_mb << 20;
    Ok(options)
}

/// Lets the log's retention remove events once they are counted and committed. Sockets resume from what retention keeps.
async fn release_events(analytics: &Analytics, log: &dyn Log, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RELEASE_EVERY) => {}
        }
        for partition in 0..log.partitions() {
            let Ok(offset) = analytics.committed_offset(partition) else { continue };
            if let Err(error) = log.release(Topic::Events, partition, offset).await {
                tracing::warn!(error = &error as &dyn std::error::Error, partition, "the log cannot be released yet");
            }
        }
    }
}
