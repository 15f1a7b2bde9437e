//! One agent's socket, from the upgrade to the end.
//!
//! A task on the connection's own worker thread. It reads what the client sends and keeps its times; what the client
//! gets is pushed into the connection's queue by whoever has it. The rare and large parts (signing in, commands) live in
//! futures of their own, so that an idle socket stays small.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use bytes::Bytes;
use futures::StreamExt;
use rand::RngExt;
use schemas::api::problem::ErrorCode;
use schemas::socket::{
    Auth, Capability, ClientFrame, CommandFrame, MAX_CLIENT_MESSAGE_BYTES, PROTOCOL_VERSION, ServerFrame,
};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::attach::{Registration, Wish, attach};
use super::close::CloseCode;
use super::commands::{MAX_QUEUED, Runner};
use super::connection::{Class, Connection};
use super::frames::{Refusal, encode, ok_with_cursor, plain_ok};
use super::handler::Upgraded;
use super::hub::Topic;
use super::os;
use super::presence;
use super::wire::{Decoder, Incoming, Opcode};
use super::{Inner, Open};
use crate::auth::principal::{AuthError, Credential, Principal};

/// So many heartbeats may stay unanswered.
const MISSED_HEARTBEATS: u8 = 2;
/// How long before its end a client is reminded to renew its token.
const EXPIRY_WARNING: Duration = Duration::from_mins(1);
/// How long the close frame gets to leave before the connection is reset.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a token's check may take.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(5);
/// The most topics of one `auth`.
const MAX_TOPICS: usize = 70;
/// The most characters of a device's name.
const MAX_DEVICE_CHARS: usize = 64;
/// Acknowledgements and answers to heartbeats cost this much of a frame's allowance.
const CHEAP_FRAME: f64 = 0.05;

/// A bucket of allowance: refills steadily, holds two seconds' worth.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: f64,
    per_second: f64,
    capacity: f64,
    at: Instant,
}

impl Allowance {
    /// So much a second, twice as much at once.
    pub(crate) fn new(per_second: f64, capacity: f64) -> Self {
        Self { left: capacity, per_second, capacity, at: Instant::now() }
    }

    /// Takes `cost`; else says after how many milliseconds there is enough.
    pub(crate) fn take(&mut self, cost: f64, now: Instant) -> Result<(), u64> {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = now;
        self.left = (self.left + refill).min(self.capacity);
        if self.left >= cost {
            self.left -= cost;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((cost - self.left) / self.per_second);
        // Whoever goes on in spite of refusals gets ever deeper in debt, and is closed at its bottom.
        self.left -= cost / 4.0;
        Err(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// Whether nothing was taken for so long that it is full again.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left + refill >= self.capacity
    }

    /// Whether refusals were ignored for too long.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left < -self.capacity
    }
}

/// A socket that has signed in.
struct SignedIn {
    principal: Principal,
    registration: Registration,
    commands: Option<mpsc::Sender<CommandFrame>>,
    warned: bool,
}

/// One agent's socket.
pub(crate) struct Session {
    inner: Arc<Inner>,
    open: Open,
    payload: Payload,
    descriptor: Option<os::SocketDescriptor>,
    has_origin: bool,
    signed_in: Option<SignedIn>,
    next_heartbeat: Instant,
    auth_deadline: Instant,
    unanswered: u8,
    allowance: Allowance,
}

/// The part of a frame that is read first.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    op: std::borrow::Cow<'a, str>,
    #[serde(default)]
    id: u64,
}

impl Session {
    pub(crate) fn new(inner: Arc<Inner>, upgraded: Upgraded, has_origin: bool) -> Self {
        let now = Instant::now();
        let frames = f64::from(inner.config.frames_per_second);
        Self {
            auth_deadline: now + Duration::from_millis(inner.config.auth_timeout_ms),
            // The first beat is anywhere in the interval, so that clients that came together do not beat together.
            next_heartbeat: now + inner.config.heartbeat().mul_f64(rand::rng().random::<f64>()),
            allowance: Allowance::new(frames, frames * 2.0),
            inner,
            open: upgraded.open,
            payload: upgraded.payload,
            descriptor: upgraded.descriptor,
            has_origin,
            signed_in: None,
            unanswered: 0,
        }
    }

    fn connection(&self) -> &Arc<Connection> {
        &self.open.connection
    }

    fn send(&self, frame: &ServerFrame) {
        self.connection().push(&encode(frame), Class::Control, Instant::now());
    }

    fn refuse(&self, id: u64, refusal: Refusal) {
        self.connection().push(&refusal.frame(id), Class::Control, Instant::now());
    }

