//! The worker of one partition: follows events, keeps the schedule, runs the attempts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::channel::ChannelRecord;
use schemas::tables::{CHANNELS, ENGINE_POSITIONS, PENDING_SENDS, Value};
use schemas::{ChannelId, MessageId, WorkspaceId};
use storage::background::give_way;
use storage::log::{LogError, ReadLimit, Record, Topic};
use storage::tables::{Key, Scan, TablesError};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OutboundDeps;
use super::attempt::{Attempt, End};
use super::lane::{Entry, Health, Limits};
use super::notice::{self, Notice};
use super::pending::PendingSend;
use super::schedule::{Admission, Fate, Schedule};
use super::turn::{self, Superseded};

/// How many rows a page of the table has.
const PAGE_ROWS: usize = 1_000;

/// How often the engine's position is read while a worker waits to begin.
const CATCH_UP_POLL: Duration = Duration::from_millis(20);

/// How long to wait after the log or the tables failed.
const STORAGE_RETRY: Duration = Duration::from_secs(1);

/// How long to wait for the row of a channel that has none.
const CHANNEL_RETRY: Duration = Duration::from_mins(1);

/// How often a worker shows what it has, in the metrics.
const METRICS_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    #[error("the tables cannot be read")]
    Tables(#[from] TablesError),
}

struct Worker {
    partition: u32,
    deps: Arc<OutboundDeps>,
    /// The turn in which it sends.
    turn: i64,
    schedule: Schedule,
    running: JoinSet<End>,
    /// The message of each running attempt, should it end without a word.
    under_way: HashMap<Id, Entry>,
    /// The offset of the next event to read.
    tail: u64,
    /// When the tail may be read again, after a failure.
    tail_from: Instant,
    /// `true` if the table holds messages that the schedule had no room for.
    overflowed: bool,
    /// When the table is read again, after a failure or an overflow.
    scan_from: Option<Instant>,
    metrics_at: Instant,
    shutdown: CancellationToken,
    /// Cancelled by an attempt that finds the turn to be over.
    superseded: CancellationToken,
}

/// Sends the messages of one partition until `shutdown`.
///
/// Failures of the log and the tables are logged and waited out: the worker goes on by itself once they are over. On
/// shutdown, calls under way get [`super::Settings::drain`] to end; what does not is looked up by the next worker.
///
/// # Errors
/// [`Superseded`] if another worker has begun on this partition: this one calls nobody any more.
pub async fn run(partition: u32, deps: OutboundDeps, shutdown: CancellationToken) -> Result<(), Superseded> {
    let now = Instant::now();
    let limits = Limits {
        in_flight_per_channel: deps.settings.in_flight_per_channel,
        breaker: deps.settings.breaker,
        first_pause: deps.settings.first_pause,
        tracked: deps.settings.tracked,
    };
    let mut worker = Worker {
        partition,
        deps: Arc::new(deps),
        turn: 0,
        schedule: Schedule::new(limits),
        running: JoinSet::new(),
        under_way: HashMap::new(),
        tail: 0,
        tail_from: now,
        overflowed: false,
        scan_from: None,
        metrics_at: now,
        shutdown: shutdown.clone(),
        superseded: CancellationToken::new(),
    };
    loop {
        let started = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            started = worker.start() => started,
        };
        match started {
            Ok(()) => break,
            Err(error) => tracing::warn!(partition, error = error_chain(&error), "sending cannot begin; trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(STORAGE_RETRY) => {}
        }
    }
    worker.work().await;
    worker.drain().await;
    if worker.superseded.is_cancelled() { Err(Superseded { partition }) } else { Ok(()) }
}

