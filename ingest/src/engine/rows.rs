//! From changes to rows: what a batch writes.

use schemas::conversation::{Conversation, Status};
use schemas::desk::NOTIFICATIONS_KEPT;
use schemas::tables::{self as t, Table};
use schemas::{Timestamp, UserId, WorkspaceId};
use serde::Serialize;
use storage::background::give_way;
use storage::tables::{Batch, Derivation, Key, Row, TablesError};

use super::changes::{ChangedConversation, Changes};
use super::load::message_key;
use crate::outbound::pending::PendingSend;

/// The lists in which a conversation stands: all of its status, those of its status and holder, and the further ones.
fn views(conversation: &Conversation) -> Vec<String> {
    let mut views = Vec::from(views_of_all(conversation.status, conversation.assignee));
    views.extend(further_views(conversation));
    views
}

/// The two lists in which every conversation of a status stands, if this one holds it.
pub(super) fn views_of_all(status: Status, holder: Option<UserId>) -> [String; 2] {
    [format!("{}/all", status.as_str()), view_of(status, holder)]
}

/// The lists in which a conversation stands because of its team and of those who were mentioned in it.
pub(super) fn further_views(conversation: &Conversation) -> impl Iterator<Item = String> {
    let status = conversation.status.as_str();
    let mentioned = conversation.participants.iter().map(move |user_id| format!("{status}/mentioned:{user_id}"));
    conversation.team.iter().map(move |team| format!("{status}/team:{team}")).chain(mentioned)
}

/// The list of the conversations of a status that one person holds, or nobody.
pub(super) fn view_of(status: Status, holder: Option<UserId>) -> String {
    let holder = holder.map_or_else(|| "none".to_owned(), |user_id| user_id.to_string());
    format!("{}/{holder}", status.as_str())
}

/// Hours since the Unix epoch.
pub(super) const fn hour_of(at: Timestamp) -> i64 {
    at.unix_seconds().div_euclid(3_600)
}

fn view_key(workspace_id: WorkspaceId, view: String, conversation: &Conversation) -> Key {
    Key::of([workspace_id.into(), view.into()]).at([conversation.last_activity_at.into(), conversation.id.into()])
}

impl Changes {
    /// How many entities changed: bounds a batch.
    pub(super) fn len(&self) -> usize {
        self.conversations.len()
            + self.messages.len()
            + self.contacts.len()
            + self.agents.len()
            + self.queue.len()
            + self.notifications.len()
    }

    /// The mutations that make the tables show these changes.
    pub(super) fn to_rows(&self, derivation: Derivation) -> Result<Batch, TablesError> {
        let partition = derivation.partition;
        let mut batch = Batch::derived(derivation);
        for ((workspace_id, _), changed) in &self.conversations {
            give_way();
            put_conversation(&mut batch, *workspace_id, changed)?;
        }
        for ((w, conversation_id, seq), message) in &self.messages {
            batch.put(t::MESSAGES, Row::new(message_key(*w, *conversation_id, *seq)).with_body(message)?);
        }
        self.put_contacts(&mut batch)?;
        for ((w, channel, external_id), reference) in &self.externals {
            let key = Key::of([(*w).into(), (*channel).into(), external_id.as_str().into()]);
            let row = Row::new(key)
                .with("conversation_id", reference.conversation_id)
                .with("seq", reference.seq.cast_signed());
            batch.put(t::EXTERNAL_MESSAGES, row);
        }
        for ((w, channel, external_id), report) in &self.parked {
            let key = Key::of([(*w).into(), (*channel).into(), external_id.as_str().into()]);
            put_or_delete(&mut batch, t::PARKED_REPORTS, key, report.as_ref())?;
        }
        for ((w, key), record) in &self.keys {
            let by_hour = Key::of([partition.into(), hour_of(record.at).into()]).at([(*w).into(), key.as_str().into()]);
            batch.put(t::COMMAND_KEY_HOURS, Row::new(by_hour));
            let key = Key::of([(*w).into(), key.as_str().into()]);
            put_or_delete(&mut batch, t::COMMAND_KEYS, key, Some(record))?;
        }
        for ((_, id), pending) in &self.pending {
            put_or_delete(&mut batch, t::PENDING_SENDS, PendingSend::key(partition, *id), pending.as_ref())?;
        }
        for ((w, id), agent) in &self.agents {
            put_or_delete(&mut batch, t::AGENTS, Key::of([(*w).into()]).at([(*id).into()]), Some(agent))?;
        }
        for ((w, id), channel) in &self.channels {
            put_or_delete(&mut batch, t::ENGINE_CHANNELS, Key::of([(*w).into()]).at([(*id).into()]), Some(channel))?;
        }
        for (w, service) in &self.service {
            for (kind, setting) in service.settings() {
                let key = Key::of([(*w).into()]).at([kind.into()]);
                put_or_delete(&mut batch, t::ENGINE_SERVICE, key, Some(setting))?;
            }
        }
        self.put_desk(&mut batch)?;
        self.put_indexes(&mut batch, partition);
        Ok(batch)
    }

