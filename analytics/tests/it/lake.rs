//! The lake: its Delta logs always tell of each row once, whatever crashes, and other readers have time to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use analytics::lake::{LocalPlace, Place, PlaceError, Publisher};
use analytics::schema;
use analytics::store::Partition;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use schemas::event::EventRecord;
use serde_json::Value;
use storage::log::memory::MemoryLog;
use storage::log::partition_of;

use crate::events::{Op, START, World, ops};
use crate::hub::{Hub, PARTITIONS, append, options};
use crate::store::KEYED;

const HOUR: Duration = Duration::from_hours(1);

fn open(folder: &Path, epoch: &str) -> Partition {
    let mut partition = Partition::open(folder, 0, 1, epoch).unwrap();
    partition.keep_replaced();
    partition
}

fn publisher(folder: &Path) -> Publisher {
    Publisher::new(folder.join("lake"), 0, 1, HOUR)
}

fn replay(partition: &mut Partition, events: &[EventRecord]) {
    let from = usize::try_from(partition.next_offset().unwrap_or(0)).unwrap();
    for (offset, event) in events.iter().enumerate().skip(from) {
        partition.apply(offset as u64, Some(event.clone()));
    }
}

fn flush(partition: &mut Partition, folder: &Path) {
    let flush = partition.begin_flush().unwrap();
    let written = flush.write().unwrap();
    let commit = partition.plan_commit(flush, written).unwrap();
    commit.write(folder, 0).unwrap();
    partition.finish_commit(commit);
}

fn merge(partition: &mut Partition, folder: &Path) -> bool {
    let Some(merge) = partition.next_merge() else { return false };
    let merged = merge.write().unwrap();
    let commit = partition.plan_merge_commit(&merge, merged).unwrap();
    commit.write(folder, 0).unwrap();
    partition.finish_commit(commit);
    true
}

/// A Delta log as a reader of few lines understands it, commits only.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) commits: Vec<Vec<Value>>,
    active: BTreeMap<String, Value>,
    next_offset: BTreeMap<String, i64>,
    columns: Vec<String>,
}

pub(crate) fn shown(table: &Path) -> Shown {
    let mut shown = Shown::default();
    let log = table.join("_delta_log");
    for version in 0.. {
        let Ok(lines) = std::fs::read_to_string(log.join(format!("{version:020}.json"))) else { break };
        let actions: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut paths = BTreeSet::new();
        for action in &actions {
            let (name, body) = action.as_object().unwrap().iter().next().unwrap();
            let path = body["path"].as_str().unwrap_or_default().to_owned();
            match name.as_str() {
                "add" => {
                    assert!(paths.insert(path.clone()), "{path} twice in a commit");
                    assert!(shown.active.insert(path, body.clone()).is_none(), "added twice");
                }
                "remove" => {
                    assert!(paths.insert(path.clone()), "{path} twice in a commit");
                    assert!(shown.active.remove(&path).is_some(), "{path} was not there");
                }
                "txn" => {
                    let next = body["version"].as_i64().unwrap();
                    let before = shown.next_offset.insert(body["appId"].as_str().unwrap().to_owned(), next);
                    assert!(before <= Some(next), "offsets go back");
                }
                "metaData" => {
                    let columns: Value = serde_json::from_str(body["schemaString"].as_str().unwrap()).unwrap();
                    let fields = columns["fields"].as_array().unwrap();
                    shown.columns = fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect();
                }
                "commitInfo" | "protocol" => {}
                other => panic!("an action {other}"),
            }
        }
        shown.commits.push(actions);
    }
    shown
}

pub(crate) fn table(folder: &Path, world: &World, name: &str) -> PathBuf {
    folder.join("lake").join(format!("workspace={}", world.workspace_id)).join(name)
}

/// The first two columns that tell rows apart, of all rows that a Delta log shows; of what changes, the newest version.
pub(crate) fn rows(folder: &Path, world: &World, name: &str, column: &str) -> Vec<(String, i64)> {
    let table = table(folder, world, name);
    let mut found = Vec::new();
    for (path, add) in shown(&table).active {
        let file = std::fs::File::open(table.join(&path)).unwrap();
        assert_eq!(add["size"].as_u64(), Some(file.metadata().unwrap().len()), "{path}");
        let mut count = 0;
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let texts = batch.column_by_name(column).unwrap().as_string::<i32>();
            let versions = batch.column_by_name("version").map(AsArray::as_primitive::<Int64Type>);
            count += batch.num_rows();
            found.extend(
                (0..texts.len())
                    .map(|row| (texts.value(row).to_owned(), versions.map_or(0, |versions| versions.value(row)))),
            );
        }
        let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        assert_eq!(stats["numRecords"], count, "{path}");
    }
    if schema::by_name(name).unwrap().newest_of.is_some() {
        let newest: BTreeMap<String, i64> = found.into_iter().fold(BTreeMap::new(), |mut newest, (id, version)| {
            let known = newest.entry(id).or_insert(version);
            *known = version.max(*known);
            newest
        });
        found = newest.into_iter().collect();
    }
    found.sort();
    found
}

