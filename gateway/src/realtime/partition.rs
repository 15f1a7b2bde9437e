//! One partition of the topic `events`, as this process follows it: the latest frames, and the place of the tail.
//!
//! Publishing, registering and replaying from the ring all happen under one lock, so that a socket sees every event
//! exactly once: what is before its registration by replay, what is after it live.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::entry::{Audience, Entry};
use super::once::Once;

/// The most entries of a ring, whatever their size.
const MAX_RING_ENTRIES: usize = 65_536;

/// A partition. The lock is held for a fan-out at most, never across an await.
#[derive(Debug)]
pub(crate) struct Partition {
    state: Mutex<State>,
    started: watch::Sender<bool>,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The next offset that the tail will publish.
    pub(crate) next: u64,
    /// Tells events from those that were published twice.
    pub(crate) once: Once,
    /// From this offset on the ring holds all that anybody may see.
    pub(crate) ring_start: u64,
    ring: VecDeque<Arc<Entry>>,
    ring_bytes: usize,
}

impl Partition {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), started: watch::Sender::new(false) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tail stands here: nothing before it is in memory.
    pub(crate) fn begin_at(&self, offset: u64) {
        let mut state = self.lock();
        *state = State { next: offset, ring_start: offset, ..State::default() };
    }

    /// The tail has read what was there; sockets may come.
    pub(crate) fn start(&self) {
        self.started.send_replace(true);
    }

    /// Waits until sockets may come.
    pub(crate) async fn wait_until_started(&self) {
        // An error means that the sender is gone, and it is a field of `self`.
        drop(self.started.subscribe().wait_for(|started| *started).await);
    }
}

impl State {
    /// Takes an entry in and moves the tail past it.
    pub(crate) fn append(&mut self, entry: &Arc<Entry>, ring_bytes: usize) {
        self.next = entry.offset + 1;
        if entry.audience == Audience::Nobody {
            return;
        }
        self.ring_bytes += entry.size();
        self.ring.push_back(Arc::clone(entry));
        while self.ring_bytes > ring_bytes || self.ring.len() > MAX_RING_ENTRIES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes = self.ring_bytes.saturating_sub(oldest.size());
            self.ring_start = oldest.offset + 1;
        }
    }

    /// Moves the tail past a record that nobody sees.
    pub(crate) fn skip(&mut self, offset: u64) {
        self.next = offset + 1;
    }

    /// What the ring holds from this offset on.
    pub(crate) fn since(&self, offset: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let from = self.ring.partition_point(|entry| entry.offset < offset);
        self.ring.iter().skip(from)
    }
}
