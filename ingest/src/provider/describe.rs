//! What `saler webhook verify` and `saler webhook parse` show: pure functions over one request, for whoever has to find
//! out why a webhook is refused or what the hub makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Inbound, MODULES, ParseError, ProviderModule, Refusal, WebhookRequest, module};

/// How far a signature's time may be from the present if the request does not say, in seconds.
const DEFAULT_TOLERANCE_S: u32 = 300;

/// Whether a request is believed, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Why it is refused; `None` if it is valid.
    pub refusal: Option<Refusal>,
}

impl VerifyReport {
    /// Whether the provider sent exactly this request.
    pub const fn is_valid(&self) -> bool {
        self.refusal.is_none()
    }
}

/// What a body says.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseReport {
    /// A JSON array of normalised results, in order; empty if the body cannot be read.
    pub results: Value,
    /// Why the body cannot be read; the hub would put it to the dead letters.
    pub unreadable: Option<ParseError>,
}

/// The input of a command is wrong.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no such provider.
    #[error("unknown provider {name:?}: use one of {known}")]
    UnknownProvider {
        /// What was given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The request is not written as expected.
    #[error(
        "the request cannot be read: {reason}; expected a JSON object such as {{\"secrets\": [\"token\"], \
         \"method\": \"POST\", \"url\": \"https://hub.example/webhooks\", \"headers\": {{\"Name\": \"value\"}}, \
         \"body_base64\": \"\"}}"
    )]
    Request {
        /// What is wrong.
        reason: String,
    },
}

/// A request as a file holds it. Fields that are not named here are ignored.
#[derive(Deserialize)]
struct RequestFile {
    secrets: Vec<String>,
    method: String,
    url: String,
    #[serde(default)]
    headers: Headers,
    body_base64: Option<String>,
    body: Option<String>,
    now: Option<Now>,
    tolerance_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Map(serde_json::Map<String, Value>),
    List(Vec<(String, String)>),
}

impl Default for Headers {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Headers {
    /// Names and values; a value that is an array stands for a header that comes more than once.
    fn into_pairs(self) -> Result<Vec<(String, String)>, InputError> {
        let map = match self {
            Self::List(pairs) => return Ok(pairs),
            Self::Map(map) => map,
        };
        let mut pairs = Vec::with_capacity(map.len());
        for (name, value) in map {
            let values = if let Value::Array(values) = value { values } else { vec![value] };
            for value in values {
                let Value::String(value) = value else {
                    return Err(InputError::Request {
                        reason: format!("headers.{name} is neither a text nor an array of texts"),
                    });
                };
                pairs.push((name.clone(), value));
            }
        }
        Ok(pairs)
    }
}

/// The present: seconds since the Unix epoch, or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Now {
    Seconds(i64),
    Text(Timestamp),
}

fn find(provider: &str) -> Result<&'static dyn ProviderModule, InputError> {
    module(provider).ok_or_else(|| InputError::UnknownProvider {
        name: provider.chars().take(64).collect(),
        known: MODULES.iter().map(|module| module.name()).collect::<Vec<_>>().join(", "),
    })
}

/// Judges one request. `request_json` is an object with `secrets`, `method`, `url`, `headers` (an object whose values are
/// texts or arrays of texts, or an array of pairs), `body_base64` or `body`, and optionally `now` and `tolerance_s`;
/// `present` counts if the request has no `now`.
///
/// # Errors
/// [`InputError`] if there is nothing to judge.
pub fn verify_request(provider: &str, request_json: &str, present: Timestamp) -> Result<VerifyReport, InputError> {
    let module = find(provider)?;
    let file: RequestFile =
        serde_json::from_str(request_json).map_err(|error| InputError::Request { reason: error.to_string() })?;
    let body = match (file.body_base64, file.body) {
        (Some(encoded), _) => STANDARD
            .decode(encoded)
            .map_err(|error| InputError::Request { reason: format!("body_base64 is not base64: {error}") })?,
        (None, body) => body.unwrap_or_default().into_bytes(),
    };
    let headers = file.headers.into_pairs()?;
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let secrets: Vec<&str> = file.secrets.iter().map(String::as_str).collect();
    let verdict = module.verify(&WebhookRequest {
        method: &file.method,
        url: &file.url,
        headers: &headers,
        body: &body,
        secrets: &secrets,
        now: match file.now {
            Some(Now::Seconds(seconds)) => Timestamp::from_unix_seconds(seconds),
            Some(Now::Text(at)) => at,
            None => present,
        },
        tolerance_s: file.tolerance_s.unwrap_or(DEFAULT_TOLERANCE_S),
    });
    Ok(VerifyReport { refusal: verdict.err() })
}

/// Reads one body, as the hub would.
///
/// # Errors
/// [`InputError::UnknownProvider`]. A body that cannot be read is not an error here: the report says so.
pub fn parse_body(provider: &str, content_type: &str, body: &[u8]) -> Result<ParseReport, InputError> {
    let module = find(provider)?;
    if body.len() > module.max_body_bytes() {
        let reason = format!("the body has {} bytes, more than {} are not read", body.len(), module.max_body_bytes());
        return Ok(ParseReport { results: json!([]), unreadable: Some(ParseError { reason }) });
    }
    Ok(match module.parse(content_type, body) {
        Ok(results) => ParseReport { results: Value::Array(results.iter().map(describe).collect()), unreadable: None },
        Err(error) => ParseReport { results: json!([]), unreadable: Some(error) },
    })
}

/// One result, with only the keys that apply.
fn describe(result: &Inbound) -> Value {
    match result {
        Inbound::Message(message) => {
            let mut shown = json!({
                "kind": "message",
                "external_id": message.external_id,
                "to": message.to,
                "text": message.body.text,
                "from": message.from,
            });
            let mut set = |name: &str, value: Value| {
                if let Some(object) = shown.as_object_mut() {
                    object.insert(name.to_owned(), value);
                }
            };
            if !message.body.attachments.is_empty() {
                set("media", message.body.attachments.iter().map(|file| file.content_type.as_str()).collect());
            }
            if let Some(location) = &message.body.location {
                set("location", json!([location.latitude, location.longitude]));
            }
            if let Some(opt_out) = message.opt_out {
                set("opt_out", json!(opt_out));
            }
            // A further address that is not a number is the provider's own id of the user.
            if let Some(bsuid) = message.also_from.iter().find(|address| !address.starts_with('+')) {
                set("bsuid", json!(bsuid));
            }
            if let Some(reply_to) = &message.body.in_reply_to {
                set("reply_to", json!(reply_to));
            }
            if let Some(payload) = message.body.interactive.as_deref().and_then(button_payload) {
                set("button_payload", json!(payload));
            }
            shown
        }
        Inbound::Report(report) => {
            let mut shown = json!({
                "kind": "status",
                "external_id": report.external_id,
                "provider_status": report.provider_status,
                "status": report.status.map(schemas::message::DeliveryStatus::as_str),
            });
            let code = report.error.as_ref().map(|error| error.code.as_str());
            // Where the provider gave no code, ours only repeats its word.
            if let (Some(code), Some(object)) =
                (code.filter(|code| *code != report.provider_status), shown.as_object_mut())
            {
                object.insert("error_code".to_owned(), json!(code));
            }
            shown
        }
        Inbound::Ignored { why } => json!({ "kind": "ignored", "why": why }),
    }
}

/// What a pressed button or a chosen list entry stands for.
fn button_payload(interactive: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(interactive).ok()?;
    ["ButtonPayload", "ListId"].iter().find_map(|name| answer.get(name)?.as_str().map(str::to_owned))
}
