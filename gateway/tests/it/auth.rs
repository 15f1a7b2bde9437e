//! Signing in and staying signed in.

use std::time::Duration;

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Answer, PASSWORD, Tenant, TestApp};

async fn sign_in(app: &TestApp, tenant: &Tenant, role: Role, password: &str) -> Answer {
    let body = json!({ "email": tenant.email(role).to_uppercase(), "password": password });
    app.send(Method::POST, "/auth/sign-in", None, Some(&body), None).await
}

async fn refresh(app: &TestApp, token: &Value) -> Answer {
    app.send(Method::POST, "/auth/refresh", None, Some(&json!({ "refresh_token": token })), None).await
}

async fn me(app: &TestApp, tokens: &Value) -> Answer {
    app.send(Method::GET, "/auth/me", tokens["access_token"].as_str(), None, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_signs_in_and_a_wrong_one_says_no_more_than_an_unknown_person() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let tokens = sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200);
    assert_eq!((&tokens["expires_in"], &tokens["me"]["role"]), (&json!(600), &json!("agent")));
    let me = me(&app, &tokens).await.expect(200);
    assert_eq!(me["workspace_id"], json!(tenant.id));
    let mut wrong = sign_in(&app, &tenant, Role::Agent, "wrong").await;
    let body = json!({ "email": "nobody@x.test", "password": "wrong" });
    let mut unknown = app.send(Method::POST, "/auth/sign-in", None, Some(&body), None).await;
    let foreign = json!({
        "email": tenant.email(Role::Agent), "password": PASSWORD, "workspace_id": app.tenant("B").await.id,
    });
    let mut elsewhere = app.send(Method::POST, "/auth/sign-in", None, Some(&foreign), None).await;
    for answer in [&mut wrong, &mut unknown, &mut elsewhere] {
        assert_eq!(answer.status.as_u16(), 401);
        answer.json["request_id"].take();
    }
    assert!(wrong.json == unknown.json && wrong.json == elsewhere.json, "{wrong:?} {unknown:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_good_once_and_a_stolen_one_ends_the_sign_in() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let first = sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200);
    let second = refresh(&app, &first["refresh_token"]).await.expect(200);
    let again = refresh(&app, &first["refresh_token"]).await.expect(200);
    assert_eq!(again["refresh_token"], second["refresh_token"], "the same successor within the grace");
    let third = refresh(&app, &second["refresh_token"]).await.expect(200);
    assert_eq!(refresh(&app, &json!("rt_AAAA")).await.status.as_u16(), 401);
    me(&app, &third).await.expect(200);
    refresh(&app, &first["refresh_token"]).await.expect(401);
    assert_eq!(me(&app, &third).await.status.as_u16(), 401, "the whole sign-in has ended");
    refresh(&app, &third["refresh_token"]).await.expect(401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_another_password_and_another_role_end_access_tokens_at_once() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let one = sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200);
    let body = json!({ "refresh_token": one["refresh_token"] });
    app.send(Method::POST, "/auth/sign-out", None, Some(&body), None).await.expect(204);
    assert_eq!(me(&app, &one).await.status.as_u16(), 401);

    let (kept, other) = (
        sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200),
        sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200),
    );
    let body = json!({ "current_password": PASSWORD, "new_password": "another horse battery" });
    app.send(Method::PUT, "/auth/password", kept["access_token"].as_str(), Some(&body), None).await.expect(204);
    me(&app, &kept).await.expect(200);
    assert_eq!(me(&app, &other).await.status.as_u16(), 401);
    sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(401);

    let path = format!("/users/{}", tenant.users[&Role::Agent]);
    app.call(Method::PATCH, &tenant, Role::Admin, &path, Some(&json!({ "role": "manager" }))).await.expect(200);
    assert_eq!(me(&app, &kept).await.status.as_u16(), 401, "the role in the token is not theirs any more");
    let fresh = refresh(&app, &kept["refresh_token"]).await.expect(200);
    assert_eq!(me(&app, &fresh).await.expect(200)["role"], json!("manager"));
    app.call(Method::PATCH, &tenant, Role::Admin, &path, Some(&json!({ "active": false }))).await.expect(200);
    assert_eq!(me(&app, &fresh).await.status.as_u16(), 401);
    refresh(&app, &fresh["refresh_token"]).await.expect(401);
    assert_eq!(app.get(&tenant, Role::Agent, "/auth/me").await.status.as_u16(), 401, "and so does their API token");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slowed_and_idle_sign_ins_end() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let tokens = sign_in(&app, &tenant, Role::Owner, PASSWORD).await.expect(200);
    for _ in 0..5 {
        sign_in(&app, &tenant, Role::Agent, "wrong").await.expect(401);
    }
    let throttled = sign_in(&app, &tenant, Role::Agent, PASSWORD).await;
    assert_eq!((throttled.status.as_u16(), throttled.code()), (429, "rate_limited"));
    assert_eq!(throttled.headers["retry-after"], "1");
    app.clock.advance(Duration::from_secs(1));
    sign_in(&app, &tenant, Role::Agent, PASSWORD).await.expect(200);
    app.clock.advance(Duration::from_hours(8));
    refresh(&app, &tokens["refresh_token"]).await.expect(401);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reaches_above_their_own_role_and_the_last_owner_stays() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let member = json!({ "email": "new@x.test", "name": "New", "role": "owner", "password": "a long pass phrase" });
    assert_eq!(app.post(&tenant, Role::Admin, "/users", &member).await.code(), "forbidden");
    let owner = format!("/users/{}", tenant.users[&Role::Owner]);
    let lower = json!({ "role": "agent" });
    assert_eq!(app.call(Method::PATCH, &tenant, Role::Admin, &owner, Some(&lower)).await.code(), "forbidden");
    let last = app.call(Method::PATCH, &tenant, Role::Owner, &owner, Some(&lower)).await;
    assert_eq!((last.status.as_u16(), last.json["errors"][0]["path"].as_str()), (422, Some("role")));
    let token = json!({ "name": "x", "role": "owner" });
    assert_eq!(app.post(&tenant, Role::Admin, "/tokens", &token).await.code(), "forbidden");
    for extra in ["workspace_id", "user_id", "epoch"] {
        let mut body = json!({ "name": "x" });
        body[extra] = json!(tenant.id);
        let path = format!("/users/{}", tenant.users[&Role::Agent]);
        let refused = app.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&body)).await;
        assert_eq!((refused.status.as_u16(), refused.json["errors"][0]["path"].as_str()), (422, Some(extra)));
    }
    app.stop().await;
}

