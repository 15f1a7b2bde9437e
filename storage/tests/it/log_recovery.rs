//! Opening what a crash, a loss of power or a bad disk has left.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemas::Timestamp;
use storage::clock::ManualClock;
use storage::contract::log::record;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Durability, Log, LogError, NewRecord, ReadLimit, Topic};

use super::log_support::{
    append_each, crashed, flip, forget_boot, held, held_values, numbered, segments, small, values,
};

/// One large segment, so that all records are in the last one.
fn large(dir: &Path) -> EmbeddedLogOptions {
    EmbeddedLogOptions { segment_bytes: 1 << 20, ..small(dir) }
}

/// The bytes of a record with a value of this size.
const fn frame(value_bytes: u64) -> u64 {
    44 + value_bytes
}

const HEADER: u64 = 48;

fn corrupt_place(error: &LogError) -> Option<(String, u64)> {
    match error {
        LogError::Corrupt { file, position, .. } => Some((file.clone(), *position)),
        _ => None,
    }
}

#[tokio::test]
async fn a_segment_cut_at_any_byte_of_its_last_records_keeps_the_records_before() {
    let dir = tempfile::tempdir().unwrap();
    let records = numbered("record", 6, 20);
    let log = EmbeddedLog::open(large(dir.path())).unwrap();
    append_each(&log, Topic::Commands, records.clone()).await;
    let image = crashed(dir.path());
    drop(log);
    let path = segments(image.path(), Topic::Commands).remove(0);
    let whole = fs::read(&path).unwrap();
    for length in HEADER + 3 * frame(20)..=HEADER + 6 * frame(20) {
        let survivors = usize::try_from((length - HEADER) / frame(20)).unwrap();
        fs::write(&path, &whole[..usize::try_from(length).unwrap()]).unwrap();
        let log = EmbeddedLog::open(large(image.path())).unwrap();
        let read = held(&log, Topic::Commands).await.unwrap();
        assert_eq!(held_values(&read), values(&records[..survivors]), "cut at {length}");
        let first = log.append(Topic::Commands, 0, vec![record("goes on")]).await.unwrap();
        assert_eq!(first, survivors as u64);
        drop(log);
        let log = EmbeddedLog::open(large(image.path())).unwrap();
        assert_eq!(held(&log, Topic::Commands).await.unwrap().len(), survivors + 1);
    }
}

#[tokio::test]
async fn the_last_record_with_a_wrong_byte_anywhere_is_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let records = numbered("record", 3, 20);
    let log = EmbeddedLog::open(large(dir.path())).unwrap();
    append_each(&log, Topic::Commands, records.clone()).await;
    let image = crashed(dir.path());
    drop(log);
    let path = segments(image.path(), Topic::Commands).remove(0);
    let whole = fs::read(&path).unwrap();
    for position in HEADER + 2 * frame(20)..HEADER + 3 * frame(20) {
        fs::write(&path, &whole).unwrap();
        flip(&path, position);
        let log = EmbeddedLog::open(large(image.path())).unwrap();
        let read = held(&log, Topic::Commands).await.unwrap();
        assert_eq!(held_values(&read), values(&records[..2]), "flip at {position}");
    }
}

#[tokio::test]
async fn a_wrong_byte_in_the_middle_of_the_last_segment_is_reported_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(large(dir.path())).unwrap();
    append_each(&log, Topic::Commands, numbered("record", 5, 20)).await;
    let image = crashed(dir.path());
    drop(log);
    for (restarted, position) in (HEADER + frame(20)..HEADER + 2 * frame(20)).enumerate() {
        let broken = crashed(image.path());
        let path = segments(broken.path(), Topic::Commands).remove(0);
        flip(&path, position);
        if restarted % 2 == 1 {
            forget_boot(broken.path());
        }
        let error = EmbeddedLog::open(large(broken.path())).unwrap_err();
        let place = (path.display().to_string(), HEADER + frame(20));
        assert_eq!(corrupt_place(&error), Some(place), "flip at {position}: {error}");
    }
}

