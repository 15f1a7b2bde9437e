//! The tables on CQL servers: the contract suite, the model, and what is particular to this engine.
//!
//! `SALER_TEST_CQL` names a server (`127.0.0.1:19042`); without it these tests are skipped by name, and say so.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use schemas::WorkspaceId;
use schemas::tables::{CONTACTS, EXTERNAL_MESSAGES, INSTALLATION, LABELS, PENDING_SENDS, SESSIONS, Value};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use storage::clock::{Clock, SystemClock};
use storage::contract::tables::Factory;
use storage::tables::cql::{CqlOptions, CqlTables, LOGGED_BATCH_BYTES};
use storage::tables::dump::{Dump, dump_tables};
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables, TablesError};

use crate::tables_model::{Step, TABLES, step, take};

/// What is printed for a test that cannot run here.
pub(crate) const SKIPPED: &str = "no CQL server (set SALER_TEST_CQL)";

/// Keyspaces of earlier runs are removed after so many seconds.
const KEPT_S: i64 = 1_800;

const PREFIX: &str = "saler_test_";

/// The server to test with.
pub(crate) fn server() -> Option<String> {
    let named = std::env::var_os("SALER_TEST_CQL").map(|name| name.into_string().unwrap());
    if named.is_none() {
        println!("skipped: {SKIPPED}");
    }
    named
}

/// Options for a keyspace of its own.
pub(crate) fn options(server: &str) -> CqlOptions {
    let random = std::hash::RandomState::new().build_hasher().finish();
    CqlOptions {
        keyspace: format!("{PREFIX}{:x}_{random:x}", SystemClock.now().unix_seconds()),
        replication: 1,
        // The machine of the tests is slow, and busy with everything else.
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_mins(1),
        ..CqlOptions::new([server])
    }
}

/// Options for the keyspace that most tests share, each with keys of its own.
pub(crate) fn shared(server: &str) -> CqlOptions {
    static SHARED: OnceLock<CqlOptions> = OnceLock::new();
    SHARED.get_or_init(|| options(server)).clone()
}

/// A session that does what it is told.
pub(crate) async fn admin(server: &str) -> Session {
    SessionBuilder::new().known_node(server).fetch_schema_metadata(false).build().await.unwrap()
}

pub(crate) async fn drop_keyspace(server: &str, keyspace: &str) {
    admin(server).await.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
}

/// Removes what earlier runs left.
async fn remove_old_keyspaces(server: &str) {
    let admin = admin(server).await;
    let rows = admin.query_unpaged("SELECT keyspace_name FROM system_schema.keyspaces", ()).await.unwrap();
    let now = SystemClock.now().unix_seconds();
    for row in rows.into_rows_result().unwrap().rows::<(String,)>().unwrap() {
        let (name,) = row.unwrap();
        let made_at = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next());
        let made_at = made_at.and_then(|hex| i64::from_str_radix(hex, 16).ok());
        if made_at.is_some_and(|made_at| made_at < now - KEPT_S) {
            admin.query_unpaged(format!("DROP KEYSPACE IF EXISTS {name}"), ()).await.unwrap();
        }
    }
}

struct Cql;

#[async_trait]
impl Factory for Cql {
    async fn open(&self) -> Arc<dyn Tables> {
        Arc::new(CqlTables::open(shared(&server().unwrap())).await.unwrap())
    }

    fn is_persistent(&self) -> bool {
        true
    }

    fn skipped(&self) -> Option<&'static str> {
        server().is_none().then_some(SKIPPED)
    }

    fn isolates_batches(&self) -> bool {
        false
    }
}

storage::tables_contract!(cql, super::Cql);

/// An id that no other test of this run uses.
pub(crate) fn fresh_id() -> Value {
    let mut bytes = [0; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&std::hash::RandomState::new().build_hasher().finish().to_be_bytes());
    }
    Value::Uuid(bytes)
}

/// A workspace that no other test of this run uses.
pub(crate) fn fresh_workspace() -> Value {
    match fresh_id() {
        Value::Uuid(bytes) => WorkspaceId::from_bytes(bytes).into(),
        other => other,
    }
}

