//! From rows to state: answers a [`Need`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::channel::Channel;
use schemas::command::{Command, CommandRecord};
use schemas::conversation::Status;
use schemas::tables::{self as t, Table, Value};
use schemas::workspace::Agent;
use schemas::{ChannelId, ContactId, ConversationId, UserId, WorkspaceId};
use storage::tables::{Key, Row, Scan, Tables, TablesError};

use super::counts::counted_in;
use super::rows::{view_of, views_of_all};
use super::service::Service;
use super::state::{EnginePart, MessageRef, Need, State, StoredConversation, WorkspaceState};
use crate::outbound::pending::PendingSend;

/// How many rows one read of a scan takes.
const SCAN_PAGE_ROWS: usize = 1_000;

/// What a command of the many (from providers and senders) is seen to need and `state` does not know yet; with that loaded,
/// more may be seen. `None` for the others: only deciding them tells.
pub(super) fn foreseeable(state: &State, record: &CommandRecord) -> Option<Vec<Need>> {
    let w = record.workspace_id;
    let mut needs = vec![Need::Workspace(w)];
    match &record.command {
        Command::ReceiveMessage { channel_id, message } => {
            needs.push(Need::External(w, *channel_id, message.external_id.clone()));
            for address in std::iter::once(&message.from).chain(&message.also_from) {
                needs.push(Need::Identity(w, *channel_id, address.clone()));
                let contact = state.identities.get(&(w, *channel_id, address.clone())).flatten();
                needs.extend(contact.map(|id| Need::Contact(w, *id)));
                needs.extend(contact.map(|id| Need::Latest(w, *id, *channel_id)));
                let latest = contact.and_then(|id| state.latest.get(&(w, *id, *channel_id)).flatten());
                needs.extend(latest.map(|id| Need::Conversation(w, *id)));
            }
        }
        Command::RecordDelivery { channel_id, report } => {
            needs.push(Need::External(w, *channel_id, report.external_id.clone()));
            match state.externals.get(&(w, *channel_id, report.external_id.clone())) {
                None => {}
                Some(None) => needs.push(Need::Parked(w, *channel_id, report.external_id.clone())),
                Some(Some(place)) => {
                    needs.push(Need::Conversation(w, place.conversation_id));
                    needs.push(Need::Message(w, place.conversation_id, place.seq));
                    let message = state.messages.get(&(w, place.conversation_id, place.seq)).flatten();
                    needs.extend(message.map(|message| Need::Pending(w, message.id)));
                }
            }
        }
        Command::BeginSend { message_id, .. } | Command::FinishSend { message_id, .. } => {
            needs.push(Need::Pending(w, *message_id));
            needs.extend(record.command.conversation_id().map(|id| Need::Conversation(w, id)));
            let pending = state.pending.get(&(w, *message_id)).flatten();
            needs.extend(pending.map(|pending| Need::Message(w, pending.conversation_id, pending.seq)));
        }
        _ => return None,
    }
    needs.retain(|need| !state.knows(need));
    Some(needs)
}

/// Loads what a partition's engine needs.
#[derive(Clone, Debug)]
pub struct Loader {
    tables: Arc<dyn Tables>,
    partition: u32,
}

impl Loader {
    /// Reads from `tables` for the engine of `partition`.
    pub fn new(tables: Arc<dyn Tables>, partition: u32) -> Self {
        Self { tables, partition }
    }

    /// Puts the answers to `needs` into `state`; rows that are not there become known as absent.
    ///
    /// # Errors
    /// As the reads of [`Tables`].
    pub async fn load(&self, state: &mut State, needs: Vec<Need>) -> Result<(), TablesError> {
        let mut single = Vec::with_capacity(needs.len());
        for need in needs {
            match need {
                Need::Workspace(id) => {
                    let workspace = self.workspace(id).await?;
                    state.workspaces.put(id, Some(workspace));
                }
                Need::Latest(workspace_id, contact_id, channel_id) => {
                    let latest = self.latest(workspace_id, contact_id, channel_id).await?;
                    state.latest.put((workspace_id, contact_id, channel_id), latest);
                }
                Need::Held(workspace_id, user_id) => {
                    let held = self.held(workspace_id, user_id).await?;
                    state.held.put((workspace_id, user_id), Some(held));
                }
                Need::Conversations(w, ids) => single.extend(ids.into_iter().map(|id| Need::Conversation(w, id))),
                single_row => single.push(single_row),
            }
        }
        if single.is_empty() {
            return Ok(());
        }
        let keys = single.iter().filter_map(|need| self.key_of(need)).collect();
        let rows = self.tables.get_many(keys).await?;
        for (need, row) in single.into_iter().zip(rows) {
            put_row(state, need, row.as_ref())?;
        }
        Ok(())
    }

