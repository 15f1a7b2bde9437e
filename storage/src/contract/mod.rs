//! Contract suites: what every engine of a port must do, written once.

pub mod log;
pub mod tables;
