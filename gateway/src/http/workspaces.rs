//! `/workspaces` and `/labels`.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::WorkspaceId;
use schemas::api::problem::Problem;
use schemas::api::workspace::{Label, LabelChange, NewWorkspace, WorkspaceChange};
use schemas::policy::Action;
use schemas::workspace::{Role, Workspace};

use super::commands::actor;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath};
use super::route::{Access, Endpoints};
use crate::directory::propagate::configure_agent;

/// The workspaces that the caller belongs to.
#[utoipa::path(
    get, path = "/api/v1/workspaces", tag = "workspaces", security(("bearer" = [])),
    responses((status = 200, body = Vec<Workspace>)),
)]
pub async fn list(state: State, caller: Caller) -> Result<web::Json<Vec<Workspace>>, ApiError> {
    let mut workspaces = Vec::new();
    for (workspace_id, _) in state.directory.workspaces_of(caller.user_id).await? {
        workspaces.push(state.directory.workspace(workspace_id).await?);
    }
    Ok(web::Json(workspaces))
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
    Ok(web::Json(changed))
}

/// A token opens one workspace; every other is as if it did not exist.
fn own(caller: &Caller, workspace_id: WorkspaceId) -> Result<(), ApiError> {
    if caller.workspace_id == workspace_id { Ok(()) } else { Err(ApiError::not_found("workspace")) }
}

/// The labels that the workspace offers.
#[utoipa::path(
    get, path = "/api/v1/labels", tag = "labels", security(("bearer" = [])), responses((status = 200, body = Vec<Label>)),
)]
pub async fn labels(state: State, caller: Caller) -> Result<web::Json<Vec<Label>>, ApiError> {
    Ok(web::Json(state.directory.labels(caller.workspace_id).await?))
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
    Ok(web::Json(state.directory.put_label(caller.workspace_id, &path.0, body.0.color).await?))
}

/// Removes a label from what the workspace offers; conversations keep it.
#[utoipa::path(
    delete, path = "/api/v1/labels/{name}", tag = "labels", security(("bearer" = [])),
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn remove_label(state: State, caller: Caller, path: ValidPath<String>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_label(caller.workspace_id, &path.0).await?;
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
