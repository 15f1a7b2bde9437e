//! Reading what is not in memory: a few clients that are each put on one partition, read on where they stand, and are
//! handed from one read to the next.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Semaphore;

use super::super::{LogError, ReadBudget, ReadLimit, Record, Topic};
use super::reach::Context;
use super::record;
use super::slot::{Slot, lock};
use super::tail::place;
use super::{Shared, closed, run_blocking};

/// How many reads of old records run at once.
const READERS: usize = 3;
/// How long a read waits for its first record.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for each further one before it returns what it has.
const NEXT_PATIENCE: Duration = Duration::from_millis(50);
/// How long the client is polled at once.
const POLL: Duration = Duration::from_millis(100);
/// A client that was not used for so long stops fetching ahead.
const IDLE: Duration = Duration::from_secs(20);

/// A client and where it stands.
struct Reader {
    consumer: BaseConsumer<Context>,
    /// The partition that it reads, and the offset of its next record.
    place: Option<(Topic, u32, u64)>,
    /// The next record, if it was fetched but did not fit into the last read.
    kept: Option<Record>,
    used: Instant,
}

/// Why a read gave nothing.
enum Failure {
    /// The offset is not held any more, or not yet.
    OutOfRange,
    Other(LogError),
}

/// The readers.
pub(super) struct CatchUp {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
}

