//! The frames of RFC 6455: a decoder for what clients send, and headers for what the hub sends.
//!
//! The hub writes its frames into the response body itself (see [`super::body`]), so that a frame goes from the
//! connection's queue to the socket without a second queue between.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::close::CloseCode;

/// A whole message or control frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A text message, proven UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping with its payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A close frame with its code.
    Close(Option<u16>),
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const MAX_CONTROL_BYTES: usize = 125;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Writes the header of an unfragmented, unmasked frame.
pub(crate) fn write_header(to: &mut BytesMut, opcode: Opcode, length: usize) {
    to.put_u8(FIN | opcode.bits());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => to.put_u8(short),
        (_, Ok(medium)) => {
            to.put_u8(126);
            to.put_u16(medium);
        }
        _ => {
            to.put_u8(127);
            to.put_u64(length as u64);
        }
    }
}

/// A close frame's payload.
pub(crate) fn close_payload(code: CloseCode) -> Vec<u8> {
    let mut payload = code.code().to_be_bytes().to_vec();
    payload.extend_from_slice(code.reason().as_bytes());
    payload
}

struct Header {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    bytes: usize,
    payload_bytes: usize,
}

/// Puts a client's bytes together to messages. Holds at most one message of `max_bytes`, and what came after it.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    fragments: Option<(Opcode, BytesMut)>,
    max_bytes: usize,
}

impl Decoder {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), fragments: None, max_bytes }
    }

    /// Adds bytes as they came.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::from(bytes);
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// The next message, if it is all there.
    ///
    /// # Errors
    /// The code with which to close: `Protocol`, `Utf8` or `TooBig`.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, CloseCode> {
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            if self.buffer.len() < header.bytes.saturating_add(header.payload_bytes) {
                return Ok(None);
            }
            self.buffer.advance(header.bytes);
            let mut payload = self.buffer.split_to(header.payload_bytes);
            if self.buffer.is_empty() {
                // An idle connection keeps no buffer.
                self.buffer = BytesMut::new();
            }
            for (byte, mask) in payload.iter_mut().zip(header.mask.iter().cycle()) {
                *byte ^= mask;
            }
            if let Some(message) = self.take(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    fn header(&self) -> Result<Option<Header>, CloseCode> {
        let mut bytes = self.buffer.as_ref();
        let whole = bytes.len();
        let (Ok(first), Ok(second)) = (bytes.try_get_u8(), bytes.try_get_u8()) else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(CloseCode::Protocol)?;
        let fin = first & FIN != 0;
        if first & RESERVED != 0 || second & MASKED == 0 {
            return Err(CloseCode::Protocol);
        }
        let length = match second & !MASKED {
            126 => bytes.try_get_u16().map(u64::from),
            127 => bytes.try_get_u64(),
            short => Ok(u64::from(short)),
        };
        let Ok(length) = length else { return Ok(None) };
        let payload_bytes = usize::try_from(length).map_err(|_larger_than_memory| CloseCode::TooBig)?;
        if opcode.is_control() && (!fin || payload_bytes > MAX_CONTROL_BYTES) {
            return Err(CloseCode::Protocol);
        }
        let held = self.fragments.as_ref().map_or(0, |(_, held)| held.len());
        if !opcode.is_control() && held.saturating_add(payload_bytes) > self.max_bytes {
            return Err(CloseCode::TooBig);
        }
        let mut mask = [0; 4];
        if bytes.try_copy_to_slice(&mut mask).is_err() {
            return Ok(None);
        }
        Ok(Some(Header { fin, opcode, mask, bytes: whole - bytes.len(), payload_bytes }))
    }

    fn take(&mut self, header: &Header, payload: BytesMut) -> Result<Option<Incoming>, CloseCode> {
        match header.opcode {
            Opcode::Ping => Ok(Some(Incoming::Ping(payload.freeze()))),
            Opcode::Pong => Ok(Some(Incoming::Pong)),
            Opcode::Close => close(&payload).map(|code| Some(Incoming::Close(code))),
            Opcode::Continuation => {
                let Some((opcode, mut held)) = self.fragments.take() else { return Err(CloseCode::Protocol) };
                held.extend_from_slice(&payload);
                if header.fin {
                    return message(opcode, held).map(Some);
                }
                self.fragments = Some((opcode, held));
                Ok(None)
            }
            opcode @ (Opcode::Text | Opcode::Binary) => {
                if self.fragments.is_some() {
                    return Err(CloseCode::Protocol);
                }
                if header.fin {
                    return message(opcode, payload).map(Some);
                }
                // Copied, so that a fragment does not keep the whole read buffer.
                self.fragments = Some((opcode, BytesMut::from(payload.as_ref())));
                Ok(None)
            }
        }
    }
}

