//! SQL answers over all tables, fresh and stored, and sees one workspace only.

use std::sync::Arc;
use std::time::Duration;

use analytics::sql::SqlError;
use serde_json::json;
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
    Op::Label(1),
    Op::Wait(600),
    Op::Inbound(2),
    Op::Resolve(0, 0),
    Op::Note(1, 1),
];

/// Everything a query says about the story, whatever of it is in files.
async fn tells_the_story(hub: &Hub, world: &World) {
    let ask = async |sql: &str| serde_json::Value::from(hub.sql(world.workspace_id, sql).await.concat());
    let counts = "SELECT (SELECT count(*) FROM messages) AS a, (SELECT count(DISTINCT message_id) FROM messages) AS b,
        (SELECT count(*) FROM conversations) AS c, (SELECT count(*) FROM conversations WHERE status = 'open') AS d,
        (SELECT count(*) FROM message_statuses) AS e, (SELECT sum(messages_in) FROM kpi_minute) AS f,
        (SELECT count(*) FROM conversation_facts) AS g, (SELECT count(DISTINCT fact_id) FROM conversation_facts) AS h";
    assert_eq!(ask(counts).await, json!([6, 6, 3, 2, 2, 3, 8, 8]));
    let facts = "SELECT kind, agent_id, round(seconds) FROM conversation_facts WHERE kind <> 'opening' ORDER BY kind";
    let agent = world.agents[0].to_string();
    assert_eq!(
        ask(facts).await,
        json!([
            "assignment",
            agent,
            0.0,
            "first_response",
            agent,
            40.0,
            "handling",
            agent,
            640.0,
            "reply_time",
            agent,
            40.0,
            "resolution",
            agent,
            640.0
        ])
    );
    let rest = "SELECT c.contact_name, m.text, array_to_string(c.labels, ','), c.waiting_since = m.created_at,
            m.created_at < now() + INTERVAL '100 years', to_char(date_trunc('day', m.created_at), '%Y-%m-%d')
        FROM conversations c JOIN messages m USING (conversation_id)
        WHERE m.direction = 'inbound' AND array_has(c.labels, 'vip')";
    assert_eq!(
        ask(rest).await,
        json!(["Contact 1", "it is broken and nobody answers", "vip", true, true, "2026-11-22"])
    );
    let more = "SELECT (SELECT count(*) FROM contacts) AS a, (SELECT count(*) FROM deliveries) AS b,
        (SELECT count(*) FROM assignments WHERE reason = 'asked' AND from_agent_id IS NULL) AS c,
        (SELECT count(*) FROM catalogue_tables) AS d, (SELECT min(name) FROM contacts) AS e,
        (SELECT count(*) FROM deliveries WHERE written_at <= changed_at AND recorded_at = changed_at) AS f";
    assert_eq!(ask(more).await, json!([3, 4, 1, 13, "Contact 0", 4]));
    let quantile = "SELECT hist_quantile(hist_merge(first_response_hist), 0.5) BETWEEN 39.5 AND 40.5 FROM kpi_minute";
    assert_eq!(ask(quantile).await, json!([true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_the_same_fresh_stored_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", STORY);
    let (before, after) = world.events.split_at(world.events.len() / 2);
    let hub = Hub::open(options(folder.path()), &log);
    append(&log, before).await;
    hub.caught_up().await;
    hub.analytics.flush().await.unwrap();
    append(&log, after).await;
    hub.caught_up().await;
    tells_the_story(&hub, &world).await;
    hub.crash().await;

    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    tells_the_story(&hub, &world).await;
    hub.stop().await;

    let hub = Hub::open(options(folder.path()), &log);
    tells_the_story(&hub, &world).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_json_csv_columns_and_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let world = World::of("a", STORY);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    let sql = "SELECT seq, text, created_at, assignee_id FROM messages WHERE direction = 'note' ORDER BY seq";
    let answer = hub.try_sql(world.workspace_id, sql).await.unwrap();
    assert!(!answer.truncated && answer.rows == 1);
    let rows = answer.to_json_rows().unwrap();
    assert_eq!(rows[0][..2], [json!(2 + 1), json!("hello from a")]);
    assert!(rows[0][2].as_str().unwrap().starts_with("2026-11-22T"), "{rows:?}");
    assert_eq!(rows[0][3], json!(null));
    assert!(answer.to_csv().unwrap().starts_with("seq,text,created_at,assignee_id\n3,hello from a,2026-11-22T"));
    assert_eq!(answer.columns().unwrap()[2].data_type, "Timestamp(µs, \"UTC\")");

    let empty = hub.try_sql(world.workspace_id, "SELECT text FROM messages WHERE false").await.unwrap();
    assert_eq!(empty.to_csv().unwrap(), "text\n");
    assert_eq!(empty.to_json_rows().unwrap().len(), 0);

    let sql = "SELECT a.meaning FROM catalogue a, catalogue b, catalogue c";
    let many = hub.try_sql(world.workspace_id, sql).await.unwrap();
    assert!(many.truncated && many.rows <= analytics::sql::MAX_ROWS);
    assert!(many.ipc.len() <= analytics::sql::MAX_RESULT_BYTES + 4_096);

    for (sql, says) in [
        ("SELECT nothing FROM messages", "nothing"),
        ("SELECT 1 +", "Expected"),
        ("SELECT 1 / 0 FROM messages", "ivide by zero"),
    ] {
        match hub.try_sql(world.workspace_id, sql).await {
            Err(SqlError::Invalid { reason } | SqlError::Failed { reason }) => {
                assert!(reason.contains(says), "{sql}: {reason}");
                assert!(!reason.contains("/tmp"), "{reason}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    hub.stop().await;
}

/// DataFusion would drop one of two computations that are written alike.
#[tokio::test(flavor = "multi_thread")]
async fn computing_twice_in_the_same_words_is_refused_and_not_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::open(options(folder.path()), &Arc::new(MemoryLog::new(PARTITIONS)));
    let workspace_id = World::new("a").workspace_id;
    let counted = "SELECT count(*) AS n FROM catalogue WHERE table_name = 'catalogue'";
    for sql in [
        format!("SELECT n + 1 AS n FROM (SELECT n + 1 AS n FROM (SELECT n + 1 AS n FROM ({counted})))"),
        format!("SELECT n FROM (SELECT n + 1 AS n FROM (SELECT n + 1 AS n FROM ({counted}) LIMIT 5))"),
    ] {
        match hub.try_sql(workspace_id, &sql).await {
            Err(SqlError::Refused { reason }) => assert!(reason.contains("give it another name"), "{reason}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    let named = format!("SELECT c + 1 AS d FROM (SELECT b + 1 AS c FROM (SELECT n + 1 AS b FROM ({counted})))");
    assert_eq!(hub.sql(workspace_id, &named).await, [[json!(9)]]);
    let different = format!("SELECT n * 2 AS n FROM (SELECT n + 1 AS n FROM ({counted}))");
    assert_eq!(hub.sql(workspace_id, &different).await, [[json!(14)]]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_sees_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(1));
    let (a, b) = (World::of("a", STORY), World::of("CANARY", STORY));
    // Both stand in one partition: b's commands come after a's.
    let mut later = b.events.clone();
    for event in &mut later {
        event.source.offset += 1_000;
    }
    append(&log, &a.events).await;
    append(&log, &later[..later.len() / 2]).await;
    let hub = Hub::open(options(folder.path()), &log);
    let settled = async {
        while hub.analytics.lag(0).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    settled.await;
    hub.analytics.flush().await.unwrap();
    append(&log, &later[later.len() / 2..]).await;
    while hub.analytics.lag(0).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let canaries = ["CANARY".to_owned(), b.workspace_id.to_string(), b.agents[0].to_string()];
    for sql in [
        "SELECT * FROM messages",
        "SELECT * FROM conversations",
        "SELECT * FROM conversation_facts",
        "SELECT * FROM message_statuses",
        "SELECT * FROM deliveries",
        "SELECT * FROM assignments",
        "SELECT * FROM contacts",
        "SELECT * FROM sentiment",
        "SELECT * FROM catalogue_tables",
        "SELECT * FROM kpi_minute",
        "SELECT * FROM catalogue",
        "SELECT * FROM kpi_definitions",
        "SELECT CAST(text AS BIGINT) FROM messages",
        "SELECT hist_merge(text) FROM messages",
        "SELECT DISTINCT workspace_id FROM messages UNION SELECT workspace_id FROM conversations",
        "SELECT * FROM messages WHERE text LIKE '%CAN' || 'ARY%'",
    ] {
        let said = match hub.try_sql(a.workspace_id, sql).await {
            Ok(answer) => format!("{:?}", answer.to_json_rows().unwrap()),
            Err(error) => error.to_string(),
        };
        for canary in &canaries {
            assert!(!said.contains(canary.as_str()), "{sql}: {said}");
        }
    }
    let count = "SELECT count(*), count(DISTINCT workspace_id) FROM messages";
    assert_eq!(hub.sql(b.workspace_id, count).await, [[json!(6), json!(1)]]);
    let stranger = World::new("nobody").workspace_id;
    assert_eq!(hub.sql(stranger, count).await, [[json!(0), json!(0)]]);
    hub.stop().await;
}
