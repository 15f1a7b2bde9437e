//! The workloads: each starts a hub (or takes a running one), loads it, and reports figures and goals.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

mod effort;
mod fan_out;
mod faults;
mod freshness;
mod history;
mod sockets;
mod storm;
mod webhooks;

use crate::generator::swarm::IntendedTimes;
use crate::generator::{schedule::Schedule, webhooks::Order, webhooks::Prepared};
use crate::hub::fixture::{Fixture, HubChoice};
use crate::machine::MachineLimits;
use crate::report::Report;

/// From the preparation of a schedule to its first request.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long after the last request events may still come.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// What every workload takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Which hub.
    #[command(flatten)]
    pub hub: HubChoice,
    /// The seed of every choice; also keeps the messages of runs apart.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the report as one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Which workload.
#[derive(Debug, clap::Subcommand)]
pub enum Workload {
    /// Durable webhooks a second, against the same server that only checks the signature.
    Webhooks(webhooks::Options),
    /// From the webhook to the agent's socket, at a fixed rate.
    Latency(fan_out::LatencyOptions),
    /// Many rooms with ten sockets each, at a fixed rate.
    Rooms(fan_out::RoomsOptions),
    /// The memory of idle sockets.
    IdleSockets(sockets::IdleSocketsOptions),
    /// All sockets dropped at once while events are published.
    Storm(storm::Options),
    /// Readers that do not read, beside others that do.
    Stalled(fan_out::StalledOptions),
    /// The memory of a hub that does nothing.
    Idle(sockets::IdleOptions),
    /// kill -9 at random moments under load; every recovery is verified.
    Kill(faults::kill::Options),
    /// A cluster on real servers: processes, brokers and the CQL node fail at random moments under load.
    Cluster(faults::cluster::Options),
    /// From a webhook to the KPI and the SQL table that count it.
    Freshness(freshness::Options),
    /// The cost of ingest, an inbox page and the live KPIs as the history grows a hundredfold.
    History(history::Options),
}

/// Runs a workload and prints its report; gives whether every goal holds.
///
/// # Errors
/// If it could not be run.
pub async fn run(workload: Workload) -> anyhow::Result<bool> {
    let (report, json) = match workload {
        Workload::Webhooks(options) => (webhooks::run(&options).await?, options.common.json),
        Workload::Latency(options) => (fan_out::latency(&options).await?, options.common.json),
        Workload::Rooms(options) => (fan_out::rooms(&options).await?, options.common.json),
        Workload::IdleSockets(options) => (sockets::idle_sockets(&options).await?, options.common.json),
        Workload::Storm(options) => (storm::run(&options).await?, options.common.json),
        Workload::Stalled(options) => (fan_out::stalled(&options).await?, options.common.json),
        Workload::Idle(options) => (sockets::idle(&options).await?, options.common.json),
        Workload::Kill(options) => (faults::kill::run(&options).await?, options.common.json),
        Workload::Cluster(options) => (faults::cluster::run(&options).await?, options.common.json),
        Workload::Freshness(options) => (freshness::run(&options).await?, options.common.json),
        Workload::History(options) => (history::run(&options).await?, options.common.json),
    };
    print(&report, json)?;
    Ok(report.passed)
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's output")]
fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    eprintln!("{}", report.to_text());
    if json {
        println!("{}", serde_json::to_string(report)?);
    }
    Ok(())
}

/// Measures the machine on the hub's disk, off the async threads.
async fn measure_machine(common: &Common) -> anyhow::Result<MachineLimits> {
    let dir = match &common.hub.dir {
        Some(parent) => TempDir::with_prefix_in("saler-load-", parent)?,
        None => TempDir::with_prefix("saler-load-")?,
    };
    tokio::task::spawn_blocking(move || MachineLimits::measure(dir.path())).await?
}

/// Writes webhooks `0..count`: message `i` is of customer `i % customers`, who writes to workspace
/// `customer % workspaces`.
async fn prepare(fixture: &Fixture, run: u64, first: u64, count: u64, customers: u64) -> anyhow::Result<Arc<Prepared>> {
    let targets: Vec<_> = fixture.spaces.iter().map(|space| space.target.clone()).collect();
    let public_url = fixture.base_url.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let orders = (first..first + count).filter_map(|index| {
            let customer = index % customers.max(1);
            let at = usize::try_from(customer).ok()? % targets.len().max(1);
            Some(Order { target: targets.get(at)?, index, customer })
        });
        Prepared::webhooks(run, &public_url, orders)
    })
    .await?;
    Ok(Arc::new(prepared))
}

/// A schedule that begins in a moment, and the intended times of the messages `first + i`; those before the warm-up's
/// end have none.
fn plan(per_second: u32, count: u64, first: u64, warm_up: u64) -> (Schedule, IntendedTimes) {
    let schedule = Schedule::new(Instant::now() + HEAD_START, per_second, count);
    let intended: IntendedTimes = Arc::new(move |index| {
        let at = index.checked_sub(first)?;
        (at >= warm_up && at < count).then(|| schedule.intended(at))
    });
    (schedule, intended)
}

/// One message of each customer, so that every conversation exists; gives how many were sent.
async fn begin_conversations(fixture: &Fixture, run: u64, customers: u64) -> anyhow::Result<u64> {
    let prepared = prepare(fixture, run, 0, customers, customers).await?;
    let sending = crate::generator::sender::closed_loop(fixture.address, &prepared, 0..customers, 8).await?;
    anyhow::ensure!(
        sending.acknowledged == customers,
        "{} of {customers} first messages were acknowledged, {} refused, {} failed",
        sending.acknowledged,
        sending.refused,
        sending.failed
    );
    fixture.caught_up().await?;
    Ok(customers)
}

/// Waits until `done` says so, at most ten seconds; gives whether it did.
async fn settled(mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > SETTLE_WITHIN {
            return false;
        }
        tokio::time::sleep(SETTLE_POLL).await;
    }
    true
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes of a run are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
