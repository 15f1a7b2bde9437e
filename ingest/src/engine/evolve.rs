//! From an event to the state: the only place where state changes.
//!
//! [`conversation`] changes the conversation that an event is about; [`entities`] whatever else it is about;
//! [`indexes`] follows with what is derived from a conversation: the assignment queue, timers, the counts of agents and views.

use std::sync::Arc;

use schemas::channel::{AssignmentPolicy, Channel};
use schemas::command::{Actor, TimerKind};
use schemas::contact::Contact;
use schemas::conversation::{Conversation, LastMessage, PREVIEW_CHARS, Status};
use schemas::desk::NotificationMarks;
use schemas::event::{AssignmentReason, Event, Outcome};
use schemas::message::{Author, DeliveryStatus, Direction, Message};
use schemas::{CommandId, ConversationId, Timestamp, UserId};

use super::changes::{ChangedConversation, Found, View};
use super::decide::scoped_key;
use super::state::{KeyRecord, MessageRef, RECENT_INBOUND, StoredConversation};
use super::{counts, service, sla};
use crate::outbound::pending::PendingSend;

/// How many people's reading is kept with a conversation; beyond, those who read least are forgotten.
const READERS_PER_CONVERSATION: usize = 200;

/// How many of the contact's messages somebody has seen who has seen all up to `seq`.
pub(super) fn seen_up_to(stored: &StoredConversation, seq: u64) -> u64 {
    let later = stored.engine.recent_inbound.iter().filter(|inbound| **inbound > seq).count();
    stored.conversation.inbound_count.saturating_sub(later as u64)
}

/// The conversation after an event about it.
pub(super) fn conversation(stored: &mut StoredConversation, channel: Option<&Channel>, event: &Event, at: Timestamp) {
    match event {
        Event::MessageAdded { message } => added(stored, channel, message, at),
        Event::ConversationStatusChanged { from, to, snoozed_until, .. } => {
            let conversation = Arc::make_mut(&mut stored.conversation);
            conversation.status = *to;
            conversation.snoozed_until = *snoozed_until;
            conversation.resolved_at = (*to == Status::Resolved).then_some(at);
            if *to == Status::Resolved {
                conversation.waiting_since = None;
            }
            if *from == Status::Resolved {
                conversation.opened_at = at;
                stored.engine.unanswered_since = stored.engine.unanswered_since.map(|_| at);
            }
        }
        Event::ConversationAssigned { to, .. } => Arc::make_mut(&mut stored.conversation).assignee = *to,
        Event::ConversationTeamChanged { to, .. } => Arc::make_mut(&mut stored.conversation).team = *to,
        Event::ConversationPriorityChanged { to, .. } => Arc::make_mut(&mut stored.conversation).priority = *to,
        Event::ConversationLabelsChanged { added, removed } => {
            let labels = &mut Arc::make_mut(&mut stored.conversation).labels;
            labels.retain(|label| !removed.contains(label));
            labels.extend(added.iter().cloned());
        }
        Event::ConversationRead { user_id, seq } => {
            let seen = seen_up_to(stored, *seq);
            note_read(Arc::make_mut(&mut stored.conversation), *user_id, seen);
        }
        _ => {}
    }
}

fn added(stored: &mut StoredConversation, channel: Option<&Channel>, message: &Message, at: Timestamp) {
    let conversation = Arc::make_mut(&mut stored.conversation);
    conversation.last_seq = message.seq;
    conversation.last_activity_at = conversation.last_activity_at.max(at);
    conversation.last_message = Some(LastMessage {
        seq: message.seq,
        direction: message.direction,
        author: message.author.clone(),
        preview: message.body.text.chars().take(PREVIEW_CHARS).collect(),
        at,
    });
    match message.direction {
        Direction::Inbound => {
            conversation.inbound_count += 1;
            conversation.sentiment = message.sentiment.map(|found| found.label).or(conversation.sentiment);
            stored.engine.recent_inbound.push(message.seq);
            let excess = stored.engine.recent_inbound.len().saturating_sub(RECENT_INBOUND);
            stored.engine.recent_inbound.drain(..excess);
            // A blocked contact's conversation stays resolved, and nobody owes them an answer.
            if conversation.status != Status::Resolved {
                conversation.waiting_since.get_or_insert(at);
            }
            if let Some(hours) = channel.and_then(|channel| channel.medium.reply_window_hours()) {
                let until = at.after(std::time::Duration::from_hours(u64::from(hours)));
                conversation.reply_window_until = conversation.reply_window_until.max(Some(until));
            }
        }
        Direction::Outbound => {
            if let Author::Agent { user_id } = &message.author {
                stored.engine.unanswered_since = None;
                conversation.waiting_since = None;
                if conversation.inbound_count > 0 {
                    conversation.first_reply_at.get_or_insert(at);
                }
                // Who answers has read.
                let (user_id, seen) = (*user_id, conversation.inbound_count);
                note_read(conversation, user_id, seen);
            }
        }
        Direction::Note => conversation.participants.extend(message.mentions.iter().copied()),
    }
}

