//! Service levels: when promises begin, stand still, are due to the second, and end.

use std::collections::BTreeSet;
use std::time::Duration;

use schemas::command::{Actor, Command};
use schemas::conversation::{Priority, Status};
use schemas::event::{Event, EventRecord};
use schemas::hours::{BusinessHours, BusinessPeriod, Weekday};
use schemas::message::{Author, Body};
use schemas::service::ServiceSetting;
use schemas::sla::{SlaPolicy, SlaState, SlaStep, SlaTarget};
use schemas::{ConversationId, SlaPolicyId, Timestamp};
use storage::tables::{Scan, Tables};

use super::hub::{CUSTOMER, Hub, nth, sms, start_of_tests, user};

const MINUTE: u32 = 60;

/// A first response in 10 minutes, a next one in 5, a resolution in an hour; warned of at 80 %; paused while snoozed.
fn policy(n: u8) -> SlaPolicy {
    SlaPolicy {
        id: nth(n, SlaPolicyId::new),
        name: "Standard".to_owned(),
        priorities: BTreeSet::new(),
        channels: BTreeSet::new(),
        labels: BTreeSet::new(),
        first_response_seconds: Some(10 * MINUTE),
        next_response_seconds: Some(5 * MINUTE),
        resolution_seconds: Some(60 * MINUTE),
        business_time: false,
        pauses: BTreeSet::from([Status::Snoozed]),
        warn_percent: Some(80),
    }
}

async fn configure(hub: &Hub, setting: ServiceSetting, version: u64) {
    hub.append(Actor::System, Command::ConfigureService { setting: Box::new(setting), version }).await;
}

/// A hub with these policies, two agents and a conversation that a customer has begun.
async fn hub_with(policies: Vec<SlaPolicy>) -> (Hub, ConversationId) {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    hub.add_agent(user(2), 5, false).await;
    configure(&hub, ServiceSetting::Sla { policies }, 1).await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    (hub, id)
}

/// Moves the clock and waits until the engine has recorded so many warnings and breaches in all.
async fn pass_until(hub: &Hub, minutes: u64, recorded: usize) {
    hub.pass(Duration::from_mins(minutes)).await;
    hub.until(async || instants(&hub.events().await).len() >= recorded).await;
}

/// What was recorded at an instant: warnings and breaches.
fn instants(events: &[EventRecord]) -> Vec<(SlaStep, SlaTarget, Timestamp)> {
    let steps = events.iter().flat_map(|record| record.sla.iter().map(move |change| (record, change)));
    let timed = steps.filter(|(_, change)| matches!(change.step, SlaStep::Warned | SlaStep::Breached));
    timed.map(|(record, change)| (change.step, change.clock.target, record.at)).collect()
}

/// What became of promises, in order.
async fn steps(hub: &Hub) -> Vec<(SlaStep, SlaTarget)> {
    let events = hub.events().await;
    events.iter().flat_map(|record| &record.sla).map(|change| (change.step, change.clock.target)).collect()
}

fn after(minutes: u64) -> Timestamp {
    start_of_tests().after(Duration::from_mins(minutes))
}

#[tokio::test]
async fn an_answer_in_time_keeps_its_promise_and_each_wait_has_one_of_its_own() {
    use SlaStep::{Met, Started};
    use SlaTarget::{FirstResponse, NextResponse, Resolution};
    let (hub, id) = hub_with(vec![policy(1)]).await;
    let sla = hub.conversation().await.sla.expect("promises hold");
    assert_eq!((sla.state, sla.next_due_at), (SlaState::OnTrack, Some(after(10))));
    hub.pass(Duration::from_mins(7)).await;
    assert!(hub.reply(user(1), id, "hello").await.is_applied());
    assert_eq!(hub.conversation().await.sla.unwrap().next_due_at, Some(after(60)));
    hub.receive(sms(), "SM2", CUSTOMER, "and?").await;
    hub.receive(sms(), "SM3", CUSTOMER, "and??").await;
    hub.settle().await;
    assert_eq!(hub.conversation().await.sla.unwrap().next_due_at, Some(after(12)));
    // A program's message is no answer.
    let bot = Author::Bot { name: "helper".to_owned() };
    hub.ask(user(1), Command::SendMessage { conversation_id: id, author: bot, body: Body::text("wait") }).await;
    assert!(hub.reply(user(2), id, "so").await.is_applied());
    hub.ask(user(1), Command::SetStatus { conversation_id: id, status: Status::Resolved, snoozed_until: None }).await;
    assert_eq!(hub.conversation().await.sla, None);
    let wanted = [
        (Started, FirstResponse),
        (Started, Resolution),
        (Met, FirstResponse),
        (Started, NextResponse),
        (Met, NextResponse),
        (Met, Resolution),
    ];
    assert_eq!(steps(&hub).await, wanted);
}

