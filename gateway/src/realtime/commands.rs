//! Wishes of an agent: from a frame to a command in the log, and back to an answer.
//!
//! A connection's commands are appended one after the other, so their order is the client's; their outcomes are waited
//! for side by side. The rules are those of REST: whoever may not see a conversation may not touch it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use schemas::api::problem::ErrorCode;
use schemas::command::{Actor, Command};
use schemas::conversation::{Conversation, Status};
use schemas::event::{Outcome, Rejection};
use schemas::policy::{Action, allows};
use schemas::socket::{ClientCommand, CommandFrame, EphemeralKind, MAX_KEY_CHARS, ServerFrame};
use schemas::tables::{CONVERSATIONS, TEAMS, Value};
use schemas::{ConversationId, TeamId};
use storage::log::LogError;
use storage::tables::Key;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Inner;
use super::connection::{Class, Connection};
use super::frames::{Refusal, encode, plain_ok};
use super::outcomes::Settled;
use crate::auth::principal::Principal;

/// Commands of one connection that wait for their turn.
pub(crate) const MAX_QUEUED: usize = 32;
/// Commands of one connection whose outcome is waited for.
const MAX_WAITING: usize = 32;
/// For how long clients show that somebody types or looks, in milliseconds.
pub(crate) const EPHEMERAL_TTL_MS: u32 = 5_000;
/// The same ephemeron of the same connection is not sent again within this time.
const EPHEMERAL_PAUSE: Duration = Duration::from_secs(2);

/// Takes the commands of one connection.
#[derive(Debug)]
pub(crate) struct Runner {
    inner: Arc<Inner>,
    connection: Arc<Connection>,
    principal: Principal,
    last_ephemeral: Option<(EphemeralKind, ConversationId, Instant)>,
}

impl Runner {
    pub(crate) fn new(inner: Arc<Inner>, connection: Arc<Connection>, principal: Principal) -> Self {
        Self { inner, connection, principal, last_ephemeral: None }
    }

    /// Runs until the session drops the sender.
    pub(crate) async fn run(mut self, mut frames: mpsc::Receiver<CommandFrame>) {
        let mut waiting: FuturesUnordered<LocalBoxFuture<'static, Bytes>> = FuturesUnordered::new();
        loop {
            let answer = tokio::select! {
                frame = frames.recv(), if waiting.len() < MAX_WAITING => match frame {
                    // What a closed connection left behind is not done: the client will ask again, with the same key.
                    Some(_) if !self.connection.is_open() => return,
                    Some(frame) => {
                        let id = frame.id;
                        match Box::pin(self.begin(frame)).await {
                            Ok(Begun::Done) => Some(encode(&plain_ok(id))),
                            Ok(Begun::Silent) => None,
                            Ok(Begun::Appended(outcome)) => {
                                waiting.push(outcome);
                                None
                            }
                            Err(refusal) => Some(refusal.frame(id)),
                        }
                    }
                    None => return,
                },
                Some(answer) = waiting.next() => Some(answer),
            };
            if let Some(answer) = answer {
                self.connection.push(&answer, Class::Control, Instant::now());
            }
        }
    }

    async fn begin(&mut self, frame: CommandFrame) -> Result<Begun, Refusal> {
        let CommandFrame { id, key, command } = frame;
        let conversation = match command.conversation_id() {
            Some(conversation_id) => Some(self.inner.visible_conversation(&self.principal, conversation_id).await?),
            None => None,
        };
        let command = match (command, conversation) {
            (ClientCommand::Typing { .. }, Some(conversation)) => {
                return Ok(self.show(EphemeralKind::Typing, &conversation, id));
            }
            (ClientCommand::Viewing { .. }, Some(conversation)) => {
                return Ok(self.show(EphemeralKind::Viewing, &conversation, id));
            }
            (command, conversation) => {
                if conversation.is_some() && !allows(self.principal.role, Action::WriteConversations) {
                    return Err(Refusal::new(ErrorCode::Forbidden, "your role does not write in conversations"));
                }
                if let ClientCommand::ConversationChange { change, .. } = &command {
                    self.check_team(change.team.flatten()).await?;
                }
                self.translate(command)?
            }
        };
        check_key(key.as_deref(), &command)?;
        let actor = Actor::User { user_id: self.principal.user_id };
        let mut record = self.inner.commands.record(self.principal.workspace_id, actor, command);
        record.key = key;
        record.wants_outcome = true;
        let outcome = self.inner.outcomes.register(record.id);
        self.inner.commands.append(&record).await.map_err(|error| refusal_of(&error))?;
        let timeout = Duration::from_millis(self.inner.config.command_timeout_ms);
        Ok(Begun::Appended(outcome.within(timeout).map(move |settled| answer(id, settled)).boxed_local()))
    }

