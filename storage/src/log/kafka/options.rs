//! How to open a [`super::KafkaLog`], and what of it each client of the cluster is told.
//!
//! Defaults of librdkafka that lose or reorder records are set otherwise here, each with its reason.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::super::{LogError, MAX_APPEND_BYTES, MAX_VALUE_BYTES};

/// The most partitions a topic may have: each costs every process some memory and every probe some work.
pub const MAX_PARTITIONS: u32 = 1_024;
/// The longest prefix of the topics' names, in bytes: Kafka takes names of at most 249.
pub const MAX_PREFIX_BYTES: usize = 200;
/// The longest name of a node, in bytes, as Kafka's `group.instance.id`.
pub const MAX_NODE_BYTES: usize = 249;

/// What a batch of records may have on the wire: a largest value, its key, its header and the framing of the batch.
const MAX_BATCH_BYTES: usize = MAX_VALUE_BYTES + (64 << 10);
/// What the topics take: more than any client of ours sends, since framing is counted differently by client and broker.
pub(super) const TOPIC_MAX_BATCH_BYTES: usize = MAX_VALUE_BYTES + (128 << 10);

/// How long a client waits for the answer to a request, in milliseconds. The broker itself holds a request that waits for
/// replicas for at most [`REPLICATION_TIMEOUT_MS`].
const SOCKET_TIMEOUT_MS: u32 = 15_000;
/// How long a broker waits for the replicas before it tells the producer to ask again, in milliseconds.
const REPLICATION_TIMEOUT_MS: u32 = 10_000;
/// How long a connection may take to be made, in milliseconds.
const CONNECT_TIMEOUT_MS: u32 = 5_000;
/// The longest pause between two attempts to connect, in milliseconds: what decides how soon a returned broker is used.
const RECONNECT_MAX_MS: u32 = 1_000;
/// How long a broker holds a fetch that finds nothing, in milliseconds. A record ends the wait at once; but a partition
/// that is newly followed has to wait for it.
const FETCH_WAIT_MS: u32 = 50;
/// How long a client waits before it fetches again after its queue was full, in milliseconds.
const FETCH_BACKOFF_MS: u32 = 10;
/// What a client that follows partitions may have fetched and not yet handed on, in KiB.
const TAIL_PREFETCH_KIB: u32 = 16 << 10;
/// What a client that catches up may have fetched and not yet handed on, in KiB.
const CATCH_UP_PREFETCH_KIB: u32 = 4 << 10;

/// A text that is never written to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who may sign the brokers' certificates, as PEM; `None` takes the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The hub's own certificate as PEM, where brokers ask for one.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate as PEM.
    pub key_file: Option<PathBuf>,
}

/// How a password is shown to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// As it is; over TLS alone.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// How the brokers know the hub, and the hub them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all: for a network that nobody else is on.
    #[default]
    Plaintext,
    /// By certificates.
    Tls(Tls),
    /// By a name and a password.
    Sasl {
        /// How the password is shown.
        mechanism: SaslMechanism,
        /// The name.
        username: String,
        /// The password.
        password: Secret,
        /// How connections are encrypted; `None` leaves them plain, and is refused with [`SaslMechanism::Plain`].
        tls: Option<Tls>,
    },
}

