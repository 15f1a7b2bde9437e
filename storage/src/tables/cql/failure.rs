//! What a failed request means: was it refused, was it not done, or is it not known.

use std::fmt;

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

use crate::tables::TablesError;

/// A request that failed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The servers understand it and will not do it, however often they are asked.
    Refused(String),
    /// A read met more tombstones than a server passes over.
    TooManyDeleted(String),
    /// No server has done it.
    NotDone(String),
    /// A server may have done it, or may still do it.
    Unknown(String),
}

impl Failure {
    /// Whether the servers cannot be reached or cannot answer, rather than do not want to.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(self, Self::NotDone(_) | Self::Unknown(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) | Self::TooManyDeleted(reason) | Self::NotDone(reason) | Self::Unknown(reason) => {
                f.write_str(reason)
            }
        }
    }
}

impl From<Failure> for TablesError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) => {
                Self::Invalid { reason: format!("the servers of the tables refuse it: {reason}") }
            }
            Failure::TooManyDeleted(reason) | Failure::NotDone(reason) | Failure::Unknown(reason) => {
                Self::Unavailable { reason }
            }
        }
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        let text = error.to_string();
        match error {
            ExecutionError::BadQuery(_) => Self::Refused(text),
            ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => Self::NotDone(text),
            ExecutionError::PrepareError(error) => error.into(),
            ExecutionError::LastAttemptError(error) => of_attempt(&error),
            _ => Self::Unknown(text),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::AllAttemptsFailed { first_attempt } => match of_attempt(&first_attempt) {
                // Preparing changes nothing.
                Self::Unknown(reason) => Self::NotDone(reason),
                failure => failure,
            },
            error => Self::NotDone(error.to_string()),
        }
    }
}

fn of_attempt(error: &RequestAttemptError) -> Failure {
    let text = error.to_string();
    let RequestAttemptError::DbError(kind, _) = error else {
        return match error {
            RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
                Failure::Refused(text)
            }
            RequestAttemptError::UnableToAllocStreamId => Failure::NotDone(text),
            _ => Failure::Unknown(text),
        };
    };
    match kind {
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. }
        | DbError::AuthenticationError
        | DbError::Unauthorized
        | DbError::ConfigError => Failure::Refused(text),
        // Older protocols give the reason as text only.
        DbError::ReadFailure { .. } if text.contains("TOMBSTONES") => Failure::TooManyDeleted(text),
        DbError::Unavailable { .. } | DbError::IsBootstrapping => Failure::NotDone(text),
        _ => Failure::Unknown(text),
    }
}
