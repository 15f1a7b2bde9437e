//! A cluster of real servers and of the hub's processes, of which one after another is killed, stopped, paused or cut off at
//! random moments under load: gateways, engines, analytics, brokers, the CQL node.
//!
//! All connections to servers go through relays, so the network between any two can be parted, in one direction or both,
//! while both of them go on.
//!
//! Once, in the middle, the CQL node is down for a minute: webhooks are acknowledged all the same, since they are in the
//! log, and worked off afterwards.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::{Common, measure_machine, number};
use super::parts::{PARTITIONS, Parts, SESSION_MS};
use super::{Shared, answers, customers, ended, judged, keep_history, promises, recovery, sockets};
use crate::checker::Entry;
use crate::hub::fixture::{Fixture, folder, make_owner};
use crate::hub::net::Net;
use crate::hub::process::default_binary;
use crate::hub::servers::{Deed, Pace, Plan, SCRIPT, Servers, TABLES};
use crate::report::Report;

const WORKSPACES: usize = 2;
/// The shortest and the longest time from one recovery to the next fault.
const FAULT_AFTER_MS: std::ops::Range<u64> = 200..3_000;
/// How long what was killed stays away.
const AWAY_MS: std::ops::Range<u64> = 0..3_000;
/// How long a process stands still: some times shorter, some times longer than its session.
const PAUSED_MS: std::ops::Range<u64> = 500..SESSION_MS * 2;
/// How long the tables' server is away in the middle.
const LONG_OUTAGE: Duration = Duration::from_mins(1);
/// After this much of it, what is acknowledged was acknowledged without tables.
const OUTAGE_BEGINS: Duration = Duration::from_secs(5);
/// How long everything acknowledged may take to be applied once all is up.
const APPLIED_WITHIN: Duration = Duration::from_mins(2);

/// How the workload runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Faults.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// Brokers; with three or more, each record is on three, and on two before it is acknowledged.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    brokers: u32,
    /// After every so many faults, everything acknowledged is looked for.
    #[arg(long, default_value_t = 10)]
    verify_every: u32,
    /// Sockets that listen throughout.
    #[arg(long, default_value_t = 4)]
    sockets: u32,
    /// The script that starts the servers.
    #[arg(long, default_value = SCRIPT)]
    servers: PathBuf,
}

