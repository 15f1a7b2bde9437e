//! A small world that makes events as the conversation engine does: each carries the conversation as it is after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use schemas::command::Actor;
use schemas::contact::{Contact, Identity};
use schemas::conversation::{Conversation, LastMessage, Priority, Status};
use schemas::event::{AssignmentReason, EVENT_VERSION, Event, EventRecord, Source, StatusReason};
use schemas::hours::{BusinessHours, BusinessPeriod, Holiday, Weekday};
use schemas::message::{Author, Body, DeliveryStatus, Direction, Message};
use schemas::service::ServiceSetting;
use schemas::sla::{ConversationSla, SlaChange, SlaClock, SlaStep, SlaTarget};
use schemas::{
    ChannelId, CommandId, ContactId, ConversationId, EventId, MessageId, SlaPolicyId, Timestamp, UserId, WorkspaceId,
};

/// 2026-11-22T09:30:00Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_795_339_800);

/// Something that somebody does in conversation `.0`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Inbound(usize),
    Reply(usize, usize),
    Bot(usize),
    Note(usize, usize),
    Assign(usize, Option<usize>),
    Resolve(usize, usize),
    Snooze(usize),
    Label(usize),
    /// The workspace writes first.
    Start(usize, usize),
    /// As [`Op::Start`], by whoever takes the conversation with it.
    Take(usize, usize),
    /// A bot is to see to it.
    Pend(usize),
    /// Opened by hand.
    Open(usize, usize),
    /// The provider reports on the message that went out last.
    Report(usize, DeliveryStatus),
    /// A clock that is behind: what follows happened some seconds earlier.
    Back(i64),
    /// The workspace says when it is at work: one of [`hours`].
    Hours(usize),
    /// Something is promised within so many seconds.
    Promise(usize, SlaTarget, i64),
    /// A warning is given of what was promised, or it is due.
    Due(usize),
    /// Seconds go by.
    Wait(i64),
}

pub(crate) fn ops(count: usize) -> impl Strategy<Value = Vec<Op>> {
    let (conversation, agent) = (0..4_usize, 0..3_usize);
    let pair = (conversation.clone(), agent.clone());
    let op = prop_oneof![
        5 => conversation.clone().prop_map(Op::Inbound),
        4 => pair.clone().prop_map(|(c, a)| Op::Reply(c, a)),
        1 => conversation.clone().prop_map(Op::Bot),
        1 => pair.clone().prop_map(|(c, a)| Op::Note(c, a)),
        2 => (conversation.clone(), prop::option::of(agent)).prop_map(|(c, a)| Op::Assign(c, a)),
        2 => pair.clone().prop_map(|(c, a)| Op::Resolve(c, a)),
        1 => conversation.clone().prop_map(Op::Snooze),
        1 => conversation.prop_map(Op::Label),
        1 => pair.prop_map(|(c, a)| Op::Start(c, a)),
        4 => (1..20_000_i64).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 1..count)
}

/// Histories with everything, late events too.
pub(crate) fn histories(count: usize) -> impl Strategy<Value = Vec<Op>> {
    use DeliveryStatus::{Delivered, Failed, Queued, Read};
    let (conversation, agent) = (0..5_usize, 0..3_usize);
    let pair = (conversation.clone(), agent);
    let status = prop::sample::select(vec![Queued, Delivered, Read, Failed]);
    let target = prop::sample::select(SlaTarget::ALL.to_vec());
    let promise = (0..5_usize, target, 0..9_000_i64).prop_map(|(c, target, seconds)| Op::Promise(c, target, seconds));
    let op = prop_oneof![
        8 => ops(2).prop_map(|ops| ops[0]),
        1 => pair.clone().prop_map(|(c, a)| Op::Take(c, a)),
        1 => conversation.clone().prop_map(Op::Pend),
        1 => pair.prop_map(|(c, a)| Op::Open(c, a)),
        3 => (conversation, status).prop_map(|(c, status)| Op::Report(c, status)),
        1 => (1..4_000_i64).prop_map(Op::Back),
        1 => (0..HOURS).prop_map(Op::Hours),
        3 => promise,
        2 => (0..5_usize).prop_map(Op::Due),
    ];
    prop::collection::vec(op, 1..count)
}

