//! Coming back: from a cursor on without a gap and without a duplicate, or told that there is a gap.

use std::sync::Arc;

use schemas::workspace::Role;
use serde_json::{Value, json};
use storage::log::memory::MemoryLog;
use storage::log::{Log, Topic};

use crate::socket_bench::{Bench, config, conversation, user};
use crate::ws_client::Received;

/// Goes on where `seen` ended.
fn resume(token: &str, cursor: &Value, seen: Option<&Value>) -> Value {
    let mut resume = json!({"cur": cursor});
    if let Some(p) = seen {
        resume["p"] = p.clone();
    }
    json!({"op": "auth", "id": 1, "token": token, "subs": ["inbox"], "caps": ["batch"], "resume": resume})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn being_kicked_again_and_again_while_events_flow_loses_nothing_and_doubles_nothing() {
    const EVENTS: u64 = 3_000;
    const CLIENTS: u64 = 8;
    let bench = Arc::new(Bench::new(config()).await);
    let tokens: Vec<_> = (1..=CLIENTS).map(|n| bench.person(n, 1, Role::Agent)).collect();
    let mut readers = tokio::task::JoinSet::new();
    for (n, token) in tokens.into_iter().enumerate() {
        let bench = Arc::clone(&bench);
        readers.spawn(async move {
            let (mut client, ready) = bench.sign_in(&token, &["inbox"]).await;
            let mut cursor = ready["cur"].clone();
            let (mut seen, mut last, mut resumes) = (Vec::new(), None, 0);
            while seen.last() != Some(&EVENTS) {
                let kicked = match client.receive().await {
                    Received::Object(frame) => match frame["op"].as_str().unwrap() {
                        "ev" => {
                            seen.push(frame["d"]["event"]["message"]["seq"].as_u64().unwrap());
                            last = Some(frame["p"].clone());
                            // Gone without a word, at moments that differ from client to client.
                            seen.len() % (37 + n) == 0
                        }
                        "hb" | "resumed" => {
                            cursor = frame["cur"].clone();
                            false
                        }
                        _ => false,
                    },
                    // Events come as fast as memory takes them; whoever falls behind is cut off, and comes back too.
                    Received::Close(4008) => true,
                    other => panic!("{other:?}"),
                };
                if kicked && seen.last() != Some(&EVENTS) {
                    let (next, ready) = bench.sign_in_with(resume(&token, &cursor, last.as_ref())).await;
                    assert_eq!(ready["resumed"], true, "{ready}");
                    client = next;
                    cursor = ready["cur"].clone();
                    resumes += 1;
                }
            }
            assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
            resumes
        });
    }
    bench.eventually("all are there", async || bench.realtime.holdings().members as u64 == CLIENTS).await;
    let talk = conversation(1, None);
    for seq in 1..=EVENTS {
        bench.publish_message(1, &talk, seq).await;
        if seq % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut resumes = 0;
    while let Some(done) = readers.join_next().await {
        resumes += done.unwrap();
    }
    assert!(resumes > 100, "only {resumes} resumes");
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_comes_before_what_is_new_and_is_announced() {
    let bench = Bench::new(config()).await;
    let token = bench.person(1, 1, Role::Agent);
    let (client, ready) = bench.sign_in(&token, &["inbox"]).await;
    drop(client);
    let (mut witness, _) = bench.sign_in(&bench.person(2, 1, Role::Agent), &["inbox"]).await;
    let hidden = conversation(1, Some(user(7)));
    for seq in 1..=5 {
        bench.publish_message(1, &hidden, seq).await;
        bench.publish_message(2, &conversation(3, None), seq).await;
        bench.publish_message(1, &conversation(2, None), seq).await;
    }
    for seq in 1..=5 {
        assert_eq!(witness.next().await["d"]["event"]["message"]["seq"], seq);
    }
    let (mut client, ready) = bench.sign_in_with(resume(&token, &ready["cur"], None)).await;
    assert_eq!((ready["resumed"].as_bool(), ready["replay"].as_u64()), (Some(true), Some(5)));
    for seq in 1..=5 {
        assert_eq!(client.next().await["d"]["event"]["message"]["seq"], seq);
    }
    let resumed = client.next().await;
    assert_eq!((resumed["op"].as_str(), resumed["n"].as_u64()), (Some("resumed"), Some(5)));
    bench.publish_message(1, &conversation(2, None), 6).await;
    assert_eq!(client.next().await["d"]["event"]["message"]["seq"], 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_survives_the_process_and_what_left_memory_is_read_from_the_log() {
    let log = Arc::new(MemoryLog::new(2));
    let cursor = {
        let bench = Bench::over(Arc::clone(&log), config(), None).await;
        let token = bench.person(1, 1, Role::Agent);
        let (_client, ready) = bench.sign_in(&token, &["inbox"]).await;
        for seq in 1..=1_500 {
            bench.publish_message(1, &conversation(1, None), seq).await;
        }
        ready["cur"].clone()
    };
    // A ring of some frames: nearly all comes from the log.
    let small = realtime_config(|config| config.ring_bytes = 20_000);
    let bench = Bench::over(log, small, None).await;
    let token = bench.person(1, 1, Role::Agent);
    let (cut_off, ready) = bench.sign_in_with(resume(&token, &cursor, None)).await;
    drop(cut_off);
    // Who was cut off before the first event begins again with the cursor of `ready`.
    let (mut client, ready) = bench.sign_in_with(resume(&token, &ready["cur"], None)).await;
    assert_eq!(ready["replay"], 1_500, "{ready}");
    for seq in 1..=1_500 {
        assert_eq!(client.until("ev").await["d"]["event"]["message"]["seq"], seq);
    }
}

fn realtime_config(change: impl FnOnce(&mut gateway::realtime::SocketConfig)) -> gateway::realtime::SocketConfig {
    let mut config = config();
    change(&mut config);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_cannot_be_served_is_a_gap_and_never_a_part() {
    let log = Arc::new(MemoryLog::new(1));
    let bench = Bench::over(
        Arc::clone(&log),
        realtime_config(|config| (config.ring_bytes, config.replay_events) = (5_000, 50)),
        None,
    )
    .await;
    let (token, stranger) = (bench.person(1, 1, Role::Agent), bench.person(2, 2, Role::Owner));
    let (_client, old) = bench.sign_in(&token, &["inbox"]).await;
    let (_other, foreign) = bench.sign_in(&stranger, &["inbox"]).await;
    for seq in 1..=100 {
        bench.publish_message(1, &conversation(1, None), seq).await;
    }
    let (_client, now) = bench.sign_in(&token, &["inbox"]).await;
    let gap = async |cursor: &Value, seen: Option<&Value>| {
        let (mut client, ready) = bench.sign_in_with(resume(&token, cursor, seen)).await;
        assert_eq!((ready["resumed"].as_bool(), ready["replay"].as_u64()), (Some(false), Some(0)), "{ready}");
        // Live all the same, from here on.
        bench.publish_message(1, &conversation(1, None), 7).await;
        assert_eq!(client.next().await["op"], "ev");
        ready["gap"].as_str().unwrap().to_owned()
    };
    assert_eq!(gap(&old["cur"], None).await, "too_far");
    assert_eq!(gap(&foreign["cur"], None).await, "cursor");
    assert_eq!(gap(&json!("AAAA"), None).await, "cursor");
    assert_eq!(gap(&now["cur"], Some(&json!([0, 1_000_000]))).await, "epoch");
    log.release(Topic::Events, 0, 95).await.unwrap();
    log.remove_released(Topic::Events, 0).unwrap();
    let near = Bench::over(Arc::clone(&log), realtime_config(|config| config.ring_bytes = 1_000), None).await;
    let token = near.person(1, 1, Role::Agent);
    let (_client, ready) = near.sign_in_with(resume(&token, &old["cur"], None)).await;
    assert_eq!(ready["gap"], "retention");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_count_and_carry_a_cursor_that_is_good() {
    let bench = Bench::new(realtime_config(|config| config.heartbeat_ms = 60)).await;
    let token = bench.person(1, 1, Role::Agent);
    let (mut client, _) = bench.sign_in(&token, &["inbox"]).await;
    let beat = loop {
        bench.publish_message(1, &conversation(1, None), 1).await;
        // Other workspaces move the cursor too.
        bench.publish_message(3, &conversation(1, None), 1).await;
        let beat = client.until("hb").await;
        client.send(&json!({"op": "hb", "n": client.counted})).await;
        if client.counted >= 3 {
            break beat;
        }
    };
    assert_eq!(beat["n"], client.counted);
    drop(client);
    // Only what the hub has read by then is a replay, so another socket tells when it has.
    let (mut witness, _) = bench.sign_in(&token, &["inbox"]).await;
    bench.publish_message(1, &conversation(1, None), 2).await;
    while witness.until("ev").await["d"]["event"]["message"]["seq"] != 2 {}
    let (mut client, ready) = bench.sign_in_with(resume(&token, &beat["cur"], None)).await;
    let replayed = ready["replay"].as_u64().unwrap();
    assert!(ready["resumed"] == true && replayed >= 1, "{ready}");
    for _ in 1..replayed {
        client.until("ev").await;
    }
    assert_eq!(client.until("ev").await["d"]["event"]["message"]["seq"], 2);
}
