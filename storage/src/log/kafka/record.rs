//! How a record of the log stands in Kafka.
//!
//! ```text
//! key       the 16 bytes of the workspace's id
//! value     as it is
//! header    "at": the time, microseconds since 1970, 8 bytes big-endian, signed
//! ```
//!
//! Kafka's own timestamp is the broker's (`message.timestamp.type=LogAppendTime`): it has milliseconds only, and retention
//! goes by it, so a process with a wrong clock must not decide what is removed. A record without the header, which another
//! program wrote, is given that time.

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use schemas::{Timestamp, WorkspaceId};

use super::super::{NewRecord, Record};

const AT: &str = "at";

/// What a record costs in a queue besides its value, in bytes.
pub(super) const OVERHEAD_BYTES: usize = 256;

/// The headers of a record.
pub(super) fn headers(record: &NewRecord) -> OwnedHeaders {
    let at = record.at.unix_micros().to_be_bytes();
    OwnedHeaders::new_with_capacity(1).insert(Header { key: AT, value: Some(&at) })
}

/// The record that a message is, or why it is none.
pub(super) fn decode(message: &BorrowedMessage<'_>) -> Result<Record, String> {
    let offset = u64::try_from(message.offset()).map_err(|error| format!("its offset is negative: {error}"))?;
    let key = message.key().unwrap_or_default();
    let key: [u8; 16] =
        key.try_into().map_err(|_other| format!("its key has {} bytes instead of the 16 of a workspace", key.len()))?;
    let at = match written_at(message) {
        Some(at) => at,
        None => Timestamp::from_unix_millis(message.timestamp().to_millis().unwrap_or(0)),
    };
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    Ok(Record { offset, key: WorkspaceId::from_bytes(key), at, value })
}

fn written_at(message: &BorrowedMessage<'_>) -> Option<Timestamp> {
    let header = message.headers()?.iter().find(|header| header.key == AT)?;
    let micros: [u8; 8] = header.value?.try_into().ok()?;
    Some(Timestamp::from_unix_micros(i64::from_be_bytes(micros)))
}
