//! What the sockets' tests stand on: a hub with nothing but sockets, a log and tables in memory, made-up people and events.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use bytes::Bytes;
use gateway::auth::principal::{AuthError, Authenticator, Credential, Principal};
use gateway::realtime::{self, BoardSource, Dependencies, Realtime, SocketConfig};
use schemas::command::{Actor, Command, CommandRecord};
use schemas::conversation::{Conversation, Priority, Status};
use schemas::event::{AssignmentReason, EVENT_VERSION, Event, EventRecord, Outcome, Source};
use schemas::message::{Author, Body, Direction, Message};
use schemas::tables::{CONVERSATIONS, Value as Cell};
use schemas::workspace::Role;
use schemas::{
    ChannelId, CommandId, ContactId, ConversationId, EventId, MessageId, SessionId, Timestamp, TokenId, UserId,
    WorkspaceId,
};
use serde_json::{Value, json};
use storage::clock::{Clock, ManualClock};
use storage::log::memory::MemoryLog;
use storage::log::{Log, NewRecord, ReadLimit, Topic, partition_of};
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Sync, Tables};
use tokio_util::sync::CancellationToken;

use crate::ws_client::WsClient;

/// The console's origin.
pub(crate) const ORIGIN: &str = "https://desk.example";

/// The time at which every test begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_795_000_000)
}

fn entropy(n: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub(crate) fn workspace(n: u64) -> WorkspaceId {
    WorkspaceId::new(start(), &entropy(n))
}

pub(crate) fn user(n: u64) -> UserId {
    UserId::new(start(), &entropy(n))
}

pub(crate) fn conversation_id(n: u64) -> ConversationId {
    ConversationId::new(start(), &entropy(n))
}

pub(crate) fn channel(n: u64) -> ChannelId {
    ChannelId::new(start(), &entropy(n))
}

/// A conversation of contact `n` on channel 1.
pub(crate) fn conversation(n: u64, assignee: Option<UserId>) -> Conversation {
    Conversation {
        id: conversation_id(n),
        channel_id: channel(1),
        contact_id: ContactId::new(start(), &entropy(n)),
        contact_name: format!("Contact {n}"),
        contact_address: format!("+1555{n:07}"),
        status: Status::Open,
        snoozed_until: None,
        assignee,
        priority: Priority::Normal,
        team: None,
        labels: BTreeSet::new(),
        sentiment: None,
        participants: BTreeSet::new(),
        created_at: start(),
        opened_at: start(),
        resolved_at: None,
        last_activity_at: start(),
        last_seq: 1,
        last_message: None,
        waiting_since: None,
        first_reply_at: None,
        reply_window_until: None,
        sla: None,
        inbound_count: 1,
        reads: std::collections::BTreeMap::new(),
    }
}

/// An inbound message of a conversation.
pub(crate) fn message(conversation: &Conversation, seq: u64, text: &str) -> Message {
    Message {
        id: MessageId::new(start(), &entropy(seq)),
        conversation_id: conversation.id,
        seq,
        direction: Direction::Inbound,
        author: Author::Contact { contact_id: conversation.contact_id },
        body: Body::text(text),
        created_at: start(),
        status: None,
        error: None,
        sentiment: None,
        external_id: None,
        client_key: None,
        attempts: 0,
        resends: 0,
        mentions: Vec::new(),
    }
}

pub(crate) fn added(conversation: &Conversation, seq: u64) -> Event {
    Event::MessageAdded { message: Arc::new(message(conversation, seq, &format!("message {seq}"))) }
}

pub(crate) fn assigned(from: Option<UserId>, to: Option<UserId>) -> Event {
    Event::ConversationAssigned { from, to, reason: AssignmentReason::Asked }
}

/// Tokens and what they stand for.
#[derive(Debug)]
pub(crate) struct People {
    by_token: Mutex<HashMap<String, Principal>>,
    clock: Arc<ManualClock>,
    rechecks: AtomicU64,
}

impl People {
    /// How often somebody was checked again.
    pub(crate) fn rechecks(&self) -> u64 {
        self.rechecks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Authenticator for People {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        self.by_token.lock().unwrap().get(bearer).cloned().ok_or(AuthError::Invalid)
    }

    async fn recheck(&self, principal: &Principal) -> Result<Principal, AuthError> {
        self.rechecks.fetch_add(1, Ordering::SeqCst);
        if self.clock.now() >= principal.expires_at {
            return Err(AuthError::Invalid);
        }
        let people = self.by_token.lock().unwrap();
        let found = people
            .values()
            .find(|known| (known.user_id, known.workspace_id) == (principal.user_id, principal.workspace_id));
        found.cloned().ok_or(AuthError::Invalid)
    }
}

/// A hub of sockets.
pub(crate) struct Bench {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) people: Arc<People>,
    pub(crate) realtime: Realtime,
    pub(crate) address: SocketAddr,
    /// The source of the last event: grows in the order of the log, as the engine's do.
    published: Arc<tokio::sync::Mutex<u64>>,
    shutdown: CancellationToken,
    server: actix_web::dev::ServerHandle,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
        drop(self.server.stop(false));
    }
}

