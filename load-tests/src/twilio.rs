//! What Twilio puts on the wire: form bodies, the signature of webhooks, and the parameters of inbound messages and
//! status callbacks (Twilio, "Webhooks security" and "Twilio's request to your application").
//!
//! Written apart from the hub's own module on purpose: a mistake on one side must not be repeated on the other.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The content type of everything that Twilio posts.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters of a form, in the order in which they are sent.
pub type Params = Vec<(String, String)>;

/// `base64(HMAC-SHA1(auth_token, url + sorted key-value pairs))`.
///
/// Keys are sorted byte-wise; of a repeated key each distinct value counts once, sorted. `url` is the full public URL
/// with its query.
pub fn signature<K: AsRef<str>, V: AsRef<str>>(auth_token: &str, url: &str, params: &[(K, V)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in params {
        sorted.entry(key.as_ref()).or_default().insert(value.as_ref());
    }
    let mut mac = keyed(auth_token);
    mac.update(url.as_bytes());
    for (key, values) in sorted {
        for value in values {
            mac.update(key.as_bytes());
            mac.update(value.as_bytes());
        }
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104)")]
fn keyed(auth_token: &str) -> Hmac<Sha1> {
    Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of every length")
}

/// The form body of these parameters.
pub fn encode_form<K: AsRef<str>, V: AsRef<str>>(params: &[(K, V)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(512));
    for (key, value) in params {
        form.append_pair(key.as_ref(), value.as_ref());
    }
    form.finish()
}

/// The parameters of a form body or a query; bytes that are not UTF-8 become U+FFFD.
pub fn decode_form(body: &[u8]) -> Params {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The value of the first parameter of this name.
pub fn param<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
}

/// What an inbound message carries beside its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Extra {
    /// Nothing.
    #[default]
    None,
    /// A file.
    Media {
        /// Where it is.
        url: String,
        /// Its media type.
        content_type: String,
    },
    /// A place (WhatsApp).
    Location {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
        /// The place's name.
        label: String,
        /// Its postal address.
        address: String,
    },
}

/// A message of a customer, as Twilio would post it.
#[derive(Clone, Debug)]
pub struct Inbound<'a> {
    /// The account's SID.
    pub account_sid: &'a str,
    /// The message's SID, `SM` and 32 hexadecimal digits.
    pub message_sid: &'a str,
    /// The customer's number in E.164, without `whatsapp:`.
    pub from: &'a str,
    /// Our number in E.164, without `whatsapp:`.
    pub to: &'a str,
    /// Whether it came by WhatsApp.
    pub whatsapp: bool,
    /// The name of the WhatsApp profile.
    pub profile_name: &'a str,
    /// The text; may be empty.
    pub body: &'a str,
    /// What it carries beside the text.
    pub extra: &'a Extra,
}

impl Inbound<'_> {
    /// The parameters of the webhook.
    pub fn params(&self) -> Vec<(&'static str, String)> {
        let prefix = if self.whatsapp { "whatsapp:" } else { "" };
        let media = usize::from(matches!(self.extra, Extra::Media { .. }));
        let mut params = vec![
            ("SmsMessageSid", self.message_sid.to_owned()),
            ("NumMedia", media.to_string()),
            ("SmsSid", self.message_sid.to_owned()),
            ("SmsStatus", "received".to_owned()),
            ("Body", self.body.to_owned()),
            ("To", format!("{prefix}{}", self.to)),
            ("NumSegments", segments(self.body).to_string()),
            ("MessageSid", self.message_sid.to_owned()),
            ("AccountSid", self.account_sid.to_owned()),
            ("From", format!("{prefix}{}", self.from)),
            ("ApiVersion", "2010-04-01".to_owned()),
        ];
        if self.whatsapp {
            params.push(("ProfileName", self.profile_name.to_owned()));
            params.push(("WaId", self.from.trim_start_matches('+').to_owned()));
            params.push(("MessageType", self.message_type().to_owned()));
            params.push(("ReferralNumMedia", "0".to_owned()));
        } else {
            for name in ["ToCountry", "ToState", "ToCity", "ToZip", "FromCountry", "FromState", "FromCity", "FromZip"] {
                params.push((name, String::new()));
            }
        }
        match self.extra {
            Extra::None => {}
            Extra::Media { url, content_type } => {
                params.push(("MediaUrl0", url.clone()));
                params.push(("MediaContentType0", content_type.clone()));
            }
            Extra::Location { latitude, longitude, label, address } => {
                params.push(("Latitude", latitude.to_string()));
                params.push(("Longitude", longitude.to_string()));
                params.push(("Label", label.clone()));
                params.push(("Address", address.clone()));
            }
        }
        params
    }

    fn message_type(&self) -> &'static str {
        match self.extra {
            Extra::None => "text",
            Extra::Location { .. } => "location",
            Extra::Media { content_type, .. } => match content_type.split('/').next() {
                Some("image") => "image",
                Some("audio") => "audio",
                Some("video") => "video",
                _ => "document",
            },
        }
    }
}

