//! Reads a segment file from its first record to its end, checking every byte, and judges what stands after the last
//! good record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::format::{
    FIRST_RECORD_POSITION, Frame, FrameFault, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentBounds, SegmentHeader,
    SparseIndex, claimed_offset, frame_length, parse_frame,
};
use crate::log::LogError;

/// Bytes that are read from a file at once.
const SCAN_BYTES: usize = 256 << 10;

/// Names a partition's file in errors.
pub(crate) fn corrupt(header: &SegmentHeader, path: &Path, position: u64, reason: impl Into<String>) -> LogError {
    LogError::Corrupt {
        topic: header.topic,
        partition: header.partition,
        file: path.display().to_string(),
        position,
        reason: reason.into(),
    }
}

/// Names a file in errors of the system.
pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io { action, path: path.display().to_string(), source }
}

/// Why a scan stopped before the end.
#[derive(Debug)]
pub(crate) enum ScanFault {
    /// The bytes at this position are not the next record.
    Bad {
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read.
    Io(io::Error),
}

/// A place in a segment from which records are read one after the other.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Arc<File>,
    /// Where the next record begins.
    position: u64,
    /// Where reading ends.
    end: u64,
    /// The offset that the next record must have.
    expected: u64,
    buffer: Vec<u8>,
    /// Where in `buffer` the next record begins.
    start: usize,
}

/// A record and where it was found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) position: u64,
    pub(crate) length: usize,
    pub(crate) frame: Frame<'a>,
}

impl Scanner {
    /// Reads from `position`, where the record at `offset` begins, up to `end`.
    pub(crate) const fn new(file: Arc<File>, position: u64, offset: u64, end: u64) -> Self {
        Self { file, position, end, expected: offset, buffer: Vec::new(), start: 0 }
    }

    /// Where the next record begins.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Found<'_>>, ScanFault> {
        if self.position >= self.end {
            return Ok(None);
        }
        self.fill(RECORD_HEADER_BYTES).map_err(ScanFault::Io)?;
        let length = frame_length(self.available()).map_err(|fault| self.bad(fault))?;
        self.fill(length).map_err(ScanFault::Io)?;
        let claimed = match parse_frame(self.available()) {
            Ok((frame, _)) => frame.offset,
            Err(fault) => return Err(self.bad(fault)),
        };
        let (position, expected) = (self.position, self.expected);
        if claimed != expected {
            let reason = format!("the record there is number {claimed}, expected {expected}");
            return Err(ScanFault::Bad { position, reason });
        }
        let start = self.start;
        self.start += length;
        self.position += u64::try_from(length).unwrap_or(u64::MAX);
        self.expected += 1;
        let bytes = self.buffer.get(start..).unwrap_or_default();
        match parse_frame(bytes) {
            Ok((frame, length)) => Ok(Some(Found { position, length, frame })),
            Err(fault) => Err(ScanFault::Bad { position, reason: fault.reason().to_owned() }),
        }
    }

    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn bad(&self, fault: FrameFault) -> ScanFault {
        ScanFault::Bad { position: self.position, reason: fault.reason().to_owned() }
    }

    /// Makes at least `bytes` available, or all that there are up to the end.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        let held = self.buffer.len() - self.start;
        if held >= bytes {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = bytes.max(SCAN_BYTES).min(left);
        if wanted > held {
            self.buffer.resize(wanted, 0);
            let from = self.position + u64::try_from(held).unwrap_or(0);
            let read = read_up_to(&self.file, self.buffer.get_mut(held..).unwrap_or_default(), from)?;
            self.buffer.truncate(held + read);
        }
        Ok(())
    }
}

/// Reads until `buffer` is full or the file ends, and says how much that is.
fn read_up_to(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + u64::try_from(done).unwrap_or(0)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Checks that the file begins with this header.
pub(crate) fn check_header(file: &File, path: &Path, header: &SegmentHeader) -> Result<(), LogError> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read = read_up_to(file, &mut bytes, 0).map_err(|error| failed("read", path, error))?;
    match header.fault_of(bytes.get(..read).unwrap_or_default()) {
        None => Ok(()),
        Some(reason) => Err(corrupt(header, path, 0, reason)),
    }
}

/// What stands in a segment from its first record on, as far as it is good.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) bounds: SegmentBounds,
    pub(crate) index: SparseIndex,
    /// What stopped the scan before the end of the file, if something did.
    pub(crate) fault: Option<(u64, String)>,
}

/// Reads a segment up to the record before `until`, or as far as it is good. `seen` is told of every record's bytes.
pub(crate) fn scan_segment(
    file: &Arc<File>,
    path: &Path,
    header: &SegmentHeader,
    until: Option<u64>,
    seen: &mut dyn FnMut(usize),
) -> Result<Scanned, LogError> {
    check_header(file, path, header)?;
    let file_bytes = file.metadata().map_err(|error| failed("read", path, error))?.len();
    let mut scanner = Scanner::new(Arc::clone(file), FIRST_RECORD_POSITION, header.first_offset, file_bytes);
    let mut bounds = SegmentBounds::empty(header.first_offset);
    let mut index = SparseIndex::default();
    let mut fault = None;
    while until.is_none_or(|until| bounds.next_offset < until) {
        match scanner.next() {
            Ok(Some(found)) => {
                index.note(found.frame.offset, found.position);
                bounds.add(found.frame.at, found.length);
                seen(found.length);
            }
            Ok(None) => break,
            Err(ScanFault::Bad { position, reason }) => {
                fault = Some((position, reason));
                break;
            }
            Err(ScanFault::Io(error)) => return Err(failed("read", path, error)),
        }
    }
    Ok(Scanned { bounds, index, fault })
}

/// What stands after the last good record of the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing but the zeros of reserved space.
    Reserved,
    /// The beginning of a write that a crash cut short, with this many bytes up to its last that is not zero.
    Torn(u64),
    /// Something that was good once: a good record follows at this position.
    Damaged(u64),
}

/// Judges what follows `position`, where the record `expected` is not.
///
/// A good record beyond that place means that something was there. It proves damage if the machine has not been restarted
/// since the writing (`kept_order`: the page cache keeps writes in order), or if that record says that the place was
/// durable already. Otherwise it is a part of one last write that reached the disk out of order.
pub(crate) fn judge_tail(file: &File, position: u64, expected: u64, kept_order: bool) -> io::Result<Tail> {
    let left = file.metadata()?.len().saturating_sub(position);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX)];
    let read = read_up_to(file, &mut bytes, position)?;
    bytes.truncate(read);
    let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else {
        return Ok(Tail::Reserved);
    };
    let most = expected.saturating_add(left / u64::try_from(RECORD_HEADER_BYTES).unwrap_or(1));
    let mut start = 1;
    while start <= last {
        let rest = bytes.get(start..).unwrap_or_default();
        let plausible = claimed_offset(rest).is_some_and(|offset| (expected..=most).contains(&offset));
        if plausible && let Ok((frame, length)) = parse_frame(rest) {
            if kept_order || frame.durable_end > position {
                return Ok(Tail::Damaged(position + u64::try_from(start).unwrap_or(0)));
            }
            start += length;
        } else {
            start += 1;
        }
    }
    Ok(Tail::Torn(u64::try_from(last + 1).unwrap_or(u64::MAX)))
}
