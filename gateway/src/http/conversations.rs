//! `/conversations`: lists and changes.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::api::Page;
use schemas::api::conversation::{
    AssigneeFilter, ConversationChange, ConversationQuery, ConversationView, LabelsChange, NewConversation, ReadMark,
    Sent,
};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::command::Command;
use schemas::contact::Identity;
use schemas::conversation::Status;
use schemas::policy::Action;
use schemas::tables::{CONVERSATION_VIEWS, Value};
use schemas::{ConversationId, Timestamp};
use storage::tables::Scan;

use super::commands::{execute, execute_all};
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, IdempotencyKey, State, ValidJson, ValidPath, ValidQuery};
use super::messages::sent;
use super::read;
use super::route::{Access, Endpoints};
use crate::auth::principal::Principal;

/// Conversations of one status and assignee, latest activity first. Agents see their own and those that nobody holds.
#[utoipa::path(
    get, path = "/api/v1/conversations", tag = "conversations", security(("bearer" = [])), params(ConversationQuery),
    responses((status = 200, body = Page<ConversationView>), (status = 403, body = Problem), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<ConversationQuery>,
) -> Result<web::Json<Page<ConversationView>>, ApiError> {
    let query = query.0;
    let limit = page_limit(query.limit)?;
    let list = list_name(&caller, query.status.unwrap_or(Status::Open), query.assignee)?;
    let workspace_id = caller.workspace_id;
    let cursor_of = format!("conversations/{list}");
    let place: Option<(i64, ConversationId)> = state.cursors.open(workspace_id, &cursor_of, query.cursor.as_deref())?;
    let mut scan = Scan::of([workspace_id.into(), list.into()], limit + 1);
    if let Some((micros, id)) = place {
        scan = scan.after(vec![Timestamp::from_unix_micros(micros).into(), id.into()]);
    }
    let rows = state.tables.scan(CONVERSATION_VIEWS, scan).await?;
    let mut places: Vec<(i64, ConversationId)> = rows
        .iter()
        .filter_map(|row| match row.key.clustering.as_slice() {
            [Value::Timestamp(at), Value::Uuid(id)] => Some((at.unix_micros(), ConversationId::from_bytes(*id))),
            _ => None,
        })
        .collect();
    let more = places.len() > limit;
    places.truncate(limit);
    let next_cursor = places.last().filter(|_| more).map(|place| state.cursors.seal(workspace_id, &cursor_of, place));
    let found = read::conversations(&state, &caller, places.into_iter().map(|(_, id)| id).collect()).await?;
    let items = found.into_iter().map(|conversation| read::view(&caller, conversation)).collect();
    Ok(web::Json(Page { items, next_cursor }))
}

/// The name of a list as the engine keeps it: a status and whose.
fn list_name(caller: &Principal, status: Status, filter: Option<AssigneeFilter>) -> Result<String, ApiError> {
    let sees_all = caller.role.sees_all_conversations();
    let default = if sees_all { AssigneeFilter::All } else { AssigneeFilter::Me };
    let status = status.as_str();
    match filter.unwrap_or(default) {
        AssigneeFilter::Nobody => Ok(format!("{status}/none")),
        AssigneeFilter::Me => Ok(format!("{status}/{}", caller.user_id)),
        AssigneeFilter::User(user_id) if sees_all || user_id == caller.user_id => Ok(format!("{status}/{user_id}")),
        AssigneeFilter::All if sees_all => Ok(format!("{status}/all")),
        AssigneeFilter::All | AssigneeFilter::User(_) => {
            Err(ApiError::new(ErrorCode::Forbidden, "agents list their own conversations and those that nobody holds")
                .at("assignee", "write me or none"))
        }
    }
}

/// Writes to an address first: finds or begins the conversation and sends the message.
#[utoipa::path(
    post, path = "/api/v1/conversations", tag = "conversations", security(("bearer" = [])),
    params(("Idempotency-Key" = String, Header, description = "A text of your own: a repeat has no second effect.")),
    request_body = NewConversation,
    responses((status = 201, body = Sent), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 504, body = Problem)),
)]
pub async fn start(
    state: State,
    caller: Caller,
    key: IdempotencyKey,
    body: ValidJson<NewConversation>,
) -> Result<HttpResponse, ApiError> {
    let NewConversation { channel_id, address, body } = body.0;
    let command =
        Command::StartConversation { to: Identity { channel_id, address }, author: caller.author(), body: body.into() };
    let done = execute(&state, &caller, Some(key.required()?), command).await?;
    sent(&state, &caller, done).await
}

