//! What is checked after a restart, while messages go on; and in the end, when the hub has stopped.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::Shared;
use crate::checker::{Entry, Stored, occurrences};
use crate::generator::webhooks::index_of_text;
use crate::hub::fixture::Fixture;

/// How long SQL may take to see what the API shows.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Everything that the API shows.
pub(super) async fn stored(fixture: &Fixture) -> anyhow::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    for (space_number, space) in (0..).zip(&fixture.spaces) {
        for view in space.api.all_conversations("open").await? {
            let conversation = view.conversation.id;
            for message in space.api.all_messages(conversation).await? {
                stored.push(Stored {
                    space: space_number,
                    conversation: conversation.uuid(),
                    seq: message.seq,
                    key: index_of_text(&message.body.text),
                });
            }
        }
    }
    Ok(stored)
}

/// Everything acknowledged before the call must be there once, some of it after `patience` only; gives how many messages
/// are not.
pub(super) async fn violations(fixture: &Fixture, shared: &Shared, patience: Duration) -> anyhow::Result<usize> {
    let acknowledged: BTreeSet<u64> = shared.with_history(|entries| {
        entries.iter().filter_map(|entry| if let Entry::Ack { key } = entry { Some(*key) } else { None }).collect()
    });
    fixture.caught_up().await?;
    let start = Instant::now();
    loop {
        let times = occurrences(stored(fixture).await?.iter().filter_map(|message| message.key));
        let lost = acknowledged.iter().filter(|key| !times.contains_key(key)).count();
        let doubled = times.values().filter(|times| **times > 1).count();
        if lost == 0 || doubled > 0 || start.elapsed() >= patience {
            return Ok(lost + doubled);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// By how many messages SQL and the API differ, over all workspaces.
pub(super) async fn unlike_in_sql(fixture: &Fixture, stored: &[Stored]) -> anyhow::Result<u64> {
    let start = Instant::now();
    loop {
        let mut unlike = 0;
        for (number, space) in (0..).zip(&fixture.spaces) {
            let shown = stored.iter().filter(|message| message.space == number).count() as u64;
            unlike += space.api.messages_in_sql().await?.abs_diff(shown);
        }
        if unlike == 0 || start.elapsed() > SEEN_WITHIN {
            return Ok(unlike);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Stops the hub and has its own tools read the whole log, and derive everything from it again.
pub(super) async fn verify_stopped(fixture: &mut Fixture) -> anyhow::Result<Duration> {
    let hub = fixture.options.clone().context("the hub was not started by this program")?;
    let stopped_in = fixture.process.take().context("the hub is gone")?.stop().await?;
    hub.run(&["log", "verify"]).await.context("the log is damaged")?;
    let replayed = fixture.dir().join("replayed");
    let into = replayed.to_str().context("the folder's name is not UTF-8")?;
    hub.run(&["log", "replay", "--into", into]).await.context("what the log gives differs from what the hub holds")?;
    Ok(stopped_in)
}
