//! The lake and the log: what differs is found, what is derived anew takes its place, what is too old goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use analytics::lake::{LakeOptions, Outcome, VerifyReport};
use analytics::schema;
use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use serde_json::Value;
use storage::log::memory::MemoryLog;
use storage::log::{Log, Topic, partition_of};

use crate::events::{Op, START, World};
use crate::hub::{Hub, PARTITIONS, append, options};
use crate::lake::{edit, everything, rows, shown, table};

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_publishes_what_it_has_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let mut world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0), Op::Inbound(1)]);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    hub.analytics.flush().await.unwrap();
    hub.analytics.keep_up().await.unwrap();
    assert_eq!(rows(folder.path(), &world, "messages", "message_id").len(), 3);
    let counted = hub.sql(world.workspace_id, "select count(*) from messages").await;
    assert_eq!(counted, [[Value::from(3)]]);
    let seen = world.events.len();
    world.play(&[Op::Inbound(2)]);
    append(&log, &world.events[seen..]).await;
    hub.caught_up().await;
    hub.stop().await;
    let shown = rows(folder.path(), &world, "messages", "message_id").len();
    assert_eq!(shown, 4, "a stopping hub publishes its last flush");

    let folder = tempfile::tempdir().unwrap();
    let mut quiet = options(folder.path());
    quiet.lake.publish = false;
    let hub = Hub::open(quiet, &log);
    hub.caught_up().await;
    hub.stop().await;
    let unpublished = table(folder.path(), &world, "messages");
    assert!(unpublished.is_dir() && !unpublished.join("_delta_log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_too_old_go_and_those_that_are_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let days = |days: i64| Op::Wait(days * 86_400);
    let mut world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0), days(40), Op::Inbound(1)]);
    append(&log, &world.events).await;
    let mut aging = options(folder.path());
    aging.lake.retention = [("messages", 30), ("kpi_minute", 50), ("contacts", 1)]
        .map(|(table, days)| (table, Duration::from_hours(24 * days)))
        .into();
    let hub = Hub::open(aging.clone(), &log);
    hub.caught_up().await;
    hub.at(world.now);
    hub.stop().await;
    let hub = Hub::open(aging.clone(), &log);
    hub.at(world.now);
    hub.analytics.keep_up().await.unwrap();
    let counts = "select (select count(*) from messages) as messages, (select count(*) from contacts) as contacts,
        (select count(distinct minute) from kpi_minute) as minutes";
    assert_eq!(hub.sql(world.workspace_id, counts).await, [[Value::from(1), Value::from(2), Value::from(2)]]);
    assert_eq!(rows(folder.path(), &world, "messages", "message_id").len(), 1);

    // A file whose rows are all too old goes as a whole, and the lake still is what the log gives, but for those.
    let seen = world.events.len();
    world.play(&[days(40), Op::Inbound(2)]);
    append(&log, &world.events[seen..]).await;
    hub.caught_up().await;
    hub.analytics.flush().await.unwrap();
    hub.at(world.now);
    hub.analytics.keep_up().await.unwrap();
    assert_eq!(hub.sql(world.workspace_id, counts).await, [[Value::from(1), Value::from(3), Value::from(2)]]);
    hub.stop().await;
    let report = verify(&log, folder.path()).await;
    assert!(report.same, "{report:?}");
    let messages = report.tables.iter().find(|table| table.table == "messages").unwrap();
    assert_eq!(messages.rows, 1);
}

