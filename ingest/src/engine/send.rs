//! The rules for what goes to contacts.

use schemas::channel::{Channel, Provider};
use schemas::command::SendOutcome;
use schemas::contact::{Contact, Identity};
use schemas::conversation::Status;
use schemas::event::{Event, Rejection, StatusReason};
use schemas::message::{Author, Body, DeliveryError, DeliveryStatus, Direction};
use schemas::{ChannelId, ConversationId, MessageId};

use super::decide::{Decider, Ruling, Stop, check_text, reject};
use crate::outbound::pending::PendingSend;

/// The most files of one message (Twilio's limit for MMS; WhatsApp takes one).
const ATTACHMENTS_PER_MESSAGE: usize = 10;

impl Decider<'_> {
    pub(super) fn send_message(&mut self, id: ConversationId, author: &Author, body: &Body) -> Ruling {
        let conversation = self.require(id)?.conversation.clone();
        let channel = self.require_channel(conversation.channel_id)?;
        let contact = self.view.contact(conversation.contact_id)?.cloned();
        check_sendable(&channel, contact.as_ref(), body)?;
        if !conversation.reply_window_is_open(channel.medium.reply_window_hours(), self.at()) {
            return Err(window_closed(&channel));
        }
        if conversation.status == Status::Pending && author.is_human_agent() {
            self.change_status(id, Status::Open, StatusReason::AgentAnswered, None)?;
        }
        self.queue_message(id, &channel, author, body)
    }

    pub(super) fn start_conversation(&mut self, to: &Identity, author: &Author, body: &Body) -> Ruling {
        let channel = self.require_channel(to.channel_id)?;
        check_text("to.address", &to.address, 320)?;
        let known = match self.view.identity(to.channel_id, &to.address)?.copied() {
            Some(id) => self.view.contact(id)?.cloned(),
            None => None,
        };
        check_sendable(&channel, known.as_ref(), body)?;
        if let Some(hours) = channel.medium.reply_window_hours() {
            let open = match &known {
                Some(contact) => match self.view.latest(contact.id, channel.id)?.copied() {
                    Some(id) => self
                        .view
                        .conversation(id)?
                        .is_some_and(|stored| stored.conversation.reply_window_is_open(Some(hours), self.at())),
                    None => false,
                },
                None => false,
            };
            if !open {
                return Err(window_closed(&channel));
            }
        }
        let contact = match known {
            Some(contact) => contact,
            None => self.create_contact_for(to)?,
        };
        let assignee = match author {
            Author::Agent { user_id } => Some(*user_id),
            Author::Contact { .. } | Author::Bot { .. } => None,
        };
        let id = self.find_or_create_conversation(&channel, &contact, Direction::Outbound, assignee)?;
        if self.require(id)?.conversation.status == Status::Resolved {
            self.change_status(id, Status::Open, StatusReason::Asked, None)?;
        }
        self.queue_message(id, &channel, author, body)
    }

    fn create_contact_for(&mut self, to: &Identity) -> Result<Contact, Stop> {
        let contact = Contact {
            id: self.new_contact_id(),
            name: None,
            name_is_set: false,
            phone: to.address.starts_with('+').then(|| to.address.clone()),
            email: None,
            identities: vec![to.clone()],
            opted_out: Vec::new(),
            blocked: false,
            created_at: self.at(),
        };
        self.emit(Event::ContactCreated { contact: contact.clone() })?;
        Ok(contact)
    }

    fn queue_message(&mut self, id: ConversationId, channel: &Channel, author: &Author, body: &Body) -> Ruling {
        let mut message = self.new_message(id, Direction::Outbound, author.clone(), body.clone())?;
        if channel.provider == Provider::WebChat {
            // The visitor's socket reads events: publishing the message is sending it.
            message.status = Some(DeliveryStatus::Sent);
            message.external_id = Some(message.id.to_string());
        } else {
            message.status = Some(DeliveryStatus::Queued);
        }
        self.add_message(message)
    }

    pub(super) fn retry_message(&mut self, id: ConversationId, seq: u64) -> Ruling {
        let conversation = self.require(id)?.conversation.clone();
        let Some(message) = self.view.message(id, seq)?.cloned() else {
            let reason = format!("seq: conversation {id} has no message {seq}");
            return Err(reject(Rejection::NotFound, reason));
        };
        if message.status != Some(DeliveryStatus::Failed) {
            let reason = "seq: only a message that failed can be sent again";
            return Err(reject(Rejection::InvalidTransition, reason));
        }
        let channel = self.require_channel(conversation.channel_id)?;
        let contact = self.view.contact(conversation.contact_id)?.cloned();
        check_sendable(&channel, contact.as_ref(), &message.body)?;
        if !conversation.reply_window_is_open(channel.medium.reply_window_hours(), self.at()) {
            return Err(window_closed(&channel));
        }
        self.made.message_id = Some(message.id);
        self.made.seq = Some(seq);
        let event = Event::MessageStatusChanged {
            message_id: message.id,
            seq,
            from: DeliveryStatus::Failed,
            to: DeliveryStatus::Queued,
            error: None,
            external_id: None,
        };
        Ok(self.emit_in(id, event)?)
    }

    pub(super) fn begin_send(&mut self, message_id: MessageId, attempt: u32) -> Ruling {
        let Some(pending) = self.view.pending(message_id)?.cloned() else {
            return Ok(());
        };
        if attempt != pending.attempt + 1 {
            return Ok(());
        }
        let event = Event::MessageSendBegun { message_id, seq: pending.seq, attempt };
        Ok(self.emit_in(pending.conversation_id, event)?)
    }

    pub(super) fn finish_send(&mut self, message_id: MessageId, attempt: u32, outcome: &SendOutcome) -> Ruling {
        let Some(pending) = self.view.pending(message_id)?.cloned() else {
            return Ok(());
        };
        if attempt != pending.attempt || !(pending.in_flight || pending.ambiguous) {
            return Ok(());
        }
        match outcome {
            SendOutcome::Accepted { external_id, status } => self.send_accepted(&pending, external_id, *status),
            SendOutcome::Deferred { error, next_attempt_at } | SendOutcome::Ambiguous { error, next_attempt_at } => {
                let event = Event::MessageSendDeferred {
                    message_id,
                    seq: pending.seq,
                    attempt,
                    error: error.clone(),
                    ambiguous: matches!(outcome, SendOutcome::Ambiguous { .. }),
                    next_attempt_at: *next_attempt_at,
                };
                Ok(self.emit_in(pending.conversation_id, event)?)
            }
            SendOutcome::Failed { error, opted_out } => {
                if *opted_out {
                    self.opt_out(pending.conversation_id, pending.channel_id)?;
                }
                self.change_delivery(&pending, DeliveryStatus::Failed, Some(error.clone()), None)
            }
        }
    }

    fn send_accepted(&mut self, pending: &PendingSend, external_id: &str, status: DeliveryStatus) -> Ruling {
        let parked = self.view.parked(pending.channel_id, external_id)?.cloned();
        // What the provider calls queued is sent, as far as we are concerned: it is theirs now.
        let to = if status == DeliveryStatus::Queued { DeliveryStatus::Sent } else { status };
        self.change_delivery(pending, to, None, Some(external_id.to_owned()))?;
        if let Some(report) = parked {
            self.record_delivery(pending.channel_id, &report)?;
        }
        Ok(())
    }

    fn change_delivery(
        &mut self,
        pending: &PendingSend,
        to: DeliveryStatus,
        error: Option<DeliveryError>,
        external_id: Option<String>,
    ) -> Ruling {
        let event = Event::MessageStatusChanged {
            message_id: pending.message_id,
            seq: pending.seq,
            from: DeliveryStatus::Queued,
            to,
            error,
            external_id,
        };
        Ok(self.emit_in(pending.conversation_id, event)?)
    }

    /// The contact of a conversation wants no more messages on its channel.
    pub(super) fn opt_out(&mut self, conversation_id: ConversationId, channel_id: ChannelId) -> Ruling {
        let contact_id = self.require(conversation_id)?.conversation.contact_id;
        let Some(known) = self.view.contact(contact_id)? else {
            return Ok(());
        };
        if known.opted_out.contains(&channel_id) {
            return Ok(());
        }
        let mut contact = known.clone();
        contact.opted_out.push(channel_id);
        Ok(self.emit(Event::ContactUpdated { contact })?)
    }
}

