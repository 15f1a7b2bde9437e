//! `saler-load demo-setup`: makes the demo workspace in the data folder of a hub that does not run yet, with the hub's own
//! command line. Does nothing if that was done before.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use schemas::channel::Medium;
use serde_json::Value;
use tracing::info;

use super::config::{ChannelConfig, UserConfig, WorkspaceConfig};

/// What the setup is started with. The hub's settings come from its own variables (`SALER_…`).
#[derive(Clone, Debug, clap::Args)]
pub struct SetupOptions {
    /// The hub's program.
    #[arg(long)]
    saler: PathBuf,
    /// The demo workspace: its channels and people, in JSON.
    #[arg(long)]
    workspace_config: PathBuf,
    /// Where the provider simulator will listen.
    #[arg(long, default_value = "127.0.0.1:8090")]
    simulator: SocketAddr,
    /// The origin whose pages may open the web chat.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    origin: String,
    /// A file in the hub's data folder that says that the setup is done.
    #[arg(long)]
    marker: PathBuf,
}

/// Makes the workspace, its people and its channels, unless the marker is there.
///
/// # Errors
/// If the file cannot be read, or the hub's command line fails.
pub fn run(options: &SetupOptions) -> anyhow::Result<()> {
    if options.marker.exists() {
        return Ok(());
    }
    let config = WorkspaceConfig::load(&options.workspace_config)?;
    let steps = 1 + config.users.len() + config.channels.len();
    info!("setting up the demo workspace: {steps} steps");
    let saler = |arguments: &[&str], secret: &str| call(&options.saler, arguments, secret);
    let created = saler(&["workspace", "create", "--name", &config.workspace], "")?;
    let workspace = created.get("id").and_then(Value::as_str).context("the workspace has no id")?;
    for user in &config.users {
        add_user(&saler, workspace, user)?;
    }
    for channel in &config.channels {
        add_channel(&saler, workspace, channel, options)?;
    }
    std::fs::write(&options.marker, format!("{created}\n"))
        .with_context(|| format!("cannot write {}", options.marker.display()))
}

type Saler<'a> = &'a dyn Fn(&[&str], &str) -> anyhow::Result<Value>;

fn add_user(saler: Saler<'_>, workspace: &str, user: &UserConfig) -> anyhow::Result<()> {
    let role = user.role.as_str();
    let arguments = ["user", "create", "--workspace", workspace, "--email", &user.email, "--name", &user.name];
    saler(&[&arguments[..], &["--role", role, "--password-stdin"]].concat(), &user.password)?;
    Ok(())
}

fn add_channel(
    saler: Saler<'_>,
    workspace: &str,
    channel: &ChannelConfig,
    options: &SetupOptions,
) -> anyhow::Result<()> {
    let id = channel.id.to_string();
    let api_base = format!("http://{}", options.simulator);
    let common = ["channel", "create", "--workspace", workspace, "--id", &id, "--name"];
    let twilio = [
        "--provider",
        "twilio",
        "--address",
        &channel.number,
        "--account-sid",
        &channel.account_sid,
        "--api-base",
        &api_base,
        "--auth-token-stdin",
    ];
    let arguments: Vec<&str> = match channel.medium {
        Medium::Sms => [&common[..], &["SMS", "--medium", "sms", "--assignment", "manual"], &twilio].concat(),
        Medium::Whatsapp => {
            [&common[..], &["WhatsApp", "--medium", "whatsapp", "--assignment", "round_robin"], &twilio].concat()
        }
        Medium::WebChat => [&common[..], &["Web chat", "--provider", "web_chat", "--origin", &options.origin]].concat(),
    };
    saler(&arguments, &channel.auth_token)?;
    Ok(())
}

/// Calls the hub's program and reads its answer. `secret` goes to its standard input, where nobody else sees it.
fn call(saler: &Path, arguments: &[&str], secret: &str) -> anyhow::Result<Value> {
    let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let mut child = Command::new(saler)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", saler.display()))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that reads no secret may have closed its input.
        drop(input.write_all(secret.as_bytes()));
    }
    let output = child.wait_with_output().with_context(|| format!("`saler {what}` failed"))?;
    ensure!(output.status.success(), "`saler {what}` failed; what it said stands above");
    serde_json::from_slice(&output.stdout).with_context(|| format!("the answer of `saler {what}` cannot be read"))
}
