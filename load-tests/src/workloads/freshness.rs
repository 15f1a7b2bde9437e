//! From the acknowledgement of a webhook to the KPI and the SQL table that count it; at rest, and while another workspace
//! keeps the hub busy with queries that never end.

use std::time::Duration;

use anyhow::Context as _;
use schemas::kpi::KpiBoard;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Common, begin_conversations, measure_machine, prepare};
use crate::generator::latency::Latencies;
use crate::generator::sender::closed_loop;
use crate::hub::api::Api;
use crate::hub::fixture::{Fixture, Space};
use crate::report::Report;

/// The workspace that is measured, and the one with the endless queries.
const WORKSPACES: usize = 2;
const GOAL_MS: f64 = 1_000.0;
const POLL: Duration = Duration::from_millis(5);
/// How long a number may stay behind before the run is given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// A query that never ends by itself.
const ENDLESS: &str = "select count(*) from catalogue a, catalogue b, catalogue c, catalogue d, catalogue e, catalogue f, \
                       catalogue g, catalogue h, catalogue i, catalogue j";
/// The KPI that counts each message of a customer.
const MESSAGES_IN: &str = "messages_in";

/// How the workload runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Messages in each of the two parts.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Endless queries at once in the second part.
    #[arg(long, default_value_t = 2)]
    bombs: usize,
}

/// What one part gave.
#[derive(Debug, Default)]
struct Part {
    kpis: Latencies,
    sql: Latencies,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, WORKSPACES, &[]).await?;
    let first = begin_conversations(&fixture, common.seed, WORKSPACES as u64).await?;
    let [measured, other] = fixture.spaces.as_slice() else { anyhow::bail!("two workspaces were asked for") };
    let calm = measure(&fixture, measured, options, first).await?;
    let mut bombs = JoinSet::new();
    for _ in 0..options.bombs {
        bombs.spawn(ask_without_end(other.api.clone()));
    }
    let beside = measure(&fixture, measured, options, first + options.rounds * WORKSPACES as u64).await?;
    bombs.shutdown().await;
    let mut report = Report::new("freshness", common.seed, machine);
    for (name, part) in [("at rest", &calm), ("beside endless queries", &beside)] {
        for (what, latencies) in [("KPI", &part.kpis), ("SQL", &part.sql)] {
            let summary = latencies.summary();
            report.at_most(&format!("webhook to {what}, longest, {name}"), summary.max_ms, GOAL_MS, "ms");
            report.figure(&format!("{what} {name}"), summary);
        }
    }
    Ok(report)
}

async fn ask_without_end(api: Api) {
    loop {
        // The hub ends each at its limit, and then refuses for a while.
        let _refused: anyhow::Result<Value> = api.post("sql", &json!({ "sql": ENDLESS }), None).await;
        tokio::time::sleep(POLL).await;
    }
}

async fn measure(fixture: &Fixture, space: &Space, options: &Options, first: u64) -> anyhow::Result<Part> {
    let mut part = Part::default();
    for round in 0..options.rounds {
        let (kpi, counted) = (messages_in(&space.api).await?, space.api.messages_in_sql().await?);
        // Messages go to the workspaces in turn; the measured one is the first.
        let index = first + round * WORKSPACES as u64;
        let prepared = prepare(fixture, options.common.seed, index, 1, WORKSPACES as u64).await?;
        let sending = closed_loop(fixture.address, &prepared, 0..1, 1).await?;
        anyhow::ensure!(sending.acknowledged == 1, "a webhook was not acknowledged");
        let acknowledged = Instant::now();
        until_above(kpi, acknowledged, || messages_in(&space.api)).await.context("the KPI stays behind")?;
        part.kpis.record(acknowledged.elapsed());
        until_above(counted, acknowledged, || space.api.messages_in_sql()).await.context("SQL stays behind")?;
        part.sql.record(acknowledged.elapsed());
    }
    Ok(part)
}

async fn until_above<N: PartialOrd, F>(before: N, since: Instant, mut now: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<N>>,
{
    while now().await? <= before {
        anyhow::ensure!(since.elapsed() < PATIENCE, "nothing has changed for {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn messages_in(api: &Api) -> anyhow::Result<f64> {
    let board: KpiBoard = api.get("kpis", &[]).await?;
    let of_all = board
        .values
        .iter()
        .find(|value| value.kpi == MESSAGES_IN && value.channel_id.is_none() && value.agent_id.is_none());
    Ok(of_all.and_then(|value| value.value).unwrap_or_default())
}
