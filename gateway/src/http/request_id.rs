//! Gives every request an id, every answer its headers, and every answer a line in the log and the metrics.
//!
//! The id is made here, never taken from the client. Lines carry method, route, status and time: no body, no query, no
//! header, no address.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tokio::time::Instant;

tokio::task_local! {
    static REQUEST_ID: String;
}

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Requests that take longer are logged even if all went well.
const SLOW: Duration = Duration::from_secs(1);

/// The id of the request that this task serves; empty outside of one.
pub fn current() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// The middleware.
///
/// # Errors
/// Whatever the inner service returns.
pub async fn wrap<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let id = format!("{:032x}", rand::random::<u128>());
    let started = Instant::now();
    let method = request.method().clone();
    let result = REQUEST_ID.scope(id.clone(), next.call(request)).await;
    result.map(|mut response| {
        let status = response.status();
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(HEADER, value);
        }
        let class = match status.as_u16() {
            0..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        metrics::counter!("saler_http_responses_total", "class" => class).increment(1);
        let took = started.elapsed();
        // What is refused for now (503) is logged where it is refused, with its cause.
        if status == StatusCode::INTERNAL_SERVER_ERROR || took > SLOW {
            let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                request.id = id, %method, route, status = status.as_u16(), duration_ms,
                "a request was slow or failed"
            );
        }
        response
    })
}
