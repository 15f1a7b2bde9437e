//! The embedded log: segment files in a folder of the local disk.
//!
//! # Files
//!
//! ```text
//! DIR/LOCK                                   held (flock) by the one process that uses the folder; says how it was used last
//! DIR/meta.json                              {"format":1,"epoch":"<32 hex digits>","generation":N,"partitions":N}
//! DIR/groups.json                            {"<group>":{"<topic>/<partition>":<next offset>}}; replaced about every second
//! DIR/<topic>/<partition>/<20 digits>.log    a segment; the digits are the offset of its first record
//! DIR/<topic>/<partition>/<20 digits>.index  the index of a closed segment; can be made again from it
//! *.tmp                                      not finished, removed at opening
//! ```
//!
//! Numbers are little-endian; checksums are CRC-32 (IEEE).
//!
//! ```text
//! segment  0  8  "SALERLOG"           record   0  4  length of the value, at most 1 MiB
//!          8  4  format, 1                     4  4  checksum of all other bytes of the record
//!         12  4  topic: 1 commands,            8  8  offset
//!                2 events                     16  8  time, microseconds since 1970
//!         16  4  partition                    24  4  position before which this segment was durable when
//!         20  8  offset of the                       the record was written
//!                first record                 28 16  key
//!         28 16  epoch                        44  n  value
//!         44  4  checksum of 0..44
//!         48     records, one after the other; in the last segment, then zeros (reserved space)
//!
//! index    0  8  "SALERIDX"
//!          8  4  format, 1
//!         12 40  first offset, next offset, end of the last record, earliest and latest time, 8 bytes each
//!         52     offset and position, 8 bytes each, of a record about every 64 KiB
//!         -4  4  checksum of all before
//! ```
//!
//! LOCK holds `<boot id of the machine> <durability>` while the folder is used, and `closed` after a clean stop. The
//! generation grows whenever acknowledged records may have been lost: when the log is opened after a loss of power in a
//! mode other than fsync. [`Log::epoch`] is made of both. meta.json is written last when a log is made.
//!
//! # Invariants
//!
//! - A segment is created whole (header, sync, rename, sync of the folder), and only once the one before it is durable: so
//!   only the last segment of a partition can have a torn tail.
//! - Opening reads the last segment of each partition whole and the indexes of the others. What does not continue is
//!   [`LogError::Corrupt`].
//! - What stands after the last good record of the last segment is reserved space if it is all zeros. Else it is damage
//!   if a good record follows that proves it, and else a write that a crash cut short. A good record proves it if the
//!   machine has not been restarted since (the page cache then kept writes in order), or if it says that the place was
//!   durable when it was written. (A loss of power may leave the pages of one last write on the disk in any order.)
//! - No call of the trait does file I/O on the caller's thread: writes are made by one appender thread a partition, reads of
//!   what is not in memory by tokio's blocking threads, all else by one maintenance thread.

mod appender;
mod context;
pub mod disk;
pub(crate) mod folder;
pub(crate) mod format;
mod maintenance;
mod partition;
mod reader;
pub(crate) mod scan;
pub(crate) mod segment;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::appender::{Appender, QUEUE_REQUESTS, Request};
use self::context::{Alarm, Context, Room};
use self::disk::{Disk, RealDisk};
use self::folder::{FolderLock, Groups, LastUse, Meta, group_key};
use self::partition::{Located, Partition, State, lock};
use self::scan::failed;
use super::{
    Bounds, Durability, Log, LogError, LogHealth, NewRecord, ReadLimit, Record, Topic, check_records, unknown_partition,
};
use crate::clock::{Clock, SystemClock};

/// The most partitions a topic may have: each has a thread.
pub const MAX_PARTITIONS: u32 = 256;
/// The least size of a segment: 4 KiB.
pub const MIN_SEGMENT_BYTES: u64 = 4 << 10;
/// The most that a segment may be set to: 1 GiB, since the last one of each partition is read at opening.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// The stack of a thread of the log, in bytes.
const THREAD_STACK_BYTES: usize = 512 << 10;

