//! Work that is cut by partition and shared among processes: conversation engines, senders.
//!
//! A group joins its like in other processes through the log ([`Log::join`]) and runs its part on each partition that it is
//! given. A partition that is taken away is finished (the batch in hand) and then reported as let go. A part that finds that
//! another process has taken over, or that fails, is begun again after a pause while the partition is still given to this
//! process: other partitions feel nothing of it. In a hub of one process there is nobody to take over, so a failure ends the
//! hub ([`OnFailure::Stop`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use storage::log::{Log, LogError, Membership};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::vitals::Progress;

/// The pause after a part ended though it was wanted; doubles up to the second number.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A part that ran this long has recovered: its next pause is the shortest again.
const STEADY: Duration = Duration::from_mins(1);
/// How long a part may take to end once it is asked to; then it is dropped, as by a crash.
const STOP_LIMIT: Duration = Duration::from_secs(7);
/// The pause after the group could not be joined.
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// Why the work on a partition ended, though it was not asked to.
#[derive(Debug)]
pub(super) enum Broken {
    /// Another process has taken over.
    Superseded,
    /// It failed.
    Failed(anyhow::Error),
}

/// What to do about a part that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// End the process: it starts again from what is durable.
    Stop,
    /// Begin the part again after a pause.
    TryAgain,
}

/// The work on a partition.
pub(super) type Part = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>;

/// Works on a partition until the token is cancelled.
pub(super) type Run = Box<dyn Fn(u32, CancellationToken) -> Part + Send + Sync>;

/// A group of this process.
pub(super) struct Group {
    /// Its name, the same in all processes.
    pub(super) name: &'static str,
    pub(super) log: Arc<dyn Log>,
    pub(super) on_failure: OnFailure,
    pub(super) progress: Arc<Progress>,
    /// Usually [`PAUSES`].
    pub(super) pauses: (Duration, Duration),
    pub(super) run: Run,
}

