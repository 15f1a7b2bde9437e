//! Wakes the sockets of a worker thread together.
//!
//! Waking a task of another thread costs a system call and a lock that the worker wants too. An event wakes many sockets, and
//! while a worker is busy more events come. So whoever has a frame for a socket puts the socket on the list of its worker and
//! rings once; the worker wakes all on its list by itself, which costs next to nothing, or writes their frames at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures::task::AtomicWaker;
use tokio::task::JoinHandle;

use super::connection::Connection;

/// After so many sockets that it has written, the worker looks after its other tasks.
const WRITES_AT_ONCE: usize = 64;

#[derive(Debug)]
enum Due {
    Wake(Waker),
    Write(Arc<Connection>),
}

/// The list of a worker thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    waiting: Mutex<Vec<Due>>,
    ringer: AtomicWaker,
}

thread_local! {
    /// The bell of this thread, and the task that answers it.
    static BELL: RefCell<Option<(Arc<Bell>, JoinHandle<()>)>> = const { RefCell::new(None) };
}

impl Bell {
    /// The bell of this thread, which must be one of actix's workers; it is hung up with the first socket.
    pub(crate) fn of_this_worker() -> Arc<Self> {
        BELL.with_borrow_mut(|hung| match hung {
            Some((bell, answering)) if !answering.is_finished() => Arc::clone(bell),
            _ => {
                let bell = Arc::new(Self::default());
                let answering = actix_web::rt::spawn(Arc::clone(&bell).answer());
                *hung = Some((Arc::clone(&bell), answering));
                bell
            }
        })
    }

    /// Has a task of the worker woken soon.
    pub(crate) fn ring_for(&self, task: Waker) {
        self.ring(Due::Wake(task));
    }

    /// Has the worker write a connection's frames soon.
    pub(crate) fn ring_to_write(&self, connection: Arc<Connection>) {
        self.ring(Due::Write(connection));
    }

    fn ring(&self, due: Due) {
        let mut waiting = self.waiting();
        waiting.push(due);
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first {
            self.ringer.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Due>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>) {
        loop {
            let all = poll_fn(|context| {
                self.ringer.register(context.waker());
                let mut waiting = self.waiting();
                if waiting.is_empty() { Poll::Pending } else { Poll::Ready(std::mem::take(&mut *waiting)) }
            })
            .await;
            let mut writes = 0;
            for due in all {
                match due {
                    Due::Wake(task) => task.wake(),
                    Due::Write(connection) => {
                        connection.write_now();
                        writes += 1;
                        if writes % WRITES_AT_ONCE == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
        }
    }
}
