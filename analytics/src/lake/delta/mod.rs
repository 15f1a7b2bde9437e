//! The Delta log of one table: `_delta_log` beside the table's Parquet files, by version 1 (readers) and 2 (writers) of the
//! Delta protocol.
//!
//! ```text
//! <table>/_delta_log/00000000000000000007.json                 a commit: its actions, one a line
//! <table>/_delta_log/00000000000000000020.checkpoint.parquet   all that holds after commit 20
//! <table>/_delta_log/_last_checkpoint                          which checkpoint is the newest
//! ```
//!
//! A commit counts once its file is there, and none is ever written over. What a commit says is not decided here: it is the
//! difference between the files that the log holds and those that the table has. So publishing twice does nothing, and
//! publishing after a crash does what was left.

mod action;
mod checkpoint;
mod columns;
mod difference;
mod stats;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemas::{Timestamp, WorkspaceId};
use serde_json::json;

use self::action::{Action, Add, MetaData, PROTOCOL, Remove, Txn, from_lines, to_lines};
pub use self::checkpoint::CheckpointError;
pub use self::columns::RetypedColumn;
use self::difference::actions;
use super::place::{Place, PlaceError};
use crate::schema::Table;
use crate::store::file::{DataFile, FileError};

/// The folder of the log in the table's folder.
const LOG_FOLDER: &str = "_delta_log";
/// After how many commits there is a checkpoint.
const CHECKPOINT_EVERY: u64 = 20;
/// How often a commit is tried when others commit at the same time.
const ATTEMPTS: usize = 5;

/// How long another lake that publishes to the same place must have been silent before it is taken for gone.
const SILENCE: Duration = Duration::from_mins(10);

/// What can go wrong with a Delta log.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// A file of it cannot be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file of the table cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of the log is not what it should be.
    #[error("{path} is damaged")]
    Damaged {
        /// Which.
        path: String,
        /// How.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A commit is missing between others.
    #[error("commit {version} of {folder} is missing")]
    Missing {
        /// Which.
        version: u64,
        /// Of which table.
        folder: String,
    },
    /// Somebody made the table into one that this program does not understand.
    #[error(
        "{folder} wants reader version {reader} and writer version {writer} of the Delta protocol, this program has 1 and 2"
    )]
    Protocol {
        /// Which table.
        folder: String,
        /// What readers need.
        reader: i32,
        /// What writers need.
        writer: i32,
    },
    /// A column has another type than before.
    #[error("the columns of {folder} cannot be declared")]
    Columns {
        /// Of which table.
        folder: String,
        /// Which column.
        #[source]
        source: RetypedColumn,
    },
    /// Somebody else commits all the time.
    #[error("{folder} was changed by somebody else at each of {ATTEMPTS} attempts to commit")]
    Contended {
        /// Which table.
        folder: String,
    },
    /// Another lake publishes to the same place.
    #[error(
        "another process publishes to {folder}, the last time {ago_s} s ago: of the processes with the role analytics, only one \
         may have lake.url; it is taken over after {} s of silence", SILENCE.as_secs()
    )]
    Taken {
        /// Which table.
        folder: String,
        /// Seconds since its last commit.
        ago_s: u64,
    },
    /// An action has no JSON form.
    #[error("an action cannot be written")]
    Encode(#[source] serde_json::Error),
    /// A checkpoint cannot be made.
    #[error("a checkpoint cannot be written")]
    Checkpoint(#[from] CheckpointError),
}

/// What a table is to hold.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Of which workspace.
    pub workspace_id: WorkspaceId,
    /// Which table.
    pub table: &'static Table,
    /// Its files.
    pub files: &'a [Arc<DataFile>],
    /// Which partition of which history of the log they come from.
    pub app_id: &'a str,
    /// The next offset of it that they do not reflect.
    pub next_offset: Option<u64>,
    /// The lake from which a place elsewhere is kept a copy: files have its name before their own there. `None`: the log
    /// stands beside the files.
    pub copy_of: Option<&'a str>,
}

