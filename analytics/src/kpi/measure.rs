//! What a KPI's SQL gives: a row for each bucket, dimension and key.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use schemas::Timestamp;
use schemas::kpi::{KpiBin, KpiDefinition, KpiMeasure};

use super::{KpiError, combined};
use crate::histogram::Histogram;

/// Where the bins of a shown histogram end, in seconds: ten seconds to a week.
pub const BIN_EDGES: [f64; 15] = [
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0,
    604_800.0,
];

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Where its bucket begins; `None` for the whole range.
    pub bucket: Option<Timestamp>,
    /// What its key names.
    pub dimension: String,
    /// The channel, agent or label; `None` for nobody or everything.
    pub key: Option<String>,
    /// Its numbers.
    pub measure: KpiMeasure,
    /// For a duration that still runs: when it began.
    pub since: Option<Timestamp>,
}

/// The rows of a KPI in a batch that a combined query gave.
///
/// # Errors
/// [`KpiError::Columns`], if it has not the columns that a KPI needs.
pub fn read(definition: &KpiDefinition, batch: &RecordBatch) -> Result<Vec<Measured>, KpiError> {
    let wrong = || KpiError::Columns { kpi: definition.name.clone() };
    let groups = Columns { batch, kpi: None };
    let dimensions = groups.get("dimension", &DataType::Utf8).ok_or_else(wrong)?;
    let keys = groups.get("key", &DataType::Utf8).ok_or_else(wrong)?;
    let buckets = groups.instants("bucket").ok_or_else(wrong)?;
    let columns = Columns { batch, kpi: Some(definition) };
    let (values, since) = (columns.get("value", &DataType::Float64), columns.instants("since"));
    if values.is_none() && since.is_none() {
        return Err(wrong());
    }
    let number = |name| columns.get(name, &DataType::Float64);
    let [average, p50, p90, p95, p99] = ["average", "p50", "p90", "p95", "p99"].map(number);
    let [count, part] = ["count", "part"].map(|name| columns.get(name, &DataType::Int64));
    let histograms = columns.get("histogram", &DataType::Utf8);
    (0..batch.num_rows())
        .map(|row| {
            let histogram = histograms.as_ref().and_then(|column| text(column, row)).unwrap_or_default();
            let histogram = Histogram::decode(&histogram).map_err(|_damaged| wrong())?;
            Ok(Measured {
                bucket: instant(&buckets, row),
                dimension: text(&dimensions, row).unwrap_or_default(),
                key: text(&keys, row),
                measure: KpiMeasure {
                    value: float(values.as_ref(), row),
                    count: whole(count.as_ref(), row),
                    part: whole(part.as_ref(), row),
                    average: float(average.as_ref(), row),
                    p50: float(p50.as_ref(), row),
                    p90: float(p90.as_ref(), row),
                    p95: float(p95.as_ref(), row),
                    p99: float(p99.as_ref(), row),
                    histogram: bins(&histogram),
                },
                since: since.as_ref().and_then(|column| instant(column, row)),
            })
        })
        .collect()
}

/// A histogram as it is shown; bins without any duration are left out.
pub fn bins(histogram: &Histogram) -> Vec<KpiBin> {
    let counts = histogram.counts_up_to(&BIN_EDGES);
    let from = std::iter::once(0.0).chain(BIN_EDGES);
    let to = BIN_EDGES.into_iter().map(Some).chain([None]);
    let all = from.zip(to).zip(counts).map(|((from, to), count)| KpiBin { from, to, count });
    all.filter(|bin| bin.count > 0).collect()
}

struct Columns<'a> {
    batch: &'a RecordBatch,
    /// Whose columns; none for those by which a query groups.
    kpi: Option<&'a KpiDefinition>,
}

impl Columns<'_> {
    fn get(&self, name: &str, kind: &DataType) -> Option<ArrayRef> {
        let column = match self.kpi {
            Some(kpi) => self.batch.column_by_name(&combined::column(kpi, name)),
            None => self.batch.column_by_name(name),
        };
        column.and_then(|column| cast(column, kind).ok())
    }

    /// A column of instants as microseconds.
    fn instants(&self, name: &str) -> Option<ArrayRef> {
        let column = self.get(name, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        cast(&column, &DataType::Int64).ok()
    }
}

fn text(column: &ArrayRef, row: usize) -> Option<String> {
    let column = column.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn float(column: Option<&ArrayRef>, row: usize) -> Option<f64> {
    let column = column?.as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// A count; one below zero, which no sum of whole histories is, counts as none.
fn whole(column: Option<&ArrayRef>, row: usize) -> Option<u64> {
    let column = column?.as_primitive::<Int64Type>();
    column.is_valid(row).then(|| u64::try_from(column.value(row)).unwrap_or(0))
}

fn instant(column: &ArrayRef, row: usize) -> Option<Timestamp> {
    let column = column.as_primitive::<Int64Type>();
    column.is_valid(row).then(|| Timestamp::from_unix_micros(column.value(row)))
}