/// The settings of most tests.
pub(crate) fn config() -> SocketConfig {
    SocketConfig { allowed_origins: vec![ORIGIN.to_owned()], recheck_ms: 50, ..SocketConfig::default() }
}

impl Bench {
    pub(crate) async fn new(config: SocketConfig) -> Self {
        Self::over(Arc::new(MemoryLog::new(2)), config, None).await
    }

    /// A process over a log that may have a past.
    pub(crate) async fn over(log: Arc<MemoryLog>, config: SocketConfig, boards: Option<Arc<dyn BoardSource>>) -> Self {
        let tables = Arc::new(MemoryTables::new());
        Self::with(log, tables, config, boards).await
    }

    pub(crate) async fn with(
        log: Arc<MemoryLog>,
        tables: Arc<MemoryTables>,
        config: SocketConfig,
        boards: Option<Arc<dyn BoardSource>>,
    ) -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        let people =
            Arc::new(People { by_token: Mutex::default(), clock: Arc::clone(&clock), rechecks: AtomicU64::new(0) });
        let send_buffer = config.send_buffer_bytes;
        let realtime = Realtime::new(Dependencies {
            node: "bench".to_owned(),
            log: Arc::clone(&log) as _,
            tables: Arc::clone(&tables) as _,
            clock: Arc::clone(&clock) as _,
            authenticator: Arc::clone(&people) as _,
            boards,
            files: None,
            config,
        });
        let shutdown = CancellationToken::new();
        let running = realtime.clone();
        let stop = shutdown.clone();
        tokio::spawn(async move { running.run(stop).await });
        let configured = realtime.clone();
        let server = HttpServer::new(move || {
            let realtime = configured.clone();
            App::new().configure(move |service| realtime.configure(service))
        })
        .on_connect(realtime::on_connect(send_buffer))
        .workers(2)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let mut before = 0;
        for partition in 0..log.partitions() {
            before += log.bounds(Topic::Events, partition).await.unwrap().next;
        }
        let published = Arc::new(tokio::sync::Mutex::new(before));
        Self { log, tables, clock, people, realtime, address, published, shutdown, server: handle }
    }

    /// Lets a person sign in with the token `<n>` (in workspace `w`: `<n>@<w>`), for an hour.
    pub(crate) fn person(&self, n: u64, w: u64, role: Role) -> String {
        let token = format!("{n}@{w}");
        let principal = Principal {
            user_id: user(n),
            workspace_id: workspace(w),
            role,
            credential: Credential::Session(SessionId::new(start(), &entropy(n))),
            bot: None,
            expires_at: self.clock.now().after(Duration::from_hours(1)),
        };
        self.people.by_token.lock().unwrap().insert(token.clone(), principal);
        token
    }

    /// Changes what a token stands for.
    pub(crate) fn change(&self, token: &str, change: impl FnOnce(&mut Principal)) {
        change(self.people.by_token.lock().unwrap().get_mut(token).unwrap());
    }

    /// Makes it the API token of a program.
    pub(crate) fn make_api_token(&self, token: &str) {
        self.change(token, |principal| {
            principal.credential = Credential::ApiToken(TokenId::new(start(), &entropy(9)));
        });
    }

    /// Makes it the API token of a program that writes under a name of its own.
    pub(crate) fn make_bot(&self, token: &str, name: &str) {
        self.make_api_token(token);
        self.change(token, |principal| principal.bot = Some(name.into()));
    }

    /// Signs a person out.
    pub(crate) fn sign_out(&self, token: &str) {
        self.people.by_token.lock().unwrap().remove(token);
    }

    /// A socket that has had its `hello`.
    pub(crate) async fn connect(&self) -> WsClient {
        let mut client = WsClient::open(self.address, "/api/v1/socket", Some(ORIGIN)).await.unwrap();
        assert_eq!(client.next().await["op"], "hello");
        client
    }

    /// A socket that has signed in, with its `ready`.
    pub(crate) async fn sign_in(&self, token: &str, subs: &[&str]) -> (WsClient, Value) {
        self.sign_in_with(json!({"op": "auth", "id": 1, "token": token, "subs": subs})).await
    }

    pub(crate) async fn sign_in_with(&self, auth: Value) -> (WsClient, Value) {
        let mut client = self.connect().await;
        client.send(&auth).await;
        let ready = client.next().await;
        assert_eq!(ready["op"], "ready", "{ready}");
        (client, ready)
    }

    /// Publishes events of a workspace, as the engine would; returns the offset of the first.
    pub(crate) async fn publish(&self, w: u64, events: Vec<(Event, Option<Conversation>)>) -> u64 {
        let mut n = self.published.lock().await;
        let records = events
            .into_iter()
            .map(|(event, conversation)| {
                *n += 1;
                let record = EventRecord {
                    v: EVENT_VERSION,
                    id: EventId::new(start(), &entropy(*n)),
                    workspace_id: workspace(w),
                    at: start(),
                    source: Source { partition: 0, offset: *n, index: 0 },
                    command_id: CommandId::new(start(), &entropy(*n)),
                    actor: Actor::System,
                    event,
                    conversation: conversation.map(Arc::new),
                    sla: Vec::new(),
                };
                new_record(&record)
            })
            .collect();
        self.log.append(Topic::Events, self.partition(w), records).await.unwrap()
    }

    /// Publishes one message of a conversation.
    pub(crate) async fn publish_message(&self, w: u64, conversation: &Conversation, seq: u64) -> u64 {
        self.publish(w, vec![(added(conversation, seq), Some(conversation.clone()))]).await
    }

    pub(crate) fn partition(&self, w: u64) -> u32 {
        partition_of(workspace(w), self.log.partitions())
    }

    /// Stores a conversation, as the engine would.
    pub(crate) async fn store(&self, w: u64, conversation: &Conversation) {
        let key = Key::of([Cell::from(workspace(w)), Cell::from(conversation.id)]);
        let mut batch = Batch::default();
        batch.put(CONVERSATIONS, Row::new(key).with_body(conversation).unwrap());
        self.tables.write(batch, Sync::Later).await.unwrap();
    }

    /// The commands of a workspace so far.
    pub(crate) async fn commands(&self, w: u64) -> Vec<CommandRecord> {
        let records = self.log.read(Topic::Commands, self.partition(w), 0, ReadLimit::default()).await.unwrap();
        records.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect()
    }

    /// Commands of a workspace other than changes of presence.
    pub(crate) async fn wishes(&self, w: u64) -> Vec<CommandRecord> {
        let mut commands = self.commands(w).await;
        commands.retain(|record| !matches!(record.command, Command::SetPresence { connected: Some(_), .. }));
        commands
    }

    /// Answers the commands of a workspace: the first with a key is applied and adds a message, a second is a repeat.
    pub(crate) fn answer_commands(&self, w: u64) {
        let (log, partition, stop) = (Arc::clone(&self.log), self.partition(w), self.shutdown.clone());
        let published = Arc::clone(&self.published);
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut keys: HashMap<String, CommandId> = HashMap::new();
            let mut next = 0;
            loop {
                log.wait_for(Topic::Commands, partition, next).await.unwrap();
                for record in log.read(Topic::Commands, partition, next, ReadLimit::default()).await.unwrap() {
                    next = record.offset + 1;
                    let command: CommandRecord = serde_json::from_slice(&record.value).unwrap();
                    if command.wants_outcome {
                        let mut n = published.lock().await;
                        *n += 1;
                        let events = settle(&command, (*n, next), &mut keys);
                        log.append(Topic::Events, partition, events).await.unwrap();
                    }
                }
            }
        }));
    }

    /// Waits until something holds.
    pub(crate) async fn eventually(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            let mut look = tokio::time::interval(Duration::from_millis(2));
            while !holds().await {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Waits until no socket is left, and checks that nothing is held for any.
    pub(crate) async fn is_left_empty(&self) {
        self.eventually("all sockets end", async || self.realtime.connection_count() == 0).await;
        let mut left = self.realtime.holdings();
        left.people = 0;
        assert_eq!(left, realtime::Holdings::default());
    }
}

fn new_record(record: &EventRecord) -> NewRecord {
    NewRecord { key: record.workspace_id, at: record.at, value: Bytes::from(serde_json::to_vec(record).unwrap()) }
}

fn settle(command: &CommandRecord, (offset, seq): (u64, u64), keys: &mut HashMap<String, CommandId>) -> Vec<NewRecord> {
    let record = |event, conversation, index| {
        new_record(&EventRecord {
            v: EVENT_VERSION,
            id: EventId::new(start(), &entropy(seq)),
            workspace_id: command.workspace_id,
            at: command.at,
            source: Source { partition: 0, offset, index },
            command_id: command.id,
            actor: command.actor.clone(),
            event,
            conversation,
            sla: Vec::new(),
        })
    };
    let first = command.key.as_ref().map(|key| *keys.entry(key.clone()).or_insert(command.id));
    let outcome = match first {
        Some(first) if first != command.id => Outcome::Repeated { first },
        _ => Outcome::Applied,
    };
    let mut events = Vec::new();
    if let (Command::SendMessage { conversation_id, .. }, Outcome::Applied) = (&command.command, &outcome) {
        let mut conversation = conversation(1, None);
        conversation.id = *conversation_id;
        events.push(record(added(&conversation, seq), Some(Arc::new(conversation)), 0));
    }
    let settled = Event::CommandSettled {
        key: command.key.clone(),
        fingerprint: String::new(),
        outcome,
        conversation_id: command.command.conversation_id(),
        message_id: Some(MessageId::new(start(), &entropy(seq))),
        seq: Some(seq),
    };
    events.push(record(settled, None, 1));
    events
}
