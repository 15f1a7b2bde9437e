//! Keys and rows as bytes, for engines that stand on an ordered key-value store.
//!
//! # Keys
//!
//! ```text
//! key       = table number (u16, big endian) ‖ partition values ‖ clustering values
//! uuid      = its 16 bytes
//! int       = 8 bytes, big endian, sign bit flipped            (timestamp: the same, of its microseconds)
//! text,blob = bytes, each 0x00 written as 0x00 0xFF, then 0x00 0x00
//! ```
//!
//! The clustering values of a table in descending order have all their bits inverted. No encoded value is the beginning of
//! another one of its type, so a table's keys sort as their values do, a partition is exactly one range of keys, and so is
//! every beginning of a clustering key. The table number [`RESERVED_TABLE`] is never given to a table.
//!
//! # Rows
//!
//! ```text
//! row     = CRC-32 of key ‖ payload (little endian) ‖ payload
//! payload = format (1) ‖ cells, by column
//! cell    = number of the column (u8) ‖ type (u8) ‖ length (LEB128) ‖ bytes
//! ```
//!
//! Only columns that are set have a cell. A cell whose column is not declared here comes from a later version: it is
//! passed over when read and kept when the row is changed. The checksum covers the key, so a value that stands under
//! another key than it was written for is found out.

use std::ops::Bound;

use schemas::tables::{Column, ColumnType, Order, Table, Value};
use schemas::{Timestamp, WorkspaceId};

use super::validation::{self, MAX_KEY_BYTES, type_name};
use super::{Key, Row, Scan, TablesError};

/// The table number under which an engine keeps what is its own.
pub const RESERVED_TABLE: u16 = u16::MAX;

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// A value in a row, as stored: the number of its column, its type, its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The number of the column in the declaration.
    pub column: u8,
    /// The type, as [`ColumnType`] is numbered in the format.
    pub tag: u8,
    /// The value.
    pub bytes: Vec<u8>,
}

impl Cell {
    /// The cell that holds `value` in the column with this number.
    ///
    /// # Errors
    /// [`TablesError::Invalid`] for a column after the 255th.
    pub fn new(column: usize, value: Value) -> Result<Self, TablesError> {
        let column = u8::try_from(column).map_err(|_wide| TablesError::Invalid {
            reason: format!("column number {column}: a table has at most 256 columns"),
        })?;
        let (tag, bytes) = match value {
            Value::Workspace(id) => (tag_of(ColumnType::Workspace), id.as_bytes().to_vec()),
            Value::Uuid(bytes) => (tag_of(ColumnType::Uuid), bytes.to_vec()),
            Value::Text(text) => (tag_of(ColumnType::Text), text.into_bytes()),
            Value::Int(n) => (tag_of(ColumnType::Int), n.to_le_bytes().to_vec()),
            Value::Timestamp(at) => (tag_of(ColumnType::Timestamp), at.unix_micros().to_le_bytes().to_vec()),
            Value::Blob(bytes) => (tag_of(ColumnType::Blob), bytes),
        };
        Ok(Self { column, tag, bytes })
    }

    fn value(&self, table: &Table, column: &Column) -> Result<Value, TablesError> {
        if self.tag != tag_of(column.kind) {
            return Err(corrupt(table, format!("the column {} is not a {}", column.name, type_name(column.kind))));
        }
        let fixed = || corrupt(table, format!("the column {} has a wrong length", column.name));
        Ok(match column.kind {
            ColumnType::Workspace => {
                Value::Workspace(WorkspaceId::from_bytes(self.bytes.as_slice().try_into().map_err(|_length| fixed())?))
            }
            ColumnType::Uuid => Value::Uuid(self.bytes.as_slice().try_into().map_err(|_length| fixed())?),
            ColumnType::Int => {
                Value::Int(i64::from_le_bytes(self.bytes.as_slice().try_into().map_err(|_length| fixed())?))
            }
            ColumnType::Timestamp => Value::Timestamp(Timestamp::from_unix_micros(i64::from_le_bytes(
                self.bytes.as_slice().try_into().map_err(|_length| fixed())?,
            ))),
            ColumnType::Text => Value::Text(
                std::str::from_utf8(&self.bytes)
                    .map_err(|_not_utf8| corrupt(table, format!("the column {} is not UTF-8", column.name)))?
                    .to_owned(),
            ),
            ColumnType::Blob => Value::Blob(self.bytes.clone()),
        })
    }
}

