//! The lake: the committed files as tables of an open format, for programs that know nothing of the hub.
//!
//! Each table of each workspace has a Delta log ([`delta`]) beside its own Parquet files; no byte of a row is copied. The
//! manifest is the truth and the Delta log follows it: after each flush and each merge, and at start, the two are compared and
//! the difference is committed. So a crash between them costs nothing but delay, and nothing is committed twice.
//!
//! Files that were replaced stay for a while, for readers that began before.

mod contents;
mod delta;
mod derive;
mod digest;
mod place;
mod rebuild;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemas::{Timestamp, WorkspaceId};
use storage::log::LogError;

pub use self::contents::{TableContents, contents};
pub use self::delta::{CheckpointError, DeltaError, DeltaLog, RetypedColumn, Wanted, table_folder};
pub use self::derive::{DeriveError, Progress};
pub use self::place::{LocalPlace, Place, PlaceError};
pub use self::rebuild::{RebuildReport, Rebuilt, rebuild};
pub use self::verify::{Outcome, PartitionReport, TableReport, VerifyReport, verify};
use crate::schema;
use crate::store::file::DataFile;
use crate::store::{Committed, StoreError};

/// How many Delta logs are kept in memory; when there are more, all are read again when they are needed.
const KEPT_LOGS: usize = 2_048;

/// A table of a workspace.
type TableKey = (WorkspaceId, &'static str);

/// How the lake is kept.
#[derive(Clone, Debug)]
pub struct LakeOptions {
    /// Whether there are Delta logs.
    pub publish: bool,
    /// How long a file that was replaced stays, for readers that began before. The same holds for old versions of the logs.
    pub keep_replaced: Duration,
    /// How old rows may become, by table; of the others they stay for ever. Tables of things that change have no age.
    pub retention: BTreeMap<&'static str, Duration>,
    /// Where a copy of the published lake is kept, for readers elsewhere.
    pub remote: Option<Arc<dyn Place>>,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self { publish: true, keep_replaced: Duration::from_hours(1), retention: BTreeMap::new(), remote: None }
    }
}

/// Why the lake cannot be listed, verified or rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Its files cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows cannot be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// The Delta log cannot be written.
    #[error("the lake cannot be published; the hub does it when it starts")]
    Delta(#[from] DeltaError),
    /// A task was cancelled or has panicked.
    #[error("a task was lost")]
    Lost(#[from] tokio::task::JoinError),
    /// The lake comes from another log.
    #[error(
        "the lake of partition {partition} comes from another history of the log: start the hub, which derives it again"
    )]
    OtherHistory {
        /// Which partition.
        partition: u32,
    },
    /// The log ends before what the lake reflects.
    #[error(
        "the lake of partition {partition} reflects {until} events, the log has {end}: it is not the log of this lake"
    )]
    ShortLog {
        /// Which partition.
        partition: u32,
        /// What the lake reflects.
        until: u64,
        /// What the log has.
        end: u64,
    },
    /// A rebuild would lose rows.
    #[error(
        "retention has removed the events of partition {partition} before offset {earliest} from the log, and the lake has rows          of those from {missed} on: a rebuild would lose them. Rebuild on a copy of the data folder from before, or keep          the lake as it is"
    )]
    Loss {
        /// Which partition.
        partition: u32,
        /// The first offset that the lake reflects.
        missed: u64,
        /// The first offset that the log holds.
        earliest: u64,
    },
}

/// Keeps the Delta logs of a partition's tables.
#[derive(Debug)]
pub struct Publisher {
    place: Arc<dyn Place>,
    folder: PathBuf,
    partition: u32,
    keep_replaced: Duration,
    /// The name of the lake, if a copy of it is kept elsewhere.
    copy_of: Option<String>,
    logs: BTreeMap<TableKey, DeltaLog>,
    /// What each table's log is known to show.
    published: BTreeMap<TableKey, u64>,
    /// Replaced files: when they may go, and where they are.
    replaced: BTreeSet<(i64, TableKey, String)>,
}

