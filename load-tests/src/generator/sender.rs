//! Sends prepared webhooks over kept-alive connections: in an open loop for latency, in a closed loop for throughput.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::http::Connection;
use super::latency::{Latencies, Summary};
use super::schedule::{Pacer, Schedule};
use super::webhooks::Prepared;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// Answers with 2xx.
    pub acknowledged: u64,
    /// Answers with another status.
    pub refused: u64,
    /// Exchanges without an answer.
    pub failed: u64,
    /// From the intended time to the answer, after the warm-up; in a closed loop from the sending.
    pub answers: Latencies,
    /// From the intended time to the sending, after the warm-up: how late the generator itself was.
    pub lateness: Latencies,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// What is reported of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SendingSummary {
    /// Answers with 2xx.
    pub acknowledged: u64,
    /// Answers with another status.
    pub refused: u64,
    /// Exchanges without an answer.
    pub failed: u64,
    /// Answers a second.
    pub per_second: f64,
    /// See [`Sending::answers`].
    pub answers: Summary,
    /// See [`Sending::lateness`].
    pub lateness: Summary,
}

impl Sending {
    /// Answers with 2xx a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub fn per_second(&self) -> f64 {
        self.acknowledged as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What is reported.
    pub fn summary(&self) -> SendingSummary {
        SendingSummary {
            acknowledged: self.acknowledged,
            refused: self.refused,
            failed: self.failed,
            per_second: self.per_second(),
            answers: self.answers.summary(),
            lateness: self.lateness.summary(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.failed += other.failed;
        self.answers.merge(&other.answers);
        self.lateness.merge(&other.lateness);
    }

    fn count(&mut self, status: u16) {
        if (200..300).contains(&status) {
            self.acknowledged += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// Sends request `i` of `prepared` at the schedule's time `i`, over so many connections. The first `warm_up` are not
/// measured.
///
/// # Errors
/// If connections cannot be opened, or a task failed.
pub async fn open_loop(
    address: SocketAddr,
    prepared: &Arc<Prepared>,
    schedule: Schedule,
    connections: usize,
    warm_up: u64,
) -> anyhow::Result<Sending> {
    let mut opened = open(address, connections).await?;
    let pacer = Pacer::start(schedule).context("cannot start the pacing thread")?;
    let mut tasks = JoinSet::new();
    for mut connection in opened.drain(..) {
        let (pacer, prepared) = (Arc::clone(&pacer), Arc::clone(prepared));
        tasks.spawn(async move {
            let mut sending = Sending::default();
            while let Some((index, intended)) = pacer.take().await {
                let Some(request) = usize::try_from(index).ok().and_then(|index| prepared.request(index)) else {
                    break;
                };
                if index >= warm_up {
                    sending.lateness.record(intended.elapsed());
                }
                match connection.exchange(request).await {
                    Ok(status) => {
                        sending.count(status);
                        if index >= warm_up {
                            sending.answers.record(intended.elapsed());
                        }
                    }
                    Err(_broken) => {
                        sending.failed += 1;
                        connection = Connection::open(address).await?;
                    }
                }
            }
            anyhow::Ok(sending)
        });
    }
    gather(tasks, schedule.start()).await
}

/// Sends every request of `prepared` as fast as the answers come, over so many connections.
///
/// # Errors
/// If connections cannot be opened, or a task failed.
pub async fn closed_loop(
    address: SocketAddr,
    prepared: &Arc<Prepared>,
    range: std::ops::Range<u64>,
    connections: usize,
) -> anyhow::Result<Sending> {
    let mut opened = open(address, connections).await?;
    let next = Arc::new(AtomicU64::new(range.start));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in opened.drain(..) {
        let (next, prepared, end) = (Arc::clone(&next), Arc::clone(prepared), range.end);
        tasks.spawn(async move {
            let mut sending = Sending::default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let request = usize::try_from(index).ok().and_then(|index| prepared.request(index));
                let Some(request) = request.filter(|_| index < end) else { break };
                let sent = Instant::now();
                match connection.exchange(request).await {
                    Ok(status) => {
                        sending.count(status);
                        sending.answers.record(sent.elapsed());
                    }
                    Err(_broken) => {
                        sending.failed += 1;
                        connection = Connection::open(address).await?;
                    }
                }
            }
            anyhow::Ok(sending)
        });
    }
    gather(tasks, start).await
}

async fn open(address: SocketAddr, connections: usize) -> anyhow::Result<Vec<Connection>> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        let connection = Connection::open(address).await;
        opened.push(connection.with_context(|| format!("cannot connect to {address}"))?);
    }
    Ok(opened)
}

async fn gather(mut tasks: JoinSet<anyhow::Result<Sending>>, start: Instant) -> anyhow::Result<Sending> {
    let mut all = Sending::default();
    while let Some(task) = tasks.join_next().await {
        all.merge(&task.context("a sender failed")??);
    }
    all.elapsed = start.elapsed();
    Ok(all)
}
