//! Whether the hub gets slower as it remembers more: the same load and the same reads with a short history, and with one
//! a hundred times as long.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{Common, measure_machine, number, plan, prepare};
use crate::generator::latency::{Latencies, Summary};
use crate::generator::sender::{closed_loop, open_loop};
use crate::hub::fixture::Fixture;
use crate::report::Report;

const CONNECTIONS: usize = 32;
const READS: usize = 100;
const FEWEST_CUSTOMERS: u64 = 100;
/// "The same", for two measurements some minutes apart on a shared machine.
const SAME_FACTOR: f64 = 1.5;
/// Differences below this are noise, whatever their ratio. Milliseconds.
const NOISE_MS: f64 = 1.0;

/// How `history` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Messages of the short history.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// How many times as long the long history is.
    #[arg(long, default_value_t = 100)]
    factor: u64,
    /// Messages a second while ingest is measured.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// For how many seconds ingest is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What things cost at a moment.
#[derive(Clone, Copy, Debug, Serialize)]
struct Costs {
    messages: u64,
    acknowledgement: Summary,
    cpu_micros_per_message: f64,
    inbox_page: Summary,
    kpis: Summary,
    resident_bytes: u64,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, 1, &[]).await?;
    let mut history = 0;
    grow(&fixture, common.seed, &mut history, options.messages).await?;
    let short = costs(&fixture, options, &mut history).await?;
    grow(&fixture, common.seed, &mut history, options.messages * options.factor).await?;
    let long = costs(&fixture, options, &mut history).await?;
    let mut report = Report::new("history", common.seed, machine);
    report.figure("short", short);
    report.figure("long", long);
    let same = |short: f64| short * SAME_FACTOR + NOISE_MS;
    report.at_most(
        "acknowledgement of a webhook, p50",
        long.acknowledgement.p50_ms,
        same(short.acknowledgement.p50_ms),
        "ms",
    );
    report.at_most(
        "the hub's time on the cores, a message",
        long.cpu_micros_per_message,
        short.cpu_micros_per_message * SAME_FACTOR,
        "µs",
    );
    report.at_most("inbox page, p50", long.inbox_page.p50_ms, same(short.inbox_page.p50_ms), "ms");
    report.at_most("live KPIs, p50", long.kpis.p50_ms, same(short.kpis.p50_ms), "ms");
    Ok(report)
}

/// A tenth as many customers as messages, each with a conversation; at least so many that an inbox page is full.
fn customers_of(messages: u64) -> u64 {
    (messages / 10).max(FEWEST_CUSTOMERS)
}

/// Sends messages until the history has this length.
async fn grow(fixture: &Fixture, run: u64, history: &mut u64, length: u64) -> anyhow::Result<()> {
    const CHUNK: u64 = 50_000;
    while *history < length {
        let count = (length - *history).min(CHUNK);
        let prepared = prepare(fixture, run, *history, count, customers_of(length)).await?;
        let sending = closed_loop(fixture.address, &prepared, 0..count, CONNECTIONS).await?;
        anyhow::ensure!(
            sending.acknowledged == count,
            "{} of {count} webhooks were acknowledged",
            sending.acknowledged
        );
        *history += count;
    }
    fixture.caught_up().await.map(drop)
}

async fn costs(fixture: &Fixture, options: &Options, history: &mut u64) -> anyhow::Result<Costs> {
    let count = u64::from(options.rate) * options.seconds;
    let customers = customers_of(options.messages);
    let prepared = prepare(fixture, options.common.seed, *history, count, customers).await?;
    let before = fixture.usage();
    let (schedule, _) = plan(options.rate, count, *history, 0);
    let sending = open_loop(fixture.address, &prepared, schedule, CONNECTIONS, count / 5).await?;
    anyhow::ensure!(sending.acknowledged == count, "{} of {count} webhooks were acknowledged", sending.acknowledged);
    let after = fixture.usage();
    *history += count;
    fixture.caught_up().await?;
    Ok(Costs {
        messages: *history,
        acknowledgement: sending.answers.summary(),
        cpu_micros_per_message: number(after.cpu_millis.saturating_sub(before.cpu_millis)) * 1_000.0 / number(count),
        inbox_page: reads(fixture, "conversations", &[("status", "open"), ("assignee", "all"), ("limit", "50")])
            .await?,
        kpis: reads(fixture, "kpis", &[]).await?,
        resident_bytes: fixture.usage().resident_bytes,
    })
}

async fn reads(fixture: &Fixture, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Summary> {
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut latencies = Latencies::default();
    let Some(space) = fixture.spaces.first() else { return Ok(latencies.summary()) };
    for read in 0..READS + READS / 10 {
        let start = Instant::now();
        let _page: Value = space.api.get(path, &query).await?;
        // The first tenth warms caches.
        if read >= READS / 10 {
            latencies.record(start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(latencies.summary())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn costs_are_written_with_their_units() {
        let costs = Costs {
            messages: 1,
            acknowledgement: Summary::default(),
            cpu_micros_per_message: 50.0,
            inbox_page: Summary::default(),
            kpis: Summary::default(),
            resident_bytes: 1,
        };
        assert_eq!(json!(costs)["cpu_micros_per_message"], 50.0);
        assert_eq!((customers_of(5), customers_of(2_000)), (100, 200));
    }
}
