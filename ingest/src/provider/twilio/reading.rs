//! What a webhook says: an inbound message, or the status of an outbound one.
//!
//! One rule for parameters that come more than once: the same value again is harmless, different values make the webhook
//! unreadable. Parameters that are not known are ignored, since Twilio adds some without notice.

use schemas::command::{DeliveryReport, InboundMessage};
use schemas::message::{Attachment, Body, DeliveryError, DeliveryStatus, Location};
use serde_json::{Map, Value};

use super::errors;
use super::form::Form;
use crate::provider::{Inbound, ParseError};

/// The most files that are read of one message; Twilio sends ten at most.
const MAX_MEDIA: u32 = 32;

/// The longest id that is taken, in bytes; Twilio's have 34.
const MAX_ID_BYTES: usize = 128;

/// The longest address that is taken, in bytes; a business-scoped user id has at most some 130.
const MAX_ADDRESS_BYTES: usize = 256;

/// Reads the parameters of a webhook.
pub(super) fn read(form: &Form<'_>) -> Result<Vec<Inbound>, ParseError> {
    if form.is_empty() {
        return Err(ParseError { reason: "the body is empty".to_owned() });
    }
    let status = form.text("MessageStatus")?;
    let sms_status = form.text("SmsStatus")?;
    let word = status.as_deref().or(sms_status.as_deref());
    let has_content = form.has("Body") || form.has("NumMedia");
    match word {
        Some("received" | "receiving") | None if has_content => Ok(vec![Inbound::Message(Box::new(message(form)?))]),
        Some("received" | "receiving") => Ok(vec![Inbound::Ignored { why: "status of an inbound message" }]),
        Some(word) => Ok(vec![Inbound::Report(report(form, word)?)]),
        None => Err(ParseError {
            reason: "neither MessageStatus nor SmsStatus nor Body is there: this is no webhook of a message".to_owned(),
        }),
    }
}

fn external_id(form: &Form<'_>) -> Result<String, ParseError> {
    for name in ["MessageSid", "SmsMessageSid", "SmsSid"] {
        if let Some(sid) = form.text(name)? {
            return bounded(name, sid, MAX_ID_BYTES);
        }
    }
    Err(ParseError { reason: "the parameter MessageSid is missing or empty".to_owned() })
}

fn bounded(name: &str, text: String, limit_bytes: usize) -> Result<String, ParseError> {
    if text.len() > limit_bytes {
        return Err(ParseError { reason: format!("the parameter {name} is longer than {limit_bytes} bytes") });
    }
    Ok(text)
}

fn message(form: &Form<'_>) -> Result<InboundMessage, ParseError> {
    let from = address(form, "From")?;
    let addresses = other_addresses(form, &from)?;
    let phone = std::iter::once(&from).chain(&addresses).find(|address| is_e164(address)).cloned();
    let interactive = interactive(form)?;
    let text = match form.text("Body")? {
        Some(text) => text,
        // A pressed button whose text is not repeated in the body.
        None => form.text("ButtonText")?.or(form.text("ListTitle")?).unwrap_or_default(),
    };
    Ok(InboundMessage {
        external_id: external_id(form)?,
        from,
        also_from: addresses,
        phone,
        email: None,
        to: address(form, "To")?,
        profile_name: form.text("ProfileName")?,
        body: Body {
            text,
            attachments: attachments(form)?,
            location: location(form)?,
            interactive,
            in_reply_to: form.text("OriginalRepliedMessageSid")?,
        },
        opt_out: match form.text("OptOutType")?.as_deref() {
            Some("STOP") => Some(true),
            Some("START") => Some(false),
            _ => None,
        },
    })
}

/// An address without `whatsapp:` or the like.
fn address(form: &Form<'_>, name: &str) -> Result<String, ParseError> {
    let address = form.required(name)?;
    let bare = without_scheme(&address);
    if bare.is_empty() {
        return Err(ParseError { reason: format!("the parameter {name} names a channel but no address") });
    }
    bounded(name, bare.to_owned(), MAX_ADDRESS_BYTES)
}

/// Further addresses of the contact: the business-scoped user id, and the number by which WhatsApp knows them, which in
/// Mexico, Argentina and Brazil may differ from the one that is dialled by a digit.
fn other_addresses(form: &Form<'_>, from: &str) -> Result<Vec<String>, ParseError> {
    let user_id = form.text("ExternalUserId")?.map(|id| without_scheme(&id).to_owned());
    let whatsapp_id = form
        .text("WaId")?
        .map(|digits| format!("+{}", digits.trim_start_matches('+')))
        .filter(|number| is_e164(number));
    let mut others: Vec<String> =
        user_id.into_iter().chain(whatsapp_id).filter(|other| !other.is_empty() && other != from).collect();
    others.dedup();
    others.into_iter().map(|other| bounded("ExternalUserId", other, MAX_ADDRESS_BYTES)).collect()
}

