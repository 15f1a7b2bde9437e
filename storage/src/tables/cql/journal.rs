//! Batches that are derived from the log: whose turn it is, and how a batch becomes whole whatever happens.
//!
//! A batch changes rows of many partitions, which the servers cannot do at once. So a partition of the log has one row in
//! `turn_journal`, written only conditionally:
//!
//! | column | holds |
//! | --- | --- |
//! | `turn` | the turn that is on |
//! | `version` | the version of the last batch: larger than that of every one before |
//! | `data` | that batch |
//!
//! 1. **Commit.** `UPDATE … SET version, data IF turn = mine AND version = the one before`. This is the moment at which the
//!    batch is made, or refused because another process has taken a turn. A batch over [`INLINE_BYTES`] is put into
//!    `turn_journal_chunks` first, and `data` only names it.
//! 2. **Apply.** The rows are written, each with the version as its timestamp. Doing it twice, or late, changes nothing: a
//!    row of a later batch has a larger timestamp. Rows that only a next turn reads are not written but carried on to the
//!    next batch: see `carried`.
//! 3. The next batch overwrites `data`: not before this one is applied.
//!
//! A process that dies between 1 and 2 leaves a batch that is committed and not applied. Who takes the next turn raises
//! `turn`, so that nothing more is committed in the old one, then reads the journal and applies what it finds there.
//!
//! A process of which a request failed does not know what became of its batch. It forgets where it stood, and the next write
//! reads the journal (with a serial read, which first finishes or ends what was under way) and applies what it finds, just
//! as after taking a turn.
//!
//! # Versions
//!
//! `version = max(version before + 1, next_offset × 1024)`. The first makes each batch later than the one before, also if it
//! derives from no further command; the second makes it later than all rows there are even if the journal was lost.
//!
//! # A late apply
//!
//! A process that is stopped between 1 and 2, and goes on when another has the turn, writes rows with an old timestamp: the
//! newer ones stay. A deletion counts as newer only as long as its tombstone is kept, ten minutes at least. So a process that finds
//! itself later than half a minute after its commit applies nothing more (see `apply`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use scylla::response::query_result::QueryResult;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::apply::apply;
use super::carried::{Carried, Parted};
use super::changes::Change;
use super::failure::Failure;
use super::journal_codec::{self as codec, Journaled};
use super::schema::TURN_JOURNAL;
use super::server::Server;
use super::statements::Own;
use super::values::{Answer, AnswerRow, Bind};
use crate::tables::{Derivation, TablesError};

/// A batch up to this many bytes stands in its row of the journal: 512 KiB. A conditional write stores it twice.
const INLINE_BYTES: usize = 512 << 10;

/// The size of the parts of a larger one: 512 KiB.
const CHUNK_BYTES: usize = 512 << 10;

/// How many parts are written at once.
const CHUNKS_AT_ONCE: usize = 8;

/// How often a commit or a turn is tried again within one call when its outcome is not known or another was faster.
const ATTEMPTS: usize = 8;

/// By how much the offset is multiplied to make a version: so many batches may derive from one offset.
const VERSIONS_OF_OFFSET: i64 = 1_024;

/// The journals of all partitions of the log.
#[derive(Debug)]
pub(super) struct Journal {
    server: Arc<Server>,
    /// Where this process stands in each partition in which it has taken a turn.
    places: Mutex<BTreeMap<u32, Held>>,
    /// Turns are taken one after the other, so that a process does not compete with itself.
    taking: Semaphore,
}

/// The last turn that this process knows of, and where its journal stands if all of it is applied.
#[derive(Debug)]
struct Held {
    turn: u64,
    place: Option<Place>,
}

/// Where a journal stands.
#[derive(Debug)]
struct Place {
    version: i64,
    /// The turn of the batch in the journal, if its parts stand elsewhere.
    chunks_of: Option<u64>,
    /// What stands in the journal alone.
    carried: Carried,
}

