//! Which partitions a process works on, when several share the work of a group.

use std::any::Any;
use std::collections::BTreeSet;

use tokio::sync::watch;

/// A process's membership in a group of readers; dropping it leaves the group.
///
/// The partitions of a topic are dealt out among the members, each to one. A member that is asked to hand a partition over
/// (it is not in [`Membership::assigned`] any more) stops working on it and says so with [`Membership::works_on`]; the
/// engine of the log waits for that for a while before it gives the partition to another. A member that does not answer in
/// time may work on for a moment beside its successor, so what it does must be fenced or idempotent.
#[derive(Debug)]
pub struct Membership {
    assigned: watch::Receiver<BTreeSet<u32>>,
    working: watch::Sender<BTreeSet<u32>>,
    _leaves_when_dropped: Box<dyn Any + Send + Sync>,
}

impl Membership {
    /// For engines of the log: `assigned` is changed by the engine, `working` is watched by it, `guard` ends the membership
    /// when it is dropped.
    pub fn new(
        assigned: watch::Receiver<BTreeSet<u32>>,
        working: watch::Sender<BTreeSet<u32>>,
        guard: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { assigned, working, _leaves_when_dropped: guard }
    }

    /// Of a log that only this process reads: all partitions, for good.
    pub fn of_all(partitions: u32) -> Self {
        let (sender, assigned) = watch::channel((0..partitions).collect());
        let (working, _) = watch::channel(BTreeSet::new());
        Self::new(assigned, working, Box::new(sender))
    }

    /// The partitions that this process shall work on now. Cancel-safe to wait on.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<u32>> {
        self.assigned.clone()
    }

    /// Says which partitions this process works on now.
    pub fn works_on(&self, partitions: BTreeSet<u32>) {
        self.working.send_replace(partitions);
    }
}