impl Worker {
    /// Takes the turn, notes where the tail begins, waits for the engine, reads the table. Safe to do again if it failed.
    async fn start(&mut self) -> Result<(), WorkerError> {
        // First of all: what a worker before this one may still call is in the log from here on.
        self.turn = turn::take(self.deps.tables.as_ref(), self.partition).await?;
        // In this order: what is queued from here on comes as an event; what was before is in the table by then.
        self.tail = self.deps.log.bounds(Topic::Events, self.partition).await?.next;
        let commands = self.deps.log.bounds(Topic::Commands, self.partition).await?.next;
        while self.engine_position().await? < commands {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
        self.scan().await?;
        tracing::info!(partition = self.partition, pending = self.schedule.len(), "sending begins");
        Ok(())
    }

    async fn engine_position(&self) -> Result<u64, TablesError> {
        let row = self.deps.tables.get(ENGINE_POSITIONS, Key::of([Value::from(self.partition)])).await?;
        Ok(row.and_then(|row| row.int("next_offset")).and_then(|next| u64::try_from(next).ok()).unwrap_or(0))
    }

    /// Takes in all that the table holds and the schedule has room for.
    async fn scan(&mut self) -> Result<(), TablesError> {
        self.overflowed = false;
        let mut scan = Scan::of(PendingSend::partition_key(self.partition), PAGE_ROWS);
        loop {
            let rows = self.deps.tables.scan(PENDING_SENDS, scan.clone()).await?;
            for row in &rows {
                match PendingSend::from_row(row) {
                    Ok(pending) => self.admit(&pending),
                    Err(error) => tracing::error!(error = %error, "a message that is to be sent cannot be read"),
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE_ROWS && !self.overflowed => {
                    scan = Scan::of(PendingSend::partition_key(self.partition), PAGE_ROWS)
                        .after(last.key.clustering.clone());
                }
                _ => return Ok(()),
            }
        }
    }

    fn admit(&mut self, pending: &PendingSend) {
        let now = Instant::now();
        let wait = pending.next_attempt_at.map_or(Duration::ZERO, |at| at.since(self.deps.clock.now()));
        let unresolved = pending.in_flight || pending.ambiguous;
        // A message that was tried before this worker began; one that is new, or was queued again by hand, was not.
        let is_retry = unresolved || pending.next_attempt_at.is_some();
        let entry = Entry {
            workspace_id: pending.workspace_id,
            channel_id: pending.channel_id,
            conversation_id: pending.conversation_id,
            message_id: pending.message_id,
            seq: pending.seq,
            attempt: pending.attempt,
            failures: if is_retry { pending.attempt } else { 0 },
            look_ups: 0,
            unresolved,
            settled_at: now + if pending.in_flight { self.deps.settings.settle } else { wait },
            held: false,
            due: if unresolved { now } else { now + wait },
        };
        if self.schedule.admit(entry, now) == Admission::Full {
            self.overflowed = true;
        }
    }

    async fn work(&mut self) {
        let (shutdown, superseded) = (self.shutdown.clone(), self.superseded.clone());
        let log = Arc::clone(&self.deps.log);
        loop {
            self.rescan_if_due().await;
            self.read_channels().await;
            self.begin_attempts();
            self.show_metrics();
            let now = Instant::now();
            let wake = self.wake_at(now);
            let may_tail = self.tail_from <= now;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = superseded.cancelled() => return,
                Some(ended) = self.running.join_next_with_id() => self.on_end(ended),
                readable = log.wait_for(Topic::Events, self.partition, self.tail), if may_tail => {
                    if let Err(error) = self.follow(readable).await {
                        tracing::warn!(partition = self.partition, error = error_chain(&error), "events cannot be read; trying again");
                        self.tail_from = Instant::now() + STORAGE_RETRY;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// When there is something to do without an event and without the end of an attempt.
    fn wake_at(&self, now: Instant) -> Instant {
        let next_job = self.schedule.next_wake(now);
        let tail = Some(self.tail_from).filter(|from| *from > now);
        [next_job, tail, self.scan_from, Some(self.metrics_at)].into_iter().flatten().min().unwrap_or(self.metrics_at)
    }

    /// After an overflow, once there is room; after a failure, once it may be over.
    async fn rescan_if_due(&mut self) {
        let has_room = self.overflowed && self.schedule.len() <= self.deps.settings.tracked / 2;
        let due = self.scan_from.map_or(has_room, |from| from <= Instant::now());
        if !due {
            return;
        }
        self.scan_from = None;
        if let Err(error) = self.scan().await {
            tracing::warn!(partition = self.partition, error = %error, "pending sends cannot be read; trying again");
            self.scan_from = Some(Instant::now() + STORAGE_RETRY);
        }
    }

    /// Reads the rows of channels that have something to send and were not read, or have changed.
    async fn read_channels(&mut self) {
        for (workspace_id, channel_id) in self.schedule.channels_to_read(Instant::now()) {
            match self.read_channel(workspace_id, channel_id).await {
                Ok(Some(record)) => match self.deps.senders.sender(&record) {
                    None => self.schedule.discard(channel_id),
                    Some(_) if !record.channel.active => self.schedule.close(channel_id),
                    Some(sender) => self.schedule.open(channel_id, sender),
                },
                Ok(None) => {
                    tracing::error!(workspace.id = %workspace_id, channel.id = %channel_id, "messages wait for a channel that does not exist");
                    self.schedule.read_again(channel_id, Instant::now() + CHANNEL_RETRY);
                }
                Err(error) => {
                    tracing::warn!(channel.id = %channel_id, error = %error, "a channel cannot be read; trying again");
                    self.schedule.read_again(channel_id, Instant::now() + STORAGE_RETRY);
                }
            }
        }
    }

    async fn read_channel(
        &self,
        workspace_id: WorkspaceId,
        channel_id: ChannelId,
    ) -> Result<Option<ChannelRecord>, TablesError> {
        let key = Key::of([Value::from(workspace_id)]).at([Value::from(channel_id)]);
        let row = self.deps.tables.get(CHANNELS, key).await?;
        row.map(|row| row.body(CHANNELS)).transpose()
    }

    fn begin_attempts(&mut self) {
        while let Some(job) = self.schedule.next_job(Instant::now()) {
            let entry = job.entry.clone();
            let attempt = Attempt {
                deps: Arc::clone(&self.deps),
                partition: self.partition,
                turn: self.turn,
                shutdown: self.shutdown.clone(),
                superseded: self.superseded.clone(),
            };
            let handle = self.running.spawn(attempt.run(job));
            self.under_way.insert(handle.id(), entry);
        }
    }

    fn on_end(&mut self, ended: Result<(Id, End), JoinError>) {
        let now = Instant::now();
        match ended {
            Ok((id, end)) => {
                self.under_way.remove(&id);
                if let Some(quiet) = end.quiet {
                    self.schedule.quiet(end.entry.channel_id, now + quiet);
                }
                let worsened = self.schedule.finished(&end.entry, end.fate, end.health, now);
                report(&end.entry, end.health, end.error.as_ref().map(|error| error.code.as_str()), worsened);
            }
            Err(error) => {
                tracing::error!(error = %error, "an attempt to send broke off");
                if let Some(entry) = self.under_way.remove(&error.id()) {
                    // It may have got as far as the call.
                    let settle = self.deps.settings.settle;
                    let attempt = entry.attempt + 1;
                    let waiting = Entry {
                        attempt,
                        unresolved: true,
                        settled_at: now + settle,
                        due: now + settle,
                        ..entry.clone()
                    };
                    self.schedule.finished(&entry, Fate::Waits(waiting), Health::Unknown, now);
                }
            }
        }
        if self.schedule.missed_a_message() {
            self.scan_from = Some(now);
        }
    }

    /// Reads what came to the topic `events`.
    async fn follow(&mut self, readable: Result<(), LogError>) -> Result<(), WorkerError> {
        let records = match readable {
            Ok(()) => self.deps.log.read(Topic::Events, self.partition, self.tail, ReadLimit::default()).await,
            Err(error) => Err(error),
        };
        let records = match records {
            Ok(records) => records,
            Err(error @ LogError::OutOfRange { .. }) => {
                tracing::warn!(partition = self.partition, error = %error, "events were missed; reading the table instead");
                self.tail = self.deps.log.bounds(Topic::Events, self.partition).await?.next;
                self.scan_from = Some(Instant::now());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for record in records {
            give_way();
            self.apply(&record).await?;
            self.tail = record.offset + 1;
        }
        Ok(())
    }

    async fn apply(&mut self, record: &Record) -> Result<(), TablesError> {
        let Ok((offset, notice)) = notice::read(&record.value) else {
            // An event of a kind that this version does not know.
            tracing::debug!(
                partition = self.partition,
                offset = record.offset,
                "skipping an event that cannot be read"
            );
            return Ok(());
        };
        self.schedule.passed(offset);
        match notice {
            Notice::Queued(message_id) => self.take_in(message_id, offset).await?,
            Notice::QueuedAgain(message_id) => {
                self.schedule.queued_again(message_id, offset);
                self.take_in(message_id, offset).await?;
            }
            Notice::Settled(message_id) if !self.schedule.is_stale(message_id, offset) => {
                self.schedule.forget(message_id);
            }
            Notice::Channel(channel_id) => self.schedule.reconfigured(channel_id, Instant::now()),
            Notice::Settled(_) | Notice::Nothing => {}
        }
        Ok(())
    }

    /// Takes in a message that was queued. Its row says how far it is: the engine writes rows before it publishes.
    async fn take_in(&mut self, message_id: MessageId, offset: u64) -> Result<(), TablesError> {
        if self.overflowed || self.schedule.knows(message_id) || self.schedule.is_stale(message_id, offset) {
            return Ok(());
        }
        let row = self.deps.tables.get(PENDING_SENDS, PendingSend::key(self.partition, message_id)).await?;
        match row.map(|row| PendingSend::from_row(&row)) {
            Some(Ok(pending)) => self.admit(&pending),
            Some(Err(error)) => {
                tracing::error!(message.id = %message_id, error = %error, "a message that is to be sent cannot be read");
            }
            None => {}
        }
        Ok(())
    }

    fn show_metrics(&mut self) {
        let now = Instant::now();
        if now < self.metrics_at {
            return;
        }
        self.metrics_at = now + METRICS_PERIOD;
        let partition = self.partition.to_string();
        let show = |name: &'static str, count: usize| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            metrics::gauge!(name, "partition" => partition.clone()).set(f64::from(count));
        };
        show("saler_outbound_pending", self.schedule.len());
        show("saler_outbound_in_flight", self.schedule.in_flight());
        show("saler_outbound_paused_channels", self.schedule.paused_channels());
        show("saler_outbound_open_breakers", self.schedule.open_breakers());
    }

    /// Lets calls that are under way end.
    async fn drain(&mut self) {
        let until = Instant::now() + self.deps.settings.drain;
        while let Ok(Some(_)) = tokio::time::timeout_at(until, self.running.join_next()).await {}
        let open = self.running.len();
        if open > 0 {
            tracing::warn!(
                partition = self.partition,
                open,
                "calls were cut off; they are looked up at the next start"
            );
        }
        self.running.shutdown().await;
    }
}

/// Tells of what went wrong: loudly if somebody must act.
fn report(entry: &Entry, health: Health, code: Option<&str>, worsened: bool) {
    let Some(code) = code else { return };
    let (workspace_id, channel_id, message_id) = (entry.workspace_id, entry.channel_id, entry.message_id);
    if worsened && health == Health::Refused {
        metrics::counter!("saler_outbound_pauses_total").increment(1);
        tracing::error!(
            workspace.id = %workspace_id, channel.id = %channel_id, error.code = code,
            "the provider refuses the channel's account or configuration: its messages wait until that is mended"
        );
    } else if worsened {
        metrics::counter!("saler_outbound_breaker_openings_total").increment(1);
        tracing::warn!(
            workspace.id = %workspace_id, channel.id = %channel_id, error.code = code,
            "the provider keeps failing: it is left alone for a while"
        );
    } else {
        tracing::info!(
            workspace.id = %workspace_id, channel.id = %channel_id, message.id = %message_id, attempt = entry.attempt,
            error.code = code, "a message was not sent"
        );
    }
}

/// An error with its causes, in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
