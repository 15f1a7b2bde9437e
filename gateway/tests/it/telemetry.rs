//! What the process tells of itself: logs without what people say or keep secret, metrics with their meaning, and an end
//! in time.

use std::path::Path;
use std::time::Duration;

use gateway::telemetry::{METRICS, MetricKind};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::{ACCOUNT, AUTH_TOKEN, NUMBER, answer, message};
use super::process::{Hub, Shop};
use super::ws_client::{Received, WsClient};

/// A hub that is asked to stop ends in ten seconds; a busy machine of tests is given twice that.
const STOP_WITHIN: Duration = Duration::from_secs(20);
const METRICS_TOKEN: &str = "canary-metrics-token-0123456789-abcdef";
const CUSTOMER: &str = "+15005559876";

/// What must not be found in logs or metrics, whoever said it and wherever it went in.
const CANARIES: [&str; 9] = [
    "canary-question",
    "canary-unreadable",
    "canary-answer",
    "canary-wrong-password",
    "canary-contact@customer.test",
    "canary-sql",
    "canary-query-string",
    "canary-profile",
    "5005559876",
];

async fn question(hub: &Hub, shop: &Shop) -> Value {
    let mut form = message(CUSTOMER, "SM00000000000000000000000000000abc", "canary-question").to_vec();
    form.push(("ProfileName", "canary-profile"));
    hub.webhook(shop, &form).await.expect(200);
    hub.until("the conversation", async || {
        let page = hub.get(shop, "/conversations").await;
        page["items"].as_array().unwrap().first().cloned()
    })
    .await
}

/// Sends a canary in at every door.
async fn say_everything(hub: &Hub, shop: &Shop) {
    let conversation = question(hub, shop).await;
    let unreadable = [("AccountSid", ACCOUNT), ("To", NUMBER), ("Text", "canary-unreadable"), ("Sender", CUSTOMER)];
    hub.webhook(shop, &unreadable).await.expect(200);
    let forged = hub.client.post(format!("{}{}", hub.base_url, shop.webhook_path()));
    let forged =
        forged.header("X-Twilio-Signature", "canary-query-string").form(&message(CUSTOMER, "SM1", "canary-answer"));
    answer(forged).await.expect(403);
    for (password, status) in [(shop.password.as_str(), 200), ("canary-wrong-password", 401)] {
        let body = json!({ "email": shop.email, "password": password });
        let request = hub.client.post(format!("{}/api/v1/auth/sign-in", hub.base_url)).json(&body);
        answer(request).await.expect(status);
    }
    let path = format!("/conversations/{}/messages", conversation["id"].as_str().unwrap());
    let request = hub.client.post(format!("{}/api/v1{path}", hub.base_url)).bearer_auth(&shop.token);
    let body = json!({ "body": { "text": "canary-answer" } });
    // Nobody listens where the channel's provider should be.
    answer(request.header("Idempotency-Key", "k1").json(&body)).await.expect(201);
    let contact = format!("/contacts/{}", conversation["contact_id"].as_str().unwrap());
    let email = json!({ "email": "canary-contact@customer.test" });
    hub.call(shop, Method::PATCH, &contact, Some(&email)).await.expect(200);
    for (sql, status) in [("select 'canary-sql' as x from messages", 200), ("drop table canary-sql", 422)] {
        hub.call(shop, Method::POST, "/sql", Some(&json!({ "sql": sql }))).await.expect(status);
    }
    hub.call(shop, Method::GET, "/conversations?cursor=canary-query-string", None).await.expect(422);
    hub.call(shop, Method::GET, "/canary-query-string?token=canary-query-string", None).await.expect(404);
    hub.until("the call to the provider", async || {
        let page = hub.get(shop, &path).await;
        page["items"].as_array().unwrap().iter().any(|message| message["attempts"] != 0).then_some(())
    })
    .await;
}

