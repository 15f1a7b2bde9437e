//! A hub that is ready to be loaded: workspaces with a Twilio channel each, and a token for each. Started afresh on an
//! empty folder, or one that runs already.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use schemas::workspace::Workspace;
use schemas::{ConversationId, WorkspaceId};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use super::api::{Api, SmsChannel};
use super::process::{HubOptions, Served, default_binary};
use super::servers::{Pace, Plan, SCRIPT, Servers};
use crate::generator::socket::SignOn;
use crate::generator::swarm::source;
use crate::generator::webhooks::{Target, customer_number};
use crate::machine::Usage;
use crate::simulator::{CallbackPlan, Config as SimulatorConfig, Simulator};
use crate::twilio::sid;

/// The sign-in of the first owner. A made-up one.
const OWNER_EMAIL: &str = "owner@load.saler.test";
const OWNER_PASSWORD: &str = "correct-horse-battery-2026";
const AUTH_TOKEN: &str = "load0123456789abcdef0123456789ab";
/// How long the hub may take to show what it acknowledged.
const CATCH_UP_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);
/// Sockets of one person that the workloads open: all sockets of a workspace share one token.
const SOCKETS_PER_USER: usize = 20_000;

/// Which hub.
#[derive(Clone, Debug, clap::Args)]
pub struct HubChoice {
    /// A hub that runs already, such as `http://127.0.0.1:8080`, with --email and --password of somebody who may make
    /// workspaces. Without it, a hub is started on an empty folder.
    #[arg(long, requires = "email", requires = "password", conflicts_with = "spawn")]
    pub hub: Option<String>,
    /// With --hub: who signs in.
    #[arg(long)]
    pub email: Option<String>,
    /// With --hub: their password.
    #[arg(long)]
    pub password: Option<String>,
    /// The program to start; `saler` beside this program if absent.
    #[arg(long)]
    pub spawn: Option<PathBuf>,
    /// Starts a Kafka broker and a CQL node, and the hub on them instead of on its embedded engines.
    #[arg(long, conflicts_with = "hub")]
    pub on_servers: bool,
    /// On which disk the hub's folder is made; the system's temporary folder if absent.
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// A hub with workspaces.
#[derive(Debug)]
pub struct Fixture {
    /// Where it listens.
    pub address: SocketAddr,
    /// The base of its addresses, which webhooks are signed for.
    pub base_url: String,
    /// The bases of the processes whose metrics tell how far the engine is.
    pub engines: Vec<String>,
    /// Its workspaces.
    pub spaces: Vec<Space>,
    /// Its process, if this program started it.
    pub process: Option<Served>,
    /// How it was started, if this program started it.
    pub options: Option<HubOptions>,
    /// What it works on, if this program started that.
    pub servers: Option<Servers>,
    /// The provider that its channels send through.
    pub simulator: Simulator,
    dir: TempDir,
}

/// A workspace.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its id.
    pub id: WorkspaceId,
    /// Its API, as its owner.
    pub api: Api,
    /// Its channel.
    pub target: Target,
}

impl Fixture {
    /// Starts a hub, or takes the one named, and makes so many workspaces in it.
    ///
    /// # Errors
    /// If the hub cannot be started or reached, or refuses.
    pub async fn start(choice: &HubChoice, workspaces: usize, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dir = folder(choice)?;
        let (simulator, account) = provider().await?;
        let mut fixture = match &choice.hub {
            Some(hub) => Self::external(hub, simulator, dir)?,
            None => Self::spawned(choice, simulator, dir, variables).await?,
        };
        let email = choice.email.as_deref().unwrap_or(OWNER_EMAIL);
        let password = choice.password.as_deref().unwrap_or(OWNER_PASSWORD);
        fixture.make_spaces((email, password), &account, workspaces).await?;
        Ok(fixture)
    }

