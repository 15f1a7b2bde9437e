//! Routes and the rights that they need.
//!
//! A route can only be added with its [`Access`], and the gate that enforces it runs before any part of the request is
//! read: there is no way to add one that forgets. Handlers take the [`Principal`] as [`super::extract::Caller`].

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, Handler, HttpMessage, HttpResponse, Resource, Responder, Route, web};
use schemas::api::problem::ErrorCode;
use schemas::policy::{Action, allows};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::principal::{AuthError, Authenticator, Principal};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody. The handler checks what there is to check.
    Public,
    /// Whoever is signed in, for what is their own.
    SignedIn,
    /// Whoever has this right in their workspace.
    Right(Action),
}

/// A route with what it needs.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path below `/api/v1`, with parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    route: Route,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path, self.access)
    }
}

/// Routes that are being collected.
#[derive(Debug, Default)]
pub struct Endpoints {
    list: Vec<Endpoint>,
}

impl Endpoints {
    /// Adds a route.
    pub fn add<F, Args>(&mut self, method: Method, path: &'static str, access: Access, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let gate = from_fn(move |request: ServiceRequest, next: Next<BoxBody>| pass(access, request, next));
        let route = Route::new().method(method.clone()).to(handler).wrap(gate);
        self.list.push(Endpoint { method, path, access, route });
        self
    }

    /// What was added.
    pub fn list(&self) -> &[Endpoint] {
        &self.list
    }

    /// One resource for each path, in the order in which the paths were first added.
    pub fn into_resources(self) -> Vec<Resource> {
        let mut grouped: Vec<(&'static str, Resource)> = Vec::new();
        for endpoint in self.list {
            let place = grouped.iter().position(|(path, _)| *path == endpoint.path);
            let (_, resource) = match place {
                Some(place) => grouped.swap_remove(place),
                None => (endpoint.path, web::resource(endpoint.path).default_service(web::to(method_not_allowed))),
            };
            grouped.push((endpoint.path, resource.route(endpoint.route)));
        }
        // Longer paths first, so that a parameter never hides a word.
        grouped.sort_by_key(|(path, _)| std::cmp::Reverse((path.matches('/').count(), !path.contains('{'))));
        grouped.into_iter().map(|(_, resource)| resource).collect()
    }
}

async fn method_not_allowed() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(ErrorCode::MethodNotAllowed, "this path does not know the method: see /api/v1/docs"))
}

async fn pass(
    access: Access,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if access == Access::Public {
        return next.call(request).await;
    }
    match admit(access, &request).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.call(request).await
        }
        Err(error) => Ok(request.into_response(HttpResponse::from_error(error))),
    }
}

async fn admit(access: Access, request: &ServiceRequest) -> Result<Principal, ApiError> {
    let Some(state) = request.app_data::<web::Data<AppState>>() else {
        return Err(ApiError::new(ErrorCode::Internal, "the hub is not set up"));
    };
    let bearer = bearer(request.headers()).ok_or(AuthError::Invalid)?;
    let principal = state.sign_in.authenticator().authenticate(bearer).await?;
    match access {
        Access::Right(action) if !allows(principal.role, action) => Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("the role {} may not {}", principal.role.as_str(), action.phrase()),
        )),
        _ => Ok(principal),
    }
}

/// The token of the one header `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
