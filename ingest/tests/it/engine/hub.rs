//! One workspace over the model engines: appends commands, runs the engine until it has caught up, reads what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineStatus, run};
use schemas::channel::{AssignmentPolicy, Channel, Medium, Provider};
use schemas::command::{Actor, Command, CommandRecord, DeliveryReport, InboundMessage, Remedy, SendOutcome};
use schemas::conversation::Conversation;
use schemas::event::{Event, EventRecord, Outcome, Rejection};
use schemas::message::{Author, Body, DeliveryError, DeliveryStatus, Message};
use schemas::tables::{self as t, message_bucket};
use schemas::workspace::{Agent, Availability, Role};
use schemas::{ChannelId, ConversationId, MessageId, Timestamp, UserId, WorkspaceId};
use storage::clock::{Clock, ManualClock};
use storage::log::memory::MemoryLog;
use storage::log::{Log, ReadLimit, Topic, partition_of};
use storage::tables::memory::MemoryTables;
use storage::tables::{Key, Tables};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) const CUSTOMER: &str = "+966501234567";
pub(super) const PARTITIONS: u32 = 2;

pub(super) struct Hub {
    pub(super) log: Arc<MemoryLog>,
    pub(super) tables: Arc<MemoryTables>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) commands: Commands,
    pub(super) workspace: WorkspaceId,
    pub(super) partition: u32,
}

pub(super) fn start_of_tests() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// An id that a test can name by a number.
pub(super) fn nth<T>(n: u8, make: impl Fn(Timestamp, &[u8; 10]) -> T) -> T {
    make(start_of_tests(), &[n; 10])
}

pub(super) fn user(n: u8) -> UserId {
    nth(n, UserId::new)
}

pub(super) fn sms() -> ChannelId {
    nth(1, ChannelId::new)
}

pub(super) fn whatsapp() -> ChannelId {
    nth(2, ChannelId::new)
}

pub(super) fn web_chat() -> ChannelId {
    nth(3, ChannelId::new)
}

impl Hub {
    /// A hub with an SMS, a WhatsApp and a web chat channel, assigned by hand, and no members.
    pub(super) async fn new() -> Self {
        let hub = Self::over(Arc::new(MemoryLog::new(PARTITIONS)), Arc::new(MemoryTables::new()));
        for (id, medium) in [(sms(), Medium::Sms), (whatsapp(), Medium::Whatsapp), (web_chat(), Medium::WebChat)] {
            hub.configure_channel(id, medium, AssignmentPolicy::Manual, 1).await;
        }
        hub
    }

    pub(super) fn over(log: Arc<MemoryLog>, tables: Arc<MemoryTables>) -> Self {
        let clock = Arc::new(ManualClock::at(start_of_tests()));
        let commands = Commands::new(log.clone(), clock.clone());
        let workspace = nth(9, WorkspaceId::new);
        Self { log, tables, clock, commands, workspace, partition: partition_of(workspace, PARTITIONS) }
    }

    pub(super) async fn configure_channel(
        &self,
        id: ChannelId,
        medium: Medium,
        policy: AssignmentPolicy,
        version: u64,
    ) {
        let channel = self.channel(id, medium, policy, version);
        self.append(Actor::System, Command::ConfigureChannel { channel }).await;
    }

    pub(super) fn channel(&self, id: ChannelId, medium: Medium, policy: AssignmentPolicy, version: u64) -> Channel {
        Channel {
            id,
            workspace_id: self.workspace,
            name: medium.as_str().to_owned(),
            provider: if medium == Medium::WebChat { Provider::WebChat } else { Provider::Twilio },
            medium,
            address: "+14155550100".to_owned(),
            assignment: policy,
            reopen_hours: 24,
            active: true,
            version,
        }
    }

    pub(super) async fn add_agent(&self, user_id: UserId, capacity: u32, connected: bool) {
        let agent = Agent {
            user_id,
            name: "Agent".to_owned(),
            role: Role::Agent,
            active: true,
            capacity,
            availability: Availability::Online,
            connected: false,
            gateways: BTreeSet::new(),
            open_conversations: 0,
            last_assigned: 0,
        };
        self.append(Actor::System, Command::ConfigureAgent { agent }).await;
        if connected {
            self.set_connected(user_id, true).await;
        }
    }

