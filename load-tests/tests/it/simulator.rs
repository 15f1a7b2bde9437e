//! The simulator over real HTTP, seen from both of its sides: as the provider's API, and as what posts webhooks.

use std::time::Duration;

use load_tests::simulator::{CallbackPlan, Config, Fault, FaultRule, Simulator};
use load_tests::twilio::{Extra, Inbound, decode_form, param, signature};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SID: &str = "ACde0000000000000000000000000000de";
const TOKEN: &str = "demo0123456789abcdef0123456789ab";

struct Provider {
    simulator: Simulator,
    client: reqwest::Client,
}

/// A webhook as a hub got it.
struct Webhook {
    signature: String,
    params: Vec<(String, String)>,
}

impl Provider {
    async fn start() -> Self {
        let config = Config { callbacks: CallbackPlan::prompt(), ..Config::single(SID, TOKEN) };
        Self { simulator: Simulator::start(config).await.unwrap(), client: reqwest::Client::new() }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/2010-04-01/Accounts/{SID}/{rest}", self.simulator.api_base())
    }

    async fn try_send(&self, fields: &[(&str, &str)]) -> reqwest::Result<reqwest::Response> {
        self.client.post(self.url("Messages.json")).basic_auth(SID, Some(TOKEN)).form(fields).send().await
    }

    async fn send(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.try_send(fields).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, rest: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(self.url(rest)).basic_auth(SID, Some(TOKEN)).query(query);
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// A hub that answers every webhook with 200 and hands it on.
async fn hub() -> (String, mpsc::Receiver<Webhook>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (webhooks, received) = mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let webhooks = webhooks.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while stream.read_buf(&mut request).await.unwrap() > 0 {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let header = |name: &str| {
                        head.lines()
                            .find_map(|line| {
                                line.to_lowercase().starts_with(name).then(|| line.split_once(": ").unwrap().1)
                            })
                            .unwrap()
                            .to_owned()
                    };
                    if body.len() < header("content-length").parse::<usize>().unwrap() {
                        continue;
                    }
                    let signature = header("x-twilio-signature");
                    webhooks.send(Webhook { signature, params: decode_form(body.as_bytes()) }).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    request.clear();
                }
            });
        }
    });
    (base, received)
}

#[tokio::test]
async fn takes_a_message_and_reports_its_way_with_signed_callbacks() {
    let provider = Provider::start().await;
    let (base, mut webhooks) = hub().await;
    let callback = format!("{base}/webhooks/twilio/x?status=1");
    let (status, message) = provider
        .send(&[
            ("To", "whatsapp:+966501234567"),
            ("From", "whatsapp:+14155238886"),
            ("Body", "أهلاً 👋"),
            ("StatusCallback", &callback),
        ])
        .await;
    assert_eq!(status, 201);
    assert_eq!(message["status"], "queued");
    assert_eq!(message["num_segments"], "1");
    assert_eq!(message["direction"], "outbound-api");
    for expected in ["sent", "delivered", "read"] {
        let webhook = webhooks.recv().await.unwrap();
        assert_eq!(webhook.signature, signature(TOKEN, &callback, &webhook.params));
        assert_eq!(param(&webhook.params, "MessageStatus"), Some(expected));
        assert_eq!(param(&webhook.params, "MessageSid"), message["sid"].as_str());
        assert_eq!(param(&webhook.params, "ChannelToAddress"), Some("+966501234567"));
    }
    let sid = message["sid"].as_str().unwrap();
    assert_eq!(provider.get(&format!("Messages/{sid}.json"), &[]).await["status"], "read");
}

