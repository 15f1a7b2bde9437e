//! The words of the domain and of the wire.
//!
//! Every other crate speaks in these types: identifiers, commands (wishes and facts from outside), events (what
//! happened, decided by the conversation engine), the entities that events carry, the declarations of all tables, and
//! the types of the API and the socket. No I/O, no async, no clock, no randomness.
//!
//! Wire rules, for everything that is stored or sent:
//! - JSON with `snake_case` names; enums carry their variant in a `type` field or are plain strings.
//! - A field may be added if it has a default; a field is never renamed, retyped or given another meaning.
//! - Readers ignore what they do not know. [`event::EventRecord`] and [`command::CommandRecord`] carry a version `v`.
#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod id;
pub mod time;

pub mod channel;
pub mod contact;
pub mod conversation;
pub mod desk;
pub mod message;
pub mod template;
pub mod widget;
pub mod workspace;

pub mod governance;
pub mod policy;

pub mod calendar;
pub mod command;
pub mod event;
pub mod hours;
pub mod kpi;
pub mod service;
pub mod sla;
pub mod zone;

pub mod tables;

pub mod api;
pub mod socket;

pub use id::{
    AuditEntryId, ChannelId, CommandId, ContactId, ConversationId, DeadLetterId, ErasureRequestId, EventId, MessageId,
    SavedViewId, SessionId, SlaPolicyId, TeamId, TokenId, UserId, WorkspaceId,
};
pub use time::Timestamp;
