//! Comparing the lake with what the log gives: every table of every workspace, row for row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use schemas::WorkspaceId;
use serde::Serialize;
use serde_json::Value;
use storage::log::{Log, Topic};

use super::LakeError;
use super::delta::{DeltaLog, table_folder};
use super::derive::{Progress, derive};
use super::digest::{Scope, differing, digest, texts};
use super::place::LocalPlace;
use crate::schema::{self, Table};
use crate::store::file::DataFile;
use crate::store::{Gap, Saved, TableFiles};

/// The tables whose rows follow from events of one conversation or contact alone.
const BY_CONVERSATION: [&Table; 4] = [schema::MESSAGES, schema::SENTIMENT, schema::DELIVERIES, schema::ASSIGNMENTS];

/// What came of it.
#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// Each partition of the topic `events`.
    pub partitions: Vec<PartitionReport>,
    /// Each table that was compared.
    pub tables: Vec<TableReport>,
    /// Whether nothing differs in what was compared.
    pub same: bool,
}

/// What a partition was compared with.
#[derive(Debug, Serialize)]
pub struct PartitionReport {
    /// Which.
    pub partition: u32,
    /// The lake reflects the log before this offset.
    pub next_offset: u64,
    /// Events that the lake never had.
    pub gaps: Vec<Gap>,
    /// Why not everything could be compared, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// What came of a table.
#[derive(Debug, Serialize)]
pub struct TableReport {
    /// Of which workspace.
    pub workspace_id: WorkspaceId,
    /// Which.
    pub table: &'static str,
    /// Rows of the lake that were compared.
    pub rows: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What is wrong with its Delta log, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_log: Option<String>,
}

/// What came of comparing a table.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Row for row the same.
    Same,
    /// Not the same.
    Differs {
        /// Rows that the log gives.
        rows_from_log: u64,
        /// Some rows that only the lake has.
        only_in_lake: Vec<Value>,
        /// Some rows that only the log gives.
        only_from_log: Vec<Value>,
    },
    /// Not compared.
    NotCompared {
        /// Why.
        reason: String,
    },
}

