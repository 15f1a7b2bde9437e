//! `/teams`: groups of members to whom conversations can be given.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::TeamId;
use schemas::api::desk::{NewTeam, TeamChange};
use schemas::api::problem::Problem;
use schemas::api::{Page, PageQuery};
use schemas::desk::SettingChange;
use schemas::policy::Action;
use schemas::workspace::Team;

use super::commands::announce;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::DirectoryError;

/// The teams of the workspace, first made first.
#[utoipa::path(
    get, path = "/api/v1/teams", tag = "teams", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Team>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Team>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<TeamId> = state.cursors.open(workspace_id, "teams", query.0.cursor.as_deref())?;
    let found = state.directory.teams_after(workspace_id, after, limit + 1).await?;
    Ok(web::Json(state.cursors.page(workspace_id, "teams", (found, limit), |team| team.id)))
}

/// A team.
#[utoipa::path(
    get, path = "/api/v1/teams/{team_id}", tag = "teams", security(("bearer" = [])),
    params(("team_id" = TeamId, Path, description = "Which.")),
    responses((status = 200, body = Team), (status = 404, body = Problem)),
)]
pub async fn get(state: State, caller: Caller, path: ValidPath<TeamId>) -> Result<web::Json<Team>, ApiError> {
    Ok(web::Json(state.directory.team(caller.workspace_id, path.0).await?))
}

/// Makes a team.
#[utoipa::path(
    post, path = "/api/v1/teams", tag = "teams", security(("bearer" = [])), request_body = NewTeam,
    responses((status = 201, body = Team), (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewTeam>) -> Result<HttpResponse, ApiError> {
    let team = state.directory.create_team(caller.workspace_id, &body.0.name, body.0.members).await?;
    announce(&state, &caller, None, SettingChange::Team { team: team.clone() }).await;
    Ok(HttpResponse::Created().json(team))
}

/// Changes a team.
#[utoipa::path(
    patch, path = "/api/v1/teams/{team_id}", tag = "teams", security(("bearer" = [])), request_body = TeamChange,
    params(("team_id" = TeamId, Path, description = "Which.")),
    responses((status = 200, body = Team), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<TeamId>,
    body: ValidJson<TeamChange>,
) -> Result<web::Json<Team>, ApiError> {
    let TeamChange { name, members } = body.0;
    let team = state.directory.change_team(caller.workspace_id, path.0, name.as_deref(), members).await?;
    announce(&state, &caller, None, SettingChange::Team { team: team.clone() }).await;
    Ok(web::Json(team))
}

/// Removes a team. Conversations that it has keep its id.
#[utoipa::path(
    delete, path = "/api/v1/teams/{team_id}", tag = "teams", security(("bearer" = [])),
    params(("team_id" = TeamId, Path, description = "Which.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn remove(state: State, caller: Caller, path: ValidPath<TeamId>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_team(caller.workspace_id, path.0).await?;
    announce(&state, &caller, None, SettingChange::TeamRemoved { team_id: path.0 }).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Refuses to give conversations to a team that is not there.
///
/// # Errors
/// A problem that names the field; any of the tables.
pub(super) async fn check(
    state: &AppState,
    caller: &Principal,
    team: Option<TeamId>,
    field: &str,
) -> Result<(), ApiError> {
    let Some(team_id) = team else { return Ok(()) };
    match state.directory.team(caller.workspace_id, team_id).await {
        Ok(_) => Ok(()),
        Err(DirectoryError::NotFound { .. }) => {
            Err(ApiError::invalid(field, "there is no such team in this workspace"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let (read, manage) = (Access::Right(Action::ReadMembers), Access::Right(Action::ManageTeams));
    endpoints
        .add(Method::GET, "/teams", read, list)
        .add(Method::POST, "/teams", manage, create)
        .add(Method::GET, "/teams/{team_id}", read, get)
        .add(Method::PATCH, "/teams/{team_id}", manage, change)
        .add(Method::DELETE, "/teams/{team_id}", manage, remove);
}
