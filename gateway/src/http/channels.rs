//! `/channels`. Secrets go in and never come out.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::ChannelId;
use schemas::api::channel::{ChannelChange, ChannelView, CreatedChannel, NewAccount, NewChannel, WebChatView};
use schemas::api::problem::Problem;
use schemas::api::{Page, PageQuery};
use schemas::channel::{Channel, ChannelRecord, Credentials, Medium, Provider, Secret};
use schemas::policy::Action;
use schemas::widget::WidgetSettings;

use super::commands::actor;
use super::cursor::{page_limit, shown};
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::propagate::configure_channel;
use crate::directory::{DirectoryError, checked_text};

const DEFAULT_API_BASE: &str = "https://api.twilio.com";
const DEFAULT_REOPEN_HOURS: u32 = 168;
const REOPEN_HOURS_MAX: u32 = 24 * 365;
const ORIGINS_MAX: usize = 50;
const SECRET_MIN_CHARS: usize = 16;

/// The channels of the workspace, first made first.
#[utoipa::path(
    get, path = "/api/v1/channels", tag = "channels", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<ChannelView>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<ChannelView>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let after: Option<ChannelId> = state.cursors.open(workspace_id, "channels", query.0.cursor.as_deref())?;
    let found = state.directory.channels_after(workspace_id, after, limit + 1).await?;
    let page = state.cursors.page(workspace_id, "channels", (found, limit), |record| record.channel.id);
    Ok(web::Json(shown(page, |record| view(&state, record))))
}

/// A channel.
#[utoipa::path(
    get, path = "/api/v1/channels/{channel_id}", tag = "channels", security(("bearer" = [])),
    params(("channel_id" = ChannelId, Path, description = "Which.")),
    responses((status = 200, body = ChannelView), (status = 404, body = Problem)),
)]
pub async fn get(state: State, caller: Caller, path: ValidPath<ChannelId>) -> Result<web::Json<ChannelView>, ApiError> {
    let record = state.directory.channel(caller.workspace_id, path.0).await?;
    Ok(web::Json(view(&state, record)))
}