impl Publisher {
    /// A publisher for the tables of a partition, whose files are in `folder`, one folder a workspace.
    pub fn new(folder: PathBuf, partition: u32, partitions: u32, keep_replaced: Duration) -> Self {
        let place = Arc::new(LocalPlace::new(folder.clone()));
        Self::at(place, folder, partition, partitions, keep_replaced)
    }

    /// The same with another way to the same folder.
    pub fn at(
        place: Arc<dyn Place>,
        folder: PathBuf,
        partition: u32,
        partitions: u32,
        keep_replaced: Duration,
    ) -> Self {
        let published = tables_with_logs(&folder)
            .into_iter()
            .filter(|(workspace_id, _)| storage::log::partition_of(*workspace_id, partitions) == partition)
            // No files have this hash, or the comparison is made once in vain.
            .map(|key| (key, 0))
            .collect();
        let logs = BTreeMap::new();
        Self { place, folder, partition, keep_replaced, copy_of: None, logs, published, replaced: BTreeSet::new() }
    }

    /// A publisher that keeps a copy of the lake in `folder` up to date in another place. Files there have the lake's name
    /// before their own, so two lakes never confuse theirs.
    ///
    /// # Errors
    /// If the lake has no name yet and none can be written.
    pub fn of_copy(
        place: Arc<dyn Place>,
        folder: PathBuf,
        partition: u32,
        partitions: u32,
        keep_replaced: Duration,
    ) -> Result<Self, PlaceError> {
        let lake = lake_name(&folder)?;
        let publisher = Self::at(place, folder, partition, partitions, keep_replaced);
        Ok(Self { copy_of: Some(lake), ..publisher })
    }

    /// Brings the logs to what is committed. Returns how many commits that took. All tables are tried, whatever becomes of
    /// one.
    ///
    /// # Errors
    /// The first [`DeltaError`] of a table; it is tried again next time.
    pub fn publish(&mut self, committed: &Committed, now: Timestamp) -> Result<usize, DeltaError> {
        if committed.next_offset.is_none() {
            return Ok(0);
        }
        let workspaces: BTreeSet<WorkspaceId> = committed.files.keys().map(|(id, _)| *id).collect();
        let mut keys: BTreeSet<TableKey> = self.published.keys().copied().collect();
        keys.extend(workspaces.iter().flat_map(|id| schema::STORED.iter().map(|table| (*id, table.name))));
        let app_id = format!("saler/{}/events/{}", committed.epoch, self.partition);
        let (mut commits, mut failure) = (0, None);
        for key in keys {
            let files = committed.files.get(&key).map(Vec::as_slice).unwrap_or_default();
            let hash = fingerprint(files);
            if self.published.get(&key) == Some(&hash) {
                continue;
            }
            match self.publish_table(key, files, &app_id, committed.next_offset, now) {
                Ok(Published { commits: made, is_current }) => {
                    commits += made;
                    if is_current {
                        self.published.insert(key, hash);
                    }
                }
                Err(error) => {
                    // What is known of it may be wrong.
                    self.logs.remove(&key);
                    failure.get_or_insert(error);
                }
            }
        }
        metrics::counter!("saler_lake_commits_total").increment(commits as u64);
        failure.map_or(Ok(commits), Err)
    }

    /// The files whose time is over: nobody may need them any more. Each is told once.
    pub fn take_expired(&mut self, now: Timestamp) -> Vec<PathBuf> {
        let mut expired = Vec::new();
        while self.replaced.first().is_some_and(|(due, ..)| *due <= now.unix_millis()) {
            let Some((_, (workspace_id, table), name)) = self.replaced.pop_first() else { break };
            if let Some(log) = self.logs.get_mut(&(workspace_id, table)) {
                log.forget(&name);
            }
            expired.push(self.folder.join(format!("workspace={workspace_id}")).join(table).join(name));
        }
        expired
    }

    /// Removes the files of a copy whose time is over.
    ///
    /// # Errors
    /// If one cannot be removed; the others wait for the next start.
    pub fn remove_expired(&mut self, now: Timestamp) -> Result<(), DeltaError> {
        for path in self.take_expired(now) {
            let relative = path.strip_prefix(&self.folder).unwrap_or(&path);
            self.place.remove(&relative.to_string_lossy())?;
        }
        Ok(())
    }

