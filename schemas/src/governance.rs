//! Types that single sign-on, an audit trail and erasure will speak in. Nothing writes or reads them yet; they stand here so
//! that what is stored meanwhile already has a place for them, and keep to the wire rules of this crate from the first day.

use serde::{Deserialize, Serialize};

use crate::command::Actor;
use crate::{AuditEntryId, ContactId, ErasureRequestId, Timestamp, UserId, WorkspaceId};

/// By which name a provider of identities knows a person: the pair is unique (`OpenID` Connect Core 1.0, section 2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalIdentity {
    /// The provider, as its tokens name it in `iss`: an `https` address.
    pub issuer: String,
    /// The person there, as the tokens name them in `sub`. Never an e-mail address, which may pass to somebody else.
    pub subject: String,
    /// Whom they are here.
    pub user_id: UserId,
    /// When the two were tied together.
    pub linked_at: Timestamp,
}

/// Something that somebody did to a workspace, for those who must account for it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditEntryId,
    /// Where.
    pub workspace_id: WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, as a verb after what it was done to: `member.role_changed`, `token.created`.
    pub action: String,
    /// To what: an id, in the form that the API shows.
    pub target: String,
    /// What more there is to say, as a JSON text without secrets and without what messages say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// From which network address, if it came by a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<String>,
}

/// How far an erasure has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureStatus {
    /// Asked for.
    #[default]
    Requested,
    /// Everything that names the contact is gone from the tables; the log still holds it until its retention ends.
    Erased,
    /// Gone from the log too.
    Completed,
}

/// A wish that everything that is known of a contact be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequest {
    /// Its id.
    pub id: ErasureRequestId,
    /// Where.
    pub workspace_id: WorkspaceId,
    /// Whom it is about.
    pub contact_id: ContactId,
    /// Who asked.
    pub requested_by: Actor,
    /// When.
    pub requested_at: Timestamp,
    /// How far it is.
    #[serde(default)]
    pub status: ErasureStatus,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
}
