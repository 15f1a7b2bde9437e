//! The storm: every socket is dropped at once while events are published; then all come back and must be given exactly
//! what they missed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Common, begin_conversations, measure_machine, number, plan, prepare};
use crate::generator::latency::Latencies;
use crate::generator::sender::open_loop;
use crate::generator::socket::Heard;
use crate::generator::swarm::{Member, open_all, raise_file_limit};
use crate::hub::fixture::Fixture;
use crate::report::Report;

const WORKSPACES: usize = 20;
const OTHER_FILES: u64 = 500;
const GOAL: Duration = Duration::from_secs(5);
/// Connections that this one process opens at once; the sockets behind them queue here and not in the kernel.
const MAX_OPENING: usize = 1_000;
/// From the drop to the first attempt to come back.
const AWAY: Duration = Duration::from_millis(700);
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
/// How long after `resumed` the last published events may still come.
const TAIL_WITHIN: Duration = Duration::from_secs(10);

/// How `storm` runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Sockets.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Events that are published meanwhile, in one second.
    #[arg(long, default_value_t = 100)]
    events: u32,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    raise_file_limit(options.sockets as u64 + OTHER_FILES)?;
    let machine = measure_machine(common).await?;
    let fixture = Fixture::start(&common.hub, WORKSPACES.min(options.sockets), &[]).await?;
    let spaces = fixture.spaces.len() as u64;
    let first = begin_conversations(&fixture, common.seed, spaces).await?;
    let members = (0..)
        .zip(fixture.spaces.iter().cycle())
        .take(options.sockets)
        .map(|(index, space)| Member::new(fixture.sign_on(space, index, vec!["inbox".to_owned()])))
        .collect();
    let mut members = open_all(members).await?;
    // One message before the drop, so that every socket knows the number to go on from.
    let events = u64::from(options.events);
    let prepared = prepare(&fixture, common.seed, first, spaces + events, spaces).await?;
    let (schedule, _) = plan(1_000, spaces, first, 0);
    let sending = open_loop(fixture.address, &prepared, schedule, 4, 0).await?;
    anyhow::ensure!(sending.acknowledged == spaces, "the messages before the storm were not acknowledged");
    members = hear_one(members).await?;

    for member in &mut members {
        member.drop_connection();
    }
    let dropped_at = Instant::now();
    let during = prepare(&fixture, common.seed, first + spaces, events, spaces).await?;
    let (schedule, _) = plan(options.events.max(1), events, first + spaces, 0);
    // Half of the events are published while everybody is away, the others while they come back.
    let back = async {
        tokio::time::sleep(AWAY).await;
        resume_all(members, events, spaces).await
    };
    let (sent, resumed) = tokio::join!(open_loop(fixture.address, &during, schedule, 4, 0), back);
    let (sent, (times, tally)) = (sent?, resumed?);
    let mut report = Report::new("storm", common.seed, machine);
    report.figure("sockets", options.sockets);
    report.figure("until_resumed", times.summary());
    report.figure(
        "events",
        json!({ "published": sent.acknowledged, "since_drop_ms": crate::machine::millis(dropped_at.elapsed()) }),
    );
    report.at_most("until the last socket was resumed", times.summary().max_ms / 1_000.0, GOAL.as_secs_f64(), "s");
    report.at_most("sockets that were not resumed", number(tally.not_resumed), 0.0, "");
    report.at_most("sockets that miss events, or were told of a gap", number(tally.gaps), 0.0, "");
    report.at_most("repeated messages", number(tally.repeats), 0.0, "");
    report.at_most("webhooks not acknowledged", number(sent.refused + sent.failed), 0.0, "");
    Ok(report)
}

/// Lets every member hear one message, then stop.
async fn hear_one(members: Vec<Member>) -> anyhow::Result<Vec<Member>> {
    let mut tasks = JoinSet::new();
    for (index, mut member) in members.into_iter().enumerate() {
        tasks.spawn(async move {
            let never = CancellationToken::new();
            let heard = member.listen_until(&never, is_message, |_event| {});
            let in_time = timeout(TAIL_WITHIN, heard).await.is_ok();
            (index, in_time, member)
        });
    }
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        let (index, in_time, member) = task?;
        anyhow::ensure!(
            in_time && member.seen.closed.is_none(),
            "socket {index} did not hear the message before the storm"
        );
        all.push((index, member));
    }
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, member)| member).collect())
}

fn is_message(heard: &Heard<'_>) -> bool {
    matches!(heard, Heard::Event { frame, .. } if crate::generator::swarm::message_event(frame).is_some())
}

#[derive(Default)]
struct Tally {
    not_resumed: u64,
    gaps: u64,
    repeats: u64,
}

/// Brings all members back. Member `i` is in workspace `i % spaces`, event `e` too.
async fn resume_all(members: Vec<Member>, events: u64, spaces: u64) -> anyhow::Result<(Latencies, Tally)> {
    let opening = Arc::new(Semaphore::new(MAX_OPENING));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, mut member) in (0_u64..).zip(members) {
        let opening = Arc::clone(&opening);
        let expected = events / spaces + u64::from(index % spaces < events % spaces) + member.seen.messages;
        tasks.spawn(async move {
            let opened = async {
                let _permit = opening.acquire_owned().await.ok()?;
                member.open().await.ok()
            };
            let opened = timeout(GIVE_UP_AFTER, opened).await.ok().flatten().is_some();
            let resumed = opened && member.welcome.is_some_and(|welcome| welcome.resumed);
            let never = CancellationToken::new();
            let mut resumed_after = None;
            if resumed {
                let until_resumed = member.listen_until(&never, |heard| matches!(heard, Heard::Resumed), |_event| {});
                if timeout(GIVE_UP_AFTER, until_resumed).await.is_ok() && member.seen.closed.is_none() {
                    resumed_after = Some(start.elapsed());
                }
            }
            let mut have = member.seen.messages;
            if resumed_after.is_some() && have < expected {
                let tail = member.listen_until(
                    &never,
                    |heard| {
                        have += u64::from(is_message(heard));
                        have >= expected
                    },
                    |_event| {},
                );
                // Whether all came is seen below.
                let _in_time = timeout(TAIL_WITHIN, tail).await;
            }
            (resumed_after, member.seen, expected)
        });
    }
    let (mut times, mut tally) = (Latencies::default(), Tally::default());
    while let Some(task) = tasks.join_next().await {
        let (resumed_after, seen, expected) = task?;
        match resumed_after {
            Some(after) => times.record(after),
            None => tally.not_resumed += 1,
        }
        tally.gaps += u64::from(seen.messages < expected || seen.holes + seen.gaps + seen.miscounts > 0);
        tally.repeats += seen.repeats + seen.messages.saturating_sub(expected);
    }
    Ok((times, tally))
}
