//! What the crate does, through its public doors.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails says so by panicking"
)]

mod bombs;
mod events;
mod exact;
mod fold;
mod gate;
mod hub;
mod kpi;
mod lake;
mod lake_verify;
mod parameters;
mod plain;
mod series;
mod sql;
mod store;
