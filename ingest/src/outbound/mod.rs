//! Sending: takes queued messages to their providers.

pub mod pending;
