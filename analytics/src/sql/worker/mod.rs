//! The process in which one query runs: reads a request, narrows itself, plans, runs, answers, ends.
//!
//! It is started with an empty environment in its workspace's folder, `saler sql-worker`. Whatever happens in here (an abort,
//! a loop, an allocation that fails) ends this process only; the hub sees it end or kills it at the deadline.

mod confine;
mod describe;
mod repeated;
mod session;
mod tables;

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as PlannedStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use futures::StreamExt as _;

use super::protocol::{Head, Request, Work};
use super::{SqlError, gate};

/// The stack on which a query is planned and run, in bytes; only what is used takes memory.
const STACK_BYTES: usize = 64 << 20;
/// The largest request, in bytes: a query and the names of a workspace's files.
const MAX_REQUEST_BYTES: u64 = 4 << 20;
/// How finely an answer is cut where it ends, in rows.
const SLICE_ROWS: usize = 256;
/// The longest reason that is passed on, in characters.
const MAX_REASON_CHARS: usize = 1_000;

/// Runs one query from standard input to standard output. The binary's `sql-worker` subcommand is this.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The hub sees the exit code; there is nobody else to tell.
        Err(_broken_pipe) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    let mut request = Vec::new();
    io::stdin().lock().take(MAX_REQUEST_BYTES).read_to_end(&mut request)?;
    let request: Request = serde_json::from_slice(&request)?;
    confine::confine(request.limits)?;
    let (head, body) = std::thread::Builder::new()
        .name("sql".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || answer(&request))?
        .join()
        .map_err(|_panic| io::Error::other("the query panicked"))?;
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &head)?;
    out.write_all(b"\n")?;
    out.write_all(&body)?;
    out.flush()
}

fn answer(request: &Request) -> (Head, Vec<u8>) {
    let answered = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(2)
        .build()
        .map_err(|_no_runtime| SqlError::Unavailable)
        .and_then(|runtime| runtime.block_on(query(request)));
    match answered {
        Ok(answered) => answered,
        Err(error) => (Head::Error(error), Vec::new()),
    }
}

async fn query(request: &Request) -> Result<(Head, Vec<u8>), SqlError> {
    let checked = gate::check_work(&request.sql, &request.work)?;
    let limit_mib = (request.limits.pool_bytes >> 20) as u64;
    let running = |error: &DataFusionError| while_running(error, limit_mib);
    let session = session::open(request.limits.pool_bytes).map_err(|error| running(&error))?;
    tables::register(&session, &request.files).await.map_err(|error| running(&error))?;
    if let Work::Describe(types) = &request.work {
        return describe::describe(&session, checked, types).await.map_err(|error| while_planning(&error, limit_mib));
    }
    let plan = plan(&session, checked.tree).await.map_err(|error| while_planning(&error, limit_mib))?;
    repeated::refuse(&plan)?;
    let frame = session.execute_logical_plan(plan).await.map_err(|error| while_planning(&error, limit_mib))?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let frame = frame.limit(0, Some(request.max_rows + 1)).map_err(|error| running(&error))?;
    let stream = frame.execute_stream().await.map_err(|error| while_planning(&error, limit_mib))?;
    collect(stream, schema, request).await.map_err(|error| running(&error))
}

/// Plans a tree that has passed the gate: no second parser can read it in another way.
async fn plan(session: &SessionContext, tree: Query) -> Result<LogicalPlan, DataFusionError> {
    let statement = PlannedStatement::Statement(Box::new(Statement::Query(Box::new(tree))));
    let plan = session.state().statement_to_plan(statement).await?;
    session::options().verify_plan(&plan)?;
    Ok(plan)
}

/// Writes rows until there are no more, or no more are wanted, or no more fit.
async fn collect(
    mut stream: SendableRecordBatchStream,
    planned: SchemaRef,
    request: &Request,
) -> Result<(Head, Vec<u8>), DataFusionError> {
    let schema = if stream.schema().fields().is_empty() { planned } else { stream.schema() };
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    let (mut rows, mut truncated) = (0, false);
    'batches: while let Some(batch) = stream.next().await {
        let batch = batch?;
        let mut from = 0;
        while from < batch.num_rows() {
            let room = request.max_rows.saturating_sub(rows);
            let take = SLICE_ROWS.min(batch.num_rows() - from).min(room);
            let slice = batch.slice(from, take);
            if take > 0 && rows == 0 && weight(&batch.slice(0, 1)) > request.max_bytes {
                let limit = request.max_bytes >> 20;
                return Err(DataFusionError::Execution(format!(
                    "a row is larger than the {limit} MiB of an answer: select fewer columns, or shorten them with left()"
                )));
            }
            if take == 0 || writer.get_ref().len() + weight(&slice) > request.max_bytes {
                truncated = true;
                break 'batches;
            }
            writer.write(&slice)?;
            rows += take;
            from += take;
        }
    }
    writer.finish()?;
    Ok((Head::Answer { rows, truncated }, writer.into_inner()?))
}

/// About how many bytes a slice takes in the stream: its own part of each buffer, not the buffers whole.
fn weight(slice: &arrow::array::RecordBatch) -> usize {
    let columns = slice.columns().iter();
    columns
        .map(|column| {
            let data = column.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()) + 128
        })
        .sum()
}

fn while_planning(error: &DataFusionError, limit_mib: u64) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::OutOfMemory { limit_mib },
        _ => SqlError::Invalid { reason: reason(error) },
    }
}

fn while_running(error: &DataFusionError, limit_mib: u64) -> SqlError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::OutOfMemory { limit_mib },
        _ => SqlError::Failed { reason: reason(error) },
    }
}

/// What the error says, without a backtrace and bounded. Paths in it are relative to the workspace's folder.
fn reason(error: &DataFusionError) -> String {
    error.find_root().strip_backtrace().lines().next().unwrap_or_default().chars().take(MAX_REASON_CHARS).collect()
}