async fn verify(log: &Arc<MemoryLog>, folder: &Path) -> VerifyReport {
    let scratch = tempfile::tempdir().unwrap();
    analytics::lake::verify(log.as_ref(), folder, scratch.path(), &mut |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_finds_what_differs_and_rebuilding_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let mut world = World::new("a");
    let hub = Hub::open(options(folder.path()), &log);
    for _ in 0..10 {
        let seen = world.events.len();
        world.play(&[Op::Inbound(0), Op::Reply(0, 0), Op::Resolve(0, 1), Op::Wait(3), Op::Inbound(1)]);
        append(&log, &world.events[seen..]).await;
        hub.caught_up().await;
        hub.analytics.flush().await.unwrap();
        hub.analytics.keep_up().await.unwrap();
    }
    hub.stop().await;
    let report = verify(&log, folder.path()).await;
    assert!(report.same, "{report:?}");
    assert_eq!(report.tables.len(), schema::STORED.len());
    let before = everything(folder.path(), &world);

    // A row is gone from a file, and a count in another is wrong, without anybody's doing.
    let partition = partition_of(world.workspace_id, PARTITIONS);
    let manifest = folder.path().join(format!("manifests/{partition}.json"));
    let mut changed: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    for (name, cut) in [("messages", true), ("kpi_minute", false)] {
        let files = changed["files"].as_array_mut().unwrap();
        let file = files.iter_mut().find(|file| file["table"] == name).unwrap();
        let path = table(folder.path(), &world, name).join(file["file"].as_str().unwrap());
        file["bytes"] =
            edit(&path, |batch| if cut { batch.slice(1, batch.num_rows() - 1) } else { one_more(&batch) }).into();
    }
    std::fs::write(&manifest, changed.to_string()).unwrap();
    let report = verify(&log, folder.path()).await;
    assert!(!report.same);
    for table in &report.tables {
        match (table.table, &table.outcome) {
            ("messages", Outcome::Differs { only_in_lake, only_from_log, rows_from_log }) => {
                assert_eq!((only_in_lake.len(), only_from_log.len()), (0, 1));
                assert_eq!(*rows_from_log, table.rows + 1);
                assert_eq!(only_from_log[0]["conversation_id"].as_str().unwrap().len(), 36);
            }
            ("kpi_minute", Outcome::Differs { only_in_lake, .. }) => assert!(!only_in_lake.is_empty()),
            (_, Outcome::Same) => {}
            other => panic!("{other:?}"),
        }
    }

    let options = LakeOptions::default();
    let mut told = 0;
    let rebuilt =
        analytics::lake::rebuild(log.as_ref(), folder.path(), &options, world.now, &mut |_| told += 1).await.unwrap();
    assert!(told > 0 && rebuilt.partitions.iter().any(|part| part.next_offset == world.events.len() as u64));
    assert!(!folder.path().join("rebuild").exists());
    assert_eq!(everything(folder.path(), &world), before);
    let report = verify(&log, folder.path()).await;
    assert!(report.same, "{report:?}");
    let messages = shown(&table(folder.path(), &world, "messages"));
    assert_eq!(messages.commits.last().unwrap()[0]["commitInfo"]["operation"], "REWRITE");

    let contents = analytics::lake::contents(folder.path(), PARTITIONS).unwrap();
    let listed = contents.iter().find(|listed| listed.table == "messages").unwrap();
    assert_eq!(listed.rows, before[0].len() as u64);
    assert_eq!(listed.delta_version, Some(messages.commits.len() as u64 - 1));
    assert!(listed.files.iter().all(|path| path.exists()));

    // The hub goes on from there.
    let hub = Hub::open(self::options(folder.path()), &log);
    let seen = world.events.len();
    world.play(&[Op::Inbound(2)]);
    append(&log, &world.events[seen..]).await;
    hub.caught_up().await;
    hub.stop().await;
    assert!(verify(&log, folder.path()).await.same);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_beginning_is_compared_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let mut world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0)]);
    let cut = world.events.len() as u64;
    world.play(&[Op::Inbound(1), Op::Reply(0, 1), Op::Reply(1, 1), Op::Assign(1, Some(2)), Op::Resolve(1, 0)]);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    hub.stop().await;
    let partition = partition_of(world.workspace_id, PARTITIONS);
    log.release(Topic::Events, partition, cut).await.unwrap();
    log.remove_released(Topic::Events, partition).unwrap();

    let report = verify(&log, folder.path()).await;
    assert!(report.same, "{report:?}");
    let incomplete = report.partitions.iter().find_map(|part| part.incomplete.as_ref()).unwrap();
    assert!(incomplete.contains("retention has removed"), "{incomplete}");
    for table in &report.tables {
        match (table.table, &table.outcome) {
            // Of the conversation that began after the cut: both messages, and nothing of the other.
            ("messages", Outcome::Same) => assert_eq!(table.rows, 2),
            ("kpi_minute" | "conversation_facts", outcome) => assert!(matches!(outcome, Outcome::NotCompared { .. })),
            (_, outcome) => assert!(matches!(outcome, Outcome::Same | Outcome::NotCompared { .. })),
        }
    }
    let refused =
        analytics::lake::rebuild(log.as_ref(), folder.path(), &LakeOptions::default(), START, &mut |_| {}).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("a rebuild would lose them"), "{refused}");
    assert!(verify(&log, folder.path()).await.same);
}

/// Adds one to every count of messages.
fn one_more(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let column = schema.index_of("messages_in").unwrap();
    let counts = batch.column(column).as_primitive::<Int64Type>();
    let mut columns = batch.columns().to_vec();
    columns[column] = Arc::new(counts.iter().map(|count| count.map(|count| count + 1)).collect::<Int64Array>());
    RecordBatch::try_new(schema, columns).unwrap()
}