/// Four processes find an empty server at the same moment, and all four make the tables; afterwards random work gives the same
/// answers, and leaves the same rows, as on the model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_that_open_an_empty_server_at_once_do_as_the_model_does() {
    let Some(server) = server() else { return };
    remove_old_keyspaces(&server).await;
    let options = options(&server);
    let opening: Vec<_> = (0..4).map(|_| tokio::spawn(CqlTables::open(options.clone()))).collect();
    let mut opened = Vec::new();
    for one in opening {
        opened.push(one.await.unwrap().unwrap());
    }
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let steps = prop::collection::vec(step(), 1..50);
    for case in 0..10 {
        let model = MemoryTables::new();
        let tables = &opened[case % opened.len()];
        for step in steps.new_tree(&mut runner).unwrap().current() {
            if matches!(step, Step::Reopen) {
                continue;
            }
            let expected = take(step.clone(), &model).await;
            assert_eq!(take(step.clone(), tables).await, expected, "{step:?}");
        }
        let rows = dump_tables(&model, &TABLES).await.unwrap();
        assert_eq!(dump_tables(tables, &TABLES).await.unwrap(), rows);
        remove_all(tables).await;
    }
    drop_keyspace(&server, &options.keyspace).await;
}

async fn remove_all(tables: &CqlTables) {
    for table in TABLES {
        for row in tables.page(table, None, 10_000).await.unwrap() {
            let mut batch = Batch::default();
            batch.delete(table, row.key);
            tables.write(batch, Sync::Now).await.unwrap();
        }
    }
}

/// A scan over many pages of the driver gives every row once, in both directions, and stops at its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_five_thousand_rows_is_read_in_pages() {
    const ROWS: i64 = 5_000;
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let workspace = fresh_workspace();
    let name = |n: i64| Value::Text(format!("label {n:05}"));
    for hundred in 0..ROWS / 100 {
        let mut batch = Batch::default();
        for n in 0..100 {
            let key = Key::of([workspace.clone()]).at([name(hundred * 100 + n)]);
            batch.put(LABELS, Row::new(key).with("body", vec![0; 100]));
        }
        tables.write(batch, Sync::Later).await.unwrap();
    }
    let found = |rows: Vec<Row>| rows.into_iter().map(|row| row.key.clustering[0].clone()).collect::<Vec<_>>();
    let all = tables.scan(LABELS, Scan::of([workspace.clone()], usize::MAX)).await.unwrap();
    assert_eq!(found(all), (0..ROWS).map(name).collect::<Vec<_>>());
    let last = tables.scan(LABELS, Scan::of([workspace.clone()], 1_234).backwards()).await.unwrap();
    assert_eq!(found(last), (0..ROWS).rev().take(1_234).map(name).collect::<Vec<_>>());
    let next = Scan::of([workspace], 3).after(vec![name(ROWS - 3)]);
    assert_eq!(found(tables.scan(LABELS, next).await.unwrap()), [name(ROWS - 2), name(ROWS - 1)]);
}

/// What the servers would not take is refused before they are asked, with the limit and the way out.
#[tokio::test]
async fn what_is_over_a_limit_is_refused_with_the_limit() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let workspace = fresh_workspace();
    let mut spread = Batch::default();
    let keys: Vec<_> = (0..5_u8).map(|n| Key::of([workspace.clone(), Value::Uuid([n; 16])])).collect();
    for key in &keys {
        spread.put(CONTACTS, Row::new(key.clone()).with("body", vec![1; LOGGED_BATCH_BYTES / 4]));
    }
    let mut large = Batch::default();
    large.put(CONTACTS, Row::new(keys[0].clone()).with("body", vec![1; 9 << 20]));
    let mut nameless = Batch::default();
    nameless.put(INSTALLATION, Row::new(Key::of(["".into()])).with("body", vec![1]));
    for (batch, words) in [(spread, "write it in parts"), (large, "contacts"), (nameless, "partition key")] {
        let error = tables.write(batch, Sync::Now).await.unwrap_err();
        assert!(matches!(&error, TablesError::Invalid { reason } if reason.contains(words)), "{error}");
    }
    let found = tables.get_many(keys.into_iter().map(|key| (CONTACTS, key)).collect()).await.unwrap();
    assert!(found.iter().all(Option::is_none), "{found:?}");
    assert_eq!(tables.get(INSTALLATION, Key::of(["".into()])).await.unwrap(), None);
}