impl Wanted<'_> {
    /// What a file with this name is called where the table is.
    fn name(&self, name: &str) -> String {
        self.copy_of.map_or_else(|| name.to_owned(), |lake| format!("{lake}-{name}"))
    }
}

/// How a table stands in its Delta log.
#[derive(Debug)]
pub struct DeltaLog {
    folder: String,
    version: Option<u64>,
    meta_data: Option<MetaData>,
    active: BTreeMap<String, Add>,
    removed: BTreeMap<String, Remove>,
    txns: BTreeMap<String, Txn>,
    /// Which lake has made the newest commit, if it was made to a copy, and when, in Unix milliseconds.
    last_writer: Option<(String, i64)>,
    /// Checkpoints that are there, with when they were made or found, in Unix milliseconds.
    checkpoints: BTreeMap<u64, i64>,
}

impl DeltaLog {
    /// Reads the log of the table in `folder`; a log that is not there is that of a table which is not there yet.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn load(place: &dyn Place, folder: &str, now: Timestamp) -> Result<Self, DeltaError> {
        let mut log = Self {
            folder: folder.to_owned(),
            version: None,
            meta_data: None,
            active: BTreeMap::new(),
            removed: BTreeMap::new(),
            txns: BTreeMap::new(),
            last_writer: None,
            checkpoints: BTreeMap::new(),
        };
        let mut commits = Vec::new();
        for name in place.list(&format!("{folder}/{LOG_FOLDER}"))? {
            match LogFile::parse(&name) {
                Some(LogFile::Commit(version)) => commits.push(version),
                Some(LogFile::Checkpoint(version)) => {
                    log.checkpoints.insert(version, now.unix_millis());
                }
                None => {}
            }
        }
        commits.sort_unstable();
        if let Some(version) = log.checkpoints.last_key_value().map(|(version, _)| *version) {
            let path = log.path(&LogFile::Checkpoint(version));
            let actions = checkpoint::read(place.read(&path)?);
            log.apply(version, actions.map_err(|source| DeltaError::Damaged { path, source: source.into() })?)?;
        }
        for version in commits {
            let next = log.next_version();
            if version + 1 < next {
                continue;
            }
            if version + 1 == next {
                // A checkpoint does not say who has made it.
                let lines = place.read(&log.path(&LogFile::Commit(version)))?;
                log.last_writer = from_lines(&lines).ok().and_then(|actions| actions.iter().find_map(writer));
                continue;
            }
            if version > next {
                return Err(DeltaError::Missing { version: next, folder: folder.to_owned() });
            }
            let path = log.path(&LogFile::Commit(version));
            let actions = from_lines(&place.read(&path)?);
            log.apply(version, actions.map_err(|source| DeltaError::Damaged { path, source: source.into() })?)?;
        }
        Ok(log)
    }

    /// The newest commit; `None` if there is none.
    pub const fn version(&self) -> Option<u64> {
        self.version
    }

    /// The names of the files that the newest commit shows.
    pub fn active(&self) -> impl Iterator<Item = &str> {
        self.active.keys().map(String::as_str)
    }

    /// The names of the files that older commits show, with when they were replaced, in Unix milliseconds.
    pub fn removed(&self) -> impl Iterator<Item = (&str, i64)> {
        self.removed.iter().map(|(path, remove)| (path.as_str(), remove.deletion_timestamp.unwrap_or(0)))
    }

    /// A replaced file is not there any more.
    pub fn forget(&mut self, name: &str) {
        self.removed.remove(name);
    }

    /// The next offset that the table does not reflect, of this application.
    pub fn next_offset(&self, app_id: &str) -> Option<u64> {
        self.txns.get(app_id).and_then(|txn| u64::try_from(txn.version).ok())
    }

    /// Commits what makes the table as it is wanted; nothing if it is so already. A table that reflects more of the same
    /// history than what is wanted stays as it is: what is wanted is being derived again and will come to it.
    ///
    /// # Errors
    /// Any [`DeltaError`]. Whether the commit was made is then found out by the next attempt.
    pub fn publish(&mut self, place: &dyn Place, wanted: &Wanted<'_>, now: Timestamp) -> Result<bool, DeltaError> {
        for _ in 0..ATTEMPTS {
            let actions = actions(self, wanted, now)?;
            if actions.is_empty() {
                return Ok(false);
            }
            if let Err(taken) = self.refuse_taken(wanted, now) {
                // What was brought before the other's commit was seen.
                self.remove_unnamed(place, wanted)?;
                return Err(taken);
            }
            for file in wanted.files.iter().filter(|file| !self.active.contains_key(&wanted.name(file.name()))) {
                place.bring(&format!("{}/{}", self.folder, wanted.name(file.name())), &file.path)?;
            }
            let version = self.next_version();
            let lines = to_lines(&actions).map_err(DeltaError::Encode)?;
            if place.create(&self.path(&LogFile::Commit(version)), &lines)? {
                self.apply(version, actions)?;
                return Ok(true);
            }
            *self = Self::load(place, &self.folder, now)?;
        }
        Err(DeltaError::Contended { folder: self.folder.clone() })
    }

    /// Two lakes that publish to one place would replace each other's files for ever.
    fn refuse_taken(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), DeltaError> {
        let (Some(ours), Some((theirs, at))) = (wanted.copy_of, &self.last_writer) else { return Ok(()) };
        let ago = now.since(Timestamp::from_unix_millis(*at));
        if ours == theirs || ago >= SILENCE {
            return Ok(());
        }
        Err(DeltaError::Taken { folder: self.folder.clone(), ago_s: ago.as_secs() })
    }

    /// Removes files of a copy that no commit has ever named: what was brought before a crash.
    ///
    /// # Errors
    /// If they cannot be listed or removed.
    pub fn remove_unnamed(&self, place: &dyn Place, wanted: &Wanted<'_>) -> Result<(), DeltaError> {
        let Some(lake) = wanted.copy_of else { return Ok(()) };
        for name in place.list(&self.folder)? {
            let is_named = self.active.contains_key(&name) || self.removed.contains_key(&name);
            if name.starts_with(lake) && !is_named {
                place.remove(&format!("{}/{name}", self.folder))?;
            }
        }
        Ok(())
    }

    /// Writes a checkpoint, if one is due, and removes the commits and checkpoints that only readers from before `cut` need.
    ///
    /// # Errors
    /// If files cannot be written or removed; the log is whole all the same.
    pub fn tidy(&mut self, place: &dyn Place, now: Timestamp, cut: Timestamp) -> Result<(), DeltaError> {
        let Some(version) = self.version else { return Ok(()) };
        let newest = self.checkpoints.last_key_value().map_or(0, |(version, _)| *version);
        if version < newest + CHECKPOINT_EVERY {
            return Ok(());
        }
        let actions = self.state();
        let content = checkpoint::write(&actions)?;
        place.replace(&self.path(&LogFile::Checkpoint(version)), &content)?;
        let hint = json!({"version": version, "size": actions.len()}).to_string();
        place.replace(&format!("{}/{LOG_FOLDER}/_last_checkpoint", self.folder), hint.as_bytes())?;
        self.checkpoints.insert(version, now.unix_millis());
        self.remove_before(place, cut)
    }

    fn remove_before(&mut self, place: &dyn Place, cut: Timestamp) -> Result<(), DeltaError> {
        let old = self.checkpoints.iter().rev().find(|(_, made)| **made <= cut.unix_millis());
        let Some(keep_from) = old.map(|(version, _)| *version) else { return Ok(()) };
        for name in place.list(&format!("{}/{LOG_FOLDER}", self.folder))? {
            let Some(LogFile::Commit(version) | LogFile::Checkpoint(version)) = LogFile::parse(&name) else { continue };
            if version < keep_from {
                place.remove(&format!("{}/{LOG_FOLDER}/{name}", self.folder))?;
                self.checkpoints.remove(&version);
            }
        }
        Ok(())
    }

    fn path(&self, file: &LogFile) -> String {
        format!("{}/{LOG_FOLDER}/{}", self.folder, file.name())
    }

    fn next_version(&self) -> u64 {
        self.version.map_or(0, |version| version + 1)
    }

    fn apply(&mut self, version: u64, actions: Vec<Action>) -> Result<(), DeltaError> {
        self.last_writer = actions.iter().find_map(writer);
        for action in actions {
            if let Some(protocol) = action.protocol
                && (protocol.min_reader_version, protocol.min_writer_version) > (1, 2)
            {
                return Err(DeltaError::Protocol {
                    folder: self.folder.clone(),
                    reader: protocol.min_reader_version,
                    writer: protocol.min_writer_version,
                });
            }
            if let Some(meta_data) = action.meta_data {
                self.meta_data = Some(meta_data);
            }
            if let Some(txn) = action.txn {
                self.txns.insert(txn.app_id.clone(), txn);
            }
            if let Some(remove) = action.remove {
                self.active.remove(&remove.path);
                self.removed.insert(remove.path.clone(), remove);
            }
            if let Some(add) = action.add {
                self.removed.remove(&add.path);
                self.active.insert(add.path.clone(), add);
            }
        }
        self.version = Some(version);
        Ok(())
    }

    /// The whole state, as a checkpoint has it.
    fn state(&self) -> Vec<Action> {
        let meta_data = self.meta_data.clone();
        let mut actions =
            vec![Action { protocol: Some(PROTOCOL), ..Action::default() }, Action { meta_data, ..Action::default() }];
        actions.extend(self.txns.values().map(|txn| Action { txn: Some(txn.clone()), ..Action::default() }));
        let remove = |remove: &Remove| Action { remove: Some(remove.clone()), ..Action::default() };
        actions.extend(self.removed.values().map(remove));
        actions.extend(self.active.values().map(|add| Action { add: Some(add.clone()), ..Action::default() }));
        actions
    }
}

