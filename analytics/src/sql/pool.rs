//! The hub's side of queries: who may run one now, starting its process, its deadline, its end.
//!
//! A workspace may have some queries running and some waiting, all workspaces together some running; what is over that is
//! told so at once. The deadline covers waiting and running. At the deadline, or when whoever asked has gone, the process is
//! killed. A workspace whose queries had to be stopped several times in a short while is paused.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use schemas::{Timestamp, WorkspaceId};
use storage::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::parameters::SqlType;
pub use super::protocol::Limits;
use super::protocol::{FileEntry, Head, Request, Work};
use super::{MAX_RESULT_BYTES, MAX_ROWS, SqlError, SqlRequest, SqlResult, SqlShape};
use crate::store::QueryFiles;

/// How much of a process's standard error is looked at, in bytes.
const STDERR_BYTES: u64 = 16 * 1024;
/// What an answer may have beside its rows: its head and the stream's frame, in bytes.
const OVERHEAD_BYTES: u64 = 1 << 20;
/// The shortest time that a query is given, so that a request for none is not an error of its own.
const SHORTEST: Duration = Duration::from_millis(1);

/// How queries are run.
#[derive(Clone, Debug)]
pub struct SqlOptions {
    /// The program whose process runs a query: the hub's own binary.
    pub program: PathBuf,
    /// Its arguments: `sql-worker`.
    pub args: Vec<OsString>,
    /// The longest that a query may take, waiting included.
    pub timeout: Duration,
    /// How many queries of a workspace may run at once.
    pub running_per_workspace: usize,
    /// How many more may wait.
    pub queued_per_workspace: usize,
    /// How many queries of all workspaces may run at once.
    pub running: usize,
    /// What a query's process allows itself.
    pub limits: Limits,
    /// How many queries of a workspace must have been stopped within `stop_window` for a pause.
    pub stops_before_pause: usize,
    /// How long a stopped query counts.
    pub stop_window: Duration,
    /// How long the pause is.
    pub pause: Duration,
}

impl SqlOptions {
    /// The usual options for this program.
    pub fn new(program: PathBuf, args: Vec<OsString>) -> Self {
        Self {
            program,
            args,
            timeout: Duration::from_secs(10),
            running_per_workspace: 2,
            queued_per_workspace: 8,
            running: 4,
            limits: Limits { address_space_bytes: 3 << 29, pool_bytes: 256 << 20, cpu_seconds: 15 },
            stops_before_pause: 3,
            stop_window: Duration::from_mins(10),
            pause: Duration::from_mins(5),
        }
    }
}

/// Runs queries.
#[derive(Debug)]
pub struct Pool {
    options: SqlOptions,
    clock: Arc<dyn Clock>,
    running: Arc<Semaphore>,
    workspaces: Arc<Mutex<BTreeMap<WorkspaceId, Slot>>>,
}

/// The queries of a workspace.
#[derive(Debug)]
struct Slot {
    running: Arc<Semaphore>,
    inside: usize,
    stops: VecDeque<Timestamp>,
}

/// A query that was let in. Leaves when it is dropped.
#[derive(Debug)]
struct Ticket {
    workspace_id: WorkspaceId,
    running: Arc<Semaphore>,
    workspaces: Arc<Mutex<BTreeMap<WorkspaceId, Slot>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = workspaces.get_mut(&self.workspace_id) {
            slot.inside = slot.inside.saturating_sub(1);
            if slot.inside == 0 && slot.stops.is_empty() {
                workspaces.remove(&self.workspace_id);
            }
        }
    }
}

impl Pool {
    /// A pool that runs nothing yet.
    pub fn new(options: SqlOptions, clock: Arc<dyn Clock>) -> Self {
        Self { running: Arc::new(Semaphore::new(options.running)), options, clock, workspaces: Arc::default() }
    }

    /// Runs a query that has passed the gate. `files` is called once it is its turn, so that it sees rows that came while it
    /// waited.
    ///
    /// # Errors
    /// Any [`SqlError`].
    pub async fn run<F>(&self, workspace_id: WorkspaceId, request: SqlRequest, files: F) -> Result<SqlResult, SqlError>
    where
        F: AsyncFnOnce() -> Result<QueryFiles, SqlError>,
    {
        let begun = Instant::now();
        let work = Work::Run(request.parameters.clone());
        let (head, ipc) = self.work(workspace_id, &request, work, files).await?;
        match head {
            Head::Answer { rows, truncated } => Ok(SqlResult { ipc, rows, truncated, elapsed: begun.elapsed() }),
            Head::Shape { .. } | Head::Error(_) => Err(SqlError::Unavailable),
        }
    }

