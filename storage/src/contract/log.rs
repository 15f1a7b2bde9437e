//! What every engine of the log must do, as named properties.
//!
//! An engine's tests implement [`Engine`] for it and call [`crate::log_contract!`], which makes one test of each
//! property. The properties use nothing but the port, so that they hold for an engine on another machine too: they begin at
//! whatever offsets they find, and read back what they appended themselves.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a property that does not hold fails its test by a panic"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::{Timestamp, WorkspaceId};
use tokio::time::timeout;

use crate::log::{Log, LogError, MAX_APPEND_BYTES, MAX_VALUE_BYTES, NewRecord, ReadLimit, Record, Topic};

/// How long a property waits for what must happen at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// A log of one engine, which a test may open more than once.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Opens the log. A handle of before has been dropped.
    async fn open(&self) -> Arc<dyn Log>;

    /// Whether what was appended is there after opening it again.
    fn is_persistent(&self) -> bool;

    /// Makes retention remove all that it may remove of a partition; `false` if this engine cannot be told to.
    async fn expire(&self, log: &dyn Log, topic: Topic, partition: u32) -> bool;
}

/// Makes a test of every property for the engine that the expression gives. The log must have at least two partitions.
///
/// `log_contract!(optional: …)` takes an expression that gives an [`Option`] of an engine, for one whose server may be
/// absent: then the tests do nothing, and the expression has said so.
#[macro_export]
macro_rules! log_contract {
    ($engine:expr) => {
        $crate::log_contract!(optional: Some($engine));
    };
    (optional: $engine:expr) => {
        $crate::log_contract!(@properties $engine;
            gives_consecutive_offsets_in_the_order_of_calls
            reads_what_was_appended
            keeps_topics_and_partitions_apart
            keeps_the_records_of_one_call_together
            an_empty_append_changes_nothing
            a_read_keeps_to_its_limits_and_gives_at_least_one_record
            a_read_outside_of_what_is_held_says_what_is_held
            refuses_values_and_calls_that_are_too_large
            refuses_partitions_that_it_does_not_have
            wakes_who_waits_for_a_record
            a_wait_may_be_abandoned
            bounds_follow_appends_and_syncs
            remembers_commits_of_groups
            keeps_commits_apart_under_concurrency
            keeps_what_is_not_released
            a_reader_of_the_tail_sees_every_record_once
            is_the_same_after_opening_it_again
            health_says_that_it_takes_records
        );
    };
    (@properties $engine:expr; $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                if let Some(engine) = $engine {
                    $crate::contract::log::$property(&engine).await;
                }
            }
        )*
    };
}

/// The key of tenant `n`.
pub fn key(n: u8) -> WorkspaceId {
    WorkspaceId::from_bytes([n; 16])
}

/// A record with this text.
pub fn record(text: impl Into<String>) -> NewRecord {
    NewRecord { key: key(7), at: Timestamp::from_unix_millis(1_795_000_000_000), value: Bytes::from(text.into()) }
}

/// Reads everything from `from` up to the end, in as many reads as it takes.
pub async fn read_all(log: &dyn Log, topic: Topic, partition: u32, from: u64) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    let mut from = from;
    loop {
        let records = log.read(topic, partition, from, ReadLimit::default()).await.unwrap();
        if records.is_empty() {
            return all;
        }
        for record in records {
            assert_eq!(record.offset, from, "offsets have no holes");
            from += 1;
            all.push(record);
        }
    }
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.to_vec()).unwrap()).collect()
}

async fn next(log: &dyn Log, topic: Topic, partition: u32) -> u64 {
    log.bounds(topic, partition).await.unwrap().next
}

