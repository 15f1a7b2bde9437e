//! Channels.

use serde::{Deserialize, Serialize};

use crate::ChannelId;
use crate::channel::{AssignmentPolicy, Channel, Medium, Secret};
use crate::widget::WidgetSettings;

/// A channel with what its provider must be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChannelView {
    /// The channel.
    #[serde(flatten)]
    pub channel: Channel,
    /// Where the provider must post messages and delivery reports; absent for web chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// What web chat has besides; absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_chat: Option<WebChatView>,
}

/// What a web chat channel has besides what all channels have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WebChatView {
    /// The origins whose pages may open the chat.
    pub allowed_origins: Vec<String>,
    /// How the widget looks and what it asks.
    pub widget: WidgetSettings,
}

/// What the widget on a customer's page needs to know before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VisitorWidget {
    /// The channel.
    pub channel_id: ChannelId,
    /// How the widget looks and what it asks.
    pub settings: WidgetSettings,
}

/// Which widget.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VisitorWidgetQuery {
    /// The id of a web chat channel.
    pub channel: ChannelId,
}

/// A channel to make.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// How its conversations find their agent.
    #[serde(default)]
    pub assignment: AssignmentPolicy,
    /// A message within this many hours after a conversation was resolved reopens it; 168 if absent.
    #[serde(default)]
    pub reopen_hours: Option<u32>,
    /// With whom, and how.
    pub account: NewAccount,
}

/// What a new channel connects to.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(tag = "provider", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewAccount {
    /// Twilio Programmable Messaging.
    Twilio {
        /// SMS or WhatsApp.
        medium: Medium,
        /// The number in E.164, such as `+15005550006`, or a Messaging Service SID (`MG…`).
        address: String,
        /// The account's SID, `AC…`.
        account_sid: String,
        /// The account's auth token.
        #[schema(value_type = String, format = Password)]
        auth_token: Secret,
        /// Where the API is; `https://api.twilio.com` if absent.
        #[serde(default)]
        api_base: Option<String>,
        /// The most messages a second, 1 to 1000; 1 for SMS and 10 for WhatsApp if absent.
        #[serde(default)]
        messages_per_second: Option<u32>,
    },
    /// The hub's own web chat.
    WebChat {
        /// Signs the identity of visitors; made if absent and shown in the answer this once.
        #[serde(default)]
        #[schema(value_type = Option<String>, format = Password)]
        identity_secret: Option<Secret>,
        /// The origins whose pages may open the visitor's socket, such as `https://shop.example`.
        allowed_origins: Vec<String>,
        /// How the widget looks and what it asks.
        #[serde(default)]
        widget: WidgetSettings,
    },
}

/// A channel that was just made.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreatedChannel {
    /// The channel.
    #[serde(flatten)]
    pub view: ChannelView,
    /// The secret for visitors' identities, if the hub made one: shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret: Option<String>,
}

/// Changes of a channel; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelChange {
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Another way to find agents.
    #[serde(default)]
    pub assignment: Option<AssignmentPolicy>,
    /// Another time in which resolved conversations reopen.
    #[serde(default)]
    pub reopen_hours: Option<u32>,
    /// `false` stops sending; what comes in is still taken.
    #[serde(default)]
    pub active: Option<bool>,
    /// Twilio: another auth token. The one before it still verifies webhooks.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub auth_token: Option<Secret>,
    /// Web chat: other origins.
    #[serde(default)]
    pub allowed_origins: Option<Vec<String>>,
    /// Web chat: other settings of the widget, in place of all that there are.
    #[serde(default)]
    pub widget: Option<WidgetSettings>,
}
