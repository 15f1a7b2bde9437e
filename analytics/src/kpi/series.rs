//! KPIs over a range of the past: cut into buckets of the workspace's time zone, told apart by a dimension, compared with the
//! range before.
//!
//! A question is checked and planned first ([`SeriesPlan`]), then computed over a workspace's rows of `kpi_minute`
//! ([`SeriesPlan::compute`]): those of the range are summed once by bucket and key, and each KPI's own SQL runs over
//! these few sums. What the answer gives as `sql` does the same in one query over the whole table, for people to run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use chrono_tz::Tz;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use datafusion::prelude::SessionConfig;
use schemas::Timestamp;
use schemas::api::analytics::{KpiCompare, KpiSeriesQuery};
use schemas::kpi::{
    KpiBucket, KpiDefinition, KpiDimension, KpiGroup, KpiKind, KpiMeasure, KpiRange, KpiSeries, KpiSeriesAnswer,
};

use super::combined::{CELLS, Combined, combine};
use super::measure::{self, Measured};
use super::{ALL, KpiError, cells_schema, functions, measure_names};
use crate::zone::starts;
use crate::{scan, schema};

/// The most KPIs of a question.
pub const MAX_KPIS: usize = 12;
/// The most buckets.
pub const MAX_BUCKETS: usize = 1_000;
/// The most groups, and how many if the question does not say.
pub const MAX_GROUPS: usize = 100;
/// Groups, if a question does not say how many.
pub const GROUPS: usize = 20;
/// The most points of an answer: KPIs times groups times buckets.
pub const MAX_POINTS: usize = 50_000;
/// The longest range, in seconds: two years and the days that make them whole weeks or months.
pub const MAX_RANGE_SECONDS: i64 = 732 * 86_400;
/// The longest label to filter by, in characters; no label is longer.
const MAX_LABEL_CHARS: usize = 50;

/// The dimension under which the whole stands where groups would count some of it twice.
const TOTAL: &str = "total";

/// A question that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct QuestionError {
    /// Which parameter.
    pub field: &'static str,
    /// What is wrong and what to write.
    pub reason: String,
}

/// A question that can be answered.
#[derive(Clone, Debug)]
pub struct SeriesPlan {
    kpis: Vec<KpiDefinition>,
    range: KpiRange,
    previous: Option<KpiRange>,
    bucket: KpiBucket,
    zone: Tz,
    by: Option<KpiDimension>,
    filters: Vec<String>,
    /// Where the buckets begin, the first perhaps before the range.
    starts: Vec<Timestamp>,
    groups: usize,
}

/// Rows of `kpi_minute` of one workspace: Parquet files, named absolutely, and rows that are in none yet.
#[derive(Clone, Debug, Default)]
pub struct Minutes {
    /// As `file:///…`.
    pub files: Vec<String>,
    /// In memory.
    pub fresh: Vec<RecordBatch>,
}

impl SeriesPlan {
    /// Checks a question.
    ///
    /// # Errors
    /// [`QuestionError`], which names the parameter and the fix.
    pub fn new(definitions: &[KpiDefinition], query: &KpiSeriesQuery, zone: Tz) -> Result<Self, QuestionError> {
        let range = checked_range(query)?;
        let kpis = checked_kpis(definitions, query)?;
        let bucket = query.bucket.unwrap_or(KpiBucket::Day);
        let starts = starts(bucket, zone, range.from, range.to, MAX_BUCKETS);
        if starts.len() > MAX_BUCKETS {
            return Err(error(
                "bucket",
                format!("there would be over {MAX_BUCKETS}: take larger ones or a shorter range"),
            ));
        }
        let groups = query.groups.map_or(GROUPS, |groups| usize::try_from(groups).unwrap_or(usize::MAX));
        if !(1..=MAX_GROUPS).contains(&groups) {
            return Err(error("groups", format!("write 1 to {MAX_GROUPS}")));
        }
        let told_groups = if query.by.is_some() { groups } else { 1 };
        if kpis.len() * told_groups * starts.len() > MAX_POINTS {
            let reason = format!(
                "KPIs times groups times buckets may be {MAX_POINTS}: take larger ones, or fewer groups or KPIs"
            );
            return Err(error("bucket", reason));
        }
        let length = range.to.unix_micros() - range.from.unix_micros();
        let previous = query.compare.map(|KpiCompare::Previous| KpiRange {
            from: Timestamp::from_unix_micros(range.from.unix_micros() - length),
            to: range.from,
        });
        let filters = checked_filters(query)?;
        Ok(Self { kpis, range, previous, bucket, zone, by: query.by, filters, starts, groups })
    }

