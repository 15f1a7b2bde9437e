//! The client of Twilio's Messages resource.
//!
//! Twilio has no idempotency key for sends. So a call whose end is not known is *ambiguous*, and [`TwilioSender::look_up`]
//! finds out by listing the messages to that number. The list is not narrowed by `DateSent`: a message that still waits
//! in Twilio's queue has no such date yet, and would be missed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Response, StatusCode, Url, header};
use schemas::Timestamp;
use schemas::channel::{ChannelRecord, Credentials, Medium, Secret};
use schemas::command::DeliveryReport;
use schemas::message::{DeliveryError, DeliveryStatus};
use serde::Deserialize;

use super::sender::{Candidate, LookUp, OutboundMessage, SendVerdict, Sender};
use crate::provider::twilio::errors::{Class, class, reason, remedy};
use crate::provider::twilio::status_of;

/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// How many messages a page of the list has.
const PAGE_SIZE: &str = "100";

/// The most pages that a look-up reads.
const MAX_PAGES: usize = 5;

/// The most candidates that a look-up returns.
const MAX_CANDIDATES: usize = 50;

/// By how much Twilio's clock may be behind ours.
const CLOCK_SLACK: Duration = Duration::from_mins(2);

/// What Twilio puts before the text of a trial account's messages.
const TRIAL_PREFIX: &str = "Sent from your Twilio trial account - ";

/// The client of one channel.
pub struct TwilioSender {
    client: reqwest::Client,
    /// `…/Accounts/AC…/Messages.json`; `None` if the configured address of the API is none.
    messages: Option<Url>,
    account_sid: String,
    token: Option<Secret>,
    medium: Medium,
    address: String,
    status_callback: String,
    messages_per_second: u32,
}

impl fmt::Debug for TwilioSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioSender").field("status_callback", &self.status_callback).finish_non_exhaustive()
    }
}

/// The fields of a message that matter here. Twilio adds others without notice.
#[derive(Deserialize)]
struct MessageResource {
    sid: String,
    status: Option<String>,
    error_code: Option<u32>,
    error_message: Option<String>,
    direction: Option<String>,
    body: Option<String>,
    num_media: Option<String>,
    date_created: Option<String>,
    messaging_service_sid: Option<String>,
}

#[derive(Deserialize)]
struct MessagePage {
    messages: Vec<MessageResource>,
    next_page_uri: Option<String>,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    code: Option<u32>,
    message: Option<String>,
}

/// An answer as it was read.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

fn error(code: &str, reason: impl Into<String>) -> DeliveryError {
    DeliveryError { code: code.to_owned(), reason: reason.into() }
}

impl TwilioSender {
    /// `None` if the channel is not one of Twilio.
    pub fn new(client: reqwest::Client, public_base: &str, record: &ChannelRecord) -> Option<Self> {
        let Credentials::Twilio { account_sid, auth_tokens, api_base, messages_per_second } = &record.credentials
        else {
            return None;
        };
        let channel = &record.channel;
        Some(Self {
            client,
            messages: messages_url(api_base, account_sid),
            account_sid: account_sid.clone(),
            token: auth_tokens.first().cloned(),
            medium: channel.medium,
            address: channel.address.clone(),
            status_callback: format!("{public_base}/webhooks/twilio/{}", channel.id),
            messages_per_second: (*messages_per_second).max(1),
        })
    }

    fn with_medium(&self, address: &str) -> String {
        match self.medium {
            Medium::Whatsapp if !address.starts_with("whatsapp:") => format!("whatsapp:{address}"),
            _ => address.to_owned(),
        }
    }

    fn is_messaging_service(&self) -> bool {
        self.address.starts_with("MG")
    }

