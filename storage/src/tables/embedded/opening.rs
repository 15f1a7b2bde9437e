//! Opening the store: the lock, the checks of what is there, fjall itself, a first write.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::mark::{self, Found, Mark};
use super::{EmbeddedTablesOptions, journal};
use crate::tables::TablesError;
use crate::tables::codec::RESERVED_TABLE;

/// The row that holds the number of the last batch.
pub(super) const BATCH_NUMBER_KEY: [u8; 2] = RESERVED_TABLE.to_be_bytes();

/// What a fault is ascribed to that is not of one table.
pub(super) const ALL_TABLES: &str = "(all)";

const KEYSPACE: &str = "rows";

/// fjall's background threads. With two or more, one spins while another merges files.
const BACKGROUND_THREADS: usize = 1;

/// Journals are kept below this many bytes, which bounds the time of a recovery: 128 MiB.
const JOURNAL_BYTES: u64 = 128 << 20;

/// Files of the store that are kept open.
const OPEN_FILES: usize = 256;

/// The size of a file of rows: 16 MiB. A merge takes several; small ones keep merges, and with them stalls, short.
const FILE_BYTES: u64 = 16 << 20;

/// fjall makes writers wait, without an end, from this many full write buffers on, and from this many files of the first
/// level on.
const HALTING_BUFFERS: usize = 4;
const HALTING_FILES: usize = 30;

/// How long a folder may still be held by tables that are just being closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How long fjall may take to open, beside the stall limit for its first write.
const OPEN_LIMIT: Duration = Duration::from_mins(2);

const POLL: Duration = Duration::from_millis(10);

/// fjall, and the lock on the folder, which is let go last.
pub(super) struct Store {
    pub(super) rows: Keyspace,
    pub(super) database: Database,
    _lock: Arc<File>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Opens the store and proves that it can be written. Returns the number of the last batch.
pub(super) fn open(options: &EmbeddedTablesOptions) -> Result<(Store, Mark, u64), TablesError> {
    let io = |action: &str, error: &std::io::Error| io_error(&options.dir, action, error);
    std::fs::create_dir_all(&options.dir).map_err(|error| io("make", &error))?;
    let lock = Arc::new(lock(&options.dir)?);
    let marked = match Mark::find(&options.dir).map_err(|error| io("read the durable mark of", &error))? {
        Found::Number(number) => number,
        Found::Nothing => 0,
        Found::Damaged => {
            return Err(TablesError::Corrupt {
                table: ALL_TABLES,
                reason: format!(
                    "the file {} cannot be read, so nobody knows whether rows are missing; {}",
                    options.dir.join(mark::FILE).display(),
                    advice(&options.dir)
                ),
            });
        }
    };
    journal::check(&options.dir.join("store"), marked, &advice(&options.dir))?;
    let (store, number) = open_within_limit(options, &lock, marked)?;
    let mark = Mark::open(&options.dir, number).map_err(|error| io("write the durable mark of", &error))?;
    Ok((store, mark, number))
}

/// What a failed read means.
pub(super) fn read_error(table: &'static str, error: &fjall::Error) -> TablesError {
    if is_damage(error) {
        return TablesError::Corrupt {
            table,
            reason: format!("a file of the store cannot be read ({error}); restore the folder from a backup"),
        };
    }
    TablesError::Unavailable { reason: format!("the store cannot read ({error})") }
}

enum Attempt {
    Open(Box<Store>, u64),
    /// Background work did not begin.
    Stuck,
}

fn open_within_limit(
    options: &EmbeddedTablesOptions,
    lock: &Arc<File>,
    marked: u64,
) -> Result<(Store, u64), TablesError> {
    for _ in 0..2 {
        let (result, attempt) = mpsc::sync_channel(1);
        let (options_of_attempt, lock) = (options.clone(), Arc::clone(lock));
        // A thread of its own: if fjall never comes back, the caller does.
        std::thread::Builder::new()
            .name("tables-opening".to_owned())
            .spawn(move || {
                // Nobody listens any more after the limit.
                let _given_up = result.send(attempt_to_open(&options_of_attempt, lock, marked));
            })
            .map_err(|error| io_error(&options.dir, "start a thread for", &error))?;
        match attempt.recv_timeout(OPEN_LIMIT + options.write_stall_limit) {
            Ok(Ok(Attempt::Open(store, number))) => return Ok((*store, number)),
            Ok(Ok(Attempt::Stuck)) => {
                tracing::warn!(dir = %options.dir.display(), "the store does not take writes after opening: it is opened again");
            }
            Ok(Err(error)) => return Err(error),
            Err(_timeout_or_panic) => break,
        }
    }
    Err(TablesError::Unavailable {
        reason: format!(
            "the store in {} does not take writes after opening: look into the disk, then start again",
            options.dir.display()
        ),
    })
}

fn attempt_to_open(options: &EmbeddedTablesOptions, lock: Arc<File>, marked: u64) -> Result<Attempt, TablesError> {
    let failed = |error: fjall::Error| open_error(&options.dir, &error);
    let database = Database::builder(options.dir.join("store"))
        .cache_size(options.cache_bytes)
        .worker_threads(BACKGROUND_THREADS)
        .max_journaling_size(JOURNAL_BYTES)
        .max_cached_files(Some(OPEN_FILES))
        .open()
        .map_err(failed)?;
    let rows = database
        .keyspace(KEYSPACE, || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.write_buffer_bytes)
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(FILE_BYTES)))
        })
        .map_err(failed)?;
    let recovered = batch_number(&rows).map_err(failed)?;
    if recovered < marked {
        return Err(TablesError::Corrupt {
            table: ALL_TABLES,
            reason: format!(
                "the store ends at batch {recovered}, but batch {marked} was acknowledged as durable: what was written \
                 between them is lost; {}",
                advice(&options.dir)
            ),
        });
    }
    let store = Store { rows, database, _lock: lock };
    // A write would wait inside fjall, where it cannot be given up; so wait here, where it can.
    let began = Instant::now();
    while store.rows.sealed_memtable_count() >= HALTING_BUFFERS || store.rows.l0_table_count() >= HALTING_FILES {
        if began.elapsed() > options.write_stall_limit {
            return Ok(Attempt::Stuck);
        }
        std::thread::sleep(POLL);
    }
    let number = recovered + 1;
    let mut first = store.database.batch().durability(Some(PersistMode::SyncAll));
    first.insert(&store.rows, BATCH_NUMBER_KEY, number.to_be_bytes());
    first.commit().map_err(failed)?;
    Ok(Attempt::Open(Box::new(store), number))
}