    fn key_of(&self, need: &Need) -> Option<(&'static Table, Key)> {
        let key = match need {
            Need::Workspace(_) | Need::Latest(..) | Need::Held(..) | Need::Conversations(..) => return None,
            Need::Conversation(w, id) => (t::CONVERSATIONS, Key::of([(*w).into(), (*id).into()])),
            Need::Contact(w, id) => (t::CONTACTS, Key::of([(*w).into(), (*id).into()])),
            Need::Identity(w, channel, address) => {
                (t::IDENTITIES, Key::of([(*w).into(), (*channel).into(), address.as_str().into()]))
            }
            Need::External(w, channel, id) => {
                (t::EXTERNAL_MESSAGES, Key::of([(*w).into(), (*channel).into(), id.as_str().into()]))
            }
            Need::Parked(w, channel, id) => {
                (t::PARKED_REPORTS, Key::of([(*w).into(), (*channel).into(), id.as_str().into()]))
            }
            Need::Message(w, conversation, seq) => (t::MESSAGES, message_key(*w, *conversation, *seq)),
            Need::Key(w, key) => (t::COMMAND_KEYS, Key::of([(*w).into(), key.as_str().into()])),
            Need::Pending(_, id) => (t::PENDING_SENDS, PendingSend::key(self.partition, *id)),
            Need::Marks(w, user_id) => (t::NOTIFICATION_MARKS, Key::of([(*w).into()]).at([(*user_id).into()])),
        };
        Some(key)
    }

    async fn workspace(&self, id: WorkspaceId) -> Result<WorkspaceState, TablesError> {
        let mut workspace = WorkspaceState::default();
        for row in scan_all(self.tables.as_ref(), t::ENGINE_CHANNELS, vec![id.into()]).await? {
            let channel: Channel = row.body(t::ENGINE_CHANNELS)?;
            workspace.channels.insert(channel.id, channel);
        }
        let mut agents = BTreeMap::new();
        for row in scan_all(self.tables.as_ref(), t::AGENTS, vec![id.into()]).await? {
            let agent: Agent = row.body(t::AGENTS)?;
            agents.insert(agent.user_id, agent);
        }
        workspace.agents = agents;
        let mut service = Service::default();
        for row in scan_all(self.tables.as_ref(), t::ENGINE_SERVICE, vec![id.into()]).await? {
            service.put(row.body(t::ENGINE_SERVICE)?);
        }
        workspace.service = Arc::new(service);
        for row in scan_all(self.tables.as_ref(), t::ASSIGNMENT_QUEUE, vec![id.into()]).await? {
            if let [Value::Timestamp(at), Value::Uuid(bytes)] = row.key.clustering.as_slice() {
                workspace.queue.insert((*at, ConversationId::from_bytes(*bytes)));
            }
        }
        (workspace.counts, workspace.counts_unwritten) = self.counts(id, &workspace).await?;
        Ok(workspace)
    }

    /// How many conversations stand in each view, and whether no row says so yet.
    ///
    /// A workspace whose conversations are older than these counts has none: they are made up from its lists.
    async fn counts(
        &self,
        id: WorkspaceId,
        workspace: &WorkspaceState,
    ) -> Result<(BTreeMap<String, u64>, bool), TablesError> {
        let mut counts = BTreeMap::new();
        for row in scan_all(self.tables.as_ref(), t::VIEW_COUNTS, vec![id.into()]).await? {
            if let ([Value::Text(view)], Some(count)) = (row.key.clustering.as_slice(), row.int("count")) {
                counts.insert(view.clone(), count.cast_unsigned());
            }
        }
        if !counts.is_empty() {
            return Ok((counts, false));
        }
        for status in Status::ALL {
            let [all, nobodys] = views_of_all(status, None);
            let listed = self.listed(id, &all).await?;
            if status == Status::Resolved {
                // There may be very many, and only their holders count.
                let holders = workspace.agents.keys().map(|user_id| view_of(status, Some(*user_id)));
                for view in holders.chain([nobodys]) {
                    let count = self.listed(id, &view).await?.len() as u64;
                    counts.insert(view, count);
                }
                counts.insert(all, listed.len() as u64);
                continue;
            }
            for ids in listed.chunks(SCAN_PAGE_ROWS) {
                let key = |conversation_id: ConversationId| Key::of([id.into(), conversation_id.into()]);
                let keys = ids.iter().map(|conversation_id| (t::CONVERSATIONS, key(*conversation_id))).collect();
                for row in self.tables.get_many(keys).await?.iter().flatten() {
                    for view in counted_in(&row.body(t::CONVERSATIONS)?) {
                        *counts.entry(view).or_insert(0) += 1;
                    }
                }
            }
        }
        counts.retain(|_, count| *count > 0);
        let unwritten = !counts.is_empty();
        Ok((counts, unwritten))
    }

