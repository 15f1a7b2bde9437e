//! `/sla-policies`: what is promised to customers. They are read and set as one list, since their order matters.

use actix_web::http::Method;
use actix_web::web;
use schemas::SlaPolicyId;
use schemas::api::problem::{ErrorCode, Problem};
use schemas::api::service::{NewSlaPolicies, NewSlaPolicy, SlaPolicies};
use schemas::conversation::Status;
use schemas::policy::Action;
use schemas::service::{ServiceSetting, VersionedSetting};
use schemas::sla::{SLA_MAX_SECONDS, SLA_POLICIES_PER_WORKSPACE, SlaPolicy};

use super::commands::actor;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::propagate::configure_service;
use crate::directory::{DirectoryError, checked_text};

/// The name of the setting.
const KIND: &str = "sla";
/// The most labels of a policy.
const LABELS_PER_POLICY: usize = 50;
/// No label has more characters.
const LABEL_CHARS: usize = 50;

/// The policies of service levels, in the order in which they are looked through.
#[utoipa::path(
    get, path = "/api/v1/sla-policies", tag = "service levels", security(("bearer" = [])),
    responses((status = 200, body = SlaPolicies)),
)]
pub async fn list(state: State, caller: Caller) -> Result<web::Json<SlaPolicies>, ApiError> {
    Ok(web::Json(policies_of(state.directory.service_setting(caller.workspace_id, KIND).await?)))
}

/// Sets the policies of service levels. They hold for what is promised from now on: when a conversation opens, when its customer
/// waits again, when its priority or labels change. What was promised before stays promised.
#[utoipa::path(
    put, path = "/api/v1/sla-policies", tag = "service levels", security(("bearer" = [])), request_body = NewSlaPolicies,
    responses((status = 200, body = SlaPolicies), (status = 409, body = Problem), (status = 422, body = Problem)),
)]
pub async fn put(
    state: State,
    caller: Caller,
    body: ValidJson<NewSlaPolicies>,
) -> Result<web::Json<SlaPolicies>, ApiError> {
    let NewSlaPolicies { version, policies } = body.0;
    let known = policies_of(state.directory.service_setting(caller.workspace_id, KIND).await?).policies;
    let policies = checked(&state, &caller, &known, policies).await?;
    let setting = ServiceSetting::Sla { policies };
    let stored = store(&state, &caller, setting, version).await?;
    Ok(web::Json(policies_of(Some(stored))))
}

/// Stores a setting of the service in place of the one with this version, and tells the engine.
pub(super) async fn store(
    state: &AppState,
    caller: &Principal,
    setting: ServiceSetting,
    version: u64,
) -> Result<VersionedSetting, ApiError> {
    let stored = match state.directory.put_service_setting(caller.workspace_id, setting, version).await {
        Err(DirectoryError::Conflict) => {
            let detail = "it was changed since it was read: read it again, and set it with the version that it has now";
            return Err(ApiError::new(ErrorCode::InvalidTransition, detail).at("version", "it is not the present one"));
        }
        stored => stored?,
    };
    let record = configure_service(&state.commands, caller.workspace_id, actor(caller), stored.clone());
    state.commands.append(&record).await?;
    Ok(stored)
}

fn policies_of(setting: Option<VersionedSetting>) -> SlaPolicies {
    match setting {
        Some(VersionedSetting { version, setting: ServiceSetting::Sla { policies } }) => {
            SlaPolicies { version, policies }
        }
        _ => SlaPolicies { version: 0, policies: Vec::new() },
    }
}

async fn checked(
    state: &AppState,
    caller: &Principal,
    known: &[SlaPolicy],
    new: Vec<NewSlaPolicy>,
) -> Result<Vec<SlaPolicy>, ApiError> {
    if new.len() > SLA_POLICIES_PER_WORKSPACE {
        return Err(ApiError::invalid("policies", format!("write at most {SLA_POLICIES_PER_WORKSPACE}")));
    }
    let has_hours = state.directory.workspace(caller.workspace_id).await?.business_hours.is_some();
    let channels = state.directory.channels(caller.workspace_id).await?;
    let mut policies: Vec<SlaPolicy> = Vec::with_capacity(new.len());
    for (place, policy) in new.into_iter().enumerate() {
        let refuse = |field: &str, reason: String| ApiError::invalid(format!("policies[{place}].{field}"), reason);
        let id = match policy.id {
            None => SlaPolicyId::new(state.directory.now(), &rand::random()),
            Some(id) if !known.iter().any(|policy| policy.id == id) => {
                return Err(refuse("id", "there is no such policy: leave it out to make a new one".to_owned()));
            }
            Some(id) if policies.iter().any(|policy| policy.id == id) => {
                return Err(refuse("id", "it is there twice: write each once".to_owned()));
            }
            Some(id) => id,
        };
        if policy.business_time && !has_hours {
            let reason = "no business hours are set: set them first, or count clock time";
            return Err(refuse("business_time", reason.to_owned()));
        }
        if let Some(unknown) = policy.channels.iter().find(|id| !channels.iter().any(|known| known.channel.id == **id))
        {
            return Err(refuse("channels", format!("there is no channel {unknown} in this workspace")));
        }
        let name = checked_text("name", &policy.name, 1, 100).map_err(|error| refuse("name", error.to_string()))?;
        policies.push(checked_policy(id, name, policy, refuse)?);
    }
    Ok(policies)
}

fn checked_policy(
    id: SlaPolicyId,
    name: String,
    new: NewSlaPolicy,
    refuse: impl Fn(&str, String) -> ApiError,
) -> Result<SlaPolicy, ApiError> {
    let goals = [
        ("first_response_seconds", new.first_response_seconds),
        ("next_response_seconds", new.next_response_seconds),
        ("resolution_seconds", new.resolution_seconds),
    ];
    if goals.iter().all(|(_, goal)| goal.is_none()) {
        return Err(refuse(
            "first_response_seconds",
            "it promises nothing: write at least one of the three".to_owned(),
        ));
    }
    for (field, goal) in goals {
        if goal.is_some_and(|goal| !(1..=SLA_MAX_SECONDS).contains(&goal)) {
            return Err(refuse(field, format!("write 1 to {SLA_MAX_SECONDS} seconds")));
        }
    }
    if new.warn_percent.is_some_and(|percent| !(1..=99).contains(&percent)) {
        return Err(refuse("warn_percent", "write 1 to 99".to_owned()));
    }
    if new.pauses.iter().any(|status| !matches!(status, Status::Pending | Status::Snoozed)) {
        return Err(refuse("pauses", "write pending, snoozed, both or none".to_owned()));
    }
    if new.labels.len() > LABELS_PER_POLICY {
        return Err(refuse("labels", format!("write at most {LABELS_PER_POLICY}")));
    }
    let is_label = |label: &String| (1..=LABEL_CHARS).contains(&label.chars().count());
    if !new.labels.iter().all(is_label) {
        return Err(refuse("labels", format!("write 1 to {LABEL_CHARS} characters each")));
    }
    Ok(SlaPolicy {
        id,
        name,
        priorities: new.priorities,
        channels: new.channels,
        labels: new.labels,
        first_response_seconds: new.first_response_seconds,
        next_response_seconds: new.next_response_seconds,
        resolution_seconds: new.resolution_seconds,
        business_time: new.business_time,
        pauses: new.pauses,
        warn_percent: new.warn_percent,
    })
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints.add(Method::GET, "/sla-policies", Access::Right(Action::ReadWorkspace), list).add(
        Method::PUT,
        "/sla-policies",
        Access::Right(Action::ManageService),
        put,
    );
}
