//! The loop that drives the engine of a partition.
//!
//! A batch of commands becomes one atomic write: rows, the position after the batch, and the events in an outbox row. Only
//! then are the events published. After a crash the loop publishes what the topic `events` does not end with yet, and goes
//! on from the position; so events are published once, in the same order, at the same offsets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use schemas::WorkspaceId;
use schemas::command::{Actor, COMMAND_VERSION, Command, CommandRecord};
use schemas::event::Source;
use schemas::tables as t;
use storage::background::give_way;
use storage::clock::Clock;
use storage::log::{Durability, Log, LogError, ReadLimit, Record, Topic};
use storage::tables::{Batch, Derivation, Key, Row, Sync, Tables, TablesError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::decide::decide;
use super::load::{Loader, foreseeable};
use super::publish::{Outgoing, encode, json_array};
use super::state::{Need, State};
use super::timers::Timers;
use crate::commands::{Commands, encode as encode_command};

/// How much one batch takes from the log.
const BATCH: ReadLimit = ReadLimit { records: 128, bytes: 1 << 20 };

/// A batch ends early once it has changed this many entities: far fewer than the cache holds, so that nothing that a batch
/// changed can leave the cache before it is written.
const BATCH_CHANGES: usize = 4_000;

/// How many rounds of loading precede a batch: an address leads to a contact, to a conversation. What a rule still misses is
/// loaded when it is met.
const PREFETCH_ROUNDS: usize = 4;

/// How long to wait before an engine that failed is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How many records are appended in one call where others were lost.
const STAND_INS_AT_ONCE: usize = 1_000;

/// How often what the tables hold is made durable, so that the log may let go of it.
const RELEASE_EVERY: Duration = Duration::from_secs(30);

/// What the engine works with.
#[derive(Clone, Debug)]
pub struct EngineDeps {
    /// Where commands are read and events published.
    pub log: Arc<dyn Log>,
    /// Where rows are.
    pub tables: Arc<dyn Tables>,
    /// Where timers fire.
    pub commands: Commands,
    /// When timers fire.
    pub clock: Arc<dyn Clock>,
}

/// How far the engine of a partition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The offset after the last command whose events are published.
    pub next_offset: u64,
    /// Whether it has been at the end of the log since the start.
    pub caught_up: bool,
}

/// Why the engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Commands that it has not applied are gone.
    #[error(
        "partition {partition}: the log begins at offset {earliest}, but the tables reflect it only up to {position}; restore the log or the tables from a backup"
    )]
    Gap {
        /// Which partition.
        partition: u32,
        /// Where the log begins.
        earliest: u64,
        /// What the tables reflect.
        position: u64,
    },
    /// The tables reflect commands that the log no longer has.
    #[error(
        "partition {partition}: the tables reflect the log up to offset {position}, but it ends at {next}; it lost its end, which `fsync` rules out: look for a disk that drops writes, and restore log and tables from one backup"
    )]
    Ahead {
        /// Which partition.
        partition: u32,
        /// Where the log ends.
        next: u64,
        /// What the tables reflect.
        position: u64,
    },
    /// Another process works on the partition now.
    #[error("partition {partition}: another process has taken it over")]
    Superseded {
        /// Which partition.
        partition: u32,
    },
    /// The log failed.
    #[error("partition {partition}: the log failed")]
    Log {
        /// Which partition.
        partition: u32,
        /// How.
        #[source]
        source: LogError,
    },
    /// The tables failed.
    #[error("partition {partition}: the tables failed")]
    Tables {
        /// Which partition.
        partition: u32,
        /// How.
        #[source]
        source: TablesError,
    },
}

/// Runs the engine of `partition` until `shutdown`, and tells `status` how far it has come.
///
/// The batch in hand is finished first. What cannot be written now (a full disk, a server that is away) is tried again
/// until it can.
///
/// # Errors
/// Whatever makes going on wrong: see [`EngineError`].
pub async fn run(
    partition: u32,
    deps: EngineDeps,
    status: watch::Sender<EngineStatus>,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let turn = take_turn(partition, &deps).await?;
    let timers = Timers::load(deps.tables.as_ref(), partition).await;
    let timers = timers.map_err(|source| tables_failed(partition, source))?;
    let mut engine = Engine::recover(partition, turn, deps.clone(), &timers, &status).await?;
    tokio::select! {
        result = engine.work(&shutdown) => result,
        () = timers.fire(&deps) => Ok(()),
        () = release(partition, &deps, status.subscribe()) => Ok(()),
    }
}

