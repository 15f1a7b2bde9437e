//! Reads JSON into a type and says *where* in the body a value does not fit.
//!
//! The JSON reader knows the line and column of a fault. This module walks the body up to that place and names the path of
//! what stands there, such as `body.attachments[1].url`.

use serde::de::DeserializeOwned;

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `true` if the body is not JSON at all.
    pub is_syntax: bool,
    /// Where; empty for the body as a whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// Reads a body.
///
/// # Errors
/// The first fault.
pub fn deserialize<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let whole = error.to_string();
        let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message).to_owned();
        let offset = offset_of(body, error.line(), error.column());
        let mut frames = walk(body, offset);
        if let Some(field) = between(&message, "missing field `") {
            if let Some(Frame::Object { key, .. }) = frames.last_mut() {
                *key = Some(field.to_owned());
            } else {
                frames.push(Frame::Object { key: Some(field.to_owned()), wants_key: false });
            }
        }
        Fault { is_syntax: !error.is_data(), path: written(&frames), message }
    })
}

fn between<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

/// The byte offset of a line and column, both counted from one.
fn offset_of(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before.saturating_add(column).min(body.len())
}

enum Frame {
    Object { key: Option<String>, wants_key: bool },
    Array(usize),
}

/// The objects and arrays that are open at `offset`, each with the key or index that it has reached.
fn walk(body: &[u8], offset: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = body.iter().copied().enumerate().take(offset);
    while let Some((place, byte)) = rest.next() {
        match byte {
            b'"' => {
                let mut end = place + 1;
                let mut escaped = false;
                for (at, byte) in rest.by_ref() {
                    end = at;
                    if byte == b'"' && !escaped {
                        break;
                    }
                    escaped = byte == b'\\' && !escaped;
                }
                if let Some(Frame::Object { key, wants_key: true }) = frames.last_mut() {
                    let text = body.get(place + 1..end).unwrap_or_default();
                    *key = Some(String::from_utf8_lossy(text).chars().take(64).collect());
                }
            }
            b'{' => frames.push(Frame::Object { key: None, wants_key: true }),
            b'[' => frames.push(Frame::Array(0)),
            // What closes at the very place of the fault is what is at fault.
            b'}' | b']' if place + 1 < offset => drop(frames.pop()),
            b':' => {
                if let Some(Frame::Object { wants_key, .. }) = frames.last_mut() {
                    *wants_key = false;
                }
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object { wants_key, .. }) => *wants_key = true,
                Some(Frame::Array(index)) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    frames
}

fn written(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Object { key: Some(key), .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Frame::Object { key: None, .. } => {}
            Frame::Array(index) => path.extend(["[", &index.to_string(), "]"]),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use schemas::api::channel::NewChannel;
    use schemas::api::conversation::{ConversationChange, NewMessage};

    use super::*;

    fn fault<T: DeserializeOwned>(body: &str) -> (String, String) {
        let fault = deserialize::<T>(body.as_bytes()).err().unwrap();
        (fault.path, fault.message)
    }

    #[test]
    fn names_the_place_of_what_is_wrong() {
        let check = |body: &str, path: &str, part: &str| {
            let (found, message) = fault::<NewMessage>(body);
            assert_eq!(found, path, "{body}");
            assert!(message.contains(part), "{message}");
        };
        check(r#"{"body":{"text":5}}"#, "body.text", "expected a string");
        check(r#"{"body":{"text":"a","txt":1}}"#, "body.txt", "unknown field");
        check(
            r#"{"body":{"attachments":[{"url":"u","content_type":"c"},{"url":1}]}}"#,
            "body.attachments[1].url",
            "string",
        );
        check(r#"{"body":{"attachments":[{"url":"u"}]}}"#, "body.attachments[0].content_type", "missing field");
        check("{}", "body", "missing field");
        check("{\n \"body\": {\n  \"text\": [1]\n }\n}", "body.text", "expected a string");
        check(r#"{"bo\"dy":1}"#, r#"bo\"dy"#, "unknown field");
    }

    #[test]
    fn absent_and_null_differ() {
        let absent: ConversationChange = deserialize(b"{}").unwrap();
        let null: ConversationChange = deserialize(br#"{"assignee":null}"#).unwrap();
        assert_eq!((absent.assignee, null.assignee), (None, Some(None)));
        assert!(deserialize::<NewChannel>(br#"{"name":"x","account":{"provider":"twilio","extra":1}}"#).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, text in "[\\[\\]{}:,\"\\\\a1 \n]{0,40}") {
            let _read = deserialize::<NewMessage>(&body);
            let _read = deserialize::<NewMessage>(text.as_bytes());
        }
    }
}
