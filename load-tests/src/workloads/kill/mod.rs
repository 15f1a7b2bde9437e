//! The fault harness: the hub is killed with SIGKILL at random moments under load, hundreds of times, on one and the same
//! data folder. Customers' webhooks come again when they got no answer, as they would; some come twice although they got
//! one. Sockets resume after each restart. In the end every promise is checked against the harness's own history.

mod answers;
mod recovery;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Common, measure_machine, number};
use crate::checker::{Entry, History, Stored, check};
use crate::generator::http::Connection;
use crate::generator::socket::{Heard, SignOn, Socket};
use crate::generator::swarm::message_event;
use crate::generator::webhooks::{Order, Prepared, Target, index_of_text};
use crate::hub::fixture::Fixture;
use crate::report::Report;

const WORKSPACES: usize = 2;
const CUSTOMERS: u64 = 40;
const SENDERS: u64 = 8;
const GOAL_OPEN_MS: f64 = 2_000.0;
const GOAL_STOP_S: f64 = 10.0;
/// The shortest and the longest time from one opening to the next kill.
const KILL_AFTER_MS: std::ops::Range<u64> = 5..1_500;
/// The share of acknowledged webhooks that come again all the same.
const REPEATED_SHARE: f64 = 0.05;
/// The share of webhooks without an answer that come again.
const RETRIED_SHARE: f64 = 0.7;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How long sockets may take in the end to be given everything.
const SOCKETS_WITHIN: Duration = Duration::from_secs(20);

/// How the workload runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What every workload takes.
    #[command(flatten)]
    pub common: Common,
    /// Kills.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Messages a second.
    #[arg(long, default_value_t = 300)]
    rate: u64,
    /// After every so many kills, everything acknowledged is looked for.
    #[arg(long, default_value_t = 10)]
    verify_every: u32,
    /// Sockets that listen throughout.
    #[arg(long, default_value_t = 4)]
    sockets: u32,
    /// Keep the history in this file instead of the run's folder.
    #[arg(long)]
    history: Option<std::path::PathBuf>,
}

/// What the tasks of a run share.
#[derive(Clone)]
struct Shared {
    history: Arc<Mutex<History>>,
    up: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Shared {
    fn record(&self, entry: Entry) -> anyhow::Result<()> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).record(entry)
    }

    fn with_history<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(self.history.lock().unwrap_or_else(PoisonError::into_inner).entries())
    }

    fn sync(&self) -> anyhow::Result<()> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).sync()
    }

    /// Waits until the hub is open; `false` if the run is over.
    async fn hub_is_up(&mut self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            up = self.up.wait_for(|up| *up) => up.is_ok(),
        }
    }
}

pub(super) async fn run(options: &Options) -> anyhow::Result<Report> {
    let common = &options.common;
    anyhow::ensure!(common.hub.hub.is_none(), "kill starts and kills a hub of its own: leave --hub out");
    let machine = measure_machine(common).await?;
    let mut fixture = Fixture::start(&common.hub, WORKSPACES, &[]).await?;
    let history_path = options.history.clone().unwrap_or_else(|| fixture.dir().join("history.jsonl"));
    let (up, up_seen) = watch::channel(true);
    let sending = Shared {
        history: Arc::new(Mutex::new(History::create(&history_path)?)),
        up: up_seen,
        stop: CancellationToken::new(),
    };
    let listening = Shared { stop: CancellationToken::new(), ..sending.clone() };
    let mut sockets = start_sockets(&fixture, &listening, options.sockets).await?;
    let mut senders = start_senders(&fixture, &sending, options);
    let killed = kill_again_and_again(&mut fixture, &sending, &up, options).await;
    // Everything is stopped in order even if a restart failed, so that the error is the first one.
    sending.stop.cancel();
    while let Some(sender) = senders.join_next().await {
        sender.context("a sender failed")??;
    }
    let on_the_way = killed?;
    fixture.caught_up().await?;
    let entries = sending.with_history(<[Entry]>::to_vec);
    let delivered = answers::delivered(&fixture.simulator, &entries).await;
    fixture.caught_up().await?;
    let stored = stored(&fixture).await?;
    wait_for_sockets(&listening, &stored, options.sockets).await;
    listening.stop.cancel();
    while let Some(socket) = sockets.join_next().await {
        socket.context("a socket's task failed")??;
    }
    listening.sync()?;
    let verdict = listening.with_history(|entries| check(entries, &stored));
    let unlike_in_sql = recovery::unlike_in_sql(&fixture, &stored).await?;
    let stopped_in = recovery::verify_stopped(&mut fixture).await?;
    let mut report = Report::new("kill", common.seed, machine);
    report.figure("verdict", &verdict);
    report.figure("answers", delivered);
    if verdict.violations > 0 {
        let kept = std::env::temp_dir().join(format!("saler-load-kill-{}.jsonl", common.seed));
        std::fs::copy(&history_path, &kept).context("cannot keep the history")?;
        report.note(format!(
            "the history is kept in {}; run again with `saler-load kill --seed {} --rounds {}`",
            kept.display(),
            common.seed,
            options.rounds
        ));
    }
    report.at_least("kills", f64::from(verdict.kills), f64::from(options.rounds), "");
    report.at_most("acknowledged messages that are lost", number(verdict.lost as u64), 0.0, "");
    report.at_most("messages that are there twice", number(verdict.doubled as u64), 0.0, "");
    report.at_most("violations of any kind", number(verdict.violations as u64), 0.0, "");
    report.at_most("violations found after a restart, while messages went on", number(on_the_way as u64), 0.0, "");
    report.at_most("acknowledged answers that the provider never had", number(delivered.missing as u64), 0.0, "");
    report.at_most("answers that the provider had twice", number(delivered.doubled as u64), 0.0, "");
    report.at_least("answers acknowledged", number(delivered.acknowledged as u64), 1.0, "");
    report.at_most("messages by which SQL and the API differ", number(unlike_in_sql), 0.0, "");
    report.at_most("time to stop in the end", stopped_in.as_secs_f64(), GOAL_STOP_S, "s");
    report.at_most("longest time to open", number(verdict.longest_open_millis), GOAL_OPEN_MS, "ms");
    report.at_least("messages acknowledged", number(verdict.acknowledged), 1.0, "");
    Ok(report)
}

