//! Sending as a whole: the engine, the worker and a provider over real HTTP, with crashes between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineStatus};
use ingest::outbound::backoff::Backoff;
use ingest::outbound::breaker::BreakerSettings;
use ingest::outbound::pending::PendingSend;
use ingest::outbound::{OutboundDeps, Settings, Superseded};
use ingest::provider::twilio::Twilio;
use ingest::provider::{Inbound, ProviderModule as _};
use proptest::prelude::*;
use schemas::channel::{ChannelRecord, Credentials, Medium};
use schemas::command::{Actor, Command, InboundMessage};
use schemas::event::{Event, EventRecord};
use schemas::message::{Author, Body, DeliveryStatus, Direction};
use schemas::tables::{CHANNELS, PENDING_SENDS, Value};
use schemas::{ChannelId, ConversationId, MessageId};
use storage::clock::SystemClock;
use storage::log::memory::MemoryLog;
use storage::log::{Log, ReadLimit, Topic};
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::outbound_fake::{Act, FakeTwilio, nobody, within};
use super::outbound_twilio::{channel, senders};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// A hub of one partition: log, tables and what runs over them.
pub(crate) struct Hub {
    log: Arc<MemoryLog>,
    pub(crate) tables: Arc<MemoryTables>,
    commands: Commands,
    pub(crate) settings: Settings,
    /// How long a call may take.
    call_timeout: Duration,
    engine: Option<(CancellationToken, JoinHandle<()>)>,
    pub(crate) worker: Option<(CancellationToken, JoinHandle<Result<(), Superseded>>)>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let log = Arc::new(MemoryLog::new(1));
        let commands = Commands::new(Arc::clone(&log) as _, Arc::new(SystemClock));
        let settings = Settings {
            backoff: Backoff::new(vec![MILLIS(20), MILLIS(40), MILLIS(80), MILLIS(80), MILLIS(80), MILLIS(80)]),
            breaker: BreakerSettings { open_for: MILLIS(50), ..BreakerSettings::default() },
            settle: MILLIS(60),
            first_pause: MILLIS(50),
            drain: MILLIS(100),
            ..Settings::default()
        };
        let call_timeout = Duration::from_secs(10);
        Self {
            log,
            tables: Arc::new(MemoryTables::new()),
            commands,
            settings,
            call_timeout,
            engine: None,
            worker: None,
        }
    }

    /// With an engine and a worker that run.
    async fn running(record: &ChannelRecord) -> Self {
        let mut hub = Self::new();
        hub.start_engine();
        hub.configure(record).await;
        hub.start_worker();
        hub
    }

    /// As [`Hub::running`], for a provider that does not answer.
    async fn with_short_calls(record: &ChannelRecord) -> Self {
        let mut hub = Self::new();
        hub.call_timeout = MILLIS(300);
        hub.start_engine();
        hub.configure(record).await;
        hub.start_worker();
        hub
    }

    pub(crate) fn start_engine(&mut self) {
        let deps = EngineDeps {
            log: Arc::clone(&self.log) as _,
            tables: Arc::clone(&self.tables) as _,
            commands: self.commands.clone(),
            clock: Arc::new(SystemClock),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (status, _keep) = watch::channel(EngineStatus::default());
            ingest::engine::run(0, deps, status, stopped).await.unwrap();
        });
        self.engine = Some((stop, task));
    }

    async fn stop_engine(&mut self) {
        let (stop, task) = self.engine.take().unwrap();
        stop.cancel();
        within("the engine's end", task).await.unwrap();
    }

    pub(crate) fn start_worker(&mut self) {
        self.start_worker_over(Arc::clone(&self.tables) as _);
    }

    pub(crate) fn start_worker_over(&mut self, tables: Arc<dyn Tables>) {
        let deps = OutboundDeps {
            log: Arc::clone(&self.log) as _,
            tables,
            commands: self.commands.clone(),
            clock: Arc::new(SystemClock),
            senders: Arc::new(senders(self.call_timeout)),
            settings: self.settings.clone(),
        };
        let stop = CancellationToken::new();
        self.worker = Some((stop.clone(), tokio::spawn(ingest::outbound::run(0, deps, stop))));
    }

    /// Ends the worker as a crash would: nothing more is said.
    async fn kill_worker(&mut self) {
        let (_, task) = self.worker.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn stop_worker(&mut self) {
        let (stop, task) = self.worker.take().unwrap();
        stop.cancel();
        within("the worker's end", task).await.unwrap().unwrap();
    }

    async fn append(&self, record: &ChannelRecord, command: Command) {
        let command = self.commands.record(record.channel.workspace_id, Actor::System, command);
        self.commands.append(&command).await.unwrap();
    }

    /// Writes a channel's row and tells the engine.
    pub(crate) async fn configure(&self, record: &ChannelRecord) {
        let key = Key::of([Value::from(record.channel.workspace_id)]).at([Value::from(record.channel.id)]);
        let mut batch = Batch::default();
        batch.put(CHANNELS, Row::new(key).with_body(record).unwrap());
        self.tables.write(batch, Sync::Now).await.unwrap();
        self.append(record, Command::ConfigureChannel { channel: record.channel.clone() }).await;
    }

    /// A contact writes; returns the conversation.
    pub(crate) async fn contact_writes(&self, record: &ChannelRecord, from: &str) -> ConversationId {
        let message = InboundMessage {
            external_id: format!("in-{from}-{}", record.channel.id),
            from: from.to_owned(),
            also_from: Vec::new(),
            phone: None,
            email: None,
            to: record.channel.address.clone(),
            profile_name: None,
            body: Body::text("help"),
            opt_out: None,
        };
        let external_id = message.external_id.clone();
        self.append(record, Command::ReceiveMessage { channel_id: record.channel.id, message: Box::new(message) })
            .await;
        let event = self
            .event("the inbound message", |record| {
                matches!(&record.event, Event::MessageAdded { message } if message.external_id.as_deref() == Some(external_id.as_str()))
            })
            .await;
        event.conversation.unwrap().id
    }

    /// An answer is queued.
    pub(crate) async fn send(&self, record: &ChannelRecord, conversation_id: ConversationId, text: &str) -> MessageId {
        let author = Author::Bot { name: "test".to_owned() };
        self.append(record, Command::SendMessage { conversation_id, author, body: Body::text(text) }).await;
        let event = self
            .event("the queued message", |record| {
                matches!(&record.event, Event::MessageAdded { message } if message.direction == Direction::Outbound && message.body.text == text)
            })
            .await;
        let Event::MessageAdded { message } = event.event else { panic!() };
        message.id
    }

    pub(crate) async fn events(&self) -> Vec<EventRecord> {
        let records =
            self.log.read(Topic::Events, 0, 0, ReadLimit { records: 100_000, bytes: usize::MAX }).await.unwrap();
        records.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect()
    }

    /// The last event that is like this; waits for one.
    async fn event(&self, what: &str, is_it: impl Fn(&EventRecord) -> bool) -> EventRecord {
        within(what, async {
            loop {
                let events = self.events().await;
                if let Some(found) = events.iter().rev().find(|record| is_it(record)) {
                    return found.clone();
                }
                self.log.wait_for(Topic::Events, 0, u64::try_from(events.len()).unwrap()).await.unwrap();
            }
        })
        .await
    }

    /// Waits until a message has this status; returns the error that came with it.
    pub(crate) async fn status(
        &self,
        id: MessageId,
        status: DeliveryStatus,
    ) -> Option<schemas::message::DeliveryError> {
        let event = self
            .event(status.as_str(), |record| {
                matches!(&record.event, Event::MessageStatusChanged { message_id, to, .. } if *message_id == id && *to == status)
            })
            .await;
        let Event::MessageStatusChanged { error, .. } = event.event else { panic!() };
        error
    }

    /// The deferrals of a message: code, whether ambiguous.
    async fn deferrals(&self, id: MessageId) -> Vec<(String, bool)> {
        let events = self.events().await;
        events
            .into_iter()
            .filter_map(|record| match record.event {
                Event::MessageSendDeferred { message_id, error, ambiguous, .. } if message_id == id => {
                    Some((error.code, ambiguous))
                }
                _ => None,
            })
            .collect()
    }

    async fn pending(&self) -> Vec<PendingSend> {
        let rows = self.tables.scan(PENDING_SENDS, Scan::of(PendingSend::partition_key(0), 100)).await.unwrap();
        rows.iter().map(|row| PendingSend::from_row(row).unwrap()).collect()
    }
}

