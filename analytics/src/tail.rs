//! Following a partition of the topic `events`: read, fold, flush, merge.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::event::{EVENT_VERSION, EventRecord};
use storage::background::give_way;
use storage::log::{Log, LogError, ReadLimit, Record, Topic};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::FlushOptions;
use crate::store::{Commit, Partition, StoreError};

/// How long to wait after a failure before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A partition that is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) number: u32,
    root: PathBuf,
    partition: Mutex<Partition>,
    /// Held by whoever applies or flushes, so that nothing is applied between the beginning of a flush and its commit.
    writer: Mutex<()>,
    failing: Mutex<Option<String>>,
    /// How many commits there were.
    commits: watch::Sender<u64>,
}

/// What can go wrong while following; it is tried again.
#[derive(Debug, thiserror::Error)]
enum TailError {
    #[error("events cannot be read")]
    Log(#[from] LogError),
    #[error("rows cannot be stored")]
    Store(#[from] StoreError),
    #[error("a task of the analytics was lost")]
    Lost(#[from] tokio::task::JoinError),
}

impl Tail {
    pub(crate) fn new(number: u32, root: PathBuf, partition: Partition) -> Self {
        Self {
            number,
            root,
            partition: Mutex::new(partition),
            writer: Mutex::new(()),
            failing: Mutex::new(None),
            commits: watch::Sender::new(0),
        }
    }

    /// The partition, for a short look.
    pub(crate) fn partition(&self) -> MutexGuard<'_, Partition> {
        self.partition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.root
    }

    /// Why it does not get on, if it does not.
    pub(crate) fn failing(&self) -> Option<String> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failing(&self, reason: Option<String>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Follows until cancelled, then flushes. `changed` is called after each batch.
    pub(crate) async fn run(
        self: Arc<Self>,
        log: Arc<dyn Log>,
        options: FlushOptions,
        changed: impl Fn() + Send,
        cancel: CancellationToken,
    ) {
        let mut flush_due = Instant::now() + options.age;
        loop {
            let step = tokio::select! {
                () = cancel.cancelled() => break,
                step = self.step(&log, options, &mut flush_due) => step,
            };
            match step {
                Ok(()) => {
                    self.set_failing(None);
                    changed();
                }
                Err(error) => {
                    let chain = chain(&error);
                    tracing::error!(partition = self.number, error = %chain, "analytics cannot follow; trying again");
                    self.set_failing(Some(chain));
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
        let last = Arc::clone(&self);
        match tokio::task::spawn_blocking(move || last.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(
                partition = self.number,
                error = &error as &dyn std::error::Error,
                "the last flush failed; the log derives its rows again"
            ),
            Err(error) => tracing::error!(partition = self.number, %error, "the last flush was lost"),
        }
    }

    /// Waits for events or for the time of a flush, and does what is due.
    async fn step(
        self: &Arc<Self>,
        log: &Arc<dyn Log>,
        options: FlushOptions,
        flush_due: &mut Instant,
    ) -> Result<(), TailError> {
        let next = self.next_offset(log).await?;
        let (rows, bytes) = self.partition().pending();
        let full = rows >= options.rows || bytes >= options.bytes;
        if !full {
            let dirty = self.partition().is_dirty();
            let come = tokio::select! {
                waited = log.wait_for(Topic::Events, self.number, next) => {
                    waited?;
                    true
                }
                () = tokio::time::sleep_until(*flush_due), if dirty => false,
            };
            if come {
                self.take_in(log, next).await?;
            }
            if !dirty {
                *flush_due = Instant::now() + options.age;
            }
        }
        if full || Instant::now() >= *flush_due {
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || this.flush()).await??;
            *flush_due = Instant::now() + options.age;
        }
        Ok(())
    }

    /// The next offset to read. What the log no longer holds is noted as a gap.
    async fn next_offset(&self, log: &Arc<dyn Log>) -> Result<u64, TailError> {
        let next = self.partition().next_offset();
        let earliest = match next {
            // Retention can only remove what was released, so a partition that has begun needs no look each time.
            Some(next) => return Ok(next),
            None => log.bounds(Topic::Events, self.number).await?.earliest,
        };
        if earliest > 0 {
            self.note_gap(earliest);
        }
        Ok(earliest)
    }

    fn note_gap(&self, earliest: u64) {
        let mut partition = self.partition();
        let from = partition.next_offset().unwrap_or(0);
        metrics::counter!("saler_analytics_lost_events_total").increment(earliest.saturating_sub(from));
        tracing::error!(
            partition = self.number,
            from,
            to = earliest,
            "the log no longer holds events that analytics has not counted: numbers before them are incomplete"
        );
        partition.skip_to(earliest);
    }

    async fn take_in(self: &Arc<Self>, log: &Arc<dyn Log>, next: u64) -> Result<(), TailError> {
        let records = match log.read(Topic::Events, self.number, next, ReadLimit::default()).await {
            Err(LogError::OutOfRange { earliest, .. }) if earliest > next => {
                self.note_gap(earliest);
                return Ok(());
            }
            read => read?,
        };
        let this = Arc::clone(self);
        Ok(tokio::task::spawn_blocking(move || this.apply(&records)).await?)
    }

    /// Folds records. Blocks.
    fn apply(&self, records: &[Record]) {
        let parsed: Vec<_> = records.iter().map(|record| (record.offset, self.parse(record))).collect();
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut partition = self.partition();
        for (offset, event) in parsed {
            if partition.next_offset().is_none_or(|next| offset >= next) {
                partition.apply(offset, event);
            }
        }
        metrics::counter!("saler_analytics_events_total").increment(records.len() as u64);
    }

    fn parse(&self, record: &Record) -> Option<EventRecord> {
        give_way();
        let reason = match parse(record) {
            Ok(event) => return Some(event),
            Err(reason) => reason,
        };
        metrics::counter!("saler_analytics_unreadable_events_total").increment(1);
        tracing::error!(
            partition = self.number,
            offset = record.offset,
            reason,
            "an event cannot be read and is not counted"
        );
        None
    }

    /// Writes what is in memory to files and commits. Blocks.
    ///
    /// # Errors
    /// If the disk fails; all stays as it was, in memory.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.partition().is_dirty() {
            return Ok(());
        }
        let flush = self.partition().begin_flush()?;
        let written = flush.write()?;
        let commit = self.partition().plan_commit(flush, written)?;
        commit.write(&self.root, self.number)?;
        self.partition().finish_commit(commit);
        self.commits.send_modify(|commits| *commits += 1);
        Ok(())
    }

    /// Changes with every commit.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Commits other files for the same moment of the log. Blocks, and nothing is applied meanwhile.
    ///
    /// # Errors
    /// If the disk fails; the files stay as they were.
    pub(crate) fn commit(&self, plan: impl FnOnce(&Partition) -> Result<Commit, StoreError>) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let commit = plan(&self.partition())?;
        commit.write(&self.root, self.number)?;
        self.partition().finish_commit(commit);
        self.commits.send_modify(|commits| *commits += 1);
        Ok(())
    }
}

/// A record as an event, or why it is not one.
pub(crate) fn parse(record: &Record) -> Result<EventRecord, String> {
    match serde_json::from_slice::<EventRecord>(&record.value) {
        Ok(event) if event.v <= EVENT_VERSION => Ok(event),
        Ok(event) => Err(format!("it has version {}, this program reads up to {EVENT_VERSION}", event.v)),
        Err(error) => Err(error.to_string()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
