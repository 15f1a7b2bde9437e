//! What all partitions of a log share: its options, its identity, and how much room there is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use schemas::Timestamp;

use super::disk::Disk;
use super::format::SegmentHeader;
use super::partition::lock;
use crate::clock::Clock;
use crate::log::{Durability, LogError, Topic};

/// How long an answer of the system about free space is believed.
const ROOM_BELIEVED: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) dir: PathBuf,
    pub(super) epoch: [u8; 16],
    pub(super) durability: Durability,
    pub(super) segment_bytes: u64,
    pub(super) tail_bytes: usize,
    pub(super) retention_bytes: Option<u64>,
    pub(super) retention_age: Option<Duration>,
    pub(super) min_free_bytes: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) room: Room,
    pub(super) closing: AtomicBool,
    pub(super) alarm: Alarm,
}

impl Context {
    pub(super) const fn header(&self, topic: Topic, partition: u32, first_offset: u64) -> SegmentHeader {
        SegmentHeader { topic, partition, first_offset, epoch: self.epoch }
    }

    /// Whether an append to the topic returns only after an fdatasync.
    pub(super) fn waits_for_sync(&self, topic: Topic) -> bool {
        topic == Topic::Commands && self.durability == Durability::Fsync
    }

    pub(super) fn is_aged(&self, at: Timestamp, now: Timestamp) -> bool {
        self.retention_age.is_some_and(|age| now.since(at) >= age)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(super) fn disk_full(&self) -> LogError {
        LogError::DiskFull { path: self.dir.display().to_string() }
    }

    /// Whether less is free than must stay free. Asks the system now and then.
    pub(super) fn lacks_room(&self) -> bool {
        if self.min_free_bytes == 0 {
            return false;
        }
        let mut asked = lock(&self.room.asked);
        if asked.is_none_or(|asked| asked.elapsed() >= ROOM_BELIEVED) {
            // A system that does not say is not taken for a full disk: the write itself will tell.
            let free = self.disk.free_bytes(&self.dir).unwrap_or(u64::MAX);
            self.room.free_bytes.store(free, Ordering::Relaxed);
            *asked = Some(Instant::now());
        }
        drop(asked);
        self.is_known_to_lack_room()
    }

    /// The same by the last answer of the system, without asking.
    pub(super) fn is_known_to_lack_room(&self) -> bool {
        self.room.free_bytes.load(Ordering::Relaxed) < self.min_free_bytes
    }
}

/// The last answer of the system about free space.
#[derive(Debug)]
pub(super) struct Room {
    asked: Mutex<Option<Instant>>,
    free_bytes: AtomicU64,
}

impl Default for Room {
    fn default() -> Self {
        Self { asked: Mutex::new(None), free_bytes: AtomicU64::new(u64::MAX) }
    }
}

/// Wakes the maintenance thread before its time.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.bell.notify_all();
    }

    /// Waits until the alarm rings or the time is over; says whether it rang.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let rung = lock(&self.rung);
        let waited = self.bell.wait_timeout_while(rung, most, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}
