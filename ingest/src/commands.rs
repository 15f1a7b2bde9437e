//! The one door to the topic `commands`: gives a command its id and time, and appends it durably.

use std::sync::Arc;

use bytes::Bytes;
use schemas::command::{Actor, COMMAND_VERSION, Command, CommandRecord};
use schemas::{CommandId, WorkspaceId};
use storage::clock::Clock;
use storage::log::{Log, LogError, NewRecord, Topic, partition_of};

/// Where a command stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The command.
    pub command_id: CommandId,
    /// Its partition.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
}

/// Makes and appends commands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Commands {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
}

impl Commands {
    /// Appends to this log, with this clock.
    pub fn new(log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock }
    }

    /// A record for `command`, with a fresh id and the present time; nothing is appended yet.
    ///
    /// Change `key` and `wants_outcome` of the result where they matter.
    pub fn record(&self, workspace_id: WorkspaceId, actor: Actor, command: Command) -> CommandRecord {
        let at = self.clock.now();
        CommandRecord {
            v: COMMAND_VERSION,
            id: CommandId::new(at, &rand::random()),
            workspace_id,
            at,
            actor,
            key: None,
            wants_outcome: false,
            command,
        }
    }

    /// Appends a record; returns once it is durable.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn append(&self, record: &CommandRecord) -> Result<Accepted, LogError> {
        let offset = self.append_all(std::slice::from_ref(record)).await?;
        Ok(Accepted {
            command_id: record.id,
            partition: partition_of(record.workspace_id, self.log.partitions()),
            offset,
        })
    }

    /// Appends records of one workspace together (what one webhook brought); returns the first offset once all are
    /// durable. `records` must not be empty.
    ///
    /// # Errors
    /// As [`Log::append`]; [`LogError::Invalid`] if there are none.
    pub async fn append_all(&self, records: &[CommandRecord]) -> Result<u64, LogError> {
        let Some(first) = records.first() else {
            return Err(LogError::Invalid { reason: "there is no command to append".to_owned() });
        };
        let partition = partition_of(first.workspace_id, self.log.partitions());
        let new = records.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        self.log.append(Topic::Commands, partition, new).await
    }
}

pub(crate) fn encode(record: &CommandRecord) -> Result<NewRecord, LogError> {
    let value = serde_json::to_vec(record)
        .map_err(|error| LogError::Invalid { reason: format!("the command cannot be written as JSON: {error}") })?;
    Ok(NewRecord { key: record.workspace_id, at: record.at, value: Bytes::from(value) })
}