pub(crate) fn everything(folder: &Path, world: &World) -> Vec<Vec<(String, i64)>> {
    KEYED.map(|(name, column)| rows(folder, world, name, column)).to_vec()
}

/// A folder whose disk fails after so many writes; the last of them is done all the same.
#[derive(Debug)]
struct Failing {
    folder: LocalPlace,
    left: AtomicUsize,
}

impl Failing {
    fn fail(&self) -> Result<(), PlaceError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_none| self.folder.read("nothing").unwrap_err())
    }
}

impl Place for Failing {
    fn list(&self, folder: &str) -> Result<Vec<String>, PlaceError> {
        self.folder.list(folder)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, PlaceError> {
        self.folder.read(path)
    }

    fn create(&self, path: &str, content: &[u8]) -> Result<bool, PlaceError> {
        if self.left.load(Ordering::SeqCst) == 0 {
            self.fail()?;
        }
        let created = self.folder.create(path, content)?;
        self.fail()?;
        Ok(created)
    }

    fn replace(&self, path: &str, content: &[u8]) -> Result<(), PlaceError> {
        self.fail()?;
        self.folder.replace(path, content)
    }

    fn bring(&self, path: &str, from: &Path) -> Result<(), PlaceError> {
        self.folder.bring(path, from)
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        self.fail()?;
        self.folder.remove(path)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Wherever the process is killed or the disk fails, the logs go on where they were, and in the end tell of each row once.
    #[test]
    fn a_crash_at_any_step_neither_loses_nor_doubles_a_row(
        ops in ops(60),
        steps in prop::collection::vec((0..6_u8, 0..20_usize), 1..14),
    ) {
        let world = World::of("a", &ops);
        let straight = tempfile::tempdir().unwrap();
        let mut expected = open(straight.path(), "epoch");
        replay(&mut expected, &world.events);
        flush(&mut expected, straight.path());
        publisher(straight.path()).publish(&expected.committed(), START).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let mut partition = open(folder.path(), "epoch");
        let mut lake = publisher(folder.path());
        for (i, (step, after)) in steps.iter().enumerate() {
            let until = world.events.len() * (i + 1) / steps.len();
            replay(&mut partition, &world.events[..until]);
            flush(&mut partition, folder.path());
            match step {
                0 => {}
                1 => partition = open(folder.path(), "epoch"),
                2 => lake = publisher(folder.path()),
                3 => {
                    let place = LocalPlace::new(folder.path().join("lake"));
                    let place = Failing { folder: place, left: AtomicUsize::new(*after) };
                    let mut failing = Publisher::at(Arc::new(place), folder.path().join("lake"), 0, 1, HOUR);
                    let _some = failing.publish(&partition.committed(), START);
                    // The same one goes on, or another after a crash.
                    lake = if after % 2 == 0 { publisher(folder.path()) } else { failing };
                    let _some = lake.publish(&partition.committed(), START);
                    lake = publisher(folder.path());
                }
                4 => while merge(&mut partition, folder.path()) {},
                _ => {
                    lake.publish(&partition.committed(), START).unwrap();
                    while merge(&mut partition, folder.path()) {
                        lake.publish(&partition.committed(), START).unwrap();
                    }
                }
            }
        }
        replay(&mut partition, &world.events);
        flush(&mut partition, folder.path());
        let mut lake = publisher(folder.path());
        lake.publish(&partition.committed(), START).unwrap();
        prop_assert_eq!(everything(folder.path(), &world), everything(straight.path(), &world));
        prop_assert_eq!(lake.publish(&partition.committed(), START).unwrap(), 0);
        prop_assert_eq!(publisher(folder.path()).publish(&partition.committed(), START).unwrap(), 0);
        let next = shown(&table(folder.path(), &world, "messages")).next_offset;
        prop_assert!(next.values().all(|next| u64::try_from(*next).unwrap() <= world.events.len() as u64));
    }
}

#[test]
fn merging_moves_rows_and_old_files_go_when_nobody_reads_them_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut partition = open(folder.path(), "epoch");
    let mut lake = publisher(folder.path());
    let mut world = World::new("a");
    let mut now = START;
    for _ in 0..60 {
        world.play(&[Op::Inbound(0), Op::Reply(0, 0), Op::Wait(61)]);
        replay(&mut partition, &world.events);
        flush(&mut partition, folder.path());
        now = now.after(Duration::from_mins(1));
        lake.publish(&partition.committed(), now).unwrap();
        while merge(&mut partition, folder.path()) {
            lake.publish(&partition.committed(), now).unwrap();
        }
        for path in lake.take_expired(now) {
            assert!(partition.forget_replaced(&path), "{}", path.display());
        }
    }
    let messages = table(folder.path(), &world, "messages");
    let before = shown(&messages);
    let moves = |commit: &&Vec<Value>| commit[0]["commitInfo"]["operation"] == "OPTIMIZE";
    let optimized: Vec<_> = before.commits.iter().filter(moves).collect();
    assert!(optimized.len() >= 7, "{}", optimized.len());
    for action in optimized.iter().flat_map(|commit| commit.iter()) {
        for change in ["add", "remove"].into_iter().filter_map(|name| action.get(name)) {
            assert_eq!(change["dataChange"], false);
        }
    }
    assert!(before.active.len() < 9);
    let is_file = |name: &str, ending: &str| name.ends_with(ending);
    let on_disk = |ending| names(&messages).iter().filter(|name| is_file(name, ending)).count();
    assert!(on_disk(".parquet") > before.active.len(), "readers from before still have theirs");

    // The checkpoints carry on when the first commits are gone, for us as for others.
    for _ in 0..80 {
        world.play(&[Op::Inbound(0), Op::Wait(61)]);
        replay(&mut partition, &world.events);
        flush(&mut partition, folder.path());
        now = now.after(Duration::from_mins(3));
        lake.publish(&partition.committed(), now).unwrap();
        while merge(&mut partition, folder.path()) {
            lake.publish(&partition.committed(), now).unwrap();
        }
    }
    let log = names(&messages.join("_delta_log"));
    assert!(!log.contains(&format!("{:020}.json", 0)), "{log:?}");
    assert!(log.contains(&"_last_checkpoint".to_owned()));
    assert!(log.iter().filter(|name| is_file(name, ".json")).count() < 80, "{log:?}");
    let mut again = publisher(folder.path());
    assert_eq!(again.publish(&partition.committed(), now).unwrap(), 0);
    again.take_expired(now.after(2 * HOUR)).iter().for_each(|path| {
        if !partition.forget_replaced(path) {
            std::fs::remove_file(path).unwrap();
        }
    });
    let committed = partition.committed();
    let of_messages = committed.files[&(world.workspace_id, "messages")].len();
    assert_eq!(on_disk(".parquet"), of_messages);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_derived_again_takes_the_place_of_the_old_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0), Op::Inbound(1), Op::Resolve(0, 1), Op::Inbound(2)]);
    let mut partition = open(folder.path(), "epoch");
    replay(&mut partition, &world.events);
    flush(&mut partition, folder.path());
    publisher(folder.path()).publish(&partition.committed(), START).unwrap();
    let before = everything(folder.path(), &world);

    // The rules of the fold have changed: everything is derived again from the same log.
    let manifest = folder.path().join("manifests/0.json");
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    changed["fold"]["v"] = 0.into();
    std::fs::write(&manifest, changed.to_string()).unwrap();
    let mut partition = open(folder.path(), "epoch");
    assert_eq!(partition.next_offset(), None);
    let mut lake = publisher(folder.path());
    assert_eq!(lake.publish(&partition.committed(), START).unwrap(), 0);
    replay(&mut partition, &world.events[..3]);
    flush(&mut partition, folder.path());
    assert_eq!(lake.publish(&partition.committed(), START).unwrap(), 0, "half of the rows are not shown");
    assert_eq!(everything(folder.path(), &world), before);
    replay(&mut partition, &world.events);
    flush(&mut partition, folder.path());
    assert!(lake.publish(&partition.committed(), START).unwrap() > 0);
    assert_eq!(everything(folder.path(), &world), before);
    let expired = lake.take_expired(START.after(2 * HOUR));
    assert!(!expired.is_empty() && expired.iter().all(|path| path.exists()), "{expired:?}");

    // Another history of the log is told of from its first commit on, under a name of its own.
    let mut partition = open(folder.path(), "another");
    replay(&mut partition, &world.events[..3]);
    flush(&mut partition, folder.path());
    publisher(folder.path()).publish(&partition.committed(), START).unwrap();
    let messages = shown(&table(folder.path(), &world, "messages"));
    assert_eq!(messages.next_offset["saler/another/events/0"], 3);
    assert!(rows(folder.path(), &world, "messages", "message_id").len() < before[0].len());
}

