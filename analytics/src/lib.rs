//! Events to facts, KPIs and SQL.
//!
//! Each partition of the topic `events` is followed by one task ([`fold`]): events become facts, cells and rows, held in memory
//! and then in files, with one atomic commit ([`store`]). Boards of KPIs are computed by DataFusion over small tables and
//! pushed to whoever watches, or computed over a range of the past ([`kpi`]). SQL of people runs in processes of its own over
//! one workspace's files ([`sql`]).
//!
//! What it does not know: conversations' rules (events carry their outcome), HTTP, which engine stands behind the log.

pub mod batch;
mod board;
pub mod fold;
pub mod histogram;
pub mod kpi;
pub mod lake;
pub mod rows;
mod scan;
pub mod schema;
pub mod sql;
pub mod store;
mod tail;
mod upkeep;
pub mod zone;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use schemas::WorkspaceId;
use schemas::api::analytics::KpiSeriesQuery;
use schemas::kpi::{KpiBoard, KpiDefinition, KpiSeriesAnswer};
use storage::clock::Clock;
use storage::log::{Log, LogError, Topic, partition_of};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::board::Boards;
use self::kpi::series::{Minutes, QuestionError, SeriesPlan};
use self::kpi::{BoardTables, KpiEngine, KpiError};
use self::lake::LakeOptions;
use self::sql::parameters::SqlType;
use self::sql::pool::{Pool, SqlOptions};
use self::sql::protocol::Work;
use self::sql::{SqlError, SqlRequest, SqlResult, SqlShape};
use self::store::file::FileError;
use self::store::{Gap, Partition, QueryFiles, StoreError};
use self::tail::Tail;
use self::upkeep::Upkeep;
pub use self::upkeep::UpkeepError;

/// When rows go from memory to files: at whichever comes first, for each partition.
#[derive(Clone, Copy, Debug)]
pub struct FlushOptions {
    /// Rows in memory.
    pub rows: usize,
    /// Bytes in memory, about. No more events are read while a partition is over it and the disk does not take them.
    pub bytes: usize,
    /// How long the oldest row may be in memory only. It costs nothing but the time of a replay after a crash.
    pub age: Duration,
}

impl Default for FlushOptions {
    fn default() -> Self {
        Self { rows: 20_000, bytes: 8 << 20, age: Duration::from_mins(1) }
    }
}

/// How analytics works.
#[derive(Clone, Debug)]
pub struct AnalyticsOptions {
    /// Its folder; nothing else may be kept there.
    pub folder: PathBuf,
    /// When rows go to files.
    pub flush: FlushOptions,
    /// The shortest time between two boards of a workspace: changes in between are pushed together.
    pub board_interval: Duration,
    /// How SQL is run.
    pub sql: SqlOptions,
    /// How the lake is kept.
    pub lake: LakeOptions,
}

