//! Sharing partitions among processes: a member of a Kafka group, used for nothing but its assignment.
//!
//! The group deals out the partitions of `{prefix}.commands` cooperatively: those that stay with their member go on without
//! a pause. The client reads nothing (its partitions are paused). Before it gives a partition back it waits until the
//! process does not work on it any more ([`Membership::works_on`]).
//!
//! With a `node` the membership is static: a process that is killed and comes back within the session timeout has its
//! partitions as before. One that leaves on purpose hands them over at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use tokio::sync::watch;

use super::super::{LogError, Membership, Topic};
use super::Shared;
use super::reach::Context;

/// How long the thread waits for the group at once; also how soon it sees that it shall leave.
const POLL: Duration = Duration::from_millis(100);
/// How often it looks whether a partition is still worked on.
const HANDOVER_POLL: Duration = Duration::from_millis(5);
/// How long leaving may take, besides the handover.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);
/// How long it goes on serving the group after the last partition was given back, so that the group hears of it.
const FAREWELL: Duration = Duration::from_millis(300);

/// What the group's decisions change.
struct Assignment {
    context: Context,
    shared: Arc<Shared>,
    assigned: Arc<watch::Sender<BTreeSet<u32>>>,
    working: watch::Receiver<BTreeSet<u32>>,
}

impl Assignment {
    fn numbers(&self, places: &TopicPartitionList) -> BTreeSet<u32> {
        let commands = self.shared.names.of(Topic::Commands);
        let numbers = places.elements_for_topic(commands).into_iter().map(|place| u32::try_from(place.partition()));
        numbers.flatten().filter(|number| *number < self.shared.options.partitions).collect()
    }

    /// Waits until none of the partitions is worked on, but not for ever.
    fn wait_for_handover(&self, gone: &BTreeSet<u32>) {
        let begun = Instant::now();
        let works = || self.working.has_changed().is_ok() && !self.working.borrow().is_disjoint(gone);
        while works() {
            if begun.elapsed() >= self.shared.options.handover_timeout {
                tracing::warn!(partitions = ?gone, "partitions are handed over while this process still works on them");
                metrics::counter!("saler_log_late_handovers_total").increment(1);
                return;
            }
            std::thread::sleep(HANDOVER_POLL);
        }
    }

    fn end(&self) {
        self.assigned.send_if_modified(|assigned| !std::mem::take(assigned).is_empty());
    }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Assignment {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(places) = rebalance else { return };
        let gone = self.numbers(places);
        self.assigned.send_if_modified(|assigned| {
            let before = assigned.len();
            assigned.retain(|number| !gone.contains(number));
            assigned.len() < before
        });
        tracing::info!(partitions = ?gone, "partitions are taken from this process");
        // What is lost already may be somebody else's by now: waiting would only delay coming back.
        if !consumer.assignment_lost() {
            self.wait_for_handover(&gone);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(places) = rebalance else { return };
        if let Err(error) = consumer.pause(places) {
            tracing::warn!(%error, "partitions cannot be paused: what is fetched of them is thrown away");
        }
        let new = self.numbers(places);
        // What their last owner wrote must be seen by the first look.
        for slot in self.shared.slots.iter().filter(|slot| new.contains(&slot.number)) {
            slot.forget_bounds();
        }
        tracing::info!(partitions = ?new, "partitions are given to this process");
        self.assigned.send_if_modified(|assigned| {
            let before = assigned.len();
            assigned.extend(new);
            assigned.len() > before
        });
    }
}

/// A membership that runs.
pub(super) struct Member {
    leaving: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Member {
    /// Whether the process is still a member.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst) || self.thread.is_finished()
    }

    /// Leaves, and waits until that is done. Blocks.
    pub(super) fn leave(self) {
        self.leaving.store(true, Ordering::SeqCst);
        if self.thread.join().is_err() {
            tracing::error!("the thread of a membership has panicked");
        }
    }
}

/// Ends the membership when it is dropped.
struct Guard {
    leaving: Arc<AtomicBool>,
    /// Kept, so that who waits for a change is not told that there will be none.
    _assigned: Arc<watch::Sender<BTreeSet<u32>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::SeqCst);
    }
}

/// Joins a group. Blocks, but not for the group's answer.
pub(super) fn join(shared: &Arc<Shared>, group: &str) -> Result<(Membership, Member), LogError> {
    let failed = |error: &dyn std::fmt::Display| {
        shared.reach.unavailable(format_args!("group {group} cannot be joined: {error}"))
    };
    let (assigned, assignments) = watch::channel(BTreeSet::new());
    let (works, working) = watch::channel(BTreeSet::new());
    let assigned = Arc::new(assigned);
    let context = Assignment {
        context: Context(Arc::clone(&shared.reach)),
        shared: Arc::clone(shared),
        assigned: Arc::clone(&assigned),
        working,
    };
    let consumer = BaseConsumer::from_config_and_context(&shared.options.member(group), context)
        .map_err(|error| failed(&error))?;
    consumer.subscribe(&[shared.names.of(Topic::Commands)]).map_err(|error| failed(&error))?;
    let leaving = Arc::new(AtomicBool::new(false));
    let (flag, name) = (Arc::clone(&leaving), group.to_owned());
    let thread = std::thread::Builder::new()
        .name(format!("kafka-member-{group}"))
        .spawn(move || run(&consumer, &name, &flag))
        .map_err(|error| failed(&error))?;
    let guard = Guard { leaving: Arc::clone(&leaving), _assigned: assigned };
    Ok((Membership::new(assignments, works, Box::new(guard)), Member { leaving, thread }))
}

fn run(consumer: &BaseConsumer<Assignment>, group: &str, leaving: &AtomicBool) {
    let context = Arc::clone(consumer.context());
    while !leaving.load(Ordering::SeqCst) && !context.shared.is_closing() {
        match consumer.poll(POLL) {
            None | Some(Ok(_)) => {}
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                let node = &context.shared.options.node;
                tracing::error!(
                    group,
                    node,
                    %code,
                    "this process is not a member any more: another one has joined under its name. Give each process a \
                     `node` of its own and start this one again"
                );
                metrics::counter!("saler_log_memberships_lost_total").increment(1);
                context.end();
                return;
            }
            Some(Err(error)) => tracing::debug!(group, %error, "a member reports an error"),
        }
    }
    // On its own, ending a static member would leave its partitions to nobody until the session times out.
    consumer.unsubscribe();
    let begun = Instant::now();
    let patience = LEAVE_PATIENCE + context.shared.options.handover_timeout;
    while begun.elapsed() < patience && consumer.assignment().is_ok_and(|left| left.count() > 0) {
        let _nothing = consumer.poll(HANDOVER_POLL);
    }
    let begun = Instant::now();
    while begun.elapsed() < FAREWELL {
        let _nothing = consumer.poll(HANDOVER_POLL);
    }
    context.end();
}
