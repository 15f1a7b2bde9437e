//! Appending: an idempotent producer, and a new one whenever the old one has failed.
//!
//! Calls to a partition that come while [`GROUPS`] groups of calls are on their way to it wait, and then go together as the
//! next group. So a lone call goes at once, and under load requests are large without anybody waiting for a timer.
//!
//! librdkafka keeps the order of what is in its queue and never gives a record up by itself (its timeout is infinite). What
//! it cannot deliver in time is given up here, with the whole producer: its queue is purged, so that of every call a
//! beginning was kept, or nothing, or all, but never a later record without an earlier one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout_at;

use super::super::{LogError, NewRecord};
use super::reach::Context;
use super::record::{self, OVERHEAD_BYTES};
use super::slot::{Slot, lock};
use super::{Shared, closed};

/// How long the thread of a producer waits for delivery reports at once; also how soon it sees that it is given up.
const POLL: Duration = Duration::from_millis(50);
/// A producer lives at least so long, so that one that cannot work is not made again and again.
const MIN_LIFE: Duration = Duration::from_secs(1);

/// How many groups of calls may be on their way to a partition at once.
const GROUPS: usize = 2;

/// What is known of a call's records so far.
#[derive(Debug)]
struct Progress {
    left: usize,
    first: Option<u64>,
    last: u64,
    failure: Option<String>,
    reply: Option<oneshot::Sender<Result<u64, LogError>>>,
}

/// One call of append.
#[derive(Debug)]
struct Call {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    records: Vec<NewRecord>,
    progress: Mutex<Progress>,
    /// The calls that it was sent with.
    group: OnceLock<Arc<Group>>,
    /// Its room in the queue, given back when the last record is reported.
    _room: OwnedSemaphorePermit,
}

/// Calls to one partition that were sent together.
#[derive(Debug)]
struct Group {
    producer: Arc<Producer>,
    lane: usize,
    /// Calls that are not settled.
    left: AtomicUsize,
}

/// What is on its way to a partition, and what waits.
#[derive(Debug, Default)]
struct Lane {
    groups: usize,
    waiting: VecDeque<Arc<Call>>,
}

/// A call that could not be put into the queue whole: how many records are missing, and why.
type Unsent = (Arc<Call>, usize, String);

impl Call {
    fn delivered(&self, offset: i64) {
        let mut progress = lock(&self.progress);
        match u64::try_from(offset) {
            Ok(offset) => {
                progress.first = Some(progress.first.map_or(offset, |first| first.min(offset)));
                progress.last = progress.last.max(offset);
            }
            Err(_negative) => progress.failure = Some("the broker did not tell the record's offset".to_owned()),
        }
        self.count_off(progress, 1);
    }

    fn failed(&self, records: usize, why: impl FnOnce() -> String) {
        let mut progress = lock(&self.progress);
        progress.failure.get_or_insert_with(why);
        self.count_off(progress, records);
    }

    fn is_abandoned(&self) -> bool {
        lock(&self.progress).reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn count_off(&self, mut progress: MutexGuard<'_, Progress>, records: usize) {
        progress.left = progress.left.saturating_sub(records);
        if progress.left > 0 {
            return;
        }
        let Some(reply) = progress.reply.take() else { return };
        self.settle(&progress, reply);
        drop(progress);
        if let Some(group) = self.group.get()
            && group.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            group.producer.group_settled(group.lane);
        }
    }

    fn settle(&self, progress: &Progress, reply: oneshot::Sender<Result<u64, LogError>>) {
        let result = match (&progress.failure, progress.first) {
            (None, Some(first)) => {
                self.tell_readers(first, progress.last);
                Ok(first)
            }
            (failure, _) => {
                self.slot.forget_bounds();
                let why = failure.as_deref().unwrap_or("no record was reported");
                Err(self.shared.reach.unavailable(format_args!("not all records were kept: {why}")))
            }
        };
        // Whoever asked may have gone.
        let _gone = reply.send(result);
    }

    fn tell_readers(&self, first: u64, last: u64) {
        if last - first + 1 == self.records.len() as u64 {
            self.slot.take_own(first, &self.records);
        } else {
            // Another process appended between them: readers fetch them.
            self.slot.saw_end(last + 1);
        }
    }
}

/// The ear of a producer.
#[derive(Debug)]
struct Deliveries {
    context: Context,
    failed: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            tracing::error!(reason, "a producer has failed for good, another one takes its place");
            self.failed.store(true, Ordering::SeqCst);
        }
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        match result {
            Ok(message) => call.delivered(message.offset()),
            Err((error, _)) => {
                let code = error.rdkafka_error_code();
                if !matches!(code, Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)) {
                    self.failed.store(true, Ordering::SeqCst);
                }
                call.failed(1, || error.to_string());
            }
        }
    }
}

