//! The long-lived tasks: started here, watched here, ended here.

use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineError, EngineStatus};
use ingest::outbound::{HttpSettings, OutboundDeps, ProviderSenders, Settings, http_client};
use storage::clock::Clock;
use storage::log::Log;
use storage::tables::Tables;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::background::Background;
use super::group::{Broken, Group, OnFailure, PAUSES, Part, Run};
use crate::config::Config;
use crate::http::vitals::{ENGINE, Progress, SENDERS};
use crate::realtime::Realtime;

/// What engines and senders work with.
#[derive(Clone, Debug)]
pub(super) struct Working {
    pub(super) log: Arc<dyn Log>,
    pub(super) tables: Arc<dyn Tables>,
    pub(super) commands: Commands,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<Progress>,
    pub(super) on_failure: OnFailure,
}

/// The tasks of a hub, all in the background. A task that fails stops the hub: it starts again from what is durable.
#[derive(Debug)]
pub(super) struct Tasks {
    running: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    failure: Option<anyhow::Error>,
    background: Background,
}

impl Tasks {
    pub(super) fn new(shutdown: CancellationToken, background: Background) -> Self {
        Self { running: JoinSet::new(), shutdown, failure: None, background }
    }

    /// The token that ends them.
    pub(super) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task that ends with the token.
    pub(super) fn start(&mut self, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.running.spawn_on(task, self.background.handle());
    }

    /// Starts the conversation engines of the partitions that this process is given.
    pub(super) fn start_engines(&mut self, working: &Working) {
        let deps = EngineDeps {
            log: Arc::clone(&working.log),
            tables: Arc::clone(&working.tables),
            commands: working.commands.clone(),
            clock: Arc::clone(&working.clock),
        };
        let progress = Arc::clone(&working.progress);
        let run = move |partition, token| -> Part {
            let (status, receiver) = watch::channel(EngineStatus::default());
            progress.engine_begins(partition, receiver);
            let deps = deps.clone();
            Box::pin(async move {
                let ended = ingest::engine::run(partition, deps, status, token).await;
                metrics::gauge!("saler_engine_lag_commands", "partition" => partition.to_string()).set(0.0);
                ended.map_err(|error| match error {
                    EngineError::Superseded { .. } => Broken::Superseded,
                    failed => Broken::Failed(failed.into()),
                })
            })
        };
        self.start_group(ENGINE, working, Box::new(run));
    }

    /// Starts the senders of the partitions that this process is given.
    pub(super) fn start_senders(&mut self, config: &Config, working: &Working) -> anyhow::Result<()> {
        let total_timeout = Duration::from_millis(config.outbound.timeout_ms);
        let client = http_client(HttpSettings {
            connect_timeout: Duration::from_millis(config.outbound.connect_timeout_ms),
            total_timeout,
        })?;
        let defaults = Settings::default();
        let settings = Settings {
            in_flight_per_channel: config.outbound.max_in_flight_per_channel,
            settle: defaults.settle.max(total_timeout + defaults.claim),
            ..defaults
        };
        let deps = OutboundDeps {
            log: Arc::clone(&working.log),
            tables: Arc::clone(&working.tables),
            commands: working.commands.clone(),
            clock: Arc::clone(&working.clock),
            senders: Arc::new(ProviderSenders::new(client, config.public_url())),
            settings,
        };
        let run = move |partition, token| -> Part {
            let deps = deps.clone();
            Box::pin(async move {
                let ended = ingest::outbound::run(partition, deps, token).await;
                ended.map_err(|_superseded| Broken::Superseded)
            })
        };
        self.start_group(SENDERS, working, Box::new(run));
        Ok(())
    }

    fn start_group(&mut self, name: &'static str, working: &Working, run: Run) {
        let group = Group {
            name,
            log: Arc::clone(&working.log),
            on_failure: working.on_failure,
            progress: Arc::clone(&working.progress),
            pauses: PAUSES,
            run,
        };
        let shutdown = self.shutdown();
        self.start(group.work(shutdown));
    }

    /// Starts the sockets.
    pub(super) fn start_realtime(&mut self, realtime: &Realtime) {
        let (realtime, shutdown) = (realtime.clone(), self.shutdown());
        self.start(async move {
            realtime.run(shutdown).await;
            Ok(())
        });
    }

    /// Waits until a task ends though nobody asked it to.
    pub(super) async fn first_failure(&mut self) -> &'static str {
        loop {
            match self.running.join_next().await {
                Some(Ok(Ok(()))) if self.shutdown.is_cancelled() => {}
                Some(Ok(Ok(()))) => {
                    self.failure = Some(anyhow::anyhow!("a background task ended by itself"));
                    return "a background task ended by itself";
                }
                Some(Ok(Err(error))) => {
                    tracing::error!(error = format!("{error:#}"), "a background task failed");
                    self.failure = Some(error);
                    return "a background task failed";
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "a background task panicked");
                    self.failure = Some(error.into());
                    return "a background task panicked";
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until all tasks have ended.
    pub(super) async fn finish(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            let failed = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(error) => error.into(),
            };
            tracing::error!(error = format!("{failed:#}"), "a background task failed while stopping");
            self.failure.get_or_insert(failed);
        }
    }

    /// What failed, if anything.
    pub(super) fn outcome(&mut self) -> anyhow::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
