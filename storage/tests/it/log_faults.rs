//! A disk that is full or fails, at each call.

use std::sync::Arc;
use std::time::Duration;

use storage::contract::log::record;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Durability, Log, LogError, Topic};
use tokio::time::timeout;

use super::log_support::{
    Call, Fault, FaultyDisk, append_each, crashed, held, held_values, numbered, segments, small, values,
};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

struct Subject {
    dir: tempfile::TempDir,
    disk: Arc<FaultyDisk>,
}

impl Subject {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::new() }
    }

    fn options(&self) -> EmbeddedLogOptions {
        EmbeddedLogOptions { disk: self.disk.clone(), ..small(self.dir.path()) }
    }

    fn open(&self) -> EmbeddedLog {
        EmbeddedLog::open(self.options()).unwrap()
    }
}

async fn append(log: &EmbeddedLog, topic: Topic, text: &str) -> Result<u64, LogError> {
    log.append(topic, 0, vec![record(text)]).await
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_and_works_again_once_there_is_room() {
    for topic in Topic::ALL {
        let subject = Subject::new();
        let log = subject.open();
        append_each(&log, topic, numbered("before", 3, 50)).await;
        subject.disk.fail(Call::Write, ".log", ENOSPC);
        for _ in 0..2 {
            let error = log.append(topic, 0, numbered("refused", 3, 50)).await.unwrap_err();
            assert!(matches!(error, LogError::DiskFull { .. }), "{error:?}");
        }
        assert!(log.health().refusing.unwrap().contains("the disk is full"));
        assert_eq!(log.bounds(topic, 0).await.unwrap().next, 3);
        let image = crashed(subject.dir.path());
        let after = EmbeddedLog::open(small(image.path())).unwrap();
        assert_eq!(held(&after, topic).await.unwrap().len(), 3, "a refused append was kept");
        subject.disk.set(None);
        assert_eq!(append(&log, topic, "after").await.unwrap(), 3);
        assert_eq!(log.health().refusing, None);
    }
}

#[tokio::test]
async fn health_recovers_without_an_append() {
    let subject = Subject::new();
    let log = subject.open();
    subject.disk.fail_once(Call::Write, ".log", ENOSPC);
    append(&log, Topic::Commands, "refused").await.unwrap_err();
    subject.disk.fail_once(Call::Sync, "events", EIO);
    append(&log, Topic::Events, "kept").await.unwrap();
    log.sync(Topic::Events, 0).await.unwrap_err();
    assert!(log.health().refusing.is_some());
    let recovered = async {
        while log.health().refusing.is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), recovered).await.unwrap();
    assert_eq!(held(&log, Topic::Events).await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_reserved_space_everything_works() {
    let subject = Subject::new();
    subject.disk.fail(Call::Reserve, "", ENOSPC);
    let log = subject.open();
    let records = numbered("record", 40, 300);
    append_each(&log, Topic::Commands, records.clone()).await;
    drop(log);
    let read = held(&subject.open(), Topic::Commands).await.unwrap();
    assert_eq!(held_values(&read), values(&records));
}

#[tokio::test]
async fn no_room_for_a_new_segment_refuses_until_there_is() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncFolder] {
        let subject = Subject::new();
        let log = subject.open();
        append_each(&log, Topic::Commands, numbered("record", 8, 440)).await;
        // Only what makes a new segment has these paths.
        let path = match call {
            Call::Rename => "commands",
            Call::SyncFolder => "commands/0",
            _ => "commands/0/00000000000000000008.tmp",
        };
        subject.disk.fail(call, path, ENOSPC);
        let error = append(&log, Topic::Commands, &"x".repeat(440)).await.unwrap_err();
        assert!(matches!(error, LogError::DiskFull { .. }), "{call:?}: {error:?}");
        subject.disk.set(None);
        assert_eq!(append(&log, Topic::Commands, &"x".repeat(440)).await.unwrap(), 8);
        let image = crashed(subject.dir.path());
        let again = EmbeddedLog::open(small(image.path())).unwrap();
        assert_eq!(held(&again, Topic::Commands).await.unwrap().len(), 9, "{call:?}");
    }
}

