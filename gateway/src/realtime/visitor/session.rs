//! One visitor's socket, from the upgrade to the end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use futures::StreamExt;
use ingest::commands::Commands;
use rand::RngExt;
use schemas::api::problem::ErrorCode;
use schemas::command::{Actor, Command, CommandRecord, DeliveryReport, InboundMessage};
use schemas::message::{Attachment, Body, DeliveryStatus};
use schemas::socket::{
    EphemeralKind, MAX_CLIENT_MESSAGE_BYTES, PROTOCOL_VERSION, VisitorAuth, VisitorClientFrame, VisitorServerFrame,
};
use schemas::tables::{CONVERSATIONS, Value};
use storage::tables::{Key, TablesError};
use tokio::time::Instant;

use super::identity::{self, Told, Visitor};
use super::{AddressSlot, Guest, Seat, Site, history};
use crate::realtime::close::CloseCode;
use crate::realtime::commands::{ephemeral, refusal_of};
use crate::realtime::connection::{Class, Connection};
use crate::realtime::frames::{Refusal, encode};
use crate::realtime::handler::Upgraded;
use crate::realtime::os::SocketDescriptor;
use crate::realtime::session::{Allowance, finish};
use crate::realtime::wire::{Decoder, Incoming, Opcode};
use crate::realtime::{Inner, Open};

/// So many heartbeats may stay unanswered.
const MISSED_HEARTBEATS: u8 = 2;
/// The most characters of a message's key.
const MAX_KEY_CHARS: usize = 64;
/// The most files of a message.
const MAX_FILES: usize = 10;
/// Typing of a visitor is not passed on again within this time.
const TYPING_PAUSE: Duration = Duration::from_secs(2);

/// A visitor who has signed in.
struct Known {
    visitor: Visitor,
    seat: Seat,
}

/// One visitor's socket.
pub(crate) struct VisitorSession {
    inner: Arc<Inner>,
    open: Open,
    payload: Payload,
    descriptor: Option<SocketDescriptor>,
    site: Rc<Site>,
    slot: AddressSlot,
    known: Option<Known>,
    next_moment: Instant,
    unanswered: u8,
    frames: Allowance,
    last_typing: Option<Instant>,
}

impl VisitorSession {
    pub(crate) fn new(inner: Arc<Inner>, upgraded: Upgraded, site: Rc<Site>, slot: AddressSlot) -> Self {
        let rate = f64::from(inner.config.frames_per_second);
        Self {
            next_moment: Instant::now() + Duration::from_millis(inner.config.auth_timeout_ms),
            frames: Allowance::new(rate, rate * 2.0),
            inner,
            open: upgraded.open,
            payload: upgraded.payload,
            descriptor: upgraded.descriptor,
            site,
            slot,
            known: None,
            unanswered: 0,
            last_typing: None,
        }
    }

    fn connection(&self) -> &Arc<Connection> {
        &self.open.connection
    }

    fn send(&self, frame: &VisitorServerFrame) {
        self.connection().push(&encode(frame), Class::Control, Instant::now());
    }

    fn refuse(&self, id: u64, refusal: Refusal) {
        // The visitors' `err` is written like the agents'.
        self.connection().push(&refusal.frame(id), Class::Control, Instant::now());
    }

