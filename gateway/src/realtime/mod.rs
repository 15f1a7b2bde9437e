//! The sockets: what happens, on the screens of those who may see it, milliseconds later.
//!
//! - [`tail`] follows each partition of the topic `events`; every event is framed once ([`entry`]) and kept for a while
//!   ([`partition`]).
//! - [`hub`] knows who is connected and who may see what; a socket ([`connection`]) is a bounded queue that nobody waits
//!   for, emptied by the response body ([`body`]).
//! - [`session`] is one socket's life: sign-in ([`attach`] resumes without a gap), heartbeats, wishes ([`commands`]).
//! - [`visitor`] is the socket of web chat visitors.
//!
//! `docs/socket.md` is the protocol for those who write clients; [`schemas::socket`] its types.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;
use futures::StreamExt;
use ingest::commands::Commands;
use rand::RngExt;
use schemas::WorkspaceId;
use schemas::socket::ServerFrame;
use storage::clock::Clock;
use storage::log::{Log, partition_of};
use storage::tables::Tables;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::principal::{AuthError, Authenticator, Principal};
use crate::files::Files;

mod attach;
mod bell;
mod boards;
mod body;
mod close;
mod commands;
pub mod config;
mod connection;
mod cursor;
mod echo;
mod entry;
mod frames;
mod gateways;
mod handler;
mod hub;
mod once;
mod os;
mod outcomes;
mod partition;
mod presence;
mod queue;
mod session;
mod tail;
mod visitor;
mod wire;

pub use boards::{BoardFeed, BoardSource, WatchFeed};
pub use close::CloseCode;
pub use config::SocketConfig;
pub use echo::echo;
pub use os::{on_connect, tune_socket};
pub use outcomes::{AwaitedOutcome, Outcomes, Settled};

use boards::Boards;
use connection::{Class, Connection};
use cursor::Cursors;
use frames::encode;
use hub::{Hub, Member};
use partition::Partition;
use presence::Presence;
use visitor::Visitors;

/// Resumes that read the log at the same time.
const CONCURRENT_REPLAYS: usize = 4;
/// Principals that are checked again at the same time.
const CONCURRENT_RECHECKS: usize = 32;
/// How often sockets are looked over for slow readers.
const SWEEP: Duration = Duration::from_secs(1);
/// How long sockets get to write what is queued when the hub goes down.
const DRAIN_FLUSH: Duration = Duration::from_millis(500);
/// How long the hub waits for its sockets to end when it goes down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

/// What the sockets stand on.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The name of this process among the gateways.
    pub node: String,
    /// Where events come from.
    pub log: Arc<dyn Log>,
    /// Where conversations, members and channels are read.
    pub tables: Arc<dyn Tables>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who checks tokens.
    pub authenticator: Arc<dyn Authenticator>,
    /// Where live boards come from; without it the topic `kpis` stays silent.
    pub boards: Option<Arc<dyn BoardSource>>,
    /// Files of messages; without them visitors can send none.
    pub files: Option<Arc<Files>>,
    /// Limits and times.
    pub config: SocketConfig,
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) commands: Commands,
    pub(crate) config: SocketConfig,
    pub(crate) hub: Arc<Hub>,
    pub(crate) outcomes: Outcomes,
    pub(crate) presence: Presence,
    pub(crate) boards: Boards,
    pub(crate) visitors: Visitors,
    pub(crate) cursors: Cursors,
    pub(crate) replays: Semaphore,
    partitions: Vec<Partition>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    unauthenticated: AtomicUsize,
    next_connection: AtomicU64,
    draining: AtomicBool,
}

impl Inner {
    /// The partition of a workspace.
    pub(crate) fn partition_index(&self, workspace_id: WorkspaceId) -> u32 {
        partition_of(workspace_id, self.log.partitions())
    }

    /// A partition as this process follows it.
    pub(crate) fn partition(&self, index: u32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new socket of this worker thread, held until its guard is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        let connection = Connection::of_this_worker(self.next_connection.fetch_add(1, Ordering::Relaxed));
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        self.connections().insert(connection.id, Arc::clone(&connection));
        metrics::gauge!("saler_socket_connections").increment(1.0);
        Open { inner: Arc::clone(self), connection, authenticated: false }
    }

    fn everybody(&self) -> Vec<Arc<Connection>> {
        self.connections().values().cloned().collect()
    }

    /// Closes readers that are too slow.
    async fn sweep(&self) {
        let queue_age = Duration::from_millis(self.config.queue_age_ms);
        let ack_timeout = Duration::from_millis(self.config.ack_timeout_ms);
        loop {
            tokio::time::sleep(SWEEP).await;
            let now = Instant::now();
            for connection in self.everybody() {
                connection.check_age(now, queue_age, ack_timeout);
            }
            self.visitors.sweep(now);
        }
    }

