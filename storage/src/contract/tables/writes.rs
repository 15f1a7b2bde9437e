//! Rows as written: single ones, batches, columns, deletions, reopening.

use std::sync::Arc;

use schemas::tables::{CONTACTS, ENGINE_POSITIONS, EXTERNAL_MESSAGES, SESSIONS, USER_WORKSPACES, Value};

use super::{Factory, Outcome, body, body_of, fresh_workspace, id, numbered, put, remove};
use crate::tables::{Batch, Key, Row, Scan, Sync, TablesError};

/// A row is read as it was written, under both ways to read, with its columns in the order of the declaration.
///
/// # Errors
/// Of the engine.
pub async fn reads_what_was_written(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([fresh_workspace(), id(), "SM0123".into()]);
    assert_eq!(tables.get(EXTERNAL_MESSAGES, key.clone()).await?, None);
    let conversation = id();
    let row = Row::new(key.clone()).with("seq", -7_i64).with("conversation_id", conversation.clone());
    put(&*tables, EXTERNAL_MESSAGES, row).await?;
    let expected = Row::new(key.clone()).with("conversation_id", conversation).with("seq", -7_i64);
    assert_eq!(tables.get(EXTERNAL_MESSAGES, key.clone()).await?, Some(expected.clone()));
    let all = tables.scan(EXTERNAL_MESSAGES, Scan::of(key.partition, 10)).await?;
    assert_eq!(all, [expected]);
    let bare = Row::new(Key::of([id()]).at([fresh_workspace()]));
    put(&*tables, USER_WORKSPACES, bare.clone()).await?;
    assert_eq!(tables.get(USER_WORKSPACES, bare.key.clone()).await?, Some(bare));
    Ok(())
}

/// A put leaves the columns that it does not name as they are, also within one batch, also if it names none.
///
/// # Errors
/// Of the engine.
pub async fn a_put_sets_only_the_columns_it_names(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id()]);
    put(&*tables, SESSIONS, Row::new(key.clone()).with("version", 1_i64)).await?;
    put(&*tables, SESSIONS, Row::new(key.clone()).with("body", body("a"))).await?;
    put(&*tables, SESSIONS, Row::new(key.clone())).await?;
    let both = Row::new(key.clone()).with("version", 1_i64).with("body", body("a"));
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, Some(both));
    let mut batch = Batch::default();
    batch.put(SESSIONS, Row::new(key.clone()).with("version", 2_i64));
    batch.put(SESSIONS, Row::new(key.clone()).with("body", body("b")));
    batch.put(SESSIONS, Row::new(key.clone()).with("version", 3_i64));
    tables.write(batch, Sync::Later).await?;
    let both = Row::new(key.clone()).with("version", 3_i64).with("body", body("b"));
    assert_eq!(tables.get(SESSIONS, key).await?, Some(both));
    Ok(())
}

/// A deleted row is gone with all its columns; deleting what is not there is no error.
///
/// # Errors
/// Of the engine.
pub async fn a_delete_removes_the_row_whole(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id()]);
    remove(&*tables, SESSIONS, key.clone()).await?;
    let row = Row::new(key.clone()).with("version", 1_i64).with("body", body("a"));
    put(&*tables, SESSIONS, row).await?;
    remove(&*tables, SESSIONS, key.clone()).await?;
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, None);
    put(&*tables, SESSIONS, Row::new(key.clone()).with("version", 2_i64)).await?;
    let only = Row::new(key.clone()).with("version", 2_i64);
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, Some(only));
    assert_eq!(tables.scan(SESSIONS, Scan::of(key.partition, 9)).await?.len(), 1);
    Ok(())
}

/// Of two changes of one row in a batch, the later counts.
///
/// # Errors
/// Of the engine.
pub async fn the_later_change_of_a_row_counts(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let (kept, gone) = (Key::of([id()]), Key::of([id()]));
    let mut batch = Batch::default();
    batch.put(SESSIONS, Row::new(kept.clone()).with("body", body("old")));
    batch.delete(SESSIONS, kept.clone());
    batch.put(SESSIONS, Row::new(kept.clone()).with("version", 1_i64));
    batch.put(SESSIONS, Row::new(gone.clone()).with("version", 1_i64));
    batch.delete(SESSIONS, gone.clone());
    tables.write(batch, Sync::Now).await?;
    assert_eq!(
        tables.get_many(vec![(SESSIONS, kept.clone()), (SESSIONS, gone)]).await?,
        [Some(Row::new(kept).with("version", 1_i64)), None]
    );
    Ok(())
}

