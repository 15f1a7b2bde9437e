//! `/webhooks/{provider}/{channel_id}`: the door for providers.
//!
//! The order is fixed: cap and read the raw body, find the channel, verify the signature over the raw bytes and the
//! *configured* public address, compare the account, parse, append durably, answer 200. A request that is refused leaves no
//! trace in the log. What is authentic but unreadable goes to the dead letters, durably, with a 200: the provider would only
//! send the same again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use ingest::commands::Commands;
use ingest::provider::{Inbound, ProviderModule, WebhookRequest, module};
use schemas::api::problem::ErrorCode;
use schemas::channel::{ChannelRecord, Credentials};
use schemas::command::{Actor, Command, CommandRecord};
use schemas::{ChannelId, Timestamp};
use storage::background::Waiting;
use storage::tables::TablesError;

use super::error::{ApiError, RETRY_AFTER_S};
use super::extract::{State, read_body};
use super::state::AppState;
use crate::directory::Directory;
use crate::directory::dead_letters::UnreadableWebhook;

/// The content type of a query's parameters.
const FORM: &str = "application/x-www-form-urlencoded";
/// How far a signature's time may be from ours, in seconds.
const TOLERANCE_S: u32 = 300;
/// Channels that are remembered; above, all are forgotten.
const REMEMBERED: usize = 20_000;
/// For how long a channel is believed without a look: so another process's change takes effect.
const FRESH: Duration = Duration::from_secs(5);
/// For how long it is believed while the tables do not answer: webhooks are taken, since they only need the log.
const BELIEVED: Duration = Duration::from_mins(15);
/// How long a look at the tables may take when there is something to believe instead.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// The most characters of a parser's reason that are kept.
const REASON_CHARS: usize = 500;

/// Channels with their secrets, for webhooks: kept in memory, forgotten when they change.
#[derive(Debug)]
pub struct ChannelCache {
    directory: Directory,
    known: RwLock<HashMap<ChannelId, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    record: Arc<ChannelRecord>,
    /// When it was read.
    read_at: Timestamp,
    /// When somebody last began to read it.
    tried_at: Timestamp,
}

impl ChannelCache {
    /// Over this directory.
    pub fn new(directory: Directory) -> Self {
        Self { directory, known: RwLock::default() }
    }

    /// The channel with this id, whatever its workspace.
    ///
    /// # Errors
    /// Any of the tables.
    pub async fn get(&self, channel_id: ChannelId) -> Result<Option<Arc<ChannelRecord>>, TablesError> {
        let now = self.directory.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&channel_id).cloned();
        let known = known.filter(|known| now.since(known.read_at) < BELIEVED);
        let Some(known) = known else {
            let record = self.directory.channel_by_id(channel_id).await?.map(Arc::new);
            self.remember(channel_id, record.clone(), now);
            return Ok(record);
        };
        if now.since(known.tried_at) < FRESH {
            return Ok(Some(known.record));
        }
        // One looks; the others believe what is known meanwhile.
        if let Some(known) = self.known.write().unwrap_or_else(PoisonError::into_inner).get_mut(&channel_id) {
            known.tried_at = now;
        }
        match tokio::time::timeout(LOOK_TIMEOUT, self.directory.channel_by_id(channel_id)).await {
            Ok(Ok(record)) => {
                let record = record.map(Arc::new);
                self.remember(channel_id, record.clone(), now);
                Ok(record)
            }
            Ok(Err(TablesError::Unavailable { .. })) | Err(_) => {
                tracing::warn!(channel.id = %channel_id, "a channel cannot be read now; its webhooks are taken as before");
                Ok(Some(known.record))
            }
            Ok(Err(error)) => Err(error),
        }
    }

    fn remember(&self, channel_id: ChannelId, record: Option<Arc<ChannelRecord>>, read_at: Timestamp) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = record else {
            known.remove(&channel_id);
            return;
        };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(channel_id, Known { record, read_at, tried_at: read_at });
    }

    /// Forgets a channel that has changed.
    pub fn forget(&self, channel_id: ChannelId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&channel_id);
    }
}

