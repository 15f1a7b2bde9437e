//! Every route with every role, without a token, and with another workspace's.

use gateway::http::endpoints;
use gateway::http::route::Access;
use reqwest::Method;
use schemas::policy::allows;
use schemas::workspace::Role;
use schemas::{DeadLetterId, SessionId, TokenId};
use serde_json::{Value, json};
use storage::clock::Clock;

use crate::app::{Answer, Tenant, TestApp};

/// Ids to fill paths with.
struct Ids {
    workspace: String,
    user: String,
    token: String,
    channel: String,
    contact: String,
    conversation: String,
    dead_letter: String,
    session: String,
    team: String,
    saved_view: String,
}

impl Ids {
    fn fill(&self, path: &str) -> String {
        path.replace("{workspace_id}", &self.workspace)
            .replace("{user_id}", &self.user)
            .replace("{token_id}", &self.token)
            .replace("{channel_id}", &self.channel)
            .replace("{contact_id}", &self.contact)
            .replace("{conversation_id}", &self.conversation)
            .replace("{dead_letter_id}", &self.dead_letter)
            .replace("{session_id}", &self.session)
            .replace("{team_id}", &self.team)
            .replace("{saved_view_id}", &self.saved_view)
            .replace("{shortcut}", "hello")
            .replace("{seq}", "1")
            .replace("{index}", "0")
            .replace("{ticket}", "x")
            .replace("{name}", "vip")
    }
}

/// A body that the route takes.
fn body(method: &Method, path: &str) -> Option<Value> {
    Some(match (method.as_str(), path) {
        ("POST", "/auth/sign-in") => json!({ "email": "nobody@x.test", "password": "x" }),
        ("POST", "/auth/refresh" | "/auth/sign-out") => json!({ "refresh_token": "rt_x" }),
        ("POST", "/auth/switch") => json!({ "workspace_id": "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d" }),
        ("PUT", "/canned-replies/{shortcut}") => json!({ "text": "Hello {{contact.name}}" }),
        ("POST", "/teams") => json!({ "name": "" }),
        ("POST", "/conversations/bulk") => json!({ "conversation_ids": [], "change": { "priority": "low" } }),
        ("POST", "/notifications/read") => json!({ "up_to": 1 }),
        ("POST", "/saved-views") => json!({ "name": "", "filters": {} }),
        ("PUT", "/auth/password") => json!({ "current_password": "wrong", "new_password": "x" }),
        ("POST", "/workspaces") => json!({ "name": "Another" }),
        ("PUT", "/workspaces/{workspace_id}/business-hours") => {
            json!({ "periods": [{ "weekday": "monday", "opens": "09:00", "closes": "17:00" }] })
        }
        ("PUT", "/sla-policies") => json!({ "version": 0, "policies": [] }),
        ("PUT", "/labels/{name}") => json!({ "color": "#123456" }),
        ("POST", "/users") => json!({ "email": "bad", "name": "x", "role": "agent", "password": "x" }),
        ("POST", "/tokens") => json!({ "name": "x", "role": "agent", "expires_in_days": 0 }),
        ("POST", "/channels") => {
            json!({ "name": "", "account": { "provider": "web_chat", "allowed_origins": [] } })
        }
        ("PATCH", "/contacts/{contact_id}") => json!({ "name": "Layla" }),
        ("POST", "/conversations") => {
            json!({ "channel_id": "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d", "address": "+15005550006", "body": { "text": "x" } })
        }
        ("PATCH", "/conversations/{conversation_id}") => json!({ "priority": "high" }),
        ("POST", "/conversations/{conversation_id}/labels") => json!({ "add": ["vip"] }),
        ("POST", "/conversations/{conversation_id}/read") => json!({ "seq": 1 }),
        ("POST", "/conversations/{conversation_id}/messages") => json!({ "body": { "text": "hello" } }),
        ("POST", "/conversations/{conversation_id}/notes") => json!({ "text": "note" }),
        ("POST", "/sql") => json!({ "sql": "SELECT 1" }),
        ("PATCH", _) => json!({}),
        _ => return None,
    })
}

async fn ids_of(app: &TestApp, tenant: &Tenant, from: &str) -> Ids {
    let conversation = app.customer_writes(tenant, from, &format!("SM{}", from.trim_start_matches('+')), "hi").await;
    let signed_in = json!({ "email": tenant.email(Role::Owner), "password": crate::app::PASSWORD });
    let session = app.send(Method::POST, "/auth/sign-in", None, Some(&signed_in), None).await.expect(200);
    app.webhook(tenant.channel, &[("AccountSid", crate::app::ACCOUNT), ("Nothing", "x")], None).await.expect(200);
    let letters = app.get(tenant, Role::Owner, "/dead-letters").await.expect(200);
    let spare = json!({ "name": "spare", "role": "agent" });
    let spare = app.post(tenant, Role::Owner, "/tokens", &spare).await.expect(201);
    let team = app.post(tenant, Role::Owner, "/teams", &json!({ "name": "Returns" })).await.expect(201);
    let view = json!({ "name": "Mine", "filters": {} });
    let view = app.post(tenant, Role::Owner, "/saved-views", &view).await.expect(201);
    let hello = json!({ "text": "Hello" });
    app.call(Method::PUT, tenant, Role::Owner, "/canned-replies/hello", Some(&hello)).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ids {
        workspace: tenant.id.to_string(),
        user: tenant.users[&Role::Analyst].to_string(),
        token: text(&spare["id"]),
        channel: tenant.channel.to_string(),
        contact: text(&conversation["contact_id"]),
        conversation: text(&conversation["id"]),
        dead_letter: text(&letters["items"][0]["id"]),
        session: text(&session["session_id"]),
        team: text(&team["id"]),
        saved_view: text(&view["id"]),
    }
}

