//! Roles of the real binary as processes of one cluster.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::pair::{CQL, KAFKA, cluster_settings};
use super::process::{PUBLIC_URL, Shop, Voice, signal, until};

/// No state of a cluster takes longer to come.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at a state.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nothing is sent to the provider.
const NO_PROVIDER: &str = "http://127.0.0.1:9";
/// How much of what a process said is shown when a test fails, in bytes.
const SHOWN_BYTES: usize = 6_000;

/// Settings that all processes share, and a folder for what they keep.
#[derive(Debug)]
pub(crate) struct Cluster {
    settings: Vec<(String, String)>,
    dir: TempDir,
    pub(crate) client: reqwest::Client,
}

impl Cluster {
    /// A new one, if the environment names servers.
    pub(crate) fn new() -> Option<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
        Some(Self { settings: cluster_settings()?, dir: tempfile::tempdir().unwrap(), client })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_saler"));
        // The names of the tests' servers are no settings.
        command.env_remove(KAFKA).env_remove(CQL);
        command.envs(self.settings.iter().cloned()).env("SALER_HTTP__PUBLIC_URL", PUBLIC_URL).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> std::process::Output {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    async fn json(&self, arguments: &[&str], input: &str) -> Value {
        let output = self.run(arguments, input).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes a workspace with an owner, an API token and an SMS channel.
    pub(crate) async fn open_shop(&self) -> Shop {
        Shop::make(self.dir.path(), NO_PROVIDER, async |arguments, input| self.json(arguments, input).await).await
    }

    /// Starts a process with these roles and waits until it says where it listens.
    pub(crate) async fn start(&self, name: &str, roles: &str, settings: &[(&str, &str)]) -> Process {
        let mut command = self.command();
        command
            .args(["serve", "--roles", roles])
            .env("SALER_NODE__NAME", name)
            .env("SALER_DATA__DIR", self.dir.path().join(name))
            .env("SALER_HTTP__LISTEN", "127.0.0.1:0")
            .env("SALER_HTTP__WORKERS", "1")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let voice = Voice::of(&mut child, PATIENCE).await;
        let process = Process { name: name.to_owned(), child, address: voice.address.parse().unwrap(), voice };
        self.until(&format!("{name} is ready"), async || {
            let ready = self.client.get(format!("{}/readyz", process.url())).send().await.ok()?;
            (ready.status() == 200).then_some(())
        })
        .await;
        process
    }

    /// Asks again until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        until(PATIENCE, LOOK_EVERY, what, ask).await
    }

    /// What `GET` of a path gives the shop's owner: status and JSON; none if nobody answers.
    pub(crate) async fn get(&self, at: &Process, shop: &Shop, path: &str) -> Option<(u16, Value)> {
        let answer =
            self.client.get(format!("{}/api/v1{path}", at.url())).bearer_auth(&shop.token).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.unwrap_or(Value::Null)))
    }

    /// Every item of a list.
    pub(crate) async fn all(&self, at: &Process, shop: &Shop, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, mut page) = self.get(at, shop, &format!("{path}{cursor}")).await.expect("the gateway answers");
            assert_eq!(status, 200, "{page}");
            items.append(page["items"].as_array_mut().unwrap());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// A process of a cluster; killed when dropped, and heard when the test fails.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) address: SocketAddr,
    voice: Voice,
}

impl Process {
    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Lets it stand still, or go on.
    pub(crate) fn pause(&self) {
        signal(&self.child, "-STOP");
    }

    pub(crate) fn resume(&self) {
        signal(&self.child, "-CONT");
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        signal(&self.child, "-TERM");
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.voice.end(SHOWN_BYTES));
        }
    }
}
