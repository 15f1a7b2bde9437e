//! The name of a process among its like.

use crate::config::{Config, Roles};

/// Where Linux tells the host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The configured name, or one of the host, the roles and the port: no two processes that listen on one host share it.
pub(super) fn name(config: &Config, roles: &Roles, port: u16) -> String {
    if !config.node.name.is_empty() {
        return config.node.name.clone();
    }
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host: String =
        host.trim().chars().take(64).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let host = if host.is_empty() { "host" } else { host.as_str() };
    format!("{host}.{}.{port}", roles.to_string().replace(',', "-"))
}