    /// Closes the sockets of people who signed out, were disabled or were given another role.
    async fn recheck(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(self.config.recheck_ms)).await;
            let mut by_credential: HashMap<_, Vec<(Principal, Arc<Member>)>> = HashMap::new();
            for member in self.hub.members() {
                let principal = member.current();
                let key = (principal.workspace_id, principal.user_id, format!("{:?}", principal.credential));
                by_credential.entry(key).or_default().push((principal, member));
            }
            futures::stream::iter(by_credential.into_values())
                .for_each_concurrent(CONCURRENT_RECHECKS, async |members| {
                    // The newest token of several with the same credential; each socket sees to its own end.
                    let Some((latest, _)) = members.iter().max_by_key(|(principal, _)| principal.expires_at) else {
                        return;
                    };
                    let now = match self.authenticator.recheck(latest).await {
                        Ok(now) => Some(now.role),
                        Err(AuthError::Invalid) => None,
                        // The next round may be able to; an access token ends by itself.
                        Err(AuthError::Unavailable) => return,
                    };
                    for (principal, member) in &members {
                        match now {
                            Some(role) if role == principal.role => {}
                            Some(_) => member.connection.close(CloseCode::Forbidden),
                            None => member.connection.close(CloseCode::Unauthenticated),
                        }
                    }
                })
                .await;
        }
    }
}

/// A socket that is open: dropping this ends its record.
#[derive(Debug)]
pub(crate) struct Open {
    inner: Arc<Inner>,
    pub(crate) connection: Arc<Connection>,
    authenticated: bool,
}

impl Open {
    /// The socket has signed in.
    pub(crate) fn signed_in(&mut self) {
        if !std::mem::replace(&mut self.authenticated, true) {
            self.inner.unauthenticated.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.signed_in();
        self.inner.connections().remove(&self.connection.id);
        metrics::gauge!("saler_socket_connections").decrement(1.0);
    }
}

/// The sockets of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Realtime(Arc<Inner>);

impl Realtime {
    /// Makes the sockets; nothing happens before [`Realtime::run`].
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { node, log, tables, clock, authenticator, boards, files, config } = dependencies;
        Self(Arc::new(Inner {
            commands: Commands::new(Arc::clone(&log), Arc::clone(&clock)),
            hub: Arc::default(),
            outcomes: Outcomes::default(),
            presence: Presence::new(gateways::id_of(&node), Duration::from_millis(config.presence_grace_ms)),
            boards: Boards::new(boards),
            visitors: Visitors::new(&config, files),
            cursors: Cursors::new(log.epoch()),
            replays: Semaphore::new(CONCURRENT_REPLAYS),
            partitions: (0..log.partitions()).map(|_| Partition::new()).collect(),
            connections: Mutex::default(),
            unauthenticated: AtomicUsize::new(0),
            next_connection: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            log,
            tables,
            clock,
            authenticator,
            config,
        }))
    }

    /// Adds `GET /api/v1/socket` and `GET /api/v1/visitor`. To be called before a scope `/api/v1` is added, which would
    /// take these paths.
    pub fn configure(&self, service: &mut web::ServiceConfig) {
        service
            .app_data(web::Data::from(Arc::clone(&self.0)))
            .route("/api/v1/socket", web::get().to(handler::agents))
            .route("/api/v1/visitor", web::get().to(handler::visitors));
    }

    /// Follows the log and keeps the sockets in order until the token is cancelled. Sockets that come earlier wait.
    pub async fn run(&self, shutdown: CancellationToken) {
        let inner = &self.0;
        let mut tails = tokio::task::JoinSet::new();
        for partition in 0..inner.log.partitions() {
            tails.spawn(tail::follow(Arc::clone(inner), partition, shutdown.clone()));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = inner.sweep() => {}
            () = inner.recheck() => {}
            () = inner.presence.run(inner.tables.as_ref(), &inner.commands, inner.clock.as_ref(), shutdown.clone()) => {}
        }
        while tails.join_next().await.is_some() {}
    }

    /// Whose outcome is waited for: register before appending.
    pub fn outcomes(&self) -> &Outcomes {
        &self.0.outcomes
    }

    /// Refuses new sockets, tells the open ones when to come back, and closes them. Returns when they are gone, or after
    /// some seconds. Call it before the HTTP server is stopped.
    pub async fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
        let now = Instant::now();
        for connection in self.0.everybody() {
            let after = rand::rng().random_range(0..=self.0.config.drain_ms);
            connection.push(&encode(&ServerFrame::Drain { after }), Class::Control, now);
        }
        tokio::time::sleep(DRAIN_FLUSH).await;
        for connection in self.0.everybody() {
            connection.close(CloseCode::Restart);
        }
        let gone = async {
            while self.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, gone).await.is_err() {
            tracing::warn!(left = self.connection_count(), "some sockets did not end in time");
        }
    }

    /// Open sockets of both kinds, signed in or not.
    pub fn connection_count(&self) -> usize {
        self.0.connections().len()
    }

    /// What is held for sockets: all zero some time after the last one is gone.
    pub fn holdings(&self) -> Holdings {
        let (rooms, members, subscriptions) = self.0.hub.sizes();
        Holdings {
            connections: self.connection_count(),
            unauthenticated: self.0.unauthenticated.load(Ordering::Relaxed),
            rooms,
            members,
            subscriptions,
            boards: self.0.boards.count(),
            outcomes: self.0.outcomes.waiting(),
            visitors: self.0.visitors.count(),
            people: self.0.presence.people(),
        }
    }
}

/// How much is held for sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Open sockets.
    pub connections: usize,
    /// Those that have not signed in.
    pub unauthenticated: usize,
    /// Workspaces with a socket.
    pub rooms: usize,
    /// Signed-in agents' sockets.
    pub members: usize,
    /// Their subscriptions.
    pub subscriptions: usize,
    /// Boards that are fed.
    pub boards: usize,
    /// Commands that somebody waits for.
    pub outcomes: usize,
    /// Visitors' sockets.
    pub visitors: usize,
    /// People whose presence is known; they stay for the grace.
    pub people: usize,
}
