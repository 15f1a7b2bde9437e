//! A socket as the rest of the hub sees it: a bounded queue of frames, and why it closes.
//!
//! Whoever has a frame for a socket pushes a reference to its bytes; nobody ever waits for a socket. The response body
//! ([`super::body`]) takes frames out when the kernel has room. Three limits: above the soft one ephemeral frames are
//! dropped; above the hard one, or when the oldest frame has waited too long, the socket is closed as slow. Frames of a
//! replay do not count against size, since they are references into memory that is held anyway, but they do age.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::bell::Bell;
use super::close::CloseCode;
use super::wire::{Opcode, close_payload, write_header};

/// Above so many waiting bytes, ephemeral frames are dropped.
const SOFT_BYTES: usize = 64 << 10;
/// Above so many waiting frames, ephemeral frames are dropped.
const SOFT_FRAMES: usize = 128;
/// Above so many waiting bytes, the socket is closed.
const HARD_BYTES: usize = 512 << 10;
/// Above so many waiting frames, the socket is closed.
const HARD_FRAMES: usize = 512;
/// The most bytes that are given to actix at once; its buffers keep what they once grew to.
const CHUNK_BYTES: usize = 16 << 10;
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
struct Waiting {
    bytes: Bytes,
    since_ms: u32,
    opcode: Opcode,
    class: Class,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of frames that count against the limits.
    bytes: usize,
    frames: usize,
    /// Counted frames in all, those waiting included.
    counted: u64,
    acknowledged: u64,
    /// When the oldest counted frame without an acknowledgement was pushed.
    unacknowledged_since_ms: Option<u32>,
    closing: Option<CloseCode>,
    /// What the close frame holds, if it is the answer to the client's.
    close_answer: Option<Bytes>,
    close_written: bool,
}

/// Why a session must look up.
const CLOSING: u8 = 1;
const BODY_GONE: u8 = 2;

/// A socket.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Unique in the process.
    pub(crate) id: u64,
    opened: Instant,
    queue: Mutex<Queue>,
    bell: Option<Arc<Bell>>,
    body: AtomicWaker,
    session: AtomicWaker,
    signals: AtomicU8,
    batches: AtomicBool,
    acknowledges: AtomicBool,
}

