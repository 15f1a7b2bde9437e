//! Logs and metrics of the process.
//!
//! Lines go to standard error, as text or JSON. They hold ids, counts and times: no message bodies, no secrets, no addresses
//! of people.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};
use MetricKind::{Counter, Gauge, Histogram};

/// Bounds of histograms of seconds: from a tenth of a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("telemetry.level is not a filter: write a level such as info")]
    Level(#[source] tracing_subscriber::filter::ParseError),
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
}

/// Sends log lines to standard error. A second call in one process changes nothing.
///
/// # Errors
/// [`TelemetryError::Level`].
pub fn start_logs(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = config.level.parse::<EnvFilter>().map_err(TelemetryError::Level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("log lines go elsewhere already");
    }
    Ok(())
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Many values; how they are spread.
    Histogram,
}

/// Every metric of the process: its kind, its name, what it says. Names end with their unit.
pub const METRICS: &[(MetricKind, &str, &str)] = &[
    (Counter, "saler_analytics_events_total", "Events that analytics has counted"),
    (Counter, "saler_analytics_lost_events_total", "Events that were gone from the log before analytics counted them"),
    (Counter, "saler_analytics_unanswered_total", "Questions that a process with the role analytics did not answer"),
    (Counter, "saler_analytics_unreadable_events_total", "Events that analytics could not read"),
    (Counter, "saler_lake_commits_total", "Commits to the Delta logs of the lake, and of its copy"),
    (Counter, "saler_lake_failures_total", "Failures to keep up the analytics' files, the lake and its copy"),
    (Histogram, "saler_engine_batch_seconds", "Time from reading a batch of commands to its events being published"),
    (Counter, "saler_engine_commands_total", "Commands that the conversation engine has applied"),
    (
        Gauge,
        "saler_engine_lag_commands",
        "Durable commands that the conversation engine has not applied yet, by partition",
    ),
    (Counter, "saler_engine_rejected_total", "Commands that the rules refused, by reason"),
    (Counter, "saler_engine_unreadable_commands_total", "Commands that the conversation engine could not read"),
    (Counter, "saler_http_responses_total", "Answers over HTTP, by class of status"),
    (Histogram, "saler_kpi_board_seconds", "Time to compute a board"),
    (Histogram, "saler_log_append_seconds", "Time of an append to the log on Kafka, by topic"),
    (Counter, "saler_log_appended_bytes_total", "Bytes appended to the log, by topic"),
    (Counter, "saler_log_appended_records_total", "Records appended to the log, by topic"),
    (Histogram, "saler_log_fsync_seconds", "Time of an fdatasync of the log, by topic"),
    (Histogram, "saler_log_group_calls", "Appends that shared one fdatasync, by topic"),
    (
        Counter,
        "saler_log_late_handovers_total",
        "Partitions that were handed to another process before work on them had ended",
    ),
    (Counter, "saler_log_memberships_lost_total", "Times that a group of processes was lost and joined anew"),
    (Counter, "saler_log_producers_replaced_total", "Producers that were replaced after they failed for good"),
    (Gauge, "saler_log_queued_bytes", "Bytes of records that wait for Kafka's brokers"),
    (Counter, "saler_log_refused_appends_total", "Appends that the log refused, by topic"),
    (Counter, "saler_log_removed_segments_total", "Files of the log that retention removed, by topic"),
    (
        Gauge,
        "saler_log_tail_lag_records",
        "Records that a follower of the log on Kafka has still to read, by partition",
    ),
    (
        Counter,
        "saler_outbound_breaker_openings_total",
        "Times that a provider that kept failing was left alone for a while",
    ),
    (Histogram, "saler_outbound_call_seconds", "Time of a call to a provider"),
    (Counter, "saler_outbound_calls_total", "Calls to providers, by what came of them"),
    (Gauge, "saler_outbound_in_flight", "Calls to providers that wait for their answer"),
    (
        Counter,
        "saler_outbound_late_claims_total",
        "Calls that were not made since the process had stood still just before them",
    ),
    (
        Counter,
        "saler_outbound_look_ups_total",
        "Searches at a provider for a message whose fate was not known, by result",
    ),
    (Gauge, "saler_outbound_open_breakers", "Channels whose provider keeps failing and is left alone for a while"),
    (
        Gauge,
        "saler_outbound_paused_channels",
        "Channels whose provider refuses the account or its configuration: their messages wait until that is mended",
    ),
    (
        Counter,
        "saler_outbound_pauses_total",
        "Times that a provider began to refuse a channel's account or configuration",
    ),
    (Gauge, "saler_outbound_pending", "Messages that wait to be sent"),
    (Counter, "saler_partition_failures_total", "Times that work on a partition failed and was tried again, by group"),
    (Gauge, "saler_partitions", "Partitions that this process works on, by group"),
    (Counter, "saler_partitions_superseded_total", "Times that another process had taken a partition over, by group"),
    (Counter, "saler_socket_closed_total", "Sockets that the hub closed, by reason"),
    (Gauge, "saler_socket_connections", "Open sockets"),
    (Counter, "saler_socket_deliveries_total", "Event frames given to sockets"),
    (Counter, "saler_socket_dropped_frames_total", "Ephemeral frames that a slow reader did not get"),
    (Counter, "saler_socket_events_total", "Events that were read for sockets"),
    (Counter, "saler_socket_refused_total", "Sockets that were not opened, by reason"),
    (Counter, "saler_socket_repeated_events_total", "Events that were published twice and pushed once"),
    (Counter, "saler_socket_replayed_frames_total", "Event frames sent to sockets that resumed"),
    (Counter, "saler_socket_resets_total", "Connections reset since their client did not read the close"),
    (Counter, "saler_socket_sign_ins_total", "Sign-ins over sockets, by whether they resumed and why not"),
    (Counter, "saler_socket_unreadable_events_total", "Events that could not be read for sockets"),
    (Histogram, "saler_sql_seconds", "Time of a query from start to answer"),
    (Counter, "saler_sql_stopped_total", "Processes of queries that were ended at a limit"),
    (Histogram, "saler_tables_batch_rows", "Rows that were written together"),
    (Gauge, "saler_tables_free_bytes", "Free space of the volume of the tables"),
    (
        Counter,
        "saler_tables_recovered_batches_total",
        "Batches that a process before left half applied and that were completed",
    ),
    (Counter, "saler_tables_request_failures_total", "Requests to the servers of the tables that failed, by operation"),
    (Counter, "saler_tables_refused_writes_total", "Writes that the tables refused"),
    (
        Counter,
        "saler_tables_requests_total",
        "Requests to the servers of the tables: reads, writes, conditional writes",
    ),
    (Counter, "saler_tables_rows_written_total", "Rows written to the servers of the tables"),
    (Gauge, "saler_tables_stalled", "1 while the tables wait for the disk"),
    (Counter, "saler_tables_stalls_total", "Times that the tables waited for the disk"),
    (Histogram, "saler_tables_write_seconds", "Time of a write to the tables, by whether it was synced"),
    (Counter, "saler_webhooks_total", "Webhooks, by provider and what came of them"),
];

/// Keeps metrics for `/metrics`. Once a process.
///
/// # Errors
/// [`TelemetryError::Metrics`].
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)?;
    for (kind, name, says) in METRICS {
        match kind {
            Counter => metrics::describe_counter!(*name, *says),
            Gauge => metrics::describe_gauge!(*name, *says),
            Histogram => metrics::describe_histogram!(*name, *says),
        }
    }
    Ok(handle)
}