/// The bytes of a key.
///
/// # Errors
/// [`TablesError::Invalid`] if the key does not fit the declaration, or is over [`MAX_KEY_BYTES`].
pub fn encode_key(table: &Table, key: &Key) -> Result<Vec<u8>, TablesError> {
    validation::check_key(table, key)?;
    let mut bytes = encode_partition(table, &key.partition)?;
    push_clustering(&mut bytes, table.order, &key.clustering);
    check_key_length(table, &bytes)?;
    Ok(bytes)
}

/// The range of keys, first included and last excluded, that holds exactly the rows between the bounds of a scan. The
/// first may be after the last: then there are none.
///
/// # Errors
/// As [`encode_key`].
pub fn encode_scan(table: &Table, scan: &Scan) -> Result<(Vec<u8>, Vec<u8>), TablesError> {
    validation::check_scan(table, scan)?;
    let partition = encode_partition(table, &scan.partition)?;
    let place = |values: &[Value]| {
        let mut bytes = partition.clone();
        push_clustering(&mut bytes, table.order, values);
        bytes
    };
    let first = match &scan.start {
        Bound::Unbounded => partition.clone(),
        Bound::Included(values) => place(values),
        Bound::Excluded(values) => after_all_that_begin_with(place(values)),
    };
    let last = match &scan.end {
        Bound::Unbounded => after_all_that_begin_with(partition.clone()),
        Bound::Included(values) => after_all_that_begin_with(place(values)),
        Bound::Excluded(values) => place(values),
    };
    check_key_length(table, &first)?;
    check_key_length(table, &last)?;
    Ok((first, last))
}

/// The range of keys, first included and last excluded, that holds all rows of a table.
///
/// # Errors
/// As [`validation::table_number`].
pub fn encode_table(table: &Table) -> Result<(Vec<u8>, Vec<u8>), TablesError> {
    let first = validation::table_number(table)?.to_be_bytes().to_vec();
    let last = after_all_that_begin_with(first.clone());
    Ok((first, last))
}

/// The key that bytes stand for.
///
/// # Errors
/// [`TablesError::Corrupt`] if they stand for none of this table.
pub fn decode_key(table: &Table, bytes: &[u8]) -> Result<Key, TablesError> {
    let unreadable = || corrupt(table, format!("the key {} cannot be read", hex(bytes)));
    let (number, rest) = bytes.split_first_chunk::<2>().ok_or_else(unreadable)?;
    if table.number() != Some(u16::from_be_bytes(*number)) {
        return Err(unreadable());
    }
    let (partition, rest) = decode_values(table.partition_key, rest).ok_or_else(unreadable)?;
    let (clustering, rest) = match table.order {
        Order::Ascending => decode_values(table.clustering_key, rest).map(|(values, rest)| (values, rest.len())),
        Order::Descending => {
            let inverted: Vec<u8> = rest.iter().map(|byte| !byte).collect();
            decode_values(table.clustering_key, &inverted).map(|(values, rest)| (values, rest.len()))
        }
    }
    .ok_or_else(unreadable)?;
    if rest != 0 {
        return Err(unreadable());
    }
    Ok(Key { partition, clustering })
}

/// The bytes of a row under a key. The cells stand in the order of their columns, each at most once.
pub fn encode_row(key: &[u8], cells: &[Cell]) -> Vec<u8> {
    let size = cells.iter().map(|cell| cell.bytes.len() + 8).sum::<usize>();
    let mut row = Vec::with_capacity(CHECKSUM_BYTES + 1 + size);
    row.extend_from_slice(&[0; CHECKSUM_BYTES]);
    row.push(FORMAT);
    for cell in cells {
        row.push(cell.column);
        row.push(cell.tag);
        push_length(&mut row, cell.bytes.len());
        row.extend_from_slice(&cell.bytes);
    }
    let checksum = checksum_of(key, row.get(CHECKSUM_BYTES..).unwrap_or_default());
    for (place, byte) in row.iter_mut().zip(checksum.to_le_bytes()) {
        *place = byte;
    }
    row
}

