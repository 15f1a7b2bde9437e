//! Sign-in: passwords, access tokens, refresh tokens, API tokens; and who a bearer token belongs to.
//!
//! One way in for REST and sockets: [`principal::Authenticator`]. The API reads no cookies, so there is nothing to forge
//! across sites.

pub mod access_token;
pub mod api_token;
pub mod authenticator;
pub mod password;
pub mod principal;
pub mod refresh;
pub mod sign_in;
pub mod sql_sign_in;
pub mod throttle;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of a secret of 256 random bits, in base64: enough for what cannot be guessed (OWASP ASVS 5.0, V6.5.2).
pub(crate) fn hash_of(secret: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
