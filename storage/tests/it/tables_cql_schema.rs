//! Making and changing tables on CQL servers.

use schemas::tables::{Column, ColumnType, Order, SESSIONS, Table};
use storage::tables::TablesError;
use storage::tables::cql::{CqlTables, migrate_tables};

use crate::tables_cql::{admin, drop_keyspace, options, server, shared};

const fn column(name: &'static str, kind: ColumnType) -> Column {
    Column { name, kind }
}

const FIRST: Table = Table {
    name: "widgets",
    about: "Things that hang on the customer's wall.",
    partition_key: &[column("owner", ColumnType::Uuid)],
    clustering_key: &[column("made_at", ColumnType::Timestamp), column("name", ColumnType::Text)],
    order: Order::Descending,
    columns: &[column("color", ColumnType::Text)],
};

static FIRST_VERSION: Table = FIRST;
static SECOND_VERSION: Table =
    Table { columns: &[column("color", ColumnType::Text), column("size", ColumnType::Int)], ..FIRST };
static OTHER_TYPE: Table = Table { columns: &[column("color", ColumnType::Int)], ..FIRST };
static OTHER_ORDER: Table = Table { order: Order::Ascending, ..FIRST };
static SHORTER_KEY: Table = Table { clustering_key: &[column("made_at", ColumnType::Timestamp)], ..FIRST };
static OTHER_KEY: Table = Table { partition_key: &[column("place", ColumnType::Uuid)], ..FIRST };

/// A later version adds its column, and an earlier one that starts again leaves it alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_a_later_version_is_added_once_by_whoever_comes_first() {
    let Some(server) = server() else { return };
    let options = options(&server);
    let made = migrate_tables(&options, &[&FIRST_VERSION]).await.unwrap();
    assert_eq!((made.tables, made.columns, made.version), (1, 0, 1));
    let again = migrate_tables(&options, &[&FIRST_VERSION]).await.unwrap();
    assert_eq!((again.tables, again.columns, again.version), (0, 0, 1));
    let changing: Vec<_> = (0..4)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { migrate_tables(&options, &[&SECOND_VERSION]).await })
        })
        .collect();
    let mut columns = 0;
    for one in changing {
        columns += one.await.unwrap().unwrap().columns;
    }
    assert_eq!(columns, 1, "one of four adds the column");
    let before = migrate_tables(&options, &[&FIRST_VERSION]).await.unwrap();
    assert_eq!((before.tables, before.columns, before.version), (0, 0, 2));
    drop_keyspace(&server, &options.keyspace).await;
}

/// A table that is another one than declared is named with what is wrong, and is not touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_another_one_is_refused_by_name() {
    let Some(server) = server() else { return };
    let options = options(&server);
    migrate_tables(&options, &[&FIRST_VERSION]).await.unwrap();
    for (table, words) in [
        (&OTHER_TYPE, "its column color is text, not bigint"),
        (&OTHER_ORDER, "order desc"),
        (&SHORTER_KEY, "its key has the column name too"),
        (&OTHER_KEY, "its key has no column place"),
    ] {
        let error = migrate_tables(&options, &[table]).await.unwrap_err();
        let TablesError::Invalid { reason } = &error else { panic!("{error:?}") };
        assert!(reason.contains("widgets") && reason.contains(words), "{reason}");
    }
    migrate_tables(&options, &[&FIRST_VERSION]).await.unwrap();
    drop_keyspace(&server, &options.keyspace).await;
}

/// Where opening may not change tables, it says what is missing and how to make it.
#[tokio::test]
async fn opening_without_migration_only_looks() {
    let Some(server) = server() else { return };
    let mut only_looking = options(&server);
    only_looking.migrate = false;
    let error = CqlTables::open(only_looking).await.unwrap_err().to_string();
    assert!(error.contains("saler migrate"), "{error}");
    let mut made = shared(&server);
    CqlTables::open(made.clone()).await.unwrap();
    made.migrate = false;
    CqlTables::open(made).await.unwrap();
}

/// What is declared about a table is there for whoever looks at the servers.
#[tokio::test]
async fn a_table_says_what_it_holds() {
    let Some(server) = server() else { return };
    let options = shared(&server);
    CqlTables::open(options.clone()).await.unwrap();
    let text = format!(
        "SELECT comment FROM system_schema.tables WHERE keyspace_name = '{}' AND table_name = '{}'",
        options.keyspace, SESSIONS.name
    );
    let rows = admin(&server).await.query_unpaged(text, ()).await.unwrap().into_rows_result().unwrap();
    let (comment,) = rows.single_row::<(String,)>().unwrap();
    assert_eq!(comment, SESSIONS.about.trim());
}
