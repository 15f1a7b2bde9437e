//! What is checked after a restart, while messages go on; and in the end, when the hub has stopped.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use schemas::api::analytics::SqlAnswer;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Shared, stored};
use crate::checker::{Entry, Stored};
use crate::hub::fixture::Fixture;

/// How long SQL may take to see what the API shows.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// Everything acknowledged before the call must be there once; gives how many messages are not.
pub(super) async fn violations(fixture: &Fixture, shared: &Shared) -> anyhow::Result<usize> {
    let acknowledged: BTreeSet<u64> = shared.with_history(|entries| {
        entries.iter().filter_map(|entry| if let Entry::Ack { key } = entry { Some(*key) } else { None }).collect()
    });
    fixture.caught_up().await?;
    let mut times: HashMap<u64, usize> = HashMap::new();
    for key in stored(fixture).await?.iter().filter_map(|message| message.key) {
        *times.entry(key).or_default() += 1;
    }
    let lost = acknowledged.iter().filter(|key| !times.contains_key(key)).count();
    let doubled = times.values().filter(|times| **times > 1).count();
    Ok(lost + doubled)
}

/// By how many messages SQL and the API differ, over all workspaces.
pub(super) async fn unlike_in_sql(fixture: &Fixture, stored: &[Stored]) -> anyhow::Result<u64> {
    let start = Instant::now();
    loop {
        let mut unlike = 0;
        for (number, space) in (0..).zip(&fixture.spaces) {
            let shown = stored.iter().filter(|message| message.space == number).count() as u64;
            let query = json!({ "sql": "select count(*) from messages" });
            let answer: SqlAnswer = space.api.post("sql", &query, None).await?;
            let counted = answer.rows.first().and_then(|row| row.first()).and_then(Value::as_u64);
            unlike += counted.context("a count is not a number")?.abs_diff(shown);
        }
        if unlike == 0 || start.elapsed() > SEEN_WITHIN {
            return Ok(unlike);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
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
