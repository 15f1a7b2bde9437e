//! The contract of the log over each engine.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use storage::contract::log::Engine;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::memory::MemoryLog;
use storage::log::{Durability, Log, Topic};
use tempfile::TempDir;

struct Memory(Arc<MemoryLog>);

#[async_trait]
impl Engine for Memory {
    async fn open(&self) -> Arc<dyn Log> {
        self.0.clone()
    }

    fn is_persistent(&self) -> bool {
        false
    }

    async fn expire(&self, _log: &dyn Log, topic: Topic, partition: u32) -> bool {
        self.0.remove_released(topic, partition).unwrap();
        true
    }
}

struct Embedded {
    dir: TempDir,
    durability: Durability,
    segment_bytes: u64,
    tail_bytes: usize,
    opened: Mutex<Weak<EmbeddedLog>>,
}

impl Embedded {
    fn new(durability: Durability, segment_bytes: u64, tail_bytes: usize) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), durability, segment_bytes, tail_bytes, opened: Mutex::default() }
    }

    /// As it is used.
    fn usual() -> Self {
        Self::new(Durability::Fsync, 64 << 20, 4 << 20)
    }

    /// So that segments are closed often and nearly all reads go to the disk.
    fn small() -> Self {
        Self::new(Durability::Fsync, 4 << 10, 500)
    }

    fn relaxed() -> Self {
        Self::new(Durability::Interval(Duration::from_millis(5)), 4 << 10, 500)
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn open(&self) -> Arc<dyn Log> {
        let earlier = self.opened.lock().unwrap().upgrade();
        if let Some(log) = earlier {
            return log;
        }
        let log = Arc::new(
            EmbeddedLog::open(EmbeddedLogOptions {
                durability: self.durability,
                segment_bytes: self.segment_bytes,
                tail_bytes: self.tail_bytes,
                retention_bytes: Some(0),
                min_free_bytes: 0,
                ..EmbeddedLogOptions::new(self.dir.path(), 2)
            })
            .unwrap(),
        );
        *self.opened.lock().unwrap() = Arc::downgrade(&log);
        log
    }

    fn is_persistent(&self) -> bool {
        true
    }

    async fn expire(&self, _log: &dyn Log, _topic: Topic, _partition: u32) -> bool {
        let log = self.opened.lock().unwrap().upgrade();
        log.unwrap().expire().await;
        // Segments of the usual size are not closed by what a property appends.
        self.segment_bytes < 64 << 10
    }
}

mod memory {
    use super::{Arc, Memory, MemoryLog};
    storage::log_contract!(Memory(Arc::new(MemoryLog::new(2))));
}

mod embedded {
    use super::Embedded;
    storage::log_contract!(Embedded::usual());
}

mod embedded_with_small_segments {
    use super::Embedded;
    storage::log_contract!(Embedded::small());
}

mod embedded_with_an_interval {
    use super::Embedded;
    storage::log_contract!(Embedded::relaxed());
}

mod kafka {
    use crate::log_kafka_support::Kafka;
    storage::log_contract!(optional: Kafka::start());
}

mod kafka_with_a_small_tail {
    use crate::log_kafka_support::Kafka;
    storage::log_contract!(optional: Kafka::start().map(|kafka| kafka.with(|options| options.tail_bytes = 500)));
}
