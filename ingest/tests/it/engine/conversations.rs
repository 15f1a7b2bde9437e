//! Contacts, conversations, their states and timers.

use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::EngineDeps;
use schemas::Timestamp;
use schemas::command::{Actor, Command, InboundMessage};
use schemas::conversation::Status;
use schemas::event::{Event, Outcome, Rejection, StatusReason};
use schemas::message::{Author, Body, Direction, SentimentLabel};
use schemas::tables as t;
use storage::clock::Clock;
use storage::tables::{Key, Scan, Tables};

use super::hub::{CUSTOMER, Hub, received, send, sms, user, web_chat, whatsapp};

#[tokio::test]
async fn a_first_message_makes_contact_and_conversation_and_a_second_joins_them() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "مرحبا، هل طلبي جاهز؟").await;
    hub.pass(Duration::from_secs(5)).await;
    hub.receive(sms(), "SM2", CUSTOMER, "hello?").await;
    hub.settle().await;
    let names = hub.event_names().await;
    let first = ["contact_created", "conversation_created", "message_added", "counts_changed"];
    assert_eq!((&names[3..7], &names[7..]), (&first[..], &["message_added"][..]));
    let conversation = hub.conversation().await;
    assert_eq!((conversation.last_seq, conversation.inbound_count, conversation.status), (2, 2, Status::Open));
    assert_eq!(conversation.waiting_since, Some(conversation.created_at), "the wait began with the first message");
    let last = conversation.last_message.unwrap();
    assert_eq!((last.preview.as_str(), last.seq, last.direction), ("hello?", 2, Direction::Inbound));
}

#[tokio::test]
async fn a_webhook_delivered_twice_has_one_effect() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "once").await;
    hub.settle().await;
    let before = hub.event_bytes().await;
    for _ in 0..3 {
        hub.receive(sms(), "SM1", CUSTOMER, "once").await;
        hub.settle().await;
    }
    assert_eq!(hub.event_bytes().await, before);
}

#[tokio::test]
async fn the_same_number_on_two_channels_is_two_contacts() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "by sms").await;
    hub.receive(whatsapp(), "SM1", CUSTOMER, "by whatsapp, with an id that the other channel used").await;
    hub.settle().await;
    let created = hub.event_names().await.iter().filter(|name| **name == "contact_created").count();
    assert_eq!(created, 2);
}

#[tokio::test]
async fn a_second_address_of_a_message_joins_the_contact_that_either_names() {
    let hub = Hub::new().await;
    let from = |external_id: &str, from: &str, also_from: &[&str]| {
        let Command::ReceiveMessage { channel_id, mut message } = received(whatsapp(), external_id, from, "hi") else {
            unreachable!("received makes this command")
        };
        message.also_from = also_from.iter().map(|address| (*address).to_owned()).collect();
        message.profile_name = Some("سارة".to_owned());
        Command::ReceiveMessage { channel_id, message: Box::<InboundMessage>::new(*message) }
    };
    for command in [from("1", CUSTOMER, &["SA.77"]), from("2", "SA.77", &[]), from("3", CUSTOMER, &[])] {
        hub.append(Actor::Channel { channel_id: whatsapp() }, command).await;
    }
    hub.settle().await;
    let conversation = hub.conversation().await;
    assert_eq!((conversation.last_seq, conversation.contact_name.as_str()), (3, "سارة"));
}

#[tokio::test]
async fn what_a_visitor_tells_of_themselves_is_on_the_contact_and_stays_there() {
    let hub = Hub::new().await;
    for (external_id, email) in [("1", None), ("2", Some("amal@shop.example")), ("3", Some("other@shop.example"))] {
        let Command::ReceiveMessage { channel_id, mut message } = received(web_chat(), external_id, "visitor:1", "hi")
        else {
            unreachable!("received makes this command")
        };
        message.email = email.map(str::to_owned);
        hub.append(Actor::Channel { channel_id }, Command::ReceiveMessage { channel_id, message }).await;
    }
    hub.settle().await;
    let emails: Vec<_> = hub
        .events()
        .await
        .into_iter()
        .filter_map(|record| match record.event {
            Event::ContactCreated { contact } | Event::ContactUpdated { contact } => Some(contact.email),
            _ => None,
        })
        .collect();
    assert_eq!(emails, [None, Some("amal@shop.example".to_owned())]);
}

