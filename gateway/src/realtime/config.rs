//! Settings of the sockets: the section `[socket]` of the configuration file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits and times of `/api/v1/socket` and `/api/v1/visitor`. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketConfig {
    /// Origins whose pages may open the agents' socket, compared letter for letter, such as `https://hub.example`. The
    /// configuration adds that of the public address.
    pub allowed_origins: Vec<String>,
    /// Sockets of this process, both kinds; above it the upgrade is answered with 503 and Retry-After.
    pub max_connections: usize,
    /// Sockets that have not signed in yet.
    pub max_unauthenticated: usize,
    /// Sockets of one person in one workspace.
    pub max_per_user: usize,
    /// Visitors' sockets from one network address.
    pub max_per_address: usize,
    /// Sockets of one visitor.
    pub max_per_visitor: usize,
    /// The time between two heartbeats of the hub.
    pub heartbeat_ms: u64,
    /// How soon the first frame must sign in.
    pub auth_timeout_ms: u64,
    /// How long a frame may wait in a socket's queue before the reader counts as slow.
    pub queue_age_ms: u64,
    /// How long a counted frame may stay without an acknowledgement, for clients that promise them.
    pub ack_timeout_ms: u64,
    /// How often it is checked that a person is still signed in and has the same role.
    pub recheck_ms: u64,
    /// How long after the last socket of a person they still count as connected.
    pub presence_grace_ms: u64,
    /// Frames of the latest events that are kept in memory, in bytes for each partition.
    pub ring_bytes: usize,
    /// The most events that are read for one resume.
    pub replay_events: u64,
    /// The longest time that reading for one resume may take.
    pub replay_ms: u64,
    /// The latest moment at which a client is told to come back when the hub goes down.
    pub drain_ms: u64,
    /// How long the outcome of a command is waited for.
    pub command_timeout_ms: u64,
    /// Frames a second that a client may send in the long run; twice as many in a burst.
    pub frames_per_second: u32,
    /// Messages a minute that a visitor may send.
    pub visitor_messages_per_minute: u32,
    /// How long a visitor's token is good, in hours; each connection gives a new one.
    pub visitor_token_hours: u64,
    /// The kernel's send buffer of a socket, in bytes (Linux doubles it for its own bookkeeping).
    pub send_buffer_bytes: usize,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            max_connections: 50_000,
            max_unauthenticated: 10_000,
            max_per_user: 50,
            max_per_address: 200,
            max_per_visitor: 5,
            heartbeat_ms: 25_000,
            auth_timeout_ms: 5_000,
            queue_age_ms: 5_000,
            ack_timeout_ms: 8_000,
            recheck_ms: 3_000,
            presence_grace_ms: 15_000,
            ring_bytes: 8 << 20,
            replay_events: 5_000,
            replay_ms: 2_000,
            drain_ms: 5_000,
            command_timeout_ms: 10_000,
            frames_per_second: 20,
            visitor_messages_per_minute: 20,
            visitor_token_hours: 24,
            send_buffer_bytes: 64 << 10,
        }
    }
}

impl SocketConfig {
    /// Every fault, each as a sentence that names the key; empty if there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for origin in &self.allowed_origins {
            let right = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !right {
                faults.push(format!(
                    "socket.allowed_origins: {origin:?} is not an origin: write scheme, host and port only, such as https://hub.example"
                ));
            }
        }
        let times = [
            ("heartbeat_ms", self.heartbeat_ms),
            ("auth_timeout_ms", self.auth_timeout_ms),
            ("queue_age_ms", self.queue_age_ms),
            ("ack_timeout_ms", self.ack_timeout_ms),
            ("recheck_ms", self.recheck_ms),
            ("command_timeout_ms", self.command_timeout_ms),
            ("visitor_token_hours", self.visitor_token_hours),
            ("frames_per_second", u64::from(self.frames_per_second)),
            ("visitor_messages_per_minute", u64::from(self.visitor_messages_per_minute)),
        ];
        faults.extend(
            times
                .into_iter()
                .filter(|(_, value)| *value == 0)
                .map(|(key, _)| format!("socket.{key} must be at least 1")),
        );
        faults
    }

    pub(crate) const fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::SocketConfig;

    #[test]
    fn the_default_has_no_fault_and_a_path_is_no_part_of_an_origin() {
        assert_eq!(SocketConfig::default().faults(), Vec::<String>::new());
        let config = SocketConfig {
            allowed_origins: vec!["https://hub.example/".to_owned()],
            heartbeat_ms: 0,
            ..SocketConfig::default()
        };
        let faults = config.faults();
        assert!(faults.len() == 2 && faults[0].contains("allowed_origins") && faults[1].contains("heartbeat_ms"));
    }
}
