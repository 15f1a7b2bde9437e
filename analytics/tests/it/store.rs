//! Files: each row once whatever crashes, gaps told, orphans removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use analytics::store::Partition;
use analytics::store::file::{DataFile, FileKind};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use schemas::event::EventRecord;
use storage::log::memory::MemoryLog;
use storage::log::{Log, NewRecord, Topic, partition_of};

use crate::events::{Op, World, ops};
use crate::hub::{Hub, append, options};

fn open(folder: &Path) -> Partition {
    Partition::open(folder, 0, 1, "epoch").unwrap()
}

/// Applies what the partition has not seen.
fn replay(partition: &mut Partition, events: &[EventRecord]) {
    let from = usize::try_from(partition.next_offset().unwrap_or(0)).unwrap();
    for (offset, event) in events.iter().enumerate().skip(from) {
        partition.apply(offset as u64, Some(event.clone()));
    }
}

pub(crate) fn flush(partition: &mut Partition, folder: &Path) {
    let flush = partition.begin_flush().unwrap();
    let written = flush.write().unwrap();
    let commit = partition.plan_commit(flush, written).unwrap();
    commit.write(folder, 0).unwrap();
    partition.finish_commit(commit);
    while let Some(merge) = partition.next_merge() {
        let merged = merge.write().unwrap();
        let commit = partition.plan_merge_commit(&merge, merged).unwrap();
        commit.write(folder, 0).unwrap();
        partition.finish_commit(commit);
    }
}

fn read(file: &DataFile) -> Vec<RecordBatch> {
    let open = std::fs::File::open(&file.path).unwrap();
    if file.kind == FileKind::Fresh {
        return arrow::ipc::reader::FileReader::try_new(open, None).unwrap().map(Result::unwrap).collect();
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(open).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// The texts of a column over all files of a table; of conversations, those of the newest rows.
fn ids(partition: &Partition, world: &World, table: &str, column: &str) -> Vec<String> {
    let (files, _seal) = partition.query(world.workspace_id).unwrap().seal().unwrap();
    let mut found = Vec::new();
    let mut newest = BTreeMap::new();
    for (_, file) in files.files.iter().filter(|(name, _)| *name == table) {
        for batch in read(file) {
            let texts = batch.column_by_name(column).unwrap().as_string::<i32>();
            let versions = batch.column_by_name("version").map(|column| column.as_primitive::<Int64Type>().clone());
            for row in 0..texts.len() {
                let text = texts.value(row).to_owned();
                match &versions {
                    Some(versions) => {
                        let known = newest.entry(text).or_insert(versions.value(row));
                        *known = versions.value(row).max(*known);
                    }
                    None => found.push(text),
                }
            }
        }
    }
    found.extend(newest.into_iter().map(|(id, version)| format!("{id} {version}")));
    found.sort_unstable();
    found
}

/// Tables, each with the column that tells its rows apart.
pub(crate) const KEYED: [(&str, &str); 6] = [
    ("messages", "message_id"),
    ("deliveries", "event_id"),
    ("assignments", "event_id"),
    ("contacts", "contact_id"),
    ("conversations", "conversation_id"),
    ("conversation_facts", "fact_id"),
];

fn everything(partition: &Partition, world: &World) -> Vec<Vec<String>> {
    KEYED.map(|(table, column)| ids(partition, world, table, column)).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is flushed when, and wherever the process is killed, a replay from the last commit gives each row once.
    #[test]
    fn a_crash_at_any_step_leaves_each_row_once(ops in ops(60), steps in prop::collection::vec(0..5_u8, 1..16)) {
        let world = World::of("a", &ops);
        let straight = tempfile::tempdir().unwrap();
        let mut expected = open(straight.path());
        replay(&mut expected, &world.events);

        let folder = tempfile::tempdir().unwrap();
        let mut partition = open(folder.path());
        for (i, step) in steps.iter().enumerate() {
            let until = world.events.len() * (i + 1) / steps.len();
            replay(&mut partition, &world.events[..until]);
            match step {
                0 => {}
                1 => flush(&mut partition, folder.path()),
                2 => partition = open(folder.path()),
                3 => {
                    // Killed after the files were written and before the commit.
                    let _written = partition.begin_flush().unwrap().write().unwrap();
                    partition = open(folder.path());
                }
                _ => {
                    // Killed between the commit and what follows it.
                    let flush = partition.begin_flush().unwrap();
                    let written = flush.write().unwrap();
                    partition.plan_commit(flush, written).unwrap().write(folder.path(), 0).unwrap();
                    partition = open(folder.path());
                }
            }
        }
        replay(&mut partition, &world.events);
        prop_assert_eq!(everything(&partition, &world), everything(&expected, &world));
        prop_assert_eq!(partition.fold().snapshot().unwrap(), expected.fold().snapshot().unwrap());
    }
}

#[test]
fn many_small_files_become_few_and_the_newest_row_of_a_conversation_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut partition = open(folder.path());
    let mut world = World::new("a");
    for _ in 0..40 {
        world.play(&[Op::Inbound(0), Op::Reply(0, 0), Op::Wait(61), Op::Inbound(1)]);
        replay(&mut partition, &world.events);
        flush(&mut partition, folder.path());
    }
    let (files, _seal) = partition.query(world.workspace_id).unwrap().seal().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    files.files.iter().for_each(|(table, _)| *counts.entry(table).or_default() += 1);
    assert!(counts.values().all(|count| *count <= 9), "{counts:?}");
    assert_eq!(ids(&partition, &world, "messages", "message_id").len(), 120);
    assert_eq!(ids(&partition, &world, "conversations", "conversation_id").len(), 2);
    drop(files);
    let on_disk = walk(folder.path()).into_iter().filter(|name| name.ends_with(".parquet")).count();
    assert_eq!(on_disk, counts.values().sum::<usize>(), "superseded files are removed");

    let mut again = open(folder.path());
    assert_eq!(again.next_offset(), Some(world.events.len() as u64));
    replay(&mut again, &world.events);
    assert_eq!(everything(&again, &world), everything(&partition, &world));
}

#[test]
fn what_no_commit_names_is_removed_and_what_it_names_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0)]);
    let mut partition = open(folder.path());
    replay(&mut partition, &world.events);
    flush(&mut partition, folder.path());
    let lake = folder.path().join("lake").join(format!("workspace={}", world.workspace_id));
    std::fs::write(lake.join("messages").join("orphan.parquet"), "x").unwrap();
    drop(open(folder.path()));
    let names = walk(&lake);
    assert!(!names.iter().any(|name| name.contains("orphan")), "{names:?}");

    // Another epoch of the log is another history: what was derived from the old one goes.
    let other = Partition::open(folder.path(), 0, 1, "another").unwrap();
    assert_eq!(other.next_offset(), None);
    assert_eq!(walk(&lake).iter().filter(|name| name.ends_with(".parquet")).count(), 0);
    let error = Partition::open(folder.path(), 0, 1, "epoch").unwrap_err();
    assert!(error.to_string().contains("derive everything again"), "{error}");
    std::fs::write(folder.path().join("manifests").join("0.json"), "{").unwrap();
    let error = Partition::open(folder.path(), 0, 1, "epoch").unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

