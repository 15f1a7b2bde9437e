//! The servers of a cluster, real ones: brokers and a CQL node, by the script that the tests start theirs with.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The variables that the script says where its servers are with.
const KAFKA: &str = "SALER_TEST_KAFKA";
const CQL: &str = "SALER_TEST_CQL";

/// The script, in the folder of the repository.
pub const SCRIPT: &str = "deploy/test-servers.sh";
/// The CQL node's name, for [`Servers::act`].
pub const TABLES: &str = "cassandra";

/// Running servers. They are stopped, and what they wrote is removed, when this is dropped.
#[derive(Debug)]
pub struct Servers {
    script: PathBuf,
    dir: PathBuf,
    count: u32,
    brokers: String,
    tables: String,
}

/// What can be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL, as a crash.
    Kill,
    /// Starts it over the data that it left.
    Start,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
}

impl Servers {
    /// Starts so many brokers and a CQL node below `dir`, and waits until they answer.
    ///
    /// # Errors
    /// If there is no such script, or it fails.
    pub async fn start(script: &Path, dir: PathBuf, brokers: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(
            script.is_file(),
            "there is no {}: run this in the folder of the repository, or name the script with --servers",
            script.display()
        );
        let (script, count) = (script.to_owned(), brokers);
        let mut servers = Self { script, dir, count, brokers: String::new(), tables: String::new() };
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
            servers.script.display()
        );
        Ok(servers)
    }

    /// The settings of a hub that works on these servers; with three brokers or more, each record is on three, and on two
    /// before it is acknowledged.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("SALER_LOG__ENGINE", "kafka".to_owned()),
            ("SALER_KAFKA__BROKERS", self.brokers.clone()),
            ("SALER_KAFKA__REPLICATION", self.count.min(3).to_string()),
            ("SALER_KAFKA__MIN_IN_SYNC", if self.count >= 3 { "2" } else { "1" }.to_owned()),
            ("SALER_TABLES__ENGINE", "scylla".to_owned()),
            ("SALER_SCYLLA__NODES", self.tables.clone()),
            ("SALER_SCYLLA__REPLICATION", "1".to_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Does something to one server; a start ends when it answers.
    ///
    /// # Errors
    /// If the script fails.
    pub async fn act(&self, deed: Deed, name: &str) -> anyhow::Result<()> {
        let command = match deed {
            Deed::Kill => "kill-one",
            Deed::Start => "start-one",
            Deed::Pause => "pause-one",
            Deed::Resume => "resume-one",
        };
        self.call(&[command, name]).await.map(drop)
    }

    async fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("bash");
        command.arg(&self.script).args(arguments).arg(&self.dir).stdin(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().await.context("cannot run bash")?;
        if !output.status.success() {
            bail!(
                "`{} {}` failed: {}",
                self.script.display(),
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        String::from_utf8(output.stdout).context("the script's output is not UTF-8")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("bash");
        command.arg(&self.script).arg("stop").arg(&self.dir).stdin(Stdio::null()).stdout(Stdio::null());
        if !command.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            tracing::warn!("the servers in {} could not be stopped", self.dir.display());
        }
    }
}
