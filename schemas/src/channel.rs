//! Channels: connected accounts of providers.

use serde::{Deserialize, Serialize};

use crate::widget::WidgetSettings;
use crate::{ChannelId, WorkspaceId};

/// Who carries the messages: the name in webhook addresses, in `--provider` and in the provider's module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Twilio Programmable Messaging: SMS, MMS and WhatsApp.
    Twilio,
    /// The hub's own visitor socket.
    WebChat,
}

impl Provider {
    /// Every provider that a channel can have.
    pub const ALL: [Self; 2] = [Self::Twilio, Self::WebChat];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::WebChat => "web_chat",
        }
    }
}

/// What the contact uses to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// SMS or MMS.
    Sms,
    /// WhatsApp.
    Whatsapp,
    /// Chat on a web page.
    WebChat,
}

impl Medium {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::WebChat => "web_chat",
        }
    }

    /// For how long after the contact's last message free text may be sent; `None` where there is no such window.
    ///
    /// WhatsApp: 24 hours after the last message of the user (Twilio error 63016, Meta error 131047).
    pub const fn reply_window_hours(self) -> Option<u32> {
        match self {
            Self::Whatsapp => Some(24),
            Self::Sms | Self::WebChat => None,
        }
    }

    /// The most characters that one message's text may have (Twilio error 21617).
    pub const fn text_limit_chars(self) -> usize {
        match self {
            Self::Sms | Self::Whatsapp => 1_600,
            Self::WebChat => 10_000,
        }
    }
}

/// How conversations of a channel find their agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentPolicy {
    /// Only by hand.
    #[default]
    Manual,
    /// The available agent whose last automatic assignment is longest ago.
    RoundRobin,
    /// The available agent with the fewest open conversations; ties as round robin.
    FewestOpen,
}

/// A channel as the conversation engine and the event readers know it. No secrets: those stay in their own table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Whose it is.
    pub workspace_id: WorkspaceId,
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// Who carries its messages.
    pub provider: Provider,
    /// What contacts use to write to it.
    pub medium: Medium,
    /// Our own address there: a number in E.164 (without `whatsapp:`), or a Messaging Service SID (`MG…`).
    pub address: String,
    /// How its conversations find their agent.
    #[serde(default)]
    pub assignment: AssignmentPolicy,
    /// A message within this many hours after a conversation was resolved reopens it; later ones begin a new one.
    #[serde(default = "default_reopen_hours")]
    pub reopen_hours: u32,
    /// `false` stops sending; what comes in is still taken.
    #[serde(default = "yes")]
    pub active: bool,
    /// Grows with every change of the settings above, so that an old change never overwrites a newer one.
    pub version: u64,
}

const fn default_reopen_hours() -> u32 {
    7 * 24
}

const fn yes() -> bool {
    true
}

/// A secret: never shown by `Debug`, written as it is when stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the call that needs it, never for a log or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a channel needs to talk to its provider and to believe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Credentials {
    /// Twilio.
    Twilio {
        /// The account's SID, `AC…`; webhooks of another account are refused.
        account_sid: String,
        /// Auth tokens: the first signs calls, any of them verifies webhooks (two while one replaces the other).
        auth_tokens: Vec<Secret>,
        /// Where the API is, without a slash at the end: `https://api.twilio.com` unless a test says otherwise.
        api_base: String,
        /// The most messages a second that are sent (1 for a long code, 10 for a WhatsApp sender by default).
        messages_per_second: u32,
    },
    /// The hub's own web chat.
    WebChat {
        /// Signs the identity of visitors whom the customer's site knows.
        identity_secret: Secret,
        /// The origins whose pages may open the visitor's socket, such as `https://shop.example`.
        allowed_origins: Vec<String>,
        /// How the widget looks and what it asks.
        #[serde(default)]
        widget: WidgetSettings,
    },
}

/// A row of [`crate::tables::CHANNELS`]: a channel with its secrets. Never sent to anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// What everybody may know.
    pub channel: Channel,
    /// What only the webhook and the sender may know.
    pub credentials: Credentials,
}
