//! What an event means for sending, read without the rest of it: most events mean nothing, and every one is looked at.

use std::borrow::Cow;

use schemas::event::Source;
use schemas::message::{DeliveryStatus, Direction};
use schemas::{ChannelId, MessageId};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a worker learns from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A message is to be sent.
    Queued(MessageId),
    /// A message that was sent, or had failed, is to be sent once more.
    QueuedAgain(MessageId),
    /// A message is not to be sent any more: it was sent, or failed for good.
    Settled(MessageId),
    /// A channel was configured.
    Channel(ChannelId),
    /// Nothing.
    Nothing,
}

#[derive(Deserialize)]
struct PeekRecord<'a> {
    source: Source,
    #[serde(borrow)]
    event: PeekEvent<'a>,
}

#[derive(Deserialize)]
struct PeekEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    to: Option<&'a RawValue>,
    #[serde(default, borrow)]
    channel: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PeekMessage {
    id: MessageId,
    direction: Direction,
    #[serde(default)]
    status: Option<DeliveryStatus>,
}

#[derive(Deserialize)]
struct PeekChannel {
    id: ChannelId,
}

/// Reads an event's record: the offset of its command, and what it means here.
///
/// # Errors
/// If it is not an event of this or an earlier version.
pub(super) fn read(record: &[u8]) -> Result<(u64, Notice), serde_json::Error> {
    let PeekRecord { source, event } = serde_json::from_slice(record)?;
    let notice = match event.kind.as_ref() {
        "message_added" => {
            let message: PeekMessage = field(event.message)?;
            let is_queued = message.direction == Direction::Outbound && message.status == Some(DeliveryStatus::Queued);
            if is_queued { Notice::Queued(message.id) } else { Notice::Nothing }
        }
        "message_status_changed" => {
            let id = field(event.message_id)?;
            if field::<DeliveryStatus>(event.to)? == DeliveryStatus::Queued {
                Notice::QueuedAgain(id)
            } else {
                Notice::Settled(id)
            }
        }
        "channel_configured" => Notice::Channel(field::<PeekChannel>(event.channel)?.id),
        _ => Notice::Nothing,
    };
    Ok((source.offset, notice))
}

/// A field that an event of its kind has.
fn field<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, serde_json::Error> {
    serde_json::from_str(raw.map_or("null", RawValue::get))
}

#[cfg(test)]
mod tests {
    use schemas::event::{Event, EventRecord};
    use schemas::message::{DeliveryStatus, Direction};

    use super::{Notice, read};

    /// The same from the record as a whole.
    fn wanted(event: Event) -> Notice {
        match event {
            Event::MessageAdded { message }
                if message.direction == Direction::Outbound && message.status == Some(DeliveryStatus::Queued) =>
            {
                Notice::Queued(message.id)
            }
            Event::MessageStatusChanged { message_id, to: DeliveryStatus::Queued, .. } => {
                Notice::QueuedAgain(message_id)
            }
            Event::MessageStatusChanged { message_id, .. } => Notice::Settled(message_id),
            Event::ChannelConfigured { channel } => Notice::Channel(channel.id),
            _ => Notice::Nothing,
        }
    }

    #[test]
    fn it_reads_of_every_kind_of_event_what_the_whole_record_says() {
        let mut kinds = std::collections::HashSet::new();
        for line in include_str!("../../../schemas/tests/fixtures/events.v1.jsonl").lines() {
            let record: EventRecord = serde_json::from_str(line).unwrap();
            let offset = record.source.offset;
            let (read_offset, notice) = read(line.as_bytes()).unwrap();
            let wanted = wanted(record.event);
            assert_eq!((read_offset, notice), (offset, wanted), "{line}");
            kinds.insert(std::mem::discriminant(&notice));
        }
        assert_eq!(kinds.len(), 4);
    }
}
