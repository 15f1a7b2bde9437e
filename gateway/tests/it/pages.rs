//! Lists come in pages: each item once, in the order of the list, and none beyond the workspace.

use std::collections::BTreeSet;

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Tenant, TestApp};

/// Every item of a list, read in pages of this size.
async fn all(app: &TestApp, tenant: &Tenant, list: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut path) = (Vec::new(), format!("{list}?limit={limit}"));
    loop {
        let page = app.get(tenant, Role::Owner, &path).await.expect(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return items };
        assert_eq!(items.len() % limit, 0, "{list}: only the last page is short");
        path = format!("{list}?limit={limit}&cursor={cursor}");
    }
}

/// Seven of everything that people set up.
async fn set_up(app: &TestApp, tenant: &Tenant) {
    for n in 0..7 {
        let label = format!("/labels/label {n} of the \u{648}");
        app.call(Method::PUT, tenant, Role::Owner, &label, Some(&json!({}))).await.expect(200);
        let token = json!({ "name": format!("token {n}"), "role": "agent" });
        app.post(tenant, Role::Owner, "/tokens", &token).await.expect(201);
        app.post(tenant, Role::Owner, "/workspaces", &json!({ "name": format!("space {n}") })).await.expect(201);
        let channel =
            json!({ "name": format!("chat {n}"), "account": { "provider": "web_chat", "allowed_origins": [] } });
        app.post(tenant, Role::Owner, "/channels", &channel).await.expect(201);
        let email = format!("person{n}@{}.test", tenant.id);
        let (user, _) = app.directory.find_or_create_user(&email, None).await.unwrap();
        app.directory.add_member(tenant.id, user.id, "Person", Role::Agent, None).await.unwrap();
        // The engine knows members once it is told of them; on shared servers another hub that starts would do it.
        let path = format!("/users/{}", user.id);
        app.call(Method::PATCH, tenant, Role::Owner, &path, Some(&json!({ "capacity": 20 }))).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_read_whole_in_pages_of_any_size() {
    let app = TestApp::start().await;
    let (tenant, stranger) = (app.tenant("A").await, app.tenant("B").await);
    set_up(&app, &tenant).await;
    set_up(&app, &stranger).await;
    let roles = Role::ALL.len();
    app.until(async || (all(&app, &tenant, "/agents", 100).await.len() >= 7 + roles).then_some(())).await;
    let lists = [
        ("/labels", "name", 7),
        ("/tokens", "id", 7 + roles),
        ("/workspaces", "id", 8),
        ("/channels", "id", 8),
        ("/users", "user_id", 7 + roles),
        ("/agents", "user_id", 7 + roles),
    ];
    for (list, key, count) in lists {
        let whole = all(&app, &tenant, list, 100).await;
        let keys: BTreeSet<&str> = whole.iter().map(|item| item[key].as_str().unwrap()).collect();
        assert_eq!((whole.len(), keys.len()), (count, count), "{list}");
        for limit in [1, 3, count - 1, count] {
            assert_eq!(all(&app, &tenant, list, limit).await, whole, "{list} in pages of {limit}");
        }
        let page = app.get(&tenant, Role::Owner, &format!("{list}?limit=1")).await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        for wrong in [format!("{list}?cursor=x"), format!("{list}?limit=0"), format!("{list}?limit=101")] {
            assert_eq!(app.get(&tenant, Role::Owner, &wrong).await.code(), "invalid_value", "{wrong}");
        }
        let foreign = app.get(&stranger, Role::Owner, &format!("{list}?cursor={cursor}")).await;
        assert_eq!(foreign.code(), "invalid_value", "a cursor of {list} is good in its workspace only");
    }
    let people = all(&app, &tenant, "/users", 4).await;
    assert!(people.iter().all(|person| person["email"].as_str().unwrap().contains('@')), "{people:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_belongs_to_so_many_workspaces_and_no_more() {
    let app = TestApp::start().await;
    let home = app.directory.create_workspace("home", None).await.unwrap();
    let (user, _) = app.directory.find_or_create_user(&format!("busy@{}.test", home.id), None).await.unwrap();
    let mut last = None;
    for n in 0..200 {
        let workspace = app.directory.create_workspace(&format!("space {n}"), None).await.unwrap();
        app.directory.add_member(workspace.id, user.id, "Busy", Role::Agent, None).await.unwrap();
        last = Some(workspace.id);
    }
    assert_eq!(app.directory.workspaces_of(user.id).await.unwrap().len(), 200);
    let one_more = app.directory.create_workspace("one more", None).await.unwrap();
    let refused = app.directory.add_member(one_more.id, user.id, "Busy", Role::Agent, None).await.unwrap_err();
    assert!(refused.to_string().contains("200 workspaces"), "{refused}");
    let again = app.directory.add_member(last.unwrap(), user.id, "Busy", Role::Agent, None).await.unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
    app.stop().await;
}
