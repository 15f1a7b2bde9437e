//! A client of the hub's REST API: what the demo's agents and the workloads need of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use schemas::api::Page;
use schemas::api::analytics::SqlAnswer;
use schemas::api::auth::Tokens;
use schemas::api::channel::CreatedChannel;
use schemas::api::conversation::{ConversationView, Sent};
use schemas::api::workspace::CreatedApiToken;
use schemas::message::Message;
use schemas::workspace::Workspace;
use schemas::{ChannelId, ConversationId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest page that is asked for.
const PAGE_LIMIT: u32 = 100;

/// The hub's API, with the token of one person.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    /// A client without a token. `base` is such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn new(base: impl Into<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            .no_proxy()
            .build()
            .context("cannot build an HTTP client")?;
        Ok(Self { base: base.into().trim_end_matches('/').to_owned(), token: String::new(), http })
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// The same at another gateway.
    #[must_use]
    pub fn at(&self, gateway: SocketAddr) -> Self {
        Self { base: format!("http://{gateway}"), ..self.clone() }
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The base of its addresses.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where the hub listens.
    ///
    /// # Errors
    /// If the base is no address, or its name cannot be resolved.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let url = url::Url::parse(&self.base).with_context(|| format!("{:?} is not an address", self.base))?;
        let addresses = url.socket_addrs(|| None).with_context(|| format!("{:?} cannot be resolved", self.base))?;
        addresses.first().copied().with_context(|| format!("{:?} has no address", self.base))
    }

    /// Whether `/readyz` answers 200.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Signs in with a password; gives a client that holds the access token, and what came with it.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn sign_in(&self, email: &str, password: &str) -> anyhow::Result<(Self, Tokens)> {
        let tokens: Tokens = self.post("auth/sign-in", &json!({ "email": email, "password": password }), None).await?;
        Ok((self.with_token(&tokens.access_token), tokens))
    }

    /// Makes a workspace; the caller becomes its owner.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn create_workspace(&self, name: &str) -> anyhow::Result<Workspace> {
        self.post("workspaces", &json!({ "name": name }), None).await
    }

    /// Makes an API token for the caller, which does not end during a run.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn create_token(&self, role: &str) -> anyhow::Result<String> {
        let created: CreatedApiToken = self.post("tokens", &json!({ "name": "load test", "role": role }), None).await?;
        Ok(created.secret)
    }

    /// Makes a Twilio channel of the medium `sms`; automatic assignment is off.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn create_sms_channel(&self, channel: &SmsChannel<'_>) -> anyhow::Result<ChannelId> {
        let body = json!({
            "name": channel.address,
            "account": {
                "provider": "twilio",
                "medium": "sms",
                "address": channel.address,
                "account_sid": channel.account_sid,
                "auth_token": channel.auth_token,
                "api_base": channel.api_base,
                "messages_per_second": 1_000,
            },
        });
        let created: CreatedChannel = self.post("channels", &body, None).await?;
        Ok(created.view.channel.id)
    }

    /// One page of conversations of a status and an assignee (`all`, `me`, `none`), latest activity first.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn conversations(
        &self,
        status: &str,
        assignee: &str,
        cursor: Option<&str>,
    ) -> anyhow::Result<Page<ConversationView>> {
        let mut query =
            vec![("status", status.to_owned()), ("assignee", assignee.to_owned()), ("limit", PAGE_LIMIT.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.get("conversations", &query).await
    }

    /// Every conversation of a status.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn all_conversations(&self, status: &str) -> anyhow::Result<Vec<ConversationView>> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.conversations(status, "all", cursor.as_deref()).await?;
            all.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Every message of a conversation, oldest first.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn all_messages(&self, id: ConversationId) -> anyhow::Result<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let after = all.last().map_or(0, |message| message.seq);
            let query = [("after_seq", after.to_string()), ("limit", PAGE_LIMIT.to_string())];
            let page: Page<Message> = self.get(&format!("conversations/{id}/messages"), &query).await?;
            let more = page.items.len() >= PAGE_LIMIT as usize;
            all.extend(page.items);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Writes to the contact of a conversation.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn send(&self, id: ConversationId, key: &str, text: &str) -> anyhow::Result<Sent> {
        self.post(&format!("conversations/{id}/messages"), &json!({ "body": { "text": text } }), Some(key)).await
    }

    /// How many messages SQL sees.
    ///
    /// # Errors
    /// If the hub cannot be reached, refuses, or answers something else.
    pub async fn messages_in_sql(&self) -> anyhow::Result<u64> {
        let query = json!({ "sql": "select count(*) from messages" });
        let answer: SqlAnswer = self.post("sql", &query, None).await?;
        let counted = answer.rows.first().and_then(|row| row.first()).and_then(Value::as_u64);
        counted.context("a count is not a number")
    }

    /// Marks a conversation as read up to a message.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn mark_read(&self, id: ConversationId, seq: u64) -> anyhow::Result<()> {
        let url = self.url(&format!("conversations/{id}/read"));
        let answer = self.http.post(&url).bearer_auth(&self.token).json(&json!({ "seq": seq })).send().await;
        checked(answer, &url).await.map(drop)
    }

    /// Changes a conversation: `{"status": "resolved"}`, `{"assignee": "…"}`.
    ///
    /// # Errors
    /// If the hub cannot be reached or refuses.
    pub async fn change_conversation<C: Serialize>(&self, id: ConversationId, change: &C) -> anyhow::Result<()> {
        let url = self.url(&format!("conversations/{id}"));
        let answer = self.http.patch(&url).bearer_auth(&self.token).json(change).send().await;
        checked(answer, &url).await.map(drop)
    }

    /// `GET /api/v1/{path}`.
    ///
    /// # Errors
    /// If the hub cannot be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let url = self.url(path);
        let answer = self.http.get(&url).bearer_auth(&self.token).query(query).send().await;
        read(answer, &url).await
    }

    /// `POST /api/v1/{path}`.
    ///
    /// # Errors
    /// If the hub cannot be reached, refuses, or answers something else.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        key: Option<&str>,
    ) -> anyhow::Result<T> {
        let url = self.url(path);
        let mut request = self.http.post(&url).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        read(request.send().await, &url).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.base)
    }
}

/// A channel to make.
#[derive(Clone, Copy, Debug)]
pub struct SmsChannel<'a> {
    /// Its number in E.164.
    pub address: &'a str,
    /// The account's SID.
    pub account_sid: &'a str,
    /// The account's auth token.
    pub auth_token: &'a str,
    /// Where the provider's API is.
    pub api_base: &'a str,
}

async fn checked(answer: reqwest::Result<reqwest::Response>, url: &str) -> anyhow::Result<reqwest::Response> {
    let answer = answer.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.text().await.unwrap_or_default();
        bail!("{url} answered {status}: {}", body.chars().take(500).collect::<String>());
    }
    Ok(answer)
}

async fn read<T: DeserializeOwned>(answer: reqwest::Result<reqwest::Response>, url: &str) -> anyhow::Result<T> {
    let answer = checked(answer, url).await?;
    let bytes = answer.bytes().await.with_context(|| format!("{url} broke off"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{url} answered something unexpected"))
}
