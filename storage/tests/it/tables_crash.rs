//! The embedded tables and `kill -9`: a child process writes and says what was acknowledged, and is killed at some moment.
//! What it was told is written must be there, whole and in order, whatever the moment.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use schemas::WorkspaceId;
use schemas::tables::{CONTACTS, ENGINE_POSITIONS, MESSAGES, SESSIONS, Value};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables};
use tempfile::TempDir;

/// Says to this program, started as a child, in which folder it shall write.
const FOLDER: &str = "SALER_TEST_TABLES_CRASH_FOLDER";

const ROUNDS: usize = 12;
/// For the median of all openings: a single one may wait for the fsyncs of the tests that run beside it.
const OPEN_LIMIT: Duration = Duration::from_secs(2);

fn options(dir: &Path) -> EmbeddedTablesOptions {
    EmbeddedTablesOptions {
        // So small that files are written and merged all the time.
        write_buffer_bytes: 256 << 10,
        minimum_free_bytes: 0,
        ..EmbeddedTablesOptions::new(dir)
    }
}

const WORKSPACE: WorkspaceId = WorkspaceId::from_bytes([1; 16]);

fn position() -> Key {
    Key::of([Value::Int(0)])
}

fn message(number: i64) -> Row {
    let key = Key::of([WORKSPACE.into(), Value::Uuid([2; 16]), Value::Int(0)]).at([number.into()]);
    Row::new(key).with("body", vec![number.to_le_bytes()[0]; 700])
}

/// Batch `number` adds its message and its contact, removes an older contact, and moves the position: none of that must
/// ever be seen without the rest.
fn batch(number: i64) -> Batch {
    let mut batch = Batch::default();
    batch.put(MESSAGES, message(number));
    batch.put(ENGINE_POSITIONS, Row::new(position()).with("next_offset", number));
    batch.put(CONTACTS, Row::new(contact(number)).with("body", number.to_string().into_bytes()));
    batch.delete(CONTACTS, contact(number - 5));
    batch
}

fn contact(number: i64) -> Key {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Key::of([WORKSPACE.into(), Value::Uuid(id)])
}

fn session(number: i64) -> Key {
    let Key { partition, .. } = contact(number);
    Key::of(partition.into_iter().skip(1))
}

/// Not a test by itself: the child's work. Does nothing unless it was started as the child.
#[tokio::test]
async fn child_that_writes() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let tables = EmbeddedTables::open(options(Path::new(&dir))).unwrap();
    let last = tables.get(ENGINE_POSITIONS, position()).await.unwrap();
    let mut number = last.and_then(|row| row.int("next_offset")).unwrap_or_default();
    // The harness has written the test's name before, without the end of a line.
    println!("\nopen {number}");
    loop {
        number += 1;
        let sync = if number % 7 == 0 { Sync::Now } else { Sync::Later };
        tables.write(batch(number), sync).await.unwrap();
        if number % 11 == 0 {
            let row = Row::new(session(number)).with("version", number);
            assert_eq!(tables.insert_if_absent(SESSIONS, row).await.unwrap(), None);
        }
        println!("acknowledged {number}");
        std::io::stdout().flush().unwrap();
    }
}

fn start_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tables_crash::child_that_writes", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a child write until it was told of `count` batches, kills it, and returns the last number it was told of.
fn write_until_killed(dir: &Path, count: usize) -> i64 {
    let mut child = start_child(dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = None;
    let mut seen = 0;
    while seen < count {
        let line = lines.next().expect("the child ended by itself").unwrap();
        if let Some(number) = line.strip_prefix("acknowledged ") {
            acknowledged = Some(number.parse().unwrap());
            seen += 1;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had still said before it died counts too; a line that is cut short does not.
    for line in lines.map_while(Result::ok) {
        if let Some(Ok(number)) = line.strip_prefix("acknowledged ").map(str::parse) {
            acknowledged = acknowledged.max(Some(number));
        }
    }
    acknowledged.unwrap()
}

async fn check_all(tables: &EmbeddedTables, acknowledged: i64, round: &str) {
    let row = tables.get(ENGINE_POSITIONS, position()).await.unwrap().unwrap();
    let last = row.int("next_offset").unwrap();
    // A line that was cut short may hold the beginning of a larger number, never of a smaller one.
    assert!(last >= acknowledged, "{round}: {acknowledged} was acknowledged, but {last} is the last");
    let rows = tables.scan(MESSAGES, Scan::of(message(1).key.partition, usize::MAX)).await.unwrap();
    assert_eq!(rows.len(), usize::try_from(last).unwrap(), "{round}");
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(*row, message(number), "{round}");
    }
    let from = (last - 10).max(1);
    let contacts =
        tables.get_many((from..=last + 1).map(|number| (CONTACTS, contact(number))).collect()).await.unwrap();
    for (number, row) in (from..).zip(contacts) {
        let is_there = number > last - 5 && number <= last;
        assert_eq!(row.is_some(), is_there, "{round}: contact {number} of {last}");
    }
    let sessions = (1..=acknowledged).filter(|number| number % 11 == 0);
    let keys: Vec<_> = sessions.map(|number| (SESSIONS, session(number))).collect();
    let found = tables.get_many(keys).await.unwrap();
    assert!(found.iter().all(Option::is_some), "{round}: an insert was lost");
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut openings = Vec::new();
    for round in 0..ROUNDS {
        // The number of batches differs by round; within a batch, chance decides.
        let count = 1 + (round * 37) % 150;
        let acknowledged = write_until_killed(dir.path(), count);
        let began = Instant::now();
        let tables = EmbeddedTables::open(options(dir.path())).unwrap();
        openings.push(began.elapsed());
        let name = format!("round {round}, killed after {count} batches");
        runtime.block_on(check_all(&tables, acknowledged, &name));
    }
    openings.sort();
    assert!(openings[ROUNDS / 2] < OPEN_LIMIT, "{openings:?}");
}