    /// Refuses to give conversations to a team that is not there: the engine does not know teams.
    async fn check_team(&self, team: Option<TeamId>) -> Result<(), Refusal> {
        let Some(team_id) = team else { return Ok(()) };
        let key = Key::of([Value::from(self.principal.workspace_id)]).at([team_id.into()]);
        match self.inner.tables.get(TEAMS, key).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Refusal::new(ErrorCode::InvalidValue, "team: there is no such team in this workspace")),
            Err(error) => {
                tracing::warn!(%error, "a team cannot be read for a socket");
                Err(Refusal::unavailable())
            }
        }
    }

    /// The command of a wish that is no ephemeron.
    fn translate(&self, command: ClientCommand) -> Result<Command, Refusal> {
        let user_id = self.principal.user_id;
        let author = self.principal.author();
        Ok(match command {
            ClientCommand::MessageSend { conversation_id, body } => {
                Command::SendMessage { conversation_id, author, body }
            }
            ClientCommand::MessageRetry { conversation_id, seq } => Command::RetryMessage { conversation_id, seq },
            ClientCommand::NoteAdd { conversation_id, text, mentions } => {
                Command::AddNote { conversation_id, author, text, mentions }
            }
            ClientCommand::ConversationSetStatus { conversation_id, status } => {
                Command::SetStatus { conversation_id, status, snoozed_until: None }
            }
            ClientCommand::ConversationSnooze { conversation_id, until } => {
                Command::SetStatus { conversation_id, status: Status::Snoozed, snoozed_until: until }
            }
            ClientCommand::ConversationAssign { conversation_id, assignee } => {
                Command::Assign { conversation_id, assignee }
            }
            ClientCommand::ConversationSetPriority { conversation_id, priority } => {
                Command::SetPriority { conversation_id, priority }
            }
            ClientCommand::ConversationLabels { conversation_id, add, remove } => {
                Command::ChangeLabels { conversation_id, add, remove }
            }
            ClientCommand::ConversationChange { conversation_id, change } => {
                Command::ChangeConversation { conversation_id, changes: change }
            }
            ClientCommand::NotificationsRead { .. } if !allows(self.principal.role, Action::ReadConversations) => {
                return Err(Refusal::new(ErrorCode::Forbidden, "your role does not see conversations"));
            }
            ClientCommand::NotificationsRead { up_to, numbers } => {
                Command::ReadNotifications { user_id, up_to, numbers }
            }
            ClientCommand::ConversationRead { conversation_id, seq } => {
                Command::MarkRead { conversation_id, user_id, seq }
            }
            ClientCommand::PresenceSet { availability } => Command::SetPresence {
                user_id,
                availability: Some(availability),
                connected: None,
                gateway: String::new(),
            },
            ClientCommand::Typing { .. } | ClientCommand::Viewing { .. } => {
                return Err(Refusal::no_conversation());
            }
        })
    }

    /// Tells those who may see the conversation, the visitor included, what this person does now.
    fn show(&mut self, kind: EphemeralKind, conversation: &Conversation, id: u64) -> Begun {
        let now = Instant::now();
        let again = self.last_ephemeral.is_some_and(|(last, at_conversation, at)| {
            (last, at_conversation) == (kind, conversation.id) && now.duration_since(at) < EPHEMERAL_PAUSE
        });
        if !again {
            self.last_ephemeral = Some((kind, conversation.id, now));
            let me = self.principal.user_id;
            let frame = ephemeral(kind, conversation.id, Some(me));
            self.inner.hub.whisper(self.principal.workspace_id, conversation.id, &frame, |other| {
                other.user_id != me && conversation.visible_to(other.user_id, other.role)
            });
            if kind == EphemeralKind::Typing {
                self.inner.visitors.show_typing(conversation);
            }
        }
        // A client that numbers its frames gets an answer.
        if id == 0 { Begun::Silent } else { Begun::Done }
    }
}

