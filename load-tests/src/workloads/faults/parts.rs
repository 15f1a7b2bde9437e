//! The hub's processes of a cluster: each with roles of its own, started, killed, paused and stopped by name.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::hub::process::{HubOptions, Served};
use crate::hub::servers::Servers;

/// What the processes show each other.
const ANALYTICS_TOKEN: &str = "load-tests-0123456789abcdef0123456789";
const ANALYTICS: &str = "analytics-1";
pub(super) const PARTITIONS: usize = 4;
/// How long a broker waits for a member of a group before its partitions go to others.
pub(super) const SESSION_MS: u64 = 6_000;

/// A process, running or not.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    role: &'static str,
    pub(super) options: HubOptions,
    pub(super) process: Option<Served>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    /// The gateways that are up.
    pub(super) gateways: watch::Sender<Vec<SocketAddr>>,
}

impl Parts {
    /// Two gateways, two engines and one analytics over these servers, each in a folder below `dir`; not started yet.
    pub(super) fn new(binary: &Path, dir: &Path, servers: &Servers) -> anyhow::Result<Self> {
        let names = [
            (ANALYTICS, "analytics"),
            ("gateway-1", "gateway"),
            ("gateway-2", "gateway"),
            ("ingest-1", "ingest"),
            ("ingest-2", "ingest"),
        ];
        let mut all = Vec::new();
        for (name, role) in names {
            let dir = dir.join(name);
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            all.push(Part { name, role, options: HubOptions::new(binary.to_owned(), dir)?, process: None });
        }
        let url = |name: &str| all.iter().find(|part| part.name == name).map(|part| part.options.base_url());
        let analytics = url(ANALYTICS).context("there is no analytics")?;
        let public = url("gateway-1").context("there is no gateway")?;
        let settings = [
            ("SALER_HTTP__PUBLIC_URL", public),
            ("SALER_HTTP__WORKERS", "1".to_owned()),
            ("SALER_LOG__PARTITIONS", PARTITIONS.to_string()),
            ("SALER_KAFKA__SESSION_TIMEOUT_MS", SESSION_MS.to_string()),
            ("SALER_ANALYTICS__TOKEN", ANALYTICS_TOKEN.to_owned()),
            ("SALER_ANALYTICS__URLS", analytics),
        ];
        for part in &mut all {
            part.options.variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            part.options.variables.extend(servers.settings());
            part.options.variables.push(("SALER_NODE__NAME".to_owned(), part.name.to_owned()));
            part.options.roles = part.role;
        }
        Ok(Self { all, gateways: watch::Sender::new(Vec::new()) })
    }

    /// The one with this name.
    pub(super) fn named(&mut self, name: &str) -> anyhow::Result<&mut Part> {
        self.all.iter_mut().find(|part| part.name == name).with_context(|| format!("there is no process {name}"))
    }

    /// The names of those with a role.
    pub(super) fn names_of(&self, role: &str) -> Vec<&'static str> {
        self.all.iter().filter(|part| part.role == role).map(|part| part.name).collect()
    }

    /// Starts one and waits until it is ready.
    pub(super) async fn start(&mut self, name: &str) -> anyhow::Result<()> {
        let part = self.named(name)?;
        part.process = Some(part.options.serve().await.with_context(|| format!("{name} did not start"))?);
        self.tell();
        Ok(())
    }

    /// Takes one that runs, to kill or to stop it; customers and sockets go elsewhere.
    pub(super) fn take(&mut self, name: &str) -> anyhow::Result<Served> {
        let process = self.named(name)?.process.take().with_context(|| format!("{name} does not run"))?;
        self.tell();
        Ok(process)
    }

    fn tell(&self) {
        let up = self.all.iter().filter(|part| part.role == "gateway" && part.process.is_some());
        self.gateways.send_replace(up.map(|part| part.options.address).collect());
    }

    /// Starts again what has ended by itself; gives the names.
    pub(super) async fn revive(&mut self) -> anyhow::Result<Vec<&'static str>> {
        let mut ended = Vec::new();
        for part in &mut self.all {
            if part.process.as_mut().is_some_and(Served::has_ended) {
                ended.push(part.name);
                part.process = None;
            }
        }
        for name in &ended {
            self.start(name).await?;
        }
        Ok(ended)
    }
}
