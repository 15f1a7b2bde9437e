//! `/healthz`, `/readyz`, `/metrics`: served by every process, whatever its roles.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::error::ApiError;
use super::route::bearer;
use super::vitals::Vitals;
use crate::auth::same;

/// How long the lag of other processes' partitions may take to be read.
const LAG_TIMEOUT: Duration = Duration::from_secs(2);

/// Adds the routes; the process's [`Vitals`] must be in the application's data.
pub fn configure(service: &mut web::ServiceConfig) {
    service
        .route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// The process lives; says how durably the log keeps what it acknowledges.
pub async fn healthz(vitals: web::Data<Vitals>) -> HttpResponse {
    let health = vitals.log.health();
    HttpResponse::Ok().json(json!({
        "status": "ok", "durability": health.durability.to_string(), "node": vitals.node, "roles": vitals.roles.to_string(),
    }))
}

/// Whether requests can be served now: the log and the tables take writes, the engine has caught up, nobody is stopping.
///
/// In a cluster a process may do its work only in part (a partition fails, the tables are away and webhooks wait in the
/// log): it is ready then, and says so in `limits`.
pub async fn readyz(vitals: web::Data<Vitals>) -> HttpResponse {
    let troubles = vitals.troubles().await;
    if !troubles.stops.is_empty() {
        let reasons: Vec<_> = troubles.stops.into_iter().chain(troubles.limits).collect();
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reasons": reasons }));
    }
    if troubles.limits.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        HttpResponse::Ok().json(json!({ "status": "ready", "limits": troubles.limits }))
    }
}

/// Prometheus' text format.
///
/// # Errors
/// 404 without the configured token, or if no metrics are kept.
pub async fn metrics(vitals: web::Data<Vitals>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let token = vitals.metrics_token.expose();
    let allowed = token.is_none_or(|token| bearer(request.headers()).is_some_and(|given| same(given, token)));
    let Some(handle) = vitals.metrics.as_ref().filter(|_| allowed) else {
        return Err(ApiError::not_found("page"));
    };
    for (partition, lag) in tokio::time::timeout(LAG_TIMEOUT, vitals.lags()).await.unwrap_or_default() {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; a lag beyond 2^53 does not occur")]
        metrics::gauge!("saler_engine_lag_commands", "partition" => partition.to_string()).set(lag as f64);
    }
    handle.run_upkeep();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render()))
}
