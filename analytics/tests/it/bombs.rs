//! Queries that would end the hub if they ran in it: each ends at its limit, and the hub goes on.

use std::sync::Arc;
use std::time::Duration;

use analytics::sql::SqlError;
use serde_json::json;
use storage::log::memory::MemoryLog;
use tokio::time::Instant;

use crate::events::World;
use crate::gate::doubling;
use crate::hub::{GENEROUS, Hub, PARTITIONS, options};

/// Runs until somebody stops it: a cross join of ten tables.
const ENDLESS: &str =
    "SELECT count(*) FROM catalogue a, catalogue b, catalogue c, catalogue d, catalogue e, catalogue f,
    catalogue g, catalogue h, catalogue i, catalogue j";

/// Text that is made sixteen times longer at each level. Each level has a name of its own for it.
fn growing(levels: usize) -> String {
    (1..=levels).fold("SELECT max(meaning) AS x0 FROM catalogue".to_owned(), |sql, level| {
        let sixteen = vec![format!("x{}", level - 1); 16].join(", ");
        format!("SELECT concat({sixteen}) AS x{level} FROM ({sql})")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ends_at_its_limit_and_the_hub_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.sql.running_per_workspace = 8;
    options.sql.queued_per_workspace = 64;
    let hub = Hub::open(options, &Arc::new(MemoryLog::new(PARTITIONS)));
    let workspace_id = World::new("a").workspace_id;
    let before_the_run: Vec<String> = vec![
        format!("SELECT 1{}", "+1".repeat(8_000)),
        format!("SELECT 1{}", "+1".repeat(4_000)),
        format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(3_000)),
        format!("SELECT 1 FROM messages m0 {}", "CROSS JOIN messages ".repeat(150)),
        doubling(14),
        doubling(18),
        "SELECT repeat('x', 2000000000)".to_owned(),
        "SELECT lpad('x', 2000000000, 'y')".to_owned(),
        "SELECT range(0, 2000000000)".to_owned(),
        "SELECT count(*) FROM generate_series(1, 1000000000000000)".to_owned(),
        "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t) SELECT count(*) FROM t".to_owned(),
        "SELECT regexp_like(text, text) FROM messages".to_owned(),
        "SELECT levenshtein(text, text) FROM messages".to_owned(),
    ];
    for sql in &before_the_run {
        let ended = hub.try_sql(workspace_id, sql).await;
        let shown: String = sql.chars().take(60).collect();
        assert!(matches!(ended, Err(SqlError::Refused { .. })), "{shown}: {ended:?}");
    }

    let begun = Instant::now();
    let ended = hub.sql_within(workspace_id, ENDLESS, Duration::from_secs(3)).await;
    assert_eq!(ended.unwrap_err(), SqlError::TimedOut { limit_ms: 3_000 });
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());

    let hoarding = "SELECT count(*) FROM (SELECT DISTINCT a.meaning || b.meaning || c.meaning FROM catalogue a, catalogue b, catalogue c)";
    let ended = hub.try_sql(workspace_id, hoarding).await;
    assert!(matches!(ended, Err(SqlError::OutOfMemory { .. })), "{ended:?}");

    let ended = hub.try_sql(workspace_id, &growing(7)).await;
    assert!(matches!(ended, Err(SqlError::OutOfMemory { .. } | SqlError::TimedOut { .. })), "{ended:?}");

    let huge = "SELECT text ~ 'a{1000}{1000}{1000}' FROM (SELECT max(meaning) AS text FROM catalogue)";
    let ended = hub.try_sql(workspace_id, huge).await;
    assert!(matches!(ended, Err(SqlError::Failed { .. } | SqlError::Invalid { .. })), "{ended:?}");

    assert_eq!(hub.sql(workspace_id, "SELECT 1 + 1").await, [[json!(2)]]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_uses_up_its_processor_time_is_ended_by_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.sql.limits.cpu_seconds = 3;
    let hub = Hub::open(options, &Arc::new(MemoryLog::new(PARTITIONS)));
    let ended = hub.try_sql(World::new("a").workspace_id, ENDLESS).await;
    assert!(matches!(ended, Err(SqlError::TimedOut { .. })), "{ended:?}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_is_told_so_and_the_process_is_confined_and_dies_with_its_question() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.sql.running_per_workspace = 1;
    options.sql.queued_per_workspace = 0;
    let hub = Arc::new(Hub::open(options, &Arc::new(MemoryLog::new(PARTITIONS))));
    let (a, b) = (World::new("a").workspace_id, World::new("b").workspace_id);
    let asking = tokio::spawn({
        let hub = Arc::clone(&hub);
        async move { hub.sql_within(a, ENDLESS, GENEROUS).await }
    });
    let place = folder.path().join("lake").join(format!("workspace={a}")).canonicalize();
    let place = until(async || place_of(place.as_ref().ok(), folder.path(), a)).await;
    let process = until(async || process_in(&place).filter(|process| is_confined(*process))).await;
    let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    assert!(environment.split('\0').all(|line| line.is_empty() || line.starts_with('M')), "{environment}");
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    for limit in
        ["Max address space         1610612736", "Max file size             0 ", "Max core file size        0 "]
    {
        assert!(limits.contains(limit), "{limits}");
    }
    assert_eq!(niceness_of(process), "19", "messages go first");

    let refused = hub.try_sql(a, "SELECT 1").await.unwrap_err();
    assert_eq!(refused, SqlError::TooBusy { running: 1, queued: 0 });
    assert_eq!(hub.sql(b, "SELECT 1").await, [[json!(1)]]);

    asking.abort();
    until(async || process_in(&place).is_none().then_some(())).await;
    assert_eq!(hub.sql(a, "SELECT 1").await, [[json!(1)]]);
}

async fn until<T>(mut state: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let wait = async {
        loop {
            if let Some(found) = state().await {
                return found;
            }
            ticks.tick().await;
        }
    };
    tokio::time::timeout(GENEROUS, wait).await.expect("the state comes")
}

fn place_of(
    known: Option<&std::path::PathBuf>,
    folder: &std::path::Path,
    workspace_id: schemas::WorkspaceId,
) -> Option<std::path::PathBuf> {
    let path = folder.join("lake").join(format!("workspace={workspace_id}"));
    known.cloned().or_else(|| path.canonicalize().ok())
}

/// The process whose working folder this is.
fn process_in(place: &std::path::Path) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().find_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        (std::fs::read_link(entry.path().join("cwd")).ok()? == place).then_some(process)
    })
}