    /// Makes so many workspaces at a gateway of an empty cluster, which the caller has started in a folder of `dir`.
    /// `engines` are the bases of the processes whose metrics tell how far the engine is.
    ///
    /// # Errors
    /// If the gateway cannot be reached, or refuses.
    pub async fn at_gateway(
        gateway: &HubOptions,
        engines: Vec<String>,
        dir: TempDir,
        workspaces: usize,
    ) -> anyhow::Result<Self> {
        let (simulator, account) = provider().await?;
        let mut fixture = Self {
            address: gateway.address,
            base_url: gateway.base_url(),
            engines,
            spaces: Vec::new(),
            process: None,
            options: None,
            servers: None,
            simulator,
            dir,
        };
        fixture.make_spaces((OWNER_EMAIL, OWNER_PASSWORD), &account, workspaces).await?;
        Ok(fixture)
    }

    async fn make_spaces(&mut self, sign_in: (&str, &str), account: &str, workspaces: usize) -> anyhow::Result<()> {
        let (owner, _tokens) = Api::new(&self.base_url)?.sign_in(sign_in.0, sign_in.1).await?;
        // A person's oldest sign-in gives way to new ones, an API token does not.
        let owner = owner.with_token(owner.create_token("owner").await?);
        for number in 0..workspaces {
            let space = self.make_space(&owner, sign_in, account, number).await?;
            self.spaces.push(space);
        }
        Ok(())
    }

    fn external(hub: &str, simulator: Simulator, dir: TempDir) -> anyhow::Result<Self> {
        let api = Api::new(hub)?;
        Ok(Self {
            address: api.address().context("--hub")?,
            base_url: api.base().to_owned(),
            engines: vec![api.base().to_owned()],
            spaces: Vec::new(),
            process: None,
            options: None,
            servers: None,
            simulator,
            dir,
        })
    }

    async fn spawned(
        choice: &HubChoice,
        simulator: Simulator,
        dir: TempDir,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut options = HubOptions::new(default_binary(choice.spawn.as_deref())?, dir.path().to_owned())?;
        let servers = if choice.on_servers {
            let plan = Plan { brokers: 1, pace: Pace::Full, is_relayed: false };
            Some(Servers::start(Path::new(SCRIPT), dir.path().join("servers"), plan).await?)
        } else {
            None
        };
        if let Some(servers) = &servers {
            options.variables.extend(servers.settings());
            options.run(&["migrate"]).await?;
        }
        options.variables.push(("SALER_SOCKET__MAX_PER_USER".to_owned(), SOCKETS_PER_USER.to_string()));
        options.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        make_owner(&options).await?;
        let process = options.serve().await?;
        Ok(Self {
            address: options.address,
            base_url: options.base_url(),
            engines: vec![options.base_url()],
            spaces: Vec::new(),
            process: Some(process),
            options: Some(options),
            servers,
            simulator,
            dir,
        })
    }

    async fn make_space(
        &self,
        owner: &Api,
        (email, password): (&str, &str),
        account: &str,
        number: usize,
    ) -> anyhow::Result<Space> {
        let workspace = owner.create_workspace(&format!("Load {number}")).await?;
        let sign_in = json!({ "email": email, "password": password, "workspace_id": workspace.id });
        let tokens: schemas::api::auth::Tokens = owner.post("auth/sign-in", &sign_in, None).await?;
        let token = owner.with_token(tokens.access_token).create_token("owner").await?;
        let api = owner.with_token(token);
        let target_number = format!("+1415{number:07}");
        let channel_id = api
            .create_sms_channel(&SmsChannel {
                address: &target_number,
                account_sid: account,
                auth_token: AUTH_TOKEN,
                api_base: &self.simulator.api_base(),
            })
            .await?;
        let target = Target {
            channel_id,
            number: target_number,
            account_sid: account.to_owned(),
            auth_token: AUTH_TOKEN.to_owned(),
        };
        Ok(Space { id: workspace.id, api, target })
    }

