//! The servers of a cluster, real ones: brokers and a CQL node, by the script that the tests start theirs with.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The variables that the script says where its servers are with.
const KAFKA: &str = "SALER_TEST_KAFKA";
const CQL: &str = "SALER_TEST_CQL";

/// The CQL node's name.
pub(super) const TABLES: &str = "cassandra";

/// Running servers. They are to be stopped with [`Servers::stop`]; a run that ends otherwise leaves them, and says how to
/// stop them.
#[derive(Debug)]
pub(super) struct Servers {
    script: PathBuf,
    dir: PathBuf,
    /// Where the brokers are, with commas between them.
    pub(super) brokers: String,
    /// Where the CQL node is.
    pub(super) tables: String,
}

/// What can be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Kill,
    Start,
    Pause,
    Resume,
}

impl Servers {
    /// Starts so many brokers and a CQL node, and waits until they answer.
    pub(super) async fn start(script: &Path, dir: PathBuf, brokers: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(
            script.is_file(),
            "there is no {}: run this in the folder of the repository, or name the script with --servers",
            script.display()
        );
        let mut servers = Self { script: script.to_owned(), dir, brokers: String::new(), tables: String::new() };
        let said = servers.call(&["start", "--brokers", &brokers.to_string()]).await?;
        for line in said.lines() {
            let assignment = line.trim_start_matches("export ");
            match assignment.split_once('=') {
                Some((KAFKA, brokers)) => brokers.clone_into(&mut servers.brokers),
                Some((CQL, tables)) => tables.clone_into(&mut servers.tables),
                _ => {}
            }
        }
        anyhow::ensure!(
            !servers.brokers.is_empty() && !servers.tables.is_empty(),
            "{} did not say where its servers are",
            script.display()
        );
        Ok(servers)
    }

    /// Does something to one server; a start ends when it answers.
    pub(super) async fn act(&self, deed: Deed, name: &str) -> anyhow::Result<()> {
        let command = match deed {
            Deed::Kill => "kill-one",
            Deed::Start => "start-one",
            Deed::Pause => "pause-one",
            Deed::Resume => "resume-one",
        };
        self.call(&[command, name]).await.map(drop)
    }

    /// Stops all, and removes what they wrote.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.call(&["stop"]).await.map(drop)
    }

    async fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("bash");
        command.arg(&self.script).args(arguments).arg(&self.dir).stdin(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().await.context("cannot run bash")?;
        if !output.status.success() {
            bail!(
                "`{} {}` failed: {}; the servers are stopped with `{} stop {}`",
                self.script.display(),
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim(),
                self.script.display(),
                self.dir.display()
            );
        }
        String::from_utf8(output.stdout).context("the script's output is not UTF-8")
    }
}
