//! Two gateways of one hub: each speaks for its own sockets, and one asks the other for what it does not count itself.

use schemas::tables::{AGENTS, Value as Cell};
use schemas::workspace::{Agent, Role};
use serde_json::{Value, json};
use storage::tables::Key;

use crate::app::{Tenant, TestApp};
use crate::pair::ANALYTICS_TOKEN;
use crate::ws_client::WsClient;

const SHORT_GRACE: (&str, &str) = ("SALER_SOCKET__PRESENCE_GRACE_MS", "300");
const TOKEN: (&str, &str) = ("SALER_ANALYTICS__TOKEN", ANALYTICS_TOKEN);

/// A socket of the tenant's agent at this gateway.
async fn sign_in(base: &str, tenant: &Tenant, role: Role, topic: &str) -> WsClient {
    let address = base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = WsClient::open(address, "/api/v1/socket", None).await.unwrap();
    assert_eq!(client.next().await["op"], "hello");
    client.send(&json!({"op": "auth", "id": 1, "token": tenant.tokens[&role], "subs": [topic]})).await;
    assert_eq!(client.next().await["op"], "ready");
    client
}

async fn agent(app: &TestApp, tenant: &Tenant) -> Agent {
    let key = Key::of([Cell::from(tenant.id)]).at([Cell::from(tenant.users[&Role::Agent])]);
    app.engines.tables.get(AGENTS, key).await.unwrap().unwrap().body(AGENTS).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_with_a_socket_at_each_of_two_gateways_is_gone_when_both_have_closed() {
    let app = TestApp::start_with(&[SHORT_GRACE]).await;
    let tenant = app.tenant("A").await;
    let other = app.another_gateway(&[SHORT_GRACE]).await;
    let here = sign_in(&app.base, &tenant, Role::Agent, "inbox").await;
    let there = sign_in(&other.base, &tenant, Role::Agent, "inbox").await;
    let at_gateways = async |count: usize| {
        app.until(async || Some(agent(&app, &tenant).await).filter(|it| it.gateways.len() == count)).await
    };
    assert!(at_gateways(2).await.connected);
    drop(here);
    assert!(at_gateways(1).await.connected, "the other gateway still has a socket");
    drop(there);
    assert!(!at_gateways(0).await.connected);
    other.stop().await;
    app.stop().await;
}

fn messages_in(board: &Value) -> Option<f64> {
    let values = board["values"].as_array()?;
    let whole =
        values.iter().find(|it| it["kpi"] == "messages_in" && it["channel_id"].is_null() && it["agent_id"].is_null());
    whole?["value"].as_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_analytics_shows_the_numbers_of_one_that_has_it_or_none() {
    let app = TestApp::start_with(&[TOKEN]).await;
    let tenant = app.tenant("A").await;
    let urls = format!("http://127.0.0.1:9, {}/", app.base);
    let asks = app.another_gateway(&[TOKEN, ("SALER_ANALYTICS__URLS", &urls)]).await;
    let wrong = [("SALER_ANALYTICS__TOKEN", "another-token-0123456789-abcdefghij"), ("SALER_ANALYTICS__URLS", &urls)];
    let refused = app.another_gateway(&wrong).await;
    let bearer = tenant.tokens[&Role::Owner].as_str();
    let kpis = async |base: &str| app.get_from(base, "/kpis", bearer).await;
    let mut board = sign_in(&asks.base, &tenant, Role::Owner, "kpis").await;
    app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    let shown = app
        .until(async || {
            let board = kpis(&asks.base).await.expect(200);
            (messages_in(&board) == Some(1.0)).then_some(board)
        })
        .await;
    assert_eq!(kpis(&app.base).await.expect(200)["values"], shown["values"], "the same numbers, to the last bit");
    while messages_in(&board.until("kpi").await["d"]) != Some(1.0) {}
    let answer = kpis(&refused.base).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"));
    for path in ["/internal/v1/kpis/", "/internal/v1/boards/"] {
        let answer = app.client.get(format!("{}{path}{}", app.base, tenant.id)).bearer_auth("x").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{path}");
    }
    refused.stop().await;
    let (client, path) = (app.client.clone(), format!("{}/api/v1/kpis", asks.base));
    app.stop().await;
    let answer = client.get(path).bearer_auth(&tenant.tokens[&Role::Owner]).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    asks.stop().await;
}
