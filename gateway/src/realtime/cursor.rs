//! Cursors: opaque places in a workspace's stream of events, good on every node and after a crash.
//!
//! Format, in base64url without padding: version (1 byte, 1), partition (4, big-endian), next offset (8), tag of the
//! log's epoch (8), check over all of it and the workspace (8). The check is no secret: it keeps a cursor of another
//! workspace or a damaged one from being taken for a good one, and rights are checked on every event anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::WorkspaceId;
use schemas::socket::GapReason;
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const BODY_BYTES: usize = 21;
const CURSOR_BYTES: usize = 29;

/// Makes and reads cursors of one log.
#[derive(Clone, Debug)]
pub(crate) struct Cursors {
    epoch_tag: [u8; 8],
}

impl Cursors {
    /// For the log with this epoch.
    pub(crate) fn new(epoch: &str) -> Self {
        Self { epoch_tag: tag(&[b"epoch", epoch.as_bytes()]) }
    }

    /// The cursor of the place before the event at `next`.
    pub(crate) fn encode(&self, workspace_id: WorkspaceId, partition: u32, next: u64) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&partition.to_be_bytes());
        bytes.extend_from_slice(&next.to_be_bytes());
        bytes.extend_from_slice(&self.epoch_tag);
        let check = tag(&[b"cursor", workspace_id.as_bytes(), &bytes]);
        bytes.extend_from_slice(&check);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The next offset that it names.
    ///
    /// # Errors
    /// [`GapReason::Cursor`] if it is damaged, of another workspace or partition; [`GapReason::Epoch`] if it is of
    /// another history of the log.
    pub(crate) fn decode(&self, workspace_id: WorkspaceId, partition: u32, cursor: &str) -> Result<u64, GapReason> {
        let mut buffer = [0; CURSOR_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(cursor, &mut buffer).map_err(|_not_base64| GapReason::Cursor)?;
        let Some((body, check)) = buffer.split_at_checked(BODY_BYTES).filter(|_| length == CURSOR_BYTES) else {
            return Err(GapReason::Cursor);
        };
        let [version, p0, p1, p2, p3, n0, n1, n2, n3, n4, n5, n6, n7, epoch @ ..] = body else {
            return Err(GapReason::Cursor);
        };
        if *version != VERSION || tag(&[b"cursor", workspace_id.as_bytes(), body]) != check {
            return Err(GapReason::Cursor);
        }
        if epoch != self.epoch_tag {
            return Err(GapReason::Epoch);
        }
        if u32::from_be_bytes([*p0, *p1, *p2, *p3]) != partition {
            return Err(GapReason::Cursor);
        }
        Ok(u64::from_be_bytes([*n0, *n1, *n2, *n3, *n4, *n5, *n6, *n7]))
    }
}

/// Eight bytes that stand for these parts.
fn tag(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut tag = [0; 8];
    for (to, from) in tag.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    tag
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::{Timestamp, WorkspaceId};

    use super::*;

    fn workspace(n: u8) -> WorkspaceId {
        WorkspaceId::new(Timestamp::from_unix_millis(1), &[n; 10])
    }

    proptest! {
        #[test]
        fn round_trips_and_belongs_to_one_workspace_partition_and_epoch(partition: u32, next: u64) {
            let cursors = Cursors::new("one");
            let text = cursors.encode(workspace(1), partition, next);
            prop_assert_eq!(cursors.decode(workspace(1), partition, &text), Ok(next));
            prop_assert_eq!(cursors.decode(workspace(2), partition, &text), Err(GapReason::Cursor));
            prop_assert_eq!(cursors.decode(workspace(1), partition ^ 1, &text), Err(GapReason::Cursor));
            prop_assert_eq!(Cursors::new("two").decode(workspace(1), partition, &text), Err(GapReason::Epoch));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
            prop_assert!(Cursors::new("one").decode(workspace(1), 0, &text).is_err());
        }
    }
}