    fn put_desk(&self, batch: &mut Batch) -> Result<(), TablesError> {
        for ((w, view), count) in &self.counts {
            let key = Key::of([(*w).into()]).at([view.as_str().into()]);
            if *count == 0 {
                batch.delete(t::VIEW_COUNTS, key);
            } else {
                batch.put(t::VIEW_COUNTS, Row::new(key).with("count", count.cast_signed()));
            }
        }
        for ((w, user_id), marks) in &self.marks {
            let key = Key::of([(*w).into()]).at([(*user_id).into()]);
            put_or_delete(batch, t::NOTIFICATION_MARKS, key, Some(marks))?;
        }
        for ((w, user_id, number), notification) in &self.notifications {
            let key = |number: u64| Key::of([(*w).into(), (*user_id).into()]).at([number.cast_signed().into()]);
            put_or_delete(batch, t::NOTIFICATIONS, key(*number), Some(notification))?;
            if let Some(oldest) = number.checked_sub(NOTIFICATIONS_KEPT).filter(|oldest| *oldest > 0) {
                batch.delete(t::NOTIFICATIONS, key(oldest));
            }
        }
        Ok(())
    }

    fn put_contacts(&self, batch: &mut Batch) -> Result<(), TablesError> {
        for ((w, id), contact) in &self.contacts {
            batch.put(t::CONTACTS, Row::new(Key::of([(*w).into(), (*id).into()])).with_body(contact)?);
            if self.new_contacts.contains(&(*w, *id)) {
                let month = t::month_bucket(contact.created_at);
                let key = Key::of([(*w).into(), month.into()]).at([(*id).into()]);
                batch.put(t::CONTACT_LIST, Row::new(key));
            }
        }
        for ((w, channel, address), contact_id) in &self.identities {
            let key = Key::of([(*w).into(), (*channel).into(), address.as_str().into()]);
            batch.put(t::IDENTITIES, Row::new(key).with("contact_id", *contact_id));
        }
        Ok(())
    }

    fn put_indexes(&self, batch: &mut Batch, partition: u32) {
        for ((w, queued_at, id), queued) in &self.queue {
            let key = Key::of([(*w).into()]).at([(*queued_at).into(), (*id).into()]);
            if *queued {
                batch.put(t::ASSIGNMENT_QUEUE, Row::new(key));
            } else {
                batch.delete(t::ASSIGNMENT_QUEUE, key);
            }
        }
        for ((w, (due, id, timer)), set) in &self.timers {
            let key = Key::of([partition.into()]).at([(*due).into(), (*id).into(), timer.as_str().into()]);
            if *set {
                batch.put(t::TIMERS, Row::new(key).with("workspace_id", *w));
            } else {
                batch.delete(t::TIMERS, key);
            }
        }
    }
}

fn put_or_delete(
    batch: &mut Batch,
    table: &'static Table,
    key: Key,
    entity: Option<&impl Serialize>,
) -> Result<(), TablesError> {
    match entity {
        Some(entity) => batch.put(table, Row::new(key).with_body(entity)?),
        None => batch.delete(table, key),
    }
    Ok(())
}

fn put_conversation(
    batch: &mut Batch,
    workspace_id: WorkspaceId,
    changed: &ChangedConversation,
) -> Result<(), TablesError> {
    let after = &changed.after.conversation;
    let engine = serde_json::to_vec(&changed.after.engine).map_err(|error| TablesError::Invalid {
        reason: format!("the engine's part of a conversation cannot be written as JSON: {error}"),
    })?;
    let key = Key::of([workspace_id.into(), after.id.into()]);
    batch.put(t::CONVERSATIONS, Row::new(key).with_body(after)?.with("engine", engine));
    let place = |conversation: &Conversation| -> (Timestamp, Vec<String>) {
        (conversation.last_activity_at, views(conversation))
    };
    let before = changed.before.as_ref().map(|before| before.conversation.as_ref());
    if before.map(place) != Some(place(after)) {
        if let Some(before) = before {
            for view in views(before) {
                batch.delete(t::CONVERSATION_VIEWS, view_key(workspace_id, view, before));
            }
        }
        for view in views(after) {
            batch.put(t::CONVERSATION_VIEWS, Row::new(view_key(workspace_id, view, after)));
        }
    }
    if before.is_none() {
        let key = Key::of([workspace_id.into(), after.contact_id.into()]).at([after.id.into()]);
        batch.put(t::CONTACT_CONVERSATIONS, Row::new(key).with("channel_id", after.channel_id));
    }
    Ok(())
}