    /// Lives until the socket is closed.
    pub(crate) async fn run(mut self) {
        self.send(&ServerFrame::Hello {
            v: PROTOCOL_VERSION,
            conn: format!("c{}", self.connection().id),
            hb: self.inner.config.heartbeat_ms,
            max_in: MAX_CLIENT_MESSAGE_BYTES,
            auth_in: self.inner.config.auth_timeout_ms,
        });
        let connection = Arc::clone(self.connection());
        let mut decoder = Decoder::new(MAX_CLIENT_MESSAGE_BYTES);
        let timer = tokio::time::sleep_until(self.next_moment());
        let mut timer = std::pin::pin!(timer);
        while connection.is_open() {
            tokio::select! {
                biased;
                () = connection.ended() => break,
                chunk = self.payload.next() => match chunk {
                    Some(Ok(bytes)) => {
                        connection.write_directly(self.descriptor);
                        decoder.feed(bytes);
                        self.read(&mut decoder).await;
                    }
                    Some(Err(_)) | None => break,
                },
                () = &mut timer => self.on_time(Instant::now()),
            }
            timer.as_mut().reset(self.next_moment());
        }
        // Leaves the rooms at once; the rest waits for the bytes.
        self.signed_in = None;
        finish(&connection, self.descriptor).await;
    }

    fn next_moment(&self) -> Instant {
        let Some(signed_in) = &self.signed_in else { return self.auth_deadline };
        let expiry = self.until(signed_in);
        let expiry = if signed_in.warned { expiry } else { expiry.saturating_sub(EXPIRY_WARNING) };
        // Bounded, so that a token without an end is no arithmetic overflow.
        self.next_heartbeat.min(Instant::now() + expiry.min(Duration::from_hours(1)))
    }

    fn until(&self, signed_in: &SignedIn) -> Duration {
        signed_in.principal.expires_at.since(self.inner.clock.now())
    }

    fn on_time(&mut self, now: Instant) {
        let connection = Arc::clone(self.connection());
        let Some(signed_in) = &mut self.signed_in else {
            if now >= self.auth_deadline {
                connection.close(CloseCode::AuthTimeout);
            }
            return;
        };
        let left = signed_in.principal.expires_at.since(self.inner.clock.now());
        if left.is_zero() {
            connection.close(CloseCode::Unauthenticated);
            return;
        }
        if left <= EXPIRY_WARNING && !std::mem::replace(&mut signed_in.warned, true) {
            let in_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            connection.push(&encode(&ServerFrame::Expiring { in_ms }), Class::Control, now);
        }
        if now >= self.next_heartbeat {
            if self.unanswered >= MISSED_HEARTBEATS {
                connection.close(CloseCode::Heartbeat);
                return;
            }
            self.unanswered += 1;
            self.next_heartbeat = now + self.inner.config.heartbeat();
            self.beat(now);
        }
    }

    /// Sends a heartbeat with the cursor of this moment.
    fn beat(&self, now: Instant) {
        let Some(signed_in) = &self.signed_in else { return };
        let workspace_id = signed_in.principal.workspace_id;
        let partition = self.inner.partition_index(workspace_id);
        let Some(held) = self.inner.partition(partition) else { return };
        // Under the lock no event is published, so that the number and the cursor speak of one moment.
        let state = held.lock();
        let next = state.next.max(signed_in.registration.member.first_offset);
        let cur = Some(self.inner.cursors.encode(workspace_id, partition, next));
        self.connection().push_after_count(now, |n| encode(&ServerFrame::Hb { n, cur }));
    }

    async fn read(&mut self, decoder: &mut Decoder) {
        while self.connection().is_open() {
            match decoder.next() {
                Ok(None) => return,
                Ok(Some(message)) => {
                    self.unanswered = 0;
                    match message {
                        Incoming::Text(text) => self.on_message(&text).await,
                        Incoming::Binary(_) => self.connection().close(CloseCode::BadFrame),
                        Incoming::Ping(payload) => {
                            if self.allow(1.0).is_ok() {
                                self.connection().push_as(Opcode::Pong, &payload, Class::Control, Instant::now());
                            }
                        }
                        Incoming::Pong => {}
                        Incoming::Close(code) => self.connection().answer_close(code),
                    }
                }
                Err(code) => self.connection().close(code),
            }
        }
    }

    /// Takes from the allowance; closes the socket at its bottom.
    fn allow(&mut self, cost: f64) -> Result<(), u64> {
        let result = self.allowance.take(cost, Instant::now());
        if self.allowance.is_exhausted() {
            self.connection().close(CloseCode::Rate);
        }
        result
    }

    async fn on_message(&mut self, text: &Bytes) {
        for part in text.split(|byte| *byte == b'\n') {
            if !part.is_empty() && self.connection().is_open() {
                self.on_frame(part).await;
            }
        }
        if text.is_empty() {
            self.connection().close(CloseCode::BadFrame);
        }
    }

