//! Invariants over random histories: replays, restarts, duplicates, failures of the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use schemas::channel::{AssignmentPolicy, Medium};
use schemas::command::{Actor, Command, CommandRecord, DeliveryReport, Remedy, SendOutcome};
use schemas::conversation::{Conversation, ConversationChanges, LabelChanges, Status};
use schemas::desk::NotificationMarks;
use schemas::event::{Event, EventRecord};
use schemas::message::{Author, Body, DeliveryError, DeliveryStatus};
use schemas::tables as t;
use schemas::workspace::{Agent, Availability, Role};
use schemas::{ConversationId, MessageId, TeamId, UserId};
use storage::log::memory::MemoryLog;
use storage::log::{Log, NewRecord, ReadLimit, Topic};
use storage::tables::dump::dump;
use storage::tables::memory::MemoryTables;
use storage::tables::{Scan, Tables};

use super::hub::{Hub, PARTITIONS, nth, received, sms, user, web_chat, whatsapp};

/// One step of a random history. Numbers pick among what exists at that point.
#[derive(Clone, Debug)]
enum Step {
    Receive { channel: u8, customer: u8, message: u8 },
    Report { message: u8, status: u8, remedy: u8 },
    Send { conversation: u8, author: u8, key: Option<u8> },
    Note { conversation: u8, mentions: u8 },
    Status { conversation: u8, status: u8, minutes: Option<u8> },
    Assign { conversation: u8, to: Option<u8> },
    Read { conversation: u8, reader: u8, seq: u8 },
    Presence { agent: u8, connected: bool, busy: bool },
    Begin { message: u8, attempt: u8 },
    Finish { message: u8, attempt: u8, outcome: u8 },
    Policy { version: u8, policy: u8 },
    Agent { agent: u8, capacity: u8, active: bool },
    Block { conversation: u8, blocked: bool },
    Change { conversation: u8, to: Option<u8>, team: u8, label: u8 },
    ReadNotifications { agent: u8, up_to: Option<u8>, number: u8 },
    Pass { minutes: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 0..4_u8, 0..30_u8).prop_map(|(channel, customer, message)| Step::Receive { channel, customer, message }),
        3 => (0..8_u8, 0..5_u8, 0..4_u8).prop_map(|(message, status, remedy)| Step::Report { message, status, remedy }),
        4 => (0..6_u8, 0..3_u8, prop::option::of(0..4_u8)).prop_map(|(conversation, author, key)| Step::Send { conversation, author, key }),
        1 => (0..6_u8, 0..3_u8).prop_map(|(conversation, mentions)| Step::Note { conversation, mentions }),
        3 => (0..6_u8, 0..4_u8, prop::option::of(1..200_u8)).prop_map(|(conversation, status, minutes)| Step::Status { conversation, status, minutes }),
        2 => (0..6_u8, prop::option::of(0..3_u8)).prop_map(|(conversation, to)| Step::Assign { conversation, to }),
        1 => (0..6_u8, 0..3_u8, 0..10_u8).prop_map(|(conversation, reader, seq)| Step::Read { conversation, reader, seq }),
        2 => (0..3_u8, any::<bool>(), any::<bool>()).prop_map(|(agent, connected, busy)| Step::Presence { agent, connected, busy }),
        2 => (0..8_u8, 1..3_u8).prop_map(|(message, attempt)| Step::Begin { message, attempt }),
        3 => (0..8_u8, 1..3_u8, 0..4_u8).prop_map(|(message, attempt, outcome)| Step::Finish { message, attempt, outcome }),
        1 => (0..9_u8, 0..3_u8).prop_map(|(version, policy)| Step::Policy { version, policy }),
        1 => (0..3_u8, 0..4_u8, any::<bool>()).prop_map(|(agent, capacity, active)| Step::Agent { agent, capacity, active }),
        1 => (0..6_u8, any::<bool>()).prop_map(|(conversation, blocked)| Step::Block { conversation, blocked }),
        2 => (0..6_u8, prop::option::of(0..3_u8), 0..3_u8, 0..3_u8).prop_map(|(conversation, to, team, label)| Step::Change { conversation, to, team, label }),
        1 => (0..3_u8, prop::option::of(0..9_u8), 0..9_u8).prop_map(|(agent, up_to, number)| Step::ReadNotifications { agent, up_to, number }),
        2 => (1..2_000_u16).prop_map(|minutes| Step::Pass { minutes }),
    ]
}

