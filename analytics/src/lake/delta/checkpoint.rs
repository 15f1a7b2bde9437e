//! Checkpoints: the whole state of a table as one Parquet file, so that readers need not read every commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::action::{Action, from_lines};

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It does not become rows.
    #[error("its rows do not fit")]
    Arrow(#[from] ArrowError),
    /// It is not Parquet.
    #[error("it is not Parquet")]
    Parquet(#[from] ParquetError),
    /// A row is not an action.
    #[error("a row is no action")]
    Action(#[from] serde_json::Error),
}

/// Actions as a checkpoint.
///
/// # Errors
/// None that the types of the actions allow.
pub(super) fn write(actions: &[Action]) -> Result<Vec<u8>, CheckpointError> {
    let schema = schema();
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(actions.len().max(1)).build_decoder()?;
    decoder.serialize(actions)?;
    let batch = decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// A checkpoint as actions.
///
/// # Errors
/// If it is not one.
pub(super) fn read(content: Vec<u8>) -> Result<Vec<Action>, CheckpointError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content))?.build()?;
    let mut lines = LineDelimitedWriter::new(Vec::new());
    for batch in reader {
        lines.write(&batch?)?;
    }
    lines.finish()?;
    Ok(from_lines(&lines.into_inner())?)
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(Fields::from(fields)), true);
    let texts = Field::new("element", DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                long("size"),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                Field::new("partitionColumns", DataType::List(Arc::new(texts)), true),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
    ]))
}

/// A map of texts, with the names that Parquet's own specification gives to its parts.
fn map(name: &str) -> Field {
    let parts = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let entries = Field::new("key_value", DataType::Struct(Fields::from(parts)), false);
    Field::new(name, DataType::Map(Arc::new(entries), false), true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::action::{Add, Format, MetaData, PROTOCOL, Remove, Txn};
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let configuration = BTreeMap::from([("delta.appendOnly".to_owned(), "false".to_owned())]);
        let meta_data = MetaData {
            id: "id".to_owned(),
            name: Some("messages".to_owned()),
            description: None,
            format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
            schema_string: "{}".to_owned(),
            partition_columns: Vec::new(),
            configuration,
            created_time: Some(1),
        };
        let add = Add {
            path: "a.parquet".to_owned(),
            partition_values: BTreeMap::new(),
            size: 7,
            modification_time: 8,
            data_change: true,
            stats: Some("{\"numRecords\":1}".to_owned()),
        };
        let remove = Remove {
            path: "b.parquet".to_owned(),
            deletion_timestamp: Some(9),
            data_change: false,
            extended_file_metadata: Some(true),
            partition_values: Some(BTreeMap::new()),
            size: Some(1),
        };
        let txn = Txn { app_id: "app".to_owned(), version: 5, last_updated: None };
        let actions = [
            Action { protocol: Some(PROTOCOL), ..Action::default() },
            Action { meta_data: Some(meta_data), ..Action::default() },
            Action { txn: Some(txn), ..Action::default() },
            Action { remove: Some(remove), ..Action::default() },
            Action { add: Some(add), ..Action::default() },
        ];
        assert_eq!(read(write(&actions).unwrap()).unwrap(), actions);
        assert!(read(b"not Parquet".to_vec()).is_err());
        assert_eq!(read(write(&[]).unwrap()).unwrap(), []);
    }
}
