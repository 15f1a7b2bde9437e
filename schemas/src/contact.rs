//! Contacts: the customers of a workspace, and the addresses by which channels know them.

use serde::{Deserialize, Serialize};

use crate::{ChannelId, ContactId, Timestamp};

/// How a channel names a contact. The channel is part of it: the same phone number on two channels is two identities.
///
/// `address` is what the channel sends back to: E.164 for phone numbers, the provider's user id for a user without one
/// (WhatsApp's business-scoped id, `SA.4566…`), the visitor's id for web chat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Identity {
    /// The channel that knows the contact by this address.
    pub channel_id: ChannelId,
    /// The address there.
    pub address: String,
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The name, as agents set it or else as the channel gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `true` once an agent has set the name: a channel's profile name no longer changes it.
    #[serde(default)]
    pub name_is_set: bool,
    /// The phone number in E.164, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The e-mail address, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How channels know this contact; at least one.
    pub identities: Vec<Identity>,
    /// Channels on which the contact has asked for no more messages (STOP).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opted_out: Vec<ChannelId>,
    /// `true` if what they write opens no conversation and reaches no agent.
    #[serde(default)]
    pub blocked: bool,
    /// When they first wrote or were first written to.
    pub created_at: Timestamp,
}