/// The cells of a row, those of unknown columns too.
///
/// # Errors
/// [`TablesError::Corrupt`] if the checksum is wrong or the bytes are no row.
pub fn decode_cells(table: &Table, key: &[u8], row: &[u8]) -> Result<Vec<Cell>, TablesError> {
    let broken = |what: &str| corrupt(table, format!("the row under the key {} {what}", hex(key)));
    let (checksum, payload) = row.split_first_chunk::<CHECKSUM_BYTES>().ok_or_else(|| broken("is cut short"))?;
    if u32::from_le_bytes(*checksum) != checksum_of(key, payload) {
        return Err(broken("has a wrong checksum"));
    }
    let (&format, mut rest) = payload.split_first().ok_or_else(|| broken("is cut short"))?;
    if format != FORMAT {
        return Err(broken("was written by a later version"));
    }
    let mut cells = Vec::with_capacity(table.columns.len());
    while let Some((&[column, tag], after)) = rest.split_first_chunk::<2>() {
        let (length, after) = take_length(after).ok_or_else(|| broken("has no length"))?;
        let (bytes, after) = after.split_at_checked(length).ok_or_else(|| broken("is cut short"))?;
        cells.push(Cell { column, tag, bytes: bytes.to_vec() });
        rest = after;
    }
    if !rest.is_empty() {
        return Err(broken("is cut short"));
    }
    Ok(cells)
}

/// A row as callers see it.
///
/// # Errors
/// As [`decode_cells`]; also if a cell is not of its column's type.
pub fn decode_row(table: &Table, key: Key, key_bytes: &[u8], row: &[u8]) -> Result<Row, TablesError> {
    let mut columns = Vec::with_capacity(table.columns.len());
    for cell in decode_cells(table, key_bytes, row)? {
        if let Some(column) = table.columns.get(usize::from(cell.column)) {
            columns.push((column.name, cell.value(table, column)?));
        }
    }
    Ok(Row { key, columns })
}

/// Cells with those of `newer` in place of, or beside, those of `older`.
pub fn merge_cells(older: Vec<Cell>, newer: &[Cell]) -> Vec<Cell> {
    let mut merged: Vec<Cell> = older
        .into_iter()
        .filter(|cell| newer.iter().all(|other| other.column != cell.column))
        .chain(newer.iter().cloned())
        .collect();
    merged.sort_by_key(|cell| cell.column);
    merged
}

fn encode_partition(table: &Table, values: &[Value]) -> Result<Vec<u8>, TablesError> {
    let number = validation::table_number(table)?;
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&number.to_be_bytes());
    for value in values {
        push_value(&mut bytes, value);
    }
    Ok(bytes)
}

fn push_clustering(bytes: &mut Vec<u8>, order: Order, values: &[Value]) {
    let start = bytes.len();
    for value in values {
        push_value(bytes, value);
    }
    if order == Order::Descending {
        for byte in bytes.iter_mut().skip(start) {
            *byte = !*byte;
        }
    }
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Workspace(id) => out.extend_from_slice(id.as_bytes()),
        Value::Uuid(bytes) => out.extend_from_slice(bytes),
        Value::Int(n) => out.extend_from_slice(&flip_sign(*n)),
        Value::Timestamp(at) => out.extend_from_slice(&flip_sign(at.unix_micros())),
        Value::Text(text) => push_escaped(out, text.as_bytes()),
        Value::Blob(bytes) => push_escaped(out, bytes),
    }
}

const fn flip_sign(n: i64) -> [u8; 8] {
    (n.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn decode_values<'a>(columns: &[Column], mut bytes: &'a [u8]) -> Option<(Vec<Value>, &'a [u8])> {
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let (value, rest) = decode_value(column.kind, bytes)?;
        values.push(value);
        bytes = rest;
    }
    Some((values, bytes))
}

