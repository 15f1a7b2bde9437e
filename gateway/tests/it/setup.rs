//! Channels, labels, workspaces, tokens; health and headers.

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::json;

use crate::app::{AUTH_TOKEN, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_go_in_and_never_come_out() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let channels = app.get(&tenant, Role::Owner, "/channels").await.expect(200);
    let webhook = format!("{}/webhooks/twilio/{}", app.base, tenant.channel);
    assert_eq!(channels["items"][0]["webhook_url"], json!(webhook));
    assert!(!channels.to_string().contains(AUTH_TOKEN));
    let new =
        json!({ "name": "Shop", "account": { "provider": "web_chat", "allowed_origins": ["https://shop.example"] } });
    let made = app.post(&tenant, Role::Admin, "/channels", &new).await.expect(201);
    assert!(made["identity_secret"].as_str().unwrap().len() >= 32 && made["webhook_url"].is_null());
    let again = app.get(&tenant, Role::Admin, &format!("/channels/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert!(again["identity_secret"].is_null());
    for (field, value) in [("account_sid", "AC1"), ("address", "5551234"), ("api_base", "ftp://x"), ("auth_token", "x")]
    {
        let mut account = json!({
            "provider": "twilio", "medium": "sms", "address": "+15005550006",
            "account_sid": "AC00000000000000000000000000000000", "auth_token": AUTH_TOKEN,
        });
        account[field] = json!(value);
        let refused = app.post(&tenant, Role::Owner, "/channels", &json!({ "name": "x", "account": account })).await;
        let path = refused.json["errors"][0]["path"].as_str().unwrap_or_default();
        assert!(refused.status.as_u16() == 422 && path.ends_with(field), "{field}: {}", refused.json);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_secret_verifies_beside_the_one_before_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let path = format!("/channels/{}", tenant.channel);
    let fresh = json!({ "auth_token": "ffffffffffffffffffffffffffffffff" });
    app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&fresh)).await.expect(200);
    app.customer_writes(&tenant, "+15005550001", "SM1", "signed with the old one").await;
    let another = json!({ "auth_token": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee" });
    app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&another)).await.expect(200);
    let old = app.webhook(tenant.channel, &crate::app::message("+15005550001", "SM2", "x"), None).await;
    assert_eq!(old.status.as_u16(), 403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_workspaces_and_tokens_are_made_and_removed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let color = json!({ "color": "#1f7a5c" });
    app.call(Method::PUT, &tenant, Role::Manager, "/labels/%D8%B7%D9%84%D8%A8", Some(&color)).await.expect(200);
    assert_eq!(app.get(&tenant, Role::Agent, "/labels").await.expect(200)["items"][0]["name"], json!("طلب"));
    app.call(Method::DELETE, &tenant, Role::Manager, "/labels/%D8%B7%D9%84%D8%A8", None).await.expect(204);
    app.call(Method::DELETE, &tenant, Role::Manager, "/labels/vip", None).await.expect(404);
    let made = app.post(&tenant, Role::Owner, "/workspaces", &json!({ "name": "Second" })).await.expect(201);
    let all = app.get(&tenant, Role::Owner, "/workspaces").await.expect(200);
    assert!(all["items"].as_array().unwrap().iter().any(|workspace| workspace["id"] == made["id"]));
    let token = json!({ "name": "export", "role": "analyst" });
    let token = app.post(&tenant, Role::Owner, "/tokens", &token).await.expect(201);
    let secret = token["secret"].as_str().unwrap();
    assert!(app.send(Method::GET, "/auth/me", Some(secret), None, None).await.status.is_success());
    let path = format!("/tokens/{}", token["id"].as_str().unwrap());
    app.call(Method::DELETE, &tenant, Role::Owner, &path, None).await.expect(204);
    assert_eq!(app.send(Method::GET, "/auth/me", Some(secret), None, None).await.status.as_u16(), 401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_named_and_guarded_and_errors_are_problems() {
    let app = TestApp::start().await;
    let health = app.client.get(format!("{}/healthz", app.base)).send().await.unwrap();
    assert_eq!(
        health.json::<serde_json::Value>().await.unwrap()["durability"],
        json!(app.log.health().durability.to_string())
    );
    for path in ["/", "/page.js", "/nope", "/api/v1/nope", "/api/v1/auth/me", "/api/v1/docs/", "/api/v1/socket"] {
        let answer = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
        for header in ["x-request-id", "content-security-policy", "x-frame-options", "x-content-type-options"] {
            assert!(answer.headers().contains_key(header), "{path} lacks {header}");
        }
        if answer.status().is_client_error() {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
            let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
            assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["request_id"], json!(id));
        }
    }
    let answer = app.client.get(&app.base).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let page = answer.text().await.unwrap();
    assert!(!policy.contains("unsafe") && !page.contains("style=") && !page.contains("onclick"));
    // A script in the page itself runs only by its hash.
    assert_eq!(page.contains("<script>"), policy.contains("'sha256-"));
    for (body, code) in [("{", "malformed_request"), ("[]", "invalid_value"), ("{\"email\":[]}", "invalid_value")] {
        let request = app.client.post(format!("{}/api/v1/auth/sign-in", app.base));
        let answer = crate::app::answer(request.header("Content-Type", "application/json").body(body)).await;
        assert_eq!(answer.code(), code, "{body}");
    }
    let huge = "x".repeat(300 << 10);
    let request = app.client.post(format!("{}/api/v1/auth/sign-in", app.base)).json(&json!({ "email": huge }));
    assert_eq!(crate::app::answer(request).await.code(), "too_large");
    app.stop().await;
}