/// How batches of records are packed on the wire and on the brokers' disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// Fast, to about a third for JSON.
    #[default]
    Lz4,
    /// Slower and smaller.
    Zstd,
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// How to open a [`super::KafkaLog`].
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Some brokers of the cluster, as `host:port`; the others are learned from them.
    pub brokers: Vec<String>,
    /// What the topics' and groups' names begin with: letters, digits, `.`, `_` and `-`.
    pub topic_prefix: String,
    /// Partitions of each topic, 1 to [`MAX_PARTITIONS`]. Must be what the log was made with.
    pub partitions: u32,
    /// How many brokers hold each record.
    pub replication: i32,
    /// How many of them must have a record before it counts as kept; fewer than `replication`, or no broker may fail.
    pub min_in_sync: i32,
    /// Records are removed once they stand in the log for longer than this. What takes longer to be derived is lost.
    pub retention: Duration,
    /// The name of this process in groups, another one for each process. If it comes back under the same name within
    /// `session_timeout`, its partitions have not moved. Empty: a member without a name.
    pub node: String,
    /// How the brokers know the hub, and the hub them.
    pub security: Security,
    /// How batches are packed.
    pub compression: Compression,
    /// How long a record waits for others to share its request. Under load requests are shared without it.
    pub linger: Duration,
    /// How long an append may take before it is given up as [`LogError::Unavailable`].
    pub append_timeout: Duration,
    /// How many bytes of records may wait for the brokers; further appends wait for room.
    pub queue_bytes: usize,
    /// How many bytes of a partition's last records are kept in memory for readers, for each partition that is followed.
    pub tail_bytes: usize,
    /// A member of a group that is silent for longer than this has its partitions given to others.
    pub session_timeout: Duration,
    /// How long a partition waits, at most, for who still works on it before it is handed over.
    pub handover_timeout: Duration,
}

