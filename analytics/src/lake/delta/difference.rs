//! What a commit says: the difference between a table as it is and as it is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::{Timestamp, WorkspaceId};
use serde_json::{Value, json};

use super::action::{Action, Add, Format, MetaData, PROTOCOL, Remove, Txn};
use super::{DeltaError, DeltaLog, LOG_FOLDER, Wanted, columns, stats};
use crate::schema::Table;
use crate::store::file::DataFile;

/// What makes the table as it is wanted; nothing if it is so already.
pub(super) fn actions(log: &DeltaLog, wanted: &Wanted<'_>, now: Timestamp) -> Result<Vec<Action>, DeltaError> {
    if wanted.next_offset < log.next_offset(wanted.app_id) {
        return Ok(Vec::new());
    }
    let gone: Vec<&Add> = log.active.values().filter(|add| !is_among(wanted, &add.path)).collect();
    let new: Vec<&Arc<DataFile>> =
        wanted.files.iter().filter(|file| !log.active.contains_key(&wanted.name(file.name()))).collect();
    let meta_data = declaration(log, wanted, gone.len() == log.active.len(), now)?;
    if gone.is_empty() && new.is_empty() && meta_data.is_none() {
        return Ok(Vec::new());
    }
    let sources = |file: &DataFile| file.sources.iter().map(|name| wanted.name(name)).collect::<Vec<_>>();
    let moved: BTreeSet<String> =
        new.iter().filter(|file| is_moved(file, &sources(file), &gone)).flat_map(|file| sources(file)).collect();
    let (at, first) = (now.unix_millis(), log.version.is_none());
    let mut changes = Vec::with_capacity(gone.len() + new.len());
    for add in gone {
        let data_change = !moved.contains(&add.path);
        changes.push(Action { remove: Some(remove(add, data_change, at)), ..Action::default() });
    }
    for file in new {
        let data_change = !sources(file).first().is_some_and(|source| moved.contains(source));
        let stats = stats::of_file(&file.path, wanted.table)?;
        changes.push(Action {
            add: Some(add(wanted.name(file.name()), file.bytes, data_change, stats, at)),
            ..Action::default()
        });
    }
    let txn = wanted.next_offset.and_then(|offset| i64::try_from(offset).ok()).map(|version| Txn {
        app_id: wanted.app_id.to_owned(),
        version,
        last_updated: Some(at),
    });
    let mut actions =
        vec![Action { commit_info: Some(info(&changes, first, wanted.copy_of, at)), ..Action::default() }];
    if first {
        actions.push(Action { protocol: Some(PROTOCOL), ..Action::default() });
    }
    actions.extend(meta_data.map(|meta_data| Action { meta_data: Some(meta_data), ..Action::default() }));
    actions.extend(txn.map(|txn| Action { txn: Some(txn), ..Action::default() }));
    actions.extend(changes);
    Ok(actions)
}

/// Whether a file holds the rows of files that go, all of them and no others.
fn is_moved(file: &DataFile, sources: &[String], gone: &[&Add]) -> bool {
    let rows = |source: &String| gone.iter().find(|add| add.path == *source).and_then(|add| rows(add));
    let all: Option<u64> = sources.iter().map(rows).sum();
    !sources.is_empty() && all == Some(file.rows)
}

/// What the table is, if the log does not say so yet. `anew`: no file stays that is in the log.
fn declaration(
    log: &DeltaLog,
    wanted: &Wanted<'_>,
    anew: bool,
    now: Timestamp,
) -> Result<Option<MetaData>, DeltaError> {
    let table = wanted.table;
    let declared = columns::declare(table).map_err(DeltaError::Encode)?;
    let Some(known) = &log.meta_data else {
        return Ok(Some(MetaData {
            id: table_id(wanted.workspace_id, table),
            name: Some(table.name.to_owned()),
            description: Some(description(table)),
            format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
            schema_string: declared,
            partition_columns: Vec::new(),
            configuration: BTreeMap::new(),
            created_time: Some(now.unix_millis()),
        }));
    };
    let schema_string = if anew {
        declared
    } else {
        let damaged = |source: serde_json::Error| DeltaError::Damaged {
            path: format!("{}/{LOG_FOLDER}", log.folder),
            source: source.into(),
        };
        let grown = columns::grow(&known.schema_string, table).map_err(damaged)?;
        grown.map_err(|source| DeltaError::Columns { folder: log.folder.clone(), source })?
    };
    Ok((schema_string != known.schema_string).then(|| MetaData { schema_string, ..known.clone() }))
}

fn is_among(wanted: &Wanted<'_>, name: &str) -> bool {
    wanted.files.iter().any(|file| wanted.name(file.name()) == name)
}

fn rows(add: &Add) -> Option<u64> {
    let stats: Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    stats.get("numRecords")?.as_u64()
}

fn add(path: String, bytes: u64, data_change: bool, stats: String, at: i64) -> Add {
    Add {
        path,
        partition_values: BTreeMap::new(),
        size: i64::try_from(bytes).unwrap_or(i64::MAX),
        modification_time: at,
        data_change,
        stats: Some(stats),
    }
}

fn remove(add: &Add, data_change: bool, at: i64) -> Remove {
    Remove {
        path: add.path.clone(),
        deletion_timestamp: Some(at),
        data_change,
        extended_file_metadata: Some(true),
        partition_values: Some(BTreeMap::new()),
        size: Some(add.size),
    }
}

fn info(changes: &[Action], first: bool, lake: Option<&str>, at: i64) -> Value {
    let moves = |action: &Action| {
        let data_change = |change: Option<bool>| change.is_none_or(|change| !change);
        data_change(action.add.as_ref().map(|add| add.data_change))
            && data_change(action.remove.as_ref().map(|remove| remove.data_change))
    };
    let adds_only = changes.iter().all(|action| action.add.is_some());
    let operation = match changes {
        [] if first => "CREATE TABLE",
        [] => "CHANGE COLUMNS",
        _ if adds_only => "WRITE",
        _ if changes.iter().all(moves) => "OPTIMIZE",
        _ if changes.iter().all(|action| action.remove.is_some()) => "DELETE",
        _ => "REWRITE",
    };
    let mut info = json!({
        "timestamp": at,
        "operation": operation,
        "operationParameters": {},
        "isBlindAppend": adds_only,
        "engineInfo": concat!("saler/", env!("CARGO_PKG_VERSION")),
    });
    if let (Some(lake), Some(info)) = (lake, info.as_object_mut()) {
        info.insert("lake".to_owned(), lake.into());
    }
    info
}

fn table_id(workspace_id: WorkspaceId, table: &Table) -> String {
    let parts: [&[u8]; 2] = [workspace_id.as_bytes(), table.name.as_bytes()];
    schemas::EventId::derive(Timestamp::from_unix_seconds(0), &parts).to_string()
}

fn description(table: &Table) -> String {
    match table.newest_of {
        Some(key) => {
            format!("{} Of several rows with the same {key}, the one with the largest version counts.", table.about)
        }
        None => table.about.to_owned(),
    }
}
