//! The simulator and the clients over real connections.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking, in their helpers too")]

mod baseline;
mod simulator;