fn tables_failed(partition: u32, source: TablesError) -> EngineError {
    match source {
        TablesError::Superseded { .. } => EngineError::Superseded { partition },
        source => EngineError::Tables { partition, source },
    }
}

/// Ends the turns of all engines before this one.
async fn take_turn(partition: u32, deps: &EngineDeps) -> Result<u64, EngineError> {
    loop {
        match deps.tables.take_turn(partition).await {
            Ok(turn) => return Ok(turn),
            Err(error @ (TablesError::DiskFull { .. } | TablesError::Unavailable { .. })) => {
                tracing::warn!(partition, %error, "the engine cannot begin yet");
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => return Err(tables_failed(partition, error)),
        }
    }
}

/// Appends records that stand where a loss of power took commands: their effect is in the tables, and what comes next must
/// not be given their offsets.
async fn stand_in(partition: u32, deps: &EngineDeps, lost: std::ops::Range<u64>) -> Result<(), LogError> {
    tracing::warn!(
        partition,
        from = lost.start,
        to = lost.end,
        "a loss of power took the end of the log, as durability \"interval\" allows; the tables kept its effect"
    );
    let stand_in = deps.commands.record(WorkspaceId::from_bytes([0; 16]), Actor::System, Command::Lost);
    let record = encode_command(&stand_in)?;
    let mut missing = usize::try_from(lost.end - lost.start).unwrap_or(usize::MAX);
    while missing > 0 {
        let count = missing.min(STAND_INS_AT_ONCE);
        deps.log.append(Topic::Commands, partition, vec![record.clone(); count]).await?;
        missing -= count;
    }
    deps.log.sync(Topic::Commands, partition).await.map(drop)
}

/// Makes the tables durable now and then, and lets the log's retention remove what they reflect.
async fn release(partition: u32, deps: &EngineDeps, status: watch::Receiver<EngineStatus>) {
    let mut released = 0;
    loop {
        tokio::time::sleep(RELEASE_EVERY).await;
        let position = status.borrow().next_offset;
        if position == released {
            continue;
        }
        let synced = deps.tables.sync().await.map_err(|error| error.to_string());
        let result = match synced {
            Ok(()) => deps.log.release(Topic::Commands, partition, position).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => released = position,
            Err(error) => tracing::warn!(partition, %error, "the log cannot be released yet"),
        }
    }
}

/// A batch that was decided.
#[derive(Debug, Default)]
struct Decided {
    changes: Changes,
    events: Vec<Outgoing>,
    next_offset: u64,
}

#[derive(Debug)]
pub(super) struct Engine<'a> {
    pub(super) partition: u32,
    pub(super) deps: EngineDeps,
    timers: &'a Timers,
    status: &'a watch::Sender<EngineStatus>,
    state: State,
    loader: Loader,
    pub(super) next_offset: u64,
    /// The turn in which it writes.
    turn: u64,
    /// Outbox rows not deleted yet: the row, and the offset of `events` that must be durable first.
    pub(super) outbox: VecDeque<(u64, u64)>,
    /// The last event of the topic. What is derived again up to there is there already.
    pub(super) last_published: Option<Source>,
    /// When old idempotency keys were last looked for.
    pub(super) swept_at: Option<tokio::time::Instant>,
}

impl<'a> Engine<'a> {
    async fn recover(
        partition: u32,
        turn: u64,
        deps: EngineDeps,
        timers: &'a Timers,
        status: &'a watch::Sender<EngineStatus>,
    ) -> Result<Self, EngineError> {
        let key = Key::of([partition.into()]);
        let rows = deps
            .tables
            .get_many(vec![(t::ENGINE_POSITIONS, key.clone()), (t::OUTBOX_START, key)])
            .await
            .map_err(|source| EngineError::Tables { partition, source })?;
        let number = |column| rows.iter().flatten().find_map(|row| row.int(column)).unwrap_or(0);
        let (position, outbox_from) = (number("next_offset").cast_unsigned(), number("last_offset"));
        let bounds = deps
            .log
            .bounds(Topic::Commands, partition)
            .await
            .map_err(|source| EngineError::Log { partition, source })?;
        if position < bounds.earliest {
            return Err(EngineError::Gap { partition, earliest: bounds.earliest, position });
        }
        if position > bounds.next {
            if !matches!(deps.log.health().durability, Durability::Interval(_)) {
                return Err(EngineError::Ahead { partition, next: bounds.next, position });
            }
            stand_in(partition, &deps, bounds.next..position)
                .await
                .map_err(|source| EngineError::Log { partition, source })?;
        }
        let loader = Loader::new(Arc::clone(&deps.tables), partition);
        let mut engine = Self {
            partition,
            deps,
            timers,
            status,
            state: State::new(),
            loader,
            next_offset: position,
            turn,
            outbox: VecDeque::new(),
            last_published: None,
            swept_at: None,
        };
        engine.last_published = engine.read_last_published().await?;
        engine.publish_outbox(outbox_from).await?;
        // A partition without anything to do has caught up.
        engine.tell_status(position >= bounds.next);
        Ok(engine)
    }

