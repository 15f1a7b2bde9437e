//! The long-lived tasks: started here, watched here, ended here.

use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineStatus};
use ingest::outbound::{HttpSettings, OutboundDeps, ProviderSenders, Settings, http_client};
use storage::clock::Clock;
use storage::log::Log;
use storage::tables::Tables;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::background::Background;
use crate::config::Config;
use crate::realtime::Realtime;

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

    /// Starts the conversation engine of every partition; returns how far each has come.
    pub(super) fn start_engines(
        &mut self,
        log: &Arc<dyn Log>,
        tables: &Arc<dyn Tables>,
        commands: &Commands,
        clock: &Arc<dyn Clock>,
    ) -> Vec<watch::Receiver<EngineStatus>> {
        (0..log.partitions())
            .map(|partition| {
                let (sender, receiver) = watch::channel(EngineStatus::default());
                let deps = EngineDeps {
                    log: Arc::clone(log),
                    tables: Arc::clone(tables),
                    commands: commands.clone(),
                    clock: Arc::clone(clock),
                };
                let shutdown = self.shutdown();
                self.start(async move { Ok(ingest::engine::run(partition, deps, sender, shutdown).await?) });
                receiver
            })
            .collect()
    }

    /// Starts the sender of every partition.
    pub(super) fn start_outbound(
        &mut self,
        config: &Config,
        log: &Arc<dyn Log>,
        tables: &Arc<dyn Tables>,
        commands: &Commands,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<()> {
        let client = http_client(HttpSettings {
            connect_timeout: Duration::from_millis(config.outbound.connect_timeout_ms),
            total_timeout: Duration::from_millis(config.outbound.timeout_ms),
        })?;
        let senders = Arc::new(ProviderSenders::new(client, config.public_url()));
        let settings =
            Settings { in_flight_per_channel: config.outbound.max_in_flight_per_channel, ..Settings::default() };
        for partition in 0..log.partitions() {
            let deps = OutboundDeps {
                log: Arc::clone(log),
                tables: Arc::clone(tables),
                commands: commands.clone(),
                clock: Arc::clone(clock),
                senders: Arc::clone(&senders) as _,
                settings: settings.clone(),
            };
            let shutdown = self.shutdown();
            self.start(async move {
                ingest::outbound::run(partition, deps, shutdown).await;
                Ok(())
            });
        }
        Ok(())
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