/// Ends the promises that an answer or a resolving keeps; a resolving ends the others, too.
fn end_promises(conversation: &mut Conversation, all: bool, keeps: impl Fn(SlaTarget) -> bool) -> Vec<SlaChange> {
    let clocks = conversation.sla.take().map(|sla| sla.clocks).unwrap_or_default();
    let (ended, left): (Vec<_>, Vec<_>) = clocks.into_iter().partition(|clock| all || keeps(clock.target));
    conversation.sla = ConversationSla::of(left);
    let change = |clock: SlaClock| {
        let step = match (clock.breached, keeps(clock.target)) {
            (true, _) => SlaStep::Ended,
            (false, true) => SlaStep::Met,
            (false, false) => SlaStep::Dropped,
        };
        SlaChange { step, clock }
    };
    ended.into_iter().map(change).collect()
}

/// How many hours there are to choose from.
pub(crate) const HOURS: usize = 4;

/// No hours, two periods a day with a holiday, nights that go on after midnight, all day long.
pub(crate) fn hours(n: usize) -> ServiceSetting {
    let all_week = |times: &[(&str, &str)]| {
        let of_day = |weekday| {
            times.iter().map(move |(opens, closes)| BusinessPeriod {
                weekday,
                opens: (*opens).to_owned(),
                closes: (*closes).to_owned(),
            })
        };
        Weekday::ALL.into_iter().flat_map(of_day).collect::<Vec<_>>()
    };
    let (time_zone, periods) = match n {
        1 => ("Asia/Amman", all_week(&[("09:00", "13:00"), ("14:00", "18:30")])),
        2 => ("America/New_York", all_week(&[("20:00", "02:00")])),
        _ => ("UTC", all_week(&[("00:00", "24:00")])),
    };
    let holidays = vec![Holiday { date: "2026-11-23".to_owned(), name: String::new() }];
    let hours = (n > 0).then_some(BusinessHours { periods, holidays });
    ServiceSetting::Hours { time_zone: time_zone.to_owned(), hours }
}