impl Group {
    /// Works on what it is given until `shutdown`.
    ///
    /// # Errors
    /// The failure of a part, with [`OnFailure::Stop`].
    pub(super) async fn work(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        loop {
            let Some(membership) = shutdown.run_until_cancelled(self.join()).await else { return Ok(()) };
            match self.follow(&membership, &shutdown).await? {
                Left::Asked => return Ok(()),
                Left::Lost => tracing::warn!(group = self.name, "the group is lost and joined anew"),
            }
            drop(membership);
            if shutdown.run_until_cancelled(tokio::time::sleep(JOIN_RETRY)).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn join(&self) -> Membership {
        loop {
            match self.log.join(self.name).await {
                Ok(membership) => return membership,
                Err(error) => self.say_not_joined(&error),
            }
            tokio::time::sleep(JOIN_RETRY).await;
        }
    }

    fn say_not_joined(&self, error: &LogError) {
        tracing::warn!(group = self.name, %error, "the group cannot be joined yet");
    }

    async fn follow(&self, membership: &Membership, shutdown: &CancellationToken) -> anyhow::Result<Left> {
        let mut assigned = membership.assigned();
        let mut parts = Parts::new(self, membership);
        let end = loop {
            let wanted = assigned.borrow_and_update().clone();
            parts.want(&wanted);
            self.progress.joined(self.name);
            let (moment, idle) = (parts.next_moment(), parts.tasks.is_empty());
            tokio::select! {
                () = shutdown.cancelled() => break Ok(Left::Asked),
                changed = assigned.changed() => if changed.is_err() { break Ok(Left::Lost) },
                Some(ended) = parts.tasks.join_next_with_id(), if !idle => {
                    if let Err(error) = parts.on_end(ended) {
                        break Err(error);
                    }
                }
                () = sleep_until(moment) => {}
            }
        };
        parts.stop().await;
        end
    }
}

/// How a group came to an end.
enum Left {
    Asked,
    Lost,
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[derive(Debug)]
struct Running {
    token: CancellationToken,
    abort: AbortHandle,
    began: Instant,
    /// Set once it was asked to end: when it is dropped.
    stop_by: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    pause: Duration,
}

/// The partitions that a group works on.
struct Parts<'a> {
    group: &'a Group,
    membership: &'a Membership,
    tasks: JoinSet<Result<(), Broken>>,
    running: BTreeMap<u32, Running>,
    partitions: HashMap<Id, u32>,
    /// Partitions whose part broke, and until when they rest (or rested).
    rests: BTreeMap<u32, Rest>,
}

impl<'a> Parts<'a> {
    fn new(group: &'a Group, membership: &'a Membership) -> Self {
        Self {
            group,
            membership,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            partitions: HashMap::new(),
            rests: BTreeMap::new(),
        }
    }

    /// Ends what is not wanted any more, begins what is wanted and may begin, and says what is worked on.
    fn want(&mut self, wanted: &BTreeSet<u32>) {
        let now = Instant::now();
        for (partition, running) in &mut self.running {
            if !wanted.contains(partition) && running.stop_by.is_none() {
                tracing::info!(group = self.group.name, partition, "another process takes this partition");
                running.token.cancel();
                running.stop_by = Some(now + STOP_LIMIT);
            }
            if running.stop_by.is_some_and(|by| by <= now) {
                tracing::warn!(
                    group = self.group.name,
                    partition,
                    "work on a partition did not end in time: it is dropped"
                );
                running.abort.abort();
                running.stop_by = Some(now + STOP_LIMIT);
            }
        }
        let given_up: Vec<_> = self.rests.keys().filter(|partition| !wanted.contains(partition)).copied().collect();
        for partition in given_up {
            self.rests.remove(&partition);
            self.group.progress.ended(self.group.name, partition);
        }
        let begin: Vec<_> = wanted
            .iter()
            .filter(|partition| !self.running.contains_key(partition))
            .filter(|partition| self.rests.get(partition).is_none_or(|rest| rest.until <= now))
            .copied()
            .collect();
        let working = self.running.keys().chain(&begin).copied().collect();
        self.membership.works_on(working);
        for partition in begin {
            self.begin(partition, now);
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge; there are at most 256 partitions")]
        metrics::gauge!("saler_partitions", "group" => self.group.name).set(self.running.len() as f64);
    }

    fn begin(&mut self, partition: u32, now: Instant) {
        let token = CancellationToken::new();
        self.group.progress.begins(self.group.name, partition);
        let abort = self.tasks.spawn((self.group.run)(partition, token.clone()));
        self.partitions.insert(abort.id(), partition);
        self.running.insert(partition, Running { token, abort, began: now, stop_by: None });
    }

    /// A part has ended.
    fn on_end(&mut self, ended: Result<(Id, Result<(), Broken>), JoinError>) -> anyhow::Result<()> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(Broken::Failed(error.into()))),
        };
        let Some((partition, running)) =
            self.partitions.remove(&id).and_then(|partition| Some((partition, self.running.remove(&partition)?)))
        else {
            return Ok(());
        };
        let name = self.group.name;
        if running.stop_by.is_some() {
            self.group.progress.ended(name, partition);
            return Ok(());
        }
        let last = self.rests.get(&partition).filter(|_| running.began.elapsed() < STEADY);
        let (shortest, longest) = self.group.pauses;
        let pause = last.map_or(shortest, |rest| (rest.pause * 2).min(longest));
        match result {
            Err(Broken::Superseded) => {
                metrics::counter!("saler_partitions_superseded_total", "group" => name).increment(1);
                tracing::warn!(group = name, partition, "another process has taken this partition over");
                self.group.progress.failed(name, partition, "another process has taken it over".to_owned());
            }
            broken => {
                let error = match broken {
                    Err(Broken::Failed(error)) => error,
                    _ => anyhow::anyhow!("work on partition {partition} ended by itself"),
                };
                if self.group.on_failure == OnFailure::Stop {
                    return Err(error);
                }
                metrics::counter!("saler_partition_failures_total", "group" => name).increment(1);
                let reason = format!("{error:#}");
                tracing::error!(
                    group = name,
                    partition,
                    error = reason,
                    "work on a partition failed and is tried again"
                );
                self.group.progress.failed(name, partition, reason);
            }
        }
        self.rests.insert(partition, Rest { until: Instant::now() + pause, pause });
        Ok(())
    }

    /// When something is due without an event.
    fn next_moment(&self) -> Option<Instant> {
        let begins = self.rests.iter().filter(|(partition, _)| !self.running.contains_key(partition));
        let begins = begins.map(|(_, rest)| rest.until);
        begins.chain(self.running.values().filter_map(|running| running.stop_by)).min()
    }

