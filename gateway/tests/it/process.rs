//! The hub's real binary: set up on the command line, started on a port of its own, read, and stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::app::{ACCOUNT, AUTH_TOKEN, Answer, NUMBER, answer, form_urlencoded, sign};
use super::cli::{json_of, saler};

/// What webhooks are signed for; where the hub listens changes with every start.
pub(crate) const PUBLIC_URL: &str = "https://hub.example.test";
/// No state takes longer to come.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a state that the hub tells of only when asked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the command line made.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) data: PathBuf,
    pub(crate) workspace: String,
    pub(crate) channel: String,
    /// An API token of the owner.
    pub(crate) token: String,
    /// With which the owner signs in.
    pub(crate) email: &'static str,
    pub(crate) password: String,
}

impl Shop {
    /// Makes a workspace with an owner, an API token and an SMS channel whose provider is at `api_base`.
    pub(crate) async fn open(data: &Path, api_base: &str) -> Self {
        Self::make(data, api_base, async |arguments, input| json_of(&saler(data, arguments, input))).await
    }

    /// The same, by whatever runs the command line and gives what it prints.
    pub(crate) async fn make(data: &Path, api_base: &str, run: impl AsyncFn(&[&str], &str) -> Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let email = "owner@shop.test";
        let workspace = text(&run(&["workspace", "create", "--name", "Shop"], "").await["id"]);
        let person = ["--workspace", &workspace, "--email", email];
        let user = run(&[&["user", "create", "--name", "Owner", "--role", "owner"][..], &person].concat(), "").await;
        let token = ["token", "create", "--name", "tests", "--role", "owner"];
        let token = run(&[&token[..], &person].concat(), "").await;
        let account = ["--address", NUMBER, "--account-sid", ACCOUNT, "--auth-token-stdin", "--api-base", api_base];
        let kind = ["channel", "create", "--name", "SMS", "--provider", "twilio", "--medium", "sms"];
        let channel = run(&[&kind[..], &["--workspace", &workspace], &account].concat(), AUTH_TOKEN).await;
        Self {
            data: data.to_owned(),
            channel: text(&channel["channel"]["id"]),
            token: text(&token["secret"]),
            password: text(&user["password"]),
            workspace,
            email,
        }
    }

    /// The path of the channel's webhooks.
    pub(crate) fn webhook_path(&self) -> String {
        format!("/webhooks/twilio/{}", self.channel)
    }
}

/// A running hub. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) child: Child,
    pub(crate) base_url: String,
    pub(crate) client: reqwest::Client,
    voice: Voice,
}

impl Hub {
    /// Starts the hub with these further settings, and waits until it says where it listens.
    pub(crate) async fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_saler"))
            .arg("serve")
            .env("SALER_DATA__DIR", data)
            .env("SALER_HTTP__LISTEN", "127.0.0.1:0")
            .env("SALER_HTTP__PUBLIC_URL", PUBLIC_URL)
            .env("SALER_LOG__MIN_FREE_MB", "1")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let voice = Voice::of(&mut child, PATIENCE).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, base_url: format!("http://{}", voice.address), client, voice }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.base_url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Waits until what was acknowledged before is applied.
    pub(crate) async fn is_ready(&self) {
        self.until("the hub catches up", async || {
            let ready = self.client.get(format!("{}/readyz", self.base_url)).send().await.unwrap();
            (ready.status() == 200).then_some(())
        })
        .await;
    }

    /// Asks again until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        until(PATIENCE, LOOK_EVERY, what, ask).await
    }

    /// A request under `/api/v1` by the owner of the shop.
    pub(crate) async fn call(&self, shop: &Shop, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.base_url)).bearer_auth(&shop.token);
        answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// What `GET` of a path under `/api/v1` gives.
    pub(crate) async fn get(&self, shop: &Shop, path: &str) -> Value {
        self.call(shop, Method::GET, path, None).await.expect(200)
    }

    /// Posts a webhook with Twilio's signature for the public address.
    pub(crate) async fn webhook(&self, shop: &Shop, parameters: &[(&str, &str)]) -> Answer {
        let path = shop.webhook_path();
        let request = self
            .client
            .post(format!("{}{path}", self.base_url))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Twilio-Signature", sign(&format!("{PUBLIC_URL}{path}"), parameters))
            .body(form_urlencoded(parameters));
        answer(request).await
    }

    /// Asks the hub to stop, as a service manager does.
    pub(crate) fn terminate(&self) {
        signal(&self.child, "-TERM");
    }

    /// Waits for the hub's end; returns how it ended and everything that it wrote.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the hub ends").unwrap();
        (status, self.voice.whole().await)
    }
}

/// What a process of the hub writes.
#[derive(Debug)]
pub(crate) struct Voice {
    /// Where it says that it listens.
    pub(crate) address: String,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Voice {
    /// Takes what is piped of a process, and waits until it says where it listens.
    pub(crate) async fn of(child: &mut Child, patience: Duration) -> Self {
        let said = Arc::new(Mutex::new(String::new()));
        let (address, mut listening) = watch::channel(None);
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(tokio::spawn(keep(BufReader::new(out), Arc::clone(&said), address.clone())));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(tokio::spawn(keep(BufReader::new(err), Arc::clone(&said), address)));
        }
        let waiting = tokio::time::timeout(patience, listening.wait_for(Option::is_some)).await;
        let Ok(Some(address)) = waiting.expect("the hub listens in time").map(|address| address.clone()) else {
            panic!("the hub ended before it listened: {}", said.lock().unwrap());
        };
        Self { address, said, readers }
    }

    /// The last `bytes` of what it has said so far.
    pub(crate) fn end(&self, bytes: usize) -> String {
        let said = self.said.lock().unwrap();
        said.get(said.ceil_char_boundary(said.len().saturating_sub(bytes))..).unwrap_or_default().to_owned()
    }

    /// Everything, once the process has ended.
    pub(crate) async fn whole(mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        self.said.lock().unwrap().clone()
    }
}

async fn keep(mut reader: impl AsyncBufRead + Unpin, said: Arc<Mutex<String>>, address: watch::Sender<Option<String>>) {
    let mut line = String::new();
    while reader.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        if let Some((_, rest)) = line.split_once("the hub is listening address=") {
            address.send_replace(rest.split_whitespace().next().map(str::to_owned));
        }
        said.lock().unwrap().push_str(&line);
        line.clear();
    }
}

/// Asks again until there is an answer.
pub(crate) async fn until<T>(
    patience: Duration,
    look_every: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let waiting = async {
        let mut look = tokio::time::interval(look_every);
        loop {
            look.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_late| panic!("it did not come: {what}"))
}

/// Sends a signal, such as `-TERM`.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}
