//! Whose turn it is to send the messages of a partition.
//!
//! Of two processes that both believe a partition to be theirs, only one may call providers: the one that took the last
//! turn. A worker takes one when it begins ([`take`]), before it reads what is to be sent; and it looks before each call,
//! after the beginning of the attempt was recorded, whether its turn is still on ([`look`]). So whatever a worker may still
//! call stands in the log when the next worker begins, which then asks the provider before it sends.
//!
//! A look is good for [`super::Settings::claim`]. A process that was stopped between look and call (SIGSTOP, a machine that
//! was suspended) finds that out by both clocks, and looks again. What remains is a process that is stopped between that
//! last comparison and the system call that writes the request, some microseconds, and for longer than
//! [`super::Settings::settle`]: it would send once more when it goes on.

use std::time::Duration;

use schemas::Timestamp;
use schemas::tables::{SENDER_TURNS, Value};
use storage::clock::Clock;
use storage::tables::{Key, Row, Tables, TablesError};
use tokio::time::Instant;

/// The column of the turn's number.
const TURN: &str = "turn";

/// The worker's turn is over: another has begun one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition}: another process sends its messages now")]
pub struct Superseded {
    /// Which partition.
    pub partition: u32,
}

/// A turn that was on at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    began: Instant,
    began_at: Timestamp,
}

impl Look {
    /// Whether a call may still begin. The machine's clock is asked too: the other one stands still in a suspended machine.
    pub(super) fn is_good(&self, clock: &dyn Clock, claim: Duration) -> bool {
        self.began.elapsed() <= claim && clock.now().since(self.began_at) <= claim
    }
}

fn key(partition: u32) -> Key {
    Key::of([Value::from(partition)])
}

async fn current(tables: &dyn Tables, partition: u32) -> Result<Option<i64>, TablesError> {
    Ok(tables.get(SENDER_TURNS, key(partition)).await?.and_then(|row| row.int(TURN)))
}

/// Begins a turn, which ends all before it; returns its number.
pub(super) async fn take(tables: &dyn Tables, partition: u32) -> Result<i64, TablesError> {
    loop {
        let last = current(tables, partition).await?;
        let next = last.unwrap_or(0) + 1;
        let row = Row::new(key(partition)).with(TURN, next);
        if tables.update_if(SENDER_TURNS, row, TURN, last.map(Value::Int)).await? {
            return Ok(next);
        }
    }
}

/// Whether the turn is still on; `None` if it is over.
pub(super) async fn look(
    tables: &dyn Tables,
    clock: &dyn Clock,
    partition: u32,
    turn: i64,
) -> Result<Option<Look>, TablesError> {
    // Taken before the tables are asked: the answer may be as old as the question.
    let look = Look { began: Instant::now(), began_at: clock.now() };
    Ok((current(tables, partition).await? == Some(turn)).then_some(look))
}
