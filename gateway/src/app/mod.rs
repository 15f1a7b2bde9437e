//! Puts the hub together: the only place that chooses engines and starts long-lived tasks.

mod analytics;
mod background;
mod engines;
mod tasks;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use ingest::commands::Commands;
use metrics_exporter_prometheus::PrometheusHandle;
use storage::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::auth::principal::Authenticator;
use crate::auth::sign_in::SignInService;
use crate::config::Config;
use crate::directory::Directory;
use crate::directory::propagate::reconcile;
use crate::http::cursor::Cursors;
use crate::http::state::AppState;
use crate::http::webhooks::ChannelCache;
use crate::http::{configure, request_id};
use crate::realtime::{Dependencies, Realtime, on_connect};

use background::Background;
pub use engines::{DataFolder, EngineSetupError, Engines};
use tasks::Tasks;

/// What waits in the kernel for a connection to be taken.
const BACKLOG: i32 = 1_024;
/// The response buffer of a connection, in bytes.
const WRITE_BUFFER_BYTES: usize = 32 << 10;

/// A hub that listens and has its engines open; it serves in [`Application::run_until_stopped`].
#[derive(Debug)]
pub struct Application {
    state: web::Data<AppState>,
    realtime: Realtime,
    listener: TcpListener,
    address: SocketAddr,
    tasks: Tasks,
    shutdown: CancellationToken,
}

impl Application {
    /// Opens the data folder, takes the address, and starts what works in the background.
    ///
    /// # Errors
    /// If the folder is in use or damaged, the address is taken, or a key cannot be made.
    pub async fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let background = Background::start().context("no threads can be started")?;
        let engines = Engines::open(&config, &clock, background.handle()).await?;
        Self::assemble(config, clock, engines, metrics, background).await
    }

    /// As [`Application::build`], over engines that are open already.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub async fn with_engines(
        config: Config,
        clock: Arc<dyn Clock>,
        engines: Engines,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let background = Background::start().context("no threads can be started")?;
        Self::assemble(config, clock, engines, metrics, background).await
    }

    async fn assemble(
        mut config: Config,
        clock: Arc<dyn Clock>,
        engines: Engines,
        metrics: Option<PrometheusHandle>,
        background: Background,
    ) -> anyhow::Result<Self> {
        let (listener, address) = listen(config.http.listen)?;
        // With port 0 the system chose one: webhooks and origins must name it.
        config.http.listen = address;
        let Engines { log, tables } = engines;
        let directory = Directory::new(Arc::clone(&tables), Arc::clone(&clock));
        let commands = Commands::new(Arc::clone(&log), Arc::clone(&clock));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sign_in = SignInService::open(directory.clone(), config.auth.clone(), cores).await?;
        let cursor_key = directory.installation_secret("cursor_key").await?;
        let told = reconcile(&directory, &commands).await?;
        if told > 0 {
            tracing::info!(commands = told, "the conversation engine is told of settings that it had not seen");
        }
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone(), background);
        let analytics = analytics::start(&config, &log, &clock, &mut tasks).await?;
        let authenticator: Arc<dyn Authenticator> = Arc::clone(sign_in.authenticator()) as _;
        let mut socket = config.socket.clone();
        socket.allowed_origins = config.origins();
        let realtime = Realtime::new(Dependencies {
            log: Arc::clone(&log),
            tables: Arc::clone(&tables),
            clock: Arc::clone(&clock),
            authenticator,
            boards: analytics.boards,
            config: socket,
        });
        let engines = tasks.start_engines(&log, &tables, &commands, &clock);
        tasks.start_outbound(&config, &log, &tables, &commands, &clock)?;
        tasks.start_realtime(&realtime);
        let state = web::Data::new(AppState {
            public_url: config.public_url(),
            outcomes: realtime.outcomes().clone(),
            cursors: Cursors::new(cursor_key),
            channels: ChannelCache::new(directory.clone()),
            analytics: analytics.port,
            config,
            clock,
            log,
            tables,
            directory,
            commands,
            sign_in,
            engines,
            metrics,
            stopping: AtomicBool::new(false),
        });
        Ok(Self { state, realtime, listener, address, tasks, shutdown })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the handlers work with.
    pub fn state(&self) -> &web::Data<AppState> {
        &self.state
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
        let Self { state, realtime, listener, address, mut tasks, shutdown } = self;
        let server = serve(&state, &realtime, listener)?;
        let handle = server.handle();
        let serving = tokio::spawn(server);
        tracing::info!(%address, public_url = state.public_url, durability = %state.log.health().durability, "the hub is listening");
        let reason = tokio::select! {
            signal = signal() => signal,
            () = shutdown.cancelled() => "asked to",
            failed = tasks.first_failure() => failed,
        };
        tracing::info!(reason, "the hub is stopping");
        state.stopping.store(true, Ordering::Relaxed);
        let limit = Duration::from_secs(state.config.http.shutdown_timeout_s);
        let graceful = async {
            realtime.drain().await;
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
        drop(serving.await);
        if let Err(error) = state.tables.sync().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the tables could not be flushed; the log holds what they lack"
            );
        }
        // The engines close when the last reference goes; that blocks, so not on a thread of the runtime.
        drop(realtime);
        drop(tasks);
        drop(tokio::task::spawn_blocking(move || drop(state)).await);
        tracing::info!("the hub has stopped");
        outcome
    }
}

fn serve(state: &web::Data<AppState>, realtime: &Realtime, listener: TcpListener) -> anyhow::Result<Server> {
    let http = &state.config.http;
    let workers =
        if http.workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { http.workers };
    let (shared, sockets) = (state.clone(), realtime.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .wrap(from_fn(request_id::wrap))
            .configure(|service| configure(service, |service| sockets.configure(service)))
    })
    .on_connect(on_connect(state.config.socket.send_buffer_bytes))
    .workers(workers)
    .max_connections(http.max_connections_per_worker)
    .keep_alive(Duration::from_secs(http.keep_alive_s))
    .client_request_timeout(Duration::from_millis(http.request_head_timeout_ms))
    .client_disconnect_timeout(Duration::from_millis(http.client_disconnect_timeout_ms))
    .tcp_nodelay(true)
    .h1_write_buffer_size(WRITE_BUFFER_BYTES)
    .shutdown_timeout(http.shutdown_timeout_s)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&address.into())
        .with_context(|| format!("http.listen: {address} cannot be listened on: stop what uses it, or set another"))?;
    socket.listen(BACKLOG)?;
    let listener: TcpListener = socket.into();
    let address = listener.local_addr()?;
    Ok((listener, address))
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
