//! The log on Apache Kafka, for several processes that share it.
//!
//! # Topics
//!
//! ```text
//! {prefix}.commands   N partitions, retention by age
//! {prefix}.events     N partitions, retention by age
//! {prefix}.meta       1 partition, kept for ever; its first record is
//!                     {"version":1,"epoch":"<32 hex digits>","partitions":N}
//! ```
//!
//! [`KafkaLog::open`] makes what is missing and compares the rest: partitions, replicas, `min.insync.replicas`, retention,
//! the largest batch, and the settings that could lose records. What differs is an error that names topic, setting and fix.
//! The number of partitions is fixed by the first record of `meta`: with another number, records of a workspace would be
//! looked for where they are not. How a record is written is told in `record`.
//!
//! # Invariants
//!
//! - Appends go through one idempotent producer with `acks=all`. Of a call that fails a beginning may have been kept, never
//!   a later record without an earlier one. (See `producer`.) No transactions: what is done twice is told apart by its place.
//! - Readers see what all replicas in sync have, and nothing else.
//! - The last records of the partitions that are used are in memory (`tail`, `slot`): what this process appended at once,
//!   what others appended as soon as it was fetched. Older ones are fetched by a few clients (`catch_up`).
//! - Bounds are exact for what this process appended or follows, and at most 100 ms old for what others appended; a
//!   [`Log::sync`] asks the broker every time.
//! - Offsets have no holes. A hole (another program's transactions, compaction) is reported as [`LogError::Corrupt`].
//! - librdkafka's calls that block run on tokio's blocking threads or on threads of the log: `kafka-producer`, `kafka-tail`,
//!   `kafka-keeper` (asks whether the cluster answers, lets go what is not used), `kafka-member-*`.
//!
//! Retention is the brokers' alone: [`Log::release`] holds nothing back here. So `retention` must be longer than whatever
//! reads the log may ever be behind.

mod catch_up;
mod groups;
mod keeper;
mod member;
#[cfg(test)]
mod mock_tests;
mod options;
mod producer;
mod reach;
mod record;
mod slot;
mod tail;
mod topics;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use self::options::{
    Compression, KafkaOptions, MAX_NODE_BYTES, MAX_PARTITIONS, MAX_PREFIX_BYTES, SaslMechanism, Secret, Security, Tls,
};

use self::catch_up::CatchUp;
use self::groups::Groups;
use self::member::Member;
use self::producer::Producer;
use self::reach::{Context, Reach};
use self::slot::{Slot, lock};
use self::tail::Tail;
use self::topics::{Names, Opener};
use super::{
    Bounds, Durability, Log, LogError, LogHealth, Membership, NewRecord, ReadLimit, Record, Topic, check_records,
    unknown_partition,
};

/// How long a question for the bounds of a partition may take.
const BOUNDS_PATIENCE: Duration = Duration::from_secs(10);
/// How many such questions, and other short calls that block, run at once.
const SHORT_CALLS: usize = 8;
/// A read that begins at most so many records before the end follows the partition instead of fetching once.
const NEAR_RECORDS: u64 = 2_000;
/// How long a wait pauses after its partition could not be followed.
const FOLLOW_RETRY: Duration = Duration::from_secs(1);

/// What all parts of the log know.
struct Shared {
    options: KafkaOptions,
    names: Names,
    reach: Arc<Reach>,
    /// Asks for metadata and bounds; has no partitions, so that no fetch holds its questions up.
    query: BaseConsumer<Context>,
    /// All partitions of the first topic, then all of the second.
    slots: Vec<Arc<Slot>>,
    closing: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn slot_index(&self, topic: Topic, partition: u32) -> Option<usize> {
        let partitions = self.options.partitions;
        let before = match topic {
            Topic::Commands => 0,
            Topic::Events => partitions,
        };
        (partition < partitions).then(|| usize::try_from(before + partition).ok()).flatten()
    }

    /// The place of a partition, as Kafka names it, among the slots.
    fn slot_index_of(&self, topic: &str, partition: i32) -> Option<usize> {
        self.slot_index(self.names.topic(topic)?, u32::try_from(partition).ok()?)
    }

