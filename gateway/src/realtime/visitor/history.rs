//! What a visitor sees of their conversation when they come.

use schemas::conversation::Conversation;
use schemas::message::Message;
use schemas::socket::{VisitorMessage, VisitorPosition};
use schemas::tables::{CONTACT_CONVERSATIONS, CONVERSATIONS, IDENTITIES, MESSAGES, Value, message_bucket};
use schemas::{ContactId, ConversationId, WorkspaceId};
use storage::tables::{Key, Scan, TablesError};

use super::Site;
use crate::realtime::Inner;

/// Messages that a visitor without a position gets.
const LAST_MESSAGES: usize = 50;
/// Messages that a visitor with a position gets at most; of a longer absence, the last ones.
const MISSED_MESSAGES: usize = 200;
/// Rows of one read: notes between messages are skipped.
const PAGE: usize = 200;
/// Buckets that are looked through.
const MAX_BUCKETS: i64 = 4;
/// Conversations of a contact that are looked through for one on this channel.
const MAX_CONVERSATIONS: usize = 50;

/// The visitor's latest conversation on the channel.
pub(super) async fn latest(inner: &Inner, site: &Site, address: &str) -> Result<Option<Conversation>, TablesError> {
    let workspace = || Value::from(site.channel.workspace_id);
    let identity = Key::of([workspace(), Value::from(site.channel.id), Value::from(address)]);
    let Some(row) = inner.tables.get(IDENTITIES, identity).await? else { return Ok(None) };
    let Some(contact_id) = row.uuid("contact_id").map(ContactId::from_bytes) else { return Ok(None) };
    let scan = Scan::of([workspace(), Value::from(contact_id)], MAX_CONVERSATIONS);
    let rows = inner.tables.scan(CONTACT_CONVERSATIONS, scan).await?;
    let found = rows.iter().find(|row| row.uuid("channel_id") == Some(*site.channel.id.as_bytes()));
    let Some(Value::Uuid(bytes)) = found.and_then(|row| row.key.clustering.first()) else { return Ok(None) };
    let key = Key::of([workspace(), Value::from(ConversationId::from_bytes(*bytes))]);
    inner.tables.get(CONVERSATIONS, key).await?.map(|row| row.body(CONVERSATIONS)).transpose()
}

/// Which messages of a conversation are wanted: the last `count` of those between two numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    after: u64,
    before: u64,
    count: usize,
}

impl Wanted {
    /// What a client at this position has missed; the last messages for one that has none of this conversation.
    pub(super) fn missed(conversation: &Conversation, position: Option<VisitorPosition>) -> Self {
        match position.filter(|position| position.conversation_id == conversation.id) {
            Some(position) => Self { after: position.seq, before: u64::MAX, count: MISSED_MESSAGES },
            None => Self { after: 0, before: u64::MAX, count: LAST_MESSAGES },
        }
    }

    /// What was said before this number.
    pub(super) fn before(before: u64) -> Self {
        Self { after: 0, before, count: LAST_MESSAGES }
    }
}

/// The wanted messages of a conversation, oldest first.
pub(super) async fn messages(
    inner: &Inner,
    workspace_id: WorkspaceId,
    conversation: &Conversation,
    wanted: Wanted,
) -> Result<Vec<VisitorMessage>, TablesError> {
    let newest = message_bucket(conversation.last_seq.min(wanted.before.saturating_sub(1)));
    let mut found = Vec::new();
    'buckets: for bucket in (0..=newest).rev().take(usize::try_from(MAX_BUCKETS).unwrap_or(1)) {
        let partition = [Value::from(workspace_id), Value::from(conversation.id), Value::Int(bucket)];
        let mut scan = Scan::of(partition, PAGE).backwards();
        if let Ok(before) = i64::try_from(wanted.before) {
            scan = scan.after(vec![Value::Int(before)]);
        }
        loop {
            let rows = inner.tables.scan(MESSAGES, scan.clone()).await?;
            for row in &rows {
                let message: Message = row.body(MESSAGES)?;
                if message.seq <= wanted.after || found.len() >= wanted.count {
                    break 'buckets;
                }
                found.extend(inner.visitors.shown(workspace_id, message, &conversation.contact_address));
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => scan = scan.after(last.key.clustering.clone()),
                _ => break,
            }
        }
    }
    found.reverse();
    Ok(found)
}