    fn parameters(&self, message: &OutboundMessage) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("To", self.with_medium(&message.to))];
        if self.is_messaging_service() {
            parameters.push(("MessagingServiceSid", self.address.clone()));
        } else {
            parameters.push(("From", self.with_medium(&self.address)));
        }
        if !message.body.text.is_empty() {
            parameters.push(("Body", message.body.text.clone()));
        }
        parameters.extend(message.body.attachments.iter().map(|file| ("MediaUrl", file.url.clone())));
        if let (Medium::Whatsapp, Some(place)) = (self.medium, &message.body.location) {
            let label = place.label.as_deref().map(|label| format!("|{label}")).unwrap_or_default();
            parameters.push(("PersistentAction", format!("geo:{},{}{label}", place.latitude, place.longitude)));
        }
        parameters.push(("StatusCallback", self.status_callback.clone()));
        parameters
    }

    /// The address and the token; an error that says what the channel lacks.
    fn target(&self) -> Result<(Url, &Secret), DeliveryError> {
        let Some(url) = &self.messages else {
            return Err(error("invalid_configuration", "The channel's api_base is not an http address."));
        };
        match &self.token {
            Some(token) if !token.expose().is_empty() => Ok((url.clone(), token)),
            _ => Err(error("invalid_configuration", "The channel has no auth token.")),
        }
    }

    async fn page(&self, url: Url, token: &Secret) -> Result<MessagePage, (DeliveryError, bool)> {
        let request = self.client.get(url).basic_auth(&self.account_sid, Some(token.expose()));
        let answer = match request.send().await {
            Ok(response) => read(response).await,
            Err(failure) => Err(failure),
        };
        let answer = answer.map_err(|failure| (describe_failure(&failure), false))?;
        if !answer.status.is_success() {
            let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
            return Err((describe_refusal(answer.status, &body), !answer.status.is_server_error()));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_not_a_page| (error("unreadable_answer", "Twilio's list of messages cannot be read."), true))
    }

    /// Whether a message of the list says what ours says, on our behalf.
    fn is_like(&self, found: &MessageResource, message: &OutboundMessage) -> bool {
        let text = found.body.as_deref().unwrap_or_default();
        let text = text.strip_prefix(TRIAL_PREFIX).unwrap_or(text);
        let media = found.num_media.as_deref().and_then(|count| count.parse::<usize>().ok());
        found.direction.as_deref().is_none_or(|direction| direction == "outbound-api")
            && same_text(text, &message.body.text)
            && media.is_none_or(|count| count == message.body.attachments.len())
            && (!self.is_messaging_service() || found.messaging_service_sid.as_deref() == Some(self.address.as_str()))
    }
}

#[async_trait]
impl Sender for TwilioSender {
    async fn send(&self, message: &OutboundMessage) -> SendVerdict {
        let (url, token) = match self.target() {
            Ok(target) => target,
            Err(error) => return SendVerdict::ConfigOrAccount { error },
        };
        let request =
            self.client.post(url).basic_auth(&self.account_sid, Some(token.expose())).form(&self.parameters(message));
        match request.send().await {
            Err(failure) => judge_failure(&failure),
            Ok(response) => match read(response).await {
                Err(failure) => SendVerdict::Ambiguous { error: describe_failure(&failure) },
                Ok(answer) => judge(&answer),
            },
        }
    }