    pub(super) async fn set_connected(&self, user_id: UserId, connected: bool) {
        self.set_connected_at("", user_id, connected).await;
    }

    /// A gateway speaks of its own sockets.
    pub(super) async fn set_connected_at(&self, gateway: &str, user_id: UserId, connected: bool) {
        let gateway = gateway.to_owned();
        let command = Command::SetPresence { user_id, availability: None, connected: Some(connected), gateway };
        self.append(Actor::System, command).await;
    }

    pub(super) async fn append(&self, actor: Actor, command: Command) -> CommandRecord {
        let record = self.commands.record(self.workspace, actor, command);
        self.append_record(record).await
    }

    pub(super) async fn append_record(&self, record: CommandRecord) -> CommandRecord {
        self.commands.append(&record).await.unwrap();
        record
    }

    pub(super) async fn receive(&self, channel_id: ChannelId, external_id: &str, from: &str, text: &str) {
        self.append(Actor::Channel { channel_id }, received(channel_id, external_id, from, text)).await;
    }

    pub(super) async fn report(&self, channel_id: ChannelId, external_id: &str, status: DeliveryStatus) {
        let report = DeliveryReport {
            external_id: external_id.to_owned(),
            provider_status: status.as_str().to_owned(),
            status: Some(status),
            error: None,
            remedy: None,
        };
        self.append(Actor::Channel { channel_id }, Command::RecordDelivery { channel_id, report }).await;
    }

    /// A provider reports that it failed after it had taken the message.
    pub(super) async fn report_failure(&self, channel_id: ChannelId, external_id: &str, remedy: Option<Remedy>) {
        let report = DeliveryReport {
            external_id: external_id.to_owned(),
            provider_status: "undelivered".to_owned(),
            status: Some(DeliveryStatus::Failed),
            error: Some(DeliveryError { code: "30000".to_owned(), reason: "a reason".to_owned() }),
            remedy,
        };
        self.append(Actor::Channel { channel_id }, Command::RecordDelivery { channel_id, report }).await;
    }

    /// Appends a wish of a person and says how it ended.
    pub(super) async fn ask(&self, user_id: UserId, command: Command) -> Settled {
        self.ask_with_key(user_id, None, command).await
    }

    pub(super) async fn ask_with_key(&self, user_id: UserId, key: Option<&str>, command: Command) -> Settled {
        let mut record = self.commands.record(self.workspace, Actor::User { user_id }, command);
        record.wants_outcome = true;
        record.key = key.map(str::to_owned);
        let id = self.append_record(record).await.id;
        self.settle().await;
        let settled = self.events().await.into_iter().find_map(|record| match record.event {
            Event::CommandSettled { outcome, conversation_id, message_id, seq, .. } if record.command_id == id => {
                Some(Settled { outcome, conversation_id, message_id, seq })
            }
            _ => None,
        });
        settled.expect("the command has an outcome")
    }

    pub(super) async fn reply(&self, user_id: UserId, conversation_id: ConversationId, text: &str) -> Settled {
        self.ask(user_id, send(conversation_id, user_id, text)).await
    }

    /// What the sender does: begins an attempt and ends it.
    pub(super) async fn attempt(
        &self,
        conversation_id: ConversationId,
        message_id: MessageId,
        attempt: u32,
        outcome: SendOutcome,
    ) {
        self.append(Actor::System, Command::BeginSend { conversation_id, message_id, attempt }).await;
        self.append(Actor::System, Command::FinishSend { conversation_id, message_id, attempt, outcome }).await;
        self.settle().await;
    }

    /// Runs the engine until it has applied every command of the workspace's partition, then stops it.
    pub(super) async fn settle(&self) {
        let end = || async { self.log.bounds(Topic::Commands, self.partition).await.unwrap().next };
        let mut applied = None;
        // A timer that fires meanwhile lengthens the log.
        while applied != Some(end().await) {
            applied = Some(self.run_until(end().await).await);
        }
    }

    async fn run_until(&self, end: u64) -> u64 {
        let shutdown = CancellationToken::new();
        let (status, mut seen) = watch::channel(EngineStatus::default());
        let until = async {
            let last = seen.wait_for(|status| status.next_offset >= end).await.expect("the engine runs").next_offset;
            shutdown.cancel();
            last
        };
        let (ran, last) = tokio::join!(run(self.partition, self.deps(), status, shutdown.clone()), until);
        ran.unwrap();
        last
    }