/// A batch that is committed.
#[derive(Debug)]
pub(super) struct Made<'a> {
    version: i64,
    chunks_of: Option<u64>,
    batch: Parted<'a>,
    at: Instant,
}

/// A row of the journal.
struct Head {
    turn: u64,
    version: i64,
    data: Vec<u8>,
}

/// What became of a commit.
enum Committed {
    /// It is made.
    Yes,
    /// The journal does not stand where it was thought to stand.
    No,
}

impl Journal {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, places: Mutex::default(), taking: Semaphore::new(1) }
    }

    /// Takes the next turn, and applies what is left of the one before.
    pub(super) async fn take_turn(&self, partition: u32) -> Result<u64, TablesError> {
        let _permit = self.taking.acquire().await;
        for _ in 0..ATTEMPTS {
            let Some(head) = self.read(partition).await? else {
                match self.change(Own::BeginTurns, vec![log_partition(partition)]).await {
                    Ok(true) => return Ok(self.stand(partition, 1, Place::of(0, None))),
                    Ok(false) | Err(Failure::Unknown(_)) => continue,
                    Err(failure) => return Err(failure.into()),
                }
            };
            let turn = head.turn + 1;
            let values = vec![number(turn), log_partition(partition), number(head.turn)];
            match self.change(Own::TakeTurn, values).await {
                Ok(true) => {
                    self.forget(partition, turn);
                    // Only now the journal is still: what was committed in the old turn stands in it.
                    let place = self.recover(partition, turn).await?;
                    return Ok(self.stand(partition, turn, place));
                }
                // Another was faster, or it is not known: if the turn was raised unheard, the next one is taken.
                Ok(false) | Err(Failure::Unknown(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(contended(partition))
    }

    /// Commits a batch and applies it.
    pub(super) async fn write(&self, derivation: Derivation, changes: &[Change]) -> Result<(), TablesError> {
        let Made { version, chunks_of, batch, at } = self.commit(derivation, changes).await?;
        apply(&self.server, batch.written(), version, at).await?;
        let place = Place { version, chunks_of, carried: batch.carried };
        self.stand(derivation.partition, derivation.turn, place);
        Ok(())
    }

    /// Writes what is carried in a partition of the log, or in all, so that it can be read.
    pub(super) async fn settle(&self, partition: Option<u32>) -> Result<(), TablesError> {
        for (partition, turn, place) in self.take_carrying(partition) {
            apply(&self.server, place.carried.changes(), place.version, Instant::now()).await?;
            self.stand(partition, turn, Place { carried: place.carried.all_written(), ..place });
        }
        Ok(())
    }

    /// Commits a batch, which the next write or turn applies.
    pub(super) async fn commit<'a>(
        &self,
        derivation: Derivation,
        changes: &'a [Change],
    ) -> Result<Made<'a>, TablesError> {
        let Derivation { partition, turn, next_offset } = derivation;
        let mut attempted: Option<(Made<'a>, Vec<u8>)> = None;
        for _ in 0..ATTEMPTS {
            let before = match (self.take_place(partition, turn)?, attempted.take()) {
                (Some(place), _) => place,
                (None, None) => self.recover(partition, turn).await?,
                (None, Some((made, data))) => {
                    let head = self.head_of_turn(partition, turn).await?;
                    if (head.version, &head.data) == (made.version, &data) {
                        return Ok(Made { at: Instant::now(), ..made });
                    }
                    self.apply_head(partition, head).await?
                }
            };
            let batch = Parted::new(before.carried, changes);
            let of_offset = i64::try_from(next_offset).unwrap_or(i64::MAX).saturating_mul(VERSIONS_OF_OFFSET);
            let version = of_offset.max(before.version + 1);
            let encoded = codec::encode(batch.journaled())?;
            let (chunks_of, data) = self.put_chunks(derivation, version, encoded).await?;
            let made = Made { version, chunks_of, batch, at: Instant::now() };
            match self.commit_head(derivation, before.version, version, &data).await {
                Ok(Committed::Yes) => {
                    self.delete_chunks(partition, before.version, before.chunks_of).await;
                    return Ok(made);
                }
                // What is not known is looked up in the next round.
                Ok(Committed::No) | Err(Failure::Unknown(_)) => attempted = Some((made, data)),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(contended(partition))
    }

    async fn commit_head(
        &self,
        derivation: Derivation,
        before: i64,
        version: i64,
        data: &[u8],
    ) -> Result<Committed, Failure> {
        let values = vec![
            Bind::Int(version),
            Bind::Bytes(data),
            log_partition(derivation.partition),
            number(derivation.turn),
            Bind::Int(before),
        ];
        Ok(if self.change(Own::Commit, values).await? { Committed::Yes } else { Committed::No })
    }

    /// The row of the journal, if `turn` is on.
    async fn head_of_turn(&self, partition: u32, turn: u64) -> Result<Head, TablesError> {
        match self.read(partition).await? {
            Some(head) if head.turn == turn => Ok(head),
            Some(head) => {
                self.forget(partition, head.turn);
                Err(TablesError::Superseded { partition })
            }
            None => Err(TablesError::Superseded { partition }),
        }
    }

    /// Applies what the journal holds.
    async fn recover(&self, partition: u32, turn: u64) -> Result<Place, TablesError> {
        let head = self.head_of_turn(partition, turn).await?;
        self.apply_head(partition, head).await
    }

    async fn apply_head(&self, partition: u32, head: Head) -> Result<Place, TablesError> {
        if head.data.is_empty() {
            return Ok(Place::of(head.version, None));
        }
        let read_at = Instant::now();
        let (changes, chunks_of) = match codec::decode(&head.data)? {
            Journaled::Inline(changes) => (changes, None),
            Journaled::Chunked { turn, bytes } => {
                let data = self.read_chunks(partition, turn, head.version, bytes).await?;
                match codec::decode(&data)? {
                    Journaled::Inline(changes) => (changes, Some(turn)),
                    Journaled::Chunked { .. } => return Err(codec::damaged("a part of a batch names other parts")),
                }
            }
        };
        apply(&self.server, &changes, head.version, read_at).await?;
        metrics::counter!("saler_tables_recovered_batches_total").increment(1);
        tracing::info!(
            partition,
            version = head.version,
            rows = changes.len(),
            "the last derived batch was applied anew"
        );
        Ok(Place { version: head.version, chunks_of, carried: Carried::none_of(&changes) })
    }

    /// Puts a large batch into parts. Returns the turn that they stand under, and what the journal is to hold.
    async fn put_chunks(
        &self,
        derivation: Derivation,
        version: i64,
        encoded: Vec<u8>,
    ) -> Result<(Option<u64>, Vec<u8>), TablesError> {
        if encoded.len() <= INLINE_BYTES {
            return Ok((None, encoded));
        }
        let Derivation { partition, turn, .. } = derivation;
        let writes: Vec<_> = (0_i64..)
            .zip(encoded.chunks(CHUNK_BYTES))
            .map(|(chunk, bytes)| {
                let mut values = batch_key(partition, turn, version);
                values.extend([Bind::Int(chunk), Bind::Bytes(bytes)]);
                self.server.operate_own(Own::PutChunk, values)
            })
            .collect();
        let mut writes = futures::stream::iter(writes).buffer_unordered(CHUNKS_AT_ONCE);
        while let Some(result) = writes.next().await {
            result?;
        }
        Ok((Some(turn), codec::encode_chunked(turn, encoded.len())))
    }

    async fn read_chunks(&self, partition: u32, turn: u64, version: i64, bytes: usize) -> Result<Vec<u8>, TablesError> {
        let result = self.server.operate_own(Own::ReadChunks, batch_key(partition, turn, version)).await?;
        let mut data = Vec::with_capacity(bytes);
        for mut row in rows_of(result)? {
            data.append(&mut row.bytes("data").unwrap_or_default());
        }
        if data.len() == bytes {
            return Ok(data);
        }
        Err(codec::damaged(&format!("of a batch of {bytes} bytes, {} are there", data.len())))
    }

    /// Removes the parts of a batch that the journal no longer holds. Parts that stay take room, and do no other harm.
    async fn delete_chunks(&self, partition: u32, version: i64, chunks_of: Option<u64>) {
        let Some(turn) = chunks_of else { return };
        if let Err(error) = self.server.operate_own(Own::DeleteChunks, batch_key(partition, turn, version)).await {
            tracing::warn!(partition, %error, "the parts of an applied batch could not be removed");
        }
    }

    async fn read(&self, partition: u32) -> Result<Option<Head>, TablesError> {
        let result = self.server.operate_own(Own::ReadJournal, vec![log_partition(partition)]).await?;
        let Some(row) = &mut rows_of(result)?.into_iter().next() else { return Ok(None) };
        let (Some(turn), Some(version)) = (row.int("turn"), row.int("version")) else {
            return Err(codec::damaged("a row has no turn"));
        };
        Ok(Some(Head { turn: turn.cast_unsigned(), version, data: row.bytes("data").unwrap_or_default() }))
    }

    /// Whether a conditional statement was carried out.
    async fn change(&self, own: Own, values: Vec<Bind<'_>>) -> Result<bool, Failure> {
        let result = self.server.operate_own(own, values).await?;
        let mut rows = rows_of(result).map_err(|error| Failure::Unknown(error.to_string()))?;
        Ok(rows.first_mut().is_some_and(AnswerRow::was_applied))
    }

    /// Takes out where this process stands in a turn. `None` if it does not know, which is so too while it writes: whatever
    /// ends a write half-way leaves it so.
    fn take_place(&self, partition: u32, turn: u64) -> Result<Option<Place>, TablesError> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(&partition) {
            Some(held) if held.turn > turn => Err(TablesError::Superseded { partition }),
            Some(held) if held.turn == turn => Ok(held.place.take()),
            _ => Ok(None),
        }
    }

    /// Takes out the places that carry something, as for a write.
    fn take_carrying(&self, only: Option<u32>) -> Vec<(u32, u64, Place)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = places.iter_mut().filter(|(partition, _)| only.is_none_or(|only| only == **partition));
        wanted
            .filter_map(|(partition, held)| {
                let place = held.place.take_if(|place| !place.carried.is_empty())?;
                Some((*partition, held.turn, place))
            })
            .collect()
    }

    /// Notes that all of a turn's journal is applied, but for what is carried.
    fn stand(&self, partition: u32, turn: u64, place: Place) -> u64 {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let held = places.entry(partition).or_insert(Held { turn, place: None });
        if held.turn <= turn {
            *held = Held { turn, place: Some(place) };
        }
        turn
    }

    /// Notes that a turn is on, and nothing of what its journal holds.
    fn forget(&self, partition: u32, turn: u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let held = places.entry(partition).or_insert(Held { turn, place: None });
        if held.turn <= turn {
            *held = Held { turn, place: None };
        }
    }
}

impl Place {
    /// One that carries nothing.
    fn of(version: i64, chunks_of: Option<u64>) -> Self {
        Self { version, chunks_of, carried: Carried::default() }
    }
}

fn rows_of(result: QueryResult) -> Result<Vec<AnswerRow>, TablesError> {
    let rows = result.into_rows_result().map_err(|error| TablesError::Unavailable { reason: error.to_string() })?;
    Ok(Answer::new(TURN_JOURNAL, &rows)?.into_rows().collect())
}

fn batch_key(partition: u32, turn: u64, version: i64) -> Vec<Bind<'static>> {
    vec![log_partition(partition), number(turn), Bind::Int(version)]
}

fn log_partition(partition: u32) -> Bind<'static> {
    Bind::Int(i64::from(partition))
}

const fn number(turn: u64) -> Bind<'static> {
    Bind::Int(turn.cast_signed())
}

fn contended(partition: u32) -> TablesError {
    TablesError::Unavailable {
        reason: format!("the journal of partition {partition} of the log is being written by others: try again"),
    }
}
