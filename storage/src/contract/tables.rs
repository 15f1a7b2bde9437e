//! What every engine of the [`tables`](crate::tables) port must do, as functions over a [`Factory`].
//!
//! [`tables_contract!`](crate::tables_contract) makes one test of each for an engine. A property that does not hold panics
//! with what it saw. Each makes rows under partitions of its own, so that all can run over one store at once.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use schemas::Timestamp;
use schemas::tables::{
    CHANNEL_WORKSPACES, CONTACTS, CONVERSATION_VIEWS, ENGINE_POSITIONS, EXTERNAL_MESSAGES, LABELS, MESSAGES, SESSIONS,
    TIMERS, Table, USER_WORKSPACES, Value,
};

use crate::tables::validation::{MAX_KEY_BYTES, MAX_ROW_BYTES};
use crate::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};

/// How many tasks race for one row.
const RACERS: i64 = 32;

/// Opens the engine under test.
#[async_trait]
pub trait Factory: Send + std::marker::Sync {
    /// The engine, over the same rows each time it is opened. The one before was dropped.
    async fn open(&self) -> Arc<dyn Tables>;

    /// Whether rows outlive the engine.
    fn is_persistent(&self) -> bool;
}

/// What a property ends with: an error of the engine fails its test.
pub type Outcome = Result<(), TablesError>;

/// Makes a module with one test for each property; the expression makes the [`Factory`].
#[macro_export]
macro_rules! tables_contract {
    ($module:ident, $factory:expr) => {
        $crate::tables_contract!(@tests $module, $factory,
            reads_what_was_written
            a_put_sets_only_the_columns_it_names
            a_delete_removes_the_row_whole
            the_later_change_of_a_row_counts
            a_batch_changes_many_tables
            a_batch_with_a_fault_changes_nothing
            an_empty_batch_is_written
            many_rows_are_read_in_the_order_of_the_keys
            a_scan_reads_one_partition_in_order
            bounds_that_name_some_columns_speak_of_all_rows_that_begin_so
            a_descending_table_is_read_from_the_largest
            bounds_the_wrong_way_round_hold_nothing
            a_scan_pages_in_both_directions
            limits_are_kept
            text_of_every_kind_keeps_its_order
            negative_numbers_and_extreme_times_keep_their_order
            partitions_that_look_alike_stay_apart
            large_rows_come_back
            one_of_many_inserts_wins
            an_insert_that_loses_changes_nothing
            one_of_many_updates_wins
            an_update_compares_what_is_there
            updates_that_try_again_lose_nothing
            what_does_not_fit_the_declaration_is_refused_by_name
            rows_outlive_the_engine
        );
    };
    (@tests $module:ident, $factory:expr, $($property:ident)*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let factory = $factory;
                if let Err(error) = $crate::contract::tables::$property(&factory).await {
                    panic!("{error}");
                }
            })*
        }
    };
}

/// An id that no other property uses.
fn id() -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    for (place, byte) in bytes
        .iter_mut()
        .skip(8)
        .zip(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    {
        *place = byte;
    }
    Value::Uuid(bytes)
}

fn numbered(n: u8) -> Value {
    Value::Uuid([n; 16])
}

fn at(micros: i64) -> Value {
    Value::Timestamp(Timestamp::from_unix_micros(micros))
}

fn body(text: &str) -> Value {
    Value::Blob(text.as_bytes().to_vec())
}

async fn put(tables: &dyn Tables, table: &'static Table, row: Row) -> Outcome {
    let mut batch = Batch::default();
    batch.put(table, row);
    tables.write(batch, Sync::Later).await
}

async fn remove(tables: &dyn Tables, table: &'static Table, key: Key) -> Outcome {
    let mut batch = Batch::default();
    batch.delete(table, key);
    tables.write(batch, Sync::Later).await
}

async fn clusterings(tables: &dyn Tables, table: &'static Table, scan: Scan) -> Result<Vec<Vec<Value>>, TablesError> {
    let rows = tables.scan(table, scan).await?;
    Ok(rows.into_iter().map(|row| row.key.clustering).collect())
}

fn scan(partition: &[Value], start: Bound<Vec<Value>>, end: Bound<Vec<Value>>) -> Scan {
    Scan {
        start,
        end,
        ..Scan::of(partition.to_vec(), usize::MAX)
    }
}

