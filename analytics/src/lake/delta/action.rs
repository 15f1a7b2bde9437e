//! The actions of the Delta protocol that the lake writes and reads, as its `PROTOCOL.md` names them: one JSON object a line
//! of a commit, one row of a checkpoint. What others may add (deletion vectors, domains) is not written here, and ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One action: exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Action {
    /// Who did what when, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit_info: Option<Value>,
    /// Which readers and writers understand the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    /// What the table is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) meta_data: Option<MetaData>,
    /// How far an application has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) txn: Option<Txn>,
    /// A file's rows belong to the table no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) remove: Option<Remove>,
    /// A file's rows belong to the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<Add>,
}

/// Versions of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    /// The oldest reader that understands the table.
    pub(super) min_reader_version: i32,
    /// The oldest writer.
    pub(super) min_writer_version: i32,
}

/// What every reader and writer of the Delta protocol understands.
pub(super) const PROTOCOL: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };

/// What the table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaData {
    /// The table's id, the same for ever.
    pub(super) id: String,
    /// Its name.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// What a row is.
    #[serde(default)]
    pub(super) description: Option<String>,
    /// How files are encoded.
    pub(super) format: Format,
    /// The columns, as JSON.
    pub(super) schema_string: String,
    /// None here.
    pub(super) partition_columns: Vec<String>,
    /// Properties of the table.
    pub(super) configuration: BTreeMap<String, String>,
    /// When it was made, in Unix milliseconds.
    #[serde(default)]
    pub(super) created_time: Option<i64>,
}

/// How files are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    /// The encoding.
    pub(super) provider: String,
    /// Its options.
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
}

/// How far an application has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Txn {
    /// The application: a partition of one history of the log.
    pub(super) app_id: String,
    /// The next offset of it that the table does not reflect.
    pub(super) version: i64,
    /// When, in Unix milliseconds.
    #[serde(default)]
    pub(super) last_updated: Option<i64>,
}

/// A file whose rows belong to the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Add {
    /// Its path in the table's folder.
    pub(super) path: String,
    /// None here.
    pub(super) partition_values: BTreeMap<String, Option<String>>,
    /// Its size in bytes.
    pub(super) size: i64,
    /// When it was added, in Unix milliseconds.
    pub(super) modification_time: i64,
    /// Whether its rows are new to the table.
    pub(super) data_change: bool,
    /// How many rows it has and between which values, as JSON.
    #[serde(default)]
    pub(super) stats: Option<String>,
}

/// A file whose rows belong to the table no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remove {
    /// Its path in the table's folder.
    pub(super) path: String,
    /// When, in Unix milliseconds.
    #[serde(default)]
    pub(super) deletion_timestamp: Option<i64>,
    /// Whether its rows are gone, and not only in another file.
    pub(super) data_change: bool,
    /// Whether the two fields that follow are there.
    #[serde(default)]
    pub(super) extended_file_metadata: Option<bool>,
    /// None here.
    #[serde(default)]
    pub(super) partition_values: Option<BTreeMap<String, Option<String>>>,
    /// Its size in bytes.
    #[serde(default)]
    pub(super) size: Option<i64>,
}

/// Actions as the lines of a commit.
///
/// # Errors
/// None that the types of the actions allow.
pub(super) fn to_lines(actions: &[Action]) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut lines, action)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The lines of a commit as actions.
///
/// # Errors
/// If a line is not an action.
pub(super) fn from_lines(lines: &[u8]) -> Result<Vec<Action>, serde_json::Error> {
    serde_json::Deserializer::from_slice(lines).into_iter().collect()
}