    pub(super) fn tables_failed(&self, source: TablesError) -> EngineError {
        tables_failed(self.partition, source)
    }

    pub(super) fn log_failed(&self, source: LogError) -> EngineError {
        EngineError::Log { partition: self.partition, source }
    }

    pub(super) const fn derivation(&self, next_offset: u64) -> Derivation {
        Derivation { partition: self.partition, turn: self.turn, next_offset }
    }

    fn tell_status(&self, caught_up: bool) {
        self.status.send_modify(|status| {
            status.next_offset = self.next_offset;
            status.caught_up |= caught_up;
        });
    }

    async fn work(&mut self, shutdown: &CancellationToken) -> Result<(), EngineError> {
        loop {
            let waited = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                waited = self.deps.log.wait_for(Topic::Commands, self.partition, self.next_offset) => waited,
            };
            if shutdown.is_cancelled() {
                return Ok(());
            }
            waited.map_err(|error| self.log_failed(error))?;
            let read = self.deps.log.read(Topic::Commands, self.partition, self.next_offset, BATCH).await;
            let records = match read {
                Ok(records) => records,
                Err(LogError::Unavailable { reason }) => {
                    tracing::warn!(partition = self.partition, %reason, "commands cannot be read yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
                Err(error) => return Err(self.log_failed(error)),
            };
            let begun = tokio::time::Instant::now();
            let (count, decided) = self.decide_batch(&records).await?;
            self.commit(decided).await?;
            metrics::counter!("saler_engine_commands_total").increment(count);
            metrics::histogram!("saler_engine_batch_seconds").record(begun.elapsed().as_secs_f64());
            let end = self.deps.log.bounds(Topic::Commands, self.partition).await.map_err(|e| self.log_failed(e))?.next;
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("saler_engine_lag_commands", "partition" => self.partition.to_string())
                .set(end.saturating_sub(self.next_offset) as f64);
            self.sweep_keys().await;
            self.tell_status(self.next_offset >= end);
        }
    }

    /// Decides records in order; stops early if they change very much. Returns how many were decided.
    async fn decide_batch(&mut self, records: &[Record]) -> Result<(u64, Decided), EngineError> {
        let commands: Vec<(u64, Option<CommandRecord>)> =
            records.iter().map(|record| (record.offset, self.decode(record))).collect();
        self.prefetch(&commands).await?;
        let mut decided = Decided { next_offset: self.next_offset, ..Decided::default() };
        let mut count = 0;
        for (offset, command) in &commands {
            give_way();
            if let Some(command) = command {
                self.decide_one(*offset, command, &mut decided).await?;
            }
            decided.next_offset = offset + 1;
            count += 1;
            if decided.changes.len() >= BATCH_CHANGES {
                break;
            }
        }
        Ok((count, decided))
    }

    /// A command that cannot be read is reported and passed over: it must not hold up the workspace's others.
    fn decode(&self, record: &Record) -> Option<CommandRecord> {
        let reason = match serde_json::from_slice::<CommandRecord>(&record.value) {
            Ok(command) if command.v <= COMMAND_VERSION => return Some(command),
            Ok(command) => format!("it is of version {}, and this program reads up to {COMMAND_VERSION}", command.v),
            Err(error) => error.to_string(),
        };
        metrics::counter!("saler_engine_unreadable_commands_total").increment(1);
        tracing::error!(partition = self.partition, offset = record.offset, %reason, "a command cannot be read; it has no effect");
        None
    }

    /// Loads what most commands of a batch need, in few reads for all of them.
    async fn prefetch(&mut self, commands: &[(u64, Option<CommandRecord>)]) -> Result<(), EngineError> {
        for _ in 0..PREFETCH_ROUNDS {
            let mut needs = Vec::new();
            for (offset, command) in commands {
                let Some(command) = command else { continue };
                match foreseeable(&self.state, command) {
                    Some(foreseen) => needs.extend(foreseen),
                    None => needs.extend(decide(&self.state, self.partition, *offset, command).err()),
                }
            }
            if needs.is_empty() {
                return Ok(());
            }
            needs.sort_unstable();
            needs.dedup();
            self.load(needs).await?;
        }
        Ok(())
    }

    async fn load(&mut self, needs: Vec<Need>) -> Result<(), EngineError> {
        loop {
            match self.loader.load(&mut self.state, needs.clone()).await {
                Ok(()) => return Ok(()),
                Err(TablesError::Unavailable { reason }) => {
                    tracing::warn!(partition = self.partition, %reason, "rows cannot be read yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(self.tables_failed(error)),
            }
        }
    }

    async fn decide_one(
        &mut self,
        offset: u64,
        command: &CommandRecord,
        decided: &mut Decided,
    ) -> Result<(), EngineError> {
        let decision = loop {
            match decide(&self.state, self.partition, offset, command) {
                Ok(decision) => break decision,
                Err(need) => {
                    self.load(vec![need.clone()]).await?;
                    decided.changes.complete(&mut self.state, &need);
                }
            }
        };
        if let Some((code, reason)) = &decision.rejected {
            metrics::counter!("saler_engine_rejected_total", "code" => format!("{code:?}")).increment(1);
            tracing::debug!(partition = self.partition, offset, ?code, %reason, "a command was refused");
        }
        for event in &decision.events {
            decided.events.push(encode(event).map_err(|error| self.tables_failed(error))?);
        }
        decision.changes.apply_to(&mut self.state);
        decided.changes.merge(decision.changes);
        Ok(())
    }

    /// Writes a batch and publishes its events. Tries again for as long as it takes: the state has moved on already.
    async fn commit(&mut self, decided: Decided) -> Result<(), EngineError> {
        let Decided { changes, events, next_offset } = decided;
        let sent = self.outbox_rows_sent().await?;
        loop {
            let batch = self.make_batch(&changes, &events, next_offset, &sent)?;
            match self.deps.tables.write(batch, Sync::Later).await {
                Ok(()) => break,
                Err(error @ (TablesError::DiskFull { .. } | TablesError::Unavailable { .. })) => {
                    tracing::warn!(partition = self.partition, %error, "a batch cannot be written yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(self.tables_failed(error)),
            }
        }
        self.timers.follow(&changes);
        self.next_offset = next_offset;
        if !events.is_empty() {
            let published = self.publish(events).await?;
            self.outbox.push_back((next_offset - 1, published));
        }
        Ok(())
    }

    /// Takes out the rows of the outbox whose events are durable in their topic.
    async fn outbox_rows_sent(&mut self) -> Result<Vec<u64>, EngineError> {
        let durable =
            self.deps.log.bounds(Topic::Events, self.partition).await.map_err(|e| self.log_failed(e))?.durable;
        let count = self.outbox.partition_point(|(_, published)| *published <= durable);
        Ok(self.outbox.drain(..count).map(|(row, _)| row).collect())
    }

    fn make_batch(
        &self,
        changes: &Changes,
        events: &[Outgoing],
        next_offset: u64,
        sent: &[u64],
    ) -> Result<Batch, EngineError> {
        let mut batch = changes.to_rows(self.derivation(next_offset)).map_err(|error| self.tables_failed(error))?;
        let key = || Key::of([self.partition.into()]);
        if !events.is_empty() {
            let last_offset = (next_offset - 1).cast_signed();
            batch.put(t::OUTBOX, Row::new(key().at([last_offset.into()])).with("body", json_array(events)));
        }
        for row in sent {
            batch.delete(t::OUTBOX, key().at([row.cast_signed().into()]));
        }
        // Where the outbox begins is noted, so that a start need not walk over all that was ever deleted from it.
        let outbox_from = self.outbox.front().map_or_else(|| self.next_offset, |(row, _)| *row);
        batch.put(t::OUTBOX_START, Row::new(key()).with("last_offset", outbox_from.cast_signed()));
        let position = Row::new(key()).with("next_offset", next_offset.cast_signed());
        batch.put(t::ENGINE_POSITIONS, position);
        Ok(batch)
    }
}
