//! A small WebSocket client for tests: exactly what is written is sent, and nothing is answered by itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// No answer takes longer.
const TIMEOUT: Duration = Duration::from_mins(1);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What comes from the hub.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// A JSON object of a text message.
    Object(Value),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// A close frame.
    Close(u16),
    /// The end of the TCP connection.
    End,
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct WsClient {
    stream: TcpStream,
    buffer: Vec<u8>,
    objects: VecDeque<Value>,
    /// The largest number of objects that came in one message.
    pub(crate) largest_batch: usize,
    /// `ev` and `gone` frames that came.
    pub(crate) counted: u64,
}

/// A client's frame with a FIN bit or not.
pub(crate) fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(u8::from(fin) << 7) | opcode];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..65_536 => {
            bytes.push(0x80 | 0x7e);
            bytes.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 0x7f);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl WsClient {
    /// Upgrades; the HTTP status if it is refused.
    pub(crate) async fn open(address: SocketAddr, path: &str, origin: Option<&str>) -> Result<Self, u16> {
        Self::open_with(address, path, origin, None, "saler.v1").await
    }

    /// With a receive buffer of this size, for clients that do not read.
    pub(crate) async fn open_with(
        address: SocketAddr,
        path: &str,
        origin: Option<&str>,
        receive_buffer: Option<u32>,
        protocol: &str,
    ) -> Result<Self, u16> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        let mut stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n{origin}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut client = Self { stream, buffer: Vec::new(), objects: VecDeque::new(), largest_batch: 0, counted: 0 };
        let head = loop {
            if let Some(end) = client.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break client.buffer.drain(..end + 4).collect::<Vec<u8>>();
            }
            if !client.fill().await {
                return Err(0);
            }
        };
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 101 {
            return Err(status);
        }
        let head = head.to_lowercase();
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: saler.v1"), "{head}");
        Ok(client)
    }

    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(TIMEOUT, self.stream.read_buf(&mut self.buffer));
        matches!(read.await.expect("the hub answers in time"), Ok(1..))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The hub may have closed already.
        drop(self.stream.write_all(bytes).await);
    }

    /// Sends a text message.
    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send_bytes(&frame(true, 1, text.as_bytes())).await;
    }

    /// Sends a JSON object.
    pub(crate) async fn send(&mut self, object: &Value) {
        self.send_text(&object.to_string()).await;
    }

    /// The next thing from the hub.
    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            if let Some(object) = self.objects.pop_front() {
                if matches!(object["op"].as_str(), Some("ev" | "gone")) {
                    self.counted += 1;
                }
                return Received::Object(object);
            }
            if let Some((opcode, payload)) = self.take_frame() {
                match opcode {
                    1 => {
                        let text = String::from_utf8(payload).unwrap();
                        self.objects.extend(text.split('\n').map(|part| serde_json::from_str::<Value>(part).unwrap()));
                        self.largest_batch = self.largest_batch.max(self.objects.len());
                    }
                    8 => return Received::Close(u16::from_be_bytes([payload[0], payload[1]])),
                    10 => return Received::Pong(payload),
                    other => panic!("the hub sent opcode {other}"),
                }
            } else if !self.fill().await {
                return Received::End;
            }
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, ..] = *self.buffer.as_slice() else { return None };
        assert_eq!(first & 0xf0, 0x80, "whole frames without extensions");
        assert_eq!(second & 0x80, 0, "the hub does not mask");
        let (length, start) = match second {
            126 => (usize::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().unwrap())), 4),
            127 => (usize::try_from(u64::from_be_bytes(self.buffer.get(2..10)?.try_into().unwrap())).unwrap(), 10),
            short => (usize::from(short), 2),
        };
        if self.buffer.len() < start + length {
            return None;
        }
        let frame: Vec<u8> = self.buffer.drain(..start + length).collect();
        Some((first & 0x0f, frame[start..].to_vec()))
    }

    /// The next object; anything else is a failure.
    pub(crate) async fn next(&mut self) -> Value {
        match self.receive().await {
            Received::Object(object) => object,
            other => panic!("an object was expected, not {other:?}"),
        }
    }

    /// The next object with this `op`; what comes before it is passed over.
    pub(crate) async fn until(&mut self, op: &str) -> Value {
        loop {
            let object = self.next().await;
            if object["op"] == op {
                return object;
            }
        }
    }

    /// The code with which the hub closes; objects before it are passed over.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Received::Close(code) => return code,
                Received::Object(_) | Received::Pong(_) => {}
                Received::End => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Reads to the end of the connection; whether a close frame was seen.
    pub(crate) async fn read_to_end(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.receive().await {
                Received::Close(closed) => code = Some(closed),
                Received::End => return code,
                Received::Object(_) | Received::Pong(_) => {}
            }
        }
    }
}
