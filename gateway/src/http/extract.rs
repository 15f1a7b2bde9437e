//! Extractors: who calls, and what they say, with every mistake as a problem that names its place.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use schemas::api::problem::ErrorCode;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::AppState;
use crate::auth::principal::Principal;

/// The longest idempotency key, in characters.
const KEY_MAX: usize = 128;

/// What handlers take of the hub.
pub type State = web::Data<AppState>;

/// Who calls: checked by the gate of the route.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let principal = request.extensions().get::<Principal>().cloned();
        ready(
            principal
                .map(Self)
                .ok_or_else(|| ApiError::new(ErrorCode::Unauthenticated, "the access token is missing: sign in")),
        )
    }
}

/// A JSON body. Unknown fields, wrong types and a wrong content type are refused.
#[derive(Debug)]
pub struct ValidJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for ValidJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<State>().map_or(65_536, |state| state.config.http.json_limit_kb << 10);
        let is_json = request.content_type().eq_ignore_ascii_case("application/json");
        let payload = payload.take();
        Box::pin(async move {
            if !is_json {
                let detail = "the body must be JSON: set Content-Type: application/json";
                return Err(ApiError::new(ErrorCode::MalformedRequest, detail).at("Content-Type", "application/json"));
            }
            let body = read_body(payload, limit).await?;
            parse_json(&body).map(Self)
        })
    }
}

/// Reads a body up to `limit` bytes.
///
/// # Errors
/// [`ErrorCode::TooLarge`] beyond; [`ErrorCode::MalformedRequest`] if the connection breaks.
pub async fn read_body(mut payload: Payload, limit: usize) -> Result<bytes::BytesMut, ApiError> {
    let mut body = bytes::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_broken| ApiError::new(ErrorCode::MalformedRequest, "the body ended too early"))?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads JSON; what is wrong is named by its path.
///
/// # Errors
/// [`ErrorCode::MalformedRequest`] if it is not JSON, [`ErrorCode::InvalidValue`] if it does not fit.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    super::json_path::deserialize(body).map_err(|fault| {
        if fault.is_syntax {
            ApiError::new(ErrorCode::MalformedRequest, format!("the body is not JSON: {}", fault.message))
        } else {
            ApiError::invalid(fault.path, fault.message)
        }
    })
}

/// Parameters of the query.
#[derive(Debug)]
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for ValidQuery<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(
            web::Query::<T>::from_query(request.query_string())
                .map(|query| Self(query.into_inner()))
                .map_err(|error| ApiError::invalid("query", error.to_string())),
        )
    }
}

/// Parameters of the path. An id that is none is like one that does not exist.
#[derive(Debug)]
pub struct ValidPath<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for ValidPath<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let path = web::Path::<T>::from_request(request, payload).into_inner();
        ready(path.map(|path| Self(path.into_inner())).map_err(|_not_an_id| ApiError::not_found("thing")))
    }
}

/// The header `Idempotency-Key`, if it is there.
#[derive(Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// The key, where one is needed.
    ///
    /// # Errors
    /// [`ErrorCode::IdempotencyKeyRequired`] if it is missing.
    pub fn required(self) -> Result<String, ApiError> {
        self.0.ok_or_else(|| {
            let detail =
                "set the header Idempotency-Key to a text of your own: a repeat with the same key has no second effect";
            ApiError::new(ErrorCode::IdempotencyKeyRequired, detail).at("Idempotency-Key", "it is missing")
        })
    }
}

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all("idempotency-key");
        let first = values.next();
        let key = match (first, values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => match value.to_str() {
                Ok(text) if (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) => {
                    Ok(Self(Some(text.to_owned())))
                }
                _ => Err(()),
            },
            _ => Err(()),
        };
        ready(key.map_err(|()| {
            let detail = format!("Idempotency-Key must be one text of 1 to {KEY_MAX} visible ASCII characters");
            ApiError::new(ErrorCode::IdempotencyKeyRequired, detail).at("Idempotency-Key", "it cannot be taken")
        }))
    }
}

/// The client's address, for counting: of the connection, or what a trusted proxy says.
///
/// A proxy appends the address that it sees, to the last line of the header or as a line of its own; everything before it
/// is what the client says of itself.
pub fn client_address(request: &HttpRequest, state: &AppState) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !state.config.http.trusted_proxies.contains(&peer) {
        return Some(peer);
    }
    let forwarded = request.headers().get_all("x-forwarded-for").last().and_then(|value| value.to_str().ok());
    let last: Option<IpAddr> = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    last.map(|address| address.to_canonical()).or(Some(peer))
}
