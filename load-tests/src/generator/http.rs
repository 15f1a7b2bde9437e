//! A raw HTTP/1.1 client for prepared requests over one kept-alive connection. It reads the status and skips the body.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Why an exchange ended without a status.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection failed or ended; the request may have been taken or not.
    #[error("the connection failed")]
    Connection(#[from] std::io::Error),
    /// The connection ended within an answer.
    #[error("the connection ended before the answer was complete")]
    Ended,
    /// The answer is not one that this client reads.
    #[error("the answer is not HTTP/1.1 with a content-length")]
    Unreadable,
}

/// A kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Opens a TCP connection, from `source` if one is given, with Nagle's algorithm off.
///
/// # Errors
/// Those of the sockets.
pub async fn connect(address: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// Those of the sockets.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { stream: connect(address, None).await?, buffer: Vec::with_capacity(2_048) })
    }

    /// Sends a request and gives the status of its answer.
    ///
    /// # Errors
    /// See [`ExchangeError`]; the connection is of no use afterwards.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<u16, ExchangeError> {
        self.stream.write_all(request).await?;
        loop {
            if let Some((status, length)) = parse_response(&self.buffer)?
                && self.buffer.len() >= length
            {
                self.buffer.drain(..length);
                return Ok(status);
            }
            if self.buffer.len() > MAX_RESPONSE_BYTES {
                return Err(ExchangeError::Unreadable);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ExchangeError::Ended);
            }
        }
    }
}

/// The status of the answer at the beginning of `buffer`, and how many bytes it has in all; `None` if its head is not
/// complete yet.
fn parse_response(buffer: &[u8]) -> Result<Option<(u16, usize)>, ExchangeError> {
    let Some(head_end) = crate::simulator::http::find(buffer, b"\r\n\r\n") else { return Ok(None) };
    let head = buffer.get(..head_end).ok_or(ExchangeError::Unreadable)?;
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(parse_status).ok_or(ExchangeError::Unreadable)?;
    let mut length = None;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.get(1..).unwrap_or_default().trim_ascii();
            length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        }
    }
    let bodiless = status == 204 || status == 304 || status < 200;
    let body = if bodiless { 0 } else { length.ok_or(ExchangeError::Unreadable)? };
    Ok(Some((status, head_end.saturating_add(4).saturating_add(body))))
}

fn parse_status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _parsed = parse_response(&bytes);
        }
    }

    #[test]
    fn reads_the_status_and_the_whole_length() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nx: y\r\n\r\n<Response/>HTTP/1.1 ";
        let (status, length) = parse_response(answer).unwrap().unwrap();
        assert_eq!((status, answer.len() - length), (200, 9));
        assert_eq!(parse_response(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
        assert_eq!(parse_response(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some((204, 27)));
        assert!(parse_response(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
