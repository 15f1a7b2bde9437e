//! What single values cannot say: ranges, and what must fit together.

use super::{Config, KafkaSecurity, LogEngine, Role, Roles, Secret, TablesEngine, list_of};

/// The shortest secret that may guard anything, in characters.
const MIN_SECRET_CHARS: usize = 32;

/// Adds a sentence to `faults` for everything that cannot be.
pub(super) fn check(config: &Config, faults: &mut Vec<String>) {
    addresses(config, faults);
    engines(config, faults);
    kafka(config, faults);
    scylla(config, faults);
    analytics(config, faults);
    faults.extend(config.lake.options().err());
    faults.extend(config.lake.bucket().err());
    let http = &config.http;
    if !matches!(http.client_disconnect_timeout_ms, 0 | 1_000..) {
        faults.push(format!(
            "http.client_disconnect_timeout_ms is {}: set 0 or at least 1000; with values between, connections never close",
            http.client_disconnect_timeout_ms,
        ));
    }
    if !http.widget_demo.is_empty() && http.widget_demo.parse::<schemas::ChannelId>().is_err() {
        faults.push(format!("http.widget_demo is {:?}: write the id of a web chat channel", http.widget_demo));
    }
    long_enough("http.metrics_token", &http.metrics_token, faults);
    faults.extend(config.socket.faults());
    let auth = &config.auth;
    let mut range = |key: &str, value: u64, low: u64, high: u64| {
        if !(low..=high).contains(&value) {
            faults.push(format!("{key} is {value}: set a value from {low} to {high}"));
        }
    };
    range("http.shutdown_timeout_s", http.shutdown_timeout_s, 1, 60);
    range("http.json_limit_kb", http.json_limit_kb as u64, 16, 16_384);
    range("http.max_connections_per_worker", http.max_connections_per_worker as u64, 1, 1_000_000);
    range("files.max_mb", config.files.max_mb as u64, 1, 64);
    range("files.min_free_mb", config.files.min_free_mb, 0, 1 << 20);
    range("http.keep_alive_s", http.keep_alive_s, 1, 3_600);
    range("http.request_head_timeout_ms", http.request_head_timeout_ms, 100, 60_000);
    range("log.partitions", u64::from(config.log.partitions), 1, 256);
    range("log.interval_ms", config.log.interval_ms, 1, 60_000);
    range("log.segment_mb", config.log.segment_mb, 1, 1_024);
    range("tables.cache_mb", config.tables.cache_mb, 1, 1 << 20);
    range("auth.access_token_minutes", auth.access_token_minutes, 1, 60);
    range("auth.refresh_idle_days", auth.refresh_idle_days, 1, auth.refresh_absolute_days.min(365));
    range("auth.refresh_absolute_days", auth.refresh_absolute_days, 1, 365);
    range("auth.privileged_idle_hours", auth.privileged_idle_hours, 1, auth.privileged_absolute_hours);
    range("auth.privileged_absolute_hours", auth.privileged_absolute_hours, 1, auth.refresh_absolute_days * 24);
    range("auth.max_sessions", auth.max_sessions as u64, 1, 100);
    range("auth.failures_per_minute", u64::from(auth.failures_per_minute), 1, 1_000_000);
    range("lake.keep_replaced_minutes", config.lake.keep_replaced_minutes, 0, 60 * 24 * 30);
    range("lake.retention_days", config.lake.retention_days, 0, 36_500);
    range("sql.max_running", config.sql.max_running as u64, 1, 64);
    range("sql.timeout_ms", config.sql.timeout_ms, 100, 600_000);
    range(
        "sql.max_running_per_workspace",
        config.sql.max_running_per_workspace as u64,
        1,
        config.sql.max_running as u64,
    );
    range("sql.max_waiting_per_workspace", config.sql.max_waiting_per_workspace as u64, 0, 1_000);
    range("sql.memory_mb", config.sql.memory_mb, 512, 1 << 20);
    range("sql.max_rows", config.sql.max_rows as u64, 1, 10_000);
    range("outbound.max_in_flight_per_channel", config.outbound.max_in_flight_per_channel as u64, 1, 1_000);
    range("outbound.connect_timeout_ms", config.outbound.connect_timeout_ms, 100, 60_000);
    range("outbound.timeout_ms", config.outbound.timeout_ms, 100, 120_000);
    if let Err(error) = config.telemetry.level.parse::<tracing_subscriber::filter::EnvFilter>() {
        faults.push(format!("telemetry.level is not a filter: {error}; write a level such as info"));
    }
}

fn long_enough(key: &str, secret: &Secret, faults: &mut Vec<String>) {
    if secret.expose().is_some_and(|token| token.chars().count() < MIN_SECRET_CHARS) {
        faults.push(format!("{key} is short: use at least {MIN_SECRET_CHARS} random characters, or none"));
    }
}

/// Whether a text has 1 to `longest` characters, all of them letters, digits or of `others`.
fn is_plain(text: &str, longest: usize, others: &str) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// What is kept in one place and what in the other belongs together.
fn engines(config: &Config, faults: &mut Vec<String>) {
    match (config.log.engine, config.tables.engine) {
        (LogEngine::Embedded, TablesEngine::Embedded) | (LogEngine::Kafka, TablesEngine::Scylla) => {}
        (LogEngine::Kafka, TablesEngine::Embedded) => faults.push(
            "tables.engine is \"embedded\", but log.engine is \"kafka\": set tables.engine to \"scylla\", or both to \"embedded\""
                .to_owned(),
        ),
        (LogEngine::Embedded, TablesEngine::Scylla) => faults.push(
            "log.engine is \"embedded\", but tables.engine is \"scylla\": set log.engine to \"kafka\", or both to \"embedded\""
                .to_owned(),
        ),
    }
    if !config.node.name.is_empty() && !is_plain(&config.node.name, 100, "._-") {
        faults.push("node.name: write at most 100 letters, digits, dots, underscores and dashes".to_owned());
    }
}