    /// Runs the engine (which fires timers) until this holds.
    pub(super) async fn until(&self, holds: impl AsyncFn() -> bool) {
        self.until_with(self.deps(), holds).await;
    }

    pub(super) async fn until_with(&self, deps: EngineDeps, holds: impl AsyncFn() -> bool) {
        let shutdown = CancellationToken::new();
        let (status, mut seen) = watch::channel(EngineStatus::default());
        let until = async {
            while !holds().await {
                seen.changed().await.expect("the engine runs");
            }
            shutdown.cancel();
        };
        let (ran, ()) = tokio::join!(run(self.partition, deps, status, shutdown.clone()), until);
        ran.unwrap();
    }

    pub(super) fn deps(&self) -> EngineDeps {
        EngineDeps {
            log: self.log.clone(),
            tables: self.tables.clone(),
            commands: self.commands.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Moves the clock and lets whatever timer is due fire and take effect.
    pub(super) async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// The bytes of all events of the workspace's partition.
    pub(super) async fn event_bytes(&self) -> Vec<Vec<u8>> {
        self.values(Topic::Events).await
    }

    pub(super) async fn values(&self, topic: Topic) -> Vec<Vec<u8>> {
        let (mut values, mut from) = (Vec::new(), 0);
        loop {
            let page = self.log.read(topic, self.partition, from, ReadLimit::default()).await.unwrap();
            let Some(last) = page.last() else { return values };
            from = last.offset + 1;
            values.extend(page.into_iter().map(|record| record.value.to_vec()));
        }
    }

    pub(super) async fn events(&self) -> Vec<EventRecord> {
        self.event_bytes().await.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect()
    }

    pub(super) async fn event_names(&self) -> Vec<&'static str> {
        self.events().await.iter().map(|record| record.event.name()).collect()
    }

    /// The only conversation.
    pub(super) async fn conversation(&self) -> Conversation {
        let mut ids: Vec<_> =
            self.events().await.iter().filter_map(|event| event.conversation.as_ref().map(|c| c.id)).collect();
        ids.dedup();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1, "there is one conversation");
        self.conversation_with(ids[0]).await
    }

    pub(super) async fn conversation_with(&self, id: ConversationId) -> Conversation {
        let key = Key::of([self.workspace.into(), id.into()]);
        let row = self.tables.get(t::CONVERSATIONS, key).await.unwrap().expect("the conversation is there");
        row.body(t::CONVERSATIONS).unwrap()
    }

    pub(super) async fn message(&self, id: ConversationId, seq: u64) -> Message {
        let key = Key::of([self.workspace.into(), id.into(), message_bucket(seq).into()]);
        let row = self.tables.get(t::MESSAGES, key.at([i64::try_from(seq).unwrap().into()])).await.unwrap();
        row.expect("the message is there").body(t::MESSAGES).unwrap()
    }

    pub(super) async fn agent(&self, id: UserId) -> Agent {
        let key = Key::of([self.workspace.into()]).at([id.into()]);
        self.tables.get(t::AGENTS, key).await.unwrap().expect("the agent is there").body(t::AGENTS).unwrap()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[derive(Debug)]
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) message_id: Option<MessageId>,
    pub(super) seq: Option<u64>,
}

impl Settled {
    pub(super) fn is_applied(&self) -> bool {
        self.outcome == Outcome::Applied
    }

    pub(super) fn rejection(&self) -> (Rejection, &str) {
        match &self.outcome {
            Outcome::Rejected { code, reason } => (*code, reason),
            other => panic!("expected a rejection, got {other:?}"),
        }
    }
}

pub(super) fn received(channel_id: ChannelId, external_id: &str, from: &str, text: &str) -> Command {
    let message = InboundMessage {
        external_id: external_id.to_owned(),
        from: from.to_owned(),
        also_from: Vec::new(),
        phone: Some(from.to_owned()),
        email: None,
        to: "+14155550100".to_owned(),
        profile_name: None,
        body: Body::text(text),
        opt_out: None,
    };
    Command::ReceiveMessage { channel_id, message: Box::new(message) }
}

pub(super) fn send(conversation_id: ConversationId, user_id: UserId, text: &str) -> Command {
    Command::SendMessage { conversation_id, author: Author::Agent { user_id }, body: Body::text(text) }
}
