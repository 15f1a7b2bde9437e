//! Looks into the folder of an embedded log while no server uses it, without changing anything.
//!
//! Each function takes the folder's lock, so that it neither sees a half-written file nor lets a server start meanwhile.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use schemas::Timestamp;
use serde::Serialize;

use super::embedded::folder::{FolderLock, Meta, index_path, lock_to_read, partition_dir, read_meta, segment_files};
use super::embedded::format::{FIRST_RECORD_POSITION, SegmentBounds, SegmentHeader, decode_index};
use super::embedded::scan::{ScanFault, Scanned, Scanner, Tail, corrupt, failed, judge_tail, scan_segment};
use super::embedded::segment::closed_bounds;
use super::{LogError, Record, Topic, unknown_partition};

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its epoch.
    pub epoch: String,
    /// Each partition of each topic.
    pub partitions: Vec<PartitionSummary>,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionSummary {
    /// The name of its topic.
    pub topic: &'static str,
    /// Its number.
    pub partition: u32,
    /// The first offset that is held.
    pub earliest: u64,
    /// The offset after the last that is held.
    pub next: u64,
    /// Bytes of records and headers.
    pub bytes: u64,
    /// Its segments, in order.
    pub segments: Vec<SegmentSummary>,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSummary {
    /// Its file.
    pub file: String,
    /// The offset of its first record.
    pub first: u64,
    /// The offset after its last record.
    pub next: u64,
    /// Bytes up to the end of its last record.
    pub bytes: u64,
    /// The earliest time of a record.
    pub earliest_at: Option<Timestamp>,
    /// The latest time of a record.
    pub latest_at: Option<Timestamp>,
    /// Bytes of a write that a crash cut short; opening will remove them.
    pub torn_bytes: u64,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segments begun.
    pub segments: u64,
    /// Segments in all.
    pub total_segments: u64,
    /// Records that were found good.
    pub records: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records whose every byte is as written.
    pub records: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes of writes that a crash cut short: not damage, opening will remove them.
    pub torn_bytes: u64,
    /// What is wrong; empty for a sound log.
    pub damage: Vec<Damage>,
}

/// A place where the log is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The name of the topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: u32,
    /// The file.
    pub file: String,
    /// Where in it.
    pub position: u64,
    /// What is wrong there.
    pub reason: String,
}

/// A log's folder, locked.
#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    meta: Meta,
    epoch: [u8; 16],
    lock: FolderLock,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self, LogError> {
        let no_log = || LogError::Invalid {
            reason: format!("{} is not the folder of a log: it has no meta.json", dir.display()),
        };
        if !dir.join("meta.json").exists() {
            return Err(no_log());
        }
        let lock = lock_to_read(dir)?;
        let meta = read_meta(dir)?.ok_or_else(no_log)?;
        Ok(Self { dir: dir.to_path_buf(), epoch: meta.epoch_bytes().unwrap_or_default(), meta, lock })
    }

    const fn header(&self, topic: Topic, partition: u32, first_offset: u64) -> SegmentHeader {
        SegmentHeader { topic, partition, first_offset, epoch: self.epoch }
    }

    /// The segments of a partition, each with the first offset of the next one.
    fn segments(&self, topic: Topic, partition: u32) -> Result<Vec<Segment>, LogError> {
        let dir = partition_dir(&self.dir, topic, partition);
        let files = segment_files(&dir)?;
        if files.is_empty() {
            let header = self.header(topic, partition, 0);
            return Err(corrupt(&header, &dir, 0, "the folder has no segments: restore it from a backup"));
        }
        let nexts: Vec<Option<u64>> = files.iter().skip(1).map(|(first, _)| Some(*first)).chain([None]).collect();
        Ok(files
            .into_iter()
            .zip(nexts)
            .map(|((first, path), next)| Segment { header: self.header(topic, partition, first), path, next })
            .collect())
    }

    fn all(&self) -> impl Iterator<Item = (Topic, u32)> + use<> {
        let partitions = self.meta.partitions;
        Topic::ALL.into_iter().flat_map(move |topic| (0..partitions).map(move |partition| (topic, partition)))
    }
}

#[derive(Debug)]
struct Segment {
    header: SegmentHeader,
    path: PathBuf,
    /// The first offset of the next segment, if there is one.
    next: Option<u64>,
}

