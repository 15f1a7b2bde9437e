//! The bytes of segment files and of index files. The layout is described in the parent module.

use bytes::Bytes;
use schemas::{Timestamp, WorkspaceId};

use crate::log::{MAX_VALUE_BYTES, NewRecord, Record, Topic};

/// The first bytes of a segment file.
const SEGMENT_MAGIC: &[u8; 8] = b"SALERLOG";
/// The first bytes of an index file.
const INDEX_MAGIC: &[u8; 8] = b"SALERIDX";
/// The version of both kinds of file.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Bytes before the first record of a segment.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 48;
/// The same as a position in the file.
pub(crate) const FIRST_RECORD_POSITION: u64 = 48;
/// Bytes of a record before its value.
pub(crate) const RECORD_HEADER_BYTES: usize = 44;

/// The number of a topic in a segment's header.
const fn topic_code(topic: Topic) -> u32 {
    match topic {
        Topic::Commands => 1,
        Topic::Events => 2,
    }
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) first_offset: u64,
    pub(crate) epoch: [u8; 16],
}

impl SegmentHeader {
    /// The bytes in the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&topic_code(self.topic).to_le_bytes());
        bytes.extend_from_slice(&self.partition.to_le_bytes());
        bytes.extend_from_slice(&self.first_offset.to_le_bytes());
        bytes.extend_from_slice(&self.epoch);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Why `bytes`, the beginning of a file, are not this header; `None` if they are.
    pub(crate) fn fault_of(&self, bytes: &[u8]) -> Option<String> {
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Some("the file is shorter than a segment's header".to_owned());
        }
        let mut fields = Fields(bytes);
        if fields.take::<8>() != Some(*SEGMENT_MAGIC) {
            return Some("the file does not begin as a segment does".to_owned());
        }
        match fields.u32() {
            Some(FORMAT_VERSION) => {}
            version => {
                let version = version.unwrap_or_default();
                return Some(format!("the segment has format {version}, this program reads {FORMAT_VERSION}"));
            }
        }
        if bytes.get(..SEGMENT_HEADER_BYTES) == Some(self.encode().as_slice()) {
            return None;
        }
        Some("the segment's header is damaged, or the file belongs to another partition or another log".to_owned())
    }
}

/// Cuts little-endian fields off a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

/// A record as it stands in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) offset: u64,
    pub(crate) at: Timestamp,
    pub(crate) key: WorkspaceId,
    /// Everything before this position of the file was durable when the record was written.
    pub(crate) durable_end: u64,
    pub(crate) value: &'a [u8],
}

impl Frame<'_> {
    /// The record, with `value` being the shared bytes of this frame's value.
    pub(crate) const fn to_record(self, value: Bytes) -> Record {
        Record { offset: self.offset, key: self.key, at: self.at, value }
    }
}

/// The bytes that a value of this size takes in a segment.
pub(crate) const fn frame_bytes(value_bytes: usize) -> usize {
    RECORD_HEADER_BYTES + value_bytes
}

/// Adds a record to `buffer` as it stands in a segment.
pub(crate) fn encode_record(buffer: &mut Vec<u8>, offset: u64, durable_end: u64, record: &NewRecord) {
    // Segments end far below 4 GiB; if one did not, 0 (nothing known to be durable) would still be true.
    let durable_end = u32::try_from(durable_end).unwrap_or(0);
    let length = u32::try_from(record.value.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut fixed = [0; RECORD_HEADER_BYTES - 8];
    let fields = offset
        .to_le_bytes()
        .into_iter()
        .chain(record.at.unix_micros().to_le_bytes())
        .chain(durable_end.to_le_bytes())
        .chain(*record.key.as_bytes());
    for (to, from) in fixed.iter_mut().zip(fields) {
        *to = from;
    }
    let checksum = checksum(&length, &fixed, &record.value);
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&fixed);
    buffer.extend_from_slice(&record.value);
}

fn checksum(length: &[u8], fixed: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(fixed);
    hasher.update(value);
    hasher.finalize()
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// There are fewer bytes than this, which the record needs.
    Short(usize),
    /// The length is one that no record has.
    Length,
    /// The bytes are not those that were written.
    Checksum,
}

impl FrameFault {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Short(_) => "the file ends within a record",
            Self::Length => "a record's length is impossible",
            Self::Checksum => "a record's checksum does not match its bytes",
        }
    }
}

