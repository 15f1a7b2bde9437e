//! KPIs as the API and the socket show them. What each means is stated once, beside the SQL that computes it; a
//! [`KpiDefinition`] carries that sentence to whoever shows the number.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, Timestamp, UserId, WorkspaceId};

/// What a KPI's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiUnit {
    /// Messages.
    Messages,
    /// Conversations.
    Conversations,
    /// How often something happened.
    Times,
    /// Seconds.
    Seconds,
    /// A part of a whole, 0 to 1.
    Ratio,
}

impl KpiUnit {
    /// Every unit.
    pub const ALL: [Self; 5] = [Self::Messages, Self::Conversations, Self::Times, Self::Seconds, Self::Ratio];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Times => "times",
            Self::Seconds => "seconds",
            Self::Ratio => "ratio",
        }
    }
}

/// How a KPI is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiKind {
    /// How many, in a period.
    Count,
    /// How long: how many durations ended in a period, their average, percentiles and histogram.
    Duration,
    /// Which part of a whole, in a period.
    Ratio,
    /// What stands now; it has no past.
    Gauge,
}

impl KpiKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Count, Self::Duration, Self::Ratio, Self::Gauge];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Duration => "duration",
            Self::Ratio => "ratio",
            Self::Gauge => "gauge",
        }
    }
}

/// Which way a KPI's number should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiBetter {
    /// Up.
    Higher,
    /// Down.
    Lower,
    /// Neither.
    Neutral,
}

impl KpiBetter {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Higher, Self::Lower, Self::Neutral];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Neutral => "neutral",
        }
    }
}

/// By what a KPI's number can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiDimension {
    /// Channels, by id.
    Channel,
    /// Agents, by id; nobody is a group of its own.
    Agent,
    /// Labels, by name.
    Label,
}

impl KpiDimension {
    /// Every dimension.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Agent, Self::Label];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Agent => "agent",
            Self::Label => "label",
        }
    }
}

/// How time is cut. Days, weeks and months are those of the workspace's time zone; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiBucket {
    /// Not at all: the whole range is one.
    None,
    /// A minute.
    Minute,
    /// Fifteen minutes.
    QuarterHour,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
}

impl KpiBucket {
    /// Every bucket.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minute, Self::QuarterHour, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The name on the wire and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minute => "minute",
            Self::QuarterHour => "quarter_hour",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What a KPI is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiDefinition {
    /// Its name on the wire and in SQL, such as `first_response_p50`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What its number counts.
    pub unit: KpiUnit,
    /// How it is measured.
    pub kind: KpiKind,
    /// Which way it should go.
    pub better: KpiBetter,
    /// By what it can be told apart.
    pub dimensions: Vec<KpiDimension>,
    /// Whether the live board shows it.
    pub live: bool,
    /// What it means.
    pub definition: String,
    /// The SQL that computes it, over `cells` (what happened) or `gauges` (what stands) of one workspace.
    pub sql: String,
}

/// Every KPI, in the order of the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiDefinitions {
    /// Them.
    pub items: Vec<KpiDefinition>,
}

/// A bin of a histogram of durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiBin {
    /// Its lower bound, seconds; belongs to the bin before.
    pub from: f64,
    /// Its upper bound, seconds; absent for the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// How many durations it holds.
    pub count: u64,
}

/// A KPI's number with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiMeasure {
    /// What to show: how many, the median of durations, or the part of the whole. Absent if there is nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// How many durations there were, or how large the whole is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How much of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// The average of durations, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// The median, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// What nine in ten do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// What 95 in 100 do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// What 99 in 100 do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// How the durations are spread; bins without any are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<KpiBin>,
}

/// One group of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiGroup {
    /// The channel's or agent's id or the label; null for nobody, or if nothing is told apart.
    pub key: Option<String>,
    /// Over the whole range.
    pub total: KpiMeasure,
    /// Over the range before, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<KpiMeasure>,
    /// One for each bucket; null where there is nothing to measure.
    pub points: Vec<Option<KpiMeasure>>,
}

/// A KPI over a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiSeries {
    /// The name of its definition.
    pub kpi: String,
    /// What its number counts.
    pub unit: KpiUnit,
    /// How it is measured.
    pub kind: KpiKind,
    /// Which way it should go.
    pub better: KpiBetter,
    /// Over the whole range, whatever the groups.
    pub total: KpiMeasure,
    /// Over the range before, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<KpiMeasure>,
    /// How many groups there are beyond those told.
    pub groups_left_out: u64,
    /// The groups, largest first.
    pub groups: Vec<KpiGroup>,
    /// The SQL that gives the same numbers.
    pub sql: String,
}

/// From one instant to another, which is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiRange {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// KPIs over a range, cut into buckets and told apart by a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiSeriesAnswer {
    /// The time zone of the buckets.
    pub time_zone: String,
    /// The range.
    #[serde(flatten)]
    pub range: KpiRange,
    /// How time is cut.
    pub bucket: KpiBucket,
    /// By what numbers are told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KpiDimension>,
    /// When it was computed.
    pub as_of: Timestamp,
    /// The range before, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<KpiRange>,
    /// Where buckets begin. Each ends where the next begins; the last one at the end of the range.
    pub buckets: Vec<Timestamp>,
    /// One for each KPI asked for, in that order.
    pub series: Vec<KpiSeries>,
}

/// One number of a board.
///
/// Without `channel_id` and `agent_id` it is of the whole workspace; with one of them, of that channel or that agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiValue {
    /// The name of its definition.
    pub kpi: String,
    /// The channel that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// The agent that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<UserId>,
    /// The number; absent for a KPI that is told by `since`, or if there is nothing to measure yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// For a duration that still runs: when it began. Whoever shows it lets it tick, so it is not sent every second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What the number counts.
    pub unit: KpiUnit,
    /// How many durations there were, or how large the whole is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How much of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// The average of durations, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// The median, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// What nine in ten do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// What 95 in 100 do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// What 99 in 100 do not exceed, seconds, within 1 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// The KPIs of a workspace at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KpiBoard {
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Grows with each board that this process computes for the workspace; 0 is a board that is not computed yet.
    pub revision: u64,
    /// When it was computed.
    pub as_of: Timestamp,
    /// By KPI in the order of the definitions, then the workspace's number, its channels', its agents'.
    pub values: Vec<KpiValue>,
}
