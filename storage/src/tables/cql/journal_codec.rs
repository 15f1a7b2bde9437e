//! A batch as bytes, as it stands in the journal.
//!
//! ```text
//! batch   = 1 (format) ‖ changes ‖ CRC-32 of all before it (little endian)
//! packed  = 3 (format) ‖ length of the changes (u32) ‖ changes as an LZ4 block ‖ CRC-32 of all before it
//! change  = kind (1 put, 2 replace, 3 delete) ‖ length (u32) ‖ key ‖ length (u32) ‖ row (of a deletion: nothing)
//! chunked = 2 (format) ‖ turn (u64) ‖ length of the batch (u64) ‖ CRC-32 of all before it
//! ```
//!
//! Numbers are little endian. Keys and rows are as in [`crate::tables::codec`], so a table is known by its number. A batch of
//! a later version that names tables or columns unknown here is not applied in part: applying it is left to that version.
//!
//! A batch holds the same entities many times over (a conversation in its row and in each event), so LZ4 leaves a quarter of
//! it or less, and the servers store what is left three times: as a proposal, as the journal, and in their commit logs.

use schemas::tables::{ALL, Table};

use super::changes::{Change, Kind};
use super::schema::TURN_JOURNAL;
use crate::tables::codec::{self, Cell};
use crate::tables::validation::MAX_BATCH_BYTES;
use crate::tables::{Key, TablesError};

const INLINE: u8 = 1;
const CHUNKED: u8 = 2;
const PACKED: u8 = 3;

/// A batch of fewer bytes is not packed: it would hardly get smaller.
const PACKED_FROM_BYTES: usize = 512;

/// More than the changes of any batch take: what says that it unpacks to more is damaged.
const UNPACKED_BYTES: usize = 2 * MAX_BATCH_BYTES;

const PUT: u8 = 1;
const REPLACE: u8 = 2;
const DELETE: u8 = 3;

const CHECKSUM_BYTES: usize = 4;

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Journaled {
    /// The batch.
    Inline(Vec<Change>),
    /// Where the batch is.
    Chunked {
        /// In which turn it was put there.
        turn: u64,
        /// How large it is.
        bytes: usize,
    },
}

/// The journal cannot be used.
pub(super) fn damaged(reason: &str) -> TablesError {
    TablesError::Corrupt { table: TURN_JOURNAL, reason: reason.to_owned() }
}

/// A batch as bytes.
pub(super) fn encode<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Result<Vec<u8>, TablesError> {
    let mut out = vec![INLINE];
    for change in changes {
        let key = codec::encode_key(change.table, &change.key)?;
        let (kind, row) = match &change.kind {
            Kind::Put(columns) => (PUT, encode_row(&key, columns)?),
            Kind::Replace(columns) => (REPLACE, encode_row(&key, columns)?),
            Kind::Delete => (DELETE, Vec::new()),
        };
        out.push(kind);
        push_bytes(&mut out, &key)?;
        push_bytes(&mut out, &row)?;
    }
    Ok(with_checksum(packed(out)))
}

fn packed(inline: Vec<u8>) -> Vec<u8> {
    let changes = inline.get(1..).unwrap_or_default();
    let Ok(length) = u32::try_from(changes.len()) else { return inline };
    if changes.len() < PACKED_FROM_BYTES {
        return inline;
    }
    let block = lz4_flex::block::compress(changes);
    let mut out = Vec::with_capacity(block.len() + 16);
    out.push(PACKED);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&block);
    out
}

fn unpacked(payload: &[u8]) -> Result<Vec<u8>, TablesError> {
    let cut_short = || damaged("a packed batch is cut short");
    let (length, block) = payload.split_first_chunk::<4>().ok_or_else(cut_short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_too_large| cut_short())?;
    if length > UNPACKED_BYTES {
        return Err(damaged(&format!("a batch says that it unpacks to {length} bytes")));
    }
    lz4_flex::block::decompress(block, length).map_err(|error| damaged(&format!("a batch cannot be unpacked: {error}")))
}

