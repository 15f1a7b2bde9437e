//! Contacts.

use serde::Deserialize;

/// Changes of a contact; what is absent stays.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactChange {
    /// Another name, 1 to 200 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// Another e-mail address; an empty one removes it.
    #[serde(default)]
    pub email: Option<String>,
    /// Blocked or no longer.
    #[serde(default)]
    pub blocked: Option<bool>,
}
