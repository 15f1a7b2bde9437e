//! The simulator's memory: the messages that it took, newest last, and how Twilio shows them.

use std::collections::{HashMap, VecDeque};

use schemas::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::faults::{Faults, describe};
use crate::clock;
use crate::twilio::{Params, param, segments, sid};

/// The most messages that are kept; older ones are forgotten.
pub(crate) const MAX_MESSAGES: usize = 200_000;
const DEFAULT_PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1_000;

/// A message that the simulator took.
#[derive(Clone, Debug, Serialize)]
pub struct TakenMessage {
    /// Its SID.
    pub sid: String,
    /// Whose.
    pub account_sid: String,
    /// To whom, as sent (`whatsapp:+…` for WhatsApp).
    pub to: String,
    /// From which of our addresses.
    pub from: String,
    /// The text.
    pub body: String,
    /// The addresses of its files.
    pub media_urls: Vec<String>,
    /// Twilio's word for where it stands.
    pub status: &'static str,
    /// Why it failed.
    pub error_code: Option<u32>,
    /// Where status callbacks go.
    pub status_callback: Option<String>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    messaging_service_sid: Option<String>,
}

impl TakenMessage {
    /// As `POST`, `GET` and lists of Twilio's API show it.
    pub(crate) fn to_json(&self) -> Value {
        let uri = format!("/2010-04-01/Accounts/{}/Messages/{}", self.account_sid, self.sid);
        let sent = !matches!(self.status, "accepted" | "queued");
        json!({
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": clock::rfc2822(self.created_at),
            "date_sent": sent.then(|| clock::rfc2822(self.updated_at)),
            "date_updated": clock::rfc2822(self.updated_at),
            "direction": "outbound-api",
            "error_code": self.error_code,
            "error_message": self.error_code.map(describe),
            "from": self.from,
            "messaging_service_sid": self.messaging_service_sid,
            "num_media": self.media_urls.len().to_string(),
            "num_segments": segments(&self.body).to_string(),
            "price": null,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": { "media": format!("{uri}/Media.json") },
            "tags": null,
            "to": self.to,
            "uri": format!("{uri}.json"),
        })
    }
}

/// What the simulator counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls to create a message, whatever came of them.
    pub create_calls: u64,
    /// Messages taken.
    pub taken: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Status callbacks that the hub answered with 2xx.
    pub callbacks_delivered: u64,
    /// Status callbacks that were refused or could not be delivered.
    pub callbacks_failed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) accounts: HashMap<String, String>,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    messages: VecDeque<TakenMessage>,
    by_sid: HashMap<String, u64>,
    forgotten: u64,
}

impl Store {
    /// An empty store with these accounts.
    pub(crate) fn new(accounts: Vec<(String, String)>) -> Self {
        Self { accounts: accounts.into_iter().collect(), ..Self::default() }
    }

    /// Takes a message; `params` were checked before.
    pub(crate) fn take(&mut self, account_sid: &str, params: &Params, number: u128) -> TakenMessage {
        let owned = |name| param(params, name).map(str::to_owned);
        let media_urls: Vec<String> =
            params.iter().filter(|(key, _)| key == "MediaUrl").map(|(_, url)| url.clone()).collect();
        let now = clock::now();
        let service = owned("MessagingServiceSid");
        let message = TakenMessage {
            sid: sid(if media_urls.is_empty() { "SM" } else { "MM" }, number),
            account_sid: account_sid.to_owned(),
            to: owned("To").unwrap_or_default(),
            from: owned("From").unwrap_or_else(|| "+15005550006".to_owned()),
            body: owned("Body").unwrap_or_default(),
            media_urls,
            status: if service.is_some() { "accepted" } else { "queued" },
            error_code: None,
            status_callback: owned("StatusCallback"),
            created_at: now,
            updated_at: now,
            messaging_service_sid: service,
        };
        if self.messages.len() >= MAX_MESSAGES
            && let Some(oldest) = self.messages.pop_front()
        {
            self.by_sid.remove(&oldest.sid);
            self.forgotten += 1;
        }
        self.by_sid.insert(message.sid.clone(), self.forgotten + self.messages.len() as u64);
        self.messages.push_back(message.clone());
        self.stats.taken += 1;
        message
    }

    pub(crate) fn get_mut(&mut self, sid: &str) -> Option<&mut TakenMessage> {
        let position = self.by_sid.get(sid)?.checked_sub(self.forgotten)?;
        self.messages.get_mut(usize::try_from(position).ok()?)
    }

    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &TakenMessage> {
        self.messages.iter()
    }

    /// A page of Twilio's list, newest first: filters `To`, `From`, `DateSent`, `DateSent>` and `DateSent<` (days in UTC
    /// or RFC 3339), `PageSize` and `Page`.
    pub(crate) fn list(&self, account_sid: &str, query: &Params) -> Value {
        let number =
            |name: &str, default: usize| param(query, name).and_then(|text| text.parse().ok()).unwrap_or(default);
        let page_size = number("PageSize", DEFAULT_PAGE_SIZE).clamp(1, MAX_PAGE_SIZE);
        let page = number("Page", 0).min(MAX_MESSAGES);
        let start = page * page_size;
        let wanted = |message: &&TakenMessage| {
            message.account_sid == account_sid
                && param(query, "To").is_none_or(|to| message.to == to)
                && param(query, "From").is_none_or(|from| message.from == from)
                && sent_as_asked(message.created_at, query)
        };
        let mut found = self.messages.iter().rev().filter(wanted).skip(start);
        let messages: Vec<Value> = found.by_ref().take(page_size).map(TakenMessage::to_json).collect();
        let more = found.next().is_some();
        let base = format!("/2010-04-01/Accounts/{account_sid}/Messages.json");
        let uri = |page: usize| {
            let mut query: Params =
                query.iter().filter(|(key, _)| key != "Page" && key != "PageSize").cloned().collect();
            query.push(("PageSize".to_owned(), page_size.to_string()));
            query.push(("Page".to_owned(), page.to_string()));
            format!("{base}?{}", crate::twilio::encode_form(&query))
        };
        json!({
            "end": start + messages.len().saturating_sub(1),
            "first_page_uri": uri(0),
            "next_page_uri": more.then(|| uri(page + 1)),
            "page": page,
            "page_size": page_size,
            "previous_page_uri": page.checked_sub(1).map(uri),
            "start": start,
            "uri": uri(page),
            "messages": messages,
        })
    }
}

/// Whether a message of this time is within what the query asks of `DateSent`.
fn sent_as_asked(at: Timestamp, query: &Params) -> bool {
    let compare = |name: &str| {
        param(query, name).map(|asked| match asked.parse::<Timestamp>() {
            Ok(instant) => at.cmp(&instant),
            Err(_a_day) => clock::day(at).as_str().cmp(asked),
        })
    };
    compare("DateSent").is_none_or(std::cmp::Ordering::is_eq)
        && compare("DateSent>").is_none_or(std::cmp::Ordering::is_ge)
        && compare("DateSent<").is_none_or(std::cmp::Ordering::is_le)
}
