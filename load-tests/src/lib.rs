//! Drives the hub from outside, over HTTP and sockets only: a simulator of the provider, believable demo conversations,
//! an open-loop load generator, a fault harness, and the workloads that measure what the hub promises.
//!
//! Nothing here knows the hub's code but the wire types of `schemas`. Figures are honest by construction: send times are
//! fixed before a run, latency counts from the *intended* time, and every report carries the machine's own limits.

pub mod clock;
pub mod twilio;

pub mod simulator;

pub mod demo;

pub mod generator;
pub mod hub;
pub mod machine;

pub mod baseline;
pub mod checker;
pub mod report;
pub mod workloads;