async fn kill_again_and_again(
    fixture: &mut Fixture,
    shared: &Shared,
    up: &watch::Sender<bool>,
    options: &Options,
) -> anyhow::Result<usize> {
    let mut random = SmallRng::seed_from_u64(options.common.seed);
    let mut violations = 0;
    let hub = fixture.options.clone().context("the hub was not started by this program")?;
    for round in 1..=options.rounds {
        tokio::time::sleep(Duration::from_millis(random.random_range(KILL_AFTER_MS))).await;
        let process = fixture.process.take().context("the hub is gone")?;
        process.kill().await?;
        up.send_replace(false);
        shared.record(Entry::Kill { round })?;
        shared.sync()?;
        let process = hub
            .serve()
            .await
            .with_context(|| format!("the hub did not open after kill {round} (seed {})", options.common.seed))?;
        let millis = u64::try_from(process.opened_in.as_millis()).unwrap_or(u64::MAX);
        shared.record(Entry::Open { round, millis })?;
        fixture.process = Some(process);
        up.send_replace(true);
        if round % options.verify_every.max(1) == 0 {
            violations += recovery::violations(fixture, shared).await?;
            info!(round, millis, violations, "killed, opened again and verified");
        }
    }
    Ok(violations)
}

fn start_senders(fixture: &Fixture, shared: &Shared, options: &Options) -> JoinSet<anyhow::Result<()>> {
    let mut tasks = JoinSet::new();
    for number in 0..SENDERS {
        let sender = Sender {
            shared: shared.clone(),
            address: fixture.address,
            public_url: fixture.base_url.clone(),
            targets: fixture.spaces.iter().map(|space| space.target.clone()).collect(),
            random: SmallRng::seed_from_u64(options.common.seed ^ ((number + 1) << 32)),
            run: options.common.seed,
            connection: None,
        };
        let interval = Duration::from_micros(1_000_000 * SENDERS / options.rate.max(1));
        tasks.spawn(sender.send_until_stopped(number, interval));
    }
    for (number, space) in (1..).zip(&fixture.spaces) {
        let random = SmallRng::seed_from_u64(options.common.seed ^ number);
        tasks.spawn(answers::answer_until_stopped(shared.clone(), space.clone(), random, options.common.seed));
    }
    tasks
}

struct Sender {
    shared: Shared,
    address: std::net::SocketAddr,
    public_url: String,
    targets: Vec<Target>,
    random: SmallRng,
    run: u64,
    connection: Option<Connection>,
}

