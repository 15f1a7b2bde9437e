//! Values for the rows of the programs that measure tables.

use schemas::WorkspaceId;
use schemas::tables::Value;

/// The `n`th id: spread like hashes, so that neighbours in time are not neighbours in the order of keys.
pub(crate) fn uuid(n: u64) -> Value {
    let mut bytes = [0; 16];
    let hash = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (place, byte) in bytes.iter_mut().zip(hash.to_be_bytes().into_iter().chain(n.to_be_bytes())) {
        *place = byte;
    }
    Value::Uuid(bytes)
}

pub(crate) fn workspace(n: u64) -> Value {
    WorkspaceId::from_bytes([n.to_le_bytes()[0]; 16]).into()
}

pub(crate) fn int(n: u64) -> Value {
    Value::Int(n.cast_signed())
}
