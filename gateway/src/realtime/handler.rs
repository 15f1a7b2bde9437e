//! The upgrade: who may open a socket at all.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev, web};
use futures::FutureExt;
use schemas::ChannelId;
use schemas::api::problem::{ErrorCode, Problem};
use schemas::socket::SUBPROTOCOL;
use serde::Deserialize;

use super::body::OutgoingBody;
use super::connection::Connection;
use super::frames::encode;
use super::os::SocketDescriptor;
use super::session::Session;
use super::visitor;
use super::{Inner, Open};
use crate::http::extract::{State, client_address};

/// An upgraded connection that nobody listens to yet.
pub(crate) struct Upgraded {
    pub(crate) open: Open,
    pub(crate) payload: dev::Payload,
    pub(crate) descriptor: Option<SocketDescriptor>,
}

/// The query of the visitors' socket.
#[derive(Debug, Deserialize)]
pub(crate) struct VisitorQuery {
    channel: ChannelId,
}

/// `GET /api/v1/socket`.
pub(crate) async fn agents(request: HttpRequest, payload: web::Payload, inner: web::Data<Inner>) -> HttpResponse {
    open_agents(&request, payload, inner.into_inner()).unwrap_or_else(Refused::response)
}

fn open_agents(request: &HttpRequest, payload: web::Payload, inner: Arc<Inner>) -> Result<HttpResponse, Refused> {
    let origin = origin(request.headers())?;
    if origin.is_some_and(|origin| !inner.config.allowed_origins.iter().any(|allowed| allowed == origin)) {
        let detail = "this page's origin is not in socket.allowed_origins";
        return Err(refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail));
    }
    let (response, upgraded) = upgrade(request, payload, &inner)?;
    actix_web::rt::spawn(Session::new(inner, upgraded, origin.is_some()).run());
    Ok(response)
}

/// `GET /api/v1/visitor?channel=<id>`.
pub(crate) async fn visitors(
    request: HttpRequest,
    payload: web::Payload,
    query: Result<web::Query<VisitorQuery>, actix_web::Error>,
    inner: web::Data<Inner>,
) -> HttpResponse {
    let query = query.map(web::Query::into_inner).ok();
    open_visitor(&request, payload, query, inner.into_inner()).await.unwrap_or_else(Refused::response)
}

async fn open_visitor(
    request: &HttpRequest,
    payload: web::Payload,
    query: Option<VisitorQuery>,
    inner: Arc<Inner>,
) -> Result<HttpResponse, Refused> {
    let Some(VisitorQuery { channel }) = query else {
        let detail = "channel: give the id of a web chat channel in the query";
        return Err(refuse(StatusCode::BAD_REQUEST, ErrorCode::InvalidValue, detail));
    };
    let origin = origin(request.headers())?;
    let site = match visitor::Site::find(&inner, channel).await {
        Ok(Some(site)) => site,
        Ok(None) => {
            return Err(refuse(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such web chat channel"));
        }
        Err(error) => {
            tracing::warn!(%error, "a web chat channel cannot be read");
            return Err(unavailable("the hub cannot read its channels now"));
        }
    };
    if !origin.is_some_and(|origin| site.allows(origin)) {
        let detail = "this page's origin is not among the channel's origins";
        return Err(refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail));
    }
    let address = match request.app_data::<State>() {
        Some(state) => client_address(request, state),
        None => request.peer_addr().map(|address| address.ip()),
    };
    let slot = inner
        .visitors
        .enter(address, inner.config.max_per_address)
        .ok_or_else(|| unavailable("there are too many sockets from this network address"))?;
    let (response, upgraded) = upgrade(request, payload, &inner)?;
    actix_web::rt::spawn(visitor::VisitorSession::new(inner, upgraded, Rc::new(site), slot).run());
    Ok(response)
}

/// The request's one origin, if it has one.
fn origin(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let refusal = || refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "the header Origin cannot be read");
    let mut origins = headers.get_all(header::ORIGIN);
    match (origins.next(), origins.next()) {
        (None, _) => Ok(None),
        (Some(origin), None) => origin.to_str().map(Some).map_err(|_not_text| refusal()),
        (Some(_), Some(_)) => Err(refusal()),
    }
}

/// Answers the handshake and gives both directions of the connection.
fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    inner: &Arc<Inner>,
) -> Result<(HttpResponse, Upgraded), Refused> {
    if inner.draining.load(Ordering::Relaxed) {
        return Err(unavailable("the hub goes down"));
    }
    if inner.connections().len() >= inner.config.max_connections
        || inner.unauthenticated.load(Ordering::Relaxed) >= inner.config.max_unauthenticated
    {
        return Err(unavailable("there are too many sockets now"));
    }
    let open = inner.open();
    let response = handshake(request, &open.connection)?;
    let descriptor = request.conn_data::<SocketDescriptor>().copied();
    Ok((response, Upgraded { open, payload: payload.into_inner(), descriptor }))
}

/// Answers the handshake; the response's body is the connection's queue.
pub(crate) fn handshake(request: &HttpRequest, connection: &Arc<Connection>) -> Result<HttpResponse, Refused> {
    let offered = request.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    // Only the handshake of `actix_ws` is used: frames are read and written by `wire`, without its queues.
    let nothing = web::Payload::from_request(request, &mut dev::Payload::None)
        .now_or_never()
        .and_then(Result::ok)
        .ok_or_else(|| unavailable("the connection cannot be upgraded"))?;
    let (response, _session, _messages) = actix_ws::handle_with_protocols(request, nothing, &[SUBPROTOCOL])
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, ErrorCode::MalformedRequest, &error.to_string()))?;
    if offered && !response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            ErrorCode::MalformedRequest,
            "Sec-WebSocket-Protocol: offer saler.v1",
        ));
    }
    Ok(response.set_body(BoxBody::new(OutgoingBody::new(Arc::clone(connection)))))
}

/// Why a socket is not opened.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    code: ErrorCode,
    detail: String,
}

fn unavailable(detail: &str) -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, detail)
}

fn refuse(status: StatusCode, code: ErrorCode, detail: &str) -> Refused {
    Refused { status, code, detail: detail.to_owned() }
}

impl Refused {
    pub(crate) fn response(self) -> HttpResponse {
        let Self { status, code, detail } = self;
        let name =
            serde_json::to_value(code).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        metrics::counter!("saler_socket_refused_total", "code" => name.clone()).increment(1);
        let problem = Problem {
            kind: format!("urn:saler:problem:{name}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail,
            code,
            errors: Vec::new(),
            request_id: crate::http::request_id::current(),
        };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "2"));
        }
        response.content_type("application/problem+json").body(encode(&problem))
    }
}
