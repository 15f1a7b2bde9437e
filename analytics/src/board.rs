//! Pushing boards: computed for watched workspaces only, when something changed, at most every interval, once for all
//! watchers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemas::kpi::KpiBoard;
use schemas::{Timestamp, WorkspaceId};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::fold::cell::minute_of;
use crate::{Analytics, AnalyticsError};

/// How often boards are looked at though no event came: minutes leave the window by themselves.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The boards that are watched.
#[derive(Debug, Default)]
pub(crate) struct Boards {
    feeds: Mutex<BTreeMap<WorkspaceId, Feed>>,
    changed: Notify,
    revision: AtomicU64,
}

#[derive(Debug)]
struct Feed {
    sender: watch::Sender<Arc<KpiBoard>>,
    /// The revision of the source and the minute of the last board.
    computed: Option<(u64, i64)>,
}

impl Boards {
    /// Something may have changed.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// A number larger than all before it.
    pub(crate) fn next_revision(&self) -> u64 {
        self.revision.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn subscribe(&self, workspace_id: WorkspaceId, now: Timestamp) -> watch::Receiver<Arc<KpiBoard>> {
        let receiver = self
            .feeds()
            .entry(workspace_id)
            .or_insert_with(|| Feed {
                sender: watch::Sender::new(Arc::new(KpiBoard {
                    workspace_id,
                    revision: 0,
                    as_of: now,
                    values: Vec::new(),
                })),
                computed: None,
            })
            .sender
            .subscribe();
        self.wake();
        receiver
    }

    fn feeds(&self) -> MutexGuard<'_, BTreeMap<WorkspaceId, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watched workspaces, each with what its last board was computed from. Forgets those that nobody watches.
    fn watched(&self) -> Vec<(WorkspaceId, Option<(u64, i64)>)> {
        let mut feeds = self.feeds();
        feeds.retain(|_, feed| feed.sender.receiver_count() > 0);
        feeds.iter().map(|(id, feed)| (*id, feed.computed)).collect()
    }

    /// Gives a board to its watchers, unless it says what the last one said.
    fn publish(&self, board: KpiBoard, computed: (u64, i64)) {
        if let Some(feed) = self.feeds().get_mut(&board.workspace_id) {
            feed.computed = Some(computed);
            feed.sender.send_if_modified(|last| {
                let news = last.revision == 0 || last.values != board.values;
                if news {
                    *last = Arc::new(board);
                }
                news
            });
        }
    }
}

impl Analytics {
    /// Pushes boards until cancelled.
    pub(crate) async fn push_boards(&self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.boards.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            for (workspace_id, computed) in self.boards.watched() {
                if let Err(error) = self.push_board(workspace_id, computed).await {
                    tracing::error!(
                        workspace.id = %workspace_id,
                        error = &error as &dyn std::error::Error,
                        "a board cannot be computed"
                    );
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(self.options.board_interval) => {}
            }
        }
    }

    async fn push_board(&self, workspace_id: WorkspaceId, computed: Option<(u64, i64)>) -> Result<(), AnalyticsError> {
        let minute = minute_of(self.clock.now());
        if computed == Some((self.board_source(workspace_id)?, minute)) {
            return Ok(());
        }
        let begun = tokio::time::Instant::now();
        let (tables, source) = self.board_tables(workspace_id)?;
        let board = self.compute_board(workspace_id, tables).await?;
        self.boards.publish(board, (source, minute));
        metrics::histogram!("saler_kpi_board_seconds").record(begun.elapsed());
        Ok(())
    }
}
