//! The thread that looks after the rest: whether the cluster answers, and what is not used any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataPartition;

use super::super::Topic;
use super::reach::Context;
use super::{Inner, Shared};

/// How often it looks after things.
const PERIOD: Duration = Duration::from_secs(1);
/// How often it asks whether the cluster answers, while it does.
const PROBE_PERIOD: Duration = Duration::from_secs(5);
/// The least pause between two questions, however often clients lose their connections.
const MIN_PROBE_PERIOD: Duration = Duration::from_millis(200);
/// How long the cluster may take to answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Works until the log is closed.
pub(super) fn run(inner: &Arc<Inner>) {
    let shared = &inner.shared;
    shared.reach.set_keeper(std::thread::current());
    let mut probed = Instant::now();
    while !shared.is_closing() {
        let refusing = shared.reach.refusing().is_some();
        let since = probed.elapsed();
        let due = shared.reach.is_suspected() && since >= MIN_PROBE_PERIOD;
        if due || since >= if refusing { PERIOD } else { PROBE_PERIOD } {
            shared.reach.take_suspicion();
            shared.reach.set_refusing(probe(shared));
            probed = Instant::now();
        }
        inner.tail.sweep();
        inner.catch_up.sweep();
        inner.groups.sweep();
        drain(&shared.query);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("saler_log_queued_bytes").set(inner.producer.queued_bytes() as f64);
        let pause = if shared.reach.is_suspected() { MIN_PROBE_PERIOD } else { PERIOD };
        if !shared.is_closing() {
            std::thread::park_timeout(pause);
        }
    }
}

/// Serves what a client has to say that reads nothing.
fn drain(consumer: &BaseConsumer<Context>) {
    const MOST: usize = 100;
    for _ in 0..MOST {
        if consumer.poll(Duration::ZERO).is_none() {
            return;
        }
    }
}

/// Why appends would be refused now, if they would.
pub(super) fn probe(shared: &Shared) -> Option<String> {
    for topic in Topic::ALL {
        let name = shared.names.of(topic);
        let metadata = match shared.query.fetch_metadata(Some(name), PROBE_PATIENCE) {
            Ok(metadata) => metadata,
            Err(error) => {
                return Some(shared.reach.explain(format_args!(
                    "no broker answers within {PROBE_PATIENCE:?}, see that one of them runs and can be reached: {error}"
                )));
            }
        };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else {
            return Some(shared.reach.explain(format_args!("the topic {name} is missing")));
        };
        if let Some(error) = found.error() {
            let code = rdkafka::error::RDKafkaErrorCode::from(error);
            return Some(shared.reach.explain(format_args!("the topic {name} cannot be used: {code}")));
        }
        let fault = found.partitions().iter().find_map(|partition| fault_of(shared, partition));
        if let Some(fault) = fault {
            return Some(shared.reach.explain(format_args!("{name}/{fault}")));
        }
    }
    None
}

fn fault_of(shared: &Shared, partition: &MetadataPartition) -> Option<String> {
    let number = partition.id();
    if u32::try_from(number).is_ok_and(|number| number >= shared.options.partitions) {
        return None;
    }
    if partition.leader() < 0 {
        return Some(format!("{number} has no leader: start the brokers that hold it"));
    }
    let (in_sync, needed) = (partition.isr().len(), shared.options.min_in_sync);
    if i32::try_from(in_sync).is_ok_and(|in_sync| in_sync < needed) {
        return Some(format!(
            "{number} is in sync on {in_sync} brokers, {needed} are needed: start those that are down"
        ));
    }
    None
}
