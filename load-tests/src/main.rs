//! `saler-load`: the provider simulator, the demo, and the workloads. `saler-load help` lists them.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use load_tests::simulator::{CallbackPlan, Config, Simulator};
use load_tests::workloads::{self, Workload};
use load_tests::{baseline, demo};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Drives the hub from outside.
#[derive(Debug, Parser)]
#[command(
    name = "saler-load",
    version,
    after_help = "Examples:\n  saler-load latency --json\n  saler-load kill --seed 7\n  saler-load simulate --listen 127.0.0.1:8090"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the provider: Twilio's Messaging API and its signed webhooks.
    Simulate(SimulateOptions),
    /// Makes the demo workspace in the data folder of a hub that does not run yet.
    DemoSetup(demo::setup::SetupOptions),
    /// Keeps believable conversations going in a demo workspace.
    Demo(demo::Options),
    /// The yardstick: the same HTTP server, which checks the signature and forgets.
    BaselineServer(baseline::Options),
    #[command(flatten)]
    Workload(Workload),
}

/// What the simulator is started with.
#[derive(Debug, clap::Args)]
struct SimulateOptions {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The account's SID.
    #[arg(long, default_value = "ACde0000000000000000000000000000de")]
    account_sid: String,
    /// The account's auth token, a made-up one.
    #[arg(long, default_value = "demo0123456789abcdef0123456789ab")]
    auth_token: String,
    /// Every status callback at once, everything delivered and read.
    #[arg(long)]
    prompt: bool,
    /// The seed of every choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("info"))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    if let Command::BaselineServer(options) = command {
        actix_web::rt::System::new().block_on(baseline::serve(options))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::DemoSetup(options) = &command {
        demo::setup::run(options)?;
        return Ok(ExitCode::SUCCESS);
    }
    // One worker beside the main thread: the generator must leave room for what it measures.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Simulate(options) => simulate(options).await?,
            Command::Demo(options) => {
                let stop = CancellationToken::new();
                let playing = tokio::spawn(demo::run(options, stop.clone()));
                tokio::select! {
                    asked = told_to_stop() => asked?,
                    () = stop.cancelled() => {}
                }
                stop.cancel();
                playing.await.context("the demo failed")??;
            }
            Command::BaselineServer(_) | Command::DemoSetup(_) => {}
            Command::Workload(workload) => {
                let passed = workloads::run(workload).await?;
                return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn simulate(options: SimulateOptions) -> anyhow::Result<()> {
    let simulator = Simulator::start(Config {
        listen: options.listen,
        callbacks: if options.prompt { CallbackPlan::prompt() } else { CallbackPlan::default() },
        seed: options.seed,
        ..Config::single(options.account_sid, options.auth_token)
    })
    .await?;
    info!(api_base = simulator.api_base(), "the provider simulator listens");
    told_to_stop().await?;
    info!(stats = ?simulator.stats(), "the provider simulator stops");
    Ok(())
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
