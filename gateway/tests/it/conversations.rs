//! Conversations, messages, notes and contacts over REST.

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Answer, Tenant, TestApp};

async fn send(app: &TestApp, tenant: &Tenant, role: Role, id: &Value, text: &str, key: Option<&str>) -> Answer {
    let path = format!("/conversations/{}/messages", id.as_str().unwrap());
    let body = json!({ "body": { "text": text } });
    app.send(Method::POST, &path, Some(&tenant.tokens[&role]), Some(&body), key).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_wants_a_key_and_has_one_effect_however_often_it_is_repeated() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    let missing = send(&app, &tenant, Role::Agent, &talk["id"], "hello", None).await;
    assert_eq!((missing.status.as_u16(), missing.code()), (400, "idempotency_key_required"));
    let first = send(&app, &tenant, Role::Agent, &talk["id"], "hello", Some("k1")).await.expect(201);
    assert_eq!((&first["message"]["seq"], &first["message"]["direction"]), (&json!(2), &json!("outbound")));
    assert_eq!(first["repeated"], json!(false));
    let second = send(&app, &tenant, Role::Agent, &talk["id"], "hello", Some("k1")).await.expect(201);
    assert_eq!((&second["message"]["id"], &second["repeated"]), (&first["message"]["id"], &json!(true)));
    let reused = send(&app, &tenant, Role::Agent, &talk["id"], "other words", Some("k1")).await;
    assert_eq!((reused.status.as_u16(), reused.code()), (422, "key_reused"));
    let empty = send(&app, &tenant, Role::Agent, &talk["id"], "", Some("k2")).await;
    assert_eq!((empty.status.as_u16(), empty.code()), (422, "invalid_value"));
    let path = format!("/conversations/{}/messages", talk["id"].as_str().unwrap());
    let list = app.get(&tenant, Role::Owner, &path).await.expect(200);
    let seqs: Vec<_> = list["items"].as_array().unwrap().iter().map(|message| message["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(2), Some(1)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_answers_leaves_the_contact_waiting_for_a_person() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let wish = |bot: &str| json!({ "name": "auto-reply", "role": "agent", "bot": bot });
    let nameless = app.post(&tenant, Role::Admin, "/tokens", &wish(" ")).await;
    assert_eq!((nameless.status.as_u16(), nameless.code()), (422, "invalid_value"));
    let made = app.post(&tenant, Role::Admin, "/tokens", &wish("Greeter")).await.expect(201);
    assert_eq!(made["bot"], json!("Greeter"));
    let bot = made["secret"].as_str();
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    assert!(talk["waiting_since"].is_string());
    let path = format!("/conversations/{}", talk["id"].as_str().unwrap());
    let hello = json!({ "body": { "text": "We will be with you soon." } });
    let sent = app.send(Method::POST, &format!("{path}/messages"), bot, Some(&hello), Some("k1")).await.expect(201);
    let greeter = json!({ "type": "bot", "name": "Greeter" });
    assert_eq!(sent["message"]["author"], greeter);
    let note = json!({ "text": "greeted" });
    let note = app.send(Method::POST, &format!("{path}/notes"), bot, Some(&note), Some("k2")).await.expect(201);
    assert_eq!(note["message"]["author"], greeter);
    let after = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert_eq!(after["waiting_since"], talk["waiting_since"]);
    assert!(after["first_reply_at"].is_null() && after["unread"] == json!(1), "{after}");
    let first =
        json!({ "channel_id": tenant.channel, "address": "+15005550009", "body": { "text": "Your order is ready." } });
    let first = app.send(Method::POST, "/conversations", bot, Some(&first), Some("k3")).await.expect(201);
    assert_eq!(first["message"]["author"], greeter);
    send(&app, &tenant, Role::Agent, &talk["id"], "How can I help?", Some("k4")).await.expect(201);
    let after = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert!(after["waiting_since"].is_null() && after["first_reply_at"].is_string(), "{after}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_assignee_labels_notes_and_reading_change_what_they_say() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    let path = format!("/conversations/{}", talk["id"].as_str().unwrap());
    let change = json!({ "status": "pending", "assignee": tenant.users[&Role::Agent], "priority": "urgent" });
    let after = app.call(Method::PATCH, &tenant, Role::Manager, &path, Some(&change)).await.expect(200);
    assert_eq!((&after["status"], &after["priority"]), (&json!("pending"), &json!("urgent")));
    assert_eq!(after["assignee"], json!(tenant.users[&Role::Agent]));
    for (status, expected) in [("resolved", 200), ("pending", 409), ("open", 200)] {
        let moved = app.call(Method::PATCH, &tenant, Role::Manager, &path, Some(&json!({ "status": status }))).await;
        assert_eq!(moved.status.as_u16(), expected, "{status}: {}", moved.json);
        assert!(expected == 200 || moved.code() == "invalid_transition");
    }
    let nothing = app.call(Method::PATCH, &tenant, Role::Manager, &path, Some(&json!({}))).await;
    assert_eq!(nothing.status.as_u16(), 422);
    let given_back = json!({ "assignee": null });
    let after = app.call(Method::PATCH, &tenant, Role::Agent, &path, Some(&given_back)).await.expect(200);
    assert!(after["assignee"].is_null(), "{after}");
    let labels = json!({ "add": ["vip", "طلب"] });
    let after = app.post(&tenant, Role::Agent, &format!("{path}/labels"), &labels).await.expect(200);
    assert_eq!(after["labels"], json!(["vip", "طلب"]));
    let note = json!({ "text": "ask the warehouse", "mentions": [tenant.users[&Role::Manager]] });
    let bearer = Some(tenant.tokens[&Role::Agent].as_str());
    let note = app.send(Method::POST, &format!("{path}/notes"), bearer, Some(&note), Some("n1")).await.expect(201);
    assert_eq!(note["message"]["direction"], json!("note"));
    let after = app.post(&tenant, Role::Agent, &format!("{path}/read"), &json!({ "seq": 2 })).await.expect(200);
    assert_eq!(after["unread"], json!(0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_see_their_own_and_free_conversations_and_cursors_stay_in_their_list() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let talk =
            app.customer_writes(&tenant, &format!("+1500555010{n}"), &format!("SM{n}"), &format!("hi {n}")).await;
        ids.push(talk["id"].as_str().unwrap().to_owned());
    }
    let to_manager = json!({ "assignee": tenant.users[&Role::Manager] });
    let path = format!("/conversations/{}", ids[0]);
    app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&to_manager)).await.expect(200);
    app.get(&tenant, Role::Agent, &path).await.expect(404);
    app.get(&tenant, Role::Agent, &format!("{path}/messages")).await.expect(404);
    send(&app, &tenant, Role::Agent, &json!(ids[0]), "x", Some("k")).await.expect(404);
    assert_eq!(app.get(&tenant, Role::Agent, "/conversations?assignee=all").await.code(), "forbidden");
    let free = app.get(&tenant, Role::Agent, "/conversations?assignee=none&limit=1").await.expect(200);
    let cursor = free["next_cursor"].as_str().unwrap();
    let next = app.get(&tenant, Role::Agent, &format!("/conversations?assignee=none&limit=1&cursor={cursor}")).await;
    let next = next.expect(200);
    assert!(next["next_cursor"].is_null() && next["items"][0]["id"] != free["items"][0]["id"]);
    for wrong in ["/conversations?assignee=me", "/contacts?limit=1", "/conversations?status=resolved&assignee=none"] {
        let joint = if wrong.contains('?') { '&' } else { '?' };
        let refused = app.get(&tenant, Role::Agent, &format!("{wrong}{joint}cursor={cursor}")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json["errors"][0]["path"].as_str()),
            (422, Some("cursor")),
            "{wrong}"
        );
    }
    for wrong in ["limit=0", "limit=101", "limit=x", "unknown=1", "status=closed", "assignee=somebody"] {
        assert_eq!(
            app.get(&tenant, Role::Agent, &format!("/conversations?{wrong}")).await.status.as_u16(),
            422,
            "{wrong}"
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_conversations_are_paged_in_both_directions_across_buckets() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut talk = Value::Null;
    for n in 1..=7 {
        talk = app.customer_writes(&tenant, "+15005550001", &format!("SM{n}"), &format!("text {n}")).await;
    }
    let path = format!("/conversations/{}/messages", talk["id"].as_str().unwrap());
    for (start, expected) in [("limit=3", vec![7, 6, 5, 4, 3, 2, 1]), ("limit=2&after_seq=2", vec![3, 4, 5, 6, 7])] {
        let mut seen = Vec::new();
        let mut query = start.to_owned();
        loop {
            let page = app.get(&tenant, Role::Owner, &format!("{path}?{query}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().filter_map(|message| message["seq"].as_u64()));
            match page["next_cursor"].as_str() {
                Some(cursor) => query = format!("{start}&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{start}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_are_listed_changed_and_lead_to_their_conversations() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    app.customer_writes(&tenant, "+15005550002", "SM2", "hi").await;
    let page = app.get(&tenant, Role::Agent, "/contacts?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = app.get(&tenant, Role::Agent, &format!("/contacts?limit=1&cursor={cursor}")).await.expect(200);
    assert!(rest["next_cursor"].is_null() && rest["items"].as_array().unwrap().len() == 1);
    let path = format!("/contacts/{}", talk["contact_id"].as_str().unwrap());
    let named =
        app.call(Method::PATCH, &tenant, Role::Agent, &path, Some(&json!({ "name": "ليلى" }))).await.expect(200);
    assert_eq!(named["name"], json!("ليلى"));
    let talks = app.get(&tenant, Role::Agent, &format!("{path}/conversations")).await.expect(200);
    assert_eq!(talks["items"][0]["id"], talk["id"]);
    app.stop().await;
}