/// What the last segment holds, and how many bytes of a write that was cut short follow.
fn last_bounds(segment: &Segment, kept_order: bool) -> Result<(SegmentBounds, u64), LogError> {
    let Segment { header, path, .. } = segment;
    let file = Arc::new(File::open(path).map_err(|error| failed("open", path, error))?);
    let scanned = scan_segment(&file, path, header, None, &mut |_| {})?;
    let torn_bytes = judge(&file, segment, &scanned, kept_order)?;
    Ok((scanned.bounds, torn_bytes))
}

/// The bytes of a torn tail; damage is an error.
fn judge(file: &File, segment: &Segment, scanned: &Scanned, kept_order: bool) -> Result<u64, LogError> {
    let Some((position, reason)) = &scanned.fault else {
        return Ok(0);
    };
    let Segment { header, path, .. } = segment;
    let tail = judge_tail(file, *position, scanned.bounds.next_offset, kept_order);
    match tail.map_err(|error| failed("read", path, error))? {
        Tail::Reserved => Ok(0),
        Tail::Torn(bytes) => Ok(bytes),
        Tail::Damaged(follows) => {
            let reason = format!("{reason}, and a good record follows at byte {follows}");
            Err(corrupt(header, path, *position, reason))
        }
    }
}

/// Says what each partition and each segment holds. Reads the indexes of closed segments and the last segments whole.
///
/// # Errors
/// [`LogError::Invalid`] if there is no log, [`LogError::Unavailable`] if a server uses it, [`LogError::Corrupt`],
/// [`LogError::Io`].
pub fn inspect(dir: &Path) -> Result<Summary, LogError> {
    let folder = Folder::open(dir)?;
    let mut partitions = Vec::new();
    for (topic, partition) in folder.all() {
        let mut segments = Vec::new();
        for segment in folder.segments(topic, partition)? {
            let (bounds, torn_bytes) = match segment.next {
                Some(next) => (closed_bounds(&segment.header, &segment.path, next, false)?, 0),
                None => last_bounds(&segment, folder.lock.last_use.kept_order())?,
            };
            segments.push(SegmentSummary {
                file: segment.path.display().to_string(),
                first: bounds.first_offset,
                next: bounds.next_offset,
                bytes: bounds.end,
                earliest_at: bounds.earliest_at,
                latest_at: bounds.latest_at,
                torn_bytes,
            });
        }
        partitions.push(PartitionSummary {
            topic: topic.name(),
            partition,
            earliest: segments.first().map_or(0, |segment| segment.first),
            next: segments.last().map_or(0, |segment| segment.next),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            segments,
        });
    }
    Ok(Summary { epoch: folder.meta.full_epoch(), partitions })
}

/// The records of a partition from `from` on, at most `limit` of them, in order. Ends with the first error.
///
/// # Errors
/// As [`inspect`], and [`LogError::OutOfRange`].
pub fn records(dir: &Path, topic: Topic, partition: u32, from: u64, limit: u64) -> Result<Records, LogError> {
    let folder = Folder::open(dir)?;
    let partitions = folder.meta.partitions;
    if partition >= partitions {
        return Err(unknown_partition(topic, partition, partitions));
    }
    let mut segments = VecDeque::from(folder.segments(topic, partition)?);
    let earliest = segments.front().map_or(0, |segment| segment.header.first_offset);
    let next = match segments.back() {
        Some(last) => last_bounds(last, folder.lock.last_use.kept_order())?.0.next_offset,
        None => 0,
    };
    if from < earliest || from > next {
        return Err(LogError::OutOfRange { topic, partition, offset: from, earliest, next });
    }
    while segments.front().and_then(|segment| segment.next).is_some_and(|next_first| next_first <= from) {
        segments.pop_front();
    }
    Ok(Records { _folder: folder, segments, current: None, from, until: next.min(from.saturating_add(limit)) })
}

/// See [`records`]. Holds the folder's lock as long as it lives.
#[derive(Debug)]
pub struct Records {
    _folder: Folder,
    segments: VecDeque<Segment>,
    current: Option<(Segment, Scanner)>,
    /// The offset of the next record to give.
    from: u64,
    until: u64,
}

