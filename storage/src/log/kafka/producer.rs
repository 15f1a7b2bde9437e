//! Appending: an idempotent producer, and a new one whenever the old one has failed.
//!
//! librdkafka keeps the order of what is in its queue and never gives a record up by itself (its timeout is infinite). What
//! it cannot deliver in time is given up here, with the whole producer: its queue is purged, so that of every call a
//! beginning was kept, or nothing, or all, but never a later record without an earlier one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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
    /// Its room in the queue, given back when the last record is reported.
    _room: OwnedSemaphorePermit,
}

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
        self.count_off(&mut progress, 1);
    }

    fn failed(&self, records: usize, why: impl FnOnce() -> String) {
        let mut progress = lock(&self.progress);
        progress.failure.get_or_insert_with(why);
        self.count_off(&mut progress, records);
    }

    fn count_off(&self, progress: &mut Progress, records: usize) {
        progress.left = progress.left.saturating_sub(records);
        if progress.left > 0 {
            return;
        }
        let Some(reply) = progress.reply.take() else { return };
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

/// A producer of librdkafka, with its number.
struct Generation {
    number: u64,
    producer: BaseProducer<Deliveries>,
    made: Instant,
    retired: AtomicBool,
}

impl Generation {
    fn fail(&self) {
        self.producer.context().failed.store(true, Ordering::SeqCst);
    }
}

/// What appends.
pub(super) struct Producer {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    room_bytes: usize,
    /// None once the log is closed.
    current: Mutex<Option<Arc<Generation>>>,
    next_number: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Producer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Arc<Self>, LogError> {
        let room_bytes = shared.options.queue_bytes;
        let this = Arc::new(Self {
            shared,
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            current: Mutex::default(),
            next_number: AtomicU64::new(0),
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
        let failed = |error: &dyn std::fmt::Display| {
            self.shared.reach.unavailable(format_args!("a producer cannot be made: {error}"))
        };
        let context = Deliveries { context: Context(Arc::clone(&self.shared.reach)), failed: AtomicBool::new(false) };
        let config = self.shared.options.producer();
        let producer = BaseProducer::from_config_and_context(&config, context).map_err(|error| failed(&error))?;
        let generation = Arc::new(Generation {
            number: self.next_number.fetch_add(1, Ordering::SeqCst),
            producer,
            made: Instant::now(),
            retired: AtomicBool::new(false),
        });
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
    pub(super) async fn append(&self, slot: &Arc<Slot>, records: Vec<NewRecord>) -> Result<u64, LogError> {
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
        let generation = self.enqueue(slot, records, room, reply)?;
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
                self.give_up(generation);
                slot.forget_bounds();
                Err(self.refused(slot, format_args!("records were not kept within {patience:?}")))
            }
        }
    }

    fn refused(&self, slot: &Slot, why: std::fmt::Arguments<'_>) -> LogError {
        metrics::counter!("saler_log_refused_appends_total", "topic" => slot.topic.name()).increment(1);
        self.shared.reach.unavailable(format_args!("{}: {why}", self.shared.names.of(slot.topic)))
    }

    /// Puts the records of one call into the queue, and returns the number of the producer.
    fn enqueue(
        &self,
        slot: &Arc<Slot>,
        records: Vec<NewRecord>,
        room: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<u64, LogError>>,
    ) -> Result<u64, LogError> {
        let count = records.len();
        let progress = Progress { left: count, first: None, last: 0, failure: None, reply: Some(reply) };
        let call = Arc::new(Call {
            slot: Arc::clone(slot),
            shared: Arc::clone(&self.shared),
            records,
            progress: Mutex::new(progress),
            _room: room,
        });
        let topic = self.shared.names.of(slot.topic);
        let _in_order = lock(&slot.append_order);
        let generation = self.current()?;
        for (index, record) in call.records.iter().enumerate() {
            let message = BaseRecord::with_opaque_to(topic, Arc::clone(&call))
                .partition(slot.kafka_number())
                .key(record.key.as_bytes().as_slice())
                .payload(record.value.as_ref())
                .headers(record::headers(record));
            if let Err((error, _)) = generation.producer.send(message) {
                generation.fail();
                call.failed(count - index, || error.to_string());
                break;
            }
        }
        Ok(generation.number)
    }

    /// Has a producer replaced that did not deliver in time.
    fn give_up(&self, number: u64) {
        if let Ok(generation) = self.current()
            && generation.number == number
        {
            generation.fail();
        }
    }
}
