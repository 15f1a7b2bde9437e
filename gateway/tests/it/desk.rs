//! Canned replies, teams, filters and counts, several changes at once, notifications, saved views; and what the socket's
//! topic `desk` tells of them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use schemas::workspace::Role;
use serde_json::{Value, json};

use crate::app::{Answer, Tenant, TestApp};
use crate::ws_client::WsClient;

/// A socket of somebody that listens to the desk.
struct Desk(WsClient);

impl Desk {
    async fn open(app: &TestApp, tenant: &Tenant, role: Role) -> Self {
        let address = app.base.strip_prefix("http://").unwrap().parse().unwrap();
        let mut socket = WsClient::open(address, "/api/v1/socket", None).await.unwrap();
        assert_eq!(socket.next().await["op"], "hello");
        socket.send(&json!({ "op": "auth", "id": 1, "token": tenant.tokens[&role], "subs": ["desk"] })).await;
        assert_eq!(socket.until("ready").await["id"], 1);
        Self(socket)
    }

    /// The next event; there are no others than those of the desk.
    async fn next(&mut self) -> Value {
        let event = self.0.until("ev").await["d"]["event"].take();
        let kinds = ["counts_changed", "notification_added", "notifications_read", "setting_changed"];
        assert!(kinds.contains(&event["type"].as_str().unwrap()), "{event}");
        event
    }

    /// The next event of this type.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// The next changed setting.
    async fn setting(&mut self) -> Value {
        self.event("setting_changed").await["change"].take()
    }

    /// Takes in counts until these hold.
    async fn counts(&mut self, views: &mut BTreeMap<String, u64>, wanted: &[(&str, u64)]) {
        while !wanted.iter().all(|(view, count)| views.get(*view).copied().unwrap_or(0) == *count) {
            let event = self.event("counts_changed").await;
            for (view, count) in event["views"].as_object().unwrap() {
                views.insert(view.clone(), count.as_u64().unwrap());
            }
        }
    }
}

async fn talk(app: &TestApp, tenant: &Tenant, n: u8) -> String {
    // Lists are by time.
    app.clock.advance(Duration::from_secs(1));
    let text = format!("hi {n}");
    let talk = app.customer_writes(tenant, &format!("+1500555010{n}"), &format!("SM{n}"), &text).await;
    talk["id"].as_str().unwrap().to_owned()
}

async fn patch(app: &TestApp, tenant: &Tenant, role: Role, path: &str, body: &Value) -> Answer {
    app.call(Method::PATCH, tenant, role, path, Some(body)).await
}