/// How to open an [`EmbeddedLog`].
#[derive(Clone, Debug)]
pub struct EmbeddedLogOptions {
    /// The folder; made if it is not there.
    pub dir: PathBuf,
    /// Partitions of each topic, 1 to [`MAX_PARTITIONS`]. Must be what the log was made with.
    pub partitions: u32,
    /// [`Durability::Fsync`] or [`Durability::Interval`].
    pub durability: Durability,
    /// A segment is closed before it grows over this size, [`MIN_SEGMENT_BYTES`] to [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Released segments are removed while a partition is larger than this; `None` keeps any size.
    pub retention_bytes: Option<u64>,
    /// Released segments are removed once their last record is older than this; `None` keeps any age.
    pub retention_age: Option<Duration>,
    /// What retention by age goes by.
    pub clock: Arc<dyn Clock>,
    /// Commands are refused as by a full disk while less than this is free on the volume, so that the tables keep room.
    pub min_free_bytes: u64,
    /// How many bytes of a partition's last records are kept in memory for readers.
    pub tail_bytes: usize,
    /// The file system; another one than [`RealDisk`] only in tests.
    pub disk: Arc<dyn Disk>,
}

impl EmbeddedLogOptions {
    /// A log in `dir` with everything else as usual: fsync, segments of 64 MiB, no retention, 64 MiB kept free, tails of
    /// 4 MiB in memory.
    pub fn new(dir: impl Into<PathBuf>, partitions: u32) -> Self {
        Self {
            dir: dir.into(),
            partitions,
            durability: Durability::Fsync,
            segment_bytes: 64 << 20,
            retention_bytes: None,
            retention_age: None,
            clock: Arc::new(SystemClock),
            min_free_bytes: 64 << 20,
            tail_bytes: 4 << 20,
            disk: Arc::new(RealDisk),
        }
    }

    fn check(&self) -> Result<(), LogError> {
        let invalid = |reason: String| Err(LogError::Invalid { reason });
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            let partitions = self.partitions;
            return invalid(format!("partitions is {partitions}: it must be 1 to {MAX_PARTITIONS}"));
        }
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes) {
            let bytes = self.segment_bytes;
            return invalid(format!("segment_bytes is {bytes}: it must be {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}"));
        }
        match self.durability {
            Durability::Fsync => Ok(()),
            Durability::Interval(interval) if !interval.is_zero() => Ok(()),
            other => invalid(format!(
                "the durability of the embedded log is {other}: it must be fsync or an interval over 0 ms"
            )),
        }
    }
}

/// The commits of consumer groups, and whether they changed since they were written.
#[derive(Debug, Default)]
struct GroupCommits {
    commits: Groups,
    changed: bool,
}

/// A partition and the way to its appender.
#[derive(Debug)]
struct Slot {
    partition: Arc<Partition>,
    queue: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    meta: Meta,
    epoch: String,
    /// All partitions of the first topic, then all of the second.
    slots: Vec<Slot>,
    groups: Mutex<GroupCommits>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    folder: Mutex<Option<FolderLock>>,
}

impl Inner {
    /// Stops the threads, leaves everything durable and gives the folder back. Blocks; does nothing a second time.
    fn stop(&self) {
        self.context.closing.store(true, Ordering::SeqCst);
        self.context.alarm.ring();
        for slot in &self.slots {
            // Only wakes the appender: if the queue is full, it is awake.
            let _full = slot.queue.try_send(Request::Close);
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
        maintenance::write_groups(self);
        let Some(mut folder) = lock(&self.folder).take() else { return };
        // What could not be made durable at the end must be judged as after a crash.
        let clean = self.slots.iter().all(|slot| slot.partition.is_durable());
        if clean && let Err(error) = folder.note_closed() {
            tracing::warn!(%error, "the log cannot note that it was closed");
        }
    }
}

/// See the module. Dropping it closes it as [`EmbeddedLog::close`] does, on the caller's thread.
#[derive(Debug)]
pub struct EmbeddedLog {
    inner: Arc<Inner>,
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.inner.stop();
    }
}

