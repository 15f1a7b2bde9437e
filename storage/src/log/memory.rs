//! The model of the log: everything in memory, nothing survives the process.
//!
//! It is what the other engines are compared with, and what tests of the layers above run on. It keeps the guarantees of
//! the port with [`Durability::Memory`]; a switch makes appends fail as a full or a dead disk would.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Bounds, Durability, Log, LogError, LogHealth, NewRecord, ReadBudget, ReadLimit, Record, Topic, check_records,
    unknown_partition,
};

/// How appends fail while the switch is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// As if the disk were full: [`LogError::DiskFull`].
    DiskFull,
    /// As if the engine were gone: [`LogError::Unavailable`].
    Unavailable,
}

impl MemoryFault {
    const fn reason(self) -> &'static str {
        match self {
            Self::DiskFull => "the disk is full",
            Self::Unavailable => "the log was switched off",
        }
    }
}

#[derive(Debug)]
struct Partition {
    /// The offset of the first record in `records`.
    earliest: u64,
    records: Vec<Record>,
    released: Option<u64>,
    next: watch::Sender<u64>,
}

impl Partition {
    fn next(&self) -> u64 {
        *self.next.borrow()
    }
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<(Topic, u32), Partition>,
    committed: BTreeMap<(String, Topic, u32), u64>,
    fault: Option<MemoryFault>,
}

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    partitions: u32,
    state: Mutex<State>,
}

impl MemoryLog {
    /// An empty log with this many partitions a topic, at least one.
    pub fn new(partitions: u32) -> Self {
        let partitions = partitions.max(1);
        let mut state = State::default();
        for topic in Topic::ALL {
            for number in 0..partitions {
                let partition =
                    Partition { earliest: 0, records: Vec::new(), released: None, next: watch::Sender::new(0) };
                state.partitions.insert((topic, number), partition);
            }
        }
        Self { partitions, state: Mutex::new(state) }
    }

    /// Makes every append fail so from now on, or succeed again with `None`.
    pub fn set_fault(&self, fault: Option<MemoryFault>) {
        self.lock().fault = fault;
    }

    /// Removes everything that was released, as retention does once it is old: this engine has no retention of its own.
    ///
    /// # Errors
    /// [`LogError::Invalid`] if there is no such partition.
    pub fn remove_released(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        let mut state = self.lock();
        let partition = self.partition(&mut state, topic, partition)?;
        if let Some(released) = partition.released {
            partition.records.retain(|record| record.offset >= released);
            partition.earliest = partition.earliest.max(released.min(partition.next()));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition<'a>(&self, state: &'a mut State, topic: Topic, partition: u32) -> Result<&'a mut Partition, LogError> {
        state
            .partitions
            .get_mut(&(topic, partition))
            .ok_or_else(|| unknown_partition(topic, partition, self.partitions))
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn epoch(&self) -> &'static str {
        "memory"
    }

    async fn append(&self, topic: Topic, partition: u32, records: Vec<NewRecord>) -> Result<u64, LogError> {
        check_records(&records)?;
        let mut state = self.lock();
        let fault = state.fault;
        let partition = self.partition(&mut state, topic, partition)?;
        match fault {
            Some(MemoryFault::DiskFull) => {
                return Err(LogError::DiskFull { path: "memory".to_owned() });
            }
            Some(fault @ MemoryFault::Unavailable) => {
                return Err(LogError::Unavailable { reason: fault.reason().to_owned() });
            }
            None => {}
        }
        let first = partition.next();
        let mut offset = first;
        for record in records {
            partition.records.push(Record { offset, key: record.key, at: record.at, value: record.value });
            offset += 1;
        }
        if offset > first {
            partition.next.send_replace(offset);
        }
        Ok(first)
    }

    async fn read(&self, topic: Topic, partition: u32, from: u64, limit: ReadLimit) -> Result<Vec<Record>, LogError> {
        let number = partition;
        let mut state = self.lock();
        let partition = self.partition(&mut state, topic, partition)?;
        let next = partition.next();
        if from < partition.earliest || from > next {
            return Err(LogError::OutOfRange {
                topic,
                partition: number,
                offset: from,
                earliest: partition.earliest,
                next,
            });
        }
        let skip = usize::try_from(from - partition.earliest).unwrap_or(usize::MAX);
        let mut budget = ReadBudget::new(limit);
        Ok(partition.records.iter().skip(skip).take_while(|record| budget.admit(record.value.len())).cloned().collect())
    }

    async fn wait_for(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        let mut next = self.partition(&mut self.lock(), topic, partition)?.next.subscribe();
        match next.wait_for(|next| *next > offset).await {
            Ok(_) => Ok(()),
            Err(_closed) => Err(LogError::Unavailable { reason: "the log was closed".to_owned() }),
        }
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let mut state = self.lock();
        let partition = self.partition(&mut state, topic, partition)?;
        Ok(Bounds { earliest: partition.earliest, next: partition.next(), durable: partition.next() })
    }

    async fn sync(&self, topic: Topic, partition: u32) -> Result<u64, LogError> {
        Ok(self.partition(&mut self.lock(), topic, partition)?.next())
    }

    async fn commit(&self, group: &str, topic: Topic, partition: u32, next: u64) -> Result<(), LogError> {
        let mut state = self.lock();
        self.partition(&mut state, topic, partition)?;
        state.committed.insert((group.to_owned(), topic, partition), next);
        Ok(())
    }

    async fn committed(&self, group: &str, topic: Topic, partition: u32) -> Result<Option<u64>, LogError> {
        let mut state = self.lock();
        self.partition(&mut state, topic, partition)?;
        Ok(state.committed.get(&(group.to_owned(), topic, partition)).copied())
    }

    async fn release(&self, topic: Topic, partition: u32, offset: u64) -> Result<(), LogError> {
        self.partition(&mut self.lock(), topic, partition)?.released = Some(offset);
        Ok(())
    }

    fn health(&self) -> LogHealth {
        LogHealth { durability: Durability::Memory, refusing: self.lock().fault.map(|fault| fault.reason().to_owned()) }
    }
}
