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
}

impl KpiUnit {
    /// Every unit.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Conversations, Self::Times, Self::Seconds];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Times => "times",
            Self::Seconds => "seconds",
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
    /// What it means, in one sentence.
    pub definition: String,
    /// The SQL that computes it, over the tables `cells` and `gauges` of one workspace.
    pub sql: String,
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
