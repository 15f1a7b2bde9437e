//! The load generator: an open loop (send times fixed before the run, never waiting for answers), a raw HTTP/1.1 client
//! and a raw WebSocket client. It shares the machine with what it measures, so it does as little as it can: requests are
//! written and signed before the run, frames are found in the read buffer without being copied.

pub mod frame;
pub mod http;
pub mod latency;
pub mod schedule;
pub mod sender;
pub mod socket;
pub mod swarm;
pub mod webhooks;
