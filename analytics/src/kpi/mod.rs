//! KPIs: DataFusion computes each by the SQL in `kpis/*.sql`, whose header states its name, unit and definition.
//!
//! The SQL reads two small tables of one workspace: `cells`, the sums of the last 24 hours by channel and agent, and
//! `gauges`, the present counts by channel and assignee. In both, `agent_id` is empty where there is nobody, so that null
//! in a result means "all". They hold a line for each channel and agent, not for each message: a board costs the same
//! whatever the history.
//!
//! Windows roll (this minute and the 1,439 before it), so that no time zone is needed; each definition says so.
//!
//! Plans are made once, over tables whose content is set before each run; making them costs more than running them. This is
//! our own SQL: it runs in the hub's process. Foreign SQL never does, see [`crate::sql`].

pub mod functions;

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use schemas::Timestamp;
use schemas::kpi::{KpiDefinition, KpiUnit, KpiValue};

use crate::batch::{instants, ints, texts};
use crate::fold::cell::{WINDOW_MINUTES, minute_of};
use crate::fold::gauge::Gauge;
use crate::fold::state::WorkspaceFold;

/// The files, in the order of the board.
const FILES: [&str; 9] = [
    include_str!("../../kpis/messages_in.sql"),
    include_str!("../../kpis/messages_out.sql"),
    include_str!("../../kpis/open.sql"),
    include_str!("../../kpis/unassigned.sql"),
    include_str!("../../kpis/waiting.sql"),
    include_str!("../../kpis/oldest_wait_seconds.sql"),
    include_str!("../../kpis/first_response_p50.sql"),
    include_str!("../../kpis/first_response_p90.sql"),
    include_str!("../../kpis/resolved.sql"),
];

/// What can go wrong with a board.
#[derive(Debug, thiserror::Error)]
pub enum KpiError {
    /// A file's header is not as it should be.
    #[error(
        "a KPI's file has no line '-- {field}: …' with a known value; its header needs kpi, title, unit, definition"
    )]
    Header {
        /// What is missing or unknown.
        field: &'static str,
    },
    /// The SQL cannot be planned or run.
    #[error("the KPI {kpi} cannot be computed")]
    Query {
        /// Which.
        kpi: String,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The SQL gives other columns than a board needs.
    #[error("the KPI {kpi} must select channel_id, agent_id and either value or since")]
    Columns {
        /// Which.
        kpi: String,
    },
    /// The tables of a board could not be built.
    #[error("the tables of a board cannot be built")]
    Tables(#[from] arrow::error::ArrowError),
}

/// Reads the definitions.
///
/// # Errors
/// [`KpiError::Header`] if a file's header lacks a line.
pub fn definitions() -> Result<Vec<KpiDefinition>, KpiError> {
    FILES.iter().map(|file| parse(file)).collect()
}

fn parse(file: &str) -> Result<KpiDefinition, KpiError> {
    let header = |field: &'static str| {
        file.lines()
            .filter_map(|line| line.strip_prefix("-- ")?.split_once(": "))
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .ok_or(KpiError::Header { field })
    };
    let unit = header("unit")?;
    let sql: Vec<_> = file.lines().filter(|line| !line.starts_with("--")).collect();
    Ok(KpiDefinition {
        name: header("kpi")?,
        title: header("title")?,
        unit: KpiUnit::ALL
            .into_iter()
            .find(|known| known.as_str() == unit)
            .ok_or(KpiError::Header { field: "unit" })?,
        definition: header("definition")?,
        sql: sql.join("\n").trim().to_owned(),
    })
}

/// The two tables of a workspace at one moment.
#[derive(Clone, Debug)]
pub struct BoardTables {
    cells: RecordBatch,
    gauges: RecordBatch,
}