/// The bytes of the record that begins `bytes`, from its header.
pub(crate) fn frame_length(bytes: &[u8]) -> Result<usize, FrameFault> {
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err(FrameFault::Short(RECORD_HEADER_BYTES));
    }
    let length = Fields(bytes).u32().ok_or(FrameFault::Length)?;
    match usize::try_from(length) {
        Ok(length) if length <= MAX_VALUE_BYTES => Ok(frame_bytes(length)),
        _ => Err(FrameFault::Length),
    }
}

/// The offset that the header at the beginning of `bytes` claims, unchecked.
pub(crate) fn claimed_offset(bytes: &[u8]) -> Option<u64> {
    Fields(bytes.get(8..)?).u64()
}

/// The record that begins `bytes`, and how many bytes it takes.
pub(crate) fn parse_frame(bytes: &[u8]) -> Result<(Frame<'_>, usize), FrameFault> {
    let total = frame_length(bytes)?;
    let whole = bytes.get(..total).ok_or(FrameFault::Short(total))?;
    let (length, rest) = whole.split_at_checked(4).ok_or(FrameFault::Length)?;
    let (expected, rest) = rest.split_first_chunk::<4>().ok_or(FrameFault::Length)?;
    let (fixed, value) = rest.split_at_checked(RECORD_HEADER_BYTES - 8).ok_or(FrameFault::Length)?;
    if checksum(length, fixed, value) != u32::from_le_bytes(*expected) {
        return Err(FrameFault::Checksum);
    }
    let mut fields = Fields(fixed);
    let mut frame = || -> Option<Frame<'_>> {
        Some(Frame {
            offset: fields.u64()?,
            at: Timestamp::from_unix_micros(fields.i64()?),
            durable_end: u64::from(fields.u32()?),
            key: WorkspaceId::from_bytes(fields.take()?),
            value,
        })
    };
    frame().map(|frame| (frame, total)).ok_or(FrameFault::Length)
}

/// What is known of the records of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentBounds {
    /// The offset of its first record.
    pub(crate) first_offset: u64,
    /// The offset after its last record.
    pub(crate) next_offset: u64,
    /// The position after its last record.
    pub(crate) end: u64,
    /// The earliest time of a record, if there is one.
    pub(crate) earliest_at: Option<Timestamp>,
    /// The latest time of a record, if there is one.
    pub(crate) latest_at: Option<Timestamp>,
}

impl SegmentBounds {
    /// A segment without records.
    pub(crate) const fn empty(first_offset: u64) -> Self {
        Self { first_offset, next_offset: first_offset, end: FIRST_RECORD_POSITION, earliest_at: None, latest_at: None }
    }

    /// Adds the next record, of `bytes` in the file.
    pub(crate) fn add(&mut self, at: Timestamp, bytes: usize) {
        self.next_offset += 1;
        self.end += u64::try_from(bytes).unwrap_or(0);
        self.earliest_at = Some(self.earliest_at.map_or(at, |earliest| earliest.min(at)));
        self.latest_at = Some(self.latest_at.map_or(at, |latest| latest.max(at)));
    }
}

/// Where some records of a segment begin: one about every [`INDEX_STEP_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex(Vec<(u64, u64)>);

/// The distance between entries of an index.
const INDEX_STEP_BYTES: u64 = 64 << 10;

impl SparseIndex {
    /// Notes that the record at `offset` begins at `position`, if the last note is far enough behind.
    pub(crate) fn note(&mut self, offset: u64, position: u64) {
        let due = self.0.last().is_none_or(|(_, last)| position.saturating_sub(*last) >= INDEX_STEP_BYTES);
        if due {
            self.0.push((offset, position));
        }
    }

    /// The last noted record at or before `offset`, with its position.
    pub(crate) fn before(&self, offset: u64) -> Option<(u64, u64)> {
        let after = self.0.partition_point(|(noted, _)| *noted <= offset);
        self.0.get(after.checked_sub(1)?).copied()
    }

    /// Forgets what is at or after `offset`.
    pub(crate) fn cut(&mut self, offset: u64) {
        self.0.retain(|(noted, _)| *noted < offset);
    }
}

