//! A raw client of the agents' socket, protocol `saler.v1`: the handshake, the sign-in, heartbeats, and what a resume needs.
//!
//! Frames of events are recognised by their first bytes and handed out as they came; only the rare other frames are read
//! as JSON.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::channel::Secret;
use schemas::socket::{Auth, Capability, ClientFrame, GapReason, Resume, SUBPROTOCOL, ServerFrame};
use sha1::{Digest as _, Sha1};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::frame::{FrameError, FrameReader, Opcode, close_code, write_masked};
use super::http::connect;

/// The buffer that all sockets of a thread read into, in turn.
const SCRATCH_BYTES: usize = 64 * 1024;
const MAX_HANDSHAKE_BYTES: usize = 16 * 1024;
/// RFC 6455, 1.3.
const HANDSHAKE_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Counted frames between two acknowledgements, if the socket acknowledges.
const ACK_EVERY: u64 = 32;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Why a socket could not be opened or ended.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The connection failed.
    #[error("the connection failed")]
    Connection(#[from] std::io::Error),
    /// The hub answered the handshake with another status than 101.
    #[error("the handshake was answered with status {0}")]
    Refused(u16),
    /// The hub's answer to the handshake is wrong.
    #[error("the handshake's answer is wrong: {0}")]
    Handshake(&'static str),
    /// What came is no WebSocket.
    #[error("the hub broke the WebSocket protocol")]
    Frame(#[from] FrameError),
    /// What came is no `saler.v1`.
    #[error("a frame cannot be read: {0}")]
    Protocol(String),
    /// The connection was closed with this code; 1006 if without one.
    #[error("the connection was closed with code {0}")]
    Closed(u16),
}

/// How to sign in.
#[derive(Clone, Debug)]
pub struct SignOn {
    /// Where the hub is.
    pub address: SocketAddr,
    /// The origin of the page that the socket would be opened by.
    pub origin: String,
    /// From which address of ours.
    pub source: Option<IpAddr>,
    /// The access token or API token.
    pub token: String,
    /// Names the device: a second socket of the same person and device replaces the first.
    pub device: String,
    /// Which topics.
    pub topics: Vec<String>,
    /// Whether to acknowledge events.
    pub acknowledge: bool,
    /// The kernel's receive buffer; the system's default if absent.
    pub receive_buffer: Option<usize>,
}

/// What `ready` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Whether what was missed follows.
    pub resumed: bool,
    /// How many counted frames of it.
    pub replay: u64,
    /// Why there is no resume, if one was wished for.
    pub gap: Option<GapReason>,
}

/// Something that came on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An event with its place; the frame is its JSON.
    Event {
        /// Partition and offset.
        place: (u32, u64),
        /// The whole frame.
        frame: &'a [u8],
    },
    /// A conversation is out of sight.
    Gone {
        /// Partition and offset.
        place: (u32, u64),
    },
    /// The replay is over.
    Resumed,
    /// Events are missing from here on.
    Gap(GapReason),
    /// The live board changed.
    Kpi(&'a [u8]),
    /// The hub goes down.
    Drain,
    /// The heartbeat's count of frames differs from ours: some were lost.
    Miscount {
        /// By the hub's count.
        hub: u64,
        /// By ours.
        ours: u64,
    },
}

/// A signed-in socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    reader: FrameReader,
    early: Vec<u8>,
    out: Vec<u8>,
    counted: u64,
    acknowledged: u64,
    acknowledges: bool,
    resume: Resume,
}