/// Refuses what cannot be sent on the channel, to this contact, at all.
pub(super) fn check_sendable(channel: &Channel, contact: Option<&Contact>, body: &Body) -> Ruling {
    if !channel.active {
        let reason = format!("channel: {:?} is switched off; switch it on in the settings first", channel.name);
        return Err(reject(Rejection::ChannelInactive, reason));
    }
    if let Some(contact) = contact {
        if contact.blocked {
            let reason = "contact: they are blocked; unblock them first";
            return Err(reject(Rejection::ContactOptedOut, reason));
        }
        if contact.opted_out.contains(&channel.id) {
            let reason = "contact: they have asked for no more messages on this channel (STOP)";
            return Err(reject(Rejection::ContactOptedOut, reason));
        }
    }
    if body.text.is_empty() && body.attachments.is_empty() {
        return Err(reject(Rejection::InvalidValue, "body: it needs a text or an attachment"));
    }
    if !body.text.is_empty() {
        check_text("body.text", &body.text, channel.medium.text_limit_chars())?;
    }
    if body.attachments.len() > ATTACHMENTS_PER_MESSAGE {
        let reason = format!("body.attachments: at most {ATTACHMENTS_PER_MESSAGE} are allowed");
        return Err(reject(Rejection::InvalidValue, reason));
    }
    Ok(())
}

fn window_closed(channel: &Channel) -> Stop {
    let hours = channel.medium.reply_window_hours().unwrap_or_default();
    reject(
        Rejection::ReplyWindowClosed,
        format!(
            "body: {} takes free text only within {hours} hours after the contact's last message",
            channel.medium.as_str()
        ),
    )
}
