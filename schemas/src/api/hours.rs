//! Business hours as they are set.

use serde::Deserialize;

use crate::hours::{BusinessHours, BusinessPeriod, Holiday, Weekday};

/// A stretch of work to set.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBusinessPeriod {
    /// The day on which it begins.
    pub weekday: Weekday,
    /// When it begins, `00:00` to `23:59`, in the workspace's time zone.
    #[schema(examples("09:00"))]
    pub opens: String,
    /// When it ends, `00:00` to `24:00`; on the next day if that is not after its beginning.
    #[schema(examples("17:30"))]
    pub closes: String,
}

/// A holiday to set.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHoliday {
    /// Which day, as `2026-12-25`.
    #[schema(examples("2026-12-25"))]
    pub date: String,
    /// What people call it, up to 100 characters.
    #[serde(default)]
    pub name: String,
}

/// Business hours to set, in place of those that were.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBusinessHours {
    /// 1 to 70; they do not overlap.
    pub periods: Vec<NewBusinessPeriod>,
    /// Days on which no period begins, up to 400.
    #[serde(default)]
    pub holidays: Vec<NewHoliday>,
}

impl From<NewBusinessHours> for BusinessHours {
    fn from(new: NewBusinessHours) -> Self {
        let period = |NewBusinessPeriod { weekday, opens, closes }| BusinessPeriod { weekday, opens, closes };
        let holiday = |NewHoliday { date, name }| Holiday { date, name };
        Self {
            periods: new.periods.into_iter().map(period).collect(),
            holidays: new.holidays.into_iter().map(holiday).collect(),
        }
    }
}