impl EmbeddedLog {
    /// Opens the log in a folder, making an empty one if there is none. Blocks while it reads the last segments.
    ///
    /// # Errors
    /// [`LogError::Invalid`] if the options are impossible or `partitions` is not what the log was made with;
    /// [`LogError::Unavailable`] if another process holds the folder, or what identifies the log is missing;
    /// [`LogError::Corrupt`] if records are damaged; [`LogError::Io`].
    pub fn open(options: EmbeddedLogOptions) -> Result<Self, LogError> {
        options.check()?;
        let dir = options.dir.clone();
        std::fs::create_dir_all(&dir).map_err(|error| failed("create", &dir, error))?;
        let mut folder_lock = folder::lock_to_write(&dir)?;
        let found = folder::read_meta(&dir)?;
        let is_new = found.is_none();
        let mut meta = match found {
            Some(meta) => meta,
            None => Meta::new(options.partitions).map_err(|error| failed("identify", &dir, error))?,
        };
        if meta.partitions != options.partitions {
            return Err(LogError::Invalid {
                reason: format!(
                    "partitions is {}, but the log in {} was made with {}: set it back, since records would be looked \
                     for in the wrong partition; or begin a new log in another folder",
                    options.partitions,
                    dir.display(),
                    meta.partitions
                ),
            });
        }
        let context = Arc::new(make_context(options, &meta));
        if is_new {
            segment::create_partitions(&context, meta.partitions)?;
            folder::write_meta(&*context.disk, &dir, &meta)?;
        } else if folder_lock.last_use == LastUse::PowerLostWithoutFsync {
            meta.generation += 1;
            folder::write_meta(&*context.disk, &dir, &meta)?;
            tracing::warn!(
                epoch = meta.full_epoch(),
                "the power was lost in a mode without fsync: records may be gone"
            );
        }
        let commits = folder::read_groups(&dir)?;
        let opened = open_partitions(&context, meta.partitions, folder_lock.last_use.kept_order())?;
        // Only now: if opening fails, the next attempt must judge torn tails as this one.
        folder_lock.note_use(&context.durability.to_string())?;
        let mut slots = Vec::with_capacity(opened.len());
        let mut appenders = Vec::with_capacity(opened.len());
        for ((topic, number), (state, reserved_end)) in all_partitions(meta.partitions).zip(opened) {
            let partition = Arc::new(Partition::new(Arc::clone(&context), topic, number, state));
            let (sender, queue) = mpsc::channel(QUEUE_REQUESTS);
            appenders.push(Appender::new(Arc::clone(&partition), queue, reserved_end));
            slots.push(Slot { partition, queue: sender });
        }
        let log = Self {
            inner: Arc::new(Inner {
                context,
                epoch: meta.full_epoch(),
                meta,
                slots,
                groups: Mutex::new(GroupCommits { commits, changed: false }),
                threads: Mutex::default(),
                folder: Mutex::new(Some(folder_lock)),
            }),
        };
        log.start(appenders)?;
        Ok(log)
    }

    fn start(&self, appenders: Vec<Appender>) -> Result<(), LogError> {
        for appender in appenders {
            let name = format!("log-{}-{}", appender.partition.topic, appender.partition.number);
            self.spawn(name, move || appender.run())?;
        }
        let inner = Arc::clone(&self.inner);
        self.spawn("log-maintenance".to_owned(), move || maintenance::run(&inner))
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(THREAD_STACK_BYTES)
            .spawn(work)
            .map_err(|error| failed("start a thread for", &self.inner.context.dir, error))?;
        lock(&self.inner.threads).push(thread);
        Ok(())
    }

    /// Serves the appends that wait, refuses others from now on, makes everything durable, stops the threads and gives
    /// the folder back.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        if tokio::task::spawn_blocking(move || inner.stop()).await.is_err() {
            tracing::error!("closing the log has panicked");
        }
    }

    /// Lets retention look at once at what may be removed, instead of within ten seconds.
    pub async fn expire(&self) {
        let inner = Arc::clone(&self.inner);
        if tokio::task::spawn_blocking(move || maintenance::expire(&inner)).await.is_err() {
            tracing::error!("retention has panicked");
        }
    }

    fn slot(&self, topic: Topic, partition: u32) -> Result<&Slot, LogError> {
        let partitions = self.inner.meta.partitions;
        let before = match topic {
            Topic::Commands => 0,
            Topic::Events => partitions,
        };
        let index = usize::try_from(before + partition.min(partitions)).unwrap_or(usize::MAX);
        self.inner
            .slots
            .get(index)
            .filter(|_| partition < partitions)
            .ok_or_else(|| unknown_partition(topic, partition, partitions))
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.inner.context.is_closing() {
            return Err(closed());
        }
        Ok(())
    }

    fn set_commit(&self, group: &str, topic: Topic, partition: u32, next: u64) {
        let mut groups = lock(&self.inner.groups);
        let commits = groups.commits.entry(group.to_owned()).or_default();
        let before = commits.insert(group_key(topic, partition), next);
        groups.changed |= before != Some(next);
    }
}

fn make_context(options: EmbeddedLogOptions, meta: &Meta) -> Context {
    Context {
        dir: options.dir,
        epoch: meta.epoch_bytes().unwrap_or_default(),
        durability: options.durability,
        segment_bytes: options.segment_bytes,
        tail_bytes: options.tail_bytes,
        retention_bytes: options.retention_bytes,
        retention_age: options.retention_age,
        min_free_bytes: options.min_free_bytes,
        clock: options.clock,
        disk: options.disk,
        room: Room::default(),
        closing: AtomicBool::new(false),
        alarm: Alarm::default(),
    }
}

