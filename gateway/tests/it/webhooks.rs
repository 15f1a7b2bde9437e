//! The door for providers.

use std::time::Duration;

use reqwest::Method;
use schemas::ChannelId;
use schemas::workspace::Role;
use serde_json::json;
use storage::clock::Clock;
use storage::log::memory::MemoryFault;

use crate::app::{ACCOUNT, AUTH_TOKEN, NUMBER, TestApp, form_urlencoded, message, sign};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_message_becomes_a_conversation_once_however_often_it_comes() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "مرحبا، أين طلبي؟").await;
    assert_eq!((&talk["status"], &talk["unread"]), (&json!("open"), &json!(1)));
    for _ in 0..3 {
        app.webhook(tenant.channel, &message("+15005550001", "SM1", "مرحبا، أين طلبي؟"), None).await.expect(200);
    }
    let talk = app.customer_writes(&tenant, "+15005550001", "SM2", "?").await;
    assert_eq!((&talk["last_seq"], &talk["inbound_count"]), (&json!(2), &json!(2)));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_twilio_sends_as_get_is_read_from_its_query() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let before = app.commands(tenant.id).await;
    let query = form_urlencoded(&message("+15005550001", "SM1", "مرحبا"));
    let url = format!("{}/webhooks/twilio/{}?{query}", app.base, tenant.channel);
    let refused = app.client.get(format!("{url}&Body=no")).header("X-Twilio-Signature", sign(&url, &[]));
    assert_eq!(refused.send().await.unwrap().status(), 403);
    let taken = app.client.get(&url).header("X-Twilio-Signature", sign(&url, &[])).send().await.unwrap();
    assert_eq!((taken.status().as_u16(), app.commands(tenant.id).await), (200, before + 1));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_believed_leaves_no_trace() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let before = app.commands(tenant.id).await;
    let good = message("+15005550001", "SM1", "hi");
    for signature in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        let refused = app.webhook(tenant.channel, &good, Some(signature)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "signature_refused"), "{signature:?}");
    }
    let mut other_account = good;
    other_account[0].1 = "AC00000000000000000000000000000000";
    let refused = app.webhook(tenant.channel, &other_account, None).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "signature_refused"));
    let unknown = ChannelId::new(app.clock.now(), &[7; 10]);
    app.webhook(unknown, &good, None).await.expect(404);
    let large = "x".repeat(2 << 20);
    let too_large = app.webhook(tenant.channel, &message("+15005550001", "SM1", &large), None).await;
    assert_eq!((too_large.status.as_u16(), too_large.code()), (413, "too_large"));
    let elsewhere = app.client.post(format!("{}/webhooks/nobody/{}", app.base, tenant.channel)).send().await.unwrap();
    assert_eq!(elsewhere.status().as_u16(), 404);
    assert_eq!(app.commands(tenant.id).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_messaging_service_takes_messages_to_any_of_its_numbers() {
    const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
    let app = TestApp::start().await;
    let mut tenant = app.tenant("A").await;
    let channel = json!({
        "name": "All numbers",
        "account": {
            "provider": "twilio", "medium": "sms", "address": SERVICE, "account_sid": ACCOUNT, "auth_token": AUTH_TOKEN,
            "api_base": "http://127.0.0.1:9",
        },
    });
    let made = app.post(&tenant, Role::Owner, "/channels", &channel).await.expect(201);
    tenant.channel = made["id"].as_str().unwrap().parse().unwrap();
    for (sid, number) in [("SM1", "+15005550101"), ("SM2", "+15005550102")] {
        let mut parameters = message("+15005550001", sid, sid).to_vec();
        parameters.push(("MessagingServiceSid", SERVICE));
        parameters.iter_mut().find(|(name, _)| *name == "To").unwrap().1 = number;
        app.webhook(tenant.channel, &parameters, None).await.expect(200);
    }
    let talk = app
        .until(async || {
            let page = app.get(&tenant, Role::Owner, "/conversations").await.expect(200);
            page["items"].as_array().unwrap().iter().find(|item| item["last_seq"] == json!(2)).cloned()
        })
        .await;
    assert_eq!(
        (&talk["channel_id"], &talk["inbound_count"]),
        (&made["id"], &json!(2)),
        "one contact, one conversation"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_cannot_be_read_makes_one_letter_however_often_it_comes() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let unreadable = [("AccountSid", ACCOUNT), ("To", NUMBER)];
    for hours in [0, 0, 5, 19] {
        app.clock.advance(Duration::from_hours(hours));
        app.webhook(tenant.channel, &unreadable, None).await.expect(200);
    }
    let letters = || app.get(&tenant, Role::Manager, "/dead-letters");
    let page = letters().await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["items"][0]["received_at"], json!("2026-11-22T09:00:00.000000Z"));
    // What comes again after more than a day is news, and so is another webhook.
    app.clock.advance(Duration::from_hours(2));
    app.webhook(tenant.channel, &unreadable, None).await.expect(200);
    app.webhook(tenant.channel, &[("AccountSid", ACCOUNT), ("From", NUMBER)], None).await.expect(200);
    assert_eq!(letters().await.expect(200)["items"].as_array().unwrap().len(), 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_authentic_but_unreadable_is_set_aside_and_can_be_replayed_and_discarded() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let before = app.commands(tenant.id).await;
    app.webhook(tenant.channel, &[("AccountSid", ACCOUNT), ("To", NUMBER)], None).await.expect(200);
    app.webhook(tenant.channel, &[("AccountSid", ACCOUNT), ("From", NUMBER)], None).await.expect(200);
    assert_eq!(app.commands(tenant.id).await, before);
    let page = app.get(&tenant, Role::Manager, "/dead-letters?limit=1").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let next = format!("/dead-letters?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    let last = app.get(&tenant, Role::Manager, &next).await.expect(200);
    assert!(last["next_cursor"].is_null() && last["items"][0]["id"] != page["items"][0]["id"], "{last}");
    let path = format!("/dead-letters/{}", page["items"][0]["id"].as_str().unwrap());
    let detail = app.get(&tenant, Role::Manager, &path).await.expect(200);
    assert!(!detail["body_base64"].as_str().unwrap().is_empty() && !detail["reason"].as_str().unwrap().is_empty());
    let replayed = app.call(Method::POST, &tenant, Role::Manager, &format!("{path}/replay"), None).await;
    assert_eq!(replayed.status.as_u16(), 422, "it still cannot be read: {}", replayed.json);
    app.call(Method::DELETE, &tenant, Role::Manager, &path, None).await.expect(204);
    app.get(&tenant, Role::Manager, &path).await.expect(404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_asks_the_provider_to_come_again_and_is_forgotten_once_there_is_room() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let Some(log) = app.memory_log.clone() else {
        println!("skipped: only the log in memory fails on request");
        return app.stop().await;
    };
    log.set_fault(Some(MemoryFault::DiskFull));
    let refused = app.webhook(tenant.channel, &message("+15005550001", "SM1", "hi"), None).await;
    assert_eq!((refused.status.as_u16(), &refused.headers["retry-after"]), (503, &"5".parse().unwrap()));
    let ready = app.client.get(format!("{}/readyz", app.base)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    log.set_fault(None);
    app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    let ready = app.client.get(format!("{}/readyz", app.base)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 200, "{}", ready.text().await.unwrap());
    app.stop().await;
}

/// What a webhook needs is the log. The channel is believed as it was known while the tables are away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_taken_while_the_tables_are_away_and_worked_off_afterwards() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    let Some(tables) = app.memory_tables.clone() else {
        println!("skipped: only the tables in memory go away on request");
        return app.stop().await;
    };
    tables.set_unavailable(Some("a test"));
    for (sid, seconds) in [("SM2", 6), ("SM3", 600)] {
        app.clock.advance(Duration::from_secs(seconds));
        app.webhook(tenant.channel, &message("+15005550001", sid, sid), None).await.expect(200);
    }
    app.clock.advance(Duration::from_mins(10));
    let late = app.webhook(tenant.channel, &message("+15005550001", "SM4", "x"), None).await;
    assert_eq!(late.status.as_u16(), 503, "what was known is too old to be believed");
    tables.set_unavailable(None);
    let talk = app.customer_writes(&tenant, "+15005550001", "SM5", "and again").await;
    assert_eq!((&talk["last_seq"], &talk["inbound_count"]), (&json!(4), &json!(4)));
    app.stop().await;
}