impl BoardTables {
    /// The tables as of `now`; `None` stands for a workspace of which nothing is known.
    ///
    /// # Errors
    /// [`KpiError::Tables`], which the tests rule out.
    pub fn of(workspace: Option<&WorkspaceFold>, now: Timestamp) -> Result<Self, KpiError> {
        let first = minute_of(now) - WINDOW_MINUTES + 1;
        let totals = workspace.map(|workspace| workspace.window.totals_since(first));
        let totals: Vec<_> = totals.unwrap_or_default().into_iter().collect();
        let gauges: Vec<_> = workspace.into_iter().flat_map(|workspace| workspace.gauges.iter()).collect();

        // Each table begins with a row of nothing, so that sums over an empty workspace are 0.
        let keys = || totals.iter().map(|(key, _)| key);
        let all = || totals.iter().map(|(_, cell)| cell);
        let count = |values: &mut dyn Iterator<Item = u64>| ints(std::iter::once(0).chain(values));
        let cells = RecordBatch::try_new(
            cells_schema(),
            vec![
                texts(empty_first(keys().map(|key| key.channel_id.to_string()))),
                texts(empty_first(keys().map(|key| or_empty(key.agent_id)))),
                count(&mut all().map(|cell| cell.messages_in)),
                count(&mut all().map(|cell| cell.messages_out_human)),
                count(&mut all().map(|cell| cell.messages_out_bot)),
                count(&mut all().map(|cell| cell.notes)),
                count(&mut all().map(|cell| cell.opened)),
                count(&mut all().map(|cell| cell.resolved)),
                count(&mut all().map(|cell| cell.reopened)),
                texts(empty_first(all().map(|cell| cell.first_response.encode()))),
                texts(empty_first(all().map(|cell| cell.reply_time.encode()))),
            ],
        )?;
        let keys = || gauges.iter().map(|(key, _)| key);
        let all = || gauges.iter().map(|(_, gauge)| *gauge);
        let gauges = RecordBatch::try_new(
            gauges_schema(),
            vec![
                texts(empty_first(keys().map(|key| key.channel_id.to_string()))),
                texts(empty_first(keys().map(|key| or_empty(key.agent_id)))),
                count(&mut all().map(|gauge| gauge.open)),
                count(&mut all().map(|gauge| gauge.pending)),
                count(&mut all().map(|gauge| gauge.snoozed)),
                count(&mut all().map(Gauge::waiting)),
                instants(std::iter::once(None).chain(all().map(Gauge::oldest_waiting_since))),
            ],
        )?;
        Ok(Self { cells, gauges })
    }
}

fn empty_first(values: impl Iterator<Item = String>) -> impl Iterator<Item = Option<String>> {
    std::iter::once(String::new()).chain(values).map(Some)
}

fn or_empty(id: Option<schemas::UserId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn fields(texts_before: &[&str], counts: &[&str], texts_after: &[&str]) -> Vec<Field> {
    let text = |name: &&str| Field::new(*name, DataType::Utf8, true);
    texts_before
        .iter()
        .map(text)
        .chain(counts.iter().map(|name| Field::new(*name, DataType::Int64, true)))
        .chain(texts_after.iter().map(text))
        .collect()
}

fn cells_schema() -> SchemaRef {
    Arc::new(Schema::new(fields(
        &["channel_id", "agent_id"],
        &["messages_in", "messages_out_human", "messages_out_bot", "notes", "opened", "resolved", "reopened"],
        &["first_response_hist", "reply_time_hist"],
    )))
}

fn gauges_schema() -> SchemaRef {
    let mut fields = fields(&["channel_id", "agent_id"], &["open", "pending", "snoozed", "waiting"], &[]);
    fields.push(Field::new(
        "oldest_waiting_since",
        DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        true,
    ));
    Arc::new(Schema::new(fields))
}

/// A table of one batch that is set before each run.
#[derive(Debug)]
struct Slot {
    schema: SchemaRef,
    batch: Mutex<RecordBatch>,
}

impl Slot {
    fn new(schema: SchemaRef) -> Arc<Self> {
        let batch = Mutex::new(RecordBatch::new_empty(Arc::clone(&schema)));
        Arc::new(Self { schema, batch })
    }

    fn set(&self, batch: RecordBatch) {
        *self.batch.lock().unwrap_or_else(PoisonError::into_inner) = batch;
    }
}

impl PartitionStream for Slot {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter([Ok(batch)])))
    }
}

#[derive(Debug)]
struct Planned {
    context: Arc<TaskContext>,
    cells: Arc<Slot>,
    gauges: Arc<Slot>,
    plans: Vec<Arc<dyn ExecutionPlan>>,
}

/// Computes boards. Makes its plans at the first one.
#[derive(Debug)]
pub struct KpiEngine {
    definitions: Vec<KpiDefinition>,
    planned: Mutex<Option<Planned>>,
}

impl KpiEngine {
    /// An engine for these definitions.
    pub const fn new(definitions: Vec<KpiDefinition>) -> Self {
        Self { definitions, planned: Mutex::new(None) }
    }

    /// What it computes.
    pub fn definitions(&self) -> &[KpiDefinition] {
        &self.definitions
    }

