//! A socket as the rest of the hub sees it: a bounded queue of frames, and why it closes.
//!
//! Whoever has a frame for a socket pushes a reference to its bytes; nobody ever waits for a socket. Three limits: above the
//! soft one ephemeral frames are dropped; above the hard one, or when the oldest frame has waited too long, the socket is
//! closed as slow. Frames of a replay do not count against size, since they are references into memory that is held anyway,
//! but they do age.
//!
//! Frames leave in one of two ways. At first, and for a slow reader, they are the response's body ([`super::body`]): actix
//! asks for bytes, keeps them in a buffer, and waits for the kernel. Once the client has spoken, what came before its first
//! frame has left that buffer, so the worker writes frames itself ([`Connection::write_now`]) and neither wakes a task nor
//! copies into a second buffer for each. When the kernel has no room, the rest goes as the body again, for good: only actix
//! knows when its buffer is empty.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::bell::Bell;
use super::close::CloseCode;
use super::os::{self, SocketDescriptor};
pub(crate) use super::queue::Class;
use super::queue::{CHUNK_BYTES, HARD_BYTES, HARD_FRAMES, Queue, SOFT_BYTES, SOFT_FRAMES, Waiting, Way};
use super::wire::{Opcode, close_payload, write_header};

/// Why a session must look up.
const CLOSING: u8 = 1;
const BODY_GONE: u8 = 2;

thread_local! {
    /// Where this worker puts the bytes that it writes itself.
    static CHUNK: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(CHUNK_BYTES));
}

/// A socket.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Unique in the process.
    pub(crate) id: u64,
    opened: Instant,
    queue: Mutex<Queue>,
    /// Of its worker, with itself for the bell's list.
    bell: Option<(Arc<Bell>, Weak<Self>)>,
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

    /// A connection of this worker thread: it is woken and written together with the others.
    pub(crate) fn of_this_worker(id: u64) -> Arc<Self> {
        let bell = Bell::of_this_worker();
        Arc::new_cyclic(|myself| Self { bell: Some((bell, Weak::clone(myself))), ..Self::new(id) })
    }

    fn wake_body(&self) {
        match (&self.bell, self.body.take()) {
            (Some((bell, _)), Some(body)) => bell.ring_for(body),
            (None, Some(body)) => body.wake(),
            (_, None) => {}
        }
    }

    fn wake_writer(&self, way: Way) {
        match (way, &self.bell) {
            (Way::Direct(_), Some((bell, myself))) => {
                if let Some(myself) = myself.upgrade() {
                    bell.ring_to_write(myself);
                }
            }
            _ => self.wake_body(),
        }
    }

    /// Has the worker write frames itself from now on. To be called by the worker when bytes of the client have come: a
    /// client speaks after it has read the answer to its handshake, so nothing is left in actix's buffer.
    pub(crate) fn write_directly(&self, descriptor: Option<SocketDescriptor>) {
        let (Some(descriptor), Some(_)) = (descriptor, &self.bell) else { return };
        let mut queue = self.queue();
        if !matches!(queue.way, Way::Body) {
            return;
        }
        queue.way = Way::Direct(descriptor);
        let waits = !queue.waiting.is_empty();
        drop(queue);
        if waits {
            self.wake_writer(Way::Direct(descriptor));
        }
    }

    /// Gives what waits to the kernel. To be called only by the connection's own worker thread.
    pub(crate) fn write_now(&self) {
        CHUNK.with_borrow_mut(|chunk| {
            loop {
                let mut queue = self.queue();
                let Way::Direct(descriptor) = queue.way else { return };
                // What closes leaves as the body; what has no body has no descriptor any more.
                if queue.waiting.is_empty() || queue.closing.is_some() || !self.body_is_alive() {
                    return;
                }
                chunk.clear();
                queue.write_chunk(self.batches.load(Ordering::Relaxed), chunk);
                drop(queue);
                let written = match os::send_now(descriptor, chunk) {
                    Ok(written) => written,
                    Err(error) => {
                        tracing::debug!(%error, "a socket cannot be written");
                        // Frames are missing now: nothing may follow them.
                        return os::abort(descriptor);
                    }
                };
                if let Some(rest) = chunk.get(written..).filter(|rest| !rest.is_empty()) {
                    let mut queue = self.queue();
                    queue.rest = Bytes::copy_from_slice(rest);
                    queue.way = Way::Blocked;
                    drop(queue);
                    return self.wake_body();
                }
            }
        });
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
        let way = queue.way;
        drop(queue);
        if was_empty {
            self.wake_writer(way);
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

    /// The next bytes for the socket that leave as the body; `None` after the close frame.
    pub(crate) fn poll_bytes(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        self.body.register(context.waker());
        let mut queue = self.queue();
        if !queue.rest.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut queue.rest)));
        }
        if matches!(queue.way, Way::Direct(_)) && queue.closing.is_none() {
            return Poll::Pending;
        }
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
        let mut chunk = BytesMut::new();
        queue.write_chunk(self.batches.load(Ordering::Relaxed), &mut chunk);
        Poll::Ready(Some(chunk.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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

    /// The bytes of `count` frames.
    fn frames(count: u8) -> Vec<u8> {
        let mut all = BytesMut::new();
        for n in 0..count {
            write_header(&mut all, Opcode::Text, 2_000);
            all.put_bytes(n, 2_000);
        }
        all.to_vec()
    }

    #[actix_web::test]
    async fn what_the_kernel_has_no_room_for_follows_as_the_body() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let connection = Connection::of_this_worker(1);
        let push = |n| connection.push(&vec![n; 2_000].into(), Class::Counted, Instant::now());
        push(0);
        assert!(connection.poll_bytes(&Context::from_waker(&noop_waker())).is_ready(), "the client has not spoken");
        connection.write_directly(Some(SocketDescriptor::of(&ours)));
        (1..3).for_each(push);
        assert!(drain(&connection).is_empty(), "nothing overtakes");
        connection.write_now();
        let mut written = [0; 10_000];
        assert_eq!(theirs.read(&mut written).unwrap(), frames(3).len() - frames(1).len());

        (3..250).for_each(push);
        connection.write_now();
        connection.write_directly(Some(SocketDescriptor::of(&ours)));
        connection.write_now();
        let mut all = Vec::new();
        assert_eq!(theirs.read_to_end(&mut all).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let direct = all.len();
        all.extend(drain(&connection));
        assert!(0 < direct && direct < all.len(), "{direct} of {}", all.len());
        assert!(all == frames(250)[frames(3).len()..], "every byte once, in order");
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
