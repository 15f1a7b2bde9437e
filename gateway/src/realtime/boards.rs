//! Live boards for the topic `kpis`: written once a workspace for each change, and shared by all who watch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use schemas::WorkspaceId;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connection::{Class, Connection};
use super::hub::Hub;

/// Where boards come from.
pub trait BoardSource: Send + Sync + fmt::Debug {
    /// The board of a workspace from now on. Costs nothing once it is dropped.
    fn subscribe(&self, workspace_id: WorkspaceId) -> Box<dyn BoardFeed>;
}

/// One workspace's board, again and again.
#[async_trait]
pub trait BoardFeed: Send {
    /// The board as JSON: at once the first time, then after each change. `None` when there will be no more. Cancel-safe.
    async fn next(&mut self) -> Option<Bytes>;
}

/// A feed from a watch channel of anything that has a JSON form.
#[derive(Debug)]
pub struct WatchFeed<T> {
    receiver: watch::Receiver<T>,
    first: bool,
}

impl<T> WatchFeed<T> {
    /// Follows this channel.
    pub const fn new(receiver: watch::Receiver<T>) -> Self {
        Self { receiver, first: true }
    }
}

#[async_trait]
impl<T: Serialize + Send + Sync> BoardFeed for WatchFeed<T> {
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.first) {
            self.receiver.changed().await.ok()?;
        }
        serde_json::to_vec(&*self.receiver.borrow_and_update()).ok().map(Bytes::from)
    }
}

#[derive(Debug)]
struct Running {
    task: AbortHandle,
    latest: Arc<Mutex<Bytes>>,
}

/// The tasks that feed boards: one for each workspace that somebody watches.
#[derive(Debug)]
pub(crate) struct Boards {
    source: Option<Arc<dyn BoardSource>>,
    running: Mutex<HashMap<WorkspaceId, Running>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Boards {
    pub(crate) fn new(source: Option<Arc<dyn BoardSource>>) -> Self {
        Self { source, running: Mutex::default() }
    }

    /// Shows the present board to a new watcher, and sees to it that changes follow. To be called after the watcher
    /// subscribed.
    pub(crate) fn show(&self, hub: &Arc<Hub>, to: &Connection, workspace_id: WorkspaceId) {
        let Some(source) = &self.source else { return };
        let mut running = locked(&self.running);
        let board = running.entry(workspace_id).or_insert_with(|| {
            let latest = Arc::new(Mutex::new(Bytes::new()));
            let feed = source.subscribe(workspace_id);
            let task = tokio::spawn(follow(feed, Arc::clone(hub), workspace_id, Arc::clone(&latest))).abort_handle();
            Running { task, latest }
        });
        let frame = locked(&board.latest).clone();
        if !frame.is_empty() {
            to.push(&frame, Class::Latest, Instant::now());
        }
    }

    /// Ends the task of a board that nobody watches any more.
    pub(crate) fn stop_if_unwatched(&self, hub: &Hub, workspace_id: WorkspaceId) {
        let mut running = locked(&self.running);
        if running.contains_key(&workspace_id)
            && !hub.has_board_watchers(workspace_id)
            && let Some(board) = running.remove(&workspace_id)
        {
            board.task.abort();
        }
    }

    /// How many boards are fed.
    pub(crate) fn count(&self) -> usize {
        locked(&self.running).len()
    }
}

async fn follow(mut feed: Box<dyn BoardFeed>, hub: Arc<Hub>, workspace_id: WorkspaceId, latest: Arc<Mutex<Bytes>>) {
    while let Some(board) = feed.next().await {
        let mut frame = BytesMut::with_capacity(board.len() + 20);
        frame.put_slice(br#"{"op":"kpi","d":"#);
        frame.put_slice(&board);
        frame.put_u8(b'}');
        let frame = frame.freeze();
        *locked(&latest) = frame.clone();
        hub.show_board(workspace_id, &frame);
    }
}
