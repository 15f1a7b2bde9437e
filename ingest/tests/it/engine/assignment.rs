//! Who gets which conversation.

use std::time::Duration;

use schemas::UserId;
use schemas::channel::{AssignmentPolicy, Medium};
use schemas::command::{Actor, Command};
use schemas::conversation::Status;
use schemas::event::{AssignmentReason, Event};
use schemas::tables as t;
use schemas::workspace::{Agent, Availability, Role};
use storage::tables::{Scan, Tables};

use super::hub::{Hub, sms, user, whatsapp};

async fn hub_with(policy: AssignmentPolicy, agents: &[(u8, u32, bool)]) -> Hub {
    let hub = Hub::new().await;
    hub.configure_channel(sms(), Medium::Sms, policy, 2).await;
    for (n, capacity, connected) in agents {
        hub.add_agent(user(*n), *capacity, *connected).await;
    }
    hub.settle().await;
    hub
}

async fn customers_write(hub: &Hub, numbers: std::ops::Range<u32>) {
    for n in numbers {
        hub.pass(Duration::from_secs(1)).await;
        hub.receive(sms(), &format!("SM{n}"), &format!("+9665000{n:05}"), "hi").await;
    }
    hub.settle().await;
}

/// To whom conversations were given, in order.
async fn given(hub: &Hub) -> Vec<Option<UserId>> {
    hub.events()
        .await
        .into_iter()
        .filter_map(|record| match record.event {
            Event::ConversationAssigned { to, .. } => Some(to),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn round_robin_goes_round_those_who_are_online_and_stops_at_capacity() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 2, true), (2, 2, true), (3, 2, false)]).await;
    customers_write(&hub, 0..5).await;
    assert_eq!(given(&hub).await, [1, 2, 1, 2].map(|n| Some(user(n))));
    assert_eq!(hub.agent(user(1)).await.open_conversations, 2);
    hub.set_connected(user(3), true).await;
    hub.settle().await;
    assert_eq!(given(&hub).await.last(), Some(&Some(user(3))), "the one that waited goes to whoever comes online");
}

#[tokio::test]
async fn fewest_open_balances() {
    let hub = hub_with(AssignmentPolicy::FewestOpen, &[(1, 10, true)]).await;
    customers_write(&hub, 0..3).await;
    hub.add_agent(user(2), 10, true).await;
    customers_write(&hub, 3..7).await;
    let got = given(&hub).await;
    assert_eq!(got[3..6], [Some(user(2)), Some(user(2)), Some(user(2))]);
    assert_eq!(hub.agent(user(1)).await.open_conversations + hub.agent(user(2)).await.open_conversations, 7);
}

#[tokio::test]
async fn capacity_that_is_freed_takes_the_longest_waiting() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 1, true)]).await;
    customers_write(&hub, 0..3).await;
    let first = hub.events().await.iter().find_map(|event| event.conversation.as_ref().map(|c| c.id)).unwrap();
    let resolve = Command::SetStatus { conversation_id: first, status: Status::Resolved, snoozed_until: None };
    hub.ask(user(1), resolve).await;
    let assigned: Vec<_> = hub
        .events()
        .await
        .into_iter()
        .filter(|record| matches!(record.event, Event::ConversationAssigned { .. }))
        .map(|record| record.conversation.unwrap().contact_address.clone())
        .collect();
    assert_eq!(assigned, ["+966500000000", "+966500000001"]);
}

#[tokio::test]
async fn nobody_is_given_anything_while_busy_or_away() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, true)]).await;
    for availability in [Availability::Busy, Availability::Away] {
        let (user_id, availability, gateway) = (user(1), Some(availability), String::new());
        let command = Command::SetPresence { user_id, availability, connected: None, gateway };
        hub.append(Actor::User { user_id: user(1) }, command).await;
        customers_write(&hub, 0..1).await;
        assert_eq!(given(&hub).await, []);
    }
}

/// Each gateway speaks for its own sockets: a person is gone when the last of them says so, and only then.
#[tokio::test]
async fn somebody_at_two_gateways_is_gone_when_both_say_so() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, false)]).await;
    let steps = [("a", true), ("b", true), ("b", true), ("a", false), ("a", false), ("b", false), ("b", false)];
    let mut seen = Vec::new();
    for (gateway, connected) in steps {
        hub.set_connected_at(gateway, user(1), connected).await;
        hub.settle().await;
        seen.push(hub.agent(user(1)).await.connected);
    }
    assert_eq!(seen, [true, true, true, true, true, false, false]);
    let changes = hub.events().await.into_iter().filter_map(|record| match record.event {
        Event::AgentPresenceChanged { connected, gateways, .. } => Some((connected, gateways.len())),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [(true, 1), (true, 2), (true, 1), (false, 0)]);
}

#[tokio::test]
async fn what_somebody_gives_back_does_not_return_to_them_at_once() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, true), (2, 5, true)]).await;
    customers_write(&hub, 0..1).await;
    let id = hub.conversation().await.id;
    hub.ask(user(1), Command::Assign { conversation_id: id, assignee: None }).await;
    assert_eq!(given(&hub).await, [Some(user(1)), None, Some(user(2))]);
}

