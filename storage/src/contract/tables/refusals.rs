//! What does not fit the declaration of its table.

use std::ops::Bound;

use schemas::tables::{LABELS, SESSIONS, Value};

use super::{Factory, Outcome, fresh_workspace, id, put, remove, scan};
use crate::tables::validation::{MAX_KEY_BYTES, MAX_ROW_BYTES};
use crate::tables::{Key, Row, TablesError};

/// A key or bound that does not fit is refused with the name of the table and the column, and the type it has.
///
/// # Errors
/// Of the engine.
pub async fn keys_that_do_not_fit_are_refused_by_name(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let label = |name: Value| Key::of([fresh_workspace()]).at([name]);
    let too_long = label(Value::Text("x".repeat(MAX_KEY_BYTES)));
    for (table, key, words) in [
        (SESSIONS, Key::of([]), ["sessions", "session_id", "0 values"]),
        (SESSIONS, Key::of([1_i64.into()]), ["sessions", "session_id", "uuid"]),
        (SESSIONS, Key::of([id()]).at([id()]), ["sessions", "clustering", "1 values"]),
        (LABELS, Key::of([fresh_workspace()]), ["labels", "name", "0 values"]),
        // No other id stands in the place of a workspace.
        (LABELS, Key::of([id()]).at(["vip".into()]), ["labels", "workspace_id", "workspace"]),
        (SESSIONS, Key::of([fresh_workspace()]), ["sessions", "session_id", "uuid"]),
        (LABELS, label(id()), ["labels", "name", "text"]),
        (LABELS, too_long, ["labels", "key", "limit"]),
    ] {
        check(tables.get(table, key.clone()).await, words);
        check(tables.insert_if_absent(table, Row::new(key.clone())).await, words);
        check(remove(&*tables, table, key).await, words);
    }
    let two = vec![Value::from("a"), Value::from("b")];
    for (partition, bound, words) in [
        (vec![fresh_workspace()], Bound::Included(vec![id()]), ["labels", "name", "text"]),
        (vec![fresh_workspace()], Bound::Excluded(two), ["labels", "name", "2 values"]),
        (vec!["a".into()], Bound::Unbounded, ["labels", "workspace_id", "workspace"]),
    ] {
        let range = scan(&partition, bound.clone(), Bound::Unbounded);
        check(tables.scan(LABELS, range).await, words);
        let range = scan(&partition, Bound::Unbounded, bound);
        check(tables.scan(LABELS, range).await, words);
    }
    Ok(())
}

/// A row that does not fit is refused with the name of the table and the column, and the type it has.
///
/// # Errors
/// Of the engine.
pub async fn rows_that_do_not_fit_are_refused_by_name(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let session = || Row::new(Key::of([id()]));
    let twice = session().with("version", 1_i64).with("version", 1_i64);
    for (row, words) in [
        (session().with("version", "1"), ["sessions", "version", "int"]),
        (session().with("body", "{}"), ["sessions", "body", "blob"]),
        (session().with("color", "red"), ["sessions", "color", "version, body"]),
        (session().with("session_id", id()), ["sessions", "session_id", "key"]),
        (twice, ["sessions", "version", "twice"]),
        (session().with("body", vec![0; MAX_ROW_BYTES + 1]), ["sessions", "row", "limit"]),
    ] {
        check(put(&*tables, SESSIONS, row.clone()).await, words);
        check(tables.insert_if_absent(SESSIONS, row).await, words);
    }
    for (column, value, words) in [
        ("color", Value::Int(1), ["sessions", "color", "version, body"]),
        ("version", "1".into(), ["sessions", "version", "int"]),
    ] {
        check(tables.update_if(SESSIONS, session(), column, Some(value)).await, words);
    }
    Ok(())
}

fn check<T>(result: Result<T, TablesError>, words: [&str; 3]) {
    let reason = match result {
        Err(TablesError::Invalid { reason }) => reason,
        Err(error) => error.to_string(),
        Ok(_) => "nothing was refused".to_owned(),
    };
    for word in words {
        assert!(reason.contains(word), "{reason:?} does not say {word:?}");
    }
}
