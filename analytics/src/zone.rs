//! Buckets of time in a time zone.
//!
//! Every instant lies in exactly one bucket of a kind, and buckets follow each other without holes, whatever the zone does:
//! a day may have 23 or 25 hours, may begin at one o'clock, and a change of the clock within an hour ends that bucket. Days
//! are those of the local date; minutes and hours begin where local clocks show them to. Where clocks go back over midnight, the
//! day begins at the first midnight: what they show again of the day before belongs to the new one.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, Offset, TimeZone};
use chrono_tz::Tz;
use schemas::Timestamp;
use schemas::kpi::KpiBucket;
use schemas::zone::{earliest, local, utc};

/// Where the bucket begins that holds an instant; `None` for [`KpiBucket::None`], which has no beginning.
pub fn bucket_start(bucket: KpiBucket, zone: Tz, at: Timestamp) -> Option<Timestamp> {
    let date = day_of(zone, at);
    Some(match bucket {
        KpiBucket::None => return None,
        KpiBucket::Minute => short_bucket(60, zone, at),
        KpiBucket::QuarterHour => short_bucket(15 * 60, zone, at),
        KpiBucket::Hour => short_bucket(60 * 60, zone, at),
        KpiBucket::Day => midnight(zone, date),
        KpiBucket::Week => midnight(zone, monday(date)),
        KpiBucket::Month => midnight(zone, date.with_day(1).unwrap_or(date)),
    })
}

/// Where the bucket after the one that holds an instant begins.
pub fn next_start(bucket: KpiBucket, zone: Tz, at: Timestamp) -> Option<Timestamp> {
    let start = bucket_start(bucket, zone, at)?;
    let date = day_of(zone, at);
    let following = match bucket {
        KpiBucket::None => return None,
        KpiBucket::Minute => return after_short(60, bucket, zone, start),
        KpiBucket::QuarterHour => return after_short(15 * 60, bucket, zone, start),
        KpiBucket::Hour => return after_short(60 * 60, bucket, zone, start),
        KpiBucket::Day => date.checked_add_days(Days::new(1)),
        KpiBucket::Week => monday(date).checked_add_days(Days::new(7)),
        KpiBucket::Month => date.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
    }?;
    // A date that a zone has left out begins and ends at the same instant: the bucket is that of the day after.
    let found = midnight(zone, following);
    if found > start { Some(found) } else { Some(midnight(zone, following.checked_add_days(Days::new(1))?)) }
}

/// Where the buckets begin that hold any part of a range, in order, at most `limit` and one more.
pub fn starts(bucket: KpiBucket, zone: Tz, from: Timestamp, to: Timestamp, limit: usize) -> Vec<Timestamp> {
    let first = bucket_start(bucket, zone, from);
    let following = |start: &Timestamp| next_start(bucket, zone, *start).filter(|next| next > start && *next < to);
    std::iter::successors(first, following).take(limit + 1).collect()
}

fn after_short(seconds: i64, bucket: KpiBucket, zone: Tz, start: Timestamp) -> Option<Timestamp> {
    let mut next = bucket_start(bucket, zone, plus(start, seconds))?;
    // A change of the clock may have made a shorter bucket between.
    loop {
        let before = bucket_start(bucket, zone, Timestamp::from_unix_micros(next.unix_micros() - 1))?;
        if before <= start {
            return Some(next);
        }
        next = before;
    }
}

/// A bucket of at most an hour: by the local clock, but it does not reach over a change of the clock.
fn short_bucket(seconds: i64, zone: Tz, at: Timestamp) -> Timestamp {
    let now = offset(zone, at);
    let floor = (at.unix_seconds() + now).div_euclid(seconds) * seconds - now;
    if offset(zone, Timestamp::from_unix_seconds(floor)) == now {
        return Timestamp::from_unix_seconds(floor);
    }
    let (mut before, mut after) = (floor, at.unix_seconds());
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(zone, Timestamp::from_unix_seconds(middle)) == now {
            after = middle;
        } else {
            before = middle;
        }
    }
    Timestamp::from_unix_seconds(after)
}

/// The day to which an instant counts: the local date, or the one after it, if that has begun and clocks then went back.
fn day_of(zone: Tz, at: Timestamp) -> NaiveDate {
    let date = local(zone, at).date();
    let following = date.checked_add_days(Days::new(1));
    following.filter(|following| midnight(zone, *following) <= at).unwrap_or(date)
}

