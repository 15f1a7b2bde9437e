//! `/saved-views`: filters of the list of conversations that people keep under names, for themselves or for all.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use schemas::api::conversation::{AssigneeFilter, TeamFilter};
use schemas::api::desk::{NewSavedView, NewViewFilters, SavedViewChange};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::api::{Page, PageQuery};
use schemas::desk::{SavedView, SettingChange, ViewFilters};
use schemas::policy::{Action, allows};
use schemas::{SavedViewId, UserId};

use super::commands::announce;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidPath, ValidQuery};
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::desk::SavedViewEdit;

/// How many saved views are read at a time while those of others are passed over.
const READ_AT_ONCE: usize = 500;
/// No label has more characters.
const LABEL_CHARS: usize = 50;

/// The caller's own saved views and those that others share, first made first.
#[utoipa::path(
    get, path = "/api/v1/saved-views", tag = "saved views", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<SavedView>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<PageQuery>,
) -> Result<web::Json<Page<SavedView>>, ApiError> {
    let (limit, workspace_id) = (page_limit(query.0.limit)?, caller.workspace_id);
    let cursor_of = format!("saved-views/{}", caller.user_id);
    let mut after: Option<SavedViewId> = state.cursors.open(workspace_id, &cursor_of, query.0.cursor.as_deref())?;
    let mut found = Vec::new();
    while found.len() <= limit {
        let views = state.directory.saved_views_after(workspace_id, after, READ_AT_ONCE).await?;
        let is_last = views.len() < READ_AT_ONCE;
        after = views.last().map(|view| view.id);
        found.extend(views.into_iter().filter(|view| is_shown_to(view, &caller)));
        if is_last {
            break;
        }
    }
    Ok(web::Json(state.cursors.page(workspace_id, &cursor_of, (found, limit), |view| view.id)))
}

/// Keeps filters under a name.
#[utoipa::path(
    post, path = "/api/v1/saved-views", tag = "saved views", security(("bearer" = [])), request_body = NewSavedView,
    responses((status = 201, body = SavedView), (status = 403, body = Problem), (status = 422, body = Problem)),
)]
pub async fn create(state: State, caller: Caller, body: ValidJson<NewSavedView>) -> Result<HttpResponse, ApiError> {
    let NewSavedView { name, shared, filters } = body.0;
    if shared {
        may_share(&caller)?;
    }
    let filters = checked(filters)?;
    let view = state.directory.create_saved_view(caller.workspace_id, caller.user_id, &name, shared, filters).await?;
    tell(&state, &caller, &view).await;
    Ok(HttpResponse::Created().json(view))
}

/// Changes a saved view: one's own, or with the right to share views one that others share.
#[utoipa::path(
    patch, path = "/api/v1/saved-views/{saved_view_id}", tag = "saved views", security(("bearer" = [])),
    params(("saved_view_id" = SavedViewId, Path, description = "Which.")), request_body = SavedViewChange,
    responses((status = 200, body = SavedView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)),
)]
pub async fn change(
    state: State,
    caller: Caller,
    path: ValidPath<SavedViewId>,
    body: ValidJson<SavedViewChange>,
) -> Result<web::Json<SavedView>, ApiError> {
    let before = changeable(&state, &caller, path.0).await?;
    let SavedViewChange { name, shared, filters } = body.0;
    if shared == Some(true) && !before.shared {
        may_share(&caller)?;
    }
    let filters = filters.map(checked).transpose()?;
    let was_shared = before.shared;
    let edit = SavedViewEdit { name, shared, filters };
    let view = state.directory.change_saved_view(caller.workspace_id, before, edit).await?;
    if was_shared && !view.shared {
        // To everybody first: whose it is then hears that they still have it.
        announce(&state, &caller, None, SettingChange::SavedViewRemoved { saved_view_id: view.id }).await;
    }
    tell(&state, &caller, &view).await;
    Ok(web::Json(view))
}

/// Removes a saved view: one's own, or with the right to share views one that others share.
#[utoipa::path(
    delete, path = "/api/v1/saved-views/{saved_view_id}", tag = "saved views", security(("bearer" = [])),
    params(("saved_view_id" = SavedViewId, Path, description = "Which.")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub async fn remove(state: State, caller: Caller, path: ValidPath<SavedViewId>) -> Result<HttpResponse, ApiError> {
    let view = changeable(&state, &caller, path.0).await?;
    state.directory.remove_saved_view(caller.workspace_id, view.id).await?;
    let change = SettingChange::SavedViewRemoved { saved_view_id: view.id };
    announce(&state, &caller, only_for(&view), change).await;
    Ok(HttpResponse::NoContent().finish())
}

fn is_shown_to(view: &SavedView, caller: &Principal) -> bool {
    view.shared || view.owner == caller.user_id
}

/// A saved view that the caller may change. One that they do not see is as if it did not exist.
async fn changeable(state: &AppState, caller: &Principal, id: SavedViewId) -> Result<SavedView, ApiError> {
    let view = state.directory.saved_view(caller.workspace_id, id).await?;
    if !is_shown_to(&view, caller) {
        return Err(ApiError::not_found("saved view"));
    }
    if view.owner != caller.user_id {
        may_share(caller)?;
    }
    Ok(view)
}

fn may_share(caller: &Principal) -> Result<(), ApiError> {
    if allows(caller.role, Action::ShareViews) {
        return Ok(());
    }
    let detail = format!("the role {} may not {}", caller.role.as_str(), Action::ShareViews.phrase());
    Err(ApiError::new(ErrorCode::Forbidden, detail).at("shared", "keep it to yourself, or ask a manager"))
}

/// Whose alone it is to see.
fn only_for(view: &SavedView) -> Option<UserId> {
    (!view.shared).then_some(view.owner)
}

async fn tell(state: &AppState, caller: &Principal, view: &SavedView) {
    announce(state, caller, only_for(view), SettingChange::SavedView { saved_view: view.clone() }).await;
}

/// Filters that the list would take.
fn checked(filters: NewViewFilters) -> Result<ViewFilters, ApiError> {
    if let Some(Err(reason)) = filters.assignee.as_ref().map(|text| text.parse::<AssigneeFilter>()) {
        return Err(ApiError::invalid("filters.assignee", reason));
    }
    if let Some(Err(reason)) = filters.team.as_ref().map(|text| text.parse::<TeamFilter>()) {
        return Err(ApiError::invalid("filters.team", reason));
    }
    if filters.label.as_ref().is_some_and(|label| label.chars().count() > LABEL_CHARS) {
        return Err(ApiError::invalid("filters.label", format!("write at most {LABEL_CHARS} characters")));
    }
    if filters.mentioned == Some(true) && filters.assignee.is_some() {
        return Err(ApiError::invalid("filters.assignee", "it does not go with mentioned: send one of them"));
    }
    Ok(filters.into())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let own = Access::Right(Action::ReadConversations);
    endpoints
        .add(Method::GET, "/saved-views", own, list)
        .add(Method::POST, "/saved-views", own, create)
        .add(Method::PATCH, "/saved-views/{saved_view_id}", own, change)
        .add(Method::DELETE, "/saved-views/{saved_view_id}", own, remove);
}
