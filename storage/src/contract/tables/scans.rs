//! Ranges of a partition: order, bounds, directions, pages.

use std::ops::Bound;

use schemas::WorkspaceId;
use schemas::tables::{CONVERSATION_VIEWS, LABELS, MESSAGES, TIMERS, Value};

use super::{Factory, Outcome, at, body, body_of, clusterings, fresh_workspace, id, numbered, remove, scan};
use crate::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};

/// Messages 1 to 20 in bucket 0, with neighbours in the buckets beside it.
async fn twenty_messages(tables: &dyn Tables) -> Result<[Value; 3], TablesError> {
    let (workspace, conversation) = (fresh_workspace(), id());
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
                batch.put(TIMERS, Row::new(key).with("workspace_id", WorkspaceId::from_bytes([9; 16])));
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
    let partition = [fresh_workspace(), "open/all".into()];
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
        assert_eq!(clusterings(&*tables, CONVERSATION_VIEWS, range.clone()).await?, expected, "{range:?}");
        range.backwards = true;
        expected.reverse();
        assert_eq!(clusterings(&*tables, CONVERSATION_VIEWS, range.clone()).await?, expected, "{range:?}");
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
    assert_eq!(tables.scan(MESSAGES, Scan::of([fresh_workspace(), id(), 0_i64.into()], 5)).await?, []);
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
    let workspace = fresh_workspace();
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
    let ascending = [i64::MIN, i64::MIN + 1, -256, -255, -1, 0, 1, 255, 256, i64::MAX - 1, i64::MAX];
    let partition = [fresh_workspace(), id(), i64::MIN.into()];
    let timers = [Value::Int(-1_000_003)];
    let mut batch = Batch::default();
    for n in ascending.iter().rev() {
        let key = Key::of(partition.clone()).at([(*n).into()]);
        batch.put(MESSAGES, Row::new(key).with("body", body("a")));
        let key = Key::of(timers.clone()).at([at(*n), numbered(1), "snooze".into()]);
        batch.put(TIMERS, Row::new(key).with("workspace_id", WorkspaceId::from_bytes([9; 16])));
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
    let workspace = fresh_workspace();
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
