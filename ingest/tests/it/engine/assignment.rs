//! Who gets which conversation.

use std::time::Duration;

use schemas::UserId;
use schemas::channel::{AssignmentPolicy, Medium};
use schemas::command::{Actor, Command};
use schemas::conversation::Status;
use schemas::event::Event;
use schemas::workspace::Availability;

use super::hub::{Hub, sms, user};

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
        let command = Command::SetPresence { user_id: user(1), availability: Some(availability), connected: None };
        hub.append(Actor::User { user_id: user(1) }, command).await;
        customers_write(&hub, 0..1).await;
        assert_eq!(given(&hub).await, []);
    }
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

#[tokio::test]
async fn only_members_who_handle_conversations_can_be_assigned() {
    let hub = hub_with(AssignmentPolicy::Manual, &[(1, 5, true)]).await;
    customers_write(&hub, 0..1).await;
    let id = hub.conversation().await.id;
    let settled = hub.ask(user(1), Command::Assign { conversation_id: id, assignee: Some(user(9)) }).await;
    assert!(settled.rejection().1.starts_with("assignee: "));
}
