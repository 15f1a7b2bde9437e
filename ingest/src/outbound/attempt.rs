//! One attempt to send one message: look up what an earlier attempt left open, record the attempt, call, record its end.

use std::sync::Arc;
use std::time::Duration;

use schemas::command::{Actor, Command, CommandRecord, SendOutcome};
use schemas::message::{DeliveryError, DeliveryStatus};
use schemas::tables::{EXTERNAL_MESSAGES, PENDING_SENDS, Value};
use storage::log::LogError;
use storage::tables::{Key, TablesError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OutboundDeps;
use super::lane::{Entry, Health};
use super::pending::PendingSend;
use super::schedule::{Fate, Job};
use super::sender::{Candidate, LookUp, OutboundMessage, SendVerdict, Sender};
use super::turn::{self, Look};

/// How long a job waits when the log or the tables did not take or give what it needs.
const STORAGE_RETRY: Duration = Duration::from_secs(1);

/// The longest such wait, for what must be recorded before anything else happens.
const MAX_STORAGE_RETRY: Duration = Duration::from_secs(30);

/// How a job ended.
#[derive(Debug)]
pub(super) struct End {
    /// The message as the job got it.
    pub(super) entry: Entry,
    pub(super) fate: Fate,
    pub(super) health: Health,
    /// For how long the provider asked for silence.
    pub(super) quiet: Option<Duration>,
    /// What went wrong at the provider, for the log.
    pub(super) error: Option<DeliveryError>,
}

/// What a look-up means for a message.
enum Resolution {
    /// The provider has it.
    Taken(Candidate),
    /// The provider does not have it.
    Missing,
    /// It cannot be told yet.
    Open { error: Option<DeliveryError>, reached: bool },
}

pub(super) struct Attempt {
    pub(super) deps: Arc<OutboundDeps>,
    pub(super) partition: u32,
    /// The turn in which it calls.
    pub(super) turn: i64,
    pub(super) shutdown: CancellationToken,
    /// Cancelled once the turn is found to be over.
    pub(super) superseded: CancellationToken,
}

impl Attempt {
    pub(super) async fn run(self, job: Job) -> End {
        let Job { entry, sender } = job;
        let row = match self.row(&entry).await {
            Ok(Some(row)) => row,
            Ok(None) => return End::new(entry, Fate::Done { fence: None }, Health::Unknown),
            Err(error) => {
                tracing::warn!(message.id = %entry.message_id, error = %error, "cannot read a message that is to be sent");
                return End::storage_trouble(entry);
            }
        };
        // The row knows more only if an attempt broke off before it could tell.
        let entry = Entry { attempt: entry.attempt.max(row.attempt), ..entry };
        let message = OutboundMessage { message_id: row.message_id, to: row.to.clone(), body: row.body.clone() };
        if entry.unresolved {
            match self.resolve(&*sender, &entry, &row, &message).await {
                Resolution::Taken(candidate) => return self.taken(entry, candidate).await,
                Resolution::Open { error, reached } => return self.still_open(entry, error, reached).await,
                Resolution::Missing if self.deps.settings.backoff.delay(entry.failures, 0.5).is_none() => {
                    let error = given_up("not_taken", "The provider did not take the message.", entry.attempt);
                    return self.finish(entry, SendOutcome::Failed { error, opted_out: false }, Health::Answered).await;
                }
                Resolution::Missing => {}
            }
        }
        self.call(&*sender, entry, &message).await
    }

    async fn row(&self, entry: &Entry) -> Result<Option<PendingSend>, TablesError> {
        let row = self.deps.tables.get(PENDING_SENDS, PendingSend::key(self.partition, entry.message_id)).await?;
        row.map(|row| PendingSend::from_row(&row)).transpose()
    }

    /// Records that a call begins, makes it, and records its end.
    async fn call(&self, sender: &dyn Sender, entry: Entry, message: &OutboundMessage) -> End {
        let attempt = entry.attempt + 1;
        let (conversation_id, message_id) = (entry.conversation_id, entry.message_id);
        let begin = self.record(&entry, Command::BeginSend { conversation_id, message_id, attempt });
        if let Err(error) = self.deps.commands.append(&begin).await {
            tracing::warn!(message.id = %message_id, error = %error, "cannot record the beginning of a send");
            return End::storage_trouble(entry);
        }
        let Some(look) = self.look(&entry).await else {
            // No call was made, and none will be made in this attempt.
            return End::storage_trouble(Entry { attempt, ..entry });
        };
        let (clock, claim) = (self.deps.clock.as_ref(), self.deps.settings.claim);
        if !look.is_good(clock, claim) {
            metrics::counter!("saler_outbound_late_claims_total").increment(1);
            tracing::warn!(message.id = %message_id, "the process stood still before a call; looking again whose turn it is");
            return End::at_once(Entry { attempt, ..entry });
        }
        let called_at = Instant::now();
        let verdict = sender.send(message).await;
        let outcome = match &verdict {
            SendVerdict::Accepted { .. } => "accepted",
            SendVerdict::Safe { .. } => "safe",
            SendVerdict::Ambiguous { .. } => "ambiguous",
            SendVerdict::Permanent { .. } => "permanent",
            SendVerdict::ConfigOrAccount { .. } => "account",
        };
        metrics::counter!("saler_outbound_calls_total", "outcome" => outcome).increment(1);
        metrics::histogram!("saler_outbound_call_seconds").record(called_at.elapsed());
        let entry = Entry { attempt, look_ups: 0, unresolved: false, held: false, ..entry };
        self.conclude(entry, verdict).await
    }

    /// Looks whether this worker's turn is still on, after the attempt was recorded.
    async fn look(&self, entry: &Entry) -> Option<Look> {
        match turn::look(self.deps.tables.as_ref(), self.deps.clock.as_ref(), self.partition, self.turn).await {
            Ok(Some(look)) => Some(look),
            Ok(None) => {
                self.superseded.cancel();
                None
            }
            Err(error) => {
                tracing::warn!(message.id = %entry.message_id, error = %error, "cannot tell whose turn it is to send");
                None
            }
        }
    }

    async fn conclude(&self, entry: Entry, verdict: SendVerdict) -> End {
        let settings = &self.deps.settings;
        match verdict {
            SendVerdict::Accepted { external_id, status } => {
                self.finish(entry, SendOutcome::Accepted { external_id, status }, Health::Answered).await
            }
            SendVerdict::Permanent { error, opted_out } => {
                self.finish(entry, SendOutcome::Failed { error, opted_out }, Health::Answered).await
            }
            SendVerdict::Safe { error, retry_after, reached } => {
                let failures = entry.failures + 1;
                let health = if reached { Health::Answered } else { Health::Down };
                let delay = settings.backoff.delay_after(failures, rand::random(), retry_after);
                let mut end = if let Some(delay) = delay {
                    self.defer(Entry { failures, ..entry }, error, delay, health).await
                } else {
                    let error = given_up(&error.code, &error.reason, entry.attempt);
                    self.finish(entry, SendOutcome::Failed { error, opted_out: false }, health).await
                };
                end.quiet = retry_after.map(|asked| asked.min(super::backoff::MAX_RETRY_AFTER));
                end
            }
            SendVerdict::Ambiguous { error } => {
                let failures = entry.failures + 1;
                let delay = settings.backoff.delay(failures, rand::random()).unwrap_or_default();
                let now = Instant::now();
                // Asked soon, in case it was taken; sent again only once the first call cannot still be under way.
                let settled_at = now + delay.max(settings.settle);
                let waiting = Entry {
                    failures,
                    unresolved: true,
                    settled_at,
                    due: now + delay.min(settings.settle),
                    ..entry.clone()
                };
                let next_attempt_at = self.deps.clock.now().after(settled_at - now);
                let outcome = SendOutcome::Ambiguous { error: error.clone(), next_attempt_at };
                self.record_end(entry, waiting, outcome, error, Health::Down).await
            }
            SendVerdict::ConfigOrAccount { error } => {
                let waiting = Entry { held: true, ..entry };
                self.defer(waiting, error, settings.first_pause, Health::Refused).await
            }
        }
    }

    /// The message waits and is certainly not with the provider.
    async fn defer(&self, entry: Entry, error: DeliveryError, delay: Duration, health: Health) -> End {
        let waiting = Entry { due: Instant::now() + delay, ..entry.clone() };
        let next_attempt_at = self.deps.clock.now().after(delay);
        let outcome = SendOutcome::Deferred { error: error.clone(), next_attempt_at };
        self.record_end(entry, waiting, outcome, error, health).await
    }

    async fn record_end(
        &self,
        entry: Entry,
        waiting: Entry,
        outcome: SendOutcome,
        error: DeliveryError,
        health: Health,
    ) -> End {
        let fate = match self.append_end(&entry, outcome).await {
            Some(_) => Fate::Waits(waiting),
            None => Fate::Done { fence: None },
        };
        End { error: Some(error), ..End::new(entry, fate, health) }
    }

    /// The message's last word.
    async fn finish(&self, entry: Entry, outcome: SendOutcome, health: Health) -> End {
        let error = match &outcome {
            SendOutcome::Failed { error, .. } => Some(error.clone()),
            _ => None,
        };
        let fence = self.append_end(&entry, outcome).await;
        End { error, ..End::new(entry, Fate::Done { fence }, health) }
    }

    /// Records the end of a call and returns its offset; insists until the log takes it. `None` if the worker stops
    /// meanwhile: then the attempt stands open, and the next worker looks it up.
    async fn append_end(&self, entry: &Entry, outcome: SendOutcome) -> Option<u64> {
        let command = Command::FinishSend {
            conversation_id: entry.conversation_id,
            message_id: entry.message_id,
            attempt: entry.attempt,
            outcome,
        };
        self.insist(self.record(entry, command)).await
    }

    async fn insist(&self, record: CommandRecord) -> Option<u64> {
        let mut wait = STORAGE_RETRY;
        loop {
            match self.deps.commands.append(&record).await {
                Ok(accepted) => return Some(accepted.offset),
                Err(error @ LogError::Invalid { .. }) => {
                    tracing::error!(error = %error, "the end of a send cannot be recorded");
                    return None;
                }
                Err(error) => tracing::warn!(error = %error, "the log does not take the end of a send; trying again"),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(MAX_STORAGE_RETRY);
        }
    }

    fn record(&self, entry: &Entry, command: Command) -> CommandRecord {
        self.deps.commands.record(entry.workspace_id, Actor::System, command)
    }

    /// Asks the provider for a message whose fate is open.
    async fn resolve(
        &self,
        sender: &dyn Sender,
        entry: &Entry,
        row: &PendingSend,
        message: &OutboundMessage,
    ) -> Resolution {
        let candidates = match sender.look_up(message, row.queued_at).await {
            LookUp::Found(candidates) => candidates,
            LookUp::NotFound => Vec::new(),
            LookUp::Unknown { error, reached } => {
                return Resolution::Open { error: Some(error), reached };
            }
        };
        match self.first_untaken(entry, candidates).await {
            Ok(Some(candidate)) => Resolution::Taken(candidate),
            Ok(None) if Instant::now() < entry.settled_at => Resolution::Open { error: None, reached: true },
            Ok(None) => Resolution::Missing,
            Err(error) => {
                tracing::warn!(error = %error, "cannot tell whether a provider's message is known already");
                Resolution::Open { error: None, reached: true }
            }
        }
    }

    /// The newest of the provider's messages that is not one that the hub knows already: the same words may have been
    /// sent before.
    async fn first_untaken(&self, entry: &Entry, candidates: Vec<Candidate>) -> Result<Option<Candidate>, TablesError> {
        let keys = candidates
            .iter()
            .map(|candidate| {
                let id = candidate.report.external_id.as_str();
                let key = [Value::from(entry.workspace_id), Value::from(entry.channel_id), Value::from(id)];
                (EXTERNAL_MESSAGES, Key::of(key))
            })
            .collect();
        let known = self.deps.tables.get_many(keys).await?;
        Ok(candidates.into_iter().zip(known).find_map(|(candidate, row)| row.is_none().then_some(candidate)))
    }

    /// An earlier attempt turned out to have been taken.
    async fn taken(&self, entry: Entry, candidate: Candidate) -> End {
        metrics::counter!("saler_outbound_look_ups_total", "outcome" => "found").increment(1);
        let report = candidate.report;
        let status = match report.status {
            Some(status @ (DeliveryStatus::Delivered | DeliveryStatus::Read)) => status,
            _ => DeliveryStatus::Sent,
        };
        let outcome = SendOutcome::Accepted { external_id: report.external_id.clone(), status };
        let end = self.finish(entry, outcome, Health::Answered).await;
        if report.status == Some(DeliveryStatus::Failed) {
            // Taken, but it has failed since: the provider's report may have been missed with the answer.
            let command = Command::RecordDelivery { channel_id: end.entry.channel_id, report };
            self.insist(self.record(&end.entry, command)).await;
        }
        end
    }

    /// Nothing is known yet: asked again later, for as long as the schedule of retries lasts.
    async fn still_open(&self, entry: Entry, error: Option<DeliveryError>, reached: bool) -> End {
        metrics::counter!("saler_outbound_look_ups_total", "outcome" => "open").increment(1);
        let now = Instant::now();
        let health = if reached { Health::Answered } else { Health::Down };
        let Some(error) = error else {
            // It answered, but it is too early to believe that nothing will come.
            let due = if entry.settled_at > now { entry.settled_at } else { now + STORAGE_RETRY };
            let waiting = Entry { due, ..entry.clone() };
            return End::new(entry, Fate::Waits(waiting), health);
        };
        let look_ups = entry.look_ups + 1;
        if let Some(delay) = self.deps.settings.backoff.delay(look_ups, rand::random()) {
            let waiting = Entry { look_ups, due: now + delay, ..entry.clone() };
            return End { error: Some(error), ..End::new(entry, Fate::Waits(waiting), health) };
        }
        let error = DeliveryError {
            code: "outcome_unknown".to_owned(),
            reason: "Nobody can tell whether the provider took this message. Ask the contact before sending it again."
                .to_owned(),
        };
        self.finish(entry, SendOutcome::Failed { error, opted_out: false }, health).await
    }
}

impl End {
    const fn new(entry: Entry, fate: Fate, health: Health) -> Self {
        Self { entry, fate, health, quiet: None, error: None }
    }

    /// Nothing happened yet, and will be tried again soon.
    fn storage_trouble(entry: Entry) -> Self {
        let waiting = Entry { due: Instant::now() + STORAGE_RETRY, ..entry.clone() };
        Self::new(entry, Fate::Waits(waiting), Health::Unknown)
    }

    /// Nothing happened, and is tried again.
    fn at_once(entry: Entry) -> Self {
        let waiting = Entry { due: Instant::now(), ..entry.clone() };
        Self::new(entry, Fate::Waits(waiting), Health::Unknown)
    }
}

fn given_up(code: &str, reason: &str, attempts: u32) -> DeliveryError {
    DeliveryError { code: code.to_owned(), reason: format!("{reason} Given up after {attempts} attempts.") }
}
