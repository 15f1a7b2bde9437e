//! Configuration: read once at the start, checked whole, handed down as values.
//!
//! The file `config.default.toml` is the manual and the default in one. Over it comes a file, over that the variables that
//! begin with `SALER_`. A key that the defaults do not have is a mistake, and all mistakes are reported together: see
//! [`load`].

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

mod cluster;
mod lake;
mod load;
mod roles;
mod validate;

pub use cluster::{
    AnalyticsConfig, KafkaConfig, KafkaSecurity, LogEngine, NodeConfig, ScyllaConfig, TablesEngine, list_of,
};
pub use lake::LakeConfig;
pub use load::{ConfigError, Sources, load};

pub use roles::{Role, Roles, UnknownRole};

use crate::files::folder::Folder;
pub use crate::realtime::SocketConfig;

/// The commented defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set. The meaning and unit of each key stand in `config.default.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub http: HttpConfig,
    /// This process.
    pub node: NodeConfig,
    /// Where data is kept.
    pub data: DataConfig,
    /// The log.
    pub log: LogConfig,
    /// The tables.
    pub tables: TablesConfig,
    /// The log on Kafka.
    pub kafka: KafkaConfig,
    /// The tables on ScyllaDB or Cassandra.
    pub scylla: ScyllaConfig,
    /// Where analytics is asked.
    pub analytics: AnalyticsConfig,
    /// What analytics keeps.
    pub lake: LakeConfig,
    /// Sign-in.
    pub auth: AuthConfig,
    /// Sockets.
    pub socket: SocketConfig,
    /// Files of messages.
    pub files: FilesConfig,
    /// SQL of people.
    pub sql: SqlConfig,
    /// Calls to providers.
    pub outbound: OutboundConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

/// Section `[http]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The public base address without a slash at the end; empty: derived from `listen`.
    pub public_url: String,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Serving threads; 0: the number of cores.
    pub workers: usize,
    /// Connections of one worker.
    pub max_connections_per_worker: usize,
    /// Seconds.
    pub keep_alive_s: u64,
    /// Milliseconds.
    pub request_head_timeout_ms: u64,
    /// Milliseconds: 0 or at least 1000.
    pub client_disconnect_timeout_ms: u64,
    /// Kilobytes.
    pub json_limit_kb: usize,
    /// Seconds.
    pub shutdown_timeout_s: u64,
    /// Empty: /metrics is open.
    pub metrics_token: Secret,
    /// The web chat channel of the page `/widget-demo`; empty: there is no such page.
    pub widget_demo: String,
}

/// Section `[data]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The folder.
    pub dir: PathBuf,
}

/// Section `[files]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// The folder; empty: `files` in the data folder.
    pub dir: PathBuf,
    /// Megabytes.
    pub max_mb: usize,
    /// Megabytes.
    pub min_free_mb: u64,
}

/// When appended commands count as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilityMode {
    /// After an fdatasync.
    Fsync,
    /// At once, with an fdatasync every interval.
    Interval,
}

/// Section `[log]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Which engine.
    pub engine: LogEngine,
    /// Partitions of each topic.
    pub partitions: u32,
    /// When an append counts.
    pub durability: DurabilityMode,
    /// Milliseconds.
    pub interval_ms: u64,
    /// Megabytes.
    pub segment_mb: u64,
    /// Hours; 0: never.
    pub retention_hours: u64,
    /// Gigabytes; 0: never.
    pub retention_gb: u64,
    /// Megabytes.
    pub min_free_mb: u64,
}

/// Section `[tables]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablesConfig {
    /// Which engine.
    pub engine: TablesEngine,
    /// Megabytes.
    pub cache_mb: u64,
}

/// Section `[auth]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Minutes.
    pub access_token_minutes: u64,
    /// Days.
    pub refresh_idle_days: u64,
    /// Days.
    pub refresh_absolute_days: u64,
    /// Hours, for owners and admins.
    pub privileged_idle_hours: u64,
    /// Hours, for owners and admins.
    pub privileged_absolute_hours: u64,
    /// Sign-ins of a person at once.
    pub max_sessions: usize,
    /// Failed sign-ins a minute of one address.
    pub failures_per_minute: u32,
}

/// Section `[sql]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    /// Queries at once, of all workspaces.
    pub max_running: usize,
    /// Queries at once of one workspace.
    pub max_running_per_workspace: usize,
    /// Queries of one workspace that wait.
    pub max_waiting_per_workspace: usize,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// Megabytes.
    pub memory_mb: u64,
    /// Rows of an answer.
    pub max_rows: usize,
}

/// Section `[outbound]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundConfig {
    /// Calls at once for one channel.
    pub max_in_flight_per_channel: usize,
    /// Milliseconds.
    pub connect_timeout_ms: u64,
    /// Milliseconds.
    pub timeout_ms: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Section `[telemetry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged.
    pub level: String,
}

/// A setting that is never shown: neither by `Debug` nor when the configuration is printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret, if one is set.
    pub fn expose(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "***" })
    }
}

impl Config {
    /// The public base address, without a slash at the end.
    pub fn public_url(&self) -> String {
        if self.http.public_url.is_empty() {
            format!("http://{}", self.http.listen)
        } else {
            self.http.public_url.clone()
        }
    }

    /// The folder of files of messages.
    pub fn files_folder(&self) -> Folder {
        let FilesConfig { dir, min_free_mb, .. } = &self.files;
        let root = if dir.as_os_str().is_empty() { self.data.dir.join("files") } else { dir.clone() };
        Folder::new(root, min_free_mb << 20)
    }

    /// Whether log and tables are servers that several processes share.
    pub fn is_shared(&self) -> bool {
        self.log.engine != LogEngine::Embedded && self.tables.engine != TablesEngine::Embedded
    }

    /// Every origin whose pages may open the agents' socket: that of the public address, and the trusted ones.
    pub fn origins(&self) -> Vec<String> {
        let own = url::Url::parse(&self.public_url()).map(|url| url.origin().ascii_serialization());
        own.into_iter().chain(self.socket.allowed_origins.iter().cloned()).collect()
    }

    /// What holds, as TOML, with secrets hidden.
    ///
    /// # Errors
    /// If the configuration has no TOML form, which no value that was loaded can cause.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
