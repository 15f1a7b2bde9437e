//! How long a workspace was at work between two instants, by its business hours and in its time zone.
//!
//! Pure: no clock. A week has any number of periods a day; a period may go on after midnight and belongs to the day on which
//! it begins, so a holiday takes away the periods that begin on it and leaves what has begun the day before. Where no hours
//! are set there is no business time, which is not the same as none of it: callers keep `None` and never a zero.
//!
//! Clocks that are changed: a period is from one time of the local clock to another, and as long as it then is. A time that
//! a clock jumps over is the moment of the jump; one that it shows twice is the first of both.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;

use crate::Timestamp;
use crate::hours::{BusinessHours, BusinessPeriod};
use crate::zone::{earliest, local};

/// The most periods of a week.
pub const MAX_PERIODS: usize = 70;
/// The most holidays.
pub const MAX_HOLIDAYS: usize = 400;
/// The longest name of a holiday, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// How many days [`Calendar::after`] looks ahead: ten years.
const MAX_DAYS: u64 = 3_660;

const DAY_MINUTES: u32 = 24 * 60;
const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;

/// Business hours that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct HoursError {
    /// Which field, such as `periods[2].closes`.
    pub field: String,
    /// What is wrong and what to write.
    pub reason: String,
}

/// A period of a day, in minutes after the midnight that the day begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Period {
    opens: u32,
    /// More than a day's minutes if it ends on the next day.
    closes: u32,
}

/// Business hours that were checked, in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
    /// Monday first, each in order.
    week: [Vec<Period>; 7],
    holidays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// Checks business hours.
    ///
    /// # Errors
    /// [`HoursError`], which names the field, for a time or date that is none, periods that overlap, or too many of them.
    pub fn new(hours: &BusinessHours, zone: Tz) -> Result<Self, HoursError> {
        let error = |field: String, reason: &str| Err(HoursError { field, reason: reason.to_owned() });
        if hours.periods.is_empty() {
            return error("periods".to_owned(), "there is none: write at least one, or remove the business hours");
        }
        if hours.periods.len() > MAX_PERIODS {
            return error("periods".to_owned(), &format!("write at most {MAX_PERIODS}"));
        }
        if hours.holidays.len() > MAX_HOLIDAYS {
            return error("holidays".to_owned(), &format!("write at most {MAX_HOLIDAYS}: leave out those long past"));
        }
        let mut week: [Vec<Period>; 7] = Default::default();
        let mut placed = Vec::with_capacity(hours.periods.len());
        for (number, period) in hours.periods.iter().enumerate() {
            let parsed = parse_period(number, period)?;
            let day = period.weekday as usize;
            if let Some(periods) = week.get_mut(day) {
                periods.push(parsed);
            }
            let midnight = u32::try_from(day).unwrap_or(0) * DAY_MINUTES;
            placed.push((midnight + parsed.opens, midnight + parsed.closes, number));
        }
        for periods in &mut week {
            periods.sort_unstable();
        }
        if let Some(number) = first_overlap(placed) {
            return error(format!("periods[{number}]"), "it overlaps another one: merge them, or let one end earlier");
        }
        let mut holidays = BTreeSet::new();
        for (number, holiday) in hours.holidays.iter().enumerate() {
            let Ok(date) = NaiveDate::parse_from_str(&holiday.date, "%Y-%m-%d") else {
                return error(format!("holidays[{number}].date"), "write a date such as 2026-12-25");
            };
            if holiday.name.chars().count() > MAX_NAME_CHARS || holiday.name.chars().any(char::is_control) {
                let reason = format!("write at most {MAX_NAME_CHARS} characters, no control characters");
                return error(format!("holidays[{number}].name"), &reason);
            }
            if !holidays.insert(date) {
                return error(format!("holidays[{number}].date"), "it is there twice: write each date once");
            }
        }
        Ok(Self { zone, week, holidays })
    }

    /// Whether the workspace is at work at an instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let today = local(self.zone, at).date();
        let yesterday = today.checked_sub_days(Days::new(1));
        let mut stretches = yesterday.into_iter().chain([today]).flat_map(|date| self.stretches(date));
        stretches.any(|(opens, closes)| opens <= at && at < closes)
    }

    /// How much business time lies between two instants, in microseconds; 0 if `to` is not after `from`.
    pub fn micros_between(&self, from: Timestamp, to: Timestamp) -> i64 {
        let mut sum = 0_i64;
        for date in self.dates(from) {
            let mut begun = false;
            for (opens, closes) in self.stretches(date) {
                begun |= opens < to;
                let overlap = closes.min(to).unix_micros() - opens.max(from).unix_micros();
                sum = sum.saturating_add(overlap.max(0));
            }
            if !begun && earliest(self.zone, date.and_time(NaiveTime::MIN)) >= to {
                break;
            }
        }
        sum
    }

    /// The first instant by which this much business time has passed since `from`; `None` if that takes over ten years.
    pub fn after(&self, from: Timestamp, micros: i64) -> Option<Timestamp> {
        let mut left = micros;
        if left <= 0 {
            return Some(from);
        }
        for date in self.dates(from).take(usize::try_from(MAX_DAYS).unwrap_or(usize::MAX)) {
            for (opens, closes) in self.stretches(date) {
                let begins = opens.max(from);
                let lasts = closes.unix_micros().saturating_sub(begins.unix_micros()).max(0);
                if lasts >= left {
                    return Some(Timestamp::from_unix_micros(begins.unix_micros() + left));
                }
                left -= lasts;
            }
        }
        None
    }

    /// The dates whose periods may reach `from` or what follows.
    fn dates(&self, from: Timestamp) -> impl Iterator<Item = NaiveDate> {
        let today = local(self.zone, from).date();
        let first = today.checked_sub_days(Days::new(1)).unwrap_or(today);
        std::iter::successors(Some(first), |date| date.checked_add_days(Days::new(1)))
    }

    /// The periods that begin on a date, as instants, in order.
    fn stretches(&self, date: NaiveDate) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        let day = usize::try_from(date.weekday().num_days_from_monday()).unwrap_or(0);
        let periods = self.week.get(day).filter(|_| !self.holidays.contains(&date));
        let at = move |minutes: u32| {
            let (days, minutes) = (minutes / DAY_MINUTES, minutes % DAY_MINUTES);
            let date = date.checked_add_days(Days::new(u64::from(days))).unwrap_or(date);
            let time = NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or(NaiveTime::MIN);
            earliest(self.zone, date.and_time(time))
        };
        periods.into_iter().flatten().map(move |period| (at(period.opens), at(period.closes)))
    }
}