impl Records {
    fn open(&self, segment: &Segment) -> Result<Scanner, LogError> {
        let Segment { header, path, .. } = segment;
        let file = Arc::new(File::open(path).map_err(|error| failed("open", path, error))?);
        super::embedded::scan::check_header(&file, path, header)?;
        let end = file.metadata().map_err(|error| failed("read", path, error))?.len();
        let first = (header.first_offset, FIRST_RECORD_POSITION);
        let index = fs::read(index_path(path)).ok();
        let noted = index
            .as_deref()
            .and_then(decode_index)
            .filter(|(bounds, _)| bounds.first_offset == header.first_offset)
            .and_then(|(_, index)| index.before(self.from));
        let (offset, position) = noted.unwrap_or(first);
        Ok(Scanner::new(file, position, offset, end))
    }

    fn step(&mut self) -> Result<Option<Record>, LogError> {
        while self.from < self.until {
            let Some((segment, scanner)) = &mut self.current else {
                let Some(segment) = self.segments.pop_front() else {
                    return Ok(None);
                };
                let scanner = self.open(&segment)?;
                self.current = Some((segment, scanner));
                continue;
            };
            let Segment { header, path, next } = segment;
            match scanner.next() {
                Ok(Some(found)) if found.frame.offset >= self.from => {
                    let record = found.frame.to_record(Bytes::copy_from_slice(found.frame.value));
                    self.from += 1;
                    if *next == Some(self.from) {
                        self.current = None;
                    }
                    return Ok(Some(record));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    let reason = format!("the segment ends before record {}", self.from);
                    return Err(corrupt(header, path, scanner.position(), reason));
                }
                Err(ScanFault::Bad { position, reason }) => return Err(corrupt(header, path, position, reason)),
                Err(ScanFault::Io(error)) => return Err(failed("read", path, error)),
            }
        }
        Ok(None)
    }
}

impl Iterator for Records {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.until = self.from;
        }
        step.transpose()
    }
}

/// Reads every byte of every record and checks it and its place; goes on after damage with the next segment.
///
/// `progress` is called at each segment's beginning and about every MiB.
///
/// # Errors
/// [`LogError::Invalid`] if there is no log, [`LogError::Unavailable`] if a server uses it, [`LogError::Io`]. Damage is not an
/// error here: it is in the report.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, LogError> {
    let folder = Folder::open(dir)?;
    let mut report = Report::default();
    let mut all = Vec::new();
    for (topic, partition) in folder.all() {
        match folder.segments(topic, partition) {
            Ok(segments) => all.extend(segments),
            Err(error) => report.damage.push(damage(error)?),
        }
    }
    let total_segments = u64::try_from(all.len()).unwrap_or(u64::MAX);
    for segment in &all {
        report.segments += 1;
        progress(progress_of(&report, total_segments));
        if let Err(error) = verify_segment(segment, folder.lock.last_use.kept_order(), &mut report, &mut |report| {
            progress(progress_of(report, total_segments));
        }) {
            report.damage.push(damage(error)?);
        }
    }
    Ok(report)
}

const fn progress_of(report: &Report, total_segments: u64) -> Progress {
    Progress { segments: report.segments, total_segments, records: report.records, bytes: report.bytes }
}

/// Bytes between two calls of a verification's progress.
const PROGRESS_BYTES: u64 = 1 << 20;

fn verify_segment(
    segment: &Segment,
    kept_order: bool,
    report: &mut Report,
    progress: &mut dyn FnMut(&Report),
) -> Result<(), LogError> {
    let Segment { header, path, next } = segment;
    let file = Arc::new(File::open(path).map_err(|error| failed("open", path, error))?);
    let mut told = report.bytes;
    let scanned = scan_segment(&file, path, header, *next, &mut |bytes| {
        report.records += 1;
        report.bytes += u64::try_from(bytes).unwrap_or(0);
        if report.bytes - told >= PROGRESS_BYTES {
            told = report.bytes;
            progress(report);
        }
    })?;
    let Some(next) = *next else {
        report.torn_bytes += judge(&file, segment, &scanned, kept_order)?;
        return Ok(());
    };
    if let Some((position, reason)) = scanned.fault {
        return Err(corrupt(header, path, position, reason));
    }
    if scanned.bounds.next_offset != next {
        let ends = scanned.bounds.next_offset;
        let reason = format!("the segment ends before record {ends}, but the next one begins with {next}");
        return Err(corrupt(header, path, scanned.bounds.end, reason));
    }
    Ok(())
}

/// What a damaged file says of itself; other errors stay errors.
fn damage(error: LogError) -> Result<Damage, LogError> {
    match error {
        LogError::Corrupt { topic, partition, file, position, reason } => {
            Ok(Damage { topic: topic.name(), partition, file, position, reason })
        }
        error => Err(error),
    }
}
