//! `/conversations`: beginning, reading and changing them. Lists: [`super::lists`].

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::ConversationId;
use schemas::api::conversation::{
    BULK_MAX, BulkChange, BulkError, BulkItem, BulkOutcome, ConversationChange, ConversationView, LabelsChange,
    NewConversation, ReadMark, Sent,
};
use schemas::api::problem::Problem;
use schemas::command::Command;
use schemas::contact::Identity;
use schemas::conversation::ConversationChanges;
use schemas::policy::Action;

use super::commands::{execute, execute_each};
use super::error::ApiError;
use super::extract::{Caller, IdempotencyKey, State, ValidJson, ValidPath};
use super::messages::sent;
use super::route::{Access, Endpoints};
use super::state::AppState;
use super::{read, teams};
use crate::auth::principal::Principal;

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

/// Changes a conversation. All changes take effect, or none.
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
    let conversation_id = read::conversation(&state, &caller, path.0).await?.id;
    let changes = checked(&state, &caller, body.0, "").await?;
    execute(&state, &caller, None, Command::ChangeConversation { conversation_id, changes }).await?;
    after(&state, &caller, conversation_id).await
}

/// Makes the same changes to several conversations. Each is decided by itself: what came of it stands beside it.
#[utoipa::path(
    post, path = "/api/v1/conversations/bulk", tag = "conversations", security(("bearer" = [])), request_body = BulkChange,
    responses((status = 200, body = BulkOutcome), (status = 422, body = Problem)),
)]
pub async fn change_many(
    state: State,
    caller: Caller,
    body: ValidJson<BulkChange>,
) -> Result<web::Json<BulkOutcome>, ApiError> {
    let BulkChange { conversation_ids, change } = body.0;
    if !(1..=BULK_MAX).contains(&conversation_ids.len()) {
        let message = format!("it names {} conversations: write 1 to {BULK_MAX}", conversation_ids.len());
        return Err(ApiError::invalid("conversation_ids", message));
    }
    let changes = checked(&state, &caller, change, "change.").await?;
    let visible = read::conversations(&state, &caller, conversation_ids.clone()).await?;
    let visible: BTreeSet<ConversationId> = visible.into_iter().map(|conversation| conversation.id).collect();
    let wishes = visible
        .iter()
        .map(|conversation_id| Command::ChangeConversation {
            conversation_id: *conversation_id,
            changes: changes.clone(),
        })
        .collect();
    let done = execute_each(&state, &caller, None, wishes).await?;
    let mut refused: BTreeMap<ConversationId, ApiError> = BTreeMap::new();
    for (conversation_id, outcome) in visible.iter().zip(done) {
        if let Err(error) = outcome {
            refused.insert(*conversation_id, error);
        }
    }
    let now = read::conversations_as_actor(&state, &caller, visible.iter().copied().collect()).await?;
    let mut now: BTreeMap<_, _> =
        now.into_iter().map(|conversation| (conversation.id, read::view(&caller, conversation))).collect();
    let items = conversation_ids.into_iter().map(|conversation_id| {
        let error = match refused.get(&conversation_id) {
            Some(error) => Some(error.clone()),
            None if visible.contains(&conversation_id) => None,
            None => Some(ApiError::not_found("conversation")),
        };
        match error {
            Some(ApiError { code, detail, .. }) => {
                BulkItem { conversation_id, conversation: None, error: Some(BulkError { code, detail }) }
            }
            None => BulkItem { conversation_id, conversation: now.get_mut(&conversation_id).cloned(), error: None },
        }
    });
    Ok(web::Json(BulkOutcome { items: items.collect() }))
}

/// Changes that there are, and of which the gateway knows that they can be made. `at` is where in the body they stand.
async fn checked(
    state: &AppState,
    caller: &Principal,
    change: ConversationChange,
    at: &str,
) -> Result<ConversationChanges, ApiError> {
    let changes = ConversationChanges::from(change);
    if changes.is_empty() {
        let nothing = "nothing is to be changed: send status, assignee, team, priority or labels";
        return Err(ApiError::invalid(format!("{at}status"), nothing));
    }
    if changes.status.is_none() && changes.snoozed_until.is_some() {
        return Err(ApiError::invalid(format!("{at}snoozed_until"), "it goes with status snoozed: send both"));
    }
    teams::check(state, caller, changes.team.flatten(), &format!("{at}team")).await?;
    Ok(changes)
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
        .add(Method::POST, "/conversations", write, start)
        .add(Method::POST, "/conversations/bulk", write, change_many)
        .add(Method::GET, "/conversations/{conversation_id}", read, get)
        .add(Method::PATCH, "/conversations/{conversation_id}", write, change)
        .add(Method::POST, "/conversations/{conversation_id}/labels", write, labels)
        .add(Method::POST, "/conversations/{conversation_id}/read", read, mark_read);
}
