//! What is done to a partition's files beside following the log: the lake's logs, merging, and removing what is not needed
//! any more. It runs by itself, so that events never wait for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemas::Timestamp;
use storage::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::lake::{DeltaError, LakeOptions, Place, Publisher};
use crate::schema;
use crate::store::StoreError;
use crate::store::file::io_error;
use crate::tail::Tail;

/// How often it looks whether there is something to do, when nothing is flushed.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often it is looked for rows that are too old.
const AGE_EVERY: Duration = Duration::from_hours(1);

/// What can go wrong; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// Files cannot be merged or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A Delta log cannot be written.
    #[error("the lake cannot be published")]
    Lake(#[from] DeltaError),
}

/// Keeps up the files of a partition.
#[derive(Debug)]
pub(crate) struct Upkeep {
    tail: Arc<Tail>,
    clock: Arc<dyn Clock>,
    retention: BTreeMap<&'static str, Duration>,
    /// Held by whoever is at work.
    state: Mutex<State>,
    copy: Option<Copy>,
}

/// A copy of the lake elsewhere, which may be slow or away for a while: nothing here waits for it.
#[derive(Debug)]
struct Copy {
    place: Arc<dyn Place>,
    partitions: u32,
    keep_replaced: Duration,
    publisher: Mutex<Option<Publisher>>,
}

#[derive(Debug)]
struct State {
    /// `None`: nothing is published.
    publisher: Option<Publisher>,
    /// When it is looked for rows that are too old.
    age_at: Timestamp,
}

impl Upkeep {
    pub(crate) fn new(tail: Arc<Tail>, partitions: u32, options: &LakeOptions, clock: Arc<dyn Clock>) -> Self {
        let publisher = options.publish.then(|| {
            tail.partition().keep_replaced();
            Publisher::new(tail.folder().join("lake"), tail.number, partitions, options.keep_replaced)
        });
        let state = Mutex::new(State { publisher, age_at: clock.now() });
        let copy = options.remote.as_ref().map(|place| Copy {
            place: Arc::clone(place),
            partitions,
            keep_replaced: options.keep_replaced,
            publisher: Mutex::new(None),
        });
        Self { tail, clock, retention: options.retention.clone(), state, copy }
    }

    /// Works after each commit, and now and then, until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        self.each_commit(cancel, Self::work, "the analytics' files cannot be kept up; trying again").await;
    }

    /// Keeps the copy elsewhere up to date, if there is to be one, until cancelled.
    pub(crate) async fn run_copy(self: Arc<Self>, cancel: CancellationToken) {
        if self.copy.is_some() {
            self.each_commit(cancel, Self::publish_copy, "the lake's copy cannot be written; trying again").await;
        }
    }

    async fn each_commit(
        self: Arc<Self>,
        cancel: CancellationToken,
        work: fn(&Self) -> Result<(), UpkeepError>,
        complaint: &'static str,
    ) {
        let mut commits = self.tail.commits();
        loop {
            commits.mark_unchanged();
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || work(&this)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    metrics::counter!("saler_lake_failures_total").increment(1);
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(partition = self.tail.number, error, "{complaint}");
                }
                Err(error) => tracing::error!(partition = self.tail.number, %error, "upkeep was lost"),
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                // The sender lives as long as this.
                _changed = commits.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Does all there is to do. Blocks.
    ///
    /// # Errors
    /// What failed last; what did not depend on it was done.
    pub(crate) fn work(&self) -> Result<(), UpkeepError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failure = None;
        loop {
            // Merged are only files that the lake has shown, so that its log can say: these became that one.
            let (committed, merge) = {
                let mut partition = self.tail.partition();
                (partition.committed(), partition.next_merge())
            };
            if let Some(publisher) = state.publisher.as_mut() {
                failure = publisher.publish(&committed, self.clock.now()).err().or(failure);
            }
            if let Some(merge) = merge {
                let merged = merge.write()?;
                self.tail.commit(|partition| partition.plan_merge_commit(&merge, merged))?;
            } else if !self.remove_old(&mut state)? {
                break;
            }
        }
        if let Some(publisher) = state.publisher.as_mut() {
            self.remove_expired(publisher)?;
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Publishes what is committed, and nothing else. Blocks.
    ///
    /// # Errors
    /// If the lake cannot be written.
    pub(crate) fn publish(&self) -> Result<(), UpkeepError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(publisher) = state.publisher.as_mut() else { return Ok(()) };
        let committed = self.tail.partition().committed();
        publisher.publish(&committed, self.clock.now())?;
        Ok(())
    }

    /// Brings the copy elsewhere to what is committed. Blocks.
    ///
    /// # Errors
    /// If the place cannot be read or written, or another lake publishes there.
    pub(crate) fn publish_copy(&self) -> Result<(), UpkeepError> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let mut publisher = copy.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        if publisher.is_none() {
            let (place, folder) = (Arc::clone(&copy.place), self.tail.folder().join("lake"));
            let made = Publisher::of_copy(place, folder, self.tail.number, copy.partitions, copy.keep_replaced);
            *publisher = Some(made.map_err(DeltaError::from)?);
        }
        let Some(publisher) = publisher.as_mut() else { return Ok(()) };
        let committed = self.tail.partition().committed();
        let outcome = publisher.publish(&committed, self.clock.now());
        publisher.remove_expired(self.clock.now())?;
        outcome?;
        Ok(())
    }

    /// Removes rows that are too old, if it is time to. Returns whether files have changed.
    fn remove_old(&self, state: &mut State) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if now < state.age_at {
            return Ok(false);
        }
        let mut changed = false;
        for (table, keep) in &self.retention {
            let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
            let before = Timestamp::from_unix_micros(now.unix_micros().saturating_sub(keep));
            let table = schema::by_name(table);
            let Some(removal) = table.and_then(|table| self.tail.partition().begin_removal(table, before)) else {
                continue;
            };
            let aged = removal.write()?;
            if !aged.is_empty() {
                self.tail.commit(|partition| partition.plan_removal_commit(&removal, aged))?;
                changed = true;
            }
        }
        state.age_at = now.after(AGE_EVERY);
        Ok(changed)
    }

    fn remove_expired(&self, publisher: &mut Publisher) -> Result<(), StoreError> {
        for path in publisher.take_expired(self.clock.now()) {
            // A file that was replaced before the last start is known to nobody but the lake.
            if self.tail.partition().forget_replaced(&path) {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io_error("remove", &path)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
