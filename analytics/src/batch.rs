//! Rows into Arrow, by the declarations in [`crate::schema`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use schemas::conversation::Priority;
use schemas::kpi::KpiDefinition;
use schemas::message::Author;
use schemas::{Timestamp, WorkspaceId};

use crate::rows::WorkspaceRows;
use crate::schema::{self, Table};

/// The rows of one workspace as a batch for each table that has any, in the order of [`schema::STORED`].
///
/// # Errors
/// If a batch does not fit its declaration, which the tests rule out.
pub fn batches(
    workspace_id: WorkspaceId,
    rows: &WorkspaceRows,
) -> Result<Vec<(&'static Table, RecordBatch)>, ArrowError> {
    let workspace = workspace_id.to_string();
    let mut batches = vec![
        (schema::MESSAGES, messages(&workspace, rows)?),
        (schema::MESSAGE_STATUSES, statuses(&workspace, rows)?),
        (schema::CONVERSATIONS, conversations(&workspace, rows)?),
        (schema::CONVERSATION_FACTS, facts(&workspace, rows)?),
        (schema::KPI_MINUTE, cells(&workspace, rows)?),
    ];
    batches.retain(|(_, batch)| batch.num_rows() > 0);
    Ok(batches)
}

/// The catalogue of all tables.
///
/// # Errors
/// As [`batches`].
pub fn catalogue() -> Result<RecordBatch, ArrowError> {
    let columns: Vec<_> =
        schema::ALL.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column))).collect();
    let text = |f: &dyn Fn(&schema::Table, &schema::Column) -> &'static str| {
        texts(columns.iter().map(|(table, column)| Some(f(table, column))))
    };
    batch(
        schema::CATALOGUE,
        vec![
            text(&|table, _| table.name),
            text(&|_, column| column.name),
            text(&|_, column| column.kind.as_str()),
            text(&|_, column| column.unit),
            text(&|_, column| column.source),
            text(&|_, column| column.meaning),
        ],
    )
}

/// The definitions of KPIs as a table.
///
/// # Errors
/// As [`batches`].
pub fn kpi_definitions(definitions: &[KpiDefinition]) -> Result<RecordBatch, ArrowError> {
    let text = |f: &dyn Fn(&KpiDefinition) -> String| texts(definitions.iter().map(|kpi| Some(f(kpi))));
    batch(
        schema::KPI_DEFINITIONS,
        vec![
            text(&|kpi| kpi.name.clone()),
            text(&|kpi| kpi.title.clone()),
            text(&|kpi| kpi.unit.as_str().to_owned()),
            text(&|kpi| kpi.definition.clone()),
            text(&|kpi| kpi.sql.clone()),
        ],
    )
}

fn messages(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows = rows.messages();
    batch(
        schema::MESSAGES,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(rows.iter().map(|row| Some(row.message.id.to_string()))),
            texts(rows.iter().map(|row| Some(row.message.conversation_id.to_string()))),
            ints(rows.iter().map(|row| row.message.seq)),
            texts(rows.iter().map(|row| Some(row.channel_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.contact_id.to_string()))),
            texts(rows.iter().map(|row| row.assignee.map(|id| id.to_string()))),
            texts(rows.iter().map(|row| Some(row.message.direction.as_str()))),
            texts(rows.iter().map(|row| Some(author_type(&row.message.author)))),
            texts(rows.iter().map(|row| match &row.message.author {
                Author::Agent { user_id } => Some(user_id.to_string()),
                Author::Contact { .. } | Author::Bot { .. } => None,
            })),
            texts(rows.iter().map(|row| match &row.message.author {
                Author::Bot { name } => Some(name.as_str()),
                Author::Contact { .. } | Author::Agent { .. } => None,
            })),
            texts(rows.iter().map(|row| Some(row.message.body.text.as_str()))),
            ints(rows.iter().map(|row| row.message.body.text.chars().count() as u64)),
            ints(rows.iter().map(|row| row.message.body.attachments.len() as u64)),
            Arc::new(rows.iter().map(|row| Some(row.message.body.location.is_some())).collect::<BooleanArray>()),
            lists(rows.iter().map(|row| row.labels.iter())),
            instants(rows.iter().map(|row| Some(row.message.created_at))),
        ],
    )
}

fn statuses(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows = rows.statuses();
    batch(
        schema::MESSAGE_STATUSES,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(rows.iter().map(|row| Some(row.id.to_string()))),
            texts(rows.iter().map(|row| Some(row.message_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.conversation_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.channel_id.to_string()))),
            ints(rows.iter().map(|row| row.seq)),
            texts(rows.iter().map(|row| Some(row.from.as_str()))),
            texts(rows.iter().map(|row| Some(row.to.as_str()))),
            texts(rows.iter().map(|row| row.error_code.as_deref())),
            instants(rows.iter().map(|row| Some(row.at))),
        ],
    )
}

