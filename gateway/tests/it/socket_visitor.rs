//! Web chat visitors: each sees their own conversation and nothing else, and what they write has one effect.

use std::sync::Arc;
use std::time::Duration;

use gateway::realtime::SocketConfig;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use schemas::channel::{AssignmentPolicy, Channel, ChannelRecord, Credentials, Medium, Provider, Secret};
use schemas::command::{Actor, Command};
use schemas::conversation::Conversation;
use schemas::event::Event;
use schemas::message::{Author, DeliveryStatus, Direction, Message};
use schemas::tables::{
    CHANNEL_WORKSPACES, CHANNELS, CONTACT_CONVERSATIONS, CONVERSATIONS, IDENTITIES, MESSAGES, Value as Cell,
    message_bucket,
};
use schemas::widget::WidgetSettings;
use schemas::workspace::Role;
use serde_json::{Value, json};
use storage::clock::Clock;
use storage::tables::{Batch, Key, Row, Sync, Tables};

use crate::socket_bench::{Bench, channel, config, conversation, message, start, user, workspace};
use crate::ws_client::WsClient;

const SHOP: &str = "https://shop.example";
const SECRET: &str = "the shop's identity secret, long enough";

/// Makes web chat channel `n` in workspace `w`.
async fn make_channel(bench: &Bench, n: u64, w: u64) {
    store_channel(bench, n, w, true).await;
}

/// Makes web chat channel `n` in workspace `w`, or switches it on or off.
async fn store_channel(bench: &Bench, n: u64, w: u64, active: bool) {
    let record = ChannelRecord {
        channel: Channel {
            id: channel(n),
            workspace_id: workspace(w),
            name: "Shop".to_owned(),
            provider: Provider::WebChat,
            medium: Medium::WebChat,
            address: "shop".to_owned(),
            assignment: AssignmentPolicy::Manual,
            reopen_hours: 24,
            active,
            version: 1,
        },
        credentials: Credentials::WebChat {
            identity_secret: Secret::new(SECRET),
            allowed_origins: vec![SHOP.to_owned()],
            widget: WidgetSettings::default(),
        },
    };
    let mut batch = Batch::default();
    batch.put(CHANNEL_WORKSPACES, Row::new(Key::of([Cell::from(channel(n))])).with("workspace_id", workspace(w)));
    let key = Key::of([Cell::from(workspace(w))]).at([Cell::from(channel(n))]);
    batch.put(CHANNELS, Row::new(key).with_body(&record).unwrap());
    bench.tables.write(batch, Sync::Later).await.unwrap();
}

async fn open(bench: &Bench, n: u64, origin: Option<&str>) -> Result<WsClient, u16> {
    WsClient::open(bench.address, &format!("/api/v1/visitor?channel={}", channel(n)), origin).await
}

/// Signs in with these fields.
async fn visit(bench: &Bench, n: u64, auth: Value) -> (WsClient, Value) {
    let mut client = open(bench, n, Some(SHOP)).await.unwrap();
    assert_eq!(client.next().await["op"], "hello");
    let mut frame = json!({"op": "auth", "id": 1});
    frame.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    client.send(&frame).await;
    let ready = client.next().await;
    assert_eq!(ready["op"], "ready", "{ready}");
    (client, ready)
}

/// The code with which this sign-in is closed.
async fn refused(bench: &Bench, n: u64, auth: Value) -> u16 {
    let mut client = open(bench, n, Some(SHOP)).await.unwrap();
    let mut frame = json!({"op": "auth"});
    frame.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    client.send(&frame).await;
    client.close_code().await
}