    /// The conversations of a list, latest activity first.
    async fn listed(&self, id: WorkspaceId, view: &str) -> Result<Vec<ConversationId>, TablesError> {
        let rows = scan_all(self.tables.as_ref(), t::CONVERSATION_VIEWS, vec![id.into(), view.into()]).await?;
        let ids = rows.iter().filter_map(|row| match row.key.clustering.as_slice() {
            [_, Value::Uuid(bytes)] => Some(ConversationId::from_bytes(*bytes)),
            _ => None,
        });
        Ok(ids.collect())
    }

    /// The open conversations that somebody holds, as the list of them says.
    async fn held(&self, id: WorkspaceId, user_id: UserId) -> Result<BTreeSet<ConversationId>, TablesError> {
        Ok(self.listed(id, &view_of(Status::Open, Some(user_id))).await?.into_iter().collect())
    }

    /// The newest conversation of the contact on the channel: ids are ordered by time, and the table is newest first.
    async fn latest(
        &self,
        workspace_id: WorkspaceId,
        contact_id: ContactId,
        channel_id: ChannelId,
    ) -> Result<Option<ConversationId>, TablesError> {
        let mut after: Option<Vec<Value>> = None;
        loop {
            let mut scan = Scan::of([workspace_id.into(), contact_id.into()], 50);
            if let Some(place) = after.take() {
                scan = scan.after(place);
            }
            let page = self.tables.scan(t::CONTACT_CONVERSATIONS, scan).await?;
            for row in &page {
                if row.uuid("channel_id") == Some(*channel_id.as_bytes())
                    && let [Value::Uuid(bytes)] = row.key.clustering.as_slice()
                {
                    return Ok(Some(ConversationId::from_bytes(*bytes)));
                }
            }
            match page.last() {
                Some(last) if page.len() == 50 => after = Some(last.key.clustering.clone()),
                _ => return Ok(None),
            }
        }
    }
}

/// Every row of a partition, read page by page.
pub(super) async fn scan_all(
    tables: &dyn Tables,
    table: &'static Table,
    partition: Vec<Value>,
) -> Result<Vec<Row>, TablesError> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let mut scan = Scan::of(partition.clone(), SCAN_PAGE_ROWS);
        if let Some(last) = rows.last() {
            scan = scan.after(last.key.clustering.clone());
        }
        let page = tables.scan(table, scan).await?;
        let is_last = page.len() < SCAN_PAGE_ROWS;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
}

/// The key of a message's row.
pub(super) fn message_key(workspace_id: WorkspaceId, conversation_id: ConversationId, seq: u64) -> Key {
    Key::of([workspace_id.into(), conversation_id.into(), t::message_bucket(seq).into()]).at([seq.cast_signed().into()])
}

fn put_row(state: &mut State, need: Need, row: Option<&Row>) -> Result<(), TablesError> {
    match need {
        Need::Workspace(_) | Need::Latest(..) | Need::Held(..) | Need::Conversations(..) => {}
        Need::Conversation(w, id) => {
            let stored = row.map(stored_conversation).transpose()?;
            state.conversations.put((w, id), stored);
        }
        Need::Contact(w, id) => state.contacts.put((w, id), body(t::CONTACTS, row)?),
        Need::Identity(w, channel, address) => {
            let contact = row.and_then(|row| row.uuid("contact_id")).map(ContactId::from_bytes);
            state.identities.put((w, channel, address), contact);
        }
        Need::External(w, channel, id) => {
            state.externals.put((w, channel, id), row.and_then(message_ref));
        }
        Need::Parked(w, channel, id) => state.parked.put((w, channel, id), body(t::PARKED_REPORTS, row)?),
        Need::Message(w, conversation, seq) => state.messages.put((w, conversation, seq), body(t::MESSAGES, row)?),
        Need::Key(w, key) => state.keys.put((w, key), body(t::COMMAND_KEYS, row)?),
        Need::Pending(w, id) => state.pending.put((w, id), row.map(PendingSend::from_row).transpose()?),
        Need::Marks(w, user_id) => state.marks.put((w, user_id), body(t::NOTIFICATION_MARKS, row)?),
    }
    Ok(())
}

fn body<T: serde::de::DeserializeOwned>(table: &'static Table, row: Option<&Row>) -> Result<Option<T>, TablesError> {
    row.map(|row| row.body(table)).transpose()
}

fn message_ref(row: &Row) -> Option<MessageRef> {
    let conversation_id = ConversationId::from_bytes(row.uuid("conversation_id")?);
    Some(MessageRef { conversation_id, seq: row.int("seq")?.cast_unsigned() })
}

fn stored_conversation(row: &Row) -> Result<StoredConversation, TablesError> {
    let engine = match row.get("engine") {
        Some(Value::Blob(json)) => serde_json::from_slice(json).map_err(|error| TablesError::Corrupt {
            table: t::CONVERSATIONS.name,
            reason: format!("the engine's part of row {:?} cannot be read: {error}", row.key),
        })?,
        _ => EnginePart::default(),
    };
    Ok(StoredConversation { conversation: row.body(t::CONVERSATIONS)?, engine })
}
