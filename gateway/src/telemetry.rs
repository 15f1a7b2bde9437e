//! Logs and metrics of the process.
//!
//! Lines go to standard error, as text or JSON. They hold ids, counts and times: no message bodies, no secrets, no addresses
//! of people.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

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

/// Keeps metrics for `/metrics`. Once a process.
///
/// # Errors
/// [`TelemetryError::Metrics`].
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)
}
