//! Who a visitor is: a token of the hub's own, or a short statement signed by the customer's server.
//!
//! Never a look-up by e-mail or phone number: knowing somebody's address must not open their conversation. The hub's
//! token is bound to workspace, channel and visitor; HMAC-SHA256 under a key of the installation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngExt;
use schemas::channel::Secret;
use schemas::tables::{INSTALLATION, Value};
use schemas::{ChannelId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};
use storage::tables::{Key, Row, TablesError};

use super::Site;
use crate::realtime::Inner;

/// The row of the installation's table that holds the key.
const KEY_ROW: &str = "visitor_token_key";
/// The longest life of a customer's statement, in seconds.
const MAX_STATEMENT_SECONDS: i64 = 300;
/// How much the customer's clock may be ahead, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// The most characters of a name or of the customer's own id of a visitor.
const MAX_CHARS: usize = 128;
const AUDIENCE: &str = "visitor";

/// A visitor who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// The contact's address on the channel.
    pub(super) address: String,
    /// What is told of them.
    pub(super) told: Told,
}

/// What a visitor, or the customer's server, tells of a visitor. Agents see it; nobody is found by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phone: Option<String>,
}

impl Told {
    /// What of it can be shown.
    pub(super) fn clean(self) -> Self {
        Self {
            name: self.name.as_deref().and_then(clean),
            email: self.email.filter(|email| is_email(email)),
            phone: self.phone.filter(|phone| is_phone(phone)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: Secret,
}

#[derive(Serialize, Deserialize)]
struct TokenClaims {
    aud: String,
    workspace: WorkspaceId,
    channel: ChannelId,
    sub: String,
    #[serde(flatten)]
    told: Told,
    exp: i64,
}

#[derive(Deserialize)]
struct StatementClaims {
    sub: String,
    iat: i64,
    exp: i64,
    #[serde(flatten)]
    told: Told,
}

/// The installation's key, made when it is first needed.
async fn key(inner: &Inner) -> Result<&Secret, TablesError> {
    inner
        .visitors
        .token_key
        .get_or_try_init(|| async {
            let random: [u8; 32] = rand::rng().random();
            let key = Secret::new(URL_SAFE_NO_PAD.encode(random));
            let row = Row::new(Key::of([Value::from(KEY_ROW)])).with_body(&Stored { key: key.clone() })?;
            match inner.tables.insert_if_absent(INSTALLATION, row).await? {
                Some(there) => Ok(there.body::<Stored>(INSTALLATION)?.key),
                None => Ok(key),
            }
        })
        .await
}

/// Times are checked by the hub's own clock, not by the library's.
fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.required_spec_claims.clear();
    rules
}

/// A visitor who was never here.
pub(super) fn new_visitor(now: Timestamp, told: Told) -> Visitor {
    let id = schemas::ContactId::new(now, &rand::random());
    Visitor { address: format!("visitor:{id}"), told: told.clean() }
}

/// The visitor to whom the hub gave this token; `None` if it is not good.
pub(super) async fn from_token(inner: &Inner, site: &Site, token: &Secret) -> Result<Option<Visitor>, TablesError> {
    let key = DecodingKey::from_secret(key(inner).await?.expose().as_bytes());
    let mut rules = rules();
    rules.set_audience(&[AUDIENCE]);
    let Ok(data) = decode::<TokenClaims>(token.expose(), &key, &rules) else { return Ok(None) };
    let claims = data.claims;
    let good = claims.exp > inner.clock.now().unix_seconds()
        && claims.workspace == site.channel.workspace_id
        && claims.channel == site.channel.id
        && claims.aud == AUDIENCE;
    Ok(good.then_some(Visitor { address: claims.sub, told: claims.told }))
}

/// The visitor of whom the customer's server speaks; `None` if the statement is not good.
pub(super) fn from_statement(site: &Site, statement: &Secret, now: Timestamp) -> Option<Visitor> {
    if site.identity_secret.expose().is_empty() {
        return None;
    }
    let key = DecodingKey::from_secret(site.identity_secret.expose().as_bytes());
    let mut rules = rules();
    rules.validate_aud = false;
    let claims = decode::<StatementClaims>(statement.expose(), &key, &rules).ok()?.claims;
    let now = now.unix_seconds();
    let good = claims.exp > now
        && claims.exp.saturating_sub(claims.iat) <= MAX_STATEMENT_SECONDS
        && claims.iat <= now.saturating_add(CLOCK_SKEW_SECONDS)
        && !claims.sub.is_empty()
        && claims.sub.chars().count() <= MAX_CHARS;
    good.then(|| Visitor { address: format!("user:{}", claims.sub), told: claims.told.clean() })
}

/// A token for the next connection.
pub(super) async fn token(inner: &Inner, site: &Site, visitor: &Visitor) -> Result<String, TablesError> {
    let life = i64::try_from(inner.config.visitor_token_hours.saturating_mul(3_600)).unwrap_or(i64::MAX);
    let claims = TokenClaims {
        aud: AUDIENCE.to_owned(),
        workspace: site.channel.workspace_id,
        channel: site.channel.id,
        sub: visitor.address.clone(),
        told: visitor.told.clone(),
        exp: inner.clock.now().unix_seconds().saturating_add(life),
    };
    let key = EncodingKey::from_secret(key(inner).await?.expose().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| TablesError::Invalid { reason: format!("a visitor's token cannot be signed: {error}") })
}

/// A name that can be shown: without control characters, at most 128 characters, `None` if nothing is left.
fn clean(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|character| !character.is_control()).take(MAX_CHARS).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether this is an e-mail address that a person could write to; mail servers alone know more.
fn is_email(text: &str) -> bool {
    let sound = |part: &str| !part.is_empty() && part.chars().all(|one| !one.is_whitespace() && !one.is_control());
    text.chars().count() <= MAX_CHARS
        && text.split_once('@').is_some_and(|(name, host)| sound(name) && sound(host) && !host.contains('@'))
}

/// Whether this is a phone number in E.164.
fn is_phone(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
