//! `workspace`, `user`, `channel`, `token` `create`: sets up a stopped hub, or a cluster. A running hub of one process is set
//! up over its API.
//!
//! What the conversation engine must know follows when the hub starts; in a cluster, which may run, at once.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Subcommand, ValueEnum};
use ingest::commands::Commands;
use schemas::api::channel::{NewAccount, NewChannel};
use schemas::channel::{AssignmentPolicy, Medium, Secret};
use schemas::command::Actor;
use schemas::widget::WidgetSettings;
use schemas::workspace::Role;
use schemas::{ChannelId, WorkspaceId};
use serde_json::json;

use super::{block_on, clock, open, print_json};
use crate::auth::api_token::{self, NewToken};
use crate::auth::password::{Passwords, check_choice};
use crate::config::Config;
use crate::directory::Directory;
use crate::directory::propagate::{configure_agent, configure_channel};
use crate::directory::users::checked_email;
use crate::http::channels::{plan_channel, webhook_url};

#[derive(Debug, Subcommand)]
pub(super) enum WorkspaceCommand {
    /// Makes a workspace.
    #[command(after_help = "Example:\n  saler workspace create --name 'Rana Shoes' --time-zone Asia/Amman")]
    Create {
        /// What people call it.
        #[arg(long)]
        name: String,
        /// The IANA time zone of its days.
        #[arg(long, default_value = "UTC")]
        time_zone: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Adds a person to a workspace. Without a password one is made and printed this once.
    #[command(after_help = "Example:\n  saler user create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
        --email rana@shop.example --name Rana --role owner --password-stdin < password.txt")]
    Create {
        /// The workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// By which they sign in.
        #[arg(long)]
        email: String,
        /// The name that colleagues see.
        #[arg(long)]
        name: String,
        /// Their role.
        #[arg(long)]
        role: RoleArgument,
        /// The most open conversations that automatic assignment gives them.
        #[arg(long)]
        capacity: Option<u32>,
        /// Their password; other people on the machine can see it while the command runs.
        #[arg(long, conflicts_with = "password_stdin")]
        password: Option<String>,
        /// Reads the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ChannelCommand {
    /// Makes a channel and prints the address that its provider must post to.
    #[command(
        after_help = "Example:\n  saler channel create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
        --name Support --provider twilio --medium whatsapp --address +15005550006 \\\n    \
        --account-sid AC0123456789abcdef0123456789abcdef --auth-token-stdin < token.txt"
    )]
    Create(Box<ChannelArguments>),
}