/// The nineteenth field of the process's state; the second is its name, in parentheses.
fn niceness_of(process: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().to_owned()
}

fn is_confined(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_whose_queries_had_to_be_stopped_is_paused_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.sql.stops_before_pause = 2;
    let hub = Hub::open(options, &Arc::new(MemoryLog::new(PARTITIONS)));
    let (a, b) = (World::new("a").workspace_id, World::new("b").workspace_id);
    for _ in 0..2 {
        let ended = hub.sql_within(a, ENDLESS, Duration::from_millis(300)).await;
        assert_eq!(ended.unwrap_err(), SqlError::TimedOut { limit_ms: 300 });
    }
    let paused = hub.try_sql(a, "SELECT 1").await.unwrap_err();
    assert_eq!(paused, SqlError::Paused { seconds: 300, stopped: 2 });
    assert_eq!(hub.sql(b, "SELECT 1").await, [[json!(1)]]);
    hub.clock.advance(Duration::from_mins(5));
    assert_eq!(hub.sql(a, "SELECT 1").await, [[json!(1)]]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_answer_could_hold_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::open(options(folder.path()), &Arc::new(MemoryLog::new(PARTITIONS)));
    let sql = growing(5);
    match hub.try_sql(World::new("a").workspace_id, &sql).await {
        Err(SqlError::Failed { reason }) => assert!(reason.contains("8 MiB of an answer"), "{reason}"),
        other => panic!("{other:?}"),
    }
    hub.stop().await;
}
