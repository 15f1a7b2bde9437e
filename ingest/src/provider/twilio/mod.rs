//! Twilio: SMS, MMS and WhatsApp.
//!
//! Webhooks are form posts that Twilio signs with the account's auth token ([`signature`]). What they say is either an
//! inbound message or the status of an outbound one ([`reading`]). What the error codes mean stands in [`errors`].
//!
//! A webhook that is configured as GET carries its parameters in the query: hand that query to [`ProviderModule::parse`]
//! as the body, under the form content type.

use std::borrow::Cow;

use super::{Acknowledgement, Inbound, ParseError, ProviderModule, Refusal, WebhookRequest};

pub mod errors;
mod form;
mod reading;
mod signature;

use form::Form;
pub(crate) use reading::status_of;

/// The name on the wire.
pub const NAME: &str = "twilio";

/// The largest webhook body that is read: 262,144. The longest that Twilio sends is some ten kilobytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// The module.
#[derive(Clone, Copy, Debug)]
pub struct Twilio;

impl ProviderModule for Twilio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn max_body_bytes(&self) -> usize {
        MAX_BODY_BYTES
    }

    fn verify(&self, request: &WebhookRequest<'_>) -> Result<(), Refusal> {
        signature::verify(request)
    }

    fn parse(&self, content_type: &str, body: &[u8]) -> Result<Vec<Inbound>, ParseError> {
        Form::of_request(content_type, body).and_then(|form| reading::read(&form))
    }

    fn account<'a>(&self, content_type: &str, body: &'a [u8]) -> Option<Cow<'a, str>> {
        let form = Form::of_request(content_type, body).ok()?;
        form.text("AccountSid").ok().flatten().map(Cow::Owned)
    }

    fn acknowledgement(&self) -> Acknowledgement {
        // An empty TwiML document: "no reply". Twilio ignores it for status callbacks.
        Acknowledgement { content_type: "text/xml", body: "<Response/>" }
    }
}
