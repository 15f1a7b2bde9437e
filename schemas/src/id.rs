//! Identifiers: one newtype an entity over a UUID of version 7 (RFC 9562), so that ids sort by time of creation.
//!
//! What people create (a workspace, a user, a channel) gets an id from the gateway's clock and randomness. What the
//! conversation engine creates gets a *derived* id: same time, but the random bits are a hash of the command's place in
//! the log, so that a replay gives the same id, bit for bit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// The text is not a UUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not an id: expected a UUID such as 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d")]
pub struct ParseIdError {
    /// What was given, cut after 64 characters.
    pub text: String,
}

/// A version 7 UUID from a time and 74 bits of `entropy` (the first ten bytes; the rest is ignored).
fn uuid_v7(at: Timestamp, entropy: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, entropy).into_uuid()
}

/// A UUID that is a pure function of its inputs: `at` gives the time, the rest is hashed (BLAKE3).
///
/// `domain` keeps two kinds of ids with the same parts apart. Each part is hashed with its length, so that
/// `["ab", "c"]` and `["a", "bc"]` differ.
fn derive_uuid(domain: &str, at: Timestamp, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("saler 2026-11 derived id");
    hasher.update(domain.as_bytes());
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut entropy = [0; 10];
    hasher.finalize_xof().fill(&mut entropy);
    uuid_v7(at, &entropy)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id from the caller's clock and ten random bytes.
            pub fn new(at: Timestamp, entropy: &[u8; 10]) -> Self {
                Self(uuid_v7(at, entropy))
            }

            /// An id that is a pure function of `at` and `parts`: a replay gives the same one.
            pub fn derive(at: Timestamp, parts: &[&[u8]]) -> Self {
                Self(derive_uuid(stringify!($name), at, parts))
            }

            /// The id with these sixteen bytes, as stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The id that this UUID is.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The sixteen bytes, in the order in which ids sort.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_not_a_uuid| ParseIdError { text: text.chars().take(64).collect() })
            }
        }
    };
}

id!(
    /// A tenant. Part of every key and every query.
    WorkspaceId
);
id!(
    /// A person (or a bot account) that signs in; the same person may belong to several workspaces.
    UserId
);
id!(
    /// A connected account of a provider, such as one WhatsApp number.
    ChannelId
);
id!(
    /// A policy of service levels.
    SlaPolicyId
);
id!(
    /// A customer, as one workspace knows them.
    ContactId
);
id!(
    /// A conversation between one contact and a workspace on one channel.
    ConversationId
);
id!(
    /// One message or private note of a conversation.
    MessageId
);
id!(
    /// One wish or fact from outside, as appended to the topic `commands`.
    CommandId
);
id!(
    /// One thing that happened, as published on the topic `events`.
    EventId
);
id!(
    /// A group of members of a workspace.
    TeamId
);
id!(
    /// Filters of the list of conversations that somebody keeps under a name.
    SavedViewId
);
id!(
    /// One entry of a workspace's audit trail.
    AuditEntryId
);
id!(
    /// A wish that what is known of a contact be erased.
    ErasureRequestId
);
id!(
    /// An API token.
    TokenId
);
id!(
    /// A sign-in: a family of refresh tokens.
    SessionId
);
id!(
    /// An authentic webhook that could not be read.
    DeadLetterId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_stable_sorted_by_time_and_of_version_7() {
        let early = Timestamp::from_unix_millis(1_795_000_000_000);
        let late = Timestamp::from_unix_millis(1_795_000_000_001);
        let id = MessageId::derive(early, &[b"one", &7u64.to_le_bytes()]);
        assert_eq!(id, MessageId::derive(early, &[b"one", &7u64.to_le_bytes()]));
        assert_eq!(id.uuid().get_version_num(), 7);
        assert!(id < MessageId::derive(late, &[b"one", &7u64.to_le_bytes()]));
        assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
    }

    #[test]
    fn derived_ids_differ_by_domain_and_by_where_parts_end() {
        let at = Timestamp::from_unix_millis(1);
        let ab_c = MessageId::derive(at, &[b"ab", b"c"]);
        assert_ne!(ab_c, MessageId::derive(at, &[b"a", b"bc"]));
        assert_ne!(ab_c.uuid(), EventId::derive(at, &[b"ab", b"c"]).uuid());
    }

    #[test]
    fn says_what_an_id_looks_like() {
        let error = "x".repeat(100).parse::<UserId>().unwrap_err();
        assert_eq!(error.text.len(), 64);
        assert!(error.to_string().contains("expected a UUID such as"));
    }
}