    /// Plans a query that has passed the gate, with these types of its parameters as far as they are known.
    ///
    /// # Errors
    /// Any [`SqlError`].
    pub async fn describe<F>(
        &self,
        workspace_id: WorkspaceId,
        request: SqlRequest,
        types: Vec<Option<SqlType>>,
        files: F,
    ) -> Result<SqlShape, SqlError>
    where
        F: AsyncFnOnce() -> Result<QueryFiles, SqlError>,
    {
        let (head, ipc) = self.work(workspace_id, &request, Work::Describe(types), files).await?;
        match head {
            Head::Shape { parameters } => Ok(SqlShape { ipc, parameters }),
            Head::Answer { .. } | Head::Error(_) => Err(SqlError::Unavailable),
        }
    }

    async fn work<F>(
        &self,
        workspace_id: WorkspaceId,
        request: &SqlRequest,
        work: Work,
        files: F,
    ) -> Result<(Head, Bytes), SqlError>
    where
        F: AsyncFnOnce() -> Result<QueryFiles, SqlError>,
    {
        let begun = Instant::now();
        let timeout = request.timeout.unwrap_or(self.options.timeout).clamp(SHORTEST, self.options.timeout);
        let deadline = begun + timeout;
        let timed_out = SqlError::TimedOut { limit_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) };
        let ticket = self.admit(workspace_id)?;
        let _turn = timeout_at(deadline, self.turn(&ticket)).await.map_err(|_elapsed| timed_out.clone())??;
        let files = timeout_at(deadline, files()).await.map_err(|_elapsed| timed_out.clone())??;
        let ran = self.process(request, work, &files, deadline).await;
        let (stopped, answer) = match ran {
            Ok(ended) => self.judge(ended, &timed_out),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a query's process cannot be run");
                (false, Err(SqlError::Unavailable))
            }
        };
        if stopped {
            self.note_stop(workspace_id);
        }
        metrics::histogram!("saler_sql_seconds").record(begun.elapsed());
        answer
    }

    fn admit(&self, workspace_id: WorkspaceId) -> Result<Ticket, SqlError> {
        let now = self.clock.now();
        let options = &self.options;
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = workspaces.entry(workspace_id).or_insert_with(|| Slot {
            running: Arc::new(Semaphore::new(options.running_per_workspace)),
            inside: 0,
            stops: VecDeque::new(),
        });
        while slot.stops.front().is_some_and(|stop| now.since(*stop) >= options.stop_window) {
            slot.stops.pop_front();
        }
        if slot.stops.len() >= options.stops_before_pause
            && let Some(last) = slot.stops.back()
        {
            let rested = now.since(*last);
            if rested < options.pause {
                return Err(SqlError::Paused {
                    seconds: options.pause.saturating_sub(rested).as_secs().max(1),
                    stopped: slot.stops.len(),
                });
            }
            slot.stops.clear();
        }
        if slot.inside >= options.running_per_workspace + options.queued_per_workspace {
            return Err(SqlError::TooBusy {
                running: options.running_per_workspace,
                queued: options.queued_per_workspace,
            });
        }
        slot.inside += 1;
        Ok(Ticket { workspace_id, running: Arc::clone(&slot.running), workspaces: Arc::clone(&self.workspaces) })
    }

    /// Waits for a turn: first among the workspace's queries, then among all.
    async fn turn(&self, ticket: &Ticket) -> Result<[OwnedSemaphorePermit; 2], SqlError> {
        let own = Arc::clone(&ticket.running).acquire_owned().await;
        let all = Arc::clone(&self.running).acquire_owned().await;
        match (own, all) {
            (Ok(own), Ok(all)) => Ok([own, all]),
            _ => Err(SqlError::Unavailable),
        }
    }

    fn note_stop(&self, workspace_id: WorkspaceId) {
        metrics::counter!("saler_sql_stopped_total").increment(1);
        let now = self.clock.now();
        let mut workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = workspaces.get_mut(&workspace_id) else { return };
        slot.stops.push_back(now);
        if slot.stops.len() >= self.options.stops_before_pause {
            tracing::warn!(
                workspace.id = %workspace_id,
                stopped = slot.stops.len(),
                "queries of a workspace had to be stopped several times: they are paused"
            );
        }
    }

    async fn process(
        &self,
        request: &SqlRequest,
        work: Work,
        files: &QueryFiles,
        deadline: Instant,
    ) -> std::io::Result<Ended> {
        let request = serde_json::to_vec(&Request {
            sql: request.sql.clone(),
            work,
            max_rows: request.max_rows.unwrap_or(MAX_ROWS).min(MAX_ROWS),
            max_bytes: MAX_RESULT_BYTES,
            limits: self.options.limits,
            files: relative(files),
        })?;
        let mut child = Command::new(&self.options.program)
            .args(&self.options.args)
            .current_dir(&files.folder)
            .env_clear()
            // Allocators reserve address space by the gigabyte, which the process's limit counts.
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Ok(ended) = timeout_at(deadline, converse(&mut child, &request)).await {
            return ended;
        }
        child.kill().await?;
        Ok(Ended::Deadline)
    }

    /// What the end of a process means: whether it had to be stopped, and the answer.
    fn judge(&self, ended: Ended, timed_out: &SqlError) -> (bool, Result<(Head, Bytes), SqlError>) {
        let (status, stdout, stderr) = match ended {
            Ended::Deadline => return (true, Err(timed_out.clone())),
            Ended::Itself { status, stdout, stderr } => (status, stdout, stderr),
        };
        if status.success() {
            return (false, read_answer(stdout));
        }
        let stderr = String::from_utf8_lossy(&stderr);
        let error = if matches!(status.signal(), Some(libc::SIGKILL | libc::SIGXCPU)) {
            timed_out.clone()
        } else if stderr.contains("overflowed its stack") {
            SqlError::Refused {
                reason: "the query is too complex to plan: use fewer terms, joins and nested subqueries".to_owned(),
            }
        } else if ["memory allocation of", "capacity overflow", "Cannot allocate memory"]
            .iter()
            .any(|sign| stderr.contains(sign))
        {
            SqlError::OutOfMemory { limit_mib: self.options.limits.address_space_bytes >> 20 }
        } else {
            tracing::warn!(%status, "a query's process ended without an answer");
            tracing::debug!(stderr = %stderr, "what the query's process said");
            SqlError::Failed { reason: "its process ended without an answer".to_owned() }
        };
        (true, Err(error))
    }
}