pub(crate) async fn sms_channel() -> (FakeTwilio, ChannelRecord) {
    let fake = FakeTwilio::start().await;
    let record = channel(Medium::Sms, "+14155550100", &format!("http://{}", fake.address));
    (fake, record)
}

#[tokio::test]
async fn a_queued_message_reaches_the_provider_once() {
    let (fake, record) = sms_channel().await;
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(fake.taken(), ["hello"]);
    assert_eq!(fake.posts()[0].param("To"), Some("+966501"));
    assert!(fake.posts()[0].param("StatusCallback").unwrap().ends_with(&record.channel.id.to_string()));
    assert!(hub.pending().await.is_empty());
    // The attempt is in the log before the verdict.
    let events = hub.events().await;
    let begun = events.iter().position(|record| matches!(&record.event, Event::MessageSendBegun { attempt: 1, .. }));
    assert!(begun.is_some());
}

#[tokio::test]
async fn what_was_safely_refused_is_sent_again() {
    let (fake, record) = sms_channel().await;
    fake.plan([
        Act::Refuse { status: 429, headers: "Retry-After: 0\r\n", code: 20_429 },
        Act::Refuse { status: 400, headers: "", code: 21_611 },
    ]);
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(hub.deferrals(id).await, [("20429".to_owned(), false), ("21611".to_owned(), false)]);
    assert_eq!((fake.posts().len(), fake.look_ups()), (3, 0));
}

