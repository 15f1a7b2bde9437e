//! Web chat visitors: people on a customer's web page, each of whom sees their own conversation and nothing else.
//!
//! A visitor is a contact whose address on the channel is the visitor's id. What they write becomes a `receive_message`
//! command like a provider's webhook; what agents write reaches them as a narrow [`VisitorMessage`], never as an event.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use schemas::channel::{Channel, ChannelRecord, Credentials, Secret};
use schemas::conversation::Conversation;
use schemas::event::{Event, EventRecord};
use schemas::message::{Author, DeliveryStatus, Direction, Message};
use schemas::socket::{VisitorAuthor, VisitorMessage, VisitorServerFrame};
use schemas::tables::{CHANNEL_WORKSPACES, CHANNELS, Value};
use schemas::{ChannelId, ConversationId, MessageId, WorkspaceId};
use storage::tables::{Key, TablesError};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::Inner;
use super::close::CloseCode;
use super::commands::EPHEMERAL_TTL_MS;
use super::config::SocketConfig;
use super::connection::{Class, Connection};
use super::entry::Peeked;
use super::frames::encode;
use super::session::Allowance;
use crate::files::Files;

mod history;
mod identity;
mod session;

pub(crate) use session::VisitorSession;

/// Messages that are held back while a visitor's history is read.
const MAX_HELD: usize = 200;
/// Messages of agents whose arrival a visitor has not confirmed yet; older ones are forgotten.
const MAX_UNCONFIRMED: usize = 256;
/// Visitors and network addresses whose rate is remembered.
const MAX_RATES: usize = 100_000;
/// One network address may send as much as so many visitors.
const VISITORS_PER_ADDRESS: f64 = 10.0;

/// A web chat channel, as a visitor's socket needs it.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) channel: Channel,
    identity_secret: Secret,
    allowed_origins: Vec<String>,
}

impl Site {
    /// The web chat channel with this id, if it is switched on.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(crate) async fn find(inner: &Inner, channel_id: ChannelId) -> Result<Option<Self>, TablesError> {
        let Some(row) = inner.tables.get(CHANNEL_WORKSPACES, Key::of([Value::from(channel_id)])).await? else {
            return Ok(None);
        };
        let Some(workspace_id) = row.workspace_id() else { return Ok(None) };
        let key = Key::of([Value::from(workspace_id)]).at([Value::from(channel_id)]);
        let Some(row) = inner.tables.get(CHANNELS, key).await? else { return Ok(None) };
        let ChannelRecord { channel, credentials } = row.body(CHANNELS)?;
        Ok(match credentials {
            Credentials::WebChat { identity_secret, allowed_origins, .. } if channel.active => {
                Some(Self { channel, identity_secret, allowed_origins })
            }
            Credentials::WebChat { .. } | Credentials::Twilio { .. } => None,
        })
    }

    /// Whether a page of this origin may open the socket.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == origin)
    }
}

/// A visitor's signed-in socket.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) connection: Arc<Connection>,
    workspace_id: WorkspaceId,
    state: Mutex<GuestState>,
}

#[derive(Debug, Default)]
struct GuestState {
    /// `Some` while the history is read: what comes meanwhile.
    held: Option<Vec<VisitorMessage>>,
    /// The conversation that goes on, and the last number sent.
    position: Option<(ConversationId, u64)>,
    /// Messages of agents: number, id, whether their arrival was reported.
    unconfirmed: VecDeque<(u64, MessageId, bool)>,
}

