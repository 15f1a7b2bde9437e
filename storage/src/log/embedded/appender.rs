//! The one thread of a partition that writes. It takes everything that waits, writes it once, makes it durable once, and
//! answers all.
//!
//! A full disk: what was written of the group is cut off again, durably, so that a refused append has left nothing.
//!
//! Any other failure of a write or a sync: the segment takes nothing any more. After a failed sync the system may show
//! bytes that are not on the disk, and a second sync of the same file would succeed without writing them. So the next
//! append (or the maintenance thread's probe) begins a new segment at the first offset that is not known to be durable,
//! after reading back from the disk all that is, and writes what readers have seen since into the new one. Nobody was
//! told of the rest.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::disk::is_full;
use super::format::{FIRST_RECORD_POSITION, encode_record, frame_bytes};
use super::partition::{Active, Closed, Partition, Refusal, Written, lock};
use super::scan::{ScanFault, Scanner, corrupt, failed};
use super::segment::{Created, RESERVE_BYTES, create_segment, seal};
use crate::log::{LogError, NewRecord, ReadLimit, Record, Topic};

/// Calls that may wait for a partition's appender; more wait for their turn to wait.
pub(super) const QUEUE_REQUESTS: usize = 1_024;

/// A group is closed once it has this many bytes: 1 MiB, which a disk writes in about a millisecond.
const GROUP_BYTES: u64 = 1 << 20;

/// How much room must be there before appends that failed for want of it are expected to succeed: the largest record.
const PROBE_BYTES: u64 = 1 << 20;

/// What an appender is asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Append records.
    Append { records: Vec<NewRecord>, reply: oneshot::Sender<Result<u64, LogError>> },
    /// Find out whether appends that are refused now would succeed.
    Probe,
    /// Close the active segment if it is old and released.
    Roll,
    /// Finish what waits and stop.
    Close,
}

/// A call that waits: its records and where its answer goes.
type Waiting = (Vec<NewRecord>, oneshot::Sender<Result<u64, LogError>>);

/// See the module.
#[derive(Debug)]
pub(super) struct Appender {
    pub(super) partition: Arc<Partition>,
    queue: mpsc::Receiver<Request>,
    /// Up to where space is reserved in the active segment.
    reserved_end: u64,
    /// A new segment was begun and may be on the disk under its name: the old one must take no record any more, since
    /// opening would look for it in the new one.
    must_roll: bool,
    /// The last group held more than one call.
    crowded: bool,
}

impl Appender {
    pub(super) const fn new(partition: Arc<Partition>, queue: mpsc::Receiver<Request>, reserved_end: u64) -> Self {
        Self { partition, queue, reserved_end, must_roll: false, crowded: false }
    }

    /// Serves until the log closes.
    pub(super) fn run(mut self) {
        let most_bytes = GROUP_BYTES.min(self.partition.context.segment_bytes);
        while let Some(first) = self.queue.blocking_recv() {
            if self.crowded {
                // Where there were several calls a moment ago there will be more: those threads go first, so that one
                // sync does for all of them. Nobody waits if nobody wants to run.
                std::thread::yield_now();
            }
            let mut next = Some(first);
            let mut group: Vec<Waiting> = Vec::new();
            let mut bytes = 0;
            let (mut probe, mut roll) = (false, false);
            while let Some(request) = next.take() {
                match request {
                    Request::Append { records, reply } => {
                        bytes += encoded_bytes(&records);
                        group.push((records, reply));
                    }
                    Request::Probe => probe = true,
                    Request::Roll => roll = true,
                    Request::Close => {}
                }
                if bytes < most_bytes {
                    next = self.queue.try_recv().ok();
                }
            }
            self.crowded = group.len() > 1;
            if !group.is_empty() {
                self.serve(group, bytes);
            }
            if probe {
                self.probe();
            }
            if roll && let Err(error) = self.roll_if_aged() {
                tracing::warn!(%error, "a new segment cannot be begun");
            }
            if self.partition.context.is_closing() {
                // What waits already is still served; nothing new is taken.
                self.queue.close();
            }
        }
        self.finish();
    }