fn decode_value(kind: ColumnType, bytes: &[u8]) -> Option<(Value, &[u8])> {
    let number = || {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        Some(((u64::from_be_bytes(*number) ^ (1 << 63)).cast_signed(), rest))
    };
    Some(match kind {
        ColumnType::Workspace => {
            let (id, rest) = bytes.split_first_chunk::<16>()?;
            (Value::Workspace(WorkspaceId::from_bytes(*id)), rest)
        }
        ColumnType::Uuid => {
            let (id, rest) = bytes.split_first_chunk::<16>()?;
            (Value::Uuid(*id), rest)
        }
        ColumnType::Int => {
            let (n, rest) = number()?;
            (Value::Int(n), rest)
        }
        ColumnType::Timestamp => {
            let (micros, rest) = number()?;
            (Value::Timestamp(Timestamp::from_unix_micros(micros)), rest)
        }
        ColumnType::Text => {
            let (text, rest) = unescape(bytes)?;
            (Value::Text(String::from_utf8(text).ok()?), rest)
        }
        ColumnType::Blob => {
            let (blob, rest) = unescape(bytes)?;
            (Value::Blob(blob), rest)
        }
    })
}

fn unescape(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    loop {
        let (&byte, rest) = bytes.split_first()?;
        if byte != 0 {
            out.push(byte);
            bytes = rest;
            continue;
        }
        let (&mark, rest) = rest.split_first()?;
        match mark {
            0 => return Some((out, rest)),
            0xFF => out.push(0),
            _ => return None,
        }
        bytes = rest;
    }
}

/// The smallest bytes that are greater than all that begin with `prefix`. A prefix here begins with the number of a table,
/// which is below [`RESERVED_TABLE`], so there always are such bytes.
fn after_all_that_begin_with(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.last() == Some(&0xFF) {
        prefix.pop();
    }
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

fn check_key_length(table: &Table, bytes: &[u8]) -> Result<(), TablesError> {
    if bytes.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    Err(TablesError::Invalid {
        reason: format!("a key of the table {} has {} bytes, the limit is {MAX_KEY_BYTES}", table.name, bytes.len()),
    })
}

fn push_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(0x80 | (length & 0x7F).to_le_bytes()[0]);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
}

fn take_length(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        length |= usize::from(byte & 0x7F) << shift;
        bytes = rest;
        if byte < 0x80 {
            return Some((length, bytes));
        }
    }
    None
}

fn checksum_of(key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

const fn tag_of(kind: ColumnType) -> u8 {
    match kind {
        // Both are sixteen bytes; the declaration says which.
        ColumnType::Workspace | ColumnType::Uuid => 1,
        ColumnType::Text => 2,
        ColumnType::Int => 3,
        ColumnType::Timestamp => 4,
        ColumnType::Blob => 5,
    }
}

fn corrupt(table: &Table, reason: String) -> TablesError {
    TablesError::Corrupt { table: table.name, reason }
}

/// The first 64 bytes, for messages.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in bytes.iter().take(64) {
        // Writing into a String does not fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    if bytes.len() > 64 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::tables::{ALL, SESSIONS};

    #[test]
    fn every_declared_table_fits_the_format() {
        assert!(ALL.len() < usize::from(RESERVED_TABLE));
        for table in ALL {
            assert!(table.columns.len() <= 256, "{}", table.name);
            assert!(!table.partition_key.is_empty(), "{}", table.name);
        }
    }

    #[test]
    fn cells_of_later_columns_are_passed_over_and_kept() {
        let later = Cell { column: 200, tag: 99, bytes: vec![1, 2, 3] };
        let version = Cell::new(0, Value::Int(7)).unwrap();
        let row = encode_row(b"key", &[version, later.clone()]);
        let key = Key::of([Value::Uuid([0; 16])]);
        let read = decode_row(SESSIONS, key, b"key", &row).unwrap();
        assert_eq!(read.columns, [("version", Value::Int(7))]);
        let body = Cell::new(1, Value::Blob(vec![9])).unwrap();
        let merged = merge_cells(decode_cells(SESSIONS, b"key", &row).unwrap(), std::slice::from_ref(&body));
        assert_eq!(merged[1..], [body, later]);
    }

    #[test]
    fn a_row_under_another_key_is_found_out() {
        let row = encode_row(b"key", &[]);
        assert!(matches!(decode_cells(SESSIONS, b"other", &row), Err(TablesError::Corrupt { table: "sessions", .. })));
    }

    #[test]
    fn lengths_of_every_size_come_back() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, 70_000, 1 << 27] {
            let mut bytes = Vec::new();
            push_length(&mut bytes, length);
            assert_eq!(take_length(&bytes), Some((length, &[][..])));
        }
        assert_eq!(take_length(&[0xFF; 10]), None);
    }
}