    /// Asks the broker for the bounds of a partition. Blocks.
    fn ask_bounds(&self, slot: &Slot) -> Result<Bounds, LogError> {
        let asked = Instant::now();
        let topic = self.names.of(slot.topic);
        let bounds = self.query.fetch_watermarks(topic, slot.kafka_number(), BOUNDS_PATIENCE);
        let (earliest, next) = bounds.map_err(|error| {
            let number = slot.number;
            self.reach.unavailable(format_args!("the bounds of {topic}/{number} cannot be asked for: {error}"))
        })?;
        let number = |offset: i64| u64::try_from(offset).unwrap_or(0);
        Ok(slot.learn_bounds(asked, number(earliest), number(next)))
    }
}

struct Inner {
    shared: Arc<Shared>,
    epoch: String,
    producer: Arc<Producer>,
    tail: Arc<Tail>,
    catch_up: Arc<CatchUp>,
    groups: Arc<Groups>,
    members: Mutex<HashMap<String, Member>>,
    short_calls: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

fn closed() -> LogError {
    LogError::Unavailable { reason: "the log is closed".to_owned() }
}

/// Runs what blocks on a thread that may.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LogError> {
    let running = tokio::task::spawn_blocking(work);
    running.await.map_err(|error| LogError::Unavailable { reason: format!("a call of Kafka did not end: {error}") })
}

impl Inner {
    fn open(options: KafkaOptions, runtime: &Handle) -> Result<Arc<Self>, LogError> {
        let reach = Arc::new(Reach::new(options.broker_list()));
        let names = Names::new(&options.topic_prefix);
        let query = BaseConsumer::from_config_and_context(&options.client("query"), Context(Arc::clone(&reach)))
            .map_err(|error| LogError::Invalid { reason: format!("Kafka's client refuses its settings: {error}") })?;
        let meta = Opener::new(&options, &names, &reach, &query, runtime).open()?;
        let mut slots = Vec::new();
        for topic in Topic::ALL {
            for number in 0..options.partitions {
                slots.push(Arc::new(Slot::new(slots.len(), topic, number, options.tail_bytes)));
            }
        }
        let shared = Arc::new(Shared { options, names, reach, query, slots, closing: AtomicBool::new(false) });
        let (tail, tail_thread) = Tail::start(&shared)?;
        let producer = match Producer::start(Arc::clone(&shared)) {
            Ok(producer) => producer,
            Err(error) => {
                shared.closing.store(true, Ordering::SeqCst);
                return Err(error);
            }
        };
        let inner = Arc::new(Self {
            epoch: meta.epoch,
            producer,
            tail,
            catch_up: CatchUp::new(Arc::clone(&shared)),
            groups: Groups::new(Arc::clone(&shared)),
            members: Mutex::default(),
            short_calls: Arc::new(Semaphore::new(SHORT_CALLS)),
            threads: Mutex::new(vec![tail_thread]),
            shared,
        });
        let mine = Arc::clone(&inner);
        let keeper = std::thread::Builder::new().name("kafka-keeper".to_owned()).spawn(move || keeper::run(&mine));
        match keeper {
            Ok(keeper) => lock(&inner.threads).push(keeper),
            Err(error) => {
                inner.stop();
                return Err(LogError::Unavailable { reason: format!("a thread for the log cannot be made: {error}") });
            }
        }
        Ok(inner)
    }

    /// Refuses all that waits and comes, and wakes the threads so that they end.
    fn begin_stop(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        for slot in &self.shared.slots {
            slot.close();
        }
        self.shared.reach.wake_keeper();
    }

    /// Leaves groups, ends threads and clients. Blocks; does nothing a second time.
    fn stop(&self) {
        self.begin_stop();
        let members = std::mem::take(&mut *lock(&self.members));
        for member in members.into_values() {
            member.leave();
        }
        self.producer.stop();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
        self.catch_up.stop();
        self.groups.stop();
    }

