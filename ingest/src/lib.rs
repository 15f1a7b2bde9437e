//! From foreign bytes to conversations and back.
//!
//! - [`provider`]: one module a provider; pure signature checks and parsers, and the client that sends.
//! - [`commands`]: the one door to the topic `commands`.
//! - [`engine`]: the conversation engine; a pure core that decides events, and the loop that runs it.
//! - [`outbound`]: takes queued messages to their providers, with retries, breakers and rate limits.

pub mod commands;
pub mod engine;
pub mod outbound;
pub mod provider;