    fn publish_table(
        &mut self,
        (workspace_id, name): TableKey,
        files: &[Arc<DataFile>],
        app_id: &str,
        next_offset: Option<u64>,
        now: Timestamp,
    ) -> Result<Published, DeltaError> {
        let Some(table) = schema::by_name(name) else { return Ok(Published { commits: 0, is_current: true }) };
        if self.logs.len() >= KEPT_LOGS {
            self.logs.clear();
        }
        let folder = table_folder(workspace_id, table);
        let copy_of = self.copy_of.as_deref();
        let wanted = Wanted { workspace_id, table, files, app_id, next_offset, copy_of };
        let mut log = match self.logs.remove(&(workspace_id, name)) {
            Some(log) => log,
            None if copy_of.is_some() => {
                let log = DeltaLog::load(self.place.as_ref(), &folder, now)?;
                log.remove_unnamed(self.place.as_ref(), &wanted)?;
                log
            }
            None => load(self.place.as_ref(), &folder, now)?,
        };
        let committed = log.publish(self.place.as_ref(), &wanted, now)?;
        let keep = i64::try_from(self.keep_replaced.as_millis()).unwrap_or(i64::MAX);
        let due = |(name, at): (&str, i64)| (at.saturating_add(keep), (workspace_id, table.name), name.to_owned());
        self.replaced.extend(log.removed().map(due));
        let cut = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(keep));
        if let Err(error) = log.tidy(self.place.as_ref(), now, cut) {
            tracing::warn!(error = &error as &dyn std::error::Error, folder, "a Delta log cannot be tidied yet");
        }
        let is_current = log.next_offset(app_id) <= next_offset;
        self.logs.insert((workspace_id, name), log);
        Ok(Published { commits: usize::from(committed), is_current })
    }
}

/// What became of a table.
struct Published {
    commits: usize,
    /// Whether the log shows what is committed.
    is_current: bool,
}

/// Reads a log. One that is damaged is begun anew: it only repeats what the manifest says.
fn load(place: &dyn Place, folder: &str, now: Timestamp) -> Result<DeltaLog, DeltaError> {
    match DeltaLog::load(place, folder, now) {
        Err(error @ (DeltaError::Damaged { .. } | DeltaError::Missing { .. })) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                folder,
                "a Delta log is damaged and is written anew: its older versions are lost, its rows are not"
            );
            delta::remove_log(place, folder)?;
            DeltaLog::load(place, folder, now)
        }
        loaded => loaded,
    }
}

/// The names of the files in a table's folder that its Delta log shows, now or to readers that have not gone on yet.
pub(crate) fn shown_files(table_folder: &Path) -> BTreeSet<String> {
    if !delta::has_log(table_folder) {
        return BTreeSet::new();
    }
    delta::shown_files(&LocalPlace::new(table_folder.to_owned()), ".").into_iter().collect()
}

fn tables_with_logs(folder: &Path) -> Vec<TableKey> {
    let workspaces = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ids = workspaces
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("workspace=")?.parse::<WorkspaceId>().ok());
    let has_log = |(id, table): &TableKey| delta::has_log(&folder.join(format!("workspace={id}")).join(table));
    ids.flat_map(|id| schema::STORED.iter().map(move |table| (id, table.name))).filter(has_log).collect()
}

/// The name of the lake in a folder; one that has none is given one.
fn lake_name(folder: &Path) -> Result<String, PlaceError> {
    let place = LocalPlace::new(folder.to_owned());
    if let Ok(name) = place.read("name")
        && let Ok(name) = String::from_utf8(name)
    {
        return Ok(name);
    }
    // Keys of the standard library's hash maps are random.
    let name = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    place.replace("name", name.as_bytes())?;
    Ok(name)
}

fn fingerprint(files: &[Arc<DataFile>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.name().hash(&mut hasher);
    }
    hasher.finish()
}