    /// Computes the answer. Blocks for as long as reading the rows of the range takes. Must be called from a thread that may
    /// block, within a tokio runtime.
    ///
    /// # Errors
    /// [`KpiError::Query`] if a file cannot be read.
    pub async fn compute(&self, minutes: &Minutes, now: Timestamp) -> Result<KpiSeriesAnswer, KpiError> {
        let of_range = self.sums(minutes, self.range, self.bucket).await?;
        let of_previous = match self.previous {
            Some(previous) => Some(self.sums(minutes, previous, KpiBucket::None).await?),
            None => None,
        };
        let mut found = self.measured(&of_range).await?;
        let mut before = match &of_previous {
            Some(session) => Some(self.measured(session).await?),
            None => None,
        };
        let mut series = Vec::with_capacity(self.kpis.len());
        for kpi in &self.kpis {
            let rows = found.remove(&kpi.name).unwrap_or_default();
            let before = before.as_mut().map(|before| before.remove(&kpi.name).unwrap_or_default());
            series.push(self.series(kpi, rows, before));
        }
        let mut buckets = self.starts.clone();
        if let Some(first) = buckets.first_mut() {
            *first = self.range.from;
        } else {
            buckets.push(self.range.from);
        }
        Ok(KpiSeriesAnswer {
            time_zone: self.zone.name().to_owned(),
            range: self.range,
            bucket: self.bucket,
            by: self.by,
            as_of: now,
            previous: self.previous,
            buckets,
            series,
        })
    }

    /// A session with the table `cells`: for each bucket and key what happened (if there are buckets), for each key what
    /// happened in the whole range, and under [`TOTAL`] the whole.
    async fn sums(&self, minutes: &Minutes, range: KpiRange, bucket: KpiBucket) -> Result<SessionContext, KpiError> {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        functions::register(&session);
        let table = async {
            let rows = scan::union(&session, schema::KPI_MINUTE, &minutes.files, minutes.fresh.clone())?;
            session.register_table(schema::KPI_MINUTE.name, rows.into_view())?;
            let mut batches = session.sql(&self.sums_sql(range, KpiBucket::None, None)).await?.collect().await?;
            if bucket != KpiBucket::None || self.by.is_some() {
                batches.extend(session.sql(&self.sums_sql(range, bucket, self.by)).await?.collect().await?);
            }
            batches.iter().map(as_cells).collect::<Result<Vec<_>, _>>()
        };
        let batches = table.await.map_err(failed)?;
        let sums = MemTable::try_new(cells_schema(), vec![batches]).map_err(failed)?;
        session.register_table("sums", Arc::new(sums)).map_err(failed)?;
        // Sums of a key over all buckets: the same rows again, in no bucket.
        let columns = measure_names().collect::<Vec<_>>().join(", ");
        let cells = format!(
            "SELECT * FROM sums UNION ALL
             SELECT CAST(NULL AS TIMESTAMP) AS bucket, dimension, key, {columns} FROM sums
             WHERE bucket IS NOT NULL AND dimension <> '{TOTAL}'"
        );
        let view = session.sql(&cells).await.map_err(failed)?;
        session.register_table(CELLS, view.into_view()).map_err(failed)?;
        Ok(session)
    }

    /// What the SQL of each KPI gives over a session's `cells`, by the KPI's name.
    async fn measured(&self, session: &SessionContext) -> Result<BTreeMap<String, Vec<Measured>>, KpiError> {
        let mut found = BTreeMap::new();
        for Combined { sql, kpis } in combine(self.kpis.iter())? {
            let batches = async { session.sql(&sql).await?.collect().await };
            let batches = batches.await.map_err(failed)?;
            for kpi in kpis {
                let rows: &mut Vec<Measured> = found.entry(kpi.name.clone()).or_default();
                for batch in &batches {
                    rows.extend(measure::read(kpi, batch)?);
                }
            }
        }
        Ok(found)
    }

    /// The sums of what happened in a range, by bucket and key; without a dimension under [`TOTAL`].
    fn sums_sql(&self, range: KpiRange, bucket: KpiBucket, by: Option<KpiDimension>) -> String {
        let dimension = by.map_or(TOTAL, KpiDimension::as_str);
        let mut sql = "SELECT bucket, dimension, key".to_owned();
        for column in schema::KPI_MINUTE.columns.iter().filter(|column| measure_names().any(|name| name == column.name))
        {
            let name = column.name;
            let function = if column.kind == schema::Kind::Int { "sum" } else { "hist_merge" };
            // Writing to a String cannot fail.
            let _written = write!(sql, ", {function}({name}) AS {name}");
        }
        let rows = self.rows_sql(range, bucket, by, dimension);
        let _written = write!(sql, " FROM ({rows}) AS rows_of_range GROUP BY bucket, dimension, key");
        sql
    }

