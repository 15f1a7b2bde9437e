//! Where derived work runs: the engine, the senders, the tails of sockets and analytics, the tables.
//!
//! Its threads have a lower priority than those that take requests and write the log. Whatever is derived can wait, since
//! it is in the log; a provider that gets no answer drops its message. So when there is more work than time, webhooks are
//! still acknowledged and the backlog grows, in the open: `saler_engine_lag_commands`.

use tokio::runtime::{Builder, Handle, Runtime};

/// The niceness of the threads. At 10, a thread gets a tenth of the time of one that takes requests while both want to run,
/// and all of it while no other does.
const NICENESS: i32 = 10;

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
        let runtime =
            Builder::new_multi_thread().enable_all().thread_name("background").on_thread_start(step_back).build()?;
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

/// Lowers the priority of this thread, and of those that it starts.
fn step_back() {
    // On Linux the call without an id is about the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "background work runs at the priority of requests");
    }
}

#[cfg(test)]
mod tests {
    use super::{Background, NICENESS};

    #[test]
    fn only_its_own_threads_step_back() {
        let background = Background::start().unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let lowered = background.handle().block_on(background.handle().spawn(async move { niceness() })).unwrap();
        let of_blocking = background.handle().block_on(background.handle().spawn_blocking(niceness)).unwrap();
        assert_eq!((lowered, of_blocking, niceness()), (NICENESS.max(before), NICENESS.max(before), before));
    }
}