/// The next segment may stand on the disk although making it failed: what fits into the old one must not go there any more,
/// since opening would look for it in the next one.
#[tokio::test]
async fn a_segment_that_was_half_begun_takes_over() {
    for errno in [EIO, ENOSPC] {
        let subject = Subject::new();
        let log = subject.open();
        append_each(&log, Topic::Commands, numbered("record", 8, 440)).await;
        subject.disk.fail_once(Call::SyncFolder, "commands/0", errno);
        append(&log, Topic::Commands, &"x".repeat(440)).await.unwrap_err();
        assert_eq!(append(&log, Topic::Commands, "short").await.unwrap(), 8);
        let image = crashed(subject.dir.path());
        let again = EmbeddedLog::open(small(image.path())).unwrap();
        let read = held(&again, Topic::Commands).await.unwrap();
        assert_eq!(read.last().map(|record| &record.value[..]), Some(&b"short"[..]), "{errno}");
    }
}

#[tokio::test]
async fn commands_leave_room_for_the_tables_and_events_may_use_it() {
    let subject = Subject::new();
    let log = EmbeddedLog::open(EmbeddedLogOptions { min_free_bytes: 1_000, ..subject.options() }).unwrap();
    append(&log, Topic::Commands, "fits").await.unwrap();
    subject.disk.set_free_bytes(999);
    let refused = async { while append(&log, Topic::Commands, "until it is noticed").await.is_ok() {} };
    timeout(Duration::from_mins(1), refused).await.unwrap();
    let error = append(&log, Topic::Commands, "x").await.unwrap_err();
    assert!(matches!(error, LogError::DiskFull { .. }), "{error:?}");
    assert!(log.health().refusing.unwrap().contains("less than 1000 bytes are free"));
    append(&log, Topic::Events, "derived").await.unwrap();
    subject.disk.set_free_bytes(1_000);
    let taken = async { while append(&log, Topic::Commands, "until there is room").await.is_err() {} };
    timeout(Duration::from_mins(1), taken).await.unwrap();
    assert_eq!(log.health().refusing, None);
}

