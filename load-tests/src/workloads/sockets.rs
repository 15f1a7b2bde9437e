//! What idle things cost: a hub that does nothing, and sockets over which nothing comes.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Common, measure_machine, number};
use crate::generator::swarm::{IntendedTimes, Member, SharedLatencies, listen_all, open_all, raise_file_limit};
use crate::hub::fixture::Fixture;
use crate::machine::{kernel_slab_bytes, kernel_socket_bytes};
use crate::report::Report;

const WORKSPACES: usize = 20;
const OTHER_FILES: u64 = 500;
const GOAL_BYTES_A_SOCKET: f64 = 16_384.0;
const GOAL_IDLE_BYTES: f64 = 100.0 * 1_048_576.0;

/// How `idle-sockets` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct IdleSocketsOptions {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Sockets.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// For how many seconds they stay.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// How `idle` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct IdleOptions {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// For how many seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

pub(super) async fn idle_sockets(options: &IdleSocketsOptions) -> anyhow::Result<Report> {
    let common = &options.common;
    raise_file_limit(options.sockets as u64 + OTHER_FILES)?;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, WORKSPACES.min(options.sockets), &[]).await?;
    let members = (0..)
        .zip(fixture.spaces.iter().cycle())
        .take(options.sockets)
        .map(|(index, space)| Member::new(fixture.sign_on(space, index, vec!["inbox".to_owned()])))
        .collect();
    let before = (fixture.usage(), kernel_socket_bytes(), kernel_slab_bytes());
    let start = tokio::time::Instant::now();
    let members = open_all(members).await?;
    let opening = start.elapsed();
    let opened = fixture.usage();
    let stop = CancellationToken::new();
    let nothing: IntendedTimes = std::sync::Arc::new(|_index| None);
    let listening = listen_all(members, &SharedLatencies::default(), &nothing, &stop);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = (fixture.usage(), kernel_socket_bytes(), kernel_slab_bytes());
    stop.cancel();
    let members = listening.finish().await?;
    let closed = members.iter().filter(|member| member.seen.closed.is_some()).count();
    let sockets = number(options.sockets as u64);
    let each = |now: u64, then: u64| number(now.saturating_sub(then)) / sockets;
    let resident = each(after.0.resident_bytes, before.0.resident_bytes);
    let mut report = Report::new("idle-sockets", common.seed, machine);
    report.figure("sockets", options.sockets);
    report.figure("opened_per_second", sockets / opening.as_secs_f64());
    report.figure("usage", json!({ "before": before.0, "opened": opened, "after": after.0 }));
    // Both ends of every connection are on this machine; the hub's is one of the two.
    report.figure("kernel_buffer_bytes_per_connection_both_ends", each(after.1, before.1));
    report.figure("kernel_object_bytes_per_connection_both_ends", each(after.2, before.2));
    let idle_cpu = number(after.0.cpu_millis.saturating_sub(opened.cpu_millis)) / 1_000.0;
    report.figure("cores_while_idle", idle_cpu / number(options.seconds.max(1)));
    report.at_most("resident memory a socket", resident, GOAL_BYTES_A_SOCKET, "bytes");
    report.at_most("sockets that were closed", number(closed as u64), 0.0, "");
    Ok(report)
}

pub(super) async fn idle(options: &IdleOptions) -> anyhow::Result<Report> {
    let common = &options.common;
    let machine = measure_machine(common).await?;
    // One workspace, so that every role has something that it could do.
    let fixture = Fixture::start(&common.hub, 1, &[]).await?;
    let before = fixture.usage();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = fixture.usage();
    let opened = fixture.process.as_ref().map_or(Duration::ZERO, |process| process.opened_in);
    let mut report = Report::new("idle", common.seed, machine);
    report.figure("usage", json!({ "before": before, "after": after }));
    report.figure("opened_in_ms", crate::machine::millis(opened));
    let cpu = number(after.cpu_millis.saturating_sub(before.cpu_millis)) / 1_000.0;
    report.figure("cores_while_idle", cpu / number(options.seconds.max(1)));
    report.at_most("resident memory of the idle hub", number(after.resident_bytes), GOAL_IDLE_BYTES, "bytes");
    Ok(report)
}