/// The name of a batch that stands elsewhere.
pub(super) fn encode_chunked(turn: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![CHUNKED];
    out.extend_from_slice(&turn.to_le_bytes());
    out.extend_from_slice(&(bytes as u64).to_le_bytes());
    with_checksum(out)
}

/// What bytes of the journal stand for.
pub(super) fn decode(bytes: &[u8]) -> Result<Journaled, TablesError> {
    let cut_short = || damaged("a batch is cut short");
    let (payload, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(cut_short)?;
    if crc32fast::hash(payload) != u32::from_le_bytes(*checksum) {
        return Err(damaged("a batch has a wrong checksum"));
    }
    let (format, rest) = payload.split_first().ok_or_else(cut_short)?;
    match *format {
        INLINE => decode_changes(rest).map(Journaled::Inline),
        PACKED => decode_changes(&unpacked(rest)?).map(Journaled::Inline),
        CHUNKED => {
            let (turn, rest) = rest.split_first_chunk::<8>().ok_or_else(cut_short)?;
            let (length, _) = rest.split_first_chunk::<8>().ok_or_else(cut_short)?;
            let bytes = usize::try_from(u64::from_le_bytes(*length)).map_err(|_too_large| cut_short())?;
            Ok(Journaled::Chunked { turn: u64::from_le_bytes(*turn), bytes })
        }
        _ => Err(of_a_later_version()),
    }
}

fn decode_changes(mut rest: &[u8]) -> Result<Vec<Change>, TablesError> {
    let mut changes = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let (key_bytes, after) = take_bytes(after)?;
        let (row, after) = take_bytes(after)?;
        rest = after;
        let table = table_of(key_bytes)?;
        let key = codec::decode_key(table, key_bytes)?;
        let kind = match *kind {
            PUT => Kind::Put(decode_row(table, &key, key_bytes, row)?),
            REPLACE => Kind::Replace(decode_row(table, &key, key_bytes, row)?),
            DELETE => Kind::Delete,
            _ => return Err(of_a_later_version()),
        };
        changes.push(Change { table, key, kind });
    }
    Ok(changes)
}

fn encode_row(key: &[u8], columns: &[(usize, schemas::tables::Value)]) -> Result<Vec<u8>, TablesError> {
    let cells =
        columns.iter().map(|(number, value)| Cell::new(*number, value.clone())).collect::<Result<Vec<_>, _>>()?;
    Ok(codec::encode_row(key, &cells))
}

fn decode_row(
    table: &'static Table,
    key: &Key,
    key_bytes: &[u8],
    row: &[u8],
) -> Result<Vec<(usize, schemas::tables::Value)>, TablesError> {
    let cells = codec::decode_cells(table, key_bytes, row)?;
    if cells.iter().any(|cell| usize::from(cell.column) >= table.columns.len()) {
        return Err(of_a_later_version());
    }
    let numbers: Vec<_> = cells.iter().map(|cell| usize::from(cell.column)).collect();
    let row = codec::decode_row(table, key.clone(), key_bytes, row)?;
    Ok(numbers.into_iter().zip(row.columns.into_iter().map(|(_, value)| value)).collect())
}

fn table_of(key: &[u8]) -> Result<&'static Table, TablesError> {
    let (number, _) = key.split_first_chunk::<2>().ok_or_else(|| damaged("a key is cut short"))?;
    ALL.get(usize::from(u16::from_be_bytes(*number))).copied().ok_or_else(of_a_later_version)
}

