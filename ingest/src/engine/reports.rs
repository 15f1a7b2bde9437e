//! The rules for what providers report on outbound messages.
//!
//! Reports come in any order, more than once, and before the answer of the call that they are about. A message takes those
//! on the sending that it stands by now; of an earlier one only the proof that it arrived. So whatever the order, the same
//! reports end in the same state.

use schemas::command::{DeliveryReport, Remedy};
use schemas::event::Event;
use schemas::message::{DeliveryError, DeliveryStatus, Message};
use schemas::{ChannelId, ConversationId, Timestamp};

use super::changes::Found;
use super::decide::{Decider, Ruling, Stop};
use super::send::check_sendable;
use crate::outbound::backoff::Backoff;

impl Decider<'_> {
    pub(super) fn record_delivery(&mut self, channel_id: ChannelId, report: &DeliveryReport) -> Ruling {
        let Some(next) = report.status else { return Ok(()) };
        let Some(reference) = self.view.external(channel_id, &report.external_id)?.copied() else {
            return Ok(self.park(channel_id, report, next)?);
        };
        let Some(message) = self.view.message(reference.conversation_id, reference.seq)?.cloned() else {
            return Ok(());
        };
        let Some(from) = message.status else { return Ok(()) };
        let is_present = message.external_id.as_deref() == Some(report.external_id.as_str());
        let is_proof = matches!(next, DeliveryStatus::Delivered | DeliveryStatus::Read);
        if !from.may_become(next) || !(is_present || is_proof) {
            return Ok(());
        }
        if next == DeliveryStatus::Failed {
            return self.delivery_failed(reference.conversation_id, channel_id, &message, report);
        }
        let event = Event::MessageStatusChanged {
            message_id: message.id,
            seq: message.seq,
            from,
            to: next,
            error: report.error.clone(),
            external_id: (!is_present).then(|| report.external_id.clone()),
        };
        Ok(self.emit_in(reference.conversation_id, event)?)
    }

    /// The provider was faster with its report than with its answer to our call, or the message is not ours.
    fn park(&mut self, channel_id: ChannelId, report: &DeliveryReport, next: DeliveryStatus) -> Found<()> {
        let known = self.view.parked(channel_id, &report.external_id)?;
        let is_news = known.is_none_or(|known| known.status.is_none_or(|status| status.may_become(next)));
        if is_news {
            self.emit(Event::DeliveryParked { channel_id, report: report.clone() })?;
        }
        Ok(())
    }

    /// The provider took the message and failed: that is its end, or it is queued again for a later attempt.
    fn delivery_failed(
        &mut self,
        conversation_id: ConversationId,
        channel_id: ChannelId,
        message: &Message,
        report: &DeliveryReport,
    ) -> Ruling {
        if report.remedy == Some(Remedy::OptOut) {
            self.opt_out(conversation_id, channel_id)?;
        }
        let next_attempt_at = self.resend_at(conversation_id, message, report.remedy)?;
        let to = if next_attempt_at.is_some() { DeliveryStatus::Queued } else { DeliveryStatus::Failed };
        let event = Event::MessageStatusChanged {
            message_id: message.id,
            seq: message.seq,
            from: message.status.unwrap_or(DeliveryStatus::Sent),
            to,
            error: report.error.clone(),
            external_id: None,
        };
        self.emit_in(conversation_id, event)?;
        if let Some(next_attempt_at) = next_attempt_at {
            let event = Event::MessageSendDeferred {
                message_id: message.id,
                seq: message.seq,
                attempt: message.attempts,
                error: report.error.clone().unwrap_or_else(|| DeliveryError {
                    code: report.provider_status.clone(),
                    reason: "The provider reports a failure that passes.".to_owned(),
                }),
                ambiguous: false,
                next_attempt_at,
            };
            self.emit_in(conversation_id, event)?;
        }
        Ok(())
    }

    /// When a message that failed is sent again; `None` if it is not, because that would not help, the schedule of retries
    /// is at its end, or the contact must not be written to by now.
    fn resend_at(
        &self,
        conversation_id: ConversationId,
        message: &Message,
        remedy: Option<Remedy>,
    ) -> Result<Option<Timestamp>, Stop> {
        let may_help = match remedy {
            Some(Remedy::Resend) => true,
            Some(Remedy::ResendOnce) => message.resends == 0,
            Some(Remedy::OptOut) | None => false,
        };
        if !may_help {
            return Ok(None);
        }
        let conversation = &self.require(conversation_id)?.conversation;
        let channel = self.require_channel(conversation.channel_id)?;
        if check_sendable(&channel, self.view.contact(conversation.contact_id)?, &message.body).is_err() {
            return Ok(None);
        }
        // The spread of the waits comes from the message's id, since a replay must find the same moment.
        let [.., byte] = *message.id.as_bytes();
        let delay = Backoff::default().delay(message.resends + 1, f64::from(byte) / f64::from(u8::MAX));
        Ok(delay.map(|delay| self.at().after(delay)))
    }
}
