//! `/contacts`.

use actix_web::http::Method;
use actix_web::web;
use schemas::api::contact::ContactChange;
use schemas::api::conversation::ConversationView;
use schemas::api::problem::Problem;
use schemas::api::{Page, PageQuery};
use schemas::command::Command;
use schemas::contact::Contact;
use schemas::policy::Action;
use schemas::tables::{CONTACT_CONVERSATIONS, CONTACT_LIST, month_bucket};
use schemas::{ContactId, ConversationId};
use storage::tables::Scan;

use super::commands::execute;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, IdempotencyKey, State, ValidJson, ValidPath, ValidQuery};
use super::read;
use super::route::{Access, Endpoints};
use crate::directory::clustering_ids;

/// How many months back the list goes beyond the oldest contact that the cursor has seen: twenty years of months.
pub(super) const MONTHS_BACK: i64 = 240;

/// The contacts of the workspace, newest first.
#[utoipa::path(
    get, path = "/api/v1/contacts", tag = "contacts", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Contact>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Contact>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let workspace_id = caller.workspace_id;
    let place: Option<(i64, ContactId)> = state.cursors.open(workspace_id, "contacts", query.0.cursor.as_deref())?;
    let created = state.directory.workspace(workspace_id).await?.created_at;
    let now = month_bucket(state.clock.now());
    let oldest = month_bucket(created).max(now - MONTHS_BACK);
    let (mut month, mut after) = place.map_or((now, None), |(month, id)| (month, Some(id)));
    let mut ids: Vec<(i64, ContactId)> = Vec::new();
    while month >= oldest && ids.len() <= limit {
        let mut scan = Scan::of([workspace_id.into(), month.into()], limit + 1 - ids.len());
        if let Some(id) = after.take() {
            scan = scan.after(vec![id.into()]);
        }
        let rows = state.tables.scan(CONTACT_LIST, scan).await?;
        ids.extend(clustering_ids(&rows).map(|id| (month, ContactId::from_bytes(id))));
        month -= 1;
    }
    let more = ids.len() > limit;
    ids.truncate(limit);
    let next_cursor = ids.last().filter(|_| more).map(|place| state.cursors.seal(workspace_id, "contacts", place));
    let items = read::contacts(&state, workspace_id, ids.into_iter().map(|(_, id)| id).collect()).await?;
    Ok(web::Json(Page { items, next_cursor }))
}

/// A contact.
#[utoipa::path(
    get, path = "/api/v1/contacts/{contact_id}", tag = "contacts", security(("bearer" = [])),
    params(("contact_id" = ContactId, Path, description = "Whom.")),
    responses((status = 200, body = Contact), (status = 404, body = Problem)),
)]
pub async fn get(state: State, caller: Caller, path: ValidPath<ContactId>) -> Result<web::Json<Contact>, ApiError> {
    Ok(web::Json(read::contact(&state, &caller, path.0).await?))
}

/// Changes what is known of a contact.
#[utoipa::path(
    patch, path = "/api/v1/contacts/{contact_id}", tag = "contacts", security(("bearer" = [])),
    params(("contact_id" = ContactId, Path, description = "Whom."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body = ContactChange,
    responses((status = 200, body = Contact), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<ContactId>,
    key: IdempotencyKey,
    body: ValidJson<ContactChange>,
) -> Result<web::Json<Contact>, ApiError> {
    read::contact(&state, &caller, path.0).await?;
    let ContactChange { name, email, blocked } = body.0;
    let command = Command::UpdateContact { contact_id: path.0, name, email, blocked };
    execute(&state, &caller, key.0, command).await?;
    Ok(web::Json(read::contact(&state, &caller, path.0).await?))
}

/// The conversations of a contact that the caller may see, newest first.
#[utoipa::path(
    get, path = "/api/v1/contacts/{contact_id}/conversations", tag = "contacts", security(("bearer" = [])),
    params(("contact_id" = ContactId, Path, description = "Whose."), PageQuery),
    responses((status = 200, body = Page<ConversationView>), (status = 404, body = Problem)),
)]
pub async fn conversations(
    state: State,
    caller: Caller,
    path: ValidPath<ContactId>,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<ConversationView>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let workspace_id = caller.workspace_id;
    read::contact(&state, &caller, path.0).await?;
    let list = format!("contacts/{}/conversations", path.0);
    let place: Option<ConversationId> = state.cursors.open(workspace_id, &list, query.0.cursor.as_deref())?;
    let mut scan = Scan::of([workspace_id.into(), path.0.into()], limit + 1);
    if let Some(id) = place {
        scan = scan.after(vec![id.into()]);
    }
    let rows = state.tables.scan(CONTACT_CONVERSATIONS, scan).await?;
    let mut ids: Vec<_> = clustering_ids(&rows).map(ConversationId::from_bytes).collect();
    let more = ids.len() > limit;
    ids.truncate(limit);
    let next_cursor = ids.last().filter(|_| more).map(|id| state.cursors.seal(workspace_id, &list, id));
    let found = read::conversations(&state, &caller, ids).await?;
    let items = found.into_iter().map(|conversation| read::view(&caller, conversation)).collect();
    Ok(web::Json(Page { items, next_cursor }))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::GET, "/contacts", Access::Right(Action::ReadContacts), list)
        .add(Method::GET, "/contacts/{contact_id}", Access::Right(Action::ReadContacts), get)
        .add(Method::PATCH, "/contacts/{contact_id}", Access::Right(Action::EditContacts), change)
        .add(
            Method::GET,
            "/contacts/{contact_id}/conversations",
            Access::Right(Action::ReadConversations),
            conversations,
        );
}