fn conversations(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.conversations().collect();
    let all = || rows.iter().map(|row| &row.conversation);
    batch(
        schema::CONVERSATIONS,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(all().map(|conversation| Some(conversation.id.to_string()))),
            ints(rows.iter().map(|row| row.version)),
            texts(all().map(|conversation| Some(conversation.channel_id.to_string()))),
            texts(all().map(|conversation| Some(conversation.contact_id.to_string()))),
            texts(all().map(|conversation| Some(conversation.contact_name.as_str()))),
            texts(all().map(|conversation| Some(conversation.contact_address.as_str()))),
            texts(all().map(|conversation| Some(conversation.status.as_str()))),
            texts(all().map(|conversation| conversation.assignee.map(|id| id.to_string()))),
            texts(all().map(|conversation| Some(priority(conversation.priority)))),
            lists(all().map(|conversation| conversation.labels.iter())),
            instants(all().map(|conversation| Some(conversation.created_at))),
            instants(all().map(|conversation| Some(conversation.opened_at))),
            instants(all().map(|conversation| conversation.resolved_at)),
            instants(all().map(|conversation| conversation.snoozed_until)),
            instants(all().map(|conversation| Some(conversation.last_activity_at))),
            instants(all().map(|conversation| conversation.waiting_since)),
            instants(all().map(|conversation| conversation.first_reply_at)),
            ints(all().map(|conversation| conversation.last_seq)),
            ints(all().map(|conversation| conversation.inbound_count)),
            instants(rows.iter().map(|row| Some(row.updated_at))),
        ],
    )
}

fn facts(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let facts = rows.facts();
    batch(
        schema::CONVERSATION_FACTS,
        vec![
            texts(facts.iter().map(|_| Some(workspace))),
            texts(facts.iter().map(|fact| Some(fact.id.to_string()))),
            texts(facts.iter().map(|fact| Some(fact.kind.as_str()))),
            texts(facts.iter().map(|fact| Some(fact.conversation_id.to_string()))),
            texts(facts.iter().map(|fact| Some(fact.channel_id.to_string()))),
            texts(facts.iter().map(|fact| Some(fact.contact_id.to_string()))),
            texts(facts.iter().map(|fact| fact.agent_id.map(|id| id.to_string()))),
            lists(facts.iter().map(|fact| fact.labels.iter())),
            instants(facts.iter().map(|fact| fact.start_at)),
            instants(facts.iter().map(|fact| Some(fact.end_at))),
            Arc::new(facts.iter().map(|fact| fact.micros().map(seconds)).collect::<Float64Array>()),
        ],
    )
}

fn cells(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let cells: Vec<_> = rows.cells().collect();
    let all = || cells.iter().map(|(_, _, cell)| *cell);
    batch(
        schema::KPI_MINUTE,
        vec![
            texts(cells.iter().map(|_| Some(workspace))),
            instants(cells.iter().map(|(minute, _, _)| Some(Timestamp::from_unix_seconds(minute.saturating_mul(60))))),
            texts(cells.iter().map(|(_, key, _)| Some(key.channel_id.to_string()))),
            texts(cells.iter().map(|(_, key, _)| key.agent_id.map(|id| id.to_string()))),
            ints(all().map(|cell| cell.messages_in)),
            ints(all().map(|cell| cell.messages_out_human)),
            ints(all().map(|cell| cell.messages_out_bot)),
            ints(all().map(|cell| cell.notes)),
            ints(all().map(|cell| cell.opened)),
            ints(all().map(|cell| cell.resolved)),
            ints(all().map(|cell| cell.reopened)),
            ints(all().map(|cell| cell.first_response.count())),
            texts(all().map(|cell| Some(cell.first_response.encode()))),
            ints(all().map(|cell| cell.reply_time.count())),
            texts(all().map(|cell| Some(cell.reply_time.encode()))),
        ],
    )
}

fn batch(table: &Table, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(table.schema(), columns)
}

/// A column of texts.
pub fn texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// A column of counts.
pub fn ints(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|value| i64::try_from(value).unwrap_or(i64::MAX))))
}

/// A column of instants.
pub fn instants(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let values: TimestampMicrosecondArray = values.map(|at| at.map(Timestamp::unix_micros)).collect();
    Arc::new(values.with_timezone("UTC"))
}

fn lists<'a>(values: impl Iterator<Item = impl Iterator<Item = &'a String>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in values {
        for text in list {
            builder.values().append_value(text);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

const fn author_type(author: &Author) -> &'static str {
    match author {
        Author::Contact { .. } => "contact",
        Author::Agent { .. } => "agent",
        Author::Bot { .. } => "bot",
    }
}

const fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Urgent => "urgent",
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years of microseconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
