//! Whether the cluster can be reached, and what its clients say about it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::LogError;

#[derive(Debug, Default)]
struct State {
    /// Why appends are refused now.
    refusing: Option<String>,
    /// What a client said last about its connections; empty once a broker has answered.
    last_error: String,
    /// Who looks whether the brokers answer.
    keeper: Option<Thread>,
}

/// What is known about the cluster's health.
pub(super) struct Reach {
    brokers: String,
    state: Mutex<State>,
    /// A client lost all its brokers: the keeper shall look at once.
    suspected: AtomicBool,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Reach {
    pub(super) fn new(brokers: String) -> Self {
        Self { brokers, state: Mutex::default(), suspected: AtomicBool::new(false) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is woken when brokers seem to be gone.
    pub(super) fn set_keeper(&self, keeper: Thread) {
        self.lock().keeper = Some(keeper);
    }

    /// Wakes the keeper.
    pub(super) fn wake_keeper(&self) {
        if let Some(keeper) = &self.lock().keeper {
            keeper.unpark();
        }
    }

    /// Whether a client lost its brokers since this was asked last.
    pub(super) fn take_suspicion(&self) -> bool {
        self.suspected.swap(false, Ordering::SeqCst)
    }

    /// Whether the keeper has something to look at.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::SeqCst)
    }

    /// Why appends are refused now, if they are.
    pub(super) fn refusing(&self) -> Option<String> {
        self.lock().refusing.clone()
    }

    /// Notes what a look at the cluster gave.
    pub(super) fn set_refusing(&self, refusing: Option<String>) {
        let mut state = self.lock();
        match (&state.refusing, &refusing) {
            (None, Some(reason)) => tracing::error!(%reason, "the log takes no records"),
            (Some(_), None) => tracing::info!("the log takes records again"),
            _ => {}
        }
        if refusing.is_none() {
            state.last_error.clear();
        }
        state.refusing = refusing;
    }

    /// Whether no client has said anything about its connections since a broker answered.
    pub(super) fn has_heard_nothing(&self) -> bool {
        self.lock().last_error.is_empty()
    }

    /// The error for something that the brokers did not do.
    pub(super) fn unavailable(&self, what: impl fmt::Display) -> LogError {
        LogError::Unavailable { reason: self.explain(what) }
    }

    /// What was not done, and why as far as the clients know.
    pub(super) fn explain(&self, what: impl fmt::Display) -> String {
        let last_error = &self.lock().last_error;
        if last_error.is_empty() {
            format!("Kafka at {}: {what}", self.brokers)
        } else {
            format!("Kafka at {}: {what} ({last_error})", self.brokers)
        }
    }

    fn note_error(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a client of Kafka reports an error");
        let code = error.rdkafka_error_code();
        let all_down = code == Some(RDKafkaErrorCode::AllBrokersDown);
        if !all_down {
            self.lock().last_error = match advice(code, reason) {
                Some(advice) => format!("{reason}: {advice}"),
                None => reason.to_owned(),
            };
        }
        if all_down || code == Some(RDKafkaErrorCode::BrokerTransportFailure) {
            self.suspected.store(true, Ordering::SeqCst);
            self.wake_keeper();
        }
    }
}

/// What to look at after an error of a connection's security.
fn advice(code: Option<RDKafkaErrorCode>, reason: &str) -> Option<&'static str> {
    match code {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            Some("check username and password in [kafka]")
        }
        // The code may also be that of a lost connection; the reason is OpenSSL's then, too.
        _ if reason.contains("certificate verify failed") => {
            Some("check ca_file in [kafka], and that the brokers' certificates name their addresses")
        }
        Some(RDKafkaErrorCode::SSL) => Some("check security in [kafka]"),
        _ if reason.contains("security.protocol") => Some("check security in [kafka]"),
        _ => None,
    }
}

/// The ear of a client: librdkafka's own log is for debugging, its errors tell whether the cluster is there.
#[derive(Clone, Debug)]
pub(super) struct Context(pub(super) Arc<Reach>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note_error(&error, reason);
    }
}

impl ConsumerContext for Context {}