enum Begun {
    /// Answered with a plain `ok`.
    Done,
    /// Not answered.
    Silent,
    /// In the log; the frame tells how it ended.
    Appended(LocalBoxFuture<'static, Bytes>),
}

/// The frame that somebody types or looks.
pub(crate) fn ephemeral(k: EphemeralKind, conversation_id: ConversationId, user_id: Option<schemas::UserId>) -> Bytes {
    encode(&ServerFrame::Eph { k, conversation_id, user_id, ttl: EPHEMERAL_TTL_MS })
}

fn check_key(key: Option<&str>, command: &Command) -> Result<(), Refusal> {
    let needed =
        matches!(command, Command::SendMessage { .. } | Command::RetryMessage { .. } | Command::AddNote { .. });
    match key {
        None if needed => {
            Err(Refusal::new(ErrorCode::IdempotencyKeyRequired, "key: give a new one for each message, such as a UUID"))
        }
        Some(key) if key.is_empty() || key.chars().count() > MAX_KEY_CHARS => {
            Err(Refusal::new(ErrorCode::InvalidValue, format!("key: give 1 to {MAX_KEY_CHARS} characters")))
        }
        _ => Ok(()),
    }
}

/// The answer to a command that is in the log.
fn answer(id: u64, settled: Option<Settled>) -> Bytes {
    let Some(Settled { position, outcome, conversation_id, message_id, seq }) = settled else {
        let reason = "the command is kept, but its outcome is not known yet: ask again with the same key";
        return Refusal::temporary(ErrorCode::OutcomeUnknown, reason, 2_000).frame(id);
    };
    match outcome {
        Outcome::Rejected { code, reason } => Refusal::new(rejection_code(code), reason).frame(id),
        Outcome::Applied | Outcome::Repeated { .. } => encode(&ServerFrame::Ok {
            id,
            p: Some(position),
            conversation_id,
            message_id,
            seq,
            repeated: matches!(outcome, Outcome::Repeated { .. }),
            cur: None,
        }),
    }
}

const fn rejection_code(code: Rejection) -> ErrorCode {
    match code {
        Rejection::NotFound => ErrorCode::NotFound,
        Rejection::InvalidTransition => ErrorCode::InvalidTransition,
        Rejection::ReplyWindowClosed => ErrorCode::ReplyWindowClosed,
        Rejection::ContactOptedOut => ErrorCode::ContactOptedOut,
        Rejection::ChannelInactive => ErrorCode::ChannelInactive,
        Rejection::InvalidValue => ErrorCode::InvalidValue,
        Rejection::KeyReused => ErrorCode::KeyReused,
    }
}

pub(crate) fn refusal_of(error: &LogError) -> Refusal {
    match error {
        LogError::Invalid { reason } => Refusal::new(ErrorCode::InvalidValue, reason.clone()),
        error => {
            tracing::warn!(%error, "a command of a socket cannot be appended");
            Refusal::unavailable()
        }
    }
}

impl Inner {
    /// A conversation that this person may see.
    ///
    /// # Errors
    /// `not_found` if there is none, or it is not theirs to see.
    pub(crate) async fn visible_conversation(
        &self,
        principal: &Principal,
        conversation_id: ConversationId,
    ) -> Result<Conversation, Refusal> {
        if !allows(principal.role, Action::ReadConversations) {
            return Err(Refusal::new(ErrorCode::Forbidden, "your role does not see conversations"));
        }
        let key = Key::of([Value::from(principal.workspace_id), Value::from(conversation_id)]);
        let row = self.tables.get(CONVERSATIONS, key).await;
        let conversation = row.and_then(|row| row.map(|row| row.body::<Conversation>(CONVERSATIONS)).transpose());
        match conversation {
            Ok(Some(conversation)) if conversation.visible_to(principal.user_id, principal.role) => Ok(conversation),
            Ok(_) => Err(Refusal::no_conversation()),
            Err(error) => {
                tracing::warn!(%error, "a conversation cannot be read for a socket");
                Err(Refusal::unavailable())
            }
        }
    }
}