/// What a history has made so far, for steps to pick from.
#[derive(Default)]
struct Known {
    conversations: Vec<ConversationId>,
    contacts: BTreeMap<ConversationId, schemas::ContactId>,
    outbound: Vec<(ConversationId, MessageId)>,
}

impl Known {
    fn learn(&mut self, events: &[EventRecord]) {
        *self = Self::default();
        for record in events {
            let Some(conversation) = &record.conversation else {
                continue;
            };
            if matches!(record.event, Event::ConversationCreated { .. }) {
                self.conversations.push(conversation.id);
            }
            self.contacts.insert(conversation.id, conversation.contact_id);
            if let Event::MessageAdded { message } = &record.event
                && message.status.is_some()
            {
                self.outbound.push((message.conversation_id, message.id));
            }
        }
    }

    fn conversation(&self, n: u8) -> ConversationId {
        let unknown = super::hub::nth(200, ConversationId::new);
        self.conversations.get(usize::from(n)).copied().unwrap_or(unknown)
    }

    fn message(&self, n: u8) -> (ConversationId, MessageId) {
        let unknown = (self.conversation(99), super::hub::nth(201, MessageId::new));
        self.outbound.get(usize::from(n)).copied().unwrap_or(unknown)
    }
}

const STATUSES: [DeliveryStatus; 5] = [
    DeliveryStatus::Queued,
    DeliveryStatus::Sent,
    DeliveryStatus::Delivered,
    DeliveryStatus::Read,
    DeliveryStatus::Failed,
];

const REMEDIES: [Option<Remedy>; 4] = [None, Some(Remedy::Resend), Some(Remedy::ResendOnce), Some(Remedy::OptOut)];

/// What a provider says; a failure comes with its reason, and with what to do about it.
fn report(external_id: &str, status: DeliveryStatus, remedy: Option<Remedy>) -> DeliveryReport {
    let has_failed = status == DeliveryStatus::Failed;
    DeliveryReport {
        external_id: external_id.to_owned(),
        provider_status: "word".to_owned(),
        status: Some(status),
        error: has_failed.then(|| DeliveryError { code: "x".to_owned(), reason: "a reason".to_owned() }),
        remedy: remedy.filter(|_| has_failed),
    }
}

fn outcome(n: u8, message: u8, hub: &Hub) -> SendOutcome {
    let error = DeliveryError { code: "x".to_owned(), reason: "a reason".to_owned() };
    let next_attempt_at = hub.now().after(Duration::from_secs(10));
    match n {
        0 => SendOutcome::Accepted { external_id: format!("out-{message}"), status: DeliveryStatus::Queued },
        1 => SendOutcome::Deferred { error, next_attempt_at },
        2 => SendOutcome::Ambiguous { error, next_attempt_at },
        _ => SendOutcome::Failed { error, opted_out: message.is_multiple_of(2) },
    }
}

