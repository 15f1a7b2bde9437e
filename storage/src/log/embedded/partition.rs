//! One partition of a topic: what its appender, its readers and the maintenance thread share.
//!
//! Invariants, under the one lock of the state (never held during file I/O or across an await):
//! - closed segments and the active one follow each other without a hole; only the active one grows, and only the
//!   appender makes it grow;
//! - what the state names can be read: a record is entered when it is visible, not before;
//! - the records of the tail in memory are the last ones of the partition, without a hole.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schemas::Timestamp;
use tokio::sync::watch;

use super::context::Context;
use super::folder::index_path;
use super::format::{SegmentBounds, SegmentHeader, SparseIndex};
use super::scan::failed;
use crate::log::{Bounds, LogError, ReadBudget, ReadLimit, Record, Topic};

/// What a record in the tail costs beside its value, in bytes.
const TAIL_RECORD_BYTES: usize = 64;

/// Takes a lock; what a panicking thread left behind is still true, since every change under it is complete.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The segment that grows.
#[derive(Clone, Debug)]
pub(super) struct Active {
    /// Tells it from every other segment of the partition in this process, also from one that had the same name.
    pub(super) id: u64,
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// What is visible in it.
    pub(super) bounds: SegmentBounds,
    /// The position before which everything is durable.
    pub(super) durable_end: u64,
}

/// A segment that does not change any more.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) bounds: SegmentBounds,
}

/// Why appends to the partition are refused.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// There was no room for the last append.
    Full,
    /// A write or a sync failed: the active segment takes nothing any more and must be replaced.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) closed: VecDeque<Arc<Closed>>,
    pub(super) active: Active,
    pub(super) index: SparseIndex,
    /// The offset before which everything is durable.
    pub(super) durable_next: u64,
    tail: VecDeque<Record>,
    tail_bytes: usize,
    released: Option<u64>,
    pub(super) refusal: Option<Refusal>,
}

impl State {
    pub(super) fn new(closed: VecDeque<Arc<Closed>>, active: Active, index: SparseIndex) -> Self {
        Self {
            durable_next: active.bounds.next_offset,
            closed,
            active,
            index,
            tail: VecDeque::new(),
            tail_bytes: 0,
            released: None,
            refusal: None,
        }
    }

    fn earliest(&self) -> u64 {
        self.closed.front().map_or(self.active.bounds.first_offset, |segment| segment.bounds.first_offset)
    }

    fn next(&self) -> u64 {
        self.active.bounds.next_offset
    }

    /// Notes that there is room again. A failed segment stays failed: a sync may have failed while this was written.
    pub(super) fn forget_full(&mut self) {
        if matches!(self.refusal, Some(Refusal::Full)) {
            self.refusal = None;
        }
    }

    fn keep_in_tail(&mut self, records: Vec<Record>, most_bytes: usize) {
        for record in records {
            self.tail_bytes += record.value.len() + TAIL_RECORD_BYTES;
            self.tail.push_back(record);
        }
        while self.tail_bytes > most_bytes
            && let Some(oldest) = self.tail.pop_front()
        {
            self.tail_bytes -= oldest.value.len() + TAIL_RECORD_BYTES;
        }
    }
}

/// What waiting readers watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible {
    /// The offset after the last visible record.
    pub(super) next: u64,
    /// Nothing will be appended any more.
    pub(super) closed: bool,
}

/// Where a record is to be looked for.
pub(super) enum Located {
    /// These are the records, from memory.
    Here(Vec<Record>),
    /// In a closed segment.
    Closed(Arc<Closed>),
    /// In the active segment: it, and the noted record (offset, position) before the one looked for.
    Active(Active, (u64, u64)),
}

