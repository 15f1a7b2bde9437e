//! How sockets end: every breach has its code, a slow reader harms nobody, and nothing is held for who has left.

use std::time::Duration;

use gateway::realtime::SocketConfig;
use schemas::workspace::Role;
use serde_json::json;

use crate::socket_bench::{Bench, ORIGIN, config, conversation};
use crate::ws_client::{Received, WsClient, frame};

fn changed(change: impl FnOnce(&mut SocketConfig)) -> SocketConfig {
    let mut config = config();
    change(&mut config);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_origins_may_upgrade_and_only_programs_come_without_one() {
    let bench = Bench::new(config()).await;
    for origin in [
        "null",
        "https://desk.example.evil",
        "https://evil-desk.example",
        "https://desk.example:444",
        "https://DESK.example",
        "http://desk.example",
        "https://desk.example/",
        "",
    ] {
        let refused = WsClient::open(bench.address, "/api/v1/socket", Some(origin)).await;
        assert_eq!(refused.err(), Some(403), "{origin}");
    }
    let (person, program) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Agent));
    bench.make_api_token(&program);
    for (token, answer) in [(person, Some(4403)), (program, None)] {
        let mut client = WsClient::open(bench.address, "/api/v1/socket", None).await.unwrap();
        client.send(&json!({"op": "auth", "token": token})).await;
        match answer {
            Some(code) => assert_eq!(client.close_code().await, code),
            None => drop(client.until("ready").await),
        }
    }
    let other = WsClient::open_with(bench.address, "/api/v1/socket", Some(ORIGIN), None, "chat.v9").await;
    assert_eq!(other.err(), Some(400));
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_sign_in_is_closed() {
    let bench = Bench::new(changed(|config| config.auth_timeout_ms = 80)).await;
    assert_eq!(bench.connect().await.close_code().await, 4003);
    let mut forged = bench.connect().await;
    forged.send(&json!({"op": "auth", "token": "forged"})).await;
    assert_eq!(forged.close_code().await, 4401);
    let mut early = bench.connect().await;
    early.send(&json!({"op": "sub", "id": 1, "topic": "inbox"})).await;
    assert_eq!(early.close_code().await, 4003);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_malformed_frame_has_its_code() {
    let bench = Bench::new(config()).await;
    let token = bench.person(1, 1, Role::Agent);
    let mut reserved = frame(true, 1, b"{}");
    reserved[0] |= 0x40;
    let mut unmasked = frame(true, 1, b"{}");
    unmasked[1] &= 0x7f;
    let deep = format!("{{\"op\":{}", "[".repeat(20_000));
    for (bytes, code) in [
        (frame(true, 1, b""), 4400),
        (frame(true, 1, b"not json"), 4400),
        (frame(true, 1, b"[]"), 4400),
        (frame(true, 1, b"{}"), 4400),
        (frame(true, 1, br#"{"op":7}"#), 4400),
        (frame(true, 1, br#"{"op":"sub"}"#), 4400),
        (frame(true, 1, br#"{"op":"ack","n":-1}"#), 4400),
        (frame(true, 1, br#"{"op":"auth"}"#), 4400),
        (frame(true, 1, deep.as_bytes()), 4400),
        (frame(true, 1, b"{\"op\":\"hb\"}\nrest"), 4400),
        (frame(true, 2, b"{}"), 4400),
        (frame(true, 1, &[0xc3, 0x28]), 1007),
        (reserved, 1002),
        (unmasked, 1002),
        (frame(true, 5, b""), 1002),
        (frame(true, 0, b"x"), 1002),
        (frame(true, 9, &[0; 126]), 1002),
        (frame(true, 1, &vec![b' '; 70_000]), 1009),
        (frame(true, 8, &[3, 232]), 1000),
    ] {
        let (mut client, _) = bench.sign_in(&token, &["inbox"]).await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.close_code().await, code, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
    }
    let (mut client, _) = bench.sign_in(&token, &["inbox"]).await;
    client.send(&json!({"op": "invented", "id": 5})).await;
    let refused = client.next().await;
    assert_eq!((refused["op"].as_str(), refused["id"].as_u64()), (Some("err"), Some(5)));
    client.send_bytes(&frame(true, 9, b"are you there")).await;
    assert_eq!(client.receive().await, Received::Pong(b"are you there".to_vec()));
    let halves = [frame(false, 1, br#"{"op":"sub","id":6"#), frame(true, 0, br#","topic":"inbox"}"#)].concat();
    client.send_bytes(&halves).await;
    assert_eq!(client.next().await["id"], 6);
    drop(client);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_is_cut_off_and_the_others_feel_nothing() {
    let bench = Bench::new(changed(|config| config.queue_age_ms = 200)).await;
    let (slow, quick) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Agent));
    let mut still =
        WsClient::open_with(bench.address, "/api/v1/socket", Some(ORIGIN), Some(4_096), "saler.v1").await.unwrap();
    still.send(&json!({"op": "auth", "id": 1, "token": slow, "subs": ["inbox"]})).await;
    still.until("ready").await;
    let (mut reader, _) = bench.sign_in(&quick, &["inbox"]).await;
    let mut large = conversation(1, None);
    large.contact_name = "n".repeat(4_000);
    let mut seq = 0;
    // Until the kernel's buffers are full and the queue is too; the reader reads all the while.
    while bench.realtime.holdings().members == 2 {
        seq += 1;
        assert!(seq < 5_000, "the slow reader is still there");
        bench.publish_message(1, &large, seq).await;
        assert_eq!(reader.until("ev").await["d"]["event"]["message"]["seq"], seq);
    }
    // The TCP connection itself is gone, though its client has not read a byte of what waited.
    bench.eventually("the connection is released", async || bench.realtime.connection_count() == 1).await;
    still.read_to_end().await;
    seq += 1;
    bench.publish_message(1, &large, seq).await;
    assert_eq!(reader.until("ev").await["d"]["event"]["message"]["seq"], seq);
    drop(reader);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_promised_acknowledgements_and_gives_none_is_slow() {
    let bench = Bench::new(changed(|config| config.ack_timeout_ms = 1)).await;
    let token = bench.person(1, 1, Role::Agent);
    let auth = json!({"op": "auth", "token": token, "subs": ["inbox"], "caps": ["ack"]});
    let (mut client, _) = bench.sign_in_with(auth).await;
    bench.publish_message(1, &conversation(1, None), 1).await;
    assert_eq!(client.close_code().await, 4008);
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_heartbeats_close_and_answers_keep_alive() {
    let bench = Bench::new(changed(|config| config.heartbeat_ms = 60)).await;
    let (silent, alive) = (bench.person(1, 1, Role::Agent), bench.person(2, 1, Role::Agent));
    let (mut alive, _) = bench.sign_in(&alive, &[]).await;
    let (mut silent, _) = bench.sign_in(&silent, &[]).await;
    let answering = async {
        for _ in 0..6 {
            alive.until("hb").await;
            alive.send(&json!({"op": "hb"})).await;
        }
    };
    let (code, ()) = tokio::join!(silent.close_code(), answering);
    assert_eq!(code, 4002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_socket_of_the_same_device_takes_the_place_and_people_have_so_many() {
    let bench = Bench::new(changed(|config| config.max_per_user = 2)).await;
    let token = bench.person(1, 1, Role::Agent);
    let auth = |device: &str| json!({"op": "auth", "token": token, "device": device});
    let (mut first, _) = bench.sign_in_with(auth("tab-1")).await;
    let (_second, _) = bench.sign_in_with(auth("tab-1")).await;
    assert_eq!(first.close_code().await, 4009);
    bench.eventually("the first left", async || bench.realtime.holdings().members == 1).await;
    let (_third, _) = bench.sign_in_with(auth("tab-2")).await;
    let mut fourth = bench.connect().await;
    fourth.send(&auth("tab-3")).await;
    assert_eq!(fourth.close_code().await, 4429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_end_end_the_socket_and_a_new_token_keeps_it() {
    let bench = Bench::new(config()).await;
    let tokens = [1, 2, 3, 4].map(|n| bench.person(n, 1, Role::Agent));
    let mut clients = Vec::new();
    for token in &tokens[..3] {
        clients.push(bench.sign_in(token, &["inbox"]).await.0);
    }
    bench.sign_out(&tokens[0]);
    assert_eq!(clients[0].close_code().await, 4401);
    bench.change(&tokens[1], |principal| principal.role = Role::Manager);
    assert_eq!(clients[1].close_code().await, 4403);

    // A socket looks at the clock when something comes; without anything, its timer would.
    let look = json!({"op": "hb"});
    bench.clock.advance(Duration::from_secs(3_600 - 30));
    clients[2].send(&look).await;
    assert!(clients[2].until("expiring").await["in_ms"].as_u64().unwrap() <= 30_000);
    bench.change(&tokens[2], |principal| principal.expires_at = principal.expires_at.after(Duration::from_hours(1)));
    clients[2].send(&json!({"op": "auth", "id": 8, "token": tokens[2]})).await;
    assert_eq!(clients[2].until("ok").await["id"], 8);
    let (mut ending, _) = bench.sign_in(&tokens[3], &["inbox"]).await;
    bench.clock.advance(Duration::from_mins(1));
    ending.send(&look).await;
    assert_eq!(ending.close_code().await, 4401);
    // The renewed one stands its next rechecks.
    let rechecks = bench.people.rechecks();
    bench.eventually("people are checked again", async || bench.people.rechecks() > rechecks + 2).await;
    clients[2].send(&look).await;
    bench.publish_message(1, &conversation(1, None), 1).await;
    assert_eq!(clients[2].until("ev").await["d"]["event"]["message"]["seq"], 1);
    // Somebody else's token is not a renewal.
    let other = bench.person(9, 1, Role::Agent);
    clients[2].send(&json!({"op": "auth", "id": 9, "token": other})).await;
    assert_eq!(clients[2].close_code().await, 4403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_frames_are_refused_and_then_closed() {
    let bench = Bench::new(changed(|config| config.frames_per_second = 5)).await;
    let token = bench.person(1, 1, Role::Agent);
    let (mut client, _) = bench.sign_in(&token, &[]).await;
    for id in 0..200 {
        client.send(&json!({"op": "unsub", "id": id, "topic": "inbox"})).await;
    }
    let refused = client.until("err").await;
    assert_eq!((refused["code"].as_str(), refused["temp"].as_bool()), (Some("rate_limited"), Some(true)));
    assert!(refused["after_ms"].as_u64().is_some());
    assert_eq!(client.close_code().await, 4029);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_down_tells_everybody_when_to_come_back() {
    let bench = Bench::new(config()).await;
    let token = bench.person(1, 1, Role::Agent);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(bench.sign_in(&token, &["inbox"]).await.0);
    }
    let watching = async {
        let mut moments = Vec::new();
        for client in &mut clients {
            moments.push(client.until("drain").await["after"].as_u64().unwrap());
            assert_eq!(client.close_code().await, 1012);
        }
        moments.sort_unstable();
        moments.dedup();
        assert!(moments.len() > 1 && moments.iter().all(|after| *after <= 5_000));
        clients.clear();
    };
    tokio::join!(bench.realtime.drain(), watching);
    let refused = WsClient::open(bench.address, "/api/v1/socket", Some(ORIGIN)).await;
    assert_eq!(refused.err(), Some(503));
    bench.is_left_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_in_the_middle_of_anything_leaves_nothing_behind() {
    let bench = Bench::new(config()).await;
    let talk = conversation(1, None);
    bench.store(1, &talk).await;
    let token = bench.person(1, 1, Role::Agent);
    for seq in 1..=200 {
        bench.publish_message(1, &talk, seq).await;
    }
    let (kept, ready) = bench.sign_in(&token, &["inbox"]).await;
    let auth = json!({"op": "auth", "token": token, "subs": ["inbox", "presence"], "resume": {"cur": ready["cur"]}});
    let subscribe = json!({"op": "sub", "id": 1, "topic": format!("conversation:{}", talk.id)});
    for n in 0..40 {
        let mut client = bench.connect().await;
        let whole =
            [frame(true, 1, auth.to_string().as_bytes()), frame(true, 1, subscribe.to_string().as_bytes())].concat();
        client.send_bytes(&whole[..(whole.len() * n / 39)]).await;
        drop(client);
    }
    drop(kept);
    bench.is_left_empty().await;
}
