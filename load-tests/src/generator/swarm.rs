//! Many sockets in one process: opened a few hundred at a time, then listened to by one small task each.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use schemas::socket::Resume;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::latency::Latencies;
use super::socket::{Heard, SignOn, Socket, SocketError, Welcome, number};
use super::webhooks::MARK;

/// Sockets that are within their handshake or sign-in at once; a hub admits so many strangers only.
const MAX_OPENING: usize = 500;
/// Attempts to open a socket, with a pause between, while the hub says that it is full.
const MAX_ATTEMPTS: u32 = 100;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Addresses of the loopback network that sockets come from, so that their ports do not run out.
const SOURCES: u8 = 16;
const SHARDS: usize = 8;

/// Raises the soft limit of open files to the hard one, and checks that it is enough.
///
/// # Errors
/// If the hard limit is below `wanted`.
pub fn raise_file_limit(wanted: u64) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    anyhow::ensure!(
        hard >= wanted,
        "this needs {wanted} open files and the hard limit is {hard}: raise it with `ulimit -Hn` or take fewer sockets"
    );
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}

/// The source address of a socket: 127.0.0.2 to 127.0.0.17 in turn.
pub fn source(index: usize) -> IpAddr {
    let last = u8::try_from(index % usize::from(SOURCES)).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last + 2))
}

/// One socket of the swarm, connected or not, and what it has seen so far.
#[derive(Debug)]
pub struct Member {
    /// How it signs in.
    pub sign_on: SignOn,
    /// The connection.
    pub socket: Option<Socket>,
    /// Where it would go on.
    pub resume: Option<Resume>,
    /// What the last `ready` said.
    pub welcome: Option<Welcome>,
    /// What it saw.
    pub seen: Seen,
}

/// What a member saw, over all its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events of added messages.
    pub messages: u64,
    /// Events in all.
    pub events: u64,
    /// Messages whose number was not the one after the last of their conversation: some are missing.
    pub holes: u64,
    /// Messages that came again.
    pub repeats: u64,
    /// Announced gaps.
    pub gaps: u64,
    /// Heartbeats whose count was another than ours.
    pub miscounts: u64,
    /// The close code, if the hub ended the connection.
    pub closed: Option<u16>,
    /// How long after the start of listening that was.
    pub closed_after: Option<Duration>,
    last: Vec<(Uuid, u64)>,
}

impl Seen {
    /// Forgets the counts, but not the numbers to go on from.
    pub fn begin_again(&mut self) {
        *self = Self { last: std::mem::take(&mut self.last), ..Self::default() };
    }

    fn message(&mut self, conversation: Uuid, seq: u64) {
        self.messages += 1;
        match self.last.iter_mut().find(|(known, _)| *known == conversation) {
            None => self.last.push((conversation, seq)),
            Some((_, last)) if seq == *last + 1 => *last = seq,
            Some((_, last)) if seq <= *last => self.repeats += 1,
            Some((_, last)) => {
                self.holes += seq - *last - 1;
                *last = seq;
            }
        }
    }
}

/// An event of an added message, as far as a load test needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEvent {
    /// The conversation.
    pub conversation: Uuid,
    /// The message's number in it.
    pub seq: u64,
    /// The index in the text, if this program wrote it.
    pub index: Option<u64>,
}

/// Reads an event's frame by searching for its fields in the order in which they are written.
pub fn message_event(frame: &[u8]) -> Option<MessageEvent> {
    let rest = after(frame, b"\"message_added\"")?;
    let rest = after(rest, b"\"conversation_id\":\"")?;
    let conversation = Uuid::try_parse_ascii(rest.get(..36)?).ok()?;
    let rest = after(rest, b"\"seq\":")?;
    let (seq, rest) = number(rest)?;
    // The text comes within the body, before the conversation with its preview.
    let index = after(rest, MARK).and_then(number).map(|(index, _)| index);
    Some(MessageEvent { conversation, seq, index })
}

fn after<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = crate::simulator::http::find(bytes, needle)?;
    bytes.get(at + needle.len()..)
}

/// Turns the index of a message into when it was meant to be sent; `None` if it is not to be measured (warm-up).
pub type IntendedTimes = Arc<dyn Fn(u64) -> Option<Instant> + Send + Sync>;

/// Latencies from many tasks.
#[derive(Clone, Debug, Default)]
pub struct SharedLatencies(Arc<[Mutex<Latencies>; SHARDS]>);

impl SharedLatencies {
    /// Adds one.
    pub fn record(&self, socket: usize, latency: Duration) {
        if let Some(shard) = self.0.get(socket % SHARDS) {
            shard.lock().unwrap_or_else(PoisonError::into_inner).record(latency);
        }
    }

