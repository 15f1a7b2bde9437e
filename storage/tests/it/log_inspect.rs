//! Looking into the folder of a stopped log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use storage::contract::log::record;
use storage::log::embedded::EmbeddedLog;
use storage::log::inspect::{inspect, records, verify};
use storage::log::{LogError, Topic};

use super::log_support::{append_each, crashed, flip, held, numbered, segments, small};

async fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    append_each(&log, Topic::Commands, numbered("record", 40, 300)).await;
    append_each(&log, Topic::Events, numbered("event", 5, 30)).await;
    crashed(dir.path())
}

fn files(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    files(dir, &mut found);
    found
}

#[tokio::test]
async fn says_what_a_log_holds_and_changes_nothing() {
    let dir = filled().await;
    let before = contents(dir.path());
    let summary = inspect(dir.path()).unwrap();
    let places: Vec<_> = summary.partitions.iter().map(|p| (p.topic, p.earliest, p.next)).collect();
    assert_eq!(places, [("commands", 0, 40), ("events", 0, 5)]);
    let commands = &summary.partitions[0];
    assert_eq!(commands.segments.len(), segments(dir.path(), Topic::Commands).len());
    assert!(commands.segments.len() > 2);
    for pair in commands.segments.windows(2) {
        assert_eq!(pair[0].next, pair[1].first);
    }
    assert_eq!(commands.segments[0].latest_at, Some(record("").at));
    let mut told = Vec::new();
    let report = verify(dir.path(), &mut |progress| told.push(progress)).unwrap();
    assert_eq!((report.records, report.damage.len(), report.torn_bytes), (45, 0, 0));
    assert_eq!(report.segments, told.last().unwrap().total_segments);
    assert_eq!(contents(dir.path()), before);
}

#[tokio::test]
async fn gives_the_records_that_the_log_gives() {
    let dir = filled().await;
    let given = |from, limit| -> Vec<_> {
        let records = records(dir.path(), Topic::Commands, 0, from, limit).unwrap();
        records.map(Result::unwrap).collect()
    };
    let all = given(0, u64::MAX);
    assert_eq!(given(17, 3), all[17..20]);
    assert_eq!(given(40, 10), []);
    let error = records(dir.path(), Topic::Commands, 0, 41, 1).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { next: 40, .. }), "{error:?}");
    assert!(records(dir.path(), Topic::Commands, 1, 0, 1).is_err());
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    assert_eq!(held(&log, Topic::Commands).await.unwrap(), all);
}

#[tokio::test]
async fn verification_finds_every_damaged_segment_and_reads_on() {
    let dir = filled().await;
    let paths = segments(dir.path(), Topic::Commands);
    flip(&paths[0], 48 + 344 + 60);
    flip(&paths[2], 48 + 10);
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    let places: Vec<_> = report.damage.iter().map(|d| (d.file.clone(), d.position)).collect();
    let place = |index: usize, position| (paths[index].display().to_string(), position);
    assert_eq!(places, [place(0, 48 + 344), place(2, 48)]);
    let mut records = records(dir.path(), Topic::Commands, 0, 0, 100).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(matches!(records.next(), Some(Err(LogError::Corrupt { .. }))));
    assert!(records.next().is_none());
}

#[tokio::test]
async fn a_torn_tail_is_not_damage() {
    let dir = filled().await;
    let path = segments(dir.path(), Topic::Events).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..48 + 5 * 74 - 7]).unwrap();
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert_eq!((report.damage.len(), report.torn_bytes, report.records), (0, 67, 44));
    assert_eq!(inspect(dir.path()).unwrap().partitions[1].segments[0].torn_bytes, 67);
    let read = records(dir.path(), Topic::Events, 0, 0, 100).unwrap();
    assert_eq!(read.map(Result::unwrap).count(), 4);
}

#[tokio::test]
async fn refuses_a_folder_in_use_and_one_that_is_no_log() {
    let dir = tempfile::tempdir().unwrap();
    assert!(inspect(dir.path()).unwrap_err().to_string().contains("is not the folder of a log"));
    let log = EmbeddedLog::open(small(dir.path())).unwrap();
    assert!(inspect(dir.path()).unwrap_err().to_string().contains("another process holds"));
    assert!(verify(dir.path(), &mut |_| {}).is_err());
    log.close().await;
    inspect(dir.path()).unwrap();
}