fn note_read(conversation: &mut Conversation, user_id: UserId, seen: u64) {
    let known = conversation.reads.entry(user_id).or_insert(0);
    *known = seen.max(*known);
    if conversation.reads.len() > READERS_PER_CONVERSATION {
        let least = conversation.reads.iter().filter(|(id, _)| **id != user_id).min_by_key(|(id, seen)| (**seen, **id));
        if let Some(id) = least.map(|(id, _)| *id) {
            conversation.reads.remove(&id);
        }
    }
}

/// Whatever else an event changes. `conversation` is the one that it is about, as it is after it.
pub(super) fn entities(
    view: &mut View<'_>,
    actor: &Actor,
    at: Timestamp,
    command_id: CommandId,
    conversation: Option<&Conversation>,
    event: &Event,
) -> Found<()> {
    let workspace_id = view.workspace_id;
    match event {
        Event::ContactCreated { contact } => {
            view.changes.new_contacts.insert((workspace_id, contact.id));
            put_contact(view, contact);
        }
        Event::ContactUpdated { contact } => put_contact(view, contact),
        Event::MessageAdded { message } => {
            if let Some(conversation) = conversation {
                put_new_message(view, conversation, message);
            }
        }
        Event::MessageStatusChanged { .. } | Event::MessageSendBegun { .. } | Event::MessageSendDeferred { .. } => {
            if let Some(conversation) = conversation {
                delivery(view, conversation, event)?;
            }
        }
        Event::DeliveryParked { channel_id, report } => {
            let key = (workspace_id, *channel_id, report.external_id.clone());
            view.changes.parked.insert(key, Some(report.clone()));
        }
        Event::ChannelConfigured { channel } => {
            view.changes.channels.insert((workspace_id, channel.id), channel.clone());
        }
        Event::AgentConfigured { agent } => {
            view.changes.agents.insert((workspace_id, agent.user_id), agent.clone());
        }
        Event::ServiceConfigured { setting, version } => {
            let changed = service::with(view.service()?, setting, *version);
            view.changes.service.insert(workspace_id, changed);
        }
        Event::AgentPresenceChanged { user_id, availability, connected, gateways } => {
            if let Some(mut agent) = view.agent(*user_id)?.cloned() {
                agent.availability = *availability;
                agent.connected = *connected;
                agent.gateways.clone_from(gateways);
                view.changes.agents.insert((workspace_id, *user_id), agent);
            }
        }
        Event::ConversationAssigned { to: Some(to), reason: AssignmentReason::Automatic, .. } => {
            let last = view.agents()?.map(|agent| agent.last_assigned).max().unwrap_or(0);
            if let Some(mut agent) = view.agent(*to)?.cloned() {
                agent.last_assigned = last + 1;
                view.changes.agents.insert((workspace_id, *to), agent);
            }
        }
        Event::NotificationAdded { .. } | Event::NotificationsRead { .. } => notified(view, event)?,
        Event::CommandSettled {
            key: Some(key),
            fingerprint,
            outcome: Outcome::Applied,
            conversation_id,
            message_id,
            seq,
        } => {
            let record = KeyRecord {
                command_id,
                at,
                fingerprint: fingerprint.clone(),
                conversation_id: *conversation_id,
                message_id: *message_id,
                seq: *seq,
            };
            view.changes.keys.insert((workspace_id, scoped_key(actor, key)), record);
        }
        _ => {}
    }
    Ok(())
}