fn message(opcode: Opcode, payload: BytesMut) -> Result<Incoming, CloseCode> {
    if opcode == Opcode::Binary {
        return Ok(Incoming::Binary(payload.freeze()));
    }
    if std::str::from_utf8(&payload).is_err() {
        return Err(CloseCode::Utf8);
    }
    Ok(Incoming::Text(payload.freeze()))
}

/// Checks a close frame's payload: RFC 6455, 7.4.
fn close(payload: &[u8]) -> Result<Option<u16>, CloseCode> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(CloseCode::Protocol) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CloseCode::Protocol);
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(CloseCode::Utf8);
    }
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client's frame.
    fn masked(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![(u8::from(fin) << 7) | opcode];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            medium @ 126..65_536 => {
                frame.push(0x80 | 0x7e);
                frame.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                frame.push(0x80 | 0x7f);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        let mask = [7, 11, 13, 17];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn decode(bytes: &[u8]) -> Result<Vec<Incoming>, CloseCode> {
        let mut decoder = Decoder::new(64 * 1024);
        decoder.feed(Bytes::copy_from_slice(bytes));
        let mut all = Vec::new();
        while let Some(message) = decoder.next()? {
            all.push(message);
        }
        Ok(all)
    }

    proptest! {
        /// Whatever the fragments and however the bytes arrive, the same messages come out.
        #[test]
        fn cuts_do_not_matter(
            texts in prop::collection::vec("\\PC{0,80}", 1..6),
            fragment in 1..40_usize,
            arrival in 1..50_usize,
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                let chunks: Vec<_> = text.as_bytes().chunks(fragment).collect();
                let last = chunks.len().saturating_sub(1);
                if chunks.is_empty() {
                    bytes.extend(masked(true, 1, b""));
                }
                for (n, chunk) in chunks.iter().enumerate() {
                    bytes.extend(masked(n == last, u8::from(n == 0), chunk));
                    bytes.extend(masked(true, 9, b"between"));
                }
            }
            let mut decoder = Decoder::new(64 * 1024);
            let mut seen = Vec::new();
            for chunk in bytes.chunks(arrival) {
                decoder.feed(Bytes::copy_from_slice(chunk));
                while let Some(message) = decoder.next().unwrap() {
                    if let Incoming::Text(text) = message {
                        seen.push(String::from_utf8(text.to_vec()).unwrap());
                    }
                }
            }
            prop_assert_eq!(seen, texts);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _decoded = decode(&bytes);
        }
    }

    #[test]
    fn breaches_of_the_protocol_have_their_codes() {
        let mut reserved = masked(true, 1, b"x");
        reserved[0] |= 0x40;
        let mut unmasked = masked(true, 1, b"x");
        unmasked[1] &= 0x7f;
        for bytes in [
            reserved,
            unmasked,
            masked(true, 3, b""),
            masked(true, 11, b""),
            masked(false, 9, b""),
            masked(true, 9, &[0; 126]),
            masked(true, 0, b"alone"),
            [masked(false, 1, b"a"), masked(true, 1, b"b")].concat(),
            masked(true, 8, &[3]),
            masked(true, 8, &1005_u16.to_be_bytes()),
            masked(true, 8, &1016_u16.to_be_bytes()),
        ] {
            assert_eq!(decode(&bytes), Err(CloseCode::Protocol));
        }
        assert_eq!(decode(&masked(true, 1, &[0xff])), Err(CloseCode::Utf8));
        assert_eq!(decode(&masked(true, 8, &[3, 232, 0xff])), Err(CloseCode::Utf8));
        assert_eq!(decode(&masked(true, 2, &vec![0; 64 * 1024 + 1])), Err(CloseCode::TooBig));
        let pieces = [masked(false, 2, &vec![0; 40_000]), masked(true, 0, &vec![0; 40_000])].concat();
        assert_eq!(decode(&pieces), Err(CloseCode::TooBig));
        assert_eq!(decode(&masked(true, 8, &[3, 232])), Ok(vec![Incoming::Close(Some(1000))]));
    }

    #[test]
    fn headers_have_three_lengths() {
        let header = |length| {
            let mut to = BytesMut::new();
            write_header(&mut to, Opcode::Text, length);
            to.to_vec()
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