impl Socket {
    /// Connects and signs in; resumes if `resume` is given.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn open(sign_on: &SignOn, resume: Option<Resume>) -> Result<(Self, Welcome), SocketError> {
        let mut socket = Self::handshake(sign_on).await?;
        let auth = ClientFrame::Auth(Auth {
            id: 1,
            token: Secret::new(sign_on.token.clone()),
            device: Some(sign_on.device.clone()),
            subs: sign_on.topics.clone(),
            resume,
            caps: if sign_on.acknowledge { vec![Capability::Batch, Capability::Ack] } else { vec![Capability::Batch] },
        });
        socket.send(&auth).await?;
        let mut welcome = None;
        while welcome.is_none() {
            // What follows `ready` in the same read must not be lost: it is kept for the first `listen`.
            let mut kept = Vec::new();
            let mut failed = None;
            socket
                .read(|message| {
                    if welcome.is_some() {
                        kept.push(b'\n');
                        kept.extend_from_slice(message);
                        return;
                    }
                    let mut frames = message.split(|byte| *byte == b'\n');
                    for frame in frames.by_ref() {
                        match serde_json::from_slice(frame) {
                            Ok(ServerFrame::Ready { cur, resumed, replay, gap, .. }) => {
                                welcome = Some((cur, Welcome { resumed, replay, gap }));
                                break;
                            }
                            Ok(_) => {}
                            Err(error) => failed = Some(error.to_string()),
                        }
                    }
                    for frame in frames {
                        kept.push(b'\n');
                        kept.extend_from_slice(frame);
                    }
                })
                .await?;
            if let Some(error) = failed {
                return Err(SocketError::Protocol(error));
            }
            socket.early = kept;
        }
        let (cursor, welcome) = welcome.ok_or(SocketError::Closed(1006))?;
        socket.resume = Resume { cur: cursor, p: None };
        Ok((socket, welcome))
    }

    async fn handshake(sign_on: &SignOn) -> Result<Self, SocketError> {
        let mut stream = connect(sign_on.address, sign_on.source).await?;
        if let Some(bytes) = sign_on.receive_buffer {
            SockRef::from(&stream).set_recv_buffer_size(bytes)?;
        }
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let request = format!(
            "GET /api/v1/socket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\
             Origin: {}\r\n\r\n",
            sign_on.address, sign_on.origin
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        let head_end = loop {
            if let Some(at) = crate::simulator::http::find(&answer, b"\r\n\r\n") {
                break at;
            }
            if answer.len() > MAX_HANDSHAKE_BYTES {
                return Err(SocketError::Handshake("its head is too long"));
            }
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(SocketError::Closed(1006));
            }
        };
        let after = answer.split_off(head_end.saturating_add(4));
        check_handshake(&answer, &key)?;
        let mut reader = FrameReader::default();
        // `hello` may have come along; it says nothing that is needed here, but what follows it must keep its place.
        reader.feed(&after, |_opcode, _payload| {})?;
        Ok(Self {
            stream,
            reader,
            early: Vec::new(),
            out: Vec::new(),
            counted: 0,
            acknowledged: 0,
            acknowledges: sign_on.acknowledge,
            resume: Resume { cur: String::new(), p: None },
        })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), SocketError> {
        let json = serde_json::to_vec(frame).map_err(|error| SocketError::Protocol(error.to_string()))?;
        write_masked(Opcode::Text, &json, rand::random(), &mut self.out);
        self.flush().await
    }

    /// Waits for something to come, and hands it out; answers heartbeats and pings, acknowledges if agreed.
    ///
    /// # Errors
    /// [`SocketError::Closed`] at the end of the connection, and the others.
    pub async fn listen(&mut self, mut on_heard: impl FnMut(Heard<'_>)) -> Result<(), SocketError> {
        let mut state = State { counted: self.counted, resume: self.resume.clone(), beat: false, failed: None };
        if self.early.is_empty() {
            self.read(|message| {
                for frame in message.split(|byte| *byte == b'\n') {
                    state.hear(frame, &mut on_heard);
                }
            })
            .await?;
        } else {
            for frame in std::mem::take(&mut self.early).split(|byte| *byte == b'\n') {
                state.hear(frame, &mut on_heard);
            }
        }
        self.counted = state.counted;
        self.resume = state.resume;
        if let Some(error) = state.failed {
            return Err(SocketError::Protocol(error));
        }
        if state.beat {
            let n = self.acknowledges.then_some(self.counted);
            self.send(&ClientFrame::Hb { n }).await?;
        } else if self.acknowledges && self.counted >= self.acknowledged + ACK_EVERY {
            self.send(&ClientFrame::Ack { n: self.counted }).await?;
            self.acknowledged = self.counted;
        }
        if !self.out.is_empty() {
            self.flush().await?;
        }
        Ok(())
    }

    /// What a later socket needs to go on behind what came on this one.
    pub fn resume(&self) -> Resume {
        self.resume.clone()
    }

    /// How many counted frames came.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    async fn flush(&mut self) -> Result<(), SocketError> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    /// Reads once and hands out each text message; pongs are put into `out`.
    async fn read(&mut self, mut on_text: impl FnMut(&[u8])) -> Result<(), SocketError> {
        loop {
            self.stream.readable().await?;
            let Self { stream, reader, out, .. } = self;
            let read = SCRATCH.with_borrow_mut(|scratch| {
                let length = match stream.try_read(scratch) {
                    Ok(0) => return Err(SocketError::Closed(1006)),
                    Ok(length) => length,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error.into()),
                };
                let mut closed = None;
                reader.feed(scratch.get(..length).unwrap_or_default(), |opcode, payload| match opcode {
                    Opcode::Text => on_text(payload),
                    Opcode::Ping => write_masked(Opcode::Pong, payload, rand::random(), out),
                    Opcode::Close => closed = Some(close_code(payload)),
                    Opcode::Binary | Opcode::Pong => {}
                })?;
                closed.map_or(Ok(true), |code| Err(SocketError::Closed(code)))
            })?;
            if read {
                return Ok(());
            }
        }
    }
}

/// What changes while frames are heard.
struct State {
    counted: u64,
    resume: Resume,
    beat: bool,
    failed: Option<String>,
}

