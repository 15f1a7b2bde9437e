//! A whole hub on a port of its own, with a clock that tests move: over the in-memory engines, or, if the environment names
//! servers, the gateway and the analytics of one over Kafka and CQL ([`super::pair`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::app::{Application, Engines};
use gateway::auth::api_token::{self, NewToken};
use gateway::config::Roles;
use gateway::directory::Directory;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use schemas::channel::Secret;
use schemas::workspace::Role;
use schemas::{ChannelId, UserId, WorkspaceId};
use serde_json::{Value, json};
use sha1::Sha1;
use storage::clock::{Clock, ManualClock};
use storage::log::memory::MemoryLog;
use storage::log::{Log, ReadLimit, Topic, partition_of};
use storage::tables::memory::MemoryTables;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::pair;

/// The auth token of every channel of the tests.
pub(crate) const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The account of every channel of the tests.
pub(crate) const ACCOUNT: &str = "ACde0000000000000000000000000000de";
/// The address of every channel of the tests.
pub(crate) const NUMBER: &str = "+14155550100";
/// The password of everybody in the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// No state takes longer to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a state, so that whoever brings it about gets to it.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// An answer: its status, its headers and its JSON, if it has one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    /// The answer's body, after checking its status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.json);
        self.json
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

/// A workspace with one person a role, each with an API token, and one SMS channel.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: WorkspaceId,
    pub(crate) tokens: BTreeMap<Role, String>,
    pub(crate) users: BTreeMap<Role, UserId>,
    pub(crate) channel: ChannelId,
}

impl Tenant {
    pub(crate) fn email(&self, role: Role) -> String {
        format!("{}@{}.test", role.as_str(), self.id)
    }
}

#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) log: Arc<dyn Log>,
    /// The same, if it is the one in memory, which fails on request.
    pub(crate) memory_log: Option<Arc<MemoryLog>>,
    /// The tables, if they are those in memory.
    pub(crate) memory_tables: Option<Arc<MemoryTables>>,
    pub(crate) engines: Engines,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: Directory,
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    shutdown: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    _dir: TempDir,
}

/// A gateway beside the hub of a test.
#[derive(Debug)]
pub(crate) struct AnotherGateway {
    pub(crate) base: String,
    shutdown: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    _dir: TempDir,
}

impl AnotherGateway {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

/// The settings of a process of the tests: the usual ones, those of the servers if there are any, and these.
fn variables(dir: &TempDir, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let usual = [
        ("SALER_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("SALER_HTTP__WORKERS", "1".to_owned()),
        ("SALER_HTTP__CLIENT_DISCONNECT_TIMEOUT_MS", "0".to_owned()),
        ("SALER_SOCKET__COMMAND_TIMEOUT_MS", "20000".to_owned()),
        ("SALER_DATA__DIR", dir.path().display().to_string()),
    ];
    let usual = usual.map(|(name, value)| (name.to_owned(), value));
    let servers = pair::shared().map(|pair| pair.settings.clone()).unwrap_or_default();
    let given = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    usual.into_iter().chain(servers).chain(given).collect()
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these further settings.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = tokio::task::spawn_blocking(pair::shared).await.unwrap();
        let (engines, roles, memory_log, memory_tables) = if let Some(pair) = shared {
            (pair.engines.clone(), Roles::parse(&["gateway", "analytics"]).unwrap(), None, None)
        } else {
            let (log, tables) = (Arc::new(MemoryLog::new(2)), Arc::new(MemoryTables::new()));
            let engines = Engines { log: Arc::clone(&log) as _, tables: Arc::clone(&tables) as _, leaving: None };
            (engines, Roles::all(), Some(log), Some(tables))
        };
        let config = pair::config(variables(&dir, settings));
        let log = Arc::clone(&engines.log);
        let clock = Arc::new(ManualClock::at("2026-11-22T09:00:00Z".parse().unwrap()));
        let application =
            Application::with_engines(config, roles, Arc::clone(&clock) as _, engines.clone(), None).await.unwrap();
        let base = format!("http://127.0.0.1:{}", application.port());
        let directory = application.state().unwrap().directory.clone();
        let shutdown = application.shutdown_token();
        let serving = tokio::spawn(application.run_until_stopped());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { log, memory_log, memory_tables, engines, clock, directory, base, client, shutdown, serving, _dir: dir }
    }

    /// A gateway beside this one, over the same engines.
    pub(crate) async fn another_gateway(&self, settings: &[(&str, &str)]) -> AnotherGateway {
        let dir = tempfile::tempdir().unwrap();
        let config = pair::config(variables(&dir, settings));
        let (roles, clock) = (Roles::parse(&["gateway"]).unwrap(), Arc::clone(&self.clock) as _);
        let application = Application::with_engines(config, roles, clock, self.engines.clone(), None).await.unwrap();
        let base = format!("http://127.0.0.1:{}", application.port());
        let shutdown = application.shutdown_token();
        AnotherGateway { base, shutdown, serving: tokio::spawn(application.run_until_stopped()), _dir: dir }
    }

    /// Stops the hub as a signal does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }

    /// Makes a workspace with people and a channel.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let workspace = self.directory.create_workspace(name, None).await.unwrap();
        let mut tenant = Tenant {
            id: workspace.id,
            tokens: BTreeMap::new(),
            users: BTreeMap::new(),
            channel: ChannelId::new(self.clock.now(), &[0; 10]),
        };
        let hash = gateway::auth::password::Passwords::new(1).unwrap().hash(&Secret::new(PASSWORD)).await.unwrap();
        for role in Role::ALL {
            let (user, _) = self.directory.find_or_create_user(&tenant.email(role), Some(hash.clone())).await.unwrap();
            self.directory.add_member(tenant.id, user.id, role.as_str(), role, None).await.unwrap();
            let new = NewToken { name: "test".to_owned(), role, bot: None, days: None };
            let (_, token) = api_token::create(&self.directory, tenant.id, user.id, new).await.unwrap();
            tenant.tokens.insert(role, token);
            tenant.users.insert(role, user.id);
        }
        let channel = json!({
            "name": "Support",
            "account": {
                "provider": "twilio", "medium": "sms", "address": NUMBER, "account_sid": ACCOUNT,
                "auth_token": AUTH_TOKEN, "api_base": "http://127.0.0.1:9",
            },
        });
        let made = self.post(&tenant, Role::Owner, "/channels", &channel).await.expect(201);
        tenant.channel = made["id"].as_str().unwrap().parse().unwrap();
        // The engine knows members once they are told of; a change to the same tells of them.
        for role in Role::ALL {
            let path = format!("/users/{}", tenant.users[&role]);
            self.call(Method::PATCH, &tenant, Role::Owner, &path, Some(&json!({ "capacity": 20 }))).await.expect(200);
        }
        tenant
    }

