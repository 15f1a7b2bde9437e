//! Two workers that both believe a partition to be theirs: only the one that took the last turn calls the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ingest::outbound::Superseded;
use schemas::event::Event;
use schemas::message::DeliveryStatus;
use schemas::tables::{SENDER_TURNS, Table, Value};
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};
use tokio::sync::Notify;

use super::outbound_fake::within;
use super::outbound_sending::{Hub, sms_channel};

/// Tables that answer whose turn it is only when they are told to.
#[derive(Debug, Default)]
struct SlowTurns {
    tables: Arc<MemoryTables>,
    holds: AtomicBool,
    asked: Notify,
    answers: Notify,
}

#[async_trait]
impl Tables for SlowTurns {
    async fn get_many(&self, keys: Vec<(&'static Table, Key)>) -> Result<Vec<Option<Row>>, TablesError> {
        let is_turn = keys.iter().any(|(table, _)| table.name == SENDER_TURNS.name);
        let rows = self.tables.get_many(keys.clone()).await?;
        if !is_turn || !self.holds.swap(false, Ordering::SeqCst) {
            return Ok(rows);
        }
        self.asked.notify_one();
        self.answers.notified().await;
        self.tables.get_many(keys).await
    }

    async fn scan(&self, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError> {
        self.tables.scan(table, scan).await
    }

    async fn write(&self, batch: Batch, sync: Sync) -> Result<(), TablesError> {
        self.tables.write(batch, sync).await
    }

    async fn insert_if_absent(&self, table: &'static Table, row: Row) -> Result<Option<Row>, TablesError> {
        self.tables.insert_if_absent(table, row).await
    }

    async fn update_if(
        &self,
        table: &'static Table,
        row: Row,
        column: &'static str,
        expected: Option<Value>,
    ) -> Result<bool, TablesError> {
        self.tables.update_if(table, row, column, expected).await
    }

    async fn take_turn(&self, partition: u32) -> Result<u64, TablesError> {
        self.tables.take_turn(partition).await
    }

    fn refusing(&self) -> Option<String> {
        self.tables.refusing()
    }

    async fn sync(&self) -> Result<(), TablesError> {
        self.tables.sync().await
    }
}

/// The first worker stands still when it has recorded an attempt and not yet called. The second takes over and sends. When
/// the first goes on, it finds that its turn is over.
#[tokio::test]
async fn a_worker_whose_turn_is_over_calls_nobody() {
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    let slow = Arc::new(SlowTurns { tables: Arc::clone(&hub.tables), ..SlowTurns::default() });
    hub.start_engine();
    hub.configure(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    hub.start_worker_over(Arc::clone(&slow) as _);
    let first = hub.worker.take().unwrap();
    let id = hub.send(&record, conversation, "one").await;
    hub.status(id, DeliveryStatus::Sent).await;
    slow.holds.store(true, Ordering::SeqCst);
    let id = hub.send(&record, conversation, "hello").await;
    within("the first worker's question", slow.asked.notified()).await;
    hub.start_worker();
    hub.status(id, DeliveryStatus::Sent).await;
    assert!(fake.look_ups() >= 1, "what may have been called is looked up");
    slow.answers.notify_one();
    let ended = within("the first worker's end", first.1).await.unwrap();
    assert_eq!(ended, Err(Superseded { partition: 0 }));
    assert_eq!(fake.taken(), ["one", "hello"]);
    let id = hub.send(&record, conversation, "again").await;
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(fake.posts().len(), 3);
    hub.stop_worker().await;
}

/// A worker that stood still for longer than its look is good looks again before it calls.
#[tokio::test]
async fn a_look_at_the_turn_grows_old() {
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    hub.settings.claim = Duration::from_millis(100);
    let slow = Arc::new(SlowTurns { tables: Arc::clone(&hub.tables), ..SlowTurns::default() });
    hub.start_engine();
    hub.configure(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    hub.start_worker_over(Arc::clone(&slow) as _);
    let id = hub.send(&record, conversation, "one").await;
    hub.status(id, DeliveryStatus::Sent).await;
    slow.holds.store(true, Ordering::SeqCst);
    let id = hub.send(&record, conversation, "two").await;
    within("the question", slow.asked.notified()).await;
    let asked_at = tokio::time::Instant::now();
    within("the answer's delay", async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while asked_at.elapsed() <= Duration::from_millis(150) {
            tick.tick().await;
        }
    })
    .await;
    slow.answers.notify_one();
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(fake.taken(), ["one", "two"]);
    let begun: Vec<_> = hub
        .events()
        .await
        .into_iter()
        .filter_map(|record| match record.event {
            Event::MessageSendBegun { message_id, attempt, .. } if message_id == id => Some(attempt),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [1, 2], "the first attempt made no call");
    hub.stop_worker().await;
}
