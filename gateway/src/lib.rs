//! The gateway: configuration, sign-in, REST, sockets, webhooks; and [`app`], which chooses engines and starts tasks.
//!
//! The only crate that knows actix, and the home of the one binary, `saler`.

pub mod app;
pub mod auth;
pub mod bucket;
pub mod cli;
pub mod config;
pub mod directory;
pub mod files;
pub mod http;
pub mod realtime;
pub mod telemetry;
