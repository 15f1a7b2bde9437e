//! Signing requests to an S3-compatible store: AWS Signature Version 4, as "Authenticating Requests: Using the Authorization
//! Header" of Amazon's S3 documentation has it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use schemas::Timestamp;
use sha2::{Digest, Sha256};

/// Who signs.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) region: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What is signed of a request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    /// The path, its segments encoded by [`encode`].
    pub(super) path: &'a str,
    /// Names and values, not encoded.
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    pub(super) at: Timestamp,
}

/// The headers that a signed request carries beside its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) date: String,
    pub(super) content_hash: String,
    pub(super) authorization: String,
}

impl Signer {
    pub(super) fn sign(&self, request: &Request<'_>) -> Signed {
        let at = DateTime::<Utc>::from_timestamp_micros(request.at.unix_micros()).unwrap_or_default();
        let (date, day) = (at.format("%Y%m%dT%H%M%SZ").to_string(), at.format("%Y%m%d").to_string());
        let content_hash = hex(&Sha256::digest(request.body));
        let headers = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:{content_hash}\nx-amz-date:{date}\n\n{headers}\n{content_hash}",
            request.method,
            request.path,
            query(request.query),
            request.host,
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let first = format!("AWS4{}", self.secret_access_key).into_bytes();
        let parts = [day.as_str(), self.region.as_str(), "s3", "aws4_request", text.as_str()];
        let signature = parts.iter().fold(first, |key, part| keyed(&key, part.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={headers},Signature={}",
            self.access_key_id,
            hex(&signature)
        );
        Signed { date, content_hash, authorization }
    }
}

/// A query as it is signed and sent: sorted, encoded.
pub(super) fn query(parts: &[(&str, &str)]) -> String {
    let mut encoded: Vec<_> = parts.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    encoded.sort();
    encoded.join("&")
}

/// Everything but unreserved characters as `%XX`.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Bucket (List Objects)" of Amazon's page "Signature Calculations for the Authorization Header".
    #[test]
    fn signs_as_the_documentation_does() {
        let signer = Signer {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let headers = signer.sign(&Request {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: &[("max-keys", "2"), ("prefix", "J")],
            body: b"",
            at: Timestamp::from_unix_seconds(1_369_353_600),
        });
        assert_eq!(headers.date, "20130524T000000Z");
        let (_, signature) = headers.authorization.split_once("Signature=").unwrap();
        assert_eq!(signature, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
        assert!(!format!("{signer:?}").contains("wJalr"));
        assert_eq!(encode("workspace=1/ü~"), "workspace%3D1%2F%C3%BC~");
    }
}