    /// The auth token of all channels.
    pub fn auth_token(&self) -> &'static str {
        AUTH_TOKEN
    }

    /// The folder of the run, on the hub's disk.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the hub's process uses now; nothing if this program did not start it.
    pub fn usage(&self) -> Usage {
        self.process.as_ref().and_then(|process| process.usage().ok()).unwrap_or_default()
    }

    /// The workspace of message or customer `index`: in turn.
    pub fn space(&self, index: u64) -> Option<&Space> {
        let count = u64::try_from(self.spaces.len()).ok().filter(|count| *count > 0)?;
        self.spaces.get(usize::try_from(index % count).ok()?)
    }

    /// How socket `index` signs in to a workspace.
    pub fn sign_on(&self, space: &Space, index: usize, topics: Vec<String>) -> SignOn {
        SignOn {
            address: self.address,
            origin: self.base_url.clone(),
            source: Some(source(index)),
            token: space.api.token().to_owned(),
            device: format!("load-{index}"),
            topics,
            acknowledge: false,
            receive_buffer: None,
        }
    }

    /// Waits until the engine has applied all commands, by the hub's own metrics; gives how long that took.
    ///
    /// # Errors
    /// If it does not within two minutes.
    pub async fn caught_up(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while start.elapsed() < CATCH_UP_WITHIN {
            let lags = self.metric("saler_engine_lag_commands").await?;
            if !lags.is_empty() && lags.iter().all(|(_labels, lag)| *lag <= 0.0) {
                return Ok(start.elapsed());
            }
            tokio::time::sleep(POLL).await;
        }
        anyhow::bail!("the engine has not caught up within {CATCH_UP_WITHIN:?}")
    }

    /// The values of a metric of the engines, each with its labels as they are written.
    ///
    /// # Errors
    /// If `/metrics` cannot be read.
    pub async fn metric(&self, name: &str) -> anyhow::Result<Vec<(String, f64)>> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut values = Vec::new();
        for base in &self.engines {
            let answer = client.get(format!("{base}/metrics")).send().await;
            let text = answer.and_then(reqwest::Response::error_for_status).context("no metrics")?.text().await?;
            values.extend(metric_values(&text, name));
        }
        Ok(values)
    }

    /// The conversations of customers `0..customers`, in their order: customer `i` writes to workspace `i` in turn.
    ///
    /// # Errors
    /// If one is missing.
    pub async fn conversations_of(&self, customers: u64) -> anyhow::Result<Vec<ConversationId>> {
        let mut found = std::collections::HashMap::new();
        for space in &self.spaces {
            for view in space.api.all_conversations("open").await? {
                found.insert((space.id, view.conversation.contact_address), view.conversation.id);
            }
        }
        (0..customers)
            .map(|customer| {
                let space = self.space(customer).context("there are no workspaces")?;
                let id = found.get(&(space.id, customer_number(customer)));
                id.copied().with_context(|| format!("customer {customer} has no conversation"))
            })
            .collect()
    }
}

/// A new folder for a run.
///
/// # Errors
/// If it cannot be made.
pub fn folder(choice: &HubChoice) -> anyhow::Result<TempDir> {
    match &choice.dir {
        Some(parent) => TempDir::with_prefix_in("saler-load-", parent),
        None => TempDir::with_prefix("saler-load-"),
    }
    .context("cannot make a folder for the hub")
}

/// A provider, and the account that it knows.
async fn provider() -> anyhow::Result<(Simulator, String)> {
    let account = sid("AC", rand::random());
    let config = SimulatorConfig { callbacks: CallbackPlan::prompt(), ..SimulatorConfig::single(&account, AUTH_TOKEN) };
    Ok((Simulator::start(config).await?, account))
}

/// Makes the first workspace and its owner on the command line, before the hub runs.
///
/// # Errors
/// If the command line fails.
pub async fn make_owner(options: &HubOptions) -> anyhow::Result<()> {
    let made = options.run(&["workspace", "create", "--name", "Load"]).await?;
    let made: Workspace =
        serde_json::from_str(&made).context("`saler workspace create` answered something unexpected")?;
    let workspace = made.id.to_string();
    let owner = ["--email", OWNER_EMAIL, "--name", "Load", "--role", "owner", "--password", OWNER_PASSWORD];
    let arguments = ["user", "create", "--workspace", &workspace].into_iter().chain(owner).collect::<Vec<_>>();
    options.run(&arguments).await.map(drop)
}

fn metric_values(text: &str, name: &str) -> Vec<(String, f64)> {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some(())?;
            Some((labels.to_owned(), value.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_metric_with_and_without_labels() {
        let text = "# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"2\"} 4.5\nab 5\na 6\n";
        let values = metric_values(text, "a");
        assert_eq!(values, [("{x=\"1 2\"}".to_owned(), 3.0), ("{x=\"2\"}".to_owned(), 4.5), (String::new(), 6.0)]);
    }
}
