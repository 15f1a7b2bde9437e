//! Settings of the service as they are read and set.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::conversation::{Priority, Status};
use crate::sla::SlaPolicy;
use crate::{ChannelId, SlaPolicyId};

/// The policies of service levels, in the order in which they are looked through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SlaPolicies {
    /// Grows with every change; 0 if there never was one.
    pub version: u64,
    /// The first that matches a conversation holds for it.
    pub policies: Vec<SlaPolicy>,
}

/// A policy of service levels to set.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSlaPolicy {
    /// The id that it has; absent for a new one.
    #[serde(default)]
    pub id: Option<SlaPolicyId>,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Only for these priorities; for all, if there is none.
    #[serde(default)]
    pub priorities: BTreeSet<Priority>,
    /// Only on these channels; on all, if there is none.
    #[serde(default)]
    pub channels: BTreeSet<ChannelId>,
    /// Only with one of these labels, at most 50; with any or none, if there is none.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// How soon a first response is promised, in seconds, 1 to 31,622,400.
    #[serde(default)]
    pub first_response_seconds: Option<u32>,
    /// How soon each next response is promised, in seconds.
    #[serde(default)]
    pub next_response_seconds: Option<u32>,
    /// How soon the resolution is promised, in seconds.
    #[serde(default)]
    pub resolution_seconds: Option<u32>,
    /// Whether only time within the workspace's business hours counts. Then there must be some.
    #[serde(default)]
    pub business_time: bool,
    /// In which statuses clocks are paused: `pending`, `snoozed`, both or none.
    #[serde(default)]
    pub pauses: BTreeSet<Status>,
    /// A warning is given once this part of the time is used up, in percent, 1 to 99; none is given, if absent.
    #[serde(default)]
    pub warn_percent: Option<u8>,
}

/// Policies of service levels to set, in place of those that were.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSlaPolicies {
    /// The version that was read: if there is another by now, nothing is changed.
    pub version: u64,
    /// At most 50. What is not among them is removed; what was promised by it stays promised.
    pub policies: Vec<NewSlaPolicy>,
}
