//! KPIs: DataFusion computes each by the SQL in `kpis/*.sql`, whose header states its name, unit and definition.
//!
//! The SQL reads one of two tables of one workspace. `cells` is what happened: the columns of `kpi_minute`, told apart by
//! `bucket` (of time; null for a whole range), `dimension` (`all`, `channel`, `agent`, `label`) and `key` (which of them; null for nobody).
//! `gauges` is what stands now, by `dimension` and `key`. The same SQL serves the live board, over the sums of the last 24
//! hours that the fold keeps in memory ([`KpiEngine`]), and any range of the past, over rows of `kpi_minute` ([`series`]); so
//! their numbers agree, and agree with what people compute from `kpi_minute` by the same SQL.
//!
//! The board's window rolls (this minute and the 1,439 before it), so that it needs no time zone. Its tables hold a line for
//! each channel and agent, not for each message: a board costs the same whatever the history. Its plans are made once, over
//! tables whose content is set before each run; making them costs more than running them.
//!
//! This is our own SQL: it runs in the hub's process. Foreign SQL never does, see [`crate::sql`].

mod combined;
mod definition;
pub mod functions;
pub mod measure;
pub mod series;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use schemas::Timestamp;
use schemas::kpi::{KpiDefinition, KpiDimension, KpiValue};

use self::combined::{Combined, combine};
pub use self::definition::definitions;
use self::measure::Measured;
use crate::batch::{instants, ints, measures, texts};
use crate::fold::cell::{Cell, CellKey, WINDOW_MINUTES, minute_of};
use crate::fold::gauge::Gauge;
use crate::fold::state::WorkspaceFold;
use crate::schema::{KPI_MINUTE, Kind};

/// What can go wrong with a board.
#[derive(Debug, thiserror::Error)]
pub enum KpiError {
    /// A file's header is not as it should be.
    #[error(
        "a KPI's file has no line '-- {field}: …' with a known value; its header needs kpi, title, unit, \
         kind, better, dimensions, live, definition"
    )]
    Header {
        /// What is missing or unknown.
        field: &'static str,
    },
    /// The SQL cannot be planned or run.
    #[error("{what} cannot be computed")]
    Query {
        /// What of KPIs.
        what: String,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The SQL has another form than it must have.
    #[error(
        "the KPI {kpi} must be SELECT bucket, dimension, key and columns with names FROM cells or gauges \
         GROUP BY bucket, dimension, key"
    )]
    Shape {
        /// Which.
        kpi: String,
    },
    /// The SQL gives other columns than a board needs.
    #[error("the KPI {kpi} must select bucket, dimension, key and either value or since")]
    Columns {
        /// Which.
        kpi: String,
    },
    /// The tables of a board could not be built.
    #[error("the tables of a board cannot be built")]
    Tables(#[from] arrow::error::ArrowError),
}

/// The dimension of numbers that are not told apart.
pub(crate) const ALL: &str = "all";
/// How many columns of `kpi_minute` come before those that count.
const KEY_COLUMNS: usize = 5;

/// What is told apart, and which of it.
type Scope = (&'static str, Option<String>);

/// The scopes in which a board counts what belongs to a channel and an agent.
fn scopes(key: CellKey) -> [Scope; 3] {
    [
        (ALL, None),
        (KpiDimension::Channel.as_str(), Some(key.channel_id.to_string())),
        (KpiDimension::Agent.as_str(), key.agent_id.map(|id| id.to_string())),
    ]
}

/// What stands in one scope.
#[derive(Debug, Default)]
struct Standing {
    open: u64,
    pending: u64,
    snoozed: u64,
    unassigned: u64,
    unattended: u64,
    waiting: u64,
    sla_at_risk: u64,
    sla_breached: u64,
    oldest_waiting_since: Option<Timestamp>,
}

impl Standing {
    fn add(&mut self, key: CellKey, gauge: &Gauge) {
        self.open += gauge.open;
        self.pending += gauge.pending;
        self.snoozed += gauge.snoozed;
        self.unassigned += if key.agent_id.is_none() { gauge.open } else { 0 };
        self.unattended += gauge.unattended;
        self.waiting += gauge.waiting();
        self.sla_at_risk += gauge.sla_at_risk;
        self.sla_breached += gauge.sla_breached;
        let oldest = [self.oldest_waiting_since, gauge.oldest_waiting_since()];
        self.oldest_waiting_since = oldest.into_iter().flatten().min();
    }
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
        // The whole workspace is always there, so that what never happened counts 0.
        let mut cells = BTreeMap::from([((ALL, None), Cell::default())]);
        let mut gauges = BTreeMap::from([((ALL, None), Standing::default())]);
        if let Some(workspace) = workspace {
            for (key, cell) in workspace.window.totals_since(first) {
                for scope in scopes(key) {
                    cells.entry(scope).or_default().merge(&cell);
                }
            }
            for (key, gauge) in workspace.gauges.iter() {
                for scope in scopes(key) {
                    gauges.entry(scope).or_default().add(key, gauge);
                }
            }
        }
        let mut columns = scope_columns(cells.keys());
        columns.extend(measures(&cells.values()));
        let cells = RecordBatch::try_new(cells_schema(), columns)?;
        let mut columns = scope_columns(gauges.keys());
        let all = || gauges.values();
        columns.extend([
            ints(all().map(|standing| standing.open)),
            ints(all().map(|standing| standing.pending)),
            ints(all().map(|standing| standing.snoozed)),
            ints(all().map(|standing| standing.unassigned)),
            ints(all().map(|standing| standing.unattended)),
            ints(all().map(|standing| standing.waiting)),
            ints(all().map(|standing| standing.sla_at_risk)),
            ints(all().map(|standing| standing.sla_breached)),
            instants(all().map(|standing| standing.oldest_waiting_since)),
        ]);
        let gauges = RecordBatch::try_new(gauges_schema(), columns)?;
        Ok(Self { cells, gauges })
    }
}