/// Plain and conditional writes of one row in quick succession each count, whatever the clocks of both sides say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_and_conditional_writes_of_a_row_follow_each_other() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let key = Key::of([fresh_id()]);
    for round in 0..50_i64 {
        let row = |n: i64| Row::new(key.clone()).with("version", round * 10 + n);
        assert_eq!(tables.insert_if_absent(SESSIONS, row(0)).await.unwrap(), None);
        assert!(tables.update_if(SESSIONS, row(1), "version", Some((round * 10).into())).await.unwrap());
        let mut batch = Batch::default();
        batch.put(SESSIONS, row(2));
        tables.write(batch, Sync::Now).await.unwrap();
        assert!(tables.update_if(SESSIONS, row(3), "version", Some((round * 10 + 2).into())).await.unwrap());
        assert_eq!(tables.get(SESSIONS, key.clone()).await.unwrap(), Some(row(3)));
        let mut batch = Batch::default();
        batch.delete(SESSIONS, key.clone());
        tables.write(batch, Sync::Now).await.unwrap();
    }
    assert_eq!(tables.get(SESSIONS, key).await.unwrap(), None);
}

/// Rows that are asked for together come in the order of the keys, also where some are missing or asked for twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_asked_for_together_come_in_the_order_of_the_keys() {
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let workspace = fresh_workspace();
    let key = |n: i64| Key::of([workspace.clone(), Value::Uuid([7; 16]), format!("id {n}").into()]);
    for n in (0..50).step_by(2) {
        tables.insert_if_absent(EXTERNAL_MESSAGES, Row::new(key(n)).with("seq", n)).await.unwrap();
    }
    let asked: Vec<i64> = (0..50).rev().chain([4, 5, 4]).collect();
    let keys = asked.iter().map(|n| (EXTERNAL_MESSAGES, key(*n))).collect();
    let found = tables.get_many(keys).await.unwrap();
    let seqs: Vec<_> = found.iter().map(|row| row.as_ref().and_then(|row| row.int("seq"))).collect();
    let expected: Vec<_> = asked.iter().map(|n| (n % 2 == 0).then_some(*n)).collect();
    assert_eq!(seqs, expected);
    assert!(found.iter().flatten().all(|row| row.key.partition.first() == Some(&workspace)));
}

/// A list through which more rows went than a server passes over in one read still gives those that are left, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_read_past_very_many_deleted_rows() {
    const GONE: u64 = 110_000;
    const TOGETHER: u64 = 2_000;
    let Some(server) = server() else { return };
    let tables = CqlTables::open(shared(&server)).await.unwrap();
    let partition = || Key::of([Value::Int(5_000_000)]);
    // Like ids of one hour, which begin alike.
    let place = |n: u64| [Value::Uuid(((0x019d_u128 << 112) + (u128::from(n) << 70)).to_be_bytes())];
    for first in (0..GONE).step_by(usize::try_from(TOGETHER).unwrap()) {
        let mut batch = Batch::default();
        (first..first + TOGETHER).for_each(|n| batch.delete(PENDING_SENDS, partition().at(place(n))));
        tables.write(batch, Sync::Later).await.unwrap();
    }
    let mut batch = Batch::default();
    for n in [GONE, GONE / 2, GONE + 1] {
        batch.put(PENDING_SENDS, Row::new(partition().at(place(n))).with("body", vec![1]));
    }
    tables.write(batch, Sync::Later).await.unwrap();
    let range = Scan::of(partition().partition, 1_000);
    let found = |rows: Vec<Row>| rows.into_iter().map(|row| row.key.clustering).collect::<Vec<_>>();
    let rows = found(tables.scan(PENDING_SENDS, range.clone()).await.unwrap());
    assert_eq!(rows, [place(GONE / 2), place(GONE), place(GONE + 1)]);
    let two = Scan { limit: 2, ..range.after(place(GONE - TOGETHER).to_vec()) };
    assert_eq!(found(tables.scan(PENDING_SENDS, two).await.unwrap()), [place(GONE), place(GONE + 1)]);
    let last = Scan::of(partition().partition, 3).backwards().after(place(GONE).to_vec());
    assert_eq!(found(tables.scan(PENDING_SENDS, last).await.unwrap()), [place(GONE / 2)]);
    assert_eq!(tables.refusing(), None);
}
