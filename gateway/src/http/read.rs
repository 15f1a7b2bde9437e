//! Reads what the conversation engine derives, for one caller: their workspace, and what they may see in it.

use std::ops::Bound;

use schemas::api::conversation::ConversationView;
use schemas::contact::Contact;
use schemas::conversation::Conversation;
use schemas::message::Message;
use schemas::tables::{CONTACTS, CONVERSATIONS, MESSAGES, message_bucket};
use schemas::{ContactId, ConversationId, WorkspaceId};
use storage::tables::{Key, Scan, Tables, TablesError};

use super::error::ApiError;
use super::state::AppState;
use crate::auth::principal::Principal;

/// A conversation that the caller may see.
///
/// # Errors
/// 404 whether it does not exist, belongs to another workspace, or may not be seen.
pub async fn conversation(
    state: &AppState,
    caller: &Principal,
    conversation_id: ConversationId,
) -> Result<Conversation, ApiError> {
    let mut found = conversations(state, caller, vec![conversation_id]).await?;
    found.pop().ok_or_else(|| ApiError::not_found("conversation"))
}

/// A conversation of a workspace, for what was allowed before: a link that the hub gave.
///
/// # Errors
/// 404 if there is none.
pub async fn conversation_in(
    state: &AppState,
    workspace_id: WorkspaceId,
    conversation_id: ConversationId,
) -> Result<Conversation, ApiError> {
    let row = state.tables.get(CONVERSATIONS, Key::of([workspace_id.into(), conversation_id.into()])).await?;
    Ok(row.ok_or_else(|| ApiError::not_found("conversation"))?.body(CONVERSATIONS)?)
}

/// Those of these conversations that the caller may see, in the same order.
///
/// # Errors
/// Any of the tables.
pub async fn conversations(
    state: &AppState,
    caller: &Principal,
    ids: Vec<ConversationId>,
) -> Result<Vec<Conversation>, ApiError> {
    let keys = ids.into_iter().map(|id| (CONVERSATIONS, Key::of([caller.workspace_id.into(), id.into()]))).collect();
    let mut found = Vec::new();
    for row in state.tables.get_many(keys).await?.iter().flatten() {
        let conversation: Conversation = row.body(CONVERSATIONS)?;
        if conversation.visible_to(caller.user_id, caller.role) {
            found.push(conversation);
        }
    }
    Ok(found)
}

/// A conversation with what it means to the caller.
pub fn view(caller: &Principal, conversation: Conversation) -> ConversationView {
    ConversationView { unread: conversation.unread_for(caller.user_id), conversation }
}

/// A contact of the caller's workspace.
///
/// # Errors
/// 404 if there is none.
pub async fn contact(state: &AppState, caller: &Principal, contact_id: ContactId) -> Result<Contact, ApiError> {
    let mut found = contacts(state, caller.workspace_id, vec![contact_id]).await?;
    found.pop().ok_or_else(|| ApiError::not_found("contact"))
}

/// Those of these contacts that exist, in the same order.
///
/// # Errors
/// Any of the tables.
pub async fn contacts(
    state: &AppState,
    workspace_id: WorkspaceId,
    ids: Vec<ContactId>,
) -> Result<Vec<Contact>, TablesError> {
    let keys = ids.into_iter().map(|id| (CONTACTS, Key::of([workspace_id.into(), id.into()]))).collect();
    state.tables.get_many(keys).await?.iter().flatten().map(|row| row.body(CONTACTS)).collect()
}

/// A message of a conversation by its number.
///
/// # Errors
/// Any of the tables.
pub async fn message(
    state: &AppState,
    workspace_id: WorkspaceId,
    conversation_id: ConversationId,
    seq: u64,
) -> Result<Option<Message>, TablesError> {
    let key = Key::of([workspace_id.into(), conversation_id.into(), message_bucket(seq).into()])
        .at([seq.cast_signed().into()]);
    match state.tables.get(MESSAGES, key).await? {
        Some(row) => row.body(MESSAGES).map(Some),
        None => Ok(None),
    }
}

/// Up to `limit` messages with numbers below `before`, newest first.
///
/// # Errors
/// Any of the tables.
pub async fn messages_before(
    tables: &dyn Tables,
    (workspace_id, conversation_id): (WorkspaceId, ConversationId),
    before: u64,
    limit: usize,
) -> Result<Vec<Message>, TablesError> {
    let mut found = Vec::with_capacity(limit);
    let mut bucket = message_bucket(before.saturating_sub(1));
    while bucket >= 0 && found.len() < limit {
        let partition = [workspace_id.into(), conversation_id.into(), bucket.into()];
        let scan = Scan {
            end: Bound::Excluded(vec![before.cast_signed().into()]),
            ..Scan::of(partition, limit - found.len()).backwards()
        };
        for row in tables.scan(MESSAGES, scan).await? {
            found.push(row.body(MESSAGES)?);
        }
        bucket -= 1;
    }
    Ok(found)
}

/// Up to `limit` messages with numbers above `after` and at most `last`, oldest first.
///
/// # Errors
/// Any of the tables.
pub async fn messages_after(
    tables: &dyn Tables,
    (workspace_id, conversation_id): (WorkspaceId, ConversationId),
    after: u64,
    last: u64,
    limit: usize,
) -> Result<Vec<Message>, TablesError> {
    let mut found = Vec::new();
    let mut bucket = message_bucket(after.saturating_add(1));
    while bucket <= message_bucket(last) && found.len() < limit {
        let partition = [workspace_id.into(), conversation_id.into(), bucket.into()];
        let scan = Scan::of(partition, limit - found.len()).after(vec![after.cast_signed().into()]);
        for row in tables.scan(MESSAGES, scan).await? {
            found.push(row.body(MESSAGES)?);
        }
        bucket += 1;
    }
    Ok(found)
}

/// A conversation as it is after the caller changed it, even if the change took it out of their sight.
///
/// # Errors
/// 404 if it does not exist.
pub async fn conversation_as_actor(
    state: &AppState,
    caller: &Principal,
    conversation_id: ConversationId,
) -> Result<Conversation, ApiError> {
    let mut found = conversations_as_actor(state, caller, vec![conversation_id]).await?;
    found.pop().ok_or_else(|| ApiError::not_found("conversation"))
}

/// [`conversation_as_actor`] for several: those that exist, in the same order.
///
/// # Errors
/// Any of the tables.
pub async fn conversations_as_actor(
    state: &AppState,
    caller: &Principal,
    ids: Vec<ConversationId>,
) -> Result<Vec<Conversation>, TablesError> {
    let keys = ids.into_iter().map(|id| (CONVERSATIONS, Key::of([caller.workspace_id.into(), id.into()]))).collect();
    state.tables.get_many(keys).await?.iter().flatten().map(|row| row.body(CONVERSATIONS)).collect()
}
