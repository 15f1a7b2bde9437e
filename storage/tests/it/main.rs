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
mod log_kafka;
mod log_kafka_members;
mod log_kafka_support;
mod log_model;
mod log_recovery;
mod log_support;
mod tables_codec;
mod tables_contract;
mod tables_cql;
mod tables_cql_outage;
mod tables_cql_schema;
mod tables_cql_turns;
mod tables_crash;
mod tables_guards;
mod tables_model;
