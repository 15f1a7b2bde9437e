//! Faults that a real cluster has at bad moments only: on librdkafka's own mock cluster, which speaks the protocol.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use schemas::{Timestamp, WorkspaceId};

use super::producer::Producer;
use super::reach::{Context, Reach};
use super::slot::Slot;
use super::topics::Names;
use super::{KafkaOptions, Shared, keeper};
use crate::log::{LogError, NewRecord, Topic};

struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    shared: Arc<Shared>,
    producer: Arc<Producer>,
}

impl Mock {
    fn start(append_timeout: Duration) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let options =
            KafkaOptions { partitions: 1, append_timeout, ..KafkaOptions::new([cluster.bootstrap_servers()]) };
        let names = Names::new(&options.topic_prefix);
        for topic in Topic::ALL {
            cluster.create_topic(names.of(topic), 1, 1).unwrap();
        }
        let reach = Arc::new(Reach::new(options.broker_list()));
        let context = Context(Arc::clone(&reach));
        let query = BaseConsumer::from_config_and_context(&options.client("query"), context).unwrap();
        let slots =
            Topic::ALL.into_iter().enumerate().map(|(index, topic)| Arc::new(Slot::new(index, topic, 0, 1 << 20)));
        let slots = slots.collect();
        let shared = Arc::new(Shared { options, names, reach, query, slots, closing: AtomicBool::new(false) });
        let producer = Producer::start(Arc::clone(&shared)).unwrap();
        Self { cluster, shared, producer }
    }

    async fn append(&self, count: usize) -> Result<u64, LogError> {
        let record = NewRecord {
            key: WorkspaceId::from_bytes([7; 16]),
            at: Timestamp::from_unix_millis(1),
            value: Bytes::from_static(b"value"),
        };
        self.producer.append(&self.shared.slots[0], vec![record; count]).await
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.producer.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_waited_out_without_a_gap_or_a_double() {
    let mock = Mock::start(Duration::from_mins(1));
    assert_eq!(mock.append(1).await.unwrap(), 0);
    let passing = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &passing);
    // One record, so that the faults meet one batch: the mock tells a repeated batch from a late one only while there is no other.
    assert_eq!(mock.append(1).await.unwrap(), 1);
    assert_eq!(mock.append(1).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_fails_is_replaced() {
    let mock = Mock::start(Duration::from_mins(1));
    assert_eq!(mock.append(1).await.unwrap(), 0);
    mock.cluster
        .request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    // One record, so that the one fault meets all of the call.
    let error = mock.append(1).await.unwrap_err();
    assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("authorization"), "{error}");
    let mut attempts = 0_u64;
    let first = loop {
        match mock.append(1).await {
            Ok(first) => break first,
            // Until it has been replaced, which takes a second at most.
            Err(error) => assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}"),
        }
        attempts += 1;
        tokio::task::yield_now().await;
        assert!(attempts < 10_000_000, "it was not replaced");
    };
    assert!((1..=1 + attempts).contains(&first), "at {first} after {attempts} attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_without_brokers_is_given_up_and_does_not_come_later() {
    let mock = Mock::start(Duration::from_millis(1_500));
    assert_eq!(mock.append(1).await.unwrap(), 0);
    assert_eq!(keeper::probe(&mock.shared), None);
    mock.cluster.broker_down(1).unwrap();
    let error = mock.append(1_000).await.unwrap_err();
    assert!(error.to_string().contains("were not kept within 1.5s"), "{error}");
    let refusing = keeper::probe(&mock.shared).expect("it does not say that the brokers are gone");
    assert!(refusing.contains("no broker answers"), "{refusing}");
    mock.cluster.broker_up(1).unwrap();
    let mut attempts = 0_u64;
    let first = loop {
        match mock.append(1).await {
            Ok(first) => break first,
            Err(error) => assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}"),
        }
        attempts += 1;
        assert!(attempts < 20, "it did not come back");
    };
    // Each attempt may have been kept although it was not acknowledged; what was given up, with no broker to keep it, not.
    assert!((1..=1 + attempts).contains(&first), "at {first} after {attempts} attempts");
    assert_eq!(keeper::probe(&mock.shared), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_callers_wait() {
    let mut mock = Mock::start(Duration::from_mins(1));
    mock.cluster.broker_round_trip_time(1, Duration::from_millis(50)).unwrap();
    let big = |count: usize| {
        let record = NewRecord {
            key: WorkspaceId::from_bytes([7; 16]),
            at: Timestamp::from_unix_millis(1),
            value: Bytes::from(vec![b'x'; 1 << 20]),
        };
        vec![record; count]
    };
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (producer, slot) = (Arc::clone(&mock.producer), Arc::clone(&mock.shared.slots[0]));
            let records = big(12);
            tokio::spawn(async move { producer.append(&slot, records).await.unwrap() })
        })
        .collect();
    let mut firsts = Vec::new();
    for call in calls {
        firsts.push(call.await.unwrap());
        assert!(mock.producer.queued_bytes() <= mock.shared.options.queue_bytes);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (0..8).map(|call| call * 12).collect::<Vec<_>>());
    mock.producer.stop();
    let slot = Arc::clone(&mock.shared.slots[0]);
    let closed = mock.producer.append(&slot, big(1)).await.unwrap_err();
    assert!(closed.to_string().contains("closed"), "{closed}");
    mock.producer = Producer::start(Arc::clone(&mock.shared)).unwrap();
}
