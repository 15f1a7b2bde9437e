//! The log port: two topics of ordered, numbered records, cut into partitions.
//!
//! A record is a key and a value, both opaque here. Its offset is its number in its partition: 0, 1, 2, … without holes.
//! Guarantees, the same for every engine:
//!
//! - [`Log::append`] returns once its records are as durable as the topic's [`Durability`] says. Records of one call stand
//!   in order, and together unless another process appends to the partition at that moment; two calls that do not overlap in
//!   time stand in the order of the calls.
//! - A reader of [`Topic::Commands`] sees only what is durable; of [`Topic::Events`], what is written. (Events can be
//!   derived again from commands, so they need no wait.)
//! - What was read once at an offset is read there again, until retention removes it. If history was lost or remade, the
//!   [`Log::epoch`] is another one.
//! - Damage is reported as [`LogError::Corrupt`] with its place, never skipped. A torn tail (a write cut short by a
//!   crash, never acknowledged) is removed at opening.
//!
//! Engines: [`memory`] (the model, for tests), [`embedded`] (segment files on the local disk), [`kafka`] (a cluster that
//! several processes share). [`inspect`] looks into the folder of a stopped embedded log.

pub mod embedded;
pub mod inspect;
#[cfg(feature = "cluster")]
pub mod kafka;
pub mod membership;
pub mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::{Timestamp, WorkspaceId};

pub use membership::Membership;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Wishes and facts from outside: the truth.
    Commands,
    /// What happened, derived from commands.
    Events,
}

impl Topic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Commands, Self::Events];

    /// The name in folders, in Kafka, on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Events => "events",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The partition in which a workspace's records stand, of `partitions` many: fixed for the life of a log.
pub fn partition_of(workspace_id: WorkspaceId, partitions: u32) -> u32 {
    // CRC-32 (IEEE) of the id's bytes: the same in every version and every engine, unlike a standard-library hash.
    crc32fast::hash(workspace_id.as_bytes()) % partitions.max(1)
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Whose it is.
    pub key: WorkspaceId,
    /// When it was made; retention by age goes by it.
    pub at: Timestamp,
    /// Its content, at most [`MAX_VALUE_BYTES`].
    pub value: Bytes,
}

/// The largest value of a record: 1 MiB, the default limit of a Kafka broker.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The most bytes of values that one call of [`Log::append`] may carry: 16 MiB.
pub const MAX_APPEND_BYTES: usize = 16 << 20;

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in its partition.
    pub offset: u64,
    /// Whose it is.
    pub key: WorkspaceId,
    /// When it was made.
    pub at: Timestamp,
    /// Its content.
    pub value: Bytes,
}

/// How much a read returns at most. At least one record is returned if there is one, whatever its size.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records.
    pub records: usize,
    /// Bytes of values.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { records: 1_000, bytes: 1 << 20 }
    }
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that can still be read.
    pub earliest: u64,
    /// The offset after the last one that can be read: where a new reader of the tail begins.
    pub next: u64,
    /// The offset after the last one that survives a loss of power.
    pub durable: u64,
}

/// When an appended command counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After an fdatasync that covers it. Survives a loss of power.
    Fsync,
    /// After it was handed to the operating system, with an fdatasync at least this often. Survives a crash of the
    /// process; a loss of power may take the last interval.
    Interval(Duration),
    /// As many replicas as the cluster asks for have it.
    Replicated,
    /// Never: the in-memory model.
    Memory,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fsync => f.write_str("fsync"),
            Self::Interval(period) => write!(f, "interval of {} ms", period.as_millis()),
            Self::Replicated => f.write_str("replicated"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// Whether the log takes records now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHealth {
    /// The mode in which commands are acknowledged.
    pub durability: Durability,
    /// `None` if appends succeed; else why they are refused.
    pub refusing: Option<String>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room; nothing of the call was kept. Appends succeed again once there is room.
    #[error("the log's disk is full: free some space on the volume of {path}")]
    DiskFull {
        /// The folder on the full volume.
        path: String,
    },
    /// The engine cannot take or give records now. Whether an append was kept is not known.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The offset was removed by retention, or is beyond the end.
    #[error("offset {offset} of {topic}/{partition} is not held: it holds {earliest} up to {next}")]
    OutOfRange {
        /// Which topic.
        topic: Topic,
        /// Which partition.
        partition: u32,
        /// The offset asked for.
        offset: u64,
        /// The first that is held.
        earliest: u64,
        /// The one after the last that is held.
        next: u64,
    },
    /// Bytes that were written before are not there any more as they were written.
    #[error("{topic}/{partition} is damaged at byte {position} of {file}: {reason}")]
    Corrupt {
        /// Which topic.
        topic: Topic,
        /// Which partition.
        partition: u32,
        /// The damaged file.
        file: String,
        /// Where in it.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The value is over [`MAX_VALUE_BYTES`], the call over [`MAX_APPEND_BYTES`], or there is no such partition; or the
    /// options of an engine contradict each other or what is on the disk.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("the log cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// How it failed.
        #[source]
        source: std::io::Error,
    },
}