    /// How many commands of a workspace the log holds.
    pub(crate) async fn commands(&self, workspace_id: WorkspaceId) -> usize {
        let partition = partition_of(workspace_id, self.log.partitions());
        let end = self.log.bounds(Topic::Commands, partition).await.unwrap().next;
        let (mut next, mut count) = (0, 0);
        while next < end {
            let records = self.log.read(Topic::Commands, partition, next, ReadLimit::default()).await.unwrap();
            count += records.iter().filter(|record| record.key == workspace_id).count();
            next = records.last().map_or(end, |record| record.offset + 1);
        }
        count
    }

    /// A request under `/api/v1` with a bearer token.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answer(request).await
    }

    /// Reads from another gateway.
    pub(crate) async fn get_from(&self, base: &str, path: &str, bearer: &str) -> Answer {
        answer(self.client.get(format!("{base}/api/v1{path}")).bearer_auth(bearer)).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        tenant: &Tenant,
        role: Role,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.send(method, path, Some(&tenant.tokens[&role]), body, None).await
    }

    pub(crate) async fn get(&self, tenant: &Tenant, role: Role, path: &str) -> Answer {
        self.call(Method::GET, tenant, role, path, None).await
    }

    pub(crate) async fn post(&self, tenant: &Tenant, role: Role, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, tenant, role, path, Some(body)).await
    }

    /// Posts a webhook as Twilio would sign it, with another signature if one is given.
    pub(crate) async fn webhook(
        &self,
        channel: ChannelId,
        parameters: &[(&str, &str)],
        signature: Option<&str>,
    ) -> Answer {
        let path = format!("/webhooks/twilio/{channel}");
        let url = format!("{}{path}", self.base);
        let body = form_urlencoded(parameters);
        let signed = sign(&url, parameters);
        let request = self
            .client
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Twilio-Signature", signature.unwrap_or(&signed))
            .body(body);
        answer(request).await
    }

    /// A customer writes; returns the conversation, once it can be seen.
    pub(crate) async fn customer_writes(&self, tenant: &Tenant, from: &str, sid: &str, text: &str) -> Value {
        self.webhook(tenant.channel, &message(from, sid, text), None).await.expect(200);
        self.until(async || {
            let page = self.get(tenant, Role::Owner, "/conversations?limit=100").await.expect(200);
            let found = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["contact_address"] == from && item["last_message"]["preview"] == text);
            found.cloned()
        })
        .await
    }

    /// Asks again until there is an answer.
    pub(crate) async fn until<T>(&self, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                if let Some(found) = ask().await {
                    return found;
                }
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("what was waited for did not come")
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// What Twilio posts for an SMS.
pub(crate) fn message<'a>(from: &'a str, sid: &'a str, text: &'a str) -> [(&'static str, &'a str); 7] {
    [
        ("AccountSid", ACCOUNT),
        ("MessageSid", sid),
        ("SmsStatus", "received"),
        ("From", from),
        ("To", NUMBER),
        ("NumMedia", "0"),
        ("Body", text),
    ]
}

/// Parameters as a form or a query carries them.
pub(crate) fn form_urlencoded(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// Twilio's signature of a form (docs: Usage, Security, Validating requests).
pub(crate) fn sign(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}
