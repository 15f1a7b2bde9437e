//! The tests of `ingest` through its public doors.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod engine;
mod outbound_fake;
mod outbound_sending;
mod outbound_turns;
mod outbound_twilio;
mod provider_twilio;