#[tokio::test]
async fn refuses_a_wrong_token_and_what_twilio_would_not_take() {
    let provider = Provider::start().await;
    let wrong =
        provider.client.post(provider.url("Messages.json")).basic_auth(SID, Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert_eq!(wrong.json::<Value>().await.unwrap()["code"], 20_003);
    let long = "x".repeat(1_601);
    for (fields, code) in [
        (vec![("From", "+14155550100"), ("Body", "x")], 21_604),
        (vec![("To", "966"), ("From", "+14155550100"), ("Body", "x")], 21_211),
        (vec![("To", "+966501234567"), ("Body", "x")], 21_603),
        (vec![("To", "+966501234567"), ("From", "+14155550100")], 21_602),
        (vec![("To", "+966501234567"), ("From", "+14155550100"), ("Body", long.as_str())], 21_617),
        (vec![("To", "+15005550004"), ("From", "+14155550100"), ("Body", "x")], 21_610),
    ] {
        let (status, error) = provider.send(&fields).await;
        assert_eq!((status, error["code"].as_u64().unwrap()), (400, code));
    }
    assert_eq!(provider.simulator.stats().taken, 0);
}

#[tokio::test]
async fn lists_messages_by_address_and_day_in_pages() {
    let provider = Provider::start().await;
    for i in 0..5 {
        let to = if i == 0 { "+966500000000" } else { "+966501234567" };
        provider.send(&[("To", to), ("From", "+14155550100"), ("Body", &format!("message {i}"))]).await;
    }
    let query = [("To", "+966501234567"), ("DateSent>", "2020-01-01"), ("PageSize", "3")];
    let first = provider.get("Messages.json", &query).await;
    let bodies: Vec<_> = first["messages"].as_array().unwrap().iter().map(|message| message["body"].clone()).collect();
    assert_eq!(bodies, ["message 4", "message 3", "message 2"]);
    let next = first["next_page_uri"].as_str().unwrap();
    let url = format!("{}{next}", provider.simulator.api_base());
    let request = provider.client.get(url).basic_auth(SID, Some(TOKEN));
    let second: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(second["messages"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_page_uri"], Value::Null);
    let none = provider.get("Messages.json", &[("DateSent<", "2020-01-01")]).await;
    assert_eq!(none["messages"], json!([]));
}

#[tokio::test]
async fn goes_wrong_on_demand() {
    let provider = Provider::start().await;
    let send = [("To", "+966501234567"), ("From", "+14155550100"), ("Body", "hello")];
    let once = |fault| FaultRule { times: Some(1), ..FaultRule::always(fault) };

    provider.simulator.add_fault(once(Fault::RateLimited { retry_after_seconds: 7 }));
    let limited = provider.try_send(&send).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(provider.simulator.stats().taken, 0);

    provider.simulator.add_fault(once(Fault::DropBeforeAccepting));
    assert!(provider.try_send(&send).await.is_err());
    assert_eq!(provider.simulator.stats().taken, 0);

    provider.simulator.add_fault(once(Fault::DropAfterAccepting));
    assert!(provider.try_send(&send).await.is_err());
    assert_eq!(provider.simulator.stats().taken, 1);

    provider.simulator.add_fault(once(Fault::ErrorAfterAccepting));
    assert_eq!(provider.send(&send).await.0, 500);
    assert_eq!(provider.simulator.stats().taken, 2);
    assert_eq!(provider.send(&send).await.0, 201);

    // The same by the switch that another process would use.
    let faults = format!("{}/simulator/faults", provider.simulator.api_base());
    let rule = json!({ "fault": { "type": "reject", "code": 21_611 }, "body_contains": "hello", "times": 1 });
    assert_eq!(provider.client.post(&faults).json(&rule).send().await.unwrap().status(), 204);
    assert_eq!(provider.send(&send).await.1["code"], 21_611);
    let bad = provider.client.post(&faults).json(&json!({ "fault": "x" })).send().await.unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let provider = Provider::start().await;
    let send = [("To", "+966501234567"), ("From", "+14155550100"), ("Body", "hello")];
    assert_eq!(provider.send(&send).await.0, 201);
    provider.simulator.begin_outage(Duration::from_millis(300));
    let mut refused = 0;
    loop {
        match provider.try_send(&send).await {
            Err(_) => refused += 1,
            Ok(answer) if refused > 0 => {
                assert_eq!(answer.status(), 201);
                break;
            }
            // The outage has not begun yet.
            Ok(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn posts_signed_messages_of_customers() {
    let provider = Provider::start().await;
    let (base, mut webhooks) = hub().await;
    let url = format!("{base}/webhooks/twilio/y");
    let extra = Extra::Media { url: provider.simulator.picture_url(SID), content_type: "image/png".into() };
    let inbound = Inbound {
        account_sid: SID,
        message_sid: &provider.simulator.fresh_sid("MM"),
        from: "+966501234567",
        to: "+14155550100",
        whatsapp: true,
        profile_name: "سارة",
        body: "صورة",
        extra: &extra,
    };
    assert_eq!(provider.simulator.post_inbound(&url, &inbound).await.unwrap(), 200);
    let webhook = webhooks.recv().await.unwrap();
    assert_eq!(webhook.signature, signature(TOKEN, &url, &webhook.params));
    assert_eq!(param(&webhook.params, "ProfileName"), Some("سارة"));
    let picture = provider.client.get(param(&webhook.params, "MediaUrl0").unwrap()).send().await.unwrap();
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
}