impl Guest {
    fn new(connection: Arc<Connection>, workspace_id: WorkspaceId) -> Self {
        let state = GuestState { held: Some(Vec::new()), ..GuestState::default() };
        Self { connection, workspace_id, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, GuestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new message. If more come than can be held back, the socket is closed: with the next one the history has them.
    fn give(&self, message: &VisitorMessage, frame: &Bytes) {
        let mut state = self.lock();
        match &mut state.held {
            Some(held) if held.len() < MAX_HELD => held.push(message.clone()),
            Some(held) => {
                *held = Vec::new();
                self.connection.close(CloseCode::NotReady);
            }
            None => {
                if state.note(message) {
                    self.connection.push(frame, Class::Counted, Instant::now());
                }
            }
        }
    }

    /// The history is there: sends `ready`, then what came meanwhile, and is live.
    fn begin(&self, ready: impl FnOnce(Vec<VisitorMessage>) -> Bytes, history: Vec<VisitorMessage>) {
        let now = Instant::now();
        let mut state = self.lock();
        for message in &history {
            state.note(message);
        }
        self.connection.push(&ready(history), Class::Control, now);
        for message in state.held.take().unwrap_or_default() {
            if state.note(&message) {
                self.connection.push(&encode(&VisitorServerFrame::Msg(message)), Class::Counted, now);
            }
        }
    }

    /// The conversation that goes on.
    fn conversation(&self) -> Option<ConversationId> {
        self.lock().position.map(|(conversation_id, _)| conversation_id)
    }

    /// Messages that arrived, or were seen, by this: what has to be reported.
    fn confirm(&self, seq: u64, read: bool) -> Vec<MessageId> {
        let mut state = self.lock();
        let mut confirmed = Vec::new();
        state.unconfirmed.retain_mut(|(number, id, reported)| {
            if *number > seq {
                return true;
            }
            if read || !*reported {
                confirmed.push(*id);
            }
            *reported = true;
            !read
        });
        confirmed
    }
}

impl GuestState {
    /// Notes a message as sent; `false` if it was sent before.
    fn note(&mut self, message: &VisitorMessage) -> bool {
        let known = self.position.is_some_and(|(id, seq)| id == message.conversation_id && message.seq <= seq);
        if known {
            return false;
        }
        if self.position.is_none_or(|(id, _)| id != message.conversation_id) {
            self.unconfirmed.clear();
        }
        self.position = Some((message.conversation_id, message.seq));
        if message.from != VisitorAuthor::Visitor && message.status != Some(DeliveryStatus::Read) {
            if self.unconfirmed.len() >= MAX_UNCONFIRMED {
                self.unconfirmed.pop_front();
            }
            let reported = message.status == Some(DeliveryStatus::Delivered);
            self.unconfirmed.push_back((message.seq, message.id, reported));
        }
        true
    }
}

/// What a visitor may know of a message; `None` for private notes. `address` is the visitor's.
fn narrow(message: Message, address: &str) -> Option<VisitorMessage> {
    if message.direction == Direction::Note {
        return None;
    }
    let from = match message.author {
        Author::Contact { .. } => VisitorAuthor::Visitor,
        Author::Agent { .. } => VisitorAuthor::Agent,
        Author::Bot { .. } => VisitorAuthor::Bot,
    };
    let key = message
        .external_id
        .filter(|_| from == VisitorAuthor::Visitor)
        .and_then(|id| id.strip_prefix(address)?.strip_prefix('/').map(str::to_owned));
    Some(VisitorMessage {
        id: message.id,
        conversation_id: message.conversation_id,
        seq: message.seq,
        from,
        body: message.body,
        at: message.created_at,
        key,
        status: message.status,
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Rated {
    Visitor(ChannelId, Box<str>),
    Address(IpAddr),
}

type Contact = (ChannelId, String);

/// The visitors' sockets of this process.
#[derive(Debug)]
pub(crate) struct Visitors {
    guests: Mutex<HashMap<Contact, Vec<Arc<Guest>>>>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    rates: Mutex<HashMap<Rated, Allowance>>,
    messages_per_second: f64,
    messages_at_once: f64,
    max_per_visitor: usize,
    token_key: OnceCell<Secret>,
    files: Option<Arc<Files>>,
}

/// A socket's place among those of its network address.
#[derive(Debug)]
pub(crate) struct AddressSlot {
    address: Option<IpAddr>,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut addresses = locked(&self.addresses);
        if let Some(count) = addresses.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// A guest's place in the register; leaves it when dropped.
#[derive(Debug)]
struct Seat {
    inner: Arc<Inner>,
    contact: Contact,
    guest: Arc<Guest>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut guests = locked(&self.inner.visitors.guests);
        if let Some(list) = guests.get_mut(&self.contact) {
            list.retain(|guest| !Arc::ptr_eq(guest, &self.guest));
            if list.is_empty() {
                guests.remove(&self.contact);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Visitors {
    pub(crate) fn new(config: &SocketConfig, files: Option<Arc<Files>>) -> Self {
        let per_minute = f64::from(config.visitor_messages_per_minute);
        Self {
            guests: Mutex::default(),
            addresses: Arc::default(),
            rates: Mutex::default(),
            messages_per_second: per_minute / 60.0,
            messages_at_once: per_minute,
            max_per_visitor: config.max_per_visitor,
            token_key: OnceCell::new(),
            files,
        }
    }

    /// A place for a socket from this address, if there is one left.
    pub(crate) fn enter(&self, address: Option<IpAddr>, max_per_address: usize) -> Option<AddressSlot> {
        if let Some(address) = address {
            let mut addresses = locked(&self.addresses);
            let count = addresses.entry(address).or_default();
            if *count >= max_per_address {
                return None;
            }
            *count += 1;
        }
        Some(AddressSlot { address, addresses: Arc::clone(&self.addresses) })
    }

    /// Registers a guest; `None` if the visitor has too many sockets.
    fn sit(&self, inner: &Arc<Inner>, contact: Contact, guest: Arc<Guest>) -> Option<Seat> {
        let mut guests = locked(&self.guests);
        let list = guests.entry(contact.clone()).or_default();
        if list.len() >= self.max_per_visitor {
            return None;
        }
        list.push(Arc::clone(&guest));
        Some(Seat { inner: Arc::clone(inner), contact, guest })
    }

    /// Takes one message from the allowances of a visitor and of their address.
    fn allow(&self, contact: &Contact, address: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        let mut rates = locked(&self.rates);
        let visitor = (Rated::Visitor(contact.0, contact.1.as_str().into()), 1.0);
        let network = address.map(|address| (Rated::Address(address), VISITORS_PER_ADDRESS));
        for (rated, times) in [Some(visitor), network].into_iter().flatten() {
            if rates.len() >= MAX_RATES && !rates.contains_key(&rated) {
                return Err(1_000);
            }
            let (per_second, at_once) = (self.messages_per_second * times, self.messages_at_once * times);
            rates.entry(rated).or_insert_with(|| Allowance::new(per_second, at_once)).take(1.0, now)?;
        }
        Ok(())
    }

    /// Forgets rates that are whole again.
    pub(crate) fn sweep(&self, now: Instant) {
        locked(&self.rates).retain(|_, allowance| !allowance.is_full(now));
    }

    fn of(&self, contact: &Contact) -> Vec<Arc<Guest>> {
        locked(&self.guests).get(contact).cloned().unwrap_or_default()
    }

    /// What a visitor may know of a message, with links to its files that are good now.
    fn shown(&self, workspace_id: WorkspaceId, message: Message, address: &str) -> Option<VisitorMessage> {
        let mut shown = narrow(message, address)?;
        if let Some(files) = &self.files {
            shown.body.attachments.iter_mut().for_each(|file| files.renew(workspace_id, file));
        }
        Some(shown)
    }

    /// Gives a message to the sockets of the visitor whom it concerns. `record` is the event's JSON.
    pub(crate) fn publish(&self, peeked: &Peeked, record: &[u8]) {
        let Some(contact) = &peeked.contact else { return };
        let guests = self.of(contact);
        if guests.is_empty() {
            return;
        }
        let Ok(EventRecord { workspace_id, event: Event::MessageAdded { message }, .. }) =
            serde_json::from_slice(record)
        else {
            return;
        };
        let Some(message) = self.shown(workspace_id, Arc::unwrap_or_clone(message), &contact.1) else { return };
        let frame = encode(&VisitorServerFrame::Msg(message.clone()));
        for guest in guests.iter().filter(|guest| guest.workspace_id == workspace_id) {
            guest.give(&message, &frame);
        }
    }

    /// Tells the visitor of a conversation that somebody types.
    pub(crate) fn show_typing(&self, conversation: &Conversation) {
        let contact = (conversation.channel_id, conversation.contact_address.clone());
        let frame = encode(&VisitorServerFrame::Typing { ttl: EPHEMERAL_TTL_MS });
        let now = Instant::now();
        for guest in self.of(&contact) {
            guest.connection.push(&frame, Class::Ephemeral, now);
        }
    }

    /// How many sockets there are.
    pub(crate) fn count(&self) -> usize {
        locked(&self.guests).values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use schemas::Timestamp;
    use schemas::message::Body;

    use super::*;

    fn message(seq: u64) -> VisitorMessage {
        let at = Timestamp::from_unix_seconds(1_795_000_000);
        VisitorMessage {
            id: MessageId::derive(at, &[&seq.to_le_bytes()]),
            conversation_id: ConversationId::new(at, &[1; 10]),
            seq,
            from: VisitorAuthor::Agent,
            body: Body::text("hello"),
            at,
            key: None,
            status: None,
        }
    }

    /// Everything that is queued for the visitor, until nothing is or the end.
    fn queued(connection: &Connection) -> Vec<u8> {
        let mut all = Vec::new();
        while let Poll::Ready(Some(bytes)) = connection.poll_bytes(&Context::from_waker(Waker::noop())) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn guest() -> Guest {
        let workspace_id = WorkspaceId::new(Timestamp::from_unix_seconds(1_795_000_000), &[2; 10]);
        Guest::new(Arc::new(Connection::new(1)), workspace_id)
    }

    #[tokio::test]
    async fn what_comes_while_the_history_is_read_follows_it_once() {
        let guest = guest();
        for seq in 1..=u64::try_from(MAX_HELD).unwrap() {
            guest.give(&message(seq), &Bytes::new());
        }
        guest.begin(|history| Bytes::from(format!("{} of the past", history.len())), vec![message(1), message(2)]);
        let text = String::from_utf8_lossy(&queued(&guest.connection)).into_owned();
        assert!(guest.connection.is_open() && text.contains("2 of the past"), "{text}");
        assert_eq!(text.matches(r#""op":"msg""#).count(), MAX_HELD - 2);
    }

    #[tokio::test]
    async fn more_than_can_be_held_closes_the_socket_so_that_nothing_is_missing_from_it() {
        let guest = guest();
        for seq in 1..=u64::try_from(MAX_HELD).unwrap() + 2 {
            guest.give(&message(seq), &Bytes::new());
        }
        assert!(!guest.connection.is_open());
        guest.begin(|_| Bytes::from("ready"), vec![message(1)]);
        let bytes = queued(&guest.connection);
        assert_eq!(bytes, [&[0x88, 11][..], &4010_u16.to_be_bytes(), b"not_ready"].concat());
    }
}
