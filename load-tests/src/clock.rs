//! The one place where this program reads the wall clock. Latencies are taken with `tokio::time::Instant`, which is
//! monotonic and can be paused in tests.

use chrono::{DateTime, Utc};
use schemas::Timestamp;

/// The present instant, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "this program stands outside the hub and cannot use its clock port; everybody here asks this function"
)]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// An instant as Twilio writes it: RFC 2822, such as `Sun, 22 Nov 2026 09:30:00 +0000`.
pub fn rfc2822(at: Timestamp) -> String {
    to_chrono(at).to_rfc2822()
}

/// The day of an instant in UTC, such as `2026-11-22`.
pub fn day(at: Timestamp) -> String {
    to_chrono(at).format("%Y-%m-%d").to_string()
}

/// The ten digits of `RawDlrDoneDate` in Twilio's status callbacks: `YYMMDDhhmm`.
pub fn raw_done_date(at: Timestamp) -> String {
    to_chrono(at).format("%y%m%d%H%M").to_string()
}

fn to_chrono(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.unix_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_as_twilio_does() {
        let at: Timestamp = "2026-08-01T10:17:05Z".parse().unwrap();
        assert_eq!(rfc2822(at), "Sat, 1 Aug 2026 10:17:05 +0000");
        assert_eq!(day(at), "2026-08-01");
        assert_eq!(raw_done_date(at), "2608011017");
    }
}
