//! `kill -9` of the real binary under load: what was acknowledged is there once, whatever was going on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::app::{ACCOUNT, AUTH_TOKEN, NUMBER, message, sign};
use super::cli::{json_of, saler};

/// What webhooks are signed for; where the hub listens changes with every start.
const PUBLIC_URL: &str = "https://hub.example.test";
const KILLS: u64 = 8;
const SENDERS: u64 = 8;

struct Hub {
    child: Child,
    base_url: String,
}

impl Hub {
    /// Starts the hub and waits until it says where it listens.
    async fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_saler"))
            .arg("serve")
            .env("SALER_DATA__DIR", data)
            .env("SALER_HTTP__LISTEN", "127.0.0.1:0")
            .env("SALER_HTTP__PUBLIC_URL", PUBLIC_URL)
            .env("SALER_LOG__MIN_FREE_MB", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (lines, mut said) = mpsc::channel(1_000);
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        tokio::spawn(forward(BufReader::new(out), lines.clone()));
        tokio::spawn(forward(BufReader::new(err), lines));
        loop {
            let line = said.recv().await.expect("the hub says where it listens before it ends");
            if let Some((_, rest)) = line.split_once("the hub is listening address=") {
                let address = rest.split_whitespace().next().unwrap();
                let base_url = format!("http://{address}");
                // What it says later is of no interest, but somebody must read it.
                tokio::spawn(async move { while said.recv().await.is_some() {} });
                return Self { child, base_url };
            }
        }
    }

    /// Waits until what was acknowledged before is applied.
    async fn is_ready(&self) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let waiting = async {
            let mut look = tokio::time::interval(Duration::from_millis(10));
            while client.get(format!("{}/readyz", self.base_url)).send().await.unwrap().status() != 200 {
                look.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the hub catches up");
    }
}

async fn forward(mut reader: impl tokio::io::AsyncBufRead + Unpin, lines: mpsc::Sender<String>) {
    let mut line = String::new();
    while reader.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        if lines.send(std::mem::take(&mut line)).await.is_err() {
            return;
        }
    }
}

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

/// Makes the workspace; returns the channel's id and an API token.
fn set_up(data: &Path) -> (String, String) {
    let run = |arguments: &[&str], input: &str| json_of(&saler(data, arguments, input));
    let workspace = run(&["workspace", "create", "--name", "Kill"], "");
    let id = workspace["id"].as_str().unwrap();
    let email = ["--workspace", id, "--email", "owner@kill.test"];
    run(&[&["user", "create", "--name", "Owner", "--role", "owner"][..], &email].concat(), "");
    let token = run(&[&["token", "create", "--name", "kill", "--role", "owner"][..], &email].concat(), "");
    let channel = [
        "channel",
        "create",
        "--workspace",
        id,
        "--name",
        "SMS",
        "--provider",
        "twilio",
        "--medium",
        "sms",
        "--address",
        NUMBER,
        "--account-sid",
        ACCOUNT,
        "--auth-token-stdin",
    ];
    let channel = run(&channel, AUTH_TOKEN);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&channel["channel"]["id"]), text(&token["secret"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (channel, token) = set_up(&data);
    let path = format!("/webhooks/twilio/{channel}");
    let next_sid = Arc::new(AtomicU64::new(1));
    let mut promised = BTreeSet::new();
    for round in 0..KILLS {
        let mut hub = Hub::start(&data).await;
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

    let hub = Hub::start(&data).await;
    hub.is_ready().await;
    let mut times_seen: BTreeMap<String, u32> = BTreeMap::new();
    let conversations = all(&hub.base_url, &token, "/api/v1/conversations?status=open&assignee=all&limit=100").await;
    assert_eq!(conversations.len() as u64, SENDERS, "one conversation for each customer");
    for conversation in conversations {
        let id = conversation["id"].as_str().unwrap();
        let messages = all(&hub.base_url, &token, &format!("/api/v1/conversations/{id}/messages?limit=100")).await;
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
}