/// A row is read as it was written, under both ways to read, with its columns in the order of the declaration.
///
/// # Errors
/// Of the engine.
pub async fn reads_what_was_written(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id(), id(), "SM0123".into()]);
    assert_eq!(tables.get(EXTERNAL_MESSAGES, key.clone()).await?, None);
    let conversation = id();
    let row = Row::new(key.clone())
        .with("seq", -7_i64)
        .with("conversation_id", conversation.clone());
    put(&*tables, EXTERNAL_MESSAGES, row).await?;
    let expected = Row::new(key.clone())
        .with("conversation_id", conversation)
        .with("seq", -7_i64);
    assert_eq!(
        tables.get(EXTERNAL_MESSAGES, key.clone()).await?,
        Some(expected.clone())
    );
    let all = tables.scan(EXTERNAL_MESSAGES, Scan::of(key.partition, 10)).await?;
    assert_eq!(all, [expected]);
    let bare = Row::new(Key::of([id()]).at([id()]));
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
        tables
            .get_many(vec![(SESSIONS, kept.clone()), (SESSIONS, gone)])
            .await?,
        [Some(Row::new(kept).with("version", 1_i64)), None]
    );
    Ok(())
}

/// One batch changes rows of many tables; a reader that runs beside it sees all of it or nothing.
///
/// # Errors
/// Of the engine.
pub async fn a_batch_changes_many_tables(factory: &dyn Factory) -> Outcome {
    const ROUNDS: i64 = 100;
    let tables = factory.open().await;
    let position = Key::of([Value::Int(1_000_001)]);
    let contact = Key::of([id(), id()]);
    let keys = vec![(ENGINE_POSITIONS, position.clone()), (CONTACTS, contact.clone())];
    let reader = tokio::spawn({
        let (tables, keys) = (Arc::clone(&tables), keys.clone());
        async move {
            loop {
                let rows = tables.get_many(keys.clone()).await?;
                let [position, contact] = rows.as_slice() else {
                    return Ok::<_, TablesError>(0);
                };
                let offset = position.as_ref().and_then(|row| row.int("next_offset"));
                let body = contact.as_ref().and_then(|row| row.get("body"));
                assert_eq!(offset.map(body_of).as_ref(), body, "half a batch was seen");
                if offset == Some(ROUNDS) {
                    return Ok(ROUNDS);
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
    }
    let seen = reader.await.map_err(|error| TablesError::Unavailable {
        reason: error.to_string(),
    })??;
    assert_eq!(seen, ROUNDS);
    Ok(())
}

fn body_of(n: i64) -> Value {
    body(&n.to_string())
}

/// If one change of a batch does not fit its table, none of the batch is made.
///
/// # Errors
/// Of the engine.
pub async fn a_batch_with_a_fault_changes_nothing(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id(), id()]);
    let mut batch = Batch::default();
    batch.put(CONTACTS, Row::new(key.clone()).with("body", body("a")));
    batch.put(CONTACTS, Row::new(Key::of([id()])));
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
    let workspace = id();
    let key = |n: i64| Key::of([workspace.clone(), numbered(n.to_le_bytes()[0])]);
    let mut batch = Batch::default();
    for n in 0..50 {
        batch.put(CONTACTS, Row::new(key(n)).with("body", body_of(n)));
    }
    tables.write(batch, Sync::Later).await?;
    let order = [49, 3, 77, 3, 0, 60, 12];
    let rows = tables
        .get_many(order.iter().map(|n| (CONTACTS, key(*n))).collect())
        .await?;
    let expected: Vec<_> = order
        .iter()
        .map(|n| (*n < 50).then(|| Row::new(key(*n)).with("body", body_of(*n))))
        .collect();
    assert_eq!(rows, expected);
    Ok(())
}

/// Messages 1 to 20 in bucket 0, with neighbours in the buckets beside it.
async fn twenty_messages(tables: &dyn Tables) -> Result<[Value; 3], TablesError> {
    let (workspace, conversation) = (id(), id());
    let mut batch = Batch::default();
    for bucket in [-1_i64, 0, 1] {
        for seq in (1..=20_i64).rev() {
            let key = Key::of([workspace.clone(), conversation.clone(), bucket.into()]).at([seq.into()]);
            batch.put(MESSAGES, Row::new(key).with("body", body_of(seq * 10 + bucket)));
        }
    }
    tables.write(batch, Sync::Later).await?;
    Ok([workspace, conversation, Value::Int(0)])
}

fn numbers(rows: Vec<Vec<Value>>) -> Vec<i64> {
    rows.into_iter()
        .filter_map(|values| match values.as_slice() {
            [Value::Int(n)] => Some(*n),
            _ => None,
        })
        .collect()
}

/// A scan gives the rows of its partition and no others, in order, and between its bounds.
///
/// # Errors
/// Of the engine.
pub async fn a_scan_reads_one_partition_in_order(factory: &dyn Factory) -> Outcome {
    use Bound::{Excluded, Included, Unbounded};
    let tables = factory.open().await;
    let partition = twenty_messages(&*tables).await?;
    let value = |n: i64| vec![Value::Int(n)];
    for (start, end, expected) in [
        (Unbounded, Unbounded, 1..=20),
        (Included(value(5)), Unbounded, 5..=20),
        (Excluded(value(5)), Unbounded, 6..=20),
        (Unbounded, Included(value(5)), 1..=5),
        (Unbounded, Excluded(value(5)), 1..=4),
        (Included(value(5)), Included(value(7)), 5..=7),
        (Excluded(value(5)), Excluded(value(7)), 6..=6),
        (Included(value(5)), Included(value(5)), 5..=5),
        (Included(value(-3)), Included(value(99)), 1..=20),
    ] {
        let mut expected: Vec<i64> = expected.collect();
        let mut range = scan(&partition, start, end);
        let found = numbers(clusterings(&*tables, MESSAGES, range.clone()).await?);
        assert_eq!(found, expected, "{range:?}");
        range.backwards = true;
        expected.reverse();
        let found = numbers(clusterings(&*tables, MESSAGES, range.clone()).await?);
        assert_eq!(found, expected, "{range:?}");
    }
    let rows = tables.scan(MESSAGES, Scan::of(partition, 1)).await?;
    assert_eq!(rows.first().and_then(|row| row.get("body")), Some(&body_of(10)));
    Ok(())
}

/// A bound may give only the first columns of the clustering key: it stands before or after all rows that begin so.
///
/// # Errors
/// Of the engine.
pub async fn bounds_that_name_some_columns_speak_of_all_rows_that_begin_so(factory: &dyn Factory) -> Outcome {
    use Bound::{Excluded, Included, Unbounded};
    let tables = factory.open().await;
    let partition = [Value::Int(1_000_002)];
    let mut batch = Batch::default();
    let mut all = Vec::new();
    for due in [10, 20, 30] {
        for conversation in [1, 2] {
            for timer in ["", "snooze", "snooze2"] {
                let clustering = vec![at(due), numbered(conversation), timer.into()];
                all.push(clustering.clone());
                let key = Key::of(partition.clone()).at(clustering);
                batch.put(TIMERS, Row::new(key).with("workspace_id", numbered(9)));
            }
        }
    }
    tables.write(batch, Sync::Later).await?;
    let begins = |values: &[Value]| values.to_vec();
    let one = [at(20)];
    let two = [at(20), numbered(1)];
    let three = [at(20), numbered(1), "snooze".into()];
    for (start, end, expected) in [
        (Included(begins(&one)), Unbounded, 6..18),
        (Excluded(begins(&one)), Unbounded, 12..18),
        (Unbounded, Included(begins(&one)), 0..12),
        (Unbounded, Excluded(begins(&one)), 0..6),
        (Included(begins(&one)), Included(begins(&one)), 6..12),
        (Included(begins(&two)), Included(begins(&two)), 6..9),
        (Excluded(begins(&two)), Included(begins(&one)), 9..12),
        (Included(begins(&three)), Included(begins(&two)), 7..9),
        (Excluded(begins(&three)), Unbounded, 8..18),
        (Included(Vec::new()), Included(Vec::new()), 0..18),
        (Excluded(Vec::new()), Unbounded, 0..0),
        (Unbounded, Excluded(Vec::new()), 0..0),
    ] {
        let range = scan(&partition, start, end);
        let found = clusterings(&*tables, TIMERS, range.clone()).await?;
        assert_eq!(found, all.get(expected).unwrap_or_default(), "{range:?}");
    }
    Ok(())
}

/// In a descending table the first row has the largest key, a range begins with the larger bound, and reading backwards
/// ascends.
///
/// # Errors
/// Of the engine.
pub async fn a_descending_table_is_read_from_the_largest(factory: &dyn Factory) -> Outcome {
    use Bound::{Excluded, Included, Unbounded};
    let tables = factory.open().await;
    let partition = [id(), "open/all".into()];
    let mut all = Vec::new();
    let mut batch = Batch::default();
    for activity in [5, -5, 0, i64::MAX, i64::MIN] {
        for conversation in [0, 255] {
            let clustering = vec![at(activity), numbered(conversation)];
            all.push(clustering.clone());
            batch.put(CONVERSATION_VIEWS, Row::new(Key::of(partition.clone()).at(clustering)));
        }
    }
    all.sort_by(|a, b| b.cmp(a));
    tables.write(batch, Sync::Later).await?;
    for (start, end, expected) in [
        (Unbounded, Unbounded, 0..10),
        (Included(vec![at(5)]), Unbounded, 2..10),
        (Excluded(vec![at(5)]), Unbounded, 4..10),
        (Excluded(vec![at(5), numbered(255)]), Unbounded, 3..10),
        (Unbounded, Included(vec![at(0)]), 0..6),
        (Unbounded, Excluded(vec![at(0), numbered(0)]), 0..5),
        (Included(vec![at(5)]), Excluded(vec![at(-5)]), 2..6),
    ] {
        let mut range = scan(&partition, start, end);
        let mut expected = all.get(expected).unwrap_or_default().to_vec();
        assert_eq!(
            clusterings(&*tables, CONVERSATION_VIEWS, range.clone()).await?,
            expected,
            "{range:?}"
        );
        range.backwards = true;
        expected.reverse();
        assert_eq!(
            clusterings(&*tables, CONVERSATION_VIEWS, range.clone()).await?,
            expected,
            "{range:?}"
        );
    }
    Ok(())
}

/// A range whose start comes after its end, or of a partition that is not there, is empty and no error.
///
/// # Errors
/// Of the engine.
pub async fn bounds_the_wrong_way_round_hold_nothing(factory: &dyn Factory) -> Outcome {
    use Bound::{Excluded, Included};
    let tables = factory.open().await;
    let partition = twenty_messages(&*tables).await?;
    let value = |n: i64| vec![Value::Int(n)];
    for (start, end) in [
        (Included(value(9)), Included(value(3))),
        (Excluded(value(9)), Excluded(value(9))),
        (Included(value(9)), Excluded(value(9))),
        (Excluded(value(20)), Included(value(99))),
    ] {
        let range = scan(&partition, start, end);
        assert_eq!(tables.scan(MESSAGES, range.clone()).await?, [], "{range:?}");
        assert_eq!(tables.scan(MESSAGES, range.backwards()).await?, []);
    }
    assert_eq!(
        tables.scan(MESSAGES, Scan::of([id(), id(), 0_i64.into()], 5)).await?,
        []
    );
    Ok(())
}

/// Pages made with `after` hold every row once, in both directions; a row that is deleted between two pages does not
/// disturb the next one.
///
/// # Errors
/// Of the engine.
pub async fn a_scan_pages_in_both_directions(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let partition = twenty_messages(&*tables).await?;
    for backwards in [false, true] {
        let mut found = Vec::new();
        let mut range = Scan::of(partition.clone(), 7);
        range.backwards = backwards;
        loop {
            let page = clusterings(&*tables, MESSAGES, range.clone()).await?;
            let Some(last) = page.last().cloned() else { break };
            found.extend(numbers(page));
            range = range.after(last);
        }
        if backwards {
            found.reverse();
        }
        assert_eq!(found, (1..=20).collect::<Vec<_>>());
    }
    let last = vec![Value::Int(7)];
    remove(&*tables, MESSAGES, Key::of(partition.clone()).at(last.clone())).await?;
    let next = clusterings(&*tables, MESSAGES, Scan::of(partition, 2).after(last)).await?;
    assert_eq!(numbers(next), [8, 9]);
    Ok(())
}

/// A scan gives at most `limit` rows, those at the beginning of its direction.
///
/// # Errors
/// Of the engine.
pub async fn limits_are_kept(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let partition = twenty_messages(&*tables).await?;
    for limit in [0, 1, 19, 20, 21] {
        let range = Scan::of(partition.clone(), limit);
        let found = numbers(clusterings(&*tables, MESSAGES, range.clone()).await?);
        assert_eq!(found, (1..=20).take(limit).collect::<Vec<_>>());
        let found = numbers(clusterings(&*tables, MESSAGES, range.backwards()).await?);
        assert_eq!(found, (1..=20).rev().take(limit).collect::<Vec<_>>());
    }
    Ok(())
}

/// Text sorts by its UTF-8 bytes, whatever it holds: nothing, zeros, right-to-left, four-byte characters.
///
/// # Errors
/// Of the engine.
pub async fn text_of_every_kind_keeps_its_order(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let workspace = id();
    let mut names = vec![
        "",
        "\0",
        "\0\0",
        "\0\u{1}",
        "\u{1}",
        "a",
        "a\0",
        "a\0\0b",
        "a\0b",
        "aa",
        "ab",
        "b",
        "é",
        "ÿ",
        "مرحبا",
        "مرحبا بك",
        "日本",
        "\u{FFFF}",
        "😀",
        "😀\0",
        "\u{10FFFF}",
    ];
    let mut batch = Batch::default();
    for name in names.iter().rev() {
        let key = Key::of([workspace.clone()]).at([(*name).into()]);
        batch.put(LABELS, Row::new(key).with("body", body(name)));
    }
    tables.write(batch, Sync::Later).await?;
    names.sort_unstable();
    let expected: Vec<_> = names.iter().map(|name| vec![Value::from(*name)]).collect();
    let found = clusterings(&*tables, LABELS, Scan::of([workspace.clone()], 99)).await?;
    assert_eq!(found, expected);
    for name in names {
        let key = Key::of([workspace.clone()]).at([name.into()]);
        let row = tables.get(LABELS, key.clone()).await?;
        assert_eq!(row, Some(Row::new(key).with("body", body(name))));
    }
    Ok(())
}

/// Numbers and instants sort as such, from the smallest to the largest that there is.
///
/// # Errors
/// Of the engine.
pub async fn negative_numbers_and_extreme_times_keep_their_order(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let ascending = [
        i64::MIN,
        i64::MIN + 1,
        -256,
        -255,
        -1,
        0,
        1,
        255,
        256,
        i64::MAX - 1,
        i64::MAX,
    ];
    let partition = [id(), id(), i64::MIN.into()];
    let timers = [Value::Int(-1_000_003)];
    let mut batch = Batch::default();
    for n in ascending.iter().rev() {
        let key = Key::of(partition.clone()).at([(*n).into()]);
        batch.put(MESSAGES, Row::new(key).with("body", body("a")));
        let key = Key::of(timers.clone()).at([at(*n), numbered(1), "snooze".into()]);
        batch.put(TIMERS, Row::new(key).with("workspace_id", numbered(9)));
    }
    tables.write(batch, Sync::Later).await?;
    let found = clusterings(&*tables, MESSAGES, Scan::of(partition, 99)).await?;
    assert_eq!(numbers(found), ascending);
    let found = clusterings(&*tables, TIMERS, Scan::of(timers, 99)).await?;
    let expected = ascending.map(|n| vec![at(n), numbered(1), "snooze".into()]);
    assert_eq!(found, expected);
    Ok(())
}

/// Partitions whose values begin alike, or give the same when written one after the other, are different partitions.
///
/// # Errors
/// Of the engine.
pub async fn partitions_that_look_alike_stay_apart(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let workspace = id();
    let views = ["open", "open/", "open/all", "open\0", "open\0all", "", "\0"];
    let mut batch = Batch::default();
    for (n, view) in (0..).zip(views) {
        let key = Key::of([workspace.clone(), view.into()]).at([at(n), numbered(n.to_le_bytes()[0])]);
        batch.put(CONVERSATION_VIEWS, Row::new(key));
    }
    tables.write(batch, Sync::Later).await?;
    for (n, view) in (0..).zip(views) {
        let range = Scan::of([workspace.clone(), view.into()], 99);
        let found = clusterings(&*tables, CONVERSATION_VIEWS, range).await?;
        assert_eq!(found, [[at(n), numbered(n.to_le_bytes()[0])]], "{view:?}");
    }
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
        let row = Row::new(Key::of([id(), id()])).with("body", bytes);
        put(&*tables, CONTACTS, row.clone()).await?;
        let read = tables.get(CONTACTS, row.key.clone()).await?;
        assert!(read == Some(row), "the row of {size_bytes} bytes is another one");
    }
    Ok(())
}

/// Of many inserts of one key at once, one wins, and all others are given its row.
///
/// # Errors
/// Of the engine.
pub async fn one_of_many_inserts_wins(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id(), id(), "SM1".into()]);
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..RACERS {
        let (tables, key) = (Arc::clone(&tables), key.clone());
        racers.spawn(async move {
            let row = Row::new(key).with("conversation_id", id()).with("seq", n);
            tables
                .insert_if_absent(EXTERNAL_MESSAGES, row)
                .await
                .map(|found| (n, found))
        });
    }
    let mut winners = Vec::new();
    let mut losers_saw = BTreeSet::new();
    for result in racers.join_all().await {
        match result? {
            (n, None) => winners.push(n),
            (_, Some(row)) => {
                losers_saw.extend(row.int("seq"));
            }
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert!(losers_saw.iter().eq(&winners), "{losers_saw:?} but {winners:?} won");
    let row = tables.get(EXTERNAL_MESSAGES, key).await?;
    assert_eq!(row.and_then(|row| row.int("seq")).as_ref(), winners.first());
    Ok(())
}

/// An insert that finds a row gives it back as it is, and sets none of its columns.
///
/// # Errors
/// Of the engine.
pub async fn an_insert_that_loses_changes_nothing(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id()]);
    let first = Row::new(key.clone()).with("version", 1_i64);
    assert_eq!(tables.insert_if_absent(SESSIONS, first.clone()).await?, None);
    let second = Row::new(key.clone()).with("version", 2_i64).with("body", body("b"));
    assert_eq!(
        tables.insert_if_absent(SESSIONS, second.clone()).await?,
        Some(first.clone())
    );
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, Some(first));
    remove(&*tables, SESSIONS, key.clone()).await?;
    assert_eq!(tables.insert_if_absent(SESSIONS, second.clone()).await?, None);
    assert_eq!(tables.get(SESSIONS, key).await?, Some(second));
    let bare = Row::new(Key::of([id()]).at([id()]));
    assert_eq!(tables.insert_if_absent(USER_WORKSPACES, bare.clone()).await?, None);
    assert_eq!(
        tables.insert_if_absent(USER_WORKSPACES, bare.clone()).await?,
        Some(bare)
    );
    Ok(())
}

