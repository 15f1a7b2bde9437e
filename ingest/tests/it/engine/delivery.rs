//! Sending: guards, attempts, delivery reports, failures.

use std::time::Duration;

use ingest::outbound::pending::PendingSend;
use schemas::command::{Actor, Command, Remedy, SendOutcome};
use schemas::contact::Identity;
use schemas::event::Rejection;
use schemas::message::{Author, Body, DeliveryError, DeliveryStatus};
use schemas::tables as t;
use schemas::{ConversationId, MessageId};
use storage::tables::{Scan, Tables};

use super::hub::{CUSTOMER, Hub, sms, user, web_chat, whatsapp};

async fn queued(hub: &Hub) -> (ConversationId, MessageId) {
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let settled = hub.reply(user(1), id, "hello").await;
    assert_eq!(settled.seq, Some(2));
    (id, settled.message_id.unwrap())
}

async fn pending(hub: &Hub) -> Vec<PendingSend> {
    let rows = hub.tables.scan(t::PENDING_SENDS, Scan::of([hub.partition.into()], 10)).await.unwrap();
    rows.iter().map(|row| PendingSend::from_row(row).unwrap()).collect()
}

async fn pending_count(hub: &Hub) -> usize {
    pending(hub).await.len()
}

fn accepted(external_id: &str) -> SendOutcome {
    SendOutcome::Accepted { external_id: external_id.to_owned(), status: DeliveryStatus::Queued }
}

fn error(code: &str) -> DeliveryError {
    DeliveryError { code: code.to_owned(), reason: "a reason".to_owned() }
}

#[tokio::test]
async fn a_message_goes_from_queued_to_read_and_never_back() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Queued));
    assert_eq!(pending_count(&hub).await, 1);
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, message.external_id.as_deref()), (Some(DeliveryStatus::Sent), Some("SM9")));
    assert_eq!((message.attempts, pending_count(&hub).await), (1, 0));
    for status in [DeliveryStatus::Read, DeliveryStatus::Sent, DeliveryStatus::Delivered, DeliveryStatus::Failed] {
        hub.report(sms(), "SM9", status).await;
    }
    hub.settle().await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Read));
}

#[tokio::test]
async fn a_report_that_overtakes_the_answer_of_the_call_is_kept_for_it() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    hub.report(sms(), "SM9", DeliveryStatus::Delivered).await;
    hub.report(sms(), "SM9", DeliveryStatus::Sent).await;
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Delivered));
    let key = storage::tables::Key::of([hub.workspace.into(), sms().into(), "SM9".into()]);
    assert!(hub.tables.get(t::PARKED_REPORTS, key).await.unwrap().is_none(), "it is used up");
}

#[tokio::test]
async fn a_failure_is_shown_with_its_reason_and_can_be_tried_again_by_hand() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    let failed = SendOutcome::Failed { error: error("30003"), opted_out: false };
    hub.attempt(id, message_id, 1, failed).await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, message.error), (Some(DeliveryStatus::Failed), Some(error("30003"))));
    let retry = || Command::RetryMessage { conversation_id: id, seq: 2 };
    assert!(hub.ask(user(1), retry()).await.is_applied());
    assert_eq!((hub.message(id, 2).await.status, pending_count(&hub).await), (Some(DeliveryStatus::Queued), 1));
    hub.attempt(id, message_id, 2, accepted("SM9")).await;
    assert_eq!((hub.message(id, 2).await.status, hub.message(id, 2).await.error), (Some(DeliveryStatus::Sent), None));
    assert_eq!(hub.ask(user(1), retry()).await.rejection().0, Rejection::InvalidTransition);
}

#[tokio::test]
async fn a_failure_that_passes_after_the_provider_took_the_message_sends_it_again() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    hub.report_failure(sms(), "SM9", Some(Remedy::Resend)).await;
    hub.settle().await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, message.external_id), (Some(DeliveryStatus::Queued), None));
    assert_eq!((message.attempts, message.resends, message.error), (1, 1, Some(error("30000"))));
    let pending = pending(&hub).await.pop().unwrap();
    let wait = pending.next_attempt_at.unwrap().since(hub.now());
    assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(3), "{wait:?}");
    assert_eq!((pending.attempt, pending.in_flight, pending.ambiguous), (1, false, false));
    // What is repeated of the first sending says nothing of the second, before and after the provider has taken it.
    for attempt in [None, Some(2)] {
        if let Some(attempt) = attempt {
            hub.attempt(id, message_id, attempt, accepted("SM10")).await;
        }
        let before = hub.message(id, 2).await;
        hub.report_failure(sms(), "SM9", Some(Remedy::Resend)).await;
        hub.report(sms(), "SM9", DeliveryStatus::Sent).await;
        hub.settle().await;
        assert_eq!(hub.message(id, 2).await, before);
    }
    hub.report(sms(), "SM10", DeliveryStatus::Delivered).await;
    hub.settle().await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, message.resends, message.error), (Some(DeliveryStatus::Delivered), 0, None));
}

