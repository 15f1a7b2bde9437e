//! Files of messages.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A file that the hub has taken: give it as it is as one of a message's `attachments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadedFile {
    /// Where the provider, and the visitor of a web chat, can fetch it, for a week.
    pub url: String,
    /// Its media type, as its content shows.
    pub content_type: String,
    /// Its name.
    pub name: String,
}

/// The name of a file to be taken.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// Its name; at most 100 characters of it are kept.
    pub name: String,
}

/// Where a file of a message can be fetched for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileLink {
    /// The address. Whoever has it can fetch the file.
    pub url: String,
    /// Until when.
    pub expires_at: Timestamp,
}
