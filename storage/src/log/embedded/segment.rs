//! Making segments, closing them, and finding out at opening what each of them holds.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Context;
use super::folder::{index_path, partition_dir, remove_leftovers, segment_files, segment_path, unfinished_path};
use super::format::{SegmentBounds, SegmentHeader, SparseIndex, decode_index, encode_index, encode_record};
use super::partition::{Active, Closed, State};
use super::scan::{Tail, check_header, corrupt, failed, judge_tail, scan_segment};
use crate::log::{LogError, NewRecord, Record, Topic};

/// Space is reserved in steps of 4 MiB, so that fdatasync need not write the file's length and its map of blocks as well:
/// measured, that makes it a quarter faster.
pub(super) const RESERVE_BYTES: u64 = 4 << 20;

/// A new segment, and up to where space is reserved in it.
pub(super) struct Created {
    pub(super) active: Active,
    pub(super) index: SparseIndex,
    pub(super) reserved_end: u64,
}

/// Makes a segment that holds `records`, durably, under its final name. What had that name before is replaced.
pub(super) fn create_segment(
    context: &Context,
    header: &SegmentHeader,
    id: u64,
    records: Vec<Record>,
) -> Result<Created, LogError> {
    let dir = partition_dir(&context.dir, header.topic, header.partition);
    let path = segment_path(&dir, header.first_offset);
    let unfinished = unfinished_path(&path);
    let mut bounds = SegmentBounds::empty(header.first_offset);
    let mut index = SparseIndex::default();
    let mut bytes = header.encode();
    for record in records {
        let start = bytes.len();
        let Record { offset, key, at, value } = record;
        encode_record(&mut bytes, offset, 0, &NewRecord { key, at, value });
        index.note(offset, bounds.end);
        bounds.add(at, bytes.len() - start);
    }
    let make = || -> Result<(File, u64), LogError> {
        let file = context.disk.create(&unfinished).map_err(|error| failed("create", &unfinished, error))?;
        let wanted_end = context.segment_bytes.min(RESERVE_BYTES).max(bounds.end);
        // Without reserved space everything works, only slower; and a full disk shows when something is written.
        let reserved = context.disk.reserve(&file, &unfinished, 0, wanted_end);
        let reserved_end = reserved.map_or(bounds.end, |()| wanted_end);
        context.disk.write_at(&file, &unfinished, &bytes, 0).map_err(|error| failed("write to", &unfinished, error))?;
        context.disk.sync_data(&file, &unfinished).map_err(|error| failed("sync", &unfinished, error))?;
        context.disk.rename(&unfinished, &path).map_err(|error| failed("rename", &unfinished, error))?;
        context.disk.sync_folder(&dir).map_err(|error| failed("sync", &dir, error))?;
        Ok((file, reserved_end))
    };
    let (file, reserved_end) = make().inspect_err(|_| {
        // Best effort: opening removes it too.
        let _removed = fs::remove_file(&unfinished);
    })?;
    let active = Active { id, file: Arc::new(file), path, durable_end: bounds.end, bounds };
    Ok(Created { active, index, reserved_end })
}

/// Frees the reserved rest of a segment that has ended, and writes its index. Failing changes nothing but speed.
pub(super) fn seal(context: &Context, file: &File, path: &Path, bounds: &SegmentBounds, index: &SparseIndex) {
    if let Err(error) = context.disk.set_length(file, path, bounds.end) {
        tracing::warn!(path = %path.display(), %error, "a closed segment keeps its reserved space");
    }
    write_index(path, bounds, index);
}

fn write_index(path: &Path, bounds: &SegmentBounds, index: &SparseIndex) {
    let path = index_path(path);
    // Not synced: it has a checksum, and is made again from the segment if it is not whole.
    if let Err(error) = fs::write(&path, encode_index(bounds, index)) {
        tracing::warn!(path = %path.display(), %error, "a segment's index cannot be written; opening will take longer");
    }
}

/// Brings a partition up from its files, cutting off a torn tail.
pub(super) fn open_partition(
    context: &Context,
    topic: Topic,
    number: u32,
    kept_order: bool,
) -> Result<(State, u64), LogError> {
    let dir = partition_dir(&context.dir, topic, number);
    remove_leftovers(&dir)?;
    let files = segment_files(&dir)?;
    let Some(((last_first, last_path), earlier)) = files.split_last() else {
        return Err(corrupt(
            &context.header(topic, number, 0),
            &dir,
            0,
            "the folder has no segments: restore it from a backup",
        ));
    };
    let mut closed = VecDeque::with_capacity(earlier.len());
    let following = earlier.iter().skip(1).map(|(first, _)| *first).chain([*last_first]);
    for (id, ((first, path), next_first)) in (0_u64..).zip(earlier.iter().zip(following)) {
        let bounds = closed_bounds(&context.header(topic, number, *first), path, next_first, true)?;
        closed.push_back(Arc::new(Closed { id, path: path.clone(), bounds }));
    }
    let header = context.header(topic, number, *last_first);
    let id = u64::try_from(closed.len()).unwrap_or(u64::MAX);
    let (active, index, reserved_end) = open_last(context, &header, id, last_path, kept_order)?;
    Ok((State::new(closed, active, index), reserved_end))
}

