//! Who is connected: counted over the tabs of a person, with a grace, and told to the engine as commands.
//!
//! A reconnect within the grace leaves no trace. After a crash, people whom the tables still show as connected here get the
//! same grace and are then recorded as gone. Each gateway speaks for its own sockets only, under its name, and a person is
//! connected for as long as one gateway says so. For a gateway that is dead ([`Gateways`]) the others speak.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use ingest::commands::Commands;
use schemas::command::{Actor, Command};
use schemas::socket::{self, ServerFrame};
use schemas::tables::{AGENTS, Value, WORKSPACE_IDS};
use schemas::workspace::Agent;
use schemas::{UserId, WorkspaceId};
use storage::clock::Clock;
use storage::tables::{Scan, Tables, TablesError};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frames::encode;
use super::gateways::{BEAT, Gateways};

/// Commands that are appended at the same time.
const APPENDS: usize = 64;
/// The wait before a failed append is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Rows of one page of a scan.
const PAGE: usize = 1_000;

type Person = (WorkspaceId, UserId);

#[derive(Debug, Default)]
struct State {
    people: HashMap<Person, Known>,
    /// People whose record may have to change now.
    due: VecDeque<Person>,
    /// People who may be gone at a moment; in order, since the grace is the same for all.
    leaving: VecDeque<(Instant, Person)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    sockets: u32,
    /// How often the person stands in `leaving`.
    leaving: u32,
    /// What the log says; `None` if this process has not said anything yet.
    recorded: Option<bool>,
}

/// The register of connected people.
#[derive(Debug)]
pub(crate) struct Presence {
    /// The name under which this gateway speaks.
    gateway: String,
    state: Mutex<State>,
    changed: Notify,
    grace: Duration,
}

