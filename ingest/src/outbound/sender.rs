//! What the sending role asks of a provider's client, and where the clients come from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::channel::{ChannelRecord, Credentials};
use schemas::command::DeliveryReport;
use schemas::message::{Body, DeliveryError, DeliveryStatus};
use schemas::{MessageId, Timestamp};

use super::twilio::TwilioSender;

/// A message to hand to a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundMessage {
    /// Which message, for providers that take a reference of ours.
    pub message_id: MessageId,
    /// The contact's address on the channel.
    pub to: String,
    /// What it says.
    pub body: Body,
}

/// What came of a call to a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum SendVerdict {
    /// The provider took the message.
    Accepted {
        /// The provider's id of it.
        external_id: String,
        /// Its status; at least `sent`.
        status: DeliveryStatus,
    },
    /// The message was certainly not taken, and may be sent again.
    Safe {
        /// Why.
        error: DeliveryError,
        /// When the provider wants to hear from us again.
        retry_after: Option<Duration>,
        /// `false` if the provider could not be reached at all.
        reached: bool,
    },
    /// The message may have been taken: look before it is sent again.
    Ambiguous {
        /// Why.
        error: DeliveryError,
    },
    /// The message will never be taken.
    Permanent {
        /// Why.
        error: DeliveryError,
        /// `true` if the contact has asked for no more messages.
        opted_out: bool,
    },
    /// No message of this channel can be sent until somebody mends the account or the channel.
    ConfigOrAccount {
        /// Why.
        error: DeliveryError,
    },
}

/// A message at the provider that looks like ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What the provider says of it now.
    pub report: DeliveryReport,
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub enum LookUp {
    /// Messages like ours, newest first. Any may belong to an older message with the same words: whoever asks knows which
    /// ids are taken.
    Found(Vec<Candidate>),
    /// There certainly is none.
    NotFound,
    /// The provider did not say.
    Unknown {
        /// Why.
        error: DeliveryError,
        /// `false` if the provider could not be reached, or failed.
        reached: bool,
    },
}

/// The client of one channel.
#[async_trait]
pub trait Sender: Send + Sync + fmt::Debug {
    /// Calls the provider once. Never tries twice, never follows a redirect.
    async fn send(&self, message: &OutboundMessage) -> SendVerdict;

    /// Asks the provider whether it took such a message at `since` or later.
    async fn look_up(&self, message: &OutboundMessage, since: Timestamp) -> LookUp;

    /// The most calls a second that the channel bears; at least 1.
    fn messages_per_second(&self) -> u32;
}

/// Makes the clients of channels.
pub trait SenderFactory: Send + Sync + fmt::Debug {
    /// The client of a channel; `None` if its messages are not sent by a call, as on web chat.
    fn sender(&self, channel: &ChannelRecord) -> Option<Arc<dyn Sender>>;
}

/// The clients of all providers that there are, over one HTTP client.
#[derive(Clone, Debug)]
pub struct ProviderSenders {
    client: reqwest::Client,
    public_base: String,
}

impl ProviderSenders {
    /// `public_base` is where providers reach this hub, such as `https://hub.example`; status callbacks go there.
    pub fn new(client: reqwest::Client, public_base: impl Into<String>) -> Self {
        Self { client, public_base: public_base.into().trim_end_matches('/').to_owned() }
    }
}

impl SenderFactory for ProviderSenders {
    fn sender(&self, channel: &ChannelRecord) -> Option<Arc<dyn Sender>> {
        match &channel.credentials {
            Credentials::Twilio { .. } => {
                TwilioSender::new(self.client.clone(), &self.public_base, channel).map(|sender| Arc::new(sender) as _)
            }
            Credentials::WebChat { .. } => None,
        }
    }
}

/// The limits of calls to providers.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// For the connection: TCP and TLS.
    pub connect_timeout: Duration,
    /// For a call as a whole.
    pub total_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(5), total_timeout: Duration::from_secs(15) }
    }
}

/// The HTTP client for all providers: no redirects (a redirect would carry credentials away), no proxy from the
/// environment (configuration comes from the configuration alone).
///
/// # Errors
/// If the machine has no usable TLS roots.
pub fn http_client(settings: HttpSettings) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("saler/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.total_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}
