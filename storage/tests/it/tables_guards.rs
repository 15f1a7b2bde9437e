//! What the embedded tables guard against: a second process, a full disk, lost and damaged files.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::WorkspaceId;
use schemas::tables::{CONTACTS, SESSIONS, Value};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::{Batch, Key, Row, Sync, Tables, TablesError};
use tempfile::TempDir;

use crate::tables_contract::small;

fn key(n: u8) -> Key {
    Key::of([Value::Uuid([n; 16])])
}

async fn put(tables: &EmbeddedTables, n: u8, sync: Sync) {
    let mut batch = Batch::default();
    batch.put(SESSIONS, Row::new(key(n)).with("version", i64::from(n)).with("body", vec![n; 50]));
    tables.write(batch, sync).await.unwrap();
}

async fn present(tables: &EmbeddedTables, numbers: std::ops::Range<u8>) -> Vec<u8> {
    let keys = numbers.clone().map(|n| (SESSIONS, key(n))).collect();
    let rows = tables.get_many(keys).await.unwrap();
    numbers.zip(rows).filter_map(|(n, row)| row.map(|_| n)).collect()
}

fn journal(dir: &Path) -> PathBuf {
    let mut journals: Vec<_> = std::fs::read_dir(dir.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

#[tokio::test]
async fn a_folder_is_opened_once_and_again_after_it_was_closed() {
    let dir = TempDir::new().unwrap();
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    let error = EmbeddedTables::open(small(&dir)).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    put(&tables, 1, Sync::Later).await;
    drop(tables);
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    assert_eq!(present(&tables, 0..5).await, [1]);
}

#[tokio::test]
async fn too_little_room_refuses_the_opening_and_names_the_folder() {
    let dir = TempDir::new().unwrap();
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    put(&tables, 1, Sync::Later).await;
    drop(tables);
    let starved = EmbeddedTablesOptions { minimum_free_bytes: u64::MAX, ..small(&dir) };
    let error = EmbeddedTables::open(starved).unwrap_err();
    assert!(matches!(error, TablesError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn rows_acknowledged_as_durable_are_missed_when_the_store_is_older() {
    let dir = TempDir::new().unwrap();
    put(&EmbeddedTables::open(small(&dir)).unwrap(), 1, Sync::Now).await;
    let backup = TempDir::new().unwrap();
    copy(dir.path(), backup.path());
    put(&EmbeddedTables::open(small(&dir)).unwrap(), 2, Sync::Now).await;
    // The mark of now over the store of before.
    std::fs::copy(dir.path().join("durable"), backup.path().join("durable")).unwrap();
    let error = EmbeddedTables::open(small(&backup)).unwrap_err();
    let TablesError::Corrupt { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("was acknowledged as durable"), "{reason}");
    assert!(reason.contains("from a backup"), "{reason}");
    // The way out that the error names.
    std::fs::remove_file(backup.path().join("durable")).unwrap();
    let tables = EmbeddedTables::open(small(&backup)).unwrap();
    assert_eq!(present(&tables, 0..5).await, [1]);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_lost_store_beside_its_mark_is_reported() {
    let dir = TempDir::new().unwrap();
    put(&EmbeddedTables::open(small(&dir)).unwrap(), 1, Sync::Now).await;
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    assert!(matches!(EmbeddedTables::open(small(&dir)), Err(TablesError::Corrupt { .. })));
}

#[tokio::test]
async fn damage_before_the_mark_is_reported_and_leaves_the_files_as_they_are() {
    let dir = TempDir::new().unwrap();
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    for n in 1..20 {
        put(&tables, n, Sync::Later).await;
    }
    tables.sync().await.unwrap();
    drop(tables);
    let path = journal(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let place = find(&whole, &[10; 50]);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xEE], u64::try_from(place).unwrap()).unwrap();
    let error = EmbeddedTables::open(small(&dir)).unwrap_err();
    let TablesError::Corrupt { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains(&path.display().to_string()), "{reason}");
    file.write_all_at(&[10], u64::try_from(place).unwrap()).unwrap();
    assert!(std::fs::read(&path).unwrap() == whole, "the journal was changed");
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    assert_eq!(present(&tables, 0..30).await, (1..20).collect::<Vec<_>>());
}

/// A loss of power leaves a beginning of the journal: a copy that is cut at some byte, with the mark of that moment.
#[tokio::test]
async fn a_torn_journal_gives_a_beginning_of_the_batches_with_all_that_was_durable() {
    let dir = TempDir::new().unwrap();
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    for n in 1..4 {
        put(&tables, n, Sync::Later).await;
    }
    put(&tables, 4, Sync::Now).await;
    for n in 5..8 {
        put(&tables, n, Sync::Later).await;
    }
    let mark = std::fs::read(dir.path().join("durable")).unwrap();
    let path = journal(dir.path());
    let mut whole = std::fs::read(&path).unwrap();
    drop(tables);
    let length = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
    whole.truncate(length + 200);
    std::fs::write(&path, &whole).unwrap();
    std::fs::write(dir.path().join("durable"), mark).unwrap();
    let places: Vec<_> = (1..8).map(|n| find(&whole, &[n; 50])).collect();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (places[3] - 60..length).step_by(17) {
        let torn = TempDir::new().unwrap();
        copy(dir.path(), torn.path());
        let name = path.strip_prefix(dir.path()).unwrap();
        // As a file system leaves it: zeros, or bytes of another time, in what was not written yet.
        for rest in [0, 0x5A] {
            let mut bytes = whole.clone();
            bytes[cut..length + 100].fill(rest);
            std::fs::write(torn.path().join(name), bytes).unwrap();
            let Ok(tables) = EmbeddedTables::open(small(&torn)) else {
                assert!(cut < places[4], "byte {cut}: not opened, though all that was durable is there");
                break;
            };
            let found = present(&tables, 0..30).await;
            assert!(found.len() >= 4, "byte {cut}: {found:?}");
            assert!(found.iter().copied().eq(1..=*found.last().unwrap()), "byte {cut}: {found:?}");
            seen.insert(found.len());
            drop(tables);
            copy(dir.path(), torn.path());
        }
    }
    assert!(seen.iter().copied().eq(4..=6), "{seen:?}");
}

#[tokio::test]
async fn many_writers_at_once_share_batches_and_all_are_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let tables = std::sync::Arc::new(EmbeddedTables::open(small(&dir)).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..200_u8 {
        let tables = std::sync::Arc::clone(&tables);
        writers.spawn(async move {
            let sync = if n % 3 == 0 { Sync::Now } else { Sync::Later };
            put(&tables, n, sync).await;
        });
    }
    writers.join_all().await;
    assert_eq!(present(&tables, 0..255).await.len(), 200);
    drop(tables);
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    assert_eq!(present(&tables, 0..255).await.len(), 200);
    assert!(tables.size_bytes() > 0);
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_and_one_below_it_is_written() {
    let dir = TempDir::new().unwrap();
    let tables = EmbeddedTables::open(small(&dir)).unwrap();
    let rows = |count: u8| {
        let mut batch = Batch::default();
        for n in 0..count {
            let key = Key::of([WorkspaceId::from_bytes([1; 16]).into(), Value::Uuid([n; 16])]);
            batch.put(CONTACTS, Row::new(key).with("body", vec![n; 8 << 20]));
        }
        batch
    };
    let error = tables.write(rows(8), Sync::Later).await.unwrap_err();
    assert!(matches!(error, TablesError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("write it in parts"), "{error}");
    tables.write(rows(2), Sync::Later).await.unwrap();
}

/// The background work dies when it cannot begin the next journal; a write that waits for it would wait for ever.
#[tokio::test]
async fn a_failed_store_refuses_writes_with_advice_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let tables =
        EmbeddedTables::open(EmbeddedTablesOptions { write_stall_limit: Duration::from_millis(500), ..small(&dir) })
            .unwrap();
    // fjall begins its second journal after 64 MB, under this name.
    let in_the_way = dir.path().join("store/1.jnl");
    std::fs::write(&in_the_way, []).unwrap();
    let large = |batch: u8, n: u8| Key::of([WorkspaceId::from_bytes([batch; 16]).into(), Value::Uuid([n; 16])]);
    let mut acknowledged = 0;
    let error = loop {
        let mut batch = Batch::default();
        for n in 0..250 {
            // Below the size from which fjall compresses.
            batch.put(CONTACTS, Row::new(large(acknowledged, n)).with("body", vec![n; 4_000]));
        }
        match tables.write(batch, Sync::Later).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 250, "the store did not fail");
    };
    assert!(matches!(error, TablesError::Unavailable { .. }), "{error}");
    // A stall is reported while it lasts, the failure from then on.
    let failed = async {
        while !tables.refusing().is_some_and(|reason| reason.contains("restart to recover")) {
            let mut batch = Batch::default();
            batch.put(SESSIONS, Row::new(key(1)).with("version", 1_i64));
            assert!(tables.write(batch, Sync::Now).await.is_err());
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), failed).await.unwrap();
    // Reads go on.
    let rows = tables.get(CONTACTS, large(0, 0)).await.unwrap();
    assert!(rows.is_some());
    // What a restart finds: this process still holds the folder, so a copy of it.
    drop(tables);
    std::fs::remove_file(in_the_way).unwrap();
    let restarted = TempDir::new().unwrap();
    copy(dir.path(), restarted.path());
    let tables = EmbeddedTables::open(small(&restarted)).unwrap();
    for batch in 0..acknowledged {
        let keys = [0, 249].map(|n| (CONTACTS, large(batch, n)));
        let rows = tables.get_many(keys.to_vec()).await.unwrap();
        assert!(rows.iter().all(Option::is_some), "batch {batch} of {acknowledged}");
    }
}