#[tokio::test]
async fn messages_are_sent_again_for_as_long_as_it_may_help() {
    for (remedy, resends) in
        [(None, 0), (Some(Remedy::OptOut), 0), (Some(Remedy::ResendOnce), 1), (Some(Remedy::Resend), 8)]
    {
        let hub = Hub::new().await;
        let (id, message_id) = queued(&hub).await;
        let mut attempt = 0;
        while hub.message(id, 2).await.status == Some(DeliveryStatus::Queued) {
            attempt += 1;
            hub.attempt(id, message_id, attempt, accepted(&format!("SM-{attempt}"))).await;
            hub.report_failure(sms(), &format!("SM-{attempt}"), remedy).await;
            hub.settle().await;
        }
        assert_eq!(attempt, resends + 1, "{remedy:?}");
        let message = hub.message(id, 2).await;
        assert_eq!((message.status, message.error), (Some(DeliveryStatus::Failed), Some(error("30000"))));
        assert!(pending(&hub).await.is_empty());
        let answer = hub.reply(user(1), id, "are you there?").await;
        assert_eq!(answer.is_applied(), remedy != Some(Remedy::OptOut));
        if remedy != Some(Remedy::OptOut) {
            // By hand the count begins anew.
            assert!(hub.ask(user(1), Command::RetryMessage { conversation_id: id, seq: 2 }).await.is_applied());
            assert_eq!(hub.message(id, 2).await.resends, 0);
        }
    }
}

#[tokio::test]
async fn a_failure_that_passes_and_overtakes_the_answer_of_the_call_is_seen_too() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    hub.report_failure(sms(), "SM9", Some(Remedy::Resend)).await;
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Queued));
    assert!(pending(&hub).await[0].next_attempt_at.is_some());
}

#[tokio::test]
async fn proof_that_an_earlier_sending_arrived_ends_the_later_one() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    hub.report_failure(sms(), "SM9", Some(Remedy::Resend)).await;
    hub.report(sms(), "SM9", DeliveryStatus::Delivered).await;
    hub.settle().await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, message.external_id.as_deref()), (Some(DeliveryStatus::Delivered), Some("SM9")));
    assert!(pending(&hub).await.is_empty());
}

#[tokio::test]
async fn whoever_was_blocked_meanwhile_is_not_written_to_again() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    hub.attempt(id, message_id, 1, accepted("SM9")).await;
    let contact_id = hub.conversation().await.contact_id;
    let block = Command::UpdateContact { contact_id, name: None, email: None, blocked: Some(true) };
    assert!(hub.ask(user(1), block).await.is_applied());
    hub.report_failure(sms(), "SM9", Some(Remedy::Resend)).await;
    hub.settle().await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Failed));
}

#[tokio::test]
async fn an_attempt_counts_once_however_often_its_records_come() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    let deferred = SendOutcome::Deferred { error: error("20429"), next_attempt_at: hub.now() };
    for _ in 0..2 {
        hub.attempt(id, message_id, 1, deferred.clone()).await;
    }
    let late = Command::FinishSend { conversation_id: id, message_id, attempt: 1, outcome: accepted("SM-late") };
    hub.append(Actor::System, late).await;
    hub.settle().await;
    let names = hub.event_names().await;
    assert_eq!(names.iter().filter(|name| **name == "message_send_begun").count(), 1);
    assert_eq!(names.iter().filter(|name| **name == "message_send_deferred").count(), 1);
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Queued));
}