/// A conversation.
#[utoipa::path(
    get, path = "/api/v1/conversations/{conversation_id}", tag = "conversations", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "Which.")),
    responses((status = 200, body = ConversationView), (status = 404, body = Problem)),
)]
pub async fn get(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
) -> Result<web::Json<ConversationView>, ApiError> {
    let conversation = read::conversation(&state, &caller, path.0).await?;
    Ok(web::Json(read::view(&caller, conversation)))
}

/// Changes status, assignee and priority. The changes are kept together; the first that is refused is reported.
#[utoipa::path(
    patch, path = "/api/v1/conversations/{conversation_id}", tag = "conversations", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "Which.")), request_body = ConversationChange,
    responses((status = 200, body = ConversationView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 504, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    body: ValidJson<ConversationChange>,
) -> Result<web::Json<ConversationView>, ApiError> {
    let before = read::conversation(&state, &caller, path.0).await?;
    let conversation_id = before.id;
    let ConversationChange { status, snoozed_until, assignee, priority } = body.0;
    let mut commands = Vec::new();
    if let Some(status) = status {
        commands.push(Command::SetStatus { conversation_id, status, snoozed_until });
    } else if snoozed_until.is_some() {
        return Err(ApiError::invalid("snoozed_until", "it goes with status snoozed: send both"));
    }
    if let Some(assignee) = assignee {
        commands.push(Command::Assign { conversation_id, assignee });
    }
    if let Some(priority) = priority {
        commands.push(Command::SetPriority { conversation_id, priority });
    }
    if commands.is_empty() {
        return Err(ApiError::invalid("status", "nothing is to be changed: send status, assignee or priority"));
    }
    execute_all(&state, &caller, None, commands).await?;
    after(&state, &caller, conversation_id).await
}

/// Puts labels on and takes labels off.
#[utoipa::path(
    post, path = "/api/v1/conversations/{conversation_id}/labels", tag = "conversations", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "Which.")), request_body = LabelsChange,
    responses((status = 200, body = ConversationView), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn labels(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    body: ValidJson<LabelsChange>,
) -> Result<web::Json<ConversationView>, ApiError> {
    let conversation_id = read::conversation(&state, &caller, path.0).await?.id;
    let LabelsChange { add, remove } = body.0;
    execute(&state, &caller, None, Command::ChangeLabels { conversation_id, add, remove }).await?;
    after(&state, &caller, conversation_id).await
}

/// Notes that the caller has read a conversation up to a message.
#[utoipa::path(
    post, path = "/api/v1/conversations/{conversation_id}/read", tag = "conversations", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "Which.")), request_body = ReadMark,
    responses((status = 200, body = ConversationView), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn mark_read(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    body: ValidJson<ReadMark>,
) -> Result<web::Json<ConversationView>, ApiError> {
    let conversation_id = read::conversation(&state, &caller, path.0).await?.id;
    let command = Command::MarkRead { conversation_id, user_id: caller.user_id, seq: body.0.seq };
    execute(&state, &caller, None, command).await?;
    after(&state, &caller, conversation_id).await
}

/// The conversation as it stands now. Whoever has just given it to somebody else is still shown what they did.
async fn after(
    state: &State,
    caller: &Caller,
    conversation_id: ConversationId,
) -> Result<web::Json<ConversationView>, ApiError> {
    let conversation = read::conversation_as_actor(state, caller, conversation_id).await?;
    Ok(web::Json(read::view(caller, conversation)))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let read = Access::Right(Action::ReadConversations);
    let write = Access::Right(Action::WriteConversations);
    endpoints
        .add(Method::GET, "/conversations", read, list)
        .add(Method::POST, "/conversations", write, start)
        .add(Method::GET, "/conversations/{conversation_id}", read, get)
        .add(Method::PATCH, "/conversations/{conversation_id}", write, change)
        .add(Method::POST, "/conversations/{conversation_id}/labels", write, labels)
        .add(Method::POST, "/conversations/{conversation_id}/read", read, mark_read);
}
