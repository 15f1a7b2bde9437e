//! The conversation engine: turns the commands of a partition into events.
//!
//! - [`decide`](fn@decide) is pure: a state and a command give events. It has no clock, no randomness and no I/O; what it
//!   misses in the state it names as a [`Need`], and is asked again once that is loaded.
//! - Events change the state in one place (`evolve`), so the state is the fold of the events.
//! - [`run`] drives it: reads durable commands in batches, loads what they need, writes rows, position and events in one
//!   atomic batch, then publishes the events.
//!
//! Invariants: the same commands give the same events, bit for bit; a command that comes twice (by provider's id, by
//! idempotency key, by attempt number) has one effect; `seq` of a conversation counts 1, 2, 3, … without holes.

mod assignment;
mod changes;
mod counts;
mod decide;
mod desk;
mod evolve;
mod inbound;
mod load;
mod outcome;
mod publish;
mod reports;
mod rows;
mod run;
mod send;
mod service;
mod sla;
mod state;
mod sweep;
mod timers;
mod wishes;

pub use changes::Changes;
pub use decide::{Decision, decide};
pub use load::Loader;
pub use run::{EngineDeps, EngineError, EngineStatus, run};
pub use state::{KeyRecord, MessageRef, Need, State, StoredConversation};
