//! Lists of conversations with filters, and how many conversations stand in each view.
//!
//! The engine keeps lists by status and holder, by who was mentioned, and by team. Whatever else is asked for is found by
//! looking at the conversations of such a list, at most [`LOOKED_AT_MAX`] a request; a page then says where to go on.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web;
use schemas::api::Page;
use schemas::api::conversation::{AssigneeFilter, ConversationQuery, ConversationView, Counts, TeamFilter};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::conversation::{Conversation, Priority, Status};
use schemas::desk::NotificationMarks;
use schemas::policy::Action;
use schemas::tables::{CONVERSATION_VIEWS, NOTIFICATION_MARKS, VIEW_COUNTS, Value};
use schemas::{ChannelId, ConversationId, Timestamp};
use storage::tables::{Row, Scan, TablesError};

use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidQuery};
use super::read;
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::in_workspace;

/// The most conversations that one request with filters looks at.
const LOOKED_AT_MAX: usize = 1_000;

/// How many conversations are read at a time where there are filters.
const READ_AT_ONCE: usize = 200;

/// A place in a list: when something last happened in a conversation, in microseconds since the Unix epoch, and which it is.
pub(super) type Place = (i64, ConversationId);

/// Conversations for which all filters hold, latest activity first. Agents see their own, those that nobody holds and those in
/// which they were mentioned. With filters a page may hold fewer items than its limit, or none, and still have a
/// `next_cursor`: at most 1,000 conversations are looked at for one answer.
#[utoipa::path(
    get, path = "/api/v1/conversations", tag = "conversations", security(("bearer" = [])), params(ConversationQuery),
    responses((status = 200, body = Page<ConversationView>), (status = 403, body = Problem), (status = 422, body = Problem)),
)]
pub async fn list(
    state: State,
    caller: Caller,
    query: ValidQuery<ConversationQuery>,
) -> Result<web::Json<Page<ConversationView>>, ApiError> {
    let query = query.0;
    let limit = page_limit(query.limit)?;
    let (list, filters) = plan(&caller, &query)?;
    let cursor_of = format!("conversations/{list}/{filters:?}");
    let workspace_id = caller.workspace_id;
    let mut place: Option<Place> = state.cursors.open(workspace_id, &cursor_of, query.cursor.as_deref())?;
    let at_once = if filters == Filters::default() { limit + 1 } else { READ_AT_ONCE };
    let (mut items, mut looked_at, mut more) = (Vec::new(), 0, true);
    while more && items.len() < limit && looked_at < LOOKED_AT_MAX {
        let places = places(&state, &caller, &list, place, at_once).await?;
        more = places.len() == at_once;
        let ids = places.iter().map(|(_, id)| *id).collect();
        let mut found = read::conversations(&state, &caller, ids).await?.into_iter().peekable();
        let mut left = places.len();
        for at in places {
            if items.len() == limit {
                break;
            }
            (place, looked_at, left) = (Some(at), looked_at + 1, left - 1);
            let conversation = found.next_if(|conversation| conversation.id == at.1);
            items.extend(conversation.filter(|conversation| filters.pass(&caller, conversation)));
        }
        more |= left > 0;
    }
    let next_cursor = place.filter(|_| more).map(|place| state.cursors.seal(workspace_id, &cursor_of, &place));
    let items = items.into_iter().map(|conversation| read::view(&caller, conversation)).collect();
    Ok(web::Json(Page { items, next_cursor }))
}

/// Up to `limit` places of a list that follow `after`, latest activity first.
///
/// # Errors
/// Any of the tables.
pub(super) async fn places(
    state: &AppState,
    caller: &Principal,
    list: &str,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Place>, TablesError> {
    let mut scan = Scan::of([caller.workspace_id.into(), list.into()], limit);
    if let Some((micros, id)) = after {
        scan = scan.after(vec![Timestamp::from_unix_micros(micros).into(), id.into()]);
    }
    let rows = state.tables.scan(CONVERSATION_VIEWS, scan).await?;
    let place_of = |row: &Row| match row.key.clustering.as_slice() {
        [Value::Timestamp(at), Value::Uuid(id)] => Some((at.unix_micros(), ConversationId::from_bytes(*id))),
        _ => None,
    };
    Ok(rows.iter().filter_map(place_of).collect())
}

/// What a conversation must be like beside standing in the list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    team: Option<TeamFilter>,
    channel: Option<ChannelId>,
    label: Option<String>,
    priority: Option<Priority>,
    unread: Option<bool>,
}

