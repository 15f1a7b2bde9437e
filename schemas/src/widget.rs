//! How a web chat channel's widget looks on the customer's pages, and what it asks visitors before they write.

use serde::{Deserialize, Serialize};

/// The settings of a web chat channel's widget. Attributes of the page's script tag go before them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WidgetSettings {
    /// The colour of the button and of the visitor's messages, such as `#12715b`; the hub's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// What stands above the chat, 1 to 60 characters; a sentence in the visitor's language if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What greets a visitor who has not written yet, 1 to 500 characters; a sentence in their language if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// In which corner the button is.
    #[serde(default)]
    pub position: WidgetPosition,
    /// Light or dark.
    #[serde(default)]
    pub theme: WidgetTheme,
    /// What a visitor whom the site does not know is asked before the first message; each field at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<AskedField>,
}

/// The corner at the bottom of the page in which the widget's button is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WidgetPosition {
    /// Where lines end: on the right in English, on the left in Arabic.
    #[default]
    End,
    /// Where lines begin.
    Start,
}

/// Whether the widget is light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WidgetTheme {
    /// As the visitor's system.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// A field of the form before the first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AskedField {
    /// What is asked for.
    pub field: VisitorField,
    /// Whether nobody may go on without it.
    #[serde(default)]
    pub required: bool,
}

/// What a visitor may tell of themselves. It is shown to agents; nobody is ever found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitorField {
    /// Their name.
    Name,
    /// Their e-mail address.
    Email,
    /// Their phone number in E.164.
    Phone,
}
