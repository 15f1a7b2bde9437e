//! `/files`: what agents attach, and the links by which files are fetched.
//!
//! A file is served under the hub's own address, so it must never be a page there: its type is what its content shows, no type
//! in which a script could run is shown in place, and its policy is an empty sandbox.

use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::FutureExt;
use schemas::api::file::{FileLink, UploadQuery, UploadedFile};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::message::Attachment;
use schemas::policy::Action;
use schemas::{ConversationId, Timestamp, WorkspaceId};
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::extract::{Caller, State, ValidPath, ValidQuery, read_body};
use super::route::{Access, Endpoints};
use super::state::AppState;
use super::{read, widget};
use crate::files::provider::{FetchError, fetch};
use crate::files::{FileError, Target, kind};

/// How long an upload may take.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(2);
/// What a file's page could do, if it were one.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Takes a file: its bytes are the body, whatever the content type says. Give the answer as one of a message's `attachments`.
#[utoipa::path(
    post, path = "/api/v1/files", tag = "files", security(("bearer" = [])), params(UploadQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = UploadedFile), (status = 413, body = Problem), (status = 422, body = Problem)),
)]
pub async fn upload(
    state: State,
    caller: Caller,
    query: ValidQuery<UploadQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let taken = take(&state, &state.files.at_once, caller.workspace_id, (&query.0.name, payload)).await?;
    Ok(HttpResponse::Created().json(taken))
}

/// Takes a file of a visitor of a web chat, to whom the socket gave this address. The body is the file's bytes, without a content
/// type, so that a browser needs to ask nothing before.
#[utoipa::path(
    post, path = "/api/v1/visitor/files/{workspace_id}/{ticket}", tag = "visitors", params(
        ("workspace_id" = WorkspaceId, Path, description = "As the socket said."),
        ("ticket" = String, Path, description = "As the socket said."), UploadQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = UploadedFile), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)),
)]
pub async fn upload_of_visitor(
    state: State,
    request: HttpRequest,
    path: ValidPath<(WorkspaceId, String)>,
    query: ValidQuery<UploadQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (workspace_id, ticket) = path.0;
    let channel_id = state.files.open_upload(workspace_id, &ticket);
    let site = match channel_id {
        Some(channel_id) => widget::site(&state, channel_id).await?,
        None => None,
    };
    let Some(site) = site else { return Err(ApiError::not_found("upload")) };
    // A page of the hub itself names its origin here, too.
    let origin = request.headers().get(header::ORIGIN);
    if !origin.is_some_and(|origin| site.allows(origin)) {
        return Err(ApiError::new(ErrorCode::Forbidden, "this page's origin is not among the channel's origins"));
    }
    let taken = take(&state, &state.files.of_visitors_at_once, workspace_id, (&query.0.name, payload)).await;
    // The page may read why a file was refused, too.
    let mut response = match taken {
        Ok(taken) => HttpResponse::Created().json(taken),
        Err(error) => HttpResponse::from_error(error),
    };
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    Ok(response)
}

/// Reads a body and keeps it as a file.
async fn take(
    state: &AppState,
    places: &Semaphore,
    workspace_id: WorkspaceId,
    (name, payload): (&str, web::Payload),
) -> Result<UploadedFile, ApiError> {
    let files = &state.files;
    let Ok(_place) = places.try_acquire() else {
        let detail = "too many files are being taken: try again";
        return Err(ApiError::new(ErrorCode::Unavailable, detail).retry_after(1));
    };
    let reading = tokio::time::timeout(UPLOAD_TIMEOUT, read_body(payload.into_inner(), files.max_bytes));
    let too_slow = |_| ApiError::new(ErrorCode::MalformedRequest, "the body came too slowly: two minutes are allowed");
    let content = reading.await.map_err(too_slow)??.freeze();
    files.take(workspace_id, name, content).await.map_err(|error| match error {
        FileError::Kind => ApiError::invalid("body", error.to_string()),
        FileError::Io(_) => ApiError::unavailable(&error),
    })
}

/// A link to a file of a message, good for an hour: also to one that stands at the provider.
#[utoipa::path(
    get, path = "/api/v1/conversations/{conversation_id}/messages/{seq}/attachments/{index}", tag = "files",
    security(("bearer" = [])),
    params(("conversation_id" = ConversationId, Path, description = "In which."),
        ("seq" = u64, Path, description = "The message's number."),
        ("index" = usize, Path, description = "Which of its files, counted from 0.")),
    responses((status = 200, body = FileLink), (status = 404, body = Problem)),
)]
pub async fn link(
    state: State,
    caller: Caller,
    path: ValidPath<(ConversationId, u64, usize)>,
) -> Result<web::Json<FileLink>, ApiError> {
    let (conversation_id, seq, index) = path.0;
    let place = (read::conversation(&state, &caller, conversation_id).await?.id, seq, index);
    let file = file_of(&state, caller.workspace_id, place).await?;
    let name = file.name.as_deref().unwrap_or("file");
    Ok(web::Json(state.files.link_of_message(caller.workspace_id, place, name)))
}

