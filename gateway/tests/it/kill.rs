//! `kill -9` of the real binary under load: what was acknowledged is there once, whatever was going on;
//! and the log derives again what the hub holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::app::{message, sign};
use super::cli::{json_of, saler};
use super::process::{Hub, PUBLIC_URL, Shop};

const KILLS: u64 = 8;
const SENDERS: u64 = 8;

/// Posts webhooks one after another until the hub is gone; tells of each that was acknowledged.
async fn post_until_killed(
    base_url: String,
    path: String,
    customer: u64,
    next_sid: Arc<AtomicU64>,
    acknowledged: mpsc::Sender<String>,
) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let from = format!("+96650000{customer:04}");
    loop {
        let sid = format!("SM{:032}", next_sid.fetch_add(1, Ordering::Relaxed));
        let form = message(&from, &sid, "هل وصل طلبي؟");
        let signature = sign(&format!("{PUBLIC_URL}{path}"), &form);
        let request = client.post(format!("{base_url}{path}")).header("X-Twilio-Signature", signature).form(&form);
        match request.send().await {
            Ok(answer) => assert_eq!(answer.status(), 200),
            Err(_gone) => return,
        }
        if acknowledged.send(sid).await.is_err() {
            return;
        }
    }
}

/// Every page of a list.
async fn all(base_url: &str, token: &str, path: &str) -> Vec<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = client.get(format!("{base_url}{path}{cursor}")).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        items.append(page["items"].as_array_mut().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let shop = Shop::open(&data, "http://127.0.0.1:9").await;
    let path = shop.webhook_path();
    let next_sid = Arc::new(AtomicU64::new(1));
    let mut promised = BTreeSet::new();
    for round in 0..KILLS {
        let mut hub = Hub::start(&data, &[]).await;
        let (acknowledged, mut heard) = mpsc::channel(10_000);
        let senders: Vec<_> = (0..SENDERS)
            .map(|customer| {
                let (url, path) = (hub.base_url.clone(), path.clone());
                tokio::spawn(post_until_killed(url, path, customer, next_sid.clone(), acknowledged.clone()))
            })
            .collect();
        drop(acknowledged);
        // Each round dies after another number of acknowledgements, so at another moment of the hub's work.
        for _ in 0..=(round * 37 % 101) {
            promised.insert(heard.recv().await.unwrap());
        }
        hub.child.kill().await.unwrap();
        while let Some(sid) = heard.recv().await {
            promised.insert(sid);
        }
        for sender in senders {
            sender.await.unwrap();
        }
    }
    assert!(promised.len() > 100, "{} webhooks were acknowledged", promised.len());

    let hub = Hub::start(&data, &[]).await;
    hub.is_ready().await;
    let mut times_seen: BTreeMap<String, u32> = BTreeMap::new();
    let conversations =
        all(&hub.base_url, &shop.token, "/api/v1/conversations?status=open&assignee=all&limit=100").await;
    assert_eq!(conversations.len() as u64, SENDERS, "one conversation for each customer");
    for conversation in conversations {
        let id = conversation["id"].as_str().unwrap();
        let messages = all(&hub.base_url, &shop.token, &format!("/api/v1/conversations/{id}/messages?limit=100")).await;
        let mut seqs: Vec<_> = messages.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=messages.len() as u64).collect::<Vec<_>>(), "without holes");
        assert_eq!(conversation["inbound_count"], messages.len());
        for message in messages {
            *times_seen.entry(message["external_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    let lost: Vec<_> = promised.iter().filter(|sid| !times_seen.contains_key(*sid)).collect();
    let doubled: Vec<_> = times_seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");

    hub.terminate();
    let (status, said) = hub.ended().await;
    assert!(status.success(), "{said}");
    let into = dir.path().join("replayed");
    let replayed = json_of(&saler(&data, &["log", "replay", "--into", into.to_str().unwrap()], ""));
    assert!(replayed["commands"].as_u64().unwrap() >= promised.len() as u64, "{replayed}");
    assert_eq!((&replayed["same"], &replayed["tables_compared"]), (&json!(true), &json!(true)), "{replayed}");
}