    /// Computes a board's values. Blocks: some milliseconds, longer the first time. Must be called from a thread that may
    /// block, within a tokio runtime.
    ///
    /// # Errors
    /// [`KpiError::Query`] and [`KpiError::Columns`], if a KPI's SQL is wrong.
    pub fn values(&self, tables: BoardTables) -> Result<Vec<KpiValue>, KpiError> {
        let runtime = tokio::runtime::Handle::current();
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = match planned.as_ref() {
            Some(planned) => planned,
            None => planned.insert(runtime.block_on(self.plan())?),
        };
        planned.cells.set(tables.cells);
        planned.gauges.set(tables.gauges);
        let mut values = Vec::new();
        for (definition, plan) in self.definitions.iter().zip(&planned.plans) {
            let batches = runtime
                .block_on(collect(Arc::clone(plan), Arc::clone(&planned.context)))
                .map_err(|source| query_error(definition, source))?;
            for batch in &batches {
                read_values(definition, batch, &mut values)?;
            }
        }
        let order = |value: &KpiValue| self.definitions.iter().position(|kpi| kpi.name == value.kpi);
        values.sort_by_cached_key(|value| (order(value), value.agent_id, value.channel_id));
        Ok(values)
    }

    async fn plan(&self) -> Result<Planned, KpiError> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // A filter that a run pushes into a plan would stay there for the next run.
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        let session = SessionContext::new_with_config(config);
        session.register_udf(functions::hist_quantile());
        session.register_udaf(functions::hist_merge());
        let (cells, gauges) = (Slot::new(cells_schema()), Slot::new(gauges_schema()));
        for (name, slot) in [("cells", &cells), ("gauges", &gauges)] {
            StreamingTable::try_new(Arc::clone(&slot.schema), vec![Arc::clone(slot) as Arc<dyn PartitionStream>])
                .and_then(|table| session.register_table(name, Arc::new(table)))
                .map_err(|source| KpiError::Query { kpi: name.to_owned(), source: Box::new(source) })?;
        }
        let mut plans = Vec::with_capacity(self.definitions.len());
        for definition in &self.definitions {
            let plan = async { session.sql(&definition.sql).await?.create_physical_plan().await };
            plans.push(plan.await.map_err(|source| query_error(definition, source))?);
        }
        Ok(Planned { context: session.task_ctx(), cells, gauges, plans })
    }
}

fn query_error(definition: &KpiDefinition, source: DataFusionError) -> KpiError {
    KpiError::Query { kpi: definition.name.clone(), source: Box::new(source) }
}

fn read_values(definition: &KpiDefinition, batch: &RecordBatch, values: &mut Vec<KpiValue>) -> Result<(), KpiError> {
    let wrong = || KpiError::Columns { kpi: definition.name.clone() };
    let column = |name: &str, kind: &DataType| batch.column_by_name(name).and_then(|column| cast(column, kind).ok());
    let channels = column("channel_id", &DataType::Utf8).ok_or_else(wrong)?;
    let agents = column("agent_id", &DataType::Utf8).ok_or_else(wrong)?;
    let numbers = column("value", &DataType::Float64);
    let instants = column("since", &DataType::Timestamp(TimeUnit::Microsecond, None))
        .and_then(|column| cast(&column, &DataType::Int64).ok());
    if numbers.is_none() && instants.is_none() {
        return Err(wrong());
    }
    let text = |array: &dyn Array, row: usize| {
        let array = array.as_string::<i32>();
        array.is_valid(row).then(|| array.value(row).to_owned())
    };
    for row in 0..batch.num_rows() {
        let (channel, agent) = (text(&channels, row), text(&agents, row));
        let (Ok(channel_id), Ok(agent_id)) =
            (channel.map(|id| id.parse()).transpose(), agent.map(|id| id.parse()).transpose())
        else {
            // The empty text: the group of those that have no channel or agent. Boards do not show it.
            continue;
        };
        let number = numbers.as_ref().map(AsArray::as_primitive::<Float64Type>);
        let since = instants.as_ref().map(AsArray::as_primitive::<Int64Type>);
        values.push(KpiValue {
            kpi: definition.name.clone(),
            channel_id,
            agent_id,
            value: number.filter(|column| column.is_valid(row)).map(|column| column.value(row)),
            since: since
                .filter(|column| column.is_valid(row))
                .map(|column| Timestamp::from_unix_micros(column.value(row))),
            unit: definition.unit,
        });
    }
    Ok(())
}
