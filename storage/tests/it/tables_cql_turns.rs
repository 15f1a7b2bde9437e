//! Derived batches on CQL servers: crashes between commit and apply, zombies, large batches.

use std::sync::atomic::{AtomicU32, Ordering};

use schemas::tables::{CONVERSATIONS, MESSAGES, OUTBOX, Value};
use storage::clock::{Clock, SystemClock};
use storage::tables::cql::CqlTables;
use storage::tables::{Batch, Derivation, Key, Row, Scan, Sync, Tables, TablesError};

use crate::tables_cql::{admin, fresh_workspace, server, shared};

/// A partition of the log that no other test uses.
fn partition() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(3_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The one conversation of a workspace.
fn key_of(workspace: &Value) -> Vec<Value> {
    vec![workspace.clone(), Value::Uuid([1; 16])]
}

fn bucket(workspace: &Value) -> Vec<Value> {
    let mut bucket = key_of(workspace);
    bucket.push(Value::Int(0));
    bucket
}

/// A conversation, and `rows` messages of `size` bytes.
fn batch(derivation: Derivation, workspace: &Value, rows: i64, size: usize) -> Batch {
    let mut batch = Batch::derived(derivation);
    let text = derivation.next_offset.to_string().into_bytes();
    batch.put(CONVERSATIONS, Row::new(Key::of(key_of(workspace))).with("body", text));
    for n in 0..rows {
        let key = Key::of(bucket(workspace)).at([Value::Int(n)]);
        batch.put(MESSAGES, Row::new(key).with("body", vec![derivation.next_offset.to_le_bytes()[0]; size]));
    }
    batch
}

async fn conversation(tables: &CqlTables, workspace: &Value) -> Option<String> {
    let row = tables.get(CONVERSATIONS, Key::of(key_of(workspace))).await.unwrap()?;
    match row.get("body") {
        Some(Value::Blob(bytes)) => Some(String::from_utf8(bytes.clone()).unwrap()),
        _ => None,
    }
}

async fn messages(tables: &CqlTables, workspace: &Value) -> Vec<Row> {
    tables.scan(MESSAGES, Scan::of(bucket(workspace), usize::MAX)).await.unwrap()
}

/// A process dies after the commit of a batch, small or large: nothing of it can be seen until somebody takes the next turn,
/// and then all of it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_turn_finishes_what_a_crash_cut_short() {
    let Some(server) = server() else { return };
    for (rows, size) in [(3, 10), (0, 0), (40, 60_000)] {
        let (partition, workspace) = (partition(), fresh_workspace());
        let dead = CqlTables::open(shared(&server)).await.unwrap();
        let turn = dead.take_turn(partition).await.unwrap();
        let of = |turn, next_offset| Derivation { partition, turn, next_offset };
        dead.write(batch(of(turn, 1), &workspace, 0, 0), Sync::Later).await.unwrap();
        dead.commit_only(batch(of(turn, 2), &workspace, rows, size)).await.unwrap();
        drop(dead);
        let next = CqlTables::open(shared(&server)).await.unwrap();
        assert_eq!(conversation(&next, &workspace).await.as_deref(), Some("1"));
        let turn = next.take_turn(partition).await.unwrap();
        assert_eq!(conversation(&next, &workspace).await.as_deref(), Some("2"));
        let found = messages(&next, &workspace).await;
        assert_eq!(found.len(), usize::try_from(rows).unwrap());
        assert!(found.iter().all(|row| row.get("body") == Some(&Value::Blob(vec![2; size]))));
        next.write(batch(of(turn, 3), &workspace, 0, 0), Sync::Later).await.unwrap();
        assert_eq!(conversation(&next, &workspace).await.as_deref(), Some("3"));
    }
}

/// An event that waits in the outbox is gone once its batch was removed, also if the batch that brought it was made twice since
/// nobody knew how the first time had ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_row_of_the_outbox_does_not_come_back() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let partition = partition();
    let turn = tables.take_turn(partition).await.unwrap();
    let key = |offset: i64| Key::of([partition.into()]).at([offset.into()]);
    let of = |next_offset| Batch::derived(Derivation { partition, turn, next_offset });
    let brings = |offset: u64| {
        let mut batch = of(offset + 1);
        batch.put(OUTBOX, Row::new(key(offset.cast_signed())).with("body", b"[]".to_vec()));
        batch
    };
    tables.write(brings(1), Sync::Later).await.unwrap();
    tables.commit_only(brings(2)).await.unwrap();
    tables.write(brings(2), Sync::Later).await.unwrap();
    let mut removal = brings(3);
    removal.delete(OUTBOX, key(1));
    removal.delete(OUTBOX, key(2));
    tables.write(removal, Sync::Later).await.unwrap();
    let next = CqlTables::open(shared(&server)).await.unwrap();
    next.take_turn(partition).await.unwrap();
    let left = next.scan(OUTBOX, Scan::of([partition.into()], 10)).await.unwrap();
    assert_eq!(left.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [key(3)]);
}

