//! The noted offsets of groups of readers, as offsets of Kafka groups that nobody joins.
//!
//! Kafka forgets the offsets of such a group when nothing was noted for `offsets.retention.minutes` (7 days unless the
//! brokers say otherwise); [`super::super::Log::committed`] then gives none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::super::LogError;
use super::reach::Context;
use super::slot::{Slot, lock};
use super::tail::place;
use super::{Shared, closed, run_blocking};

/// How many groups have a client at once; the one that was not used for longest gives way.
const CLIENTS: usize = 32;
/// How many commits and look-ups run at once.
const CALLS: usize = 16;
/// How long a look-up waits for the group's coordinator.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a call is repeated while the group's coordinator is moving or being made.
const ATTEMPTS: u32 = 20;
/// The pause before a repetition.
const PAUSE: Duration = Duration::from_millis(250);

struct Client {
    consumer: Arc<BaseConsumer<Context>>,
    used: Instant,
}

/// The clients of groups.
pub(super) struct Groups {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    clients: Mutex<HashMap<String, Client>>,
}

impl Groups {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, turns: Arc::new(Semaphore::new(CALLS)), clients: Mutex::default() })
    }

    /// Notes an offset.
    pub(super) async fn commit(self: &Arc<Self>, group: &str, slot: &Arc<Slot>, next: u64) -> Result<(), LogError> {
        self.call(group, slot, move |this, consumer, slot, group| {
            let places = this.places(slot, next)?;
            this.repeat(group, || consumer.commit(&places, CommitMode::Sync))
        })
        .await
    }

    /// The offset that was noted last.
    pub(super) async fn committed(self: &Arc<Self>, group: &str, slot: &Arc<Slot>) -> Result<Option<u64>, LogError> {
        self.call(group, slot, move |this, consumer, slot, group| {
            let mut places = TopicPartitionList::with_capacity(1);
            places.add_partition(this.shared.names.of(slot.topic), slot.kafka_number());
            let found = this.repeat(group, || consumer.committed_offsets(places.clone(), PATIENCE))?;
            let offset = found.elements().first().map(|place| place.error().map(|()| place.offset()));
            match offset {
                Some(Ok(Offset::Offset(offset))) => Ok(u64::try_from(offset).ok()),
                Some(Ok(_)) | None => Ok(None),
                Some(Err(error)) => Err(this.failed(group, &error)),
            }
        })
        .await
    }

    /// Runs a call with the group's client on a blocking thread.
    async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        group: &str,
        slot: &Arc<Slot>,
        call: impl FnOnce(&Self, &BaseConsumer<Context>, &Slot, &str) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| closed())?;
        let (this, slot, group) = (Arc::clone(self), Arc::clone(slot), group.to_owned());
        run_blocking(move || {
            let consumer = this.client(&group)?;
            let result = call(&this, &consumer, &slot, &group);
            drop(turn);
            result
        })
        .await?
    }

    fn places(&self, slot: &Slot, next: u64) -> Result<TopicPartitionList, LogError> {
        place(self.shared.names.of(slot.topic), slot, next)
            .map_err(|error| LogError::Invalid { reason: format!("offset {next} cannot be noted: {error}") })
    }

    fn client(&self, group: &str) -> Result<Arc<BaseConsumer<Context>>, LogError> {
        if self.shared.is_closing() {
            return Err(closed());
        }
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get_mut(group) {
            client.used = Instant::now();
            return Ok(Arc::clone(&client.consumer));
        }
        let context = Context(Arc::clone(&self.shared.reach));
        let consumer = BaseConsumer::from_config_and_context(&self.shared.options.offsets(group), context)
            .map_err(|error| self.failed(group, &error))?;
        let consumer = Arc::new(consumer);
        let longest = clients.iter().min_by_key(|(_, client)| client.used).map(|(name, _)| name.clone());
        let evicted = longest.filter(|_| clients.len() >= CLIENTS).and_then(|name| clients.remove(&name));
        clients.insert(group.to_owned(), Client { consumer: Arc::clone(&consumer), used: Instant::now() });
        drop(clients);
        // Ended here, on a thread that may block.
        drop(evicted);
        Ok(consumer)
    }

    /// Repeats a call while the coordinator of the group is not there yet.
    fn repeat<T>(&self, group: &str, call: impl Fn() -> Result<T, rdkafka::error::KafkaError>) -> Result<T, LogError> {
        let mut attempt = 1;
        loop {
            let error = match call() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let passing = matches!(
                error.rdkafka_error_code(),
                Some(
                    RDKafkaErrorCode::WaitingForCoordinator
                        | RDKafkaErrorCode::CoordinatorNotAvailable
                        | RDKafkaErrorCode::CoordinatorLoadInProgress
                        | RDKafkaErrorCode::NotCoordinator
                        | RDKafkaErrorCode::BrokerTransportFailure
                )
            );
            if !passing || attempt >= ATTEMPTS || self.shared.is_closing() {
                return Err(self.failed(group, &error));
            }
            attempt += 1;
            std::thread::sleep(PAUSE);
        }
    }

    fn failed(&self, group: &str, error: &dyn std::fmt::Display) -> LogError {
        self.shared.reach.unavailable(format_args!("the offsets of group {group} cannot be reached: {error}"))
    }

    /// Serves what the clients have to say.
    pub(super) fn sweep(&self) {
        let consumers: Vec<_> = lock(&self.clients).values().map(|client| Arc::clone(&client.consumer)).collect();
        for consumer in consumers {
            // They have no partitions, so this gives no records.
            let _nothing = consumer.poll(Duration::ZERO);
        }
    }

    /// Ends all clients that are not in use. Blocks.
    pub(super) fn stop(&self) {
        self.turns.close();
        let clients = std::mem::take(&mut *lock(&self.clients));
        drop(clients);
    }
}
