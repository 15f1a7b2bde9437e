//! Simulated agents: they take conversations, answer them by the script, and resolve them, through the REST API.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::config::{ChannelConfig, UserConfig};
use super::director::Wish;
use crate::clock;
use crate::generator::socket::{SignOn, Socket};
use crate::hub::api::Api;

/// How long before an access token's end a new sign-in is made.
const RENEWAL_MARGIN: Duration = Duration::from_mins(1);
/// The most answers that are being thought about at once.
const MAX_THOUGHTS: usize = 128;
/// Between the end of a socket and the next.
const RECONNECT_PAUSE: Duration = Duration::from_secs(3);

/// Fulfils wishes until `stop`, and keeps a socket open for each player, so that they count as online.
pub(super) async fn play(
    api: Api,
    players: Vec<UserConfig>,
    channels: Vec<ChannelConfig>,
    mut wishes: mpsc::Receiver<Wish>,
    stop: CancellationToken,
) {
    let players: Vec<_> = players
        .into_iter()
        .map(|user| Arc::new(Player { api: api.clone(), user, session: tokio::sync::Mutex::new(None) }))
        .collect();
    let thoughts = TaskTracker::new();
    for player in &players {
        thoughts.spawn(Arc::clone(player).stay_online(stop.clone()));
    }
    loop {
        let wish = tokio::select! {
            () = stop.cancelled() => break,
            wish = wishes.recv() => wish,
        };
        let Some(wish) = wish else { break };
        // A customer stays with their agent, since agents do not see what a colleague holds.
        let turn = wish.number.bytes().map(usize::from).sum::<usize>() % players.len().max(1);
        let (Some(player), Some(channel)) = (players.get(turn), channels.get(wish.channel)) else { continue };
        if thoughts.len() >= MAX_THOUGHTS {
            continue;
        }
        let (player, channel, stop) = (Arc::clone(player), channel.clone(), stop.clone());
        thoughts.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wish.after) => {}
            }
            if let Err(error) = player.fulfil(&wish, &channel).await {
                warn!(email = %player.user.email, "a simulated agent could not answer: {error:#}");
            }
        });
    }
    thoughts.close();
    thoughts.wait().await;
}

struct Player {
    api: Api,
    user: UserConfig,
    session: tokio::sync::Mutex<Option<Session>>,
}

#[derive(Clone)]
struct Session {
    api: Api,
    user_id: schemas::UserId,
    renew_at: tokio::time::Instant,
}

impl Player {
    /// Holds a socket open, as a console would.
    async fn stay_online(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let online = async {
                let session = self.session().await?;
                let sign_on = SignOn {
                    address: session.api.address()?,
                    origin: session.api.base().to_owned(),
                    source: None,
                    token: session.api.token().to_owned(),
                    device: "demo".to_owned(),
                    topics: vec!["inbox".to_owned(), "presence".to_owned()],
                    acknowledge: true,
                    receive_buffer: None,
                };
                let (mut socket, _welcome) = Socket::open(&sign_on, None).await?;
                loop {
                    socket.listen(|_heard| {}).await?;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // The socket ends with its access token, or with the hub: then comes another.
                ended = online => {
                    let _why: anyhow::Result<std::convert::Infallible> = ended;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT_PAUSE) => {}
            }
        }
    }

    async fn session(&self) -> anyhow::Result<Session> {
        // Held across the sign-in on purpose: one sign-in at a time is enough.
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| tokio::time::Instant::now() < session.renew_at) {
            return Ok(session.clone());
        }
        let (api, tokens) = self.api.sign_in(&self.user.email, &self.user.password).await?;
        let good_for = Duration::from_secs(tokens.expires_in).saturating_sub(RENEWAL_MARGIN);
        let fresh = Session { api, user_id: tokens.me.user_id, renew_at: tokio::time::Instant::now() + good_for };
        *session = Some(fresh.clone());
        Ok(fresh)
    }

    async fn fulfil(&self, wish: &Wish, channel: &ChannelConfig) -> anyhow::Result<()> {
        let session = self.session().await?;
        let mut found = None;
        for assignee in ["me", "none"] {
            let page = session.api.conversations("open", assignee, None).await?;
            found = found.or(page.items.into_iter().map(|view| view.conversation).find(|conversation| {
                conversation.channel_id == channel.id && conversation.contact_address.ends_with(&wish.number)
            }));
        }
        // The human has taken it: nothing to do.
        let Some(conversation) = found else { return Ok(()) };
        let id = conversation.id;
        if conversation.assignee.is_none() {
            session
                .api
                .change_conversation(id, &json!({ "assignee": session.user_id }))
                .await
                .context("cannot take the conversation")?;
        }
        session.api.mark_read(id, conversation.last_seq).await?;
        let key = format!("demo-{}-{}", clock::now().unix_micros(), conversation.last_seq);
        session.api.send(id, &key, &wish.text).await?;
        if wish.resolve {
            session.api.change_conversation(id, &json!({ "status": "resolved" })).await?;
        }
        Ok(())
    }
}
