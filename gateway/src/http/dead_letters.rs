//! `/dead-letters`: authentic webhooks that could not be read.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use ingest::commands::Commands;
use schemas::api::dead_letter::{DeadLetter, DeadLetterDetail, Replayed};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::api::{Page, PageQuery};
use schemas::policy::Action;
use schemas::{DeadLetterId, WorkspaceId};

use super::cursor::{page_limit, shown};
use super::error::ApiError;
use super::extract::{Caller, State, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use super::webhooks::commands_of;
use crate::directory::Directory;

/// The dead letters of the last twelve months, newest first.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "dead letters", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<DeadLetter>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<DeadLetter>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let workspace_id = caller.workspace_id;
    let place: Option<DeadLetterId> = state.cursors.open(workspace_id, "dead-letters", query.0.cursor.as_deref())?;
    let records = state.directory.dead_letters(workspace_id, place, limit + 1).await?;
    let page = state.cursors.page(workspace_id, "dead-letters", (records, limit), |record| record.letter.id);
    Ok(web::Json(shown(page, |record| record.letter)))
}

/// A dead letter with its body.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{dead_letter_id}", tag = "dead letters", security(("bearer" = [])),
    params(("dead_letter_id" = DeadLetterId, Path, description = "Which.")),
    responses((status = 200, body = DeadLetterDetail), (status = 404, body = Problem)),
)]
pub async fn get(
    state: State,
    caller: Caller,
    path: ValidPath<DeadLetterId>,
) -> Result<web::Json<DeadLetterDetail>, ApiError> {
    let record = state.directory.dead_letter(caller.workspace_id, path.0).await?;
    Ok(web::Json(DeadLetterDetail { letter: record.letter, body_base64: record.body_base64 }))
}

/// Reads a dead letter again and appends what it holds. What is known already has no second effect.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{dead_letter_id}/replay", tag = "dead letters", security(("bearer" = [])),
    params(("dead_letter_id" = DeadLetterId, Path, description = "Which.")),
    responses((status = 200, body = Replayed), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn replay_one(
    state: State,
    caller: Caller,
    path: ValidPath<DeadLetterId>,
) -> Result<web::Json<Replayed>, ApiError> {
    let entries = replay(&state.directory, &state.commands, caller.workspace_id, path.0).await?;
    Ok(web::Json(Replayed { entries }))
}

/// Removes a dead letter.
#[utoipa::path(
    delete, path = "/api/v1/dead-letters/{dead_letter_id}", tag = "dead letters", security(("bearer" = [])),
    params(("dead_letter_id" = DeadLetterId, Path, description = "Which.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn discard(state: State, caller: Caller, path: ValidPath<DeadLetterId>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_dead_letter(caller.workspace_id, path.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reads a letter again and appends what it holds; returns how many entries that were.
///
/// # Errors
/// 404 if there is no such letter, 422 if it still cannot be read.
pub async fn replay(
    directory: &Directory,
    commands: &Commands,
    workspace_id: WorkspaceId,
    id: DeadLetterId,
) -> Result<u64, ApiError> {
    let mut record = directory.dead_letter(workspace_id, id).await?;
    let channel = directory.channel(workspace_id, record.letter.channel_id).await?;
    let unreadable = |reason: String| {
        ApiError::new(ErrorCode::InvalidValue, format!("the dead letter still cannot be read: {reason}"))
    };
    let body = record.body().ok_or_else(|| unreadable("its body was too large to be kept".to_owned()))?;
    let module = ingest::provider::module(record.letter.provider.as_str())
        .ok_or_else(|| unreadable("its provider posts no webhooks".to_owned()))?;
    let entries = module.parse(&record.letter.content_type, &body).map_err(|error| unreadable(error.reason))?;
    let records = commands_of(commands, &channel, entries);
    if !records.is_empty() {
        commands.append_all(&records).await?;
    }
    record.letter.replayed_at = Some(directory.now());
    directory.put_dead_letter(workspace_id, &record).await?;
    Ok(records.len() as u64)
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let manage = Access::Right(Action::ManageDeadLetters);
    let read = Access::Right(Action::ReadDeadLetters);
    endpoints
        .add(Method::GET, "/dead-letters", read, list)
        .add(Method::GET, "/dead-letters/{dead_letter_id}", read, get)
        .add(Method::POST, "/dead-letters/{dead_letter_id}/replay", manage, replay_one)
        .add(Method::DELETE, "/dead-letters/{dead_letter_id}", manage, discard);
}