impl Filters {
    fn pass(&self, caller: &Principal, conversation: &Conversation) -> bool {
        let team = match self.team {
            None => true,
            Some(TeamFilter::None) => conversation.team.is_none(),
            Some(TeamFilter::Team(team_id)) => conversation.team == Some(team_id),
        };
        team && self.channel.is_none_or(|channel_id| conversation.channel_id == channel_id)
            && self.label.as_ref().is_none_or(|label| conversation.labels.contains(label))
            && self.priority.is_none_or(|priority| conversation.priority == priority)
            && self.unread.is_none_or(|unread| (conversation.unread_for(caller.user_id) > 0) == unread)
    }
}

/// The list that the engine keeps from which a query is answered, and what is left to look for in it.
fn plan(caller: &Principal, query: &ConversationQuery) -> Result<(String, Filters), ApiError> {
    let status = query.status.unwrap_or(Status::Open);
    let mut filters = Filters {
        team: query.team,
        channel: query.channel,
        label: query.label.clone(),
        priority: query.priority,
        unread: query.unread,
    };
    if query.mentioned == Some(true) {
        if query.assignee.is_some() {
            return Err(ApiError::invalid("assignee", "it does not go with mentioned: send one of them"));
        }
        return Ok((format!("{}/mentioned:{}", status.as_str(), caller.user_id), filters));
    }
    let sees_all = caller.role.sees_all_conversations();
    let assignee = query.assignee.unwrap_or(if sees_all { AssigneeFilter::All } else { AssigneeFilter::Me });
    if let (AssigneeFilter::All, true, Some(TeamFilter::Team(team_id))) = (assignee, sees_all, query.team) {
        filters.team = None;
        return Ok((format!("{}/team:{team_id}", status.as_str()), filters));
    }
    Ok((list_name(caller, status, assignee)?, filters))
}

/// The name of a list as the engine keeps it: a status and whose.
fn list_name(caller: &Principal, status: Status, assignee: AssigneeFilter) -> Result<String, ApiError> {
    let sees_all = caller.role.sees_all_conversations();
    let status = status.as_str();
    match assignee {
        AssigneeFilter::Nobody => Ok(format!("{status}/none")),
        AssigneeFilter::Me => Ok(format!("{status}/{}", caller.user_id)),
        AssigneeFilter::User(user_id) if sees_all || user_id == caller.user_id => Ok(format!("{status}/{user_id}")),
        AssigneeFilter::All if sees_all => Ok(format!("{status}/all")),
        AssigneeFilter::All | AssigneeFilter::User(_) => Err(ApiError::new(
            ErrorCode::Forbidden,
            "agents list their own conversations, those that nobody holds and those in which they were mentioned",
        )
        .at("assignee", "write me or none, or mentioned=true")),
    }
}

/// How many conversations stand in each view, in one answer. What changes afterwards comes over the socket's topic `desk`.
#[utoipa::path(
    get, path = "/api/v1/conversations/counts", tag = "conversations", security(("bearer" = [])),
    responses((status = 200, body = Counts)),
)]
pub async fn counts(state: State, caller: Caller) -> Result<web::Json<Counts>, ApiError> {
    let mut views = BTreeMap::new();
    for row in state.directory.rows(VIEW_COUNTS, vec![caller.workspace_id.into()]).await? {
        if let ([Value::Text(view)], Some(count)) = (row.key.clustering.as_slice(), row.int("count")) {
            views.insert(view.clone(), count.cast_unsigned());
        }
    }
    let me = caller.user_id;
    let count = |view: String| views.get(&view).copied().unwrap_or(0);
    let snoozed = if caller.role.sees_all_conversations() { "all".to_owned() } else { me.to_string() };
    Ok(web::Json(Counts {
        mine: count(format!("open/{me}")),
        unassigned: count("open/none".to_owned()),
        all: count("open/all".to_owned()),
        mentions: count(format!("open/mentioned:{me}")),
        snoozed: count(format!("snoozed/{snoozed}")),
        notifications: marks(&state, &caller).await?.unread(),
        views,
    }))
}

/// Which notifications the caller has had and read.
///
/// # Errors
/// Any of the tables.
pub(super) async fn marks(state: &AppState, caller: &Principal) -> Result<NotificationMarks, TablesError> {
    let key = in_workspace(caller.workspace_id, caller.user_id);
    Ok(state.directory.entity(NOTIFICATION_MARKS, key).await?.unwrap_or_default())
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    let read = Access::Right(Action::ReadConversations);
    endpoints.add(Method::GET, "/conversations", read, list).add(Method::GET, "/conversations/counts", read, counts);
}
