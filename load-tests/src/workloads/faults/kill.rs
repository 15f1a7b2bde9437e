//! The hub on one machine is killed with SIGKILL at random moments under load, hundreds of times, on one and the same data
//! folder.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use super::super::{Common, measure_machine, number};
use super::{Shared, answers, customers, ended, judged, keep_history, promises, recovery, sockets};
use crate::checker::Entry;
use crate::hub::fixture::Fixture;
use crate::report::Report;

const WORKSPACES: usize = 2;
const GOAL_OPEN_MS: f64 = 2_000.0;
const GOAL_STOP_S: f64 = 10.0;
/// The shortest and the longest time from one opening to the next kill.
const KILL_AFTER_MS: std::ops::Range<u64> = 5..1_500;

/// How the workload runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Kills.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 300)]
    rate: u64,
    /// After every so many kills, everything acknowledged is looked for.
    #[arg(long, default_value_t = 10)]
    verify_every: u32,
    /// Sockets that listen throughout.
    #[arg(long, default_value_t = 4)]
    sockets: u32,
    /// Keep the history in this file instead of the run's folder.
    #[arg(long)]
    history: Option<std::path::PathBuf>,
}

pub(in super::super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    anyhow::ensure!(common.hub.hub.is_none(), "kill starts and kills a hub of its own: leave --hub out");
    let machine = measure_machine(common).await?;
    let mut fixture = Fixture::start(&common.hub, WORKSPACES, &[]).await?;
    let history_path = options.history.clone().unwrap_or_else(|| fixture.dir().join("history.jsonl"));
    let (up, up_seen) = watch::channel(vec![fixture.address]);
    let sending = Shared::new(&history_path, up_seen)?;
    let listening = sending.with_own_end();
    let listeners = sockets::start(&fixture, &listening, options.sockets).await?;
    let mut people = JoinSet::new();
    customers::start(&mut people, &fixture, &sending, common.seed, options.rate);
    answers::start(&mut people, &fixture, &sending, common.seed);
    let killed = kill_again_and_again(&mut fixture, &sending, &up, options).await;
    // Everything is stopped in order even if a restart failed, so that the error is the first one.
    sending.stop.cancel();
    ended(people).await?;
    let on_the_way = killed?;
    fixture.caught_up().await?;
    let entries = sending.with_history(<[Entry]>::to_vec);
    let delivered = answers::delivered(&fixture.simulator, &entries).await;
    fixture.caught_up().await?;
    let (verdict, unlike_in_sql) = judged(&fixture, &listening, listeners, options.sockets).await?;
    let stopped_in = recovery::verify_stopped(&mut fixture).await?;
    let mut report = Report::new("kill", common.seed, machine);
    if verdict.violations > 0 {
        let again = format!("kill --seed {} --rounds {}", common.seed, options.rounds);
        keep_history(&mut report, &history_path, &again, common.seed)?;
    }
    report.at_least("kills", f64::from(verdict.kills), f64::from(options.rounds), "");
    promises(&mut report, &verdict, delivered, unlike_in_sql);
    report.at_most("violations found after a restart, while messages went on", number(on_the_way as u64), 0.0, "");
    report.at_most("time to stop in the end", stopped_in.as_secs_f64(), GOAL_STOP_S, "s");
    report.at_most("longest time to open", number(verdict.longest_open_millis), GOAL_OPEN_MS, "ms");
    Ok(report)
}

async fn kill_again_and_again(
    fixture: &mut Fixture,
    shared: &Shared,
    up: &watch::Sender<Vec<SocketAddr>>,
    options: &Options,
) -> anyhow::Result<usize> {
    let mut random = SmallRng::seed_from_u64(options.common.seed);
    let mut violations = 0;
    let hub = fixture.options.clone().context("the hub was not started by this program")?;
    for round in 1..=options.rounds {
        tokio::time::sleep(Duration::from_millis(random.random_range(KILL_AFTER_MS))).await;
        let process = fixture.process.take().context("the hub is gone")?;
        process.kill().await?;
        up.send_replace(Vec::new());
        shared.record(Entry::Kill { round })?;
        shared.sync()?;
        let process = hub
            .serve()
            .await
            .with_context(|| format!("the hub did not open after kill {round} (seed {})", options.common.seed))?;
        let millis = u64::try_from(process.opened_in.as_millis()).unwrap_or(u64::MAX);
        shared.record(Entry::Open { round, millis })?;
        fixture.process = Some(process);
        up.send_replace(vec![fixture.address]);
        if round % options.verify_every.max(1) == 0 {
            violations += recovery::violations(fixture, shared, Duration::ZERO).await?;
            info!(round, millis, violations, "killed, opened again and verified");
        }
    }
    Ok(violations)
}
