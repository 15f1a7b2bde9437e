//! One conversation all the way through one hub of the real binary: a signed webhook, the socket, the answer, the
//! provider, its status callbacks, the numbers, SQL and CSV; and at the end the log derives all of it again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{ACCOUNT, AUTH_TOKEN, NUMBER, answer, message};
use super::cli::{json_of, saler};
use super::fake_twilio::FakeTwilio;
use super::process::{Hub, PUBLIC_URL, Shop};
use super::ws_client::WsClient;

const CUSTOMER: &str = "+966500001234";
const QUESTION: &str = "مرحبا، أين طلبي؟";
const ANSWER: &str = "On its way, \"today\"!";
/// Which message has which status, as a data team asks.
const DELIVERED: &str = "select m.text, s.status from messages m join message_statuses s on m.message_id = s.message_id \
                         where s.status = 'delivered'";

/// A colleague's socket: events in order, and the last board that was pushed.
struct Desk {
    socket: WsClient,
    board: Value,
}

impl Desk {
    async fn sign_in(hub: &Hub, shop: &Shop) -> Self {
        let mut socket = WsClient::open(hub.address(), "/api/v1/socket", None).await.unwrap();
        assert_eq!(socket.next().await["op"], "hello");
        socket.send(&json!({ "op": "auth", "id": 1, "token": shop.token, "subs": ["inbox", "kpis"] })).await;
        let mut desk = Self { socket, board: Value::Null };
        assert_eq!(desk.until(|frame| frame["id"] == 1).await["op"], "ready");
        desk
    }

    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.socket.next().await;
            if frame["op"] == "kpi" {
                self.board = frame["d"].clone();
            }
            if fits(&frame) {
                return frame;
            }
        }
    }

    /// The next event of this type for which this field of it has this value.
    async fn event(&mut self, kind: &str, field: &str, value: &str) -> Value {
        let frame = self.until(|frame| {
            let event = &frame["d"]["event"];
            frame["op"] == "ev" && event["type"] == kind && event.pointer(field).is_some_and(|found| found == value)
        });
        frame.await["d"].clone()
    }

    /// Waits for a push of the board that shows these numbers.
    async fn board(&mut self, wanted: &[(&str, f64)]) {
        while !shows(&self.board, wanted) {
            self.until(|frame| frame["op"] == "kpi").await;
        }
    }

    /// Wishes something; the answer.
    async fn wish(&mut self, id: u64, kind: &str, d: &Value) -> Value {
        self.socket.send(&json!({ "op": "cmd", "id": id, "key": format!("key-{id}"), "k": kind, "d": d })).await;
        self.until(|frame| frame["id"] == id).await
    }
}

/// The whole workspace's numbers on a board.
fn numbers(board: &Value) -> BTreeMap<String, f64> {
    let values = board["values"].as_array().cloned().unwrap_or_default();
    let whole = values.iter().filter(|value| value["channel_id"].is_null() && value["agent_id"].is_null());
    whole.filter_map(|value| Some((value["kpi"].as_str()?.to_owned(), value["value"].as_f64()?))).collect()
}

fn shows(board: &Value, wanted: &[(&str, f64)]) -> bool {
    let numbers = numbers(board);
    wanted.iter().all(|(kpi, value)| numbers.get(*kpi).copied().unwrap_or(0.0).to_bits() == value.to_bits())
}

