//! Signed webhooks, written before the run: during it, a request is a slice of one large buffer.
//!
//! Each message's text begins with `#` and its index as nine digits, so that a socket's reader finds out which message it
//! has got without parsing JSON.

use std::fmt::Write as _;

use schemas::ChannelId;

use crate::twilio::{Extra, FORM, Inbound, encode_form, sid, signature};

/// What stands before the nine digits in an event's JSON.
pub const MARK: &[u8] = b"\"text\":\"#";
/// What follows the digits: some text of usual length.
const TEXT: &str = " Hello, I ordered two weeks ago and nothing came. Could somebody please have a look? Thank you!";

/// A channel that webhooks are written for.
#[derive(Clone, Debug)]
pub struct Target {
    /// The hub's id of the channel.
    pub channel_id: ChannelId,
    /// The channel's number in E.164.
    pub number: String,
    /// The account's SID.
    pub account_sid: String,
    /// The account's auth token.
    pub auth_token: String,
}

/// One message to write a webhook for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// On which channel.
    pub target: &'a Target,
    /// Which message this is; at most 999,999,999.
    pub index: u64,
    /// From which customer.
    pub customer: u64,
}

/// Requests, ready to be written to a socket.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// The number of a customer.
pub fn customer_number(customer: u64) -> String {
    format!("+9665{customer:08}")
}

/// The text of a message.
pub fn text_of(index: u64) -> String {
    format!("#{index:09}{TEXT}")
}

/// The index that a text was made of.
pub fn index_of_text(text: &str) -> Option<u64> {
    text.strip_prefix('#')?.get(..9)?.parse().ok()
}

/// The SID of a message: `run` keeps runs apart.
pub fn message_sid(run: u64, index: u64) -> String {
    sid("SM", u128::from(run) << 64 | u128::from(index))
}

impl Prepared {
    /// Writes and signs a webhook for each order. `public_url` is the base that signatures are made for.
    pub fn webhooks<'a>(run: u64, public_url: &str, orders: impl Iterator<Item = Order<'a>>) -> Self {
        let host = public_url.split("://").nth(1).unwrap_or(public_url);
        let mut prepared = Self::default();
        let mut request = String::with_capacity(1_024);
        for order in orders {
            let Target { channel_id, number, account_sid, auth_token } = order.target;
            let path = format!("/webhooks/twilio/{channel_id}");
            let inbound = Inbound {
                account_sid,
                message_sid: &message_sid(run, order.index),
                from: &customer_number(order.customer),
                to: number,
                whatsapp: false,
                profile_name: "",
                body: &text_of(order.index),
                extra: &Extra::None,
            };
            let params = inbound.params();
            let body = encode_form(&params);
            let signature = signature(auth_token, &format!("{public_url}{path}"), &params);
            request.clear();
            // Writing to a string cannot fail.
            let _infallible = write!(
                request,
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}; charset=UTF-8\r\nUser-Agent: TwilioProxy/1.1\r\n\
                 Accept: */*\r\nX-Twilio-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            prepared.push(request.as_bytes());
        }
        prepared
    }

    /// Adds a request.
    pub fn push(&mut self, request: &[u8]) {
        self.bytes.extend_from_slice(request);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of one request.
    pub fn request(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::decode_form;

    #[test]
    fn prepared_requests_carry_their_own_signature() {
        let target = Target {
            channel_id: "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d".parse().unwrap(),
            number: "+14155550100".into(),
            account_sid: "AC1".into(),
            auth_token: "secret".into(),
        };
        let orders = (0..3).map(|index| Order { target: &target, index, customer: index % 2 });
        let prepared = Prepared::webhooks(9, "http://127.0.0.1:8080", orders);
        assert_eq!(prepared.len(), 3);
        assert_eq!(prepared.request(3), None);
        let request = String::from_utf8(prepared.request(2).unwrap().to_vec()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let url = "http://127.0.0.1:8080/webhooks/twilio/019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d";
        let expected = signature("secret", url, &decode_form(body.as_bytes()));
        assert!(head.contains(&format!("X-Twilio-Signature: {expected}\r\n")), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert_eq!(index_of_text(&text_of(123_456)), Some(123_456));
        assert_eq!(index_of_text("hello"), None);
    }
}
