//! The one thread of a log that does what nobody waits for: syncs what is written but not durable, writes the commits
//! of consumer groups, lets retention remove segments, and probes partitions that refuse appends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::appender::Request;
use super::folder;
use super::{Durability, Inner};

/// How often the thread looks, unless the durability mode asks for more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two looks.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(1);
/// How often retention looks, beside whenever a segment is closed.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);

/// Runs until the log closes.
pub(super) fn run(inner: &Arc<Inner>) {
    let context = &inner.context;
    let look_every = match context.durability {
        // Half of it, so that the time of the sync itself does not stretch the interval.
        Durability::Interval(interval) => (interval / 2).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY),
        _ => LOOK_EVERY,
    };
    let mut expired: Option<Instant> = None;
    let mut looked: Option<Instant> = None;
    loop {
        let rung = context.alarm.wait(look_every);
        if context.is_closing() {
            return;
        }
        sync_dirty(inner);
        if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            looked = Some(Instant::now());
            context.lacks_room();
            write_groups(inner);
            for slot in &inner.slots {
                if slot.partition.refusing().is_some() {
                    ask(&slot.queue, Request::Probe);
                }
            }
        }
        if rung || expired.is_none_or(|expired| expired.elapsed() >= EXPIRE_EVERY) {
            expired = Some(Instant::now());
            expire(inner);
        }
    }
}

fn sync_dirty(inner: &Inner) {
    for slot in &inner.slots {
        let partition = &slot.partition;
        // A topic whose appends wait for the sync is made durable by its appender.
        if !inner.context.waits_for_sync(partition.topic) && partition.is_dirty() {
            // A failure is noted in the partition and logged there.
            let _noted = partition.sync();
        }
    }
}

/// Lets retention remove what it may.
pub(super) fn expire(inner: &Inner) {
    let now = inner.context.clock.now();
    for slot in &inner.slots {
        if slot.partition.is_active_aged(now) {
            ask(&slot.queue, Request::Roll);
        }
        slot.partition.expire(now);
    }
}

fn ask(queue: &mpsc::Sender<Request>, request: Request) {
    // A full queue means that the appender is at work; it will be asked again.
    let _full = queue.try_send(request);
}

/// Writes the commits of consumer groups if they changed.
pub(super) fn write_groups(inner: &Inner) {
    let changed = {
        let mut groups = super::partition::lock(&inner.groups);
        std::mem::take(&mut groups.changed).then(|| groups.commits.clone())
    };
    let Some(commits) = changed else { return };
    if let Err(error) = folder::write_groups(&*inner.context.disk, &inner.context.dir, &commits) {
        tracing::warn!(%error, "the commits of consumer groups cannot be written; they will be tried again");
        super::partition::lock(&inner.groups).changed = true;
    }
}