/// Offsets are consecutive, and calls stand in their order.
pub async fn gives_consecutive_offsets_in_the_order_of_calls(engine: &dyn Engine) {
    let log = engine.open().await;
    for topic in Topic::ALL {
        let start = next(&*log, topic, 0).await;
        assert_eq!(log.append(topic, 0, vec![record("a")]).await.unwrap(), start);
        let two = vec![record("b"), record("c")];
        assert_eq!(log.append(topic, 0, two).await.unwrap(), start + 1);
        assert_eq!(log.append(topic, 0, vec![record("d")]).await.unwrap(), start + 3);
        assert_eq!(texts(&read_all(&*log, topic, 0, start).await), ["a", "b", "c", "d"]);
    }
}

/// Key, time and value come back as they were given, also empty and odd ones, and again in a second read.
pub async fn reads_what_was_appended(engine: &dyn Engine) {
    let log = engine.open().await;
    let start = next(&*log, Topic::Commands, 0).await;
    let given = vec![
        NewRecord { key: key(0), at: Timestamp::from_unix_micros(0), value: Bytes::new() },
        NewRecord {
            key: key(255),
            at: Timestamp::from_unix_micros(1_795_000_000_123_456),
            value: Bytes::from_static(&[0, 255, 10, 13, 0]),
        },
        NewRecord { key: key(3), at: Timestamp::from_unix_millis(5), value: Bytes::from(vec![b'x'; MAX_VALUE_BYTES]) },
    ];
    log.append(Topic::Commands, 0, given.clone()).await.unwrap();
    for _ in 0..2 {
        let read = read_all(&*log, Topic::Commands, 0, start).await;
        assert_eq!(read.len(), given.len());
        for (read, given) in read.iter().zip(&given) {
            assert_eq!((read.key, read.at, &read.value), (given.key, given.at, &given.value));
        }
    }
}

/// What is appended to one partition of one topic appears nowhere else.
pub async fn keeps_topics_and_partitions_apart(engine: &dyn Engine) {
    let log = engine.open().await;
    assert!(log.partitions() >= 2, "the contract needs two partitions");
    let places = [(Topic::Commands, 0), (Topic::Commands, 1), (Topic::Events, 0), (Topic::Events, 1)];
    let mut starts = Vec::new();
    for (topic, partition) in places {
        starts.push(next(&*log, topic, partition).await);
    }
    for (topic, partition) in places {
        let one = vec![record(format!("{topic}/{partition}"))];
        log.append(topic, partition, one).await.unwrap();
    }
    for ((topic, partition), start) in places.into_iter().zip(starts) {
        let read = read_all(&*log, topic, partition, start).await;
        assert_eq!(texts(&read), [format!("{topic}/{partition}")]);
    }
}

/// Of many calls at once, each stands as one block at the offset that it was told, and none is lost or doubled.
pub async fn keeps_the_records_of_one_call_together(engine: &dyn Engine) {
    const CALLS: usize = 60;
    for topic in Topic::ALL {
        let log = engine.open().await;
        let start = next(&*log, topic, 1).await;
        let calls = (0..CALLS).map(|call| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let records: Vec<_> = (0..=call % 4).map(|part| record(format!("{call}.{part}"))).collect();
                (call, log.append(topic, 1, records).await.unwrap())
            })
        });
        let calls: Vec<_> = calls.collect();
        let mut firsts = Vec::new();
        for call in calls {
            firsts.push(call.await.unwrap());
        }
        let read = read_all(&*log, topic, 1, start).await;
        assert_eq!(read.len(), (0..CALLS).map(|call| call % 4 + 1).sum::<usize>());
        for (call, first) in firsts {
            let place = usize::try_from(first - start).unwrap();
            for part in 0..=call % 4 {
                assert_eq!(texts(&read[place + part..=place + part]), [format!("{call}.{part}")]);
            }
        }
    }
}

/// An append of nothing returns the end and leaves it there.
pub async fn an_empty_append_changes_nothing(engine: &dyn Engine) {
    let log = engine.open().await;
    let start = log.append(Topic::Events, 0, vec![record("a")]).await.unwrap() + 1;
    assert_eq!(log.append(Topic::Events, 0, Vec::new()).await.unwrap(), start);
    assert_eq!(next(&*log, Topic::Events, 0).await, start);
}

