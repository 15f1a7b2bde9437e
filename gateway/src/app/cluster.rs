//! Opens the engines of a cluster: the log on Kafka, the tables on `ScyllaDB` or Cassandra.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use storage::log::kafka::{KafkaLog, KafkaOptions, SaslMechanism, Secret, Security, Tls};
use storage::tables::Migrated;
use storage::tables::cql::{self, CqlCredentials, CqlOptions, CqlTables, CqlTls};
use tokio::runtime::Handle;

use super::engines::{EngineSetupError, Engines};
use crate::config::{Config, KafkaConfig, KafkaSecurity, list_of};

/// What "never" means for retention: the longest that Kafka is told.
const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);
/// How long leaving the groups may take when the process stops; then others wait for the session's end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A log whose groups are left when the process stops, so that others take over at once.
#[derive(Clone, Debug)]
pub struct Leaving(Arc<KafkaLog>);

impl Leaving {
    /// Leaves the groups and closes the connections.
    pub(super) async fn leave(self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.0.close()).await.is_err() {
            tracing::warn!("the groups could not be left in time: others take over once the session has ended");
        }
    }
}

/// Opens both. The tables' driver works on `background`.
pub(super) async fn open(config: &Config, node: &str, background: &Handle) -> Result<Engines, EngineSetupError> {
    let log = KafkaLog::open(kafka_options(config, node)).await.map_err(EngineSetupError::Log)?;
    let opening = background.spawn(CqlTables::open(cql_options(config)));
    let tables = opening.await.map_err(|_panicked| EngineSetupError::Interrupted)?.map_err(EngineSetupError::Tables)?;
    let log = Arc::new(log);
    Ok(Engines { log: Arc::clone(&log) as _, tables: Arc::new(tables), leaving: Some(Leaving(log)) })
}

/// Makes or checks the topics, makes or completes the tables; returns what was done to these.
///
/// # Errors
/// [`EngineSetupError::Log`], [`EngineSetupError::Tables`].
pub async fn migrate(config: &Config) -> Result<Migrated, EngineSetupError> {
    let log = KafkaLog::open(kafka_options(config, "")).await.map_err(EngineSetupError::Log)?;
    let migrated = cql::migrate(&cql_options(config)).await.map_err(EngineSetupError::Tables)?;
    log.close().await;
    Ok(migrated)
}

fn file(path: &str) -> Option<PathBuf> {
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn kafka_options(config: &Config, node: &str) -> KafkaOptions {
    let kafka = &config.kafka;
    let hours = config.log.retention_hours;
    KafkaOptions {
        topic_prefix: kafka.topic_prefix.clone(),
        partitions: config.log.partitions,
        replication: i32::try_from(kafka.replication).unwrap_or(i32::MAX),
        min_in_sync: i32::try_from(kafka.min_in_sync).unwrap_or(i32::MAX),
        retention: if hours == 0 { FOREVER } else { Duration::from_hours(hours).min(FOREVER) },
        node: node.to_owned(),
        security: security(kafka),
        session_timeout: Duration::from_millis(kafka.session_timeout_ms),
        ..KafkaOptions::new(list_of(&kafka.brokers))
    }
}

fn security(kafka: &KafkaConfig) -> Security {
    let tls = || Tls { ca_file: file(&kafka.ca_file), ..Tls::default() };
    let sasl = |tls| Security::Sasl {
        mechanism: match kafka.sasl_mechanism.as_str() {
            "PLAIN" => SaslMechanism::Plain,
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
            _ => SaslMechanism::ScramSha512,
        },
        username: kafka.username.clone(),
        password: Secret::new(kafka.password.expose().unwrap_or_default()),
        tls,
    };
    match kafka.security {
        KafkaSecurity::Plaintext => Security::Plaintext,
        KafkaSecurity::Tls => Security::Tls(tls()),
        KafkaSecurity::SaslPlaintext => sasl(None),
        KafkaSecurity::SaslTls => sasl(Some(tls())),
    }
}

fn cql_options(config: &Config) -> CqlOptions {
    let scylla = &config.scylla;
    let credentials = (!scylla.username.is_empty()).then(|| CqlCredentials {
        username: scylla.username.clone(),
        password: schemas::channel::Secret::new(scylla.password.expose().unwrap_or_default()),
    });
    CqlOptions {
        keyspace: scylla.keyspace.clone(),
        replication: usize::try_from(scylla.replication).unwrap_or(1),
        datacenter: (!scylla.datacenter.is_empty()).then(|| scylla.datacenter.clone()),
        credentials,
        tls: scylla.tls.then(|| CqlTls { ca_file: PathBuf::from(&scylla.ca_file), identity: None }),
        request_timeout: Duration::from_millis(scylla.request_timeout_ms),
        ..CqlOptions::new(list_of(&scylla.nodes))
    }
}
