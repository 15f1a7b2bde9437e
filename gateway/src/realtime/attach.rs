//! Lets a signed-in socket into the stream: live from now on, or from its cursor on without a gap.
//!
//! Replay and registration happen in one step under the partition's lock, so nothing is missed and nothing comes twice.
//! What is older than the ring is read from the log before that step, within bounds. A replay is whole or is not made:
//! `resumed: false` tells the client to load the state anew.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemas::Timestamp;
use schemas::socket::{GapReason, Resume, ServerFrame};
use storage::log::{LogError, ReadLimit, Topic as LogTopic};
use tokio::time::Instant;

use super::Inner;
use super::close::CloseCode;
use super::connection::{Class, Connection};
use super::entry::{self, Entry};
use super::frames::encode;
use super::hub::{Member, Topic};
use super::once::{LOOK_BACK, Once};
use super::partition::State;
use crate::auth::principal::Principal;

/// How long a socket waits for the tail of a process that has just started.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Records of one read of a replay.
const READ_RECORDS: usize = 500;

/// What a socket asks for when it signs in.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) id: u64,
    pub(crate) device: Option<Box<str>>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) resume: Option<Resume>,
}

/// A place in the hub; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    inner: Arc<Inner>,
    pub(crate) member: Arc<Member>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.inner.hub.leave(&self.member);
        let principal = &self.member.principal;
        if principal.bot.is_none() {
            self.inner.presence.left(principal.workspace_id, principal.user_id);
        }
        self.inner.boards.stop_if_unwatched(&self.inner.hub, self.member.principal.workspace_id);
    }
}

/// Signs a socket in; its first frames (`ready`, the replay, `resumed`) are queued when this returns.
///
/// # Errors
/// The code with which to close it.
pub(crate) async fn attach(
    inner: &Arc<Inner>,
    connection: &Arc<Connection>,
    principal: Principal,
    wish: Wish,
) -> Result<Registration, CloseCode> {
    let partition = inner.partition_index(principal.workspace_id);
    let Some(held) = inner.partition(partition) else { return Err(CloseCode::NotReady) };
    if tokio::time::timeout(START_TIMEOUT, held.wait_until_started()).await.is_err() {
        return Err(CloseCode::NotReady);
    }
    let mut joining =
        Joining { inner, connection, principal, wish, partition, asked: None, collected: Vec::new(), once: None };
    let mut from = match joining.position() {
        None => return joining.enter(&mut held.lock(), Start::Live),
        Some(Ok(offset)) => *joining.asked.insert(offset),
        Some(Err(reason)) => return joining.enter(&mut held.lock(), Start::Gap(reason)),
    };
    let started = Instant::now();
    let mut scanned = 0;
    loop {
        let behind = {
            let mut state = held.lock();
            if from > state.next {
                None
            } else if from >= state.ring_start {
                return joining.enter(&mut state, Start::From(from));
            } else {
                Some(state.ring_start - from)
            }
        };
        let too_far =
            scanned > inner.config.replay_events || started.elapsed() > Duration::from_millis(inner.config.replay_ms);
        let reason = match behind {
            None if joining.is_ahead_of_log(from).await => Some(GapReason::Epoch),
            // Another node was faster than this one: live events before the cursor are not for this socket.
            None => return joining.enter(&mut held.lock(), Start::From(from)),
            Some(behind) if too_far || behind > inner.config.replay_events => Some(GapReason::TooFar),
            Some(_) => match joining.read(from).await {
                Ok(next) => {
                    scanned += next - from;
                    from = next;
                    None
                }
                Err(reason) => Some(reason),
            },
        };
        if let Some(reason) = reason {
            return joining.enter(&mut held.lock(), Start::Gap(reason));
        }
    }
}

/// From where a socket sees events.
#[derive(Clone, Copy)]
enum Start {
    Live,
    From(u64),
    Gap(GapReason),
}

struct Joining<'a> {
    inner: &'a Arc<Inner>,
    connection: &'a Arc<Connection>,
    principal: Principal,
    wish: Wish,
    partition: u32,
    /// From where the client wishes to go on.
    asked: Option<u64>,
    /// What was read from the log, in order.
    collected: Vec<Entry>,
    /// Tells events from those that were published twice; none before the first read.
    once: Option<Once>,
}

