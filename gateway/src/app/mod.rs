//! Puts a process together from its roles: the only place that chooses engines and starts long-lived tasks.
//!
//! - gateway: REST, webhooks, sockets. Any number of processes; each follows all events and speaks for its own sockets.
//! - ingest: engines and senders, each on the partitions that this process is given ([`group`]).
//! - analytics: counts everything, in a folder of its own; gateways ask it ([`remote`]).
//!
//! Every process serves health and metrics over HTTP, whatever its roles.

mod analytics;
mod background;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "no_cluster.rs"]
mod cluster;
mod engines;
mod group;
mod node;
mod remote;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use ingest::commands::Commands;
use metrics_exporter_prometheus::PrometheusHandle;
use socket2::{Domain, Protocol, Socket, Type};
use storage::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::auth::principal::Authenticator;
use crate::auth::sign_in::SignInService;
use crate::config::{Config, Role, Roles};
use crate::directory::Directory;
use crate::directory::propagate::reconcile;
use crate::files::Files;
use crate::http::cursor::Cursors;
use crate::http::internal::{self, Internal};
use crate::http::state::AppState;
use crate::http::vitals::{Progress, Vitals};
use crate::http::webhooks::ChannelCache;
use crate::http::{configure, configure_bare, request_id};
use crate::realtime::{Dependencies, Realtime, on_connect};

use analytics::Started;
use background::Background;
pub use cluster::{Leaving, migrate};
pub use engines::{AnalyticsLock, DataFolder, EngineSetupError, Engines};
use group::OnFailure;
use tasks::{Tasks, Working};

/// What waits in the kernel for a connection to be taken.
const BACKLOG: i32 = 1_024;
/// How long closing the engines may take beyond the time in which requests end.
const CLOSING_LIMIT: Duration = Duration::from_secs(1);
/// The response buffer of a connection, in bytes.
const WRITE_BUFFER_BYTES: usize = 32 << 10;

/// A hub, or some roles of one, that has its address and its engines; it serves in [`Application::run_until_stopped`].
#[derive(Debug)]
pub struct Application {
    config: Config,
    vitals: web::Data<Vitals>,
    gateway: Option<Gateway>,
    internal: Option<web::Data<Internal>>,
    listener: Socket,
    address: SocketAddr,
    tasks: Tasks,
    shutdown: CancellationToken,
    /// Ends what would never end by itself: streams to other processes.
    closing: CancellationToken,
    leaving: Option<Leaving>,
    _analytics_lock: Option<AnalyticsLock>,
}

/// What the role gateway serves.
#[derive(Debug)]
struct Gateway {
    state: web::Data<AppState>,
    realtime: Realtime,
}

/// What a process is made of before it has a role.
struct Parts {
    config: Config,
    roles: Roles,
    clock: Arc<dyn Clock>,
    engines: Engines,
    node: String,
    metrics: Option<PrometheusHandle>,
}

impl Application {
    /// Takes the address, opens the engines, and starts what works in the background.
    ///
    /// # Errors
    /// If the configuration does not fit the roles, the address is taken, the data folder is in use or damaged, a server of
    /// the cluster does not answer, or a key cannot be made.
    pub async fn build(
        mut config: Config,
        roles: Roles,
        clock: Arc<dyn Clock>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let faults = config.faults_of_roles(&roles);
        anyhow::ensure!(faults.is_empty(), faults.join("\n"));
        let (listener, address) = bind(config.http.listen)?;
        config.http.listen = address;
        let background = Background::start().context("no threads can be started")?;
        let node = node::name(&config, &roles, address.port());
        let engines = Engines::open(&config, &node, &clock, background.handle()).await?;
        let parts = Parts { config, roles, clock, engines, node, metrics };
        Self::assemble(parts, background, listener).await
    }

