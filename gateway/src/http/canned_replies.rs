//! `/canned-replies`, and a canned reply as it reads in a conversation.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::ConversationId;
use schemas::api::desk::{CannedReplyChange, RenderedReply};
use schemas::api::problem::Problem;
use schemas::api::{Page, PageQuery};
use schemas::desk::{CannedReply, SettingChange};
use schemas::policy::Action;
use schemas::template::{self, first_name};

use super::commands::announce;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::read;
use super::route::{Access, Endpoints};
use crate::directory::desk::CannedReplyText;

/// The canned replies of the workspace, by shortcut.
#[utoipa::path(
    get, path = "/api/v1/canned-replies", tag = "canned replies", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<CannedReply>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<CannedReply>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<String> = state.cursors.open(workspace_id, "canned-replies", query.0.cursor.as_deref())?;
    let found = state.directory.canned_replies_after(workspace_id, after, limit + 1).await?;
    Ok(web::Json(state.cursors.page(workspace_id, "canned-replies", (found, limit), |reply| reply.shortcut.clone())))
}

/// Makes a canned reply, or changes it.
#[utoipa::path(
    put, path = "/api/v1/canned-replies/{shortcut}", tag = "canned replies", security(("bearer" = [])),
    params(("shortcut" = String, Path, description = "What agents type to find it: 1 to 50 characters without blanks.")),
    request_body = CannedReplyChange,
    responses((status = 200, body = CannedReply), (status = 422, body = Problem)),
)]
pub async fn put(
    state: State,
    caller: Caller,
    path: ValidPath<String>,
    body: ValidJson<CannedReplyChange>,
) -> Result<web::Json<CannedReply>, ApiError> {
    let CannedReplyChange { text, title, language } = body.0;
    let says = CannedReplyText { text, title, language };
    let canned_reply = state.directory.put_canned_reply(caller.workspace_id, &path.0, says, caller.user_id).await?;
    announce(&state, &caller, None, SettingChange::CannedReply { canned_reply: canned_reply.clone() }).await;
    Ok(web::Json(canned_reply))
}

/// Removes a canned reply.
#[utoipa::path(
    delete, path = "/api/v1/canned-replies/{shortcut}", tag = "canned replies", security(("bearer" = [])),
    params(("shortcut" = String, Path, description = "Which.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn remove(state: State, caller: Caller, path: ValidPath<String>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_canned_reply(caller.workspace_id, &path.0).await?;
    announce(&state, &caller, None, SettingChange::CannedReplyRemoved { shortcut: path.0 }).await;
    Ok(HttpResponse::NoContent().finish())
}

/// A canned reply with its variables filled in for a conversation and the caller.
#[utoipa::path(
    get, path = "/api/v1/conversations/{conversation_id}/canned-replies/{shortcut}", tag = "canned replies",
    security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "For which."),
        ("shortcut" = String, Path, description = "Which.")),
    responses((status = 200, body = RenderedReply), (status = 404, body = Problem)),
)]
pub async fn rendered(
    state: State,
    caller: Caller,
    path: ValidPath<(ConversationId, String)>,
) -> Result<web::Json<RenderedReply>, ApiError> {
    let (conversation_id, shortcut) = path.0;
    let workspace_id = caller.workspace_id;
    let conversation = read::conversation(&state, &caller, conversation_id).await?;
    let reply = state.directory.canned_reply(workspace_id, &shortcut).await?;
    let contact = read::contact(&state, &caller, conversation.contact_id).await?;
    let channel = state.directory.channel(workspace_id, conversation.channel_id).await?.channel;
    let workspace = state.directory.workspace(workspace_id).await?;
    let agent = state.directory.membership(workspace_id, caller.user_id).await?.map(|member| member.name);
    let rendered = template::render(&reply.text, |variable| match variable {
        "contact.name" => contact.name.clone(),
        "contact.first_name" => contact.name.as_deref().map(first_name),
        "contact.phone" => contact.phone.clone(),
        "contact.email" => contact.email.clone(),
        "agent.name" => agent.clone(),
        "agent.first_name" => agent.as_deref().map(first_name),
        "channel.name" => Some(channel.name.clone()),
        "workspace.name" => Some(workspace.name.clone()),
        _ => None,
    });
    Ok(web::Json(RenderedReply { text: rendered.text, missing: rendered.missing }))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let (read, manage) = (Access::Right(Action::ReadCannedReplies), Access::Right(Action::ManageCannedReplies));
    endpoints
        .add(Method::GET, "/canned-replies", read, list)
        .add(Method::PUT, "/canned-replies/{shortcut}", manage, put)
        .add(Method::DELETE, "/canned-replies/{shortcut}", manage, remove)
        .add(Method::GET, "/conversations/{conversation_id}/canned-replies/{shortcut}", read, rendered);
}