/// Takes a provider's webhook.
///
/// # Errors
/// 403 for a signature that is not believed, 404 for an unknown provider or channel, 413, 503 if it cannot be kept.
pub async fn receive(
    state: State,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (provider, channel_id) = path.into_inner();
    let missing = || ApiError::not_found("webhook");
    let module = module(&provider).ok_or_else(missing)?;
    let channel_id: ChannelId = channel_id.parse().map_err(|_not_an_id| missing())?;
    let body = read_body(payload.into_inner(), module.max_body_bytes()).await?;
    let record = state.channels.get(channel_id).await?.ok_or_else(missing)?;
    if record.channel.provider.as_str() != module.name() {
        return Err(missing());
    }
    verify(&state, module, &record, &request, &body)?;
    // A GET carries its parameters in the query.
    let (content_type, said) = if request.method() == Method::GET {
        (FORM, request.query_string().as_bytes())
    } else {
        let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        (given.unwrap_or_default(), body.as_ref())
    };
    check_account(module, &record, content_type, said)?;
    match module.parse(content_type, said) {
        Ok(entries) => {
            let records = commands_of(&state.commands, &record, entries);
            let waiting = Waiting::begin();
            let kept = if records.is_empty() { Ok(()) } else { state.commands.append_all(&records).await.map(drop) };
            drop(waiting);
            if let Err(error) = kept {
                count(module, "not_kept");
                tracing::warn!(error = &error as &dyn std::error::Error, channel.id = %channel_id, "a webhook cannot be kept now");
                return Ok(come_again());
            }
            count(module, "accepted");
        }
        Err(error) => {
            bury(&state, &record, content_type, said, &error.reason).await.map_err(ApiError::from)?;
            count(module, "dead_letter");
        }
    }
    let answer = module.acknowledgement();
    Ok(HttpResponse::Ok().content_type(answer.content_type).body(answer.body))
}

fn come_again() -> HttpResponse {
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).insert_header((RETRY_AFTER, RETRY_AFTER_S)).finish()
}

fn count(module: &dyn ProviderModule, result: &'static str) {
    metrics::counter!("saler_webhooks_total", "provider" => module.name(), "result" => result).increment(1);
}

fn verify(
    state: &AppState,
    module: &dyn ProviderModule,
    record: &ChannelRecord,
    request: &HttpRequest,
    body: &[u8],
) -> Result<(), ApiError> {
    let url = match request.uri().path_and_query() {
        Some(raw) => Cow::Owned(format!("{}{raw}", state.public_url)),
        None => Cow::Borrowed(state.public_url.as_str()),
    };
    // A header that is not ASCII can be no signature; it is passed as an empty one.
    let headers: Vec<(&str, &str)> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
    let secrets = secrets_of(&record.credentials);
    let webhook = WebhookRequest {
        method: request.method().as_str(),
        url: &url,
        headers: &headers,
        body,
        secrets: &secrets,
        now: state.clock.now(),
        tolerance_s: TOLERANCE_S,
    };
    module.verify(&webhook).map_err(|refusal| refused(module, record, &refusal.to_string()))
}

/// The account that a webhook speaks of must be the channel's.
fn check_account(
    module: &dyn ProviderModule,
    record: &ChannelRecord,
    content_type: &str,
    said: &[u8],
) -> Result<(), ApiError> {
    match (module.account(content_type, said), account_of(&record.credentials)) {
        (Some(named), Some(account)) if named != account => {
            Err(refused(module, record, "it speaks of another account of the provider"))
        }
        _ => Ok(()),
    }
}

fn refused(module: &dyn ProviderModule, record: &ChannelRecord, reason: &str) -> ApiError {
    count(module, "refused");
    tracing::warn!(channel.id = %record.channel.id, workspace.id = %record.channel.workspace_id, reason, "a webhook was refused");
    ApiError::new(ErrorCode::SignatureRefused, format!("the webhook is not believed: {reason}"))
}

/// What verifies a channel's webhooks.
fn secrets_of(credentials: &Credentials) -> Vec<&str> {
    match credentials {
        Credentials::Twilio { auth_tokens, .. } => auth_tokens.iter().map(schemas::channel::Secret::expose).collect(),
        Credentials::WebChat { .. } => Vec::new(),
    }
}

/// The account that a channel's webhooks must speak of.
fn account_of(credentials: &Credentials) -> Option<&str> {
    match credentials {
        Credentials::Twilio { account_sid, .. } => Some(account_sid),
        Credentials::WebChat { .. } => None,
    }
}

/// The commands that a webhook's entries are.
pub fn commands_of(commands: &Commands, record: &ChannelRecord, entries: Vec<Inbound>) -> Vec<CommandRecord> {
    let channel_id = record.channel.id;
    entries
        .into_iter()
        .filter_map(|entry| match entry {
            Inbound::Message(message) => Some(Command::ReceiveMessage { channel_id, message }),
            Inbound::Report(report) => Some(Command::RecordDelivery { channel_id, report }),
            Inbound::Ignored { .. } => None,
        })
        .map(|command| commands.record(record.channel.workspace_id, Actor::Channel { channel_id }, command))
        .collect()
}

async fn bury(
    state: &AppState,
    record: &ChannelRecord,
    content_type: &str,
    body: &[u8],
    reason: &str,
) -> Result<(), TablesError> {
    let webhook = UnreadableWebhook {
        channel: &record.channel,
        content_type: content_type.chars().take(REASON_CHARS).collect(),
        body,
        reason: reason.chars().take(REASON_CHARS).collect(),
    };
    if let Some(id) = state.directory.bury(webhook).await? {
        tracing::warn!(dead_letter.id = %id, channel.id = %record.channel.id, "a webhook cannot be read and was set aside");
    }
    Ok(())
}
