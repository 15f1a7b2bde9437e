//! From the webhook to the agents' sockets at a fixed rate, in an open loop: few agents who see everything, many rooms,
//! and readers that do not read.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::effort::Effort;
use super::{Common, begin_conversations, measure_machine, number, plan, prepare, settled};
use crate::generator::latency::Summary;
use crate::generator::sender::{Sending, open_loop};
use crate::generator::swarm::{Member, SharedLatencies, listen_all, open_all, raise_file_limit};
use crate::hub::fixture::Fixture;
use crate::machine::{Usage, kernel_socket_bytes};
use crate::report::Report;

const CONNECTIONS: usize = 64;
/// Open files beside the sockets.
const OTHER_FILES: u64 = 500;
/// The receive buffer of a stalled reader: as little as the kernel gives.
const STALLED_RECEIVE_BUFFER: usize = 4_096;
const STALLED_CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// What a hub on a broker and a CQL node may take, all on the same two cores, at 500 messages a second.
const ON_SERVERS_P50_MS: f64 = 15.0;
const ON_SERVERS_P99_MS: f64 = 150.0;
/// Seconds in which Java compiles what the servers do for each message.
const SERVERS_WARM_UP_S: u64 = 60;
const STALLED_WAIT: Duration = Duration::from_secs(30);
/// How much higher the others' p99 may be with stalled readers: noise between two runs on a shared machine.
const STALLED_NOISE_FACTOR: f64 = 1.5;
const STALLED_NOISE_MS: f64 = 2.0;
/// Memory that a stalled reader may cost in the hub: its queue of 512 KiB, and the frames kept alive by it.
const STALLED_RESIDENT_BYTES: f64 = 1_048_576.0;
/// By how much the growth of the hub may differ between two runs that are alike.
const RESIDENT_NOISE_BYTES: f64 = 16_777_216.0;
/// Memory that a stalled reader may cost in the kernel: a send buffer of 64 KiB, doubled, and what is on the way.
const STALLED_KERNEL_BYTES: f64 = 524_288.0;

/// How `latency` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct LatencyOptions {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Messages a second, over all workspaces.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// After so many seconds at the same rate: by default a fifth, and on servers a minute, in which Java compiles them.
    #[arg(long)]
    warm_up: Option<u64>,
    /// Workspaces.
    #[arg(long, default_value_t = 10)]
    workspaces: usize,
    /// Agents in each workspace, who see every message of it.
    #[arg(long, default_value_t = 10)]
    agents: usize,
}

/// How `rooms` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct RoomsOptions {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Messages a second, over all rooms.
    #[arg(long, default_value_t = 4_000)]
    rate: u32,
    /// For so many seconds, after a warm-up of a fifth of it.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Rooms: conversations that sockets have subscribed to.
    #[arg(long, default_value_t = 1_000)]
    rooms: usize,
    /// Sockets in each room.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Workspaces over which rooms are spread.
    #[arg(long, default_value_t = 20)]
    workspaces: usize,
}

/// How `stalled` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct StalledOptions {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Messages a second, over all workspaces.
    #[arg(long, default_value_t = 400)]
    rate: u32,
    /// For so many seconds in each of the two runs.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Workspaces.
    #[arg(long, default_value_t = 20)]
    workspaces: usize,
    /// Agents in each workspace, who see every message of it.
    #[arg(long, default_value_t = 50)]
    agents: usize,
    /// Readers that do not read: by default 1 % of all.
    #[arg(long)]
    stalled: Option<usize>,
}

/// What one run at a fixed rate gave.
struct Run {
    sending: Sending,
    latency: Summary,
    expected: u64,
    received: u64,
    holes: u64,
    repeats: u64,
    gaps: u64,
    miscounts: u64,
    cpu_millis: u64,
    servers: Option<Value>,
    members: Vec<Member>,
}

