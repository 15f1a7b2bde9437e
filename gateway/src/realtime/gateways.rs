//! Which gateways live, so that people whom a dead one left connected are recorded as gone.
//!
//! Each gateway writes another number into its row of the table `nodes` every [`BEAT`] (the rest of its life it is silent
//! only if it stands still). A gateway whose number has not changed for [`DEAD_AFTER`], by the clock of whoever looks, is
//! taken for dead: all others record its people as gone on its behalf, which happens once, since the engine ignores what it
//! knows. One that was only slow sees that in the events and records its people again ([`super::presence`]).

use std::collections::HashMap;
use std::time::Duration;

use schemas::tables::{NODES, Value};
use sha2::{Digest, Sha256};
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};
use tokio::time::Instant;

/// How often a gateway shows that it lives.
pub(crate) const BEAT: Duration = Duration::from_secs(10);
/// How long a gateway may be silent: several beats, and more than a restart takes.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(45);
/// The most gateways of a hub.
const MAX_GATEWAYS: usize = 1_000;

/// The name under which a gateway speaks of its sockets: a digest, since people's events carry it.
pub(crate) fn id_of(node: &str) -> String {
    let digest = <[u8; 32]>::from(Sha256::digest(node.as_bytes()));
    let first = digest.first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: Option<i64>,
    changed: Instant,
}

/// What this gateway knows of the others.
#[derive(Debug)]
pub(crate) struct Gateways {
    id: String,
    beat: i64,
    others: HashMap<String, Seen>,
}

impl Gateways {
    /// For the gateway with this id, whose beats begin at a number that it has not used before.
    pub(crate) fn new(id: String, first_beat: i64) -> Self {
        Self { id, beat: first_beat, others: HashMap::new() }
    }

    /// Somebody is recorded as connected at this gateway.
    pub(crate) fn mention(&mut self, gateway: &str, now: Instant) {
        if gateway != self.id && self.others.len() < MAX_GATEWAYS {
            self.others.entry(gateway.to_owned()).or_insert(Seen { beat: None, changed: now });
        }
    }

    fn key(id: &str) -> Key {
        Key::of([Value::from("gateway")]).at([Value::from(id)])
    }

    /// Shows that this gateway lives and looks at the others; returns those that are dead.
    pub(crate) async fn beat(&mut self, tables: &dyn Tables, now: Instant) -> Result<Vec<String>, TablesError> {
        self.beat += 1;
        let mut batch = Batch::default();
        batch.put(NODES, Row::new(Self::key(&self.id)).with("beat", self.beat));
        tables.write(batch, Sync::Later).await?;
        let rows = tables.scan(NODES, Scan::of([Value::from("gateway")], MAX_GATEWAYS)).await?;
        for row in &rows {
            let [Value::Text(id)] = row.key.clustering.as_slice() else { continue };
            self.mention(id, now);
            if let Some(seen) = self.others.get_mut(id)
                && seen.beat != row.int("beat")
            {
                *seen = Seen { beat: row.int("beat"), changed: now };
            }
        }
        let silent = |seen: &Seen| now.saturating_duration_since(seen.changed) >= DEAD_AFTER;
        Ok(self.others.iter().filter(|(_, seen)| silent(seen)).map(|(id, _)| id.clone()).collect())
    }

    /// The people of a dead gateway are recorded as gone.
    pub(crate) async fn bury(&mut self, tables: &dyn Tables, gateway: &str) -> Result<(), TablesError> {
        let mut batch = Batch::default();
        batch.delete(NODES, Self::key(gateway));
        tables.write(batch, Sync::Later).await?;
        self.others.remove(gateway);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use storage::tables::memory::MemoryTables;

    use super::*;

    #[tokio::test]
    async fn a_gateway_that_falls_silent_is_dead_after_a_while_and_can_come_back() {
        let tables = MemoryTables::new();
        let start = Instant::now();
        let at = |beats: u32| start + BEAT * beats;
        let (mut one, mut two) = (Gateways::new("one".to_owned(), 7), Gateways::new("two".to_owned(), 7));
        one.mention("three", start);
        for beats in 0..4 {
            assert!(two.beat(&tables, at(beats)).await.unwrap().is_empty());
            assert!(one.beat(&tables, at(beats)).await.unwrap().is_empty());
        }
        // Nobody has ever heard of the third; the second falls silent.
        assert!(one.beat(&tables, at(4)).await.unwrap().is_empty());
        assert_eq!(one.beat(&tables, at(5)).await.unwrap(), ["three"]);
        one.bury(&tables, "three").await.unwrap();
        assert!(one.beat(&tables, at(7)).await.unwrap().is_empty());
        assert_eq!(one.beat(&tables, at(8)).await.unwrap(), ["two"]);
        one.bury(&tables, "two").await.unwrap();
        two.beat(&tables, at(9)).await.unwrap();
        assert!(one.beat(&tables, at(9)).await.unwrap().is_empty());
    }

    #[test]
    fn an_id_does_not_show_the_name() {
        assert_eq!(id_of("host.all.8080").len(), 16);
        assert_ne!(id_of("a"), id_of("b"));
    }
}
