//! Files of messages: taken, sent, shown to those who may see the message, and to nobody else.

use bytes::Bytes;
use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{ACCOUNT, AUTH_TOKEN, Tenant, TestApp};
use crate::fake_twilio::{FakeTwilio, PNG};
use crate::ws_client::WsClient;

/// One byte more than a megabyte.
static LARGE: [u8; (1 << 20) + 1] = [b'x'; (1 << 20) + 1];

async fn upload(app: &TestApp, tenant: &Tenant, role: Role, name: &str, content: &'static [u8]) -> (u16, Value) {
    let answer = app
        .client
        .post(format!("{}/api/v1/files", app.base))
        .query(&[("name", name)])
        .bearer_auth(&tenant.tokens[&role])
        .header("Content-Type", "text/html")
        .body(Bytes::from_static(content))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn get(app: &TestApp, url: &str) -> reqwest::Response {
    app.client.get(url).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_out_by_its_link_for_a_week_and_is_seen_with_its_message_after_that() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let talk = app.customer_writes(&tenant, "+15005550001", "SM1", "Show me").await;
    let talk = talk["id"].as_str().unwrap();
    let (status, file) = upload(&app, &tenant, Role::Agent, "../صورة.html", PNG).await;
    assert_eq!((status, &file["content_type"], &file["name"]), (201, &json!("image/png"), &json!("صورة.html")));
    let url = file["url"].as_str().unwrap().to_owned();
    let message = json!({ "body": { "text": "Here", "attachments": [file] } });
    let (path, bearer) = (format!("/conversations/{talk}/messages"), tenant.tokens[&Role::Agent].as_str());
    let sent = app.send(Method::POST, &path, Some(bearer), Some(&message), Some("k1")).await.expect(201);
    let seq = sent["message"]["seq"].as_u64().unwrap();
    assert_eq!(sent["message"]["body"]["attachments"][0]["url"], json!(url));

    // The provider, or a visitor's browser, fetches it without a sign-in.
    let answer = get(&app, &url).await;
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    assert_eq!(headers["content-type"], "image/png");
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("inline; filename*=UTF-8''%D8"));
    assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-length"], PNG.len().to_string());
    assert_eq!(answer.bytes().await.unwrap(), PNG);
    let known = app.client.get(&url).header("If-None-Match", &headers["etag"]).send().await.unwrap();
    assert_eq!(known.status(), 304);

    // A link that was changed, or is of another workspace, leads nowhere.
    let other = app.tenant("B").await;
    let (base, rest) = url.split_once("/files/").unwrap();
    let (_, token) = rest.split_once('/').unwrap();
    for wrong in [format!("{base}/files/{}/{token}", other.id), url.replace(token, &format!("A{token}"))] {
        assert_eq!(get(&app, &wrong).await.status(), 404, "{wrong}");
    }

    app.clock.advance(std::time::Duration::from_hours(7 * 24 + 1));
    assert_eq!(get(&app, &url).await.status(), 404);
    let path = format!("/conversations/{talk}/messages/{seq}/attachments/0");
    let link = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert_eq!(get(&app, link["url"].as_str().unwrap()).await.bytes().await.unwrap(), PNG);
    app.clock.advance(std::time::Duration::from_hours(2));
    assert_eq!(get(&app, link["url"].as_str().unwrap()).await.status(), 404);

    // Whoever may not see the conversation gets no link.
    let manager = json!({ "assignee": tenant.users[&Role::Manager] });
    app.call(Method::PATCH, &tenant, Role::Owner, &format!("/conversations/{talk}"), Some(&manager)).await.expect(200);
    assert_eq!(app.get(&tenant, Role::Agent, &path).await.status.as_u16(), 404);
    assert_eq!(app.get(&other, Role::Owner, &path).await.status.as_u16(), 404);
    assert_eq!(app.get(&tenant, Role::Owner, &path.replace("/attachments/0", "/attachments/1")).await.status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_no_file_for_people_is_refused_and_no_file_is_a_page() {
    let app = TestApp::start_with(&[("SALER_FILES__MAX_MB", "1")]).await;
    let tenant = app.tenant("A").await;
    assert_eq!(upload(&app, &tenant, Role::Agent, "a.txt", &LARGE).await.0, 413);
    let (status, refused) = upload(&app, &tenant, Role::Agent, "a.png", b"MZ\x90\x00").await;
    assert_eq!((status, &refused["code"]), (422, &json!("invalid_value")));
    assert_eq!(upload(&app, &tenant, Role::Analyst, "a.png", PNG).await.0, 403);
    for (name, content) in [
        ("a.svg", &b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"[..]),
        ("a.html", b"<script>"),
    ] {
        let (_, file) = upload(&app, &tenant, Role::Agent, name, content).await;
        let answer = get(&app, file["url"].as_str().unwrap()).await;
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment;"), "{name}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_nearly_full_takes_no_file() {
    let app = TestApp::start_with(&[("SALER_FILES__MIN_FREE_MB", "1048576")]).await;
    let tenant = app.tenant("A").await;
    let (status, refused) = upload(&app, &tenant, Role::Agent, "a.png", PNG).await;
    assert_eq!((status, &refused["code"]), (503, &json!("unavailable")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_at_the_provider_is_fetched_with_the_channels_own_credentials_and_from_nowhere_else() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let provider = FakeTwilio::start();
    let account = json!({
        "provider": "twilio", "medium": "sms", "address": "+14155550199", "account_sid": ACCOUNT,
        "auth_token": AUTH_TOKEN, "api_base": provider.base_url,
    });
    let made = app.post(&tenant, Role::Owner, "/channels", &json!({ "name": "MMS", "account": account })).await;
    let channel: schemas::ChannelId = made.expect(201)["id"].as_str().unwrap().parse().unwrap();
    let at = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME1", provider.base_url);
    let fields = [
        ("AccountSid", ACCOUNT),
        ("MessageSid", "MM1"),
        ("From", "+15005550009"),
        ("To", "+14155550199"),
        ("Body", ""),
        ("NumMedia", "2"),
        ("MediaUrl0", at.as_str()),
        ("MediaContentType0", "image/png"),
        ("MediaUrl1", "http://127.0.0.1:9/secret"),
        ("MediaContentType1", "image/png"),
    ];
    app.webhook(channel, &fields, None).await.expect(200);
    let talk = app
        .until(async || {
            let list = app.get(&tenant, Role::Owner, "/conversations").await;
            list.json["items"].as_array()?.first()?["id"].as_str().map(str::to_owned)
        })
        .await;
    let fetch = async |index: usize| {
        let path = format!("/conversations/{talk}/messages/1/attachments/{index}");
        let link = app.get(&tenant, Role::Agent, &path).await.expect(200);
        get(&app, link["url"].as_str().unwrap()).await
    };
    let answer = fetch(0).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &"image/png".parse().unwrap()));
    assert_eq!(answer.bytes().await.unwrap(), PNG, "the provider gives it to the channel's account alone");
    assert_eq!(fetch(1).await.status(), 404, "an address that is not the provider's is not asked");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_uploads_where_the_socket_says_and_from_the_channels_pages_alone() {
    const SHOP: &str = "https://shop.example";
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let account = json!({ "provider": "web_chat", "allowed_origins": [SHOP] });
    let made = app.post(&tenant, Role::Owner, "/channels", &json!({ "name": "Shop", "account": account })).await;
    let channel = made.expect(201)["id"].as_str().unwrap().to_owned();
    let address = app.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut visitor = WsClient::open(address, &format!("/api/v1/visitor?channel={channel}"), Some(SHOP)).await.unwrap();
    visitor.until("hello").await;
    visitor.send(&json!({ "op": "auth", "id": 1, "new": true })).await;
    visitor.until("ready").await;
    visitor.send(&json!({ "op": "upload", "id": 2 })).await;
    let allowed = visitor.until("upload").await;
    assert_eq!((&allowed["id"], &allowed["max_bytes"]), (&json!(2), &json!(16 << 20)));
    let place = allowed["url"].as_str().unwrap();
    let post = async |url: &str, origin: Option<&str>, content: &'static [u8]| {
        let mut request = app.client.post(url).query(&[("name", "a b&c.png")]).body(Bytes::from_static(content));
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        request.send().await.unwrap()
    };
    for origin in [None, Some("https://other.example")] {
        assert_eq!(post(place, origin, PNG).await.status(), 403, "{origin:?}");
    }
    assert_eq!(post(&format!("{place}x"), Some(SHOP), PNG).await.status(), 404);
    let refused = post(place, Some(SHOP), b"MZ\x90\x00").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["access-control-allow-origin"]),
        (422, &SHOP.parse().unwrap())
    );
    let taken = post(place, Some(SHOP), PNG).await;
    assert_eq!(
        (taken.status().as_u16(), &taken.headers()["access-control-allow-origin"]),
        (201, &SHOP.parse().unwrap())
    );
    let taken: Value = taken.json().await.unwrap();

    // Only what the hub keeps of this workspace can be attached.
    for wrong in ["https://evil.example/x.png", "javascript:alert(1)", place] {
        visitor.send(&json!({ "op": "send", "id": 3, "key": "k", "text": "", "files": [wrong] })).await;
        assert_eq!(visitor.until("err").await["code"], "invalid_value", "{wrong}");
    }
    visitor.send(&json!({ "op": "send", "id": 4, "key": "k", "text": "", "files": [taken["url"]] })).await;
    let echo = visitor.until("msg").await;
    assert_eq!(echo["body"]["attachments"][0]["name"], "a b&c.png");
    let talk = echo["conversation_id"].as_str().unwrap();
    let path = format!("/conversations/{talk}/messages/1/attachments/0");
    let link = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert_eq!(get(&app, link["url"].as_str().unwrap()).await.bytes().await.unwrap(), PNG);

    // Long after, the visitor's history has a link that is good again; the permission to upload is not.
    app.clock.advance(std::time::Duration::from_hours(8 * 24));
    assert_eq!(get(&app, taken["url"].as_str().unwrap()).await.status(), 404);
    assert_eq!(post(place, Some(SHOP), PNG).await.status(), 404);
    visitor.send(&json!({ "op": "history", "id": 5, "before": 9 })).await;
    let history = visitor.until("history").await;
    let again = history["messages"][0]["body"]["attachments"][0]["url"].as_str().unwrap();
    assert_eq!(get(&app, again).await.bytes().await.unwrap(), PNG);
    app.stop().await;
}