    /// Runs a short call that blocks, of which only a few run at once.
    async fn short_call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Self) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let turn = Arc::clone(&self.short_calls).acquire_owned().await.map_err(|_closed| closed())?;
        let this = Arc::clone(self);
        run_blocking(move || {
            let result = call(&this);
            drop(turn);
            result
        })
        .await?
    }

    async fn ask_bounds(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Bounds, LogError> {
        let slot = Arc::clone(slot);
        self.short_call(move |this| this.shared.ask_bounds(&slot)).await
    }

    async fn bounds(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Bounds, LogError> {
        match slot.fresh_bounds() {
            Some(bounds) => Ok(bounds),
            None => self.ask_bounds(slot).await,
        }
    }

    /// Has the partition followed: from `wanted` on if that is near the end, else from the end on.
    async fn follow(self: &Arc<Self>, slot: &Arc<Slot>, wanted: Option<u64>) -> Result<(), LogError> {
        let _turn = slot.following.lock().await;
        if slot.seen().ring_next.is_some() {
            return Ok(());
        }
        let slot = Arc::clone(slot);
        self.short_call(move |this| {
            let bounds = this.shared.ask_bounds(&slot)?;
            let near =
                |from: &u64| (bounds.earliest..=bounds.next).contains(from) && bounds.next - from <= NEAR_RECORDS;
            this.tail.follow(&slot, wanted.filter(near).unwrap_or(bounds.next))
        })
        .await
    }

    async fn read(self: &Arc<Self>, slot: &Arc<Slot>, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        slot.touch();
        if let Some(records) = slot.read(from, limit) {
            return Ok(records);
        }
        let mut end = slot.seen().end;
        if from >= end {
            let bounds = self.bounds(slot).await?;
            if from == bounds.next {
                return Ok(Vec::new());
            }
            if from > bounds.next {
                return Err(LogError::OutOfRange {
                    topic: slot.topic,
                    partition: slot.number,
                    offset: from,
                    earliest: bounds.earliest,
                    next: bounds.next,
                });
            }
            end = bounds.next;
        }
        if end - from <= NEAR_RECORDS {
            self.follow(slot, Some(from)).await?;
            if slot.will_hold(from)
                && self.wait_in_memory(slot, from).await?
                && let Some(records) = slot.read(from, limit)
            {
                return Ok(records);
            }
        }
        self.catch_up.read(slot, from, end, limit).await
    }

    /// Waits until the record at `from` has been fetched; `false` if it does not come there.
    async fn wait_in_memory(&self, slot: &Slot, from: u64) -> Result<bool, LogError> {
        let mut seen = slot.watch();
        let came = seen.wait_for(|seen| seen.closed || seen.ring_next.is_none_or(|next| next > from));
        match tokio::time::timeout(catch_up::PATIENCE, came).await {
            Ok(Ok(seen)) if seen.closed => Err(closed()),
            Ok(Ok(seen)) => Ok(seen.ring_next.is_some()),
            Ok(Err(_dropped)) => Err(closed()),
            Err(_elapsed) => Ok(false),
        }
    }

    async fn wait_for(self: &Arc<Self>, slot: &Arc<Slot>, offset: u64) -> Result<(), LogError> {
        let _interest = slot.interest();
        let mut seen = slot.watch();
        loop {
            let now = *seen.borrow_and_update();
            if now.closed {
                return Err(closed());
            }
            if now.end > offset {
                return Ok(());
            }
            if now.ring_next.is_none() {
                if let Err(error) = self.follow(slot, None).await {
                    tracing::debug!(%error, "a wait cannot begin yet");
                    // Until then an append of this process may end the wait.
                    let _changed = tokio::time::timeout(FOLLOW_RETRY, seen.changed()).await;
                }
                continue;
            }
            if seen.changed().await.is_err() {
                return Err(closed());
            }
        }
    }

    fn join(self: &Arc<Self>, group: &str) -> Result<Membership, LogError> {
        let mut members = lock(&self.members);
        if self.shared.is_closing() {
            return Err(closed());
        }
        if let Some(earlier) = members.remove(group) {
            if !earlier.is_leaving() {
                members.insert(group.to_owned(), earlier);
                return Err(LogError::Invalid { reason: format!("this process is a member of group {group} already") });
            }
            // Two members of one name would throw each other out.
            earlier.leave();
        }
        let (membership, member) = member::join(&self.shared, group)?;
        members.insert(group.to_owned(), member);
        Ok(membership)
    }
}

/// See the module. Dropping it closes it as [`KafkaLog::close`] does, in the background.
pub struct KafkaLog {
    inner: Arc<Inner>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("shared", &self.inner.shared).finish_non_exhaustive()
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.inner.begin_stop();
        let inner = Arc::clone(&self.inner);
        let stopping = std::thread::Builder::new().name("kafka-closing".to_owned()).spawn(move || inner.stop());
        if let Err(error) = stopping {
            tracing::warn!(%error, "the log's clients are ended on the caller's thread");
            self.inner.stop();
        }
    }
}