#[expect(clippy::too_many_lines, reason = "a table of steps and their commands, read from top to bottom")]
fn record(hub: &Hub, known: &Known, step: &Step) -> Option<CommandRecord> {
    let user_of = |n: u8| Actor::User { user_id: user(n) };
    let mut key = None;
    let (actor, command) = match step {
        Step::Pass { .. } => return None,
        Step::Receive { channel, customer, message } => {
            let channel_id = [sms(), whatsapp(), web_chat()][usize::from(*channel)];
            let command = received(channel_id, &format!("in-{message}"), &format!("+96650000000{customer}"), "hi");
            (Actor::Channel { channel_id }, command)
        }
        Step::Report { message, status, remedy } => {
            let report =
                report(&format!("out-{message}"), STATUSES[usize::from(*status)], REMEDIES[usize::from(*remedy)]);
            (Actor::Channel { channel_id: sms() }, Command::RecordDelivery { channel_id: sms(), report })
        }
        Step::Send { conversation, author, key: wanted } => {
            key = wanted.map(|n| format!("key-{n}"));
            let author_of = match author {
                0 => Author::Bot { name: "bot".to_owned() },
                n => Author::Agent { user_id: user(*n) },
            };
            let body = Body::text("an answer");
            let command =
                Command::SendMessage { conversation_id: known.conversation(*conversation), author: author_of, body };
            (user_of(*author), command)
        }
        Step::Note { conversation, mentions } => {
            let command = Command::AddNote {
                conversation_id: known.conversation(*conversation),
                author: Author::Agent { user_id: user(0) },
                text: "note".to_owned(),
                mentions: vec![user(*mentions)],
            };
            (user_of(0), command)
        }
        Step::Status { conversation, status, minutes } => {
            let status = Status::ALL[usize::from(*status)];
            let until = minutes.map(|minutes| hub.now().after(Duration::from_mins(u64::from(minutes))));
            let snoozed_until = until.filter(|_| status == Status::Snoozed);
            let conversation_id = known.conversation(*conversation);
            (user_of(0), Command::SetStatus { conversation_id, status, snoozed_until })
        }
        Step::Assign { conversation, to } => {
            let conversation_id = known.conversation(*conversation);
            (user_of(0), Command::Assign { conversation_id, assignee: to.map(user) })
        }
        Step::Read { conversation, reader, seq } => {
            let conversation_id = known.conversation(*conversation);
            (user_of(*reader), Command::MarkRead { conversation_id, user_id: user(*reader), seq: u64::from(*seq) })
        }
        Step::Presence { agent, connected, busy } => {
            let availability = Some(if *busy { Availability::Busy } else { Availability::Online });
            let (user_id, connected) = (user(*agent), Some(*connected));
            let gateway = if *busy { "g1" } else { "" }.to_owned();
            let command = Command::SetPresence { user_id, availability, connected, gateway };
            (user_of(*agent), command)
        }
        Step::Begin { message, attempt } => {
            let (conversation_id, message_id) = known.message(*message);
            (Actor::System, Command::BeginSend { conversation_id, message_id, attempt: u32::from(*attempt) })
        }
        Step::Finish { message, attempt, outcome: n } => {
            let (conversation_id, message_id) = known.message(*message);
            let (attempt, outcome) = (u32::from(*attempt), outcome(*n, *message, hub));
            (Actor::System, Command::FinishSend { conversation_id, message_id, attempt, outcome })
        }
        Step::Policy { version, policy } => {
            let policies = [AssignmentPolicy::Manual, AssignmentPolicy::RoundRobin, AssignmentPolicy::FewestOpen];
            let channel = hub.channel(sms(), Medium::Sms, policies[usize::from(*policy)], u64::from(*version));
            (Actor::System, Command::ConfigureChannel { channel })
        }
        Step::Agent { agent, capacity, active } => {
            let agent = Agent {
                user_id: user(*agent),
                name: "Agent".to_owned(),
                role: Role::Agent,
                active: *active,
                capacity: u32::from(*capacity),
                availability: Availability::Online,
                connected: false,
                gateways: std::collections::BTreeSet::new(),
                open_conversations: 0,
                last_assigned: 0,
            };
            (Actor::System, Command::ConfigureAgent { agent })
        }
        Step::Change { conversation, to, team, label } => {
            let team = (*team > 0).then(|| nth(*team, TeamId::new));
            let labels = match label {
                0 => LabelChanges { add: Vec::new(), remove: vec!["l1".to_owned(), "l2".to_owned()] },
                n => LabelChanges { add: vec![format!("l{n}")], remove: Vec::new() },
            };
            let changes = ConversationChanges {
                assignee: Some(to.map(user)),
                team: Some(team),
                labels,
                ..ConversationChanges::default()
            };
            (user_of(1), Command::ChangeConversation { conversation_id: known.conversation(*conversation), changes })
        }
        Step::ReadNotifications { agent, up_to, number } => {
            let (up_to, numbers) = (up_to.map(u64::from), vec![u64::from(*number)]);
            (user_of(*agent), Command::ReadNotifications { user_id: user(*agent), up_to, numbers })
        }
        Step::Block { conversation, blocked } => {
            let contact_id = *known.contacts.get(&known.conversation(*conversation))?;
            let command = Command::UpdateContact { contact_id, name: None, email: None, blocked: Some(*blocked) };
            (user_of(0), command)
        }
    };
    let mut record = hub.commands.record(hub.workspace, actor, command);
    record.wants_outcome = key.is_some();
    record.key = key;
    Some(record)
}

fn names_an_id(step: &Step) -> bool {
    !matches!(
        step,
        Step::Receive { .. }
            | Step::Report { .. }
            | Step::Presence { .. }
            | Step::Policy { .. }
            | Step::Agent { .. }
            | Step::Pass { .. }
    )
}

