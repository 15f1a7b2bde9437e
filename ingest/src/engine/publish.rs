//! From decided events to the topic `events`: once each, in order, whatever crashes in between.

use std::ops::Bound;

use bytes::Bytes;
use schemas::event::{EventRecord, Source};
use schemas::tables as t;
use schemas::{Timestamp, WorkspaceId};
use serde::Deserialize;
use serde_json::value::RawValue;
use storage::log::{LogError, NewRecord, ReadLimit, Topic};
use storage::tables::{Scan, TablesError};

use super::run::{Engine, EngineError, RETRY_AFTER};

/// How many outbox rows are read at once after a start.
const OUTBOX_PAGE_ROWS: usize = 64;

/// An event on its way to the topic `events`.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) source: Source,
    pub(super) record: NewRecord,
}

/// What recovery must know of a published event.
#[derive(Debug, Deserialize)]
struct EventHead {
    workspace_id: WorkspaceId,
    at: Timestamp,
    source: Source,
}

impl Engine<'_> {
    /// Publishes what was decided before a crash and is not in the topic yet.
    ///
    /// `from` is the first row that may still be there: before it there are only rows that were deleted.
    pub(super) async fn publish_outbox(&mut self, from: i64) -> Result<(), EngineError> {
        let mut start = Bound::Included(vec![from.into()]);
        loop {
            let scan = Scan { start, ..Scan::of([self.partition.into()], OUTBOX_PAGE_ROWS) };
            let page = self.deps.tables.scan(t::OUTBOX, scan).await.map_err(|error| self.tables_failed(error))?;
            let Some(last) = page.last() else { return Ok(()) };
            start = Bound::Excluded(last.key.clustering.clone());
            for row in page {
                let raw: Vec<Box<RawValue>> = row.body(t::OUTBOX).map_err(|error| self.tables_failed(error))?;
                let events = raw
                    .iter()
                    .map(|raw| outgoing(Bytes::copy_from_slice(raw.get().as_bytes())))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| self.tables_failed(error))?;
                let published = self.publish(events).await?;
                if let [t::Value::Int(last_offset)] = row.key.clustering.as_slice() {
                    self.outbox.push_back((last_offset.cast_unsigned(), published));
                }
            }
        }
    }

    /// Appends events, but not those that the topic has already, and returns the offset after them.
    pub(super) async fn publish(&mut self, mut events: Vec<Outgoing>) -> Result<u64, EngineError> {
        loop {
            events.retain(|event| self.last_published.is_none_or(|last| event.source > last));
            let Some(last) = events.last().map(|event| event.source) else {
                let bounds = self.deps.log.bounds(Topic::Events, self.partition).await;
                return bounds.map(|bounds| bounds.next).map_err(|error| self.log_failed(error));
            };
            let records: Vec<_> = events.iter().map(|event| event.record.clone()).collect();
            match self.deps.log.append(Topic::Events, self.partition, records).await {
                Ok(first) => {
                    self.last_published = Some(last);
                    return Ok(first + events.len() as u64);
                }
                Err(error @ LogError::Invalid { .. }) => return Err(self.log_failed(error)),
                Err(error) => {
                    tracing::warn!(partition = self.partition, %error, "events cannot be published yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                    // It is not known whether some of them were kept.
                    self.last_published = self.read_last_published().await?;
                }
            }
        }
    }

    pub(super) async fn read_last_published(&self) -> Result<Option<Source>, EngineError> {
        let bounds =
            self.deps.log.bounds(Topic::Events, self.partition).await.map_err(|error| self.log_failed(error))?;
        if bounds.next == bounds.earliest {
            return Ok(None);
        }
        let limit = ReadLimit { records: 1, bytes: 1 };
        let last = self.deps.log.read(Topic::Events, self.partition, bounds.next - 1, limit).await;
        let last = last.map_err(|error| self.log_failed(error))?;
        let head = last.first().map(|record| serde_json::from_slice::<EventHead>(&record.value)).transpose();
        let head = head.map_err(|error| {
            self.log_failed(LogError::Invalid { reason: format!("the last event cannot be read: {error}") })
        })?;
        Ok(head.map(|head| head.source))
    }
}

pub(super) fn encode(event: &EventRecord) -> Result<Outgoing, TablesError> {
    let json = serde_json::to_vec(event)
        .map_err(|error| TablesError::Invalid { reason: format!("an event cannot be written as JSON: {error}") })?;
    let record = NewRecord { key: event.workspace_id, at: event.at, value: Bytes::from(json) };
    Ok(Outgoing { source: event.source, record })
}

fn outgoing(json: Bytes) -> Result<Outgoing, TablesError> {
    let head: EventHead = serde_json::from_slice(&json).map_err(|error| TablesError::Corrupt {
        table: t::OUTBOX.name,
        reason: format!("an event cannot be read: {error}"),
    })?;
    Ok(Outgoing { source: head.source, record: NewRecord { key: head.workspace_id, at: head.at, value: json } })
}

/// The events of a batch as one JSON array, without writing each again.
pub(super) fn json_array(events: &[Outgoing]) -> Vec<u8> {
    let mut array = Vec::with_capacity(events.iter().map(|event| event.record.value.len() + 1).sum::<usize>() + 2);
    array.push(b'[');
    for (n, event) in events.iter().enumerate() {
        if n > 0 {
            array.push(b',');
        }
        array.extend_from_slice(&event.record.value);
    }
    array.push(b']');
    array
}
