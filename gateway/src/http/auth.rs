//! `/auth`: signing in, refreshing, signing out, and one's own sign-ins.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use schemas::SessionId;
use schemas::api::auth::{ChangePassword, Me, RefreshToken, Session, SignIn, Tokens};
use schemas::api::problem::Problem;

use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, client_address};
use super::route::{Access, Endpoints};
use crate::auth::principal::Credential;
use crate::auth::sign_in::SignInError;

/// Signs in with a password.
#[utoipa::path(
    post, path = "/api/v1/auth/sign-in", tag = "auth", request_body = SignIn,
    responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 429, body = Problem)),
)]
pub async fn sign_in(
    state: State,
    request: HttpRequest,
    body: ValidJson<SignIn>,
) -> Result<web::Json<Tokens>, ApiError> {
    let address = client_address(&request, &state);
    let SignIn { email, password, workspace_id } = body.0;
    Ok(web::Json(state.sign_in.sign_in(&email, &password, workspace_id, address).await?))
}

/// Changes a refresh token for new tokens. Each is good once; a second use ends the sign-in.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, body = Tokens), (status = 401, body = Problem)),
)]
pub async fn refresh(state: State, body: ValidJson<RefreshToken>) -> Result<web::Json<Tokens>, ApiError> {
    Ok(web::Json(state.sign_in.refresh(&body.0.refresh_token).await?))
}

/// Ends the sign-in of a refresh token.
#[utoipa::path(
    post, path = "/api/v1/auth/sign-out", tag = "auth", request_body = RefreshToken, responses((status = 204)),
)]
pub async fn sign_out(state: State, body: ValidJson<RefreshToken>) -> Result<HttpResponse, ApiError> {
    state.sign_in.sign_out(&body.0.refresh_token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Who is signed in, and where.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", security(("bearer" = [])), responses((status = 200, body = Me)))]
pub async fn me(state: State, caller: Caller) -> Result<web::Json<Me>, ApiError> {
    let me = state.sign_in.me(caller.workspace_id, caller.user_id).await?;
    me.map(web::Json).ok_or_else(|| ApiError::not_found("member"))
}

/// The caller's own sign-ins.
#[utoipa::path(
    get, path = "/api/v1/auth/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Vec<Session>)),
)]
pub async fn sessions(state: State, caller: Caller) -> Result<web::Json<Vec<Session>>, ApiError> {
    let sessions = state.sign_in.sessions(caller.user_id).await?;
    let shown = sessions.into_iter().map(|session| Session {
        id: session.id,
        workspace_id: session.workspace_id,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        current: caller.credential == Credential::Session(session.id),
    });
    Ok(web::Json(shown.collect()))
}

/// Ends one of the caller's own sign-ins.
#[utoipa::path(
    delete, path = "/api/v1/auth/sessions/{session_id}", tag = "auth", security(("bearer" = [])),
    params(("session_id" = SessionId, Path, description = "Which.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn end_session(state: State, caller: Caller, path: ValidPath<SessionId>) -> Result<HttpResponse, ApiError> {
    state.sign_in.revoke(caller.user_id, path.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Changes the caller's password and ends their other sign-ins.
#[utoipa::path(
    put, path = "/api/v1/auth/password", tag = "auth", security(("bearer" = [])), request_body = ChangePassword,
    responses((status = 204), (status = 422, body = Problem), (status = 429, body = Problem)),
)]
pub async fn change_password(
    state: State,
    caller: Caller,
    request: HttpRequest,
    body: ValidJson<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let keep = match caller.credential {
        Credential::Session(session_id) => Some(session_id),
        Credential::ApiToken(_) => None,
    };
    let address = client_address(&request, &state);
    let ChangePassword { current_password, new_password } = body.0;
    let changed = state.sign_in.change_password(caller.user_id, keep, &current_password, &new_password, address).await;
    match changed {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        // Not 401: the access token is good, so a client must not try to renew it.
        Err(SignInError::Refused) => Err(ApiError::invalid("current_password", "it is not your present password")),
        Err(error) => Err(error.into()),
    }
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::POST, "/auth/sign-in", Access::Public, sign_in)
        .add(Method::POST, "/auth/refresh", Access::Public, refresh)
        .add(Method::POST, "/auth/sign-out", Access::Public, sign_out)
        .add(Method::GET, "/auth/me", Access::SignedIn, me)
        .add(Method::GET, "/auth/sessions", Access::SignedIn, sessions)
        .add(Method::DELETE, "/auth/sessions/{session_id}", Access::SignedIn, end_session)
        .add(Method::PUT, "/auth/password", Access::SignedIn, change_password);
}
