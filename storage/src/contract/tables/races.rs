//! Insert-if-absent and update-if, alone and in a crowd.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::WorkspaceId;
use schemas::tables::{CHANNEL_WORKSPACES, EXTERNAL_MESSAGES, SESSIONS, USER_WORKSPACES, Value};

use super::{Factory, Outcome, body, fresh_workspace, id, put, remove};
use crate::tables::{Key, Row, TablesError};

/// How many tasks race for one row.
const RACERS: i64 = 32;

/// Of many inserts of one key at once, one wins, and all others are given its row.
///
/// # Errors
/// Of the engine.
pub async fn one_of_many_inserts_wins(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let key = Key::of([fresh_workspace(), id(), "SM1".into()]);
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..RACERS {
        let (tables, key) = (Arc::clone(&tables), key.clone());
        racers.spawn(async move {
            let row = Row::new(key).with("conversation_id", id()).with("seq", n);
            tables.insert_if_absent(EXTERNAL_MESSAGES, row).await.map(|found| (n, found))
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
    assert_eq!(tables.insert_if_absent(SESSIONS, second.clone()).await?, Some(first.clone()));
    assert_eq!(tables.get(SESSIONS, key.clone()).await?, Some(first));
    remove(&*tables, SESSIONS, key.clone()).await?;
    assert_eq!(tables.insert_if_absent(SESSIONS, second.clone()).await?, None);
    assert_eq!(tables.get(SESSIONS, key).await?, Some(second));
    let bare = Row::new(Key::of([id()]).at([fresh_workspace()]));
    assert_eq!(tables.insert_if_absent(USER_WORKSPACES, bare.clone()).await?, None);
    assert_eq!(tables.insert_if_absent(USER_WORKSPACES, bare.clone()).await?, Some(bare));
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
    let with_workspace = channel.with("workspace_id", WorkspaceId::from_bytes([1; 16]));
    assert!(tables.update_if(CHANNEL_WORKSPACES, with_workspace, "workspace_id", None).await?);
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
                if tables.update_if(SESSIONS, row, "version", version.map(Value::Int)).await? {
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