impl Joining<'_> {
    /// Where the client wishes to go on, if it does.
    fn position(&self) -> Option<Result<u64, GapReason>> {
        let resume = self.wish.resume.as_ref()?;
        let cursor = self.inner.cursors.decode(self.principal.workspace_id, self.partition, &resume.cur);
        Some(cursor.map(|offset| match resume.p {
            Some((partition, seen)) if partition == self.partition => offset.max(seen.saturating_add(1)),
            _ => offset,
        }))
    }

    async fn is_ahead_of_log(&self, from: u64) -> bool {
        self.inner.log.bounds(LogTopic::Events, self.partition).await.is_ok_and(|bounds| from > bounds.next)
    }

    /// Reads one batch of the log; returns the next offset.
    async fn read(&mut self, from: u64) -> Result<u64, GapReason> {
        // A storm of old cursors must not occupy the log's disk.
        let _permit = self.inner.replays.acquire().await.map_err(|_closed| GapReason::Unavailable)?;
        let mut once = match self.once {
            Some(once) => once,
            None => self.look_back(from).await?,
        };
        let limit = ReadLimit { records: READ_RECORDS, ..ReadLimit::default() };
        let records =
            self.inner.log.read(LogTopic::Events, self.partition, from, limit).await.map_err(|error| match error {
                LogError::OutOfRange { .. } => GapReason::Retention,
                error => {
                    tracing::warn!(%error, "events cannot be read for a resume");
                    GapReason::Unavailable
                }
            })?;
        for record in &records {
            // What cannot be read was not pushed to anybody either.
            let is_new = entry::source_of(record).is_some_and(|source| once.admits(source));
            if is_new
                && record.key == self.principal.workspace_id
                && let Ok((entry, _)) = entry::read(self.partition, record)
            {
                self.collected.push(entry);
            }
        }
        self.once = Some(once);
        records.last().map(|last| last.offset + 1).ok_or(GapReason::Unavailable)
    }

    /// What the reader of the log would have seen if it had not begun at `from`.
    async fn look_back(&self, from: u64) -> Result<Once, GapReason> {
        let (log, partition) = (&self.inner.log, self.partition);
        let unavailable = |error: LogError| {
            tracing::warn!(%error, "events cannot be read for a resume");
            GapReason::Unavailable
        };
        let earliest = log.bounds(LogTopic::Events, partition).await.map_err(unavailable)?.earliest;
        let mut at = from.saturating_sub(LOOK_BACK).max(earliest);
        let mut once = Once::default();
        while at < from {
            let limit = ReadLimit { records: READ_RECORDS, ..ReadLimit::default() };
            let records = log.read(LogTopic::Events, partition, at, limit).await.map_err(unavailable)?;
            for record in records.iter().filter(|record| record.offset < from) {
                if let Some(source) = entry::source_of(record) {
                    once.admits(source);
                }
            }
            at = records.last().map(|last| last.offset + 1).ok_or(GapReason::Unavailable)?;
        }
        Ok(once)
    }

    /// Registers the socket and queues its first frames, all while the tail stands still.
    fn enter(self, state: &mut State, start: Start) -> Result<Registration, CloseCode> {
        let inner = self.inner;
        let first_offset = match start {
            Start::From(offset) => offset.max(state.next),
            Start::Live | Start::Gap(_) => state.next,
        };
        let workspace_id = self.principal.workspace_id;
        let expires_at = self.principal.expires_at;
        let member = Arc::new(Member::new(Arc::clone(self.connection), self.principal, self.wish.device, first_offset));
        inner.hub.join(&member, &self.wish.topics, inner.config.max_per_user)?;
        let user_id = member.principal.user_id;
        // That a program reads along does not make the person available for whom it acts.
        if member.principal.bot.is_none() {
            inner.presence.came(workspace_id, user_id);
        }
        let registration = Registration { inner: Arc::clone(inner), member };
        let member = &registration.member;

        let mut replay: Vec<Bytes> = Vec::new();
        if let Start::From(offset) = start {
            let ring = state.since(offset).map(Arc::as_ref).filter(|entry| entry.workspace_id == workspace_id);
            let all = self.collected.iter().chain(ring);
            replay.extend(all.filter_map(|entry| entry.frame_of(member.view(entry)).cloned()));
        }
        let mut gap = match start {
            Start::Gap(reason) => Some(reason),
            Start::Live | Start::From(_) => None,
        };
        if replay.len() as u64 > inner.config.replay_events {
            replay = Vec::new();
            gap = Some(GapReason::TooFar);
        }
        let resumed = gap.is_none() && matches!(start, Start::From(_));
        let replay_from = self.asked.filter(|_| resumed).unwrap_or(first_offset);
        let partition = self.partition;
        let ready = Ready { id: self.wish.id, workspace_id, partition, replay_from, first_offset, resumed, gap };
        ready.queue(inner, member, expires_at, &replay);
        Ok(registration)
    }
}

struct Ready {
    id: u64,
    workspace_id: schemas::WorkspaceId,
    partition: u32,
    replay_from: u64,
    first_offset: u64,
    resumed: bool,
    gap: Option<GapReason>,
}

impl Ready {
    fn queue(self, inner: &Inner, member: &Member, expires_at: Timestamp, replay: &[Bytes]) {
        let now = Instant::now();
        let connection = &member.connection;
        let cursor = |offset| inner.cursors.encode(self.workspace_id, self.partition, offset);
        let outcome = match (self.resumed, self.gap) {
            (true, _) => "resumed",
            (false, Some(_)) => "gap",
            (false, None) => "fresh",
        };
        metrics::counter!("saler_socket_sign_ins_total", "outcome" => outcome).increment(1);
        metrics::counter!("saler_socket_replayed_frames_total").increment(replay.len() as u64);
        let ready = ServerFrame::Ready {
            id: self.id,
            user_id: member.principal.user_id,
            // Whoever is cut off in the middle of the replay begins it again.
            cur: cursor(self.replay_from),
            resumed: self.resumed,
            replay: replay.len() as u64,
            gap: self.gap,
            expires_at,
        };
        connection.push(&encode(&ready), Class::Control, now);
        for frame in replay {
            connection.push(frame, Class::Replayed, now);
        }
        if self.resumed {
            let resumed = ServerFrame::Resumed { n: replay.len() as u64, cur: cursor(self.first_offset) };
            connection.push(&encode(&resumed), Class::Control, now);
        }
    }
}
