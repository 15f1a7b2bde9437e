//! Following the ends of partitions: one client for the whole process, on a thread of its own.
//!
//! It is assigned every partition that somebody waits on or reads near the end of, at an explicit offset and without a
//! group, and hands each record on once. A partition that nobody has used for a while is let go.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;

use super::super::{LogError, Record};
use super::Shared;
use super::reach::Context;
use super::record;
use super::slot::{Slot, lock};

/// A partition that nobody has used for so long is not followed any more.
pub(super) const IDLE: Duration = Duration::from_mins(1);
/// A partition whose records are known to be there, but do not come for so long, is followed anew.
const STALLED: Duration = Duration::from_secs(10);
/// How long the thread waits for a record at once; also how soon it sees that the log is closed.
const POLL: Duration = Duration::from_millis(100);
/// How many records are handed on at once.
const BATCH_RECORDS: usize = 500;

/// What follows partitions.
pub(super) struct Tail {
    shared: Arc<Shared>,
    consumer: BaseConsumer<Context>,
    /// The slots whose partitions the client is assigned. Held while that changes; by blocking threads alone.
    assigned: Mutex<BTreeSet<usize>>,
    /// An error came that does not say which partition it is about.
    suspected: AtomicBool,
    /// For each slot that is behind what is known to be there, where it stood and since when.
    behind: Mutex<Vec<Option<(u64, Instant)>>>,
}

/// The one partition of a topic, at an offset.
pub(super) fn place(topic: &str, slot: &Slot, offset: u64) -> KafkaResult<TopicPartitionList> {
    let mut places = TopicPartitionList::with_capacity(1);
    let offset = i64::try_from(offset).map_or(Offset::End, Offset::Offset);
    places.add_partition_offset(topic, slot.kafka_number(), offset)?;
    Ok(places)
}

impl Tail {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<(Arc<Self>, JoinHandle<()>), LogError> {
        let failed = |error: &dyn std::fmt::Display| {
            shared.reach.unavailable(format_args!("a reader of the tail cannot be made: {error}"))
        };
        let context = Context(Arc::clone(&shared.reach));
        let consumer =
            BaseConsumer::from_config_and_context(&shared.options.tail(), context).map_err(|error| failed(&error))?;
        let this = Arc::new(Self {
            consumer,
            assigned: Mutex::default(),
            suspected: AtomicBool::new(false),
            behind: Mutex::new(vec![None; shared.slots.len()]),
            shared: Arc::clone(shared),
        });
        let mine = Arc::clone(&this);
        let thread = std::thread::Builder::new()
            .name("kafka-tail".to_owned())
            .spawn(move || mine.run())
            .map_err(|error| failed(&error))?;
        Ok((this, thread))
    }