/// How one run goes.
#[derive(Clone, Copy)]
struct Load {
    run: u64,
    first: u64,
    rate: u32,
    seconds: u64,
    /// Seconds; a fifth of the others if not given.
    warm_up: Option<u64>,
    customers: u64,
    /// How many sockets are given each message.
    readers_each: u64,
}

impl Load {
    fn warm_up(&self) -> u64 {
        let rate = u64::from(self.rate);
        self.warm_up.map_or(rate * self.seconds / 5, |seconds| rate * seconds)
    }

    fn count(&self) -> u64 {
        u64::from(self.rate) * self.seconds + self.warm_up()
    }
}

pub(super) async fn latency(options: &LatencyOptions) -> anyhow::Result<Report> {
    let common = &options.common;
    raise_file_limit((options.workspaces * options.agents) as u64 + OTHER_FILES)?;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, options.workspaces, &[]).await?;
    let customers = 100 * options.workspaces as u64;
    let first = begin_conversations(&fixture, common.seed, customers).await?;
    let members = open_all(inbox_members(&fixture, options.agents)).await?;
    let load = Load {
        run: common.seed,
        first,
        rate: options.rate,
        seconds: options.seconds,
        warm_up: options.warm_up.or(fixture.servers.as_ref().map(|_| SERVERS_WARM_UP_S)),
        customers,
        readers_each: options.agents as u64,
    };
    let run = drive(&fixture, members, load).await?;
    let mut report = Report::new("latency", common.seed, machine);
    describe(&mut report, "run", &run);
    no_loss(&mut report, &run);
    if let Some(servers) = &run.servers {
        report.figure("on_servers", servers);
        report.at_most("webhook to socket on servers, p50", run.latency.p50_ms, ON_SERVERS_P50_MS, "ms");
        report.at_most("webhook to socket on servers, p99", run.latency.p99_ms, ON_SERVERS_P99_MS, "ms");
        return Ok(report);
    }
    let fsync = report.machine.fdatasync.p50_ms;
    report.at_most("webhook to socket, p50 (one fsync and 3 ms)", run.latency.p50_ms, fsync + 3.0, "ms");
    report.at_most("webhook to socket, p99", run.latency.p99_ms, 25.0, "ms");
    Ok(report)
}

pub(super) async fn rooms(options: &RoomsOptions) -> anyhow::Result<Report> {
    let common = &options.common;
    let sockets = options.rooms * options.members;
    raise_file_limit(sockets as u64 + OTHER_FILES)?;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, options.workspaces, &[]).await?;
    let customers = options.rooms as u64;
    let first = begin_conversations(&fixture, common.seed, customers).await?;
    let conversations = fixture.conversations_of(customers).await?;
    let mut members = Vec::with_capacity(sockets);
    for (customer, conversation) in (0..).zip(&conversations) {
        let Some(space) = fixture.space(customer) else { continue };
        for _ in 0..options.members {
            let topics = vec![format!("conversation:{conversation}")];
            members.push(Member::new(fixture.sign_on(space, members.len(), topics)));
        }
    }
    let members = open_all(members).await?;
    let load = Load {
        run: common.seed,
        first,
        rate: options.rate,
        seconds: options.seconds,
        warm_up: None,
        customers,
        readers_each: options.members as u64,
    };
    let run = drive(&fixture, members, load).await?;
    let mut report = Report::new("rooms", common.seed, machine);
    describe(&mut report, "run", &run);
    report.figure("sockets", sockets);
    report.figure("cpu_micros_per_delivery", number(run.cpu_millis) * 1_000.0 / number(run.received.max(1)));
    no_loss(&mut report, &run);
    report.at_most("webhook to socket, p99", run.latency.p99_ms, 10.0, "ms");
    Ok(report)
}

