//! CQL servers that are away, go away, and come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::tables::SESSIONS;
use storage::tables::cql::{CqlOptions, CqlTables};
use storage::tables::{Batch, Derivation, Key, Row, Sync, Tables, TablesError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::tables_cql::{fresh_id, server, shared};

/// How long whatever is awaited here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Opening where nobody listens ends soon, and says where it looked and what to check.
#[tokio::test]
async fn opening_without_a_server_names_the_nodes_and_the_fix() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let begun = Instant::now();
    let error = CqlTables::open(CqlOptions::new([address.as_str()])).await.unwrap_err();
    assert!(begun.elapsed() < PATIENCE);
    let TablesError::Unavailable { reason } = &error else { panic!("{error:?}") };
    assert!(reason.contains(&address) && reason.contains("check tables.nodes"), "{reason}");
}

/// Options that make no sense are refused before anybody is asked.
#[tokio::test]
async fn opening_with_wrong_options_names_the_field() {
    let error = CqlTables::open(CqlOptions::new(Vec::<String>::new())).await.unwrap_err().to_string();
    assert!(error.contains("nodes"), "{error}");
}

/// A way to the server that can be cut.
struct Wire {
    address: String,
    is_up: watch::Sender<bool>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_up, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), state.clone()));
            }
        });
        Self { address, is_up }
    }
}

async fn carry(mut client: TcpStream, server: String, mut state: watch::Receiver<bool>) {
    if !*state.borrow_and_update() {
        return;
    }
    let mut server = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = state.wait_for(|is_up| !is_up) => {}
    }
}

fn session(version: i64, key: &Key) -> Batch {
    let mut batch = Batch::default();
    batch.put(SESSIONS, Row::new(key.clone()).with("version", version));
    batch
}

/// When the servers go away, requests end soon and say so; when they are back, everything goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_go_away_and_come_back_are_noticed() {
    let Some(server) = server() else { return };
    CqlTables::open(shared(&server)).await.unwrap();
    let wire = Wire::to(server.clone()).await;
    let options = CqlOptions { nodes: vec![wire.address.clone()], ..shared(&server) };
    let tables = Arc::new(CqlTables::open(options).await.unwrap());
    let key = Key::of([fresh_id()]);
    let turn = tables.take_turn(4_000_000).await.unwrap();
    let derived = |next_offset| Batch {
        derivation: Some(Derivation { partition: 4_000_000, turn, next_offset }),
        ..Batch::default()
    };
    tables.write(session(1, &key), Sync::Now).await.unwrap();
    tables.write(derived(1), Sync::Now).await.unwrap();
    assert_eq!(tables.refusing(), None);

    wire.is_up.send_replace(false);
    let mut failures = 0;
    tokio::time::timeout(PATIENCE, async {
        while tables.refusing().is_none() || failures < 3 {
            let begun = Instant::now();
            let result = tables.write(session(2, &key), Sync::Now).await;
            if let Err(error) = result {
                assert!(matches!(error, TablesError::Unavailable { .. }), "{error:?}");
                assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
                failures += 1;
            }
        }
    })
    .await
    .expect("the outage is not noticed");
    assert!(matches!(tables.get(SESSIONS, key.clone()).await, Err(TablesError::Unavailable { .. })));
    assert!(matches!(tables.write(derived(2), Sync::Now).await, Err(TablesError::Unavailable { .. })));
    assert!(matches!(tables.take_turn(4_000_000).await, Err(TablesError::Unavailable { .. })));

    wire.is_up.send_replace(true);
    tokio::time::timeout(PATIENCE, async {
        while tables.refusing().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the return is not noticed");
    tables.write(session(3, &key), Sync::Now).await.unwrap();
    let row = tables.get(SESSIONS, key.clone()).await.unwrap().unwrap();
    assert_eq!(row.int("version"), Some(3));
    // The turn may have been raised by the call whose end was not heard of: then it is over, and the next one counts.
    match tables.write(derived(3), Sync::Now).await {
        Ok(()) | Err(TablesError::Superseded { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    assert!(tables.take_turn(4_000_000).await.unwrap() > turn);
}
