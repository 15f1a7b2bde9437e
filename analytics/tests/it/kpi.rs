//! Boards: equal to SQL over the tables, pushed after a change, shared.

use std::sync::Arc;
use std::time::Duration;

use analytics::kpi::{BoardTables, KpiEngine, definitions};
use schemas::kpi::{KpiBoard, KpiUnit};
use serde_json::Value;
use storage::log::memory::MemoryLog;

use crate::events::{Op, World};
use crate::hub::{Hub, PARTITIONS, append, options};

const STORY: &[Op] = &[
    Op::Inbound(0),
    Op::Assign(0, Some(0)),
    Op::Wait(40),
    Op::Reply(0, 0),
    Op::Inbound(1),
    Op::Bot(1),
    Op::Wait(600),
    Op::Reply(1, 1),
    Op::Inbound(2),
    Op::Wait(5),
    Op::Inbound(3),
    Op::Resolve(0, 2),
];

fn value(
    board: &KpiBoard,
    kpi: &str,
    channel: Option<schemas::ChannelId>,
    agent: Option<schemas::UserId>,
) -> Option<f64> {
    let of_scope = |value: &&schemas::kpi::KpiValue| value.channel_id == channel && value.agent_id == agent;
    let found = board.values.iter().filter(|value| value.kpi == kpi).find(of_scope);
    found.and_then(|value| value.value)
}