/// What happens to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// SIGKILL to a process of this role, which starts again.
    Kill(&'static str),
    /// SIGTERM to a process of this role, which starts again.
    Stop(&'static str),
    /// SIGSTOP to a process of this role, which then goes on.
    Pause(&'static str),
    /// SIGKILL to a broker, which starts again.
    KillBroker,
    /// SIGSTOP to a broker, which then goes on.
    PauseBroker,
    /// SIGKILL to the CQL node, which starts again.
    KillTables,
    /// The network parts a process of this role from all brokers, or from one.
    PartFromBrokers(&'static str),
    /// The network parts a process of this role from the CQL node.
    PartFromTables(&'static str),
    /// The network parts two brokers from each other.
    PartBrokers,
}

/// Each with how often it happens among a hundred.
const FAULTS: [(Fault, u32); 16] = [
    (Fault::Kill("ingest"), 18),
    (Fault::Kill("gateway"), 14),
    (Fault::Kill("analytics"), 4),
    (Fault::Stop("ingest"), 6),
    (Fault::Stop("gateway"), 5),
    (Fault::Pause("ingest"), 8),
    (Fault::Pause("gateway"), 4),
    (Fault::Pause("analytics"), 3),
    (Fault::KillBroker, 10),
    (Fault::PauseBroker, 4),
    (Fault::KillTables, 4),
    (Fault::PartFromBrokers("ingest"), 5),
    (Fault::PartFromBrokers("gateway"), 4),
    (Fault::PartFromTables("ingest"), 4),
    (Fault::PartFromTables("gateway"), 3),
    (Fault::PartBrokers, 4),
];

fn choose(random: &mut SmallRng) -> Fault {
    let mut ticket = random.random_range(0..FAULTS.iter().map(|(_, share)| share).sum::<u32>());
    for (fault, share) in FAULTS {
        match ticket.checked_sub(share) {
            Some(left) => ticket = left,
            None => return fault,
        }
    }
    Fault::KillBroker
}

/// What a run learnt beside the history.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    faults: u32,
    violations: usize,
    ended_by_themselves: usize,
    acknowledged_without_tables: u64,
    lag_without_tables: f64,
    worked_off: Duration,
}

/// A cluster under fire.
struct Siege<'a> {
    options: &'a Options,
    servers: &'a Servers,
    parts: Parts,
    fixture: &'a Fixture,
    shared: &'a Shared,
    random: SmallRng,
    learnt: Learnt,
}

pub(in super::super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    anyhow::ensure!(common.hub.hub.is_none(), "cluster starts and kills processes of its own: leave --hub out");
    let machine = measure_machine(common).await?;
    let dir = folder(&common.hub)?;
    let binary = default_binary(common.hub.spawn.as_deref())?;
    info!(brokers = options.brokers, "starting the servers");
    let plan = Plan { brokers: options.brokers, pace: Pace::Quick, is_relayed: true };
    let servers = Servers::start(&options.servers, dir.path().join("servers"), plan).await?;
    let parts = Parts::new(&binary, dir.path(), &servers)?;
    besiege(options, &servers, parts, dir, machine).await
}

async fn besiege(
    options: &Options,
    servers: &Servers,
    mut parts: Parts,
    dir: tempfile::TempDir,
    machine: crate::machine::MachineLimits,
) -> anyhow::Result<Report> {
    let seed = options.common.seed;
    let gateway = parts.named("gateway-1")?.options.clone();
    gateway.run(&["migrate"]).await?;
    make_owner(&gateway).await?;
    for role in ["analytics", "gateway", "ingest"] {
        for name in parts.names_of(role) {
            parts.start(name).await?;
        }
    }
    let engines = parts.all.iter().filter(|part| part.name.starts_with("ingest")).map(|part| part.options.base_url());
    let fixture = Fixture::at_gateway(&gateway, engines.collect(), dir, WORKSPACES).await?;
    let history_path = fixture.dir().join("history.jsonl");
    let sending = Shared::new(&history_path, parts.gateways.subscribe())?;
    let listening = sending.with_own_end();
    let listeners = sockets::start(&fixture, &listening, options.sockets).await?;
    let mut people = JoinSet::new();
    customers::start(&mut people, &fixture, &sending, seed, options.rate);
    answers::start(&mut people, &fixture, &sending, seed);
    let random = SmallRng::seed_from_u64(seed);
    let learnt = Learnt::default();
    let mut siege = Siege { options, servers, parts, fixture: &fixture, shared: &sending, random, learnt };
    let besieged = siege.all_rounds().await;
    let Siege { mut parts, learnt, .. } = siege;
    // Everything is stopped in order even if a restart failed, so that the error is the first one.
    sending.stop.cancel();
    ended(people).await?;
    besieged?;
    let left = recovery::violations(&fixture, &sending, APPLIED_WITHIN).await?;
    let entries = sending.with_history(<[Entry]>::to_vec);
    let delivered = answers::delivered(&fixture.simulator, &entries).await;
    let (verdict, unlike_in_sql) = judged(&fixture, &listening, listeners, options.sockets).await?;
    let mut report = Report::new("cluster", seed, machine);
    if verdict.violations > 0 {
        let again = format!("cluster --seed {seed} --rounds {}", options.rounds);
        keep_history(&mut report, &history_path, &again, seed)?;
    }
    report.at_least("faults", f64::from(learnt.faults), f64::from(options.rounds), "");
    promises(&mut report, &verdict, delivered, unlike_in_sql);
    let on_the_way = number((learnt.violations + left) as u64);
    report.at_most("acknowledged messages that were not applied in time", on_the_way, 0.0, "");
    report.at_most("processes that ended by themselves", number(learnt.ended_by_themselves as u64), 0.0, "");
    report.at_least("acknowledged without tables", number(learnt.acknowledged_without_tables), 1.0, "");
    report.at_least("commands of lag shown meanwhile", learnt.lag_without_tables, 1.0, "");
    report.figure("seconds_to_work_off", learnt.worked_off.as_secs_f64());
    report.figure("cluster", json!({ "brokers": options.brokers, "partitions": PARTITIONS, "rate": options.rate }));
    for part in parts.all.iter().map(|part| part.name).rev().collect::<Vec<_>>() {
        parts.take(part)?.stop().await?;
    }
    Ok(report)
}

impl Siege<'_> {
    async fn all_rounds(&mut self) -> anyhow::Result<()> {
        for round in 1..=self.options.rounds {
            self.pause_for(FAULT_AFTER_MS).await;
            let fault = choose(&mut self.random);
            self.shared.record(Entry::Kill { round })?;
            self.shared.sync()?;
            let start = Instant::now();
            let target = self.strike(fault).await.with_context(|| format!("round {round}: {fault:?}"))?;
            for name in self.parts.revive().await? {
                self.learnt.ended_by_themselves += 1;
                warn!(round, name, "a process had ended by itself");
            }
            let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.shared.record(Entry::Open { round, millis })?;
            self.learnt.faults = round;
            let acknowledged = self.acknowledged();
            info!(round, ?fault, target, millis, acknowledged, "recovered");
            if round == self.options.rounds.div_ceil(2) {
                self.long_outage().await?;
            }
            if round % self.options.verify_every.max(1) == 0 {
                self.learnt.violations += recovery::violations(self.fixture, self.shared, APPLIED_WITHIN).await?;
                info!(round, violations = self.learnt.violations, "verified");
            }
        }
        Ok(())
    }

    async fn pause_for(&mut self, millis: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(millis))).await;
    }

    fn one_of(&mut self, role: &str) -> anyhow::Result<&'static str> {
        let names = self.parts.names_of(role);
        let at = self.random.random_range(0..names.len().max(1));
        names.get(at).copied().with_context(|| format!("there is no {role}"))
    }

    fn a_broker(&mut self) -> String {
        format!("kafka-{}", self.random.random_range(1..=self.options.brokers))
    }

    async fn strike(&mut self, fault: Fault) -> anyhow::Result<String> {
        let brokers = self.options.brokers;
        match fault {
            Fault::Kill(role) | Fault::Stop(role) => {
                let name = self.one_of(role)?;
                let process = self.parts.take(name)?;
                if matches!(fault, Fault::Kill(_)) {
                    process.kill().await?;
                } else {
                    process.stop().await?;
                }
                self.pause_for(AWAY_MS).await;
                self.parts.start(name).await?;
                Ok(name.to_owned())
            }
            Fault::Pause(role) => {
                let name = self.one_of(role)?;
                self.signal(name, Signal::STOP)?;
                self.pause_for(PAUSED_MS).await;
                self.signal(name, Signal::CONT)?;
                Ok(name.to_owned())
            }
            Fault::KillBroker => {
                let broker = self.a_broker();
                self.servers.act(Deed::Kill, &broker).await?;
                self.pause_for(AWAY_MS).await;
                self.servers.act(Deed::Start, &broker).await?;
                Ok(broker)
            }
            Fault::PauseBroker => {
                let broker = self.a_broker();
                self.servers.act(Deed::Pause, &broker).await?;
                self.pause_for(PAUSED_MS).await;
                self.servers.act(Deed::Resume, &broker).await?;
                Ok(broker)
            }
            Fault::KillTables => {
                self.servers.act(Deed::Kill, TABLES).await?;
                self.pause_for(AWAY_MS).await;
                self.servers.act(Deed::Start, TABLES).await?;
                Ok(TABLES.to_owned())
            }
            Fault::PartFromBrokers(role) => {
                let name = self.one_of(role)?;
                let brokers = if self.random.random_bool(0.5) {
                    (1..=brokers).map(|number| format!("kafka-{number}")).collect()
                } else {
                    vec![self.a_broker()]
                };
                self.part(name, &brokers).await
            }
            Fault::PartFromTables(role) => {
                let name = self.one_of(role)?;
                self.part(name, &[TABLES.to_owned()]).await
            }
            Fault::PartBrokers => {
                let (one, apart) = (self.random.random_range(0..brokers), self.random.random_range(1..brokers.max(2)));
                let name = |number: u32| format!("kafka-{}", number % brokers + 1);
                self.part(&name(one), &[name(one + apart)]).await
            }
        }
    }

    /// Holds up what one sends to others, what they send to it, or both, for a while; gives who it was and which way.
    async fn part(&mut self, one: &str, others: &[String]) -> anyhow::Result<String> {
        let net: &Net = self.servers.net().context("there are no relays")?;
        let way = self.random.random_range(0..4);
        for other in others {
            if way != 0 {
                net.cut(one, other);
            }
            if way != 1 {
                net.cut(other, one);
            }
        }
        self.pause_for(PAUSED_MS).await;
        net.mend();
        let arrow = match way {
            0 => "<-",
            1 => "->",
            _ => "<->",
        };
        Ok(format!("{one} {arrow} {}", others.join(", ")))
    }

    fn signal(&mut self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let process = self.parts.named(name)?.process.as_ref();
        process.with_context(|| format!("{name} does not run"))?.signal(signal)
    }

    fn acknowledged(&self) -> u64 {
        self.shared
            .with_history(|entries| entries.iter().filter(|entry| matches!(entry, Entry::Ack { .. })).count() as u64)
    }

    async fn lag(&self) -> anyhow::Result<f64> {
        Ok(self.fixture.metric("saler_engine_lag_commands").await?.iter().map(|(_labels, lag)| lag).sum())
    }

    /// The tables' server is away for a minute.
    async fn long_outage(&mut self) -> anyhow::Result<()> {
        info!(seconds = LONG_OUTAGE.as_secs(), "the tables' server goes away");
        self.servers.act(Deed::Kill, TABLES).await?;
        tokio::time::sleep(OUTAGE_BEGINS).await;
        let before = self.acknowledged();
        tokio::time::sleep(LONG_OUTAGE.saturating_sub(OUTAGE_BEGINS)).await;
        self.learnt.acknowledged_without_tables = self.acknowledged() - before;
        self.learnt.lag_without_tables = self.lag().await?;
        let start = Instant::now();
        self.servers.act(Deed::Start, TABLES).await?;
        self.learnt.worked_off = start.elapsed() + self.fixture.caught_up().await?;
        info!(
            acknowledged = self.learnt.acknowledged_without_tables,
            lag = self.learnt.lag_without_tables,
            seconds = self.learnt.worked_off.as_secs_f64(),
            "it came back, and the backlog is worked off"
        );
        Ok(())
    }
}
