//! Providers: one file each, and one line in [`MODULES`].
//!
//! What a module does with foreign bytes is pure: no clock, no network, no storage. The gateway verifies a webhook with
//! [`ProviderModule::verify`] over the raw bytes, then reads it with [`ProviderModule::parse`].

use schemas::Timestamp;
use schemas::command::{DeliveryReport, InboundMessage};

pub mod describe;
pub mod twilio;

/// Every provider that posts webhooks.
pub const MODULES: &[&dyn ProviderModule] = &[&twilio::Twilio];

/// The module of a provider, by its name on the wire.
pub fn module(name: &str) -> Option<&'static dyn ProviderModule> {
    MODULES.iter().copied().find(|module| module.name() == name)
}

/// A webhook as it came, and what is needed to judge it.
#[derive(Clone, Copy, Debug)]
pub struct WebhookRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The full public URL: the configured public base with the request's raw path and query.
    pub url: &'a str,
    /// Header names and values; a name may come twice.
    pub headers: &'a [(&'a str, &'a str)],
    /// The raw body.
    pub body: &'a [u8],
    /// Secrets, any of which may have signed.
    pub secrets: &'a [&'a str],
    /// The present, for signatures that carry a time.
    pub now: Timestamp,
    /// How far such a time may be from the present, in seconds.
    pub tolerance_s: u32,
}

impl WebhookRequest<'_> {
    /// The one value of a header, without regard to case; `None` if it is missing or comes more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }
}

/// Why a webhook is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no secret to check with: never taken for "nothing to check".
    #[error("no secret is configured for this channel")]
    NoSecret,
    /// The signature's header is missing, empty or comes more than once.
    #[error("the header {header} is missing, empty or repeated")]
    MissingSignature {
        /// Which header.
        header: &'static str,
    },
    /// The signature is not written as the provider writes it.
    #[error("the signature is malformed: {reason}")]
    MalformedSignature {
        /// What is wrong with it.
        reason: String,
    },
    /// No secret gives this signature for this URL and body.
    #[error("the signature does not match: wrong secret, another public URL, or a changed body")]
    Mismatch,
    /// The body is not the one that the signed URL names.
    #[error("the body is not bound by the signature: {reason}")]
    BodyNotBound {
        /// What is wrong.
        reason: &'static str,
    },
    /// The signature is of another time.
    #[error("the signature's time is more than {tolerance_s} s from now")]
    Stale {
        /// What is allowed.
        tolerance_s: u32,
    },
}

/// One thing that a webhook says.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// A contact has written.
    Message(Box<InboundMessage>),
    /// A report on an outbound message.
    Report(DeliveryReport),
    /// Nothing for us.
    Ignored {
        /// Why.
        why: &'static str,
    },
}

/// An authentic webhook that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParseError {
    /// What is wrong, naming the field.
    pub reason: String,
}

/// What a provider wants to hear after its webhook was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The content type of `body`; empty with an empty body.
    pub content_type: &'static str,
    /// The body of the 200.
    pub body: &'static str,
}

/// What the hub must know of a provider to take its webhooks.
pub trait ProviderModule: Sync + std::fmt::Debug {
    /// Its name on the wire: in webhook addresses, in `--provider`, in a channel's `provider`.
    fn name(&self) -> &'static str;

    /// The largest body that is read; a little above what the provider sends.
    fn max_body_bytes(&self) -> usize;

    /// Whether the provider sent exactly this.
    ///
    /// # Errors
    /// Every way not to be believed.
    fn verify(&self, request: &WebhookRequest<'_>) -> Result<(), Refusal>;

    /// What it says: every entry of a batch, in order.
    ///
    /// # Errors
    /// If nothing can be made of it; then the bytes go to the dead letters.
    fn parse(&self, content_type: &str, body: &[u8]) -> Result<Vec<Inbound>, ParseError>;

    /// The provider's account that the webhook speaks of, if it names one: it must be the channel's.
    fn account<'a>(&self, content_type: &str, body: &'a [u8]) -> Option<std::borrow::Cow<'a, str>>;

    /// The answer after the durable append.
    fn acknowledgement(&self) -> Acknowledgement;
}