#[tokio::test]
async fn an_ambiguous_attempt_may_still_turn_out_well() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    let ambiguous = SendOutcome::Ambiguous { error: error("timed_out"), next_attempt_at: hub.now() };
    hub.attempt(id, message_id, 1, ambiguous).await;
    let found = Command::FinishSend { conversation_id: id, message_id, attempt: 1, outcome: accepted("SM9") };
    hub.append(Actor::System, found).await;
    hub.settle().await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Sent));
}

#[tokio::test]
async fn whoever_opted_out_is_not_written_to_until_they_opt_in() {
    let hub = Hub::new().await;
    let (id, message_id) = queued(&hub).await;
    let failed = SendOutcome::Failed { error: error("21610"), opted_out: true };
    hub.attempt(id, message_id, 1, failed).await;
    assert_eq!(hub.reply(user(1), id, "are you there?").await.rejection().0, Rejection::ContactOptedOut);
    let Command::ReceiveMessage { channel_id, mut message } = super::hub::received(sms(), "SM2", CUSTOMER, "START")
    else {
        unreachable!("received makes this command")
    };
    message.opt_out = Some(false);
    hub.append(Actor::Channel { channel_id }, Command::ReceiveMessage { channel_id, message }).await;
    assert!(hub.reply(user(1), id, "welcome back").await.is_applied());
}

#[tokio::test]
async fn the_reply_window_of_whatsapp_closes_after_a_day_and_sms_has_none() {
    for (channel, closes) in [(whatsapp(), true), (sms(), false)] {
        let hub = Hub::new().await;
        hub.receive(channel, "1", CUSTOMER, "hi").await;
        hub.settle().await;
        let id = hub.conversation().await.id;
        hub.pass(Duration::from_hours(24) - Duration::from_micros(1)).await;
        assert!(hub.reply(user(1), id, "in time").await.is_applied());
        hub.pass(Duration::from_micros(1)).await;
        let settled = hub.reply(user(1), id, "too late").await;
        assert_eq!(!settled.is_applied(), closes);
        if closes {
            assert_eq!(settled.rejection().0, Rejection::ReplyWindowClosed);
        }
    }
}

#[tokio::test]
async fn an_agent_may_write_first_and_the_answer_finds_the_conversation() {
    let hub = Hub::new().await;
    hub.add_agent(user(1), 5, false).await;
    let start = |channel_id| Command::StartConversation {
        to: Identity { channel_id, address: CUSTOMER.to_owned() },
        author: Author::Agent { user_id: user(1) },
        body: Body::text("Your order is ready."),
    };
    let settled = hub.ask(user(1), start(sms())).await;
    assert!(settled.is_applied());
    let conversation = hub.conversation().await;
    assert_eq!((conversation.assignee, conversation.first_reply_at), (Some(user(1)), None));
    assert_eq!(hub.agent(user(1)).await.open_conversations, 1);
    hub.receive(sms(), "SM1", CUSTOMER, "thanks").await;
    hub.settle().await;
    assert_eq!((hub.conversation().await.id, hub.conversation().await.last_seq), (conversation.id, 2));
    let settled = hub.ask(user(1), start(whatsapp())).await;
    assert_eq!(settled.rejection().0, Rejection::ReplyWindowClosed, "only a template may begin on WhatsApp");
}

#[tokio::test]
async fn web_chat_is_sent_by_being_published() {
    let hub = Hub::new().await;
    hub.receive(web_chat(), "v1", "visitor-1", "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    let settled = hub.reply(user(1), id, "hello").await;
    let message = hub.message(id, 2).await;
    assert_eq!((message.status, pending_count(&hub).await), (Some(DeliveryStatus::Sent), 0));
    hub.report(web_chat(), &settled.message_id.unwrap().to_string(), DeliveryStatus::Read).await;
    hub.settle().await;
    assert_eq!(hub.message(id, 2).await.status, Some(DeliveryStatus::Read));
}

#[tokio::test]
async fn texts_that_the_medium_cannot_carry_are_refused() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hi").await;
    hub.settle().await;
    let id = hub.conversation().await.id;
    for (text, why) in [("", "body: "), ("x\0y", "body.text: "), (&"س".repeat(1_601), "body.text: it has 1601")] {
        let settled = hub.reply(user(1), id, text).await;
        assert_eq!(settled.rejection().0, Rejection::InvalidValue);
        assert!(settled.rejection().1.starts_with(why), "{}", settled.rejection().1);
    }
    assert!(hub.reply(user(1), id, &"س".repeat(1_600)).await.is_applied());
}
