//! Agents who answer while the hub fails under them.
//!
//! An answer is sent again with its idempotency key until it is clear what became of it, as a console does. It must be in
//! its conversation once, and reach the customer once.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{RECONNECT_PAUSE, Shared};
use crate::checker::{Entry, occurrences};
use crate::generator::webhooks::index_of_text;
use crate::hub::fixture::{Fixture, Space};
use crate::simulator::Simulator;

/// The key of the first answer: above those of all webhooks.
const FIRST_KEY: u64 = 500_000_000;
/// From one answer of an agent to the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long the provider may wait for what was acknowledged: a sending that may or may not have happened is looked up
/// after 20 s, and again, before it is repeated.
const SENT_WITHIN: Duration = Duration::from_mins(2);

/// What became of answers at the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Delivered {
    /// Answers that the hub acknowledged.
    pub(super) acknowledged: usize,
    /// Of those, how many the provider never had.
    pub(super) missing: usize,
    /// Answers that the provider had more than once.
    pub(super) doubled: usize,
}

/// Has an agent of each workspace answer until the run is over.
pub(super) fn start(tasks: &mut JoinSet<anyhow::Result<()>>, fixture: &Fixture, shared: &Shared, seed: u64) {
    for (number, space) in (1..).zip(&fixture.spaces) {
        let random = SmallRng::seed_from_u64(seed ^ number);
        tasks.spawn(answer_until_stopped(shared.clone(), space.clone(), random, seed));
    }
}

/// Answers in one conversation of the workspace after another.
async fn answer_until_stopped(mut shared: Shared, space: Space, mut random: SmallRng, run: u64) -> anyhow::Result<()> {
    let mut key = FIRST_KEY + u64::from(random.random::<u16>()) * 1_000;
    let mut turn = 0;
    while let Some(gateway) = shared.gateway(turn).await {
        tokio::time::sleep(INTERVAL).await;
        turn += 1;
        let mut api = space.api.at(gateway);
        // Without an answer there is nobody to write to yet.
        let Ok(page) = api.conversations("open", "all", None).await else { continue };
        let Some(at) = page.items.len().checked_sub(1).map(|last| random.random_range(0..=last)) else { continue };
        let Some(view) = page.items.get(at) else { continue };
        shared.record(Entry::Send { key })?;
        let text = format!("#{key:09} We are looking into it.");
        while let Err(_unclear) = api.send(view.conversation.id, &format!("{run}-{key}"), &text).await {
            shared.record(Entry::Unclear { key })?;
            turn += 1;
            let Some(gateway) = shared.gateway(turn).await else { return Ok(()) };
            api = space.api.at(gateway);
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        shared.record(Entry::Ack { key })?;
        key += 1;
    }
    Ok(())
}

/// Waits until the provider has had every acknowledged answer, or for some time, and counts.
pub(super) async fn delivered(simulator: &Simulator, history: &[Entry]) -> Delivered {
    let start = Instant::now();
    loop {
        let delivered = count(simulator, history);
        if delivered.missing == 0 || delivered.doubled > 0 || start.elapsed() > SENT_WITHIN {
            return delivered;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn count(simulator: &Simulator, history: &[Entry]) -> Delivered {
    let times = occurrences(simulator.messages().iter().filter_map(|message| index_of_text(&message.body)));
    let mut delivered =
        Delivered { doubled: times.values().filter(|times| **times > 1).count(), ..Delivered::default() };
    for entry in history {
        if let Entry::Ack { key } = entry
            && *key >= FIRST_KEY
        {
            delivered.acknowledged += 1;
            delivered.missing += usize::from(!times.contains_key(key));
        }
    }
    delivered
}
