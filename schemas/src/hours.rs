//! Business hours: when a workspace is at work. How long that is between two instants, [`crate::calendar`] computes.

use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Weekday {
    /// Every day, as they follow each other.
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];
}

/// A stretch of work that begins on a day of each week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BusinessPeriod {
    /// The day on which it begins.
    pub weekday: Weekday,
    /// When it begins, `00:00` to `23:59`, in the workspace's time zone.
    #[schema(examples("09:00"))]
    pub opens: String,
    /// When it ends, `00:00` to `24:00`; on the next day if that is not after its beginning.
    #[schema(examples("17:30"))]
    pub closes: String,
}

/// A day on which no period begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Holiday {
    /// Which, as `2026-12-25`.
    #[schema(examples("2026-12-25"))]
    pub date: String,
    /// What people call it, up to 100 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// When a workspace is at work, in its time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BusinessHours {
    /// At least one; they do not overlap.
    pub periods: Vec<BusinessPeriod>,
    /// Each date at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Holiday>,
}