/// Of many updates that expect one value, one is made.
///
/// # Errors
/// Of the engine.
pub async fn one_of_many_updates_wins(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id()]);
    put(&*tables, SESSIONS, Row::new(key.clone()).with("version", 0_i64)).await?;
    let mut racers = tokio::task::JoinSet::new();
    for n in 1..=RACERS {
        let (tables, key) = (Arc::clone(&tables), key.clone());
        racers.spawn(async move {
            let row = Row::new(key).with("version", n);
            let done = tables.update_if(SESSIONS, row, "version", Some(0_i64.into())).await;
            done.map(|done| done.then_some(n))
        });
    }
    let mut winners = Vec::new();
    for result in racers.join_all().await {
        winners.extend(result?);
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let row = tables.get(SESSIONS, key).await?;
    assert_eq!(row.and_then(|row| row.int("version")).as_ref(), winners.first());
    Ok(())
}

/// An update is made if the column has the value expected, or is not set if nothing is expected; it sets only what it
/// names.
///
/// # Errors
/// Of the engine.
pub async fn an_update_compares_what_is_there(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([id()]);
    let version = |n: i64| Row::new(key.clone()).with("version", n);
    let expect = |n: i64| Some(Value::Int(n));
    assert!(!tables.update_if(SESSIONS, version(1), "version", expect(0)).await?);
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, None);
    assert!(tables.update_if(SESSIONS, version(1), "version", None).await?);
    assert!(!tables.update_if(SESSIONS, version(9), "version", None).await?);
    assert!(!tables.update_if(SESSIONS, version(9), "version", expect(2)).await?);
    put(&*tables, SESSIONS, Row::new(key.clone()).with("body", body("a"))).await?;
    assert!(tables.update_if(SESSIONS, version(2), "version", expect(1)).await?);
    let expected = version(2).with("body", body("a"));
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, Some(expected));
    // The row is there, the column is not.
    let channel = Row::new(Key::of([id()]));
    put(&*tables, CHANNEL_WORKSPACES, channel.clone()).await?;
    let with_workspace = channel.with("workspace_id", numbered(1));
    assert!(
        tables
            .update_if(CHANNEL_WORKSPACES, with_workspace, "workspace_id", None)
            .await?
    );
    Ok(())
}

