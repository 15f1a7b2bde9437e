//! Rows into Arrow, by the declarations in [`crate::schema`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use schemas::contact::Contact;
use schemas::conversation::Priority;
use schemas::kpi::KpiDefinition;
use schemas::message::{Author, DeliveryStatus};
use schemas::sla::SlaState;
use schemas::{Timestamp, WorkspaceId};
use sentiment::Model;

use crate::fold::cell::{Cell, Count, Lasting};
use crate::rows::{SlaRow, WorkspaceRows};
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
        (schema::SENTIMENT, sentiment(&workspace, rows)?),
        (schema::DELIVERIES, deliveries(&workspace, rows)?),
        (schema::CONVERSATIONS, conversations(&workspace, rows)?),
        (schema::CONVERSATION_FACTS, facts(&workspace, rows)?),
        (schema::ASSIGNMENTS, assignments(&workspace, rows)?),
        (schema::SLA, promises(&workspace, rows)?),
        (schema::CONTACTS, contacts(&workspace, rows)?),
        (schema::KPI_MINUTE, cells(&workspace, rows)?),
    ];
    batches.retain(|(_, batch)| batch.num_rows() > 0);
    Ok(batches)
}

/// The minutes of one workspace that no file holds yet.
///
/// # Errors
/// As [`batches`].
pub fn minutes(workspace_id: WorkspaceId, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    cells(&workspace_id.to_string(), rows)
}

/// The catalogue of all columns.
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

/// The catalogue of all tables.
///
/// # Errors
/// As [`batches`].
pub fn catalogue_tables() -> Result<RecordBatch, ArrowError> {
    batch(
        schema::CATALOGUE_TABLES,
        vec![
            texts(schema::ALL.iter().map(|table| Some(table.name))),
            texts(schema::ALL.iter().map(|table| Some(table.about))),
            ints(schema::ALL.iter().map(|table| table.columns.len() as u64)),
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
            text(&|kpi| kpi.kind.as_str().to_owned()),
            text(&|kpi| kpi.better.as_str().to_owned()),
            lists(definitions.iter().map(|kpi| kpi.dimensions.iter().map(|dimension| dimension.as_str()))),
            Arc::new(definitions.iter().map(|kpi| Some(kpi.live)).collect::<BooleanArray>()),
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
            instants(rows.iter().map(|row| Some(row.recorded_at))),
        ],
    )
}

fn sentiment(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let judged: Vec<_> =
        rows.messages().iter().filter_map(|row| row.sentiment.map(|sentiment| (row, sentiment))).collect();
    let all = || judged.iter().map(|(row, _)| *row);
    // Through decimal digits, so that 0.9 is 0.9 in SQL too.
    let score = |score: f32| (f64::from(score) * 1_000.0).round() / 1_000.0;
    batch(
        schema::SENTIMENT,
        vec![
            texts(all().map(|_| Some(workspace))),
            texts(all().map(|row| Some(row.message.id.to_string()))),
            texts(all().map(|row| Some(row.message.conversation_id.to_string()))),
            texts(all().map(|row| Some(row.channel_id.to_string()))),
            texts(all().map(|row| Some(row.contact_id.to_string()))),
            texts(all().map(|row| row.assignee.map(|id| id.to_string()))),
            lists(all().map(|row| row.labels.iter())),
            texts(judged.iter().map(|(_, sentiment)| Some(sentiment.label.as_str()))),
            Arc::new(judged.iter().map(|(_, sentiment)| Some(score(sentiment.score))).collect::<Float64Array>()),
            texts(all().map(|_| Some(Model::built_in().version()))),
            instants(all().map(|row| Some(row.message.created_at))),
            instants(all().map(|row| Some(row.recorded_at))),
        ],
    )
}

fn deliveries(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows = rows.deliveries();
    batch(
        schema::DELIVERIES,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(rows.iter().map(|row| Some(row.id.to_string()))),
            texts(rows.iter().map(|row| Some(row.message_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.conversation_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.channel_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.contact_id.to_string()))),
            ints(rows.iter().map(|row| row.seq)),
            texts(rows.iter().map(|row| row.from.map(DeliveryStatus::as_str))),
            texts(rows.iter().map(|row| Some(row.to.as_str()))),
            texts(rows.iter().map(|row| row.error_code.as_deref())),
            instants(rows.iter().map(|row| Some(row.written_at))),
            instants(rows.iter().map(|row| Some(row.at))),
            instants(rows.iter().map(|row| Some(row.at))),
        ],
    )
}

fn assignments(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows = rows.assignments();
    batch(
        schema::ASSIGNMENTS,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(rows.iter().map(|row| Some(row.id.to_string()))),
            texts(rows.iter().map(|row| Some(row.conversation_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.channel_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.contact_id.to_string()))),
            texts(rows.iter().map(|row| row.from.map(|id| id.to_string()))),
            texts(rows.iter().map(|row| row.to.map(|id| id.to_string()))),
            texts(rows.iter().map(|row| Some(row.reason))),
            texts(rows.iter().map(|row| row.actor_id.map(|id| id.to_string()))),
            lists(rows.iter().map(|row| row.labels.iter())),
            Arc::new(rows.iter().map(|row| row.held_micros.map(seconds)).collect::<Float64Array>()),
            instants(rows.iter().map(|row| Some(row.at))),
            instants(rows.iter().map(|row| Some(row.at))),
        ],
    )
}