/// How a query's process ended.
#[derive(Debug)]
enum Ended {
    /// By itself.
    Itself { status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8> },
    /// Killed at the deadline.
    Deadline,
}

async fn converse(child: &mut Child, request: &[u8]) -> std::io::Result<Ended> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("the process has no pipes"));
    };
    let ask = async move {
        // A process that ends before it has read all says why by its end.
        let _written = stdin.write_all(request).await;
    };
    let most = MAX_RESULT_BYTES as u64 + OVERHEAD_BYTES;
    let ((), stdout, stderr) = tokio::join!(ask, read_at_most(stdout, most), read_at_most(stderr, STDERR_BYTES));
    Ok(Ended::Itself { status: child.wait().await?, stdout: stdout?, stderr: stderr? })
}

/// Reads to the end, and keeps at most the first `most` bytes.
async fn read_at_most(mut from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    (&mut from).take(most).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(kept)
}

fn read_answer(stdout: Vec<u8>) -> Result<(Head, Bytes), SqlError> {
    let stdout = Bytes::from(stdout);
    let Some(line) = stdout.iter().position(|byte| *byte == b'\n') else { return Err(SqlError::Unavailable) };
    let head = stdout.slice(..line);
    match serde_json::from_slice(&head) {
        Ok(Head::Error(error)) => Err(error),
        Ok(head) => Ok((head, stdout.slice(line + 1..))),
        Err(_not_a_head) => Err(SqlError::Unavailable),
    }
}

fn relative(files: &QueryFiles) -> Vec<FileEntry> {
    files
        .files
        .iter()
        .filter_map(|(table, file)| {
            Some(FileEntry {
                table: (*table).to_owned(),
                path: file.path.strip_prefix(&files.folder).ok()?.to_str()?.to_owned(),
                kind: file.kind,
            })
        })
        .collect()
}