fn absent_ids(app: &TestApp) -> Ids {
    let now = app.clock.now();
    let id = || SessionId::new(now, &[9; 10]).to_string();
    Ids {
        workspace: id(),
        user: id(),
        token: TokenId::new(now, &[9; 10]).to_string(),
        channel: id(),
        contact: id(),
        conversation: id(),
        dead_letter: DeadLetterId::new(now, &[9; 10]).to_string(),
        session: id(),
        team: id(),
        saved_view: id(),
    }
}

async fn ask(app: &TestApp, method: &Method, path: &str, ids: &Ids, bearer: Option<&str>) -> Answer {
    let key = format!("k{}", rand::random::<u64>());
    app.send(method.clone(), &ids.fill(path), bearer, body(method, path).as_ref(), Some(&key)).await
}

/// The routes by method, path and right, as the server registers them.
fn routes() -> Vec<(Method, &'static str, Access)> {
    let endpoints = endpoints();
    endpoints.list().iter().map(|route| (route.method.as_str().parse().unwrap(), route.path, route.access)).collect()
}

#[test]
fn only_signing_in_and_the_description_are_public() {
    let public: Vec<_> =
        routes().into_iter().filter(|(_, _, access)| *access == Access::Public).map(|(_, path, _)| path).collect();
    assert_eq!(
        public,
        [
            "/auth/sign-in",
            "/auth/refresh",
            "/auth/sign-out",
            "/visitor/files/{workspace_id}/{ticket}",
            "/visitor/widget",
            "/openapi.json"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_refuses_whom_it_must_and_foreign_looks_like_absent() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("Ours").await, app.tenant("Theirs").await);
    let own = ids_of(&app, &ours, "+15005550001").await;
    let foreign = ids_of(&app, &theirs, "+15005550002").await;
    let absent = absent_ids(&app);
    let expired = {
        let signed_in = json!({ "email": ours.email(Role::Owner), "password": crate::app::PASSWORD });
        let tokens = app.send(Method::POST, "/auth/sign-in", None, Some(&signed_in), None).await.expect(200);
        app.clock.advance(std::time::Duration::from_secs(700));
        tokens["access_token"].as_str().unwrap().to_owned()
    };
    let mut cases = 0;
    for (method, path, access) in routes() {
        let place = format!("{method} {path}");
        if access == Access::Public {
            continue;
        }
        for bearer in [None, Some(""), Some("x.y.z"), Some("saler_x_y"), Some(expired.as_str())] {
            let refused = ask(&app, &method, path, &own, bearer).await;
            assert_eq!(refused.code(), "unauthenticated", "{place} with {bearer:?}: {}", refused.json);
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
            cases += 1;
        }
        // What takes something away comes last, so that the others find what they ask for.
        for role in Role::ALL.into_iter().rev() {
            let answer = ask(&app, &method, path, &own, Some(&ours.tokens[&role])).await;
            let may = !matches!(access, Access::Right(action) if !allows(role, action));
            let refused = answer.code() == "forbidden" || answer.code() == "unauthenticated";
            assert_eq!(may, !refused, "{place} as {role:?}: {} {}", answer.status, answer.json);
            assert_ne!(answer.status.as_u16(), 500, "{place} as {role:?}: {}", answer.json);
            cases += 1;
        }
        // Names and shortcuts are words of each workspace's own.
        if path.contains("_id}") {
            for role in Role::ALL {
                if matches!(access, Access::Right(action) if !allows(role, action)) {
                    continue;
                }
                let bearer = Some(ours.tokens[&role].as_str());
                let mut answers = Vec::new();
                for ids in [&foreign, &absent] {
                    let mut answer = ask(&app, &method, path, ids, bearer).await;
                    assert_eq!(answer.status.as_u16(), 404, "{place} as {role:?}: {}", answer.json);
                    answer.json["request_id"].take();
                    answers.push(answer.json);
                    cases += 1;
                }
                assert_eq!(answers[0], answers[1], "{place} as {role:?}");
            }
        }
    }
    // What was asked for with our tokens changed nothing of theirs.
    let talk = app.get(&theirs, Role::Owner, &format!("/conversations/{}", foreign.conversation)).await.expect(200);
    assert_eq!((&talk["priority"], &talk["last_seq"]), (&json!("normal"), &json!(1)));
    assert!(cases > 400, "{cases} cases");
    app.stop().await;
}
