//! Removes idempotency keys that no longer count.
//!
//! The engine does it itself, between two batches: it is the only writer of these rows, so a key that is used anew cannot
//! be removed by mistake.

use std::time::Duration;

use schemas::tables::{self as t, Value};
use storage::tables::{Batch, Key, Row, Scan, Sync, TablesError};
use tokio::time::Instant;

use super::rows::hour_of;
use super::run::Engine;
use super::state::KeyRecord;

/// How often it looks for old keys.
const EVERY: Duration = Duration::from_mins(1);

/// How many keys are removed between two batches.
const PAGE_ROWS: usize = 500;

/// After how many hours a key is removed: a day, and the hour in which it began.
const KEPT_HOURS: i64 = 25;

impl Engine<'_> {
    /// Removes a page of old keys, if it is time to. A failure is reported and tried again: keys that stay do no harm.
    pub(super) async fn sweep_keys(&mut self) {
        if self.swept_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        match self.sweep_page().await {
            // There is more to remove: go on after the next batch.
            Ok(true) => self.swept_at = None,
            Ok(false) => self.swept_at = Some(Instant::now()),
            Err(error) => {
                self.swept_at = Some(Instant::now());
                tracing::warn!(partition = self.partition, %error, "old idempotency keys cannot be removed yet");
            }
        }
    }

    async fn sweep_page(&self) -> Result<bool, TablesError> {
        let tables = &self.deps.tables;
        let pointer = Key::of([self.partition.into()]);
        let last = hour_of(self.deps.clock.now()) - KEPT_HOURS;
        let swept = tables.get(t::COMMAND_KEYS_SWEPT, pointer.clone()).await?.and_then(|row| row.int("hour"));
        let mut batch = Batch::derived(self.derivation(self.next_offset));
        // Before the first sweep there is nothing that is old enough.
        let Some(hour) = swept.map(|hour| hour + 1) else {
            batch.put(t::COMMAND_KEYS_SWEPT, Row::new(pointer).with("hour", last));
            tables.write(batch, Sync::Later).await?;
            return Ok(false);
        };
        if hour > last {
            return Ok(false);
        }
        let partition: [Value; 2] = [self.partition.into(), hour.into()];
        let page = tables.scan(t::COMMAND_KEY_HOURS, Scan::of(partition.clone(), PAGE_ROWS)).await?;
        for row in &page {
            batch.delete(t::COMMAND_KEY_HOURS, row.key.clone());
            let [Value::Workspace(workspace_id), Value::Text(key)] = row.key.clustering.as_slice() else { continue };
            let key = Key::of([(*workspace_id).into(), key.as_str().into()]);
            // A key that was used anew since belongs to a later hour.
            let record = tables.get(t::COMMAND_KEYS, key.clone()).await?;
            let record = record.map(|row| row.body::<KeyRecord>(t::COMMAND_KEYS)).transpose()?;
            if record.is_some_and(|record| hour_of(record.at) == hour) {
                batch.delete(t::COMMAND_KEYS, key);
            }
        }
        if page.len() < PAGE_ROWS {
            batch.put(t::COMMAND_KEYS_SWEPT, Row::new(pointer).with("hour", hour));
        }
        tables.write(batch, Sync::Later).await?;
        Ok(true)
    }
}