impl Sender {
    async fn send_until_stopped(mut self, number: u64, interval: Duration) -> anyhow::Result<()> {
        let mut index = number;
        while self.shared.hub_is_up().await {
            let customer = self.random.random_range(0..CUSTOMERS);
            let at = usize::try_from(customer)? % self.targets.len().max(1);
            let target = self.targets.get(at).context("there is no workspace")?;
            let order = Order { target, index, customer };
            let prepared = Prepared::webhooks(self.run, &self.public_url, std::iter::once(order));
            let request = prepared.request(0).context("nothing was prepared")?.to_vec();
            self.shared.record(Entry::Send { key: index })?;
            self.deliver(index, &request).await?;
            index += SENDERS;
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    /// Sends a webhook, and again as providers do: most of those without an answer, and a few that had one.
    async fn deliver(&mut self, key: u64, request: &[u8]) -> anyhow::Result<()> {
        while !self.exchange(request).await {
            self.shared.record(Entry::Unclear { key })?;
            if !self.random.random_bool(RETRIED_SHARE) || !self.shared.hub_is_up().await {
                return Ok(());
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        self.shared.record(Entry::Ack { key })?;
        if self.random.random_bool(REPEATED_SHARE) {
            self.exchange(request).await;
        }
        Ok(())
    }

    /// Whether the hub answered 2xx.
    async fn exchange(&mut self, request: &[u8]) -> bool {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(self.address).await {
                Ok(connection) => connection,
                Err(_refused) => return false,
            },
        };
        match timeout(ANSWER_WITHIN, connection.exchange(request)).await {
            Ok(Ok(status)) => {
                self.connection = Some(connection);
                (200..300).contains(&status)
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// Opens all sockets before the first message is sent, and listens with each.
async fn start_sockets(
    fixture: &Fixture,
    shared: &Shared,
    sockets: u32,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut tasks = JoinSet::new();
    let spaces = (0_u32..).zip(&fixture.spaces).cycle();
    for ((socket, index), (space_number, space)) in (0..sockets).zip(0..).zip(spaces) {
        let sign_on = fixture.sign_on(space, index, vec!["inbox".to_owned()]);
        let (opened, _welcome) = Socket::open(&sign_on, None).await.context("a socket could not be opened")?;
        shared.record(Entry::Listen { socket, space: space_number })?;
        tasks.spawn(listen_until_stopped(shared.clone(), sign_on, socket, opened));
    }
    Ok(tasks)
}

async fn listen_until_stopped(
    mut shared: Shared,
    sign_on: SignOn,
    number: u32,
    mut socket: Socket,
) -> anyhow::Result<()> {
    loop {
        let mut failed = Ok(());
        let listened = tokio::select! {
            () = shared.stop.cancelled() => return failed,
            listened = socket.listen(|heard| {
                if let Some(entry) = entry_of(number, &heard)
                    && failed.is_ok()
                {
                    failed = shared.record(entry);
                }
            }) => listened,
        };
        failed?;
        if listened.is_ok() {
            continue;
        }
        let resume = socket.resume();
        socket = loop {
            if !shared.hub_is_up().await {
                return Ok(());
            }
            match Socket::open(&sign_on, Some(resume.clone())).await {
                Ok((opened, welcome)) => {
                    if !welcome.resumed {
                        shared.record(Entry::Gap { socket: number })?;
                    }
                    break opened;
                }
                Err(_not_yet) => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        };
    }
}

fn entry_of(socket: u32, heard: &Heard<'_>) -> Option<Entry> {
    match heard {
        Heard::Event { place: (partition, offset), frame } => {
            let event = message_event(frame)?;
            Some(Entry::Receive {
                socket,
                partition: *partition,
                offset: *offset,
                conversation: event.conversation,
                seq: event.seq,
                key: event.index,
            })
        }
        Heard::Gap(_) => Some(Entry::Gap { socket }),
        Heard::Miscount { .. } => Some(Entry::Miscount { socket }),
        _ => None,
    }
}

/// Everything that the API shows.
async fn stored(fixture: &Fixture) -> anyhow::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    for (space_number, space) in (0..).zip(&fixture.spaces) {
        for view in space.api.all_conversations("open").await? {
            let conversation = view.conversation.id;
            for message in space.api.all_messages(conversation).await? {
                stored.push(Stored {
                    space: space_number,
                    conversation: conversation.uuid(),
                    seq: message.seq,
                    key: index_of_text(&message.body.text),
                });
            }
        }
    }
    Ok(stored)
}

/// Waits until every socket has been given the last message, or for some time; the checker tells what is missing.
async fn wait_for_sockets(shared: &Shared, stored: &[Stored], sockets: u32) {
    let start = Instant::now();
    let received = || shared.with_history(|entries| check(entries, stored).violations);
    while sockets > 0 && start.elapsed() < SOCKETS_WITHIN && received() > 0 {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
