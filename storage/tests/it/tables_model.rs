//! Random work on the embedded tables and on the model gives the same answers, and leaves the same rows.

use std::ops::Bound;

use proptest::prelude::*;
use schemas::tables::{CONVERSATION_VIEWS, EXTERNAL_MESSAGES, LABELS, SESSIONS, Table, Value};
use schemas::{Timestamp, WorkspaceId};
use storage::tables::dump::{Dump, dump};
use storage::tables::embedded::EmbeddedTables;
use storage::tables::memory::MemoryTables;
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables};

use crate::tables_contract::small;

pub(crate) const TABLES: [&Table; 4] = [LABELS, CONVERSATION_VIEWS, SESSIONS, EXTERNAL_MESSAGES];

type Columns = Vec<(&'static str, Value)>;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(Vec<(usize, Key, Option<Columns>)>, bool),
    Insert(usize, Key, Columns),
    Update(usize, Key, Columns, Option<Value>),
    Get(usize, Vec<Key>),
    Scan(usize, Scan),
    Reopen,
}

/// Few values, so that keys meet again.
fn value(kind: schemas::tables::ColumnType) -> BoxedStrategy<Value> {
    use schemas::tables::ColumnType;
    match kind {
        ColumnType::Workspace => (0..3_u8).prop_map(|n| WorkspaceId::from_bytes([n; 16]).into()).boxed(),
        ColumnType::Uuid => (0..3_u8).prop_map(|n| Value::Uuid([n; 16])).boxed(),
        ColumnType::Text => prop::sample::select(&["", "\0", "a", "a\0", "ab"][..]).prop_map(Value::from).boxed(),
        ColumnType::Int => (-2..3_i64).prop_map(Value::Int).boxed(),
        ColumnType::Timestamp => (-2..3_i64).prop_map(|n| Value::Timestamp(Timestamp::from_unix_micros(n))).boxed(),
        ColumnType::Blob => {
            (0..3_u8, prop_oneof![Just(3_usize), Just(9_000)]).prop_map(|(n, size)| Value::Blob(vec![n; size])).boxed()
        }
    }
}

fn key(table: usize) -> impl Strategy<Value = Key> {
    let table = TABLES[table];
    let values =
        |columns: &[schemas::tables::Column]| columns.iter().map(|column| value(column.kind)).collect::<Vec<_>>();
    (values(table.partition_key), values(table.clustering_key))
        .prop_map(|(partition, clustering)| Key { partition, clustering })
}

fn columns(table: usize) -> impl Strategy<Value = Columns> {
    let columns: Vec<_> = TABLES[table]
        .columns
        .iter()
        .map(|column| prop::option::of(value(column.kind).prop_map(|value| (column.name, value))))
        .collect();
    columns.prop_map(|columns| columns.into_iter().flatten().collect())
}