fn promises(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.promises().collect();
    let goal = |row: &&SlaRow| u64::from(row.clock.goal_seconds);
    batch(
        schema::SLA,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(rows.iter().map(|row| Some(row.id.to_string()))),
            ints(rows.iter().map(|row| row.version)),
            texts(rows.iter().map(|row| Some(row.conversation_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.channel_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.contact_id.to_string()))),
            texts(rows.iter().map(|row| row.agent_id.map(|id| id.to_string()))),
            lists(rows.iter().map(|row| row.labels.iter())),
            texts(rows.iter().map(|row| Some(priority(row.priority)))),
            texts(rows.iter().map(|row| Some(row.clock.policy_id.to_string()))),
            texts(rows.iter().map(|row| Some(row.clock.target.as_str()))),
            texts(rows.iter().map(|row| Some(row.state))),
            ints(rows.iter().map(goal)),
            Arc::new(rows.iter().map(|row| Some(row.clock.business_time)).collect::<BooleanArray>()),
            instants(rows.iter().map(|row| Some(row.clock.started_at))),
            instants(rows.iter().map(|row| row.clock.due_at)),
            Arc::new(rows.iter().map(|row| Some(row.clock.warned)).collect::<BooleanArray>()),
            instants(rows.iter().map(|row| row.breached_at())),
            instants(rows.iter().map(|row| row.ended_at)),
            instants(rows.iter().map(|row| Some(row.updated_at))),
        ],
    )
}

fn contacts(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.contacts().collect();
    let all = || rows.iter().map(|row| &row.contact);
    let addresses = |contact: &Contact| -> Vec<String> {
        contact.identities.iter().map(|identity| format!("{}:{}", identity.channel_id, identity.address)).collect()
    };
    batch(
        schema::CONTACTS,
        vec![
            texts(rows.iter().map(|_| Some(workspace))),
            texts(all().map(|contact| Some(contact.id.to_string()))),
            ints(rows.iter().map(|row| row.version)),
            texts(all().map(|contact| contact.name.as_deref())),
            texts(all().map(|contact| contact.phone.as_deref())),
            texts(all().map(|contact| contact.email.as_deref())),
            lists(all().map(|contact| addresses(contact).into_iter())),
            lists(all().map(|contact| contact.opted_out.iter().map(ToString::to_string))),
            Arc::new(all().map(|contact| Some(contact.blocked)).collect::<BooleanArray>()),
            instants(all().map(|contact| Some(contact.created_at))),
            instants(rows.iter().map(|row| Some(row.updated_at))),
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
            texts(all().map(|conversation| conversation.team.map(|id| id.to_string()))),
            texts(all().map(|conversation| conversation.sla.as_ref().map(|sla| sla_state(sla.state)))),
            instants(all().map(|conversation| conversation.sla.as_ref().and_then(|sla| sla.next_due_at))),
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
            Arc::new(facts.iter().map(|fact| fact.micros.map(seconds)).collect::<Float64Array>()),
            texts(facts.iter().map(|fact| fact.to_agent_id.map(|id| id.to_string()))),
            texts(facts.iter().map(|fact| fact.actor_id.map(|id| id.to_string()))),
            instants(facts.iter().map(|fact| Some(fact.end_at))),
            Arc::new(facts.iter().map(|fact| fact.business_micros.map(seconds)).collect::<Float64Array>()),
        ],
    )
}

fn cells(workspace: &str, rows: &WorkspaceRows) -> Result<RecordBatch, ArrowError> {
    let cells: Vec<_> = rows.cells().collect();
    let minute = |minute: i64| Some(Timestamp::from_unix_seconds(minute.saturating_mul(60)));
    let mut columns = vec![
        texts(cells.iter().map(|_| Some(workspace))),
        instants(cells.iter().map(|((number, ..), _)| minute(*number))),
        texts(cells.iter().map(|((_, key, _), _)| Some(key.channel_id.to_string()))),
        texts(cells.iter().map(|((_, key, _), _)| key.agent_id.map(|id| id.to_string()))),
        lists(cells.iter().map(|((.., labels), _)| labels.iter())),
    ];
    columns.extend(measures(&cells.iter().map(|(_, cell)| *cell)));
    batch(schema::KPI_MINUTE, columns)
}

/// What cells count, a column each, in the order of [`Count::ALL`] and [`Lasting::ALL`].
pub fn measures<'a>(cells: &(impl Iterator<Item = &'a Cell> + Clone)) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for count in Count::ALL {
        columns.push(Arc::new(Int64Array::from_iter_values(cells.clone().map(|cell| cell.count(count)))));
    }
    for lasting in Lasting::ALL {
        let all = || cells.clone().map(|cell| cell.durations(lasting));
        columns.push(ints(all().map(|durations| durations.histogram.count())));
        columns.push(Arc::new(Int64Array::from_iter_values(all().map(|durations| durations.micros))));
        columns.push(texts(all().map(|durations| Some(durations.histogram.encode()))));
    }
    columns
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

fn lists<T: AsRef<str>>(values: impl Iterator<Item = impl Iterator<Item = T>>) -> ArrayRef {
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

const fn sla_state(state: SlaState) -> &'static str {
    match state {
        SlaState::OnTrack => "on_track",
        SlaState::AtRisk => "at_risk",
        SlaState::Breached => "breached",
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years of microseconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