/// A loss of power may leave any pages of the last write on the disk: a hole at its beginning is no damage then. If the
/// machine ran on, the page cache has kept every write, and the same hole is damage.
#[tokio::test]
async fn a_hole_in_the_last_write_is_damage_unless_the_power_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(large(dir.path())).unwrap();
    append_each(&log, Topic::Commands, numbered("durable", 2, 20)).await;
    log.append(Topic::Commands, 0, numbered("one call", 4, 20)).await.unwrap();
    let image = crashed(dir.path());
    drop(log);
    let path = segments(image.path(), Topic::Commands).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let hole = usize::try_from(HEADER + 2 * frame(20)).unwrap();
    bytes[hole..hole + 64].fill(0);
    fs::write(&path, bytes).unwrap();
    let same_boot = crashed(image.path());
    let error = EmbeddedLog::open(large(same_boot.path())).unwrap_err();
    assert_eq!(corrupt_place(&error).unwrap().1, HEADER + 2 * frame(20));
    forget_boot(image.path());
    let log = EmbeddedLog::open(large(image.path())).unwrap();
    assert_eq!(log.bounds(Topic::Commands, 0).await.unwrap().next, 2);
    append_each(&log, Topic::Commands, numbered("again", 3, 20)).await;
    drop(log);
    let log = EmbeddedLog::open(large(image.path())).unwrap();
    assert_eq!(held(&log, Topic::Commands).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_loss_of_power_begins_another_epoch_unless_commands_were_synced() {
    let interval = Durability::Interval(Duration::from_secs(1));
    for (durability, loses) in [(Durability::Fsync, false), (interval, true)] {
        let dir = tempfile::tempdir().unwrap();
        let options = |dir: &Path| EmbeddedLogOptions { durability, ..small(dir) };
        let log = EmbeddedLog::open(options(dir.path())).unwrap();
        append_each(&log, Topic::Commands, numbered("record", 2, 20)).await;
        let killed = crashed(dir.path());
        let without_power = crashed(dir.path());
        forget_boot(without_power.path());
        let epoch = log.epoch().to_owned();
        drop(log);
        assert_eq!(EmbeddedLog::open(options(dir.path())).unwrap().epoch(), epoch);
        assert_eq!(EmbeddedLog::open(options(killed.path())).unwrap().epoch(), epoch);
        let log = EmbeddedLog::open(options(without_power.path())).unwrap();
        assert_eq!(log.epoch() != epoch, loses, "{durability}");
        let epoch = log.epoch().to_owned();
        drop(log);
        assert_eq!(EmbeddedLog::open(options(without_power.path())).unwrap().epoch(), epoch);
    }
}

#[tokio::test]
async fn a_wrong_byte_in_a_closed_segment_is_reported_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    append_each(&log, Topic::Commands, numbered("record", 30, 400)).await;
    drop(log);
    let closed = segments(dir.path(), Topic::Commands).remove(1);
    flip(&closed, HEADER + frame(400) + 100);
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    let error = held(&log, Topic::Commands).await.unwrap_err();
    let place = (closed.display().to_string(), HEADER + frame(400));
    assert_eq!(corrupt_place(&error), Some(place));
    // What is not damaged can be read, and appending goes on.
    assert!(!log.read(Topic::Commands, 0, 0, ReadLimit { records: 3, bytes: 4_000 }).await.unwrap().is_empty());
    assert_eq!(log.append(Topic::Commands, 0, vec![record("more")]).await.unwrap(), 30);
}

#[tokio::test]
async fn a_missing_or_short_segment_is_reported_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    append_each(&log, Topic::Events, numbered("record", 40, 400)).await;
    drop(log);
    let missing = crashed(dir.path());
    fs::remove_file(&segments(missing.path(), Topic::Events)[1]).unwrap();
    let error = EmbeddedLog::open(small(missing.path())).unwrap_err();
    assert!(error.to_string().contains("the next one begins with"), "{error}");
    let short = crashed(dir.path());
    let path = segments(short.path(), Topic::Events).remove(1);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let error = EmbeddedLog::open(small(short.path())).unwrap_err();
    assert!(corrupt_place(&error).is_some(), "{error}");
    let none = crashed(dir.path());
    for path in segments(none.path(), Topic::Events) {
        fs::remove_file(path).unwrap();
    }
    let error = EmbeddedLog::open(small(none.path())).unwrap_err();
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
}

#[tokio::test]
async fn a_lost_or_damaged_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let records = numbered("record", 30, 400);
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    append_each(&log, Topic::Commands, records.clone()).await;
    drop(log);
    let indexes: Vec<_> = segments(dir.path(), Topic::Commands)
        .iter()
        .map(|path| path.with_extension("index"))
        .filter(|path| path.exists())
        .collect();
    assert!(indexes.len() > 2);
    fs::remove_file(&indexes[0]).unwrap();
    flip(&indexes[1], 30);
    fs::write(&indexes[2], b"").unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    assert!(indexes.iter().all(|path| fs::read(path).unwrap().len() > 56));
    assert_eq!(held_values(&held(&log, Topic::Commands).await.unwrap()), values(&records));
}

#[tokio::test]
async fn two_openings_of_one_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    let error = EmbeddedLog::open(small(dir.path())).unwrap_err();
    assert!(error.to_string().contains("another process holds"), "{error}");
    log.close().await;
    EmbeddedLog::open(small(dir.path())).unwrap();
}

#[tokio::test]
async fn other_partitions_and_impossible_options_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedLog::open(small(dir.path())).unwrap());
    let open = |change: fn(&mut EmbeddedLogOptions)| {
        let mut options = small(dir.path());
        change(&mut options);
        EmbeddedLog::open(options).unwrap_err().to_string()
    };
    let partitions = open(|options| options.partitions = 2);
    assert!(partitions.contains("partitions is 2, but") && partitions.contains("was made with 1"), "{partitions}");
    assert!(open(|options| options.partitions = 0).contains("it must be 1 to"));
    assert!(open(|options| options.segment_bytes = 1).contains("segment_bytes is 1"));
    assert!(open(|options| options.durability = storage::log::Durability::Memory).contains("it must be fsync"));
}