#[tokio::test]
async fn a_contacts_message_says_how_it_sounds_and_the_conversation_how_the_last_one_did() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, true).await;
    hub.receive(sms(), "SM1", CUSTOMER, "طلبي متأخر ولا أحد يرد، خدمة سيئة جدا").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let first = hub.message(id, 1).await.sentiment.unwrap();
    assert_eq!(first.label, SentimentLabel::Negative);
    assert!((-1.0..0.0).contains(&first.score), "{first:?}");
    assert_eq!(hub.conversation().await.sentiment, Some(SentimentLabel::Negative));
    // What agents write is not judged, and a message without a text takes nothing back.
    hub.reply(user(1), id, "Thank you so much, this is wonderful!").await;
    hub.receive(sms(), "SM2", CUSTOMER, " ").await;
    hub.settle().await;
    assert_eq!((hub.message(id, 2).await.sentiment, hub.message(id, 3).await.sentiment), (None, None));
    assert_eq!(hub.conversation().await.sentiment, Some(SentimentLabel::Negative));
    hub.receive(sms(), "SM3", CUSTOMER, "Thank you so much, this is wonderful!").await;
    hub.settle().await;
    assert_eq!(hub.conversation().await.sentiment, Some(SentimentLabel::Positive));
}

#[tokio::test]
async fn only_a_human_answer_ends_the_wait() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    hub.receive(sms(), "SM1", CUSTOMER, "anybody there?").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    hub.pass(Duration::from_mins(1)).await;
    let bot = Command::SendMessage {
        conversation_id: id,
        author: Author::Bot { name: "greeter".to_owned() },
        body: Body::text("We will be with you soon."),
    };
    assert!(hub.ask(user(1), bot).await.is_applied());
    let conversation = hub.conversation().await;
    assert!(conversation.waiting_since.is_some() && conversation.first_reply_at.is_none());
    hub.pass(Duration::from_mins(1)).await;
    assert!(hub.reply(user(1), id, "Yes, how can I help?").await.is_applied());
    let conversation = hub.conversation().await;
    assert_eq!((conversation.waiting_since, conversation.first_reply_at), (None, Some(hub.now())));
    assert_eq!(conversation.unread_for(user(1)), 0, "who answers has read");
}

