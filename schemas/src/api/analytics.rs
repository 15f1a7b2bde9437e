//! SQL and KPIs over HTTP.

use serde::{Deserialize, Serialize};

/// A query over the workspace's own tables.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    /// One SELECT, at most 16,384 bytes.
    pub sql: String,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow calls it.
    pub data_type: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlAnswer {
    /// Columns.
    pub columns: Vec<SqlColumn>,
    /// Rows: one value for each column.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// `true` if there were more rows than an answer may have.
    pub truncated: bool,
}
