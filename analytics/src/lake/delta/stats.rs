//! What a file's rows lie between, for readers that pass over files: from the Parquet file's own footer.
//!
//! Only instants, numbers and ids are told. The bounds of texts that people wrote help no reader, and would repeat them in
//! another file.

use std::fs::File;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::schema::{Column, Kind, Table};
use crate::store::file::{FileError, io_error};

/// The statistics of a file as Delta writes them.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn of_file(path: &Path, table: &Table) -> Result<String, FileError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let reader = SerializedFileReader::new(file).map_err(|source| FileError::Parquet {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    Ok(of_footer(reader.metadata(), table).to_string())
}

fn of_footer(metadata: &ParquetMetaData, table: &Table) -> Value {
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    for column in table.columns.iter().filter(|column| column.kind != Kind::TextList) {
        let of_groups: Option<Vec<_>> =
            metadata.row_groups().iter().map(|group| statistics(group, column.name)).collect();
        let Some(of_groups) = of_groups else { continue };
        if let Some(count) = of_groups.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(column.name.to_owned(), json!(count));
        }
        // A row group of nothing but nulls has no bounds, and then the file tells none.
        let bounds: Option<Vec<_>> = of_groups.iter().map(|statistics| bounds(column, statistics)).collect();
        let Some(bounds) = bounds else { continue };
        let lower = bounds.iter().map(|(low, _)| low).min().and_then(Bound::lower);
        let upper = bounds.iter().map(|(_, high)| high).max().and_then(Bound::upper);
        if let Some((lower, upper)) = lower.zip(upper) {
            least.insert(column.name.to_owned(), lower);
            most.insert(column.name.to_owned(), upper);
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": least,
        "maxValues": most,
        "nullCount": nulls,
    })
}

fn statistics<'a>(group: &'a RowGroupMetaData, name: &str) -> Option<&'a Statistics> {
    group.columns().iter().find(|column| column.column_path().string() == name)?.statistics()
}

/// A bound; of one column, all are of one kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Int(i64),
    /// Unix microseconds.
    Instant(i64),
    Id(String),
}

impl Bound {
    fn lower(&self) -> Option<Value> {
        match self {
            Self::Instant(micros) => instant(micros.div_euclid(1_000)),
            same => same.exact(),
        }
    }

    /// Bounds are told to the millisecond, which is what every reader expects, so the upper one is rounded up.
    fn upper(&self) -> Option<Value> {
        match self {
            Self::Instant(micros) => instant(micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0)),
            same => same.exact(),
        }
    }

    fn exact(&self) -> Option<Value> {
        match self {
            Self::Int(value) => Some(json!(value)),
            Self::Id(text) => Some(json!(text)),
            Self::Instant(_) => None,
        }
    }
}

fn instant(millis: i64) -> Option<Value> {
    DateTime::from_timestamp_millis(millis).map(|at| json!(at.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

fn bounds(column: &Column, statistics: &Statistics) -> Option<(Bound, Bound)> {
    match (column.kind, statistics) {
        (Kind::Int, Statistics::Int64(values)) => {
            Some((Bound::Int(*values.min_opt()?), Bound::Int(*values.max_opt()?)))
        }
        (Kind::Instant, Statistics::Int64(values)) => {
            Some((Bound::Instant(*values.min_opt()?), Bound::Instant(*values.max_opt()?)))
        }
        (Kind::Text, Statistics::ByteArray(values))
            if column.unit == "id" && values.min_is_exact() && values.max_is_exact() =>
        {
            let text = |bytes: &parquet::data_type::ByteArray| bytes.as_utf8().ok().map(str::to_owned);
            Some((Bound::Id(text(values.min_opt()?)?), Bound::Id(text(values.max_opt()?)?)))
        }
        _ => None,
    }
}
