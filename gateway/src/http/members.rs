//! `/users`: the members of the workspace; `/agents`: who of them is there.

use std::collections::HashMap;

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::UserId;
use schemas::api::problem::{ErrorCode, Problem};
use schemas::api::workspace::{Member, MemberChange, NewMember};
use schemas::api::{Page, PageQuery};
use schemas::policy::{Action, may_grant};
use schemas::tables::AGENTS;
use schemas::workspace::{Agent, Role};

use super::commands::actor;
use super::cursor::{self, page_limit};
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::password::check_choice;
use crate::auth::principal::Principal;
use crate::directory::members::{Membership, MembershipChange};
use crate::directory::propagate::configure_agent;
use crate::directory::users::checked_email;

/// The members of the workspace, those who have left too.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Member>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Member>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<UserId> = state.cursors.open(workspace_id, "users", query.0.cursor.as_deref())?;
    let found = state.directory.memberships_after(workspace_id, after, limit + 1).await?;
    let page = state.cursors.page(workspace_id, "users", (found, limit), |membership| membership.user_id);
    let people = state.directory.users(page.items.iter().map(|membership| membership.user_id)).await?;
    let mut emails: HashMap<UserId, String> = people.into_iter().map(|user| (user.id, user.email)).collect();
    let mut teams = state.directory.teams_by_member(workspace_id).await?;
    Ok(web::Json(cursor::shown(page, |membership| {
        let email = emails.remove(&membership.user_id).unwrap_or_default();
        membership.member(email, teams.remove(&membership.user_id).unwrap_or_default())
    })))
}

/// A member.
#[utoipa::path(
    get, path = "/api/v1/users/{user_id}", tag = "users", security(("bearer" = [])),
    params(("user_id" = UserId, Path, description = "Who.")),
    responses((status = 200, body = Member), (status = 404, body = Problem)),
)]
pub async fn get(state: State, caller: Caller, path: ValidPath<UserId>) -> Result<web::Json<Member>, ApiError> {
    let membership = find(&state, &caller, path.0).await?;
    Ok(web::Json(shown(&state, &caller, &membership).await?))
}

/// Adds a member. A person who has a sign-in already keeps their password.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "users", security(("bearer" = [])), request_body = NewMember,
    responses((status = 201, body = Member), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewMember>) -> Result<HttpResponse, ApiError> {
    let NewMember { email, name, role, password, capacity } = body.0;
    within_reach(caller.role, role)?;
    let email = checked_email(&email)?;
    check_choice("password", &password, &email)?;
    let hash = state.sign_in.passwords().hash(&password).await.map_err(crate::auth::sign_in::SignInError::from)?;
    let (user, _created) = state.directory.find_or_create_user(&email, Some(hash)).await?;
    let membership = state.directory.add_member(caller.workspace_id, user.id, &name, role, capacity).await?;
    tell_engine(&state, &caller, &membership).await?;
    Ok(HttpResponse::Created().json(membership.member(user.email, Vec::new())))
}

/// Changes a member. Another role or a leaving ends their access tokens within five seconds.
#[utoipa::path(
    patch, path = "/api/v1/users/{user_id}", tag = "users", security(("bearer" = [])), request_body = MemberChange,
    params(("user_id" = UserId, Path, description = "Who.")),
    responses((status = 200, body = Member), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<UserId>,
    body: ValidJson<MemberChange>,
) -> Result<web::Json<Member>, ApiError> {
    let before = find(&state, &caller, path.0).await?;
    within_reach(caller.role, before.role)?;
    if let Some(role) = body.0.role {
        within_reach(caller.role, role)?;
    }
    let MemberChange { name, role, active, capacity } = body.0;
    let change = MembershipChange { name, role, active, capacity };
    let after = state.directory.change_member(caller.workspace_id, path.0, change).await?;
    if before.epoch != after.epoch {
        state.sign_in.authenticator().forget_all();
        if !after.active {
            let here = caller.workspace_id;
            state.sign_in.revoke_where(path.0, |session| session.workspace_id == here).await?;
        }
    }
    tell_engine(&state, &caller, &after).await?;
    Ok(web::Json(shown(&state, &caller, &after).await?))
}

/// Who can be assigned conversations: presence, capacity and load.
#[utoipa::path(
    get, path = "/api/v1/agents", tag = "users", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<Agent>), (status = 422, body = Problem)),
)]
pub async fn agents(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<Agent>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<UserId> = state.cursors.open(workspace_id, "agents", query.0.cursor.as_deref())?;
    let found: Vec<Agent> = state.directory.entities_after(AGENTS, workspace_id, after, limit + 1).await?;
    Ok(web::Json(state.cursors.page(workspace_id, "agents", (found, limit), |agent| agent.user_id)))
}

async fn find(state: &AppState, caller: &Principal, user_id: UserId) -> Result<Membership, ApiError> {
    let membership = state.directory.membership(caller.workspace_id, user_id).await?;
    membership.ok_or_else(|| ApiError::not_found("member"))
}

async fn shown(state: &AppState, caller: &Principal, membership: &Membership) -> Result<Member, ApiError> {
    let user = state.directory.user(membership.user_id).await?;
    let teams = state.directory.teams_by_member(caller.workspace_id).await?.remove(&membership.user_id);
    Ok(membership.member(user.map(|user| user.email).unwrap_or_default(), teams.unwrap_or_default()))
}

async fn tell_engine(state: &AppState, caller: &Principal, membership: &Membership) -> Result<(), ApiError> {
    let record = configure_agent(&state.commands, caller.workspace_id, actor(caller), membership.agent());
    state.commands.append(&record).await?;
    Ok(())
}

fn within_reach(own: Role, other: Role) -> Result<(), ApiError> {
    if may_grant(own, other) {
        Ok(())
    } else {
        let detail = format!("the role {} may not give or change the role {}", own.as_str(), other.as_str());
        Err(ApiError::new(ErrorCode::Forbidden, detail))
    }
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::GET, "/users", Access::Right(Action::ReadMembers), list)
        .add(Method::POST, "/users", Access::Right(Action::ManageMembers), create)
        .add(Method::GET, "/users/{user_id}", Access::Right(Action::ReadMembers), get)
        .add(Method::PATCH, "/users/{user_id}", Access::Right(Action::ManageMembers), change)
        .add(Method::GET, "/agents", Access::Right(Action::ReadMembers), agents);
}
