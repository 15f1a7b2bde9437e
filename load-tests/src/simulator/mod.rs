//! A provider simulator that speaks Twilio's real Messaging API and signs its webhooks, for demos and tests.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /2010-04-01/Accounts/{Sid}/Messages.json` | takes a message: 201 and Twilio's JSON |
//! | `GET …/Messages.json?To=&From=&DateSent>=` | a page of messages, newest first |
//! | `GET`, `POST`, `DELETE …/Messages/{Sid}.json` | one message; `Body=` redacts, `Status=canceled` cancels |
//! | `GET …/Messages/{Sid}/Media/{Sid}` | a picture |
//! | `GET, POST, DELETE /simulator/faults` | the fault rules: list, add (a [`FaultRule`] in JSON), clear |
//! | `POST /simulator/outage` | stops listening: `{"milliseconds": 5000}` |
//! | `POST /simulator/inbound` | posts a signed webhook of a customer's message to the hub: [`InboundOrder`] |
//! | `GET /simulator/stats`, `GET /simulator/messages` | counts; the newest thousand messages |
//!
//! Twilio's own part wants HTTP Basic with an account's SID and auth token. The part under `/simulator` wants nothing:
//! the simulator listens on the loopback interface and knows only test credentials.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod api;
mod callbacks;
mod faults;
pub(crate) mod http;
mod picture;
mod store;

pub use callbacks::CallbackPlan;
pub use faults::{Fault, FaultRule};
pub use store::{Stats, TakenMessage};

use crate::twilio::{Extra, Inbound, encode_form, sid, signature};
use store::Store;

/// How many taken messages a slow subscriber may be behind before it misses some.
const TAKEN_BACKLOG: usize = 4_096;
/// How long a webhook may take before Twilio gives up on it.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Accounts: SID and auth token.
    pub accounts: Vec<(String, String)>,
    /// When and how messages go on after they were taken.
    pub callbacks: CallbackPlan,
    /// The seed of every choice.
    pub seed: u64,
}

impl Config {
    /// One account on a free port of the loopback interface.
    pub fn single(account_sid: impl Into<String>, auth_token: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            accounts: vec![(account_sid.into(), auth_token.into())],
            callbacks: CallbackPlan::default(),
            seed: 1,
        }
    }
}

/// A customer's message that the simulator is to post to the hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundOrder {
    /// The full public URL of the channel's webhook.
    pub url: String,
    /// Whose channel.
    pub account_sid: String,
    /// The customer's number in E.164.
    pub from: String,
    /// The channel's number in E.164.
    pub to: String,
    /// Whether it comes by WhatsApp.
    #[serde(default)]
    pub whatsapp: bool,
    /// The name of the WhatsApp profile.
    #[serde(default)]
    pub profile_name: String,
    /// The text.
    #[serde(default)]
    pub body: String,
}

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    store: Mutex<Store>,
    random: Mutex<SmallRng>,
    callbacks: CallbackPlan,
    client: reqwest::Client,
    taken: broadcast::Sender<TakenMessage>,
    outage: watch::Sender<Duration>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Simulator {
    /// Starts a simulator on tasks of the present tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {} for the provider simulator", config.listen))?;
        let address = listener.local_addr().context("cannot read the simulator's address")?;
        let (outage, outage_changes) = watch::channel(Duration::ZERO);
        let inner = Arc::new(Inner {
            store: Mutex::new(Store::new(config.accounts)),
            random: Mutex::new(SmallRng::seed_from_u64(config.seed)),
            callbacks: config.callbacks,
            client: reqwest::Client::builder()
                .timeout(WEBHOOK_TIMEOUT)
                .no_proxy()
                .build()
                .context("cannot build the simulator's HTTP client")?,
            taken: broadcast::Sender::new(TAKEN_BACKLOG),
            outage,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        tokio::spawn(http::serve(listener, Arc::clone(&inner), outage_changes, inner.stop.clone()));
        Ok(Self { address, inner })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a channel's `api_base` must be to talk to it.
    pub fn api_base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault rule; the first that matches a message decides.
    pub fn add_fault(&self, rule: FaultRule) {
        self.inner.store().faults.add(rule);
    }

    /// Forgets all fault rules.
    pub fn clear_faults(&self) {
        self.inner.store().faults.clear();
    }

    /// Cuts all connections and refuses new ones for so long.
    pub fn begin_outage(&self, length: Duration) {
        self.inner.outage.send_replace(length);
    }

    /// The messages that it took and still remembers, oldest first.
    pub fn messages(&self) -> Vec<TakenMessage> {
        self.inner.store().messages().cloned().collect()
    }

    /// What it counted.
    pub fn stats(&self) -> Stats {
        self.inner.store().stats
    }

    /// Every message that it takes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<TakenMessage> {
        self.inner.taken.subscribe()
    }

    /// A fresh SID with this prefix.
    pub fn fresh_sid(&self, prefix: &str) -> String {
        sid(prefix, self.inner.number())
    }

    /// The address of a picture on this simulator, for inbound media.
    pub fn picture_url(&self, account_sid: &str) -> String {
        format!(
            "{}/2010-04-01/Accounts/{account_sid}/Messages/{}/Media/{}",
            self.api_base(),
            self.fresh_sid("MM"),
            self.fresh_sid("ME")
        )
    }

    /// Posts a customer's message to the hub, signed; gives the hub's status.
    ///
    /// # Errors
    /// If the account is unknown or the hub cannot be reached (one more try is made for a failed connection, as Twilio
    /// does).
    pub async fn post_inbound(&self, url: &str, inbound: &Inbound<'_>) -> anyhow::Result<u16> {
        self.inner.post_signed(url, inbound.account_sid, &inbound.params()).await
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

impl Inner {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        // A panic while the lock was held cannot leave the store half-changed in a way that matters here.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn number(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// A number from 0 to 1.
    pub(crate) fn chance(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    pub(crate) async fn post_order(&self, order: &InboundOrder) -> anyhow::Result<u16> {
        let message_sid = sid("SM", self.number());
        let inbound = Inbound {
            account_sid: &order.account_sid,
            message_sid: &message_sid,
            from: &order.from,
            to: &order.to,
            whatsapp: order.whatsapp,
            profile_name: &order.profile_name,
            body: &order.body,
            extra: &Extra::None,
        };
        self.post_signed(&order.url, &order.account_sid, &inbound.params()).await
    }

    /// Posts a signed form, with one more try if no connection came about (Twilio's default `rc=1`, `rp=ct`).
    pub(crate) async fn post_signed(
        &self,
        url: &str,
        account_sid: &str,
        params: &[(&'static str, String)],
    ) -> anyhow::Result<u16> {
        let token = self.store().accounts.get(account_sid).cloned();
        let token = token.with_context(|| format!("the simulator has no account {account_sid}"))?;
        let body = encode_form(params);
        let signature = signature(&token, url, params);
        let idempotency_token = format!("{:032x}", self.number());
        let request = || {
            self.client
                .post(url)
                .header("Content-Type", format!("{}; charset=UTF-8", crate::twilio::FORM))
                .header("User-Agent", "TwilioProxy/1.1")
                .header("I-Twilio-Idempotency-Token", &idempotency_token)
                .header("X-Twilio-Signature", &signature)
                .body(body.clone())
                .send()
        };
        let answer = match request().await {
            Err(error) if error.is_connect() => request().await,
            answer => answer,
        };
        Ok(answer.with_context(|| format!("cannot post to {url}"))?.status().as_u16())
    }
}
