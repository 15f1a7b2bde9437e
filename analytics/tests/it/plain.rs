//! A plain recomputation of every KPI from the log: no fold, no cells, no histograms; it walks over each conversation's events
//! as a person would.

use std::collections::{BTreeMap, BTreeSet};

use schemas::calendar::Calendar;
use schemas::command::Actor;
use schemas::conversation::{Conversation, Status};
use schemas::event::{Event, EventRecord, Source};
use schemas::kpi::KpiDimension;
use schemas::message::{Author, DeliveryStatus, Direction};
use schemas::sla::SlaStep;
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
    let mut hours = Vec::new();
    let mut by_conversation: BTreeMap<ConversationId, Vec<&EventRecord>> = BTreeMap::new();
    for event in events.iter().filter(|event| seen.insert(event.source)) {
        if let Event::ServiceConfigured { setting, .. } = &event.event {
            hours.push((event.source, setting.calendar()));
        }
        if let Some(conversation) = &event.conversation {
            by_conversation.entry(conversation.id).or_default().push(event);
        }
    }
    let hours = Hours(hours);
    by_conversation.values().flat_map(|history| of_conversation(history, &hours)).collect()
}

/// When the workspace was at work, as it said from each event on.
struct Hours(Vec<(Source, Option<Calendar>)>);

impl Hours {
    /// The hours that held at an event.
    fn at(&self, record: &EventRecord) -> Option<&Calendar> {
        let said = self.0.iter().filter(|(source, _)| *source < record.source);
        said.max_by_key(|(source, _)| *source).and_then(|(_, calendar)| calendar.as_ref())
    }
}

/// The KPI that counts the same in business time.
fn in_business_time(kpi: &str) -> Option<&'static str> {
    Some(match kpi {
        "first_response" => "first_response_business",
        "reply_time" => "reply_time_business",
        "abandoned_wait" => "abandoned_wait_business",
        "resolution_time" => "resolution_time_business",
        _ => return None,
    })
}

#[expect(clippy::too_many_lines, reason = "one event after the other, as a person would read them")]
fn of_conversation(history: &[&EventRecord], hours: &Hours) -> Vec<Thing> {
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
            if let (Some(kpi), Some(since), Some(calendar)) = (in_business_time(kpi), since, hours.at(record)) {
                things.push(thing(kpi, record, now, agent, calendar.micros_between(since, record.at)));
            }
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
                for (agent, (micros, business)) in held(&history[opened_index..=index], hours) {
                    things.push(thing("handle_time", record, now, Some(agent), micros));
                    let business =
                        business.map(|micros| thing("handle_time_business", record, now, Some(agent), micros));
                    things.extend(business);
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
    things.extend(promises(history));
    things
}

/// What became of promises: kept by who answered or resolved, broken when they were due.
fn promises(history: &[&EventRecord]) -> Vec<Thing> {
    let mut things = Vec::new();
    for record in history {
        let now = record.conversation.as_deref().unwrap();
        for change in &record.sla {
            let target = change.clock.target;
            let (kpis, agent, at) = match change.step {
                SlaStep::Started => (["sla_applied", "-", "-", "-"], now.assignee, record.at),
                SlaStep::Breached => {
                    (["sla_missed", "first-", "next-", "resolution-"], now.assignee, change.clock.due_at.unwrap())
                }
                SlaStep::Met => {
                    let who = match (&record.event, &record.actor) {
                        (Event::MessageAdded { message }, _) => match &message.author {
                            Author::Agent { user_id } => Some(*user_id),
                            _ => None,
                        },
                        (_, Actor::User { user_id }) => now.assignee.or(Some(*user_id)),
                        _ => now.assignee,
                    };
                    (["sla_met", "first+", "next+", "resolution+"], who, record.at)
                }
                _ => continue,
            };
            for kpi in [kpis[0], kpis[1 + target as usize]] {
                things.push(Thing { at, ..thing(kpi, record, now, agent, 0) });
            }
        }
    }
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

/// How long each person had a conversation, open and theirs, from the first of these events to the last; also in business
/// time, if hours were set whenever they gave it away.
fn held(history: &[&EventRecord], hours: &Hours) -> BTreeMap<UserId, (i64, Option<i64>)> {
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
                let (clock, business) = held.entry(agent).or_insert((0, Some(0)));
                *clock += (record.at.unix_micros() - since.unix_micros()).max(0);
                let more = hours.at(record).map(|calendar| calendar.micros_between(since, record.at));
                *business = business.zip(more).map(|(sum, more)| sum + more);
            }
            stretch = now.map(|agent| (agent, record.at));
        }
    }
    held
}
