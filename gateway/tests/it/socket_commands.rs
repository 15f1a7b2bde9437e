//! What agents wish over the socket: one effect a key, an answer for each, and no reach beyond their sight.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::realtime::{BoardFeed, BoardSource, SocketConfig, WatchFeed};
use schemas::command::{Actor, Command};
use schemas::message::Author;
use schemas::tables::{AGENTS, Value as Cell, WORKSPACE_IDS};
use schemas::workspace::{Agent, Availability, Role};
use schemas::{UserId, WorkspaceId};
use serde_json::{Value, json};
use storage::log::memory::{MemoryFault, MemoryLog};
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Sync, Tables};
use tokio::sync::watch;

use crate::socket_bench::{Bench, config, conversation, user, workspace};

fn send(id: u64, key: &str, conversation: &Value) -> Value {
    let d = json!({"conversation_id": conversation, "body": {"text": "hello"}});
    json!({"op": "cmd", "id": id, "key": key, "k": "message.send", "d": d})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_duplicates_have_one_effect_and_every_sender_its_answer() {
    let bench = Arc::new(Bench::new(config()).await);
    let talk = conversation(1, None);
    bench.store(1, &talk).await;
    bench.answer_commands(1);
    let token = bench.person(1, 1, Role::Agent);
    let mut racers = tokio::task::JoinSet::new();
    for id in 1..=8 {
        let (bench, token, talk) = (Arc::clone(&bench), token.clone(), json!(talk.id));
        racers.spawn(async move {
            let (mut client, _) = bench.sign_in(&token, &["inbox"]).await;
            client.send(&send(id, "one key", &talk)).await;
            let ok = client.until("ok").await;
            assert_eq!(ok["id"], id);
            assert!(ok["p"].is_array() && ok["message_id"].is_string() && ok["seq"].is_u64(), "{ok}");
            ok["repeated"] == true
        });
    }
    let repeated: Vec<bool> = racers.join_all().await;
    assert_eq!(repeated.iter().filter(|repeated| !**repeated).count(), 1);
    for record in bench.wishes(1).await {
        assert_eq!(record.actor, Actor::User { user_id: user(1) });
        assert!(record.wants_outcome && record.key.as_deref() == Some("one key"));
    }
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wish_becomes_its_command_in_the_order_in_which_it_was_sent() {
    let bench = Bench::new(config()).await;
    let talk = conversation(1, Some(user(1)));
    bench.store(1, &talk).await;
    bench.answer_commands(1);
    let token = bench.person(1, 1, Role::Agent);
    let (mut client, _) = bench.sign_in(&token, &[]).await;
    let c = json!(talk.id);
    let wishes = [
        ("message.send", json!({"conversation_id": c, "body": {"text": "x"}})),
        ("message.retry", json!({"conversation_id": c, "seq": 3})),
        ("note.add", json!({"conversation_id": c, "text": "x", "mentions": [user(2)]})),
        ("conversation.set_status", json!({"conversation_id": c, "status": "resolved"})),
        ("conversation.snooze", json!({"conversation_id": c, "until": "2027-01-01T00:00:00Z"})),
        ("conversation.assign", json!({"conversation_id": c, "assignee": null})),
        ("conversation.set_priority", json!({"conversation_id": c, "priority": "high"})),
        ("conversation.labels", json!({"conversation_id": c, "add": ["vip"]})),
        (
            "conversation.change",
            json!({"conversation_id": c, "change": {"priority": "low", "labels": {"add": ["vip"]}}}),
        ),
        ("conversation.read", json!({"conversation_id": c, "seq": 1})),
        ("notifications.read", json!({"up_to": 3})),
        ("presence.set", json!({"availability": "busy"})),
    ];
    for (id, (k, d)) in wishes.iter().enumerate() {
        client.send(&json!({"op": "cmd", "id": id, "key": format!("k{id}"), "k": k, "d": d})).await;
    }
    let mut answered = Vec::new();
    for _ in 0..wishes.len() {
        answered.push(client.until("ok").await["id"].as_u64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..wishes.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<_> = bench
        .wishes(1)
        .await
        .iter()
        .map(|record| serde_json::to_value(&record.command).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "send_message",
        "retry_message",
        "add_note",
        "set_status",
        "set_status",
        "assign",
        "set_priority",
        "change_labels",
        "change_conversation",
        "mark_read",
        "read_notifications",
        "set_presence",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_writes_under_its_own_name_and_makes_nobody_available() {
    let bench = Bench::new(config()).await;
    let talk = conversation(1, None);
    bench.store(1, &talk).await;
    bench.answer_commands(1);
    let token = bench.person(1, 1, Role::Agent);
    bench.make_bot(&token, "Greeter");
    let (mut client, _) = bench.sign_in(&token, &[]).await;
    client.send(&send(1, "k", &json!(talk.id))).await;
    client.until("ok").await;
    let records = bench.commands(1).await;
    assert!(
        matches!(records.as_slice(), [record] if matches!(&record.command, Command::SendMessage { author: Author::Bot { name }, .. } if name == "Greeter")),
        "{records:?}"
    );
    drop(client);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_cannot_be_is_refused_with_a_reason() {
    let bench = Bench::new(SocketConfig { command_timeout_ms: 30, ..config() }).await;
    let (mine, theirs) = (conversation(1, None), conversation(2, Some(user(9))));
    bench.store(1, &mine).await;
    bench.store(1, &theirs).await;
    bench.store(2, &conversation(3, None)).await;
    let (agent, analyst) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Analyst));
    let (mut agent, _) = bench.sign_in(&agent, &[]).await;
    let text = json!({"conversation_id": mine.id, "body": {"text": "x"}});
    for (frame, code) in [
        (send(1, "k", &json!(theirs.id)), "not_found"),
        (send(2, "k", &json!(conversation(3, None).id)), "not_found"),
        (json!({"op": "cmd", "id": 3, "k": "message.send", "d": text}), "idempotency_key_required"),
        (send(4, &"k".repeat(129), &json!(mine.id)), "invalid_value"),
        (json!({"op": "cmd", "id": 5, "key": "k", "k": "message.burn", "d": text}), "invalid_value"),
        (json!({"op": "cmd", "id": 6, "key": "k", "k": "message.send", "d": {}}), "invalid_value"),
        (send(7, "k", &json!(mine.id)), "outcome_unknown"),
    ] {
        agent.send(&frame).await;
        let refused = agent.until("err").await;
        assert_eq!((&refused["id"], refused["code"].as_str()), (&frame["id"], Some(code)), "{refused}");
        assert_eq!(refused["temp"], code == "outcome_unknown");
    }
    bench.log.set_fault(Some(MemoryFault::DiskFull));
    agent.send(&send(8, "k8", &json!(mine.id))).await;
    let refused = agent.until("err").await;
    assert_eq!((refused["code"].as_str(), refused["temp"].as_bool()), (Some("unavailable"), Some(true)));
    let (mut analyst, _) = bench.sign_in(&analyst, &[]).await;
    analyst.send(&send(9, "k9", &json!(mine.id))).await;
    assert_eq!(analyst.until("err").await["code"], "forbidden");
    assert_eq!(bench.wishes(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_reaches_those_who_may_see_the_conversation_and_is_never_stored() {
    let bench = Bench::new(config()).await;
    let talk = conversation(1, Some(user(1)));
    bench.store(1, &talk).await;
    let tokens = [(1, Role::Agent), (2, Role::Agent), (3, Role::Manager)].map(|(n, role)| bench.person(n, 1, role));
    let (mut typist, _) = bench.sign_in(&tokens[0], &["inbox"]).await;
    let (mut other, _) = bench.sign_in(&tokens[1], &["inbox"]).await;
    let (mut manager, _) = bench.sign_in(&tokens[2], &["inbox"]).await;
    for id in 1..=3 {
        let typing = json!({"op": "cmd", "id": id, "k": "typing", "d": {"conversation_id": talk.id}});
        typist.send(&typing).await;
        assert_eq!(typist.until("ok").await["id"], id);
    }
    typist.send(&json!({"op": "cmd", "id": 4, "k": "viewing", "d": {"conversation_id": talk.id}})).await;
    typist.until("ok").await;
    let frame = manager.next().await;
    assert_eq!((frame["op"].as_str(), frame["k"].as_str()), (Some("eph"), Some("typing")));
    assert_eq!((&frame["user_id"], frame["ttl"].as_u64()), (&json!(user(1)), Some(5_000)));
    // Three in a row are one.
    assert_eq!(manager.next().await["k"], "viewing");
    bench.publish_message(1, &conversation(2, None), 1).await;
    assert_eq!(other.next().await["op"], "ev");
    assert_eq!(typist.next().await["op"], "ev");
    assert_eq!(bench.wishes(1).await, []);
}

fn presence_of(records: &[schemas::command::CommandRecord], whose: UserId) -> Vec<bool> {
    let changes = records.iter().filter_map(|record| match record.command {
        Command::SetPresence { user_id, connected, .. } if user_id == whose => connected,
        _ => None,
    });
    changes.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_counts_tabs_and_survives_a_reconnect() {
    let bench = Bench::new(SocketConfig { presence_grace_ms: 3_000, ..config() }).await;
    let (token, other) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Agent));
    let (first, _) = bench.sign_in(&token, &[]).await;
    let (second, _) = bench.sign_in(&token, &[]).await;
    drop(first);
    drop(second);
    let (back, _) = bench.sign_in(&token, &[]).await;
    let (gone, _) = bench.sign_in(&other, &[]).await;
    // Who is gone before it was recorded is only recorded as gone.
    bench.eventually("the other is online", async || presence_of(&bench.commands(1).await, user(2)) == [true]).await;
    drop(gone);
    bench
        .eventually("the other is offline", async || presence_of(&bench.commands(1).await, user(2)) == [true, false])
        .await;
    assert_eq!(presence_of(&bench.commands(1).await, user(1)), [true]);
    drop(back);
    bench.eventually("all are forgotten", async || bench.realtime.holdings().people == 0).await;
    // Somebody is forgotten a moment before it stands in the log.
    bench.eventually("all are offline", async || presence_of(&bench.commands(1).await, user(1)) == [true, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_whom_a_crash_left_connected_are_recorded_as_gone() {
    let tables = Arc::new(MemoryTables::new());
    let mut batch = Batch::default();
    let all = Key::of([Cell::from("all")]).at([Cell::from(workspace(1))]);
    batch.put(WORKSPACE_IDS, Row::new(all));
    for (n, connected) in [(1, true), (2, true), (3, false)] {
        let agent = Agent {
            user_id: user(n),
            name: format!("Agent {n}"),
            role: Role::Agent,
            active: true,
            capacity: 5,
            availability: Availability::Online,
            connected,
            gateways: BTreeSet::new(),
            open_conversations: 0,
            last_assigned: 0,
        };
        let key = Key::of([Cell::from(workspace(1))]).at([Cell::from(user(n))]);
        batch.put(AGENTS, Row::new(key).with_body(&agent).unwrap());
    }
    tables.write(batch, Sync::Later).await.unwrap();
    let config = SocketConfig { presence_grace_ms: 500, ..config() };
    let bench = Bench::with(Arc::new(MemoryLog::new(1)), tables, config, None).await;
    let token = bench.person(2, 1, Role::Agent);
    let (mut client, _) = bench.sign_in(&token, &["presence"]).await;
    let snapshot = client.until("presence").await;
    assert_eq!(snapshot["d"].as_array().unwrap().len(), 3);
    bench.eventually("one is gone", async || presence_of(&bench.commands(1).await, user(1)) == [false]).await;
    assert!(!presence_of(&bench.commands(1).await, user(2)).contains(&false));
    assert_eq!(presence_of(&bench.commands(1).await, user(3)), Vec::<bool>::new());
}

/// Boards that tests change.
#[derive(Debug)]
struct MadeUpBoards {
    board: watch::Sender<Value>,
    subscriptions: Mutex<u32>,
}

impl BoardSource for MadeUpBoards {
    fn subscribe(&self, _workspace_id: WorkspaceId) -> Box<dyn BoardFeed> {
        *self.subscriptions.lock().unwrap() += 1;
        Box::new(WatchFeed::new(self.board.subscribe()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_is_fed_once_for_all_who_watch_and_only_while_somebody_does() {
    let boards =
        Arc::new(MadeUpBoards { board: watch::Sender::new(json!({"revision": 1})), subscriptions: Mutex::new(0) });
    let bench = Bench::over(Arc::new(MemoryLog::new(1)), config(), Some(Arc::clone(&boards) as _)).await;
    let token = bench.person(1, 1, Role::Analyst);
    let (mut first, _) = bench.sign_in(&token, &["kpis"]).await;
    assert_eq!(first.until("kpi").await["d"]["revision"], 1);
    let (mut second, _) = bench.sign_in(&token, &[]).await;
    second.send(&json!({"op": "sub", "id": 2, "topic": "kpis"})).await;
    assert_eq!(second.until("kpi").await["d"]["revision"], 1);
    boards.board.send_replace(json!({"revision": 2}));
    for client in [&mut first, &mut second] {
        while client.until("kpi").await["d"]["revision"] != 2 {}
    }
    assert_eq!(*boards.subscriptions.lock().unwrap(), 1);
    assert_eq!(bench.realtime.holdings().boards, 1);
    drop((first, second));
    bench.is_left_empty().await;
    bench.eventually("the feed is dropped", async || boards.board.receiver_count() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_waits_for_outcomes_by_the_same_door() {
    let bench = Bench::new(config()).await;
    bench.answer_commands(1);
    let commands = ingest::commands::Commands::new(Arc::clone(&bench.log) as _, Arc::clone(&bench.clock) as _);
    let wish = Command::MarkRead { conversation_id: conversation(1, None).id, user_id: user(1), seq: 1 };
    let mut record = commands.record(workspace(1), Actor::User { user_id: user(1) }, wish);
    record.wants_outcome = true;
    let outcome = bench.realtime.outcomes().register(record.id);
    commands.append(&record).await.unwrap();
    let settled = outcome.within(Duration::from_mins(1)).await.unwrap();
    assert_eq!(settled.outcome, schemas::event::Outcome::Applied);
    assert_eq!(bench.realtime.outcomes().waiting(), 0);
}