/// A counter that many raise, each reading, adding one and trying again if another was faster, ends at their number.
///
/// # Errors
/// Of the engine.
pub async fn updates_that_try_again_lose_nothing(factory: &dyn Factory) -> Outcome {
    const EACH: i64 = 5;
    let tables = factory.open().await;
    let key = Key::of([id()]);
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (tables, key) = (Arc::clone(&tables), key.clone());
        racers.spawn(async move {
            let mut done = 0;
            while done < EACH {
                let found = tables.get(SESSIONS, key.clone()).await?;
                let version = found.and_then(|row| row.int("version"));
                let row = Row::new(key.clone()).with("version", version.unwrap_or_default() + 1);
                if tables
                    .update_if(SESSIONS, row, "version", version.map(Value::Int))
                    .await?
                {
                    done += 1;
                }
            }
            Ok::<_, TablesError>(())
        });
    }
    for result in racers.join_all().await {
        result?;
    }
    let row = tables.get(SESSIONS, key).await?;
    assert_eq!(row.and_then(|row| row.int("version")), Some(8 * EACH));
    Ok(())
}

/// A key, row or bound that does not fit is refused with the name of the table and the column, and the type it has.
///
/// # Errors
/// Of the engine.
pub async fn what_does_not_fit_the_declaration_is_refused_by_name(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let tables = &*tables;
    let session = || Row::new(Key::of([id()]));
    let insert = async |row| tables.insert_if_absent(SESSIONS, row).await.map(drop);
    let ask = async |table, key| tables.get(table, key).await.map(drop);
    let read = async |bound| {
        let range = scan(&[id()], bound, Bound::Unbounded);
        tables.scan(LABELS, range).await.map(drop)
    };
    let update = async |column, value| {
        tables
            .update_if(SESSIONS, session(), column, Some(value))
            .await
            .map(drop)
    };
    let name = |text: &str| vec![Value::from(text)];
    for (result, words) in [
        (ask(SESSIONS, Key::of([])).await, ["sessions", "session_id", "0 values"]),
        (
            ask(SESSIONS, Key::of([1_i64.into()])).await,
            ["sessions", "session_id", "uuid"],
        ),
        (
            ask(SESSIONS, Key::of([id()]).at([id()])).await,
            ["sessions", "clustering", "1 values"],
        ),
        (ask(LABELS, Key::of([id()])).await, ["labels", "name", "0 values"]),
        (
            insert(session().with("version", "1")).await,
            ["sessions", "version", "int"],
        ),
        (insert(session().with("body", "{}")).await, ["sessions", "body", "blob"]),
        (
            insert(session().with("color", "red")).await,
            ["sessions", "color", "version, body"],
        ),
        (
            insert(session().with("session_id", id())).await,
            ["sessions", "session_id", "key"],
        ),
        (
            insert(session().with("version", 1_i64).with("version", 1_i64)).await,
            ["sessions", "version", "twice"],
        ),
        (read(Bound::Included(vec![id()])).await, ["labels", "name", "text"]),
        (
            read(Bound::Excluded([name("a"), name("b")].concat())).await,
            ["labels", "name", "2 values"],
        ),
        (
            update("color", Value::Int(1)).await,
            ["sessions", "color", "version, body"],
        ),
        (update("version", "1".into()).await, ["sessions", "version", "int"]),
        (
            ask(LABELS, Key::of([id()]).at([Value::Text("x".repeat(MAX_KEY_BYTES))])).await,
            ["labels", "key", "limit"],
        ),
        (
            insert(session().with("body", vec![0; MAX_ROW_BYTES + 1])).await,
            ["sessions", "row", "limit"],
        ),
    ] {
        let Err(TablesError::Invalid { reason }) = result else {
            return Err(TablesError::Invalid {
                reason: format!("expected a refusal with {words:?}"),
            });
        };
        for word in words {
            assert!(reason.contains(word), "{reason:?} does not say {word:?}");
        }
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
    let workspace = id();
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