/// A workspace and what has happened in it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) now: Timestamp,
    pub(crate) channels: [ChannelId; 2],
    pub(crate) agents: [UserId; 3],
    conversations: BTreeMap<usize, Conversation>,
    /// The message of each conversation that went out last: its id, its number, its status.
    sent: BTreeMap<usize, (MessageId, u64, DeliveryStatus)>,
    offset: u64,
    text: String,
    /// What the next event does to promises.
    changes: Vec<SlaChange>,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let part = name.as_bytes();
        Self {
            workspace_id: WorkspaceId::derive(START, &[part]),
            events: Vec::new(),
            now: START,
            channels: [0_u8, 1].map(|n| ChannelId::derive(START, &[part, &[n]])),
            agents: [0_u8, 1, 2].map(|n| UserId::derive(START, &[part, &[n]])),
            conversations: BTreeMap::new(),
            sent: BTreeMap::new(),
            offset: 0,
            text: format!("hello from {name}"),
            changes: Vec::new(),
        }
    }

    pub(crate) fn of(name: &str, ops: &[Op]) -> Self {
        let mut world = Self::new(name);
        world.play(ops);
        world
    }

    pub(crate) fn play(&mut self, ops: &[Op]) {
        for op in ops {
            self.now = Timestamp::from_unix_micros(self.now.unix_micros() + 1_000);
            self.offset += 1;
            self.step(*op);
        }
    }

    /// The conversations as they are now.
    pub(crate) fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.conversations.values()
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Wait(seconds) => {
                self.now = Timestamp::from_unix_micros(self.now.unix_micros() + seconds * 1_000_000);
            }
            Op::Inbound(c) => {
                self.ensure(c, Direction::Inbound);
                if self.conversations[&c].status != Status::Open {
                    self.status(c, Status::Open, StatusReason::ContactWrote, None);
                }
                let author = Author::Contact { contact_id: self.conversations[&c].contact_id };
                self.message(c, Direction::Inbound, author);
            }
            Op::Start(c, a) => {
                self.ensure(c, Direction::Outbound);
                self.message(c, Direction::Outbound, Author::Agent { user_id: self.agents[a] });
            }
            Op::Take(c, a) if !self.conversations.contains_key(&c) => {
                self.begin(c, Direction::Outbound, Some(self.agents[a]));
                self.message(c, Direction::Outbound, Author::Agent { user_id: self.agents[a] });
            }
            Op::Back(seconds) => {
                self.now = Timestamp::from_unix_micros(self.now.unix_micros() - seconds * 1_000_000);
            }
            Op::Pend(c) if self.conversations.get(&c).is_some_and(|c| c.status == Status::Open) => {
                self.status(c, Status::Pending, StatusReason::Asked, None);
            }
            Op::Open(c, a) if self.conversations.get(&c).is_some_and(|c| c.status != Status::Open) => {
                self.status(c, Status::Open, StatusReason::Asked, Some(self.agents[a]));
            }
            Op::Report(c, to) => self.report(c, to),
            Op::Promise(c, target, seconds) if self.conversations.contains_key(&c) => self.promise(c, target, seconds),
            Op::Due(c) if self.conversations.contains_key(&c) => self.due(c),
            Op::Hours(n) => {
                let event = Event::ServiceConfigured { setting: Box::new(hours(n)), version: self.offset };
                self.emit(None, None, event);
            }
            Op::Reply(c, a) if self.conversations.contains_key(&c) => {
                self.message(c, Direction::Outbound, Author::Agent { user_id: self.agents[a] });
            }
            Op::Bot(c) if self.conversations.contains_key(&c) => {
                self.message(c, Direction::Outbound, Author::Bot { name: "helper".to_owned() });
            }
            Op::Note(c, a) if self.conversations.contains_key(&c) => {
                self.message(c, Direction::Note, Author::Agent { user_id: self.agents[a] });
            }
            Op::Assign(c, a) if self.conversations.contains_key(&c) => {
                let to = a.map(|a| self.agents[a]);
                let from = std::mem::replace(&mut self.conversations.get_mut(&c).unwrap().assignee, to);
                let reason = AssignmentReason::Asked;
                if from != to {
                    self.emit(Some(c), None, Event::ConversationAssigned { from, to, reason });
                }
            }
            Op::Resolve(c, a) if self.conversations.get(&c).is_some_and(|c| c.status != Status::Resolved) => {
                self.status(c, Status::Resolved, StatusReason::Asked, Some(self.agents[a]));
            }
            Op::Snooze(c) if self.conversations.get(&c).is_some_and(|c| c.status == Status::Open) => {
                self.status(c, Status::Snoozed, StatusReason::Asked, Some(self.agents[0]));
            }
            Op::Label(c) if self.conversations.contains_key(&c) => {
                self.conversations.get_mut(&c).unwrap().labels.insert("vip".to_owned());
                let added = vec!["vip".to_owned()];
                self.emit(Some(c), None, Event::ConversationLabelsChanged { added, removed: Vec::new() });
            }
            _ => {}
        }
    }

    fn report(&mut self, c: usize, to: DeliveryStatus) {
        let Some((message_id, seq, from)) = self.sent.get(&c).copied() else { return };
        // Queued again: it is sent anew.
        if from.may_become(to) || (from == DeliveryStatus::Failed && to == DeliveryStatus::Queued) {
            self.sent.insert(c, (message_id, seq, to));
            let event = Event::MessageStatusChanged { message_id, seq, from, to, error: None, external_id: None };
            self.emit(Some(c), None, event);
        }
    }

    fn promise(&mut self, c: usize, target: SlaTarget, seconds: i64) {
        let now = self.now;
        let conversation = self.conversations.get_mut(&c).unwrap();
        let mut clocks = conversation.sla.take().map(|sla| sla.clocks).unwrap_or_default();
        if conversation.status != Status::Resolved && clocks.iter().all(|clock| clock.target != target) {
            let clock = SlaClock {
                target,
                policy_id: SlaPolicyId::derive(START, &[]),
                started_at: now,
                goal_seconds: u32::try_from(seconds).unwrap(),
                business_time: false,
                pauses: BTreeSet::new(),
                warn_percent: None,
                due_at: Some(Timestamp::from_unix_micros(now.unix_micros() + seconds * 1_000_000)),
                warn_at: None,
                left_micros: None,
                warned: false,
                breached: false,
            };
            clocks.push(clock.clone());
            self.changes.push(SlaChange { step: SlaStep::Started, clock });
        }
        let (from, to) = (conversation.priority, Priority::High);
        conversation.priority = to;
        conversation.sla = ConversationSla::of(clocks);
        self.emit(Some(c), None, Event::ConversationPriorityChanged { from, to });
    }

    /// The first promise that is not broken is due, or a warning is given of it.
    fn due(&mut self, c: usize) {
        let now = self.now;
        let conversation = self.conversations.get_mut(&c).unwrap();
        let Some(mut clocks) = conversation.sla.clone().map(|sla| sla.clocks) else { return };
        let Some(clock) = clocks.iter_mut().find(|clock| !clock.breached) else { return };
        let due_at = clock.due_at.unwrap();
        let step = if due_at <= now { SlaStep::Breached } else { SlaStep::Warned };
        clock.breached = step == SlaStep::Breached;
        clock.warned = true;
        let SlaClock { target, policy_id, .. } = *clock;
        self.changes.push(SlaChange { step, clock: clock.clone() });
        conversation.sla = ConversationSla::of(clocks);
        self.emit(
            Some(c),
            None,
            match step {
                SlaStep::Breached => Event::SlaBreached { target, policy_id, due_at },
                _ => Event::SlaWarned { target, policy_id, due_at },
            },
        );
    }

    fn ensure(&mut self, c: usize, initiated: Direction) {
        if !self.conversations.contains_key(&c) {
            self.begin(c, initiated, None);
        }
    }

    fn begin(&mut self, c: usize, initiated: Direction, assignee: Option<UserId>) {
        let part = [u8::try_from(c).unwrap()];
        let workspace = *self.workspace_id.as_bytes();
        let conversation = Conversation {
            id: ConversationId::derive(self.now, &[&workspace, &part]),
            channel_id: self.channels[c % 2],
            contact_id: ContactId::derive(self.now, &[&workspace, &part]),
            contact_name: format!("Contact {c}"),
            contact_address: format!("+1555000{c:04}"),
            status: Status::Open,
            snoozed_until: None,
            assignee,
            priority: Priority::Normal,
            team: None,
            labels: BTreeSet::new(),
            sentiment: None,
            participants: BTreeSet::new(),
            created_at: self.now,
            opened_at: self.now,
            resolved_at: None,
            last_activity_at: self.now,
            last_seq: 0,
            last_message: None,
            waiting_since: None,
            first_reply_at: None,
            reply_window_until: None,
            sla: None,
            inbound_count: 0,
            reads: BTreeMap::new(),
        };
        let contact = Contact {
            id: conversation.contact_id,
            name: Some(conversation.contact_name.clone()),
            name_is_set: false,
            phone: Some(conversation.contact_address.clone()),
            email: None,
            identities: vec![Identity {
                channel_id: conversation.channel_id,
                address: conversation.contact_address.clone(),
            }],
            opted_out: Vec::new(),
            blocked: false,
            created_at: self.now,
        };
        self.emit(None, None, Event::ContactCreated { contact });
        self.conversations.insert(c, conversation);
        self.emit(Some(c), None, Event::ConversationCreated { initiated });
    }

    fn status(&mut self, c: usize, to: Status, reason: StatusReason, by: Option<UserId>) {
        let now = self.now;
        let conversation = self.conversations.get_mut(&c).unwrap();
        let from = std::mem::replace(&mut conversation.status, to);
        conversation.resolved_at = (to == Status::Resolved).then_some(now);
        if to == Status::Resolved {
            self.changes = end_promises(conversation, true, |target| target == SlaTarget::Resolution);
        }
        if to == Status::Resolved {
            conversation.waiting_since = None;
        }
        if from == Status::Resolved {
            conversation.opened_at = now;
        }
        let snoozed_until = None;
        self.emit(Some(c), by, Event::ConversationStatusChanged { from, to, reason, snoozed_until });
    }

    fn message(&mut self, c: usize, direction: Direction, author: Author) {
        let now = self.now;
        let conversation = self.conversations.get_mut(&c).unwrap();
        // Customers are content, angry, or neither.
        let text = match (direction, c % 3) {
            (Direction::Inbound, 1) => "it is broken and nobody answers".to_owned(),
            (Direction::Inbound, 2) => "thank you so much, this is wonderful".to_owned(),
            _ => self.text.clone(),
        };
        conversation.last_seq += 1;
        conversation.last_activity_at = now;
        conversation.last_message = Some(LastMessage {
            seq: conversation.last_seq,
            direction,
            author: author.clone(),
            preview: text.clone(),
            at: now,
        });
        match direction {
            Direction::Inbound => {
                conversation.inbound_count += 1;
                conversation.waiting_since.get_or_insert(now);
            }
            Direction::Outbound if author.is_human_agent() => {
                conversation.waiting_since = None;
                if conversation.inbound_count > 0 {
                    conversation.first_reply_at.get_or_insert(now);
                }
                self.changes = end_promises(conversation, false, |target| target != SlaTarget::Resolution);
            }
            Direction::Outbound | Direction::Note => {}
        }
        let seq = conversation.last_seq;
        let id = MessageId::derive(now, &[conversation.id.as_bytes(), &seq.to_le_bytes()]);
        let message = Message {
            id,
            conversation_id: conversation.id,
            seq,
            direction,
            author,
            body: Body::text(text),
            created_at: now,
            status: (direction == Direction::Outbound).then_some(DeliveryStatus::Queued),
            error: None,
            sentiment: None,
            external_id: None,
            client_key: None,
            attempts: 0,
            resends: 0,
            mentions: Vec::new(),
        };
        self.emit(Some(c), None, Event::MessageAdded { message: Arc::new(message) });
        if direction == Direction::Outbound {
            let (from, to) = (DeliveryStatus::Queued, DeliveryStatus::Sent);
            let event = Event::MessageStatusChanged { message_id: id, seq, from, to, error: None, external_id: None };
            self.emit(Some(c), None, event);
            self.sent.insert(c, (id, seq, to));
        }
    }

    fn emit(&mut self, c: Option<usize>, by: Option<UserId>, event: Event) {
        let index = match self.events.last() {
            Some(last) if last.source.offset == self.offset => last.source.index + 1,
            _ => 0,
        };
        let source = Source { partition: 0, offset: self.offset, index };
        let place = [self.offset.to_le_bytes(), u64::from(index).to_le_bytes()].concat();
        self.events.push(EventRecord {
            v: EVENT_VERSION,
            id: EventId::derive(self.now, &[self.workspace_id.as_bytes(), &place]),
            workspace_id: self.workspace_id,
            at: self.now,
            source,
            command_id: CommandId::derive(self.now, &[&place]),
            actor: by.map_or(Actor::System, |user_id| Actor::User { user_id }),
            event,
            conversation: c.map(|c| Arc::new(self.conversations[&c].clone())),
            sla: std::mem::take(&mut self.changes),
        });
    }
}
