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
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a state that the hub tells of only when asked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the command line made in a data folder.
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
    pub(crate) fn open(data: &Path, api_base: &str) -> Self {
        let run = |arguments: &[&str], input: &str| json_of(&saler(data, arguments, input));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let email = "owner@shop.test";
        let workspace = text(&run(&["workspace", "create", "--name", "Shop"], "")["id"]);
        let person = ["--workspace", &workspace, "--email", email];
        let user = run(&[&["user", "create", "--name", "Owner", "--role", "owner"][..], &person].concat(), "");
        let token = run(&[&["token", "create", "--name", "tests", "--role", "owner"][..], &person].concat(), "");
        let account = ["--address", NUMBER, "--account-sid", ACCOUNT, "--auth-token-stdin", "--api-base", api_base];
        let kind = ["channel", "create", "--name", "SMS", "--provider", "twilio", "--medium", "sms"];
        let channel = run(&[&kind[..], &["--workspace", &workspace], &account].concat(), AUTH_TOKEN);
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
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
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
        let said = Arc::new(Mutex::new(String::new()));
        let (address, mut listening) = watch::channel(None);
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![
            tokio::spawn(keep(BufReader::new(out), Arc::clone(&said), address.clone())),
            tokio::spawn(keep(BufReader::new(err), Arc::clone(&said), address)),
        ];
        let Ok(Some(address)) = listening.wait_for(Option::is_some).await.map(|address| address.clone()) else {
            panic!("the hub ended before it listened: {}", said.lock().unwrap());
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, base_url: format!("http://{address}"), client, said, readers }
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
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for the hub's end; returns how it ended and everything that it wrote.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the hub ends").unwrap();
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        let said = self.said.lock().unwrap().clone();
        (status, said)
    }
}

/// Keeps what the hub writes, and finds out where it listens.
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
