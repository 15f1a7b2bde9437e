//! What reaches a socket: every event once and in order, to those who may see it and to nobody else.

use proptest::prelude::*;
use schemas::UserId;
use schemas::conversation::Conversation;
use schemas::event::{AssignmentReason, Event};
use schemas::workspace::{Availability, Role};
use serde_json::json;

use crate::socket_bench::{Bench, assigned, config, conversation, conversation_id, user, workspace};
use crate::ws_client::WsClient;

/// The numbers of the messages that come, up to this one.
async fn seqs(client: &mut WsClient, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        let event = client.until("ev").await;
        seen.push(event["d"]["event"]["message"]["seq"].as_u64().unwrap());
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_gets_every_event_once_in_order_and_as_it_stands_in_the_log() {
    const EVENTS: u64 = 300;
    let bench = Bench::new(config()).await;
    let talk = conversation(1, None);
    let mut clients = Vec::new();
    for n in 1..=6 {
        let token = bench.person(n, 1, Role::Agent);
        let caps = if n % 2 == 0 { json!(["batch"]) } else { json!([]) };
        let auth = json!({"op": "auth", "id": 9, "token": token, "subs": ["inbox"], "caps": caps});
        let (client, ready) = bench.sign_in_with(auth).await;
        assert_eq!((ready["id"].as_u64(), ready["resumed"].as_bool()), (Some(9), Some(false)));
        assert_eq!(ready["user_id"], json!(user(n)));
        clients.push(client);
    }
    for seq in 1..=EVENTS {
        bench.publish_message(1, &talk, seq).await;
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(seqs(client, EVENTS).await, (1..=EVENTS).collect::<Vec<_>>());
        assert!(n % 2 == 1 || client.largest_batch == 1);
    }
    let first = bench.publish_message(1, &talk, EVENTS + 1).await;
    let stored = bench.log.as_ref();
    let stored = storage::log::Log::read(
        stored,
        storage::log::Topic::Events,
        bench.partition(1),
        first,
        storage::log::ReadLimit::default(),
    );
    let stored: serde_json::Value = serde_json::from_slice(&stored.await.unwrap()[0].value).unwrap();
    let event = clients[0].until("ev").await;
    assert_eq!(event["d"], stored);
    assert_eq!(event["p"], json!([bench.partition(1), first]));
    drop(clients);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_sees_its_own_workspace_and_what_its_role_may_see() {
    let bench = Bench::new(config()).await;
    let (agent, other, manager, stranger) = (
        bench.person(1, 1, Role::Agent),
        bench.person(2, 1, Role::Agent),
        bench.person(3, 1, Role::Manager),
        bench.person(4, 2, Role::Owner),
    );
    let (mut agent, _) = bench.sign_in(&agent, &["inbox"]).await;
    let (mut other, _) = bench.sign_in(&other, &["inbox"]).await;
    let (mut manager, _) = bench.sign_in(&manager, &["inbox"]).await;
    let (mut stranger, _) = bench.sign_in(&stranger, &["inbox"]).await;

    let mine = conversation(1, Some(user(1)));
    bench.publish_message(1, &mine, 1).await;
    let mut nobodys = conversation(2, None);
    bench.publish_message(1, &nobodys, 2).await;
    nobodys.assignee = Some(user(1));
    bench.publish(1, vec![(assigned(None, Some(user(1))), Some(nobodys.clone()))]).await;
    nobodys.assignee = Some(user(2));
    bench.publish(1, vec![(assigned(Some(user(1)), Some(user(2))), Some(nobodys.clone()))]).await;
    bench.publish_message(1, &nobodys, 3).await;
    bench.publish_message(1, &conversation(3, None), 9).await;
    bench.publish_message(2, &conversation(4, None), 9).await;

    let kinds = async |client: &mut WsClient| {
        let mut seen = Vec::new();
        loop {
            let frame = client.next().await;
            let event = &frame["d"]["event"];
            let kind = event["type"].as_str().unwrap_or_default();
            seen.push(match (frame["op"].as_str(), kind) {
                (Some("gone"), _) => format!("gone {}", frame["conversation_id"] == json!(conversation_id(2))),
                (_, "message_added") => format!("message {}", event["message"]["seq"]),
                (_, kind) => kind.to_owned(),
            });
            if seen.last().unwrap() == "message 9" {
                return seen;
            }
        }
    };
    let change = "conversation_assigned";
    assert_eq!(kinds(&mut agent).await, ["message 1", "message 2", change, change, "message 9"]);
    assert_eq!(kinds(&mut other).await, ["message 2", "gone true", change, "message 3", "message 9"]);
    assert_eq!(kinds(&mut manager).await, ["message 1", "message 2", change, change, "message 3", "message 9"]);
    assert_eq!(kinds(&mut stranger).await, ["message 9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_choose_and_rights_still_decide() {
    let bench = Bench::new(config()).await;
    let (agent, analyst) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Analyst));
    let theirs = conversation(1, Some(user(9)));
    let mine = conversation(2, Some(user(1)));
    bench.store(1, &theirs).await;
    bench.store(1, &mine).await;

    let (mut agent, _) = bench.sign_in(&agent, &[]).await;
    for (id, topic, answer) in [
        (1, format!("conversation:{}", theirs.id), "not_found"),
        (2, format!("conversation:{}", conversation_id(99)), "not_found"),
        (3, "kpis".to_owned(), "forbidden"),
        (4, "everything".to_owned(), "invalid_value"),
        (5, format!("conversation:{}", mine.id), "ok"),
        (6, "presence".to_owned(), "ok"),
    ] {
        agent.send(&json!({"op": "sub", "id": id, "topic": topic})).await;
        let frame = loop {
            let frame = agent.next().await;
            if frame["op"] != "presence" {
                break frame;
            }
        };
        assert_eq!(frame["id"], id);
        assert_eq!(if frame["op"] == "ok" { "ok" } else { frame["code"].as_str().unwrap() }, answer, "{topic}");
    }
    let (mut analyst, _) = bench.sign_in(&analyst, &["inbox", "presence"]).await;
    assert_eq!(analyst.next().await["code"], "forbidden");

    bench.publish_message(1, &conversation(3, None), 1).await;
    bench.publish_message(1, &mine, 2).await;
    let presence = presence_of(Availability::Busy);
    bench.publish(1, vec![(presence, None)]).await;
    assert_eq!(agent.until("ev").await["d"]["event"]["message"]["seq"], 2);
    assert_eq!(agent.until("ev").await["d"]["event"]["availability"], "busy");
    assert_eq!(analyst.until("ev").await["d"]["event"]["availability"], "busy");

    agent.send(&json!({"op": "unsub", "id": 7, "topic": format!("conversation:{}", mine.id)})).await;
    assert_eq!(agent.until("ok").await["id"], 7);
    bench.publish_message(1, &mine, 3).await;
    let presence = presence_of(Availability::Away);
    bench.publish(1, vec![(presence, None)]).await;
    assert_eq!(agent.until("ev").await["d"]["event"]["availability"], "away");
}

fn presence_of(availability: Availability) -> Event {
    let gateways = std::collections::BTreeSet::new();
    Event::AgentPresenceChanged { user_id: user(9), availability, connected: true, gateways }
}

/// What a person gets of a history by the rules alone.
fn expected(history: &[(Event, Conversation)], person: UserId, role: Role) -> usize {
    let gets = |event: &Event, talk: &Conversation| match event {
        _ if talk.visible_to(person, role) => true,
        Event::ConversationAssigned { from, .. } => role == Role::Agent && (from.is_none() || *from == Some(person)),
        _ => false,
    };
    history.iter().filter(|(event, talk)| gets(event, talk)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// For every event and every person: the socket has it if and only if REST would show its conversation (or the
    /// person learns that it left their sight).
    #[test]
    fn sockets_show_what_rest_shows(steps in prop::collection::vec((1..4_u64, 0..4_u64, any::<bool>()), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(config()).await;
            let roles = [(1, Role::Agent), (2, Role::Agent), (3, Role::Manager), (4, Role::Agent)];
            let mut clients = Vec::new();
            for (n, role) in roles {
                let token = bench.person(n, 1, role);
                clients.push((n, role, bench.sign_in(&token, &["inbox"]).await.0));
            }
            let mut assignees = [None; 4];
            let mut history = Vec::new();
            for (seq, (which, whom, mentions)) in steps.into_iter().enumerate() {
                let place = usize::try_from(which).unwrap();
                let to = (whom > 0).then(|| user(whom));
                let mut talk = conversation(which, to);
                if mentions {
                    talk.participants.insert(user(4));
                }
                let event = if assignees[place] == to {
                    crate::socket_bench::added(&talk, seq as u64)
                } else {
                    Event::ConversationAssigned { from: assignees[place], to, reason: AssignmentReason::Asked }
                };
                assignees[place] = to;
                history.push((event, talk));
            }
            let end = conversation(1, None);
            history.push((crate::socket_bench::added(&end, 999), end));
            bench.publish(1, history.iter().map(|(event, talk)| (event.clone(), Some(talk.clone()))).collect()).await;
            for (n, role, client) in &mut clients {
                loop {
                    let frame = client.next().await;
                    let whose = frame["d"]["workspace_id"].as_str();
                    assert!(whose.is_none_or(|id| id == workspace(1).to_string()));
                    if frame["d"]["event"]["message"]["seq"] == 999 {
                        break;
                    }
                }
                assert_eq!(client.counted, expected(&history, user(*n), *role) as u64, "{role:?} {n}");
            }
        });
    }
}
