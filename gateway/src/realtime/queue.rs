//! What waits for a socket: its frames, how they are counted, and how they become bytes.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::close::CloseCode;
use super::os::SocketDescriptor;
use super::wire::{Opcode, write_header};

/// Above so many waiting bytes, ephemeral frames are dropped.
pub(super) const SOFT_BYTES: usize = 64 << 10;
/// Above so many waiting frames, ephemeral frames are dropped.
pub(super) const SOFT_FRAMES: usize = 128;
/// Above so many waiting bytes, the socket is closed.
pub(super) const HARD_BYTES: usize = 512 << 10;
/// Above so many waiting frames, the socket is closed.
pub(super) const HARD_FRAMES: usize = 512;
/// The most bytes that are written at once; actix's buffers keep what they once grew to.
pub(super) const CHUNK_BYTES: usize = 16 << 10;
/// A queue that once held more than this is given back when it is empty.
const KEPT_FRAMES: usize = 16;

/// How a frame is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An event: counted, so that its loss is noticed.
    Counted,
    /// An event of a replay: counted, and exempt from the limits of size.
    Replayed,
    /// An answer or a heartbeat.
    Control,
    /// Dropped above the soft limit.
    Ephemeral,
    /// Replaces a waiting one: the live board.
    Latest,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) bytes: Bytes,
    pub(super) since_ms: u32,
    pub(super) opcode: Opcode,
    pub(super) class: Class,
}

/// How frames reach the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Way {
    /// As the response's body, through actix's buffer, until the client speaks.
    #[default]
    Body,
    /// Written by the worker itself.
    Direct(SocketDescriptor),
    /// As the body again, since the kernel had no room.
    Blocked,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) way: Way,
    /// What the kernel had no room for when it was written directly: goes before all else, and as the body.
    pub(super) rest: Bytes,
    /// Of frames that count against the limits.
    pub(super) bytes: usize,
    pub(super) frames: usize,
    /// Counted frames in all, those waiting included.
    pub(super) counted: u64,
    pub(super) acknowledged: u64,
    /// When the oldest counted frame without an acknowledgement was pushed.
    pub(super) unacknowledged_since_ms: Option<u32>,
    pub(super) closing: Option<CloseCode>,
    /// What the close frame holds, if it is the answer to the client's.
    pub(super) close_answer: Option<Bytes>,
    pub(super) close_written: bool,
}

impl Queue {
    /// Takes frames out, as many as fit, and writes them; text frames share a message if `batches`.
    pub(super) fn write_chunk(&mut self, batches: bool, chunk: &mut BytesMut) {
        let mut size = 0;
        let fitting = self
            .waiting
            .iter()
            .take_while(|waiting| {
                size += waiting.bytes.len() + 10;
                size <= CHUNK_BYTES
            })
            .count()
            .max(1);
        chunk.reserve(size.min(CHUNK_BYTES));
        let mut left = fitting;
        while left > 0 {
            let Some(first) = self.waiting.pop_front() else { break };
            left -= 1;
            self.forget(&first);
            let together = if batches && first.opcode == Opcode::Text {
                self.waiting.iter().take(left).take_while(|next| next.opcode == Opcode::Text).count()
            } else {
                0
            };
            let others = self.waiting.iter().take(together).map(|next| next.bytes.len() + 1).sum::<usize>();
            write_header(chunk, first.opcode, first.bytes.len() + others);
            chunk.put_slice(&first.bytes);
            for _ in 0..together {
                let Some(next) = self.waiting.pop_front() else { break };
                self.forget(&next);
                chunk.put_u8(b'\n');
                chunk.put_slice(&next.bytes);
            }
            left -= together;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_FRAMES {
            self.waiting = VecDeque::new();
        }
    }

    fn forget(&mut self, written: &Waiting) {
        if written.class != Class::Replayed {
            self.bytes = self.bytes.saturating_sub(written.bytes.len());
            self.frames = self.frames.saturating_sub(1);
        }
    }
}
