//! The sections that matter once the hub is more than one process: the node, Kafka, ScyllaDB, where analytics is.

use serde::{Deserialize, Serialize};

use super::Secret;

/// Which engine is the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEngine {
    /// Files in the data folder.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// Which engine are the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TablesEngine {
    /// Files in the data folder.
    Embedded,
    /// `ScyllaDB` or Apache Cassandra.
    Scylla,
}

/// Section `[node]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The name of this process; empty: host, roles and port.
    pub name: String,
}

/// How brokers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaSecurity {
    /// In the open.
    Plaintext,
    /// Over TLS.
    Tls,
    /// In the open, with a sign-in.
    SaslPlaintext,
    /// Over TLS, with a sign-in.
    SaslTls,
}

impl KafkaSecurity {
    /// Whether brokers want a sign-in.
    pub const fn signs_in(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

/// Section `[kafka]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Addresses, with commas between.
    pub brokers: String,
    /// What the topics' names begin with.
    pub topic_prefix: String,
    /// Copies of each record.
    pub replication: u32,
    /// Copies that must be written.
    pub min_in_sync: u32,
    /// Milliseconds.
    pub session_timeout_ms: u64,
    /// How brokers are spoken to.
    pub security: KafkaSecurity,
    /// Certificates; empty: those of the system.
    pub ca_file: String,
    /// The way of the sign-in.
    pub sasl_mechanism: String,
    /// Who signs in.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// Section `[scylla]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScyllaConfig {
    /// Addresses, with commas between.
    pub nodes: String,
    /// The keyspace.
    pub keyspace: String,
    /// Copies of each row.
    pub replication: u32,
    /// The data centre to talk to; empty: any.
    pub datacenter: String,
    /// Who signs in; empty: nobody.
    pub username: String,
    /// With what.
    pub password: Secret,
    /// Whether to speak over TLS.
    pub tls: bool,
    /// Certificates.
    pub ca_file: String,
    /// Milliseconds.
    pub request_timeout_ms: u64,
}

/// Section `[analytics]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyticsConfig {
    /// Base addresses, with commas between.
    pub urls: String,
    /// What gateways show to analytics.
    pub token: Secret,
}

/// The entries of a setting that is a list with commas between.
pub fn list_of(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

impl AnalyticsConfig {
    /// Where a gateway asks, without slashes at the end.
    pub fn urls(&self) -> Vec<String> {
        list_of(&self.urls).into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
    }
}
