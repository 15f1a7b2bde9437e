//! A cluster of processes on real servers: roles join, leave and are killed, and conversations go on, once each.
//!
//! Customers write all the time, through whichever gateway takes their message; a socket watches everything and resumes
//! when its gateway goes. In the end every acknowledged message is there once, in order, on the socket too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use super::app::{message, sign};
use super::cluster_process::{Cluster, Process};
use super::process::{PUBLIC_URL, Shop};
use super::ws_client::{Received, WsClient};

const CUSTOMERS: u64 = 4;
/// Between two messages of a customer.
const PACE: Duration = Duration::from_millis(100);
/// How many messages each step lets come.
const MORE: u64 = 60;

/// The gateways that take requests now.
type Gateways = Arc<Mutex<Vec<std::net::SocketAddr>>>;

/// Customers who write until they are told to stop.
struct Load {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    ends: Arc<AtomicBool>,
    customers: JoinSet<()>,
}

impl Load {
    fn start(cluster: &Cluster, shop: &Shop, gateways: &Gateways) -> Self {
        let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let ends = Arc::new(AtomicBool::new(false));
        let next_sid = Arc::new(AtomicU64::new(1));
        let mut customers = JoinSet::new();
        for customer in 0..CUSTOMERS {
            let (client, gateways, ends) = (cluster.client.clone(), Arc::clone(gateways), Arc::clone(&ends));
            let (acknowledged, next_sid) = (Arc::clone(&acknowledged), Arc::clone(&next_sid));
            let path = shop.webhook_path();
            customers.spawn(async move {
                let from = format!("+96650000{customer:04}");
                let mut pace = tokio::time::interval(PACE);
                while !ends.load(Ordering::SeqCst) {
                    let sid = format!("SM{:032}", next_sid.fetch_add(1, Ordering::SeqCst));
                    let form = message(&from, &sid, "هل وصل طلبي؟");
                    let signature = sign(&format!("{PUBLIC_URL}{path}"), &form);
                    // As the provider does: again, elsewhere, until somebody takes it.
                    for turn in 0_usize.. {
                        pace.tick().await;
                        let address = {
                            let gateways = gateways.lock().unwrap();
                            gateways[(turn + usize::try_from(customer).unwrap()) % gateways.len()]
                        };
                        let url = format!("http://{address}{path}");
                        let request = client.post(url).header("X-Twilio-Signature", &signature).form(&form);
                        if request.send().await.is_ok_and(|answer| answer.status() == 200) {
                            acknowledged.lock().unwrap().insert(sid);
                            break;
                        }
                    }
                }
            });
        }
        Self { acknowledged, ends, customers }
    }

    fn count(&self) -> u64 {
        self.acknowledged.lock().unwrap().len() as u64
    }

    async fn stop(self) -> BTreeSet<String> {
        self.ends.store(true, Ordering::SeqCst);
        self.customers.join_all().await;
        self.acknowledged.lock().unwrap().clone()
    }
}

