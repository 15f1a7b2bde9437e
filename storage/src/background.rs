//! Manners of derived work.
//!
//! What is derived from the log can wait, since it is in the log; a provider that gets no answer drops its message. So while
//! more requests wait for the log than the machine can serve at once, derived work goes slowly: webhooks are acknowledged,
//! and the backlog grows, in the open. At all other times derived work is as urgent as any, since agents wait for it: a
//! lower priority of its threads would let every burst of requests hold up the sockets.

use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

/// So many requests a core that wait for the log are a crowd.
const CROWD_PER_CORE: usize = 16;
/// How long derived work stops before its next piece while there is a crowd.
const PAUSE: Duration = Duration::from_millis(2);

static WAITING: AtomicUsize = AtomicUsize::new(0);
static CROWD: LazyLock<usize> = LazyLock::new(|| CROWD_PER_CORE * available_parallelism().map_or(1, NonZero::get));

/// A request that waits for the log, until it is dropped.
#[derive(Debug)]
pub struct Waiting(());

impl Waiting {
    /// Counts one more.
    pub fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets requests run first, if many wait for the log; costs nothing otherwise.
///
/// Whatever derives calls this between one piece (a command, an event, some rows) and the next, on threads that no request
/// needs.
pub fn give_way() {
    if WAITING.load(Ordering::Relaxed) >= *CROWD {
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn derived_work_pauses_only_while_there_is_a_crowd() {
        let crowd: Vec<Waiting> = (0..*CROWD).map(|_| Waiting::begin()).collect();
        let begun = Instant::now();
        give_way();
        assert!(begun.elapsed() >= PAUSE);
        drop(crowd);
        assert_eq!(WAITING.load(Ordering::Relaxed), 0);
    }
}
