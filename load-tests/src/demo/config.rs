//! The file that tells the demo which workspace it plays in: `--workspace-config FILE`, JSON.
//!
//! ```json
//! {
//!   "channels": [
//!     { "id": "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d", "medium": "sms", "number": "+14155550100",
//!       "account_sid": "AC…", "auth_token": "…" }
//!   ],
//!   "users": [ { "email": "huda@demo.saler.test", "password": "…", "role": "agent" } ]
//! }
//! ```
//!
//! Channels of the medium `web_chat` are left alone. Of the users, those of the role `agent` may be played with
//! `--agents N`; the first of them are taken.

use std::path::Path;

use anyhow::Context as _;
use schemas::ChannelId;
use schemas::channel::Medium;
use schemas::workspace::Role;
use serde::{Deserialize, Serialize};

/// The demo workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceConfig {
    /// The name of the workspace, to be shown.
    #[serde(default)]
    pub workspace: String,
    /// Its channels.
    pub channels: Vec<ChannelConfig>,
    /// Its people.
    #[serde(default)]
    pub users: Vec<UserConfig>,
}

/// A channel of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Its id in the hub.
    pub id: ChannelId,
    /// What contacts use to write to it.
    pub medium: Medium,
    /// Its number in E.164, without `whatsapp:`; empty for web chat.
    #[serde(default)]
    pub number: String,
    /// The Twilio account's SID.
    #[serde(default)]
    pub account_sid: String,
    /// The Twilio account's auth token, a made-up one.
    #[serde(default)]
    pub auth_token: String,
}

/// A person of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// Their name.
    #[serde(default)]
    pub name: String,
    /// With what they sign in.
    pub email: String,
    /// Their password, a made-up one.
    pub password: String,
    /// What they may do.
    pub role: Role,
}

impl WorkspaceConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, is not of this form, or has no SMS or WhatsApp channel.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the workspace file {}", path.display()))?;
        let config: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a workspace file", path.display()))?;
        anyhow::ensure!(
            config.phone_channels().next().is_some(),
            "{}: `channels` has no channel of the medium `sms` or `whatsapp`: add one",
            path.display()
        );
        Ok(config)
    }

    /// The channels that the simulator plays.
    pub fn phone_channels(&self) -> impl Iterator<Item = &ChannelConfig> {
        self.channels.iter().filter(|channel| channel.medium != Medium::WebChat)
    }

    /// The provider accounts of the channels, each once.
    pub fn accounts(&self) -> Vec<(String, String)> {
        let mut accounts: Vec<_> =
            self.phone_channels().map(|channel| (channel.account_sid.clone(), channel.auth_token.clone())).collect();
        accounts.sort();
        accounts.dedup();
        accounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_workspace_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo.json");
        let config = WorkspaceConfig::load(&path).unwrap();
        assert_eq!(config.phone_channels().count(), 2);
        assert_eq!(config.accounts().len(), 1);
        let roles: Vec<_> = config.users.iter().map(|user| user.role).collect();
        assert_eq!(roles, [Role::Owner, Role::Manager, Role::Agent, Role::Agent, Role::Analyst]);
    }
}