/// A producer of librdkafka.
struct Generation {
    producer: BaseProducer<Deliveries>,
    made: Instant,
    retired: AtomicBool,
}

impl Generation {
    fn fail(&self) {
        self.producer.context().failed.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("room_bytes", &self.room_bytes).finish_non_exhaustive()
    }
}

/// What appends.
pub(super) struct Producer {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    /// None once the log is closed.
    current: Mutex<Option<Arc<Generation>>>,
    /// For each slot.
    lanes: Vec<Mutex<Lane>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Producer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Arc<Self>, LogError> {
        let room_bytes = shared.options.queue_bytes;
        let this = Arc::new(Self {
            lanes: shared.slots.iter().map(|_| Mutex::default()).collect(),
            shared,
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            current: Mutex::default(),
            threads: Mutex::default(),
        });
        let first = this.make()?;
        *lock(&this.current) = Some(first);
        Ok(this)
    }

    /// Bytes of records that wait for the brokers.
    pub(super) fn queued_bytes(&self) -> usize {
        self.room_bytes.saturating_sub(self.room.available_permits())
    }

    fn make(self: &Arc<Self>) -> Result<Arc<Generation>, LogError> {
        let failed = |error: &dyn fmt::Display| {
            self.shared.reach.unavailable(format_args!("a producer cannot be made: {error}"))
        };
        let context = Deliveries { context: Context(Arc::clone(&self.shared.reach)), failed: AtomicBool::new(false) };
        let config = self.shared.options.producer();
        let producer = BaseProducer::from_config_and_context(&config, context).map_err(|error| failed(&error))?;
        let generation = Arc::new(Generation { producer, made: Instant::now(), retired: AtomicBool::new(false) });
        let (this, mine) = (Arc::clone(self), Arc::clone(&generation));
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || this.serve(mine))
            .map_err(|error| failed(&error))?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(generation)
    }

    /// Serves a producer's delivery reports until it is retired, and ends it.
    fn serve(self: Arc<Self>, generation: Arc<Generation>) {
        while !generation.retired.load(Ordering::SeqCst) {
            generation.producer.poll(POLL);
            let failed = generation.producer.context().failed.load(Ordering::SeqCst);
            if failed && generation.made.elapsed() >= MIN_LIFE {
                self.replace(&generation);
            }
        }
        generation.producer.purge(PurgeConfig::default().queue().inflight());
        // Who still holds it puts the records of a call into its queue; it must not be ended on that caller's thread.
        while Arc::strong_count(&generation) > 1 {
            generation.producer.poll(Duration::from_millis(1));
        }
        // Dropping it purges its queue again and reports every record that was in it.
        drop(generation);
    }

    fn replace(self: &Arc<Self>, old: &Generation) {
        if self.shared.is_closing() {
            old.retired.store(true, Ordering::SeqCst);
            return;
        }
        match self.make() {
            Ok(new) => {
                metrics::counter!("saler_log_producers_replaced_total").increment(1);
                let mut current = lock(&self.current);
                if current.is_some() {
                    *current = Some(new);
                } else {
                    new.retired.store(true, Ordering::SeqCst);
                }
                old.retired.store(true, Ordering::SeqCst);
            }
            Err(error) => tracing::error!(%error, "the failed producer stays"),
        }
    }

    /// Ends the producer; what waits is refused. Blocks.
    pub(super) fn stop(&self) {
        self.room.close();
        let last = lock(&self.current).take();
        if let Some(generation) = last {
            generation.retired.store(true, Ordering::SeqCst);
        }
        for lane in &self.lanes {
            // Without a sender, who waits for an answer is told that the log is closed.
            let waiting = std::mem::take(&mut lock(lane).waiting);
            for call in waiting {
                lock(&call.progress).reply = None;
            }
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of a producer has panicked");
            }
        }
    }

    fn current(&self) -> Result<Arc<Generation>, LogError> {
        lock(&self.current).clone().ok_or_else(closed)
    }

    /// Appends records, of which there is at least one, and waits until they are kept.
    pub(super) async fn append(self: &Arc<Self>, slot: &Arc<Slot>, records: Vec<NewRecord>) -> Result<u64, LogError> {
        let patience = self.shared.options.append_timeout;
        let deadline = tokio::time::Instant::now() + patience;
        let bytes: usize = records.iter().map(|record| record.value.len() + OVERHEAD_BYTES).sum();
        let count = records.len() as u64;
        let cost = u32::try_from(bytes.min(self.room_bytes)).unwrap_or(u32::MAX);
        let begun = Instant::now();
        let room = match timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(cost)).await {
            Ok(Ok(room)) => room,
            Ok(Err(_closed)) => return Err(closed()),
            Err(_elapsed) => {
                let queued = self.queued_bytes();
                return Err(self.refused(
                    slot,
                    format_args!("{queued} bytes wait to be kept, and there was no room within {patience:?}"),
                ));
            }
        };
        let (reply, answer) = oneshot::channel();
        self.submit(Arc::new(Call {
            slot: Arc::clone(slot),
            shared: Arc::clone(&self.shared),
            progress: Mutex::new(Progress {
                left: records.len(),
                first: None,
                last: 0,
                failure: None,
                reply: Some(reply),
            }),
            records,
            group: OnceLock::new(),
            _room: room,
        }));
        match timeout_at(deadline, answer).await {
            Ok(Ok(Ok(first))) => {
                let topic = slot.topic.name();
                metrics::counter!("saler_log_appended_records_total", "topic" => topic).increment(count);
                metrics::counter!("saler_log_appended_bytes_total", "topic" => topic).increment(bytes as u64);
                metrics::histogram!("saler_log_append_seconds", "topic" => topic).record(begun.elapsed().as_secs_f64());
                Ok(first)
            }
            Ok(Ok(Err(error))) => {
                metrics::counter!("saler_log_refused_appends_total", "topic" => slot.topic.name()).increment(1);
                Err(error)
            }
            Ok(Err(_dropped)) => Err(closed()),
            Err(_elapsed) => {
                self.give_up(begun);
                slot.forget_bounds();
                Err(self.refused(slot, format_args!("records were not kept within {patience:?}")))
            }
        }
    }

    fn refused(&self, slot: &Slot, why: fmt::Arguments<'_>) -> LogError {
        metrics::counter!("saler_log_refused_appends_total", "topic" => slot.topic.name()).increment(1);
        self.shared.reach.unavailable(format_args!("{}: {why}", self.shared.names.of(slot.topic)))
    }

    /// Sends the call, or has it wait for the groups before it.
    fn submit(self: &Arc<Self>, call: Arc<Call>) {
        let index = call.slot.index;
        let Some(lane) = self.lanes.get(index) else { return };
        let mut lane = lock(lane);
        if lane.groups >= GROUPS {
            lane.waiting.push_back(call);
            return;
        }
        lane.groups += 1;
        let unsent = self.send(index, vec![call]);
        drop(lane);
        fail(unsent);
    }

    /// Sends what waits, now that a group before it is settled.
    fn group_settled(self: &Arc<Self>, index: usize) {
        let Some(lane) = self.lanes.get(index) else { return };
        let mut lane = lock(lane);
        // What nobody waits for any more was given up before it was sent: nothing of it is kept.
        let calls: Vec<_> = lane.waiting.drain(..).filter(|call| !call.is_abandoned()).collect();
        if calls.is_empty() {
            lane.groups -= 1;
            return;
        }
        let unsent = self.send(index, calls);
        drop(lane);
        fail(unsent);
    }

    /// Puts calls into the producer's queue as one group; under the lock of their lane, so that groups do not mix. Those that
    /// are not sent whole must be failed without that lock.
    fn send(self: &Arc<Self>, index: usize, calls: Vec<Arc<Call>>) -> Vec<Unsent> {
        let left = AtomicUsize::new(calls.len());
        let group = Arc::new(Group { producer: Arc::clone(self), lane: index, left });
        let mut refused = None;
        let generation = match self.current() {
            Ok(generation) => Some(generation),
            Err(error) => {
                refused = Some(error.to_string());
                None
            }
        };
        let mut unsent = Vec::new();
        for call in calls {
            // A call is sent once, so it has no group yet.
            let _first = call.group.set(Arc::clone(&group));
            let mut sent = 0;
            if refused.is_none()
                && let Some(generation) = &generation
            {
                (sent, refused) = self.send_call(generation, &call);
            }
            if let Some(why) = &refused {
                let missing = call.records.len() - sent;
                unsent.push((call, missing, why.clone()));
            }
        }
        unsent
    }

    /// Puts the records of a call into the queue; how many, and why not more.
    fn send_call(&self, generation: &Generation, call: &Arc<Call>) -> (usize, Option<String>) {
        let topic = self.shared.names.of(call.slot.topic);
        for (index, record) in call.records.iter().enumerate() {
            let message = BaseRecord::with_opaque_to(topic, Arc::clone(call))
                .partition(call.slot.kafka_number())
                .key(record.key.as_bytes().as_slice())
                .payload(record.value.as_ref())
                .headers(record::headers(record));
            if let Err((error, _)) = generation.producer.send(message) {
                generation.fail();
                return (index, Some(error.to_string()));
            }
        }
        (call.records.len(), None)
    }

    /// Has the producer replaced, unless it was made after a call that was not served in time.
    fn give_up(&self, called: Instant) {
        if let Ok(generation) = self.current()
            && generation.made <= called
        {
            generation.fail();
        }
    }
}

fn fail(unsent: Vec<Unsent>) {
    for (call, records, why) in unsent {
        call.failed(records, || why);
    }
}