impl KafkaLog {
    /// Opens the log, making its topics if there are none.
    ///
    /// # Errors
    /// [`LogError::Invalid`] if the options are impossible, or topics are not as the options say;
    /// [`LogError::Unavailable`] if the brokers do not answer, or refuse.
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        options.check()?;
        let runtime = Handle::current();
        let inner = run_blocking(move || Inner::open(options, &runtime)).await??;
        Ok(Self { inner })
    }

    /// Refuses what waits and what comes, leaves its groups so that others take over at once, and ends its threads and
    /// connections.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        if run_blocking(move || inner.stop()).await.is_err() {
            tracing::error!("closing the log has panicked");
        }
    }

    fn slot(&self, topic: Topic, partition: u32) -> Result<&Arc<Slot>, LogError> {
        let shared = &self.inner.shared;
        let slot = shared.slot_index(topic, partition).and_then(|index| shared.slots.get(index));
        slot.ok_or_else(|| unknown_partition(topic, partition, shared.options.partitions))
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.inner.shared.is_closing() { Err(closed()) } else { Ok(()) }
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn partitions(&self) -> u32 {
        self.inner.shared.options.partitions
    }

    fn epoch(&self) -> &str {
        &self.inner.epoch
    }

    async fn append(&self, topic: Topic, partition: u32, records: Vec<NewRecord>) -> Result<u64, LogError> {
        let slot = self.slot(topic, partition)?;
        check_records(&records)?;
        self.check_open()?;
        if records.is_empty() {
            return self.inner.bounds(slot).await.map(|bounds| bounds.next);
        }
        self.inner.producer.append(slot, records).await
    }

    async fn read(&self, topic: Topic, partition: u32, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        let slot = self.slot(topic, partition)?;
        self.check_open()?;
        self.inner.read(slot, from, limit).await
    }

    async fn wait_for(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        let slot = self.slot(topic, partition)?;
        self.inner.wait_for(slot, offset).await
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let slot = self.slot(topic, partition)?;
        self.check_open()?;
        self.inner.bounds(slot).await
    }

    async fn sync(&self, topic: Topic, partition: u32) -> Result<u64, LogError> {
        let slot = self.slot(topic, partition)?;
        self.check_open()?;
        self.inner.ask_bounds(slot).await.map(|bounds| bounds.durable)
    }

    async fn commit(&self, group: &str, topic: Topic, partition: u32, next: u64) -> Result<(), LogError> {
        let slot = self.slot(topic, partition)?;
        self.check_open()?;
        self.inner.groups.commit(group, slot, next).await
    }

    async fn committed(&self, group: &str, topic: Topic, partition: u32) -> Result<Option<u64>, LogError> {
        let slot = self.slot(topic, partition)?;
        self.check_open()?;
        self.inner.groups.committed(group, slot).await
    }

    async fn release(&self, topic: Topic, partition: u32, _offset: u64) -> Result<(), LogError> {
        self.slot(topic, partition).map(|_| ())
    }

    async fn join(&self, group: &str) -> Result<Membership, LogError> {
        let (inner, group) = (Arc::clone(&self.inner), group.to_owned());
        run_blocking(move || inner.join(&group)).await?
    }

    fn health(&self) -> LogHealth {
        let shared = &self.inner.shared;
        let refusing = if shared.is_closing() { Some("the log is closed".to_owned()) } else { shared.reach.refusing() };
        LogHealth { durability: Durability::Replicated, refusing }
    }
}
