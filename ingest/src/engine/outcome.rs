//! Idempotency keys and the outcomes of commands that somebody waits for.

use std::time::Duration;

use schemas::command::Command;
use schemas::event::{Event, Outcome, Rejection};
use sha2::{Digest, Sha256};

use super::changes::Found;
use super::decide::{Decider, Ending, scoped_key};

/// For how long a key stands for its first command.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

impl Decider<'_> {
    /// How a command ends whose key was used before; `None` if it was not.
    pub(super) fn repeats_a_key(&self) -> Found<Option<Ending>> {
        let Some(key) = &self.record.key else { return Ok(None) };
        let Some(first) = self.view.key(&scoped_key(&self.record.actor, key))? else {
            return Ok(None);
        };
        if self.at() >= first.at.after(KEY_LIFETIME) {
            return Ok(None);
        }
        if first.fingerprint == fingerprint(&self.record.command) {
            return Ok(Some(Ending::Repeated(first.clone())));
        }
        let reason = "key: it was used before for another request; use a new key for a new request".to_owned();
        Ok(Some(Ending::Rejected { code: Rejection::KeyReused, reason }))
    }

    /// Publishes how the command ended, if somebody waits for it or its key must be remembered.
    pub(super) fn settle(&mut self, ending: Ending) -> Found<()> {
        if !self.record.wants_outcome && self.record.key.is_none() {
            return Ok(());
        }
        let outcome = match ending {
            Ending::Missing(need) => return Err(need),
            Ending::Applied => Outcome::Applied,
            Ending::Rejected { code, reason } => Outcome::Rejected { code, reason },
            Ending::Repeated(first) => {
                self.made.conversation_id = first.conversation_id;
                self.made.message_id = first.message_id;
                self.made.seq = first.seq;
                Outcome::Repeated { first: first.command_id }
            }
        };
        self.emit(Event::CommandSettled {
            key: self.record.key.clone(),
            fingerprint: fingerprint(&self.record.command),
            outcome,
            conversation_id: self.made.conversation_id,
            message_id: self.made.message_id,
            seq: self.made.seq,
        })
    }
}

/// The first sixteen bytes of the SHA-256 of the command's JSON, in hexadecimal.
fn fingerprint(command: &Command) -> String {
    // A command was read from JSON, so it has a JSON form.
    let json = serde_json::to_vec(command).unwrap_or_default();
    let digest = Sha256::digest(&json);
    digest.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        text
    })
}
