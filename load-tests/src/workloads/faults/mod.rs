//! The fault harness: what customers, agents and sockets do while the hub, or a part of its cluster, is killed again and
//! again, and what is checked of it.
//!
//! Customers' webhooks come again when they got no answer, as they would; some come twice although they got one. Agents
//! answer, sockets resume. In the end every promise is checked against the harness's own history.

mod answers;
pub(super) mod cluster;
mod customers;
pub(super) mod kill;
mod parts;
mod recovery;
mod sockets;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::number;
use crate::checker::{Entry, History, Verdict, check};
use crate::hub::fixture::Fixture;
use crate::report::Report;

const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What the tasks of a run share.
#[derive(Clone)]
struct Shared {
    history: Arc<Mutex<History>>,
    /// The gateways that are up.
    gateways: watch::Receiver<Vec<SocketAddr>>,
    stop: CancellationToken,
}

impl Shared {
    fn new(history: &Path, gateways: watch::Receiver<Vec<SocketAddr>>) -> anyhow::Result<Self> {
        let history = Arc::new(Mutex::new(History::create(history)?));
        Ok(Self { history, gateways, stop: CancellationToken::new() })
    }

    /// The same history, with an end of its own.
    fn with_own_end(&self) -> Self {
        Self { stop: CancellationToken::new(), ..self.clone() }
    }

    fn record(&self, entry: Entry) -> anyhow::Result<()> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).record(entry)
    }

    fn with_history<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(self.history.lock().unwrap_or_else(PoisonError::into_inner).entries())
    }

    fn sync(&self) -> anyhow::Result<()> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).sync()
    }

    /// Waits until a gateway is up; of several, the one whose turn it is. Nothing if the run is over.
    async fn gateway(&mut self, turn: usize) -> Option<SocketAddr> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            up = self.gateways.wait_for(|up| !up.is_empty()) => {
                let up = up.ok()?;
                up.get(turn % up.len().max(1)).copied()
            }
        }
    }
}

/// Waits for the end of all tasks.
async fn ended(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(task) = tasks.join_next().await {
        task.context("a task of the run failed")??;
    }
    Ok(())
}

/// The verdict once sockets were given everything and have ended, and by how many messages SQL and the API differ.
async fn judged(
    fixture: &Fixture,
    listening: &Shared,
    listeners: JoinSet<anyhow::Result<()>>,
    sockets: u32,
) -> anyhow::Result<(Verdict, u64)> {
    let stored = recovery::stored(fixture).await?;
    sockets::all_given(listening, &stored, sockets).await;
    listening.stop.cancel();
    ended(listeners).await?;
    listening.sync()?;
    let verdict = listening.with_history(|entries| check(entries, &stored));
    Ok((verdict, recovery::unlike_in_sql(fixture, &stored).await?))
}

/// What is promised whatever fails.
fn promises(report: &mut Report, verdict: &Verdict, delivered: answers::Delivered, unlike_in_sql: u64) {
    report.figure("verdict", verdict);
    report.figure("answers", delivered);
    report.at_most("acknowledged messages that are lost", number(verdict.lost as u64), 0.0, "");
    report.at_most("messages that are there twice", number(verdict.doubled as u64), 0.0, "");
    report.at_most("violations of any kind", number(verdict.violations as u64), 0.0, "");
    report.at_most("acknowledged answers that the provider never had", number(delivered.missing as u64), 0.0, "");
    report.at_most("answers that the provider had twice", number(delivered.doubled as u64), 0.0, "");
    report.at_least("answers acknowledged", number(delivered.acknowledged as u64), 1.0, "");
    report.at_most("messages by which SQL and the API differ", number(unlike_in_sql), 0.0, "");
    report.at_least("messages acknowledged", number(verdict.acknowledged), 1.0, "");
}

/// Keeps the history of a run that broke a promise, and says how to have it again.
fn keep_history(report: &mut Report, history: &Path, again: &str, seed: u64) -> anyhow::Result<()> {
    let kept = std::env::temp_dir().join(format!("saler-load-faults-{seed}.jsonl"));
    std::fs::copy(history, &kept).context("cannot keep the history")?;
    report.note(format!("the history is kept in {}; run again with `saler-load {again}`", kept.display()));
    Ok(())
}
