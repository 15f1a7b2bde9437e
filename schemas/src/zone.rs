//! What local clocks show, by the time zones of the IANA's database.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::Timestamp;

/// The local date and time at an instant.
pub fn local(zone: Tz, at: Timestamp) -> NaiveDateTime {
    utc(at).with_timezone(&zone).naive_local()
}

/// The first instant at which local clocks show this or later: where a clock jumps over it, the moment of the jump; where
/// they show it twice, the first time.
pub fn earliest(zone: Tz, wanted: NaiveDateTime) -> Timestamp {
    if let Some(found) = zone.from_local_datetime(&wanted).earliest() {
        return Timestamp::from_unix_micros(found.timestamp_micros());
    }
    // No zone is further from UTC than a day, so the jump lies between.
    let around = wanted.and_utc().timestamp();
    let (mut before, mut after) = (around - DAY_SECONDS, around + DAY_SECONDS);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if local(zone, Timestamp::from_unix_seconds(middle)) < wanted {
            before = middle;
        } else {
            after = middle;
        }
    }
    Timestamp::from_unix_seconds(after)
}

/// The seconds of a usual day.
const DAY_SECONDS: i64 = 86_400;

/// The instant as chrono has it, kept a month within what can be computed with, so that a zone's distance never leaves it.
pub fn utc(at: Timestamp) -> DateTime<Utc> {
    let (first, last) =
        (DateTime::<Utc>::MIN_UTC + TimeDelta::days(31), DateTime::<Utc>::MAX_UTC - TimeDelta::days(31));
    DateTime::from_timestamp_micros(at.unix_micros()).unwrap_or(last).clamp(first, last)
}