#[test]
fn a_copy_elsewhere_is_taken_over_only_from_one_that_is_silent() {
    let (first, second, elsewhere) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0), Op::Inbound(1)]);
    let place: Arc<dyn Place> = Arc::new(LocalPlace::new(elsewhere.path().join("lake")));
    let copier = |folder: &Path| Publisher::of_copy(Arc::clone(&place), folder.join("lake"), 0, 1, HOUR).unwrap();
    let (mut one, mut other) = (open(first.path(), "epoch"), open(second.path(), "epoch"));
    let (mut copy_of_one, mut copy_of_other) = (copier(first.path()), copier(second.path()));
    for round in 0..30 {
        replay(&mut one, &world.events);
        flush(&mut one, first.path());
        while merge(&mut one, first.path()) {}
        let now = START.after(Duration::from_mins(round));
        assert!(copy_of_one.publish(&one.committed(), now).unwrap() > 0);
        copy_of_one.remove_expired(now).unwrap();
        world.play(&[Op::Inbound(0)]);
    }
    let now = START.after(Duration::from_mins(30));
    replay(&mut other, &world.events);
    flush(&mut other, second.path());
    let refused = copy_of_other.publish(&other.committed(), now).unwrap_err().to_string();
    assert!(refused.contains("only one") && refused.contains("60 s ago"), "{refused}");
    let seen = copier(second.path()).publish(&other.committed(), now);
    assert!(seen.is_err(), "what is not remembered is read from the log");

    let later = now.after(Duration::from_mins(11));
    assert!(copy_of_other.publish(&other.committed(), later).unwrap() > 0);
    replay(&mut one, &world.events);
    flush(&mut one, first.path());
    assert!(copy_of_one.publish(&one.committed(), later).is_err(), "whoever was taken over from sees it");
    let messages = table(elsewhere.path(), &world, "messages");
    assert_eq!(rows(elsewhere.path(), &world, "messages", "message_id").len(), 33);
    copy_of_other.remove_expired(later.after(2 * HOUR)).unwrap();
    let files = names(&messages).into_iter().filter(|name| name.ends_with(".parquet")).count();
    assert_eq!(files, shown(&messages).active.len());
}

