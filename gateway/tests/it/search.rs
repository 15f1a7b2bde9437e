//! Search over contacts and messages.

use std::time::Duration;

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Tenant, TestApp};

async fn search(app: &TestApp, tenant: &Tenant, role: Role, query: &str) -> Value {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
    app.get(tenant, role, &format!("/search?{query}")).await.expect(200)
}

fn texts(found: &Value) -> Vec<&str> {
    found["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["message"]["body"]["text"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_find_messages_and_contacts_that_the_caller_may_see() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("A").await, app.tenant("B").await);
    app.customer_writes(&tenant, "+15005550101", "SM1", "أَيْنَ طلبي رقم ١٢٣؟").await;
    app.customer_writes(&tenant, "+15005550102", "SM2", "Where is my ORDER 123?").await;
    app.clock.advance(Duration::from_secs(1));
    let hidden = app.customer_writes(&tenant, "+15005550103", "SM3", "order 123 is broken").await;
    app.customer_writes(&other, "+15005550101", "SM4", "order 123 elsewhere").await;
    let path = format!("/conversations/{}", hidden["id"].as_str().unwrap());
    let give = json!({ "assignee": tenant.users[&Role::Manager] });
    app.call(Method::PATCH, &tenant, Role::Manager, &path, Some(&give)).await.expect(200);
    let found = search(&app, &tenant, Role::Manager, "order 123").await;
    assert_eq!(
        (texts(&found), &found["complete"]),
        (vec!["order 123 is broken", "Where is my ORDER 123?"], &json!(true))
    );
    assert_eq!(found["messages"][0]["conversation"]["id"], hidden["id"]);
    let found = search(&app, &tenant, Role::Agent, "order 123").await;
    assert_eq!(texts(&found), ["Where is my ORDER 123?"], "agents find what they may see");
    assert_eq!(texts(&search(&app, &tenant, Role::Agent, "اين طلبي 123").await).len(), 1);
    let resolved = json!({ "status": "resolved" });
    app.call(Method::PATCH, &tenant, Role::Manager, &path, Some(&resolved)).await.expect(200);
    assert_eq!(texts(&search(&app, &tenant, Role::Manager, "broken").await).len(), 1, "resolved ones too");
    let contact = format!("/contacts/{}", hidden["contact_id"].as_str().unwrap());
    let named = json!({ "name": "ليلى حدّاد", "email": "Layla@x.test" });
    app.call(Method::PATCH, &tenant, Role::Agent, &contact, Some(&named)).await.expect(200);
    for query in ["حداد", "layla@", "+1 500 555-0103", "5550103", "ليلي"] {
        let found = search(&app, &tenant, Role::Agent, query).await;
        let ids: Vec<_> = found["contacts"].as_array().unwrap().iter().map(|contact| &contact["id"]).collect();
        assert_eq!(ids, [&hidden["contact_id"]], "{query}");
    }
    for wrong in ["", "x", &"x".repeat(101)] {
        let refused = app.get(&tenant, Role::Agent, &format!("/search?q={wrong}")).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!("q")), "{wrong}");
    }
    let cut = app.get(&tenant, Role::Manager, "/search?q=order&limit=1").await.expect(200);
    assert_eq!((cut["messages"].as_array().unwrap().len(), &cut["complete"]), (1, &json!(false)));
    app.stop().await;
}