    /// All of them.
    pub fn merged(&self) -> Latencies {
        let mut all = Latencies::default();
        for shard in self.0.iter() {
            all.merge(&shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }
}

impl Member {
    /// A member that is not connected yet.
    pub fn new(sign_on: SignOn) -> Self {
        Self { sign_on, socket: None, resume: None, welcome: None, seen: Seen::default() }
    }

    /// Cuts the connection without a word, and remembers where to go on.
    pub fn drop_connection(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.resume = Some(socket.resume());
        }
    }

    /// Opens the connection, resuming if it had one before; tries again while the hub is full.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn open(&mut self) -> Result<(), SocketError> {
        let mut attempt = 1;
        let (socket, welcome) = loop {
            match Socket::open(&self.sign_on, self.resume.clone()).await {
                Ok(opened) => break opened,
                Err(error) if attempt >= MAX_ATTEMPTS => return Err(error),
                Err(SocketError::Refused(503) | SocketError::Connection(_) | SocketError::Closed(_)) => {
                    attempt += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        self.socket = Some(socket);
        self.welcome = Some(welcome);
        Ok(())
    }

    /// Takes what comes until `stop`, or until the hub closes. `on_message` is given every added message.
    pub async fn listen(&mut self, stop: &CancellationToken, mut on_message: impl FnMut(MessageEvent)) {
        self.listen_until(stop, |_heard| false, &mut on_message).await;
    }

    /// As [`Self::listen`], but ends also when `is_last` says so.
    pub async fn listen_until(
        &mut self,
        stop: &CancellationToken,
        mut is_last: impl FnMut(&Heard<'_>) -> bool,
        mut on_message: impl FnMut(MessageEvent),
    ) {
        let Some(socket) = &mut self.socket else { return };
        let seen = &mut self.seen;
        let start = Instant::now();
        let mut over = false;
        while !over {
            let listened = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                listened = socket.listen(|heard| {
                    match heard {
                        Heard::Event { frame, .. } => {
                            seen.events += 1;
                            if let Some(event) = message_event(frame) {
                                seen.message(event.conversation, event.seq);
                                on_message(event);
                            }
                        }
                        Heard::Gap(_) => seen.gaps += 1,
                        Heard::Miscount { .. } => seen.miscounts += 1,
                        _ => {}
                    }
                    over |= is_last(&heard);
                }) => listened,
            };
            if let Err(error) = listened {
                seen.closed = Some(match error {
                    SocketError::Closed(code) => code,
                    _ => 1006,
                });
                seen.closed_after = Some(start.elapsed());
                return;
            }
        }
    }
}

/// Opens all members, some hundred at a time.
///
/// # Errors
/// The first that cannot be opened.
pub async fn open_all(members: Vec<Member>) -> anyhow::Result<Vec<Member>> {
    let opening = Arc::new(Semaphore::new(MAX_OPENING));
    let mut tasks = JoinSet::new();
    for (index, mut member) in members.into_iter().enumerate() {
        let opening = Arc::clone(&opening);
        tasks.spawn(async move {
            let _permit = opening.acquire_owned().await?;
            member.open().await.with_context(|| format!("socket {index} could not be opened"))?;
            anyhow::Ok((index, member))
        });
    }
    in_order(tasks).await
}

/// Listens with all members until `stop`, and gives them back with what they saw.
pub fn listen_all(
    members: Vec<Member>,
    latencies: &SharedLatencies,
    intended: &IntendedTimes,
    stop: &CancellationToken,
) -> Listening {
    let mut tasks = JoinSet::new();
    for (index, mut member) in members.into_iter().enumerate() {
        let (latencies, intended, stop) = (latencies.clone(), Arc::clone(intended), stop.clone());
        tasks.spawn(async move {
            member
                .listen(&stop, |event| {
                    let sent = event.index.and_then(|index| intended(index));
                    if let Some(sent) = sent {
                        latencies.record(index, sent.elapsed());
                    }
                })
                .await;
            anyhow::Ok((index, member))
        });
    }
    Listening { tasks }
}

/// Members that are listening.
#[derive(Debug)]
pub struct Listening {
    tasks: JoinSet<anyhow::Result<(usize, Member)>>,
}

impl Listening {
    /// Waits until all have ended.
    ///
    /// # Errors
    /// If a task failed.
    pub async fn finish(self) -> anyhow::Result<Vec<Member>> {
        in_order(self.tasks).await
    }
}

async fn in_order(mut tasks: JoinSet<anyhow::Result<(usize, Member)>>) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        members.push(task.context("a socket's task failed")??);
    }
    members.sort_by_key(|(index, _)| *index);
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_message_in_its_event() {
        let frame = br##"{"op":"ev","p":[0,7],"d":{"v":1,"source":{"partition":0,"offset":3,"index":1},"event":{"type":"message_added",
            "message":{"id":"019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d","conversation_id":"019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8e","seq":12,
            "direction":"inbound","body":{"text":"#000000042 Hello"}}},"conversation":{"last_seq":12,"last_message":{"seq":12}}}}"##;
        let event = message_event(frame).unwrap();
        assert_eq!((event.seq, event.index), (12, Some(42)));
        assert_eq!(event.conversation.to_string(), "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8e");
        assert_eq!(message_event(br#"{"op":"ev","p":[0,7],"d":{"event":{"type":"contact_created"}}}"#), None);
    }

    #[test]
    fn notices_holes_and_repeats_by_conversation() {
        let mut seen = Seen::default();
        for (conversation, seq) in [(1, 5), (2, 1), (1, 6), (1, 9), (2, 2), (2, 2), (1, 10)] {
            seen.message(Uuid::from_u128(conversation), seq);
        }
        assert_eq!((seen.messages, seen.holes, seen.repeats), (7, 2, 1));
    }

    #[test]
    fn sources_are_spread_over_the_loopback_network() {
        assert_eq!(source(0), "127.0.0.2".parse::<IpAddr>().unwrap());
        assert_eq!(source(15), "127.0.0.17".parse::<IpAddr>().unwrap());
        assert_eq!(source(16), source(0));
    }
}
