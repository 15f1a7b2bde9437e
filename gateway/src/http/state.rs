//! What handlers work with. One value, made in [`crate::app`], shared by all workers.

use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use storage::clock::Clock;
use storage::tables::Tables;

use super::cursor::Cursors;
use super::webhooks::ChannelCache;
use crate::auth::sign_in::SignInService;
use crate::config::Config;
use crate::directory::Directory;
use crate::files::Files;
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
    /// The tables, for what the engine derives.
    pub tables: Arc<dyn Tables>,
    /// What people set up.
    pub directory: Directory,
    /// The door to the topic `commands`.
    pub commands: Commands,
    /// Outcomes of commands.
    pub outcomes: Outcomes,
    /// Sign-in.
    pub sign_in: Arc<SignInService>,
    /// Cursors of lists.
    pub cursors: Cursors,
    /// Channels of webhooks.
    pub channels: ChannelCache,
    /// Files of messages.
    pub files: Arc<Files>,
    /// Numbers and SQL.
    pub analytics: Arc<dyn super::analytics::AnalyticsPort>,
}

impl AppState {
    /// For how long the outcome of a command is waited for.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_millis(self.config.socket.command_timeout_ms)
    }
}