    async fn on_frame(&mut self, text: &[u8]) {
        let Ok(Peek { op, id }) = serde_json::from_slice::<Peek<'_>>(text) else {
            return self.connection().close(CloseCode::BadFrame);
        };
        let cost = if matches!(op.as_ref(), "ack" | "hb") { CHEAP_FRAME } else { 1.0 };
        if let Err(after_ms) = self.allow(cost) {
            return self
                .refuse(id, Refusal::temporary(ErrorCode::RateLimited, "too many frames: send fewer", after_ms));
        }
        let is_known = matches!(op.as_ref(), "auth" | "sub" | "unsub" | "cmd" | "ack" | "hb");
        let frame = match serde_json::from_slice::<ClientFrame>(text) {
            Ok(frame) => frame,
            Err(error) if op == "cmd" && self.signed_in.is_some() => {
                return self
                    .refuse(id, Refusal::new(ErrorCode::InvalidValue, format!("the command cannot be read: {error}")));
            }
            Err(_) if !is_known && self.signed_in.is_some() => {
                return self
                    .refuse(id, Refusal::new(ErrorCode::MalformedRequest, "this hub does not know such a frame"));
            }
            Err(_) => return self.connection().close(CloseCode::BadFrame),
        };
        match (frame, self.signed_in.is_some()) {
            (ClientFrame::Auth(auth), false) => Box::pin(self.sign_in(auth)).await,
            (ClientFrame::Auth(auth), true) => Box::pin(self.renew(auth)).await,
            (ClientFrame::Hb { n: None }, _) => {}
            (_, false) => self.connection().close(CloseCode::AuthTimeout),
            (ClientFrame::Sub { id, topic }, true) => Box::pin(self.subscribe(id, &topic)).await,
            (ClientFrame::Unsub { id, topic }, true) => self.unsubscribe(id, &topic),
            (ClientFrame::Ack { n } | ClientFrame::Hb { n: Some(n) }, true) => {
                self.connection().acknowledge(n, Instant::now());
            }
            (ClientFrame::Cmd(command), true) => self.command(command),
        }
    }

    /// Who holds the token; closes the socket if nobody does.
    async fn check(&self, auth: &Auth) -> Option<Principal> {
        let check = self.inner.authenticator.authenticate(auth.token.expose());
        let code = match tokio::time::timeout(SIGN_IN_TIMEOUT, check).await {
            Ok(Ok(principal)) if self.has_origin || matches!(principal.credential, Credential::ApiToken(_)) => {
                return Some(principal);
            }
            // No origin means no browser: only programs with a token of their own come so.
            Ok(Ok(_)) => CloseCode::Forbidden,
            Ok(Err(AuthError::Invalid)) => CloseCode::Unauthenticated,
            Ok(Err(AuthError::Unavailable)) | Err(_) => CloseCode::NotReady,
        };
        self.connection().close(code);
        None
    }

    async fn sign_in(&mut self, auth: Auth) {
        if auth.subs.len() > MAX_TOPICS
            || auth.device.as_ref().is_some_and(|name| name.chars().count() > MAX_DEVICE_CHARS)
        {
            return self.connection().close(CloseCode::BadFrame);
        }
        let Some(principal) = self.check(&auth).await else { return };
        for capability in &auth.caps {
            match capability {
                Capability::Batch => self.connection().enable_batches(),
                Capability::Ack => self.connection().enable_acknowledgements(),
                Capability::Unknown => {}
            }
        }
        let mut topics = Vec::new();
        let mut refused = None;
        for name in &auth.subs {
            match topic(name, &principal) {
                Ok(topic) => topics.push(topic),
                Err(refusal) => refused = Some(refusal),
            }
        }
        let (wants_presence, wants_kpis) = (topics.contains(&Topic::Presence), topics.contains(&Topic::Kpis));
        let wish = Wish { id: auth.id, device: auth.device.map(String::into_boxed_str), topics, resume: auth.resume };
        match attach(&self.inner, self.connection(), principal.clone(), wish).await {
            Ok(registration) => {
                self.signed_in = Some(SignedIn { principal, registration, commands: None, warned: false });
                self.open.signed_in();
            }
            Err(code) => return self.connection().close(code),
        }
        if let Some(refusal) = refused {
            self.refuse(auth.id, refusal);
        }
        if wants_presence {
            self.show_presence().await;
        }
        if wants_kpis {
            self.show_board();
        }
    }

    /// The same person with a newer token.
    async fn renew(&mut self, auth: Auth) {
        let Some(principal) = self.check(&auth).await else { return };
        let connection = Arc::clone(self.connection());
        let Some(signed_in) = &mut self.signed_in else { return };
        let old = &signed_in.principal;
        if (principal.user_id, principal.workspace_id, principal.role) != (old.user_id, old.workspace_id, old.role) {
            return connection.close(CloseCode::Forbidden);
        }
        signed_in.registration.member.renew(principal.clone());
        signed_in.principal = principal;
        signed_in.warned = false;
        self.send(&plain_ok(auth.id));
    }

    async fn subscribe(&self, id: u64, name: &str) {
        let Some(signed_in) = &self.signed_in else { return };
        let wanted = match topic(name, &signed_in.principal) {
            Ok(topic) => topic,
            Err(refusal) => return self.refuse(id, refusal),
        };
        if let Topic::Conversation(conversation_id) = wanted
            && let Err(refusal) = self.inner.visible_conversation(&signed_in.principal, conversation_id).await
        {
            return self.refuse(id, refusal);
        }
        let workspace_id = signed_in.principal.workspace_id;
        let partition = self.inner.partition_index(workspace_id);
        let Some(held) = self.inner.partition(partition) else { return };
        let added = {
            let state = held.lock();
            let added = self.inner.hub.subscribe(&signed_in.registration.member, wanted);
            if added {
                let cur = Some(self.inner.cursors.encode(workspace_id, partition, state.next));
                self.send(&ok_with_cursor(id, cur));
            }
            added
        };
        match wanted {
            _ if !added => {
                self.refuse(id, Refusal::new(ErrorCode::TooLarge, "unsubscribe from some conversations first"));
            }
            Topic::Presence => self.show_presence().await,
            Topic::Kpis => self.show_board(),
            Topic::Inbox | Topic::Conversation(_) | Topic::Desk => {}
        }
    }

    fn unsubscribe(&self, id: u64, name: &str) {
        let Some(signed_in) = &self.signed_in else { return };
        let Ok(topic) = name.parse() else {
            return self.refuse(id, unknown_topic());
        };
        self.inner.hub.unsubscribe(&signed_in.registration.member, topic);
        self.inner.boards.stop_if_unwatched(&self.inner.hub, signed_in.principal.workspace_id);
        self.send(&plain_ok(id));
    }

    async fn show_presence(&self) {
        let Some(signed_in) = &self.signed_in else { return };
        match presence::snapshot(self.inner.tables.as_ref(), signed_in.principal.workspace_id).await {
            Ok(frame) => self.connection().push(&frame, Class::Control, Instant::now()),
            Err(error) => tracing::warn!(%error, "presence cannot be read for a socket"),
        }
    }

    fn show_board(&self) {
        if let Some(signed_in) = &self.signed_in {
            self.inner.boards.show(&self.inner.hub, self.connection(), signed_in.principal.workspace_id);
        }
    }

    /// Hands a wish to the connection's runner, which takes them one after the other.
    fn command(&mut self, frame: CommandFrame) {
        let connection = Arc::clone(self.connection());
        let Some(signed_in) = &mut self.signed_in else { return };
        let sender = signed_in.commands.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(MAX_QUEUED);
            let runner = Runner::new(Arc::clone(&self.inner), Arc::clone(&connection), signed_in.principal.clone());
            actix_web::rt::spawn(runner.run(receiver));
            sender
        });
        if let Err(mpsc::error::TrySendError::Full(frame) | mpsc::error::TrySendError::Closed(frame)) =
            sender.try_send(frame)
        {
            self.refuse(
                frame.id,
                Refusal::temporary(ErrorCode::RateLimited, "too many commands at once: send fewer", 1_000),
            );
        }
    }
}

fn unknown_topic() -> Refusal {
    Refusal::new(ErrorCode::InvalidValue, "topic: give inbox, conversation:<id>, presence or kpis")
}

fn topic(name: &str, principal: &Principal) -> Result<Topic, Refusal> {
    let topic: Topic = name.parse().map_err(|()| unknown_topic())?;
    if topic.is_open_to(principal.role) {
        Ok(topic)
    } else {
        Err(Refusal::new(ErrorCode::Forbidden, format!("topic: your role does not see {name}")))
    }
}

/// Lets the close frame leave; resets the connection if it cannot.
pub(crate) async fn finish(connection: &Connection, descriptor: Option<os::SocketDescriptor>) {
    connection.close(CloseCode::Normal);
    if tokio::time::timeout(CLOSE_TIMEOUT, connection.body_gone()).await.is_ok() {
        return;
    }
    // The body is not being polled: the client takes nothing, and actix waits for it.
    if let Some(descriptor) = descriptor
        && connection.body_is_alive()
    {
        metrics::counter!("saler_socket_resets_total").increment(1);
        os::abort(descriptor);
        // The dispatcher sees the error, and drops the body.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, connection.body_gone()).await);
    }
}
