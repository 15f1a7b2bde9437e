//! A plain recomputation of every KPI from the log: no fold, no cells, no histograms; it walks over each conversation's events
//! as a person would.

use std::collections::{BTreeMap, BTreeSet};

use schemas::command::Actor;
use schemas::conversation::{Conversation, Status};
use schemas::event::{Event, EventRecord};
use schemas::kpi::KpiDimension;
use schemas::message::{Author, DeliveryStatus, Direction};
use schemas::{ConversationId, MessageId, Timestamp, UserId};
use sentiment::Model;

/// Something that counts for a KPI.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) kpi: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) channel: String,
    pub(crate) agent: Option<String>,
    pub(crate) labels: BTreeSet<String>,
    /// How long, in microseconds, if it is a duration.
    pub(crate) micros: i64,
}

impl Thing {
    /// The groups in which it counts.
    pub(crate) fn keys(&self, by: Option<KpiDimension>) -> Vec<Option<String>> {
        match by {
            None => vec![None],
            Some(KpiDimension::Channel) => vec![Some(self.channel.clone())],
            Some(KpiDimension::Agent) => vec![self.agent.clone()],
            Some(KpiDimension::Label) => self.labels.iter().cloned().map(Some).collect(),
        }
    }
}

/// Everything that counts in a history, in which some events may stand more than once.
pub(crate) fn things(events: &[EventRecord]) -> Vec<Thing> {
    let mut seen = BTreeSet::new();
    let mut by_conversation: BTreeMap<ConversationId, Vec<&EventRecord>> = BTreeMap::new();
    for event in events.iter().filter(|event| seen.insert(event.source)) {
        if let Some(conversation) = &event.conversation {
            by_conversation.entry(conversation.id).or_default().push(event);
        }
    }
    by_conversation.values().flat_map(|history| of_conversation(history)).collect()
}

fn of_conversation(history: &[&EventRecord]) -> Vec<Thing> {
    let mut things = Vec::new();
    let mut began_by = None;
    let mut oldest_unanswered = None;
    let mut answered = false;
    let mut opened_at = None;
    let mut opened_index = 0;
    for (index, record) in history.iter().enumerate() {
        let now = record.conversation.as_deref().unwrap();
        let mut add = |kpi, agent: Option<UserId>, since: Option<Timestamp>| {
            let micros = since.map_or(0, |since| (record.at.unix_micros() - since.unix_micros()).max(0));
            things.push(thing(kpi, record, now, agent, micros));
        };
        match &record.event {
            Event::ConversationCreated { initiated } => {
                began_by = Some(*initiated);
                opened_at = Some(record.at);
                opened_index = index;
                add("opened", now.assignee, None);
            }
            Event::MessageAdded { message } => match (message.direction, &message.author) {
                (Direction::Inbound, _) => {
                    add("messages_in", now.assignee, None);
                    add(Model::built_in().score(&message.body.text).label.as_str(), now.assignee, None);
                    oldest_unanswered.get_or_insert(record.at);
                }
                (Direction::Outbound, Author::Agent { user_id }) => {
                    add("messages_out", Some(*user_id), None);
                    if began_by == Some(Direction::Inbound) && !answered {
                        add("first_response", Some(*user_id), opened_at);
                    }
                    answered = true;
                    if let Some(since) = oldest_unanswered.take() {
                        add("reply_time", Some(*user_id), Some(since));
                    }
                }
                (Direction::Outbound, _) => {
                    add("messages_out", None, None);
                    add("messages_out_bot", None, None);
                }
                (Direction::Note, Author::Agent { user_id }) => add("notes", Some(*user_id), None),
                (Direction::Note, _) => add("notes", None, None),
            },
            Event::ConversationStatusChanged { from, to, .. } if *to == Status::Resolved && *from != *to => {
                let resolver = match &record.actor {
                    Actor::User { user_id } => Some(*user_id),
                    _ => None,
                };
                add("resolved", now.assignee.or(resolver), None);
                add("resolution_time", now.assignee.or(resolver), opened_at);
                if let Some(since) = oldest_unanswered.take() {
                    add("abandoned_wait", now.assignee, Some(since));
                }
                for (agent, micros) in held(&history[opened_index..=index]) {
                    things.push(thing("handle_time", record, now, Some(agent), micros));
                }
            }
            Event::ConversationStatusChanged { from: Status::Resolved, .. } => {
                opened_at = Some(record.at);
                opened_index = index;
                add("reopened", now.assignee, None);
            }
            Event::ConversationStatusChanged { from: Status::Pending, to: Status::Open, .. } => {
                add("handed_off", now.assignee, None);
            }
            Event::ConversationAssigned { from: Some(from), to: Some(_), .. } => add("transferred", Some(*from), None),
            _ => {}
        }
    }
    things.extend(deliveries(history));
    things
}

/// How messages are delivered, by their last status.
fn deliveries(history: &[&EventRecord]) -> Vec<Thing> {
    let mut things = Vec::new();
    let mut statuses: BTreeMap<MessageId, (Timestamp, DeliveryStatus)> = BTreeMap::new();
    for record in history {
        match &record.event {
            Event::MessageAdded { message } if message.direction == Direction::Outbound => {
                statuses.insert(message.id, (message.created_at, DeliveryStatus::Queued));
            }
            Event::MessageStatusChanged { message_id, to, .. } => statuses.get_mut(message_id).unwrap().1 = *to,
            _ => {}
        }
    }
    let last = history.last().unwrap();
    for (written_at, status) in statuses.values() {
        let kpis: &[&str] = match status {
            DeliveryStatus::Delivered => &["delivery_rate"],
            DeliveryStatus::Read => &["delivery_rate", "read_rate"],
            DeliveryStatus::Failed => &["failure_rate"],
            DeliveryStatus::Queued | DeliveryStatus::Sent => &[],
        };
        for kpi in kpis {
            let counted = thing(kpi, last, last.conversation.as_deref().unwrap(), None, 0);
            things.push(Thing { at: *written_at, ..counted });
        }
    }
    things
}

fn thing(kpi: &'static str, record: &EventRecord, now: &Conversation, agent: Option<UserId>, micros: i64) -> Thing {
    Thing {
        kpi,
        at: record.at,
        channel: now.channel_id.to_string(),
        agent: agent.map(|id| id.to_string()),
        labels: now.labels.clone(),
        micros,
    }
}

/// How long each person had a conversation, open and theirs, from the first of these events to the last.
fn held(history: &[&EventRecord]) -> BTreeMap<UserId, i64> {
    let holder = |record: &EventRecord| {
        let now = record.conversation.as_deref().unwrap();
        now.assignee.filter(|_| now.status == Status::Open)
    };
    let mut held = BTreeMap::new();
    let mut stretch: Option<(UserId, Timestamp)> = None;
    for record in history {
        let now = holder(record);
        if stretch.map(|(agent, _)| agent) != now {
            if let Some((agent, since)) = stretch {
                *held.entry(agent).or_insert(0) += (record.at.unix_micros() - since.unix_micros()).max(0);
            }
            stretch = now.map(|agent| (agent, record.at));
        }
    }
    held
}
