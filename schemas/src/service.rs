//! How a workspace serves its customers: the settings that the conversation engine and whoever counts must know.
//!
//! Each kind of setting is told whole, with a version that grows, so that an old one never overwrites a newer one. They reach
//! the engine as commands and everybody else as events, so that whatever is counted uses what held at that moment.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::hours::BusinessHours;
use crate::sla::SlaPolicy;

/// A setting, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServiceSetting {
    /// When the workspace is at work.
    Hours {
        /// The IANA time zone of the hours.
        time_zone: String,
        /// The hours; absent if none are set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hours: Option<BusinessHours>,
    },
    /// What is promised to customers.
    Sla {
        /// The policies; the first that matches a conversation holds for it.
        policies: Vec<SlaPolicy>,
    },
}

impl ServiceSetting {
    /// The name of its kind, as in its `kind` field and in tables.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hours { .. } => "hours",
            Self::Sla { .. } => "sla",
        }
    }

    /// The calendar of these hours; `None` for other settings, if there are no hours, or if they cannot be (whoever set them
    /// has checked that they can).
    pub fn calendar(&self) -> Option<Calendar> {
        let Self::Hours { time_zone, hours } = self else { return None };
        Calendar::new(hours.as_ref()?, time_zone.parse().ok()?).ok()
    }
}

/// A setting with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionedSetting {
    /// Grows with every change of this kind.
    pub version: u64,
    /// As it is.
    pub setting: ServiceSetting,
}
