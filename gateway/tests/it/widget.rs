//! The web chat widget: its settings for pages, its files, the policy of its frame.

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Tenant, TestApp};

const SHOP: &str = "https://shop.example";

async fn channel(app: &TestApp, tenant: &Tenant, widget: &Value) -> String {
    let account = json!({ "provider": "web_chat", "allowed_origins": [SHOP], "widget": widget });
    let made = app.post(tenant, Role::Owner, "/channels", &json!({ "name": "Shop", "account": account })).await;
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_channels_origins_read_its_settings_and_others_do_not() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let widget = json!({
        "color": "#7A1FA2", "title": "Rana", "greeting": "Welcome", "position": "start", "theme": "dark",
        "ask": [{ "field": "name", "required": true }, { "field": "email" }],
    });
    let id = channel(&app, &tenant, &widget).await;
    let ask = async |origin: Option<&str>, channel: &str| {
        let mut request = app.client.get(format!("{}/api/v1/visitor/widget?channel={channel}", app.base));
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        request.send().await.unwrap()
    };
    let answer = ask(Some(SHOP), &id).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], SHOP);
    assert!(answer.headers()["vary"].to_str().unwrap().contains("Origin"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["channel_id"], json!(id));
    let mut expected = widget.clone();
    expected["ask"][1]["required"] = json!(false);
    assert_eq!(body["settings"], expected);
    assert_eq!(ask(None, &id).await.status(), 200, "a page of the hub itself sends no origin");
    for origin in ["https://shop.example.evil", "null", "http://shop.example"] {
        let answer = ask(Some(origin), &id).await;
        assert_eq!(answer.status(), 403);
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin}");
    }
    assert_eq!(ask(Some(SHOP), &tenant.channel.to_string()).await.status(), 404, "an SMS channel has no widget");

    // A change holds at once; a channel that is switched off has none.
    let path = format!("/channels/{id}");
    let change = json!({ "widget": { "title": "Other" } });
    let changed = app.call(Method::PATCH, &tenant, Role::Admin, &path, Some(&change)).await.expect(200);
    assert_eq!(changed["web_chat"]["widget"]["title"], json!("Other"));
    assert_eq!(changed["web_chat"]["allowed_origins"], json!([SHOP]));
    let body: Value = ask(Some(SHOP), &id).await.json().await.unwrap();
    assert_eq!(body["settings"], json!({ "title": "Other", "position": "end", "theme": "auto" }));
    app.call(Method::PATCH, &tenant, Role::Admin, &path, Some(&json!({ "active": false }))).await.expect(200);
    assert_eq!(ask(Some(SHOP), &id).await.status(), 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_shown_are_refused_by_name() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let id = channel(&app, &tenant, &json!({})).await;
    let twice = json!([{ "field": "name" }, { "field": "name" }]);
    for (field, value) in [
        ("color", json!("red")),
        ("color", json!("#12345g")),
        ("title", json!("")),
        ("title", json!("x".repeat(61))),
        ("greeting", json!("x".repeat(501))),
        ("ask", twice),
    ] {
        let change = json!({ "widget": { field: value } });
        let refused =
            app.call(Method::PATCH, &tenant, Role::Owner, &format!("/channels/{id}"), Some(&change)).await.expect(422);
        assert_eq!(refused["errors"][0]["path"], json!(format!("widget.{field}")), "{refused}");
    }
    let path = format!("/channels/{}", tenant.channel);
    let misplaced = app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&json!({ "widget": {} }))).await;
    assert_eq!(misplaced.status.as_u16(), 422, "an SMS channel has no widget");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_frame_has_no_origin_and_only_pages_of_the_channel_may_hold_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let id = channel(&app, &tenant, &json!({})).await;
    let get = async |path: &str| app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
    let script = get("/widget.js").await;
    assert_eq!(get("/widget/assets/nothing.js").await.status(), 404);
    let built = console::console().is_some_and(|console| console.asset("widget/loader.js").is_some());
    assert_eq!(script.status().is_success(), built);
    let frame = get(&format!("/widget/frame?channel={id}")).await;
    assert_eq!(frame.status().is_success(), built);
    let headers = frame.headers().clone();
    assert!(!headers.contains_key("x-frame-options"), "it would forbid every page to hold the frame");
    if built {
        assert_eq!(script.headers()["cache-control"], "public, max-age=300");
        assert_eq!(script.headers()["cross-origin-resource-policy"], "cross-origin");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(&format!("frame-ancestors {SHOP};")), "{policy}");
        assert!(policy.contains("sandbox allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
        assert!(!policy.contains("connect-src") && !policy.contains("unsafe"), "{policy}");
        let page = frame.text().await.unwrap();
        let nonce = policy.split_once("'nonce-").unwrap().1.split_once('\'').unwrap().0;
        assert!(page.contains(&format!("nonce=\"{nonce}\"")) && !page.contains("__CSP_NONCE__"));
        let asset = page.split_once("src=\"").unwrap().1.split_once('"').unwrap().0;
        let asset = get(asset).await;
        assert_eq!(asset.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(asset.headers()["access-control-allow-origin"], "*");
    }
    let absent = get("/widget/frame?channel=019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d").await;
    assert_eq!(absent.status(), 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_to_try_the_chat_is_there_only_where_the_settings_name_a_channel() {
    let id = "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d";
    for (settings, there) in [(&[][..], false), (&[("SALER_HTTP__WIDGET_DEMO", id)], true)] {
        let app = TestApp::start_with(settings).await;
        let answer = app.client.get(format!("{}/widget-demo", app.base)).send().await.unwrap();
        assert_eq!(answer.status().is_success(), there);
        assert_eq!(answer.text().await.unwrap().contains(&format!("data-channel=\"{id}\"")), there);
        app.stop().await;
    }
}