impl KafkaOptions {
    /// A log on these brokers with everything else as usual: prefix `saler`, 8 partitions, one replica, 7 days of
    /// retention, no name, no encryption, lz4, 20 s for an append, 64 MiB of queue, tails of 4 MiB, 10 s for a session.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            brokers: brokers.into_iter().map(Into::into).collect(),
            topic_prefix: "saler".to_owned(),
            partitions: 8,
            replication: 1,
            min_in_sync: 1,
            retention: Duration::from_hours(7 * 24),
            node: String::new(),
            security: Security::default(),
            compression: Compression::default(),
            linger: Duration::ZERO,
            append_timeout: Duration::from_secs(20),
            queue_bytes: 64 << 20,
            tail_bytes: 4 << 20,
            session_timeout: Duration::from_secs(10),
            handover_timeout: Duration::from_secs(10),
        }
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        let faults = [self.check_names(), self.check_numbers(), self.check_security()];
        match faults.into_iter().flatten().next() {
            None => Ok(()),
            Some(reason) => Err(LogError::Invalid { reason }),
        }
    }

    fn check_names(&self) -> Option<String> {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let (prefix, node) = (&self.topic_prefix, &self.node);
        if self.brokers.is_empty() {
            return Some("brokers is empty: name at least one as host:port".to_owned());
        }
        for broker in &self.brokers {
            let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains([',', ' ']));
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                return Some(format!("the broker {broker:?} is not host:port, such as kafka-1:9092"));
            }
        }
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES || !is_name(prefix) {
            return Some(format!(
                "topic_prefix is {prefix:?}: it must be 1 to {MAX_PREFIX_BYTES} letters, digits, '.', '_' or '-'"
            ));
        }
        if node.len() > MAX_NODE_BYTES || !is_name(node) {
            return Some(format!(
                "node is {node:?}: it must be at most {MAX_NODE_BYTES} letters, digits, '.', '_' or '-'"
            ));
        }
        None
    }

    fn check_numbers(&self) -> Option<String> {
        let Self { partitions, replication, min_in_sync, queue_bytes, .. } = self;
        if !(1..=MAX_PARTITIONS).contains(partitions) {
            return Some(format!("partitions is {partitions}: it must be 1 to {MAX_PARTITIONS}"));
        }
        if *replication < 1 || *replication > i32::from(i16::MAX) {
            return Some(format!("replication is {replication}: it must be at least 1"));
        }
        if *min_in_sync < 1 || min_in_sync > replication {
            return Some(format!("min_in_sync is {min_in_sync}: it must be 1 to replication, which is {replication}"));
        }
        if *queue_bytes < 2 * MAX_APPEND_BYTES || u32::try_from(*queue_bytes).is_err() {
            return Some(format!(
                "queue_bytes is {queue_bytes}: it must be {} (two largest appends) to {}",
                2 * MAX_APPEND_BYTES,
                u32::MAX
            ));
        }
        let durations = [
            ("retention", self.retention, Duration::from_secs(1), Duration::from_hours(100 * 366 * 24)),
            ("linger", self.linger, Duration::ZERO, Duration::from_secs(1)),
            ("append_timeout", self.append_timeout, Duration::from_millis(100), Duration::from_mins(5)),
            ("session_timeout", self.session_timeout, Duration::from_secs(1), Duration::from_mins(10)),
            ("handover_timeout", self.handover_timeout, Duration::ZERO, Duration::from_mins(2)),
        ];
        durations
            .into_iter()
            .find(|(_, value, least, most)| value < least || value > most)
            .map(|(name, value, least, most)| format!("{name} is {value:?}: it must be {least:?} to {most:?}"))
    }

    fn check_security(&self) -> Option<String> {
        let tls = match &self.security {
            Security::Plaintext => None,
            Security::Tls(tls) => Some(tls),
            Security::Sasl { mechanism: SaslMechanism::Plain, tls: None, .. } => {
                return Some(
                    "security is SASL PLAIN without TLS, which shows the password to the network: set tls, or take \
                     SCRAM-SHA-512"
                        .to_owned(),
                );
            }
            Security::Sasl { tls, .. } => tls.as_ref(),
        }?;
        if tls.certificate_file.is_some() != tls.key_file.is_some() {
            return Some("certificate_file and key_file go together: set both or none".to_owned());
        }
        [("ca_file", &tls.ca_file), ("certificate_file", &tls.certificate_file), ("key_file", &tls.key_file)]
            .into_iter()
            .filter_map(|(name, file)| file.as_ref().map(|file| (name, file)))
            .find(|(_, file)| !file.is_file())
            .map(|(name, file)| format!("{name} is {}: there is no such file", file.display()))
    }

    /// The brokers, for errors and for librdkafka.
    pub(super) fn broker_list(&self) -> String {
        self.brokers.join(",")
    }

    /// The name of a group of the hub in Kafka.
    pub(super) fn group_id(&self, kind: &str, name: &str) -> String {
        format!("{}.{kind}.{name}", self.topic_prefix)
    }

    /// What every client is told.
    pub(super) fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        let name = if self.node.is_empty() { format!("saler-{role}") } else { format!("saler-{role}-{}", self.node) };
        config
            .set("bootstrap.servers", self.broker_list())
            .set("client.id", name)
            .set("socket.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
            .set("socket.connection.setup.timeout.ms", CONNECT_TIMEOUT_MS.to_string())
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", RECONNECT_MAX_MS.to_string())
            .set("log.connection.close", "false")
            // A topic that was removed must be missed, not come back empty with a broker's default settings.
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        self.secure(&mut config);
        config
    }

    fn secure(&self, config: &mut ClientConfig) {
        let tls = match &self.security {
            Security::Plaintext => None,
            Security::Tls(tls) => {
                config.set("security.protocol", "ssl");
                Some(tls)
            }
            Security::Sasl { mechanism, username, password, tls } => {
                config
                    .set("security.protocol", if tls.is_some() { "sasl_ssl" } else { "sasl_plaintext" })
                    .set("sasl.mechanism", mechanism.name())
                    .set("sasl.username", username)
                    .set("sasl.password", password.reveal());
                tls.as_ref()
            }
        };
        let Some(tls) = tls else { return };
        let files = [
            ("ssl.ca.location", &tls.ca_file),
            ("ssl.certificate.location", &tls.certificate_file),
            ("ssl.key.location", &tls.key_file),
        ];
        for (setting, file) in files {
            if let Some(file) = file {
                config.set(setting, file.to_string_lossy());
            }
        }
    }

    /// A producer that neither loses, doubles nor reorders.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client("producer");
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A record that is given up would leave a gap before those after it. So librdkafka never gives one up; the
            // hub gives up a whole producer, with all that waits in it.
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true")
            .set("request.timeout.ms", REPLICATION_TIMEOUT_MS.to_string())
            .set("linger.ms", format!("{:.3}", self.linger.as_secs_f64() * 1_000.0))
            .set("compression.type", self.compression.name())
            .set("message.max.bytes", MAX_BATCH_BYTES.to_string())
            // The queue is bounded by `queue_bytes`, so that a full one makes callers wait instead of failing them.
            .set("queue.buffering.max.messages", "0");
        config
    }

    fn reader(&self, role: &str) -> ClientConfig {
        let mut config = self.client(role);
        config
            // Named because librdkafka wants it; nobody joins it and nothing is committed to it.
            .set("group.id", self.group_id("reader", role))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // An offset that is gone is reported, never skipped.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS.to_string())
            .set("fetch.error.backoff.ms", "200")
            .set("message.max.bytes", TOPIC_MAX_BATCH_BYTES.to_string())
            .set("max.partition.fetch.bytes", TOPIC_MAX_BATCH_BYTES.to_string());
        config
    }

    /// A client that follows the ends of partitions.
    pub(super) fn tail(&self) -> ClientConfig {
        let mut config = self.reader("tail");
        config.set("queued.max.messages.kbytes", TAIL_PREFETCH_KIB.to_string());
        config
    }

    /// A client that reads what is not in memory.
    pub(super) fn catch_up(&self) -> ClientConfig {
        let mut config = self.reader("catch-up");
        config.set("queued.max.messages.kbytes", CATCH_UP_PREFETCH_KIB.to_string());
        config
    }

    /// A client that keeps the offsets of a group.
    pub(super) fn offsets(&self, group: &str) -> ClientConfig {
        let mut config = self.client("offsets");
        config
            .set("group.id", self.group_id("offsets", group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    /// A client that is a member of a group.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.client("member");
        config
            .set("group.id", self.group_id("members", group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.session_timeout.as_millis() / 5).max(200).to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Partitions are paused once they are assigned: nothing is read through this client.
            .set("auto.offset.reset", "latest")
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "1");
        if !self.node.is_empty() {
            config.set("group.instance.id", &self.node);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut KafkaOptions)) -> String {
        let mut options = KafkaOptions::new(["127.0.0.1:9092"]);
        change(&mut options);
        options.check().unwrap_err().to_string()
    }

    #[test]
    fn takes_the_usual_and_refuses_the_impossible_by_name() {
        KafkaOptions::new(["kafka-1:9092", "[::1]:9092"]).check().unwrap();
        assert!(refusal(|options| options.brokers.clear()).contains("brokers is empty"));
        assert!(refusal(|options| options.brokers = vec!["kafka".to_owned()]).contains("not host:port"));
        assert!(refusal(|options| options.topic_prefix = "a b".to_owned()).contains("topic_prefix"));
        assert!(refusal(|options| options.node = "a/b".to_owned()).contains("node"));
        assert!(refusal(|options| options.partitions = 0).contains("partitions is 0"));
        assert!(refusal(|options| options.min_in_sync = 2).contains("min_in_sync is 2"));
        assert!(refusal(|options| options.queue_bytes = 1).contains("queue_bytes"));
        assert!(refusal(|options| options.session_timeout = Duration::ZERO).contains("session_timeout"));
    }

    #[test]
    fn refuses_a_password_in_the_clear_and_files_that_are_not_there() {
        let password = Secret::new("hush");
        assert_eq!(format!("{password:?}"), "***");
        let sasl = |tls| Security::Sasl {
            mechanism: SaslMechanism::Plain,
            username: "saler".to_owned(),
            password: password.clone(),
            tls,
        };
        assert!(refusal(|options| options.security = sasl(None)).contains("without TLS"));
        let tls = Tls { ca_file: Some("/nowhere/ca.pem".into()), ..Tls::default() };
        assert!(refusal(|options| options.security = sasl(Some(tls))).contains("ca_file is /nowhere/ca.pem"));
        let tls = Tls { key_file: Some("/nowhere/key.pem".into()), ..Tls::default() };
        assert!(refusal(|options| options.security = Security::Tls(tls)).contains("go together"));
    }
}