impl AnalyticsOptions {
    /// The usual options.
    pub fn new(folder: PathBuf, sql: SqlOptions) -> Self {
        let board_interval = Duration::from_millis(250);
        Self { folder, flush: FlushOptions::default(), board_interval, sql, lake: LakeOptions::default() }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum AnalyticsError {
    /// Files cannot be read or written.
    #[error("the analytics' files cannot be used")]
    Store(#[from] StoreError),
    /// A KPI is wrong.
    #[error("a KPI cannot be computed")]
    Kpi(#[from] KpiError),
    /// The lake cannot be kept up.
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
    /// The log cannot be asked.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// There is no such partition.
    #[error("there is no partition {partition}: the log has {partitions}")]
    NoPartition {
        /// The one asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// A task was cancelled or has panicked.
    #[error("a task of the analytics was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// Why a series of KPIs cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The question cannot be answered.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// Too many are computed.
    #[error("too many series of KPIs are computed now: try again")]
    Busy,
    /// It took too long.
    #[error("the series took over {} s: take a shorter range or fewer KPIs", SERIES_TIMEOUT.as_secs())]
    TimedOut,
    /// It cannot be computed.
    #[error(transparent)]
    Failed(#[from] AnalyticsError),
}

/// How many series of KPIs are computed at a time; more wait.
const SERIES_AT_ONCE: usize = 2;
/// How many series may wait.
const SERIES_WAITING: usize = 64;
/// How long a series may wait and take.
const SERIES_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a stopping hub waits for the copy of the lake elsewhere.
const LAST_COPY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a partition stands.
#[derive(Clone, Debug)]
pub struct PartitionHealth {
    /// Which.
    pub partition: u32,
    /// The next offset of the topic `events` to count.
    pub next_offset: u64,
    /// The offset from which a restart would read.
    pub committed_offset: u64,
    /// Events that the log no longer held when they were needed: numbers are incomplete.
    pub gaps: Vec<Gap>,
    /// Why it does not get on, if it does not. It is tried again.
    pub failing: Option<String>,
}

/// The analytics of a hub.
#[derive(Debug)]
pub struct Analytics {
    options: AnalyticsOptions,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    tails: Vec<Arc<Tail>>,
    upkeeps: Vec<Arc<Upkeep>>,
    kpis: Arc<KpiEngine>,
    boards: Boards,
    pool: Pool,
    series: Arc<Semaphore>,
    series_waiting: Semaphore,
}

impl Analytics {
    /// Opens the files of all partitions. Blocks; nothing is followed before [`Analytics::run`].
    ///
    /// # Errors
    /// If a commit is damaged or incomplete, or the disk fails, or a KPI's file is wrong.
    pub fn open(
        options: AnalyticsOptions,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, AnalyticsError> {
        let partitions = log.partitions();
        let tails = (0..partitions)
            .map(|number| {
                let partition = Partition::open(&options.folder, number, partitions, log.epoch())?;
                Ok(Arc::new(Tail::new(number, options.folder.clone(), partition)))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let upkeep = |tail: &Arc<Tail>| Upkeep::new(Arc::clone(tail), partitions, &options.lake, Arc::clone(&clock));
        Ok(Arc::new(Self {
            upkeeps: tails.iter().map(|tail| Arc::new(upkeep(tail))).collect(),
            tails,
            kpis: Arc::new(KpiEngine::new(kpi::definitions()?)),
            boards: Boards::default(),
            pool: Pool::new(options.sql.clone(), Arc::clone(&clock)),
            series: Arc::new(Semaphore::new(SERIES_AT_ONCE)),
            series_waiting: Semaphore::new(SERIES_AT_ONCE + SERIES_WAITING),
            options,
            log,
            clock,
        }))
    }

    /// Follows all partitions and pushes boards until cancelled, then flushes.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tasks = JoinSet::new();
        for tail in &self.tails {
            let this = Arc::clone(&self);
            let changed = move || this.boards.wake();
            let log = Arc::clone(&self.log);
            tasks.spawn(Arc::clone(tail).run(log, self.options.flush, changed, cancel.clone()));
        }
        for upkeep in &self.upkeeps {
            tasks.spawn(Arc::clone(upkeep).run(cancel.clone()));
            tasks.spawn(Arc::clone(upkeep).run_copy(cancel.clone()));
        }
        let this = Arc::clone(&self);
        tasks.spawn(async move { this.push_boards(cancel).await });
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the analytics was lost");
            }
        }
        // What the last flush has written.
        if let Err(error) = self.each_upkeep(Upkeep::publish).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the lake is published when the hub starts again"
            );
        }
        match tokio::time::timeout(LAST_COPY_TIMEOUT, self.each_upkeep(Upkeep::publish_copy)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the lake's copy is brought up to date when the hub starts again");
            }
            Err(_late) => tracing::warn!("the lake's copy is brought up to date when the hub starts again"),
        }
    }

    /// What the KPIs mean, in the order of the board.
    pub fn definitions(&self) -> &[KpiDefinition] {
        self.kpis.definitions()
    }

    /// The board of a workspace as of now.
    ///
    /// # Errors
    /// [`AnalyticsError::Kpi`], [`AnalyticsError::Lost`].
    pub async fn kpi_board(&self, workspace_id: WorkspaceId) -> Result<KpiBoard, AnalyticsError> {
        let (tables, _) = self.board_tables(workspace_id)?;
        self.compute_board(workspace_id, tables).await
    }

    /// The board of a workspace, and each that follows a change. The first value may be a board of revision 0, which is not
    /// computed yet; the first change brings one that is. Watchers of a workspace share one computation; without watchers
    /// there is none.
    pub fn subscribe(&self, workspace_id: WorkspaceId) -> watch::Receiver<Arc<KpiBoard>> {
        self.boards.subscribe(workspace_id, self.clock.now())
    }

    /// KPIs of a workspace over a range, cut into buckets of this time zone. As fresh as the events that were followed when it
    /// began to run.
    ///
    /// # Errors
    /// Any [`SeriesError`].
    pub async fn kpi_series(
        &self,
        workspace_id: WorkspaceId,
        zone: Tz,
        query: &KpiSeriesQuery,
    ) -> Result<KpiSeriesAnswer, SeriesError> {
        let plan = SeriesPlan::new(self.kpis.definitions(), query, zone)?;
        let _place = self.series_waiting.try_acquire().map_err(|_full| SeriesError::Busy)?;
        let computed = tokio::time::timeout(SERIES_TIMEOUT, async {
            let turn = Arc::clone(&self.series).acquire_owned().await.map_err(|_closed| SeriesError::Busy)?;
            self.compute_series(workspace_id, plan, turn).await
        });
        computed.await.map_err(|_elapsed| SeriesError::TimedOut)?
    }

    /// Runs a query of a person over a workspace. Rows are as fresh as the events that were followed when it began to run.
    ///
    /// # Errors
    /// Any [`SqlError`]; none of them tells anything of another workspace.
    pub async fn sql(&self, workspace_id: WorkspaceId, request: SqlRequest) -> Result<SqlResult, SqlError> {
        check(request.sql.clone(), Work::Run(request.parameters.clone())).await?;
        let files = async || self.query_files(workspace_id).await.map_err(|error| unavailable(&error));
        self.pool.run(workspace_id, request, files).await
    }

    /// What a query would answer, without running it: its columns, and the types of its parameters. `types` are those that
    /// are known already, from the first on.
    ///
    /// # Errors
    /// As [`Analytics::sql`].
    pub async fn describe_sql(
        &self,
        workspace_id: WorkspaceId,
        request: SqlRequest,
        types: Vec<Option<SqlType>>,
    ) -> Result<SqlShape, SqlError> {
        check(request.sql.clone(), Work::Describe(types.clone())).await?;
        let files = async || self.query_files(workspace_id).await.map_err(|error| unavailable(&error));
        self.pool.describe(workspace_id, request, types, files).await
    }

    /// How many events of a partition are not counted yet.
    ///
    /// # Errors
    /// [`AnalyticsError::NoPartition`], [`AnalyticsError::Log`].
    pub async fn lag(&self, partition: u32) -> Result<u64, AnalyticsError> {
        let counted = self.tail(partition)?.partition().next_offset().unwrap_or(0);
        let end = self.log.bounds(Topic::Events, partition).await?.next;
        Ok(end.saturating_sub(counted))
    }

    /// The offset of the topic `events` from which a restart would read: what is before it may be released.
    ///
    /// # Errors
    /// [`AnalyticsError::NoPartition`].
    pub fn committed_offset(&self, partition: u32) -> Result<u64, AnalyticsError> {
        Ok(self.tail(partition)?.partition().committed_offset().unwrap_or(0))
    }

    /// How each partition stands.
    pub fn health(&self) -> Vec<PartitionHealth> {
        self.tails
            .iter()
            .map(|tail| {
                let failing = tail.failing();
                let partition = tail.partition();
                PartitionHealth {
                    partition: tail.number,
                    next_offset: partition.next_offset().unwrap_or(0),
                    committed_offset: partition.committed_offset().unwrap_or(0),
                    gaps: partition.gaps().to_vec(),
                    failing,
                }
            })
            .collect()
    }

    /// Writes all rows in memory to files and commits them.
    ///
    /// # Errors
    /// If the disk fails; rows stay in memory.
    pub async fn flush(&self) -> Result<(), AnalyticsError> {
        for tail in &self.tails {
            let tail = Arc::clone(tail);
            tokio::task::spawn_blocking(move || tail.flush()).await??;
        }
        Ok(())
    }

    /// Publishes the lake, merges files and removes those whose time is over, now.
    ///
    /// # Errors
    /// If the disk fails; it is tried again by itself.
    pub async fn keep_up(&self) -> Result<(), AnalyticsError> {
        self.each_upkeep(Upkeep::work).await
    }

    async fn each_upkeep(&self, work: fn(&Upkeep) -> Result<(), UpkeepError>) -> Result<(), AnalyticsError> {
        for upkeep in &self.upkeeps {
            let upkeep = Arc::clone(upkeep);
            tokio::task::spawn_blocking(move || work(&upkeep)).await??;
        }
        Ok(())
    }

    fn tail(&self, partition: u32) -> Result<&Arc<Tail>, AnalyticsError> {
        self.tails
            .iter()
            .find(|tail| tail.number == partition)
            .ok_or_else(|| AnalyticsError::NoPartition { partition, partitions: self.log.partitions() })
    }

    fn tail_of(&self, workspace_id: WorkspaceId) -> Result<&Arc<Tail>, AnalyticsError> {
        self.tail(partition_of(workspace_id, self.log.partitions()))
    }

    async fn query_files(&self, workspace_id: WorkspaceId) -> Result<QueryFiles, AnalyticsError> {
        let tail = Arc::clone(self.tail_of(workspace_id)?);
        let sealed = tokio::task::spawn_blocking(move || {
            let snapshot = tail.partition().query(workspace_id)?;
            let (files, seal) = snapshot.seal()?;
            if let Some(seal) = seal {
                tail.partition().keep_seal(seal);
            }
            Ok::<_, StoreError>(files)
        });
        Ok(sealed.await??)
    }

    async fn compute_series(
        &self,
        workspace_id: WorkspaceId,
        plan: SeriesPlan,
        turn: OwnedSemaphorePermit,
    ) -> Result<KpiSeriesAnswer, SeriesError> {
        let (tail, now) = (Arc::clone(self.tail_of(workspace_id)?), self.clock.now());
        let runtime = tokio::runtime::Handle::current();
        let computed = tokio::task::spawn_blocking(move || {
            // The files stay as long as they are held.
            let (files, fresh) = tail.partition().minutes(workspace_id)?;
            let paths = files.iter().map(|file| std::path::absolute(&file.path).map(|path| file_url(&path)));
            let files_named = paths.collect::<Result<_, _>>().map_err(|source| {
                StoreError::File(FileError::Io { action: "find", path: tail.folder().to_owned(), source })
            })?;
            let minutes = Minutes { files: files_named, fresh: fresh.into_iter().collect() };
            let answer = runtime.block_on(tokio::time::timeout(SERIES_TIMEOUT, plan.compute(&minutes, now)));
            drop((files, turn));
            Ok::<_, AnalyticsError>(answer)
        });
        let answer = computed.await.map_err(AnalyticsError::from)??;
        Ok(answer.map_err(|_elapsed| SeriesError::TimedOut)?.map_err(AnalyticsError::from)?)
    }

    /// What a board is computed from, and the revision of it.
    fn board_tables(&self, workspace_id: WorkspaceId) -> Result<(BoardTables, u64), AnalyticsError> {
        let partition = self.tail_of(workspace_id)?.partition();
        let workspace = partition.fold().workspace(workspace_id);
        let tables = BoardTables::of(workspace, self.clock.now())?;
        Ok((tables, workspace.map_or(0, |workspace| workspace.revision)))
    }

    /// The revision of what a board is computed from.
    fn board_source(&self, workspace_id: WorkspaceId) -> Result<u64, AnalyticsError> {
        let partition = self.tail_of(workspace_id)?.partition();
        Ok(partition.fold().workspace(workspace_id).map_or(0, |workspace| workspace.revision))
    }

    async fn compute_board(&self, workspace_id: WorkspaceId, tables: BoardTables) -> Result<KpiBoard, AnalyticsError> {
        let as_of = self.clock.now();
        let kpis = Arc::clone(&self.kpis);
        let values = tokio::task::spawn_blocking(move || kpis.values(tables)).await??;
        Ok(KpiBoard { workspace_id, revision: self.boards.next_revision(), as_of, values })
    }
}

/// A file as `file:///…`, whatever its path holds.
fn file_url(path: &std::path::Path) -> String {
    url::Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from)
}

/// Whether a query passes the gate.
async fn check(sql: String, work: Work) -> Result<(), SqlError> {
    let checked = tokio::task::spawn_blocking(move || sql::gate::check_work(&sql, &work).map(drop));
    checked.await.map_err(|_lost| SqlError::Unavailable)?
}

fn unavailable(error: &AnalyticsError) -> SqlError {
    tracing::error!(error = error as &dyn std::error::Error, "a query's files cannot be prepared");
    SqlError::Unavailable
}