fn batch_number(rows: &Keyspace) -> fjall::Result<u64> {
    let row = rows.get(BATCH_NUMBER_KEY)?;
    Ok(row.and_then(|row| row.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or_default())
}

fn lock(dir: &Path) -> Result<File, TablesError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| io_error(&path, "open", &error))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => std::thread::sleep(POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(TablesError::Unavailable {
                    reason: format!(
                        "{} is in use by another process: stop it, or configure another folder",
                        dir.display()
                    ),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io_error(&path, "lock", &error)),
        }
    }
}

fn advice(dir: &Path) -> String {
    format!(
        "restore {} from a backup, or, to go on without what is lost, remove the file {}",
        dir.display(),
        dir.join(mark::FILE).display()
    )
}

fn io_error(path: &Path, action: &str, error: &std::io::Error) -> TablesError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return TablesError::DiskFull { path: path.display().to_string() };
    }
    TablesError::Unavailable { reason: format!("cannot {action} {}: {error}", path.display()) }
}

fn open_error(dir: &Path, error: &fjall::Error) -> TablesError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => io_error(dir, "open", error),
        error if is_damage(error) => TablesError::Corrupt {
            table: ALL_TABLES,
            reason: format!("the store cannot be read ({error}); restore {} from a backup", dir.display()),
        },
        error => {
            TablesError::Unavailable { reason: format!("the store in {} cannot be opened ({error})", dir.display()) }
        }
    }
}

fn is_damage(error: &fjall::Error) -> bool {
    use fjall::{Error, LsmError};
    matches!(
        error,
        Error::JournalRecovery(_)
            | Error::Decompress(_)
            | Error::InvalidTrailer
            | Error::InvalidTag(_)
            | Error::Unrecoverable
            | Error::Storage(
                LsmError::Decompress(_)
                    | LsmError::Unrecoverable
                    | LsmError::ChecksumMismatch { .. }
                    | LsmError::InvalidTag(_)
                    | LsmError::InvalidTrailer
                    | LsmError::InvalidHeader(_)
                    | LsmError::Utf8(_)
            )
    )
}
