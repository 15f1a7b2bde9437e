//! What is special to the log on Kafka: its topics, several processes on one log, and reading far behind the end.

use std::sync::Arc;
use std::time::Duration;

use storage::contract::log::{read_all, record};
use storage::log::kafka::{KafkaLog, KafkaOptions};
use storage::log::{Log, LogError, ReadLimit, Topic};
use tokio::time::timeout;

use crate::log_kafka_support::Kafka;

const PATIENCE: Duration = Duration::from_mins(1);

/// The results of all, which run at once.
async fn join_all<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::new();
    for one in running {
        results.push(one.await.unwrap());
    }
    results
}

async fn refusal(options: KafkaOptions) -> String {
    match KafkaLog::open(options).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn brokers_that_do_not_answer_are_named() {
    let options = KafkaOptions::new(["127.0.0.1:1"]);
    let error = KafkaLog::open(options).await.unwrap_err();
    assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_open_a_new_log_at_once_agree_on_it() {
    let Some(kafka) = Kafka::start() else { return };
    let opened = join_all((0..4).map(|_| KafkaLog::open(kafka.options.clone()))).await;
    let logs: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    for log in &logs {
        assert_eq!(log.epoch(), logs[0].epoch());
        assert_eq!(log.partitions(), 2);
    }
    let again = KafkaLog::open(kafka.options.clone()).await.unwrap();
    assert_eq!(again.epoch(), logs[0].epoch());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_partitions_is_refused_with_the_reason() {
    let Some(kafka) = Kafka::start() else { return };
    drop(KafkaLog::open(kafka.options.clone()).await.unwrap());
    for partitions in [1, 3] {
        let error = refusal(KafkaOptions { partitions, ..kafka.options.clone() }).await;
        assert!(error.contains(&format!("partitions is {partitions}")) && error.contains("made with 2"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_with_other_settings_are_refused_by_name_with_the_fix() {
    let Some(kafka) = Kafka::start() else { return };
    let commands = format!("{}.commands", kafka.options.topic_prefix);
    kafka.make(&commands, 3, &[("retention.ms", "1000"), ("cleanup.policy", "compact")]).await;
    let error = refusal(kafka.options.clone()).await;
    let expected = [
        format!("the topic {commands} has 3 partitions, 2 are wanted"),
        format!("the topic {commands} has retention.ms = 1000, wanted is 604800000: set retention to 1000 ms"),
        format!("the topic {commands} has cleanup.policy = compact, wanted is delete"),
        format!("--entity-name {commands} --add-config cleanup.policy=delete"),
        format!("the topic {commands} has message.timestamp.type = CreateTime, wanted is LogAppendTime"),
    ];
    for expected in expected {
        assert!(error.contains(&expected), "{expected}\n{error}");
    }
    kafka.delete(&[&commands]).await;
    drop(KafkaLog::open(kafka.options.clone()).await.unwrap());
    let error = refusal(KafkaOptions { retention: Duration::from_mins(1), ..kafka.options.clone() }).await;
    assert!(error.contains("retention.ms = 604800000, wanted is 60000"), "{error}");
    let error = refusal(KafkaOptions { replication: 3, min_in_sync: 2, ..kafka.options.clone() }).await;
    assert!(error.contains("has 1 replicas of a partition, 3 are wanted"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_were_lost_are_missed() {
    let Some(kafka) = Kafka::start() else { return };
    let log = KafkaLog::open(kafka.options.clone()).await.unwrap();
    log.append(Topic::Commands, 1, vec![record("a")]).await.unwrap();
    log.close().await;
    let topics = kafka.topics();
    kafka.delete(&[&topics[1]]).await;
    let error = refusal(kafka.options.clone()).await;
    assert!(error.contains(&format!("the topic {} is missing", topics[1])), "{error}");
    kafka.delete(&[&topics[2]]).await;
    let error = refusal(kafka.options.clone()).await;
    assert!(error.contains(&format!("the topic {} holds records", topics[0])), "{error}");
    assert!(error.contains(&topics[2]), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_replicas_than_brokers_are_refused() {
    let Some(kafka) = Kafka::start() else { return };
    let error = refusal(KafkaOptions { replication: 100, min_in_sync: 2, ..kafka.options.clone() }).await;
    assert!(error.contains("100 brokers are needed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_sees_what_another_appends() {
    const RECORDS: u64 = 50;
    let Some(kafka) = Kafka::start() else { return };
    let (one, other) = (kafka.process("").await, kafka.process("").await);
    let reader = Arc::clone(&other);
    let reading = tokio::spawn(async move {
        for offset in 0..RECORDS {
            timeout(PATIENCE, reader.wait_for(Topic::Events, 0, offset)).await.unwrap().unwrap();
            let read = reader.read(Topic::Events, 0, offset, ReadLimit::default()).await.unwrap();
            assert_eq!(read[0].value, format!("{offset}"));
        }
    });
    for n in 0..RECORDS {
        // Both write in turns, so that neither has all of it from itself.
        let writer = if n % 2 == 0 { &one } else { &other };
        assert_eq!(writer.append(Topic::Events, 0, vec![record(format!("{n}"))]).await.unwrap(), n);
    }
    reading.await.unwrap();
    assert_eq!(one.sync(Topic::Events, 0).await.unwrap(), RECORDS);
    assert_eq!(read_all(&*one, Topic::Events, 0, 0).await, read_all(&*other, Topic::Events, 0, 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_two_processes_keep_their_order_among_each_other() {
    const CALLS: usize = 40;
    let Some(kafka) = Kafka::start() else { return };
    let logs = [kafka.process("").await, kafka.process("").await];
    let writers = logs.iter().cloned().enumerate().map(|(process, log)| async move {
        let mut firsts = Vec::new();
        for call in 0..CALLS {
            let records = (0..3).map(|part| record(format!("{process} {call:03} {part}"))).collect();
            firsts.push(log.append(Topic::Commands, 1, records).await.unwrap());
        }
        firsts
    });
    let firsts = join_all(writers).await;
    let read = read_all(&*logs[0], Topic::Commands, 1, 0).await;
    assert_eq!(read.len(), 2 * CALLS * 3);
    for (process, firsts) in firsts.into_iter().enumerate() {
        let own: Vec<_> =
            read.iter().filter(|record| record.value.starts_with(format!("{process} ").as_bytes())).collect();
        assert!(own.is_sorted_by_key(|record| record.value.clone()), "a process's records are out of order");
        for (call, first) in firsts.into_iter().enumerate() {
            let found = &read[usize::try_from(first).unwrap()];
            assert_eq!(found.value, format!("{process} {call:03} 0"), "an append returned another record's offset");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_far_behind_the_end_get_every_record_once() {
    const CALLS: usize = 40;
    const EACH: usize = 250;
    let Some(kafka) = Kafka::start() else { return };
    let kafka = kafka.with(|options| options.tail_bytes = 10_000);
    let log = kafka.process("").await;
    let appends = (0..CALLS).map(|call| {
        let records = (0..EACH).map(|n| record(format!("{call:03} {n:03} {:0300}", 0))).collect();
        let log = Arc::clone(&log);
        async move { log.append(Topic::Commands, 0, records).await.unwrap() }
    });
    join_all(appends).await;
    let total = (CALLS * EACH) as u64;
    // More readers than there are clients, from different places on, one of them in small steps.
    let readers = (0..5_u64).map(|reader| {
        let log = Arc::clone(&log);
        async move {
            let mut from = reader * 500;
            let limit = if reader == 4 { ReadLimit { records: 7, bytes: 1 << 20 } } else { ReadLimit::default() };
            let end = if reader == 4 { from + 700 } else { total };
            while from < end {
                let records = log.read(Topic::Commands, 0, from, limit).await.unwrap();
                assert!(!records.is_empty() && records.len() <= limit.records);
                for record in records {
                    assert_eq!(record.offset, from);
                    from += 1;
                }
            }
        }
    });
    join_all(readers).await;
    assert_eq!(read_all(&*log, Topic::Commands, 0, total - 10).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_removed_is_out_of_range() {
    let Some(kafka) = Kafka::start() else { return };
    let log = kafka.process("").await;
    for n in 0..20 {
        log.append(Topic::Commands, 0, vec![record(format!("{n}"))]).await.unwrap();
    }
    let mut places = rdkafka::TopicPartitionList::new();
    places.add_partition_offset(&kafka.topics()[0], 0, rdkafka::Offset::Offset(15)).unwrap();
    kafka.admin().delete_records(&places, &rdkafka::admin::AdminOptions::new()).await.unwrap();
    let other = kafka.process("").await;
    let bounds = other.bounds(Topic::Commands, 0).await.unwrap();
    assert_eq!((bounds.earliest, bounds.next), (15, 20));
    let error = other.read(Topic::Commands, 0, 3, ReadLimit::default()).await.unwrap_err();
    let LogError::OutOfRange { offset: 3, earliest: 15, next: 20, .. } = error else { panic!("{error:?}") };
    assert_eq!(read_all(&*other, Topic::Commands, 0, 15).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_another_program_is_reported_and_holds_up_only_who_reads_it() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let Some(kafka) = Kafka::start() else { return };
    let log = kafka.process("").await;
    assert_eq!(log.append(Topic::Events, 1, vec![record("a")]).await.unwrap(), 0);
    let mut config = rdkafka::ClientConfig::new();
    let foreign: BaseProducer = config.set("bootstrap.servers", kafka.options.brokers.join(",")).create().unwrap();
    let topic = kafka.topics()[1].clone();
    foreign.send(BaseRecord::<str, str>::to(&topic).partition(1).key("short").payload("b")).unwrap();
    foreign.flush(PATIENCE).unwrap();
    assert_eq!(log.append(Topic::Events, 1, vec![record("c")]).await.unwrap(), 2);
    let read = log.read(Topic::Events, 1, 2, ReadLimit::default()).await.unwrap();
    assert_eq!(read[0].value, "c");
    let error = log.read(Topic::Events, 1, 1, ReadLimit::default()).await.unwrap_err();
    let LogError::Corrupt { position: 1, file, reason, .. } = error else { panic!("{error:?}") };
    assert!(file == topic && reason.contains("key has 5 bytes"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_log_says_so_and_ends_its_waits() {
    let Some(kafka) = Kafka::start() else { return };
    let log = kafka.process("").await;
    let waiting = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.wait_for(Topic::Events, 0, 1_000).await })
    };
    timeout(PATIENCE, log.close()).await.unwrap();
    let results = [
        timeout(PATIENCE, waiting).await.unwrap().unwrap(),
        log.append(Topic::Events, 0, vec![record("a")]).await.map(|_| ()),
        log.read(Topic::Events, 0, 0, ReadLimit::default()).await.map(|_| ()),
        log.bounds(Topic::Events, 0).await.map(|_| ()),
        log.commit("group", Topic::Events, 0, 1).await,
        log.join("group").await.map(|_| ()),
    ];
    for result in results {
        assert!(matches!(result, Err(LogError::Unavailable { .. })), "{result:?}");
    }
    assert!(log.health().refusing.is_some());
}