/// Plays a history, running the engine to its end after each chunk of steps: every chunk is a restart.
async fn play(steps: &[Step], restart_every: usize) -> Hub {
    let hub = Hub::new().await;
    for n in 0..3 {
        hub.add_agent(user(n), 2, n == 1).await;
    }
    hub.settle().await;
    let mut known = Known::default();
    for chunk in steps.chunks(restart_every) {
        for step in chunk {
            if let Step::Pass { minutes } = step {
                hub.clock.advance(Duration::from_mins(u64::from(*minutes)));
            }
            if let Some(record) = record(&hub, &known, step) {
                hub.append_record(record).await;
            }
        }
        hub.settle().await;
        known.learn(&hub.events().await);
    }
    hub
}

/// A fresh hub with the same commands in its log and nothing else, run in one go.
async fn replay(original: &Hub) -> Hub {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    copy_commands(original, &log).await;
    let fresh = Hub::over(log, Arc::new(MemoryTables::new()));
    fresh.settle().await;
    fresh
}

async fn copy_commands(original: &Hub, log: &MemoryLog) {
    let mut from = 0;
    loop {
        let page = original.log.read(Topic::Commands, original.partition, from, ReadLimit::default()).await.unwrap();
        let Some(last) = page.last() else { return };
        from = last.offset + 1;
        let records = page.into_iter().map(|r| NewRecord { key: r.key, at: r.at, value: r.value }).collect();
        log.append(Topic::Commands, original.partition, records).await.unwrap();
    }
}

/// Rows of all tables but those that depend on how the commands were cut into batches (how far publishing has come) or on
/// when the engine ran (which old keys are removed already).
async fn rows(hub: &Hub) -> Vec<String> {
    let mut lines = dump(hub.tables.as_ref()).await.unwrap();
    lines.retain(|line| !line.starts_with("outbox") && !line.starts_with("command_key"));
    lines
}

/// The two hubs have the same events at the same offsets, byte for byte, and the same rows.
async fn assert_same(one: &Hub, other: &Hub) {
    let text = |values: Vec<Vec<u8>>| values.into_iter().map(|v| String::from_utf8(v).unwrap()).collect::<Vec<_>>();
    let (one_events, other_events) = (text(one.event_bytes().await), text(other.event_bytes().await));
    for (a, b) in one_events.iter().zip(&other_events) {
        assert_eq!(a, b);
    }
    assert_eq!(one_events.len(), other_events.len());
    let (one_rows, other_rows) = (rows(one).await, rows(other).await);
    for (a, b) in one_rows.iter().zip(&other_rows) {
        assert_eq!(a, b);
    }
    assert_eq!(one_rows.len(), other_rows.len());
}

/// What must hold after any history.
async fn check_invariants(hub: &Hub) {
    let events = hub.events().await;
    let mut last: BTreeMap<ConversationId, Conversation> = BTreeMap::new();
    let mut seqs: BTreeMap<ConversationId, u64> = BTreeMap::new();
    let mut sources = BTreeSet::new();
    for record in &events {
        assert!(sources.insert(record.source), "no event is there twice");
        assert_eq!(sources.last(), Some(&record.source), "events stand in the order of their commands");
        if let Event::MessageAdded { message } = &record.event {
            let seq = seqs.entry(message.conversation_id).or_insert(0);
            *seq += 1;
            assert_eq!(message.seq, *seq, "messages count without holes");
        }
        if let Some(conversation) = &record.conversation {
            last.insert(conversation.id, conversation.as_ref().clone());
        }
    }
    let mut held: BTreeMap<UserId, u32> = BTreeMap::new();
    for (id, conversation) in &last {
        assert_eq!(&hub.conversation_with(*id).await, conversation, "the rows are the fold of the events");
        if conversation.status == Status::Open
            && let Some(user_id) = conversation.assignee
        {
            *held.entry(user_id).or_insert(0) += 1;
            assert!(hub.agent(user_id).await.handles_conversations(), "nobody sees what somebody who left holds");
        }
        assert_eq!(conversation.status == Status::Resolved, conversation.resolved_at.is_some());
        assert!(conversation.status == Status::Snoozed || conversation.snoozed_until.is_none());
    }
    check_counts(hub, last.values()).await;
    for n in 0..3 {
        check_notifications(hub, user(n), &events).await;
        assert_eq!(hub.agent(user(n)).await.open_conversations, held.get(&user(n)).copied().unwrap_or(0));
    }
}