pub(super) async fn stalled(options: &StalledOptions) -> anyhow::Result<Report> {
    let common = &options.common;
    let healthy = options.workspaces * options.agents;
    let stalled = options.stalled.unwrap_or(healthy.div_ceil(100)).max(1);
    raise_file_limit((healthy + stalled) as u64 + OTHER_FILES)?;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, options.workspaces, &[]).await?;
    let customers = 50 * options.workspaces as u64;
    let first = begin_conversations(&fixture, common.seed, customers).await?;
    let mut members = open_all(inbox_members(&fixture, options.agents)).await?;
    let mut load = Load {
        run: common.seed,
        first,
        rate: options.rate,
        seconds: options.seconds,
        warm_up: None,
        customers,
        readers_each: options.agents as u64,
    };
    let at_first = fixture.usage();
    let calm = drive(&fixture, std::mem::take(&mut members), load).await?;
    members = reset(calm.members);
    load.first += load.count();
    let stuck = open_all(stalled_members(&fixture, healthy, stalled)).await?;
    let before = (fixture.usage(), kernel_socket_bytes());
    let closing = watch_closes(&fixture, stalled);
    let (run, closed) = tokio::join!(drive(&fixture, members, load), closing);
    let (run, (closed_after, peak)) = (run?, closed?);
    drop(stuck);
    let mut report = Report::new("stalled", common.seed, machine);
    let calm = Run { members: Vec::new(), ..calm };
    describe(&mut report, "without_stalled", &calm);
    describe(&mut report, "with_stalled", &run);
    report.figure("stalled_readers", stalled);
    no_loss(&mut report, &run);
    let bound = calm.latency.p99_ms * STALLED_NOISE_FACTOR + STALLED_NOISE_MS;
    report.at_most("the others' p99 (that without stalled readers, and noise)", run.latency.p99_ms, bound, "ms");
    let seconds = closed_after.map_or(f64::NAN, |after| after.as_secs_f64());
    report.at_most("until all stalled readers were closed", seconds, STALLED_CLOSED_WITHIN.as_secs_f64(), "s");
    let grown = |now: u64, then: u64| number(now.saturating_sub(then));
    let with = grown(peak.0.resident_bytes, before.0.resident_bytes);
    let without = grown(before.0.resident_bytes, at_first.resident_bytes);
    report.figure("resident_growth_bytes", json!({ "without_stalled": without, "with_stalled": with }));
    let readers = number(stalled as u64);
    let bound = STALLED_RESIDENT_BYTES * readers + RESIDENT_NOISE_BYTES;
    report.at_most("resident memory of all stalled readers, and noise", with - without, bound, "bytes");
    let kernel = grown(peak.1, before.1);
    report.at_most("kernel memory of all stalled readers", kernel, STALLED_KERNEL_BYTES * readers, "bytes");
    Ok(report)
}

fn inbox_members(fixture: &Fixture, agents: usize) -> Vec<Member> {
    let mut members = Vec::new();
    for space in &fixture.spaces {
        for _ in 0..agents {
            members.push(Member::new(fixture.sign_on(space, members.len(), vec!["inbox".to_owned()])));
        }
    }
    members
}

fn stalled_members(fixture: &Fixture, first: usize, count: usize) -> Vec<Member> {
    let spaces = fixture.spaces.iter().cycle();
    (first..first + count)
        .zip(spaces)
        .map(|(index, space)| {
            let mut sign_on = fixture.sign_on(space, index, vec!["inbox".to_owned()]);
            sign_on.acknowledge = true;
            sign_on.receive_buffer = Some(STALLED_RECEIVE_BUFFER);
            Member::new(sign_on)
        })
        .collect()
}

/// Members for a second run, with nothing seen but the numbers to go on from.
fn reset(mut members: Vec<Member>) -> Vec<Member> {
    for member in &mut members {
        member.seen.begin_again();
    }
    members
}