/// How many SMS segments a text takes: 160 or 153 characters each in GSM-7, 70 or 67 UTF-16 units otherwise. ASCII stands
/// for GSM-7 here, which is close enough for a simulator.
pub fn segments(text: &str) -> usize {
    let (length, single, joined) =
        if text.is_ascii() { (text.len(), 160, 153) } else { (text.encode_utf16().count(), 70, 67) };
    if length <= single { 1 } else { length.div_ceil(joined) }
}

/// A SID of this prefix (`SM`, `MM`, `ME`, …) from 16 bytes: two letters and 32 hexadecimal digits.
pub fn sid(prefix: &str, bytes: u128) -> String {
    format!("{prefix}{bytes:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    fn check(token: &str, url: &str, body: &str, expected: &str) {
        assert_eq!(signature(token, url, &decode_form(body.as_bytes())), expected, "{url} {body}");
    }

    /// Vectors of twilio-python and twilio-node, and some of our own that were checked by a third implementation.
    #[test]
    fn signs_like_the_official_libraries() {
        let call = "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
        check("12345", URL, call, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        check("12345", "https://mycompany.com:443/myapp.php?foo=1&bar=2", call, "kvajT1Ptam85bY51eRf/AJRuM3w=");
        check("12345", "http://mycompany.com:1234/myapp.php?foo=1&bar=2", call, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=");
        let repeated = "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234";
        check("12345", URL, repeated, "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
        let array = "MessagingBinding.Address=%2B1325xxxxxxx&MessagingBinding.Address=%2B1415xxxxxxx";
        check("12345", URL, array, "83O6e2vORAoJHUNzJjDWN1jz+BA=");
    }

    #[test]
    fn signs_every_text_that_a_customer_may_write() {
        let token = "0123456789abcdef0123456789abcdef";
        let url = "https://hub.example.com/webhooks/twilio/sms";
        let family = "Body=%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7%E2%80%8D%F0%9F%91%A6+%F0%9F%91%8D%F0%9F%8F%BD\
                      +%D8%B4%D9%83%D8%B1%D8%A7%D9%8B&From=%2B15550001&MessageSid=SM1";
        check(token, url, family, "cnaPX4iMpzcieU9ldUtwBHwvAhI=");
        check(token, url, "Body=hello%20world&From=%2B15550001", "j6v6h1mrzcJw2IN94pPFJzUf29k=");
        check(token, url, "Body=a%00b&From=%2B15550001", "SgPG0jL7WffPd1QZlOlUPhK6Fas=");
        check(token, url, "Body=line1%0D%0Aline2%0A&From=%2B15550001", "cc8QTwydYLBM7sotEs4wAA24lyk=");
        check(token, url, "", "8LkzqUNyK2LZ18dAvdLm6/MuQrA=");
        let media = "Body=&From=%2B15550001&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fx&NumMedia=1";
        check(token, url, media, "TlMpVcNtGL7ZNrY7Gn+7fL0Oa6k=");
    }

    #[test]
    fn an_inbound_location_survives_the_wire() {
        let extra = Extra::Location {
            latitude: 24.7136,
            longitude: 46.6753,
            label: "المتجر الرئيسي".to_owned(),
            address: "طريق الملك فهد، الرياض".to_owned(),
        };
        let inbound = Inbound {
            account_sid: "AC1",
            message_sid: "SM1",
            from: "+966501234567",
            to: "+14155238886",
            whatsapp: true,
            profile_name: "سارة",
            body: "",
            extra: &extra,
        };
        let params = decode_form(encode_form(&inbound.params()).as_bytes());
        assert_eq!(param(&params, "Latitude"), Some("24.7136"));
        assert_eq!(param(&params, "Label"), Some("المتجر الرئيسي"));
        assert_eq!(param(&params, "From"), Some("whatsapp:+966501234567"));
        assert_eq!(param(&params, "MessageType"), Some("location"));
        assert_eq!(param(&params, "WaId"), Some("966501234567"));
    }

    #[test]
    fn counts_segments_by_alphabet() {
        assert_eq!(segments(""), 1);
        assert_eq!(segments(&"a".repeat(160)), 1);
        assert_eq!(segments(&"a".repeat(161)), 2);
        assert_eq!(segments(&"ا".repeat(71)), 2);
    }
}