    fn serve(&mut self, group: Vec<Waiting>, bytes: u64) {
        match self.write(&group, bytes) {
            Ok(mut first) => {
                for (records, reply) in group {
                    // A caller that has gone away needs no answer.
                    let _gone = reply.send(Ok(first));
                    first += u64::try_from(records.len()).unwrap_or(0);
                }
            }
            Err(error) => {
                let topic = self.partition.topic;
                metrics::counter!("saler_log_refused_appends_total", "topic" => topic.name())
                    .increment(u64::try_from(group.len()).unwrap_or(0));
                for (_, reply) in group {
                    let _gone = reply.send(Err(duplicate(&error)));
                }
            }
        }
    }

    /// Writes a group and returns the offset of its first record.
    fn write(&mut self, group: &[Waiting], bytes: u64) -> Result<u64, LogError> {
        let partition = Arc::clone(&self.partition);
        let context = &partition.context;
        // Events may use the last of the room: they follow from commands that were taken.
        if partition.topic == Topic::Commands && context.lacks_room() {
            return Err(context.disk_full());
        }
        let failed_before = matches!(partition.state().refusal, Some(Refusal::Failed(_)));
        if failed_before {
            self.replace_failed_segment()?;
        }
        let mut active = partition.state().active.clone();
        let has_records = active.bounds.next_offset > active.bounds.first_offset;
        if has_records && (self.must_roll || active.bounds.end + bytes > context.segment_bytes) {
            self.roll()?;
            active = partition.state().active.clone();
        }
        let written = self.write_to(&active, group, bytes)?;
        let topic = partition.topic.name();
        metrics::counter!("saler_log_appended_records_total", "topic" => topic)
            .increment(u64::try_from(written.records.len()).unwrap_or(0));
        metrics::counter!("saler_log_appended_bytes_total", "topic" => topic).increment(bytes);
        metrics::histogram!("saler_log_group_calls", "topic" => topic)
            .record(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
        partition.publish(written);
        Ok(active.bounds.next_offset)
    }

    fn write_to(&mut self, active: &Active, group: &[Waiting], bytes: u64) -> Result<Written, LogError> {
        let partition = &self.partition;
        let context = &partition.context;
        let mut buffer = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        let mut lengths = Vec::new();
        let all = group.iter().flat_map(|(records, _)| records);
        for (offset, record) in (active.bounds.next_offset..).zip(all) {
            encode_record(&mut buffer, offset, active.durable_end, record);
            lengths.push(frame_bytes(record.value.len()));
        }
        let position = active.bounds.end;
        let end = position + bytes;
        if end > self.reserved_end {
            let wanted_end = (end + RESERVE_BYTES).min(context.segment_bytes).max(end);
            let reserved = context.disk.reserve(&active.file, &active.path, self.reserved_end, wanted_end);
            if reserved.is_ok() {
                self.reserved_end = wanted_end;
            }
        }
        match context.disk.write_at(&active.file, &active.path, &buffer, position) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.take_back(active)?;
                return Err(self.partition.context.disk_full());
            }
            Err(error) => {
                tracing::error!(path = %active.path.display(), %error,
                    "a segment cannot be written to and takes nothing any more");
                let reason = format!("cannot write to {}: {error}", active.path.display());
                partition.refuse(Refusal::Failed(reason));
                return Err(failed("write to", &active.path, error));
            }
        }
        let durable = context.waits_for_sync(partition.topic);
        if durable {
            partition.sync_file(&active.file, &active.path)?;
        }
        let buffer = Bytes::from(buffer);
        let records = to_records(group, active.bounds.next_offset, &buffer);
        Ok(Written { records, lengths, durable })
    }

    /// Removes what a write to a full disk has left behind the end.
    fn take_back(&mut self, active: &Active) -> Result<(), LogError> {
        let disk = &self.partition.context.disk;
        let end = active.bounds.end;
        tracing::warn!(path = %active.path.display(), "the disk is full; appends are refused until there is room");
        self.reserved_end = end;
        if let Err(error) = disk.set_length(&active.file, &active.path, end) {
            let reason = format!("cannot cut {}: {error}", active.path.display());
            self.partition.refuse(Refusal::Failed(reason));
            return Err(failed("cut", &active.path, error));
        }
        self.partition.sync_file(&active.file, &active.path)?;
        self.partition.refuse(Refusal::Full);
        Ok(())
    }

    /// Finds out whether appends would succeed again, so that health says so without waiting for one.
    fn probe(&mut self) {
        let partition = Arc::clone(&self.partition);
        let refusal = partition.state().refusal.clone();
        match refusal {
            None => {}
            Some(Refusal::Full) => {
                let active = partition.state().active.clone();
                let wanted_end = active.bounds.end + PROBE_BYTES;
                let disk = &partition.context.disk;
                match disk.reserve(&active.file, &active.path, active.bounds.end, wanted_end) {
                    Err(error) if is_full(&error) => {}
                    // Where space cannot be reserved, only an append can tell.
                    _ => partition.state().forget_full(),
                }
            }
            Some(Refusal::Failed(_)) => {
                if let Err(error) = self.replace_failed_segment() {
                    tracing::warn!(%error, "a failed segment cannot be replaced yet");
                }
            }
        }
    }

    /// Closes the active segment if retention still waits for that: it may have been asked more than once.
    fn roll_if_aged(&mut self) -> Result<(), LogError> {
        let now = self.partition.context.clock.now();
        if self.partition.is_active_aged(now) { self.roll() } else { Ok(()) }
    }

    /// Closes the active segment and begins the next one.
    fn roll(&mut self) -> Result<(), LogError> {
        let partition = Arc::clone(&self.partition);
        // Only the last segment may have a torn tail: so all of this one must be durable before there is another.
        partition.sync()?;
        let quiet = lock(&partition.syncing);
        let old = partition.state().active.clone();
        if old.bounds.next_offset == old.bounds.first_offset {
            return Ok(());
        }
        let created = self.create(old.bounds.next_offset, Vec::new())?;
        let index = self.enter(created, Some(&old));
        drop(quiet);
        seal(&partition.context, &old.file, &old.path, &old.bounds, &index);
        partition.context.alarm.ring();
        Ok(())
    }

    /// See the module.
    fn replace_failed_segment(&mut self) -> Result<(), LogError> {
        let partition = Arc::clone(&self.partition);
        let quiet = lock(&partition.syncing);
        let (old, durable_next) = {
            let state = partition.state();
            (state.active.clone(), state.durable_next)
        };
        let checked = self.check_durable(&old, durable_next);
        let seen = checked.and_then(|()| self.seen_since(durable_next, old.bounds.next_offset));
        let seen = seen.inspect_err(|error| {
            partition.state().refusal = Some(Refusal::Failed(error.to_string()));
        })?;
        let created = self.create(durable_next, seen)?;
        let mut kept = old.clone();
        kept.bounds.next_offset = durable_next;
        kept.bounds.end = old.durable_end;
        let keeps_records = durable_next > old.bounds.first_offset;
        let mut index = self.enter(created, keeps_records.then_some(&kept));
        drop(quiet);
        tracing::warn!(topic = %partition.topic, partition = partition.number, next = durable_next,
            "a failed segment was replaced; appends are taken again");
        if keeps_records {
            index.cut(durable_next);
            seal(&partition.context, &kept.file, &kept.path, &kept.bounds, &index);
        }
        Ok(())
    }

    /// Reads back what was acknowledged as durable, from the disk as far as the system lets us.
    fn check_durable(&self, old: &Active, durable_next: u64) -> Result<(), LogError> {
        let file = Arc::new(File::open(&old.path).map_err(|error| failed("open", &old.path, error))?);
        // Only advice: without it the check reads memory where the system still has the bytes.
        let _advice =
            rustix::fs::fadvise(&file, 0, std::num::NonZeroU64::new(old.durable_end), rustix::fs::Advice::DontNeed);
        let first = old.bounds.first_offset;
        let mut next = first;
        let mut scanner = Scanner::new(file, FIRST_RECORD_POSITION, first, old.durable_end);
        let header = self.partition.header(first);
        loop {
            match scanner.next() {
                Ok(Some(_)) => next += 1,
                Ok(None) if next == durable_next => return Ok(()),
                Ok(None) => {
                    let reason = format!("durable records end before {next}, expected {durable_next}");
                    return Err(corrupt(&header, &old.path, scanner.position(), reason));
                }
                Err(ScanFault::Bad { position, reason }) => return Err(corrupt(&header, &old.path, position, reason)),
                Err(ScanFault::Io(error)) => return Err(failed("read", &old.path, error)),
            }
        }
    }

    /// The records from `from` up to `next`: seen by readers, but not known to be durable.
    fn seen_since(&self, from: u64, next: u64) -> Result<Vec<Record>, LogError> {
        let mut seen: Vec<Record> = Vec::new();
        let mut from = from;
        while from < next {
            seen.extend(self.partition.read(from, ReadLimit::default())?);
            from = seen.last().map_or(next, |last| last.offset + 1);
        }
        Ok(seen)
    }

    fn create(&mut self, first_offset: u64, records: Vec<Record>) -> Result<Created, LogError> {
        self.must_roll = true;
        let partition = &self.partition;
        let header = partition.header(first_offset);
        create_segment(&partition.context, &header, partition.next_id(), records).map_err(|error| match error {
            LogError::Io { source, .. } if is_full(&source) => {
                partition.refuse(Refusal::Full);
                partition.context.disk_full()
            }
            error => error,
        })
    }

    /// Makes a new segment the active one and `closed` the one before it; returns the index of the old one.
    fn enter(&mut self, created: Created, closed: Option<&Active>) -> super::format::SparseIndex {
        self.reserved_end = created.reserved_end;
        self.must_roll = false;
        let mut state = self.partition.state();
        if let Some(closed) = closed {
            state.closed.push_back(Arc::new(Closed {
                id: closed.id,
                path: closed.path.clone(),
                bounds: closed.bounds,
            }));
        }
        state.durable_next = created.active.bounds.next_offset;
        state.active = created.active;
        state.refusal = None;
        std::mem::replace(&mut state.index, created.index)
    }

    /// Leaves the partition durable and without reserved space, and tells readers that nothing follows.
    fn finish(self) {
        let partition = &self.partition;
        match partition.sync() {
            Ok(_) => {
                let active = partition.state().active.clone();
                let disk = &partition.context.disk;
                if let Err(error) = disk.set_length(&active.file, &active.path, active.bounds.end) {
                    tracing::warn!(path = %active.path.display(), %error, "the last segment keeps its reserved space");
                }
            }
            Err(error) => tracing::error!(%error, "a partition was closed without being durable"),
        }
        partition.visible.send_modify(|visible| visible.closed = true);
    }
}

fn encoded_bytes(records: &[NewRecord]) -> u64 {
    records.iter().map(|record| u64::try_from(frame_bytes(record.value.len())).unwrap_or(0)).sum()
}

/// The records of a group as readers get them, sharing the bytes that were written.
fn to_records(group: &[Waiting], first: u64, buffer: &Bytes) -> Vec<Record> {
    let mut end = 0;
    let all = group.iter().flat_map(|(records, _)| records);
    (first..)
        .zip(all)
        .map(|(offset, record)| {
            let start = end + frame_bytes(0);
            end += frame_bytes(record.value.len());
            Record { offset, key: record.key, at: record.at, value: buffer.slice(start..end) }
        })
        .collect()
}

/// The same error for another caller of the group.
fn duplicate(error: &LogError) -> LogError {
    match error {
        LogError::DiskFull { path } => LogError::DiskFull { path: path.clone() },
        LogError::Io { action, path, source } => LogError::Io {
            action,
            path: path.clone(),
            source: source.raw_os_error().map_or_else(|| source.kind().into(), std::io::Error::from_raw_os_error),
        },
        other => LogError::Unavailable { reason: other.to_string() },
    }
}
