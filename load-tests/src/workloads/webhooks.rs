//! Durable webhooks a second: a closed loop over many connections, in turn against the baseline server and the hub, so
//! that both meet the same machine.

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::json;
use tokio::process::Command;

use super::{Common, measure_machine, number, prepare};
use crate::generator::sender::closed_loop;
use crate::hub::fixture::Fixture;
use crate::hub::process::{Served, free_address};
use crate::report::Report;

/// The least share of the baseline's rate.
const GOAL_RATIO: f64 = 0.5;
const WORKSPACES: usize = 8;
const CUSTOMERS: u64 = 2_000;

/// How the workload runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Webhooks in each round.
    #[arg(long, default_value_t = 40_000)]
    webhooks: u64,
    /// Rounds against each server, in turn; before them comes a short one that is not counted.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, WORKSPACES, &[]).await?;
    let (baseline, address) = start_baseline(&fixture).await?;
    let warm_up = (options.webhooks / 10).max(options.connections as u64);
    let total = warm_up + options.rounds * options.webhooks;
    let prepared = prepare(&fixture, common.seed, 0, total, CUSTOMERS).await?;
    let mut report = Report::new("webhooks", common.seed, machine);
    let (mut of_baseline, mut of_hub) = (Vec::new(), Vec::new());
    let mut unacknowledged = 0;
    for round in 0..=options.rounds {
        let start = if round == 0 { 0 } else { warm_up + (round - 1) * options.webhooks };
        let range = start..start + if round == 0 { warm_up } else { options.webhooks };
        let forgotten = closed_loop(address, &prepared, range.clone(), options.connections).await?;
        anyhow::ensure!(forgotten.refused + forgotten.failed == 0, "the baseline server refused webhooks");
        let before = fixture.usage();
        let kept = closed_loop(fixture.address, &prepared, range, options.connections).await?;
        let after = fixture.usage();
        unacknowledged += kept.refused + kept.failed;
        let catching_up = fixture.caught_up().await?;
        if round > 0 {
            of_baseline.push(forgotten.per_second());
            of_hub.push(kept.per_second());
            report.figure(
                &format!("round_{round}"),
                json!({
                    "baseline": forgotten.summary(),
                    "hub": kept.summary(),
                    "hub_cpu_micros_per_webhook": number(after.cpu_millis - before.cpu_millis) * 1_000.0 / number(options.webhooks),
                    "engine_caught_up_after_ms": crate::machine::millis(catching_up),
                }),
            );
        }
    }
    let (baseline_rate, hub_rate) = (median(&mut of_baseline), median(&mut of_hub));
    report.figure("baseline_webhooks_per_second", baseline_rate);
    report.figure("durable_webhooks_per_second", hub_rate);
    report.at_least("durable webhooks, as a share of the baseline's rate", hub_rate / baseline_rate, GOAL_RATIO, "");
    report.at_most("webhooks that were not acknowledged", number(unacknowledged), 0.0, "");
    baseline.stop().await?;
    Ok(report)
}

async fn start_baseline(fixture: &Fixture) -> anyhow::Result<(Served, std::net::SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command
        .args(["baseline-server", "--listen", &address.to_string()])
        .args(["--public-url", &fixture.base_url, "--auth-token", fixture.auth_token()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Served::start(command, address, "/", "the baseline server").await?;
    Ok((server, address))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(&mut []).is_nan());
    }
}
