//! The hub as it is seen from outside: its API, and its process for the workloads that start their own.

pub mod api;
pub mod fixture;
pub mod net;
pub mod process;
pub mod servers;
