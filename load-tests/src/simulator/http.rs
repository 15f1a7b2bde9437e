//! A small HTTP/1.1 server under the simulator's control to the last byte: it can leave a request unanswered, close in
//! the middle, answer late, or stop listening for a while, which a framework would not let it do.
//!
//! Limits: heads of 16 KiB, bodies of 256 KiB with a length; no chunked requests, no pipelining.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::twilio::{Params, decode_form};

const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 256 * 1024;
const MAX_CONNECTIONS: usize = 4_096;
const LISTEN_BACKLOG: u32 = 1_024;

/// A request, read in full.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET`, `POST`, …
    pub(crate) method: String,
    /// The path, percent-encoded as it came.
    pub(crate) path: String,
    /// The parameters of the query, decoded.
    pub(crate) query: Params,
    headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first header of this lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// What goes back.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The media type of the body.
    pub(crate) content_type: &'static str,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, content_type: "text/plain", headers: Vec::new(), body: Vec::new() }
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answer it.
    Respond(Response),
    /// Close the connection without a byte.
    Drop,
}

/// Answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// What to do with this one.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Serves until `stop`. A change of `outage` cuts every connection; then nothing listens for so long, and connections are
/// refused by the kernel.
pub(crate) async fn serve<H: Handler + Clone>(
    listener: TcpListener,
    handler: H,
    mut outage: watch::Receiver<Duration>,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let Ok(address) = listener.local_addr() else { return };
    let mut listening = Some(listener);
    // Ends the connections of one period of listening: an outage cuts what is open, too.
    let mut period = stop.child_token();
    loop {
        let Some(listener) = &listening else {
            listening = listen_again(address);
            if listening.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            continue;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = outage.changed() => {
                if changed.is_err() {
                    return;
                }
                let length = *outage.borrow_and_update();
                listening = None;
                period.cancel();
                period = stop.child_token();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(length) => {}
                }
            }
            accepted = listener.accept() => {
                let Ok((stream, _peer)) = accepted else { continue };
                let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
                let handler = handler.clone();
                let period = period.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    tokio::select! {
                        () = period.cancelled() => {}
                        () = serve_connection(stream, &handler) => {}
                    }
                });
            }
        }
    }
}

fn listen_again(address: SocketAddr) -> Option<TcpListener> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_reuseaddr(true).ok()?;
    socket.bind(address).ok()?;
    socket.listen(LISTEN_BACKLOG).ok()
}

async fn serve_connection<H: Handler>(mut stream: TcpStream, handler: &H) {
    // Nagle's algorithm would delay small answers; a failure to switch it off only costs time.
    let _delayed = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        let request = match read_request(&mut stream, &mut buffer).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(status) => {
                let _closing = stream.write_all(&encode(&Response::empty(status), true)).await;
                return;
            }
        };
        let close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        match handler.handle(request).await {
            Reply::Drop => return,
            Reply::Respond(response) => {
                if stream.write_all(&encode(&response, close)).await.is_err() || close {
                    return;
                }
            }
        }
    }
}

/// The next request; `None` at the end of the connection; the status of a refusal as error.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Request>, u16> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(431);
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    };
    let mut request = parse_head(buffer.get(..head_end).unwrap_or_default()).ok_or(400_u16)?;
    if request.header("transfer-encoding").is_some() {
        return Err(411);
    }
    let length = match request.header("content-length") {
        None => 0,
        Some(text) => text.parse::<usize>().map_err(|_not_a_number| 400_u16)?,
    };
    if length > MAX_BODY_BYTES {
        return Err(413);
    }
    let body_start = head_end.saturating_add(4);
    let body_end = body_start.saturating_add(length);
    while buffer.len() < body_end {
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
    request.body = buffer.get(body_start..body_end).unwrap_or_default().to_vec();
    buffer.drain(..body_end);
    Ok(Some(request))
}

fn parse_head(head: &[u8]) -> Option<Request> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut start = lines.next()?.split(' ');
    let (method, target, version) = (start.next()?, start.next()?, start.next()?);
    if !version.starts_with("HTTP/1.") || start.next().is_some() {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .map(|line| {
            line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: decode_form(query.as_bytes()),
        headers,
        body: Vec::new(),
    })
}

fn encode(response: &Response, close: bool) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
        response.status,
        reason(response.status),
        response.content_type,
        response.body.len()
    );
    for (name, value) in &response.headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str(if close { "connection: close\r\n\r\n" } else { "\r\n" });
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&response.body);
    bytes
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

/// Where `needle` begins in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_head_panics(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let _parsed = parse_head(&head);
        }
    }

    #[test]
    fn reads_a_head() {
        let request = parse_head(b"GET /a%20b?To=%2B1&DateSent%3E=2026-01-01 HTTP/1.1\r\nHost: x\r\nX-A:  b ").unwrap();
        assert_eq!(request.path, "/a%20b");
        assert_eq!(request.query, [("To".into(), "+1".into()), ("DateSent>".into(), "2026-01-01".into())]);
        assert_eq!(request.header("x-a"), Some("b"));
    }
}