#[tokio::test]
async fn what_identifies_the_log_must_be_there_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    append_each(&log, Topic::Commands, numbered("record", 2, 20)).await;
    log.commit("group", Topic::Commands, 0, 1).await.unwrap();
    drop(log);
    let with = |name: &str, content: Option<&str>| {
        let image = crashed(dir.path());
        match content {
            Some(content) => fs::write(image.path().join(name), content).unwrap(),
            None => fs::remove_file(image.path().join(name)).unwrap(),
        }
        EmbeddedLog::open(small(image.path())).unwrap_err().to_string()
    };
    assert!(with("meta.json", None).contains("meta.json is missing"));
    assert!(with("meta.json", Some("{")).contains("restore it from a backup"));
    let newer = r#"{"format":9,"epoch":"0","partitions":1}"#;
    assert!(with("meta.json", Some(newer)).contains("format 9"));
    assert!(with("groups.json", Some("[")).contains("remove it so that every group begins again"));
    let other_epoch = r#"{"format":1,"epoch":"00000000000000000000000000000001","partitions":1}"#;
    assert!(with("meta.json", Some(other_epoch)).contains("another log"));
}

#[tokio::test]
async fn an_interrupted_creation_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedLog::open(small(dir.path())).unwrap());
    fs::remove_file(dir.path().join("meta.json")).unwrap();
    fs::remove_dir_all(dir.path().join("events")).unwrap();
    fs::write(dir.path().join("commands/0/00000000000000000000.tmp"), "half").unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    assert_eq!(log.append(Topic::Events, 0, vec![record("a")]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_log_refuses_and_has_served_what_waited() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(EmbeddedLog::open(small(dir.path())).unwrap());
    let waiting = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.wait_for(Topic::Events, 0, 1_000_000).await })
    };
    let appends: Vec<_> = (0..50)
        .map(|n| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(Topic::Commands, 0, vec![record(format!("{n}"))]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().await;
    let mut served = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) => assert!(matches!(error, LogError::Unavailable { .. }), "{error}"),
        }
    }
    assert!(matches!(waiting.await.unwrap(), Err(LogError::Unavailable { .. })));
    assert!(log.append(Topic::Commands, 0, vec![record("late")]).await.is_err());
    assert!(log.read(Topic::Commands, 0, 0, ReadLimit::default()).await.is_err());
    assert_eq!(log.health().refusing.as_deref(), Some("the log is closed"));
    let again = EmbeddedLog::open(small(dir.path())).unwrap();
    assert_eq!(again.bounds(Topic::Commands, 0).await.unwrap().next, served);
}

#[tokio::test]
async fn retention_goes_by_age_and_keeps_what_is_young_or_not_released() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::from_unix_seconds(1_795_000_000);
    let clock = Arc::new(ManualClock::at(start));
    let log = EmbeddedLog::open(EmbeddedLogOptions {
        retention_age: Some(Duration::from_mins(1)),
        clock: clock.clone(),
        ..small(dir.path())
    })
    .unwrap();
    for n in 0..30_u8 {
        let record = NewRecord { at: start.after(Duration::from_secs(u64::from(n))), ..record("x".repeat(400)) };
        log.append(Topic::Events, 0, vec![record]).await.unwrap();
    }
    let earliest = async || log.bounds(Topic::Events, 0).await.unwrap().earliest;
    clock.advance(Duration::from_secs(75));
    log.expire().await;
    assert_eq!(earliest().await, 0, "nothing was released");
    log.release(Topic::Events, 0, 30).await.unwrap();
    log.expire().await;
    let kept = earliest().await;
    assert!((8..=16).contains(&kept), "records of the last 60 of 75 seconds stay: {kept}");
    // A partition to which nothing is appended any more still loses what is old.
    clock.advance(Duration::from_mins(10));
    while earliest().await < 30 {
        log.expire().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(log.append(Topic::Events, 0, vec![record("new")]).await.unwrap(), 30);
    drop(log);
    assert_eq!(segments(dir.path(), Topic::Events).len(), 1);
}

#[tokio::test]
async fn retention_goes_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions { retention_bytes: Some(12 << 10), ..small(dir.path()) }).unwrap();
    log.release(Topic::Commands, 0, u64::MAX).await.unwrap();
    append_each(&log, Topic::Commands, numbered("record", 80, 400)).await;
    log.expire().await;
    let held = held(&log, Topic::Commands).await.unwrap();
    let bytes: u64 = segments(dir.path(), Topic::Commands).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= 12 << 10, "{bytes}");
    assert!((10..30).contains(&held.len()), "{}", held.len());
    assert_eq!(held.last().unwrap().offset, 79);
}