/// Somebody is told of something, or has read of it.
fn notified(view: &mut View<'_>, event: &Event) -> Found<()> {
    let workspace_id = view.workspace_id;
    match event {
        Event::NotificationAdded { user_id, notification, .. } => {
            let mut marks = view.marks(*user_id)?.cloned().unwrap_or_default();
            marks.add();
            view.changes.marks.insert((workspace_id, *user_id), marks);
            view.changes.notifications.insert((workspace_id, *user_id, notification.number), notification.clone());
        }
        Event::NotificationsRead { user_id, read_up_to, read, .. } => {
            let last = view.marks(*user_id)?.map_or(0, |marks| marks.last);
            let marks = NotificationMarks { last, read_up_to: *read_up_to, read: read.clone() };
            view.changes.marks.insert((workspace_id, *user_id), marks);
        }
        _ => {}
    }
    Ok(())
}

fn put_contact(view: &mut View<'_>, contact: &Contact) {
    let workspace_id = view.workspace_id;
    for identity in &contact.identities {
        view.changes.identities.insert((workspace_id, identity.channel_id, identity.address.clone()), contact.id);
    }
    view.changes.contacts.insert((workspace_id, contact.id), contact.clone());
}

fn put_new_message(view: &mut View<'_>, conversation: &Conversation, message: &Arc<Message>) {
    let workspace_id = view.workspace_id;
    if let Some(external_id) = &message.external_id {
        let reference = MessageRef { conversation_id: conversation.id, seq: message.seq };
        view.changes.externals.insert((workspace_id, conversation.channel_id, external_id.clone()), reference);
    }
    if message.status == Some(DeliveryStatus::Queued) {
        let pending = pending_send(view, conversation, message);
        view.changes.pending.insert((workspace_id, message.id), Some(pending));
    }
    view.changes.messages.insert((workspace_id, conversation.id, message.seq), Arc::clone(message));
}

fn pending_send(view: &View<'_>, conversation: &Conversation, message: &Message) -> PendingSend {
    PendingSend {
        workspace_id: view.workspace_id,
        conversation_id: conversation.id,
        channel_id: conversation.channel_id,
        message_id: message.id,
        seq: message.seq,
        to: conversation.contact_address.clone(),
        body: message.body.clone(),
        queued_at: message.created_at,
        attempt: message.attempts,
        in_flight: false,
        ambiguous: false,
        next_attempt_at: None,
    }
}

/// An event about the way of an outbound message to its provider and contact.
fn delivery(view: &mut View<'_>, conversation: &Conversation, event: &Event) -> Found<()> {
    let workspace_id = view.workspace_id;
    let (message_id, seq) = match event {
        Event::MessageStatusChanged { message_id, seq, .. }
        | Event::MessageSendBegun { message_id, seq, .. }
        | Event::MessageSendDeferred { message_id, seq, .. } => (*message_id, *seq),
        _ => return Ok(()),
    };
    let Some(mut message) = view.message(conversation.id, seq)?.map(|message| Message::clone(message)) else {
        return Ok(());
    };
    let mut pending = view.pending(message_id)?.cloned();
    match event {
        Event::MessageStatusChanged { from, to, error, external_id, .. } => {
            message.status = Some(*to);
            message.error.clone_from(error);
            match to {
                DeliveryStatus::Queued => {
                    // What the provider reports on the sending before no longer speaks for the message.
                    message.external_id = None;
                    message.resends = if *from == DeliveryStatus::Failed { 0 } else { message.resends + 1 };
                }
                DeliveryStatus::Delivered | DeliveryStatus::Read => message.resends = 0,
                DeliveryStatus::Sent | DeliveryStatus::Failed => {}
            }
            if let Some(external_id) = external_id {
                let key = (workspace_id, conversation.channel_id, external_id.clone());
                let reference = MessageRef { conversation_id: conversation.id, seq };
                view.changes.externals.insert(key.clone(), reference);
                view.changes.parked.insert(key, None);
                message.external_id = Some(external_id.clone());
            }
            pending = (*to == DeliveryStatus::Queued).then(|| pending_send(view, conversation, &message));
        }
        Event::MessageSendBegun { attempt, .. } => {
            message.attempts = *attempt;
            if let Some(pending) = &mut pending {
                pending.attempt = *attempt;
                pending.in_flight = true;
                pending.ambiguous = false;
                pending.next_attempt_at = None;
            }
        }
        Event::MessageSendDeferred { error, ambiguous, next_attempt_at, .. } => {
            message.error = Some(error.clone());
            if let Some(pending) = &mut pending {
                pending.in_flight = false;
                pending.ambiguous = *ambiguous;
                pending.next_attempt_at = Some(*next_attempt_at);
            }
        }
        _ => {}
    }
    view.changes.pending.insert((workspace_id, message_id), pending);
    view.changes.messages.insert((workspace_id, conversation.id, seq), Arc::new(message));
    Ok(())
}