#[tokio::test]
async fn warnings_and_breaches_are_recorded_when_they_are_due_and_nobody_asks() {
    use SlaStep::{Breached, Warned};
    let (hub, id) = hub_with(vec![policy(1)]).await;
    pass_until(&hub, 8, 1).await;
    assert_eq!(hub.conversation().await.sla.unwrap().state, SlaState::AtRisk);
    pass_until(&hub, 2, 2).await;
    let sla = hub.conversation().await.sla.unwrap();
    assert_eq!((sla.state, sla.next_due_at), (SlaState::Breached, Some(after(60))));
    let target = SlaTarget::FirstResponse;
    assert_eq!(instants(&hub.events().await), [(Warned, target, after(8)), (Breached, target, after(10))]);
    // The answer comes too late: the promise ends, and counts once.
    assert!(hub.reply(user(1), id, "sorry").await.is_applied());
    assert_eq!(hub.conversation().await.sla.unwrap().state, SlaState::OnTrack);
    assert_eq!(steps(&hub).await.last(), Some(&(SlaStep::Ended, target)));
}

#[tokio::test]
async fn an_answer_after_the_due_moment_is_late_however_late_the_timer_fires() {
    let (hub, id) = hub_with(vec![policy(1)]).await;
    // No engine runs while 11 minutes go by; the answer is in the log before any timer.
    hub.pass(Duration::from_mins(11)).await;
    assert!(hub.reply(user(1), id, "sorry").await.is_applied());
    let events = hub.events().await;
    let breach = events.iter().position(|record| matches!(record.event, Event::SlaBreached { .. })).unwrap();
    let answer = events.iter().rposition(|record| matches!(record.event, Event::MessageAdded { .. })).unwrap();
    assert!(breach < answer);
    assert!(matches!(events[breach].event, Event::SlaBreached { due_at, .. } if due_at == after(10)));
    assert_eq!(events[answer].sla[0].step, SlaStep::Ended);
    // The timer that fires after it finds nothing to do.
    let first_responses = steps(&hub).await.into_iter().filter(|(_, target)| *target == SlaTarget::FirstResponse);
    assert_eq!(
        first_responses.map(|(step, _)| step).collect::<Vec<_>>(),
        [SlaStep::Started, SlaStep::Breached, SlaStep::Ended]
    );
}

#[tokio::test]
async fn time_stands_still_where_the_policy_says_so() {
    let (hub, id) = hub_with(vec![policy(1)]).await;
    hub.pass(Duration::from_mins(4)).await;
    let status = |status| Command::SetStatus { conversation_id: id, status, snoozed_until: None };
    assert!(hub.ask(user(1), status(Status::Snoozed)).await.is_applied());
    assert_eq!(hub.conversation().await.sla.unwrap().next_due_at, None);
    hub.pass(Duration::from_hours(10)).await;
    assert!(hub.ask(user(1), status(Status::Open)).await.is_applied());
    let clocks = hub.conversation().await.sla.unwrap().clocks;
    // Six minutes of the ten and 56 of the 60 are left; the warnings, too, are due later.
    assert_eq!(clocks.iter().map(|clock| clock.due_at).collect::<Vec<_>>(), [Some(after(610)), Some(after(660))]);
    assert_eq!(clocks[0].warn_at, Some(after(608)));
    // Pending does not stop it.
    assert!(hub.ask(user(1), status(Status::Pending)).await.is_applied());
    assert_eq!(hub.conversation().await.sla.unwrap().next_due_at, Some(after(610)));
}

