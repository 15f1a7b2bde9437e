//! A dead letter that can be read after all: replayed by the API and on the command line, with one effect however often.

use std::path::Path;
use std::sync::Arc;

use gateway::app::DataFolder;
use gateway::directory::Directory;
use gateway::directory::dead_letters::DeadLetterRecord;
use reqwest::Method;
use schemas::api::dead_letter::DeadLetter;
use schemas::channel::Provider;
use schemas::workspace::Role;
use schemas::{ChannelId, DeadLetterId, Timestamp};
use serde_json::{Value, json};
use storage::clock::{Clock as _, SystemClock};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};

use crate::app::{TestApp, form_urlencoded, message};
use crate::cli::{json_of, saler};
use crate::process::{Hub, Shop};

const CUSTOMER: &str = "+15005550001";
const SID: &str = "SM0123456789abcdef0123456789abcdef";
const TEXT: &str = "مرحبا، أين طلبي؟";

/// What an older version of the hub could not read.
fn letter(channel_id: ChannelId, at: Timestamp) -> DeadLetterRecord {
    let body = form_urlencoded(&message(CUSTOMER, SID, TEXT));
    let letter = DeadLetter {
        id: DeadLetterId::new(at, &[3; 10]),
        channel_id,
        provider: Provider::Twilio,
        received_at: at,
        reason: "an older version could not read it".to_owned(),
        content_type: "application/x-www-form-urlencoded".to_owned(),
        size_bytes: 0,
        truncated: false,
        replayed_at: None,
    };
    DeadLetterRecord::new(letter, body.as_bytes())
}

/// The one conversation of a workspace, once it is there, and its messages.
fn is_the_message(conversations: &Value, messages: &Value) {
    assert_eq!(conversations["items"].as_array().unwrap().len(), 1, "{conversations}");
    let messages = messages["items"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((&messages[0]["body"]["text"], &messages[0]["external_id"]), (&json!(TEXT), &json!(SID)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_can_be_read_becomes_its_message_once() {
    let app = TestApp::start().await;
    let (tenant, stranger) = (app.tenant("A").await, app.tenant("B").await);
    let record = letter(tenant.channel, app.clock.now());
    app.directory.put_dead_letter(tenant.id, &record).await.unwrap();
    let path = format!("/dead-letters/{}", record.letter.id);
    let replay = format!("{path}/replay");
    app.call(Method::POST, &stranger, Role::Owner, &replay, None).await.expect(404);
    for _ in 0..3 {
        let replayed = app.call(Method::POST, &tenant, Role::Manager, &replay, None).await.expect(200);
        assert_eq!(replayed, json!({ "entries": 1 }));
    }
    // The same message by a webhook: the provider sends it again, and what follows it tells that all before is applied.
    app.webhook(tenant.channel, &message(CUSTOMER, SID, TEXT), None).await.expect(200);
    app.customer_writes(&tenant, "+15005550002", "SM2", "last").await;
    let list = app.get(&tenant, Role::Owner, "/conversations?assignee=all").await.expect(200);
    let items: Vec<&Value> =
        list["items"].as_array().unwrap().iter().filter(|item| item["contact_address"] == CUSTOMER).collect();
    let messages = format!("/conversations/{}/messages", items[0]["id"].as_str().unwrap());
    is_the_message(&json!({ "items": items }), &app.get(&tenant, Role::Owner, &messages).await.expect(200));
    let shown = app.get(&tenant, Role::Manager, &path).await.expect(200);
    assert!(shown["replayed_at"].is_string() && shown["truncated"] == false, "{shown}");
    app.stop().await;
}

/// Puts a letter into the data folder of a stopped hub.
async fn bury(data: &Path, shop: &Shop) -> DeadLetterId {
    let tables = EmbeddedTables::open(EmbeddedTablesOptions::new(DataFolder::at(data).tables())).unwrap();
    let directory = Directory::new(Arc::new(tables), Arc::new(SystemClock));
    let record = letter(shop.channel.parse().unwrap(), directory.now());
    directory.put_dead_letter(shop.workspace.parse().unwrap(), &record).await.unwrap();
    // The folder is free for others when the last reference has gone.
    tokio::task::spawn_blocking(move || drop(directory)).await.unwrap();
    record.letter.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_shows_and_replays_a_letter() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(&dir.path().join("data"), "http://127.0.0.1:9").await;
    let id = bury(&shop.data, &shop).await.to_string();
    let run = |verb: &str, letters: &[&str]| {
        let arguments = [&["dead-letter", verb, "--workspace", &shop.workspace][..], letters].concat();
        json_of(&saler(&shop.data, &arguments, ""))
    };
    let listed = run("list", &[]);
    assert!(listed[0]["id"] == json!(id) && listed[0]["replayed_at"].is_null(), "{listed}");
    let shown = run("show", &[&id]);
    assert!(!shown["body_base64"].as_str().unwrap().is_empty(), "{shown}");
    for _ in 0..2 {
        assert_eq!(run("replay", &[&id]), json!([{ "id": id, "entries": 1 }]));
    }
    assert!(run("list", &[])[0]["replayed_at"].is_string());

    let hub = Hub::start(&shop.data, &[]).await;
    hub.is_ready().await;
    let list = hub.get(&shop, "/conversations?assignee=all").await;
    let messages = format!("/conversations/{}/messages", list["items"][0]["id"].as_str().unwrap());
    is_the_message(&list, &hub.get(&shop, &messages).await);
}