fn scope_columns<'a>(scopes: impl Iterator<Item = &'a Scope> + Clone) -> Vec<ArrayRef> {
    vec![
        instants(scopes.clone().map(|_| None)),
        texts(scopes.clone().map(|(dimension, _)| Some(dimension))),
        texts(scopes.map(|(_, key)| key.as_deref())),
    ]
}

fn scope_fields() -> Vec<Field> {
    vec![
        Field::new("bucket", Kind::Instant.arrow(), true),
        Field::new("dimension", DataType::Utf8, true),
        Field::new("key", DataType::Utf8, true),
    ]
}

/// The names of the columns that count, in order.
pub(crate) fn measure_names() -> impl Iterator<Item = &'static str> {
    KPI_MINUTE.columns.iter().skip(KEY_COLUMNS).map(|column| column.name)
}

/// What `cells` looks like.
pub(crate) fn cells_schema() -> SchemaRef {
    let mut fields = scope_fields();
    let measures = KPI_MINUTE.columns.iter().skip(KEY_COLUMNS);
    fields.extend(measures.map(|column| Field::new(column.name, column.kind.arrow(), true)));
    Arc::new(Schema::new(fields))
}

fn gauges_schema() -> SchemaRef {
    let mut fields = scope_fields();
    let counts = ["open", "pending", "snoozed", "unassigned", "unattended", "waiting", "sla_at_risk", "sla_breached"];
    fields.extend(counts.map(|name| Field::new(name, DataType::Int64, true)));
    fields.push(Field::new("oldest_waiting_since", Kind::Instant.arrow(), true));
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
    /// Each with the places of its KPIs among the definitions.
    plans: Vec<(Arc<dyn ExecutionPlan>, Vec<usize>)>,
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
    /// [`KpiError::Query`], [`KpiError::Shape`] and [`KpiError::Columns`], if a KPI's SQL is wrong.
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
        for (plan, places) in &planned.plans {
            let batches =
                runtime.block_on(collect(Arc::clone(plan), Arc::clone(&planned.context))).map_err(board_error)?;
            for (place, definition) in places.iter().filter_map(|place| Some((*place, self.definitions.get(*place)?))) {
                for batch in &batches {
                    let rows = measure::read(definition, batch)?.into_iter();
                    values.extend(rows.filter_map(|row| Some((place, value(definition, row)?))));
                }
            }
        }
        values.sort_by_cached_key(|(place, value)| (*place, value.agent_id, value.channel_id));
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }

    async fn plan(&self) -> Result<Planned, KpiError> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // A filter that a run pushes into a plan would stay there for the next run.
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        let session = SessionContext::new_with_config(config);
        functions::register(&session);
        let (cells, gauges) = (Slot::new(cells_schema()), Slot::new(gauges_schema()));
        for (name, slot) in [(combined::CELLS, &cells), (combined::GAUGES, &gauges)] {
            StreamingTable::try_new(Arc::clone(&slot.schema), vec![Arc::clone(slot) as Arc<dyn PartitionStream>])
                .and_then(|table| session.register_table(name, Arc::new(table)))
                .map_err(board_error)?;
        }
        let mut plans = Vec::new();
        for Combined { sql, kpis } in combine(self.definitions.iter().filter(|kpi| kpi.live))? {
            let plan = async { session.sql(&sql).await?.create_physical_plan().await };
            let place = |wanted: &KpiDefinition| self.definitions.iter().position(|kpi| kpi.name == wanted.name);
            let places = kpis.into_iter().filter_map(place).collect();
            plans.push((plan.await.map_err(board_error)?, places));
        }
        Ok(Planned { context: session.task_ctx(), cells, gauges, plans })
    }
}

fn board_error(source: DataFusionError) -> KpiError {
    KpiError::Query { what: "the live board".to_owned(), source: Box::new(source) }
}

/// A row as the board shows it. What belongs to nobody is not shown, nor is what the KPI does not tell apart, nor that a
/// channel or an agent has nothing to measure.
fn value(definition: &KpiDefinition, row: Measured) -> Option<KpiValue> {
    let Measured { dimension, key, measure, since, .. } = row;
    let (mut channel_id, mut agent_id) = (None, None);
    if dimension != ALL {
        if measure.value.is_none() && since.is_none() {
            return None;
        }
        let known = definition.dimensions.iter().find(|known| known.as_str() == dimension)?;
        match known {
            KpiDimension::Channel => channel_id = Some(key?.parse().ok()?),
            KpiDimension::Agent => agent_id = Some(key?.parse().ok()?),
            KpiDimension::Label => return None,
        }
    }
    Some(KpiValue {
        kpi: definition.name.clone(),
        channel_id,
        agent_id,
        value: measure.value,
        since,
        unit: definition.unit,
        count: measure.count,
        part: measure.part,
        average: measure.average,
        p50: measure.p50,
        p90: measure.p90,
        p95: measure.p95,
        p99: measure.p99,
    })
}