async fn file_of(
    state: &AppState,
    workspace_id: WorkspaceId,
    (conversation_id, seq, index): (ConversationId, u64, usize),
) -> Result<Attachment, ApiError> {
    let message = read::message(state, workspace_id, conversation_id, seq).await?;
    let file = message.and_then(|message| message.body.attachments.into_iter().nth(index));
    file.ok_or_else(|| ApiError::not_found("file"))
}

/// A file, for whoever has a link that is still good.
async fn serve(
    state: State,
    request: HttpRequest,
    path: ValidPath<(WorkspaceId, String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (workspace_id, token, name) = path.0;
    let Some((mut target, until)) = state.files.open_link(workspace_id, &token) else {
        return Err(ApiError::not_found("file, or its link is good no more"));
    };
    if let Target::OfMessage { conversation_id, seq, index } = target {
        let file = file_of(&state, workspace_id, (conversation_id, seq, index)).await?;
        let Some(own @ Target::Kept { .. }) = state.files.own(workspace_id, &file.url) else {
            let content = from_provider(&state, workspace_id, conversation_id, &file.url).await?;
            let content_type = kind::sniff(&content, &name).unwrap_or("application/octet-stream");
            return Ok(describe(&state, content_type, &name, until).body(content));
        };
        target = own;
    }
    let Target::Kept { digest, content_type } = target else { return Err(ApiError::not_found("file")) };
    // One content never changes: whoever has it need not fetch it again.
    let etag = format!("\"{}\"", digest.as_str());
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = describe(&state, &content_type, &name, until);
    response.insert_header((header::ETAG, etag));
    if known {
        return Ok(response.status(actix_web::http::StatusCode::NOT_MODIFIED).finish());
    }
    let opened = state.files.blobs.open(workspace_id, digest).await;
    let content = opened.map_err(|error| ApiError::unavailable(&error))?.ok_or_else(|| ApiError::not_found("file"))?;
    Ok(response.no_chunking(content.length).streaming(content.chunks))
}

/// The head of an answer that is a file.
fn describe(state: &AppState, content_type: &str, name: &str, until: Timestamp) -> actix_web::HttpResponseBuilder {
    let how = if kind::is_shown(content_type) { "inline" } else { "attachment" };
    let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    let good_for = until.unix_seconds().saturating_sub(state.clock.now().unix_seconds()).max(0);
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::CONTENT_DISPOSITION, format!("{how}; filename*=UTF-8''{encoded}")))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, format!("private, max-age={good_for}")))
        // The web chat's frame, which has no origin, shows images.
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"));
    response
}

async fn from_provider(
    state: &AppState,
    workspace_id: WorkspaceId,
    conversation_id: ConversationId,
    url: &str,
) -> Result<Bytes, ApiError> {
    let Ok(_place) = state.files.at_once.try_acquire() else {
        let detail = "too many files are being fetched: try again";
        return Err(ApiError::new(ErrorCode::Unavailable, detail).retry_after(1));
    };
    let channel_id = read::conversation_in(state, workspace_id, conversation_id).await?.channel_id;
    let record = state.directory.channel(workspace_id, channel_id).await?;
    let files = &state.files;
    fetch(&files.client, &record.credentials, url, files.max_bytes).boxed().await.map_err(|error| match error {
        FetchError::Elsewhere | FetchError::Gone => ApiError::not_found("file at the channel's provider"),
        FetchError::TooLarge(_) => ApiError::new(ErrorCode::TooLarge, error.to_string()),
        FetchError::Status(_) | FetchError::Unreachable(_) => ApiError::unavailable(&error),
    })
}

/// Adds the address of links.
pub fn configure(service: &mut web::ServiceConfig) {
    service.route("/files/{workspace_id}/{token}/{name}", web::get().to(serve));
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints
        .add(Method::POST, "/files", Access::Right(Action::WriteConversations), upload)
        .add(Method::POST, "/visitor/files/{workspace_id}/{ticket}", Access::Public, upload_of_visitor)
        .add(
            Method::GET,
            "/conversations/{conversation_id}/messages/{seq}/attachments/{index}",
            Access::Right(Action::ReadConversations),
            link,
        );
}