/// How much business time lies between two instants, in microseconds; `None` where no hours are set.
pub fn business_micros(calendar: Option<&Calendar>, from: Timestamp, to: Timestamp) -> Option<i64> {
    calendar.map(|calendar| calendar.micros_between(from, to))
}

/// The number of a period that begins before another has ended, in a week that begins again after its end.
fn first_overlap(mut placed: Vec<(u32, u32, usize)>) -> Option<usize> {
    placed.sort_unstable();
    let (first_opens, ..) = *placed.first()?;
    let following = placed.iter().skip(1).map(|(opens, _, number)| (*opens, *number));
    let (.., first_number) = *placed.first()?;
    let wrapped = following.chain([(first_opens + WEEK_MINUTES, first_number)]);
    placed.iter().zip(wrapped).find(|((_, closes, _), (opens, _))| closes > opens).map(|(_, (_, number))| number)
}

fn parse_period(number: usize, period: &BusinessPeriod) -> Result<Period, HoursError> {
    let wrong = |field: &str, reason: &str| HoursError {
        field: format!("periods[{number}].{field}"),
        reason: reason.to_owned(),
    };
    let opens = minutes(&period.opens).filter(|minutes| *minutes < DAY_MINUTES);
    let opens = opens.ok_or_else(|| wrong("opens", "write a time from 00:00 to 23:59"))?;
    let closes = minutes(&period.closes).ok_or_else(|| wrong("closes", "write a time from 00:00 to 24:00"))?;
    Ok(Period { opens, closes: if closes > opens { closes } else { closes + DAY_MINUTES } })
}