#[test]
fn a_damaged_log_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0)]);
    let mut partition = open(folder.path(), "epoch");
    replay(&mut partition, &world.events);
    flush(&mut partition, folder.path());
    publisher(folder.path()).publish(&partition.committed(), START).unwrap();
    let before = everything(folder.path(), &world);
    let first = table(folder.path(), &world, "messages").join("_delta_log").join(format!("{:020}.json", 0));
    std::fs::write(&first, "{\"add\":{\"pa").unwrap();
    publisher(folder.path()).publish(&partition.committed(), START).unwrap();
    assert_eq!(everything(folder.path(), &world), before);
    // A table that has no rows yet is there all the same.
    assert_eq!(shown(&table(folder.path(), &world, "assignments")).columns.len(), schema::ASSIGNMENTS.columns.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_from_before_a_column_was_added_read_as_null_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0)]);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    hub.stop().await;

    // As if the column `recorded_at` had come with this version of the program.
    let messages = table(folder.path(), &world, "messages");
    let path = names(&messages).into_iter().find(|name| name.ends_with(".parquet")).unwrap();
    let size = edit(&messages.join(&path), |mut batch| {
        batch.remove_column(batch.schema().index_of("recorded_at").unwrap());
        batch
    });
    let partition = partition_of(world.workspace_id, PARTITIONS);
    let manifest = folder.path().join(format!("manifests/{partition}.json"));
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    for file in changed["files"].as_array_mut().unwrap() {
        if file["table"] == "messages" && file["file"] == path.as_str() {
            file["bytes"] = size.into();
        }
    }
    std::fs::write(&manifest, changed.to_string()).unwrap();
    let commit = messages.join("_delta_log").join(format!("{:020}.json", 0));
    let lines = std::fs::read_to_string(&commit).unwrap();
    let (before, column) = lines.split_once(",{\\\"name\\\":\\\"recorded_at\\\"").unwrap();
    let (_, after) = column.split_once("}}").unwrap();
    std::fs::write(&commit, format!("{before}{after}")).unwrap();
    assert_eq!(shown(&messages).columns.len(), schema::MESSAGES.columns.len() - 1);

    let hub = Hub::open(options(folder.path()), &log);
    hub.analytics.keep_up().await.unwrap();
    let now = shown(&messages);
    assert_eq!(now.columns.len(), schema::MESSAGES.columns.len());
    assert_eq!(now.columns.last().map(String::as_str), Some("recorded_at"));
    let rows = hub.sql(world.workspace_id, "select count(*), count(recorded_at) from messages").await;
    assert_eq!(rows, [[Value::from(2), Value::from(0)]]);
    hub.stop().await;
}

/// Rewrites a file; returns its size.
pub(crate) fn edit(path: &Path, change: impl Fn(RecordBatch) -> RecordBatch) -> u64 {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(|batch| change(batch.unwrap())).collect();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    let bytes = writer.into_inner().unwrap();
    std::fs::write(path, &bytes).unwrap();
    bytes.len() as u64
}