/// A read returns no more than its limits, and one record at least.
pub async fn a_read_keeps_to_its_limits_and_gives_at_least_one_record(engine: &dyn Engine) {
    let log = engine.open().await;
    let records: Vec<_> = (0..10).map(|n| record(format!("value {n:04}"))).collect();
    let start = log.append(Topic::Commands, 0, records).await.unwrap();
    let read = async |records, bytes| {
        let limit = ReadLimit { records, bytes };
        texts(&log.read(Topic::Commands, 0, start, limit).await.unwrap())
    };
    assert_eq!(read(3, 1 << 20).await, ["value 0000", "value 0001", "value 0002"]);
    assert_eq!(read(100, 25).await, ["value 0000", "value 0001"]);
    assert_eq!(read(100, 1).await, ["value 0000"]);
    assert_eq!(read(0, 0).await, ["value 0000"]);
    assert_eq!(read(100, 1 << 20).await.len(), 10);
}

/// Beyond the end is an error that names the bounds; the end itself gives nothing.
pub async fn a_read_outside_of_what_is_held_says_what_is_held(engine: &dyn Engine) {
    let log = engine.open().await;
    log.append(Topic::Commands, 1, vec![record("a")]).await.unwrap();
    let bounds = log.bounds(Topic::Commands, 1).await.unwrap();
    let limit = ReadLimit::default();
    assert_eq!(log.read(Topic::Commands, 1, bounds.next, limit).await.unwrap(), []);
    let error = log.read(Topic::Commands, 1, bounds.next + 1, limit).await.unwrap_err();
    let LogError::OutOfRange { offset, earliest, next, .. } = error else { panic_with(&error) };
    assert_eq!((offset, earliest, next), (bounds.next + 1, bounds.earliest, bounds.next));
}

#[expect(clippy::panic, reason = "a property that does not hold fails its test by a panic")]
fn panic_with(error: &LogError) -> ! {
    panic!("not the expected error: {error:?}")
}

/// What is too large is refused with a reason, and nothing of the call is kept.
pub async fn refuses_values_and_calls_that_are_too_large(engine: &dyn Engine) {
    let log = engine.open().await;
    let start = next(&*log, Topic::Commands, 0).await;
    let large = |bytes| NewRecord { value: Bytes::from(vec![0; bytes]), ..record("") };
    let one = vec![record("a"), large(MAX_VALUE_BYTES + 1)];
    let many = vec![large(MAX_VALUE_BYTES); MAX_APPEND_BYTES / MAX_VALUE_BYTES + 1];
    for records in [one, many] {
        let error = log.append(Topic::Commands, 0, records).await.unwrap_err();
        assert!(matches!(error, LogError::Invalid { .. }), "{error:?}");
    }
    assert_eq!(next(&*log, Topic::Commands, 0).await, start);
}

/// Every call names a partition that there is not.
pub async fn refuses_partitions_that_it_does_not_have(engine: &dyn Engine) {
    let log = engine.open().await;
    for partition in [log.partitions(), u32::MAX] {
        let topic = Topic::Events;
        let results = [
            log.append(topic, partition, vec![record("a")]).await.map(|_| ()),
            log.read(topic, partition, 0, ReadLimit::default()).await.map(|_| ()),
            log.wait_for(topic, partition, 0).await,
            log.bounds(topic, partition).await.map(|_| ()),
            log.sync(topic, partition).await.map(|_| ()),
            log.commit("group", topic, partition, 0).await,
            log.committed("group", topic, partition).await.map(|_| ()),
            log.release(topic, partition, 0).await,
        ];
        for result in results {
            assert!(matches!(result, Err(LogError::Invalid { .. })), "{result:?}");
        }
    }
}