impl CatchUp {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, turns: Arc::new(Semaphore::new(READERS)), idle: Mutex::default() })
    }

    /// Reads from `from` on; `end` is known to be readable and after it.
    pub(super) async fn read(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        from: u64,
        end: u64,
        limit: ReadLimit,
    ) -> Result<Vec<Record>, LogError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| closed())?;
        let (this, slot) = (Arc::clone(self), Arc::clone(slot));
        run_blocking(move || {
            let read = this.read_blocking(&slot, from, end, limit);
            drop(turn);
            match read {
                Ok(records) => Ok(records),
                Err(Failure::Other(error)) => Err(error),
                Err(Failure::OutOfRange) => {
                    let bounds = this.shared.ask_bounds(&slot)?;
                    Err(LogError::OutOfRange {
                        topic: slot.topic,
                        partition: slot.number,
                        offset: from,
                        earliest: bounds.earliest,
                        next: bounds.next,
                    })
                }
            }
        })
        .await?
    }

    fn read_blocking(&self, slot: &Slot, from: u64, end: u64, limit: ReadLimit) -> Result<Vec<Record>, Failure> {
        if self.shared.is_closing() {
            return Err(Failure::Other(closed()));
        }
        let here = (slot.topic, slot.number, from);
        let mut reader = self.take(here).map_err(Failure::Other)?;
        let read = self.read_with(&mut reader, slot, from, end, limit);
        if read.is_err() {
            reader.stop();
        }
        reader.used = Instant::now();
        lock(&self.idle).push(reader);
        read
    }

    /// The client that stands here, or else the one that was not used for longest.
    fn take(&self, here: (Topic, u32, u64)) -> Result<Reader, LogError> {
        let mut idle = lock(&self.idle);
        let found = idle.iter().position(|reader| reader.place == Some(here));
        if found.is_none() && idle.len() < READERS {
            drop(idle);
            return self.make();
        }
        let longest = idle.iter().enumerate().min_by_key(|(_, reader)| reader.used).map(|(index, _)| index);
        if let Some(index) = found.or(longest) {
            return Ok(idle.swap_remove(index));
        }
        drop(idle);
        self.make()
    }

    fn make(&self) -> Result<Reader, LogError> {
        let context = Context(Arc::clone(&self.shared.reach));
        let consumer = BaseConsumer::from_config_and_context(&self.shared.options.catch_up(), context)
            .map_err(|error| self.shared.reach.unavailable(format_args!("a reader cannot be made: {error}")))?;
        Ok(Reader { consumer, place: None, kept: None, used: Instant::now() })
    }

    fn read_with(
        &self,
        reader: &mut Reader,
        slot: &Slot,
        from: u64,
        end: u64,
        limit: ReadLimit,
    ) -> Result<Vec<Record>, Failure> {
        if reader.place != Some((slot.topic, slot.number, from)) {
            self.move_to(reader, slot, from).map_err(Failure::Other)?;
        }
        let mut budget = ReadBudget::new(limit);
        let mut records = Vec::new();
        let mut next = from;
        while !budget.is_spent() && next < end {
            let patience = if records.is_empty() { PATIENCE } else { NEXT_PATIENCE };
            let record = match reader.kept.take() {
                Some(record) => Some(record),
                None => self.fetch(reader, slot, next, patience)?,
            };
            let Some(record) = record else { break };
            if !budget.admit(record.value.len()) {
                reader.kept = Some(record);
                break;
            }
            next += 1;
            records.push(record);
        }
        if records.is_empty() {
            let topic = self.shared.names.of(slot.topic);
            return Err(Failure::Other(self.shared.reach.unavailable(format_args!(
                "{topic}/{}: offset {from} did not come within {PATIENCE:?}",
                slot.number
            ))));
        }
        reader.place = Some((slot.topic, slot.number, next));
        Ok(records)
    }

    fn move_to(&self, reader: &mut Reader, slot: &Slot, from: u64) -> Result<(), LogError> {
        reader.kept = None;
        reader.place = None;
        let topic = self.shared.names.of(slot.topic);
        let assigned = place(topic, slot, from).and_then(|places| reader.consumer.assign(&places));
        assigned.map_err(|error| {
            self.shared.reach.unavailable(format_args!("{topic}/{} cannot be read at {from}: {error}", slot.number))
        })
    }

    /// The record at `offset`; none if it does not come in time.
    fn fetch(&self, reader: &Reader, slot: &Slot, offset: u64, patience: Duration) -> Result<Option<Record>, Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match reader.consumer.poll(left.min(POLL)) {
                None => {}
                Some(Ok(message)) => {
                    let topic = self.shared.names.of(slot.topic);
                    if message_is_elsewhere(&message, topic, slot.kafka_number()) {
                        continue;
                    }
                    let record = record::decode(&message).map_err(|reason| self.damaged(slot, offset, reason))?;
                    if record.offset > offset {
                        let reason = format!("the next record stands at {}: something is missing", record.offset);
                        return Err(self.damaged(slot, offset, reason));
                    }
                    if record.offset == offset {
                        return Ok(Some(record));
                    }
                }
                Some(Err(error)) if is_out_of_range(&error) => return Err(Failure::OutOfRange),
                // librdkafka goes on by itself; if nothing comes, the reason is told with that.
                Some(Err(error)) => tracing::debug!(%error, "a reader reports an error"),
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            if self.shared.is_closing() {
                return Err(Failure::Other(closed()));
            }
        }
    }

    fn damaged(&self, slot: &Slot, offset: u64, reason: String) -> Failure {
        Failure::Other(LogError::Corrupt {
            topic: slot.topic,
            partition: slot.number,
            file: self.shared.names.of(slot.topic).to_owned(),
            position: offset,
            reason,
        })
    }

    /// Has clients that nobody uses stop fetching ahead.
    pub(super) fn sweep(&self) {
        for reader in lock(&self.idle).iter_mut() {
            if reader.used.elapsed() >= IDLE {
                if reader.place.is_some() {
                    reader.stop();
                }
                // Serves what the client has to say; it has no records.
                let _nothing = reader.consumer.poll(Duration::ZERO);
            }
        }
    }

    /// Ends all clients that are not in use. Blocks.
    pub(super) fn stop(&self) {
        self.turns.close();
        let idle = std::mem::take(&mut *lock(&self.idle));
        drop(idle);
    }
}

impl Reader {
    fn stop(&mut self) {
        self.place = None;
        self.kept = None;
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "a reader cannot be stopped");
        }
    }
}

fn message_is_elsewhere(message: &rdkafka::message::BorrowedMessage<'_>, topic: &str, partition: i32) -> bool {
    use rdkafka::Message;
    message.partition() != partition || message.topic() != topic
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange))
}