#[tokio::test]
async fn a_policy_that_is_switched_off_leaves_waiting_conversations_to_people() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[]).await;
    customers_write(&hub, 0..2).await;
    hub.configure_channel(sms(), Medium::Sms, AssignmentPolicy::Manual, 3).await;
    hub.add_agent(user(1), 5, true).await;
    hub.settle().await;
    assert_eq!(given(&hub).await, []);
}

#[tokio::test]
async fn an_older_version_of_a_channel_changes_nothing() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[]).await;
    let before = hub.event_bytes().await;
    hub.configure_channel(sms(), Medium::Sms, AssignmentPolicy::Manual, 1).await;
    hub.settle().await;
    assert_eq!(hub.event_bytes().await, before);
}

#[tokio::test]
async fn a_conversation_of_somebody_who_left_finds_another_when_its_contact_writes() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, true), (2, 5, true)]).await;
    customers_write(&hub, 0..1).await;
    let mut left = hub.agent(user(1)).await;
    left.active = false;
    hub.append(Actor::System, Command::ConfigureAgent { agent: left }).await;
    hub.receive(sms(), "SM-next", "+966500000000", "hello again").await;
    hub.settle().await;
    assert_eq!(hub.conversation().await.assignee, Some(user(2)));
    assert_eq!(hub.agent(user(1)).await.open_conversations, 0);
}

/// Makes somebody leave, or gives them another role.
async fn change_agent(hub: &Hub, user_id: UserId, change: impl FnOnce(&mut Agent)) {
    let mut agent = hub.agent(user_id).await;
    change(&mut agent);
    hub.append(Actor::System, Command::ConfigureAgent { agent }).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_somebody_who_leaves_holds_goes_to_others_in_steps_and_without_anybody_writing() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 1_000, true)]).await;
    customers_write(&hub, 0..250).await;
    assert_eq!(hub.agent(user(1)).await.open_conversations, 250);
    hub.add_agent(user(2), 1_000, true).await;
    change_agent(&hub, user(1), |agent| agent.active = false).await;
    hub.until(async || hub.agent(user(2)).await.open_conversations == 250).await;
    assert_eq!(hub.agent(user(1)).await.open_conversations, 0);
    let mut steps = std::collections::BTreeMap::new();
    for record in hub.events().await {
        if let Event::ConversationAssigned { to: None, reason, .. } = record.event {
            assert_eq!(reason, AssignmentReason::AgentLeft);
            *steps.entry(record.source).or_insert(0) += 1;
        }
    }
    let mut by_command = std::collections::BTreeMap::new();
    for (source, count) in steps {
        *by_command.entry(source.offset).or_insert(0) += count;
    }
    assert_eq!(by_command.into_values().collect::<Vec<_>>(), [100, 100, 50]);
    let timers = hub.tables.scan(t::TIMERS, Scan::of([hub.partition.into()], 10)).await.unwrap();
    assert!(timers.is_empty());
}

#[tokio::test]
async fn a_role_that_handles_no_conversations_gives_them_back_even_if_they_came_a_moment_before() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, true)]).await;
    let analyst = hub.agent(user(1)).await;
    hub.configure_channel(whatsapp(), Medium::Whatsapp, AssignmentPolicy::RoundRobin, 2).await;
    // All of it in one batch: the tables do not know yet what they hold.
    hub.receive(sms(), "SM1", "+966500000001", "hi").await;
    hub.receive(whatsapp(), "SM1", "+966500000002", "hi").await;
    hub.append(Actor::System, Command::ConfigureAgent { agent: Agent { role: Role::Analyst, ..analyst } }).await;
    hub.settle().await;
    assert_eq!(given(&hub).await, [Some(user(1)), Some(user(1)), None, None]);
    let agent = hub.agent(user(1)).await;
    assert_eq!((agent.open_conversations, agent.role), (0, Role::Analyst));
    hub.add_agent(user(2), 5, true).await;
    hub.settle().await;
    assert_eq!(hub.agent(user(2)).await.open_conversations, 2, "they wait for whoever comes next");
}

#[tokio::test(start_paused = true)]
async fn what_was_out_of_sight_when_its_holder_left_is_released_when_it_comes_back() {
    let hub = hub_with(AssignmentPolicy::RoundRobin, &[(1, 5, true), (2, 5, true)]).await;
    customers_write(&hub, 0..1).await;
    let id = hub.conversation().await.id;
    let until = hub.now().after(Duration::from_hours(1));
    let snooze = Command::SetStatus { conversation_id: id, status: Status::Snoozed, snoozed_until: Some(until) };
    assert!(hub.ask(user(1), snooze).await.is_applied());
    change_agent(&hub, user(1), |agent| agent.active = false).await;
    hub.settle().await;
    assert_eq!(hub.conversation().await.assignee, Some(user(1)));
    hub.pass(Duration::from_hours(1)).await;
    hub.until(async || hub.conversation().await.status == Status::Open).await;
    assert_eq!(hub.conversation().await.assignee, Some(user(2)));
}

#[tokio::test]
async fn only_members_who_handle_conversations_can_be_assigned() {
    let hub = hub_with(AssignmentPolicy::Manual, &[(1, 5, true)]).await;
    customers_write(&hub, 0..1).await;
    let id = hub.conversation().await.id;
    let settled = hub.ask(user(1), Command::Assign { conversation_id: id, assignee: Some(user(9)) }).await;
    assert!(settled.rejection().1.starts_with("assignee: "));
}