/// What a socket has seen: the numbers of each conversation's messages, in the order in which they came.
type Seen = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// Watches everything over a socket, and resumes whenever it is cut off.
fn watch(token: String, gateways: Gateways, seen: Seen) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut resume: Option<Value> = None;
        let mut look = tokio::time::interval(Duration::from_millis(100));
        for turn in 0_usize.. {
            look.tick().await;
            let address = {
                let gateways = gateways.lock().unwrap();
                gateways[turn % gateways.len()]
            };
            let Ok(stream) = tokio::net::TcpStream::connect(address).await else { continue };
            drop(stream);
            let Ok(mut client) = WsClient::open(address, "/api/v1/socket", None).await else { continue };
            let mut auth = json!({"op": "auth", "id": 1, "token": token, "subs": ["inbox"]});
            if let Some(resume) = &resume {
                auth["resume"] = resume.clone();
            }
            let Received::Object(_hello) = client.receive().await else { continue };
            client.send(&auth).await;
            let Received::Object(ready) = client.receive().await else { continue };
            if ready["op"] != "ready" {
                continue;
            }
            assert!(resume.is_none() || ready["resumed"] == true, "a gap: {ready}");
            let mut place = json!({ "cur": ready["cur"] });
            if let Some(last) = resume.as_ref().and_then(|resume| resume.get("p")) {
                place["p"] = last.clone();
            }
            while let Received::Object(frame) = client.receive().await {
                match frame["op"].as_str().unwrap_or_default() {
                    "ev" => {
                        place["p"] = frame["p"].clone();
                        let message = &frame["d"]["event"]["message"];
                        if let (Some(talk), Some(seq)) =
                            (frame["d"]["conversation"]["id"].as_str(), message["seq"].as_u64())
                        {
                            seen.lock().unwrap().entry(talk.to_owned()).or_default().push(seq);
                        }
                    }
                    "hb" => {
                        place["cur"] = frame["cur"].clone();
                        client.send(&json!({"op": "hb", "n": frame["n"]})).await;
                    }
                    "resumed" => place["cur"] = frame["cur"].clone(),
                    _ => {}
                }
            }
            resume = Some(place);
        }
    })
}

/// How many messages the conversations hold.
async fn applied(cluster: &Cluster, at: &Process, shop: &Shop) -> Option<u64> {
    let (status, page) = cluster.get(at, shop, "/conversations?status=open&assignee=all&limit=100").await?;
    let items = page["items"].as_array().filter(|_| status == 200)?;
    Some(items.iter().filter_map(|talk| talk["inbound_count"].as_u64()).sum())
}

/// Waits until some more messages were acknowledged, and until they are applied.
async fn go_on(cluster: &Cluster, at: &Process, shop: &Shop, load: &Load, after: &str) {
    let goal = load.count() + MORE;
    cluster.until(&format!("messages are acknowledged: {after}"), async || (load.count() >= goal).then_some(())).await;
    cluster
        .until(&format!("messages are applied: {after}"), async || {
            applied(cluster, at, shop).await.filter(|count| *count >= goal)
        })
        .await;
}