fn of_a_later_version() -> TablesError {
    damaged(
        "the last derived batch was written by a later version of saler, and knows of tables or columns that this one does not: let that version take over",
    )
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TablesError> {
    let length = u32::try_from(bytes.len())
        .map_err(|_too_long| TablesError::Invalid { reason: "a row of 4 GiB is too large".to_owned() })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn take_bytes(bytes: &[u8]) -> Result<(&[u8], &[u8]), TablesError> {
    let cut_short = || damaged("a change is cut short");
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_too_large| cut_short())?;
    rest.split_at_checked(length).ok_or_else(cut_short)
}

fn with_checksum(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::WorkspaceId;
    use schemas::tables::{LABELS, SESSIONS, TIMERS, Value};

    use super::*;

    fn changes() -> Vec<Change> {
        let key = |n: u8| Key::of([Value::Uuid([n; 16])]);
        let timer = Key::of([Value::Int(3)]).at([
            Value::Timestamp(schemas::Timestamp::from_unix_micros(-1)),
            Value::Uuid([7; 16]),
            Value::Text("snooze\0".to_owned()),
        ]);
        vec![
            Change {
                table: SESSIONS,
                key: key(1),
                kind: Kind::Put(vec![(0, Value::Int(5)), (1, Value::Blob(vec![0, 1]))]),
            },
            Change { table: SESSIONS, key: key(2), kind: Kind::Replace(vec![(1, Value::Blob(Vec::new()))]) },
            Change {
                table: LABELS,
                key: Key::of([WorkspaceId::from_bytes([3; 16]).into()]).at(["قائمة".into()]),
                kind: Kind::Put(Vec::new()),
            },
            Change { table: TIMERS, key: timer, kind: Kind::Delete },
        ]
    }

    #[test]
    fn a_batch_comes_back() {
        let bytes = encode(&changes()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), Journaled::Inline(changes()));
        assert_eq!(bytes.first(), Some(&INLINE));
        let empty = encode(&[]).unwrap();
        assert_eq!(decode(&empty).unwrap(), Journaled::Inline(Vec::new()));
        let chunked = Journaled::Chunked { turn: 9, bytes: 1 << 20 };
        assert_eq!(decode(&encode_chunked(9, 1 << 20)).unwrap(), chunked);
    }

    fn large() -> Vec<Change> {
        let mut changes = changes();
        for change in &mut changes {
            if let Kind::Put(columns) = &mut change.kind {
                for (_, value) in columns {
                    if let Value::Blob(bytes) = value {
                        *bytes = b"the same again, ".repeat(100);
                    }
                }
            }
        }
        changes
    }

    #[test]
    fn a_large_batch_comes_back_and_takes_less_room() {
        let bytes = encode(&large()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), Journaled::Inline(large()));
        assert!(bytes.first() == Some(&PACKED) && bytes.len() < 500, "{} bytes", bytes.len());
    }

    #[test]
    fn a_batch_that_would_unpack_to_more_than_any_has_is_damaged() {
        let mut bytes = vec![PACKED];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        let error = decode(&with_checksum(bytes)).unwrap_err().to_string();
        assert!(error.contains("unpacks to"), "{error}");
    }

    #[test]
    fn a_table_or_column_of_a_later_version_is_left_to_it() {
        let key = [0xFE, 0xFE, 1];
        let mut bytes = vec![INLINE, DELETE];
        push_bytes(&mut bytes, &key).unwrap();
        push_bytes(&mut bytes, &[]).unwrap();
        let error = decode(&with_checksum(bytes)).unwrap_err().to_string();
        assert!(error.contains("later version"), "{error}");
        let key = codec::encode_key(SESSIONS, &Key::of([Value::Uuid([1; 16])])).unwrap();
        let row = codec::encode_row(&key, &[Cell::new(77, Value::Int(1)).unwrap()]);
        let mut bytes = vec![INLINE, PUT];
        push_bytes(&mut bytes, &key).unwrap();
        push_bytes(&mut bytes, &row).unwrap();
        let error = decode(&with_checksum(bytes)).unwrap_err().to_string();
        assert!(error.contains("later version"), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_is_found_out(place in any::<prop::sample::Index>(), bit in 0..8_u32, cut in any::<prop::sample::Index>()) {
            let mut bytes = encode(&changes()).unwrap();
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn whatever_of_a_packed_batch_is_damaged_is_found_out(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = encode(&large()).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn bytes_of_any_kind_are_no_reason_to_stop(format in 0..4_u8, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = vec![format];
            // A plausible length, so that what follows is unpacked.
            bytes.extend_from_slice(&300_u32.to_le_bytes());
            bytes.extend(rest);
            let _either = decode(&with_checksum(bytes));
        }
    }
}