/// A wait ends when the record can be read, at once if it can already, and not before.
pub async fn wakes_who_waits_for_a_record(engine: &dyn Engine) {
    let log = engine.open().await;
    for topic in Topic::ALL {
        let start = next(&*log, topic, 0).await;
        let waits: Vec<_> = (0..3_u64)
            .map(|ahead| {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    log.wait_for(topic, 0, start + ahead).await.unwrap();
                    let read = log.read(topic, 0, start + ahead, ReadLimit::default()).await.unwrap();
                    read[0].offset
                })
            })
            .collect();
        for n in 0..3 {
            log.append(topic, 0, vec![record(format!("{n}"))]).await.unwrap();
        }
        for (ahead, wait) in (0..).zip(waits) {
            assert_eq!(timeout(PATIENCE, wait).await.unwrap().unwrap(), start + ahead);
        }
        timeout(PATIENCE, log.wait_for(topic, 0, start)).await.unwrap().unwrap();
        let beyond = timeout(Duration::from_millis(20), log.wait_for(topic, 0, start + 3)).await;
        assert!(beyond.is_err(), "a wait ended before its record was there");
    }
}

/// Dropping a wait loses nothing for the next one.
pub async fn a_wait_may_be_abandoned(engine: &dyn Engine) {
    let log = engine.open().await;
    let start = next(&*log, Topic::Events, 1).await;
    for _ in 0..3 {
        let abandoned = timeout(Duration::from_millis(1), log.wait_for(Topic::Events, 1, start)).await;
        assert!(abandoned.is_err());
    }
    log.append(Topic::Events, 1, vec![record("a")]).await.unwrap();
    let wait = timeout(PATIENCE, log.wait_for(Topic::Events, 1, start)).await;
    wait.unwrap().unwrap();
}

/// `earliest ≤ durable ≤ next`; a sync makes all of it durable.
pub async fn bounds_follow_appends_and_syncs(engine: &dyn Engine) {
    let log = engine.open().await;
    for topic in Topic::ALL {
        let first = log.append(topic, 0, vec![record("a"), record("b")]).await.unwrap();
        let bounds = log.bounds(topic, 0).await.unwrap();
        assert_eq!(bounds.next, first + 2);
        assert!(bounds.earliest <= bounds.durable && bounds.durable <= bounds.next);
        assert_eq!(log.sync(topic, 0).await.unwrap(), first + 2);
        assert_eq!(log.bounds(topic, 0).await.unwrap().durable, first + 2);
    }
}

/// A commit is read back, by group and partition; the last one counts.
pub async fn remembers_commits_of_groups(engine: &dyn Engine) {
    let log = engine.open().await;
    let topic = Topic::Events;
    assert_eq!(log.committed("never", topic, 0).await.unwrap(), None);
    log.commit("contract-a", topic, 0, 5).await.unwrap();
    log.commit("contract-b", topic, 0, 6).await.unwrap();
    log.commit("contract-a", topic, 1, 7).await.unwrap();
    log.commit("contract-a", Topic::Commands, 0, 8).await.unwrap();
    log.commit("contract-a", topic, 0, 9).await.unwrap();
    assert_eq!(log.committed("contract-a", topic, 0).await.unwrap(), Some(9));
    assert_eq!(log.committed("contract-b", topic, 0).await.unwrap(), Some(6));
    assert_eq!(log.committed("contract-a", topic, 1).await.unwrap(), Some(7));
    assert_eq!(log.committed("contract-a", Topic::Commands, 0).await.unwrap(), Some(8));
}

/// Many groups that commit at once do not disturb each other.
pub async fn keeps_commits_apart_under_concurrency(engine: &dyn Engine) {
    let log = engine.open().await;
    let groups: Vec<_> = (0..16_u64)
        .map(|group| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let name = format!("contract-many-{group}");
                for next in 0..20 {
                    log.commit(&name, Topic::Commands, 1, group * 1_000 + next).await.unwrap();
                }
                assert_eq!(log.committed(&name, Topic::Commands, 1).await.unwrap(), Some(group * 1_000 + 19));
            })
        })
        .collect();
    for group in groups {
        group.await.unwrap();
    }
}