#[tokio::test]
async fn what_the_provider_took_and_then_failed_at_for_a_while_is_sent_again() {
    let (fake, record) = sms_channel().await;
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    hub.status(id, DeliveryStatus::Sent).await;
    let channel_id = record.channel.id;
    let report = |number: usize, word: &str, code: &str| {
        let body = format!("MessageSid=SM{number:032x}&MessageStatus={word}&ErrorCode={code}");
        match Twilio.parse("", body.as_bytes()).unwrap().pop().unwrap() {
            Inbound::Report(report) => Command::RecordDelivery { channel_id, report },
            other => panic!("{other:?}"),
        }
    };
    hub.append(&record, report(0, "undelivered", "30017")).await;
    hub.status(id, DeliveryStatus::Queued).await;
    within("the second sending", fake.wait_for_posts(2)).await;
    hub.event("the second answer", |event| {
        let second = format!("SM{:032x}", 1);
        matches!(&event.event, Event::MessageStatusChanged { external_id: Some(sid), .. } if *sid == second)
    })
    .await;
    hub.append(&record, report(1, "delivered", "0")).await;
    hub.status(id, DeliveryStatus::Delivered).await;
    assert_eq!((fake.taken(), fake.look_ups()), (vec!["hello".to_owned(); 2], 0));
}

#[tokio::test]
async fn retry_after_silences_the_channel() {
    let (fake, record) = sms_channel().await;
    fake.plan([Act::Refuse { status: 429, headers: "Retry-After: 1\r\n", code: 20_429 }]);
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let asked_at = tokio::time::Instant::now();
    let id = hub.send(&record, conversation, "hello").await;
    let other = hub.contact_writes(&record, "+966502").await;
    hub.event("the refusal", |record| matches!(record.event, Event::MessageSendDeferred { .. })).await;
    let second = hub.send(&record, other, "and I").await;
    hub.status(id, DeliveryStatus::Sent).await;
    hub.status(second, DeliveryStatus::Sent).await;
    assert!(asked_at.elapsed() >= MILLIS(1_000), "{:?}", asked_at.elapsed());
    assert_eq!(fake.posts().len(), 3);
}

#[tokio::test]
async fn an_unclear_end_is_looked_up_before_anything_is_sent_again() {
    for act in [Act::Fail { taken: true }, Act::HangUp { taken: true }, Act::Hang { taken: true }] {
        let (fake, record) = sms_channel().await;
        fake.plan([act.clone()]);
        let hub = Hub::with_short_calls(&record).await;
        let conversation = hub.contact_writes(&record, "+966501").await;
        let id = hub.send(&record, conversation, "hello").await;
        hub.status(id, DeliveryStatus::Sent).await;
        assert_eq!((fake.posts().len(), fake.taken().len()), (1, 1), "{act:?}");
        assert!(fake.look_ups() >= 1);
        assert!(hub.deferrals(id).await.iter().all(|(_, ambiguous)| *ambiguous));
    }
    for act in [Act::Fail { taken: false }, Act::HangUp { taken: false }, Act::Hang { taken: false }] {
        let (fake, record) = sms_channel().await;
        fake.plan([act.clone()]);
        fake.refuse_look_ups(1);
        let hub = Hub::with_short_calls(&record).await;
        let conversation = hub.contact_writes(&record, "+966501").await;
        let id = hub.send(&record, conversation, "hello").await;
        hub.status(id, DeliveryStatus::Sent).await;
        assert_eq!((fake.posts().len(), fake.taken().len()), (2, 1), "{act:?}");
    }
}

