//! The gateway through its public doors: HTTP and sockets on 127.0.0.1, the binary on the command line.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips and what its processes said"
)]

mod app;
mod auth;
mod cli;
mod cluster;
mod cluster_process;
mod conversations;
mod dead_letters;
mod desk;
mod fake_bucket;
mod fake_twilio;
mod files;
mod kill;
mod kpis;
mod lake;
mod openapi;
mod pages;
mod pair;
mod process;
mod proxies;
mod refresh;
mod rights;
mod search;
mod service;
mod setup;
mod socket_bench;
mod socket_commands;
mod socket_limits;
mod socket_resume;
mod socket_stream;
mod socket_visitor;
mod telemetry;
mod two_gateways;
mod webhooks;
mod whole_way;
mod widget;
mod ws_client;
