//! Settings of the service: service levels as they are set, and what conversations show of them.

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Answer, Tenant, TestApp};

async fn put(app: &TestApp, tenant: &Tenant, role: Role, path: &str, body: &Value) -> Answer {
    app.call(Method::PUT, tenant, role, path, Some(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_levels_are_set_as_one_list_and_conversations_carry_what_is_due() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("A").await, app.tenant("B").await);
    let path = "/sla-policies";
    let nothing = json!({ "version": 0, "policies": [] });
    assert_eq!(app.get(&tenant, Role::Agent, path).await.expect(200), nothing);
    let list = |policies: Value, version: u64| json!({ "version": version, "policies": policies });
    let urgent = json!({ "name": " Urgent ", "priorities": ["urgent"], "first_response_seconds": 300 });
    let all = json!({
        "name": "Everybody", "channels": [tenant.channel], "first_response_seconds": 3600, "resolution_seconds": 86400,
        "pauses": ["snoozed"], "warn_percent": 80,
    });
    put(&app, &tenant, Role::Manager, path, &list(json!([urgent]), 0)).await.expect(403);
    let set = put(&app, &tenant, Role::Admin, path, &list(json!([urgent, all]), 0)).await.expect(200);
    assert_eq!((&set["version"], &set["policies"][0]["name"]), (&json!(1), &json!("Urgent")));
    assert_eq!(app.get(&tenant, Role::Agent, path).await.expect(200), set);
    assert_eq!(app.get(&other, Role::Owner, path).await.expect(200), nothing);

    // Whoever read an older list changes nothing.
    let refused = put(&app, &tenant, Role::Owner, path, &nothing).await.expect(409);
    assert_eq!(refused["errors"][0]["path"], "version");
    // The same policies in another order keep their ids.
    let [first, second] = [0, 1].map(|place| set["policies"][place].clone());
    let turned = put(&app, &tenant, Role::Owner, path, &list(json!([second, first]), 1)).await.expect(200);
    assert_eq!(turned["policies"], json!([second, first]));

    let with = |field: &str, value: Value| {
        let mut policy = all.clone();
        policy[field] = value;
        policy
    };
    let cases = [
        (json!({ "name": "Nothing" }), "first_response_seconds"),
        (with("name", json!("")), "name"),
        (with("resolution_seconds", json!(0)), "resolution_seconds"),
        (with("warn_percent", json!(100)), "warn_percent"),
        (with("pauses", json!(["open"])), "pauses"),
        (with("labels", json!([""])), "labels"),
        (with("channels", json!([other.channel])), "channels"),
        (with("business_time", json!(true)), "business_time"),
        (with("id", json!("019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d")), "id"),
        (with("colour", json!("red")), "colour"),
    ];
    for (policy, field) in cases {
        let refused = put(&app, &tenant, Role::Owner, path, &list(json!([urgent, policy]), 2)).await.expect(422);
        assert_eq!(refused["errors"][0]["path"], format!("policies[1].{field}"), "{refused}");
    }

    let talk = app.customer_writes(&tenant, "+15005550101", "SM1", "hi").await;
    let id = talk["id"].as_str().unwrap();
    let shown = app.get(&tenant, Role::Agent, &format!("/conversations/{id}")).await.expect(200);
    assert_eq!(shown["sla"]["state"], "on_track", "{shown}");
    let due: schemas::Timestamp = shown["sla"]["next_due_at"].as_str().unwrap().parse().unwrap();
    let opened: schemas::Timestamp = shown["opened_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(due.since(opened).as_secs(), 3600);
    app.stop().await;
}
