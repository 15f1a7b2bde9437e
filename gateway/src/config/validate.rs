//! What single values cannot say: ranges, and what must fit together.

use super::Config;

/// The shortest secret that may guard anything, in characters.
const MIN_SECRET_CHARS: usize = 32;

/// Adds a sentence to `faults` for everything that cannot be.
pub(super) fn check(config: &Config, faults: &mut Vec<String>) {
    addresses(config, faults);
    let http = &config.http;
    if !matches!(http.client_disconnect_timeout_ms, 0 | 1_000..) {
        faults.push(format!(
            "http.client_disconnect_timeout_ms is {}: set 0 or at least 1000; with values between, connections never close",
            http.client_disconnect_timeout_ms,
        ));
    }
    if http.metrics_token.expose().is_some_and(|token| token.chars().count() < MIN_SECRET_CHARS) {
        faults.push(format!("http.metrics_token is short: use at least {MIN_SECRET_CHARS} random characters, or none"));
    }
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