/// The bytes of the index file of a closed segment.
pub(crate) fn encode_index(bounds: &SegmentBounds, index: &SparseIndex) -> Vec<u8> {
    let micros = |at: Option<Timestamp>| at.unwrap_or_default().unix_micros().to_le_bytes();
    let mut bytes = Vec::with_capacity(64 + index.0.len() * 16);
    bytes.extend_from_slice(INDEX_MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&bounds.first_offset.to_le_bytes());
    bytes.extend_from_slice(&bounds.next_offset.to_le_bytes());
    bytes.extend_from_slice(&bounds.end.to_le_bytes());
    bytes.extend_from_slice(&micros(bounds.earliest_at));
    bytes.extend_from_slice(&micros(bounds.latest_at));
    for (offset, position) in &index.0 {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&position.to_le_bytes());
    }
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads an index file; `None` if it is damaged, since it can be made again from its segment.
pub(crate) fn decode_index(bytes: &[u8]) -> Option<(SegmentBounds, SparseIndex)> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut fields = Fields(body);
    if fields.take::<8>()? != *INDEX_MAGIC || fields.u32()? != FORMAT_VERSION {
        return None;
    }
    let (first_offset, next_offset, end) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (earliest, latest) = (fields.i64()?, fields.i64()?);
    let time = |micros| (next_offset > first_offset).then_some(Timestamp::from_unix_micros(micros));
    let mut entries = Vec::with_capacity(fields.0.len() / 16);
    while let Some(offset) = fields.u64() {
        entries.push((offset, fields.u64()?));
    }
    let bounds = SegmentBounds { first_offset, next_offset, end, earliest_at: time(earliest), latest_at: time(latest) };
    Some((bounds, SparseIndex(entries)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: [u8; 16], at: i64, value: Vec<u8>) -> NewRecord {
        NewRecord { key: WorkspaceId::from_bytes(key), at: Timestamp::from_unix_micros(at), value: value.into() }
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            key: [u8; 16], at: i64, offset: u64, durable_end: u32, value: Vec<u8>, rest: Vec<u8>,
        ) {
            let record = record(key, at, value);
            let mut bytes = Vec::new();
            encode_record(&mut bytes, offset, u64::from(durable_end), &record);
            let length = bytes.len();
            bytes.extend(rest);
            let (frame, total) = parse_frame(&bytes).unwrap();
            prop_assert_eq!(total, length);
            prop_assert_eq!(frame.durable_end, u64::from(durable_end));
            let read = frame.to_record(Bytes::copy_from_slice(frame.value));
            prop_assert_eq!((read.offset, read.key, read.at, read.value), (offset, record.key, record.at, record.value));
        }

        #[test]
        fn a_changed_or_missing_byte_is_noticed(value: Vec<u8>, place: prop::sample::Index, flip in 1..=255_u8) {
            let mut bytes = Vec::new();
            encode_record(&mut bytes, 7, 0, &record([3; 16], 1, value));
            let place = place.index(bytes.len());
            prop_assert!(matches!(parse_frame(&bytes[..place]), Err(FrameFault::Short(_))));
            bytes[place] ^= flip;
            prop_assert!(parse_frame(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_the_readers_panic(bytes: Vec<u8>) {
            prop_assert!(parse_frame(&bytes).is_err());
            prop_assert!(decode_index(&bytes).is_none());
            let header = SegmentHeader { topic: Topic::Events, partition: 0, first_offset: 0, epoch: [0; 16] };
            prop_assert!(header.fault_of(&bytes).is_some());
        }

        #[test]
        fn an_index_finds_the_last_note_before_an_offset(steps in prop::collection::vec(1..200_000_u64, 0..40)) {
            let mut index = SparseIndex::default();
            let mut bounds = SegmentBounds::empty(100);
            let mut positions = Vec::new();
            for step in steps {
                index.note(bounds.next_offset, bounds.end);
                positions.push((bounds.next_offset, bounds.end));
                bounds.add(Timestamp::from_unix_micros(-5), usize::try_from(step).unwrap());
            }
            let (read_bounds, read) = decode_index(&encode_index(&bounds, &index)).unwrap();
            prop_assert_eq!(read_bounds, bounds);
            prop_assert_eq!(&read, &index);
            for (offset, position) in positions {
                let (noted_offset, noted_position) = read.before(offset).unwrap();
                prop_assert!(noted_offset <= offset && position - noted_position < INDEX_STEP_BYTES);
            }
            prop_assert_eq!(read.before(99), None);
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(parse_frame(&[0; 64]).unwrap_err(), FrameFault::Checksum);
    }

    #[test]
    fn a_header_of_another_place_or_version_is_refused_with_a_reason() {
        let header = SegmentHeader { topic: Topic::Commands, partition: 2, first_offset: 9, epoch: [1; 16] };
        let bytes = header.encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
        assert_eq!(header.fault_of(&bytes), None);
        for other in [
            SegmentHeader { partition: 3, ..header },
            SegmentHeader { topic: Topic::Events, ..header },
            SegmentHeader { epoch: [2; 16], ..header },
        ] {
            assert!(other.fault_of(&bytes).unwrap().contains("another partition"));
        }
        let mut newer = bytes;
        newer[8] = 9;
        assert!(header.fault_of(&newer).unwrap().contains("format 9"));
    }
}
