//! What was written stays readable: committed files hold one record of every kind as it was first written.
//!
//! A line that was ever in a file stays in it, unchanged. `SALER_WRITE_FIXTURES=1 cargo test -p schemas` appends the lines of
//! kinds that a file does not hold yet, and only those.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemas::channel::{AssignmentPolicy, Channel, Medium, Provider};
use schemas::command::{
    Actor, COMMAND_VERSION, Command, CommandRecord, DeliveryReport, InboundMessage, Remedy, SendOutcome, TimerKind,
};
use schemas::contact::{Contact, Identity};
use schemas::conversation::{Conversation, ConversationChanges, LabelChanges, LastMessage, Priority, Status};
use schemas::desk::{Notification, NotificationKind, SavedView, SettingChange, ViewFilters};
use schemas::event::{AssignmentReason, EVENT_VERSION, Event, EventRecord, Outcome, Rejection, Source, StatusReason};
use schemas::governance::{AuditEntry, ErasureRequest, ErasureStatus, ExternalIdentity};
use schemas::hours::{BusinessHours, BusinessPeriod, Holiday, Weekday};
use schemas::message::{Attachment, Author, Body, DeliveryError, DeliveryStatus, Direction, Location, Message};
use schemas::service::ServiceSetting;
use schemas::sla::{ConversationSla, SlaChange, SlaClock, SlaPolicy, SlaStep, SlaTarget};
use schemas::workspace::{Agent, Availability, Role, Team};
use schemas::{
    AuditEntryId, ChannelId, CommandId, ContactId, ConversationId, ErasureRequestId, EventId, MessageId, SavedViewId,
    SlaPolicyId, TeamId, Timestamp, UserId, WorkspaceId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn at() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

macro_rules! sample_ids {
    ($($name:ident: $id:ident = $n:literal),*) => {
        $(fn $name() -> $id {
            $id::new(at(), &[$n; 10])
        })*
    };
}

sample_ids! {
    workspace_id: WorkspaceId = 1, user_id: UserId = 2, channel_id: ChannelId = 3, contact_id: ContactId = 4,
    conversation_id: ConversationId = 5, message_id: MessageId = 6, command_id: CommandId = 7, event_id: EventId = 8,
    team_id: TeamId = 9, audit_entry_id: AuditEntryId = 10, erasure_request_id: ErasureRequestId = 11,
    saved_view_id: SavedViewId = 12, sla_policy_id: SlaPolicyId = 13
}

fn agent_author() -> Author {
    Author::Agent { user_id: user_id() }
}

fn body() -> Body {
    Body {
        text: "أين طلبي؟ 📦".to_owned(),
        attachments: vec![Attachment {
            url: "https://media.example/1".to_owned(),
            content_type: "image/jpeg".to_owned(),
            name: Some("box.jpg".to_owned()),
        }],
        location: Some(Location {
            latitude: 24.7136,
            longitude: 46.6753,
            label: Some("المتجر".to_owned()),
            address: None,
        }),
        interactive: Some("{\"button\":\"yes\"}".to_owned()),
        in_reply_to: Some("SM0".to_owned()),
    }
}

fn error() -> DeliveryError {
    DeliveryError { code: "30007".to_owned(), reason: "The carrier filtered the message.".to_owned() }
}

fn report() -> DeliveryReport {
    DeliveryReport {
        external_id: "SM1".to_owned(),
        provider_status: "undelivered".to_owned(),
        status: Some(DeliveryStatus::Failed),
        error: Some(error()),
        remedy: Some(Remedy::OptOut),
    }
}

fn channel() -> Channel {
    Channel {
        id: channel_id(),
        workspace_id: workspace_id(),
        name: "WhatsApp".to_owned(),
        provider: Provider::Twilio,
        medium: Medium::Whatsapp,
        address: "+14155238886".to_owned(),
        assignment: AssignmentPolicy::RoundRobin,
        reopen_hours: 48,
        active: true,
        version: 3,
    }
}

fn agent() -> Agent {
    Agent {
        user_id: user_id(),
        name: "Huda".to_owned(),
        role: Role::Agent,
        active: true,
        capacity: 10,
        availability: Availability::Busy,
        connected: true,
        gateways: BTreeSet::new(),
        open_conversations: 2,
        last_assigned: 41,
    }
}

fn hours() -> ServiceSetting {
    ServiceSetting::Hours {
        time_zone: "Asia/Amman".to_owned(),
        hours: Some(BusinessHours {
            periods: vec![BusinessPeriod {
                weekday: Weekday::Sunday,
                opens: "09:00".to_owned(),
                closes: "17:00".to_owned(),
            }],
            holidays: vec![Holiday { date: "2026-12-25".to_owned(), name: "عطلة".to_owned() }],
        }),
    }
}

fn sla_policy() -> SlaPolicy {
    SlaPolicy {
        id: sla_policy_id(),
        name: "عاجل".to_owned(),
        priorities: BTreeSet::from([Priority::High, Priority::Urgent]),
        channels: BTreeSet::from([channel_id()]),
        labels: BTreeSet::from(["vip".to_owned()]),
        first_response_seconds: Some(900),
        next_response_seconds: Some(1_800),
        resolution_seconds: Some(86_400),
        business_time: true,
        pauses: BTreeSet::from([Status::Pending, Status::Snoozed]),
        warn_percent: Some(80),
    }
}

fn sla_clock() -> SlaClock {
    SlaClock {
        target: SlaTarget::NextResponse,
        policy_id: sla_policy_id(),
        started_at: at(),
        goal_seconds: 1_800,
        business_time: true,
        pauses: BTreeSet::from([Status::Snoozed]),
        warn_percent: Some(80),
        due_at: Some(at().after(Duration::from_mins(30))),
        warn_at: Some(at().after(Duration::from_mins(24))),
        left_micros: None,
        warned: false,
        breached: false,
    }
}

fn team() -> Team {
    Team { id: team_id(), name: "الدعم".to_owned(), members: BTreeSet::new(), created_at: at() }
}

fn saved_view() -> SavedView {
    SavedView {
        id: saved_view_id(),
        name: "متأخرة".to_owned(),
        owner: user_id(),
        shared: true,
        filters: ViewFilters { label: Some("vip".to_owned()), unread: Some(true), ..ViewFilters::default() },
        created_at: at(),
    }
}

fn contact() -> Contact {
    Contact {
        id: contact_id(),
        name: Some("سارة".to_owned()),
        name_is_set: true,
        phone: Some("+966501234567".to_owned()),
        email: Some("sara@example.com".to_owned()),
        identities: vec![Identity { channel_id: channel_id(), address: "+966501234567".to_owned() }],
        opted_out: vec![channel_id()],
        blocked: false,
        created_at: at(),
    }
}

fn message() -> Message {
    Message {
        id: message_id(),
        conversation_id: conversation_id(),
        seq: 7,
        direction: Direction::Outbound,
        author: agent_author(),
        body: body(),
        created_at: at(),
        status: Some(DeliveryStatus::Queued),
        error: Some(error()),
        sentiment: None,
        external_id: Some("SM1".to_owned()),
        client_key: Some("k-1".to_owned()),
        attempts: 1,
        resends: 2,
        mentions: vec![user_id()],
    }
}

fn conversation() -> Conversation {
    Conversation {
        id: conversation_id(),
        channel_id: channel_id(),
        contact_id: contact_id(),
        contact_name: "سارة".to_owned(),
        contact_address: "+966501234567".to_owned(),
        status: Status::Snoozed,
        snoozed_until: Some(at().after(Duration::from_hours(1))),
        assignee: Some(user_id()),
        team: Some(team_id()),
        priority: Priority::High,
        labels: BTreeSet::from(["vip".to_owned()]),
        sentiment: None,
        participants: BTreeSet::from([user_id()]),
        created_at: at(),
        opened_at: at(),
        resolved_at: None,
        last_activity_at: at(),
        last_seq: 7,
        last_message: Some(LastMessage {
            seq: 7,
            direction: Direction::Outbound,
            author: agent_author(),
            preview: "أين طلبي؟ 📦".to_owned(),
            at: at(),
        }),
        waiting_since: Some(at()),
        first_reply_at: Some(at()),
        reply_window_until: Some(at().after(Duration::from_hours(24))),
        sla: ConversationSla::of(vec![sla_clock()]),
        inbound_count: 4,
        reads: BTreeMap::from([(user_id(), 3)]),
    }
}

/// One command of every kind.
fn commands() -> Vec<Command> {
    let inbound = InboundMessage {
        external_id: "SM1".to_owned(),
        from: "+966501234567".to_owned(),
        also_from: vec!["SA.4566546130240823".to_owned()],
        phone: Some("+966501234567".to_owned()),
        email: None,
        to: "+14155238886".to_owned(),
        profile_name: Some("سارة".to_owned()),
        body: body(),
        opt_out: Some(false),
    };
    let (conversation_id, message_id, user_id) = (conversation_id(), message_id(), user_id());
    let outcome = SendOutcome::Ambiguous { error: error(), next_attempt_at: at() };
    vec![
        Command::ReceiveMessage { channel_id: channel_id(), message: Box::new(inbound) },
        Command::RecordDelivery { channel_id: channel_id(), report: report() },
        Command::SendMessage { conversation_id, author: agent_author(), body: body() },
        Command::StartConversation {
            to: Identity { channel_id: channel_id(), address: "+966501234567".to_owned() },
            author: Author::Bot { name: "greeter".to_owned() },
            body: body(),
        },
        Command::RetryMessage { conversation_id, seq: 7 },
        Command::AddNote { conversation_id, author: agent_author(), text: "look".to_owned(), mentions: vec![user_id] },
        Command::SetStatus { conversation_id, status: Status::Snoozed, snoozed_until: Some(at()) },
        Command::Assign { conversation_id, assignee: Some(user_id) },
        Command::SetPriority { conversation_id, priority: Priority::Urgent },
        Command::ChangeLabels { conversation_id, add: vec!["vip".to_owned()], remove: vec!["new".to_owned()] },
        Command::ChangeConversation {
            conversation_id,
            changes: ConversationChanges {
                status: Some(Status::Snoozed),
                snoozed_until: Some(at()),
                assignee: Some(None),
                team: Some(Some(team_id())),
                priority: Some(Priority::Low),
                labels: LabelChanges { add: vec!["vip".to_owned()], remove: Vec::new() },
            },
        },
        Command::MarkRead { conversation_id, user_id, seq: 7 },
        Command::ReadNotifications { user_id, up_to: Some(3), numbers: vec![5] },
        Command::AnnounceSetting { user_id: Some(user_id), change: Box::new(SettingChange::Team { team: team() }) },
        Command::UpdateContact {
            contact_id: contact_id(),
            name: Some("سارة".to_owned()),
            email: Some("sara@example.com".to_owned()),
            blocked: Some(true),
        },
        Command::ConfigureChannel { channel: channel() },
        Command::ConfigureAgent { agent: agent() },
        Command::ConfigureService { setting: Box::new(hours()), version: 2 },
        Command::SetPresence {
            user_id,
            availability: Some(Availability::Away),
            connected: Some(false),
            gateway: String::new(),
        },
        Command::FireTimer { conversation_id, timer: TimerKind::SnoozeEnds, due: at() },
        Command::BeginSend { conversation_id, message_id, attempt: 1 },
        Command::FinishSend { conversation_id, message_id, attempt: 1, outcome },
    ]
}

/// One event of every kind.
fn events() -> Vec<Event> {
    let (message_id, user_id) = (message_id(), user_id());
    vec![
        Event::ContactCreated { contact: contact() },
        Event::ContactUpdated { contact: contact() },
        Event::ConversationCreated { initiated: Direction::Inbound },
        Event::ConversationStatusChanged {
            from: Status::Open,
            to: Status::Snoozed,
            reason: StatusReason::Asked,
            snoozed_until: Some(at()),
        },
        Event::ConversationAssigned { from: None, to: Some(user_id), reason: AssignmentReason::Automatic },
        Event::ConversationTeamChanged { from: None, to: Some(team_id()) },
        Event::ConversationPriorityChanged { from: Priority::Normal, to: Priority::High },
        Event::ConversationLabelsChanged { added: vec!["vip".to_owned()], removed: vec!["new".to_owned()] },
        Event::ConversationRead { user_id, seq: 7 },
        Event::SlaWarned { target: SlaTarget::Resolution, policy_id: sla_policy_id(), due_at: at() },
        Event::SlaBreached { target: SlaTarget::FirstResponse, policy_id: sla_policy_id(), due_at: at() },
        Event::MessageAdded { message: Arc::new(message()) },
        Event::MessageStatusChanged {
            message_id,
            seq: 7,
            from: DeliveryStatus::Queued,
            to: DeliveryStatus::Failed,
            error: Some(error()),
            external_id: Some("SM1".to_owned()),
        },
        Event::MessageSendBegun { message_id, seq: 7, attempt: 1 },
        Event::MessageSendDeferred {
            message_id,
            seq: 7,
            attempt: 1,
            error: error(),
            ambiguous: true,
            next_attempt_at: at(),
        },
        Event::DeliveryParked { channel_id: channel_id(), report: report() },
        Event::ChannelConfigured { channel: channel() },
        Event::AgentConfigured { agent: agent() },
        Event::ServiceConfigured { setting: Box::new(hours()), version: 2 },
        Event::AgentPresenceChanged {
            user_id,
            availability: Availability::Busy,
            connected: true,
            gateways: BTreeSet::new(),
        },
        Event::CommandSettled {
            key: Some("k-1".to_owned()),
            fingerprint: "00ff".to_owned(),
            outcome: Outcome::Rejected { code: Rejection::NotFound, reason: "no such conversation".to_owned() },
            conversation_id: Some(conversation_id()),
            message_id: Some(message_id),
            seq: Some(7),
        },
    ]
}

/// One event of every kind of the desk.
fn desk_events() -> Vec<Event> {
    let user_id = user_id();
    vec![
        Event::CountsChanged { views: BTreeMap::from([("open/all".to_owned(), 3)]) },
        Event::NotificationAdded {
            user_id,
            notification: Notification {
                number: 4,
                kind: NotificationKind::Mentioned,
                conversation_id: conversation_id(),
                seq: Some(7),
                contact_name: "سارة".to_owned(),
                preview: "look".to_owned(),
                by: Some(user_id),
                at: at(),
            },
            unread: 2,
        },
        Event::NotificationsRead { user_id, read_up_to: 3, read: BTreeSet::from([5]), unread: 1 },
        Event::SettingChanged {
            user_id: Some(user_id),
            change: Box::new(SettingChange::SavedView { saved_view: saved_view() }),
        },
    ]
}

fn command_records() -> Vec<(String, CommandRecord)> {
    let record = |command| CommandRecord {
        v: COMMAND_VERSION,
        id: command_id(),
        workspace_id: workspace_id(),
        at: at(),
        actor: Actor::User { user_id: user_id() },
        key: Some("k-1".to_owned()),
        wants_outcome: true,
        command,
    };
    commands().into_iter().map(|command| (kind(&command), record(command))).collect()
}

fn event_records() -> Vec<(String, EventRecord)> {
    let record = |event| EventRecord {
        v: EVENT_VERSION,
        id: event_id(),
        workspace_id: workspace_id(),
        at: at(),
        source: Source { partition: 1, offset: 42, index: 0 },
        command_id: command_id(),
        actor: Actor::Channel { channel_id: channel_id() },
        event,
        conversation: Some(Arc::new(conversation())),
        sla: vec![SlaChange { step: SlaStep::Started, clock: sla_clock() }],
    };
    events().into_iter().chain(desk_events()).map(|event| (kind(&event), record(event))).collect()
}

/// One of every type that later features will store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Laid {
    Team(Team),
    ExternalIdentity(ExternalIdentity),
    AuditEntry(AuditEntry),
    ErasureRequest(ErasureRequest),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LaidRecord {
    entity: Laid,
}

fn laid_records() -> Vec<(String, LaidRecord)> {
    let actor = || Actor::User { user_id: user_id() };
    let laid = vec![
        Laid::Team(Team { members: BTreeSet::from([user_id()]), ..team() }),
        Laid::ExternalIdentity(ExternalIdentity {
            issuer: "https://id.example".to_owned(),
            subject: "248289761001".to_owned(),
            user_id: user_id(),
            linked_at: at(),
        }),
        Laid::AuditEntry(AuditEntry {
            id: audit_entry_id(),
            workspace_id: workspace_id(),
            at: at(),
            actor: actor(),
            action: "member.role_changed".to_owned(),
            target: user_id().to_string(),
            details: Some("{\"from\":\"agent\",\"to\":\"manager\"}".to_owned()),
            remote_address: Some("203.0.113.7".to_owned()),
        }),
        Laid::ErasureRequest(ErasureRequest {
            id: erasure_request_id(),
            workspace_id: workspace_id(),
            contact_id: contact_id(),
            requested_by: actor(),
            requested_at: at(),
            status: ErasureStatus::Completed,
            completed_at: Some(at()),
        }),
    ];
    laid.into_iter().map(|entity| (kind(&entity), LaidRecord { entity })).collect()
}

/// The `type` of a command or an event.
fn kind(tagged: &impl Serialize) -> String {
    let json = serde_json::to_value(tagged).unwrap();
    json.get("type").and_then(|kind| kind.as_str()).expect("it has a type").to_owned()
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str, field: &str, today: &[(String, T)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    let kinds = |text: &str| -> BTreeSet<String> {
        let kind_of = |line| kind(&serde_json::from_str::<serde_json::Value>(line).unwrap()[field]);
        text.lines().map(kind_of).collect()
    };
    if std::env::var("SALER_WRITE_FIXTURES").is_ok() {
        let known = kinds(&text);
        for (_, record) in today.iter().filter(|(kind, _)| !known.contains(kind)) {
            text += &serde_json::to_string(record).unwrap();
            text.push('\n');
        }
        std::fs::write(&path, &text).unwrap();
    }
    let written = kinds(&text);
    for (kind, _) in today {
        assert!(written.contains(kind), "{file} has no {kind}: run with SALER_WRITE_FIXTURES=1");
    }
    for line in text.lines() {
        let read: T = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {file}: {line}"));
        let again: T = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(read, again);
    }
}

#[test]
fn commands_that_were_ever_written_are_read() {
    check("commands.v1.jsonl", "command", &command_records());
}

#[test]
fn events_that_were_ever_written_are_read() {
    check("events.v1.jsonl", "event", &event_records());
}

#[test]
fn what_later_features_will_store_is_read() {
    check("governance.v1.jsonl", "entity", &laid_records());
}

#[test]
fn settings_of_the_service_read_back_as_they_were() {
    for setting in [hours(), ServiceSetting::Sla { policies: vec![sla_policy()] }] {
        let json = serde_json::to_value(&setting).unwrap();
        assert_eq!(json["kind"], setting.kind());
        assert_eq!(serde_json::from_value::<ServiceSetting>(json).unwrap(), setting);
    }
}

#[test]
fn what_is_written_today_reads_back_as_it_was() {
    for (_, record) in command_records() {
        assert_eq!(serde_json::from_str::<CommandRecord>(&serde_json::to_string(&record).unwrap()).unwrap(), record);
    }
    for (_, record) in event_records() {
        assert_eq!(serde_json::from_str::<EventRecord>(&serde_json::to_string(&record).unwrap()).unwrap(), record);
        assert_eq!(kind(&record.event), record.event.name());
    }
}

#[test]
fn fields_of_the_future_are_passed_over() {
    for (_, record) in event_records() {
        let mut json = serde_json::to_value(&record).unwrap();
        json["of_the_future"] = serde_json::json!({"nested": [1]});
        json["event"]["of_the_future"] = serde_json::json!(true);
        assert_eq!(serde_json::from_value::<EventRecord>(json).unwrap(), record);
    }
}
