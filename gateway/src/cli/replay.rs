//! `log replay`: derives everything again and compares.
//!
//! The engine runs over a log that reads the hub's commands and takes no new ones; what it publishes is compared with the
//! hub's events, record by record, and kept nowhere. Its tables go to a new folder and are compared with the hub's, row by
//! row, if the hub's reflect the whole log. The new folder holds only what follows from the log: no people, no channels'
//! secrets, no tokens. So it is for comparing, and no hub can run on it. A log whose beginning retention has removed cannot
//! be replayed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineStatus};
use schemas::tables::{self as t, Table};
use serde_json::json;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Bounds, Log, LogError, LogHealth, NewRecord, ReadLimit, Record, Topic};
use storage::tables::dump::Dump;
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::{Key, Tables};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{block_on, clock, note, print_json};
use crate::app::DataFolder;
use crate::config::Config;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Rows that are compared at a time.
const PAGE_ROWS: usize = 1_000;
/// What only the engine's rows hold, and follows from the log alone.
const DERIVED: &[&Table] = &[
    t::CONVERSATIONS,
    t::CONVERSATION_VIEWS,
    t::CONTACT_CONVERSATIONS,
    t::MESSAGES,
    t::EXTERNAL_MESSAGES,
    t::PARKED_REPORTS,
    t::CONTACTS,
    t::CONTACT_LIST,
    t::IDENTITIES,
    t::AGENTS,
    t::ENGINE_CHANNELS,
    t::ASSIGNMENT_QUEUE,
    t::TIMERS,
    t::PENDING_SENDS,
    t::VIEW_COUNTS,
    t::NOTIFICATIONS,
    t::NOTIFICATION_MARKS,
];

/// The hub's log for reading; what is appended to `events` is compared, what is appended to `commands` refused.
#[derive(Debug)]
struct ReplayLog {
    original: EmbeddedLog,
    published: Vec<AtomicU64>,
    differing: AtomicU64,
    missing: AtomicU64,
}

impl ReplayLog {
    fn published(&self, partition: u32) -> u64 {
        usize::try_from(partition)
            .ok()
            .and_then(|partition| self.published.get(partition))
            .map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Compares derived events with those at the same offsets.
    async fn compare(&self, partition: u32, from: u64, derived: &[NewRecord]) -> Result<(), LogError> {
        let bounds = self.original.bounds(Topic::Events, partition).await?;
        let mut offset = from;
        let mut rest = derived;
        while let Some((first, others)) = rest.split_first() {
            if offset >= bounds.next {
                self.missing.fetch_add(rest.len() as u64, Ordering::SeqCst);
                break;
            }
            if offset >= bounds.earliest {
                let limit = ReadLimit { records: 1, bytes: usize::MAX };
                let kept = self.original.read(Topic::Events, partition, offset, limit).await?;
                if kept.first().is_none_or(|kept| kept.value != first.value || kept.key != first.key) {
                    self.differing.fetch_add(1, Ordering::SeqCst);
                }
            }
            offset += 1;
            rest = others;
        }
        Ok(())
    }
}

#[async_trait]
impl Log for ReplayLog {
    fn partitions(&self) -> u32 {
        self.original.partitions()
    }

    fn epoch(&self) -> &str {
        self.original.epoch()
    }

    async fn append(&self, topic: Topic, partition: u32, records: Vec<NewRecord>) -> Result<u64, LogError> {
        if topic == Topic::Commands {
            return Err(LogError::Unavailable { reason: "a replay takes no new commands".to_owned() });
        }
        let from = self.published(partition);
        self.compare(partition, from, &records).await?;
        if let Some(count) = usize::try_from(partition).ok().and_then(|partition| self.published.get(partition)) {
            count.fetch_add(records.len() as u64, Ordering::SeqCst);
        }
        Ok(from)
    }

    async fn read(&self, topic: Topic, partition: u32, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        match topic {
            Topic::Commands => self.original.read(topic, partition, from, limit).await,
            Topic::Events => Ok(Vec::new()),
        }
    }

    async fn wait_for(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        self.original.wait_for(topic, partition, offset).await
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        match topic {
            Topic::Commands => self.original.bounds(topic, partition).await,
            Topic::Events => {
                let next = self.published(partition);
                Ok(Bounds { earliest: 0, next, durable: next })
            }
        }
    }

    async fn sync(&self, _topic: Topic, partition: u32) -> Result<u64, LogError> {
        Ok(self.published(partition))
    }

    async fn commit(&self, _group: &str, _topic: Topic, _partition: u32, _next: u64) -> Result<(), LogError> {
        Ok(())
    }

    async fn committed(&self, _group: &str, _topic: Topic, _partition: u32) -> Result<Option<u64>, LogError> {
        Ok(None)
    }

    async fn release(&self, _topic: Topic, _partition: u32, _offset: u64) -> Result<(), LogError> {
        Ok(())
    }

