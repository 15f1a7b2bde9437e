//! Sending: takes queued messages to their providers.
//!
//! One worker a partition ([`run`]). It reads the table of pending sends once, then follows the topic `events`. What it
//! does goes back into the topic `commands`: [`Command::BeginSend`] durably before the first byte of a call,
//! [`Command::FinishSend`] after it. It writes no table.
//!
//! Promises:
//! - A message is never silently sent twice. If a call's end is not known (a crash, a timeout, a 5xx), the provider is
//!   asked, and only a clear "no", given after the call can no longer be under way, lets it be sent again.
//! - Messages of one conversation go out in the order of their `seq`, one at a time.
//! - A channel that hangs, fails, is rate-limited or misconfigured delays no other channel.
//! - What was certainly not taken is tried again for some 20 hours; then the message fails, with a reason.
//!
//! A worker begins only once the engine has applied every command that was there before: else a message whose attempt
//! stands in the log, but not yet in the table, would look as if nothing had been tried.
//!
//! Several processes may share the partitions. Two that believe at the same moment that a partition is theirs are told
//! apart by the turn that each took: see [`turn`].
//!
//! Web chat is not sent from here: visitors' sockets read events.
//!
//! [`Command::BeginSend`]: schemas::command::Command::BeginSend
//! [`Command::FinishSend`]: schemas::command::Command::FinishSend

use std::sync::Arc;
use std::time::Duration;

use storage::clock::Clock;
use storage::log::Log;
use storage::tables::Tables;

use crate::commands::Commands;

mod attempt;
pub mod backoff;
pub mod breaker;
mod lane;
pub mod limiter;
mod notice;
pub mod pending;
mod schedule;
pub mod sender;
pub mod turn;
pub mod twilio;
mod worker;

pub use sender::{HttpSettings, ProviderSenders, Sender, SenderFactory, http_client};
pub use turn::Superseded;
pub use worker::run;

/// How sending behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When what was not taken is tried again.
    pub backoff: backoff::Backoff,
    /// When a failing provider is left alone.
    pub breaker: breaker::BreakerSettings,
    /// How long after a call of unknown end the provider's "I have no such message" is believed. Longer than a call can be
    /// under way: our timeout and theirs (15 s), and [`Settings::claim`] before it.
    pub settle: Duration,
    /// How long a look at whose turn it is allows a call to begin.
    pub claim: Duration,
    /// How long a channel whose account or configuration is at fault is left alone at first; doubles up to 15 minutes.
    pub first_pause: Duration,
    /// How many calls of one channel are under way at a time.
    pub in_flight_per_channel: usize,
    /// How many messages a worker keeps in mind; more wait in the table.
    pub tracked: usize,
    /// How long calls that are under way may take to end when the worker stops.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backoff: backoff::Backoff::default(),
            breaker: breaker::BreakerSettings::default(),
            settle: Duration::from_secs(20),
            claim: Duration::from_secs(5),
            first_pause: Duration::from_mins(1),
            in_flight_per_channel: 32,
            tracked: schedule::MAX_TRACKED,
            drain: Duration::from_secs(5),
        }
    }
}

/// What a worker needs.
#[derive(Clone, Debug)]
pub struct OutboundDeps {
    /// Where events are read.
    pub log: Arc<dyn Log>,
    /// Where channels and pending sends are read.
    pub tables: Arc<dyn Tables>,
    /// Where attempts are recorded.
    pub commands: Commands,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Where the providers' clients come from.
    pub senders: Arc<dyn SenderFactory>,
    /// How it behaves.
    pub settings: Settings,
}
