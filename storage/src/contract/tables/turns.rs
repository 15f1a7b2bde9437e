//! Properties of turns: who may derive rows from a partition of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use schemas::tables::{CONVERSATIONS, MESSAGES, OUTBOX};

use super::{Factory, Outcome, body, fresh_workspace, id};
use crate::tables::{Batch, Derivation, Key, Row, Sync, TablesError};

/// Processes that take a turn at once.
const RACERS: usize = 8;

/// A partition of the log that no other property uses.
fn partition() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A batch over several tables and partitions, as an engine writes it.
fn derived(derivation: Derivation, conversation: &Key, text: &str) -> Batch {
    let mut batch = Batch::derived(derivation);
    batch.put(CONVERSATIONS, Row::new(conversation.clone()).with("body", body(text)));
    let in_bucket = conversation.partition.iter().cloned().chain([0_i64.into()]);
    let seq = derivation.next_offset.cast_signed();
    batch.put(MESSAGES, Row::new(Key::of(in_bucket).at([seq.into()])).with("body", body(text)));
    batch.put(OUTBOX, Row::new(Key::of([derivation.partition.into()]).at([seq.into()])).with("body", body(text)));
    batch
}

/// Batches of the turn that is on are written; once another is taken, what was written in it can be read, and nothing more
/// can be written in it. Other partitions have turns of their own.
///
/// # Errors
/// Of the engine.
pub async fn a_turn_that_is_on_writes_and_a_turn_that_is_over_does_not(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let (partition, elsewhere) = (partition(), partition());
    let conversation = Key::of([fresh_workspace(), id()]);
    let turn = tables.take_turn(partition).await?;
    let other = Derivation { partition: elsewhere, turn: tables.take_turn(elsewhere).await?, next_offset: 1 };
    let of = |turn, next_offset| Derivation { partition, turn, next_offset };
    for next_offset in [3, 4] {
        let text = next_offset.to_string();
        tables.write(derived(of(turn, next_offset), &conversation, &text), Sync::Later).await?;
    }
    let later = tables.take_turn(partition).await?;
    assert!(later > turn, "turn {later} after turn {turn}");
    let refused = tables.write(derived(of(turn, 5), &conversation, "late"), Sync::Later).await;
    assert!(matches!(refused, Err(TablesError::Superseded { partition: named }) if named == partition), "{refused:?}");
    let row = tables.get(CONVERSATIONS, conversation.clone()).await?;
    assert_eq!(row.as_ref().and_then(|row| row.get("body")), Some(&body("4")));
    let outbox = Key::of([partition.into()]);
    assert_eq!(tables.get(OUTBOX, outbox.clone().at([5_i64.into()])).await?, None);
    tables.write(derived(of(later, 5), &conversation, "5"), Sync::Later).await?;
    let mut removal = Batch::derived(of(later, 6));
    removal.delete(OUTBOX, outbox.clone().at([3_i64.into()]));
    tables.write(removal, Sync::Later).await?;
    tables.write(derived(other, &Key::of([fresh_workspace(), id()]), "elsewhere"), Sync::Later).await?;
    let row = tables.get(CONVERSATIONS, conversation).await?;
    assert_eq!(row.as_ref().and_then(|row| row.get("body")), Some(&body("5")));
    assert_eq!(tables.get(OUTBOX, outbox.at([3_i64.into()])).await?, None);
    Ok(())
}

/// Of many turns that are taken at once each has a number of its own, and only the largest may write.
///
/// # Errors
/// Of the engine.
pub async fn of_turns_taken_at_once_the_last_is_on(factory: &dyn Factory) -> Outcome {
    let tables = factory.open().await;
    let partition = partition();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..RACERS {
        let tables = Arc::clone(&tables);
        racers.spawn(async move { tables.take_turn(partition).await });
    }
    let mut turns = racers.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    turns.sort_unstable();
    let all = turns.len();
    turns.dedup();
    assert_eq!(turns.len(), all, "each turn has a number of its own");
    for (n, turn) in turns.into_iter().enumerate() {
        let derivation = Derivation { partition, turn, next_offset: 1 };
        let written = tables.write(derived(derivation, &Key::of([fresh_workspace(), id()]), "row"), Sync::Later).await;
        assert_eq!(written.is_ok(), n + 1 == all, "turn {turn}: {written:?}");
    }
    Ok(())
}