/// Retention removes nothing before the first release, and later nothing at or after the released offset.
pub async fn keeps_what_is_not_released(engine: &dyn Engine) {
    let log = engine.open().await;
    let topic = Topic::Commands;
    let start = next(&*log, topic, 0).await;
    for n in 0..40 {
        log.append(topic, 0, vec![record(format!("{n:0200}"))]).await.unwrap();
    }
    if !engine.expire(&*log, topic, 0).await {
        return;
    }
    assert!(log.bounds(topic, 0).await.unwrap().earliest <= start);
    assert_eq!(read_all(&*log, topic, 0, start).await.len(), 40);
    log.release(topic, 0, start + 30).await.unwrap();
    engine.expire(&*log, topic, 0).await;
    let earliest = log.bounds(topic, 0).await.unwrap().earliest;
    assert!(start < earliest && earliest <= start + 30, "{start} {earliest}");
    let kept = read_all(&*log, topic, 0, earliest).await;
    assert_eq!(kept.last().unwrap().offset, start + 39);
    let error = log.read(topic, 0, earliest - 1, ReadLimit::default()).await.unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { .. }), "{error:?}");
}

/// A reader that waits and reads in turn sees all that many writers append, each once and in order.
pub async fn a_reader_of_the_tail_sees_every_record_once(engine: &dyn Engine) {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    let log = engine.open().await;
    let start = next(&*log, Topic::Events, 0).await;
    let reader = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut seen: Vec<Record> = Vec::new();
            let mut from = start;
            while seen.len() < WRITERS * EACH {
                log.wait_for(Topic::Events, 0, from).await.unwrap();
                let records = log.read(Topic::Events, 0, from, ReadLimit::default()).await.unwrap();
                assert!(!records.is_empty(), "a wait ended, but there is nothing to read");
                for record in records {
                    assert_eq!(record.offset, from);
                    from += 1;
                    seen.push(record);
                }
            }
            seen
        })
    };
    let writers = (0..WRITERS).map(|writer| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            for n in 0..EACH {
                let one = vec![record(format!("{writer} {n:03}"))];
                log.append(Topic::Events, 0, one).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let seen = timeout(PATIENCE, reader).await.unwrap().unwrap();
    for writer in 0..WRITERS {
        let mine: Vec<_> = texts(&seen).into_iter().filter(|text| text.starts_with(&format!("{writer} "))).collect();
        assert_eq!(mine.len(), EACH);
        assert!(mine.is_sorted(), "a writer's records are out of order");
    }
}

/// Records, commits and the epoch are there after opening again, if the engine is persistent.
pub async fn is_the_same_after_opening_it_again(engine: &dyn Engine) {
    if !engine.is_persistent() {
        return;
    }
    let log = engine.open().await;
    let epoch = log.epoch().to_owned();
    let mut before = Vec::new();
    for topic in Topic::ALL {
        for n in 0..50 {
            log.append(topic, 1, vec![record(format!("{n:0300}"))]).await.unwrap();
        }
        let earliest = log.bounds(topic, 1).await.unwrap().earliest;
        before.push((earliest, read_all(&*log, topic, 1, earliest).await));
    }
    log.commit("contract-again", Topic::Events, 1, 17).await.unwrap();
    drop(log);
    let log = engine.open().await;
    assert_eq!(log.epoch(), epoch);
    for (topic, (earliest, records)) in Topic::ALL.into_iter().zip(before) {
        assert_eq!(read_all(&*log, topic, 1, earliest).await, records);
        let bounds = log.bounds(topic, 1).await.unwrap();
        assert_eq!(bounds.next, bounds.durable);
        let first = log.append(topic, 1, vec![record("after")]).await.unwrap();
        assert_eq!(first, bounds.next);
    }
    assert_eq!(log.committed("contract-again", Topic::Events, 1).await.unwrap(), Some(17));
}

/// A log that works does not say that it refuses.
pub async fn health_says_that_it_takes_records(engine: &dyn Engine) {
    let log = engine.open().await;
    log.append(Topic::Commands, 0, vec![record("a")]).await.unwrap();
    assert_eq!(log.health().refusing, None);
}