    async fn look_up(&self, message: &OutboundMessage, since: Timestamp) -> LookUp {
        let (mut url, token) = match self.target() {
            Ok(target) => target,
            Err(error) => return LookUp::Unknown { error, reached: true },
        };
        let base = url.clone();
        url.query_pairs_mut().append_pair("To", &self.with_medium(&message.to)).append_pair("PageSize", PAGE_SIZE);
        if !self.is_messaging_service() {
            url.query_pairs_mut().append_pair("From", &self.with_medium(&self.address));
        }
        let since = Timestamp::from_unix_micros(
            since.unix_micros().saturating_sub(i64::try_from(CLOCK_SLACK.as_micros()).unwrap_or(i64::MAX)),
        );
        let mut candidates = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = match self.page(url, token).await {
                Ok(page) => page,
                Err((error, reached)) => return LookUp::Unknown { error, reached },
            };
            let is_old = |found: &MessageResource| created_at(found).is_some_and(|at| at < since);
            let all_old = !page.messages.is_empty() && page.messages.iter().all(is_old);
            let like = page.messages.iter().filter(|found| !is_old(found) && self.is_like(found, message));
            candidates.extend(like.map(|found| Candidate { report: report_of(found) }));
            candidates.truncate(MAX_CANDIDATES);
            // The list stands newest first, so after a page of nothing but older ones there is no newer one.
            let Some(next) = page.next_page_uri.filter(|_| !all_old) else {
                return if candidates.is_empty() { LookUp::NotFound } else { LookUp::Found(candidates) };
            };
            // Credentials go to the configured API only, whatever the answer says.
            match base.join(&next).ok().filter(|next| next.origin() == base.origin() && next.path() == base.path()) {
                Some(next) => url = next,
                None => break,
            }
        }
        if candidates.is_empty() {
            let error = error("look_up_too_long", "Twilio lists too many messages to this contact to look through.");
            return LookUp::Unknown { error, reached: true };
        }
        LookUp::Found(candidates)
    }

    fn messages_per_second(&self) -> u32 {
        self.messages_per_second
    }
}

fn messages_url(api_base: &str, account_sid: &str) -> Option<Url> {
    let mut url = Url::parse(api_base).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(["2010-04-01", "Accounts", account_sid, "Messages.json"]);
    Some(url)
}

/// Reads an answer up to [`MAX_ANSWER_BYTES`]; what is beyond is left.
async fn read(mut response: Response) -> Result<Answer, reqwest::Error> {
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = text(header::RETRY_AFTER).and_then(|after| wait_of(after, text(header::DATE)));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend(chunk.iter().take(room));
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(Answer { status, retry_after, body })
}

/// A call that brought no answer.
fn judge_failure(failure: &reqwest::Error) -> SendVerdict {
    let error = describe_failure(failure);
    if failure.is_builder() {
        SendVerdict::ConfigOrAccount { error }
    } else if failure.is_connect() {
        // Name resolution, TCP or TLS failed: not a byte of the request went out.
        SendVerdict::Safe { error, retry_after: None, reached: false }
    } else {
        SendVerdict::Ambiguous { error }
    }
}

/// In our words, since the library's would name the address with the account in it.
fn describe_failure(failure: &reqwest::Error) -> DeliveryError {
    if failure.is_builder() {
        error("invalid_configuration", "The channel's api_base is not an http address.")
    } else if failure.is_connect() {
        error("connect_failed", "Twilio could not be reached.")
    } else if failure.is_timeout() {
        error("timed_out", "Twilio did not answer in time.")
    } else {
        error("connection_lost", "The connection to Twilio was lost before it answered.")
    }
}

fn describe_refusal(status: StatusCode, body: &ErrorBody) -> DeliveryError {
    match body.code {
        Some(code) => {
            let code = code.to_string();
            DeliveryError { reason: reason(&code, body.message.as_deref()), code }
        }
        None => error(
            &format!("http_{}", status.as_u16()),
            format!("Twilio answered with HTTP status {}.", status.as_u16()),
        ),
    }
}

fn judge(answer: &Answer) -> SendVerdict {
    if answer.status.is_success() {
        return judge_success(&answer.body);
    }
    let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = describe_refusal(answer.status, &body);
    let class = match (answer.status.as_u16(), body.code.and_then(class)) {
        (429, _) | (409 | 425, None) => Class::Safe,
        // Whatever its code says, a server that failed may have done the work before.
        (408 | 500..=599, _) => Class::Ambiguous,
        (_, Some(class)) => class,
        // A redirect means another API than ours; these others speak of the account, not of the message.
        (300..=399 | 401..=405 | 407, None) => Class::Account,
        (_, None) => Class::Permanent,
    };
    match class {
        Class::Safe => SendVerdict::Safe { error, retry_after: answer.retry_after, reached: true },
        Class::Ambiguous => SendVerdict::Ambiguous { error },
        Class::Permanent => SendVerdict::Permanent { error, opted_out: false },
        Class::OptedOut => SendVerdict::Permanent { error, opted_out: true },
        Class::Account => SendVerdict::ConfigOrAccount { error },
    }
}

