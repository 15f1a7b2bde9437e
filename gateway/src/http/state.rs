//! What handlers work with. One value, made in [`crate::app`], shared by all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::EngineStatus;
use metrics_exporter_prometheus::PrometheusHandle;
use storage::clock::Clock;
use storage::log::Log;
use storage::tables::Tables;
use tokio::sync::watch;

use super::cursor::Cursors;
use super::webhooks::ChannelCache;
use crate::auth::sign_in::SignInService;
use crate::config::Config;
use crate::directory::Directory;
use crate::realtime::Outcomes;

/// Everything that handlers reach. Engines stand behind their ports.
#[derive(Debug)]
pub struct AppState {
    /// The effective configuration.
    pub config: Config,
    /// The public base address, without a slash at the end.
    pub public_url: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log, for its health and its lag.
    pub log: Arc<dyn Log>,
    /// The tables, for what the engine derives.
    pub tables: Arc<dyn Tables>,
    /// What people set up.
    pub directory: Directory,
    /// The door to the topic `commands`.
    pub commands: Commands,
    /// Outcomes of commands.
    pub outcomes: Outcomes,
    /// Sign-in.
    pub sign_in: SignInService,
    /// Cursors of lists.
    pub cursors: Cursors,
    /// Channels of webhooks.
    pub channels: ChannelCache,
    /// Numbers and SQL.
    pub analytics: Arc<dyn super::analytics::AnalyticsPort>,
    /// How far the engine of each partition has come.
    pub engines: Vec<watch::Receiver<EngineStatus>>,
    /// Renders the metrics; none in tests that install no recorder.
    pub metrics: Option<PrometheusHandle>,
    /// `true` once the process is stopping.
    pub stopping: AtomicBool,
}

impl AppState {
    /// For how long the outcome of a command is waited for.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.config.socket.command_timeout_ms)
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