/// The statement of the shop's server.
fn statement(bench: &Bench, sub: &str, life: i64, secret: &str) -> String {
    let now = bench.clock.now().unix_seconds();
    let claims = json!({"sub": sub, "iat": now, "exp": now + life, "name": "Amal"});
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// The conversation of the visitor with this address on channel 1.
fn talk_of(address: &str) -> Conversation {
    let mut talk = conversation(1, None);
    talk.channel_id = channel(1);
    address.clone_into(&mut talk.contact_address);
    talk
}

fn written(talk: &Conversation, seq: u64, direction: Direction, author: Author) -> Message {
    let mut written = message(talk, seq, &format!("text {seq}"));
    (written.direction, written.author) = (direction, author);
    if direction == Direction::Outbound {
        written.status = Some(DeliveryStatus::Sent);
    }
    written
}

async fn say(bench: &Bench, w: u64, talk: &Conversation, message: Message) {
    let event = Event::MessageAdded { message: Arc::new(message) };
    bench.publish(w, vec![(event, Some(talk.clone()))]).await;
}

/// Stores a conversation with these messages, as the engine would.
async fn store(bench: &Bench, talk: &Conversation, messages: &[Message]) {
    let mut batch = Batch::default();
    let w = || Cell::from(workspace(1));
    let identity = Key::of([w(), Cell::from(talk.channel_id), Cell::from(talk.contact_address.as_str())]);
    batch.put(IDENTITIES, Row::new(identity).with("contact_id", talk.contact_id));
    let of_contact = Key::of([w(), Cell::from(talk.contact_id)]).at([Cell::from(talk.id)]);
    batch.put(CONTACT_CONVERSATIONS, Row::new(of_contact).with("channel_id", talk.channel_id));
    let key = Key::of([w(), Cell::from(talk.id)]);
    batch.put(CONVERSATIONS, Row::new(key).with_body(talk).unwrap());
    for message in messages {
        let bucket = Cell::Int(message_bucket(message.seq));
        let key = Key::of([w(), Cell::from(talk.id), bucket]).at([Cell::Int(i64::try_from(message.seq).unwrap())]);
        batch.put(MESSAGES, Row::new(key).with_body(message).unwrap());
    }
    bench.tables.write(batch, Sync::Later).await.unwrap();
}

const AGENT: fn() -> Author = || Author::Agent { user_id: user(1) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_channels_origins_may_open_it() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    for origin in [None, Some("null"), Some("https://shop.example.evil"), Some("http://shop.example")] {
        assert_eq!(open(&bench, 1, origin).await.err(), Some(403), "{origin:?}");
    }
    assert_eq!(open(&bench, 7, Some(SHOP)).await.err(), Some(404));
    let without = WsClient::open(bench.address, "/api/v1/visitor", Some(SHOP)).await;
    assert_eq!(without.err(), Some(400));
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_visitor_writes_is_durable_and_keeps_its_key() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    let told = json!({"new": true, "name": " Amal\u{7} ", "email": "amal@shop.example", "phone": "0501"});
    let (mut client, ready) = visit(&bench, 1, told).await;
    assert_eq!(ready["history"], json!([]));
    for id in 1..=2 {
        client.send(&json!({"op": "send", "id": id, "key": "k1", "text": "Where is my order?"})).await;
        assert_eq!(client.next().await, json!({"op": "ok", "id": id}));
    }
    let records = bench.commands(1).await;
    let [first, second] = records.as_slice() else { panic!("two commands, not {records:?}") };
    let Command::ReceiveMessage { channel_id, message } = &first.command else { panic!("{first:?}") };
    assert_eq!((*channel_id, &first.actor), (channel(1), &Actor::Channel { channel_id: channel(1) }));
    assert_eq!((message.profile_name.as_deref(), message.to.as_str()), (Some("Amal"), "shop"));
    let told = (message.email.as_deref(), message.phone.as_deref());
    assert_eq!(told, (Some("amal@shop.example"), None), "what is no phone number is left out");
    // The engine finds the repeat by the id, as it does for providers.
    let Command::ReceiveMessage { message: again, .. } = &second.command else { panic!("{second:?}") };
    assert_eq!(again.external_id, message.external_id);

    for (frame, code) in [
        (json!({"op": "send", "id": 3, "key": "", "text": "x"}), "invalid_value"),
        (json!({"op": "send", "id": 3, "key": "k", "text": "  "}), "invalid_value"),
        (json!({"op": "send", "id": 3, "key": "k", "text": "a\u{0}b"}), "invalid_value"),
        (json!({"op": "send", "id": 3, "key": "k", "text": "x".repeat(10_001)}), "invalid_value"),
    ] {
        client.send(&frame).await;
        assert_eq!(client.next().await["code"], code);
    }
    // It comes back with the visitor's own key, and nothing of the agents' side.
    let talk = talk_of(&message.from);
    let mut echo = written(&talk, 1, Direction::Inbound, Author::Contact { contact_id: talk.contact_id });
    echo.external_id = Some(message.external_id.clone());
    say(&bench, 1, &talk, echo).await;
    let back = client.next().await;
    assert_eq!((back["from"].as_str(), back["key"].as_str()), (Some("visitor"), Some("k1")));
    drop(client);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_sees_the_own_conversation_without_notes_and_reports_arrival() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    let agent = bench.person(1, 1, Role::Agent);
    let (mut agent, _) = bench.sign_in(&agent, &["inbox"]).await;
    let (mut client, _) = visit(&bench, 1, json!({"identity": statement(&bench, "42", 300, SECRET)})).await;
    let (mut other, _) = visit(&bench, 1, json!({"new": true})).await;
    let talk = talk_of("user:42");
    store(&bench, &talk, &[]).await;
    say(&bench, 1, &talk, written(&talk, 1, Direction::Inbound, Author::Contact { contact_id: talk.contact_id })).await;
    say(&bench, 1, &talk, written(&talk, 2, Direction::Note, AGENT())).await;
    say(&bench, 1, &talk, written(&talk, 3, Direction::Outbound, AGENT())).await;
    say(&bench, 1, &talk, written(&talk, 4, Direction::Outbound, Author::Bot { name: "helper".to_owned() })).await;
    for (seq, from) in [(1, "visitor"), (3, "agent"), (4, "bot")] {
        let frame = client.next().await;
        assert_eq!(
            (frame["op"].as_str(), frame["seq"].as_u64(), frame["from"].as_str()),
            (Some("msg"), Some(seq), Some(from))
        );
        let mut fields: Vec<_> = frame.as_object().unwrap().keys().map(String::as_str).collect();
        fields.retain(|field| !["op", "id", "conversation_id", "seq", "from", "body", "at", "status"].contains(field));
        assert_eq!(fields, [""; 0]);
    }
    client.send(&json!({"op": "ack", "seq": 3})).await;
    client.send(&json!({"op": "ack", "seq": 4, "read": true})).await;
    client.send(&json!({"op": "ack", "seq": 4, "read": true})).await;
    bench.eventually("the reports are there", async || bench.wishes(1).await.len() >= 3).await;
    let reports: Vec<_> = bench
        .wishes(1)
        .await
        .into_iter()
        .map(|record| match record.command {
            Command::RecordDelivery { report, .. } => (report.external_id, report.status.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let id = |seq| message(&talk, seq, "").id.to_string();
    assert_eq!(
        reports,
        [(id(3), DeliveryStatus::Delivered), (id(3), DeliveryStatus::Read), (id(4), DeliveryStatus::Read)]
    );

    // Both sides see each other type; the other visitor sees nothing of all this.
    agent.send(&json!({"op": "cmd", "id": 1, "k": "typing", "d": {"conversation_id": talk.id}})).await;
    assert_eq!(client.next().await, json!({"op": "typing", "ttl": 5_000}));
    client.send(&json!({"op": "typing"})).await;
    let typing = agent.until("eph").await;
    assert!(typing.get("user_id").is_none() && typing["conversation_id"] == json!(talk.id));
    other.send(&json!({"op": "send", "id": 5, "key": "k", "text": "anybody?"})).await;
    assert_eq!(other.next().await, json!({"op": "ok", "id": 5}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_has_the_history_or_what_was_missed() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    let mut talk = talk_of("user:42");
    talk.last_seq = 120;
    let messages: Vec<_> = (1..=120)
        .map(|seq| match seq % 4 {
            0 => written(&talk, seq, Direction::Note, AGENT()),
            _ => written(&talk, seq, Direction::Outbound, AGENT()),
        })
        .collect();
    store(&bench, &talk, &messages).await;
    let seqs = |ready: &Value| -> Vec<u64> {
        ready["history"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
    };
    let (client, ready) = visit(&bench, 1, json!({"identity": statement(&bench, "42", 300, SECRET)})).await;
    let seen = seqs(&ready);
    assert_eq!((seen.len(), seen.last()), (50, Some(&119)));
    assert!(seen.is_sorted() && seen.iter().all(|seq| seq % 4 != 0));
    drop(client);
    let after = json!({"conversation_id": talk.id, "seq": 110});
    let (mut client, ready) = visit(&bench, 1, json!({"token": ready["token"], "after": after})).await;
    assert_eq!(seqs(&ready), [111, 113, 114, 115, 117, 118, 119]);
    // What is in the history does not come a second time.
    say(&bench, 1, &talk, messages[118].clone()).await;
    say(&bench, 1, &talk, written(&talk, 121, Direction::Outbound, AGENT())).await;
    assert_eq!(client.next().await["seq"], 121);
    // What was said before comes on request, without the notes, until there is nothing before.
    let mut earlier = async |before: u64| {
        client.send(&json!({"op": "history", "id": 9, "before": before})).await;
        let answer = client.next().await;
        assert_eq!((answer["op"].as_str(), answer["id"].as_u64()), (Some("history"), Some(9)));
        answer["messages"].as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let page = earlier(seen[0]).await;
    assert_eq!((page.len(), page.last()), (40, Some(&(seen[0] - 1))), "{page:?}");
    assert_eq!(earlier(4).await, [1, 2, 3]);
    assert_eq!(earlier(1).await, [0; 0]);
    assert_eq!(earlier(u64::MAX).await.last(), Some(&119));
    drop(client);
    // Nobody else has it: neither a new visitor, nor the same name on another channel.
    make_channel(&bench, 2, 1).await;
    for (n, auth) in [(1, json!({"new": true})), (2, json!({"identity": statement(&bench, "42", 300, SECRET)}))] {
        let (_client, ready) = visit(&bench, n, auth).await;
        assert_eq!(ready["history"], json!([]));
    }
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_that_are_forged_stale_or_of_elsewhere_are_refused() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    make_channel(&bench, 2, 2).await;
    let (_client, ready) = visit(&bench, 1, json!({"new": true})).await;
    let token = ready["token"].as_str().unwrap();
    let stale = statement(&bench, "42", 60, SECRET);
    let unsigned = {
        let mut parts = stale.split('.');
        let claims = parts.nth(1).unwrap();
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{claims}.")
    };
    for (n, auth, code) in [
        (1, json!({"identity": statement(&bench, "42", 300, "another secret")}), 4401),
        (1, json!({"identity": statement(&bench, "42", 301, SECRET)}), 4401),
        (1, json!({"identity": statement(&bench, "", 300, SECRET)}), 4401),
        (1, json!({"identity": unsigned}), 4401),
        (1, json!({"token": format!("{token}x")}), 4401),
        (2, json!({"token": token}), 4401),
        (1, json!({"identity": token}), 4401),
        (1, json!({"token": stale}), 4401),
        (1, json!({"token": token, "new": true}), 4400),
        (1, json!({}), 4400),
    ] {
        assert_eq!(refused(&bench, n, auth.clone()).await, code, "{auth}");
    }
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(refused(&bench, 1, json!({"identity": stale})).await, 4401);
    bench.clock.advance(Duration::from_hours(24));
    assert_eq!(refused(&bench, 1, json!({"token": token})).await, 4401);
    assert!(bench.clock.now() > start());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_have_limits() {
    let config = SocketConfig { visitor_messages_per_minute: 3, max_per_visitor: 2, max_per_address: 4, ..config() };
    let bench = Bench::new(config).await;
    make_channel(&bench, 1, 1).await;
    let (mut client, ready) = visit(&bench, 1, json!({"new": true})).await;
    for id in 1..=4 {
        client.send(&json!({"op": "send", "id": id, "key": format!("k{id}"), "text": "x"})).await;
        let answer = client.next().await;
        let code = answer.get("code").and_then(Value::as_str);
        assert_eq!(code, (id == 4).then_some("rate_limited"), "{answer}");
    }
    // A second socket is no second allowance.
    let (mut second, _) = visit(&bench, 1, json!({"token": ready["token"]})).await;
    second.send(&json!({"op": "send", "id": 9, "key": "k9", "text": "x"})).await;
    assert_eq!(second.next().await["code"], "rate_limited");
    assert_eq!(refused(&bench, 1, json!({"token": ready["token"]})).await, 4429);
    bench.eventually("the third left", async || bench.realtime.connection_count() == 2).await;
    let (third, _) = visit(&bench, 1, json!({"new": true})).await;
    let (fourth, _) = visit(&bench, 1, json!({"new": true})).await;
    assert_eq!(open(&bench, 1, Some(SHOP)).await.err(), Some(503));
    client.send_text("not json").await;
    assert_eq!(client.close_code().await, 4400);
    drop((client, second, third, fourth));
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_switched_off_admits_nobody_and_takes_nothing() {
    let bench = Bench::new(config()).await;
    make_channel(&bench, 1, 1).await;
    let (mut client, _) = visit(&bench, 1, json!({"new": true})).await;
    store_channel(&bench, 1, 1, false).await;
    assert_eq!(open(&bench, 1, Some(SHOP)).await.unwrap_err(), 404);
    client.send(&json!({"op": "send", "id": 2, "key": "k1", "text": "anybody there?"})).await;
    let refused = client.until("err").await;
    assert_eq!((&refused["code"], &refused["temp"]), (&json!("channel_inactive"), &json!(false)));
    assert_eq!(bench.wishes(1).await.len(), 0);
    store_channel(&bench, 1, 1, true).await;
    client.send(&json!({"op": "send", "id": 3, "key": "k1", "text": "anybody there?"})).await;
    assert_eq!(client.until("ok").await["id"], 3);
}
