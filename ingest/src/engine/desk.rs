//! The rules for what people work with at the desk: several changes at once, teams, notifications.

use schemas::command::Actor;
use schemas::conversation::{ConversationChanges, PREVIEW_CHARS};
use schemas::desk::{Notification, NotificationKind, NotificationMarks};
use schemas::event::{AssignmentReason, Event, Rejection};
use schemas::{ConversationId, TeamId, UserId};

use super::changes::Found;
use super::decide::{Decider, Ruling, reject};

/// The most notifications that one command marks as read one by one.
const NUMBERS_PER_COMMAND: usize = 1_000;

impl Decider<'_> {
    /// Makes several changes, in the order of the fields. A refusal of one refuses the command, and so all of them.
    pub(super) fn change_conversation(&mut self, id: ConversationId, changes: &ConversationChanges) -> Ruling {
        self.require(id)?;
        if changes.status.is_none() && changes.snoozed_until.is_some() {
            return Err(reject(Rejection::InvalidValue, "snoozed_until: it goes with status snoozed; send both"));
        }
        if let Some(status) = changes.status {
            self.move_to(id, status, changes.snoozed_until)?;
        }
        let mut released = None;
        if let Some(assignee) = changes.assignee {
            released = self.hand_to(id, assignee)?;
        }
        if let Some(team) = changes.team {
            self.give_to_team(id, team)?;
        }
        if let Some(priority) = changes.priority {
            self.set_priority(id, priority)?;
        }
        if !changes.labels.is_empty() {
            self.change_labels(id, &changes.labels.add, &changes.labels.remove)?;
        }
        // Only now, so that what this command gives to somebody is not given to somebody else in between.
        if changes.status.is_some() || changes.assignee.is_some() {
            self.distribute_except(released)?;
        }
        Ok(())
    }

    /// Teams are settings, which the engine does not know: whoever appends the command has checked that there is this one.
    fn give_to_team(&mut self, id: ConversationId, to: Option<TeamId>) -> Ruling {
        let from = self.require(id)?.conversation.team;
        if from != to {
            self.emit_in(id, Event::ConversationTeamChanged { from, to })?;
        }
        Ok(())
    }

    /// Tells somebody that a conversation is theirs now, unless they took it themselves.
    pub(super) fn notify_of_assignment(
        &mut self,
        id: ConversationId,
        user_id: UserId,
        reason: AssignmentReason,
    ) -> Found<()> {
        let Some(stored) = self.view.conversation(id)? else { return Ok(()) };
        let last = stored.conversation.last_message.as_ref();
        let preview = last.map(|message| message.preview.clone()).unwrap_or_default();
        // An assignment by the hub is nobody's doing, whosever command made room for it.
        let by = if reason == AssignmentReason::Automatic { None } else { self.person() };
        self.notify(user_id, NotificationKind::Assigned, id, (None, preview), by)
    }

    /// Tells somebody that a note mentions them, unless it is their own.
    pub(super) fn notify_of_mention(&mut self, id: ConversationId, user_id: UserId, seq: u64, text: &str) -> Found<()> {
        let preview = text.chars().take(PREVIEW_CHARS).collect();
        let by = self.person();
        self.notify(user_id, NotificationKind::Mentioned, id, (Some(seq), preview), by)
    }

    /// The person who caused the command.
    const fn person(&self) -> Option<UserId> {
        match &self.record.actor {
            Actor::User { user_id } => Some(*user_id),
            Actor::System | Actor::Channel { .. } => None,
        }
    }

    fn notify(
        &mut self,
        user_id: UserId,
        kind: NotificationKind,
        conversation_id: ConversationId,
        (seq, preview): (Option<u64>, String),
        by: Option<UserId>,
    ) -> Found<()> {
        if by == Some(user_id) {
            return Ok(());
        }
        let Some(stored) = self.view.conversation(conversation_id)? else { return Ok(()) };
        let contact_name = stored.conversation.contact_name.clone();
        let mut marks = self.view.marks(user_id)?.cloned().unwrap_or_default();
        marks.add();
        let notification =
            Notification { number: marks.last, kind, conversation_id, seq, contact_name, preview, by, at: self.at() };
        self.emit(Event::NotificationAdded { user_id, notification, unread: marks.unread() })
    }

    pub(super) fn read_notifications(&mut self, user_id: UserId, up_to: Option<u64>, numbers: &[u64]) -> Ruling {
        if numbers.len() > NUMBERS_PER_COMMAND {
            let reason = format!("numbers: at most {NUMBERS_PER_COMMAND} at once; use up_to for more");
            return Err(reject(Rejection::InvalidValue, reason));
        }
        let known = self.view.marks(user_id)?.cloned().unwrap_or_default();
        let mut marks = known.clone();
        marks.mark(up_to, numbers);
        if marks != known {
            let unread = marks.unread();
            let NotificationMarks { read_up_to, read, .. } = marks;
            self.emit(Event::NotificationsRead { user_id, read_up_to, read, unread })?;
        }
        Ok(())
    }
}