#[tokio::test]
async fn every_change_of_status_is_allowed_or_refused_as_the_table_says() {
    for from in Status::ALL {
        for to in Status::ALL {
            let hub = Hub::new().await;
            hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
            hub.settle().await;
            let id = hub.conversation().await.id;
            let set = |status| Command::SetStatus { conversation_id: id, status, snoozed_until: None };
            if from != Status::Open {
                assert!(hub.ask(user(1), set(from)).await.is_applied());
            }
            let settled = hub.ask(user(1), set(to)).await;
            let after = hub.conversation().await.status;
            if from == to || from.may_become(to) {
                assert!(settled.is_applied(), "{from:?} to {to:?}");
                assert_eq!(after, to);
            } else {
                assert_eq!(settled.rejection().0, Rejection::InvalidTransition, "{from:?} to {to:?}");
                assert!(settled.rejection().1.starts_with("status: "));
                assert_eq!(after, from);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snooze_ends_by_itself_even_if_the_engine_was_down_when_it_was_due() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "tomorrow is fine").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let until = hub.now().after(Duration::from_hours(2));
    let snooze = Command::SetStatus { conversation_id: id, status: Status::Snoozed, snoozed_until: Some(until) };
    assert!(hub.ask(user(1), snooze).await.is_applied());
    assert_eq!(hub.conversation().await.snoozed_until, Some(until));
    hub.pass(Duration::from_hours(3)).await;
    hub.until(async || hub.conversation().await.status == Status::Open).await;
    assert_eq!(hub.conversation().await.snoozed_until, None);
    let timers = hub.tables.scan(t::TIMERS, Scan::of([hub.partition.into()], 10)).await.unwrap();
    assert!(timers.is_empty());
}

/// The runtime's clock, which a test can stop.
#[derive(Debug)]
struct RuntimeClock {
    start: Timestamp,
    began: tokio::time::Instant,
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.start.after(self.began.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_within_the_second_in_which_it_is_due_and_never_before() {
    for millis in [1, 999, 7_200_400] {
        let hub = Hub::new().await;
        hub.receive(sms(), "SM1", CUSTOMER, "later").await;
        hub.settle().await;
        let id = hub.conversation().await.id;
        let until = hub.now().after(Duration::from_millis(millis));
        let snooze = Command::SetStatus { conversation_id: id, status: Status::Snoozed, snoozed_until: Some(until) };
        assert!(hub.ask(user(1), snooze).await.is_applied());
        let clock = Arc::new(RuntimeClock { start: hub.now(), began: tokio::time::Instant::now() });
        let commands = Commands::new(hub.log.clone(), clock.clone());
        hub.until_with(EngineDeps { commands, clock, ..hub.deps() }, async || {
            hub.conversation().await.status == Status::Open
        })
        .await;
        let opened = hub.events().await.into_iter().rev().find(|record| {
            matches!(record.event, Event::ConversationStatusChanged { reason: StatusReason::SnoozeEnded, .. })
        });
        let at = opened.expect("the snooze has ended").at;
        assert!(at >= until && at.since(until) < Duration::from_secs(1), "due at {until}, fired at {at}");
    }
}

#[tokio::test]
async fn a_message_ends_a_snooze_early_and_the_old_timer_has_no_effect() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "later please").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let until = hub.now().after(Duration::from_hours(1));
    let snooze = Command::SetStatus { conversation_id: id, status: Status::Snoozed, snoozed_until: Some(until) };
    hub.ask(user(1), snooze).await;
    hub.receive(sms(), "SM2", CUSTOMER, "no, now").await;
    hub.settle().await;
    assert_eq!(hub.conversation().await.status, Status::Open);
    let before = hub.event_bytes().await.len();
    let timer = schemas::command::TimerKind::SnoozeEnds;
    hub.append(Actor::System, Command::FireTimer { conversation_id: id, timer, due: until }).await;
    hub.settle().await;
    assert_eq!(hub.event_bytes().await.len(), before);
}

#[tokio::test]
async fn a_snooze_into_the_past_is_refused() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let command = Command::SetStatus { conversation_id: id, status: Status::Snoozed, snoozed_until: Some(hub.now()) };
    let settled = hub.ask(user(1), command).await;
    assert_eq!(settled.rejection().0, Rejection::InvalidValue);
    assert!(settled.rejection().1.starts_with("snoozed_until: "));
}

#[tokio::test]
async fn a_resolved_conversation_reopens_within_its_time_and_later_a_new_one_begins() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let first = hub.conversation().await.id;
    let resolve = || Command::SetStatus { conversation_id: first, status: Status::Resolved, snoozed_until: None };
    hub.ask(user(1), resolve()).await;
    assert_eq!(hub.conversation().await.waiting_since, None);
    hub.pass(Duration::from_hours(24)).await;
    hub.receive(sms(), "SM2", CUSTOMER, "one more thing").await;
    hub.settle().await;
    let reopened = hub.conversation().await;
    assert_eq!((reopened.status, reopened.opened_at, reopened.resolved_at), (Status::Open, hub.now(), None));
    hub.ask(user(1), resolve()).await;
    hub.pass(Duration::from_hours(24) + Duration::from_micros(1)).await;
    hub.receive(sms(), "SM3", CUSTOMER, "a new matter").await;
    hub.settle().await;
    let last = hub.events().await.into_iter().rev().find_map(|record| record.conversation).unwrap();
    assert_ne!(last.id, first);
    assert_eq!(last.last_seq, 1);
    let scan = Scan::of([hub.workspace.into(), last.contact_id.into()], 10);
    assert_eq!(hub.tables.scan(t::CONTACT_CONVERSATIONS, scan).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_blocked_contact_reaches_nobody_but_loses_nothing() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "spam").await;
    hub.settle().await;
    let conversation = hub.conversation().await;
    let block =
        Command::UpdateContact { contact_id: conversation.contact_id, name: None, email: None, blocked: Some(true) };
    assert!(hub.ask(user(1), block).await.is_applied());
    let resolve =
        Command::SetStatus { conversation_id: conversation.id, status: Status::Resolved, snoozed_until: None };
    hub.ask(user(1), resolve).await;
    hub.receive(sms(), "SM2", CUSTOMER, "more spam").await;
    hub.settle().await;
    let after = hub.conversation().await;
    assert_eq!((after.status, after.last_seq, after.waiting_since), (Status::Resolved, 2, None));
    let settled = hub.reply(user(1), conversation.id, "stop it").await;
    assert_eq!(settled.rejection().0, Rejection::ContactOptedOut);
}

