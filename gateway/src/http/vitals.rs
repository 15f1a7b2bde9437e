//! What a process says of itself, whatever its roles: health, readiness, metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingest::engine::EngineStatus;
use metrics_exporter_prometheus::PrometheusHandle;
use schemas::tables::ENGINE_POSITIONS;
use storage::log::{Log, Topic};
use storage::tables::{Key, Tables};
use tokio::sync::watch;

use crate::config::{Role, Roles, Secret};

/// The state of a process.
#[derive(Debug)]
pub struct Vitals {
    /// Its name.
    pub node: String,
    /// What it runs.
    pub roles: Roles,
    /// Whether log and tables are servers that other processes use too.
    pub shared: bool,
    /// The log, for its health and its lag.
    pub log: Arc<dyn Log>,
    /// The tables, for their health.
    pub tables: Arc<dyn Tables>,
    /// The partitions that it works on.
    pub progress: Arc<Progress>,
    /// Renders the metrics; none in tests that install no recorder.
    pub metrics: Option<PrometheusHandle>,
    /// What /metrics wants to see.
    pub metrics_token: Secret,
    /// `true` once the process is stopping.
    pub stopping: AtomicBool,
}

impl Vitals {
    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Why it cannot do its work now, and what it can do only in part.
    pub async fn troubles(&self) -> Troubles {
        let mut troubles = Troubles::default();
        if self.is_stopping() {
            troubles.stops.push("the process is stopping".to_owned());
        }
        if let Some(reason) = self.log.health().refusing {
            troubles.stops.push(format!("log: {reason}"));
        }
        if let Some(reason) = self.tables.refusing() {
            // A gateway of a cluster takes webhooks all the same: they are in the log, and are worked off later.
            let takes_webhooks = self.shared && self.roles.has(Role::Gateway);
            let list = if takes_webhooks { &mut troubles.limits } else { &mut troubles.stops };
            list.push(format!("tables: {reason}"));
        }
        if self.roles.has(Role::Ingest) {
            let list = if self.shared { &mut troubles.limits } else { &mut troubles.stops };
            list.extend(self.progress.failures());
            if !self.progress.has_joined() {
                list.push("engine: it has no partitions yet".to_owned());
            }
            let mut behind = 0;
            for (partition, status) in self.progress.engines() {
                // A partition without commands has nothing to catch up with, and its engine nothing to tell.
                let end = self.log.bounds(Topic::Commands, partition).await.map_or(u64::MAX, |bounds| bounds.durable);
                behind += usize::from(!status.caught_up && status.next_offset < end);
            }
            if behind > 0 {
                list.push(format!("engine: {behind} partition(s) are still being applied"));
            }
        }
        troubles
    }

    /// How many commands each partition is behind, as far as this process can tell: those that it works on itself, and in a
    /// process without an engine all of them, from the tables.
    pub async fn lags(&self) -> Vec<(u32, u64)> {
        let mut positions: BTreeMap<u32, u64> =
            self.progress.engines().into_iter().map(|(partition, status)| (partition, status.next_offset)).collect();
        if !self.roles.has(Role::Ingest) {
            for partition in 0..self.log.partitions() {
                let row = self.tables.get(ENGINE_POSITIONS, Key::of([partition.into()])).await;
                let Ok(row) = row else { break };
                let next = row.and_then(|row| row.int("next_offset")).unwrap_or(0);
                positions.insert(partition, next.cast_unsigned());
            }
        }
        let mut lags = Vec::with_capacity(positions.len());
        for (partition, next) in positions {
            if let Ok(bounds) = self.log.bounds(Topic::Commands, partition).await {
                lags.push((partition, bounds.durable.saturating_sub(next)));
            }
        }
        lags
    }
}

/// What is wrong with a process, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// It should be given nothing to do.
    pub stops: Vec<String>,
    /// It does something, but not all.
    pub limits: Vec<String>,
}

/// The partitions that this process works on, as those who work tell it.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the group of engines has joined.
    joined: bool,
    engines: BTreeMap<u32, watch::Receiver<EngineStatus>>,
    failures: BTreeMap<(&'static str, u32), String>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group knows which partitions are its own, and has begun to work on them.
    pub fn joined(&self, group: &'static str) {
        self.lock().joined |= group == ENGINE;
    }

    fn has_joined(&self) -> bool {
        self.lock().joined
    }

    /// The engine of a partition begins and will tell how far it is.
    pub fn engine_begins(&self, partition: u32, status: watch::Receiver<EngineStatus>) {
        self.lock().engines.insert(partition, status);
    }

    /// Work on a partition begins.
    pub fn begins(&self, group: &'static str, partition: u32) {
        self.lock().failures.remove(&(group, partition));
    }

    /// Work on a partition ended since it is not wanted any more.
    pub fn ended(&self, group: &'static str, partition: u32) {
        let mut state = self.lock();
        state.failures.remove(&(group, partition));
        if group == ENGINE {
            state.engines.remove(&partition);
        }
    }

    /// Work on a partition broke off and is tried again.
    pub fn failed(&self, group: &'static str, partition: u32, reason: String) {
        self.lock().failures.insert((group, partition), reason);
    }

    fn failures(&self) -> Vec<String> {
        let state = self.lock();
        state
            .failures
            .iter()
            .map(|((group, partition), reason)| format!("{group}: partition {partition}: {reason}"))
            .collect()
    }

    fn engines(&self) -> Vec<(u32, EngineStatus)> {
        self.lock().engines.iter().map(|(partition, status)| (*partition, *status.borrow())).collect()
    }
}

/// The group of conversation engines.
pub const ENGINE: &str = "engine";
/// The group of senders.
pub const SENDERS: &str = "senders";
