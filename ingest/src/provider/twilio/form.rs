//! The parameters of a form post, decoded to bytes.
//!
//! Bytes, since a value need not be UTF-8 and the signature is made over the bytes as they are.

use std::borrow::Cow;

use crate::provider::ParseError;

/// The most parameters that are read. Twilio sends some fifty.
pub(super) const MAX_PARAMETERS: usize = 2_000;

/// A parameter's name and value; borrowed from the body where nothing is escaped.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The parameters in the order in which they came.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> Form<'a> {
    /// Reads the body of a request with this content type; a missing content type counts as a form.
    pub(super) fn of_request(content_type: &str, body: &'a [u8]) -> Result<Self, ParseError> {
        if !is_form(content_type) {
            let shown: String = content_type.chars().take(64).collect();
            return Err(ParseError {
                reason: format!("content type {shown:?} is not application/x-www-form-urlencoded"),
            });
        }
        Self::parse(body)
            .ok_or_else(|| ParseError { reason: format!("the body has more than {MAX_PARAMETERS} parameters") })
    }

    /// Reads a form; `None` if it has more than [`MAX_PARAMETERS`].
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut pairs = Vec::with_capacity(32);
        for piece in body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return None;
            }
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            pairs.push((name, decode(halves.next().unwrap_or_default())));
        }
        Some(Self { pairs })
    }

    /// Every parameter, repeated ones with each distinct value, as the signature wants them: sorted bytewise.
    pub(super) fn into_sorted(self) -> Vec<Pair<'a>> {
        let mut pairs = self.pairs;
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n.as_ref() == name.as_bytes())
    }

    /// The value of a parameter as text without U+0000; `None` if it is missing or empty.
    ///
    /// # Errors
    /// If the parameter comes more than once with different values: there is no telling which one counts.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ParseError> {
        let mut values = self.pairs.iter().filter(|(n, _)| n.as_ref() == name.as_bytes()).map(|(_, value)| value);
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|value| value != first) {
            return Err(ParseError {
                reason: format!("the parameter {name} comes more than once, with different values"),
            });
        }
        let text = String::from_utf8_lossy(first).replace('\0', "");
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// As [`Form::text`], but an error if it is missing or empty.
    pub(super) fn required(&self, name: &str) -> Result<String, ParseError> {
        self.text(name)?.ok_or_else(|| ParseError { reason: format!("the parameter {name} is missing or empty") })
    }
}

/// Whether a content type is that of a form; a missing one counts as such.
pub(super) fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.is_empty() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Percent-decodes, with `+` as a space; what is no escape stays as it is.
fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(encoded);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after_escape @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after_escape;
                }
                _ => decoded.push(b'%'),
            },
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}

/// The value of a hexadecimal digit.
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against an implementation of the same standard, for everything that is UTF-8.
        #[test]
        fn decodes_what_form_urlencoded_encodes(pairs in prop::collection::vec((".{1,20}", ".{0,40}"), 0..8)) {
            let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let form = Form::parse(encoded.as_bytes()).unwrap();
            let decoded: Vec<(String, String)> = form.pairs.into_iter()
                .map(|(n, v)| (String::from_utf8(n.into_owned()).unwrap(), String::from_utf8(v.into_owned()).unwrap()))
                .collect();
            prop_assert_eq!(decoded, pairs);
        }

        #[test]
        fn any_bytes_can_be_decoded(body: Vec<u8>) {
            let _form = Form::parse(&body);
        }
    }

    #[test]
    fn keeps_bytes_that_are_not_utf8_and_escapes_that_are_none() {
        let form = Form::parse(b"a=%FF%0&b=%zz+%2B%").unwrap();
        assert_eq!(*form.pairs[0].1, *b"\xff%0");
        assert_eq!(*form.pairs[1].1, *b"%zz +%");
    }

    #[test]
    fn refuses_more_parameters_than_twilio_ever_sends() {
        assert!(Form::parse("a&".repeat(MAX_PARAMETERS).as_bytes()).is_some());
        assert!(Form::parse("a&".repeat(MAX_PARAMETERS + 1).as_bytes()).is_none());
    }
}
