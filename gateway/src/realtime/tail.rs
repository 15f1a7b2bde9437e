//! Follows a partition of the topic `events`: every event is read once, framed once, and given to all.

use std::sync::Arc;
use std::time::Duration;

use schemas::event::{Event, EventRecord};
use schemas::socket::{GapReason, ServerFrame};
use storage::log::{LogError, ReadLimit, Record, Topic};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::connection::Class;
use super::entry::{self, Kind, Peeked};
use super::frames::encode;
use super::outcomes::Settled;

/// How many of the latest events are read into memory when the process starts, so that a storm of resumes after a
/// restart is served from there.
const PRELOADED_EVENTS: u64 = 4_000;
/// The wait after an error of the log; doubles up to the second number.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Follows the partition until the token is cancelled.
pub(crate) async fn follow(inner: Arc<Inner>, partition: u32, shutdown: CancellationToken) {
    let mut retry = RETRY.0;
    let mut preloaded_to = None;
    while !shutdown.is_cancelled() {
        let step = async {
            let preloaded_to = match preloaded_to {
                Some(offset) => offset,
                None => *preloaded_to.insert(begin(&inner, partition).await?),
            };
            step(&inner, partition, preloaded_to).await
        };
        let result = tokio::select! {
            () = shutdown.cancelled() => return,
            result = step => result,
        };
        match result {
            Ok(()) => retry = RETRY.0,
            Err(LogError::OutOfRange { earliest, next, .. }) => {
                // Retention has overtaken the tail, or history was remade: everybody has to load anew.
                tracing::error!(partition, earliest, next, "events were lost before they could be pushed to sockets");
                if let Some(partition) = inner.partition(partition) {
                    partition.begin_at(next);
                }
                announce_gap(&inner, partition);
            }
            Err(error) => {
                tracing::warn!(partition, %error, "the topic events cannot be read now, trying again");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(retry) => {}
                }
                retry = (retry * 2).min(RETRY.1);
            }
        }
    }
}

/// Places the tail some events before the end; returns the end.
async fn begin(inner: &Inner, partition: u32) -> Result<u64, LogError> {
    let bounds = inner.log.bounds(Topic::Events, partition).await?;
    if let Some(held) = inner.partition(partition) {
        // More than enough to tell events that are published twice, too: see `once`.
        held.begin_at(bounds.next.saturating_sub(PRELOADED_EVENTS).max(bounds.earliest));
        if bounds.next == bounds.earliest {
            held.start();
        }
    }
    Ok(bounds.next)
}

/// Reads and publishes one batch.
async fn step(inner: &Inner, partition: u32, preloaded_to: u64) -> Result<(), LogError> {
    let Some(held) = inner.partition(partition) else { return Ok(()) };
    let next = held.lock().next;
    if next >= preloaded_to {
        held.start();
    }
    inner.log.wait_for(Topic::Events, partition, next).await?;
    let records = inner.log.read(Topic::Events, partition, next, ReadLimit::default()).await?;
    let mut sent = 0;
    for record in &records {
        sent += publish(inner, partition, record);
    }
    metrics::counter!("saler_socket_events_total").increment(records.len() as u64);
    metrics::counter!("saler_socket_deliveries_total").increment(sent);
    Ok(())
}

/// Gives one event to all who may see it.
fn publish(inner: &Inner, partition: u32, record: &Record) -> u64 {
    let Some(held) = inner.partition(partition) else { return 0 };
    let (entry, peeked) = match entry::read(partition, record) {
        Ok((entry, peeked)) => (Arc::new(entry), peeked),
        Err(error) => {
            tracing::error!(partition, offset = record.offset, %error, "an event cannot be read and is not pushed");
            metrics::counter!("saler_socket_unreadable_events_total").increment(1);
            held.lock().skip(record.offset);
            return 0;
        }
    };
    let sent = {
        let mut state = held.lock();
        if !state.once.admits(peeked.source) {
            state.skip(record.offset);
            metrics::counter!("saler_socket_repeated_events_total").increment(1);
            return 0;
        }
        state.append(&entry, inner.config.ring_bytes);
        inner.hub.publish(&entry, Instant::now())
    };
    match peeked.kind {
        Kind::CommandSettled => settle(inner, partition, record, &peeked),
        Kind::MessageAdded => inner.visitors.publish(&peeked, &record.value),
        Kind::AgentPresenceChanged => note_presence(inner, partition, record),
        Kind::Other => {}
    }
    sent
}

/// Resolves the outcome of a command, if somebody here waits for it.
fn settle(inner: &Inner, partition: u32, record: &Record, peeked: &Peeked) {
    if !inner.outcomes.awaits(peeked.command_id) {
        return;
    }
    let Ok(EventRecord { event: Event::CommandSettled { outcome, conversation_id, message_id, seq, .. }, .. }) =
        serde_json::from_slice(&record.value)
    else {
        tracing::error!(partition, offset = record.offset, "the outcome of a command cannot be read");
        return;
    };
    let position = (partition, record.offset);
    inner.outcomes.settle(peeked.command_id, Settled { position, outcome, conversation_id, message_id, seq });
}

/// Others may have taken this gateway for dead.
fn note_presence(inner: &Inner, partition: u32, record: &Record) {
    let Ok(EventRecord { workspace_id, event: Event::AgentPresenceChanged { user_id, gateways, .. }, .. }) =
        serde_json::from_slice(&record.value)
    else {
        tracing::error!(partition, offset = record.offset, "a change of presence cannot be read");
        return;
    };
    inner.presence.saw(workspace_id, user_id, &gateways);
}

fn announce_gap(inner: &Inner, partition: u32) {
    let frame = encode(&ServerFrame::Gap { why: GapReason::Retention });
    let now = Instant::now();
    for member in inner.hub.members() {
        if inner.partition_index(member.principal.workspace_id) == partition {
            member.connection.push(&frame, Class::Control, now);
        }
    }
}
