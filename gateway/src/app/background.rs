//! Where derived work runs: the engine, the senders, the tails of sockets and analytics, the tables.
//!
//! Threads of its own keep it apart from those that take requests and write the log, and let it stop for a moment
//! ([`storage::background::give_way`]) when there is more work than time: webhooks are still acknowledged, and the backlog
//! grows, in the open: `saler_engine_lag_commands`.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own. What still runs there is dropped with it.
#[derive(Debug)]
pub(super) struct Background {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts its threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().thread_name("background").build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to start work.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A runtime must not be waited for on a thread of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
