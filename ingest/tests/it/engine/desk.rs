//! Several changes at once, teams, counts of views, notifications.

use std::collections::BTreeMap;

use schemas::channel::AssignmentPolicy;
use schemas::channel::Medium;
use schemas::command::{Actor, Command};
use schemas::conversation::{ConversationChanges, LabelChanges, Priority, Status};
use schemas::desk::{NOTIFICATIONS_KEPT, Notification, NotificationKind, NotificationMarks, SettingChange};
use schemas::event::{Event, Rejection};
use schemas::message::Author;
use schemas::tables::{self as t, Value};
use schemas::{ConversationId, TeamId, UserId};
use storage::tables::{Batch, Key, Scan, Sync, Tables};

use super::hub::{CUSTOMER, Hub, nth, sms, user};

fn team(n: u8) -> TeamId {
    nth(n, TeamId::new)
}

/// A hub with two agents and one conversation.
async fn hub_with_a_conversation() -> (Hub, ConversationId) {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    hub.add_agent(user(2), 5, false).await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    (hub, id)
}

fn change(conversation_id: ConversationId, changes: ConversationChanges) -> Command {
    Command::ChangeConversation { conversation_id, changes }
}

/// The counts in the tables.
async fn counts(hub: &Hub) -> BTreeMap<String, i64> {
    let rows = hub.tables.scan(t::VIEW_COUNTS, Scan::of([hub.workspace.into()], 1_000)).await.unwrap();
    rows.iter()
        .map(|row| match row.key.clustering.as_slice() {
            [Value::Text(view)] => (view.clone(), row.int("count").unwrap()),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The counts as whoever listens has them: the last number of each view, without empty ones.
async fn counts_by_events(hub: &Hub) -> BTreeMap<String, i64> {
    let mut views = BTreeMap::new();
    for record in hub.events().await {
        if let Event::CountsChanged { views: changed } = record.event {
            views.extend(changed.into_iter().map(|(view, count)| (view, i64::try_from(count).unwrap())));
        }
    }
    views.retain(|_, count| *count > 0);
    views
}

async fn notifications(hub: &Hub, user_id: UserId) -> Vec<Notification> {
    let scan = Scan::of([hub.workspace.into(), user_id.into()], 2_000);
    let rows = hub.tables.scan(t::NOTIFICATIONS, scan).await.unwrap();
    rows.iter().map(|row| row.body(t::NOTIFICATIONS).unwrap()).collect()
}

async fn marks(hub: &Hub, user_id: UserId) -> NotificationMarks {
    let key = Key::of([hub.workspace.into()]).at([user_id.into()]);
    let row = hub.tables.get(t::NOTIFICATION_MARKS, key).await.unwrap();
    row.map(|row| row.body(t::NOTIFICATION_MARKS).unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn several_changes_are_made_together_or_not_at_all() {
    let (hub, id) = hub_with_a_conversation().await;
    let wish = ConversationChanges {
        status: Some(Status::Pending),
        assignee: Some(Some(user(2))),
        team: Some(Some(team(1))),
        priority: Some(Priority::Urgent),
        labels: LabelChanges { add: vec!["vip".to_owned()], remove: Vec::new() },
        ..ConversationChanges::default()
    };
    let before = hub.conversation().await;
    let refused = ConversationChanges { assignee: Some(Some(user(9))), ..wish.clone() };
    assert!(hub.ask(user(1), change(id, refused)).await.rejection().1.starts_with("assignee: "));
    let refused =
        ConversationChanges { labels: LabelChanges { add: vec![String::new()], remove: Vec::new() }, ..wish.clone() };
    assert_eq!(hub.ask(user(1), change(id, refused)).await.rejection().0, Rejection::InvalidValue);
    let refused = ConversationChanges { snoozed_until: Some(hub.now()), ..ConversationChanges::default() };
    assert!(hub.ask(user(1), change(id, refused)).await.rejection().1.starts_with("snoozed_until: "));
    assert_eq!(hub.conversation().await, before, "a refusal leaves nothing behind");
    assert!(hub.ask(user(1), change(id, wish.clone())).await.is_applied());
    let after = hub.conversation().await;
    assert_eq!((after.status, after.assignee, after.team), (Status::Pending, Some(user(2)), Some(team(1))));
    assert_eq!((after.priority, after.labels.len()), (Priority::Urgent, 1));
    let count = hub.events().await.len();
    assert!(hub.ask(user(1), change(id, wish)).await.is_applied());
    assert_eq!(hub.events().await.len(), count + 1, "what is so already changes nothing");
}

#[tokio::test]
async fn what_one_command_opens_and_gives_to_somebody_is_not_given_to_somebody_else_in_between() {
    let (hub, id) = hub_with_a_conversation().await;
    hub.configure_channel(sms(), Medium::Sms, AssignmentPolicy::RoundRobin, 2).await;
    let resolved = Command::SetStatus { conversation_id: id, status: Status::Resolved, snoozed_until: None };
    hub.ask(user(1), resolved).await;
    hub.set_connected(user(1), true).await;
    let open = ConversationChanges {
        status: Some(Status::Open),
        assignee: Some(Some(user(2))),
        ..ConversationChanges::default()
    };
    assert!(hub.ask(user(1), change(id, open)).await.is_applied());
    assert_eq!(hub.conversation().await.assignee, Some(user(2)));
    assert!(notifications(&hub, user(1)).await.is_empty());
}

#[tokio::test]
async fn counts_follow_conversations_and_events_tell_the_same_numbers() {
    let (hub, id) = hub_with_a_conversation().await;
    hub.receive(sms(), "SM2", "+966501230000", "hi").await;
    let wish = ConversationChanges {
        assignee: Some(Some(user(1))),
        team: Some(Some(team(1))),
        labels: LabelChanges { add: vec!["vip".to_owned()], remove: Vec::new() },
        ..ConversationChanges::default()
    };
    hub.ask(user(1), change(id, wish)).await;
    let author = Author::Agent { user_id: user(1) };
    let note = Command::AddNote { conversation_id: id, author, text: "look".to_owned(), mentions: vec![user(2)] };
    hub.ask(user(1), note).await;
    let me = user(1);
    let expected = [
        ("open/all".to_owned(), 2),
        ("open/none".to_owned(), 1),
        (format!("open/{me}"), 1),
        (format!("open/mentioned:{}", user(2)), 1),
        (format!("open/team:{}", team(1)), 1),
        (format!("open/channel:{}", sms()), 2),
        ("open/label:vip".to_owned(), 1),
    ];
    assert_eq!(counts(&hub).await, BTreeMap::from(expected));
    assert_eq!(counts_by_events(&hub).await, counts(&hub).await);
    for view in [format!("open/team:{}", team(1)), format!("open/mentioned:{}", user(2))] {
        let scan = Scan::of([hub.workspace.into(), view.as_str().into()], 10);
        assert_eq!(hub.tables.scan(t::CONVERSATION_VIEWS, scan).await.unwrap().len(), 1, "{view}");
    }
    hub.ask(me, Command::SetStatus { conversation_id: id, status: Status::Resolved, snoozed_until: None }).await;
    let expected = [
        ("open/all".to_owned(), 1),
        ("open/none".to_owned(), 1),
        (format!("open/channel:{}", sms()), 1),
        ("resolved/all".to_owned(), 1),
        (format!("resolved/{me}"), 1),
    ];
    assert_eq!(counts(&hub).await, BTreeMap::from(expected));
    assert_eq!(counts_by_events(&hub).await, counts(&hub).await);
}

#[tokio::test]
async fn a_workspace_without_counts_gets_them_from_its_lists() {
    let (hub, id) = hub_with_a_conversation().await;
    let wish = ConversationChanges {
        assignee: Some(Some(user(1))),
        team: Some(Some(team(1))),
        labels: LabelChanges { add: vec!["vip".to_owned()], remove: Vec::new() },
        ..ConversationChanges::default()
    };
    hub.ask(user(1), change(id, wish)).await;
    hub.receive(sms(), "SM2", "+966501230000", "hi").await;
    hub.settle().await;
    let second = hub.events().await.into_iter().rev().find_map(|record| record.conversation).unwrap().id;
    let resolved = |id| Command::SetStatus { conversation_id: id, status: Status::Resolved, snoozed_until: None };
    hub.ask(user(1), resolved(second)).await;
    let mut batch = Batch::default();
    for view in counts(&hub).await.into_keys() {
        batch.delete(t::VIEW_COUNTS, Key::of([hub.workspace.into()]).at([view.as_str().into()]));
    }
    hub.tables.write(batch, Sync::Now).await.unwrap();
    hub.receive(sms(), "SM3", "+966501230001", "hi").await;
    hub.settle().await;
    let expected = [
        ("open/all".to_owned(), 2),
        ("open/none".to_owned(), 1),
        (format!("open/{}", user(1)), 1),
        (format!("open/team:{}", team(1)), 1),
        (format!("open/channel:{}", sms()), 2),
        ("open/label:vip".to_owned(), 1),
        ("resolved/all".to_owned(), 1),
        ("resolved/none".to_owned(), 1),
    ];
    assert_eq!(counts(&hub).await, BTreeMap::from(expected), "those that did not change were kept too");
    let told = hub.events().await.into_iter().rev().find_map(|record| match record.event {
        Event::CountsChanged { views } => Some(views),
        _ => None,
    });
    assert_eq!(told.unwrap().len(), 3, "only what changed is told");
    // Each settling is by a new engine, which takes up the rows of the one before.
    hub.ask(user(1), resolved(id)).await;
    let counted = counts(&hub).await;
    assert_eq!((counted["open/all"], counted["resolved/all"], counted.get("open/label:vip")), (1, 2, None));
}

#[tokio::test]
async fn people_are_told_of_what_others_do_that_concerns_them() {
    let (hub, id) = hub_with_a_conversation().await;
    hub.ask(user(1), Command::Assign { conversation_id: id, assignee: Some(user(2)) }).await;
    let note = |mentions: Vec<UserId>| Command::AddNote {
        conversation_id: id,
        author: Author::Agent { user_id: user(1) },
        text: "@second can you look?".to_owned(),
        mentions,
    };
    hub.ask(user(1), note(vec![user(1), user(2)])).await;
    let told = notifications(&hub, user(2)).await;
    let seen: Vec<_> = told.iter().map(|n| (n.number, n.kind, n.seq, n.by)).collect();
    let expected = [
        (2, NotificationKind::Mentioned, Some(2), Some(user(1))),
        (1, NotificationKind::Assigned, None, Some(user(1))),
    ];
    assert_eq!(seen, expected);
    assert_eq!((told[0].preview.as_str(), told[1].preview.as_str()), ("@second can you look?", "hi"));
    assert!(notifications(&hub, user(1)).await.is_empty(), "what somebody does themselves is no news to them");
    assert_eq!(marks(&hub, user(2)).await.unread(), 2);
    let read = |up_to, numbers| Command::ReadNotifications { user_id: user(2), up_to, numbers };
    assert!(hub.ask(user(2), read(None, vec![2, 77])).await.is_applied());
    assert_eq!(marks(&hub, user(2)).await.unread(), 1);
    assert!(hub.ask(user(2), read(Some(99), Vec::new())).await.is_applied());
    assert_eq!(marks(&hub, user(2)).await, NotificationMarks { last: 2, read_up_to: 2, read: [].into() });
    let count = hub.events().await.len();
    hub.append(Actor::System, read(Some(1), Vec::new())).await;
    hub.settle().await;
    assert_eq!(hub.events().await.len(), count, "reading what is read is no event");
    assert!(hub.ask(user(2), read(None, vec![1; 1_001])).await.rejection().1.starts_with("numbers: "));
}

#[tokio::test]
async fn an_automatic_assignment_is_nobodys_doing() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, true).await;
    hub.configure_channel(sms(), Medium::Sms, AssignmentPolicy::RoundRobin, 2).await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let told = notifications(&hub, user(1)).await;
    assert_eq!((told.len(), told[0].kind, told[0].by), (1, NotificationKind::Assigned, None));
}

#[tokio::test]
async fn no_more_notifications_are_kept_than_are_promised() {
    let (hub, id) = hub_with_a_conversation().await;
    for n in 0..NOTIFICATIONS_KEPT + 3 {
        let assignee = if n % 2 == 0 { Some(user(2)) } else { None };
        hub.append(Actor::System, Command::Assign { conversation_id: id, assignee }).await;
        if assignee.is_none() {
            let author = Author::Bot { name: "bot".to_owned() };
            let note =
                Command::AddNote { conversation_id: id, author, text: "look".to_owned(), mentions: vec![user(2)] };
            hub.append(Actor::System, note).await;
        }
    }
    hub.settle().await;
    let told = notifications(&hub, user(2)).await;
    assert_eq!(told.len() as u64, NOTIFICATIONS_KEPT);
    assert_eq!(told[0].number, NOTIFICATIONS_KEPT + 3);
    assert_eq!(marks(&hub, user(2)).await.unread(), NOTIFICATIONS_KEPT);
}

#[tokio::test]
async fn a_changed_setting_is_announced_as_it_is() {
    let hub = Hub::new().await;
    let change = SettingChange::CannedReplyRemoved { shortcut: "hello".to_owned() };
    let announce = Command::AnnounceSetting { user_id: Some(user(1)), change: Box::new(change.clone()) };
    hub.append(Actor::User { user_id: user(1) }, announce).await;
    hub.settle().await;
    let last = hub.events().await.pop().unwrap();
    assert_eq!(last.event, Event::SettingChanged { user_id: Some(user(1)), change: Box::new(change) });
}
