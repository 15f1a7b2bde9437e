//! `/auth`: signing in, refreshing, signing out, and one's own sign-ins.

use std::time::Duration;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use schemas::SessionId;
use schemas::api::auth::{ChangePassword, Me, RefreshToken, Session, SignIn, SwitchWorkspace, Tokens};
use schemas::api::problem::Problem;
use schemas::channel::Secret;

use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, client_address};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Credential;
use crate::auth::refresh::RefreshError;
use crate::auth::sign_in::SignInError;

/// The cookie that holds the refresh token of a browser. No script can read it; it goes to `/api/v1/auth` alone.
const COOKIE: &str = "saler_refresh";
const COOKIE_PATH: &str = "/api/v1/auth";

/// Signs in with a password.
#[utoipa::path(
    post, path = "/api/v1/auth/sign-in", tag = "auth", request_body = SignIn,
    responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 429, body = Problem)),
)]
pub async fn sign_in(state: State, request: HttpRequest, body: ValidJson<SignIn>) -> Result<HttpResponse, ApiError> {
    let address = client_address(&request, &state);
    let SignIn { email, password, workspace_id, cookie } = body.0;
    let tokens = state.sign_in.sign_in(&email, &password, workspace_id, address).await?;
    Ok(answer(&state, tokens, cookie))
}

/// Changes a refresh token for new tokens. Each is good once; a second use ends the sign-in. With `{}` the token is that of the
/// cookie.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, body = Tokens), (status = 401, body = Problem)),
)]
pub async fn refresh(
    state: State,
    request: HttpRequest,
    body: ValidJson<RefreshToken>,
) -> Result<HttpResponse, ApiError> {
    let (token, by_cookie) = presented(&request, body.0);
    let token = token.ok_or(SignInError::RefreshRefused(RefreshError::Invalid))?;
    let tokens = state.sign_in.refresh(&token).await?;
    Ok(answer(&state, tokens, by_cookie))
}

/// Ends the sign-in of a refresh token. With `{}` the token is that of the cookie, which is cleared.
#[utoipa::path(
    post, path = "/api/v1/auth/sign-out", tag = "auth", request_body = RefreshToken, responses((status = 204)),
)]
pub async fn sign_out(
    state: State,
    request: HttpRequest,
    body: ValidJson<RefreshToken>,
) -> Result<HttpResponse, ApiError> {
    let (token, by_cookie) = presented(&request, body.0);
    if let Some(token) = token {
        state.sign_in.sign_out(&token).await?;
    }
    let mut answer = HttpResponse::NoContent();
    if by_cookie {
        answer.cookie(cookie(&state, String::new(), Duration::ZERO));
    }
    Ok(answer.finish())
}

/// Signs the caller in to another of their workspaces, without their password; the sign-in that they had ends. Not for API
/// tokens, which belong to one workspace. If the request carries the cookie, the new refresh token comes as one too.
#[utoipa::path(
    post, path = "/api/v1/auth/switch", tag = "auth", security(("bearer" = [])), request_body = SwitchWorkspace,
    responses((status = 200, body = Tokens), (status = 404, body = Problem)),
)]
pub async fn switch(
    state: State,
    caller: Caller,
    request: HttpRequest,
    body: ValidJson<SwitchWorkspace>,
) -> Result<HttpResponse, ApiError> {
    let Credential::Session(session_id) = caller.credential else {
        return Err(ApiError::not_found("sign-in with a password"));
    };
    let tokens = state.sign_in.switch(caller.user_id, session_id, body.0.workspace_id).await?;
    Ok(answer(&state, tokens, request.cookie(COOKIE).is_some()))
}

/// The refresh token of the body, or else that of the cookie; and whether it came by the cookie.
fn presented(request: &HttpRequest, body: RefreshToken) -> (Option<Secret>, bool) {
    match body.refresh_token {
        Some(token) => (Some(token), false),
        None => (request.cookie(COOKIE).map(|cookie| Secret::new(cookie.value())), true),
    }
}

/// Tokens, with the refresh token in the cookie if it is to be there.
fn answer(state: &AppState, mut tokens: Tokens, by_cookie: bool) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    if by_cookie && let Some(token) = tokens.refresh_token.take() {
        // The token itself ends sooner; the cookie must not end before it.
        let days = state.config.auth.refresh_absolute_days;
        let hours = state.config.auth.privileged_absolute_hours.max(days.saturating_mul(24));
        answer.cookie(cookie(state, token, Duration::from_secs(hours.saturating_mul(3_600))));
    }
    answer.json(tokens)
}

/// Browsers send it from our own pages only, and (but for a hub that is reached on its own machine) over TLS only.
fn cookie(state: &AppState, value: String, lifetime: Duration) -> Cookie<'static> {
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    Cookie::build(COOKIE, value)
        .path(COOKIE_PATH)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(!is_loopback(&state.public_url))
        .max_age(actix_web::cookie::time::Duration::seconds(seconds))
        .finish()
}

/// Whether an address is plain HTTP to this very machine.
fn is_loopback(public_url: &str) -> bool {
    let Ok(url) = url::Url::parse(public_url) else { return false };
    let own = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    own && url.scheme() == "http"
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
        .add(Method::POST, "/auth/switch", Access::SignedIn, switch)
        .add(Method::GET, "/auth/me", Access::SignedIn, me)
        .add(Method::GET, "/auth/sessions", Access::SignedIn, sessions)
        .add(Method::DELETE, "/auth/sessions/{session_id}", Access::SignedIn, end_session)
        .add(Method::PUT, "/auth/password", Access::SignedIn, change_password);
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_plain_http_to_this_machine_does_without_tls() {
        for own in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in
            ["https://127.0.0.1", "http://desk.example", "http://10.0.0.1:8080", "http://localhost.example", ""]
        {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