    fn run(&self) {
        let mut batch: Vec<(usize, Record)> = Vec::with_capacity(BATCH_RECORDS);
        while !self.shared.is_closing() {
            let wait = if batch.is_empty() { POLL } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => self.take(&message, &mut batch),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the reader of the tail reports an error");
                    self.suspected.store(true, Ordering::SeqCst);
                    self.shared.reach.wake_keeper();
                }
                None => self.hand_on(&mut batch),
            }
            if batch.len() >= BATCH_RECORDS {
                self.hand_on(&mut batch);
            }
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>, batch: &mut Vec<(usize, Record)>) {
        let Some(index) = self.shared.slot_index_of(message.topic(), message.partition()) else { return };
        match record::decode(message) {
            Ok(record) => batch.push((index, record)),
            Err(reason) => {
                // Whoever reads there is told by the reader that catches up.
                self.hand_on(batch);
                let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                tracing::error!(topic, partition, offset, %reason, "what stands in the log is not a record of the hub");
                if let (Some(slot), Ok(offset)) = (self.shared.slots.get(index), u64::try_from(offset)) {
                    slot.skip_to(offset + 1);
                }
            }
        }
    }

    /// Gives the records to their partitions, each partition's at once.
    fn hand_on(&self, batch: &mut Vec<(usize, Record)>) {
        // Stable: the records of a partition keep their order.
        batch.sort_by_key(|(index, _)| *index);
        let mut records = batch.drain(..).peekable();
        while let Some((index, first)) = records.next() {
            let mut own = vec![first];
            while let Some((_, record)) = records.next_if(|(other, _)| *other == index) {
                own.push(record);
            }
            let Some(slot) = self.shared.slots.get(index) else { continue };
            let last = own.last().map_or(0, |record| record.offset);
            if let Err(offset) = slot.take_read(own) {
                let (topic, partition) = (slot.topic, slot.number);
                tracing::error!(%topic, partition, offset, "offsets before this one are missing");
                slot.skip_to(last + 1);
            }
        }
    }

    /// Follows a partition from `start` on, unless it is followed already. Blocks.
    pub(super) fn follow(&self, slot: &Slot, start: u64) -> Result<(), LogError> {
        let mut assigned = lock(&self.assigned);
        if slot.seen().ring_next.is_some() {
            return Ok(());
        }
        self.release(&mut assigned, slot);
        slot.begin_ring(start);
        let topic = self.shared.names.of(slot.topic);
        match place(topic, slot, start).and_then(|places| self.consumer.incremental_assign(&places)) {
            Ok(()) => {
                assigned.insert(slot.index);
                Ok(())
            }
            Err(error) => {
                slot.end_ring();
                let number = slot.number;
                Err(self.shared.reach.unavailable(format_args!("{topic}/{number} cannot be followed: {error}")))
            }
        }
    }

    /// Takes a partition from the client, if it has it.
    fn release(&self, assigned: &mut BTreeSet<usize>, slot: &Slot) {
        if !assigned.remove(&slot.index) {
            return;
        }
        let topic = self.shared.names.of(slot.topic);
        let released = place(topic, slot, 0).and_then(|places| self.consumer.incremental_unassign(&places));
        if let Err(error) = released {
            tracing::debug!(topic, partition = slot.number, %error, "a partition cannot be let go");
        }
    }

    /// Lets a partition go; who waits for it follows it again. Blocks.
    fn unfollow(&self, slot: &Slot) {
        self.release(&mut lock(&self.assigned), slot);
        slot.end_ring();
    }

    /// Lets go what nobody uses, and what does not come. Blocks for as long as the broker takes to answer.
    pub(super) fn sweep(&self) {
        // Not while no broker answers: each question would wait for its full patience.
        let mut suspected = self.shared.reach.refusing().is_none() && self.suspected.swap(false, Ordering::SeqCst);
        let assigned = lock(&self.assigned).clone();
        for slot in assigned.into_iter().filter_map(|index| self.shared.slots.get(index)) {
            if suspected {
                if let Ok(bounds) = self.shared.ask_bounds(slot) {
                    let lost = |ring_next| ring_next < bounds.earliest || ring_next > bounds.next;
                    if slot.seen().ring_next.is_none_or(lost) {
                        self.unfollow(slot);
                    }
                } else {
                    suspected = false;
                    self.suspected.store(true, Ordering::SeqCst);
                }
            }
            let seen = slot.seen();
            let ring_next = seen.ring_next.unwrap_or(seen.end);
            if slot.is_idle(IDLE) || self.is_stalled(slot.index, seen.end, ring_next) {
                self.unfollow(slot);
            }
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!(
                "saler_log_tail_lag_records",
                "topic" => slot.topic.name(),
                "partition" => slot.number.to_string()
            )
            .set(seen.end.saturating_sub(ring_next) as f64);
        }
    }

    fn is_stalled(&self, index: usize, end: u64, ring_next: u64) -> bool {
        let mut behind = lock(&self.behind);
        let Some(behind) = behind.get_mut(index) else { return false };
        if end <= ring_next {
            *behind = None;
            return false;
        }
        match *behind {
            Some((place, since)) if place == ring_next => {
                let stalled = since.elapsed() >= STALLED;
                if stalled {
                    *behind = None;
                }
                stalled
            }
            _ => {
                *behind = Some((ring_next, Instant::now()));
                false
            }
        }
    }
}