/// The counts of views, in rows and as the events tell them, are those of a plain recount.
async fn check_counts<'a>(hub: &Hub, conversations: impl Iterator<Item = &'a Conversation>) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for conversation in conversations {
        let mut whose = vec!["all".to_owned()];
        whose.push(conversation.assignee.map_or_else(|| "none".to_owned(), |user_id| user_id.to_string()));
        if conversation.status != Status::Resolved {
            whose.push(format!("channel:{}", conversation.channel_id));
            whose.extend(conversation.team.iter().map(|team| format!("team:{team}")));
            whose.extend(conversation.labels.iter().map(|label| format!("label:{label}")));
            whose.extend(conversation.participants.iter().map(|user_id| format!("mentioned:{user_id}")));
        }
        for whose in whose {
            *expected.entry(format!("{}/{whose}", conversation.status.as_str())).or_insert(0) += 1;
        }
    }
    let mut told = BTreeMap::new();
    for record in hub.events().await {
        if let Event::CountsChanged { views } = record.event {
            assert!(views.iter().all(|(view, count)| told.get(view).unwrap_or(&0) != count), "only news is told");
            told.extend(views);
        }
    }
    told.retain(|_, count| *count > 0);
    assert_eq!(told, expected);
    let rows = hub.tables.scan(t::VIEW_COUNTS, Scan::of([hub.workspace.into()], 1_000)).await.unwrap();
    let stored: Vec<_> = rows.iter().map(|row| u64::try_from(row.int("count").unwrap()).unwrap()).collect();
    assert_eq!(stored, expected.into_values().collect::<Vec<_>>(), "both stand in the order of the views");
}

/// Notifications count without holes, and each event says how many are unread.
async fn check_notifications(hub: &Hub, user_id: UserId, events: &[EventRecord]) {
    let mut marks = NotificationMarks::default();
    for record in events {
        match &record.event {
            Event::NotificationAdded { user_id: whose, notification, unread } if *whose == user_id => {
                marks.add();
                assert_eq!((notification.number, *unread), (marks.last, marks.unread()));
                assert_ne!(notification.by, Some(user_id));
            }
            Event::NotificationsRead { user_id: whose, read_up_to, read, unread } if *whose == user_id => {
                marks = NotificationMarks { last: marks.last, read_up_to: *read_up_to, read: read.clone() };
                assert_eq!(*unread, marks.unread());
            }
            _ => {}
        }
    }
    let rows =
        hub.tables.scan(t::NOTIFICATIONS, Scan::of([hub.workspace.into(), user_id.into()], 1_000)).await.unwrap();
    assert_eq!(rows.len() as u64, marks.last);
}

