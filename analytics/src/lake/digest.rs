//! Comparing two sets of files of one table, row for row, whatever the files and the order of rows in them.
//!
//! A row becomes two numbers: its *group*, and its *weight* in it. Two sets are the same when each group weighs the same in
//! both.
//!
//! | table | group | weight |
//! | --- | --- | --- |
//! | most | the row | 1 |
//! | of things that change | the thing's id, of its newest row | the row |
//! | sums ([`schema::KPI_MINUTE`]) | what the counts belong to | the counts, each times a number of its column |
//!
//! The numbers are 128 bits of a keyed hash, so two rows are confused as good as never. First only one sum over all rows is
//! compared, which takes no memory; only where it differs are groups looked at, a part of them at a time.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use arrow::row::{RowConverter, SortField};
use serde_json::Value;

use crate::histogram::Histogram;
use crate::schema::{self, Kind, Table};
use crate::store::StoreError;
use crate::store::file::DataFile;
use crate::store::merge::read;

/// How many groups are held in memory to find those that differ.
const GROUPS_AT_ONCE: u64 = 2_000_000;
/// How many differing groups are shown.
const SHOWN: usize = 5;

/// Which rows of a table are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Only rows whose text in this column has one of these hashes.
    pub(super) among: Option<(&'static str, Arc<HashSet<u128>>)>,
    /// Only rows whose instant in this column is not before this one, in Unix microseconds.
    pub(super) since: Option<(&'static str, i64)>,
}

/// What the rows of a table come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    /// Of things that change, the rows that count; else as `rows`.
    things: Option<u64>,
    sum: u128,
}

impl Digest {
    /// Whether two sets hold the same rows.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.things, self.sum) == (other.things, other.sum)
    }
}

/// A row, as it is compared.
#[derive(Clone, Copy, Debug)]
struct Item {
    group: u128,
    weight: u128,
    version: i64,
}

/// What the rows of these files come to.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn digest(table: &'static Table, files: &[Arc<DataFile>], scope: &Scope) -> Result<Digest, StoreError> {
    let mut digest = Digest { rows: 0, things: None, sum: 0 };
    if table.newest_of.is_some() {
        let mut newest = HashMap::new();
        each_item(table, files, scope, &mut |item, _| {
            digest.rows += 1;
            keep_newest(&mut newest, item);
        })?;
        digest.things = Some(newest.len() as u64);
        let mixed = |(group, (_, weight)): (&u128, &(i64, u128))| hash_of(&(group, weight));
        digest.sum = newest.iter().map(mixed).fold(0, u128::wrapping_add);
        return Ok(digest);
    }
    each_item(table, files, scope, &mut |item, _| {
        digest.rows += 1;
        digest.sum = digest.sum.wrapping_add(item.group.wrapping_mul(item.weight));
    })?;
    Ok(digest)
}

/// Some of the rows that only one of two sets holds: first of `left`, then of `right`.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn differing(
    table: &'static Table,
    left: &[Arc<DataFile>],
    right: &[Arc<DataFile>],
    scope: &Scope,
) -> Result<[Vec<Value>; 2], StoreError> {
    let rows = left.iter().chain(right).map(|file| file.rows).sum::<u64>();
    let parts = u128::from(rows.div_ceil(GROUPS_AT_ONCE).max(1));
    let mut found = HashSet::new();
    for part in 0..parts {
        let (ours, theirs) = (weights(table, left, scope, part, parts)?, weights(table, right, scope, part, parts)?);
        let differs = |group: &&u128| ours.get(group) != theirs.get(group);
        let groups = ours.keys().filter(differs).chain(theirs.keys().filter(differs));
        found.extend(groups.take(SHOWN.saturating_sub(found.len())).copied());
        if found.len() >= SHOWN {
            break;
        }
    }
    Ok([show(table, left, scope, &found)?, show(table, right, scope, &found)?])
}

