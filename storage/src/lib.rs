//! The two ports of the hub and all their engines: the [`log`] and the [`tables`].
//!
//! Everything above this crate is written once, against the traits; which engine stands behind them is chosen in the
//! gateway's `app.rs` alone. An engine that passes the suite in `contract` is right by definition.
#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod background;
pub mod clock;
pub mod contract;
pub mod log;
pub mod tables;
