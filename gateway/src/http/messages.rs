//! `/conversations/{conversation_id}/messages` and `/notes`.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::ConversationId;
use schemas::api::Page;
use schemas::api::conversation::{MessageQuery, NewMessage, NewNote, Sent};
use schemas::api::problem::Problem;
use schemas::command::Command;
use schemas::message::Message;
use schemas::policy::Action;

use super::commands::{Done, execute};
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, IdempotencyKey, State, ValidJson, ValidPath, ValidQuery};
use super::read;
use super::route::{Access, Endpoints};

/// The messages and notes of a conversation: newest first by cursor, or oldest first after a number.
#[utoipa::path(
    get, path = "/api/v1/conversations/{conversation_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "Of which."), MessageQuery),
    responses((status = 200, body = Page<Message>), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    query: ValidQuery<MessageQuery>,
) -> Result<web::Json<Page<Message>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let conversation = read::conversation(&state, &caller, path.0).await?;
    let of = (caller.workspace_id, conversation.id);
    let forward = query.0.after_seq.is_some();
    let cursor_of = format!("messages/{}/{}", conversation.id, if forward { "after" } else { "before" });
    let place: Option<u64> = state.cursors.open(caller.workspace_id, &cursor_of, query.0.cursor.as_deref())?;
    let tables = state.tables.as_ref();
    let mut items = if let Some(after) = query.0.after_seq {
        let after = place.unwrap_or(after);
        read::messages_after(tables, of, after, conversation.last_seq, limit + 1).await?
    } else {
        let before = place.unwrap_or(conversation.last_seq.saturating_add(1));
        read::messages_before(tables, of, before, limit + 1).await?
    };
    let more = items.len() > limit;
    items.truncate(limit);
    let end = items.last().filter(|_| more).map(|message| message.seq);
    let next_cursor = end.map(|seq| state.cursors.seal(caller.workspace_id, &cursor_of, &seq));
    Ok(web::Json(Page { items, next_cursor }))
}

/// Sends a message to the contact. The answer comes when it is kept for sending; events tell how far it has come.
#[utoipa::path(
    post, path = "/api/v1/conversations/{conversation_id}/messages", tag = "messages", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "In which."),
        ("Idempotency-Key" = String, Header, description = "A text of your own: a repeat has no second effect.")),
    request_body = NewMessage,
    responses((status = 201, body = Sent), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 504, body = Problem)),
)]
pub async fn send(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    key: IdempotencyKey,
    body: ValidJson<NewMessage>,
) -> Result<HttpResponse, ApiError> {
    let conversation_id = read::conversation(&state, &caller, path.0).await?.id;
    let author = caller.author();
    let command = Command::SendMessage { conversation_id, author, body: body.0.body.into() };
    let done = execute(&state, &caller, Some(key.required()?), command).await?;
    sent(&state, &caller, done).await
}

/// Sends a failed message again.
#[utoipa::path(
    post, path = "/api/v1/conversations/{conversation_id}/messages/{seq}/retry", tag = "messages",
    security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "In which."),
        ("seq" = u64, Path, description = "The message's number."),
        ("Idempotency-Key" = String, Header, description = "A text of your own: a repeat has no second effect.")),
    responses((status = 200, body = Message), (status = 404, body = Problem), (status = 409, body = Problem)),
)]
pub async fn retry(
    state: State,
    caller: Caller,
    path: ValidPath<(ConversationId, u64)>,
    key: IdempotencyKey,
) -> Result<web::Json<Message>, ApiError> {
    let (conversation_id, seq) = path.0;
    let conversation_id = read::conversation(&state, &caller, conversation_id).await?.id;
    let command = Command::RetryMessage { conversation_id, seq };
    execute(&state, &caller, Some(key.required()?), command).await?;
    let message = read::message(&state, caller.workspace_id, conversation_id, seq).await?;
    message.map(web::Json).ok_or_else(|| ApiError::not_found("message"))
}

/// Adds a private note.
#[utoipa::path(
    post, path = "/api/v1/conversations/{conversation_id}/notes", tag = "notes", security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "In which."),
        ("Idempotency-Key" = String, Header, description = "A text of your own: a repeat has no second effect.")),
    request_body = NewNote,
    responses((status = 201, body = Sent), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)),
)]
pub async fn add_note(
    state: State,
    caller: Caller,
    path: ValidPath<ConversationId>,
    key: IdempotencyKey,
    body: ValidJson<NewNote>,
) -> Result<HttpResponse, ApiError> {
    let conversation_id = read::conversation(&state, &caller, path.0).await?.id;
    let author = caller.author();
    let NewNote { text, mentions } = body.0;
    let command = Command::AddNote { conversation_id, author, text, mentions };
    let done = execute(&state, &caller, Some(key.required()?), command).await?;
    sent(&state, &caller, done).await
}

/// 201 with the message that a command made (200 in effect, if it was made before).
///
/// # Errors
/// Any of the tables.
pub(super) async fn sent(state: &State, caller: &Caller, done: Done) -> Result<HttpResponse, ApiError> {
    let (Some(conversation_id), Some(seq)) = (done.conversation_id, done.seq) else {
        return Err(ApiError::not_found("message"));
    };
    let message = read::message(state, caller.workspace_id, conversation_id, seq).await?;
    let message = message.ok_or_else(|| ApiError::not_found("message"))?;
    Ok(HttpResponse::Created().json(Sent { message, repeated: done.repeated }))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let write = Access::Right(Action::WriteConversations);
    endpoints
        .add(Method::GET, "/conversations/{conversation_id}/messages", Access::Right(Action::ReadConversations), list)
        .add(Method::POST, "/conversations/{conversation_id}/messages", write, send)
        .add(Method::POST, "/conversations/{conversation_id}/messages/{seq}/retry", write, retry)
        .add(Method::POST, "/conversations/{conversation_id}/notes", write, add_note);
}
