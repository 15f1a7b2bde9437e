//! `/healthz`, `/readyz`, `/metrics`.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use serde_json::json;
use storage::log::Topic;

use super::error::ApiError;
use super::extract::State;
use super::route::bearer;
use crate::auth::same;

/// The process lives; says how durably the log keeps what it acknowledges.
pub async fn healthz(state: State) -> HttpResponse {
    let health = state.log.health();
    HttpResponse::Ok().json(json!({ "status": "ok", "durability": health.durability.to_string() }))
}

/// Whether requests can be served now: the log and the tables take writes, the engine has caught up, nobody is stopping.
pub async fn readyz(state: State) -> HttpResponse {
    let mut reasons = Vec::new();
    if state.is_stopping() {
        reasons.push("the process is stopping".to_owned());
    }
    if let Some(reason) = state.log.health().refusing {
        reasons.push(format!("log: {reason}"));
    }
    if let Some(reason) = state.tables.refusing() {
        reasons.push(format!("tables: {reason}"));
    }
    let mut behind = 0;
    for (partition, engine) in (0_u32..).zip(&state.engines) {
        let status = *engine.borrow();
        // A partition without commands has nothing to catch up with, and its engine nothing to tell.
        let end = state.log.bounds(Topic::Commands, partition).await.map_or(u64::MAX, |bounds| bounds.durable);
        behind += usize::from(!status.caught_up && status.next_offset < end);
    }
    if behind > 0 {
        reasons.push(format!("engine: {behind} partition(s) are still being applied"));
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reasons": reasons }))
    }
}

/// Prometheus' text format.
///
/// # Errors
/// 404 without the configured token, or if no metrics are kept.
pub async fn metrics(state: State, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let allowed = state
        .config
        .http
        .metrics_token
        .expose()
        .is_none_or(|token| bearer(request.headers()).is_some_and(|given| same(given, token)));
    let Some(handle) = state.metrics.as_ref().filter(|_| allowed) else {
        return Err(ApiError::not_found("page"));
    };
    for (partition, engine) in state.engines.iter().enumerate() {
        let Ok(number) = u32::try_from(partition) else { continue };
        if let Ok(bounds) = state.log.bounds(Topic::Commands, number).await {
            let lag = bounds.durable.saturating_sub(engine.borrow().next_offset);
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; a lag beyond 2^53 does not occur")]
            metrics::gauge!("saler_engine_lag_commands", "partition" => partition.to_string()).set(lag as f64);
        }
    }
    handle.run_upkeep();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render()))
}
