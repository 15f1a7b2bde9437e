//! What a message costs a hub on servers: requests, rows, and time on the cores of each process.

use serde_json::{Value, json};

use super::number;
use crate::hub::fixture::Fixture;
use crate::hub::servers::{BROKER, TABLES};

/// The kinds of requests to the tables that the hub counts.
const KINDS: [&str; 3] = ["read", "write", "conditional"];

/// What was done up to a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    requests: [f64; 3],
    rows: f64,
    batches: f64,
    hub_millis: u64,
    tables_millis: u64,
    broker_millis: u64,
}

impl Effort {
    /// What was done up to now; nothing for a hub that is not on servers of this program.
    ///
    /// # Errors
    /// If the hub's metrics cannot be read.
    pub(super) async fn of(fixture: &Fixture) -> anyhow::Result<Option<Self>> {
        let Some(servers) = &fixture.servers else { return Ok(None) };
        let counted = fixture.metric("saler_tables_requests_total").await?;
        let requests = KINDS.map(|kind| {
            let label = format!("kind=\"{kind}\"");
            counted.iter().filter(|(labels, _)| labels.contains(&label)).map(|(_, count)| count).sum()
        });
        let sum = |values: Vec<(String, f64)>| values.iter().map(|(_, value)| value).sum();
        Ok(Some(Self {
            requests,
            rows: sum(fixture.metric("saler_tables_rows_written_total").await?),
            batches: sum(fixture.metric("saler_engine_batch_seconds_count").await?),
            hub_millis: fixture.usage().cpu_millis,
            tables_millis: servers.usage(TABLES).cpu_millis,
            broker_millis: servers.usage(BROKER).cpu_millis,
        }))
    }

    /// What each of so many messages cost since then.
    pub(super) fn since(&self, before: &Self, messages: u64) -> Value {
        let each = |after: f64, before: f64| (after - before) / number(messages.max(1));
        let cpu_micros = |after: u64, before: u64| each(number(after) * 1_000.0, number(before) * 1_000.0);
        let [reads, writes, conditional] =
            [0, 1, 2].map(|kind: usize| each(part(&self.requests, kind), part(&before.requests, kind)));
        json!({
            "messages_per_batch": 1.0 / each(self.batches, before.batches),
            "reads_per_message": reads,
            "write_requests_per_message": writes,
            "conditional_writes_per_message": conditional,
            "rows_per_message": each(self.rows, before.rows),
            "hub_cpu_micros_per_message": cpu_micros(self.hub_millis, before.hub_millis),
            "tables_cpu_micros_per_message": cpu_micros(self.tables_millis, before.tables_millis),
            "broker_cpu_micros_per_message": cpu_micros(self.broker_millis, before.broker_millis),
        })
    }
}

fn part(of: &[f64; 3], at: usize) -> f64 {
    of.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_a_message() {
        let before = Effort {
            requests: [1.0, 2.0, 3.0],
            rows: 10.0,
            batches: 1.0,
            hub_millis: 5,
            tables_millis: 6,
            broker_millis: 7,
        };
        let after = Effort { requests: [21.0, 12.0, 8.0], rows: 110.0, batches: 6.0, tables_millis: 16, ..before };
        let costs = after.since(&before, 10);
        assert_eq!((&costs["reads_per_message"], &costs["write_requests_per_message"]), (&json!(2.0), &json!(1.0)));
        assert_eq!((&costs["rows_per_message"], &costs["messages_per_batch"]), (&json!(10.0), &json!(2.0)));
        assert_eq!(costs["tables_cpu_micros_per_message"], json!(1_000.0));
    }
}