fn judge_success(body: &[u8]) -> SendVerdict {
    let Ok(message) = serde_json::from_slice::<MessageResource>(body) else {
        // It was taken, but which id it has only a look-up tells.
        let error = error("unreadable_answer", "Twilio's answer cannot be read.");
        return SendVerdict::Ambiguous { error };
    };
    let report = report_of(&message);
    match (report.status, report.error) {
        // Taken and failed in one answer: it is not on its way, so nothing has to be looked up.
        (Some(DeliveryStatus::Failed), Some(error)) => match message.error_code.and_then(class) {
            Some(Class::Safe) => SendVerdict::Safe { error, retry_after: None, reached: true },
            Some(Class::Account) => SendVerdict::ConfigOrAccount { error },
            class => SendVerdict::Permanent { error, opted_out: class == Some(Class::OptedOut) },
        },
        (status, _) => SendVerdict::Accepted { external_id: message.sid, status: at_least_sent(status) },
    }
}

/// What Twilio took is sent as far as the hub is concerned, even while it waits in Twilio's own queue.
fn at_least_sent(status: Option<DeliveryStatus>) -> DeliveryStatus {
    match status {
        Some(status @ (DeliveryStatus::Delivered | DeliveryStatus::Read)) => status,
        _ => DeliveryStatus::Sent,
    }
}

fn report_of(message: &MessageResource) -> DeliveryReport {
    let word = message.status.clone().unwrap_or_default();
    let status = status_of(&word);
    let has_failed = status == Some(DeliveryStatus::Failed);
    let error = match message.error_code.filter(|code| *code != 0).map(|code| code.to_string()) {
        Some(code) => Some(DeliveryError { reason: reason(&code, message.error_message.as_deref()), code }),
        None if has_failed => Some(error(&word, format!("Twilio reports the message as {word} without a reason."))),
        None => None,
    };
    let remedy = message.error_code.filter(|_| has_failed).and_then(remedy);
    DeliveryReport { external_id: message.sid.clone(), provider_status: word, status, error, remedy }
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a moment. A moment is taken from the answer's own
/// `Date`, so that a clock that is wrong here or there does no harm; without one it says nothing. What has passed is no wait.
fn wait_of(retry_after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = retry_after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, from) = (parse_date(retry_after)?, parse_date(date?)?);
    Some(until.since(from))
}

/// Twilio may change line ends and blanks at the ends of a text.
fn same_text(one: &str, other: &str) -> bool {
    let words = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
    words(one) == words(other)
}

fn created_at(message: &MessageResource) -> Option<Timestamp> {
    parse_date(message.date_created.as_deref()?)
}

