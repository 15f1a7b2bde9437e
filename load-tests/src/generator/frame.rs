//! WebSocket frames (RFC 6455, section 5), client side: finds the messages in what was read, and writes masked frames.
//!
//! A message that lies whole in the read buffer is handed out as a slice of it; only what is cut at the buffer's end, or
//! fragmented, is copied.

/// The largest message that is taken.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The end, with a code and a reason.
    Close,
    /// To be answered with [`Opcode::Pong`].
    Ping,
    /// An answer to a ping.
    Pong,
}

/// Why a server's bytes are not WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Servers must not mask.
    #[error("a server's frame is masked")]
    Masked,
    /// An opcode that is not defined, or reserved bits.
    #[error("the frame's first byte {0:#04x} is not defined")]
    Undefined(u8),
    /// A control frame that is fragmented or longer than 125 bytes, or a fragment out of order.
    #[error("a control frame or fragment breaks the rules")]
    Fragment,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
}

/// Finds messages in what a server sends.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The beginning of a frame whose rest has not come.
    cut: Vec<u8>,
    /// The fragments of a message so far, and its opcode.
    fragments: Option<(Opcode, Vec<u8>)>,
}

struct Header {
    fin: bool,
    opcode: Option<Opcode>,
    payload_at: usize,
    end: usize,
}

impl FrameReader {
    /// Takes what was read, and hands out each message that is complete now.
    ///
    /// # Errors
    /// See [`FrameError`]; the connection is of no use afterwards.
    pub fn feed(&mut self, mut read: &[u8], mut on_message: impl FnMut(Opcode, &[u8])) -> Result<(), FrameError> {
        // First the frame that was cut, with no more of `read` than belongs to it.
        while !self.cut.is_empty() && !read.is_empty() {
            let wanted = match parse_header(&self.cut)? {
                Some(header) => header.end,
                None => self.cut.len().saturating_add(1),
            };
            let (now, later) = read.split_at(wanted.saturating_sub(self.cut.len()).min(read.len()));
            self.cut.extend_from_slice(now);
            read = later;
            if let Some(header) = parse_header(&self.cut)?
                && self.cut.len() >= header.end
            {
                let whole = std::mem::take(&mut self.cut);
                self.finish(&header, &whole, &mut on_message)?;
            }
        }
        while let Some(header) = parse_header(read)? {
            let Some((whole, later)) = read.split_at_checked(header.end) else { break };
            self.finish(&header, whole, &mut on_message)?;
            read = later;
        }
        self.cut.extend_from_slice(read);
        Ok(())
    }

    fn finish(
        &mut self,
        header: &Header,
        frame: &[u8],
        on_message: &mut impl FnMut(Opcode, &[u8]),
    ) -> Result<(), FrameError> {
        let payload = frame.get(header.payload_at..header.end).unwrap_or_default();
        match (header.opcode, header.fin, &mut self.fragments) {
            (Some(opcode @ (Opcode::Close | Opcode::Ping | Opcode::Pong)), true, _) | (Some(opcode), true, None) => {
                on_message(opcode, payload);
            }
            (Some(opcode @ (Opcode::Text | Opcode::Binary)), false, none @ None) => {
                *none = Some((opcode, payload.to_vec()));
            }
            (None, fin, Some((opcode, gathered))) => {
                if gathered.len().saturating_add(payload.len()) > MAX_MESSAGE_BYTES {
                    return Err(FrameError::TooLong);
                }
                gathered.extend_from_slice(payload);
                if fin {
                    on_message(*opcode, gathered);
                    self.fragments = None;
                }
            }
            _ => return Err(FrameError::Fragment),
        }
        Ok(())
    }
}