#[tokio::test]
async fn notes_count_in_seq_and_let_whom_they_mention_see_the_conversation() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    hub.add_agent(user(2), 5, false).await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let note = |mentions: Vec<_>| Command::AddNote {
        conversation_id: id,
        author: Author::Agent { user_id: user(1) },
        text: "@second can you look?".to_owned(),
        mentions,
    };
    let settled = hub.ask(user(1), note(vec![user(2)])).await;
    assert_eq!((settled.is_applied(), settled.seq), (true, Some(2)));
    let conversation = hub.conversation().await;
    assert!(conversation.participants.contains(&user(2)));
    assert!(conversation.waiting_since.is_some(), "a note is no answer");
    let message = hub.message(id, 2).await;
    assert_eq!((message.direction, message.status), (Direction::Note, None));
    let settled = hub.ask(user(1), note(vec![user(7)])).await;
    assert!(settled.rejection().1.starts_with("mentions: "));
}

#[tokio::test]
async fn unread_counts_what_the_contact_wrote_since_somebody_looked() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    for n in 1..=3 {
        hub.receive(sms(), &format!("SM{n}"), CUSTOMER, "hi").await;
    }
    hub.settle().await;
    let id = hub.conversation().await.id;
    let read = |seq| Command::MarkRead { conversation_id: id, user_id: user(1), seq };
    assert_eq!(hub.conversation().await.unread_for(user(1)), 3);
    hub.ask(user(1), read(2)).await;
    assert_eq!(hub.conversation().await.unread_for(user(1)), 1);
    hub.ask(user(1), read(1)).await;
    assert_eq!(hub.conversation().await.unread_for(user(1)), 1, "reading never goes back");
    hub.ask(user(1), read(99)).await;
    assert_eq!(hub.conversation().await.unread_for(user(1)), 0);
    assert_eq!(hub.conversation().await.unread_for(user(2)), 3, "somebody else has not looked");
}

#[tokio::test]
async fn labels_and_priority_change_once_and_say_what_changed() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let labels = |add: &[&str], remove: &[&str]| Command::ChangeLabels {
        conversation_id: id,
        add: add.iter().map(|label| (*label).to_owned()).collect(),
        remove: remove.iter().map(|label| (*label).to_owned()).collect(),
    };
    assert!(hub.ask(user(1), labels(&["vip", "شكوى"], &["absent"])).await.is_applied());
    hub.ask(user(1), labels(&["vip"], &["شكوى"])).await;
    let changed: Vec<_> = hub
        .events()
        .await
        .into_iter()
        .filter_map(|record| match record.event {
            Event::ConversationLabelsChanged { added, removed } => Some((added.len(), removed.len())),
            _ => None,
        })
        .collect();
    assert_eq!(changed, [(2, 0), (0, 1)]);
    assert_eq!(hub.ask(user(1), labels(&[""], &[])).await.rejection().0, Rejection::InvalidValue);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_its_field() {
    let hub = Hub::new().await;
    let nobody = super::hub::nth(77, schemas::ConversationId::new);
    for command in [
        send(nobody, user(1), "hi"),
        Command::SetStatus { conversation_id: nobody, status: Status::Resolved, snoozed_until: None },
        Command::Assign { conversation_id: nobody, assignee: None },
        Command::MarkRead { conversation_id: nobody, user_id: user(1), seq: 1 },
    ] {
        let settled = hub.ask(user(1), command).await;
        assert_eq!(settled.rejection().0, Rejection::NotFound);
        assert!(settled.rejection().1.starts_with("conversation_id: "));
    }
}