/// Makes a channel. The answer holds the address that the provider must post to.
#[utoipa::path(
    post, path = "/api/v1/channels", tag = "channels", security(("bearer" = [])), request_body = NewChannel,
    responses((status = 201, body = CreatedChannel), (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewChannel>) -> Result<HttpResponse, ApiError> {
    let planned = plan(&state, &caller, body.0)?;
    let record =
        state.directory.create_channel(caller.workspace_id, planned.record.channel, planned.record.credentials).await?;
    tell_engine(&state, &caller, &record.channel).await?;
    let created = CreatedChannel { view: view(&state, record), identity_secret: planned.shown_secret };
    Ok(HttpResponse::Created().json(created))
}

/// Changes a channel.
#[utoipa::path(
    patch, path = "/api/v1/channels/{channel_id}", tag = "channels", security(("bearer" = [])),
    params(("channel_id" = ChannelId, Path, description = "Which.")), request_body = ChannelChange,
    responses((status = 200, body = ChannelView), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<ChannelId>,
    body: ValidJson<ChannelChange>,
) -> Result<web::Json<ChannelView>, ApiError> {
    let record = state.directory.change_channel(caller.workspace_id, path.0, |record| apply(record, body.0)).await?;
    state.channels.forget(path.0);
    tell_engine(&state, &caller, &record.channel).await?;
    Ok(web::Json(view(&state, record)))
}

/// A channel that is about to be made.
#[derive(Debug)]
pub struct Planned {
    /// What is stored.
    pub record: ChannelRecord,
    /// The secret for visitors' identities, if it was made here.
    pub shown_secret: Option<String>,
}

fn plan(state: &AppState, caller: &Principal, new: NewChannel) -> Result<Planned, ApiError> {
    let id = state.directory.new_channel_id();
    Ok(plan_channel(id, caller.workspace_id, new)?)
}

/// Checks a new channel and puts it together.
///
/// # Errors
/// [`DirectoryError::Invalid`], naming the field.
pub fn plan_channel(
    id: ChannelId,
    workspace_id: schemas::WorkspaceId,
    new: NewChannel,
) -> Result<Planned, DirectoryError> {
    let mut shown_secret = None;
    let (provider, medium, address, credentials) = match new.account {
        NewAccount::Twilio { medium, address, account_sid, auth_token, api_base, messages_per_second } => {
            let default_rate = if medium == Medium::Whatsapp { 10 } else { 1 };
            let credentials = Credentials::Twilio {
                account_sid: checked_sid(account_sid)?,
                auth_tokens: vec![checked_secret("account.auth_token", auth_token)?],
                api_base: checked_base(api_base)?,
                messages_per_second: checked_rate(messages_per_second.unwrap_or(default_rate))?,
            };
            (Provider::Twilio, checked_medium(medium)?, checked_address(&address)?, credentials)
        }
        NewAccount::WebChat { identity_secret, allowed_origins, widget } => {
            let identity_secret = if let Some(secret) = identity_secret {
                checked_secret("account.identity_secret", secret)?
            } else {
                let made = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
                shown_secret = Some(made.clone());
                Secret::new(made)
            };
            let credentials = Credentials::WebChat {
                identity_secret,
                allowed_origins: checked_origins(allowed_origins)?,
                widget: checked_widget(widget)?,
            };
            (Provider::WebChat, Medium::WebChat, format!("web_chat:{id}"), credentials)
        }
    };
    let channel = Channel {
        id,
        workspace_id,
        name: checked_text("name", &new.name, 1, 100)?,
        provider,
        medium,
        address,
        assignment: new.assignment,
        reopen_hours: checked_hours(new.reopen_hours.unwrap_or(DEFAULT_REOPEN_HOURS))?,
        active: true,
        version: 1,
    };
    Ok(Planned { record: ChannelRecord { channel, credentials }, shown_secret })
}

fn apply(record: &mut ChannelRecord, change: ChannelChange) -> Result<(), DirectoryError> {
    let ChannelRecord { channel, credentials } = record;
    if let Some(name) = change.name {
        channel.name = checked_text("name", &name, 1, 100)?;
    }
    channel.assignment = change.assignment.unwrap_or(channel.assignment);
    channel.active = change.active.unwrap_or(channel.active);
    if let Some(hours) = change.reopen_hours {
        channel.reopen_hours = checked_hours(hours)?;
    }
    let web_chat = (change.allowed_origins, change.widget);
    match (credentials, change.auth_token, web_chat) {
        (_, None, (None, None)) => {}
        (Credentials::Twilio { auth_tokens, .. }, Some(token), (None, None)) => {
            let token = checked_secret("auth_token", token)?;
            auth_tokens.retain(|known| *known != token);
            auth_tokens.insert(0, token);
            auth_tokens.truncate(2);
        }
        (Credentials::WebChat { allowed_origins, widget, .. }, None, (origins, settings)) => {
            if let Some(origins) = origins {
                *allowed_origins = checked_origins(origins)?;
            }
            if let Some(settings) = settings {
                *widget = checked_widget(settings)?;
            }
        }
        _ => {
            return Err(DirectoryError::invalid(
                "auth_token",
                "auth_token is for Twilio channels, allowed_origins and widget for web chat: send what fits",
            ));
        }
    }
    Ok(())
}

fn checked_sid(sid: String) -> Result<String, DirectoryError> {
    let sound =
        sid.strip_prefix("AC").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if sound {
        Ok(sid)
    } else {
        Err(DirectoryError::invalid("account.account_sid", "write AC and 32 hexadecimal digits"))
    }
}

fn checked_secret(field: &'static str, secret: Secret) -> Result<Secret, DirectoryError> {
    let sound = (SECRET_MIN_CHARS..=256).contains(&secret.expose().len())
        && secret.expose().bytes().all(|b| b.is_ascii_graphic());
    if sound {
        Ok(secret)
    } else {
        Err(DirectoryError::invalid(field, format!("write {SECRET_MIN_CHARS} to 256 visible ASCII characters")))
    }
}

fn checked_base(base: Option<String>) -> Result<String, DirectoryError> {
    let base = base.unwrap_or_else(|| DEFAULT_API_BASE.to_owned());
    let sound = url::Url::parse(&base).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if sound && !base.ends_with('/') {
        Ok(base)
    } else {
        Err(DirectoryError::invalid("account.api_base", "write https://, the host, and no slash at the end"))
    }
}

fn checked_rate(rate: u32) -> Result<u32, DirectoryError> {
    if (1..=1_000).contains(&rate) {
        Ok(rate)
    } else {
        Err(DirectoryError::invalid("account.messages_per_second", format!("it is {rate}: write 1 to 1000")))
    }
}

fn checked_medium(medium: Medium) -> Result<Medium, DirectoryError> {
    match medium {
        Medium::Sms | Medium::Whatsapp => Ok(medium),
        Medium::WebChat => Err(DirectoryError::invalid("account.medium", "Twilio carries sms or whatsapp")),
    }
}

fn checked_address(address: &str) -> Result<String, DirectoryError> {
    let is_number = address
        .strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_service =
        address.strip_prefix("MG").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number || is_service {
        Ok(address.to_owned())
    } else {
        let reason =
            "write a number in E.164, such as +15005550006 (without whatsapp:), or a Messaging Service SID, MG…";
        Err(DirectoryError::invalid("account.address", reason))
    }
}

fn checked_hours(hours: u32) -> Result<u32, DirectoryError> {
    if hours <= REOPEN_HOURS_MAX {
        Ok(hours)
    } else {
        Err(DirectoryError::invalid("reopen_hours", format!("it is {hours}: write 0 to {REOPEN_HOURS_MAX}")))
    }
}

fn checked_origins(origins: Vec<String>) -> Result<Vec<String>, DirectoryError> {
    let sound = origins.len() <= ORIGINS_MAX
        && origins.iter().all(|origin| {
            url::Url::parse(origin)
                .is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == *origin)
        });
    if sound {
        Ok(origins)
    } else {
        let reason =
            format!("write at most {ORIGINS_MAX} origins: scheme, host and port only, such as https://shop.example");
        Err(DirectoryError::invalid("allowed_origins", reason))
    }
}