/// Which lake made a commit to a copy, and when, in Unix milliseconds.
fn writer(action: &Action) -> Option<(String, i64)> {
    let info = action.commit_info.as_ref()?;
    Some((info.get("lake")?.as_str()?.to_owned(), info.get("timestamp")?.as_i64()?))
}

enum LogFile {
    Commit(u64),
    Checkpoint(u64),
}

impl LogFile {
    fn parse(name: &str) -> Option<Self> {
        let (version, rest) = name.split_once('.')?;
        let version = (version.len() == 20).then(|| version.parse().ok())??;
        match rest {
            "json" => Some(Self::Commit(version)),
            "checkpoint.parquet" => Some(Self::Checkpoint(version)),
            _ => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Commit(version) => format!("{version:020}.json"),
            Self::Checkpoint(version) => format!("{version:020}.checkpoint.parquet"),
        }
    }
}

/// The names of the files in a table's folder that its Delta log shows, now or to readers that have not gone on yet. None if
/// the log cannot be read.
pub(super) fn shown_files(place: &dyn Place, folder: &str) -> Vec<String> {
    match DeltaLog::load(place, folder, Timestamp::from_unix_seconds(0)) {
        Ok(log) => log.active().chain(log.removed().map(|(name, _)| name)).map(str::to_owned).collect(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, folder, "a Delta log cannot be read");
            Vec::new()
        }
    }
}

/// The folder of a table in the place that holds the lakes of all workspaces.
pub fn table_folder(workspace_id: WorkspaceId, table: &Table) -> String {
    format!("workspace={workspace_id}/{}", table.name)
}

/// Removes all of the log of the table in `folder`.
///
/// # Errors
/// If a file cannot be removed.
pub(super) fn remove_log(place: &dyn Place, folder: &str) -> Result<(), DeltaError> {
    let folder = format!("{folder}/{LOG_FOLDER}");
    for name in place.list(&folder)? {
        place.remove(&format!("{folder}/{name}"))?;
    }
    Ok(())
}

/// Whether a table's folder on this machine has a Delta log.
pub(super) fn has_log(folder: &Path) -> bool {
    folder.join(LOG_FOLDER).is_dir()
}