fn midnight(zone: Tz, date: NaiveDate) -> Timestamp {
    earliest(zone, date.and_time(NaiveTime::MIN))
}

fn monday(date: NaiveDate) -> NaiveDate {
    let back = u64::from(date.weekday().num_days_from_monday());
    date.checked_sub_days(Days::new(back)).unwrap_or(date)
}

fn offset(zone: Tz, at: Timestamp) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&utc(at).naive_utc()).fix().local_minus_utc())
}

fn plus(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(at.unix_micros().saturating_add(seconds.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZONES: [&str; 9] = [
        "UTC",
        "Asia/Amman",
        "America/New_York",
        "America/Havana",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/St_Johns",
        "Pacific/Apia",
    ];

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn every_instant_lies_in_one_bucket_and_buckets_follow_each_other(
            zone_number in 0..ZONES.len(), bucket in 1..KpiBucket::ALL.len(), seconds in 1_000_000_000_i64..2_000_000_000,
        ) {
            let (zone, bucket) = (zone(ZONES[zone_number]), KpiBucket::ALL[bucket]);
            let at = Timestamp::from_unix_seconds(seconds);
            let start = bucket_start(bucket, zone, at).unwrap();
            let next = next_start(bucket, zone, at).unwrap();
            prop_assert!(start <= at && at < next, "{start} {at} {next}");
            prop_assert_eq!(bucket_start(bucket, zone, start), Some(start));
            let last = Timestamp::from_unix_micros(next.unix_micros() - 1);
            prop_assert_eq!(bucket_start(bucket, zone, last), Some(start));
            prop_assert_eq!(bucket_start(bucket, zone, next), Some(next));
            if bucket == KpiBucket::Day {
                let ahead = (local(zone, start).date() - local(zone, at).date()).num_days();
                let went_back = offset(zone, at) < offset(zone, start);
                prop_assert!(ahead == 0 || ahead == 1 && went_back, "{start} {at}");
            }
        }

        #[test]
        fn never_panics_on_any_instant(micros: i64, bucket in 0..KpiBucket::ALL.len(), zone_number in 0..ZONES.len()) {
            let at = Timestamp::from_unix_micros(micros);
            let _start = bucket_start(KpiBucket::ALL[bucket], zone(ZONES[zone_number]), at);
        }
    }

    #[test]
    fn days_are_as_long_as_the_zone_makes_them() {
        let starts_of =
            |name: &str, from: &str, to: &str| starts(KpiBucket::Day, zone(name), instant(from), instant(to), 10);
        let new_york = starts_of("America/New_York", "2026-03-07T05:00:00Z", "2026-03-10T04:00:00Z");
        assert_eq!(new_york, ["2026-03-07T05:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"].map(instant));
        // Midnight does not exist: the day begins at one o'clock.
        let cairo = starts_of("Africa/Cairo", "2026-04-23T21:59:59Z", "2026-04-24T21:00:00Z");
        assert_eq!(cairo, ["2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z"].map(instant));
        assert_eq!(local(zone("Africa/Cairo"), cairo[1]).to_string(), "2026-04-24 01:00:00");
    }

    #[test]
    fn what_clocks_show_again_after_midnight_belongs_to_the_new_day() {
        // One minute after midnight it became 23:01 of the day before.
        let zone = zone("America/St_Johns");
        let found = starts(KpiBucket::Day, zone, instant("2009-10-31T12:00:00Z"), instant("2009-11-02T12:00:00Z"), 10);
        assert_eq!(found, ["2009-10-31T02:30:00Z", "2009-11-01T02:30:00Z", "2009-11-02T03:30:00Z"].map(instant));
        let again = instant("2009-11-01T02:45:00Z");
        assert_eq!(local(zone, again).to_string(), "2009-10-31 23:15:00");
        for (bucket, start) in [(KpiBucket::Day, found[1]), (KpiBucket::Month, found[1])] {
            assert_eq!(bucket_start(bucket, zone, again), Some(start));
        }
    }

    #[test]
    fn an_hour_that_clocks_show_twice_is_two_buckets() {
        let zone = zone("America/New_York");
        let found = starts(KpiBucket::Hour, zone, instant("2026-11-01T04:30:00Z"), instant("2026-11-01T08:00:00Z"), 10);
        let expected = ["2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"];
        assert_eq!(found, expected.map(instant));
        assert_eq!(
            starts(KpiBucket::Minute, zone, instant("2026-11-01T00:00:00Z"), instant("2026-11-02T00:00:00Z"), 9).len(),
            10
        );
    }
}