/// One batch changes rows of many tables; who reads after it sees all of it. If the engine isolates batches, a reader that runs
/// beside it sees all of it or nothing.
///
/// # Errors
/// Of the engine.
pub async fn a_batch_changes_many_tables(factory: &dyn Factory) -> Outcome {
    const ROUNDS: i64 = 100;
    let tables = factory.open().await;
    let position = Key::of([Value::Int(1_000_001)]);
    let contact = Key::of([fresh_workspace(), id()]);
    let keys = vec![(ENGINE_POSITIONS, position.clone()), (CONTACTS, contact.clone())];
    let isolates = factory.isolates_batches();
    let halves = |rows: &[Option<Row>]| {
        let [position, contact] = rows else { return (None, None) };
        let offset = position.as_ref().and_then(|row| row.int("next_offset"));
        (offset, contact.as_ref().and_then(|row| row.get("body")).cloned())
    };
    let reader = tokio::spawn({
        let (tables, keys) = (Arc::clone(&tables), keys.clone());
        async move {
            loop {
                let (offset, body) = halves(&tables.get_many(keys.clone()).await?);
                if isolates {
                    assert_eq!(offset.map(body_of), body, "half a batch was seen");
                }
                if offset == Some(ROUNDS) {
                    return Ok::<_, TablesError>(ROUNDS);
                }
                tokio::task::yield_now().await;
            }
        }
    });
    for n in 1..=ROUNDS {
        let mut batch = Batch::default();
        batch.put(ENGINE_POSITIONS, Row::new(position.clone()).with("next_offset", n));
        batch.put(CONTACTS, Row::new(contact.clone()).with("body", body_of(n)));
        tables.write(batch, Sync::Later).await?;
        assert_eq!(halves(&tables.get_many(keys.clone()).await?), (Some(n), Some(body_of(n))));
    }
    let seen = reader.await.map_err(|error| TablesError::Unavailable { reason: error.to_string() })??;
    assert_eq!(seen, ROUNDS);
    Ok(())
}

/// If one change of a batch does not fit its table, none of the batch is made.
///
/// # Errors
/// Of the engine.
pub async fn a_batch_with_a_fault_changes_nothing(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([fresh_workspace(), id()]);
    let mut batch = Batch::default();
    batch.put(CONTACTS, Row::new(key.clone()).with("body", body("a")));
    batch.put(CONTACTS, Row::new(Key::of([fresh_workspace()])));
    let result = tables.write(batch, Sync::Now).await;
    assert!(matches!(result, Err(TablesError::Invalid { .. })), "{result:?}");
    assert_eq!(tables.get(CONTACTS, key).await?, None);
    Ok(())
}

/// A batch without changes, a read without keys, a sync of nothing: no errors.
///
/// # Errors
/// Of the engine.
pub async fn an_empty_batch_is_written(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    tables.write(Batch::default(), Sync::Later).await?;
    tables.write(Batch::default(), Sync::Now).await?;
    tables.sync().await?;
    assert_eq!(tables.get_many(Vec::new()).await?, []);
    assert_eq!(tables.refusing(), None);
    Ok(())
}

/// Each key gets its answer, in order, also if it is asked for twice or is not there.
///
/// # Errors
/// Of the engine.
pub async fn many_rows_are_read_in_the_order_of_the_keys(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let workspace = fresh_workspace();
    let key = |n: i64| Key::of([workspace.clone(), numbered(n.to_le_bytes()[0])]);
    let mut batch = Batch::default();
    for n in 0..50 {
        batch.put(CONTACTS, Row::new(key(n)).with("body", body_of(n)));
    }
    tables.write(batch, Sync::Later).await?;
    let order = [49, 3, 77, 3, 0, 60, 12];
    let rows = tables.get_many(order.iter().map(|n| (CONTACTS, key(*n))).collect()).await?;
    let expected: Vec<_> =
        order.iter().map(|n| (*n < 50).then(|| Row::new(key(*n)).with("body", body_of(*n)))).collect();
    assert_eq!(rows, expected);
    Ok(())
}

/// A row of a mebibyte, and one without a byte in its body.
///
/// # Errors
/// Of the engine.
pub async fn large_rows_come_back(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    for size_bytes in [0, 1, 4_095, 4_096, 1 << 20] {
        let bytes: Vec<u8> = (0..=255_u8).cycle().take(size_bytes).collect();
        let row = Row::new(Key::of([fresh_workspace(), id()])).with("body", bytes);
        put(&*tables, CONTACTS, row.clone()).await?;
        let read = tables.get(CONTACTS, row.key.clone()).await?;
        assert!(read == Some(row), "the row of {size_bytes} bytes is another one");
    }
    Ok(())
}

/// What was written is there after the engine was closed and opened again, if the engine says that it is persistent.
///
/// # Errors
/// Of the engine.
pub async fn rows_outlive_the_engine(factory: &dyn Factory) -> Outcome {
    if !factory.is_persistent() {
        return Ok(());
    }
    let workspace = fresh_workspace();
    let key = |n: u8| Key::of([workspace.clone(), numbered(n)]);
    for n in 0..4 {
        let tables = factory.open().await;
        let mut batch = Batch::default();
        batch.put(CONTACTS, Row::new(key(n)).with("body", body_of(n.into())));
        if n > 0 {
            batch.delete(CONTACTS, key(n - 1));
        }
        let sync = if n % 2 == 0 { Sync::Now } else { Sync::Later };
        tables.write(batch, sync).await?;
    }
    let tables = factory.open().await;
    let rows = tables.get_many((0..4).map(|n| (CONTACTS, key(n))).collect()).await?;
    let last = Row::new(key(3)).with("body", body_of(3));
    assert_eq!(rows, [None, None, None, Some(last)]);
    Ok(())
}
