//! Everything that is asked over HTTP: REST under `/api/v1`, webhooks, health, metrics, the built-in page.
//!
//! A request passes [`request_id`] (id, headers, metrics), then the gate of its route ([`route`]), then its handler:
//! extractors, one call, an answer. Errors become problems in one place ([`error`]).

pub mod analytics;
pub mod auth;
pub mod business_hours;
pub mod canned_replies;
pub mod channels;
pub mod commands;
pub mod contacts;
pub mod conversations;
pub mod cursor;
pub mod dead_letters;
pub mod error;
pub mod extract;
pub mod files;
pub mod health;
pub mod internal;
pub mod json_path;
pub mod lists;
pub mod members;
pub mod messages;
pub mod notifications;
pub mod openapi;
pub mod page;
pub mod read;
pub mod request_id;
pub mod route;
pub mod saved_views;
pub mod search;
pub mod sla;
pub mod state;
pub mod teams;
pub mod tokens;
pub mod vitals;
pub mod webhooks;
pub mod widget;
pub mod workspaces;

use actix_web::http::header;
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpResponse, web};
use schemas::api::problem::ErrorCode;

use error::ApiError;
use route::Endpoints;

/// What a page of ours may load: nothing from elsewhere, nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Every route below `/api/v1` with its right.
pub fn endpoints() -> Endpoints {
    let mut endpoints = Endpoints::default();
    auth::add_to(&mut endpoints);
    workspaces::add_to(&mut endpoints);
    business_hours::add_to(&mut endpoints);
    members::add_to(&mut endpoints);
    tokens::add_to(&mut endpoints);
    channels::add_to(&mut endpoints);
    contacts::add_to(&mut endpoints);
    lists::add_to(&mut endpoints);
    conversations::add_to(&mut endpoints);
    messages::add_to(&mut endpoints);
    files::add_to(&mut endpoints);
    canned_replies::add_to(&mut endpoints);
    teams::add_to(&mut endpoints);
    sla::add_to(&mut endpoints);
    notifications::add_to(&mut endpoints);
    saved_views::add_to(&mut endpoints);
    search::add_to(&mut endpoints);
    dead_letters::add_to(&mut endpoints);
    analytics::add_to(&mut endpoints);
    widget::add_to(&mut endpoints);
    openapi::add_to(&mut endpoints);
    endpoints
}

/// Adds everything; `sockets` adds the sockets.
pub fn configure(service: &mut web::ServiceConfig, sockets: impl FnOnce(&mut web::ServiceConfig)) {
    let mut api = web::scope("/api/v1");
    for resource in endpoints().into_resources() {
        api = api.service(resource);
    }
    // Providers' servers are no browsers: their answers go without headers for such, which would be most of their bytes.
    service.service(
        web::resource("/webhooks/{provider}/{channel_id}")
            .route(web::post().to(webhooks::receive))
            .route(web::get().to(webhooks::receive)),
    );
    service.configure(widget::configure);
    let everything_else = web::scope("")
        .wrap(security_headers())
        .configure(sockets)
        .configure(health::configure)
        .service(openapi::swagger())
        .service(api.default_service(web::to(not_found)))
        .configure(page::configure)
        .configure(files::configure)
        .configure(widget::configure_demo)
        .default_service(web::to(page::anything_else));
    service.service(everything_else);
}

/// What a process without the role gateway serves: how it is, and what `others` adds.
pub fn configure_bare(service: &mut web::ServiceConfig, others: impl FnOnce(&mut web::ServiceConfig)) {
    let everything = web::scope("")
        .wrap(security_headers())
        .configure(health::configure)
        .configure(others)
        .default_service(web::to(not_served));
    service.service(everything);
}

async fn not_served() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(ErrorCode::NotFound, "this process is no gateway: the API is served by processes with that role"))
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(ErrorCode::NotFound, "there is no such page: the API is described at /api/v1/docs/"))
}

/// Headers of every answer to a browser that does not set them itself.
fn security_headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::X_FRAME_OPTIONS, "DENY"))
        .add((header::REFERRER_POLICY, "no-referrer"))
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .add((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"))
        .add((header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"))
}
