//! Chooses the engines behind the ports, and lays out the data folder.
//!
//! ```text
//! DIR/version    the layout's number, as text
//! DIR/log/       the log
//! DIR/tables/    the tables
//! DIR/analytics/ what analytics keeps
//! DIR/analytics.lock   held by the process whose analytics that is, if log and tables are elsewhere
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storage::clock::Clock;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Durability, Log, LogError};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::{Tables, TablesError};
use tokio::runtime::Handle;

use super::cluster::{self, Leaving};
use crate::config::{Config, DurabilityMode};

/// The layout that this version reads and writes.
const LAYOUT_VERSION: u32 = 1;
/// Memory for the last records of a partition, in bytes.
const LOG_TAIL_BYTES: usize = 1 << 20;

/// Why the engines cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineSetupError {
    /// The folder cannot be made or read.
    #[error("data.dir: {path} cannot be made or read: {reason}")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The folder was written by a version that lays it out otherwise.
    #[error("data.dir: {path} has layout {found}, this version reads {LAYOUT_VERSION}: use the version that wrote it")]
    Layout {
        /// Which.
        path: String,
        /// Its layout.
        found: String,
    },
    /// The log cannot be opened.
    #[error("the log cannot be opened")]
    Log(#[source] LogError),
    /// The tables cannot be opened.
    #[error("the tables cannot be opened")]
    Tables(#[source] TablesError),
    /// Another process has its analytics in this folder.
    #[error("data.dir: {path} holds the analytics of another process that runs: give each a folder of its own")]
    Taken {
        /// Which folder.
        path: String,
    },
    /// The engines of a cluster are not part of this program.
    #[error(
        "log.engine and tables.engine: this program was built without the engines of a cluster (`make run` leaves them out); `make build` has them"
    )]
    NotBuilt,
    /// A thread failed.
    #[error("opening was interrupted")]
    Interrupted,
}

impl EngineSetupError {
    /// Whether another process has the folder open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Log(LogError::Unavailable { .. }) | Self::Tables(TablesError::Unavailable { .. }))
    }
}

/// The data folder.
#[derive(Clone, Debug)]
pub struct DataFolder {
    dir: PathBuf,
}

impl DataFolder {
    /// The folder of a configuration.
    pub fn of(config: &Config) -> Self {
        Self { dir: config.data.dir.clone() }
    }

    /// Another folder.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where the tables are.
    pub fn tables(&self) -> PathBuf {
        self.dir.join("tables")
    }

    /// Where analytics keeps what it keeps.
    pub fn analytics(&self) -> PathBuf {
        self.dir.join("analytics")
    }

    /// Takes the folder for this process's analytics, for as long as the result is held. Only needed where no embedded engine
    /// holds the folder.
    ///
    /// # Errors
    /// [`EngineSetupError::Folder`], [`EngineSetupError::Layout`], [`EngineSetupError::Taken`].
    pub fn take_for_analytics(&self) -> Result<AnalyticsLock, EngineSetupError> {
        self.prepare()?;
        let path = self.dir.join("analytics.lock");
        let file = std::fs::File::create(&path).map_err(|error| EngineSetupError::Folder {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_held| EngineSetupError::Taken { path: self.dir.display().to_string() })?;
        Ok(AnalyticsLock { _file: file })
    }

    /// Makes the folder if it is new, and checks its layout. Returns whether it is new.
    ///
    /// # Errors
    /// [`EngineSetupError::Folder`], [`EngineSetupError::Layout`].
    pub fn prepare(&self) -> Result<bool, EngineSetupError> {
        let failed = |path: &Path, error: &std::io::Error| EngineSetupError::Folder {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        create_private(&self.dir).map_err(|error| failed(&self.dir, &error))?;
        let version = self.dir.join("version");
        match std::fs::read_to_string(&version) {
            Ok(found) if found.trim() == LAYOUT_VERSION.to_string() => Ok(false),
            Ok(found) => Err(EngineSetupError::Layout {
                path: self.dir.display().to_string(),
                found: found.trim().chars().take(32).collect(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_durably(&version, &format!("{LAYOUT_VERSION}\n")).map_err(|error| failed(&version, &error))?;
                Ok(true)
            }
            Err(error) => Err(failed(&version, &error)),
        }
    }
}

/// Holds a folder for this process; ends when it is dropped.
#[derive(Debug)]
pub struct AnalyticsLock {
    _file: std::fs::File,
}

/// Only the hub's own account may read what it keeps.
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
}

/// Open engines, behind their ports.
#[derive(Clone, Debug)]
pub struct Engines {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The tables.
    pub tables: Arc<dyn Tables>,
    /// What to do with the log at the end, if it is shared.
    pub leaving: Option<Leaving>,
}

impl Engines {
    /// Opens the engines of a configuration: the embedded ones in its data folder, or those of the cluster. Their work
    /// starts on `background`; `node` is the name of this process among those that share them.
    ///
    /// # Errors
    /// See [`EngineSetupError`].
    pub async fn open(
        config: &Config,
        node: &str,
        clock: &Arc<dyn Clock>,
        background: &Handle,
    ) -> Result<Self, EngineSetupError> {
        if config.is_shared() {
            cluster::open(config, node, background).await
        } else {
            Self::open_embedded(config, clock, background).await
        }
    }

    async fn open_embedded(
        config: &Config,
        clock: &Arc<dyn Clock>,
        background: &Handle,
    ) -> Result<Self, EngineSetupError> {
        let folder = DataFolder::of(config);
        let log_options = log_options(&folder, config, clock);
        let table_options = EmbeddedTablesOptions {
            cache_bytes: config.tables.cache_mb << 20,
            minimum_free_bytes: config.log.min_free_mb << 20,
            ..EmbeddedTablesOptions::new(folder.tables())
        };
        let log = tokio::task::spawn_blocking(move || {
            folder.prepare()?;
            EmbeddedLog::open(log_options).map_err(EngineSetupError::Log)
        });
        let log = log.await.map_err(|_panicked| EngineSetupError::Interrupted)??;
        let tables = background.spawn_blocking(move || EmbeddedTables::open(table_options));
        let tables = tables.await.map_err(|_panicked| EngineSetupError::Interrupted)?;
        let tables = tables.map_err(EngineSetupError::Tables)?;
        Ok(Self { log: Arc::new(log), tables: Arc::new(tables), leaving: None })
    }
}

fn log_options(folder: &DataFolder, config: &Config, clock: &Arc<dyn Clock>) -> EmbeddedLogOptions {
    let settings = &config.log;
    EmbeddedLogOptions {
        durability: match settings.durability {
            DurabilityMode::Fsync => Durability::Fsync,
            DurabilityMode::Interval => Durability::Interval(Duration::from_millis(settings.interval_ms)),
        },
        segment_bytes: settings.segment_mb << 20,
        retention_bytes: (settings.retention_gb > 0).then_some(settings.retention_gb << 30),
        retention_age: (settings.retention_hours > 0).then(|| Duration::from_secs(settings.retention_hours * 3_600)),
        clock: Arc::clone(clock),
        min_free_bytes: settings.min_free_mb << 20,
        tail_bytes: LOG_TAIL_BYTES,
        ..EmbeddedLogOptions::new(folder.log(), settings.partitions)
    }
}