    /// The rows of `kpi_minute` in a range, each with its bucket, dimension and key; with a label, once for each.
    fn rows_sql(&self, range: KpiRange, bucket: KpiBucket, by: Option<KpiDimension>, dimension: &str) -> String {
        let bucket = match bucket {
            KpiBucket::None => "CAST(NULL AS TIMESTAMP)".to_owned(),
            bucket => format!("local_bucket('{}', '{}', minute)", bucket.as_str(), self.zone.name()),
        };
        let key = match by {
            None => "CAST(NULL AS VARCHAR)",
            Some(KpiDimension::Channel) => "channel_id",
            Some(KpiDimension::Agent) => "agent_id",
            Some(KpiDimension::Label) => "unnest(labels)",
        };
        let mut sql = format!(
            "SELECT {bucket} AS bucket, '{dimension}' AS dimension, {key} AS key, kpi_minute.* FROM kpi_minute \
             WHERE minute >= {} AND minute < {}",
            instant(range.from),
            instant(range.to)
        );
        for filter in &self.filters {
            let _written = write!(sql, " AND {filter}");
        }
        sql
    }

    /// One query that gives a KPI's numbers of the range.
    fn sql(&self, kpi: &KpiDefinition) -> String {
        let dimension = self.by.map_or(ALL, KpiDimension::as_str);
        let rows = self.rows_sql(self.range, self.bucket, self.by, dimension);
        format!("WITH cells AS (\n{rows}\n)\n{}\nORDER BY bucket, key", kpi.sql)
    }

    fn series(&self, kpi: &KpiDefinition, rows: Vec<Measured>, before: Option<Vec<Measured>>) -> KpiSeries {
        let nothing = || nothing_of(kpi.kind);
        let mut found = self.sort(kpi.kind, rows);
        let mut before = before.map(|rows| self.sort(kpi.kind, rows));
        // Who was there before and is not now is told, too.
        let all = found.groups.iter().chain(before.iter().flat_map(|before| &before.groups));
        let counted = all.filter(|(_, measure)| self.by.is_none() || size_of_group(measure) > 0);
        let keys: BTreeSet<_> = counted.map(|(key, _)| key.clone()).collect();
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by_key(|key| (Reverse(found.groups.get(key).map_or(0, size_of_group)), key.clone()));
        let left_out = keys.len().saturating_sub(self.groups);
        keys.truncate(self.groups);
        let mut groups = Vec::with_capacity(keys.len());
        for key in keys {
            let total = found.groups.remove(&key).unwrap_or_else(nothing);
            let mut points = Vec::with_capacity(self.starts.len().max(1));
            if self.starts.is_empty() {
                points.push(point(kpi.kind, total.clone()));
            }
            for start in &self.starts {
                let measure = found.points.remove(&(key.clone(), *start)).unwrap_or_else(nothing);
                points.push(point(kpi.kind, measure));
            }
            let previous = before.as_mut().map(|before| before.groups.remove(&key).unwrap_or_else(nothing));
            groups.push(KpiGroup { key, total, previous, points });
        }
        KpiSeries {
            kpi: kpi.name.clone(),
            unit: kpi.unit,
            kind: kpi.kind,
            better: kpi.better,
            total: found.total,
            previous: before.map(|before| before.total),
            groups_left_out: u64::try_from(left_out).unwrap_or(u64::MAX),
            groups,
            sql: self.sql(kpi),
        }
    }

    /// Rows by what they speak of. Without a dimension the whole is the one group.
    fn sort(&self, kind: KpiKind, rows: Vec<Measured>) -> Found {
        let mut found = Found { total: nothing_of(kind), groups: BTreeMap::new(), points: BTreeMap::new() };
        for row in rows {
            match row.bucket {
                Some(bucket) => drop(found.points.insert((row.key, bucket), row.measure)),
                None if row.dimension == TOTAL => found.total = row.measure,
                None => drop(found.groups.insert(row.key, row.measure)),
            }
        }
        if self.by.is_none() {
            found.groups.insert(None, found.total.clone());
        }
        found
    }
}

/// What a KPI's SQL gave.
#[derive(Debug)]
struct Found {
    total: KpiMeasure,
    groups: BTreeMap<Option<String>, KpiMeasure>,
    points: BTreeMap<(Option<String>, Timestamp), KpiMeasure>,
}

/// A batch with the columns of `cells`, in their types.
fn as_cells(batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let schema = cells_schema();
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// By what groups are sorted: how many things there are.
fn size_of_group(measure: &KpiMeasure) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, which is a whole number")]
    measure.count.unwrap_or_else(|| measure.value.unwrap_or(0.0) as u64)
}