fn scan(table: usize) -> impl Strategy<Value = Scan> {
    let bound = || {
        (key(table), 0..3_usize, 0..3_u8).prop_map(|(key, depth, kind)| {
            let values = key.clustering.into_iter().take(depth).collect();
            match kind {
                0 => Bound::Unbounded,
                1 => Bound::Included(values),
                _ => Bound::Excluded(values),
            }
        })
    };
    (key(table), bound(), bound(), any::<bool>(), 0..9_usize).prop_map(|(key, start, end, backwards, limit)| Scan {
        partition: key.partition,
        start,
        end,
        backwards,
        limit,
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let table = 0..TABLES.len();
    let change =
        table.clone().prop_flat_map(|table| (Just(table), key(table), prop::option::weighted(0.7, columns(table))));
    let compared = |table: usize| match TABLES[table].columns.first() {
        Some(column) => prop::option::of(value(column.kind)).boxed(),
        None => Just(None).boxed(),
    };
    prop_oneof![
        6 => (prop::collection::vec(change, 0..12), any::<bool>()).prop_map(|(changes, now)| Step::Write(changes, now)),
        2 => table.clone().prop_flat_map(|table| (Just(table), key(table), columns(table)))
            .prop_map(|(table, key, columns)| Step::Insert(table, key, columns)),
        2 => table.clone().prop_flat_map(move |table| (Just(table), key(table), columns(table), compared(table)))
            .prop_map(|(table, key, columns, expected)| Step::Update(table, key, columns, expected)),
        2 => table.clone().prop_flat_map(|table| (Just(table), prop::collection::vec(key(table), 1..6)))
            .prop_map(|(table, keys)| Step::Get(table, keys)),
        4 => table.prop_flat_map(|table| (Just(table), scan(table))).prop_map(|(table, scan)| Step::Scan(table, scan)),
        1 => Just(Step::Reopen),
    ]
}

/// What a step answers, as text.
pub(crate) async fn take(step: Step, tables: &dyn Tables) -> String {
    let row = |key, columns| Row { key, columns };
    match step {
        Step::Write(changes, now) => {
            let mut batch = Batch::default();
            for (table, key, columns) in changes {
                match columns {
                    Some(columns) => batch.put(TABLES[table], row(key, columns)),
                    None => batch.delete(TABLES[table], key),
                }
            }
            let sync = if now { Sync::Now } else { Sync::Later };
            format!("{:?}", tables.write(batch, sync).await)
        }
        Step::Insert(table, key, columns) => {
            format!("{:?}", tables.insert_if_absent(TABLES[table], row(key, columns)).await)
        }
        Step::Update(table, key, columns, expected) => match TABLES[table].columns.first() {
            Some(column) => {
                let row = row(key, columns);
                format!("{:?}", tables.update_if(TABLES[table], row, column.name, expected).await)
            }
            None => String::new(),
        },
        Step::Get(table, keys) => {
            let keys = keys.into_iter().map(|key| (TABLES[table], key)).collect();
            format!("{:?}", tables.get_many(keys).await)
        }
        Step::Scan(table, scan) => format!("{:?}", tables.scan(TABLES[table], scan).await),
        Step::Reopen => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_embedded_tables_do_as_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let model = MemoryTables::new();
            let mut embedded = Some(EmbeddedTables::open(small(&dir)).unwrap());
            for step in steps {
                if matches!(step, Step::Reopen) {
                    drop(embedded.take());
                    embedded = Some(EmbeddedTables::open(small(&dir)).unwrap());
                    continue;
                }
                let tables = embedded.as_ref().unwrap();
                let expected = take(step.clone(), &model).await;
                assert_eq!(take(step.clone(), tables).await, expected, "{step:?}");
            }
            let rows = dump(&model).await.unwrap();
            assert_eq!(dump(embedded.as_ref().unwrap()).await.unwrap(), rows);
        });
    }
}

#[tokio::test]
async fn a_dump_is_the_same_from_every_engine_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = EmbeddedTables::open(small(&dir)).unwrap();
    let model = MemoryTables::new();
    let mut batch = Batch::default();
    for n in 0..2_500_i64 {
        let key = Key::of([WorkspaceId::from_bytes([n.to_le_bytes()[0] % 3; 16]).into(), "open/all".into()]);
        let at = Value::Timestamp(Timestamp::from_unix_micros(n));
        batch.put(CONVERSATION_VIEWS, Row::new(key.at([at, Value::Uuid([1; 16])])));
    }
    let key = Key::of([WorkspaceId::from_bytes([1; 16]).into()]).at(["قائمة\0".into()]);
    batch.put(LABELS, Row::new(key).with("body", b"{\"a\":1}".to_vec()));
    for tables in [&embedded as &dyn Dump, &model] {
        tables.write(batch.clone(), Sync::Later).await.unwrap();
    }
    let lines = dump(&model).await.unwrap();
    assert_eq!(lines.len(), 2_501);
    assert_eq!(lines[0], "labels workspace_id=01010101010101010101010101010101 name=\"قائمة\\0\" : body={\\\"a\\\":1}");
    assert_eq!(dump(&embedded).await.unwrap(), lines);
}

#[tokio::test]
async fn the_model_can_lose_power_and_fill_up() {
    let tables = MemoryTables::with_loss_of_power();
    let key = |n: u8| Key::of([Value::Uuid([n; 16])]);
    for n in 0..6_u8 {
        let mut batch = Batch::default();
        batch.put(SESSIONS, Row::new(key(n)).with("version", i64::from(n)));
        let sync = if n == 2 { Sync::Now } else { Sync::Later };
        tables.write(batch, sync).await.unwrap();
    }
    assert_eq!(tables.lose_power(1), 2);
    let left = tables.get_many((0..6).map(|n| (SESSIONS, key(n))).collect()).await.unwrap();
    assert_eq!(left.iter().filter(|row| row.is_some()).count(), 4);
    tables.set_disk_full(true);
    assert!(tables.write(Batch::default(), Sync::Later).await.is_err());
    assert!(tables.refusing().unwrap().contains("disk is full"));
    tables.set_disk_full(false);
    tables.write(Batch::default(), Sync::Later).await.unwrap();
}