    /// As [`Application::build`], over engines that are open already.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub async fn with_engines(
        mut config: Config,
        roles: Roles,
        clock: Arc<dyn Clock>,
        engines: Engines,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let (listener, address) = bind(config.http.listen)?;
        // With port 0 the system chose one: webhooks and origins must name it.
        config.http.listen = address;
        let background = Background::start().context("no threads can be started")?;
        let node = node::name(&config, &roles, address.port());
        Self::assemble(Parts { config, roles, clock, engines, node, metrics }, background, listener).await
    }

    async fn assemble(parts: Parts, background: Background, listener: Socket) -> anyhow::Result<Self> {
        let Parts { config, roles, clock, engines: Engines { log, tables, leaving }, node, metrics } = parts;
        let (shutdown, closing) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = Tasks::new(shutdown.clone(), background);
        let shared = config.is_shared();
        let needs_lock = shared && roles.has(Role::Analytics);
        let analytics_lock = needs_lock.then(|| DataFolder::of(&config).take_for_analytics()).transpose()?;
        let commands = Commands::new(Arc::clone(&log), Arc::clone(&clock));
        let analytics = analytics::start(&config, &roles, &log, &clock, &mut tasks).await?;
        let progress = Arc::new(Progress::default());
        let vitals = web::Data::new(Vitals {
            node,
            roles: roles.clone(),
            shared,
            log: Arc::clone(&log),
            tables: Arc::clone(&tables),
            progress: Arc::clone(&progress),
            metrics,
            metrics_token: config.http.metrics_token.clone(),
            stopping: AtomicBool::new(false),
        });
        let on_failure = if shared { OnFailure::TryAgain } else { OnFailure::Stop };
        let working = Working { log, tables, commands, clock, progress, on_failure };
        let gateway = if roles.has(Role::Gateway) {
            Some(Gateway::open(&config, &working, &analytics, &vitals.node).await?)
        } else {
            None
        };
        if roles.has(Role::Ingest) {
            tasks.start_engines(&working);
            tasks.start_senders(&config, &working)?;
        }
        if let Some(gateway) = &gateway {
            tasks.start_realtime(&gateway.realtime);
        }
        let token = config.analytics.token.expose().filter(|_| roles.has(Role::Analytics)).map(str::to_owned);
        let internal = token.map(|token| {
            let Started { port, boards } = analytics;
            web::Data::new(Internal { token, port, boards, closing: closing.clone() })
        });
        let address = config.http.listen;
        // Only now: whoever connects before is refused, and tries elsewhere.
        listener.listen(BACKLOG)?;
        Ok(Self {
            config,
            vitals,
            gateway,
            internal,
            listener,
            address,
            tasks,
            shutdown,
            closing,
            leaving,
            _analytics_lock: analytics_lock,
        })
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the handlers of the gateway work with, if it is one.
    pub fn state(&self) -> Option<&web::Data<AppState>> {
        self.gateway.as_ref().map(|gateway| &gateway.state)
    }

    /// Stops it when cancelled, as a signal does.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Serves until a signal (SIGTERM, SIGINT), the token, or the failure of a part; then stops gracefully: not ready any
    /// more, sockets are told and closed, requests end, everything is flushed and closed.
    ///
    /// # Errors
    /// If the server or a part failed.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Self {
            config, vitals, gateway, internal, listener, address, mut tasks, shutdown, closing, leaving, ..
        } = self;
        let server = serve(&config, &vitals, gateway.as_ref(), internal.as_ref(), listener)?;
        let handle = server.handle();
        let serving = tokio::spawn(server);
        let durability = vitals.log.health().durability;
        tracing::info!(
            %address, node = vitals.node, roles = %vitals.roles, public_url = config.public_url(), %durability,
            "the hub is listening"
        );
        let reason = tokio::select! {
            signal = signal() => signal,
            () = shutdown.cancelled() => "asked to",
            failed = tasks.first_failure() => failed,
        };
        tracing::info!(reason, "the hub is stopping");
        vitals.stopping.store(true, Ordering::Relaxed);
        closing.cancel();
        let limit = Duration::from_secs(config.http.shutdown_timeout_s);
        let closed_by = tokio::time::Instant::now() + limit + CLOSING_LIMIT;
        let graceful = async {
            if let Some(gateway) = &gateway {
                gateway.realtime.drain().await;
            }
            handle.stop(true).await;
            shutdown.cancel();
            tasks.finish().await;
        };
        let finished = tokio::time::timeout(limit, graceful).await;
        if finished.is_err() {
            tracing::warn!(
                "the hub did not stop in time: what is left is dropped; nothing that was acknowledged is lost"
            );
            handle.stop(false).await;
            shutdown.cancel();
        }
        let outcome = tasks.outcome();
        let close = async {
            drop(serving.await);
            if let Err(error) = vitals.tables.sync().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the tables could not be flushed; the log holds what they lack"
                );
            }
            // The engines close when the last reference goes; that blocks, so not on a thread of the runtime.
            drop((tasks, internal));
            if let Some(leaving) = leaving {
                leaving.leave().await;
            }
            drop(tokio::task::spawn_blocking(move || drop((vitals, gateway))).await);
        };
        if tokio::time::timeout_at(closed_by, close).await.is_err() {
            tracing::warn!("the engines did not close in time: the next start recovers what the log holds");
        }
        tracing::info!("the hub has stopped");
        outcome
    }
}