/// A write whose end was not heard of is finished by the next write of the same turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_write_finishes_what_was_committed_before_it() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let (partition, workspace) = (partition(), fresh_workspace());
    let turn = tables.take_turn(partition).await.unwrap();
    let of = |next_offset| Derivation { partition, turn, next_offset };
    tables.commit_only(batch(of(1), &workspace, 5, 10)).await.unwrap();
    assert_eq!(messages(&tables, &workspace).await, []);
    // Derived from the same offset: later all the same.
    tables.write(batch(of(1), &workspace, 0, 0), Sync::Later).await.unwrap();
    assert_eq!(messages(&tables, &workspace).await.len(), 5);
    for removed in 0..5 {
        let mut removal = Batch::derived(of(1));
        removal.delete(MESSAGES, Key::of(bucket(&workspace)).at([Value::Int(removed)]));
        tables.write(removal, Sync::Later).await.unwrap();
    }
    assert_eq!(messages(&tables, &workspace).await, []);
    tables.write(batch(of(1), &workspace, 2, 10), Sync::Later).await.unwrap();
    assert_eq!(messages(&tables, &workspace).await.len(), 2);
}

/// A process that does not know that its turn is over can write nothing, small or large, and what it committed before is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_is_refused_whole() {
    let Some(server) = server() else { return };
    let (partition, workspace) = (partition(), fresh_workspace());
    let zombie = CqlTables::open(shared(&server)).await.unwrap();
    let living = CqlTables::open(shared(&server)).await.unwrap();
    let of = |turn, next_offset| Derivation { partition, turn, next_offset };
    let old = zombie.take_turn(partition).await.unwrap();
    zombie.write(batch(of(old, 1), &workspace, 0, 0), Sync::Later).await.unwrap();
    zombie.commit_only(batch(of(old, 2), &workspace, 1, 10)).await.unwrap();
    let new = living.take_turn(partition).await.unwrap();
    assert!(new > old);
    for (rows, size) in [(3, 10), (30, 60_000), (3, 10)] {
        let refused = zombie.write(batch(of(old, 9), &workspace, rows, size), Sync::Later).await;
        assert!(matches!(refused, Err(TablesError::Superseded { partition: named }) if named == partition));
    }
    assert_eq!(conversation(&living, &workspace).await.as_deref(), Some("2"));
    assert_eq!(messages(&living, &workspace).await.len(), 1);
    living.write(batch(of(new, 3), &workspace, 2, 10), Sync::Later).await.unwrap();
    assert_eq!(messages(&zombie, &workspace).await.len(), 2);
    // Who never took the turn cannot write in it either.
    let stranger = zombie.write(batch(of(new + 1, 9), &workspace, 9, 10), Sync::Later).await;
    assert!(matches!(stranger, Err(TablesError::Superseded { .. })), "{stranger:?}");
}

/// A batch of several megabytes over many partitions is written whole, and its parts in the journal do not stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_several_megabytes_is_written() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let (partition, workspace) = (partition(), fresh_workspace());
    let turn = tables.take_turn(partition).await.unwrap();
    let of = |next_offset| Derivation { partition, turn, next_offset };
    let mut large = batch(of(1), &workspace, 1_000, 2_000);
    for n in 0..2_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let key = Key::of([workspace.clone(), Value::Uuid(id)]);
        large.put(CONVERSATIONS, Row::new(key).with("body", vec![1; 2_000]).with("engine", vec![2; 500]));
    }
    large.put(OUTBOX, Row::new(Key::of([partition.into()]).at([Value::Int(0)])).with("body", vec![3; 3 << 20]));
    let begun = SystemClock.now();
    tables.write(large, Sync::Later).await.unwrap();
    println!("10 MB in 3,002 rows: {} ms", SystemClock.now().since(begun).as_millis());
    assert_eq!(messages(&tables, &workspace).await.len(), 1_000);
    let outbox = tables.get(OUTBOX, Key::of([partition.into()]).at([Value::Int(0)])).await.unwrap().unwrap();
    assert_eq!(outbox.get("body"), Some(&Value::Blob(vec![3; 3 << 20])));
    tables.write(batch(of(2), &workspace, 1, 1), Sync::Later).await.unwrap();
    let keyspace = shared(&server).keyspace;
    let text = format!(
        "SELECT log_partition FROM {keyspace}.turn_journal_chunks WHERE log_partition = {partition} ALLOW FILTERING"
    );
    let left = admin(&server).await.query_unpaged(text, ()).await.unwrap().into_rows_result().unwrap();
    assert_eq!(left.rows_num(), 0, "the parts of an applied batch are removed");
}
