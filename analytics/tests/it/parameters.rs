//! Parameters of queries: values take their places as if they stood in the text, and types are told without running.

use std::sync::Arc;

use analytics::sql::parameters::{SqlType, SqlValue};
use analytics::sql::{SqlError, SqlRequest};
use schemas::WorkspaceId;
use serde_json::{Value, json};
use storage::log::memory::MemoryLog;

use crate::events::{Op, World};
use crate::hub::{Hub, PARTITIONS, append, options};

async fn ask(
    hub: &Hub,
    workspace_id: WorkspaceId,
    sql: &str,
    parameters: Vec<SqlValue>,
) -> Result<Vec<Vec<Value>>, SqlError> {
    let answer = hub.analytics.sql(workspace_id, SqlRequest { parameters, ..SqlRequest::new(sql) }).await?;
    Ok(answer.to_json_rows().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_stand_for_parameters_and_never_become_sql() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", &[Op::Inbound(0), Op::Wait(60), Op::Reply(0, 0), Op::Inbound(1)]);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    let text = |text: &str| SqlValue::Text(text.to_owned());
    let typed = |data_type, text: &str| SqlValue::Typed(data_type, text.to_owned());

    let sql =
        "SELECT count(*) FROM messages WHERE direction = $1 AND seq >= $2 AND created_at > $3 AND created_at < $4";
    let instant = typed(SqlType::Instant, "2100-01-01T00:00:00+03:00");
    let values = vec![text("inbound"), SqlValue::Int(1), text("2020-01-01"), instant];
    assert_eq!(ask(&hub, world.workspace_id, sql, values).await.unwrap(), [[json!(2)]]);

    let sql = "SELECT $1, $2 + 0.5, $3 IS NULL, $4 LIKE 'x%', cast($5 AS date) FROM messages WHERE text ~ $6 LIMIT $7";
    let values = vec![
        text("a'; DROP TABLE messages; --"),
        SqlValue::float(0.1),
        SqlValue::Null(Some(SqlType::Int)),
        text("xyz"),
        typed(SqlType::Date, "2026-11-22"),
        text(".*"),
        SqlValue::Int(1),
    ];
    let row = json!(["a'; DROP TABLE messages; --", 0.6, true, true, "2026-11-22"]);
    assert_eq!(json!(ask(&hub, world.workspace_id, sql, values).await.unwrap()), json!([row]));

    let list = SqlValue::List(vec![text("inbound"), text("note")]);
    let sql = "SELECT count(*) FROM messages WHERE direction = ANY($1)";
    assert_eq!(ask(&hub, world.workspace_id, sql, vec![list]).await.unwrap(), [[json!(2)]]);

    let missing = ask(&hub, world.workspace_id, "SELECT $2", vec![text("x")]).await.unwrap_err();
    assert!(missing.to_string().contains("$2 has no value"), "{missing}");
    let heavy = vec![text(&"x".repeat(70_000))];
    let refused = ask(&hub, world.workspace_id, "SELECT $1", heavy).await.unwrap_err();
    assert!(matches!(refused, SqlError::Refused { .. }), "{refused}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_and_parameters_are_told_without_running() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let hub = Hub::open(options(folder.path()), &log);
    let world = World::of("a", &[]);
    let describe = async |sql: &str, types: &[Option<SqlType>]| {
        let shape = hub.analytics.describe_sql(world.workspace_id, SqlRequest::new(sql), types.to_vec()).await?;
        let schema = shape.schema().unwrap();
        let columns: Vec<_> =
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        Ok::<_, SqlError>((columns.join(", "), shape.parameters))
    };
    let sql = "SELECT seq, labels, created_at, count(*) OVER () AS n, 1 / 0 AS never FROM messages \
               WHERE seq > $1 AND direction = $2 AND created_at >= $3 AND text ~ $4 LIMIT 5";
    let (columns, parameters) = describe(sql, &[]).await.unwrap();
    assert_eq!(columns, "seq Int64, labels List(Utf8), created_at Timestamp(µs, \"UTC\"), n Int64, never Int64");
    assert_eq!(parameters, [SqlType::Int, SqlType::Text, SqlType::Instant, SqlType::Text]);

    let (columns, parameters) = describe("SELECT $1 AS a, $2 AS b", &[Some(SqlType::Float)]).await.unwrap();
    assert_eq!((columns.as_str(), parameters.as_slice()), ("a Float64, b Utf8", &[SqlType::Float, SqlType::Text][..]));
    describe("SELECT nothing FROM messages", &[]).await.unwrap_err();
    describe("DELETE FROM messages", &[]).await.unwrap_err();
    hub.stop().await;
}
