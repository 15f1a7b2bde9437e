//! `/sql` and `/kpis`.

use actix_web::http::Method;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use async_trait::async_trait;
use schemas::WorkspaceId;
use schemas::api::analytics::{KpiSeriesQuery, SqlAnswer, SqlQuery};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::kpi::{KpiBoard, KpiDefinitions, KpiSeriesAnswer};
use schemas::policy::Action;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, RETRY_AFTER_S};
use super::extract::{Caller, State, ValidJson, ValidQuery};
use super::route::{Access, Endpoints};

/// The longest SQL text, in bytes.
const SQL_MAX_BYTES: usize = 16_384;

/// Why a query gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryError {
    /// It is not allowed, wrong, or reached a limit; the text says which.
    #[error("{reason}")]
    Refused {
        /// Which.
        reason: String,
    },
    /// A parameter cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which.
        field: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// Too many queries run, or the workspace's are paused.
    #[error("{reason}")]
    Busy {
        /// Which, and for how long.
        reason: String,
    },
    /// It cannot be answered now.
    #[error("queries cannot be answered now: {reason}")]
    Unavailable {
        /// Why; for the log.
        reason: String,
    },
}

/// What the gateway asks of analytics.
#[async_trait]
pub trait AnalyticsPort: Send + Sync + std::fmt::Debug {
    /// Runs one query over a workspace's own tables.
    ///
    /// # Errors
    /// See [`QueryError`].
    async fn sql(&self, workspace_id: WorkspaceId, sql: &str) -> Result<SqlAnswer, QueryError>;

    /// The workspace's live KPIs, as the board shows them.
    ///
    /// # Errors
    /// See [`QueryError`].
    async fn kpis(&self, workspace_id: WorkspaceId) -> Result<KpiBoard, QueryError>;

    /// The workspace's KPIs over a range, cut into buckets of this time zone.
    ///
    /// # Errors
    /// See [`QueryError`].
    async fn kpi_series(
        &self,
        workspace_id: WorkspaceId,
        time_zone: &str,
        query: &KpiSeriesQuery,
    ) -> Result<KpiSeriesAnswer, QueryError>;
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused { reason } => Self::new(ErrorCode::QueryRefused, reason),
            QueryError::Invalid { field, reason } => Self::invalid(field, reason),
            QueryError::Busy { reason } => Self::new(ErrorCode::Unavailable, reason).retry_after(1),
            QueryError::Unavailable { .. } => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a query cannot be answered");
                Self::new(ErrorCode::Unavailable, "queries cannot be answered now: try again")
                    .retry_after(RETRY_AFTER_S)
            }
        }
    }
}

/// Runs one SELECT over the workspace's own tables. `Accept: text/csv` gives CSV.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "analytics", security(("bearer" = [])), request_body = SqlQuery,
    responses((status = 200, content((SqlAnswer = "application/json"), (String = "text/csv"))),
        (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)),
)]
pub async fn sql(
    state: State,
    caller: Caller,
    request: HttpRequest,
    body: ValidJson<SqlQuery>,
) -> Result<HttpResponse, ApiError> {
    if body.0.sql.len() > SQL_MAX_BYTES {
        return Err(ApiError::invalid("sql", format!("it has {} bytes: at most {SQL_MAX_BYTES}", body.0.sql.len())));
    }
    let answer = state.analytics.sql(caller.workspace_id, &body.0.sql).await?;
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.split(',').any(|kind| kind.trim().starts_with("text/csv")) {
        return Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(csv(&answer)));
    }
    Ok(HttpResponse::Ok().json(answer))
}

/// The workspace's live KPIs.
#[utoipa::path(
    get, path = "/api/v1/kpis", tag = "analytics", security(("bearer" = [])),
    responses((status = 200, body = KpiBoard), (status = 403, body = Problem), (status = 503, body = Problem)),
)]
pub async fn kpis(state: State, caller: Caller) -> Result<web::Json<KpiBoard>, ApiError> {
    Ok(web::Json(state.analytics.kpis(caller.workspace_id).await?))
}

/// What each KPI means, how it is computed, and by what it can be told apart.
#[utoipa::path(
    get, path = "/api/v1/kpis/definitions", tag = "analytics", security(("bearer" = [])),
    responses((status = 200, body = KpiDefinitions), (status = 403, body = Problem)),
)]
pub async fn kpi_definitions() -> Result<web::Json<KpiDefinitions>, ApiError> {
    let items = ::analytics::kpi::definitions().map_err(|error| ApiError::internal(&error))?;
    Ok(web::Json(KpiDefinitions { items }))
}

/// KPIs over a range of the past: cut into buckets of the workspace's time zone, told apart by channel, agent or label, and
/// compared with the range before.
#[utoipa::path(
    get, path = "/api/v1/kpis/series", tag = "analytics", security(("bearer" = [])), params(KpiSeriesQuery),
    responses((status = 200, body = KpiSeriesAnswer), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)),
)]
pub async fn kpi_series(
    state: State,
    caller: Caller,
    query: ValidQuery<KpiSeriesQuery>,
) -> Result<web::Json<KpiSeriesAnswer>, ApiError> {
    let workspace = state.directory.workspace(caller.workspace_id).await?;
    let answer = state.analytics.kpi_series(caller.workspace_id, &workspace.time_zone, &query.0).await?;
    Ok(web::Json(answer))
}

/// RFC 4180. A text that a spreadsheet would take for a formula is given an apostrophe; a number with a sign is not.
fn csv(answer: &SqlAnswer) -> String {
    let mut out = String::new();
    push_line(&mut out, answer.columns.iter().map(|column| quoted(&column.name)));
    for row in &answer.rows {
        push_line(
            &mut out,
            row.iter().map(|value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => quoted(text),
                other @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => other.to_string(),
                nested => quoted(&nested.to_string()),
            }),
        );
    }
    out
}

fn push_line(out: &mut String, fields: impl Iterator<Item = String>) {
    for (n, field) in fields.enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&field);
    }
    out.push_str("\r\n");
}

fn quoted(text: &str) -> String {
    // A number is none, whatever its sign: phone numbers stay what they are.
    let digits = text.strip_prefix(['+', '-']).unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::POST, "/sql", Access::Right(Action::RunSql), sql)
        .add(Method::GET, "/kpis", Access::Right(Action::ReadKpis), kpis)
        .add(Method::GET, "/kpis/definitions", Access::Right(Action::ReadKpis), kpi_definitions)
        .add(Method::GET, "/kpis/series", Access::Right(Action::ReadKpis), kpi_series);
}

#[cfg(test)]
mod tests {
    use schemas::api::analytics::SqlColumn;
    use serde_json::json;

    use super::*;

    #[test]
    fn csv_quotes_what_must_be_and_defuses_formulas() {
        let answer = SqlAnswer {
            columns: ["a", "b,c"].map(|name| SqlColumn { name: name.to_owned(), data_type: "Utf8".to_owned() }).into(),
            rows: vec![
                vec![json!("he said \"hi\""), json!(-1)],
                vec![json!("=1+1"), json!(null)],
                vec![json!("مرحبا"), json!([1])],
                vec![json!("+966501234567"), json!("+966501234567+1")],
            ],
            truncated: false,
        };
        assert_eq!(
            csv(&answer),
            "a,\"b,c\"\r\n\"he said \"\"hi\"\"\",-1\r\n'=1+1,\r\nمرحبا,[1]\r\n+966501234567,'+966501234567+1\r\n"
        );
    }
}
