//! SQL and KPIs over HTTP.

use serde::{Deserialize, Serialize};

use crate::kpi::{KpiBucket, KpiDimension};
use crate::{ChannelId, Timestamp, UserId};

/// A query over the workspace's own tables.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    /// One SELECT, at most 16,384 bytes.
    pub sql: String,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow calls it.
    pub data_type: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlAnswer {
    /// Columns.
    pub columns: Vec<SqlColumn>,
    /// Rows: one value for each column.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// `true` if there were more rows than an answer may have.
    pub truncated: bool,
}

/// With what numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiCompare {
    /// The range of the same length that ends where the range begins.
    Previous,
}

/// Which KPIs, over which range, cut and told apart how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KpiSeriesQuery {
    /// Names of KPIs that are no gauges, separated by commas: 1 to 12.
    pub kpis: String,
    /// Where the range begins: a whole minute.
    pub from: Timestamp,
    /// Where it ends: a whole minute, not part of it, at most 732 days later.
    pub to: Timestamp,
    /// How time is cut, into at most 1,000 buckets; `day` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub bucket: Option<KpiBucket>,
    /// By what numbers are told apart; not at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub by: Option<KpiDimension>,
    /// Only of this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// Only of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<UserId>,
    /// Only of conversations that had this label then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `previous`: tell the numbers of the range before, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub compare: Option<KpiCompare>,
    /// The most groups, 1 to 100; 20 if absent. The largest are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 100)]
    pub groups: Option<u32>,
}