#[tokio::test]
async fn a_key_makes_a_wish_idempotent_for_a_day() {
    let hub = Hub::new().await;
    hub.receive(web_chat(), "v1", "visitor-1", "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let first = hub.ask_with_key(user(1), Some("k1"), send(id, user(1), "hello")).await;
    let again = hub.ask_with_key(user(1), Some("k1"), send(id, user(1), "hello")).await;
    assert!(matches!(again.outcome, Outcome::Repeated { .. }));
    assert_eq!((again.message_id, again.seq, again.conversation_id), (first.message_id, first.seq, Some(id)));
    assert_eq!(hub.conversation().await.last_seq, 2);
    let other = hub.ask_with_key(user(1), Some("k1"), send(id, user(1), "something else")).await;
    assert_eq!(other.rejection().0, Rejection::KeyReused);
    let somebody_else = hub.ask_with_key(user(2), Some("k1"), send(id, user(2), "hello")).await;
    assert!(somebody_else.is_applied(), "keys of two people never meet");
    hub.pass(Duration::from_hours(24)).await;
    assert!(hub.ask_with_key(user(1), Some("k1"), send(id, user(1), "hello")).await.is_applied());
}

#[tokio::test]
async fn keys_that_no_longer_count_are_removed() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    for hours in [1, 1, 30] {
        hub.pass(Duration::from_hours(hours)).await;
        hub.ask_with_key(user(1), Some(&format!("k{hours}-{}", hub.now())), send(id, user(1), "hello")).await;
    }
    let mut left = usize::MAX;
    while left > 1 {
        // Each start of the engine removes what is old in one more hour.
        hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
        hub.settle().await;
        let lines = storage::tables::dump::dump_tables(hub.tables.as_ref(), &[t::COMMAND_KEYS]).await.unwrap();
        assert!(lines.len() <= left);
        left = lines.len();
    }
    assert_eq!(left, 1, "only the one of the last day is left");
}

#[tokio::test]
async fn a_refused_wish_may_be_tried_again_with_its_key() {
    let hub = Hub::new().await;
    hub.receive(whatsapp(), "w1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    hub.pass(Duration::from_hours(24)).await;
    let refused = hub.ask_with_key(user(1), Some("k"), send(id, user(1), "hello")).await;
    assert_eq!(refused.rejection().0, Rejection::ReplyWindowClosed);
    hub.receive(whatsapp(), "w2", CUSTOMER, "still here").await;
    assert!(hub.ask_with_key(user(1), Some("k"), send(id, user(1), "hello")).await.is_applied());
}

#[tokio::test]
async fn lists_follow_status_holder_and_activity() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    hub.ask(user(1), Command::Assign { conversation_id: id, assignee: Some(user(1)) }).await;
    hub.ask(user(1), Command::SetStatus { conversation_id: id, status: Status::Pending, snoozed_until: None }).await;
    let mine = format!("pending/{}", user(1));
    for (view, count) in [("open/all", 0), ("open/none", 0), ("pending/all", 1), ("pending/none", 0), (&mine, 1)] {
        let scan = Scan::of([hub.workspace.into(), view.into()], 10);
        let rows = hub.tables.scan(t::CONVERSATION_VIEWS, scan).await.unwrap();
        assert_eq!(rows.len(), count, "{view}");
    }
    let key = Key::of([hub.workspace.into(), id.into()]);
    assert!(hub.tables.get(t::CONVERSATIONS, key).await.unwrap().is_some());
}
