//! The definitions of KPIs: the headers and the SQL of `kpis/*.sql`.

use schemas::kpi::{KpiBetter, KpiDefinition, KpiDimension, KpiKind, KpiUnit};

use super::KpiError;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(include_str!(concat!("../../kpis/", $name, ".sql"))),*]
    };
}

/// The files, in the order of the board.
const FILES: [&str; 43] = files![
    "messages_in",
    "messages_out",
    "messages_out_bot",
    "notes",
    "open",
    "unassigned",
    "unattended",
    "waiting",
    "oldest_wait_seconds",
    "pending",
    "snoozed",
    "first_response",
    "sla_at_risk",
    "sla_breached",
    "first_response_p50",
    "first_response_p90",
    "reply_time",
    "abandoned_wait",
    "resolution_time",
    "handle_time",
    "first_response_business",
    "reply_time_business",
    "abandoned_wait_business",
    "resolution_time_business",
    "handle_time_business",
    "opened",
    "resolved",
    "reopened",
    "transferred",
    "handed_off",
    "sla_applied",
    "sla_met",
    "sla_missed",
    "sla_hit_rate",
    "sla_first_response_hit_rate",
    "sla_next_response_hit_rate",
    "sla_resolution_hit_rate",
    "delivery_rate",
    "read_rate",
    "failure_rate",
    "reopen_rate",
    "negative_share",
    "positive_share",
];

/// The definitions, in the order of the board.
///
/// # Errors
/// If a file's header is not as it should be, which the tests rule out.
pub fn definitions() -> Result<Vec<KpiDefinition>, KpiError> {
    FILES.iter().map(|file| parse(file)).collect()
}

fn parse(file: &str) -> Result<KpiDefinition, KpiError> {
    let header = |field: &'static str| {
        file.lines()
            .filter_map(|line| line.strip_prefix("-- ")?.split_once(": "))
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .ok_or(KpiError::Header { field })
    };
    let sql: Vec<_> = file.lines().filter(|line| !line.starts_with("--")).collect();
    Ok(KpiDefinition {
        name: header("kpi")?,
        title: header("title")?,
        unit: named("unit", &header("unit")?, KpiUnit::ALL, KpiUnit::as_str)?,
        kind: named("kind", &header("kind")?, KpiKind::ALL, KpiKind::as_str)?,
        better: named("better", &header("better")?, KpiBetter::ALL, KpiBetter::as_str)?,
        dimensions: header("dimensions")?
            .split(", ")
            .map(|name| named("dimensions", name, KpiDimension::ALL, KpiDimension::as_str))
            .collect::<Result<_, _>>()?,
        live: named("live", &header("live")?, [true, false], |yes| if yes { "yes" } else { "no" })?,
        definition: header("definition")?,
        sql: sql.join("\n").trim().to_owned(),
    })
}

fn named<T: Copy, const N: usize>(
    field: &'static str,
    name: &str,
    all: [T; N],
    name_of: fn(T) -> &'static str,
) -> Result<T, KpiError> {
    all.into_iter().find(|known| name_of(*known) == name).ok_or(KpiError::Header { field })
}
