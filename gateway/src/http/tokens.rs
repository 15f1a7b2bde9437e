//! `/tokens`: API tokens.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::TokenId;
use schemas::api::problem::{ErrorCode, Problem};
use schemas::api::workspace::{ApiToken, CreatedApiToken, NewApiToken};
use schemas::api::{Page, PageQuery};
use schemas::policy::{Action, may_grant};

use super::cursor::{page_limit, shown};
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use crate::auth::api_token::{self, NewToken};

/// The API tokens of the workspace, without their secrets, first made first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<ApiToken>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<ApiToken>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<TokenId> = state.cursors.open(workspace_id, "tokens", query.0.cursor.as_deref())?;
    let found = state.directory.tokens_after(workspace_id, after, limit + 1).await?;
    let page = state.cursors.page(workspace_id, "tokens", (found, limit), |record| record.token.id);
    Ok(web::Json(shown(page, |record| record.token)))
}

/// Makes an API token that acts for the caller. Its secret is shown this once.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", security(("bearer" = [])), request_body = NewApiToken,
    responses((status = 201, body = CreatedApiToken), (status = 403, body = Problem), (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewApiToken>) -> Result<HttpResponse, ApiError> {
    let NewApiToken { name, role, expires_in_days, bot } = body.0;
    if !may_grant(caller.role, role) {
        return Err(ApiError::new(ErrorCode::Forbidden, "a token can have at most your own role"));
    }
    let new = NewToken { name, role, bot, days: expires_in_days };
    let (token, secret) = api_token::create(&state.directory, caller.workspace_id, caller.user_id, new).await?;
    Ok(HttpResponse::Created().json(CreatedApiToken { token, secret }))
}

/// Revokes an API token.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token_id}", tag = "tokens", security(("bearer" = [])),
    params(("token_id" = TokenId, Path, description = "Which.")),
    responses((status = 204), (status = 404, body = Problem)),
)]
pub async fn revoke(state: State, caller: Caller, path: ValidPath<TokenId>) -> Result<HttpResponse, ApiError> {
    state.directory.remove_token(caller.workspace_id, path.0).await?;
    state.sign_in.authenticator().forget_all();
    Ok(HttpResponse::NoContent().finish())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::GET, "/tokens", Access::Right(Action::ManageTokens), list)
        .add(Method::POST, "/tokens", Access::Right(Action::ManageTokens), create)
        .add(Method::DELETE, "/tokens/{token_id}", Access::Right(Action::ManageTokens), revoke);
}