/// An address without the name of its channel.
fn without_scheme(address: &str) -> &str {
    let address = address.trim();
    ["whatsapp:", "messenger:", "rcs:"].iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address)
}

/// Whether an address is a phone number in E.164: a plus and up to fifteen digits.
fn is_e164(address: &str) -> bool {
    address
        .strip_prefix('+')
        .is_some_and(|digits| (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The files. A `NumMedia` that is no number counts as none: the text still matters.
fn attachments(form: &Form<'_>) -> Result<Vec<Attachment>, ParseError> {
    let count = form.text("NumMedia")?.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
    let mut attachments = Vec::new();
    for index in 0..count.min(MAX_MEDIA) {
        let Some(url) = form.text(&format!("MediaUrl{index}"))? else {
            continue;
        };
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(ParseError { reason: format!("the parameter MediaUrl{index} is not an http address") });
        }
        let content_type =
            form.text(&format!("MediaContentType{index}"))?.unwrap_or_else(|| "application/octet-stream".to_owned());
        attachments.push(Attachment { url, content_type, name: None });
    }
    Ok(attachments)
}

/// The place, if both coordinates are there and on the globe.
fn location(form: &Form<'_>) -> Result<Option<Location>, ParseError> {
    let coordinate = |name: &str, limit: f64| -> Result<Option<f64>, ParseError> {
        let number = form.text(name)?.and_then(|text| text.trim().parse::<f64>().ok());
        Ok(number.filter(|number| number.is_finite() && number.abs() <= limit))
    };
    let (Some(latitude), Some(longitude)) = (coordinate("Latitude", 90.0)?, coordinate("Longitude", 180.0)?) else {
        return Ok(None);
    };
    Ok(Some(Location { latitude, longitude, label: form.text("Label")?, address: form.text("Address")? }))
}

/// Pressed buttons, chosen list entries, filled forms and the advertisement that a message came from, as one JSON object
/// by Twilio's own names; `None` if there is nothing of the kind.
fn interactive(form: &Form<'_>) -> Result<Option<String>, ParseError> {
    const TEXTS: [&str; 14] = [
        "ButtonText",
        "ButtonPayload",
        "ButtonType",
        "ListId",
        "ListTitle",
        "ReferralBody",
        "ReferralHeadline",
        "ReferralSourceId",
        "ReferralSourceType",
        "ReferralSourceUrl",
        "ReferralMediaId",
        "ReferralMediaContentType",
        "ReferralMediaUrl",
        "ReferralCtwaClid",
    ];
    let mut answer = Map::new();
    for name in TEXTS {
        if let Some(text) = form.text(name)? {
            answer.insert(name.to_owned(), Value::String(text));
        }
    }
    for name in ["InteractiveData", "FlowData"] {
        if let Some(text) = form.text(name)? {
            // What is no JSON, or nested too deeply, is kept as the text that it is.
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            answer.insert(name.to_owned(), value);
        }
    }
    Ok((!answer.is_empty()).then(|| Value::Object(answer).to_string()))
}

fn report(form: &Form<'_>, word: &str) -> Result<DeliveryReport, ParseError> {
    let external_id = external_id(form)?;
    let status = status_of(word);
    let code = form.text("ErrorCode")?.filter(|code| code != "0");
    let detail = form.text("ErrorMessage")?.or(form.text("ChannelStatusMessage")?);
    let has_failed = status == Some(DeliveryStatus::Failed);
    let remedy = code.as_deref().filter(|_| has_failed).and_then(|code| errors::remedy(code.parse().ok()?));
    let error = match (code, status) {
        (Some(code), _) => Some(DeliveryError { reason: errors::reason(&code, detail.as_deref()), code }),
        (None, Some(DeliveryStatus::Failed)) => Some(DeliveryError {
            code: word.to_owned(),
            reason: detail.unwrap_or_else(|| format!("Twilio reports the message as {word} without a reason.")),
        }),
        (None, _) => None,
    };
    Ok(DeliveryReport {
        external_id,
        provider_status: bounded("MessageStatus", word.to_owned(), MAX_ID_BYTES)?,
        status,
        error,
        remedy,
    })
}

/// What a status word of Twilio means; `None` for words that say nothing about an outbound message.
pub(crate) fn status_of(word: &str) -> Option<DeliveryStatus> {
    match word {
        "accepted" | "scheduled" | "queued" | "sending" => Some(DeliveryStatus::Queued),
        "sent" => Some(DeliveryStatus::Sent),
        "delivered" | "partially_delivered" => Some(DeliveryStatus::Delivered),
        "read" => Some(DeliveryStatus::Read),
        "failed" | "undelivered" | "canceled" => Some(DeliveryStatus::Failed),
        _ => None,
    }
}