/// Reads `Sun, 22 Nov 2026 09:30:00 +0000` (RFC 2822), as Twilio writes all its times.
fn parse_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(',').map_or(text, |(_, after)| after).split_whitespace();
    let day: u32 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? + 1;
    let year: u32 = words.next()?.parse().ok()?;
    let time = words.next()?;
    let offset = match words.next()? {
        "GMT" | "UTC" => "+00:00".to_owned(),
        offset => {
            let (hours, minutes) = offset.split_at_checked(3)?;
            format!("{hours}:{minutes}")
        }
    };
    format!("{year:04}-{month:02}-{day:02}T{time}{offset}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_twilios_dates() {
        assert_eq!(parse_date("Sun, 22 Nov 2026 09:30:00 +0000"), "2026-11-22T09:30:00Z".parse().ok());
        assert_eq!(parse_date("1 Feb 2026 09:30:00 -0330"), "2026-02-01T13:00:00Z".parse().ok());
        for odd in ["", "Sun, 22 Nov", "Sun, 22 Foo 2026 09:30:00 +0000", "Sun, 22 Nov 2026 09:30 é0", "x, y z"] {
            assert_eq!(parse_date(odd), None, "{odd}");
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_moment() {
        let date = Some("Sun, 22 Nov 2026 09:30:00 GMT");
        let seconds = |text, date| wait_of(text, date).map(|wait| wait.as_secs());
        assert_eq!(seconds(" 7 ", None), Some(7));
        assert_eq!(seconds("Sun, 22 Nov 2026 09:30:45 GMT", date), Some(45));
        assert_eq!(seconds("Sun, 22 Nov 2026 09:00:00 GMT", date), Some(0));
        for (text, date) in [("Sun, 22 Nov 2026 09:30:45 GMT", None), ("soon", date), ("-1", date), ("", date)] {
            assert_eq!(seconds(text, date), None, "{text:?}");
        }
    }

    #[test]
    fn the_address_of_the_api_may_have_a_path_and_an_account_never_leaves_its_place() {
        let url = |base: &str, sid: &str| messages_url(base, sid).map(String::from);
        let expected = Some("https://x/2010-04-01/Accounts/AC1/Messages.json".to_owned());
        assert_eq!(url("https://x", "AC1"), expected);
        assert_eq!(url("https://x/", "AC1"), expected);
        assert_eq!(url("http://x/a", "../b"), Some("http://x/a/2010-04-01/Accounts/..%2Fb/Messages.json".to_owned()));
        assert_eq!(url("ftp://x", "AC1"), None);
        assert_eq!(url("twilio", "AC1"), None);
    }

    #[test]
    fn every_answer_has_a_class() {
        let judge = |status: u16, body: &str| {
            judge(&Answer {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: None,
                body: body.as_bytes().to_vec(),
            })
        };
        let code = |code: u32| format!(r#"{{"code": {code}, "message": "m", "status": 400}}"#);
        assert!(matches!(judge(400, &code(21_211)), SendVerdict::Permanent { opted_out: false, .. }));
        assert!(matches!(judge(400, &code(21_610)), SendVerdict::Permanent { opted_out: true, .. }));
        assert!(matches!(judge(400, &code(99_999)), SendVerdict::Permanent { opted_out: false, .. }));
        assert!(matches!(judge(401, &code(20_003)), SendVerdict::ConfigOrAccount { .. }));
        assert!(matches!(judge(403, "<html>"), SendVerdict::ConfigOrAccount { .. }));
        assert!(matches!(judge(302, ""), SendVerdict::ConfigOrAccount { .. }));
        assert!(matches!(judge(400, &code(21_611)), SendVerdict::Safe { reached: true, .. }));
        assert!(matches!(judge(429, &code(20_003)), SendVerdict::Safe { reached: true, .. }));
        assert!(matches!(judge(503, &code(21_211)), SendVerdict::Ambiguous { .. }));
        assert!(matches!(judge(201, "{}"), SendVerdict::Ambiguous { .. }));
        let failed = r#"{"sid": "SM1", "status": "failed", "error_code": 21610}"#;
        assert!(matches!(judge(201, failed), SendVerdict::Permanent { opted_out: true, .. }));
        let failed = r#"{"sid": "SM1", "status": "failed", "error_code": 30001}"#;
        assert!(matches!(judge(201, failed), SendVerdict::Safe { reached: true, .. }));
        let failed = r#"{"sid": "SM1", "status": "failed", "error_code": 30003}"#;
        assert!(matches!(judge(201, failed), SendVerdict::Permanent { opted_out: false, .. }));
        let accepted = SendVerdict::Accepted { external_id: "SM1".to_owned(), status: DeliveryStatus::Sent };
        assert_eq!(judge(201, r#"{"sid": "SM1", "status": "accepted", "error_code": null}"#), accepted);
        assert_eq!(judge(200, r#"{"sid": "SM1", "status": "new word"}"#), accepted);
    }
}