/// The minutes of `HH:MM`, up to `24:00`.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hours::{Holiday, Weekday};
    use proptest::prelude::*;

    fn period(weekday: Weekday, opens: &str, closes: &str) -> BusinessPeriod {
        BusinessPeriod { weekday, opens: opens.to_owned(), closes: closes.to_owned() }
    }

    fn calendar(periods: Vec<BusinessPeriod>, holidays: &[&str], zone: &str) -> Result<Calendar, HoursError> {
        let holidays = holidays.iter().map(|date| Holiday { date: (*date).to_owned(), name: String::new() }).collect();
        Calendar::new(&BusinessHours { periods, holidays }, zone.parse().unwrap())
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(micros: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let micros = micros as f64;
        micros / 3.6e9
    }

    const ZONES: [&str; 5] = ["UTC", "Asia/Amman", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe"];

    /// Periods that do not overlap: each day has its own stretch of half-hours, the last one may go on after midnight.
    fn weeks() -> impl Strategy<Value = Vec<BusinessPeriod>> {
        let day = prop::collection::btree_set(2..47_u32, 0..5);
        prop::collection::vec((day, any::<bool>()), 7).prop_map(|days| {
            let text = |half_hours: u32| format!("{:02}:{:02}", half_hours / 2, half_hours % 2 * 30);
            let mut periods = vec![period(Weekday::Monday, "23:30", "24:00")];
            for (weekday, (marks, late)) in Weekday::ALL.into_iter().zip(days) {
                let marks: Vec<_> = marks.into_iter().collect();
                for pair in marks.chunks_exact(2) {
                    periods.push(period(weekday, &text(pair[0]), &text(pair[1])));
                }
                if late && weekday != Weekday::Monday {
                    periods.push(period(weekday, "23:30", "00:45"));
                }
            }
            periods
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn equals_a_count_of_open_minutes(
            periods in weeks(), zone in 0..ZONES.len(), start in 29_000_000_i64..30_000_000, length in 0..6_000_i64,
        ) {
            let calendar = calendar(periods, &["2026-03-08", "2026-04-24"], ZONES[zone]).unwrap();
            let at = |minute: i64| Timestamp::from_unix_seconds(minute * 60);
            let open = (start..start + length).filter(|minute| calendar.is_open(at(*minute))).count();
            let told = calendar.micros_between(at(start), at(start + length));
            prop_assert_eq!(told, i64::try_from(open).unwrap() * 60_000_000);
        }

        #[test]
        fn time_adds_up_never_exceeds_the_clock_and_after_is_its_inverse(
            periods in weeks(), zone in 0..ZONES.len(), start in 1_740_000_000_i64..1_800_000_000,
            first in 0..2_000_000_i64, second in 0..2_000_000_i64, wanted in 1..400_000_i64,
        ) {
            let calendar = calendar(periods, &["2026-01-01"], ZONES[zone]).unwrap();
            let at = Timestamp::from_unix_seconds;
            let (a, b, c) = (at(start), at(start + first), at(start + first + second));
            let sum = calendar.micros_between(a, b) + calendar.micros_between(b, c);
            prop_assert_eq!(calendar.micros_between(a, c), sum);
            prop_assert!(sum >= 0 && sum <= (first + second) * 1_000_000);
            prop_assert_eq!(calendar.micros_between(c, a), 0);
            let micros = wanted * 1_000_000;
            let due = calendar.after(a, micros).unwrap();
            prop_assert_eq!(calendar.micros_between(a, due), micros);
            let just_before = Timestamp::from_unix_micros(due.unix_micros() - 1);
            prop_assert_eq!(calendar.micros_between(a, just_before), micros - 1, "the first such instant");
        }
    }

    #[test]
    fn several_periods_a_day_holidays_and_nights() {
        let periods = vec![
            period(Weekday::Sunday, "09:00", "13:00"),
            period(Weekday::Sunday, "14:00", "18:00"),
            period(Weekday::Thursday, "20:00", "02:00"),
        ];
        let calendar = calendar(periods, &["2026-11-29"], "Asia/Amman").unwrap();
        // Sunday 22 November, 12:00 to 15:00 in Amman (UTC+3): an hour before lunch and one after it.
        let (noon, three) = (instant("2026-11-22T12:00:00+03:00"), instant("2026-11-22T15:00:00+03:00"));
        assert!((hours(calendar.micros_between(noon, three)) - 2.0).abs() < 1e-9);
        // The whole week: 8 hours of Sunday and the night of Thursday to Friday; the next Sunday is a holiday.
        let week = (instant("2026-11-22T00:00:00+03:00"), instant("2026-11-30T00:00:00+03:00"));
        assert!((hours(calendar.micros_between(week.0, week.1)) - 14.0).abs() < 1e-9);
        assert!(calendar.is_open(instant("2026-11-27T01:59:59+03:00")));
        assert!(!calendar.is_open(instant("2026-11-27T02:00:00+03:00")));
        assert!(!calendar.is_open(instant("2026-11-29T10:00:00+03:00")));
        let due = calendar.after(instant("2026-11-22T17:00:00+03:00"), 2 * 3_600_000_000);
        assert_eq!(due, Some(instant("2026-11-26T21:00:00+03:00")));
    }

    #[test]
    fn a_holiday_leaves_the_night_before_and_clocks_make_a_period_longer() {
        let nights = vec![period(Weekday::Saturday, "22:00", "06:00"), period(Weekday::Sunday, "22:00", "06:00")];
        let new_york = calendar(nights, &["2026-11-01"], "America/New_York").unwrap();
        let weekend = (instant("2026-10-31T12:00:00-04:00"), instant("2026-11-02T12:00:00-05:00"));
        // The night to Sunday has 25 hours' worth of clock: nine hours. Sunday's own is away.
        assert!((hours(new_york.micros_between(weekend.0, weekend.1)) - 9.0).abs() < 1e-9);
    }

    #[test]
    fn no_hours_are_not_zero_hours() {
        let (from, to) = (instant("2026-11-22T00:00:00Z"), instant("2026-11-23T00:00:00Z"));
        assert_eq!(business_micros(None, from, to), None);
        let mondays = calendar(vec![period(Weekday::Monday, "09:00", "17:00")], &[], "UTC").unwrap();
        assert_eq!(business_micros(Some(&mondays), from, to), Some(0));
        let always = Weekday::ALL.map(|day| period(day, "00:00", "24:00")).to_vec();
        let always = calendar(always, &[], "UTC").unwrap();
        assert_eq!(business_micros(Some(&always), from, to), Some(86_400_000_000));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let one = |opens: &str, closes: &str| calendar(vec![period(Weekday::Monday, opens, closes)], &[], "UTC");
        assert_eq!(one("9:00", "17:00").unwrap_err().field, "periods[0].opens");
        assert_eq!(one("24:00", "24:00").unwrap_err().field, "periods[0].opens");
        assert_eq!(one("09:00", "24:01").unwrap_err().field, "periods[0].closes");
        assert!(one("00:00", "24:00").is_ok() && one("09:00", "09:00").is_ok());
        assert_eq!(calendar(vec![], &[], "UTC").unwrap_err().field, "periods");
        let sunday_night = vec![period(Weekday::Sunday, "20:00", "08:00"), period(Weekday::Monday, "07:59", "12:00")];
        assert_eq!(calendar(sunday_night, &[], "UTC").unwrap_err().field, "periods[1]");
        let touching = vec![period(Weekday::Sunday, "20:00", "08:00"), period(Weekday::Monday, "08:00", "12:00")];
        assert!(calendar(touching.clone(), &[], "UTC").is_ok());
        assert_eq!(calendar(touching.clone(), &["tomorrow"], "UTC").unwrap_err().field, "holidays[0].date");
        let twice = calendar(touching, &["2026-12-25", "2026-12-25"], "UTC");
        assert_eq!(twice.unwrap_err().field, "holidays[1].date");
    }
}