    fn health(&self) -> LogHealth {
        self.original.health()
    }
}

pub(super) fn run(config: &Config, into: &Path) -> anyhow::Result<ExitCode> {
    if into.exists() {
        bail!("--into: {} exists already: name a folder that does not", into.display());
    }
    let same = block_on(replay(config, into))?;
    Ok(ExitCode::from(u8::from(!same)))
}

async fn replay(config: &Config, into: &Path) -> anyhow::Result<bool> {
    let folder = DataFolder::of(config);
    let options =
        EmbeddedLogOptions { min_free_bytes: 0, ..EmbeddedLogOptions::new(folder.log(), config.log.partitions) };
    let original = EmbeddedLog::open(options).context("the hub's log cannot be opened: stop the hub first")?;
    let hub_tables = EmbeddedTables::open(EmbeddedTablesOptions::new(folder.tables())).context("the hub's tables")?;
    let partitions = original.partitions();
    reaches_back_to_the_beginning(&original).await?;
    let derived = Arc::new(EmbeddedTables::open(EmbeddedTablesOptions::new(into)).context("--into")?);
    let log = Arc::new(ReplayLog {
        original,
        published: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
        differing: AtomicU64::new(0),
        missing: AtomicU64::new(0),
    });
    let mut positions = Vec::new();
    for partition in 0..partitions {
        positions.push(derive(partition, &log, &derived).await?);
    }
    let mut tables = Vec::new();
    let whole = reflects(&hub_tables, &positions).await?;
    if whole {
        for table in DERIVED {
            tables.push(compare_table(table, &hub_tables, derived.as_ref()).await?);
        }
    } else {
        note(
            "the hub's tables do not reflect the whole log yet (it was killed): start and stop it, then they can be compared",
        );
    }
    let (differing, missing) = (log.differing.load(Ordering::SeqCst), log.missing.load(Ordering::SeqCst));
    let same = differing == 0 && tables.iter().all(|table| table.differs_at.is_none());
    let shown: Vec<_> = tables
        .iter()
        .map(|table| json!({ "table": table.name, "rows": table.rows, "differs_at": table.differs_at }))
        .collect();
    print_json(&json!({
        "commands": positions.iter().sum::<u64>(),
        "events": (0..partitions).map(|partition| log.published(partition)).sum::<u64>(),
        "events_that_differ": differing,
        "events_not_published_before": missing,
        "tables_compared": whole,
        "tables": shown,
        "same": same,
    }))?;
    Ok(same)
}

/// A derivation begins with nothing, so it needs every command that there ever was.
async fn reaches_back_to_the_beginning(log: &EmbeddedLog) -> anyhow::Result<()> {
    for partition in 0..log.partitions() {
        let earliest = log.bounds(Topic::Commands, partition).await?.earliest;
        if earliest > 0 {
            bail!(
                "retention has removed the first {earliest} commands of partition {partition}; a replay needs the log \
                 from its beginning: run it on a copy of the data folder from before, or set log.retention_hours and \
                 log.retention_gb to 0 where everything is to be kept"
            );
        }
    }
    Ok(())
}

/// Runs the engine of a partition to the end of its commands; returns that end.
async fn derive(partition: u32, log: &Arc<ReplayLog>, tables: &Arc<EmbeddedTables>) -> anyhow::Result<u64> {
    let end = log.bounds(Topic::Commands, partition).await?.next;
    let (status, mut watched) = watch::channel(EngineStatus::default());
    let shutdown = CancellationToken::new();
    let shared: Arc<dyn Log> = Arc::clone(log) as _;
    let deps = EngineDeps {
        commands: Commands::new(Arc::clone(&shared), clock()),
        log: shared,
        tables: Arc::clone(tables) as _,
        clock: clock(),
    };
    let engine = tokio::spawn(ingest::engine::run(partition, deps, status, shutdown.clone()));
    loop {
        let done = watched.borrow_and_update().next_offset;
        if done >= end {
            break;
        }
        let changed = tokio::time::timeout(TELL_EVERY, watched.changed()).await;
        match changed {
            Ok(Err(_ended)) => break,
            Ok(Ok(())) => {}
            Err(_tick) => note(&format!("partition {partition}: {done} of {end} commands")),
        }
    }
    shutdown.cancel();
    engine.await??;
    note(&format!("partition {partition}: {end} commands"));
    Ok(end)
}

/// Whether the hub's tables reflect each partition up to these ends.
async fn reflects(tables: &EmbeddedTables, ends: &[u64]) -> anyhow::Result<bool> {
    for (partition, end) in (0_u32..).zip(ends) {
        let row = tables.get(t::ENGINE_POSITIONS, Key::of([partition.into()])).await?;
        if row.and_then(|row| row.int("next_offset")).unwrap_or(0).cast_unsigned() != *end {
            return Ok(false);
        }
    }
    Ok(true)
}

struct TableComparison {
    name: &'static str,
    rows: u64,
    differs_at: Option<String>,
}

async fn compare_table(table: &'static Table, hub: &dyn Dump, derived: &dyn Dump) -> anyhow::Result<TableComparison> {
    let mut found = TableComparison { name: table.name, rows: 0, differs_at: None };
    let mut after: Option<Key> = None;
    loop {
        let (ours, theirs) = tokio::try_join!(
            derived.page(table, after.clone(), PAGE_ROWS),
            hub.page(table, after.clone(), PAGE_ROWS),
        )?;
        if ours != theirs {
            let place = ours.iter().zip(&theirs).find(|(a, b)| a != b).map(|(a, _)| &a.key);
            let place = place.or_else(|| ours.last().map(|row| &row.key));
            found.differs_at = Some(format!("{place:?}"));
            return Ok(found);
        }
        found.rows += ours.len() as u64;
        match ours.into_iter().last() {
            Some(row) => after = Some(row.key),
            None => return Ok(found),
        }
    }
}