#[tokio::test]
async fn a_failed_sync_or_write_acknowledges_nothing_and_loses_nothing_acknowledged() {
    for (call, path) in [(Call::Sync, ".log"), (Call::Write, ".log")] {
        let subject = Subject::new();
        let log = Arc::new(subject.open());
        let records = numbered("acknowledged", 4, 50);
        append_each(&log, Topic::Commands, records.clone()).await;
        subject.disk.fail(call, path, EIO);
        let appends: Vec<_> = (0..10)
            .map(|_| {
                let log = Arc::clone(&log);
                tokio::spawn(async move { append(&log, Topic::Commands, "not durable").await })
            })
            .collect();
        for append in appends {
            let error = append.await.unwrap().unwrap_err();
            assert!(matches!(error, LogError::Io { .. } | LogError::Unavailable { .. }), "{error:?}");
        }
        assert!(log.health().refusing.unwrap().starts_with("commands/0: cannot"));
        assert_eq!(log.bounds(Topic::Commands, 0).await.unwrap().next, 4, "nobody reads what is not durable");
        subject.disk.set(None);
        assert_eq!(append(&log, Topic::Commands, "goes on").await.unwrap(), 4);
        assert_eq!(log.health().refusing, None);
        assert_eq!(segments(subject.dir.path(), Topic::Commands).len(), 2, "the failed file is not used any more");
        let mut expected = values(&records);
        expected.push("goes on".into());
        assert_eq!(held_values(&held(&*log, Topic::Commands).await.unwrap()), expected);
        let image = crashed(subject.dir.path());
        let again = EmbeddedLog::open(small(image.path())).unwrap();
        assert_eq!(held_values(&held(&again, Topic::Commands).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn events_that_were_seen_survive_a_failed_sync() {
    for synced_before in [0, 3] {
        let subject = Subject::new();
        let log = subject.open();
        let records = numbered("seen", 7, 60);
        append_each(&log, Topic::Events, records[..synced_before].to_vec()).await;
        log.sync(Topic::Events, 0).await.unwrap();
        subject.disk.fail_once(Call::Sync, "events", EIO);
        append_each(&log, Topic::Events, records[synced_before..].to_vec()).await;
        while log.sync(Topic::Events, 0).await.is_ok() {
            // The background may have met the fault first and recovered already.
            if segments(subject.dir.path(), Topic::Events).len() > 1 {
                break;
            }
        }
        append(&log, Topic::Events, "goes on").await.unwrap();
        let mut expected = values(&records);
        expected.push("goes on".into());
        assert_eq!(held_values(&held(&log, Topic::Events).await.unwrap()), expected);
        let image = crashed(subject.dir.path());
        let again = EmbeddedLog::open(small(image.path())).unwrap();
        assert_eq!(held_values(&held(&again, Topic::Events).await.unwrap()), expected);
        assert_eq!(log.sync(Topic::Events, 0).await.unwrap(), 8);
    }
}

/// Runs one scenario again and again, with another call to the disk failing each time: whatever fails, what was
/// acknowledged is there afterwards, live and after a crash and after a clean stop, and what was refused for want of room
/// is not.
async fn sweep_all(errno: i32) {
    let calls = sweep(None, Durability::Fsync).await;
    assert!(calls > 60, "{calls}");
    for after in 0..calls {
        let fault = Fault { call: None, path: "", errno, after, times: 1 + after % 3 };
        let durability = match after % 2 {
            0 => Durability::Fsync,
            _ => Durability::Interval(Duration::from_millis(1)),
        };
        sweep(Some(fault), durability).await;
    }
}

#[tokio::test]
async fn whichever_call_finds_a_full_disk_what_was_acknowledged_stays() {
    sweep_all(ENOSPC).await;
}

#[tokio::test]
async fn whichever_call_fails_what_was_acknowledged_stays() {
    sweep_all(EIO).await;
}

async fn sweep(fault: Option<Fault>, durability: Durability) -> usize {
    let subject = Subject::new();
    subject.disk.set(fault.clone());
    let options = || EmbeddedLogOptions { durability, ..subject.options() };
    // Opening may fail; then it must succeed once the fault is over.
    let log = loop {
        match EmbeddedLog::open(options()) {
            Ok(log) => break log,
            Err(error) => assert!(fault.is_some(), "{error}"),
        }
    };
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for n in 0..14 {
        for topic in Topic::ALL {
            let length = 200 + n * 37 % 7 * 120;
            let text = format!("{topic} {n:.<length$}");
            match append(&log, topic, &text).await {
                Ok(offset) => acknowledged.push((topic, offset, text)),
                Err(LogError::DiskFull { .. }) => refused.push((topic, text)),
                Err(error) => assert!(fault.is_some(), "{error}"),
            }
            if n % 5 == 4
                && let Err(error) = log.sync(topic, 0).await
            {
                assert!(fault.is_some(), "{error}");
            }
        }
    }
    check(&log, &acknowledged, &refused, fault.as_ref()).await;
    let image = crashed(subject.dir.path());
    drop(log);
    for dir in [image.path(), subject.dir.path()] {
        let log = EmbeddedLog::open(EmbeddedLogOptions { disk: FaultyDisk::new(), ..small(dir) }).unwrap();
        check(&log, &acknowledged, &refused, fault.as_ref()).await;
        append(&log, Topic::Commands, "goes on").await.unwrap();
    }
    subject.disk.calls()
}

async fn check(
    log: &EmbeddedLog,
    acknowledged: &[(Topic, u64, String)],
    refused: &[(Topic, String)],
    fault: Option<&Fault>,
) {
    for topic in Topic::ALL {
        let read = held(log, topic).await.unwrap();
        for (_, offset, text) in acknowledged.iter().filter(|(of, ..)| *of == topic) {
            let found = read.iter().find(|record| record.offset == *offset);
            assert_eq!(found.map(|record| &record.value[..]), Some(text.as_bytes()), "{fault:?}");
        }
        for (_, text) in refused.iter().filter(|(of, _)| *of == topic) {
            let kept = read.iter().any(|record| record.value[..] == *text.as_bytes());
            assert!(!kept, "a refused append was kept: {fault:?}");
        }
    }
}