/// What is derived from a conversation: its place in the assignment queue, its timer, its assignee's count.
pub(super) fn indexes(
    view: &mut View<'_>,
    before: Option<&StoredConversation>,
    after: &mut StoredConversation,
) -> Found<()> {
    let workspace_id = view.workspace_id;
    let policy = view.channel(after.conversation.channel_id)?.map_or(AssignmentPolicy::Manual, |c| c.assignment);
    let waits = after.conversation.status == Status::Open
        && after.conversation.assignee.is_none()
        && policy != AssignmentPolicy::Manual;
    let queued_at = before.and_then(|before| before.engine.queued_at);
    let due = after.conversation.waiting_since.unwrap_or(after.conversation.opened_at);
    after.engine.queued_at = waits.then(|| queued_at.unwrap_or(due));
    let id = after.conversation.id;
    if queued_at != after.engine.queued_at {
        if let Some(at) = queued_at {
            view.changes.queue.insert((workspace_id, at, id), false);
        }
        if let Some(at) = after.engine.queued_at {
            view.changes.queue.insert((workspace_id, at, id), true);
        }
    }
    for kind in [TimerKind::SnoozeEnds, TimerKind::Sla] {
        let (old, new) = (before.and_then(|before| timer(before, kind)), timer(after, kind));
        if old != new {
            let cleared = old.map(|due| (due, false));
            for (due, is_set) in cleared.into_iter().chain(new.map(|due| (due, true))) {
                view.changes.timers.insert((workspace_id, (due, id, kind)), is_set);
            }
        }
    }
    counts::follow(view, before.map(|before| before.conversation.as_ref()), &after.conversation)?;
    count_open(view, before, after)
}

/// For when a conversation's timer of this kind is set.
fn timer(stored: &StoredConversation, kind: TimerKind) -> Option<Timestamp> {
    match kind {
        TimerKind::SnoozeEnds => stored.conversation.snoozed_until,
        TimerKind::Sla => sla::next_instant(&stored.conversation),
        TimerKind::HolderLeft => None,
    }
}

/// Who holds a conversation that is open.
pub(super) fn holder(stored: &StoredConversation) -> Option<UserId> {
    stored.conversation.assignee.filter(|_| stored.conversation.status == Status::Open)
}

fn count_open(view: &mut View<'_>, before: Option<&StoredConversation>, after: &StoredConversation) -> Found<()> {
    let (old, new) = (before.and_then(holder), holder(after));
    if old == new {
        return Ok(());
    }
    for (user_id, gains) in old.map(|id| (id, false)).into_iter().chain(new.map(|id| (id, true))) {
        if let Some(mut agent) = view.agent(user_id)?.cloned() {
            let count = agent.open_conversations;
            agent.open_conversations = if gains { count.saturating_add(1) } else { count.saturating_sub(1) };
            view.changes.agents.insert((view.workspace_id, user_id), agent);
        }
    }
    Ok(())
}

/// Takes a conversation out of the assignment queue, because its channel is assigned by hand now.
pub(super) fn leave_queue(view: &mut View<'_>, id: ConversationId) -> Found<()> {
    let Some(before) = view.conversation(id)?.cloned() else {
        return Ok(());
    };
    if let Some(at) = before.engine.queued_at {
        view.changes.queue.insert((view.workspace_id, at, id), false);
    }
    let mut after = before.clone();
    after.engine.queued_at = None;
    store(view, Some(before), after);
    Ok(())
}

/// Keeps a conversation as it is now, and as it was before the command.
pub(super) fn store(view: &mut View<'_>, before: Option<StoredConversation>, after: StoredConversation) {
    let key = (view.workspace_id, after.conversation.id);
    if before.is_none() {
        let conversation = &after.conversation;
        view.changes
            .latest
            .insert((view.workspace_id, conversation.contact_id, conversation.channel_id), conversation.id);
    }
    match view.changes.conversations.entry(key) {
        std::collections::btree_map::Entry::Occupied(mut changed) => changed.get_mut().after = after,
        std::collections::btree_map::Entry::Vacant(vacant) => {
            vacant.insert(ChangedConversation { before, after });
        }
    }
}