/// Every acknowledged message is there once, without holes, in the tables and on the socket.
async fn check(cluster: &Cluster, at: &Process, shop: &Shop, promised: &BTreeSet<String>, seen: &Seen) {
    let all = promised.len() as u64;
    cluster
        .until("everything is applied", async || applied(cluster, at, shop).await.filter(|count| *count >= all))
        .await;
    let mut times_seen: BTreeMap<String, u32> = BTreeMap::new();
    let talks = cluster.all(at, shop, "/conversations?status=open&assignee=all&limit=100").await;
    assert_eq!(talks.len() as u64, CUSTOMERS, "one conversation for each customer");
    for talk in talks {
        let id = talk["id"].as_str().unwrap();
        let messages = cluster.all(at, shop, &format!("/conversations/{id}/messages?limit=100")).await;
        let mut seqs: Vec<_> = messages.iter().map(|message| message["seq"].as_u64().unwrap()).collect();
        seqs.sort_unstable();
        let expected: Vec<_> = (1..=messages.len() as u64).collect();
        assert_eq!(seqs, expected, "without holes");
        for message in messages {
            *times_seen.entry(message["external_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        cluster
            .until("the socket has seen it all", async || {
                (seen.lock().unwrap().get(id).is_some_and(|seqs| seqs.len() >= expected.len())).then_some(())
            })
            .await;
        assert_eq!(seen.lock().unwrap()[id], expected, "each message once and in order on the socket");
    }
    let lost: Vec<_> = promised.iter().filter(|sid| !times_seen.contains_key(*sid)).collect();
    let doubled: Vec<_> = times_seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");
}

/// The number of a KPI of the whole workspace.
fn kpi(board: &Value, name: &str) -> Option<f64> {
    let values = board["values"].as_array()?;
    let of_all = values
        .iter()
        .find(|value| value["kpi"] == name && value["channel_id"].is_null() && value["agent_id"].is_null());
    of_all?["value"].as_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_each_role_go_on_through_a_kill_a_pause_and_a_rolling_restart() {
    let Some(cluster) = Cluster::new() else { return };
    let migrated = cluster.run(&["migrate"], "").await;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let shop = cluster.open_shop().await;
    let counting =
        [cluster.start("analytics-1", "analytics", &[]).await, cluster.start("analytics-2", "analytics", &[]).await];
    let urls = format!("{},{}", counting[0].url(), counting[1].url());
    let settings = [("SALER_ANALYTICS__URLS", urls.as_str())];
    let first = cluster.start("gateway-1", "gateway", &settings).await;
    let second = cluster.start("gateway-2", "gateway", &settings).await;
    let one = cluster.start("ingest-1", "ingest", &[]).await;
    let two = cluster.start("ingest-2", "ingest", &[]).await;
    let gateways: Gateways = Arc::new(Mutex::new(vec![first.address, second.address]));
    let seen = Seen::default();
    let watching = watch(shop.token.clone(), Arc::clone(&gateways), Arc::clone(&seen));
    cluster
        .until("the socket", async || {
            let room = cluster.client.get(format!("{}/healthz", first.url())).send().await.ok()?;
            (room.status() == 200).then_some(())
        })
        .await;
    let load = Load::start(&cluster, &shop, &gateways);
    go_on(&cluster, &first, &shop, &load, "two of each").await;

    one.kill().await;
    go_on(&cluster, &first, &shop, &load, "one engine was killed").await;
    let one = cluster.start("ingest-1", "ingest", &[]).await;
    go_on(&cluster, &second, &shop, &load, "it came back").await;

    // Longer than the session: others take over, and it finds its turns gone.
    two.pause();
    go_on(&cluster, &first, &shop, &load, "one engine stands still").await;
    two.resume();
    go_on(&cluster, &first, &shop, &load, "it goes on").await;

    // They work to the end of the test.
    let mut restarted = Vec::new();
    for (process, name) in [(one, "ingest-1"), (two, "ingest-2")] {
        assert!(process.stop().await.success(), "{name} ends in order");
        go_on(&cluster, &first, &shop, &load, "an engine was stopped").await;
        restarted.push(cluster.start(name, "ingest", &[]).await);
        go_on(&cluster, &first, &shop, &load, "an engine was started").await;
    }
    gateways.lock().unwrap().retain(|address| *address != first.address);
    assert!(first.stop().await.success(), "gateway-1 ends in order");
    let first = cluster.start("gateway-1", "gateway", &settings).await;
    gateways.lock().unwrap().push(first.address);
    go_on(&cluster, &first, &shop, &load, "a gateway was restarted").await;
    second.kill().await;
    gateways.lock().unwrap().retain(|address| *address == first.address);
    go_on(&cluster, &first, &shop, &load, "a gateway was killed").await;

    let promised = load.stop().await;
    check(&cluster, &first, &shop, &promised, &seen).await;
    watching.abort();

    // Whichever analytics is asked, the numbers are the same; without any, nothing false is told.
    let inbound = promised.len();
    let counted = async |board: Option<(u16, Value)>| {
        let (status, board) = board?;
        (status == 200
            && kpi(&board, "messages_in").is_some_and(|n| (n - f64::from(u32::try_from(inbound).unwrap())).abs() < 0.5))
        .then_some(())
    };
    cluster.until("all is counted", async || counted(cluster.get(&first, &shop, "/kpis").await).await).await;
    let [a, b] = counting;
    a.kill().await;
    cluster.until("the other answers", async || counted(cluster.get(&first, &shop, "/kpis").await).await).await;
    b.kill().await;
    let (status, problem) = cluster.get(&first, &shop, "/kpis").await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
}
