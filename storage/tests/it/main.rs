//! Behaviour of the ports' engines, through their public doors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails should stop where it fails, and helpers of tests are tests"
)]

mod log_contract;
mod log_crash;
mod log_faults;
mod log_inspect;
#[cfg(feature = "cluster")]
mod log_kafka;
#[cfg(feature = "cluster")]
mod log_kafka_members;
#[cfg(feature = "cluster")]
mod log_kafka_support;
mod log_model;
mod log_recovery;
mod log_support;
#[cfg(feature = "cluster")]
mod secured;
mod tables_codec;
mod tables_contract;
#[cfg(feature = "cluster")]
mod tables_cql;
#[cfg(feature = "cluster")]
mod tables_cql_outage;
#[cfg(feature = "cluster")]
mod tables_cql_schema;
#[cfg(feature = "cluster")]
mod tables_cql_turns;
mod tables_crash;
mod tables_guards;
mod tables_model;
