//! Access tokens: JWT signed with Ed25519 (`EdDSA`), RFC 9068 (`at+jwt`), good for minutes.
//!
//! One algorithm, one key, every claim required. Headers that name keys elsewhere (`jku`, `jwk`, `x5u`, `x5c`) or ask for
//! extensions (`crit`) are refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::workspace::Role;
use schemas::{SessionId, Timestamp, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::hash_of;

/// Who signs.
const ISSUER: &str = "saler";
/// For whom.
const AUDIENCE: &str = "saler-api";
/// The media type in the header (RFC 9068).
const TYPE: &str = "at+jwt";
/// By how much two clocks may differ, in seconds.
const LEEWAY_S: i64 = 30;
/// What stands before the 32 bytes of a private Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// Who.
    pub sub: UserId,
    /// Where.
    pub wid: WorkspaceId,
    /// By which sign-in.
    pub sid: SessionId,
    /// As what.
    pub role: Role,
    /// The membership's epoch: a token of an earlier one no longer holds.
    pub epoch: u64,
    /// A name of this token.
    pub jti: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// From when it is good.
    pub nbf: i64,
    /// Until when it is good.
    pub exp: i64,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the key of access tokens cannot be used")]
pub struct KeyError(#[from] jsonwebtoken::errors::Error);

/// Makes and checks access tokens.
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
    lifetime_s: i64,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// With the key that this seed gives; tokens are good for `lifetime_minutes`.
    ///
    /// # Errors
    /// [`KeyError`] if the library refuses the key.
    pub fn new(seed: [u8; 32], lifetime_minutes: u64) -> Result<Self, KeyError> {
        let mut der = PKCS8_ED25519.to_vec();
        der.extend_from_slice(&seed);
        let encoding = EncodingKey::from_ed_der(&der);
        let jwk = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA)?;
        let decoding = DecodingKey::from_jwk(&jwk)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        if let AlgorithmParameters::OctetKeyPair(public) = &jwk.algorithm {
            header.kid = Some(hash_of(public.x.as_bytes()).chars().take(16).collect());
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Both are checked below, against the hub's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let lifetime_s = i64::try_from(lifetime_minutes.saturating_mul(60)).unwrap_or(600);
        Ok(Self { encoding, decoding, header, validation, lifetime_s })
    }

    /// For how many seconds a fresh token is good.
    pub fn lifetime_s(&self) -> u64 {
        self.lifetime_s.unsigned_abs()
    }

    /// A token for a sign-in.
    ///
    /// # Errors
    /// [`KeyError`] if it cannot be signed.
    pub fn mint(
        &self,
        now: Timestamp,
        session: (SessionId, UserId, WorkspaceId),
        role: Role,
        epoch: u64,
    ) -> Result<String, KeyError> {
        let (sid, sub, wid) = session;
        let iat = now.unix_seconds();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub,
            wid,
            sid,
            role,
            epoch,
            jti: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>()),
            iat,
            nbf: iat,
            exp: iat + self.lifetime_s,
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.encoding)?)
    }

    /// What a token says, if it is one of ours and good at `now`.
    pub fn check(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
        let header = &data.header;
        let plain = header.typ.as_deref() == Some(TYPE)
            && header.kid == self.header.kid
            && header.jku.is_none()
            && header.jwk.is_none()
            && header.x5u.is_none()
            && header.x5c.is_none()
            && header.crit.is_none();
        let now = now.unix_seconds();
        let claims = data.claims;
        let in_time = now < claims.exp + LEEWAY_S
            && claims.nbf <= now + LEEWAY_S
            && claims.exp.saturating_sub(claims.iat) <= self.lifetime_s;
        (plain && in_time).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

    fn session() -> (SessionId, UserId, WorkspaceId) {
        (SessionId::new(NOW, &[1; 10]), UserId::new(NOW, &[2; 10]), WorkspaceId::new(NOW, &[3; 10]))
    }

    fn signed(tokens: &AccessTokens, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.encoding, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    #[test]
    fn a_token_is_good_for_its_minutes_and_no_longer() {
        let tokens = AccessTokens::new([7; 32], 10).unwrap();
        let token = tokens.mint(NOW, session(), Role::Agent, 3).unwrap();
        let at = |seconds: i64| tokens.check(&token, Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds));
        let claims = at(0).unwrap();
        assert_eq!((claims.sid, claims.sub, claims.wid), session());
        assert_eq!((claims.role, claims.epoch), (Role::Agent, 3));
        assert!(at(629).is_some() && at(630).is_none() && at(-31).is_none());
        assert!(AccessTokens::new([8; 32], 10).unwrap().check(&token, NOW).is_none(), "another key");
    }

    /// Signs with the right key what no server of ours would write: only the exact form is believed.
    #[test]
    fn every_other_header_and_every_missing_or_wrong_claim_is_refused() {
        let tokens = AccessTokens::new([7; 32], 10).unwrap();
        let kid = tokens.header.kid.clone();
        let header = json!({ "typ": TYPE, "alg": "EdDSA", "kid": kid });
        let (sid, sub, wid) = session();
        let iat = NOW.unix_seconds();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": sub, "wid": wid, "sid": sid, "role": "owner", "epoch": 0,
            "jti": "x", "iat": iat, "nbf": iat, "exp": iat + 600,
        });
        assert!(tokens.check(&signed(&tokens, &header, &claims), NOW).is_some());
        for name in claims.as_object().unwrap().keys() {
            let mut without = claims.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(tokens.check(&signed(&tokens, &header, &without), NOW).is_none(), "without {name}");
            for wrong in [json!(null), json!("x\u{0}"), json!([1]), json!({}), json!(-1)] {
                let mut changed = claims.clone();
                changed[name] = wrong.clone();
                let harmless =
                    matches!(name.as_str(), "iat" | "nbf") && wrong == json!(-1) || name == "jti" && wrong.is_string();
                let accepted = tokens.check(&signed(&tokens, &header, &changed), NOW).is_some();
                assert!(!accepted || harmless, "{name} = {wrong}");
            }
        }
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!(null)),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("kid", json!("x")),
            ("kid", json!(null)),
            ("jku", json!("https://x")),
            ("x5u", json!("https://x")),
            ("x5c", json!(["x"])),
            ("crit", json!(["exp"])),
            ("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" })),
        ] {
            let mut changed = header.clone();
            changed[name] = value.clone();
            assert!(tokens.check(&signed(&tokens, &changed, &claims), NOW).is_none(), "{name} = {value}");
        }
        let good = signed(&tokens, &header, &claims);
        for broken in
            ["", ".", "..", "a.b.c", good.rsplit_once('.').unwrap().0, &format!("{good}A"), &format!("{good}.")]
        {
            assert!(tokens.check(broken, NOW).is_none(), "{broken}");
        }
        let mut far = claims.clone();
        far["exp"] = json!(iat + 601);
        assert!(tokens.check(&signed(&tokens, &header, &far), NOW).is_none(), "longer than we make them");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn never_panics_and_never_believes_what_was_not_minted(text: String, flip in 0_usize..400) {
            let tokens = AccessTokens::new([7; 32], 10).unwrap();
            proptest::prop_assert!(tokens.check(&text, NOW).is_none());
            let minted = tokens.mint(NOW, session(), Role::Owner, 0).unwrap();
            let mut bytes = minted.clone().into_bytes();
            let place = flip % bytes.len();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            if let Ok(changed) = String::from_utf8(bytes) && changed != minted {
                proptest::prop_assert!(tokens.check(&changed, NOW).is_none());
            }
        }
    }
}