/// Derives all rows from the log again, into `scratch`, which must not exist, and compares them with the lake in `root`. Only
/// the scratch folder is written to; it is left behind.
///
/// # Errors
/// If the log or the files cannot be read. What differs is no error.
pub async fn verify(
    log: &dyn Log,
    root: &Path,
    scratch: &Path,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<VerifyReport, LakeError> {
    let mut report = VerifyReport { partitions: Vec::new(), tables: Vec::new(), same: true };
    for partition in 0..log.partitions() {
        let Some(saved) = Saved::load(root, partition)? else { continue };
        if saved.committed.epoch != log.epoch() {
            return Err(LakeError::OtherHistory { partition });
        }
        let until = saved.committed.next_offset.unwrap_or(0);
        let end = log.bounds(Topic::Events, partition).await?.next;
        if end < until {
            return Err(LakeError::ShortLog { partition, until, end });
        }
        let derived = derive(log, partition, scratch, 0, until, tell).await?;
        let incomplete = unreached(&saved.gaps, derived.gaps());
        let comparison = Comparison {
            lake: saved.committed.files,
            derived: derived.committed().files,
            removed_before: saved.removed_before,
            partly: incomplete.is_some(),
        };
        report.partitions.push(PartitionReport { partition, next_offset: until, gaps: saved.gaps, incomplete });
        let root = root.to_owned();
        let tables = tokio::task::spawn_blocking(move || comparison.run(&root)).await??;
        report.tables.extend(tables);
    }
    let is_good = |table: &TableReport| !matches!(table.outcome, Outcome::Differs { .. }) && table.delta_log.is_none();
    report.same = report.tables.iter().all(is_good);
    Ok(report)
}

/// Why a derivation does not give all that the lake has, if it does not.
fn unreached(lake: &[Gap], derived: &[Gap]) -> Option<String> {
    if lake == derived {
        return None;
    }
    let earliest = derived.iter().map(|gap| gap.to).max().unwrap_or(0);
    Some(format!(
        "retention has removed the log's events before offset {earliest} (log.retention_hours, log.retention_gb): compared is \
         what follows from the events since then alone; conversations that began before, and all sums, are not"
    ))
}

struct Comparison {
    lake: TableFiles,
    derived: TableFiles,
    removed_before: BTreeMap<String, i64>,
    /// Whether the derivation began in the middle.
    partly: bool,
}

impl Comparison {
    fn run(&self, root: &Path) -> Result<Vec<TableReport>, LakeError> {
        let workspaces: BTreeSet<WorkspaceId> =
            self.lake.keys().chain(self.derived.keys()).map(|(workspace_id, _)| *workspace_id).collect();
        let mut reports = Vec::new();
        for workspace_id in workspaces {
            for table in schema::STORED {
                reports.push(self.table(workspace_id, table, root)?);
            }
        }
        Ok(reports)
    }

    fn table(&self, workspace_id: WorkspaceId, table: &'static Table, root: &Path) -> Result<TableReport, LakeError> {
        let (lake, derived) = (files(&self.lake, workspace_id, table), files(&self.derived, workspace_id, table));
        let delta_log = delta_fault(root, workspace_id, table, lake);
        let report = |rows, outcome| TableReport { workspace_id, table: table.name, rows, outcome, delta_log };
        let scope = match self.scope(workspace_id, table)? {
            Ok(scope) => scope,
            Err(reason) => return Ok(report(0, Outcome::NotCompared { reason })),
        };
        let (ours, theirs) = (digest(table, lake, &scope)?, digest(table, derived, &scope)?);
        if ours.is_same(&theirs) {
            return Ok(report(ours.rows, Outcome::Same));
        }
        let [only_in_lake, only_from_log] = differing(table, lake, derived, &scope)?;
        Ok(report(ours.rows, Outcome::Differs { rows_from_log: theirs.rows, only_in_lake, only_from_log }))
    }

    /// Which rows of a table can be compared, or why none can.
    fn scope(&self, workspace_id: WorkspaceId, table: &'static Table) -> Result<Result<Scope, String>, LakeError> {
        let cut = self.removed_before.get(table.name).copied();
        let mut scope = Scope { among: None, since: table.time_column().zip(cut) };
        if !self.partly {
            return Ok(Ok(scope));
        }
        let (column, hashes) = if let Some(key) = table.newest_of {
            (key, texts(table, files(&self.derived, workspace_id, table), key, None)?)
        } else if BY_CONVERSATION.iter().any(|known| known.name == table.name) {
            let facts = files(&self.derived, workspace_id, schema::CONVERSATION_FACTS);
            let column = "conversation_id";
            (column, texts(schema::CONVERSATION_FACTS, facts, column, Some(("kind", "opening")))?)
        } else {
            return Ok(Err("it follows from events that the log no longer holds".to_owned()));
        };
        scope.among = Some((column, Arc::new(hashes)));
        Ok(Ok(scope))
    }
}

fn files<'a>(of: &'a TableFiles, workspace_id: WorkspaceId, table: &Table) -> &'a [Arc<DataFile>] {
    of.get(&(workspace_id, table.name)).map(Vec::as_slice).unwrap_or_default()
}

/// What keeps readers of a table's Delta log from seeing what the lake has.
fn delta_fault(root: &Path, workspace_id: WorkspaceId, table: &Table, files: &[Arc<DataFile>]) -> Option<String> {
    let place = LocalPlace::new(root.join("lake"));
    let log = match DeltaLog::load(&place, &table_folder(workspace_id, table), schemas::Timestamp::from_unix_seconds(0))
    {
        Ok(log) => log,
        Err(error) => return Some(error.to_string()),
    };
    log.version()?;
    let shown: BTreeSet<&str> = log.active().collect();
    let committed: BTreeSet<&str> = files.iter().map(|file| file.name()).collect();
    (shown != committed).then(|| {
        format!(
            "it is at another commit than the lake, {} files to {}: start the hub, which brings it up to date",
            shown.len(),
            committed.len()
        )
    })
}
