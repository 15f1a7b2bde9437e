//! Roles of the real binary as processes of one cluster.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::app::{ACCOUNT, AUTH_TOKEN, NUMBER};
use super::pair::{CQL, KAFKA, cluster_settings};

/// What webhooks are signed for, whichever gateway they reach.
pub(crate) const PUBLIC_URL: &str = "https://hub.example.test";
/// No state of a cluster takes longer to come.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at a state.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of what a process said is shown when a test fails, in bytes.
const SHOWN_BYTES: usize = 6_000;

/// Settings that all processes share, and a folder for what they keep.
#[derive(Debug)]
pub(crate) struct Cluster {
    settings: Vec<(String, String)>,
    dir: TempDir,
    pub(crate) client: reqwest::Client,
}

/// What the command line made.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) channel: String,
    /// An API token of the owner.
    pub(crate) token: String,
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
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let workspace = text(&self.json(&["workspace", "create", "--name", "Shop"], "").await["id"]);
        let person = ["--workspace", &workspace, "--email", "owner@shop.test"];
        self.json(&[&["user", "create", "--name", "Owner", "--role", "owner"][..], &person].concat(), "").await;
        let token = ["token", "create", "--name", "tests", "--role", "owner"];
        let token = text(&self.json(&[&token[..], &person].concat(), "").await["secret"]);
        let kind = ["channel", "create", "--name", "SMS", "--provider", "twilio", "--medium", "sms"];
        let account = ["--workspace", &workspace, "--address", NUMBER, "--account-sid", ACCOUNT, "--auth-token-stdin"];
        let channel = self.json(&[&kind[..], &account].concat(), AUTH_TOKEN).await;
        Shop { channel: text(&channel["channel"]["id"]), token }
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
        let said = Arc::new(Mutex::new(String::new()));
        let (address, mut listening) = watch::channel(None);
        tokio::spawn(keep(BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said), address));
        let waiting = tokio::time::timeout(PATIENCE, listening.wait_for(Option::is_some)).await;
        let listens = waiting.expect("the process listens in time").map(|address| address.clone().unwrap());
        let address = listens.unwrap_or_else(|_| panic!("{name} ended before it listened: {}", said.lock().unwrap()));
        let process = Process { name: name.to_owned(), child, address: address.parse().unwrap(), said };
        self.until(&format!("{name} is ready"), async || {
            let ready = self.client.get(format!("{}/readyz", process.url())).send().await.ok()?;
            (ready.status() == 200).then_some(())
        })
        .await;
        process
    }

    /// Asks again until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                look.tick().await;
                if let Some(found) = ask().await {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_late| panic!("it did not come: {what}"))
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
    said: Arc<Mutex<String>>,
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

    fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Lets it stand still, or go on.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said.lock().unwrap();
            let from = said.len().saturating_sub(SHOWN_BYTES);
            let end =
                said.char_indices().find(|(at, _)| *at >= from).and_then(|(at, _)| said.get(at..)).unwrap_or_default();
            eprintln!("--- {}:\n{end}", self.name);
        }
    }
}

/// Keeps what a process says, and finds out where it listens.
async fn keep(
    mut reader: impl tokio::io::AsyncBufRead + Unpin,
    said: Arc<Mutex<String>>,
    address: watch::Sender<Option<String>>,
) {
    let mut line = String::new();
    while reader.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        if let Some((_, rest)) = line.split_once("the hub is listening address=") {
            address.send_replace(rest.split_whitespace().next().map(str::to_owned));
        }
        said.lock().unwrap().push_str(&line);
        line.clear();
    }
}