/// What is told where nothing happened.
fn nothing_of(kind: KpiKind) -> KpiMeasure {
    match kind {
        KpiKind::Count | KpiKind::Gauge => KpiMeasure { value: Some(0.0), ..KpiMeasure::default() },
        KpiKind::Duration => KpiMeasure { count: Some(0), ..KpiMeasure::default() },
        KpiKind::Ratio => KpiMeasure { count: Some(0), part: Some(0), ..KpiMeasure::default() },
    }
}

/// A point, which has no histogram; none where there is nothing to measure.
fn point(kind: KpiKind, mut measure: KpiMeasure) -> Option<KpiMeasure> {
    measure.histogram.clear();
    let is_told = matches!(kind, KpiKind::Count | KpiKind::Gauge) || measure.value.is_some();
    is_told.then_some(measure)
}

fn failed(source: DataFusionError) -> KpiError {
    KpiError::Query { what: "a series of KPIs".to_owned(), source: Box::new(source) }
}

/// An instant as SQL reads it.
fn instant(at: Timestamp) -> String {
    format!("TIMESTAMP '{at}'")
}

fn error(field: &'static str, reason: impl Into<String>) -> QuestionError {
    QuestionError { field, reason: reason.into() }
}

fn checked_range(query: &KpiSeriesQuery) -> Result<KpiRange, QuestionError> {
    const MINUTE_MICROS: i64 = 60_000_000;
    let (from, to) = (query.from, query.to);
    for (field, at) in [("from", from), ("to", to)] {
        // SQL computes with nanoseconds, which end in the year 2262.
        let in_range = (0..7_000_000_000).contains(&at.unix_seconds());
        if !in_range || at.unix_micros() % MINUTE_MICROS != 0 {
            return Err(error(
                field,
                "write the beginning of a minute from 1970 to 2191, such as 2026-11-22T09:30:00Z",
            ));
        }
    }
    if to <= from {
        return Err(error("to", "it must be later than from"));
    }
    if to.unix_seconds() - from.unix_seconds() > MAX_RANGE_SECONDS {
        return Err(error("to", format!("the range may have {} days: take a shorter one", MAX_RANGE_SECONDS / 86_400)));
    }
    Ok(KpiRange { from, to })
}

fn checked_kpis(definitions: &[KpiDefinition], query: &KpiSeriesQuery) -> Result<Vec<KpiDefinition>, QuestionError> {
    let names: Vec<_> = query.kpis.split(',').map(str::trim).collect();
    if names.len() > MAX_KPIS {
        return Err(error("kpis", format!("name at most {MAX_KPIS}")));
    }
    let dimensions = [
        (query.by, "by"),
        (query.channel_id.map(|_| KpiDimension::Channel), "channel_id"),
        (query.agent_id.map(|_| KpiDimension::Agent), "agent_id"),
        (query.label.as_ref().map(|_| KpiDimension::Label), "label"),
    ];
    let mut kpis: Vec<KpiDefinition> = Vec::with_capacity(names.len());
    for name in names {
        let Some(kpi) = definitions.iter().find(|kpi| kpi.name == name && kpi.kind != KpiKind::Gauge) else {
            let known: Vec<_> =
                definitions.iter().filter(|kpi| kpi.kind != KpiKind::Gauge).map(|kpi| kpi.name.as_str()).collect();
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let reason = format!("{shown:?} has no past or is not known; there are {}", known.join(", "));
            return Err(error("kpis", reason));
        };
        if kpis.iter().any(|known| known.name == kpi.name) {
            return Err(error("kpis", format!("{name} is named twice: name it once")));
        }
        for (dimension, field) in dimensions {
            if let Some(dimension) = dimension
                && !kpi.dimensions.contains(&dimension)
            {
                return Err(error(field, format!("{name} is not told apart by {}: leave one out", dimension.as_str())));
            }
        }
        kpis.push(kpi.clone());
    }
    Ok(kpis)
}

fn checked_filters(query: &KpiSeriesQuery) -> Result<Vec<String>, QuestionError> {
    let mut filters = Vec::new();
    filters.extend(query.channel_id.map(|id| format!("channel_id = '{id}'")));
    filters.extend(query.agent_id.map(|id| format!("agent_id = '{id}'")));
    if let Some(label) = &query.label {
        if label.chars().count() > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
            return Err(error("label", format!("write at most {MAX_LABEL_CHARS} characters, no control characters")));
        }
        filters.push(format!("array_has(labels, '{}')", label.replace('\'', "''")));
    }
    Ok(filters)
}
