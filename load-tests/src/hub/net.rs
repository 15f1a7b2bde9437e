//! A network that can be parted: between the processes of a cluster stand relays, and what they carry from one process to
//! another can be held up.
//!
//! A cut holds up bytes in one direction and closes nothing, as a network does that drops packets: both ends see silence, and
//! what was on the way arrives once the cut is mended, as TCP would send it again. Who has opened a connection is found in
//! `/proc` by the address of its end, so all may be told the same address of a server.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How many bytes are carried at once.
const BUFFER_BYTES: usize = 16 << 10;

/// What stands before the folder of a test server on its command line.
const SERVER: &str = "-Dsaler.test.server=";
/// The variable with the name of a process of the hub.
const NODE: &str = "SALER_NODE__NAME=";

/// What is held up: from whom to whom.
type Cuts = BTreeSet<(String, String)>;

/// Relays between processes. They end when this is dropped.
#[derive(Debug)]
pub struct Net {
    cuts: watch::Sender<Cuts>,
    relays: Vec<AbortHandle>,
}

impl Default for Net {
    fn default() -> Self {
        Self { cuts: watch::Sender::new(Cuts::new()), relays: Vec::new() }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.relays.iter().for_each(AbortHandle::abort);
    }
}

impl Net {
    /// Begins to carry what comes to `listener` to the process `name` at `target`, which need not listen yet.
    pub fn relay(&mut self, name: &str, listener: TcpListener, target: SocketAddr) {
        let (name, cuts) = (Arc::<str>::from(name), self.cuts.subscribe());
        let relay = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(carry(stream, peer, target, Arc::clone(&name), cuts.clone()));
            }
        });
        self.relays.push(relay.abort_handle());
    }

    /// Holds up what `from` sends to `to`.
    pub fn cut(&self, from: &str, to: &str) {
        self.cuts.send_modify(|cuts| {
            cuts.insert((from.to_owned(), to.to_owned()));
        });
    }

    /// Lets everything through.
    pub fn mend(&self) {
        self.cuts.send_replace(Cuts::new());
    }
}

/// A listener on a free port of the loopback interface, and the port.
///
/// # Errors
/// Those of sockets.
pub async fn listener() -> anyhow::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen for a relay")?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Carries one connection, until either side ends it, the relays end, or the target is not there.
async fn carry(stream: TcpStream, peer: SocketAddr, target: SocketAddr, to: Arc<str>, cuts: watch::Receiver<Cuts>) {
    let from = tokio::task::spawn_blocking(move || owner(peer)).await.ok().flatten().unwrap_or_default();
    let Ok(onward) = TcpStream::connect(target).await else { return };
    // Small messages go at once, as on the connections without a relay.
    let _best_effort = (stream.set_nodelay(true), onward.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (stream.into_split(), onward.into_split());
    let there = one_way(from_client, to_server, (from.clone(), to.to_string()), cuts.clone());
    let back = one_way(from_server, to_client, (to.to_string(), from), cuts);
    tokio::join!(there, back);
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: (String, String),
    mut cuts: watch::Receiver<Cuts>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // The end of a connection is held up too.
        if cuts.wait_for(|cuts| !cuts.contains(&way)).await.is_err() {
            return;
        }
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    let _already_closed = to.shutdown().await;
}

/// The name of the process that has this end of a connection: a part of the hub, or a server.
fn owner(end: SocketAddr) -> Option<String> {
    let connections = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let link = format!("socket:[{}]", inode_of(&connections, end)?);
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let path = process.path();
        let text =
            |file: &str| String::from_utf8_lossy(&std::fs::read(path.join(file)).unwrap_or_default()).into_owned();
        let Some(name) = name_in(&text("cmdline"), &text("environ")) else { continue };
        let mut open = std::fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        if open.any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == link.as_str())) {
            return Some(name);
        }
    }
    None
}

/// The inode of the socket with this local address, in `/proc/net/tcp`.
fn inode_of(connections: &str, end: SocketAddr) -> Option<&str> {
    let SocketAddr::V4(end) = end else { return None };
    let address = format!("{:08X}:{:04X}", u32::from_le_bytes(end.ip().octets()), end.port());
    connections.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        (fields.nth(1)? == address).then(|| fields.nth(7))?
    })
}

/// What a process is called, by its command line and its variables.
fn name_in(command_line: &str, variables: &str) -> Option<String> {
    let server = command_line.split('\0').find_map(|argument| argument.strip_prefix(SERVER));
    let server = server.and_then(|folder| folder.trim_end().rsplit('/').next());
    let node = || variables.split('\0').find_map(|variable| variable.strip_prefix(NODE));
    server.or_else(node).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_end_of_a_connection() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:4A9C 0100007F:2352 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 100\n";
        assert_eq!(inode_of(text, "127.0.0.1:19100".parse().unwrap()), Some("4711"));
        assert_eq!(inode_of(text, "127.0.0.1:19101".parse().unwrap()), None);
        assert_eq!(name_in("java\0-Dsaler.test.server=/tmp/a/kafka-2\0-cp\0x", ""), Some("kafka-2".to_owned()));
        assert_eq!(name_in("saler\0serve", "A=b\0SALER_NODE__NAME=ingest-1\0"), Some("ingest-1".to_owned()));
        assert_eq!(name_in("bash", "HOME=/root"), None);
    }

    #[tokio::test]
    async fn what_is_cut_is_held_up_in_one_direction_and_arrives_once_it_is_mended() {
        let (server, server_port) = listener().await.unwrap();
        let (relayed, port) = listener().await.unwrap();
        let mut net = Net::default();
        net.relay("server", relayed, SocketAddr::from(([127, 0, 0, 1], server_port)));
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let mut byte = [0; 1];
        // The process of this test has no name.
        net.cut("", "server");
        client.write_all(b"a").await.unwrap();
        accepted.write_all(b"b").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
        assert_eq!(accepted.try_read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        net.mend();
        accepted.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");
        drop(client);
        assert_eq!(accepted.read(&mut byte).await.unwrap(), 0);
    }
}