/// The same words twice: the second, of which nobody knows whether it was taken, is not mistaken for the first.
#[tokio::test]
async fn an_older_message_with_the_same_words_is_not_taken_for_this_one() {
    let (fake, record) = sms_channel().await;
    fake.plan([Act::Accept, Act::Fail { taken: false }]);
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let first = hub.send(&record, conversation, "ok").await;
    hub.status(first, DeliveryStatus::Sent).await;
    hub.append(
        &record,
        Command::SendMessage {
            conversation_id: conversation,
            author: Author::Bot { name: "test".to_owned() },
            body: Body::text("ok"),
        },
    )
    .await;
    hub.event("the second", |record| {
        matches!(&record.event, Event::MessageStatusChanged { message_id, to: DeliveryStatus::Sent, .. } if *message_id != first)
    })
    .await;
    assert_eq!(fake.taken(), ["ok", "ok"]);
    assert_eq!(fake.posts().len(), 3);
}

#[tokio::test]
async fn what_can_never_be_sent_fails_with_a_reason_and_an_opt_out_is_kept() {
    let (fake, record) = sms_channel().await;
    fake.plan([Act::Refuse { status: 400, headers: "", code: 21_610 }]);
    let hub = Hub::running(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    let error = hub.status(id, DeliveryStatus::Failed).await.unwrap();
    assert!(error.code == "21610" && error.reason.contains("STOP"), "{error:?}");
    hub.event("the opt-out", |event| {
        matches!(&event.event, Event::ContactUpdated { contact } if contact.opted_out.contains(&record.channel.id))
    })
    .await;
    assert_eq!(fake.posts().len(), 1);
}

#[tokio::test]
async fn gives_up_at_the_end_of_the_schedule_and_tries_afresh_when_asked_by_hand() {
    let (fake, record) = sms_channel().await;
    let mut dead = record.clone();
    let Credentials::Twilio { api_base, .. } = &mut dead.credentials else { panic!() };
    *api_base = format!("http://{}", nobody().await);
    let mut hub = Hub::new();
    hub.settings.backoff = Backoff::new(vec![MILLIS(5), MILLIS(5)]);
    hub.start_engine();
    hub.configure(&dead).await;
    hub.start_worker();
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    let error = hub.status(id, DeliveryStatus::Failed).await.unwrap();
    assert!(error.code == "connect_failed" && error.reason.contains("3 attempts"), "{error:?}");
    let mut mended = record.clone();
    mended.channel.version += 1;
    hub.configure(&mended).await;
    hub.append(&record, Command::RetryMessage { conversation_id: conversation, seq: 2 }).await;
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(fake.taken(), ["hello"]);
}

#[tokio::test]
async fn messages_of_a_conversation_go_out_in_order_and_one_that_waits_holds_back_the_rest() {
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    hub.start_engine();
    hub.configure(&record).await;
    let one = hub.contact_writes(&record, "+966501").await;
    let two = hub.contact_writes(&record, "+966502").await;
    let mut last = None;
    for n in 0..5 {
        for (name, conversation) in [("a", one), ("b", two)] {
            last = Some(hub.send(&record, conversation, &format!("{name}{n}")).await);
        }
    }
    // The first of one conversation is refused twice, then fails for good; the other conversation is not held up.
    fake.plan([Act::Refuse { status: 429, headers: "", code: 20_429 }]);
    hub.start_worker();
    hub.status(last.unwrap(), DeliveryStatus::Sent).await;
    within("the last of the first conversation", async {
        while !hub.pending().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let taken = fake.taken();
    for name in ["a", "b"] {
        let of_one: Vec<_> = taken.iter().filter(|text| text.starts_with(name)).collect();
        assert!(of_one.is_sorted() && of_one.len() == 5, "{taken:?}");
    }
}

#[tokio::test]
async fn a_crash_during_a_call_does_not_send_twice() {
    for taken in [true, false] {
        let (fake, record) = sms_channel().await;
        fake.plan([Act::Hang { taken }]);
        let mut hub = Hub::running(&record).await;
        let conversation = hub.contact_writes(&record, "+966501").await;
        let id = hub.send(&record, conversation, "hello").await;
        within("the call", fake.wait_for_posts(1)).await;
        hub.kill_worker().await;
        hub.start_worker();
        hub.status(id, DeliveryStatus::Sent).await;
        assert_eq!(fake.taken(), ["hello"]);
        assert_eq!(fake.posts().len(), if taken { 1 } else { 2 });
    }
}

/// The attempt stands in the log, but the engine had no time to write it to the table: a worker that starts waits for that.
#[tokio::test]
async fn begins_only_once_the_engine_has_caught_up() {
    let (fake, record) = sms_channel().await;
    fake.plan([Act::Hang { taken: true }]);
    let mut hub = Hub::new();
    hub.start_engine();
    hub.configure(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    hub.stop_engine().await;
    hub.start_worker();
    within("the call", fake.wait_for_posts(1)).await;
    hub.kill_worker().await;
    assert!(!hub.pending().await[0].in_flight, "the table does not know of the attempt");
    hub.start_worker();
    let second = tokio::time::timeout(MILLIS(150), fake.wait_for_posts(2)).await;
    assert!(second.is_err(), "sent again without asking");
    hub.start_engine();
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!((fake.taken().len(), fake.posts().len()), (1, 1));
}

#[tokio::test]
async fn a_wrong_token_pauses_the_channel_and_keeps_its_messages_until_it_is_mended() {
    let (fake, record) = sms_channel().await;
    let refusal = || Act::Refuse { status: 401, headers: "", code: 20_003 };
    fake.plan([refusal(), refusal()]);
    let mut hub = Hub::new();
    hub.settings.first_pause = Duration::from_hours(1);
    hub.start_engine();
    hub.configure(&record).await;
    hub.start_worker();
    let conversation = hub.contact_writes(&record, "+966501").await;
    let other = hub.contact_writes(&record, "+966502").await;
    let id = hub.send(&record, conversation, "hello").await;
    hub.event("the refusal", |record| matches!(record.event, Event::MessageSendDeferred { .. })).await;
    let second = hub.send(&record, other, "and I").await;
    let more = tokio::time::timeout(MILLIS(100), fake.wait_for_posts(2)).await;
    assert!(more.is_err(), "a paused channel is left alone");
    assert_eq!(hub.pending().await.len(), 2);
    // A second wrong token, then the right one.
    for version in [2, 3] {
        let mut mended = record.clone();
        mended.channel.version = version;
        hub.configure(&mended).await;
        let posts = usize::try_from(version).unwrap();
        within("the next try", fake.wait_for_posts(posts)).await;
    }
    hub.status(id, DeliveryStatus::Sent).await;
    hub.status(second, DeliveryStatus::Sent).await;
    assert_eq!(fake.taken().len(), 2);
}

#[tokio::test]
async fn a_channel_that_is_switched_off_waits() {
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    hub.start_engine();
    hub.configure(&record).await;
    let conversation = hub.contact_writes(&record, "+966501").await;
    let id = hub.send(&record, conversation, "hello").await;
    let mut off = record.clone();
    (off.channel.active, off.channel.version) = (false, 2);
    hub.configure(&off).await;
    hub.start_worker();
    let early = tokio::time::timeout(MILLIS(100), fake.wait_for_posts(1)).await;
    assert!(early.is_err(), "sent on a channel that is off");
    let mut on = record.clone();
    on.channel.version = 3;
    hub.configure(&on).await;
    hub.status(id, DeliveryStatus::Sent).await;
}

#[tokio::test]
async fn a_channel_that_hangs_holds_up_no_other() {
    let (slow, slow_record) = sms_channel().await;
    let (fast, mut fast_record) = sms_channel().await;
    fast_record.channel.id = ChannelId::new(schemas::Timestamp::from_unix_seconds(1), &[9; 10]);
    slow.plan(std::iter::repeat_n(Act::Hang { taken: false }, 100));
    let mut hub = Hub::new();
    hub.settings.in_flight_per_channel = 4;
    // No call that hangs ends while the test runs.
    hub.call_timeout = Duration::from_mins(5);
    hub.start_engine();
    hub.configure(&slow_record).await;
    hub.configure(&fast_record).await;
    for n in 0..20 {
        let conversation = hub.contact_writes(&slow_record, &format!("+9665{n}")).await;
        hub.send(&slow_record, conversation, &format!("slow {n}")).await;
    }
    hub.start_worker();
    within("a hanging call", slow.wait_for_posts(4)).await;
    let conversation = hub.contact_writes(&fast_record, "+966500").await;
    let id = hub.send(&fast_record, conversation, "fast").await;
    hub.status(id, DeliveryStatus::Sent).await;
    assert_eq!(slow.posts().len(), 4, "no more than four at a time");
    assert_eq!(fast.taken(), ["fast"]);
    hub.stop_worker().await;
}

#[tokio::test]
async fn a_failing_provider_is_left_alone() {
    let (fake, record) = sms_channel().await;
    fake.plan(std::iter::repeat_n(Act::Fail { taken: false }, 100));
    fake.refuse_look_ups(1_000);
    let mut hub = Hub::new();
    hub.settings.breaker.open_for = Duration::from_hours(1);
    hub.settings.in_flight_per_channel = 1;
    hub.start_engine();
    hub.configure(&record).await;
    for n in 0..30 {
        let conversation = hub.contact_writes(&record, &format!("+9665{n}")).await;
        hub.send(&record, conversation, &format!("text {n}")).await;
    }
    hub.start_worker();
    let calls = || fake.posts().len() + fake.look_ups();
    within("the breaker", async {
        while calls() < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let more = tokio::time::timeout(MILLIS(150), fake.wait_for_posts(11)).await;
    assert!(more.is_err() && calls() == 10, "{}", calls());
    hub.stop_worker().await;
}

/// More messages than a worker keeps in mind: the rest waits in the table and is fetched.
#[tokio::test]
async fn what_does_not_fit_in_memory_is_sent_too() {
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    hub.settings.tracked = 4;
    hub.start_engine();
    hub.configure(&record).await;
    let mut expected = Vec::new();
    for n in 10..30 {
        let conversation = hub.contact_writes(&record, &format!("+9665{n}")).await;
        hub.send(&record, conversation, &format!("text {n}")).await;
        expected.push(format!("text {n}"));
    }
    hub.start_worker();
    within("all messages", fake.wait_for_posts(20)).await;
    let mut taken = fake.taken();
    taken.sort();
    assert_eq!(taken, expected);
}

#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    Busy,
    Fail { taken: bool },
    HangUp { taken: bool },
    Kill { taken: bool },
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        3 => Just(Mishap::None),
        1 => Just(Mishap::Busy),
        2 => any::<bool>().prop_map(|taken| Mishap::Fail { taken }),
        2 => any::<bool>().prop_map(|taken| Mishap::HangUp { taken }),
        2 => any::<bool>().prop_map(|taken| Mishap::Kill { taken }),
    ]
}

/// Whatever happens to the calls, and however often the worker is killed during one: each message reaches the provider
/// exactly once, and those of a conversation in order.
async fn once_and_in_order(mishaps: Vec<Mishap>) {
    const CONVERSATIONS: usize = 3;
    const EACH: usize = 4;
    let (fake, record) = sms_channel().await;
    let mut hub = Hub::new();
    hub.call_timeout = MILLIS(300);
    hub.start_engine();
    hub.configure(&record).await;
    let mut ids = BTreeMap::new();
    for c in 0..CONVERSATIONS {
        let conversation = hub.contact_writes(&record, &format!("+9665{c}")).await;
        for n in 0..EACH {
            let text = format!("{c}-{n}");
            ids.insert(text.clone(), hub.send(&record, conversation, &text).await);
        }
    }
    fake.plan(mishaps.iter().map(|mishap| match *mishap {
        Mishap::None => Act::Accept,
        Mishap::Busy => Act::Refuse { status: 429, headers: "", code: 20_429 },
        Mishap::Fail { taken } => Act::Fail { taken },
        Mishap::HangUp { taken } => Act::HangUp { taken },
        Mishap::Kill { taken } => Act::Hang { taken },
    }));
    hub.start_worker();
    for (n, mishap) in mishaps.iter().enumerate() {
        if matches!(mishap, Mishap::Kill { .. }) {
            let posts = tokio::time::timeout(Duration::from_secs(1), fake.wait_for_posts(n + 1)).await;
            if posts.is_err() {
                break;
            }
            hub.kill_worker().await;
            hub.start_worker();
        }
    }
    for id in ids.values() {
        hub.status(*id, DeliveryStatus::Sent).await;
    }
    let taken = fake.taken();
    assert_eq!(taken.len(), CONVERSATIONS * EACH, "{taken:?}");
    for c in 0..CONVERSATIONS {
        let texts: Vec<_> = taken.iter().filter(|text| text.starts_with(&format!("{c}-"))).cloned().collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("{c}-{n}")).collect();
        assert_eq!(texts, expected);
    }
    assert!(hub.pending().await.is_empty());
    hub.stop_worker().await;
    hub.stop_engine().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_taken_exactly_once_whatever_happens(mishaps in prop::collection::vec(mishap(), 0..16)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(once_and_in_order(mishaps));
    }
}