/// Settings of a widget with what it can show: texts in their lengths, no field twice.
fn checked_widget(mut settings: WidgetSettings) -> Result<WidgetSettings, DirectoryError> {
    let is_color = |color: &str| {
        color.strip_prefix('#').is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if settings.color.as_deref().is_some_and(|color| !is_color(color)) {
        return Err(DirectoryError::invalid("widget.color", "write # and six hexadecimal digits, such as #12715b"));
    }
    settings.title = settings.title.map(|title| checked_text("widget.title", &title, 1, 60)).transpose()?;
    settings.greeting = settings.greeting.map(|text| checked_text("widget.greeting", &text, 1, 500)).transpose()?;
    let fields: std::collections::HashSet<_> = settings.ask.iter().map(|asked| asked.field).collect();
    if fields.len() != settings.ask.len() {
        return Err(DirectoryError::invalid("widget.ask", "name each field at most once"));
    }
    Ok(settings)
}

fn view(state: &AppState, record: ChannelRecord) -> ChannelView {
    let webhook_url = webhook_url(&state.public_url, &record.channel);
    let web_chat = match record.credentials {
        Credentials::WebChat { allowed_origins, widget, .. } => Some(WebChatView { allowed_origins, widget }),
        Credentials::Twilio { .. } => None,
    };
    ChannelView { channel: record.channel, webhook_url, web_chat }
}

/// Where the provider of a channel must post; web chat has no such address.
pub fn webhook_url(public_url: &str, channel: &Channel) -> Option<String> {
    ingest::provider::module(channel.provider.as_str())
        .map(|module| format!("{public_url}/webhooks/{}/{}", module.name(), channel.id))
}

async fn tell_engine(state: &AppState, caller: &Principal, channel: &Channel) -> Result<(), ApiError> {
    state.commands.append(&configure_channel(&state.commands, actor(caller), channel)).await?;
    Ok(())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::GET, "/channels", Access::Right(Action::ReadChannels), list)
        .add(Method::POST, "/channels", Access::Right(Action::ManageChannels), create)
        .add(Method::GET, "/channels/{channel_id}", Access::Right(Action::ReadChannels), get)
        .add(Method::PATCH, "/channels/{channel_id}", Access::Right(Action::ManageChannels), change);
}