/// The conversations of a list, over all its pages.
async fn listed(app: &TestApp, tenant: &Tenant, role: Role, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(tenant, role, &format!("/conversations?{query}&limit=1{cursor}")).await.expect(200);
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canned_replies_are_made_shown_filled_in_and_removed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Rana Shoes").await;
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let hello = json!({
        "text": "Hello {{contact.first_name|there}}, {{agent.name}} of {{ workspace.name }} here. {{contact.email}}",
        "title": "Greeting", "language": "en",
    });
    let made = app.call(Method::PUT, &tenant, Role::Manager, "/canned-replies/hello", Some(&hello)).await.expect(200);
    assert_eq!((&made["shortcut"], &made["updated_by"]), (&json!("hello"), &json!(tenant.users[&Role::Manager])));
    assert_eq!(desk.setting().await, json!({ "kind": "canned_reply", "canned_reply": made }));
    let arabic = json!({ "text": "أهلا {{contact.name}}" });
    let path = "/canned-replies/%D8%A3%D9%87%D9%84%D8%A7";
    app.call(Method::PUT, &tenant, Role::Owner, path, Some(&arabic)).await.expect(200);
    let page = app.get(&tenant, Role::Agent, "/canned-replies?limit=1").await.expect(200);
    let next = format!("/canned-replies?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = app.get(&tenant, Role::Agent, &next).await.expect(200);
    assert_eq!((&page["items"][0]["shortcut"], &rest["items"][0]["shortcut"]), (&json!("hello"), &json!("أهلا")));
    for (path, body, field) in [
        ("/canned-replies/two%20words", json!({ "text": "x" }), "shortcut"),
        ("/canned-replies/x", json!({ "text": " " }), "text"),
        ("/canned-replies/x", json!({ "text": "{{contact.salary}}" }), "text"),
        ("/canned-replies/x", json!({ "text": "x", "language": "??" }), "language"),
    ] {
        let refused = app.call(Method::PUT, &tenant, Role::Manager, path, Some(&body)).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!(field)), "{path}");
    }
    let conversation = talk(&app, &tenant, 1).await;
    let path = format!("/conversations/{conversation}/canned-replies/hello");
    let filled = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert_eq!(filled["text"], json!("Hello there, agent of Rana Shoes here. {{contact.email}}"));
    assert_eq!(filled["missing"], json!(["contact.email"]));
    let contact = app.get(&tenant, Role::Agent, &format!("/conversations/{conversation}")).await.expect(200);
    let contact = format!("/contacts/{}", contact["contact_id"].as_str().unwrap());
    let known = json!({ "name": "Layla Haddad", "email": "layla@x.test" });
    patch(&app, &tenant, Role::Agent, &contact, &known).await.expect(200);
    let filled = app.get(&tenant, Role::Agent, &path).await.expect(200);
    assert_eq!(filled["text"], json!("Hello Layla, agent of Rana Shoes here. layla@x.test"));
    app.call(Method::DELETE, &tenant, Role::Manager, "/canned-replies/hello", None).await.expect(204);
    app.call(Method::DELETE, &tenant, Role::Manager, "/canned-replies/hello", None).await.expect(404);
    app.get(&tenant, Role::Agent, &path).await.expect(404);
    assert_eq!(desk.setting().await["canned_reply"]["shortcut"], json!("أهلا"));
    assert_eq!(desk.setting().await, json!({ "kind": "canned_reply_removed", "shortcut": "hello" }));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams_have_members_and_get_conversations() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("A").await, app.tenant("B").await);
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let new = json!({ "name": "Returns", "members": [tenant.users[&Role::Agent]] });
    let team = app.post(&tenant, Role::Admin, "/teams", &new).await.expect(201);
    assert_eq!(desk.setting().await, json!({ "kind": "team", "team": team }));
    let id = team["id"].as_str().unwrap();
    let foreign = json!({ "name": "x", "members": [other.users[&Role::Agent]] });
    let refused = app.post(&tenant, Role::Owner, "/teams", &foreign).await;
    assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!("members")));
    let member = format!("/users/{}", tenant.users[&Role::Agent]);
    assert_eq!(app.get(&tenant, Role::Agent, &member).await.expect(200)["teams"], json!([id]));
    let people = app.get(&tenant, Role::Agent, "/users").await.expect(200);
    let teams: Vec<_> = people["items"].as_array().unwrap().iter().filter(|one| !one["teams"].is_null()).collect();
    assert_eq!((teams.len(), &teams[0]["teams"]), (1, &json!([id])));
    let conversation = talk(&app, &tenant, 1).await;
    talk(&app, &tenant, 2).await;
    let path = format!("/conversations/{conversation}");
    let given = patch(&app, &tenant, Role::Agent, &path, &json!({ "team": id })).await.expect(200);
    assert_eq!(given["team"], json!(id));
    let theirs = app.post(&other, Role::Owner, "/teams", &json!({ "name": "Theirs" })).await.expect(201);
    for wrong in [&theirs["id"], &tenant.users[&Role::Agent].to_string().into()] {
        let refused = patch(&app, &tenant, Role::Agent, &path, &json!({ "team": wrong, "priority": "high" })).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!("team")));
    }
    for (role, query, count) in [
        (Role::Manager, format!("team={id}"), 1),
        (Role::Manager, "team=none".to_owned(), 1),
        (Role::Agent, format!("assignee=none&team={id}"), 1),
        (Role::Agent, format!("team={id}"), 0),
        (Role::Manager, format!("assignee=none&team={id}&status=pending"), 0),
    ] {
        assert_eq!(listed(&app, &tenant, role, &query).await.len(), count, "{query}");
    }
    let (path_of_team, rename) = (format!("/teams/{id}"), json!({ "name": "Care", "members": [] }));
    let renamed = patch(&app, &tenant, Role::Owner, &path_of_team, &rename).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["members"]), (&json!("Care"), &json!([])));
    assert_eq!(desk.setting().await["team"]["name"], json!("Care"));
    app.call(Method::DELETE, &tenant, Role::Owner, &format!("/teams/{id}"), None).await.expect(204);
    assert_eq!(desk.setting().await, json!({ "kind": "team_removed", "team_id": id }));
    assert_eq!(app.get(&tenant, Role::Agent, &path).await.expect(200)["team"], json!(id), "conversations keep it");
    let taken = patch(&app, &tenant, Role::Agent, &path, &json!({ "team": null })).await.expect(200);
    assert!(taken["team"].is_null());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_and_paged_to_their_end() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(talk(&app, &tenant, n).await);
    }
    let change = json!({ "priority": "high", "labels": { "add": ["vip", "طلب"] } });
    for id in &ids[..2] {
        patch(&app, &tenant, Role::Manager, &format!("/conversations/{id}"), &change).await.expect(200);
    }
    let read = json!({ "seq": 1 });
    app.post(&tenant, Role::Manager, &format!("/conversations/{}/read", ids[0]), &read).await.expect(200);
    let note = json!({ "text": "@agent look", "mentions": [tenant.users[&Role::Agent]] });
    let path = format!("/conversations/{}", ids[3]);
    let bearer = Some(tenant.tokens[&Role::Manager].as_str());
    app.send(Method::POST, &format!("{path}/notes"), bearer, Some(&note), Some("n1")).await.expect(201);
    let to_manager = json!({ "assignee": tenant.users[&Role::Manager] });
    patch(&app, &tenant, Role::Manager, &path, &to_manager).await.expect(200);
    let channel = tenant.channel;
    for (role, query, expected) in [
        (Role::Manager, "label=vip".to_owned(), vec![1, 0]),
        (Role::Manager, "label=%D8%B7%D9%84%D8%A8&priority=high&unread=true".to_owned(), vec![1]),
        (Role::Manager, "unread=false".to_owned(), vec![0]),
        (Role::Manager, format!("channel={channel}"), vec![3, 2, 1, 0]),
        (Role::Manager, "channel=019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d".to_owned(), vec![]),
        (Role::Manager, "priority=normal".to_owned(), vec![3, 2]),
        (Role::Agent, "mentioned=true".to_owned(), vec![3]),
        (Role::Agent, "assignee=none&priority=normal".to_owned(), vec![2]),
        (Role::Manager, "mentioned=true".to_owned(), vec![]),
    ] {
        let expected: Vec<_> = expected.iter().map(|n: &usize| ids[*n].clone()).collect();
        assert_eq!(listed(&app, &tenant, role, &query).await, expected, "{query}");
    }
    for wrong in ["mentioned=true&assignee=me", "team=x", "priority=now", "channel=1", "unread=perhaps"] {
        let refused = app.get(&tenant, Role::Manager, &format!("/conversations?{wrong}")).await;
        assert_eq!(refused.status.as_u16(), 422, "{wrong}: {}", refused.json);
    }
    let page = app.get(&tenant, Role::Manager, "/conversations?label=vip&limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    for other in ["label=new", "priority=high", "label=vip&unread=true"] {
        let refused = app.get(&tenant, Role::Manager, &format!("/conversations?{other}&cursor={cursor}")).await;
        assert_eq!(refused.json["errors"][0]["path"], json!("cursor"), "{other}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_come_in_one_answer_and_the_socket_keeps_them_fresh() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let (first, second) = (talk(&app, &tenant, 1).await, talk(&app, &tenant, 2).await);
    let me = tenant.users[&Role::Agent];
    let mut views = BTreeMap::new();
    desk.counts(&mut views, &[("open/all", 2), ("open/none", 2)]).await;
    let take = json!({ "assignee": me, "labels": { "add": ["vip"] } });
    patch(&app, &tenant, Role::Agent, &format!("/conversations/{first}"), &take).await.expect(200);
    let snooze = json!({ "status": "snoozed", "snoozed_until": "2026-11-23T09:00:00Z", "assignee": me });
    patch(&app, &tenant, Role::Agent, &format!("/conversations/{second}"), &snooze).await.expect(200);
    let note = json!({ "text": "@agent look", "mentions": [me] });
    let bearer = Some(tenant.tokens[&Role::Manager].as_str());
    let path = format!("/conversations/{first}/notes");
    app.send(Method::POST, &path, bearer, Some(&note), Some("n1")).await.expect(201);
    let counts = app.get(&tenant, Role::Agent, "/conversations/counts").await.expect(200);
    let named = ["mine", "unassigned", "all", "mentions", "snoozed", "notifications"].map(|name| counts[name].clone());
    assert_eq!(named, [1, 0, 1, 1, 1, 1].map(Value::from), "{counts}");
    let mine = format!("open/{me}");
    let mentioned = format!("open/mentioned:{me}");
    let wanted =
        [("open/all", 1), ("open/none", 0), (&mine, 1), ("open/label:vip", 1), ("snoozed/all", 1), (&mentioned, 1)];
    desk.counts(&mut views, &wanted).await;
    views.retain(|_, count| *count > 0);
    assert_eq!(json!(views), counts["views"], "what the socket told is what the answer says");
    let manager = app.get(&tenant, Role::Manager, "/conversations/counts").await.expect(200);
    assert_eq!((&manager["mine"], &manager["snoozed"], &manager["views"]), (&json!(0), &json!(1), &counts["views"]));
    let elsewhere = app.tenant("B").await;
    let counts = app.get(&elsewhere, Role::Owner, "/conversations/counts").await.expect(200);
    assert_eq!((&counts["all"], &counts["views"]), (&json!(0), &json!({})));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_several_things_is_made_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let path = format!("/conversations/{}", talk(&app, &tenant, 1).await);
    let before = app.get(&tenant, Role::Manager, &path).await.expect(200);
    for (change, status) in [
        (json!({ "priority": "urgent", "assignee": "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d" }), 422),
        (json!({ "priority": "urgent", "status": "resolved", "labels": { "add": [""] } }), 422),
        (json!({ "status": "snoozed", "snoozed_until": "2020-01-01T00:00:00Z", "priority": "low" }), 422),
        (json!({ "snoozed_until": "2027-01-01T00:00:00Z" }), 422),
        (json!({ "labels": {} }), 422),
        (json!({ "labels": { "put": ["x"] } }), 422),
    ] {
        patch(&app, &tenant, Role::Manager, &path, &change).await.expect(status);
        assert_eq!(app.get(&tenant, Role::Manager, &path).await.expect(200), before, "{change}");
    }
    let change = json!({
        "status": "pending", "assignee": tenant.users[&Role::Agent], "priority": "low",
        "labels": { "add": ["a", "b"], "remove": ["c"] },
    });
    let after = patch(&app, &tenant, Role::Manager, &path, &change).await.expect(200);
    assert_eq!((&after["status"], &after["priority"]), (&json!("pending"), &json!("low")));
    assert_eq!(after["labels"], json!(["a", "b"]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_change_says_what_came_of_each_conversation() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant("A").await, app.tenant("B").await);
    let (first, second, third) =
        (talk(&app, &tenant, 1).await, talk(&app, &tenant, 2).await, talk(&app, &tenant, 3).await);
    let foreign = talk(&app, &other, 4).await;
    let resolve = json!({ "status": "resolved" });
    patch(&app, &tenant, Role::Manager, &format!("/conversations/{second}"), &resolve).await.expect(200);
    let to_manager = json!({ "assignee": tenant.users[&Role::Manager] });
    patch(&app, &tenant, Role::Manager, &format!("/conversations/{third}"), &to_manager).await.expect(200);
    let bulk = json!({ "conversation_ids": [first, second, third, foreign], "change": { "status": "pending", "priority": "high" } });
    let done = app.post(&tenant, Role::Agent, "/conversations/bulk", &bulk).await.expect(200);
    let items = done["items"].as_array().unwrap();
    let asked: Vec<_> = items.iter().map(|item| item["conversation_id"].as_str().unwrap()).collect();
    assert_eq!(asked, [&first, &second, &third, &foreign]);
    assert_eq!(items[0]["conversation"]["status"], json!("pending"));
    assert!(items[0]["error"].is_null() && items[1]["conversation"].is_null());
    let codes: Vec<_> = items[1..].iter().map(|item| item["error"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["invalid_transition", "not_found", "not_found"]);
    let still = app.get(&tenant, Role::Manager, &format!("/conversations/{second}")).await.expect(200);
    assert_eq!((&still["status"], &still["priority"]), (&json!("resolved"), &json!("normal")), "whole or not at all");
    let theirs = app.get(&other, Role::Owner, &format!("/conversations/{foreign}")).await.expect(200);
    assert_eq!(theirs["priority"], json!("normal"));
    let many: Vec<_> = (0..101).map(|_| first.clone()).collect();
    for (ids, change, field) in [
        (json!([]), json!({ "priority": "low" }), "conversation_ids"),
        (json!(many), json!({ "priority": "low" }), "conversation_ids"),
        (json!([first]), json!({}), "change.status"),
        (json!([first]), json!({ "team": first }), "change.team"),
    ] {
        let bulk = json!({ "conversation_ids": ids, "change": change });
        let refused = app.post(&tenant, Role::Agent, "/conversations/bulk", &bulk).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!(field)));
    }
    let twice = json!({ "conversation_ids": [first, first], "change": { "priority": "low" } });
    let done = app.post(&tenant, Role::Agent, "/conversations/bulk", &twice).await.expect(200);
    assert_eq!(done["items"][0], done["items"][1]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_hear_of_what_concerns_them_and_nobody_else_does() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let mut elsewhere = Desk::open(&app, &tenant, Role::Manager).await;
    let conversation = talk(&app, &tenant, 1).await;
    let path = format!("/conversations/{conversation}");
    let give = json!({ "assignee": tenant.users[&Role::Agent] });
    patch(&app, &tenant, Role::Manager, &path, &give).await.expect(200);
    let told = desk.event("notification_added").await;
    assert_eq!((&told["unread"], &told["notification"]["kind"]), (&json!(1), &json!("assigned")));
    assert_eq!(told["notification"]["by"], json!(tenant.users[&Role::Manager]));
    for n in 1..=2 {
        let note = json!({ "text": format!("look {n}"), "mentions": [tenant.users[&Role::Agent]] });
        let bearer = Some(tenant.tokens[&Role::Manager].as_str());
        let key = format!("n{n}");
        app.send(Method::POST, &format!("{path}/notes"), bearer, Some(&note), Some(&key)).await.expect(201);
    }
    desk.event("notification_added").await;
    let told = desk.event("notification_added").await;
    assert_eq!((&told["unread"], &told["notification"]["preview"]), (&json!(3), &json!("look 2")));
    let page = app.get(&tenant, Role::Agent, "/notifications?limit=2").await.expect(200);
    let numbers = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|item| item["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&page), [3, 2]);
    let next = format!("/notifications?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(numbers(&app.get(&tenant, Role::Agent, &next).await.expect(200)), [1]);
    let read = json!({ "numbers": [2] });
    let unread = app.post(&tenant, Role::Agent, "/notifications/read", &read).await.expect(200);
    assert_eq!(unread, json!({ "unread": 2 }));
    let told = desk.event("notifications_read").await;
    assert_eq!((&told["read_up_to"], &told["read"], &told["unread"]), (&json!(0), &json!([2]), &json!(2)));
    let page = app.get(&tenant, Role::Agent, "/notifications?unread=true").await.expect(200);
    assert_eq!(numbers(&page), [3, 1]);
    let page = app.get(&tenant, Role::Agent, "/notifications?unread=false").await.expect(200);
    assert_eq!((numbers(&page), &page["items"][0]["read"]), (vec![2], &json!(true)));
    let wish = json!({ "op": "cmd", "id": 7, "k": "notifications.read", "d": { "up_to": 3 } });
    desk.0.send(&wish).await;
    assert_eq!(desk.event("notifications_read").await["unread"], json!(0));
    app.post(&tenant, Role::Agent, "/notifications/read", &json!({})).await.expect(422);
    assert_eq!(numbers(&app.get(&tenant, Role::Manager, "/notifications").await.expect(200)), Vec::<u64>::new());
    // A setting comes after all of these, and is the first that the other hears of beside counts.
    app.call(Method::PUT, &tenant, Role::Manager, "/labels/vip", Some(&json!({}))).await.expect(200);
    loop {
        let event = elsewhere.next().await;
        match event["type"].as_str().unwrap() {
            "counts_changed" => {}
            "setting_changed" => break,
            other => panic!("{other} is not theirs to hear"),
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_kept_for_oneself_or_shared_with_all() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let filters = json!({ "status": "open", "assignee": "none", "label": "vip", "unread": true });
    let own = json!({ "name": "VIP", "filters": filters });
    let own = app.post(&tenant, Role::Manager, "/saved-views", &own).await.expect(201);
    assert_eq!((&own["filters"], &own["shared"]), (&filters, &json!(false)));
    let shared = json!({ "name": "الكل", "shared": true, "filters": {} });
    assert_eq!(app.post(&tenant, Role::Agent, "/saved-views", &shared).await.code(), "forbidden");
    let shared = app.post(&tenant, Role::Manager, "/saved-views", &shared).await.expect(201);
    // The first of the two is nobody else's business.
    assert_eq!(desk.setting().await["saved_view"]["id"], shared["id"]);
    let names = async |role| -> Vec<String> {
        let page = app.get(&tenant, role, "/saved-views").await.expect(200);
        page["items"].as_array().unwrap().iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(Role::Manager).await.len(), names(Role::Agent).await), (2, vec!["الكل".to_owned()]));
    let own_path = format!("/saved-views/{}", own["id"].as_str().unwrap());
    let shared_path = format!("/saved-views/{}", shared["id"].as_str().unwrap());
    let rename = json!({ "name": "Renamed" });
    patch(&app, &tenant, Role::Owner, &own_path, &rename).await.expect(404);
    assert_eq!(patch(&app, &tenant, Role::Agent, &shared_path, &rename).await.code(), "forbidden");
    patch(&app, &tenant, Role::Owner, &shared_path, &rename).await.expect(200);
    assert_eq!(desk.setting().await["saved_view"]["name"], json!("Renamed"));
    patch(&app, &tenant, Role::Manager, &shared_path, &json!({ "shared": false })).await.expect(200);
    assert_eq!(desk.setting().await["kind"], json!("saved_view_removed"));
    assert!(names(Role::Agent).await.is_empty());
    app.call(Method::DELETE, &tenant, Role::Owner, &own_path, None).await.expect(404);
    app.call(Method::DELETE, &tenant, Role::Manager, &own_path, None).await.expect(204);
    for (filters, field) in [
        (json!({ "assignee": "somebody" }), "filters.assignee"),
        (json!({ "team": "x" }), "filters.team"),
        (json!({ "label": "x".repeat(51) }), "filters.label"),
        (json!({ "mentioned": true, "assignee": "me" }), "filters.assignee"),
        (json!({ "colour": "red" }), "filters.colour"),
    ] {
        let refused = app.post(&tenant, Role::Agent, "/saved-views", &json!({ "name": "x", "filters": filters })).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["path"]), (422, &json!(field)));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_takes_several_changes_as_one_and_analysts_have_no_desk() {
    let app = TestApp::start().await;
    let tenant = app.tenant("A").await;
    let conversation = talk(&app, &tenant, 1).await;
    let team = app.post(&tenant, Role::Owner, "/teams", &json!({ "name": "Returns" })).await.expect(201);
    let mut desk = Desk::open(&app, &tenant, Role::Agent).await;
    let wish = |id: u8, change: Value| {
        let d = json!({ "conversation_id": conversation, "change": change });
        json!({ "op": "cmd", "id": id, "k": "conversation.change", "d": d })
    };
    desk.0.send(&wish(1, json!({ "team": team["id"], "priority": "low", "labels": { "add": ["vip"] } }))).await;
    assert_eq!(desk.0.until("ok").await["id"], 1);
    let after = app.get(&tenant, Role::Agent, &format!("/conversations/{conversation}")).await.expect(200);
    assert_eq!((&after["team"], &after["priority"]), (&team["id"], &json!("low")));
    desk.0.send(&wish(2, json!({ "team": conversation, "priority": "high" }))).await;
    let refused = desk.0.until("err").await;
    assert_eq!((&refused["id"], &refused["code"]), (&json!(2), &json!("invalid_value")));
    let address = app.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut analyst = WsClient::open(address, "/api/v1/socket", None).await.unwrap();
    analyst.send(&json!({ "op": "auth", "id": 1, "token": tenant.tokens[&Role::Analyst] })).await;
    analyst.until("ready").await;
    analyst.send(&json!({ "op": "sub", "id": 2, "topic": "desk" })).await;
    assert_eq!(analyst.until("err").await["code"], "forbidden");
    analyst.send(&json!({ "op": "cmd", "id": 3, "k": "notifications.read", "d": { "up_to": 1 } })).await;
    assert_eq!(analyst.until("err").await["code"], "forbidden");
    app.stop().await;
}
