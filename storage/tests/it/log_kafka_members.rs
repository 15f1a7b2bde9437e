//! Several processes that share the work of a group on Kafka.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use storage::log::kafka::KafkaLog;
use storage::log::{Log, LogError, Membership};
use tokio::time::timeout;

use crate::log_kafka_support::Kafka;

const PATIENCE: Duration = Duration::from_mins(1);
const PARTITIONS: u32 = 4;

fn kafka() -> Option<Kafka> {
    Some(Kafka::start()?.with(|options| {
        options.partitions = PARTITIONS;
        options.session_timeout = Duration::from_secs(6);
        options.handover_timeout = Duration::from_secs(30);
    }))
}

/// Waits until the member has what the condition asks for, and works on it from then on.
async fn until(member: &Membership, wanted: impl Fn(&BTreeSet<u32>) -> bool) -> BTreeSet<u32> {
    let mut assigned = member.assigned();
    let now = timeout(PATIENCE, assigned.wait_for(|now| wanted(now))).await;
    now.expect("the group did not settle").unwrap().clone()
}

fn all() -> BTreeSet<u32> {
    (0..PARTITIONS).collect()
}

async fn process(kafka: &Kafka, node: &str) -> std::sync::Arc<KafkaLog> {
    kafka.process(node).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_the_partitions_and_take_over_from_who_leaves() {
    let Some(kafka) = kafka() else { return };
    let (one, other) = (process(&kafka, "one").await, process(&kafka, "other").await);
    let first = one.join("engine").await.unwrap();
    assert_eq!(until(&first, |now| *now == all()).await, all());
    let second = other.join("engine").await.unwrap();
    let (mine, yours) = (until(&first, |now| now.len() == 2).await, until(&second, |now| now.len() == 2).await);
    assert!(mine.is_disjoint(&yours), "{mine:?} {yours:?}");
    let begun = Instant::now();
    drop(second);
    until(&first, |now| *now == all()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "its partitions waited for the end of its session");
    let error = one.join("engine").await.unwrap_err();
    assert!(matches!(error, LogError::Invalid { .. }), "{error:?}");
    let third = other.join("engine").await.unwrap();
    until(&third, |now| now.len() == 2).await;
    // Closing the log leaves as well.
    let begun = Instant::now();
    timeout(PATIENCE, one.close()).await.unwrap();
    until(&third, |now| *now == all()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "its partitions waited for the end of its session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_handed_over_once_nobody_works_on_it() {
    let Some(kafka) = kafka() else { return };
    let (one, other) = (process(&kafka, "one").await, process(&kafka, "other").await);
    let first = one.join("engine").await.unwrap();
    first.works_on(until(&first, |now| *now == all()).await);
    let second = other.join("engine").await.unwrap();
    let kept = until(&first, |now| now.len() == 2).await;
    // It is asked for two of them, but works on all.
    let early = timeout(Duration::from_secs(2), until(&second, |now| !now.is_empty())).await;
    assert!(early.is_err(), "a partition was given to another while it was worked on");
    first.works_on(kept.clone());
    let given = until(&second, |now| now.len() == 2).await;
    assert!(given.is_disjoint(&kept), "{given:?} {kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_is_not_waited_for_for_ever() {
    let Some(kafka) = kafka() else { return };
    let kafka = kafka.with(|options| options.handover_timeout = Duration::from_millis(500));
    let (one, other) = (process(&kafka, "one").await, process(&kafka, "other").await);
    let first = one.join("engine").await.unwrap();
    first.works_on(until(&first, |now| *now == all()).await);
    let second = other.join("engine").await.unwrap();
    until(&second, |now| now.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_do_not_know_each_other() {
    let Some(kafka) = kafka() else { return };
    let log = process(&kafka, "").await;
    let (engine, sender) = (log.join("engine").await.unwrap(), log.join("sender").await.unwrap());
    until(&engine, |now| *now == all()).await;
    until(&sender, |now| *now == all()).await;
    drop(engine);
    let again = log.join("engine").await.unwrap();
    until(&again, |now| *now == all()).await;
    assert_eq!(*sender.assigned().borrow(), all());
}
