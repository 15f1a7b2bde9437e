//! KPIs over a range and business hours, as the API gives them.

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Tenant, TestApp};
use crate::ws_client::WsClient;

const TOKEN: (&str, &str) = ("SALER_ANALYTICS__TOKEN", "0123456789abcdef0123456789abcdef");
/// The clock of the tests stands at 09:00 of that day.
const RANGE: &str = "from=2026-11-20T00:00:00Z&to=2026-11-23T00:00:00Z";

fn total(answer: &Value, series: usize) -> Option<f64> {
    answer["series"][series]["total"]["value"].as_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_told_in_the_days_of_the_workspace_and_by_every_gateway_alike() {
    let app = TestApp::start_with(&[TOKEN]).await;
    let (tenant, other) = (app.tenant("A").await, app.tenant("B").await);
    let asks = app.another_gateway(&[TOKEN, ("SALER_ANALYTICS__URLS", app.base.as_str())]).await;
    let zone = json!({ "time_zone": "Asia/Amman" });
    let path = format!("/workspaces/{}", tenant.id);
    app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&zone)).await.expect(200);
    app.customer_writes(&tenant, "+15005550001", "SM1", "hi").await;
    app.customer_writes(&tenant, "+15005550002", "SM2", "hello").await;

    let path = format!("/kpis/series?kpis=messages_in,first_response&{RANGE}&by=channel&compare=previous");
    let answer = app
        .until(async || {
            let answer = app.get(&tenant, Role::Analyst, &path).await.expect(200);
            (total(&answer, 0) == Some(2.0)).then_some(answer)
        })
        .await;
    assert_eq!(
        (&answer["time_zone"], &answer["bucket"], &answer["by"]),
        (&json!("Asia/Amman"), &json!("day"), &json!("channel"))
    );
    let days = [
        "2026-11-20T00:00:00.000000Z",
        "2026-11-20T21:00:00.000000Z",
        "2026-11-21T21:00:00.000000Z",
        "2026-11-22T21:00:00.000000Z",
    ];
    assert_eq!(answer["buckets"], json!(days));
    let group = &answer["series"][0]["groups"][0];
    assert_eq!(group["key"], json!(tenant.channel.to_string()));
    assert_eq!(group["points"], json!([{ "value": 0.0 }, { "value": 0.0 }, { "value": 2.0 }, { "value": 0.0 }]));
    assert_eq!(group["previous"], json!({ "value": 0.0 }));
    assert_eq!((&answer["series"][1]["total"], &answer["series"][1]["groups"]), (&json!({ "count": 0 }), &json!([])));

    // The same from a gateway that has no analytics, to the last bit but for the moment; and nothing for others.
    let mut elsewhere = app.get_from(&asks.base, &path, &tenant.tokens[&Role::Analyst]).await.expect(200);
    elsewhere["as_of"] = answer["as_of"].clone();
    assert_eq!(elsewhere, answer);
    assert_eq!(total(&app.get(&other, Role::Analyst, &path).await.expect(200), 0), Some(0.0));

    for (question, field) in [
        ("kpis=open", "kpis"),
        ("kpis=notes&bucket=minute", "bucket"),
        ("kpis=read_rate&by=agent", "by"),
        ("kpis=notes&by=nonsense", "query"),
        ("kpis=notes&unknown=1", "query"),
    ] {
        for base in [&app.base, &asks.base] {
            let path = format!("/kpis/series?{RANGE}&{question}");
            let refused = app.get_from(base, &path, &tenant.tokens[&Role::Owner]).await;
            let json = refused.expect(422);
            assert_eq!(json["errors"][0]["path"], json!(field), "{question}: {json}");
        }
    }
    let definitions = app.get(&tenant, Role::Manager, "/kpis/definitions").await.expect(200);
    let items = definitions["items"].as_array().unwrap();
    let first_response = items.iter().find(|kpi| kpi["name"] == "first_response").unwrap();
    assert_eq!((&first_response["kind"], &first_response["better"]), (&json!("duration"), &json!("lower")));
    asks.stop().await;
    app.stop().await;
}

/// A socket of the owner that listens to the desk.
async fn desk(app: &TestApp, tenant: &Tenant) -> WsClient {
    let address = app.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut socket = WsClient::open(address, "/api/v1/socket", None).await.unwrap();
    socket.until("hello").await;
    socket.send(&json!({ "op": "auth", "id": 1, "token": tenant.tokens[&Role::Owner], "subs": ["desk"] })).await;
    socket.until("ready").await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn business_hours_are_checked_kept_and_removed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let workspace = format!("/workspaces/{}", tenant.id);
    let path = format!("{workspace}/business-hours");
    let hours = json!({
        "periods": [
            { "weekday": "sunday", "opens": "09:00", "closes": "13:00" },
            { "weekday": "thursday", "opens": "20:00", "closes": "02:00" },
        ],
        "holidays": [{ "date": "2026-12-25", "name": "Christmas" }],
    });
    assert_eq!(app.get(&tenant, Role::Agent, &workspace).await.expect(200)["business_hours"], json!(null));
    let put = async |body: &Value| app.call(Method::PUT, &tenant, Role::Owner, &path, Some(body)).await;
    let mut desk = desk(&app, &tenant).await;
    let set = put(&hours).await.expect(200);
    assert_eq!(set["business_hours"], hours);
    // Whoever counts learns of them in their place among the other events.
    let told = desk.until("ev").await["d"]["event"].take();
    assert_eq!((&told["type"], &told["version"]), (&json!("service_configured"), &json!(1)));
    assert_eq!(told["setting"], json!({ "kind": "hours", "time_zone": "UTC", "hours": hours }));
    assert_eq!(app.get(&tenant, Role::Agent, &workspace).await.expect(200), set);
    let overlapping = json!({ "periods": [
        { "weekday": "sunday", "opens": "20:00", "closes": "08:00" }, { "weekday": "monday", "opens": "07:00", "closes": "12:00" },
    ] });
    let unknown = json!({ "periods": [{ "weekday": "sunday", "opens": "09:00", "closes": "13:00", "colour": "red" }] });
    for (body, field) in [(overlapping, "periods[1]"), (json!({ "periods": [] }), "periods"), (unknown, "periods[0]")] {
        let refused = put(&body).await.expect(422);
        assert!(refused["errors"][0]["path"].as_str().unwrap().starts_with(field), "{refused}");
    }
    assert_eq!(app.get(&tenant, Role::Owner, &workspace).await.expect(200), set, "what was refused changed nothing");
    // Another name leaves them as they are.
    let renamed = app.call(Method::PATCH, &tenant, Role::Owner, &workspace, Some(&json!({ "name": "B" }))).await;
    assert_eq!(renamed.expect(200)["business_hours"], hours);
    app.call(Method::DELETE, &tenant, Role::Owner, &path, None).await.expect(204);
    let told = desk.until("ev").await["d"]["event"].take();
    assert_eq!((&told["version"], &told["setting"]["hours"]), (&json!(2), &json!(null)));
    assert_eq!(app.get(&tenant, Role::Owner, &workspace).await.expect(200)["business_hours"], json!(null));
    app.stop().await;
}