#[test]
fn definitions_are_complete() {
    let definitions = definitions().unwrap();
    let names: std::collections::BTreeSet<_> = definitions.iter().map(|kpi| &kpi.name).collect();
    assert_eq!(names.len(), definitions.len());
    for kpi in &definitions {
        assert!(kpi.definition.ends_with('.') && kpi.sql.starts_with("SELECT"), "{kpi:?}");
    }
    assert_eq!(definitions[0].unit, KpiUnit::Messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_workspace_has_zeros() {
    let engine = Arc::new(KpiEngine::new(definitions().unwrap()));
    let tables = BoardTables::of(None, crate::events::START).unwrap();
    let values = tokio::task::spawn_blocking(move || engine.values(tables)).await.unwrap().unwrap();
    assert_eq!(values.len(), definitions().unwrap().iter().filter(|kpi| kpi.live).count());
    for value in values {
        let zero = !matches!(value.unit, KpiUnit::Seconds | KpiUnit::Ratio);
        assert_eq!(value.value, zero.then_some(0.0), "{}", value.kpi);
        assert_eq!(value.count, value.count.map(|_| 0), "{}", value.kpi);
        assert_eq!((value.channel_id, value.agent_id, value.since), (None, None, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_says_what_sql_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", STORY);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    hub.clock.advance(Duration::from_hours(1));
    let board = hub.analytics.kpi_board(world.workspace_id).await.unwrap();

    let by = |scope: &str| {
        format!(
            "SELECT {scope}, count(*) FILTER (WHERE direction = 'inbound'),
        count(*) FILTER (WHERE direction = 'outbound') FROM messages GROUP BY 1"
        )
    };
    for row in hub.sql(world.workspace_id, &by("channel_id")).await {
        let channel = Some(row[0].as_str().unwrap().parse().unwrap());
        assert_eq!(value(&board, "messages_in", channel, None), row[1].as_f64());
        assert_eq!(value(&board, "messages_out", channel, None), row[2].as_f64());
    }
    let whole = "SELECT (SELECT count(*) FROM messages WHERE direction = 'inbound') AS a,
        (SELECT count(*) FROM messages WHERE direction = 'outbound') AS b,
        (SELECT count(*) FROM conversations WHERE status = 'open') AS c,
        (SELECT count(*) FROM conversations WHERE status = 'open' AND assignee_id IS NULL) AS d,
        (SELECT count(*) FROM conversations WHERE waiting_since IS NOT NULL) AS e,
        (SELECT hist_quantile(hist_merge(first_response_hist), 0.5) FROM kpi_minute) AS f,
        (SELECT hist_quantile(hist_merge(first_response_hist), 0.9) FROM kpi_minute) AS g,
        (SELECT count(*) FROM conversation_facts WHERE kind = 'resolution') AS h,
        (SELECT min(waiting_since) FROM conversations) AS i";
    let row = hub.sql(world.workspace_id, whole).await.remove(0);
    let names = [
        "messages_in",
        "messages_out",
        "open",
        "unassigned",
        "waiting",
        "first_response_p50",
        "first_response_p90",
        "resolved",
    ];
    for (name, told) in names.iter().zip(&row) {
        assert_eq!(value(&board, name, None, None), told.as_f64(), "{name}");
    }
    let since = board.values.iter().find(|value| value.kpi == "oldest_wait_seconds" && value.channel_id.is_none());
    let told: schemas::Timestamp = row[8].as_str().unwrap().parse().unwrap();
    assert_eq!(since.unwrap().since, Some(told));
    let exact =
        "SELECT percentile_cont(seconds, 0.5) FROM conversation_facts WHERE kind = 'first_response' AND agent_id = ";
    let agent = world.agents[0];
    let exact = hub.sql(world.workspace_id, &format!("{exact}'{agent}'")).await[0][0].as_f64().unwrap();
    let told = value(&board, "first_response_p50", None, Some(agent)).unwrap();
    assert!((told - exact).abs() <= exact * 0.0101, "{told} {exact}");
    assert_eq!(value(&board, "resolved", None, Some(agent)), Some(1.0));
    assert!(matches!(row[7], Value::Number(_)));

    // A day later what happened has left the window; what stands still stands.
    hub.clock.advance(Duration::from_hours(24));
    let board = hub.analytics.kpi_board(world.workspace_id).await.unwrap();
    assert_eq!(value(&board, "messages_in", None, None), Some(0.0));
    assert_eq!(value(&board, "first_response_p50", None, None), None);
    assert_eq!(value(&board, "waiting", None, None), row[4].as_f64());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_customer_says_how_it_sounds() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", &[Op::Inbound(0), Op::Inbound(1), Op::Reply(1, 0), Op::Inbound(1), Op::Inbound(2)]);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    let judged = "SELECT sentiment, count(*), max(score) < 0, min(score) > 0, count(DISTINCT model)
        FROM messages LEFT JOIN sentiment USING (message_id) WHERE direction = 'inbound' GROUP BY 1 ORDER BY 1";
    let rows = hub.sql(world.workspace_id, judged).await;
    let labels: Vec<_> = rows.iter().map(|row| (row[0].as_str().unwrap(), row[1].as_u64().unwrap())).collect();
    assert_eq!(labels, [("negative", 2), ("neutral", 1), ("positive", 1)]);
    assert_eq!((&rows[0][2], &rows[2][3], &rows[0][4]), (&Value::Bool(true), &Value::Bool(true), &Value::from(1)));
    let board = hub.analytics.kpi_board(world.workspace_id).await.unwrap();
    assert_eq!(value(&board, "negative_share", None, None), Some(0.5));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_get_a_board_after_each_change_and_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let hub = Hub::open(options(folder.path()), &log);
    let mut world = World::new("a");
    let mut first = hub.analytics.subscribe(world.workspace_id);
    let mut second = hub.analytics.subscribe(world.workspace_id);
    first.changed().await.unwrap();
    assert_eq!(value(&first.borrow_and_update(), "messages_in", None, None), Some(0.0));

    world.play(&[Op::Inbound(0), Op::Inbound(1)]);
    append(&log, &world.events).await;
    let seen = first.wait_for(|board| value(board, "waiting", None, None) == Some(2.0));
    let seen = Arc::clone(&*tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap().unwrap());
    assert_eq!(value(&seen, "messages_in", None, None), Some(2.0));
    let same = second.wait_for(|board| value(board, "waiting", None, None) == Some(2.0)).await.unwrap();
    assert!(Arc::ptr_eq(&seen, &same));
    drop(same);
    hub.stop().await;
}