fn kafka(config: &Config, faults: &mut Vec<String>) {
    let kafka = &config.kafka;
    if config.log.engine == LogEngine::Kafka && list_of(&kafka.brokers).is_empty() {
        faults.push("kafka.brokers is empty: name at least one, such as \"kafka-1:9092\"".to_owned());
    }
    if !is_plain(&kafka.topic_prefix, 100, "._-") {
        faults.push("kafka.topic_prefix: write 1 to 100 letters, digits, dots, underscores and dashes".to_owned());
    }
    if !(1..=9).contains(&kafka.replication) {
        faults.push(format!("kafka.replication is {}: set a value from 1 to 9", kafka.replication));
    }
    if !(1..=kafka.replication).contains(&kafka.min_in_sync) {
        faults.push(format!(
            "kafka.min_in_sync is {}: set a value from 1 to kafka.replication, which is {}",
            kafka.min_in_sync, kafka.replication
        ));
    }
    if !(1_000..=300_000).contains(&kafka.session_timeout_ms) {
        faults
            .push(format!("kafka.session_timeout_ms is {}: set a value from 1000 to 300000", kafka.session_timeout_ms));
    }
    if kafka.security.signs_in() {
        if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&kafka.sasl_mechanism.as_str()) {
            faults.push("kafka.sasl_mechanism: write \"PLAIN\", \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\"".to_owned());
        }
        if kafka.username.is_empty() || kafka.password.expose().is_none() {
            faults.push("kafka.security wants a sign-in: set kafka.username and kafka.password".to_owned());
        }
        if kafka.security == KafkaSecurity::SaslPlaintext && kafka.sasl_mechanism == "PLAIN" {
            faults.push(
                "kafka.sasl_mechanism \"PLAIN\" shows the password to the network: set kafka.security to \"sasl_tls\", or \
                 take \"SCRAM-SHA-512\""
                    .to_owned(),
            );
        }
    }
}

fn scylla(config: &Config, faults: &mut Vec<String>) {
    let scylla = &config.scylla;
    if config.tables.engine == TablesEngine::Scylla && list_of(&scylla.nodes).is_empty() {
        faults.push("scylla.nodes is empty: name at least one, such as \"scylla-1:9042\"".to_owned());
    }
    let is_name = is_plain(&scylla.keyspace, 48, "_") && scylla.keyspace.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_name || scylla.keyspace.chars().any(|c| c.is_ascii_uppercase()) {
        faults.push(
            "scylla.keyspace: write a lower-case letter, then up to 47 of them, digits and underscores".to_owned(),
        );
    }
    if !(1..=9).contains(&scylla.replication) {
        faults.push(format!("scylla.replication is {}: set a value from 1 to 9", scylla.replication));
    }
    if scylla.tls && scylla.ca_file.is_empty() {
        faults.push("scylla.tls wants scylla.ca_file: the certificates that nodes are checked with, as PEM".to_owned());
    }
    if scylla.username.is_empty() != scylla.password.expose().is_none() {
        faults.push("scylla.username and scylla.password: set both, or none".to_owned());
    }
    if !(100..=60_000).contains(&scylla.request_timeout_ms) {
        faults
            .push(format!("scylla.request_timeout_ms is {}: set a value from 100 to 60000", scylla.request_timeout_ms));
    }
}

fn analytics(config: &Config, faults: &mut Vec<String>) {
    long_enough("analytics.token", &config.analytics.token, faults);
    for url in config.analytics.urls() {
        if !url::Url::parse(&url).is_ok_and(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.has_host()) {
            faults.push(format!("analytics.urls: {url:?} is no address: write http:// or https:// and the host"));
        }
    }
    if !config.analytics.urls().is_empty() && config.analytics.token.expose().is_none() {
        faults.push("analytics.urls are set, but no analytics.token: set the one of those processes".to_owned());
    }
}

impl Config {
    /// Whether a process with these roles can run by this configuration; else what must be set, in one sentence each.
    pub fn faults_of_roles(&self, roles: &Roles) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.is_shared() && !roles.are_all() {
            let missing: Vec<_> = roles.missing().map(Role::as_str).collect();
            faults.push(format!(
                "--roles: {} missing; with log.engine and tables.engine \"embedded\" all roles run in one process: write \
                 --roles all, or set log.engine to \"kafka\" and tables.engine to \"scylla\"",
                missing.join(", ")
            ));
        }
        if roles.has(Role::Analytics) && !roles.has(Role::Gateway) && self.analytics.token.expose().is_none() {
            faults.push(
                "analytics.token is empty: set it, so that gateways can ask this process with the role analytics"
                    .to_owned(),
            );
        }
        faults
    }
}

fn addresses(config: &Config, faults: &mut Vec<String>) {
    let url = &config.http.public_url;
    if !url.is_empty() {
        let sound = url::Url::parse(url).is_ok_and(|parsed| {
            matches!(parsed.scheme(), "http" | "https") && parsed.query().is_none() && parsed.fragment().is_none()
        });
        if !sound || url.ends_with('/') {
            faults.push(format!(
                "http.public_url is {url:?}: write http:// or https://, the host, and no slash at the end"
            ));
        }
    }
}
