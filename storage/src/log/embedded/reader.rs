//! Reading what is not in memory any more. Everything here blocks on the disk and runs on blocking threads.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::folder::index_path;
use super::format::{FIRST_RECORD_POSITION, FrameFault, SegmentHeader, SparseIndex, decode_index, parse_frame};
use super::partition::{Closed, Located, Partition, lock};
use super::scan::{check_header, corrupt, failed, scan_segment};
use crate::log::{LogError, ReadBudget, ReadLimit, Record};

/// How many closed segments of a partition stay open for readers.
const OPEN_SEGMENTS: usize = 4;

/// Bytes that are read from a file at once: a step of the index and a usual answer.
const READ_BYTES: u64 = 192 << 10;

/// A closed segment that is open for reading.
#[derive(Debug)]
pub(super) struct Handle {
    file: Arc<File>,
    index: SparseIndex,
}

/// The closed segments that were read last, the latest at the back.
#[derive(Debug, Default)]
pub(super) struct Handles(VecDeque<(u64, Arc<Handle>)>);

impl Handles {
    fn get(&mut self, id: u64) -> Option<Arc<Handle>> {
        let place = self.0.iter().position(|(held, _)| *held == id)?;
        let entry = self.0.remove(place)?;
        let handle = Arc::clone(&entry.1);
        self.0.push_back(entry);
        Some(handle)
    }

    fn keep(&mut self, id: u64, handle: Arc<Handle>) {
        self.0.push_back((id, handle));
        if self.0.len() > OPEN_SEGMENTS {
            self.0.pop_front();
        }
    }
}

/// A stretch of a file that holds records one after the other.
struct Stretch<'a> {
    file: &'a File,
    path: &'a Path,
    header: SegmentHeader,
    /// The offset of a record and where it begins.
    start: (u64, u64),
    /// Where the last record ends.
    end: u64,
}

impl Partition {
    /// Reads records from `from` on, from memory or from the disk. Blocks.
    pub(super) fn read(&self, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        let mut budget = ReadBudget::new(limit);
        let mut records = Vec::new();
        let mut full = false;
        let mut from = from;
        while !full && !budget.is_spent() {
            match self.locate(from, limit) {
                Ok(Located::Here(rest)) => {
                    let admitted = rest.into_iter().take_while(|record| budget.admit(record.value.len()));
                    records.extend(admitted);
                    full = true;
                }
                Ok(Located::Active(active, start)) => {
                    let stretch = Stretch {
                        file: &active.file,
                        path: &active.path,
                        header: self.header(active.bounds.first_offset),
                        start,
                        end: active.bounds.end,
                    };
                    full = read_stretch(&stretch, from, &mut budget, &mut records)?;
                }
                Ok(Located::Closed(segment)) => match self.open_closed(&segment) {
                    Ok(handle) => {
                        let first = (segment.bounds.first_offset, FIRST_RECORD_POSITION);
                        let stretch = Stretch {
                            file: &handle.file,
                            path: &segment.path,
                            header: self.header(segment.bounds.first_offset),
                            start: handle.index.before(from).unwrap_or(first),
                            end: segment.bounds.end,
                        };
                        full = read_stretch(&stretch, from, &mut budget, &mut records)?;
                    }
                    // Retention removed it since it was located: the bounds then say so.
                    Err(LogError::Io { source, .. })
                        if source.kind() == io::ErrorKind::NotFound && self.bounds().earliest > from => {}
                    Err(error) => return Err(error),
                },
                // What was collected is still true, though retention has passed it meanwhile.
                Err(_) if !records.is_empty() => break,
                Err(error) => return Err(error),
            }
            from = records.last().map_or(from, |last: &Record| last.offset + 1);
        }
        Ok(records)
    }

    fn open_closed(&self, segment: &Closed) -> Result<Arc<Handle>, LogError> {
        if let Some(handle) = lock(&self.handles).get(segment.id) {
            return Ok(handle);
        }
        let file = Arc::new(File::open(&segment.path).map_err(|error| failed("open", &segment.path, error))?);
        let header = self.header(segment.bounds.first_offset);
        check_header(&file, &segment.path, &header)?;
        let written = std::fs::read(index_path(&segment.path)).ok();
        let index = match written.as_deref().and_then(decode_index) {
            Some((bounds, index)) if bounds.next_offset == segment.bounds.next_offset => index,
            _ => {
                let until = Some(segment.bounds.next_offset);
                let scanned = scan_segment(&file, &segment.path, &header, until, &mut |_| {})?;
                if let Some((position, reason)) = scanned.fault {
                    return Err(corrupt(&header, &segment.path, position, reason));
                }
                scanned.index
            }
        };
        let handle = Arc::new(Handle { file, index });
        lock(&self.handles).keep(segment.id, Arc::clone(&handle));
        Ok(handle)
    }
}

/// Adds the records from `from` on to `records`; says whether the budget ended it, not the stretch.
fn read_stretch(
    stretch: &Stretch<'_>,
    from: u64,
    budget: &mut ReadBudget,
    records: &mut Vec<Record>,
) -> Result<bool, LogError> {
    let Stretch { path, header, end, .. } = stretch;
    let (mut expected, mut position) = stretch.start;
    let mut wanted = READ_BYTES;
    while position < *end {
        let wanted_now = wanted.min(*end - position);
        let mut buffer = vec![0; usize::try_from(wanted_now).unwrap_or(0)];
        stretch.file.read_exact_at(&mut buffer, position).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                corrupt(header, path, position, "the file is shorter than what was written to it")
            } else {
                failed("read", path, error)
            }
        })?;
        let bytes = Bytes::from(buffer);
        let mut used = 0;
        wanted = READ_BYTES;
        loop {
            let here = position + u64::try_from(used).unwrap_or(0);
            let rest = bytes.get(used..).unwrap_or_default();
            match parse_frame(rest) {
                Ok((frame, _)) if frame.offset != expected => {
                    let found = frame.offset;
                    let reason = format!("the record there is number {found}, expected {expected}");
                    return Err(corrupt(header, path, here, reason));
                }
                Ok((frame, length)) => {
                    if frame.offset >= from {
                        if !budget.admit(frame.value.len()) {
                            return Ok(true);
                        }
                        records.push(frame.to_record(bytes.slice_ref(frame.value)));
                    }
                    expected += 1;
                    used += length;
                }
                Err(FrameFault::Short(needed)) if here + u64::try_from(needed).unwrap_or(0) <= *end => {
                    wanted = wanted.max(u64::try_from(needed).unwrap_or(READ_BYTES));
                    break;
                }
                Err(FrameFault::Short(_)) if here == *end => break,
                Err(fault) => return Err(corrupt(header, path, here, fault.reason())),
            }
        }
        position += u64::try_from(used).unwrap_or(0);
    }
    Ok(false)
}
