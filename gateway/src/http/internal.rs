//! `/internal/v1`: what processes of one hub ask each other. Not for people: guarded by `analytics.token`.
//!
//! A process with the role analytics answers queries, KPIs and boards to gateways that have not. Boards come as one response
//! that does not end: a line of JSON for each, an empty line now and then to show that somebody is there.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{BufMut, Bytes, BytesMut};
use schemas::WorkspaceId;
use schemas::api::analytics::KpiSeriesQuery;
use schemas::api::problem::ErrorCode;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::analytics::{AnalyticsPort, QueryError};
use super::error::ApiError;
use super::route::bearer;
use crate::auth::same;
use crate::realtime::{BoardFeed, BoardSource};

/// How often a board without news shows that it is still fed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The largest question, in bytes: a query of 16 KB, escaped.
const QUESTION_BYTES: usize = 256 << 10;

/// What the routes work with.
#[derive(Debug)]
pub struct Internal {
    /// What askers must show.
    pub token: String,
    /// Queries and KPIs.
    pub port: Arc<dyn AnalyticsPort>,
    /// Boards.
    pub boards: Arc<dyn BoardSource>,
    /// Ends boards when the process stops.
    pub closing: CancellationToken,
}

/// A query for a workspace.
#[derive(Debug, Serialize, Deserialize)]
pub struct SqlQuestion {
    /// Whose tables.
    pub workspace_id: WorkspaceId,
    /// One SELECT.
    pub sql: String,
}

/// A question for KPIs of a workspace over a range.
#[derive(Debug, Serialize, Deserialize)]
pub struct SeriesQuestion {
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// In whose days.
    pub time_zone: String,
    /// Which, and how.
    pub query: KpiSeriesQuery,
}

/// What comes back, told apart from a process that does not answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It was answered.
    Given(T),
    /// It was not, for this reason.
    Failed(QueryError),
}

impl<T> From<Result<T, QueryError>> for Answer<T> {
    fn from(result: Result<T, QueryError>) -> Self {
        match result {
            Ok(answer) => Self::Given(answer),
            Err(error) => Self::Failed(error),
        }
    }
}

impl<T> From<Answer<T>> for Result<T, QueryError> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Given(answer) => Ok(answer),
            Answer::Failed(error) => Err(error),
        }
    }
}

/// Adds the routes; [`Internal`] must be in the application's data.
pub fn configure(service: &mut web::ServiceConfig) {
    service.service(
        web::scope("/internal/v1")
            .app_data(web::JsonConfig::default().limit(QUESTION_BYTES))
            .route("/sql", web::post().to(sql))
            .route("/kpis/series", web::post().to(kpi_series))
            .route("/kpis/{workspace_id}", web::get().to(kpis))
            .route("/boards/{workspace_id}", web::get().to(boards)),
    );
}

fn admit(internal: &Internal, request: &HttpRequest) -> Result<(), ApiError> {
    if bearer(request.headers()).is_some_and(|given| same(given, &internal.token)) {
        return Ok(());
    }
    tracing::warn!("somebody asked for analytics without the right analytics.token");
    Err(ApiError::new(ErrorCode::Unauthenticated, "analytics.token: it is not the one of this process"))
}

async fn sql(
    internal: web::Data<Internal>,
    request: HttpRequest,
    question: web::Json<SqlQuestion>,
) -> Result<HttpResponse, ApiError> {
    admit(&internal, &request)?;
    let answer = internal.port.sql(question.workspace_id, &question.sql).await;
    Ok(HttpResponse::Ok().json(Answer::from(answer)))
}

async fn kpis(
    internal: web::Data<Internal>,
    request: HttpRequest,
    workspace_id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, ApiError> {
    admit(&internal, &request)?;
    Ok(HttpResponse::Ok().json(Answer::from(internal.port.kpis(*workspace_id).await)))
}

async fn kpi_series(
    internal: web::Data<Internal>,
    request: HttpRequest,
    question: web::Json<SeriesQuestion>,
) -> Result<HttpResponse, ApiError> {
    admit(&internal, &request)?;
    let SeriesQuestion { workspace_id, time_zone, query } = question.0;
    let answer = internal.port.kpi_series(workspace_id, &time_zone, &query).await;
    Ok(HttpResponse::Ok().json(Answer::from(answer)))
}

async fn boards(
    internal: web::Data<Internal>,
    request: HttpRequest,
    workspace_id: web::Path<WorkspaceId>,
) -> Result<HttpResponse, ApiError> {
    admit(&internal, &request)?;
    let feed = internal.boards.subscribe(*workspace_id);
    let lines = futures::stream::unfold((feed, internal.closing.clone()), async |(mut feed, closing)| {
        let line = closing.run_until_cancelled(next_line(feed.as_mut())).await.flatten()?;
        Some((Ok::<_, std::convert::Infallible>(line), (feed, closing)))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines))
}

/// The next board, or an empty line if none comes for a while; `None` at the end.
async fn next_line(feed: &mut dyn BoardFeed) -> Option<Bytes> {
    let Ok(next) = tokio::time::timeout(KEEP_ALIVE, feed.next()).await else {
        return Some(Bytes::from_static(b"\n"));
    };
    let board = next?;
    let mut line = BytesMut::with_capacity(board.len() + 1);
    line.put_slice(&board);
    line.put_u8(b'\n');
    Some(line.freeze())
}