impl State {
    fn hear(&mut self, frame: &[u8], on_heard: &mut impl FnMut(Heard<'_>)) {
        if frame.is_empty() {
            return;
        }
        if let Some(place) = place_after(frame, b"{\"op\":\"ev\",\"p\":[") {
            self.counted += 1;
            self.resume.p = Some(place);
            return on_heard(Heard::Event { place, frame });
        }
        match serde_json::from_slice(frame) {
            Ok(ServerFrame::Ev { p: place, .. }) => {
                self.counted += 1;
                self.resume.p = Some(place);
                on_heard(Heard::Event { place, frame });
            }
            Ok(ServerFrame::Gone { p: place, .. }) => {
                self.counted += 1;
                self.resume.p = Some(place);
                on_heard(Heard::Gone { place });
            }
            Ok(ServerFrame::Resumed { n, cur }) => {
                self.count_is(n, on_heard);
                self.resume = Resume { cur, p: None };
                on_heard(Heard::Resumed);
            }
            Ok(ServerFrame::Hb { n, cur }) => {
                self.count_is(n, on_heard);
                self.beat = true;
                if let Some(cur) = cur {
                    self.resume = Resume { cur, p: None };
                }
            }
            Ok(ServerFrame::Gap { why }) => on_heard(Heard::Gap(why)),
            Ok(ServerFrame::Kpi { .. }) => on_heard(Heard::Kpi(frame)),
            Ok(ServerFrame::Drain { .. }) => on_heard(Heard::Drain),
            Ok(_) => {}
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    fn count_is(&self, hub: u64, on_heard: &mut impl FnMut(Heard<'_>)) {
        if hub != self.counted {
            on_heard(Heard::Miscount { hub, ours: self.counted });
        }
    }
}

/// The `partition,offset` that follows `prefix`.
fn place_after(frame: &[u8], prefix: &[u8]) -> Option<(u32, u64)> {
    let rest = frame.strip_prefix(prefix)?;
    let (partition, rest) = number(rest)?;
    let (offset, _rest) = number(rest.strip_prefix(b",")?)?;
    Some((u32::try_from(partition).ok()?, offset))
}

/// The decimal number at the beginning of `bytes`, and what follows it.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at_checked(digits)?;
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    Some((digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')), rest))
}

fn check_handshake(head: &[u8], key: &str) -> Result<(), SocketError> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(101) => {}
        Some(status) => return Err(SocketError::Refused(status)),
        None => return Err(SocketError::Handshake("it is not HTTP")),
    }
    let expected = STANDARD.encode(Sha1::digest(format!("{key}{HANDSHAKE_GUID}")));
    let mut accepted = false;
    let mut protocol = false;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        accepted |= name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == expected;
        protocol |= name.eq_ignore_ascii_case("sec-websocket-protocol") && value.trim() == SUBPROTOCOL;
    }
    if !accepted {
        return Err(SocketError::Handshake("Sec-WebSocket-Accept does not fit the key"));
    }
    if !protocol {
        return Err(SocketError::Handshake("Sec-WebSocket-Protocol is not saler.v1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_the_handshake_by_the_example_of_the_standard() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: saler.v1\r\n\
                     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert!(check_handshake(good, key).is_ok());
        assert!(check_handshake(good, "AAAA").is_err());
        assert!(matches!(check_handshake(b"HTTP/1.1 503 x\r\n\r\n", key), Err(SocketError::Refused(503))));
    }

    #[test]
    fn hears_events_counts_them_and_keeps_the_place_to_resume_from() {
        let mut state = State { counted: 0, resume: Resume { cur: "a".into(), p: None }, beat: false, failed: None };
        let mut places = Vec::new();
        let mut odd = Vec::new();
        let mut hear = |state: &mut State, frame: &str| {
            state.hear(frame.as_bytes(), &mut |heard| match heard {
                Heard::Event { place, .. } => places.push(place),
                Heard::Miscount { hub, ours } => odd.push((hub, ours)),
                _ => {}
            });
        };
        hear(&mut state, r#"{"op":"ev","p":[3,88121],"d":{}}"#);
        hear(&mut state, r#"{"op":"ev","p":[3,88122],"d":{}}"#);
        assert_eq!((state.counted, state.resume.p), (2, Some((3, 88_122))));
        hear(&mut state, r#"{"op":"hb","n":2,"cur":"b"}"#);
        assert_eq!((state.beat, state.resume.cur.as_str(), state.resume.p), (true, "b", None));
        hear(&mut state, r#"{"op":"hb","n":5}"#);
        hear(&mut state, r#"{"op":"something new"}"#);
        assert!(state.failed.is_some(), "an unknown frame is reported: this client is as new as the hub");
        assert_eq!(places, [(3, 88_121), (3, 88_122)]);
        assert_eq!(odd, [(5, 2)]);
    }

    #[test]
    fn reads_numbers_and_refuses_too_long_ones() {
        assert_eq!(number(b"42]"), Some((42, b"]".as_slice())));
        assert_eq!(number(b"x"), None);
        assert_eq!(number(b"99999999999999999999"), None);
    }
}
