//! `X-Twilio-Signature`: base64 of HMAC-SHA1, keyed with the auth token, over the full public URL followed by every form
//! parameter, sorted bytewise, as name and value without a separator.
//!
//! - GET: the URL alone, which holds the parameters.
//! - A body that is not a form: the URL alone, which holds `bodySHA256`, the hash of the body. Both are checked.
//! - A parameter that comes more than once: each distinct value, sorted.
//!
//! Twilio's own libraries disagree on whether a default port is part of the URL and on how odd characters of the query
//! are written, so all these forms of the URL are tried. Source: "Validating Signatures from Twilio" in Twilio's
//! documentation on webhook security, and the helper libraries for Python and Node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form::{Form, MAX_PARAMETERS, hex_digit, is_form};
use crate::provider::{Refusal, WebhookRequest};

const HEADER: &str = "X-Twilio-Signature";
const BODY_HASH: &str = "bodySHA256";

/// Bytes of an HMAC-SHA1.
const SIGNATURE_BYTES: usize = 20;

/// Whether Twilio signed exactly this request with one of the secrets.
pub(super) fn verify(request: &WebhookRequest<'_>) -> Result<(), Refusal> {
    let secrets = request.secrets.iter().filter(|secret| !secret.is_empty());
    if secrets.clone().next().is_none() {
        return Err(Refusal::NoSecret);
    }
    let given = given_signature(request)?;
    let parameters = signed_parameters(request)?;
    // That a form of the URL does not match tells nothing about the secret, so the first match ends it; the URL as it is
    // comes first, since it nearly always matches.
    let signs = |url: &str| secrets.clone().any(|secret| bool::from(sign(secret, url, &parameters).ct_eq(&given)));
    let url = without_fragment(request.url);
    if signs(url) || other_forms(url).iter().any(|url| signs(url)) { Ok(()) } else { Err(Refusal::Mismatch) }
}

fn sign(secret: &str, url: &str, parameters: &[u8]) -> [u8; SIGNATURE_BYTES] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(url.as_bytes());
    mac.update(parameters);
    mac.finalize().into_bytes().into()
}

fn given_signature(request: &WebhookRequest<'_>) -> Result<[u8; SIGNATURE_BYTES], Refusal> {
    let text =
        request.header(HEADER).filter(|text| !text.is_empty()).ok_or(Refusal::MissingSignature { header: HEADER })?;
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| Refusal::MalformedSignature { reason: format!("it is not base64: {error}") })?;
    let length = bytes.len();
    bytes.try_into().map_err(|_other_length| Refusal::MalformedSignature {
        reason: format!("it has {length} bytes, an HMAC-SHA1 has {SIGNATURE_BYTES}"),
    })
}

/// What is signed after the URL.
fn signed_parameters(request: &WebhookRequest<'_>) -> Result<Vec<u8>, Refusal> {
    if request.method.eq_ignore_ascii_case("GET") {
        return if request.body.is_empty() {
            Ok(Vec::new())
        } else {
            Err(Refusal::BodyNotBound { reason: "a GET is signed without a body, but this one has one" })
        };
    }
    let mut content_types = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_types.next().map_or("", |(_, value)| value);
    if content_types.next().is_some() {
        return Err(Refusal::BodyNotBound { reason: "the header Content-Type is repeated" });
    }
    if !is_form(content_type) {
        check_body_hash(request)?;
        return Ok(Vec::new());
    }
    let form = Form::parse(request.body).ok_or(Refusal::BodyNotBound { reason: "the body has too many parameters" })?;
    let mut signed = Vec::with_capacity(request.body.len());
    for (name, value) in form.into_sorted() {
        signed.extend_from_slice(&name);
        signed.extend_from_slice(&value);
    }
    Ok(signed)
}

/// A body that is not a form is bound by its hash in the signed URL.
fn check_body_hash(request: &WebhookRequest<'_>) -> Result<(), Refusal> {
    let query = without_fragment(request.url).split_once('?').map_or("", |(_, q)| q);
    let mut hashes =
        form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS).filter(|(name, _)| name == BODY_HASH);
    let Some((_, hash)) = hashes.next() else {
        return Err(Refusal::BodyNotBound { reason: "the body is not a form and the URL has no bodySHA256" });
    };
    if hashes.next().is_some() {
        return Err(Refusal::BodyNotBound { reason: "the URL has more than one bodySHA256" });
    }
    let actual = Sha256::digest(request.body);
    let expected = decode_hex(&hash).ok_or(Refusal::BodyNotBound { reason: "bodySHA256 is not hexadecimal" })?;
    if bool::from(expected.ct_eq(&actual)) {
        Ok(())
    } else {
        Err(Refusal::BodyNotBound { reason: "the body does not have the hash that bodySHA256 names" })
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?)).collect()
}

/// A fragment holds connection settings for Twilio, which are neither sent nor signed.
fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

/// The URL without a port, with the scheme's default port; its normal form (WHATWG); and the same of that.
fn other_forms(url: &str) -> Vec<String> {
    let normal = url::Url::parse(url).ok().map(String::from);
    let mut forms = Vec::with_capacity(6);
    for url in std::iter::once(url).chain(normal.as_deref()) {
        forms.push(url.to_owned());
        if let Some((scheme, authority, rest)) = split_url(url) {
            let bare = without_port(authority);
            forms.push(format!("{scheme}://{bare}{rest}"));
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            forms.push(format!("{scheme}://{bare}:{port}{rest}"));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms.retain(|form| form != url);
    forms
}

/// Scheme, authority, and the rest with its leading `/` or `?`.
fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, after) = url.split_once("://")?;
    let end = after.find(['/', '?']).unwrap_or(after.len());
    let (authority, rest) = after.split_at_checked(end)?;
    Some((scheme, authority, rest))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !bare.ends_with(':') => {
            // In `user:1234@host` and `[::1]` the last colon is not that of a port, but then no digits end the text.
            bare
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_each_form_of_the_url() {
        let url = without_fragment("https://hub.example:8443/a?b='#rc=2");
        assert_eq!(url, "https://hub.example:8443/a?b='");
        let forms = other_forms(url);
        for expected in [
            "https://hub.example/a?b='",
            "https://hub.example:443/a?b='",
            "https://hub.example:8443/a?b=%27",
            "https://hub.example/a?b=%27",
            "https://hub.example:443/a?b=%27",
        ] {
            assert!(forms.iter().any(|form| form == expected), "{expected} in {forms:?}");
        }
        assert_eq!(forms.len(), 5);
    }

    #[test]
    fn finds_the_port_and_nothing_else() {
        assert_eq!(without_port("user:123@host"), "user:123@host");
        assert_eq!(without_port("user:123@host:1"), "user:123@host");
        assert_eq!(without_port("[::1]:443"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("host"), "host");
    }
}
