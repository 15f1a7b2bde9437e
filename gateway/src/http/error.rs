//! Errors of the API: one type, one place where it becomes `application/problem+json` (RFC 9457).
//!
//! What went wrong inside is logged here, once, with its chain; a body never carries it.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use schemas::api::problem::{ErrorCode, FieldError, Problem};
use schemas::event::Rejection;
use storage::log::LogError;
use storage::tables::TablesError;

use super::request_id;
use crate::auth::principal::AuthError;
use crate::auth::sign_in::SignInError;
use crate::directory::DirectoryError;
use crate::directory::propagate::PropagateError;

/// After how many seconds a client may come again when the hub cannot take something.
pub const RETRY_AFTER_S: u64 = 5;

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The kind.
    pub code: ErrorCode,
    /// What happened and what to do.
    pub detail: String,
    /// Which fields are wrong.
    pub errors: Vec<FieldError>,
    /// After how many seconds to come again.
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error of this kind.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// The same, naming a field.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError { path: path.into(), message: message.into() });
        self
    }

    /// The same, with a time to come again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A value that cannot be.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidValue, "a value cannot be taken: see errors").at(path, message)
    }

    /// No such thing, or not for this caller: the two cannot be told apart.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// A fault of ours. Logs it with its chain.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, chain = %Chain(error), "a request failed");
        Self::new(ErrorCode::Internal, "something failed in the hub: the request id finds it in the logs")
    }

    /// The hub cannot take it now. Logs why.
    pub fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, chain = %Chain(error), "a request cannot be served now");
        Self::new(ErrorCode::Unavailable, "the hub cannot do this now: try again").retry_after(RETRY_AFTER_S)
    }

    /// What the engine refused.
    pub fn rejected(code: Rejection, reason: String) -> Self {
        let code = match code {
            Rejection::NotFound => ErrorCode::NotFound,
            Rejection::InvalidTransition => ErrorCode::InvalidTransition,
            Rejection::ReplyWindowClosed => ErrorCode::ReplyWindowClosed,
            Rejection::ContactOptedOut => ErrorCode::ContactOptedOut,
            Rejection::ChannelInactive => ErrorCode::ChannelInactive,
            Rejection::InvalidValue => ErrorCode::InvalidValue,
            Rejection::KeyReused => ErrorCode::KeyReused,
        };
        Self::new(code, reason)
    }

    const fn title(&self) -> &'static str {
        match self.code {
            ErrorCode::MalformedRequest => "The request cannot be read",
            ErrorCode::InvalidValue => "A value cannot be taken",
            ErrorCode::Unauthenticated => "Sign in",
            ErrorCode::Forbidden => "Not allowed",
            ErrorCode::NotFound => "Not found",
            ErrorCode::MethodNotAllowed => "No such method here",
            ErrorCode::AlreadyExists => "It exists already",
            ErrorCode::InvalidTransition => "The state does not allow it",
            ErrorCode::ReplyWindowClosed => "The reply window is closed",
            ErrorCode::ContactOptedOut => "The contact takes no messages",
            ErrorCode::ChannelInactive => "The channel is switched off",
            ErrorCode::KeyReused => "The idempotency key was used for something else",
            ErrorCode::IdempotencyKeyRequired => "An idempotency key is needed",
            ErrorCode::TooLarge => "Too large",
            ErrorCode::RateLimited => "Too many attempts",
            ErrorCode::SignatureRefused => "The signature is not believed",
            ErrorCode::QueryRefused => "The query is refused",
            ErrorCode::OutcomeUnknown => "The outcome is not known yet",
            ErrorCode::Unavailable => "Not now",
            ErrorCode::Internal => "A fault of the hub",
        }
    }
}

/// An error and what caused it, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self.code {
            ErrorCode::MalformedRequest | ErrorCode::IdempotencyKeyRequired => StatusCode::BAD_REQUEST,
            ErrorCode::InvalidValue | ErrorCode::KeyReused | ErrorCode::QueryRefused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden | ErrorCode::SignatureRefused => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::AlreadyExists
            | ErrorCode::InvalidTransition
            | ErrorCode::ReplyWindowClosed
            | ErrorCode::ContactOptedOut
            | ErrorCode::ChannelInactive => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let code = serde_json::to_value(self.code).ok().and_then(|code| code.as_str().map(str::to_owned));
        let problem = Problem {
            kind: format!("urn:saler:problem:{}", code.unwrap_or_default()),
            title: self.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            errors: self.errors.clone(),
            request_id: request_id::current(),
        };
        let mut response = HttpResponseBuilder::new(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.content_type("application/problem+json").body(serde_json::to_vec(&problem).unwrap_or_default())
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid => Self::new(ErrorCode::Unauthenticated, error.to_string()),
            AuthError::Unavailable => Self::new(ErrorCode::Unavailable, error.to_string()).retry_after(RETRY_AFTER_S),
        }
    }
}

impl From<TablesError> for ApiError {
    fn from(error: TablesError) -> Self {
        match error {
            TablesError::DiskFull { .. } | TablesError::Unavailable { .. } => Self::unavailable(&error),
            TablesError::Corrupt { .. } | TablesError::Invalid { .. } | TablesError::Superseded { .. } => {
                Self::internal(&error)
            }
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Invalid { .. } => Self::internal(&error),
            _ => Self::unavailable(&error),
        }
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::NotFound { what } => Self::not_found(what),
            DirectoryError::Exists { .. } => Self::new(ErrorCode::AlreadyExists, error.to_string()),
            DirectoryError::Invalid { field, reason } => Self::invalid(field, reason),
            DirectoryError::Conflict => Self::new(ErrorCode::Unavailable, error.to_string()).retry_after(1),
            DirectoryError::Tables(error) => error.into(),
        }
    }
}

impl From<PropagateError> for ApiError {
    fn from(error: PropagateError) -> Self {
        match error {
            PropagateError::Log(error) => error.into(),
            PropagateError::Tables(error) => error.into(),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Refused | SignInError::RefreshRefused(_) => {
                Self::new(ErrorCode::Unauthenticated, error.to_string())
            }
            SignInError::Throttled { wait } => {
                Self::new(ErrorCode::RateLimited, error.to_string()).retry_after(wait.as_secs().max(1))
            }
            SignInError::Busy => Self::new(ErrorCode::Unavailable, error.to_string()).retry_after(1),
            SignInError::Directory(error) => error.into(),
            SignInError::Tables(error) => error.into(),
            SignInError::Key(_) | SignInError::Hashing => Self::internal(&error),
        }
    }
}
