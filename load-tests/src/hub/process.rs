//! The hub as a process: started on a fresh or an old data folder, killed, stopped, and asked what it uses.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::generator::http::Connection;
use crate::machine::{Usage, usage};

/// How long a process may take to become ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a process may take to stop when asked to.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at a starting process; also how exactly its time to open is known.
const READY_POLL: Duration = Duration::from_millis(5);

/// How the hub is started.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The program.
    pub binary: PathBuf,
    /// Where it keeps everything; its output goes to `hub.log` beside it.
    pub dir: PathBuf,
    /// Where it listens. Stays the same over restarts, since webhooks are signed for it.
    pub address: SocketAddr,
    /// What it does: roles with commas between them, or `all`.
    pub roles: &'static str,
    /// Further variables.
    pub variables: Vec<(String, String)>,
}

/// A running process that serves HTTP. Killed when dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    name: String,
    /// From the start of the process until it was ready.
    pub opened_in: Duration,
}

/// A free port of the loopback interface.
///
/// # Errors
/// Those of sockets.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?)
}

impl HubOptions {
    /// A hub in this folder on a free port.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn new(binary: PathBuf, dir: PathBuf) -> anyhow::Result<Self> {
        Ok(Self { binary, dir, address: free_address()?, roles: "all", variables: Vec::new() })
    }

    /// The base of the hub's addresses; what webhooks are signed for.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A command line of the hub's program over this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("SALER_HTTP__LISTEN", self.address.to_string())
            .env("SALER_HTTP__PUBLIC_URL", self.base_url())
            .env("SALER_DATA__DIR", self.dir.join("data"))
            .env("SALER_TELEMETRY__LEVEL", "warn")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command line to its end and gives its standard output.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output =
            self.command(arguments).output().await.with_context(|| format!("cannot run {}", self.binary.display()))?;
        if !output.status.success() {
            bail!(
                "`{} {}` failed with {}: {}",
                self.binary.display(),
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        String::from_utf8(output.stdout).context("the output is not UTF-8")
    }

    /// Starts the server and waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// If it cannot be started, ends, or is not ready in time; the end of its log is part of the error.
    pub async fn serve(&self) -> anyhow::Result<Served> {
        let log_path = self.dir.join("hub.log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        let mut command = self.command(&["serve", "--roles", self.roles]);
        command.stdout(log.try_clone()?).stderr(log);
        Served::start(command, self.address, "/readyz", "the hub").await.map_err(|error| {
            let text = std::fs::read_to_string(&log_path).unwrap_or_default();
            let end: Vec<&str> = text.lines().rev().take(10).collect();
            error.context(format!("its log ends with: {}", end.into_iter().rev().collect::<Vec<_>>().join("\n")))
        })
    }
}

impl Served {
    /// Starts a server and waits until a `GET` of `path` is answered with a status below 500.
    ///
    /// # Errors
    /// If it cannot be started, ends, or is not ready in time.
    pub async fn start(mut command: Command, address: SocketAddr, path: &str, name: &str) -> anyhow::Result<Self> {
        let start = Instant::now();
        let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("cannot start {name}"))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended at once with {status}");
            }
            if start.elapsed() > READY_WITHIN {
                bail!("{name} was not ready within {READY_WITHIN:?}");
            }
            if is_ready(address, request.as_bytes()).await {
                return Ok(Self { child, name: name.to_owned(), opened_in: start.elapsed() });
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// The process's number; 0 if it has ended.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it stand still (`STOP`), or go on (`CONT`).
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let id = id.with_context(|| format!("{} has ended by itself", self.name))?;
        kill_process(id, signal).with_context(|| format!("{} takes no signal", self.name))
    }

    /// What it uses now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.id()).with_context(|| format!("{} has ended", self.name))
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to stop with SIGTERM and waits for its end; gives how long that took.
    ///
    /// # Errors
    /// If it does not stop in time, or ends with a failure.
    pub async fn stop(mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.signal(Signal::TERM)?;
        let status = timeout(STOP_WITHIN, self.child.wait())
            .await
            .with_context(|| format!("{} did not stop within {STOP_WITHIN:?}", self.name))??;
        anyhow::ensure!(status.success(), "{} stopped with {status}", self.name);
        Ok(start.elapsed())
    }
}

async fn is_ready(address: SocketAddr, request: &[u8]) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    matches!(timeout(Duration::from_secs(1), connection.exchange(request)).await, Ok(Ok(status)) if status < 500)
}

/// The program beside this one, unless another is named: `saler` in the folder of `saler-load`.
///
/// # Errors
/// If there is no such file.
pub fn default_binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("cannot find this program")?.with_file_name("saler"),
    };
    anyhow::ensure!(
        path.is_file(),
        "there is no program {}: build it with `cargo build --release -p gateway`, or name it with --spawn",
        path.display()
    );
    Ok(path)
}