/// A group of records that was written.
pub(super) struct Written {
    pub(super) records: Vec<Record>,
    /// The bytes that each record takes in the file.
    pub(super) lengths: Vec<usize>,
    pub(super) durable: bool,
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) context: Arc<Context>,
    pub(super) topic: Topic,
    pub(super) number: u32,
    state: Mutex<State>,
    pub(super) visible: watch::Sender<Visible>,
    /// Held during a sync outside the appender and while the appender replaces the active segment. Taken before the
    /// state's lock.
    pub(super) syncing: Mutex<()>,
    ids: AtomicU64,
    pub(super) handles: Mutex<super::reader::Handles>,
}

impl Partition {
    pub(super) fn new(context: Arc<Context>, topic: Topic, number: u32, state: State) -> Self {
        let next = state.next();
        let ids = state.active.id + 1;
        Self {
            context,
            topic,
            number,
            state: Mutex::new(state),
            visible: watch::Sender::new(Visible { next, closed: false }),
            syncing: Mutex::new(()),
            ids: AtomicU64::new(ids),
            handles: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The header of the segment that begins with this offset.
    pub(super) fn header(&self, first_offset: u64) -> SegmentHeader {
        self.context.header(self.topic, self.number, first_offset)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn bounds(&self) -> Bounds {
        let state = self.state();
        Bounds { earliest: state.earliest(), next: state.next(), durable: state.durable_next }
    }

    /// Finds the record at `from`: in memory if it is there. Quick, without I/O.
    pub(super) fn locate(&self, from: u64, limit: ReadLimit) -> Result<Located, LogError> {
        let state = self.state();
        let (earliest, next) = (state.earliest(), state.next());
        if from < earliest || from > next {
            return Err(LogError::OutOfRange {
                topic: self.topic,
                partition: self.number,
                offset: from,
                earliest,
                next,
            });
        }
        if from == next {
            return Ok(Located::Here(Vec::new()));
        }
        if let Some(oldest) = state.tail.front().filter(|oldest| oldest.offset <= from) {
            let skip = usize::try_from(from - oldest.offset).unwrap_or(usize::MAX);
            let mut budget = ReadBudget::new(limit);
            let records = state.tail.iter().skip(skip);
            return Ok(Located::Here(records.take_while(|record| budget.admit(record.value.len())).cloned().collect()));
        }
        let after = state.closed.partition_point(|segment| segment.bounds.first_offset <= from);
        match after.checked_sub(1).and_then(|index| state.closed.get(index)) {
            Some(segment) if from < segment.bounds.next_offset => Ok(Located::Closed(Arc::clone(segment))),
            _ => {
                let first = (state.active.bounds.first_offset, super::format::FIRST_RECORD_POSITION);
                let noted = state.index.before(from).unwrap_or(first);
                Ok(Located::Active(state.active.clone(), noted))
            }
        }
    }

    /// Enters what was written after the active segment's end, and wakes readers.
    pub(super) fn publish(&self, written: Written) {
        let next = {
            let mut state = self.state();
            let state = &mut *state;
            for (record, length) in written.records.iter().zip(written.lengths) {
                state.index.note(record.offset, state.active.bounds.end);
                state.active.bounds.add(record.at, length);
            }
            if written.durable {
                state.active.durable_end = state.active.bounds.end;
                state.durable_next = state.next();
            }
            state.keep_in_tail(written.records, self.context.tail_bytes);
            state.forget_full();
            state.next()
        };
        self.visible.send_modify(|visible| visible.next = next);
    }

    /// Says that appends fail now.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let mut state = self.state();
        // A failed segment stays failed until it is replaced, whatever else is wrong.
        if !matches!(state.refusal, Some(Refusal::Failed(_))) {
            state.refusal = Some(refusal);
        }
    }

    /// Why appends fail now, for people.
    pub(super) fn refusing(&self) -> Option<String> {
        let refusal = self.state().refusal.clone()?;
        let (topic, number) = (self.topic, self.number);
        Some(match refusal {
            Refusal::Full => format!(
                "{topic}/{number}: the disk is full: free some space on the volume of {}",
                self.context.dir.display()
            ),
            Refusal::Failed(reason) => format!("{topic}/{number}: {reason}"),
        })
    }

    /// Calls fdatasync and measures it. A failure fails the segment: the system may have forgotten what it could not
    /// write, so that a second call on the same file would succeed without having written it.
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> Result<(), LogError> {
        let started = Instant::now();
        let outcome = self.context.disk.sync_data(file, path);
        metrics::histogram!("saler_log_fsync_seconds", "topic" => self.topic.name())
            .record(started.elapsed().as_secs_f64());
        outcome.map_err(|error| {
            tracing::error!(topic = %self.topic, partition = self.number, path = %path.display(), %error,
                "a segment cannot be made durable and takes nothing any more");
            self.refuse(Refusal::Failed(format!("cannot sync {}: {error}", path.display())));
            failed("sync", path, error)
        })
    }

    /// Makes all that is visible durable and returns the offset after it. Blocks.
    pub(super) fn sync(&self) -> Result<u64, LogError> {
        let _one_at_a_time = lock(&self.syncing);
        let (active, durable_next, refusal) = {
            let state = self.state();
            (state.active.clone(), state.durable_next, state.refusal.clone())
        };
        let next = active.bounds.next_offset;
        if durable_next >= next {
            return Ok(durable_next);
        }
        if let Some(Refusal::Failed(reason)) = refusal {
            return Err(LogError::Unavailable { reason });
        }
        self.sync_file(&active.file, &active.path)?;
        let mut state = self.state();
        if state.active.id == active.id {
            state.active.durable_end = state.active.durable_end.max(active.bounds.end);
        }
        state.durable_next = state.durable_next.max(next);
        Ok(state.durable_next)
    }

    /// Whether something visible is not durable yet.
    pub(super) fn is_dirty(&self) -> bool {
        let state = self.state();
        state.durable_next < state.next() && !matches!(state.refusal, Some(Refusal::Failed(_)))
    }

    /// Whether all that is visible is durable.
    pub(super) fn is_durable(&self) -> bool {
        let state = self.state();
        state.durable_next == state.next() && !matches!(state.refusal, Some(Refusal::Failed(_)))
    }

    /// Lets retention remove what is before `offset`.
    pub(super) fn release(&self, offset: u64) {
        self.state().released = Some(offset);
    }

    /// Whether the active segment should be closed so that retention by age can remove it.
    pub(super) fn is_active_aged(&self, now: Timestamp) -> bool {
        let state = self.state();
        let released = state.released.is_some_and(|released| released >= state.next());
        let latest = state.active.bounds.latest_at;
        released && latest.is_some_and(|latest| self.context.is_aged(latest, now))
    }

    /// Removes closed segments that are released, and old or too many. Blocks.
    pub(super) fn expire(&self, now: Timestamp) {
        for segment in self.take_expired(now) {
            // The index goes first: a segment without an index is whole, an index without a segment is litter.
            for path in [index_path(&segment.path), segment.path.clone()] {
                match fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "retention cannot remove a file");
                    }
                }
            }
            metrics::counter!("saler_log_removed_segments_total", "topic" => self.topic.name()).increment(1);
            tracing::info!(topic = %self.topic, partition = self.number, next = segment.bounds.next_offset,
                "retention removed a segment");
        }
    }

    fn take_expired(&self, now: Timestamp) -> Vec<Arc<Closed>> {
        let mut state = self.state();
        let Some(released) = state.released else {
            return Vec::new();
        };
        let closed_bytes: u64 = state.closed.iter().map(|segment| segment.bounds.end).sum();
        let mut total_bytes = closed_bytes + state.active.bounds.end;
        let mut expired = Vec::new();
        while let Some(oldest) = state.closed.front() {
            let aged = oldest.bounds.latest_at.is_some_and(|latest| self.context.is_aged(latest, now));
            let too_many = self.context.retention_bytes.is_some_and(|most| total_bytes > most);
            if oldest.bounds.next_offset > released || !(aged || too_many) {
                break;
            }
            total_bytes -= oldest.bounds.end;
            expired.extend(state.closed.pop_front());
        }
        expired
    }
}