/// The hashes of the texts in a column of these files.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn texts(
    table: &'static Table,
    files: &[Arc<DataFile>],
    column: &str,
    only: Option<(&str, &str)>,
) -> Result<HashSet<u128>, StoreError> {
    let mut found = HashSet::new();
    let schema = table.schema();
    for file in files {
        for batch in read(&file.path, &schema)? {
            let batch = batch?;
            let Some(texts) = batch.column_by_name(column).map(AsArray::as_string::<i32>) else { continue };
            let wanted = only.and_then(|(column, value)| {
                batch.column_by_name(column).map(|column| (column.as_string::<i32>().clone(), value))
            });
            for row in 0..texts.len() {
                if wanted.as_ref().is_none_or(|(column, value)| column.value(row) == *value) {
                    found.insert(hash_of(&texts.value(row)));
                }
            }
        }
    }
    Ok(found)
}

/// What each group of a part of them weighs; what weighs nothing is not there.
fn weights(
    table: &'static Table,
    files: &[Arc<DataFile>],
    scope: &Scope,
    part: u128,
    parts: u128,
) -> Result<HashMap<u128, u128>, StoreError> {
    let (mut newest, mut sums) = (HashMap::new(), HashMap::<u128, u128>::new());
    each_item(table, files, scope, &mut |item, _| {
        if item.group % parts != part {
            return;
        }
        if table.newest_of.is_some() {
            keep_newest(&mut newest, item);
        } else {
            let sum = sums.entry(item.group).or_default();
            *sum = sum.wrapping_add(item.weight);
        }
    })?;
    sums.extend(newest.into_iter().map(|(group, (_, weight))| (group, weight)));
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

/// Rows of these groups, as JSON.
fn show(
    table: &'static Table,
    files: &[Arc<DataFile>],
    scope: &Scope,
    groups: &HashSet<u128>,
) -> Result<Vec<Value>, StoreError> {
    let mut shown = Vec::new();
    let mut failure = None;
    each_item(table, files, scope, &mut |item, row| {
        if groups.contains(&item.group) && shown.len() < 2 * SHOWN && failure.is_none() {
            match to_json(&row.0.slice(row.1, 1)) {
                Ok(value) => shown.push(value),
                Err(error) => failure = Some(error),
            }
        }
    })?;
    failure.map_or(Ok(shown), |error| Err(StoreError::Arrow(error)))
}

fn to_json(row: &RecordBatch) -> Result<Value, ArrowError> {
    let mut lines = LineDelimitedWriter::new(Vec::new());
    lines.write(row)?;
    lines.finish()?;
    serde_json::from_slice(&lines.into_inner()).map_err(|error| ArrowError::JsonError(error.to_string()))
}

fn keep_newest(newest: &mut HashMap<u128, (i64, u128)>, item: Item) {
    let known = newest.entry(item.group).or_insert((item.version, item.weight));
    if known.0 < item.version {
        *known = (item.version, item.weight);
    }
}

/// Calls `visit` for each row of these files that is in scope, with the batch in which it is and its place there.
fn each_item(
    table: &'static Table,
    files: &[Arc<DataFile>],
    scope: &Scope,
    visit: &mut dyn FnMut(Item, (&RecordBatch, usize)),
) -> Result<(), StoreError> {
    let schema = table.schema();
    for file in files {
        for batch in read(&file.path, &schema)? {
            let batch = in_scope(&batch?, scope)?;
            let items = items(table, &batch, &file.path)?;
            for (row, item) in items.into_iter().enumerate() {
                visit(item, (&batch, row));
            }
        }
    }
    Ok(())
}

fn in_scope(batch: &RecordBatch, scope: &Scope) -> Result<RecordBatch, ArrowError> {
    let mut kept = batch.clone();
    if let Some((column, hashes)) = &scope.among
        && let Some(texts) = kept.column_by_name(column).map(AsArray::as_string::<i32>)
    {
        let is_among = |row| Some(texts.is_valid(row) && hashes.contains(&hash_of(&texts.value(row))));
        kept = filter_record_batch(&kept, &(0..texts.len()).map(is_among).collect::<BooleanArray>())?;
    }
    if let Some((column, since)) = scope.since
        && let Some(instants) = kept.column_by_name(column).map(AsArray::as_primitive::<TimestampMicrosecondType>)
    {
        let is_since = |row| Some(instants.is_null(row) || instants.value(row) >= since);
        kept = filter_record_batch(&kept, &(0..instants.len()).map(is_since).collect::<BooleanArray>())?;
    }
    Ok(kept)
}

fn items(table: &'static Table, batch: &RecordBatch, path: &Path) -> Result<Vec<Item>, StoreError> {
    let hashes = |wanted: &dyn Fn(&str) -> bool| row_hashes(batch, wanted);
    if table.name == schema::KPI_MINUTE.name {
        let is_key = |name: &str| !is_sum(table, name);
        let weights = sums(table, batch, path)?;
        let items = hashes(&is_key)?.into_iter().zip(weights);
        return Ok(items.map(|(group, weight)| Item { group, weight, version: 0 }).collect());
    }
    let whole = hashes(&|_| true)?;
    let Some(key) = table.newest_of else {
        return Ok(whole.into_iter().map(|group| Item { group, weight: 1, version: 0 }).collect());
    };
    let versions = batch.column_by_name("version").map(AsArray::as_primitive::<Int64Type>);
    let items = hashes(&|name| name == key)?.into_iter().zip(whole).enumerate();
    let version = |row| versions.filter(|versions| versions.is_valid(row)).map_or(0, |versions| versions.value(row));
    Ok(items.map(|(row, (group, weight))| Item { group, weight, version: version(row) }).collect())
}

/// Whether a column of a table of sums is one that is summed.
fn is_sum(table: &Table, name: &str) -> bool {
    let is_histogram = |unit: &str| unit.starts_with("histogram");
    let column = table.columns.iter().find(|column| column.name == name);
    column.is_some_and(|column| column.kind == Kind::Int || is_histogram(column.unit))
}

/// Of each row, its counts as one number that adds up as they do.
fn sums(table: &Table, batch: &RecordBatch, path: &Path) -> Result<Vec<u128>, StoreError> {
    let mut sums = vec![0_u128; batch.num_rows()];
    let counts = |count: i64| i128::from(count).cast_unsigned();
    for column in table.columns.iter().filter(|column| is_sum(table, column.name)) {
        let Some(values) = batch.column_by_name(column.name) else { continue };
        for (row, sum) in sums.iter_mut().enumerate().filter(|(row, _)| values.is_valid(*row)) {
            let weight = if column.kind == Kind::Int {
                hash_of(&column.name).wrapping_mul(counts(values.as_primitive::<Int64Type>().value(row)))
            } else {
                let text = values.as_string::<i32>().value(row);
                let histogram = Histogram::decode(text).map_err(|error| {
                    ArrowError::ParseError(format!("{} of {}: {error}", column.name, path.display()))
                })?;
                let bin = |(bin, count): (u16, u64)| hash_of(&(column.name, bin)).wrapping_mul(u128::from(count));
                histogram.iter().map(bin).fold(0, u128::wrapping_add)
            };
            *sum = sum.wrapping_add(weight);
        }
    }
    Ok(sums)
}

fn row_hashes(batch: &RecordBatch, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<u128>, ArrowError> {
    let schema = batch.schema();
    let (fields, columns): (Vec<_>, Vec<_>) = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| wanted(field.name()))
        .map(|(field, column)| (SortField::new(field.data_type().clone()), Arc::clone(column)))
        .unzip();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| hash_of(&row.as_ref())).collect())
}

/// 128 bits of a keyed hash.
fn hash_of(value: &impl Hash) -> u128 {
    let half = |number: u8| {
        let mut hasher = DefaultHasher::new();
        number.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}