#[derive(Debug, clap::Args)]
pub(super) struct ChannelArguments {
    /// The workspace.
    #[arg(long)]
    workspace: WorkspaceId,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// Who carries its messages.
    #[arg(long)]
    provider: ProviderArgument,
    /// Twilio: sms or whatsapp.
    #[arg(long)]
    medium: Option<MediumArgument>,
    /// Twilio: the number in E.164, or a Messaging Service SID.
    #[arg(long)]
    address: Option<String>,
    /// Twilio: the account's SID.
    #[arg(long)]
    account_sid: Option<String>,
    /// Twilio: the auth token; other people on the machine can see it while the command runs.
    #[arg(long, conflicts_with = "auth_token_stdin")]
    auth_token: Option<String>,
    /// Twilio: reads the auth token from standard input.
    #[arg(long)]
    auth_token_stdin: bool,
    /// Twilio: where the API is.
    #[arg(long)]
    api_base: Option<String>,
    /// Twilio: the most messages a second.
    #[arg(long)]
    messages_per_second: Option<u32>,
    /// Web chat: origins whose pages may open the visitor's socket; may be given several times.
    #[arg(long = "origin")]
    origins: Vec<String>,
    /// How conversations find their agent.
    #[arg(long, default_value = "manual")]
    assignment: AssignmentArgument,
    /// Its id, where others know it already; a fresh one if absent.
    #[arg(long)]
    id: Option<ChannelId>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes an API token that acts for a member, and prints it this once.
    #[command(after_help = "Example:\n  saler token create --workspace 019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d \\\n    \
        --email rana@shop.example --name nightly-export --role analyst --days 30")]
    Create {
        /// The workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// The member for whom it acts.
        #[arg(long)]
        email: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// With which role; at most the member's own.
        #[arg(long)]
        role: RoleArgument,
        /// The name under which a program writes with it: such messages are no human answer. Absent: they are the member's own.
        #[arg(long)]
        bot: Option<String>,
        /// For how many days.
        #[arg(long, default_value_t = api_token::DEFAULT_DAYS)]
        days: u32,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleArgument {
    Owner,
    Admin,
    Manager,
    Agent,
    Analyst,
}

impl From<RoleArgument> for Role {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::Owner => Self::Owner,
            RoleArgument::Admin => Self::Admin,
            RoleArgument::Manager => Self::Manager,
            RoleArgument::Agent => Self::Agent,
            RoleArgument::Analyst => Self::Analyst,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum ProviderArgument {
    Twilio,
    WebChat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum MediumArgument {
    Sms,
    Whatsapp,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum AssignmentArgument {
    Manual,
    RoundRobin,
    FewestOpen,
}

async fn directory(config: &Config, route: &str) -> anyhow::Result<Directory> {
    Ok(directory_and_commands(config, route).await?.0)
}

/// With the door to the engine, if that may be running.
async fn directory_and_commands(config: &Config, route: &str) -> anyhow::Result<(Directory, Option<Commands>)> {
    let engines = open(config, &format!("use {route} of its API")).await?;
    let commands = config.is_shared().then(|| Commands::new(engines.log, clock()));
    Ok((Directory::new(engines.tables, clock()), commands))
}

pub(super) fn workspace(config: &Config, command: WorkspaceCommand) -> anyhow::Result<ExitCode> {
    let WorkspaceCommand::Create { name, time_zone } = command;
    let made = block_on(async {
        let directory = directory(config, "POST /api/v1/workspaces").await?;
        Ok(directory.create_workspace(&name, Some(&time_zone)).await?)
    })?;
    print_json(&made)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn user(config: &Config, command: UserCommand) -> anyhow::Result<ExitCode> {
    let UserCommand::Create { workspace, email, name, role, capacity, password, password_stdin } = command;
    let given = if password_stdin { Some(secret_from_stdin()?) } else { password };
    let made_here = given.is_none();
    let password = Secret::new(given.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>())));
    let answer = block_on(async {
        let (directory, commands) = directory_and_commands(config, "POST /api/v1/users").await?;
        directory.workspace(workspace).await.context("--workspace")?;
        let email = checked_email(&email)?;
        check_choice("password", &password, &email)?;
        let hash = Passwords::new(1)?.hash(&password).await?;
        let (user, created) = directory.find_or_create_user(&email, Some(hash)).await?;
        let membership = directory.add_member(workspace, user.id, &name, role.into(), capacity).await?;
        if let Some(commands) = commands {
            commands.append(&configure_agent(&commands, workspace, Actor::System, membership.agent())).await?;
        }
        let shown = (made_here && created).then(|| password.expose());
        Ok(json!({ "member": membership.member(user.email, Vec::new()), "had_sign_in": !created, "password": shown }))
    })?;
    print_json(&answer)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn channel(config: &Config, command: ChannelCommand) -> anyhow::Result<ExitCode> {
    let ChannelCommand::Create(arguments) = command;
    let (workspace, id) = (arguments.workspace, arguments.id);
    let new = new_channel(*arguments)?;
    let answer = block_on(async {
        let (directory, commands) = directory_and_commands(config, "POST /api/v1/channels").await?;
        directory.workspace(workspace).await.context("--workspace")?;
        let id = id.unwrap_or_else(|| directory.new_channel_id());
        if directory.channel_by_id(id).await?.is_some() {
            bail!("--id: there is a channel with the id {id} already");
        }
        let planned = plan_channel(id, workspace, new)?;
        let record = directory.create_channel(workspace, planned.record.channel, planned.record.credentials).await?;
        if let Some(commands) = commands {
            commands.append(&configure_channel(&commands, Actor::System, &record.channel)).await?;
        }
        let webhook_url = webhook_url(&config.public_url(), &record.channel);
        Ok(json!({
            "channel": record.channel, "webhook_url": webhook_url, "identity_secret": planned.shown_secret,
        }))
    })?;
    print_json(&answer)?;
    Ok(ExitCode::SUCCESS)
}

fn new_channel(arguments: ChannelArguments) -> anyhow::Result<NewChannel> {
    let account = match arguments.provider {
        ProviderArgument::Twilio => {
            let auth_token = if arguments.auth_token_stdin { Some(secret_from_stdin()?) } else { arguments.auth_token };
            NewAccount::Twilio {
                medium: match arguments.medium.context("--medium is missing: write sms or whatsapp")? {
                    MediumArgument::Sms => Medium::Sms,
                    MediumArgument::Whatsapp => Medium::Whatsapp,
                },
                address: arguments.address.context("--address is missing: write a number such as +15005550006")?,
                account_sid: arguments.account_sid.context("--account-sid is missing: write AC and 32 digits")?,
                auth_token: Secret::new(auth_token.context("--auth-token-stdin or --auth-token is missing")?),
                api_base: arguments.api_base,
                messages_per_second: arguments.messages_per_second,
            }
        }
        ProviderArgument::WebChat => NewAccount::WebChat {
            identity_secret: None,
            allowed_origins: arguments.origins,
            widget: WidgetSettings::default(),
        },
    };
    Ok(NewChannel {
        name: arguments.name,
        assignment: match arguments.assignment {
            AssignmentArgument::Manual => AssignmentPolicy::Manual,
            AssignmentArgument::RoundRobin => AssignmentPolicy::RoundRobin,
            AssignmentArgument::FewestOpen => AssignmentPolicy::FewestOpen,
        },
        reopen_hours: None,
        account,
    })
}

pub(super) fn token(config: &Config, command: TokenCommand) -> anyhow::Result<ExitCode> {
    let TokenCommand::Create { workspace, email, name, role, bot, days } = command;
    let role = Role::from(role);
    let answer = block_on(async {
        let directory = directory(config, "POST /api/v1/tokens").await?;
        let user = directory.user_by_email(&checked_email(&email)?).await?;
        let user = user.with_context(|| format!("--email: nobody signs in with {email}"))?;
        let membership = directory.membership(workspace, user.id).await?.filter(|member| member.active);
        let membership = membership.context("--workspace: the person is not a member of it")?;
        if !schemas::policy::may_grant(membership.role, role) {
            bail!("--role: the member is {}; a token can have at most that", membership.role.as_str());
        }
        let new = NewToken { name, role, bot, days: Some(days) };
        let (token, secret) = api_token::create(&directory, workspace, user.id, new).await?;
        Ok(json!({ "token": token, "secret": secret }))
    })?;
    print_json(&answer)?;
    Ok(ExitCode::SUCCESS)
}

fn secret_from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(4_096).read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
