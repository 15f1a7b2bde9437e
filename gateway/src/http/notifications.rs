//! `/notifications`: what the caller is told of, and what of it they have read.

use actix_web::http::Method;
use actix_web::web;
use schemas::api::Page;
use schemas::api::desk::{NotificationQuery, NotificationView, ReadNotifications, UnreadNotifications};
use schemas::api::problem::Problem;
use schemas::command::Command;
use schemas::desk::Notification;
use schemas::policy::Action;
use schemas::tables::NOTIFICATIONS;
use storage::tables::Scan;

use super::commands::execute;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidJson, ValidQuery};
use super::lists::marks;
use super::route::{Access, Endpoints};

/// The caller's notifications, newest first. The newest 1,000 are kept.
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "notifications", security(("bearer" = [])), params(NotificationQuery),
    responses((status = 200, body = Page<NotificationView>), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<NotificationQuery>,
) -> Result<web::Json<Page<NotificationView>>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let workspace_id = caller.workspace_id;
    let unread = query.0.unread;
    let cursor_of = format!("notifications/{}/{unread:?}", caller.user_id);
    let mut after: Option<u64> = state.cursors.open(workspace_id, &cursor_of, query.0.cursor.as_deref())?;
    let marks = marks(&state, &caller).await?;
    let mut found: Vec<NotificationView> = Vec::new();
    // No more are kept than NOTIFICATIONS_KEPT, so this ends soon even if hardly any is wanted.
    while found.len() <= limit {
        let mut scan = Scan::of([workspace_id.into(), caller.user_id.into()], limit + 1);
        if let Some(number) = after {
            scan = scan.after(vec![number.cast_signed().into()]);
        }
        let rows = state.tables.scan(NOTIFICATIONS, scan).await?;
        for row in &rows {
            let notification: Notification = row.body(NOTIFICATIONS)?;
            after = Some(notification.number);
            let read = marks.is_read(notification.number);
            if unread.is_none_or(|unread| unread != read) {
                found.push(NotificationView { notification, read });
            }
        }
        if rows.len() <= limit {
            break;
        }
    }
    Ok(web::Json(state.cursors.page(workspace_id, &cursor_of, (found, limit), |view| view.notification.number)))
}

/// Notes that the caller has read notifications. Their other tabs hear of it over the socket.
#[utoipa::path(
    post, path = "/api/v1/notifications/read", tag = "notifications", security(("bearer" = [])),
    request_body = ReadNotifications,
    responses((status = 200, body = UnreadNotifications), (status = 422, body = Problem)),
)]
pub async fn mark_read(
    state: State,
    caller: Caller,
    body: ValidJson<ReadNotifications>,
) -> Result<web::Json<UnreadNotifications>, ApiError> {
    let ReadNotifications { up_to, numbers } = body.0;
    if up_to.is_none() && numbers.is_empty() {
        return Err(ApiError::invalid("up_to", "nothing is to be marked: send up_to or numbers"));
    }
    let command = Command::ReadNotifications { user_id: caller.user_id, up_to, numbers };
    execute(&state, &caller, None, command).await?;
    Ok(web::Json(UnreadNotifications { unread: marks(&state, &caller).await?.unread() }))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let own = Access::Right(Action::ReadConversations);
    endpoints.add(Method::GET, "/notifications", own, list).add(Method::POST, "/notifications/read", own, mark_read);
}