/// What Twilio posts when a message's status changes.
fn callback<'a>(sid: &'a str, status: &'a str) -> [(&'static str, &'a str); 5] {
    [("AccountSid", ACCOUNT), ("MessageSid", sid), ("MessageStatus", status), ("From", NUMBER), ("To", CUSTOMER)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_delivered_counted_and_queried() {
    let dir = tempfile::tempdir().unwrap();
    let provider = FakeTwilio::start();
    let shop = Shop::open(&dir.path().join("data"), &provider.base_url).await;
    let hub = Hub::start(&shop.data, &[]).await;
    hub.is_ready().await;
    let mut desk = Desk::sign_in(&hub, &shop).await;

    // The customer writes; the desk sees it and the board counts it.
    hub.webhook(&shop, &message(CUSTOMER, "SM00000000000000000000000000000abc", QUESTION)).await.expect(200);
    let asked = desk.event("message_added", "/message/direction", "inbound").await;
    assert_eq!(asked["event"]["message"]["body"]["text"], QUESTION);
    let conversation = asked["conversation"]["id"].as_str().unwrap().to_owned();
    desk.board(&[("messages_in", 1.0), ("open", 1.0), ("waiting", 1.0), ("messages_out", 0.0)]).await;

    // The answer goes to the provider, signed in as the account, with the address for its callbacks.
    let send = json!({ "conversation_id": conversation, "body": { "text": ANSWER } });
    let ok = desk.wish(2, "message.send", &send).await;
    assert_eq!((&ok["op"], &ok["seq"]), (&json!("ok"), &json!(2)), "{ok}");
    let post = provider.message(1).await;
    let form = |name: &str| post.form.get(name).map(String::as_str);
    assert_eq!((form("To"), form("From"), form("Body")), (Some(CUSTOMER), Some(NUMBER), Some(ANSWER)));
    assert_eq!(form("StatusCallback"), Some(format!("{PUBLIC_URL}{}", shop.webhook_path()).as_str()));
    let basic = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{AUTH_TOKEN}")));
    assert_eq!((post.account.as_str(), post.authorization), (ACCOUNT, basic));

    // The provider reports, the last status first and one of them twice.
    for status in ["delivered", "sent", "delivered"] {
        hub.webhook(&shop, &callback(&post.sid, status)).await.expect(200);
    }
    let delivered = desk.event("message_status_changed", "/to", "delivered").await;
    assert_eq!(delivered["event"]["seq"], 2);
    let messages = hub.get(&shop, &format!("/conversations/{conversation}/messages")).await;
    let reported = messages["items"].as_array().unwrap().iter().find(|message| message["seq"] == 2).unwrap();
    assert_eq!((&reported["status"], &reported["external_id"]), (&json!("delivered"), &json!(post.sid)));
    assert_eq!(provider.count(), 1, "one answer, one message");

    // Numbers, live and asked for.
    let answered = [("messages_in", 1.0), ("messages_out", 1.0), ("waiting", 0.0), ("open", 1.0)];
    desk.board(&answered).await;
    let board = hub.until("the numbers of the answer", async || {
        let board = hub.get(&shop, "/kpis").await;
        shows(&board, &answered).then_some(board)
    });
    let first_response = numbers(&board.await)["first_response_p50"];
    assert!((0.0..30.0).contains(&first_response), "{first_response} s");

    // SQL sees the fresh row, as JSON and as CSV.
    let sql = json!({ "sql": DELIVERED });
    let rows = hub.until("the row in SQL", async || {
        let answer = hub.call(&shop, Method::POST, "/sql", Some(&sql)).await.expect(200);
        answer["rows"].as_array().is_some_and(|rows| !rows.is_empty()).then(|| answer["rows"].clone())
    });
    assert_eq!(rows.await, json!([[ANSWER, "delivered"]]));
    let request = hub.client.post(format!("{}/api/v1/sql", hub.base_url)).bearer_auth(&shop.token).json(&sql);
    let csv = answer(request.header("Accept", "text/csv")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.expect(200), json!("text,status\r\n\"On its way, \"\"today\"\"!\",delivered\r\n"));

    let resolve = json!({ "conversation_id": conversation, "status": "resolved" });
    assert_eq!(desk.wish(3, "conversation.set_status", &resolve).await["op"], "ok");
    desk.board(&[("resolved", 1.0), ("open", 0.0)]).await;

    hub.terminate();
    let (status, said) = hub.ended().await;
    assert!(status.success(), "{said}");
    let into = dir.path().join("replayed");
    let replayed = json_of(&saler(&shop.data, &["log", "replay", "--into", into.to_str().unwrap()], ""));
    assert!(replayed["commands"].as_u64().unwrap() > 6, "{replayed}");
    assert_eq!((&replayed["same"], &replayed["tables_compared"]), (&json!(true), &json!(true)), "{replayed}");
}
