//! The web chat widget: its files for customers' pages, and what it must know of its channel.
//!
//! A page holds one script, `/widget.js`. It shows the button and speaks to the hub; everything that people read and write is
//! in a frame, `/widget/frame`, whose policy takes its origin away: code in it reaches neither the page that it stands in nor
//! the console, which has the hub's origin too. Which pages may hold the frame, the browser is told by `frame-ancestors`.

use actix_web::http::{Method, header};
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::ChannelId;
use schemas::api::channel::{VisitorWidget, VisitorWidgetQuery};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::channel::Credentials;
use schemas::widget::WidgetSettings;
use storage::tables::TablesError;

use super::error::ApiError;
use super::extract::{State, ValidQuery};
use super::not_found;
use super::page::answer;
use super::route::{Access, Endpoints};
use super::state::AppState;

/// For how long a page may show a widget by settings that were changed since, in seconds.
const SETTINGS_KEPT: &str = "public, max-age=60";
/// The script's place among the console's files.
const SCRIPT: &str = "widget/loader.js";
/// The page of `make run` on which the demo's chat can be tried.
const DEMO_PAGE: &str = include_str!("../page/widget-demo.html");

/// A web chat channel that is switched on, as pages may know it.
pub(super) struct Site {
    allowed_origins: Vec<String>,
    settings: WidgetSettings,
}

impl Site {
    /// Whether pages of this origin hold the chat.
    pub(super) fn allows(&self, origin: &header::HeaderValue) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }
}

pub(super) async fn site(state: &AppState, channel: ChannelId) -> Result<Option<Site>, TablesError> {
    let record = state.directory.channel_by_id(channel).await?;
    Ok(record.filter(|record| record.channel.active).and_then(|record| match record.credentials {
        Credentials::WebChat { allowed_origins, widget, .. } => Some(Site { allowed_origins, settings: widget }),
        Credentials::Twilio { .. } => None,
    }))
}

/// What a page's widget must know of its channel. Pages of the channel's origins may read it.
#[utoipa::path(
    get, path = "/api/v1/visitor/widget", tag = "visitors", params(VisitorWidgetQuery),
    responses((status = 200, body = VisitorWidget), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub async fn settings(
    state: State,
    request: HttpRequest,
    query: ValidQuery<VisitorWidgetQuery>,
) -> Result<HttpResponse, ApiError> {
    let channel_id = query.0.channel;
    let Some(site) = site(&state, channel_id).await? else {
        return Err(ApiError::not_found("web chat channel"));
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, SETTINGS_KEPT)).insert_header((header::VARY, "Origin"));
    // A page of the hub itself asks without an origin.
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        if !site.allows(origin) {
            let detail = "this page's origin is not among the channel's origins";
            return Err(ApiError::new(ErrorCode::Forbidden, detail));
        }
        response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
    }
    Ok(response.json(VisitorWidget { channel_id, settings: site.settings }))
}

/// Adds the files. They are for pages of other origins, unlike everything else that the hub serves.
pub fn configure(service: &mut web::ServiceConfig) {
    service
        .service(file("/widget.js").route(web::get().to(script)))
        .service(file("/widget/assets/{name}").route(web::get().to(asset)))
        .service(file("/widget/frame").route(web::get().to(frame)));
}

/// Adds the page to try the chat on, if the settings name a channel for it.
pub fn configure_demo(service: &mut web::ServiceConfig) {
    service.route("/widget-demo", web::get().to(demo));
}

fn file(
    path: &'static str,
) -> Resource<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    web::resource(path).wrap(
        DefaultHeaders::new()
            .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .add((header::REFERRER_POLICY, "no-referrer"))
            .add((header::CACHE_CONTROL, "no-store"))
            .add((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
            .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .add((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin")),
    )
}

async fn script(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match console::console().and_then(|console| console.asset(SCRIPT)) {
        Some(script) => Ok(answer(script, &request, false)),
        None => not_found().await,
    }
}

async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    match console::console().and_then(|console| console.asset(&format!("widget/assets/{name}"))) {
        Some(asset) => Ok(answer(asset, &request, true)),
        None => not_found().await,
    }
}

async fn frame(state: State, query: ValidQuery<VisitorWidgetQuery>) -> Result<HttpResponse, ApiError> {
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    let Some(page) = console::console().and_then(|console| console.widget_frame(&nonce)) else {
        return not_found().await;
    };
    let Some(site) = site(&state, query.0.channel).await? else {
        return Err(ApiError::not_found("web chat channel"));
    };
    let ancestors = if site.allowed_origins.is_empty() { "'none'".to_owned() } else { site.allowed_origins.join(" ") };
    let hub = &state.public_url;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src {hub} https: data:; \
         media-src {hub} https:; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}; \
         sandbox allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(page))
}

async fn demo(state: State) -> Result<HttpResponse, ApiError> {
    let channel = &state.config.http.widget_demo;
    if channel.is_empty() {
        return not_found().await;
    }
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .body(DEMO_PAGE.replace("__NONCE__", &nonce).replace("__CHANNEL__", channel)))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints.add(Method::GET, "/visitor/widget", Access::Public, settings);
}
