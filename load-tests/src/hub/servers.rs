//! The servers of a cluster, real ones: brokers and a CQL node, by the script that the tests start theirs with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::net::{Net, listener};
use crate::machine::{Usage, usage};

/// The variables that the script says where its servers are with.
const KAFKA: &str = "SALER_TEST_KAFKA";
const CQL: &str = "SALER_TEST_CQL";

/// The script, in the folder of the repository.
pub const SCRIPT: &str = "deploy/test-servers.sh";
/// The CQL node's name, for [`Servers::act`].
pub const TABLES: &str = "cassandra";
/// The first broker's.
pub const BROKER: &str = "kafka-1";

/// The ports that the script takes unless told otherwise, and the variables that tell it.
const PORTS: [(&str, u16); 3] =
    [("SALER_TEST_KAFKA_PORT", 19_092), ("SALER_TEST_KAFKA_CONTROLLER_PORT", 19_192), ("SALER_TEST_CQL_PORT", 19_042)];

/// Which servers are started, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many brokers; the CQL node is one.
    pub brokers: u32,
    /// How they are run.
    pub pace: Pace,
    /// Whether relays stand between them and whoever connects to them.
    pub is_relayed: bool,
}

/// Running servers. They are stopped, and what they wrote is removed, when this is dropped.
#[derive(Debug)]
pub struct Servers {
    script: PathBuf,
    dir: PathBuf,
    plan: Plan,
    relays: Option<Relays>,
    brokers: String,
    tables: String,
}

/// Relays before all servers.
#[derive(Debug)]
struct Relays {
    net: Net,
    brokers: Vec<u16>,
    controllers: Vec<u16>,
    tables: u16,
}

/// How servers are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// They start fast and compile little: for faults.
    Quick,
    /// They compile as servers do that run for long: for figures.
    Full,
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
    /// Starts brokers and a CQL node below `dir`, and waits until they answer.
    ///
    /// # Errors
    /// If there is no such script, or it fails.
    pub async fn start(script: &Path, dir: PathBuf, plan: Plan) -> anyhow::Result<Self> {
        anyhow::ensure!(
            script.is_file(),
            "there is no {}: run this in the folder of the repository, or name the script with --servers",
            script.display()
        );
        let relays = if plan.is_relayed { Some(Relays::start(plan.brokers).await?) } else { None };
        let script = script.to_owned();
        let mut servers = Self { script, dir, plan, relays, brokers: String::new(), tables: String::new() };
        let said = servers.call(&["start", "--brokers", &plan.brokers.to_string()]).await?;
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
        if let Some(relays) = &servers.relays {
            servers.brokers = relays.brokers.iter().map(|port| address(*port)).collect::<Vec<_>>().join(",");
            servers.tables = address(relays.tables);
        }
        Ok(servers)
    }

    /// The settings of a hub that works on these servers; with three brokers or more, each record is on three, and on two
    /// before it is acknowledged.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("SALER_LOG__ENGINE", "kafka".to_owned()),
            ("SALER_KAFKA__BROKERS", self.brokers.clone()),
            ("SALER_KAFKA__REPLICATION", self.plan.brokers.min(3).to_string()),
            ("SALER_KAFKA__MIN_IN_SYNC", if self.plan.brokers >= 3 { "2" } else { "1" }.to_owned()),
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

    /// What lies between the servers and whoever connects to them, if relays do.
    pub fn net(&self) -> Option<&Net> {
        self.relays.as_ref().map(|relays| &relays.net)
    }

    /// What a server uses now; nothing if it does not run.
    pub fn usage(&self, name: &str) -> Usage {
        let process = std::fs::read_to_string(self.dir.join(format!("{name}.pid"))).ok();
        let process = process.and_then(|text| text.trim().parse().ok());
        process.and_then(|process| usage(process).ok()).unwrap_or_default()
    }

    async fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("bash");
        command.arg(&self.script).args(arguments).arg(&self.dir).stdin(Stdio::null()).stderr(Stdio::piped());
        if self.plan.pace == Pace::Full {
            command.env("SALER_TEST_JVM", "full");
        }
        if let Some(relays) = &self.relays {
            let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
            command.env("SALER_TEST_KAFKA_ADVERTISED", list(&relays.brokers));
            command.env("SALER_TEST_KAFKA_QUORUM", list(&relays.controllers));
        }
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

impl Relays {
    async fn start(brokers: u32) -> anyhow::Result<Self> {
        let [kafka, quorum, cql] = PORTS.map(|(variable, port)| -> anyhow::Result<u16> {
            let Some(text) = std::env::vars().find_map(|(name, value)| (name == variable).then_some(value)) else {
                return Ok(port);
            };
            text.parse().with_context(|| format!("{variable} is no port"))
        });
        let (kafka, quorum, cql) = (kafka?, quorum?, cql?);
        let mut net = Net::default();
        let (mut of_brokers, mut of_controllers) = (Vec::new(), Vec::new());
        for number in 0..u16::try_from(brokers)? {
            let name = format!("kafka-{}", number + 1);
            for (first, ports) in [(kafka, &mut of_brokers), (quorum, &mut of_controllers)] {
                let (listener, port) = listener().await?;
                net.relay(&name, listener, SocketAddr::from((Ipv4Addr::LOCALHOST, first + number)));
                ports.push(port);
            }
        }
        let (listener, tables) = listener().await?;
        net.relay(TABLES, listener, SocketAddr::from((Ipv4Addr::LOCALHOST, cql)));
        Ok(Self { net, brokers: of_brokers, controllers: of_controllers, tables })
    }
}

fn address(port: u16) -> String {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()
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
