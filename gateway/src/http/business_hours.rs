//! `/workspaces/{workspace_id}/business-hours`. They are read with the workspace.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use chrono_tz::Tz;
use schemas::WorkspaceId;
use schemas::api::hours::NewBusinessHours;
use schemas::api::problem::Problem;
use schemas::calendar::Calendar;
use schemas::hours::BusinessHours;
use schemas::policy::Action;
use schemas::workspace::Workspace;

use super::commands::actor;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath};
use super::route::{Access, Endpoints};
use super::state::AppState;
use super::workspaces::own;
use crate::auth::principal::Principal;
use crate::directory::propagate::configure_hours;

/// Sets when the workspace is at work, in its time zone.
#[utoipa::path(
    put, path = "/api/v1/workspaces/{workspace_id}/business-hours", tag = "workspaces", security(("bearer" = [])),
    params(("workspace_id" = WorkspaceId, Path, description = "That of the access token.")),
    request_body = NewBusinessHours,
    responses((status = 200, body = Workspace), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn put_business_hours(
    state: State,
    caller: Caller,
    path: ValidPath<WorkspaceId>,
    body: ValidJson<NewBusinessHours>,
) -> Result<web::Json<Workspace>, ApiError> {
    own(&caller, path.0)?;
    let hours = BusinessHours::from(body.0);
    // What can be is the same in every zone.
    Calendar::new(&hours, Tz::UTC).map_err(|error| ApiError::invalid(error.field, error.reason))?;
    let workspace = state.directory.set_business_hours(caller.workspace_id, Some(hours)).await?;
    tell_engine(&state, &caller, &workspace).await?;
    Ok(web::Json(workspace))
}

/// Removes the business hours: there is no business time any more.
#[utoipa::path(
    delete, path = "/api/v1/workspaces/{workspace_id}/business-hours", tag = "workspaces", security(("bearer" = [])),
    params(("workspace_id" = WorkspaceId, Path, description = "That of the access token.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn remove_business_hours(
    state: State,
    caller: Caller,
    path: ValidPath<WorkspaceId>,
) -> Result<HttpResponse, ApiError> {
    own(&caller, path.0)?;
    let workspace = state.directory.set_business_hours(caller.workspace_id, None).await?;
    tell_engine(&state, &caller, &workspace).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Tells the engine when the workspace is at work: business time is counted by what it knows.
pub(super) async fn tell_engine(state: &AppState, caller: &Principal, workspace: &Workspace) -> Result<(), ApiError> {
    state.commands.append(&configure_hours(&state.commands, actor(caller), workspace)).await?;
    Ok(())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let path = "/workspaces/{workspace_id}/business-hours";
    endpoints.add(Method::PUT, path, Access::Right(Action::ManageWorkspace), put_business_hours).add(
        Method::DELETE,
        path,
        Access::Right(Action::ManageWorkspace),
        remove_business_hours,
    );
}