impl Connection {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            opened: Instant::now(),
            queue: Mutex::default(),
            bell: None,
            body: AtomicWaker::new(),
            session: AtomicWaker::new(),
            signals: AtomicU8::new(0),
            batches: AtomicBool::new(false),
            acknowledges: AtomicBool::new(false),
        }
    }

    /// Its body is woken together with the others of its worker.
    pub(crate) fn with_bell(mut self, bell: Arc<Bell>) -> Self {
        self.bell = Some(bell);
        self
    }

    fn wake_body(&self) {
        match (&self.bell, self.body.take()) {
            (Some(bell), Some(body)) => bell.ring_for(body),
            (None, Some(body)) => body.wake(),
            (_, None) => {}
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since it was opened; wraps after 49 days, which makes one age wrong at most.
    #[expect(clippy::cast_possible_truncation, reason = "ages are differences of wrapping numbers")]
    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.opened).as_millis() as u32
    }

    /// Lets frames share a message.
    pub(crate) fn enable_batches(&self) {
        self.batches.store(true, Ordering::Relaxed);
    }

    /// Takes the client's promise to acknowledge.
    pub(crate) fn enable_acknowledgements(&self) {
        self.acknowledges.store(true, Ordering::Relaxed);
    }

    /// Queues a text frame. Never waits; closes the connection if it is over a hard limit.
    pub(crate) fn push(&self, frame: &Bytes, class: Class, now: Instant) {
        self.push_as(Opcode::Text, frame, class, now);
    }

    /// Queues a frame of another kind.
    pub(crate) fn push_as(&self, opcode: Opcode, frame: &Bytes, class: Class, now: Instant) {
        let since_ms = self.millis(now);
        let mut queue = self.queue();
        if queue.closing.is_some() {
            return;
        }
        if class == Class::Ephemeral && (queue.bytes > SOFT_BYTES || queue.frames > SOFT_FRAMES) {
            drop(queue);
            metrics::counter!("saler_socket_dropped_frames_total").increment(1);
            return;
        }
        if class == Class::Latest
            && let Some(old) = queue.waiting.iter_mut().find(|waiting| waiting.class == Class::Latest)
        {
            let (before, after) = (old.bytes.len(), frame.len());
            old.bytes = frame.clone();
            queue.bytes = (queue.bytes + after).saturating_sub(before);
            return;
        }
        if matches!(class, Class::Counted | Class::Replayed) {
            queue.counted += 1;
            if queue.unacknowledged_since_ms.is_none() && self.acknowledges.load(Ordering::Relaxed) {
                queue.unacknowledged_since_ms = Some(since_ms);
            }
        }
        if class != Class::Replayed {
            queue.bytes += frame.len();
            queue.frames += 1;
        }
        if queue.bytes > HARD_BYTES || queue.frames > HARD_FRAMES {
            self.close_locked(queue, CloseCode::Slow);
            return;
        }
        let was_empty = queue.waiting.is_empty();
        queue.waiting.push_back(Waiting { bytes: frame.clone(), since_ms, opcode, class });
        drop(queue);
        if was_empty {
            self.wake_body();
        }
    }

    /// Queues a heartbeat made from the number of counted frames before it.
    pub(crate) fn push_after_count(&self, now: Instant, frame: impl FnOnce(u64) -> Bytes) {
        // No other thread pushes between: heartbeats are made under the partition's lock, like events.
        let counted = self.queue().counted;
        self.push(&frame(counted), Class::Control, now);
    }

    /// The client has `n` counted frames.
    pub(crate) fn acknowledge(&self, n: u64, now: Instant) {
        let since_ms = self.millis(now);
        let mut queue = self.queue();
        queue.acknowledged = n.clamp(queue.acknowledged, queue.counted);
        queue.unacknowledged_since_ms =
            (queue.acknowledged < queue.counted && self.acknowledges.load(Ordering::Relaxed)).then_some(since_ms);
    }

    /// Closes it if its reader is too slow now.
    pub(crate) fn check_age(&self, now: Instant, queue_age: Duration, ack_timeout: Duration) {
        let now_ms = self.millis(now);
        // Negative for a frame that was pushed after `now` was taken: it has no age yet.
        let age_ms = |since_ms: u32| u32::try_from(now_ms.wrapping_sub(since_ms).cast_signed()).unwrap_or(0);
        let older = |since_ms: u32, limit: Duration| u128::from(age_ms(since_ms)) > limit.as_millis();
        let queue = self.queue();
        let aged = queue.waiting.front().is_some_and(|oldest| older(oldest.since_ms, queue_age));
        let silent = queue.unacknowledged_since_ms.is_some_and(|since_ms| older(since_ms, ack_timeout));
        if queue.closing.is_none() && (aged || silent) {
            self.close_locked(queue, CloseCode::Slow);
        }
    }

    /// Begins to close; the first reason counts.
    pub(crate) fn close(&self, code: CloseCode) {
        let queue = self.queue();
        if queue.closing.is_none() {
            self.close_locked(queue, code);
        }
    }

    /// Answers the client's close frame with its own code, as RFC 6455, 5.5.1 asks.
    pub(crate) fn answer_close(&self, code: Option<u16>) {
        let answer = code.map_or_else(Bytes::new, |code| Bytes::copy_from_slice(&code.to_be_bytes()));
        let mut queue = self.queue();
        if queue.closing.is_none() {
            queue.close_answer = Some(answer);
            self.close_locked(queue, CloseCode::Normal);
        }
    }

    fn close_locked(&self, mut queue: MutexGuard<'_, Queue>, code: CloseCode) {
        queue.closing = Some(code);
        if code.drops_queue() {
            queue.waiting = VecDeque::new();
        }
        drop(queue);
        metrics::counter!("saler_socket_closed_total", "reason" => code.reason()).increment(1);
        self.signal(CLOSING);
        self.wake_body();
    }

    fn signal(&self, signal: u8) {
        self.signals.fetch_or(signal, Ordering::AcqRel);
        self.session.wake();
    }

    /// Whether it is open for more.
    pub(crate) fn is_open(&self) -> bool {
        self.signals.load(Ordering::Acquire) == 0
    }

    /// The body was dropped: the TCP connection is gone, or all is written.
    pub(crate) fn body_dropped(&self) {
        self.signal(BODY_GONE);
    }

    /// Whether the body, and so the TCP connection, is certainly still there. True only for the connection's own thread.
    pub(crate) fn body_is_alive(&self) -> bool {
        self.signals.load(Ordering::Acquire) & BODY_GONE == 0
    }

    /// Waits until it is closing or gone.
    pub(crate) async fn ended(&self) {
        self.signalled(CLOSING | BODY_GONE).await;
    }

    /// Waits until the body is gone.
    pub(crate) async fn body_gone(&self) {
        self.signalled(BODY_GONE).await;
    }

    async fn signalled(&self, mask: u8) {
        poll_fn(|context| {
            self.session.register(context.waker());
            if self.signals.load(Ordering::Acquire) & mask == 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// The next bytes for the socket; `None` after the close frame.
    pub(crate) fn poll_bytes(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        self.body.register(context.waker());
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            return match queue.closing {
                None => Poll::Pending,
                Some(_) if queue.close_written => Poll::Ready(None),
                Some(code) => {
                    queue.close_written = true;
                    let payload = queue.close_answer.take().unwrap_or_else(|| close_payload(code).into());
                    let mut bytes = BytesMut::with_capacity(payload.len() + 2);
                    write_header(&mut bytes, Opcode::Close, payload.len());
                    bytes.put_slice(&payload);
                    Poll::Ready(Some(bytes.freeze()))
                }
            };
        }
        Poll::Ready(Some(queue.write_chunk(self.batches.load(Ordering::Relaxed))))
    }
}

impl Queue {
    fn write_chunk(&mut self, batches: bool) -> Bytes {
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
        let mut chunk = BytesMut::with_capacity(size.min(CHUNK_BYTES));
        let mut taken: VecDeque<Waiting> = self.waiting.drain(..fitting).collect();
        while let Some(first) = taken.pop_front() {
            self.forget(&first);
            let together = if batches && first.opcode == Opcode::Text {
                taken.iter().take_while(|next| next.opcode == Opcode::Text).count()
            } else {
                0
            };
            let length =
                first.bytes.len() + taken.iter().take(together).map(|next| next.bytes.len() + 1).sum::<usize>();
            write_header(&mut chunk, first.opcode, length);
            chunk.put_slice(&first.bytes);
            for next in taken.drain(..together) {
                self.forget(&next);
                chunk.put_u8(b'\n');
                chunk.put_slice(&next.bytes);
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_FRAMES {
            self.waiting = VecDeque::new();
        }
        chunk.freeze()
    }

    fn forget(&mut self, written: &Waiting) {
        if written.class != Class::Replayed {
            self.bytes = self.bytes.saturating_sub(written.bytes.len());
            self.frames = self.frames.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    fn drain(connection: &Connection) -> Vec<u8> {
        let waker = noop_waker();
        let context = Context::from_waker(&waker);
        let mut all = Vec::new();
        while let Poll::Ready(Some(bytes)) = connection.poll_bytes(&context) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_closed_at_the_hard_limit_and_holds_nothing_after() {
        let connection = Connection::new(1);
        let frame = Bytes::from(vec![b'x'; 1_000]);
        for _ in 0..=HARD_FRAMES {
            assert!(connection.is_open());
            connection.push(&frame, Class::Counted, Instant::now());
        }
        assert!(!connection.is_open());
        assert_eq!(connection.queue().waiting.capacity(), 0);
        assert_eq!(drain(&connection), [&[0x88, 13][..], &4008_u16.to_be_bytes(), b"slow_reader"].concat());
    }

    #[tokio::test]
    async fn age_closes_and_so_do_missing_acknowledgements() {
        let limit = Duration::from_secs(5);
        let connection = Connection::new(1);
        connection.enable_acknowledgements();
        let start = Instant::now();
        let frame = Bytes::from_static(b"{}");
        connection.push(&frame, Class::Counted, start);
        connection.check_age(start + limit, limit, limit);
        assert!(connection.is_open());
        drain(&connection);
        connection.acknowledge(1, start + limit);
        connection.check_age(start + limit * 3, limit, limit);
        assert!(connection.is_open(), "all is written and acknowledged");
        connection.push(&frame, Class::Counted, start + limit * 3);
        drain(&connection);
        connection.check_age(start + limit * 5, limit, limit);
        assert!(!connection.is_open(), "written, but never acknowledged");

        let early = Connection::new(3);
        early.push(&frame, Class::Counted, start + limit);
        early.check_age(start, limit, limit);
        assert!(early.is_open(), "pushed while the ages of others were looked at");

        let silent = Connection::new(2);
        silent.push(&frame, Class::Counted, start);
        silent.check_age(start + limit * 2, limit, limit);
        assert!(!silent.is_open(), "never written");
    }

    #[tokio::test]
    async fn ephemeral_frames_are_dropped_first_and_replays_count_for_nothing() {
        let connection = Connection::new(1);
        let now = Instant::now();
        for _ in 0..HARD_FRAMES * 4 {
            connection.push(&Bytes::from_static(b"r"), Class::Replayed, now);
        }
        for _ in 0..=SOFT_FRAMES {
            connection.push(&Bytes::from_static(b"c"), Class::Counted, now);
        }
        connection.push(&Bytes::from_static(b"e"), Class::Ephemeral, now);
        connection.push(&Bytes::from_static(b"old board"), Class::Latest, now);
        connection.push(&Bytes::from_static(b"new board"), Class::Latest, now);
        assert!(connection.is_open());
        connection.enable_batches();
        let bytes = drain(&connection);
        assert_eq!(bytes.split(|byte| *byte == b'r').count(), HARD_FRAMES * 4 + 2);
        assert!(!bytes.windows(9).any(|window| window == b"old board") && bytes.ends_with(b"\nnew board"));
    }
}
