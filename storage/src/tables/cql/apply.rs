//! Writing the rows of a committed batch.
//!
//! Rows of one partition are written together. Small ones of several partitions are too, if the same node holds them: a request
//! costs a server more than a row does. Such groups stay below the sizes from which on the servers warn of them (see `limits`).

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use scylla::statement::batch::BatchType;
use tokio::time::Instant;

use super::changes::{Change, by_partition};
use super::server::{Bound, Owner, Server};
use crate::tables::TablesError;

/// How many requests are under way at once.
const REQUESTS_AT_ONCE: usize = 64;

/// How many rows, and about how many bytes, of one partition are written together.
const PARTITION_ROWS: usize = 100;
const PARTITION_BYTES: usize = 256 << 10;

/// Rows are applied until so long after their commit: see the module `journal`.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// What is sent as one.
#[derive(Default)]
struct Request<'a> {
    statements: Vec<Bound<'a>>,
    partitions: usize,
    bytes: usize,
}

/// Writes rows with the version of their batch as timestamp.
pub(super) async fn apply<'a>(
    server: &Server,
    changes: impl IntoIterator<Item = &'a Change>,
    version: i64,
    committed_at: Instant,
) -> Result<(), TablesError> {
    let requests = requests(server, changes, version).await?;
    let writes: Vec<_> = requests.into_iter().map(|request| send(server, request, committed_at)).collect();
    let mut writes = futures::stream::iter(writes).buffer_unordered(REQUESTS_AT_ONCE);
    while let Some(result) = writes.next().await {
        result?;
    }
    Ok(())
}

async fn requests<'a>(
    server: &Server,
    changes: impl IntoIterator<Item = &'a Change>,
    version: i64,
) -> Result<Vec<Request<'a>>, TablesError> {
    let limits = server.batch_limits();
    let mut full = Vec::new();
    let mut open: HashMap<Owner, Request<'a>> = HashMap::new();
    let parts: Vec<_> = by_partition(changes).into_iter().flat_map(in_parts).collect();
    for part in parts {
        let mut request = Request { partitions: 1, ..Request::default() };
        for change in part {
            let write = change.write(Some(version));
            let statement = server.prepare(write.table, write.operation).await?;
            request.statements.push(Bound { statement, values: write.values });
            request.bytes += change.size_bytes();
        }
        let owner = (request.bytes < limits.bytes)
            .then(|| request.statements.first().and_then(|bound| server.owner(bound)))
            .flatten();
        let Some(owner) = owner else {
            full.push(request);
            continue;
        };
        let place = open.entry(owner).or_default();
        if place.partitions == limits.partitions || place.bytes + request.bytes > limits.bytes {
            full.push(std::mem::take(place));
        }
        place.partitions += 1;
        place.bytes += request.bytes;
        place.statements.append(&mut request.statements);
    }
    full.extend(open.into_values());
    Ok(full)
}

async fn send(server: &Server, request: Request<'_>, committed_at: Instant) -> Result<(), TablesError> {
    if committed_at.elapsed() > APPLY_LIMIT {
        return Err(TablesError::Unavailable {
            reason: format!(
                "a committed batch was not applied within {} s; it is applied before the next one",
                APPLY_LIMIT.as_secs()
            ),
        });
    }
    if request.statements.len() > 1 {
        return Ok(server.batch(BatchType::Unlogged, true, request.statements).await?);
    }
    for bound in request.statements {
        server.execute(bound).await?;
    }
    Ok(())
}

fn in_parts(group: Vec<&Change>) -> Vec<Vec<&Change>> {
    let mut parts: Vec<Vec<&Change>> = Vec::new();
    let mut bytes = 0;
    for change in group {
        let size = change.size_bytes();
        match parts.last_mut() {
            Some(part) if part.len() < PARTITION_ROWS && bytes + size <= PARTITION_BYTES => {
                bytes += size;
                part.push(change);
            }
            _ => {
                bytes = size;
                parts.push(vec![change]);
            }
        }
    }
    parts
}