#[tokio::test]
async fn the_first_policy_that_matches_holds_and_another_priority_chooses_anew() {
    let urgent = SlaPolicy {
        priorities: BTreeSet::from([Priority::Urgent]),
        first_response_seconds: Some(2 * MINUTE),
        resolution_seconds: None,
        ..policy(1)
    };
    let (hub, id) = hub_with(vec![urgent, policy(2)]).await;
    hub.pass(Duration::from_mins(1)).await;
    let priority = |priority| Command::SetPriority { conversation_id: id, priority };
    assert!(hub.ask(user(1), priority(Priority::Urgent)).await.is_applied());
    let sla = hub.conversation().await.sla.unwrap();
    assert_eq!((sla.clocks.len(), sla.next_due_at), (1, Some(after(2))));
    assert!(hub.ask(user(1), priority(Priority::Normal)).await.is_applied());
    let clocks = hub.conversation().await.sla.unwrap().clocks;
    assert_eq!(clocks.iter().map(|clock| clock.due_at).collect::<Vec<_>>(), [Some(after(10)), Some(after(60))]);
    // What was promised stays promised when the policies are gone; what begins later is promised nothing.
    configure(&hub, ServiceSetting::Sla { policies: Vec::new() }, 2).await;
    assert!(hub.reply(user(1), id, "hello").await.is_applied());
    hub.receive(sms(), "SM2", CUSTOMER, "and?").await;
    hub.settle().await;
    let left: Vec<_> = hub.conversation().await.sla.unwrap().clocks.iter().map(|clock| clock.target).collect();
    assert_eq!(left, [SlaTarget::Resolution]);
}

#[tokio::test]
async fn business_time_counts_by_the_hours_and_without_hours_there_is_no_promise() {
    let of_work = SlaPolicy { business_time: true, warn_percent: None, ..policy(1) };
    let (hub, id) = hub_with(vec![of_work]).await;
    assert_eq!(hub.conversation().await.sla, None);
    // It is Sunday, 09:00 in UTC and 12:00 in Amman: five minutes before lunch.
    let period = |opens: &str, closes: &str| BusinessPeriod {
        weekday: Weekday::Sunday,
        opens: opens.to_owned(),
        closes: closes.to_owned(),
    };
    let periods = vec![period("08:00", "12:05"), period("13:00", "17:00")];
    let hours = Some(BusinessHours { periods, holidays: Vec::new() });
    configure(&hub, ServiceSetting::Hours { time_zone: "Asia/Amman".to_owned(), hours }, 1).await;
    let labels = Command::ChangeLabels { conversation_id: id, add: vec!["vip".to_owned()], remove: Vec::new() };
    assert!(hub.ask(user(1), labels).await.is_applied());
    let clocks = hub.conversation().await.sla.unwrap().clocks;
    assert_eq!(clocks.iter().map(|clock| clock.due_at).collect::<Vec<_>>(), [Some(after(65)), Some(after(115))]);
}

#[tokio::test]
async fn a_resolution_drops_what_was_not_answered_and_a_reopening_promises_anew() {
    use SlaTarget::{FirstResponse, Resolution};
    let (hub, id) = hub_with(vec![policy(1)]).await;
    let resolve = Command::SetStatus { conversation_id: id, status: Status::Resolved, snoozed_until: None };
    assert!(hub.ask(user(1), resolve).await.is_applied());
    hub.pass(Duration::from_mins(30)).await;
    hub.receive(sms(), "SM2", CUSTOMER, "hello?").await;
    hub.settle().await;
    let wanted = [
        (SlaStep::Started, FirstResponse),
        (SlaStep::Started, Resolution),
        (SlaStep::Dropped, FirstResponse),
        (SlaStep::Met, Resolution),
        (SlaStep::Started, FirstResponse),
        (SlaStep::Started, Resolution),
    ];
    assert_eq!(steps(&hub).await, wanted);
    assert_eq!(hub.conversation().await.sla.unwrap().next_due_at, Some(after(40)));
}

#[tokio::test]
async fn without_policies_a_conversation_carries_nothing_and_sets_no_timer() {
    let (hub, id) = hub_with(Vec::new()).await;
    assert!(hub.reply(user(1), id, "hello").await.is_applied());
    assert_eq!(hub.conversation().await.sla, None);
    assert!(hub.events().await.iter().all(|record| record.sla.is_empty()));
    let scan = Scan::of([hub.partition.into()], 10);
    assert!(hub.tables.scan(schemas::tables::TIMERS, scan).await.unwrap().is_empty());
}