/// Watches the hub's count of sockets that it closed as slow, and its memory meanwhile: gives when the last was closed,
/// and the greatest use.
async fn watch_closes(fixture: &Fixture, stalled: usize) -> anyhow::Result<(Option<Duration>, (Usage, u64))> {
    let slow = |values: Vec<(String, f64)>| -> f64 {
        let of_slow = |labels: &str| labels.contains("slow_reader") || labels.contains("no_heartbeat");
        values.iter().filter(|(labels, _)| of_slow(labels)).map(|(_, count)| count).sum()
    };
    let wanted = slow(fixture.metric("saler_socket_closed_total").await?) + number(stalled as u64);
    let start = tokio::time::Instant::now();
    let mut peak = (fixture.usage(), kernel_socket_bytes());
    while start.elapsed() < STALLED_WAIT {
        let now = fixture.usage();
        peak.0.resident_bytes = peak.0.resident_bytes.max(now.resident_bytes);
        peak.1 = peak.1.max(kernel_socket_bytes());
        if slow(fixture.metric("saler_socket_closed_total").await?) >= wanted {
            return Ok((Some(start.elapsed()), peak));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok((None, peak))
}

async fn drive(fixture: &Fixture, members: Vec<Member>, load: Load) -> anyhow::Result<Run> {
    let (count, warm_up) = (load.count(), load.warm_up());
    let prepared = prepare(fixture, load.run, load.first, count, load.customers).await?;
    let expected = (count - warm_up) * load.readers_each;
    let latencies = SharedLatencies::default();
    let stop = CancellationToken::new();
    let before = fixture.usage();
    let (schedule, intended) = plan(load.rate, count, load.first, warm_up);
    let listening = listen_all(members, &latencies, &intended, &stop);
    let warmed_up = async {
        tokio::time::sleep(Duration::from_secs(warm_up / u64::from(load.rate.max(1)))).await;
        Effort::of(fixture).await
    };
    let sending = open_loop(fixture.address, &prepared, schedule, CONNECTIONS, warm_up);
    let (sending, effort) = tokio::join!(sending, warmed_up);
    let (sending, effort) = (sending?, effort?);
    settled(|| latencies.merged().count() >= expected).await;
    let after = fixture.usage();
    let servers = Effort::of(fixture).await?.zip(effort).map(|(after, before)| after.since(&before, count - warm_up));
    stop.cancel();
    let members = listening.finish().await?;
    let sum = |of: fn(&crate::generator::swarm::Seen) -> u64| members.iter().map(|member| of(&member.seen)).sum();
    Ok(Run {
        latency: latencies.merged().summary(),
        expected,
        received: latencies.merged().count(),
        holes: sum(|seen| seen.holes),
        repeats: sum(|seen| seen.repeats),
        gaps: sum(|seen| seen.gaps),
        miscounts: sum(|seen| seen.miscounts),
        cpu_millis: after.cpu_millis.saturating_sub(before.cpu_millis),
        servers,
        sending,
        members,
    })
}

fn describe(report: &mut Report, name: &str, run: &Run) {
    report.figure(
        name,
        json!({
            "latency": run.latency,
            "sending": run.sending.summary(),
            "deliveries_expected": run.expected,
            "deliveries": run.received,
            "hub_cpu_ms": run.cpu_millis,
            "announced_gaps": run.gaps,
        }),
    );
    let lateness = run.sending.lateness.summary();
    if lateness.p99_ms > run.latency.p99_ms / 2.0 {
        report.note(format!(
            "{name}: the generator itself was late (p99 {:.2} ms, longest {:.2} ms): its lateness is part of the latency",
            lateness.p99_ms, lateness.max_ms
        ));
    }
}

fn no_loss(report: &mut Report, run: &Run) {
    report.at_most("webhooks not acknowledged", number(run.sending.refused + run.sending.failed), 0.0, "");
    report.at_most("deliveries that did not come", number(run.expected.saturating_sub(run.received)), 0.0, "");
    report.at_most("missing numbers on sockets", number(run.holes + run.gaps + run.miscounts), 0.0, "");
    report.at_most("repeated messages on sockets", number(run.repeats), 0.0, "");
}