/// The rows after one message was sent and reported on; the provider's answer to the call comes before the report with this
/// number.
async fn end_of(reports: &[DeliveryReport], answered_before: usize, restarts: bool) -> Vec<String> {
    let hub = Hub::new().await;
    hub.receive(sms(), "in-1", "+966500000001", "hi").await;
    hub.settle().await;
    let conversation_id = hub.conversation().await.id;
    let message_id = hub.reply(user(1), conversation_id, "hello").await.message_id.unwrap();
    hub.append(Actor::System, Command::BeginSend { conversation_id, message_id, attempt: 1 }).await;
    let outcome = || SendOutcome::Accepted { external_id: "out-1".to_owned(), status: DeliveryStatus::Queued };
    let answer = || Command::FinishSend { conversation_id, message_id, attempt: 1, outcome: outcome() };
    for (n, report) in reports.iter().enumerate() {
        if n == answered_before {
            hub.append(Actor::System, answer()).await;
        }
        let command = Command::RecordDelivery { channel_id: sms(), report: report.clone() };
        hub.append(Actor::Channel { channel_id: sms() }, command).await;
        if restarts {
            hub.settle().await;
        }
    }
    if answered_before >= reports.len() {
        hub.append(Actor::System, answer()).await;
    }
    hub.settle().await;
    let mut lines = rows(&hub).await;
    lines.retain(|line| !line.starts_with("engine_positions"));
    lines
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Deriving everything again from the commands gives the same events, byte for byte, and the same rows, however the
    /// commands were cut into batches and however often the engine was restarted.
    #[test]
    fn a_replay_gives_the_same_bytes(steps in prop::collection::vec(step(), 1..60), restart_every in 1..12_usize) {
        block_on(async {
            let hub = play(&steps, restart_every).await;
            check_invariants(&hub).await;
            let again = replay(&hub).await;
            assert_same(&hub, &again).await;
        });
    }

    /// Whatever was lost of the rows' last batches (a loss of power), the engine goes on from what is left and ends with
    /// the same events at the same offsets and the same rows.
    #[test]
    fn a_loss_of_power_loses_nothing(steps in prop::collection::vec(step(), 1..40), keep in 0..8_usize) {
        block_on(async {
            let original = play(&steps, 5).await;
            let log = Arc::new(MemoryLog::new(PARTITIONS));
            let tables = Arc::new(MemoryTables::with_loss_of_power());
            let hub = Hub::over(log.clone(), tables.clone());
            copy_commands(&original, &log).await;
            hub.settle().await;
            tables.lose_power(keep);
            hub.settle().await;
            assert_same(&original, &hub).await;
        });
    }

    /// What providers repeat has no second effect, wherever the repeats come.
    #[test]
    fn duplicates_have_no_effect(steps in prop::collection::vec(step(), 1..40), repeats in prop::collection::vec((0..40_usize, 0..40_usize), 0..20)) {
        block_on(async {
            // Repeats move the commands behind them, and ids are derived from places: only commands without ids compare.
            let steps: Vec<_> = steps.into_iter().filter(|step| !names_an_id(step)).collect();
            let hub = play(&steps, 4).await;
            let commands = hub.values(Topic::Commands).await;
            let mut doubled: Vec<Vec<u8>> = commands.clone();
            for (which, later) in repeats {
                let Some(bytes) = commands.get(which) else { continue };
                let repeated: CommandRecord = serde_json::from_slice(bytes).unwrap();
                if !matches!(repeated.command, Command::ReceiveMessage { .. } | Command::RecordDelivery { .. }) {
                    continue;
                }
                let first = doubled.iter().position(|candidate| candidate == bytes).unwrap();
                let place = (first + 1 + later).min(doubled.len());
                doubled.insert(place, bytes.clone());
            }
            let log = Arc::new(MemoryLog::new(PARTITIONS));
            let twice = Hub::over(log.clone(), Arc::new(MemoryTables::new()));
            for bytes in &doubled {
                let record = NewRecord { key: hub.workspace, at: hub.now(), value: bytes.clone().into() };
                log.append(Topic::Commands, hub.partition, vec![record]).await.unwrap();
            }
            twice.settle().await;
            let names = |events: Vec<EventRecord>| events.iter().map(|e| (e.command_id, e.event.name())).collect::<Vec<_>>();
            assert_eq!(names(hub.events().await), names(twice.events().await));
        });
    }

    /// A provider's reports on a message, in any order, as often as it likes, before and after its answer to the call.
    #[test]
    fn reports_in_any_order_and_number_end_in_the_same_state(
        reports in prop::collection::btree_set(0..5_usize, 1..5),
        remedy in 0..4_usize,
        orders in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..12), 2),
        answers in prop::collection::vec(any::<prop::sample::Index>(), 2),
        restarts: bool,
    ) {
        let remedy = REMEDIES[remedy];
        let all: Vec<DeliveryReport> = reports
            .into_iter()
            .map(|n| STATUSES[n])
            // A provider that delivers does not say that the contact wants nothing.
            .filter(|status| remedy != Some(Remedy::OptOut) || !matches!(status, DeliveryStatus::Delivered | DeliveryStatus::Read))
            .map(|status| report("out-1", status, remedy))
            .collect();
        prop_assume!(!all.is_empty());
        block_on(async {
            let mut ends = Vec::new();
            for (order, answer) in orders.iter().zip(&answers) {
                // Every report at least once: those of the order first, then all, in one direction or the other.
                let mut sequence: Vec<_> = order.iter().map(|index| index.get(&all).clone()).collect();
                sequence.extend(all.iter().cloned());
                if order.len() % 2 == 1 {
                    sequence.reverse();
                }
                let answered_before = answer.index(sequence.len() + 1);
                ends.push(end_of(&sequence, answered_before, restarts).await);
            }
            for (a, b) in ends[0].iter().zip(&ends[1]) {
                assert_eq!(a, b);
            }
            assert_eq!(ends[0].len(), ends[1].len());
        });
    }

    /// Tables that are away now and then delay the engine and change nothing.
    #[test]
    fn tables_that_are_away_delay_and_lose_nothing(steps in prop::collection::vec(step(), 1..20)) {
        block_on(async {
            tokio::time::pause();
            let original = play(&steps, 5).await;
            let log = Arc::new(MemoryLog::new(PARTITIONS));
            let tables = Arc::new(MemoryTables::new());
            let hub = Hub::over(log.clone(), tables.clone());
            copy_commands(&original, &log).await;
            let faults = async {
                for full in [true, false, true, false] {
                    tables.set_disk_full(full);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            };
            tokio::join!(hub.settle(), faults);
            assert_same(&original, &hub).await;
        });
    }
}