/// A log. See the module for what every engine guarantees.
#[async_trait]
pub trait Log: Send + Sync + fmt::Debug {
    /// How many partitions each topic has; fixed when the log was made.
    fn partitions(&self) -> u32;

    /// Names this history of records. Another epoch means that offsets of before no longer count.
    fn epoch(&self) -> &str;

    /// Appends records and returns the offset of the first once they are durable.
    ///
    /// # Errors
    /// [`LogError::DiskFull`] and [`LogError::Invalid`]: nothing was kept. [`LogError::Unavailable`] and
    /// [`LogError::Io`]: it is not known whether something was kept.
    async fn append(&self, topic: Topic, partition: u32, records: Vec<NewRecord>) -> Result<u64, LogError>;

    /// Reads records from `from` on, in order, at once; none if `from` is the end.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`], [`LogError::Corrupt`], [`LogError::Io`], [`LogError::Unavailable`].
    async fn read(&self, topic: Topic, partition: u32, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError>;

    /// Waits until the record at `offset` can be read. Cancel-safe.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log closes meanwhile.
    async fn wait_for(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError>;

    /// What the partition holds now.
    ///
    /// # Errors
    /// [`LogError::Invalid`], [`LogError::Unavailable`].
    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError>;

    /// Makes all that is written to the partition durable and returns the offset after it.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Unavailable`].
    async fn sync(&self, topic: Topic, partition: u32) -> Result<u64, LogError>;

    /// Notes that a group of readers has done everything before `next`. Durable soon, not at once: a group may be given
    /// records a second time and must be idempotent.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Unavailable`].
    async fn commit(&self, group: &str, topic: Topic, partition: u32, next: u64) -> Result<(), LogError>;

    /// What the group noted last, if anything.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn committed(&self, group: &str, topic: Topic, partition: u32) -> Result<Option<u64>, LogError>;

    /// Lets retention remove what is before `offset` once it is old or large enough; what is at or after stays. Before
    /// the first call for a partition, retention removes nothing of it.
    ///
    /// # Errors
    /// [`LogError::Invalid`], [`LogError::Unavailable`].
    async fn release(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError>;

    /// Joins the processes that share the work of a group, each on other partitions of the topic `commands`. A log that one
    /// process has to itself gives it all of them.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn join(&self, _group: &str) -> Result<Membership, LogError> {
        Ok(Membership::of_all(self.partitions()))
    }

    /// Whether it takes records now, and how durably.
    fn health(&self) -> LogHealth;
}

/// Checks a call of [`Log::append`] against the limits that all engines share.
fn check_records(records: &[NewRecord]) -> Result<(), LogError> {
    let mut total_bytes = 0_usize;
    for (index, record) in records.iter().enumerate() {
        let bytes = record.value.len();
        if bytes > MAX_VALUE_BYTES {
            return Err(LogError::Invalid {
                reason: format!("the value of record {index} has {bytes} bytes: at most {MAX_VALUE_BYTES} are taken"),
            });
        }
        total_bytes = total_bytes.saturating_add(bytes);
    }
    if total_bytes > MAX_APPEND_BYTES {
        return Err(LogError::Invalid {
            reason: format!(
                "the call appends {total_bytes} bytes: at most {MAX_APPEND_BYTES} are taken; append in several calls"
            ),
        });
    }
    Ok(())
}

/// The error for a partition that the log does not have.
fn unknown_partition(topic: Topic, partition: u32, partitions: u32) -> LogError {
    LogError::Invalid {
        reason: format!("there is no partition {topic}/{partition}: partitions are numbered 0 to {}", partitions - 1),
    }
}

/// How much of a [`ReadLimit`] is left while records are collected.
struct ReadBudget {
    limit: ReadLimit,
    records: usize,
    bytes: usize,
}

impl ReadBudget {
    const fn new(limit: ReadLimit) -> Self {
        Self { limit, records: 0, bytes: 0 }
    }

    /// Whether a value of `bytes` may still be returned; the first always may.
    fn admit(&mut self, bytes: usize) -> bool {
        let total_bytes = self.bytes.saturating_add(bytes);
        if self.records > 0 && (self.records >= self.limit.records || total_bytes > self.limit.bytes) {
            return false;
        }
        self.records += 1;
        self.bytes = total_bytes;
        true
    }

    /// Whether the number of records is used up, so that looking further is useless.
    const fn is_spent(&self) -> bool {
        self.records > 0 && (self.records >= self.limit.records || self.bytes >= self.limit.bytes)
    }
}