fn walk(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            names.extend(walk(&entry.path()));
        } else {
            names.push(entry.path().display().to_string());
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_log_has_lost_are_told_and_unreadable_ones_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(2));
    let mut world = World::of("a", &[Op::Inbound(0), Op::Inbound(1)]);
    let partition = partition_of(world.workspace_id, 2);
    append(&log, &world.events).await;
    let lost = world.events.len() as u64;
    log.release(Topic::Events, partition, lost).await.unwrap();
    log.remove_released(Topic::Events, partition).unwrap();
    let garbage = NewRecord {
        key: world.workspace_id,
        at: world.now,
        value: Bytes::from_static(b"{\"v\":1,\"event\":\"from the future\"}"),
    };
    log.append(Topic::Events, partition, vec![garbage]).await.unwrap();
    world.play(&[Op::Reply(0, 0)]);
    append(&log, &world.events[usize::try_from(lost).unwrap()..]).await;

    for _ in 0..2 {
        let hub = Hub::open(options(folder.path()), &log);
        hub.caught_up().await;
        let health = hub.analytics.health();
        let health = health.iter().find(|health| health.partition == partition).unwrap();
        assert_eq!(health.gaps.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(), [(0, lost)]);
        assert_eq!(health.failing, None);
        hub.stop().await;
        let hub = Hub::open(options(folder.path()), &log);
        assert_eq!(hub.analytics.committed_offset(partition).unwrap(), lost + 3);
        hub.stop().await;
    }
}