    /// Lives until the socket is closed.
    pub(crate) async fn run(mut self) {
        self.send(&VisitorServerFrame::Hello {
            v: PROTOCOL_VERSION,
            conn: format!("v{}", self.connection().id),
            hb: self.inner.config.heartbeat_ms,
            max_in: MAX_CLIENT_MESSAGE_BYTES,
            auth_in: self.inner.config.auth_timeout_ms,
        });
        let connection = Arc::clone(self.connection());
        let mut decoder = Decoder::new(MAX_CLIENT_MESSAGE_BYTES);
        let timer = tokio::time::sleep_until(self.next_moment);
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
                () = &mut timer => self.on_time(),
            }
            timer.as_mut().reset(self.next_moment);
        }
        self.known = None;
        finish(&connection, self.descriptor).await;
    }

    fn on_time(&mut self) {
        if self.known.is_none() {
            return self.connection().close(CloseCode::AuthTimeout);
        }
        if self.unanswered >= MISSED_HEARTBEATS {
            return self.connection().close(CloseCode::Heartbeat);
        }
        self.unanswered += 1;
        self.next_moment = Instant::now() + self.inner.config.heartbeat();
        self.send(&VisitorServerFrame::Hb);
    }

    async fn read(&mut self, decoder: &mut Decoder) {
        while self.connection().is_open() {
            match decoder.next() {
                Ok(None) => return,
                Ok(Some(message)) => {
                    self.unanswered = 0;
                    match message {
                        Incoming::Text(text) => Box::pin(self.on_frame(&text)).await,
                        Incoming::Binary(_) => self.connection().close(CloseCode::BadFrame),
                        Incoming::Ping(payload) => {
                            if self.frames.take(1.0, Instant::now()).is_ok() {
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

    async fn on_frame(&mut self, text: &[u8]) {
        let Ok(frame) = serde_json::from_slice::<VisitorClientFrame>(text) else {
            return self.connection().close(CloseCode::BadFrame);
        };
        if self.frames.take(1.0, Instant::now()).is_err() {
            if self.frames.is_exhausted() {
                self.connection().close(CloseCode::Rate);
            }
            if let VisitorClientFrame::Send { id, .. } = frame {
                self.refuse(id, Refusal::temporary(ErrorCode::RateLimited, "too many frames: send fewer", 1_000));
            }
            return;
        }
        match (frame, self.known.is_some()) {
            (VisitorClientFrame::Auth(auth), false) => self.sign_in(auth).await,
            (VisitorClientFrame::Hb, _) => {}
            (VisitorClientFrame::Auth(_), true) => self.connection().close(CloseCode::BadFrame),
            (_, false) => self.connection().close(CloseCode::AuthTimeout),
            (VisitorClientFrame::Upload { id }, true) => match self.allow_upload() {
                Ok((url, max_bytes)) => self.send(&VisitorServerFrame::Upload { id, url, max_bytes }),
                Err(refusal) => self.refuse(id, refusal),
            },
            (VisitorClientFrame::Send { id, key, text, files }, true) => match self.write(key, text, &files).await {
                Ok(()) => self.send(&VisitorServerFrame::Ok { id }),
                Err(refusal) => self.refuse(id, refusal),
            },
            (VisitorClientFrame::Ack { seq, read }, true) => self.confirm(seq, read).await,
            (VisitorClientFrame::History { id, before }, true) => self.look_back(id, before).await,
            (VisitorClientFrame::Typing, true) => self.type_on().await,
        }
    }

    async fn sign_in(&mut self, auth: VisitorAuth) {
        let result = self.enter(auth).await;
        match result {
            Ok(Some(known)) => {
                self.known = Some(known);
                self.open.signed_in();
                self.next_moment = Instant::now() + self.inner.config.heartbeat().mul_f64(rand::rng().random::<f64>());
            }
            // The reason was given.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a visitor cannot be served");
                self.connection().close(CloseCode::NotReady);
            }
        }
    }

    async fn enter(&self, auth: VisitorAuth) -> Result<Option<Known>, TablesError> {
        let now = self.inner.clock.now();
        let visitor = match (auth.token, auth.identity, auth.new) {
            (Some(token), None, false) => identity::from_token(&self.inner, &self.site, &token).await?,
            (None, Some(statement), false) => identity::from_statement(&self.site, &statement, now),
            (None, None, true) => {
                let told = Told { name: auth.name, email: auth.email, phone: auth.phone };
                Some(identity::new_visitor(now, told))
            }
            _ => {
                self.connection().close(CloseCode::BadFrame);
                return Ok(None);
            }
        };
        let Some(visitor) = visitor else {
            self.connection().close(CloseCode::Unauthenticated);
            return Ok(None);
        };
        let guest = Arc::new(Guest::new(Arc::clone(self.connection()), self.site.channel.workspace_id));
        let contact = (self.site.channel.id, visitor.address.clone());
        let Some(seat) = self.inner.visitors.sit(&self.inner, contact, guest) else {
            self.connection().close(CloseCode::TooManyConnections);
            return Ok(None);
        };
        // The seat is taken first: what comes from here on is held until the history is sent.
        let conversation = history::latest(&self.inner, &self.site, &visitor.address).await?;
        let messages = match &conversation {
            Some(conversation) => {
                let (workspace_id, wanted) =
                    (self.site.channel.workspace_id, history::Wanted::missed(conversation, auth.after));
                history::messages(&self.inner, workspace_id, conversation, wanted).await?
            }
            None => Vec::new(),
        };
        let token = identity::token(&self.inner, &self.site, &visitor).await?;
        let conversation_id = conversation.as_ref().map(|conversation| conversation.id);
        if let (Some(position), Some(conversation_id)) = (auth.after, conversation_id)
            && position.conversation_id == conversation_id
        {
            seat.guest.lock().position = Some((conversation_id, position.seq));
        } else if let Some(conversation_id) = conversation_id {
            seat.guest.lock().position = Some((conversation_id, 0));
        }
        let ready = |history| encode(&VisitorServerFrame::Ready { id: auth.id, token, conversation_id, history });
        seat.guest.begin(ready, messages);
        Ok(Some(Known { visitor, seat }))
    }

    /// Sends what was said before a number.
    async fn look_back(&self, id: u64, before: u64) {
        let Some(known) = &self.known else { return };
        let found = async {
            Ok::<_, TablesError>(match history::latest(&self.inner, &self.site, &known.visitor.address).await? {
                Some(conversation) => {
                    let wanted = history::Wanted::before(before);
                    history::messages(&self.inner, self.site.channel.workspace_id, &conversation, wanted).await?
                }
                None => Vec::new(),
            })
        };
        match found.await {
            Ok(messages) => self.send(&VisitorServerFrame::History { id, messages }),
            Err(error) => {
                tracing::warn!(%error, "a visitor's history cannot be read");
                self.refuse(id, Refusal::unavailable());
            }
        }
    }

    /// Takes a message of the visitor; returns once it is durable.
    async fn write(&self, key: String, text: String, files: &[String]) -> Result<(), Refusal> {
        let Some(known) = &self.known else { return Err(Refusal::unavailable()) };
        if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
            let reason = format!("key: give 1 to {MAX_KEY_CHARS} characters");
            return Err(Refusal::new(ErrorCode::InvalidValue, reason));
        }
        let limit = self.site.channel.medium.text_limit_chars();
        let says_nothing = text.trim().is_empty() && files.is_empty();
        if says_nothing || text.contains('\0') || text.chars().count() > limit {
            let reason = format!("text: give 1 to {limit} characters, none of them U+0000");
            return Err(Refusal::new(ErrorCode::InvalidValue, reason));
        }
        let attachments = self.attachments(files)?;
        self.allow(known)?;
        // Sockets live long: the channel may have been switched off since this one was opened.
        match Site::find(&self.inner, self.site.channel.id).await {
            Ok(Some(_)) => {}
            Ok(None) => return Err(Refusal::new(ErrorCode::ChannelInactive, "the chat is switched off")),
            Err(error) => {
                tracing::warn!(%error, "a web chat channel cannot be read");
                return Err(Refusal::unavailable());
            }
        }
        let address = known.visitor.address.clone();
        let channel_id = self.site.channel.id;
        let message = Box::new(InboundMessage {
            // The key is the client's, so a message that is sent again has one effect.
            external_id: format!("{address}/{key}"),
            from: address,
            also_from: Vec::new(),
            phone: known.visitor.told.phone.clone(),
            email: known.visitor.told.email.clone(),
            to: self.site.channel.address.clone(),
            profile_name: known.visitor.told.name.clone(),
            body: Body { attachments, ..Body::text(text) },
            opt_out: None,
        });
        let record = self.record(Command::ReceiveMessage { channel_id, message });
        self.commands().append(&record).await.map(drop).map_err(|error| refusal_of(&error))
    }

    fn allow(&self, known: &Known) -> Result<(), Refusal> {
        self.inner.visitors.allow(&known.seat.contact, self.slot.address, Instant::now()).map_err(|after_ms| {
            Refusal::temporary(ErrorCode::RateLimited, "too many messages: wait a little", after_ms)
        })
    }

    /// Where the visitor may upload a file, and how large it may be.
    fn allow_upload(&self) -> Result<(String, u64), Refusal> {
        let (Some(known), Some(files)) = (&self.known, &self.inner.visitors.files) else {
            return Err(Refusal::unavailable());
        };
        self.allow(known)?;
        let channel = &self.site.channel;
        Ok((files.upload_address(channel.workspace_id, channel.id), files.max_bytes as u64))
    }

    /// The files that the visitor has uploaded.
    fn attachments(&self, urls: &[String]) -> Result<Vec<Attachment>, Refusal> {
        let workspace_id = self.site.channel.workspace_id;
        let of_ours = |url: &String| self.inner.visitors.files.as_ref()?.attached(workspace_id, url);
        let found: Option<Vec<_>> = urls.iter().map(of_ours).collect();
        found.filter(|found| found.len() <= MAX_FILES).ok_or_else(|| {
            let reason = format!("files: give at most {MAX_FILES} addresses that uploads were answered with");
            Refusal::new(ErrorCode::InvalidValue, reason)
        })
    }

    fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    fn record(&self, command: Command) -> CommandRecord {
        let channel_id = self.site.channel.id;
        self.commands().record(self.site.channel.workspace_id, Actor::Channel { channel_id }, command)
    }

    /// Reports the arrival of agents' messages.
    async fn confirm(&self, seq: u64, read: bool) {
        let Some(known) = &self.known else { return };
        let (status, word) =
            if read { (DeliveryStatus::Read, "read") } else { (DeliveryStatus::Delivered, "delivered") };
        let records: Vec<_> = known
            .seat
            .guest
            .confirm(seq, read)
            .into_iter()
            .map(|id| {
                self.record(Command::RecordDelivery {
                    channel_id: self.site.channel.id,
                    report: DeliveryReport {
                        external_id: id.to_string(),
                        provider_status: word.to_owned(),
                        status: Some(status),
                        error: None,
                        remedy: None,
                    },
                })
            })
            .collect();
        if !records.is_empty()
            && let Err(error) = self.commands().append_all(&records).await
        {
            // The next connection reports them again: their status in the history is still the old one.
            tracing::warn!(%error, "the arrival of messages cannot be recorded now");
        }
    }

    /// Tells the agents who may see the conversation that the visitor types.
    async fn type_on(&mut self) {
        let now = Instant::now();
        if self.last_typing.is_some_and(|last| now.duration_since(last) < TYPING_PAUSE) {
            return;
        }
        self.last_typing = Some(now);
        let Some(conversation_id) = self.known.as_ref().and_then(|known| known.seat.guest.conversation()) else {
            return;
        };
        let workspace_id = self.site.channel.workspace_id;
        let key = Key::of([Value::from(workspace_id), Value::from(conversation_id)]);
        let row = self.inner.tables.get(CONVERSATIONS, key).await;
        let conversation = row.ok().flatten().and_then(|row| row.body(CONVERSATIONS).ok());
        let Some(conversation): Option<schemas::conversation::Conversation> = conversation else { return };
        let frame = ephemeral(EphemeralKind::Typing, conversation_id, None);
        self.inner.hub.whisper(workspace_id, conversation_id, &frame, |principal| {
            conversation.visible_to(principal.user_id, principal.role)
        });
    }
}