impl Gateway {
    async fn open(config: &Config, working: &Working, analytics: &Started, node: &str) -> anyhow::Result<Self> {
        let Working { log, tables, commands, clock, .. } = working;
        let directory = Directory::new(Arc::clone(tables), Arc::clone(clock));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sign_in = Arc::new(SignInService::open(directory.clone(), config.auth.clone(), cores).await?);
        let cursor_key = directory.installation_secret("cursor_key").await?;
        let told = reconcile(&directory, commands).await?;
        if told > 0 {
            tracing::info!(commands = told, "the conversation engine is told of settings that it had not seen");
        }
        let authenticator: Arc<dyn Authenticator> = Arc::clone(sign_in.authenticator()) as _;
        let mut socket = config.socket.clone();
        socket.allowed_origins = config.origins();
        let (seals, public_url) = (Cursors::new(cursor_key), config.public_url());
        let links = (seals.clone(), public_url.as_str());
        let files = Arc::new(Files::new(config.files_folder(), config.files.max_mb, links, Arc::clone(clock))?);
        let realtime = Realtime::new(Dependencies {
            node: node.to_owned(),
            log: Arc::clone(log),
            tables: Arc::clone(tables),
            clock: Arc::clone(clock),
            authenticator,
            boards: Some(Arc::clone(&analytics.boards)),
            files: Some(Arc::clone(&files)),
            config: socket,
        });
        let state = web::Data::new(AppState {
            files,
            public_url,
            outcomes: realtime.outcomes().clone(),
            cursors: seals,
            channels: ChannelCache::new(directory.clone()),
            analytics: Arc::clone(&analytics.port),
            config: config.clone(),
            clock: Arc::clone(clock),
            tables: Arc::clone(tables),
            directory,
            commands: commands.clone(),
            sign_in,
        });
        Ok(Self { state, realtime })
    }
}

fn serve(
    config: &Config,
    vitals: &web::Data<Vitals>,
    gateway: Option<&Gateway>,
    internal: Option<&web::Data<Internal>>,
    listener: Socket,
) -> anyhow::Result<Server> {
    let http = &config.http;
    let workers =
        if http.workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { http.workers };
    let (vitals, internal) = (vitals.clone(), internal.cloned());
    let gateway = gateway.map(|gateway| (gateway.state.clone(), gateway.realtime.clone()));
    let server = HttpServer::new(move || {
        let (gateway, internal) = (gateway.clone(), internal.clone());
        App::new().app_data(vitals.clone()).wrap(from_fn(request_id::wrap)).configure(move |service| {
            let others = |service: &mut web::ServiceConfig| {
                if let Some(internal) = internal {
                    service.app_data(internal).configure(internal::configure);
                }
            };
            match gateway {
                Some((state, realtime)) => {
                    service.app_data(state);
                    configure(service, |service| {
                        realtime.configure(service);
                        others(service);
                    });
                }
                None => configure_bare(service, others),
            }
        })
    })
    .on_connect(on_connect(config.socket.send_buffer_bytes))
    .workers(workers)
    .max_connections(http.max_connections_per_worker)
    .keep_alive(Duration::from_secs(http.keep_alive_s))
    .client_request_timeout(Duration::from_millis(http.request_head_timeout_ms))
    .client_disconnect_timeout(Duration::from_millis(http.client_disconnect_timeout_ms))
    .tcp_nodelay(true)
    .h1_write_buffer_size(WRITE_BUFFER_BYTES)
    .shutdown_timeout(http.shutdown_timeout_s)
    .disable_signals();
    Ok(server.listen(listener.into())?.run())
}

/// Takes the address, without listening yet.
fn bind(address: SocketAddr) -> anyhow::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&address.into())
        .with_context(|| format!("http.listen: {address} cannot be listened on: stop what uses it, or set another"))?;
    let bound = socket.local_addr()?.as_socket().context("the address that was taken cannot be read")?;
    Ok((socket, bound))
}

/// Waits for SIGTERM or SIGINT.
async fn signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched: stop the hub with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
