//! `/workspaces` and `/labels`.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::WorkspaceId;
use schemas::api::problem::Problem;
use schemas::api::workspace::{Label, LabelChange, NewWorkspace, WorkspaceChange};
use schemas::api::{Page, PageQuery};
use schemas::desk::SettingChange;
use schemas::policy::Action;
use schemas::workspace::{Role, Workspace};

use super::business_hours;
use super::commands::{actor, announce};
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use crate::directory::propagate::configure_agent;

/// The workspaces that the caller belongs to, first made first.
#[utoipa::path(
    get, path = "/api/v1/workspaces", tag = "workspaces", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Workspace>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Workspace>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    // The list is the person's, whichever of their workspaces they ask from.
    let list = format!("workspaces/{}", caller.user_id);
    let after: Option<WorkspaceId> = state.cursors.open(caller.workspace_id, &list, query.0.cursor.as_deref())?;
    let mut ids: Vec<_> = state.directory.workspaces_of(caller.user_id).await?.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids.retain(|id| after.is_none_or(|after| *id > after));
    let page = state.cursors.page(caller.workspace_id, &list, (ids, limit), |id| *id);
    let mut items = Vec::with_capacity(page.items.len());
    for workspace_id in page.items {
        items.push(state.directory.workspace(workspace_id).await?);
    }
    Ok(web::Json(Page { items, next_cursor: page.next_cursor }))
}

/// Makes a workspace; the caller becomes its owner and can sign in to it.
#[utoipa::path(
    post, path = "/api/v1/workspaces", tag = "workspaces", security(("bearer" = [])), request_body = NewWorkspace,
    responses((status = 201, body = Workspace), (status = 403, body = Problem), (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewWorkspace>) -> Result<HttpResponse, ApiError> {
    let own = state.directory.membership(caller.workspace_id, caller.user_id).await?;
    let own = own.ok_or_else(|| ApiError::not_found("member"))?;
    let workspace = state.directory.create_workspace(&body.0.name, body.0.time_zone.as_deref()).await?;
    let membership = state.directory.add_member(workspace.id, caller.user_id, &own.name, Role::Owner, None).await?;
    let record = configure_agent(&state.commands, workspace.id, actor(&caller), membership.agent());
    state.commands.append(&record).await?;
    Ok(HttpResponse::Created().json(workspace))
}

/// The caller's workspace.
#[utoipa::path(
    get, path = "/api/v1/workspaces/{workspace_id}", tag = "workspaces", security(("bearer" = [])),
    params(("workspace_id" = WorkspaceId, Path, description = "That of the access token.")),
    responses((status = 200, body = Workspace), (status = 404, body = Problem)),
)]
pub async fn get(state: State, caller: Caller, path: ValidPath<WorkspaceId>) -> Result<web::Json<Workspace>, ApiError> {
    own(&caller, path.0)?;
    Ok(web::Json(state.directory.workspace(caller.workspace_id).await?))
}

/// Changes the caller's workspace.
#[utoipa::path(
    patch, path = "/api/v1/workspaces/{workspace_id}", tag = "workspaces", security(("bearer" = [])),
    params(("workspace_id" = WorkspaceId, Path, description = "That of the access token.")),
    request_body = WorkspaceChange,
    responses((status = 200, body = Workspace), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<WorkspaceId>,
    body: ValidJson<WorkspaceChange>,
) -> Result<web::Json<Workspace>, ApiError> {
    own(&caller, path.0)?;
    let WorkspaceChange { name, time_zone } = body.0;
    let changed = state.directory.change_workspace(caller.workspace_id, name.as_deref(), time_zone.as_deref()).await?;
    if time_zone.is_some() {
        business_hours::tell_engine(&state, &caller, &changed).await?;
    }
    Ok(web::Json(changed))
}

/// A token opens one workspace; every other is as if it did not exist.
pub(super) fn own(caller: &Caller, workspace_id: WorkspaceId) -> Result<(), ApiError> {
    if caller.workspace_id == workspace_id { Ok(()) } else { Err(ApiError::not_found("workspace")) }
}

/// The labels that the workspace offers, by name.
#[utoipa::path(
    get, path = "/api/v1/labels", tag = "labels", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Label>), (status = 422, body = Problem)),
)]
pub async fn labels(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Label>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<String> = state.cursors.open(workspace_id, "labels", query.0.cursor.as_deref())?;
    let found = state.directory.labels_after(workspace_id, after, limit + 1).await?;
    Ok(web::Json(state.cursors.page(workspace_id, "labels", (found, limit), |label| label.name.clone())))
}

/// Makes a label, or changes its colour.
#[utoipa::path(
    put, path = "/api/v1/labels/{name}", tag = "labels", security(("bearer" = [])), request_body = LabelChange,
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, body = Label), (status = 422, body = Problem)),
)]
pub async fn put_label(
    state: State,
    caller: Caller,
    path: ValidPath<String>,
    body: ValidJson<LabelChange>,
) -> Result<web::Json<Label>, ApiError> {
    let label = state.directory.put_label(caller.workspace_id, &path.0, body.0.color).await?;
    announce(&state, &caller, None, SettingChange::Label { label: label.clone() }).await;
    Ok(web::Json(label))
}

/// Removes a label from what the workspace offers; conversations keep it.
#[utoipa::path(
    delete, path = "/api/v1/labels/{name}", tag = "labels", security(("bearer" = [])),
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn remove_label(state: State, caller: Caller, path: ValidPath<String>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_label(caller.workspace_id, &path.0).await?;
    announce(&state, &caller, None, SettingChange::LabelRemoved { name: path.0 }).await;
    Ok(HttpResponse::NoContent().finish())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::GET, "/workspaces", Access::SignedIn, list)
        .add(Method::POST, "/workspaces", Access::Right(Action::CreateWorkspaces), create)
        .add(Method::GET, "/workspaces/{workspace_id}", Access::Right(Action::ReadWorkspace), get)
        .add(Method::PATCH, "/workspaces/{workspace_id}", Access::Right(Action::ManageWorkspace), change)
        .add(Method::GET, "/labels", Access::Right(Action::ReadLabels), labels)
        .add(Method::PUT, "/labels/{name}", Access::Right(Action::ManageLabels), put_label)
        .add(Method::DELETE, "/labels/{name}", Access::Right(Action::ManageLabels), remove_label);
}