    /// Asks everything to end and waits for it, for a while.
    async fn stop(mut self) {
        for running in self.running.values() {
            running.token.cancel();
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok(Err(Broken::Failed(error))) = ended {
                    tracing::error!(
                        group = self.group.name,
                        error = format!("{error:#}"),
                        "work failed while stopping"
                    );
                }
            }
        };
        if tokio::time::timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!(group = self.group.name, "some work did not end in time: it is dropped");
            self.tasks.shutdown().await;
        }
        for partition in self.running.keys() {
            self.group.progress.ended(self.group.name, *partition);
        }
        self.membership.works_on(BTreeSet::new());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use storage::log::memory::MemoryLog;
    use tokio::sync::watch;

    use super::*;

    type Calls = Arc<Mutex<Vec<(u32, &'static str)>>>;

    /// A group whose part on partition 1 breaks as `breaks` says, and whose others work until they are asked to end.
    fn group(calls: &Calls, breaks: fn(usize) -> Option<Broken>) -> Group {
        let calls = Arc::clone(calls);
        Group {
            name: "test",
            log: Arc::new(MemoryLog::new(1)),
            on_failure: OnFailure::TryAgain,
            progress: Arc::default(),
            pauses: (Duration::from_millis(20), Duration::from_millis(80)),
            run: Box::new(move |partition, token| {
                let calls = Arc::clone(&calls);
                Box::pin(async move {
                    let before = {
                        let mut calls = calls.lock().unwrap();
                        calls.push((partition, "begins"));
                        calls.iter().filter(|call| **call == (1, "begins")).count()
                    };
                    if let Some(broken) = breaks(before).filter(|_| partition == 1) {
                        return Err(broken);
                    }
                    token.cancelled().await;
                    calls.lock().unwrap().push((partition, "ends"));
                    Ok(())
                })
            }),
        }
    }

    struct Bench {
        calls: Calls,
        assigns: watch::Sender<BTreeSet<u32>>,
        working: watch::Receiver<BTreeSet<u32>>,
        membership: Membership,
    }

    fn bench(first: &[u32]) -> Bench {
        let (assigns, assigned) = watch::channel(first.iter().copied().collect());
        let (works, working) = watch::channel(BTreeSet::new());
        Bench { calls: Calls::default(), assigns, working, membership: Membership::new(assigned, works, Box::new(())) }
    }

    #[tokio::test]
    async fn partitions_come_and_go_and_are_let_go_only_once_their_work_has_ended() {
        let bench = bench(&[1, 2]);
        let group = group(&bench.calls, |_| None);
        let shutdown = CancellationToken::new();
        let (calls, assigns) = (Arc::clone(&bench.calls), bench.assigns.clone());
        let mut working = bench.working.clone();
        let script = async {
            working.wait_for(|working| working.len() == 2).await.unwrap();
            assigns.send_replace([2, 3].into());
            working.wait_for(|working| *working == [2, 3].into()).await.unwrap();
            assert!(calls.lock().unwrap().contains(&(1, "ends")), "it had ended when it was let go");
            shutdown.cancel();
        };
        let (left, ()) = tokio::join!(group.follow(&bench.membership, &shutdown), script);
        assert!(matches!(left, Ok(Left::Asked)));
        assert!(bench.working.borrow().is_empty());
        let ends = bench.calls.lock().unwrap().iter().filter(|(_, what)| *what == "ends").count();
        assert_eq!(ends, 3);
    }

    #[tokio::test]
    async fn what_breaks_begins_again_and_others_work_on() {
        for breaks in [(|begun| (begun < 4).then_some(Broken::Superseded)) as fn(usize) -> Option<Broken>, |begun| {
            (begun < 4).then(|| Broken::Failed(anyhow::anyhow!("a fault")))
        }] {
            let bench = bench(&[1, 2]);
            let group = group(&bench.calls, breaks);
            let shutdown = CancellationToken::new();
            let began = Instant::now();
            let script = async {
                let mut look = tokio::time::interval(Duration::from_millis(1));
                while bench.calls.lock().unwrap().iter().filter(|call| **call == (1, "begins")).count() < 4 {
                    look.tick().await;
                }
                shutdown.cancel();
            };
            let (left, ()) = tokio::join!(group.follow(&bench.membership, &shutdown), script);
            assert!(matches!(left, Ok(Left::Asked)));
            assert!(began.elapsed() >= Duration::from_millis(140), "20, 40 and 80 ms of pause");
            let others = bench.calls.lock().unwrap().iter().filter(|(partition, _)| *partition == 2).count();
            assert_eq!(others, 2, "partition 2 began once and ended once");
            assert!(bench.working.borrow().is_empty());
        }
    }

    #[tokio::test]
    async fn a_hub_of_one_process_ends_with_the_first_failure() {
        let bench = bench(&[1, 2]);
        let mut group = group(&bench.calls, |_| Some(Broken::Failed(anyhow::anyhow!("a fault"))));
        group.on_failure = OnFailure::Stop;
        let failed = group.follow(&bench.membership, &CancellationToken::new()).await;
        assert_eq!(failed.map(drop).unwrap_err().to_string(), "a fault");
        assert!(bench.calls.lock().unwrap().contains(&(2, "ends")), "the others ended in order");
    }
}
