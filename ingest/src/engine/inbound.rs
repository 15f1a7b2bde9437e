//! The rules for what comes from contacts.

use std::sync::Arc;
use std::time::Duration;

use schemas::channel::Channel;
use schemas::command::InboundMessage;
use schemas::contact::{Contact, Identity};
use schemas::conversation::{Conversation, Priority, Status};
use schemas::event::{Event, Rejection, StatusReason};
use schemas::message::{Author, Direction, MessageSentiment, SentimentLabel};
use schemas::{ChannelId, ContactId, ConversationId, UserId};
use sentiment::{Label, Model};

use super::decide::{Decider, Ruling, Stop, reject};
use super::state::{EnginePart, StoredConversation};

impl Decider<'_> {
    pub(super) fn receive_message(&mut self, channel_id: ChannelId, message: &InboundMessage) -> Ruling {
        let channel = self.require_channel(channel_id)?;
        if self.view.external(channel_id, &message.external_id)?.is_some() {
            return Ok(());
        }
        let contact = self.find_or_create_contact(&channel, message)?;
        self.contact_name.clone_from(&contact.name);
        let conversation_id = self.find_or_create_conversation(&channel, &contact, Direction::Inbound, None)?;
        if !contact.blocked {
            match self.require(conversation_id)?.conversation.status {
                Status::Snoozed | Status::Resolved => {
                    self.change_status(conversation_id, Status::Open, StatusReason::ContactWrote, None)?;
                }
                Status::Open | Status::Pending => {}
            }
        }
        let author = Author::Contact { contact_id: contact.id };
        let mut new = self.new_message(conversation_id, Direction::Inbound, author, message.body.clone())?;
        new.external_id = Some(message.external_id.clone());
        new.sentiment = sentiment_of(&message.body.text);
        self.add_message(new)?;
        self.contact_name = None;
        self.release_from_absent_agent(conversation_id)?;
        self.distribute()
    }

    pub(super) fn require_channel(&self, id: ChannelId) -> Result<Channel, Stop> {
        self.view.channel(id)?.cloned().ok_or_else(|| {
            reject(Rejection::NotFound, format!("channel_id: there is no channel {id} in this workspace"))
        })
    }

    /// The contact who wrote, as they are with what this message tells of them.
    fn find_or_create_contact(&mut self, channel: &Channel, message: &InboundMessage) -> Result<Contact, Stop> {
        let addresses = || std::iter::once(&message.from).chain(&message.also_from);
        let mut known_id = None;
        for address in addresses() {
            if let Some(id) = self.view.identity(channel.id, address)? {
                known_id = Some(*id);
                break;
            }
        }
        let known = match known_id {
            Some(id) => self.view.contact(id)?.cloned(),
            None => None,
        };
        let is_new = known.is_none();
        let before = known.clone();
        let mut contact = known.unwrap_or_else(|| Contact {
            id: self.new_contact_id(),
            name: None,
            name_is_set: false,
            phone: None,
            email: None,
            identities: Vec::new(),
            opted_out: Vec::new(),
            blocked: false,
            created_at: self.at(),
        });
        for address in addresses() {
            let identity = Identity { channel_id: channel.id, address: address.clone() };
            if self.view.identity(channel.id, address)?.is_none() && !contact.identities.contains(&identity) {
                contact.identities.push(identity);
            }
        }
        if !contact.name_is_set && message.profile_name.as_ref().is_some_and(|name| !name.trim().is_empty()) {
            contact.name.clone_from(&message.profile_name);
        }
        if contact.phone.is_none() {
            contact.phone.clone_from(&message.phone);
        }
        if contact.email.is_none() {
            contact.email.clone_from(&message.email);
        }
        match message.opt_out {
            Some(true) if !contact.opted_out.contains(&channel.id) => contact.opted_out.push(channel.id),
            Some(false) => contact.opted_out.retain(|id| *id != channel.id),
            _ => {}
        }
        if is_new {
            self.emit(Event::ContactCreated { contact: contact.clone() })?;
        } else if before.as_ref() != Some(&contact) {
            self.emit(Event::ContactUpdated { contact: contact.clone() })?;
        }
        Ok(contact)
    }

    /// The contact's conversation on the channel that a message belongs to; begun if there is none to go on with.
    pub(super) fn find_or_create_conversation(
        &mut self,
        channel: &Channel,
        contact: &Contact,
        initiated: Direction,
        assignee: Option<UserId>,
    ) -> Result<ConversationId, Stop> {
        if let Some(id) = self.conversation_to_go_on_with(channel, contact.id)? {
            return Ok(id);
        }
        let id = self.new_conversation_id();
        let address = contact.identities.iter().find(|identity| identity.channel_id == channel.id);
        let address = address.map(|identity| identity.address.clone()).unwrap_or_default();
        let status = if contact.blocked { Status::Resolved } else { Status::Open };
        let at = self.at();
        let conversation = Conversation {
            id,
            channel_id: channel.id,
            contact_id: contact.id,
            contact_name: contact.name.clone().unwrap_or_else(|| address.clone()),
            contact_address: address,
            status,
            snoozed_until: None,
            assignee,
            team: None,
            priority: Priority::default(),
            labels: std::collections::BTreeSet::new(),
            sentiment: None,
            participants: std::collections::BTreeSet::new(),
            created_at: at,
            opened_at: at,
            resolved_at: (status == Status::Resolved).then_some(at),
            last_activity_at: at,
            last_seq: 0,
            last_message: None,
            waiting_since: None,
            first_reply_at: None,
            reply_window_until: None,
            sla: None,
            inbound_count: 0,
            reads: std::collections::BTreeMap::new(),
        };
        let is_asked = initiated == Direction::Inbound && status != Status::Resolved;
        let engine = EnginePart { unanswered_since: is_asked.then_some(at), ..EnginePart::default() };
        self.emit_created(StoredConversation { conversation: Arc::new(conversation), engine }, initiated)?;
        Ok(id)
    }

    fn conversation_to_go_on_with(
        &self,
        channel: &Channel,
        contact_id: ContactId,
    ) -> Result<Option<ConversationId>, Stop> {
        let Some(id) = self.view.latest(contact_id, channel.id)?.copied() else {
            return Ok(None);
        };
        let Some(stored) = self.view.conversation(id)? else {
            return Ok(None);
        };
        let reopens_until = Duration::from_hours(u64::from(channel.reopen_hours));
        let too_old = stored.conversation.status == Status::Resolved
            && stored.conversation.resolved_at.is_none_or(|resolved_at| self.at() > resolved_at.after(reopens_until));
        Ok((!too_old).then_some(id))
    }
}

/// How a text sounds; `None` if it says nothing. The model is a part of the program, so a command that is decided again gives
/// the same event.
fn sentiment_of(text: &str) -> Option<MessageSentiment> {
    if text.trim().is_empty() {
        return None;
    }
    let found = Model::built_in().score(text);
    let label = match found.label {
        Label::Negative => SentimentLabel::Negative,
        Label::Neutral => SentimentLabel::Neutral,
        Label::Positive => SentimentLabel::Positive,
    };
    Some(MessageSentiment { label, score: found.score })
}
