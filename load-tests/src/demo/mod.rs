//! `saler-load demo`: what `make run` starts beside the hub. It plays the provider and the customers: lively, believable
//! conversations in Arabic and English over SMS and WhatsApp, customers who go on when they are answered, and, if asked
//! for, agents who answer a part of them and leave the rest to the human.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod agents;
pub mod config;
pub mod director;
pub mod script;
pub mod setup;

use crate::hub::api::Api;
use crate::simulator::{CallbackPlan, Config as SimulatorConfig, Simulator};
use crate::twilio::{Extra, Inbound};
use config::{ChannelConfig, WorkspaceConfig};
use director::{Director, Utterance};
use schemas::channel::Medium;
use script::Content;

/// How many answers may wait for the simulated agents.
const WISH_BACKLOG: usize = 256;
const READY_POLL: Duration = Duration::from_millis(200);

/// What the demo is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The hub.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub hub: String,
    /// The public URL that webhooks are signed for; the hub's address if absent.
    #[arg(long)]
    pub public_url: Option<String>,
    /// The demo workspace: its channels and people, in JSON.
    #[arg(long)]
    pub workspace_config: PathBuf,
    /// Where the provider simulator listens; the channels' `api_base` must be this address.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub simulator: SocketAddr,
    /// How many of the workspace's agents are played.
    #[arg(long, default_value_t = 2)]
    pub agents: usize,
    /// How many times as fast as usual: 1 gives a message every one to three seconds.
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// The seed of every choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Plays until `stop`.
///
/// # Errors
/// If the workspace's file is wrong or the simulator's address is taken.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(options.speed > 0.0 && options.speed <= 1_000.0, "--speed must be above 0 and at most 1000");
    let config = WorkspaceConfig::load(&options.workspace_config)?;
    let channels: Vec<ChannelConfig> = config.phone_channels().cloned().collect();
    let simulator = Simulator::start(SimulatorConfig {
        listen: options.simulator,
        accounts: config.accounts(),
        callbacks: CallbackPlan::default(),
        seed: options.seed,
    })
    .await?;
    info!(address = %simulator.address(), "the provider simulator listens");
    let answers = simulator.subscribe();
    let api = Api::new(&options.hub)?;
    while !api.is_ready().await {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(READY_POLL) => {}
        }
    }
    let (wishes, wishes_received) = mpsc::channel(WISH_BACKLOG);
    let players: Vec<_> = config
        .users
        .iter()
        .filter(|user| user.role == schemas::workspace::Role::Agent)
        .take(options.agents)
        .cloned()
        .collect();
    let director = Director::new(channels.len(), !players.is_empty(), options.seed);
    let agents = tokio::spawn(agents::play(api, players, channels.clone(), wishes_received, stop.clone()));
    let mut stage = Stage {
        public_url: options.public_url.unwrap_or(options.hub).trim_end_matches('/').to_owned(),
        speed: options.speed,
        channels,
        simulator,
        director,
        wishes,
    };
    stage.play(answers, &stop).await;
    drop(stage);
    agents.await.context("the simulated agents failed")
}

/// Where the customers speak.
struct Stage {
    public_url: String,
    speed: f64,
    channels: Vec<ChannelConfig>,
    simulator: Simulator,
    director: Director,
    wishes: mpsc::Sender<director::Wish>,
}

impl Stage {
    async fn play(
        &mut self,
        mut answers: broadcast::Receiver<crate::simulator::TakenMessage>,
        stop: &CancellationToken,
    ) {
        let start = Instant::now();
        let mut next_at = start;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                answer = answers.recv() => match answer {
                    Ok(message) => self.hear(&message.to, &message.from, self.story_time(start)),
                    // Those who were missed are asked for again by their customers.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(next_at) => {
                    next_at = Instant::now() + self.director.pause().div_f64(self.speed);
                    let (utterance, wish) = self.director.next(self.story_time(start));
                    if let Some(utterance) = utterance {
                        self.say(&utterance).await;
                    }
                    if let Some(mut wish) = wish {
                        wish.after = wish.after.div_f64(self.speed);
                        // Agents that are this far behind leave the talk to the human.
                        let _full = self.wishes.try_send(wish);
                    }
                }
            }
        }
    }

    /// The director's clock, which runs as fast as the demo.
    fn story_time(&self, start: Instant) -> Instant {
        start + start.elapsed().mul_f64(self.speed)
    }

    fn hear(&mut self, to: &str, from: &str, now: Instant) {
        let (medium, number) = match to.strip_prefix("whatsapp:") {
            Some(number) => (Medium::Whatsapp, number),
            None => (Medium::Sms, to),
        };
        let own = from.trim_start_matches("whatsapp:");
        let channel = self.channels.iter().position(|channel| channel.medium == medium && channel.number == own);
        if let Some(channel) = channel {
            self.director.heard(number, channel, now);
        }
    }

    async fn say(&self, utterance: &Utterance) {
        let Some(channel) = self.channels.get(utterance.channel) else { return };
        let (body, extra) = match &utterance.content {
            Content::Text(text) => (text.as_str(), Extra::None),
            Content::File { content_type, caption } => (
                caption.as_str(),
                Extra::Media {
                    url: self.simulator.picture_url(&channel.account_sid),
                    content_type: (*content_type).to_owned(),
                },
            ),
            Content::Location { latitude, longitude, label, address } => {
                if channel.medium == Medium::Whatsapp {
                    let place = Extra::Location {
                        latitude: *latitude,
                        longitude: *longitude,
                        label: label.clone(),
                        address: address.clone(),
                    };
                    ("", place)
                } else {
                    (address.as_str(), Extra::None)
                }
            }
        };
        let inbound = Inbound {
            account_sid: &channel.account_sid,
            message_sid: &self.simulator.fresh_sid(if matches!(extra, Extra::Media { .. }) { "MM" } else { "SM" }),
            from: &utterance.persona.number,
            to: &channel.number,
            whatsapp: channel.medium == Medium::Whatsapp,
            profile_name: &utterance.persona.name,
            body,
            extra: &extra,
        };
        let url = format!("{}/webhooks/twilio/{}", self.public_url, channel.id);
        match self.simulator.post_inbound(&url, &inbound).await {
            Ok(200..300) => {}
            Ok(status) => warn!(status, %url, "the hub refused a webhook"),
            Err(error) => warn!(%url, "a webhook did not reach the hub: {error:#}"),
        }
    }
}