async fn metrics(hub: &Hub, bearer: Option<&str>) -> (u16, String) {
    let mut request = hub.client.get(format!("{}/metrics", hub.base_url));
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn has_none_of(text: &str, secrets: &[&str]) {
    for secret in CANARIES.iter().chain(secrets) {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} stands in {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_metrics_hold_nothing_of_people_and_a_signal_ends_the_hub_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(&dir.path().join("data"), "http://127.0.0.1:9").await;
    // At the level at which the hub says most of itself.
    let level = "info,gateway=trace,ingest=trace,storage=trace,analytics=trace";
    let settings = [
        ("SALER_HTTP__METRICS_TOKEN", METRICS_TOKEN),
        ("SALER_TELEMETRY__LEVEL", level),
        // Two seconds less than usual, so that a machine that is busy with other tests keeps the promise too.
        ("SALER_HTTP__SHUTDOWN_TIMEOUT_S", "6"),
    ];
    let hub = Hub::start(&shop.data, &settings).await;
    hub.is_ready().await;
    let mut socket = WsClient::open(hub.address(), "/api/v1/socket", None).await.unwrap();
    socket.send(&json!({ "op": "auth", "id": 1, "token": shop.token, "subs": ["inbox", "kpis"] })).await;
    assert_eq!(socket.until("ready").await["id"], 1);
    say_everything(&hub, &shop).await;

    let (status, text) = metrics(&hub, Some(METRICS_TOKEN)).await;
    assert_eq!(status, 200);
    assert_eq!((metrics(&hub, None).await.0, metrics(&hub, Some("wrong")).await.0), (404, 404));
    for name in
        ["saler_webhooks_total", "saler_engine_lag_commands", "saler_http_responses_total", "saler_socket_connections"]
    {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} in {text}");
    }
    for typed in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(text.contains(&format!("# HELP {typed} ")), "{typed} has no help");
    }
    let secrets = [shop.token.as_str(), &shop.password, AUTH_TOKEN, METRICS_TOKEN, shop.email];
    has_none_of(&text, &secrets);

    // A socket whose client stays, and a request whose body never ends.
    let mut half = TcpStream::connect(hub.address()).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nFrom=", shop.webhook_path());
    half.write_all(head.as_bytes()).await.unwrap();
    let began = tokio::time::Instant::now();
    hub.terminate();
    let mut told = false;
    let closed = loop {
        match socket.receive().await {
            Received::Object(frame) => told |= frame["op"] == "drain",
            Received::Close(code) => break code,
            other => panic!("a close frame was expected, not {other:?}"),
        }
    };
    assert_eq!((told, closed), (true, 1012), "the socket is told when to come back");
    let (status, said) = hub.ended().await;
    let took = began.elapsed();
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}: {said}");
    let mut rest = Vec::new();
    drop(half.read_to_end(&mut rest).await);

    for expected in ["the hub is listening", "a webhook was refused", "was set aside", "the hub has stopped"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    has_none_of(&said, &secrets);
}

/// The sources below a folder, but for the list itself.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("telemetry.rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_metric_of_the_sources_is_described_and_no_other() {
    let mut text = String::new();
    for part in ["gateway", "ingest", "storage", "analytics"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part).join("src"), &mut text);
    }
    for (kind, word) in
        [(MetricKind::Counter, "counter"), (MetricKind::Gauge, "gauge"), (MetricKind::Histogram, "histogram")]
    {
        for call in text.split(&format!("metrics::{word}!(")).skip(1) {
            // A name that is a variable is written out near by, and found below.
            let Some(name) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            let described = METRICS.iter().any(|(what, known, _)| *what == kind && *known == name);
            assert!(described, "describe the {word} {name} in gateway/src/telemetry.rs");
        }
    }
    for (_, name, says) in METRICS {
        assert!(text.contains(&format!("\"{name}\"")) && !says.is_empty(), "nothing counts {name}");
    }
}