impl Presence {
    pub(crate) fn new(gateway: String, grace: Duration) -> Self {
        Self { gateway, state: Mutex::default(), changed: Notify::new(), grace }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket of this person was opened.
    pub(crate) fn came(&self, workspace_id: WorkspaceId, user_id: UserId) {
        let person = (workspace_id, user_id);
        let mut state = self.lock();
        let known = state.people.entry(person).or_default();
        known.sockets += 1;
        if known.sockets == 1 && known.recorded != Some(true) {
            state.due.push_back(person);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// A socket of this person was closed.
    pub(crate) fn left(&self, workspace_id: WorkspaceId, user_id: UserId) {
        let person = (workspace_id, user_id);
        let mut state = self.lock();
        let Some(known) = state.people.get_mut(&person) else { return };
        known.sockets = known.sockets.saturating_sub(1);
        if known.sockets == 0 {
            known.leaving += 1;
            state.leaving.push_back((Instant::now() + self.grace, person));
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Somebody is recorded as connected at these gateways. If they are connected here and it does not say so (others took
    /// this gateway for dead), that is recorded again.
    pub(crate) fn saw(&self, workspace_id: WorkspaceId, user_id: UserId, gateways: &BTreeSet<String>) {
        if gateways.contains(&self.gateway) {
            return;
        }
        let person = (workspace_id, user_id);
        let mut state = self.lock();
        if let Some(known) = state.people.get_mut(&person)
            && known.sockets > 0
        {
            known.recorded = None;
            state.due.push_back(person);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// How many people are known; zero some time after the last socket.
    pub(crate) fn people(&self) -> usize {
        self.lock().people.len()
    }

    /// Who has something to be recorded now: whom, and what. Forgets people who are gone and recorded as such.
    fn take_due(&self, now: Instant) -> Vec<(Person, bool)> {
        let mut state = self.lock();
        let mut due: Vec<Person> = state.due.drain(..).collect();
        while state.leaving.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, person)) = state.leaving.pop_front() else { break };
            if let Some(known) = state.people.get_mut(&person) {
                known.leaving = known.leaving.saturating_sub(1);
            }
            due.push(person);
        }
        let mut changes = Vec::new();
        for person in due {
            let Some(known) = state.people.get_mut(&person) else { continue };
            let connected = known.sockets > 0;
            if !connected && known.leaving > 0 {
                continue; // Within the grace.
            }
            if known.recorded != Some(connected) {
                known.recorded = Some(connected);
                changes.push((person, connected));
            }
            if !connected {
                state.people.remove(&person);
            }
        }
        changes
    }

    fn next_moment(&self) -> Option<Instant> {
        self.lock().leaving.front().map(|(at, _)| *at)
    }

    /// A change could not be appended: it is due again.
    fn failed(&self, person: Person) {
        let mut state = self.lock();
        state.people.entry(person).or_default().recorded = None;
        state.due.push_back(person);
    }

    /// Records changes until the token is cancelled.
    pub(crate) async fn run(
        &self,
        tables: &dyn Tables,
        commands: &Commands,
        clock: &dyn Clock,
        shutdown: CancellationToken,
    ) {
        let mut gateways = Gateways::new(self.gateway.clone(), clock.now().unix_micros());
        if let Err(error) = self.load(tables, &mut gateways).await {
            tracing::warn!(%error, "people who were connected before the start cannot be read; they may be shown as connected");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.record(commands) => {}
            () = self.watch(tables, commands, gateways) => {}
        }
    }

    /// Shows that this gateway lives, and speaks for those that do not any more.
    async fn watch(&self, tables: &dyn Tables, commands: &Commands, mut gateways: Gateways) {
        loop {
            let dead = gateways.beat(tables, Instant::now()).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "this gateway cannot show that it lives");
                Vec::new()
            });
            for gateway in dead {
                match speak_for(tables, commands, &gateway).await {
                    Ok(people) => {
                        tracing::warn!(gateway, people, "a gateway is gone: its people are recorded as gone");
                        if let Err(error) = gateways.bury(tables, &gateway).await {
                            tracing::warn!(%error, gateway, "a gateway that is gone cannot be forgotten yet");
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, gateway, "the people of a gateway that is gone cannot be read");
                    }
                }
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn record(&self, commands: &Commands) {
        loop {
            let changes = self.take_due(Instant::now());
            let mut failed = false;
            let mut appends =
                futures::stream::iter(changes)
                    .map(|(person, connected)| async move {
                        (person, append(commands, &self.gateway, person, connected).await)
                    })
                    .buffer_unordered(APPENDS);
            while let Some((person, done)) = appends.next().await {
                if !done {
                    failed = true;
                    self.failed(person);
                }
            }
            let moment = self.next_moment();
            tokio::select! {
                () = tokio::time::sleep(RETRY), if failed => {}
                () = self.changed.notified(), if !failed => {}
                () = tokio::time::sleep_until(moment.unwrap_or_else(Instant::now)), if !failed && moment.is_some() => {}
            }
        }
    }

    /// Gives a grace to everybody whom the tables show as connected here, or nowhere in particular.
    async fn load(&self, tables: &dyn Tables, gateways: &mut Gateways) -> Result<(), TablesError> {
        let now = Instant::now();
        for_all_agents(tables, |workspace_id, agents| {
            let mut state = self.lock();
            for agent in agents.iter().filter(|agent| agent.connected) {
                for gateway in &agent.gateways {
                    gateways.mention(gateway, now);
                }
                if !agent.gateways.is_empty() && !agent.gateways.contains(&self.gateway) {
                    continue;
                }
                let person = (workspace_id, agent.user_id);
                let known = state.people.entry(person).or_default();
                known.recorded.get_or_insert(true);
                if known.sockets == 0 {
                    known.leaving += 1;
                    state.leaving.push_back((Instant::now() + self.grace, person));
                }
            }
        })
        .await
    }
}

/// Records the people of a gateway that is dead as gone from there; returns how many.
async fn speak_for(tables: &dyn Tables, commands: &Commands, gateway: &str) -> Result<usize, TablesError> {
    let mut people = Vec::new();
    for_all_agents(tables, |workspace_id, agents| {
        let left = agents.iter().filter(|agent| agent.gateways.contains(gateway));
        people.extend(left.map(|agent| (workspace_id, agent.user_id)));
    })
    .await?;
    let count = people.len();
    let mut appends = futures::stream::iter(people)
        .map(|person| async move { append(commands, gateway, person, false).await })
        .buffer_unordered(APPENDS);
    let mut failed = false;
    while let Some(done) = appends.next().await {
        failed |= !done;
    }
    if failed {
        return Err(TablesError::Unavailable { reason: "the log does not take changes of presence".to_owned() });
    }
    Ok(count)
}

/// Visits the members of every workspace, a workspace at a time.
async fn for_all_agents(
    tables: &dyn Tables,
    mut visit: impl FnMut(WorkspaceId, Vec<Agent>) + Send,
) -> Result<(), TablesError> {
    let mut scan = Scan::of([Value::from("all")], PAGE);
    loop {
        let rows = tables.scan(WORKSPACE_IDS, scan.clone()).await?;
        let ids = rows.iter().filter_map(|row| match row.key.clustering.first() {
            Some(Value::Workspace(id)) => Some(*id),
            _ => None,
        });
        for workspace_id in ids {
            visit(workspace_id, agents(tables, workspace_id).await?);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => scan = scan.after(last.key.clustering.clone()),
            _ => return Ok(()),
        }
    }
}

async fn append(commands: &Commands, gateway: &str, (workspace_id, user_id): Person, connected: bool) -> bool {
    let command =
        Command::SetPresence { user_id, availability: None, connected: Some(connected), gateway: gateway.to_owned() };
    let record = commands.record(workspace_id, Actor::System, command);
    commands
        .append(&record)
        .await
        .inspect_err(|error| tracing::warn!(%error, "a change of presence cannot be appended now"))
        .is_ok()
}

/// The members of a workspace as the engine knows them; at most one page.
async fn agents(tables: &dyn Tables, workspace_id: WorkspaceId) -> Result<Vec<Agent>, TablesError> {
    let rows = tables.scan(AGENTS, Scan::of([Value::from(workspace_id)], PAGE)).await?;
    rows.iter().map(|row| row.body(AGENTS)).collect()
}

/// Everybody's presence, as a frame.
pub(crate) async fn snapshot(tables: &dyn Tables, workspace_id: WorkspaceId) -> Result<Bytes, TablesError> {
    let d = agents(tables, workspace_id)
        .await?
        .into_iter()
        .filter(|agent| agent.active)
        .map(|Agent { user_id, availability, connected, .. }| socket::Presence { user_id, availability, connected })
        .collect();
    Ok(encode(&ServerFrame::Presence { d }))
}
