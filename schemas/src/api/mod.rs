//! Bodies of HTTP requests and answers under `/api/v1`, from which `openapi.json` is made.
//!
//! A request with a field that is not declared here is refused: nothing is ignored that its sender may rely on.

use serde::{Deserialize, Serialize};

pub mod analytics;
pub mod auth;
pub mod channel;
pub mod contact;
pub mod conversation;
pub mod dead_letter;
pub mod desk;
pub mod file;
pub mod hours;
pub mod problem;
pub mod service;
pub mod workspace;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The most items of a page.
pub const PAGE_LIMIT_MAX: u32 = 100;
/// The items of a page for which no `limit` was given.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before; absent for the first.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many items at most, 1 to 100; 50 if absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// Tells a field that is absent (`None`: leave it) from one that is `null` (`Some(None)`: remove it).
#[expect(clippy::option_option, reason = "absent and null differ")]
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
