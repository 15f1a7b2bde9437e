//! Reading rows by their keys.
//!
//! Rows that differ only in the last column of their partition key are asked for together, some at a time: for a row that is
//! small or not there, the request costs a server more than the row does. An engine reads so what the provider's ids of all
//! messages of a batch stand for.

use std::collections::HashMap;

use futures::StreamExt;
use schemas::tables::{Table, Value};

use super::changes::is_storable;
use super::conditional::first_row;
use super::server::Server;
use super::statements::Operation;
use super::values::{Answer, Bind, bind_key};
use crate::tables::{Key, Row, TablesError};

/// How many requests of one call are under way at once.
const READS_AT_ONCE: usize = 64;

/// How many rows are asked for together. The node that is asked holds few of them itself where there are many nodes.
const ROWS_TOGETHER: usize = 20;

/// The rows with these keys; one answer for each, in order.
pub(super) async fn rows(server: &Server, keys: &[(&'static Table, Key)]) -> Result<Vec<Option<Row>>, TablesError> {
    let mut rows = vec![None; keys.len()];
    let reads: Vec<_> = groups(keys).into_iter().map(|group| read(server, keys, group)).collect();
    let mut reads = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE);
    while let Some(found) = reads.next().await {
        for (place, row) in found? {
            if let Some(slot) = rows.get_mut(place) {
                *slot = Some(row);
            }
        }
    }
    Ok(rows)
}

/// The places of keys that are asked for together.
fn groups(keys: &[(&'static Table, Key)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut open: HashMap<(&'static str, &[Value]), usize> = HashMap::new();
    for (place, (table, key)) in keys.iter().enumerate() {
        let shared = key.partition.split_last().map(|(_, shared)| shared).unwrap_or_default();
        if shared.is_empty() || !table.clustering_key.is_empty() {
            groups.push(vec![place]);
            continue;
        }
        let group = open.get(&(table.name, shared)).and_then(|group| groups.get_mut(*group));
        if let Some(group) = group.filter(|group| group.len() < ROWS_TOGETHER) {
            group.push(place);
        } else {
            open.insert((table.name, shared), groups.len());
            groups.push(vec![place]);
        }
    }
    groups
}

/// The rows of a group that are there, each with its place.
async fn read(
    server: &Server,
    keys: &[(&'static Table, Key)],
    group: Vec<usize>,
) -> Result<Vec<(usize, Row)>, TablesError> {
    let wanted: Vec<_> = group.into_iter().filter_map(|place| Some((place, keys.get(place)?))).collect();
    let Some((first, (table, key))) = wanted.first() else { return Ok(Vec::new()) };
    if wanted.len() == 1 {
        return Ok(one(server, table, key).await?.map(|row| (*first, row)).into_iter().collect());
    }
    let lasts: Vec<&Value> = wanted.iter().filter_map(|(_, (_, key))| key.partition.last()).collect();
    let shared = key.partition.iter().take(key.partition.len().saturating_sub(1)).map(Bind::Value);
    let values = shared.chain([Bind::List(&lasts)]).collect();
    let result = server.operate(table, Operation::GetSeveral, values).await?;
    let answer = result.into_rows_result().map_err(|error| TablesError::Unavailable { reason: error.to_string() })?;
    let mut found = Vec::with_capacity(wanted.len());
    for mut row in Answer::new(table.name, &answer)?.into_rows() {
        let row = row.row(table, Key { partition: Vec::new(), clustering: Vec::new() })?;
        // A key may be asked for twice.
        let places = wanted.iter().filter(|(_, (_, key))| *key == row.key);
        found.extend(places.map(|(place, _)| (*place, row.clone())));
    }
    Ok(found)
}

async fn one(server: &Server, table: &'static Table, key: &Key) -> Result<Option<Row>, TablesError> {
    if !is_storable(key) {
        return Ok(None);
    }
    let result = server.operate(table, Operation::Get, bind_key(key).collect()).await?;
    first_row(table, key, result)
}

#[cfg(test)]
mod tests {
    use schemas::tables::{EXTERNAL_MESSAGES, MESSAGES, USERS};

    use super::*;

    #[test]
    fn keys_that_share_all_but_their_last_column_are_asked_for_together() {
        let id = |n: u8| Value::Uuid([n; 16]);
        let external = |channel: u8, name: &str| (EXTERNAL_MESSAGES, Key::of([id(1), id(channel), name.into()]));
        let message = (MESSAGES, Key::of([id(1), id(2), Value::Int(0)]).at([Value::Int(1)]));
        let user = |n: u8| (USERS, Key::of([id(n)]));
        let keys = [external(1, "a"), message.clone(), external(2, "a"), external(1, "b"), user(1), user(2), message];
        assert_eq!(groups(&keys), [vec![0, 3], vec![1], vec![2], vec![4], vec![5], vec![6]]);
        let many: Vec<_> = (0..45).map(|n| external(1, &n.to_string())).collect();
        assert_eq!(groups(&many).iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 5]);
    }
}
