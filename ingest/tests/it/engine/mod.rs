//! The conversation engine, driven through the log and read through its events and rows.

mod assignment;
mod conversations;
mod delivery;
mod desk;
mod hub;
mod lost_end;
mod properties;
mod service;
mod sla;