/// A request with a cookie; the answer and the cookie that it sets, if any.
async fn with_cookie(app: &TestApp, path: &str, body: &Value, cookie: Option<&str>) -> (Answer, Option<String>) {
    let mut request = app.client.post(format!("{}/api/v1/auth/{path}", app.base)).json(body);
    if let Some(cookie) = cookie {
        request = request.header("Cookie", format!("other=1; saler_refresh={cookie}"));
    }
    let answer = crate::app::answer(request).await;
    let set = answer.headers.get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
    (answer, set)
}

/// The value of a cookie, after checking that no script and no other site gets at it.
fn guarded(set: Option<String>) -> String {
    let set = set.expect("a cookie is set");
    let (pair, rest) = set.split_once(';').unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/v1/auth", "Max-Age="] {
        assert!(rest.contains(attribute), "{set}");
    }
    pair.strip_prefix("saler_refresh=").expect("its name").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_its_refresh_token_in_a_cookie_that_no_script_reads() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let body = json!({ "email": tenant.email(Role::Agent), "password": PASSWORD, "cookie": true });
    let (answer, set) = with_cookie(&app, "sign-in", &body, None).await;
    let tokens = answer.expect(200);
    assert!(tokens["refresh_token"].is_null() && set.as_ref().is_some_and(|set| !set.contains("Secure")), "{set:?}");
    me(&app, &tokens).await.expect(200);
    let first = guarded(set);
    let (answer, set) = with_cookie(&app, "refresh", &json!({}), Some(&first)).await;
    let tokens = answer.expect(200);
    let second = guarded(set);
    assert!(tokens["refresh_token"].is_null() && first != second);
    me(&app, &tokens).await.expect(200);
    let (answer, set) = with_cookie(&app, "refresh", &json!({}), None).await;
    assert_eq!((answer.code(), set), ("unauthenticated", None));
    let (answer, set) = with_cookie(&app, "sign-out", &json!({}), Some(&second)).await;
    answer.expect(204);
    assert!(guarded(set).is_empty(), "the cookie is cleared");
    with_cookie(&app, "refresh", &json!({}), Some(&second)).await.0.expect(401);
    me(&app, &tokens).await.expect(401);
    let (answer, set) =
        with_cookie(&app, "sign-in", &json!({ "email": tenant.email(Role::Agent), "password": PASSWORD }), None).await;
    assert!(answer.expect(200)["refresh_token"].is_string() && set.is_none(), "programs have it in the answer");
    app.stop().await;
    let app = TestApp::start_with(&[("SALER_HTTP__PUBLIC_URL", "https://desk.example")]).await;
    let tenant = app.tenant("A").await;
    let body = json!({ "email": tenant.email(Role::Agent), "password": PASSWORD, "cookie": true });
    let (answer, set) = with_cookie(&app, "sign-in", &body, None).await;
    answer.expect(200);
    assert!(set.is_some_and(|set| set.contains("; Secure")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_changes_to_another_of_their_workspaces_without_their_password() {
    let app = TestApp::start().await;
    let (tenant, strangers) = (app.tenant("A").await, app.tenant("B").await);
    let tokens = sign_in(&app, &tenant, Role::Owner, PASSWORD).await.expect(200);
    let bearer = tokens["access_token"].as_str();
    let second = app.post(&tenant, Role::Owner, "/workspaces", &json!({ "name": "Second" })).await.expect(201);
    let switch = |workspace: Value| json!({ "workspace_id": workspace });
    let foreign = switch(json!(strangers.id));
    app.send(Method::POST, "/auth/switch", bearer, Some(&foreign), None).await.expect(404);
    let token = tenant.tokens[&Role::Owner].as_str();
    let wish = switch(second["id"].clone());
    app.send(Method::POST, "/auth/switch", Some(token), Some(&wish), None).await.expect(404);
    let changed = app.send(Method::POST, "/auth/switch", bearer, Some(&wish), None).await.expect(200);
    assert_eq!((&changed["me"]["workspace_id"], &changed["me"]["role"]), (&second["id"], &json!("owner")));
    me(&app, &changed).await.expect(200);
    me(&app, &tokens).await.expect(401);
    refresh(&app, &changed["refresh_token"]).await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_to_another_workspace_does_not_make_a_sign_in_last_longer() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut tokens = sign_in(&app, &tenant, Role::Owner, PASSWORD).await.expect(200);
    // An owner's sign-in ends after 8 hours without use, and after 24 in any case.
    for _ in 0..3 {
        app.clock.advance(Duration::from_hours(7));
        tokens = refresh(&app, &tokens["refresh_token"]).await.expect(200);
    }
    let wish = json!({ "workspace_id": tenant.id });
    let bearer = tokens["access_token"].as_str();
    let changed = app.send(Method::POST, "/auth/switch", bearer, Some(&wish), None).await.expect(200);
    app.clock.advance(Duration::from_hours(4));
    refresh(&app, &changed["refresh_token"]).await.expect(401);
    app.stop().await;
}
