//! Random operations on the embedded log and on the model give the same answers.

use std::path::Path;

use proptest::prelude::*;
use schemas::{Timestamp, WorkspaceId};
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::memory::MemoryLog;
use storage::log::{Durability, Log, LogError, NewRecord, ReadLimit, Topic};

use super::log_support::{crashed, small};

const PARTITIONS: u32 = 2;

#[derive(Clone, Debug)]
enum Operation {
    Append(Topic, u32, Vec<(u8, usize)>),
    Read(Topic, u32, prop::sample::Index, ReadLimit),
    Commit(u8, Topic, u32, u64),
    Sync(Topic, u32),
    Reopen,
    Crash,
    CrashWithoutIndexes,
}

fn topic() -> impl Strategy<Value = Topic> {
    prop::sample::select(&Topic::ALL[..])
}

fn operation() -> impl Strategy<Value = Operation> {
    let partition = 0..PARTITIONS;
    let values = prop::collection::vec((any::<u8>(), 0..900_usize), 0..6);
    let limit = (0..12_usize, 0..3_000_usize).prop_map(|(records, bytes)| ReadLimit { records, bytes });
    prop_oneof![
        10 => (topic(), partition.clone(), values).prop_map(|(t, p, v)| Operation::Append(t, p, v)),
        10 => (topic(), partition.clone(), any::<prop::sample::Index>(), limit)
            .prop_map(|(t, p, from, limit)| Operation::Read(t, p, from, limit)),
        2 => (0..3_u8, topic(), partition.clone(), 0..50_u64).prop_map(|(g, t, p, n)| Operation::Commit(g, t, p, n)),
        1 => (topic(), partition).prop_map(|(t, p)| Operation::Sync(t, p)),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Crash),
        1 => Just(Operation::CrashWithoutIndexes),
    ]
}

fn options(dir: &Path) -> EmbeddedLogOptions {
    EmbeddedLogOptions { partitions: PARTITIONS, ..small(dir) }
}

fn kind(error: &LogError) -> String {
    match error {
        LogError::OutOfRange { .. } => error.to_string(),
        error => format!("{:?}", std::mem::discriminant(error)),
    }
}

fn remove_indexes(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_indexes(&path);
        } else if path.extension().is_some_and(|ending| ending == "index") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn records(values: Vec<(u8, usize)>) -> Vec<NewRecord> {
    let values = values.into_iter();
    values
        .map(|(byte, length)| NewRecord {
            key: WorkspaceId::from_bytes([byte; 16]),
            at: Timestamp::from_unix_millis(i64::from(byte)),
            value: vec![byte; length].into(),
        })
        .collect()
}

async fn compare(operations: Vec<Operation>, durability: Durability) -> Result<(), TestCaseError> {
    let mut dir = tempfile::tempdir().unwrap();
    let open = |dir: &Path| EmbeddedLog::open(EmbeddedLogOptions { durability, ..options(dir) }).unwrap();
    let model = MemoryLog::new(PARTITIONS);
    let mut log = open(dir.path());
    let mut committed = Vec::new();
    for operation in operations {
        match operation {
            Operation::Append(topic, partition, values) => {
                let records = records(values);
                let first = log.append(topic, partition, records.clone()).await.unwrap();
                prop_assert_eq!(first, model.append(topic, partition, records).await.unwrap());
            }
            Operation::Read(topic, partition, from, limit) => {
                let bounds = model.bounds(topic, partition).await.unwrap();
                // Up to two beyond the end.
                let end = usize::try_from(bounds.next).unwrap() + 3;
                let from = u64::try_from(from.index(end)).unwrap();
                let read = log.read(topic, partition, from, limit).await;
                let expected = model.read(topic, partition, from, limit).await;
                prop_assert_eq!(read.map_err(|e| kind(&e)), expected.map_err(|e| kind(&e)));
            }
            Operation::Commit(group, topic, partition, next) => {
                let group = format!("group-{group}");
                log.commit(&group, topic, partition, next).await.unwrap();
                model.commit(&group, topic, partition, next).await.unwrap();
                committed.push((group, topic, partition));
            }
            Operation::Sync(topic, partition) => {
                let synced = log.sync(topic, partition).await.unwrap();
                prop_assert_eq!(synced, model.sync(topic, partition).await.unwrap());
            }
            Operation::Reopen => {
                log.close().await;
                log = open(dir.path());
            }
            Operation::Crash | Operation::CrashWithoutIndexes => {
                let image = crashed(dir.path());
                if matches!(operation, Operation::CrashWithoutIndexes) {
                    remove_indexes(image.path());
                }
                drop(log);
                // A crash may lose the last second of commits: they are read again from what was closed cleanly.
                let groups = dir.path().join("groups.json");
                if groups.exists() {
                    std::fs::copy(groups, image.path().join("groups.json")).unwrap();
                }
                dir = image;
                log = open(dir.path());
            }
        }
    }
    for (group, topic, partition) in committed {
        let noted = log.committed(&group, topic, partition).await.unwrap();
        prop_assert_eq!(noted, model.committed(&group, topic, partition).await.unwrap());
    }
    for topic in Topic::ALL {
        for partition in 0..PARTITIONS {
            let (ours, theirs) = (log.bounds(topic, partition).await, model.bounds(topic, partition).await);
            prop_assert_eq!(ours.unwrap().next, theirs.unwrap().next);
        }
    }
    Ok(())
}

fn run(operations: Vec<Operation>, durability: Durability) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(compare(operations, durability))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_log_answers_as_the_model(operations in prop::collection::vec(operation(), 1..50)) {
        run(operations, Durability::Fsync)?;
    }

    #[test]
    fn with_an_interval_it_answers_as_the_model(operations in prop::collection::vec(operation(), 1..50)) {
        run(operations, Durability::Interval(std::time::Duration::from_millis(20)))?;
    }
}