/// The header at the beginning of `bytes`; `None` if it is not complete yet.
fn parse_header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let opcode = match first & 0x7f {
        0x0 => None,
        0x1 => Some(Opcode::Text),
        0x2 => Some(Opcode::Binary),
        0x8 => Some(Opcode::Close),
        0x9 => Some(Opcode::Ping),
        0xa => Some(Opcode::Pong),
        _ => return Err(FrameError::Undefined(*first)),
    };
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let (payload_at, length) = match (second, rest.first_chunk(), rest.first_chunk()) {
        (126, Some(medium), _) => (4, u64::from(u16::from_be_bytes(*medium))),
        (127, _, Some(long)) => (10, u64::from_be_bytes(*long)),
        (126 | 127, _, _) => return Ok(None),
        (short, _, _) => (2, u64::from(*short)),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE_BYTES {
        return Err(FrameError::TooLong);
    }
    let fin = first & 0x80 != 0;
    let control = matches!(opcode, Some(Opcode::Close | Opcode::Ping | Opcode::Pong));
    if control && (!fin || length > 125) {
        return Err(FrameError::Fragment);
    }
    Ok(Some(Header { fin, opcode, payload_at, end: payload_at + length }))
}

/// Writes a whole, masked frame to the end of `out`. The payload is at most [`MAX_MESSAGE_BYTES`].
pub fn write_masked(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(match opcode {
        Opcode::Text => 0x81,
        Opcode::Binary => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8a,
    });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 0x7e);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 0x7f);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The code of a close frame's payload; 1005 (none) if it has none.
pub fn close_code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A server's frame, as RFC 6455 draws it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(u8::try_from(length).unwrap()),
            length @ 126..=65_535 => {
                bytes.push(126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    fn read_in_pieces(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(Opcode, Vec<u8>)>, FrameError> {
        let mut reader = FrameReader::default();
        let mut messages = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            reader.feed(now, |opcode, payload| messages.push((opcode, payload.to_vec())))?;
            rest = later;
        }
        reader.feed(rest, |opcode, payload| messages.push((opcode, payload.to_vec())))?;
        Ok(messages)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn messages_come_out_whole_however_they_are_cut(
            lengths in prop::collection::vec(prop_oneof![0_usize..300, 60_000_usize..70_000], 1..6),
            cuts in prop::collection::vec(0_usize..5_000, 0..30),
        ) {
            let payloads: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(i, length)| vec![u8::try_from(i).unwrap(); *length]).collect();
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x81, payload)).collect();
            let expected: Vec<_> = payloads.into_iter().map(|payload| (Opcode::Text, payload)).collect();
            prop_assert_eq!(read_in_pieces(&bytes, &cuts), Ok(expected));
        }

        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0_usize..20, 0..20),
        ) {
            let _read = read_in_pieces(&bytes, &cuts);
        }

        /// The server's view of what is written: unmasked, it is the payload.
        #[test]
        fn written_frames_are_masked_and_whole(payload in prop::collection::vec(any::<u8>(), 0..70_000), mask: [u8; 4]) {
            let mut written = Vec::new();
            write_masked(Opcode::Text, &payload, mask, &mut written);
            prop_assert_eq!(written[1] & 0x80, 0x80);
            written[1] &= 0x7f;
            let header = parse_header(&written).unwrap().unwrap();
            prop_assert_eq!(written.len(), header.end + 4);
            let unmasked: Vec<u8> =
                written[header.payload_at + 4..].iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            prop_assert_eq!(unmasked, payload);
        }
    }

    #[test]
    fn joins_fragments_with_a_ping_in_between() {
        let mut bytes = frame(0x01, b"hel");
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x80, b"lo"));
        let expected = vec![(Opcode::Ping, b"p".to_vec()), (Opcode::Text, b"hello".to_vec())];
        assert_eq!(read_in_pieces(&bytes, &[1, 1, 2, 3]), Ok(expected));
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        assert_eq!(read_in_pieces(&[0x81, 0x80, 0, 0, 0, 0], &[]), Err(FrameError::Masked));
        assert_eq!(read_in_pieces(&[0xc1, 0x00], &[]), Err(FrameError::Undefined(0xc1)));
        assert_eq!(read_in_pieces(&[0x09, 0x00], &[]), Err(FrameError::Fragment));
        assert_eq!(read_in_pieces(&frame(0x80, b"x"), &[]), Err(FrameError::Fragment));
        assert_eq!(read_in_pieces(&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0], &[]), Err(FrameError::TooLong));
        assert_eq!(close_code(&4008_u16.to_be_bytes()), 4008);
        assert_eq!(close_code(b""), 1005);
    }
}