fn all_partitions(partitions: u32) -> impl Iterator<Item = (Topic, u32)> {
    Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |number| (topic, number)))
}

/// Opens all partitions, several at once, since each may have to read a segment.
fn open_partitions(context: &Context, partitions: u32, kept_order: bool) -> Result<Vec<(State, u64)>, LogError> {
    let all: Vec<(Topic, u32)> = all_partitions(partitions).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(all.len());
    let share = all.len().div_ceil(workers.max(1)).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .chunks(share)
            .map(|mine| {
                scope.spawn(move || {
                    mine.iter()
                        .map(|(topic, number)| segment::open_partition(context, *topic, *number, kept_order))
                        .collect::<Result<Vec<_>, LogError>>()
                })
            })
            .collect();
        let mut opened = Vec::with_capacity(all.len());
        for thread in threads {
            let mine = thread
                .join()
                .map_err(|_panic| LogError::Unavailable { reason: "opening the log has panicked".to_owned() })?;
            opened.extend(mine?);
        }
        Ok(opened)
    })
}

fn closed() -> LogError {
    LogError::Unavailable { reason: "the log is closed".to_owned() }
}

#[async_trait]
impl Log for EmbeddedLog {
    fn partitions(&self) -> u32 {
        self.inner.meta.partitions
    }

    fn epoch(&self) -> &str {
        &self.inner.epoch
    }

    async fn append(&self, topic: Topic, partition: u32, records: Vec<NewRecord>) -> Result<u64, LogError> {
        let slot = self.slot(topic, partition)?;
        check_records(&records)?;
        self.check_open()?;
        if records.is_empty() {
            return Ok(slot.partition.bounds().next);
        }
        let (reply, answer) = oneshot::channel();
        let request = Request::Append { records, reply };
        slot.queue.send(request).await.map_err(|_stopped| closed())?;
        answer.await.map_err(|_stopped| closed())?
    }

    async fn read(&self, topic: Topic, partition: u32, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        let partition = &self.slot(topic, partition)?.partition;
        self.check_open()?;
        if let Located::Here(records) = partition.locate(from, limit)? {
            return Ok(records);
        }
        let partition = Arc::clone(partition);
        let reading = tokio::task::spawn_blocking(move || partition.read(from, limit));
        reading.await.map_err(|error| LogError::Unavailable { reason: format!("a read did not end: {error}") })?
    }

    async fn wait_for(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        let mut visible = self.slot(topic, partition)?.partition.visible.subscribe();
        let seen = visible.wait_for(|visible| visible.closed || visible.next > offset).await.map(|visible| *visible);
        match seen {
            Ok(visible) if visible.next > offset => Ok(()),
            _ => Err(closed()),
        }
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        Ok(self.slot(topic, partition)?.partition.bounds())
    }

    async fn sync(&self, topic: Topic, partition: u32) -> Result<u64, LogError> {
        let partition = &self.slot(topic, partition)?.partition;
        self.check_open()?;
        let bounds = partition.bounds();
        if bounds.durable >= bounds.next {
            return Ok(bounds.durable);
        }
        let partition = Arc::clone(partition);
        let syncing = tokio::task::spawn_blocking(move || partition.sync());
        syncing.await.map_err(|error| LogError::Unavailable { reason: format!("a sync did not end: {error}") })?
    }

    async fn commit(&self, group: &str, topic: Topic, partition: u32, next: u64) -> Result<(), LogError> {
        self.slot(topic, partition)?;
        self.check_open()?;
        self.set_commit(group, topic, partition, next);
        Ok(())
    }

    async fn committed(&self, group: &str, topic: Topic, partition: u32) -> Result<Option<u64>, LogError> {
        self.slot(topic, partition)?;
        let groups = lock(&self.inner.groups);
        let commits = groups.commits.get(group);
        Ok(commits.and_then(|commits| commits.get(&group_key(topic, partition)).copied()))
    }

    async fn release(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        self.slot(topic, partition)?.partition.release(offset);
        Ok(())
    }

    fn health(&self) -> LogHealth {
        let context = &self.inner.context;
        let refusing = if context.is_closing() {
            Some("the log is closed".to_owned())
        } else if context.is_known_to_lack_room() {
            Some(format!(
                "less than {} bytes are free on the volume of {}: free some space",
                context.min_free_bytes,
                context.dir.display()
            ))
        } else {
            self.inner.slots.iter().find_map(|slot| slot.partition.refusing())
        };
        LogHealth { durability: context.durability, refusing }
    }
}