/// What a closed segment holds, by its index, or by reading it if there is no good index.
pub(crate) fn closed_bounds(
    header: &SegmentHeader,
    path: &Path,
    next_first: u64,
    may_write: bool,
) -> Result<SegmentBounds, LogError> {
    let file = Arc::new(File::open(path).map_err(|error| failed("open", path, error))?);
    check_header(&file, path, header)?;
    let file_bytes = file.metadata().map_err(|error| failed("read", path, error))?.len();
    let indexed = fs::read(index_path(path)).ok();
    if let Some((bounds, _)) = indexed.as_deref().and_then(decode_index)
        && bounds.first_offset == header.first_offset
        && bounds.next_offset == next_first
    {
        if file_bytes < bounds.end {
            let reason = format!("the file has {file_bytes} bytes, but {} were written", bounds.end);
            return Err(corrupt(header, path, file_bytes, reason));
        }
        return Ok(bounds);
    }
    let scanned = scan_segment(&file, path, header, Some(next_first), &mut |_| {})?;
    if let Some((position, reason)) = scanned.fault {
        return Err(corrupt(header, path, position, reason));
    }
    if scanned.bounds.next_offset != next_first {
        let ends = scanned.bounds.next_offset;
        let reason = format!("the segment ends before record {ends}, but the next one begins with {next_first}");
        return Err(corrupt(header, path, scanned.bounds.end, reason));
    }
    if may_write {
        write_index(path, &scanned.bounds, &scanned.index);
    }
    Ok(scanned.bounds)
}

fn open_last(
    context: &Context,
    header: &SegmentHeader,
    id: u64,
    path: &Path,
    kept_order: bool,
) -> Result<(Active, SparseIndex, u64), LogError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = Arc::new(opened.map_err(|error| failed("open", path, error))?);
    let scanned = scan_segment(&file, path, header, None, &mut |_| {})?;
    let bounds = scanned.bounds;
    let mut reserved_end = bounds.end;
    if let Some((position, reason)) = scanned.fault {
        let tail =
            judge_tail(&file, position, bounds.next_offset, kept_order).map_err(|error| failed("read", path, error))?;
        match tail {
            Tail::Reserved => {
                reserved_end = file.metadata().map_err(|error| failed("read", path, error))?.len();
            }
            Tail::Torn(bytes) => {
                tracing::warn!(path = %path.display(), position, bytes, reason, next = bounds.next_offset,
                    "a write was cut short by a crash; what was never acknowledged is removed");
                context.disk.set_length(&file, path, position).map_err(|error| failed("cut", path, error))?;
            }
            Tail::Damaged(follows) => {
                let reason = format!("{reason}, and a good record follows at byte {follows}");
                return Err(corrupt(header, path, position, reason));
            }
        }
    }
    // A segment that was the last one has no index; one that a program of another time left would be wrong.
    let _removed = fs::remove_file(index_path(path));
    // What a process wrote before it was killed may still be in memory alone.
    context.disk.sync_data(&file, path).map_err(|error| failed("sync", path, error))?;
    let active = Active { id, file, path: path.to_path_buf(), durable_end: bounds.end, bounds };
    Ok((active, scanned.index, reserved_end))
}

/// Makes the folders of a new log and the first segment of each partition. What an interrupted creation left is replaced.
pub(super) fn create_partitions(context: &Context, partitions: u32) -> Result<(), LogError> {
    for topic in Topic::ALL {
        for number in 0..partitions {
            let dir = partition_dir(&context.dir, topic, number);
            if let Some(path) = holds_records(&dir)? {
                return Err(LogError::Unavailable {
                    reason: format!(
                        "{} holds records, but meta.json is missing: restore it from a backup, or remove the folder to \
                         begin an empty log",
                        path.display()
                    ),
                });
            }
            fs::create_dir_all(&dir).map_err(|error| failed("create", &dir, error))?;
            create_segment(context, &context.header(topic, number, 0), 0, Vec::new())?;
        }
        let topic_dir = context.dir.join(topic.name());
        context.disk.sync_folder(&topic_dir).map_err(|error| failed("sync", &topic_dir, error))?;
    }
    context.disk.sync_folder(&context.dir).map_err(|error| failed("sync", &context.dir, error))
}

/// A segment with more than a header and reserved zeros, if there is one.
fn holds_records(dir: &Path) -> Result<Option<PathBuf>, LogError> {
    for (first, path) in segment_files(dir)? {
        let bytes = fs::read(&path).map_err(|error| failed("read", &path, error))?;
        let rest = bytes.get(super::format::SEGMENT_HEADER_BYTES..).unwrap_or_default();
        if first != 0 || rest.iter().any(|byte| *byte != 0) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
