//! Which engines the end-to-end tests run on: those in memory, or servers that the environment names.
//!
//! With `SALER_TEST_KAFKA` and `SALER_TEST_CQL` the same tests run on Kafka and Cassandra. One part of a hub (the role
//! ingest) works for all tests of the process, over topics and a keyspace of its own; each test adds a gateway.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use gateway::app::{Application, Engines};
use gateway::config::{Config, Roles, Sources, load};
use storage::clock::{Clock, SystemClock};

/// The servers.
pub(crate) const KAFKA: &str = "SALER_TEST_KAFKA";
pub(crate) const CQL: &str = "SALER_TEST_CQL";

/// What the processes of a cluster show each other in the tests.
pub(crate) const ANALYTICS_TOKEN: &str = "a-token-of-the-tests-0123456789abcdef";

/// The settings of a new cluster on the servers that the environment names; without them none, and a line that says so.
#[expect(clippy::disallowed_methods, reason = "the tests' servers are named by the environment")]
pub(crate) fn cluster_settings() -> Option<Vec<(String, String)>> {
    let (Ok(kafka), Ok(cql)) = (std::env::var(KAFKA), std::env::var(CQL)) else {
        println!("skipped: no Kafka and CQL servers (set {KAFKA} and {CQL})");
        return None;
    };
    let random = RandomState::new().hash_one(0);
    let settings = [
        ("SALER_LOG__ENGINE", "kafka".to_owned()),
        ("SALER_LOG__PARTITIONS", "4".to_owned()),
        ("SALER_TABLES__ENGINE", "scylla".to_owned()),
        ("SALER_KAFKA__BROKERS", kafka),
        ("SALER_KAFKA__TOPIC_PREFIX", format!("test-{random:016x}")),
        ("SALER_KAFKA__REPLICATION", "1".to_owned()),
        ("SALER_KAFKA__MIN_IN_SYNC", "1".to_owned()),
        ("SALER_KAFKA__SESSION_TIMEOUT_MS", "6000".to_owned()),
        ("SALER_SCYLLA__NODES", cql),
        ("SALER_SCYLLA__KEYSPACE", format!("saler_test_{random:016x}")),
        ("SALER_SCYLLA__REPLICATION", "1".to_owned()),
        ("SALER_SCYLLA__REQUEST_TIMEOUT_MS", "20000".to_owned()),
        ("SALER_ANALYTICS__TOKEN", ANALYTICS_TOKEN.to_owned()),
    ];
    Some(settings.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The configuration of these settings.
pub(crate) fn config(settings: Vec<(String, String)>) -> Config {
    load(&Sources { variables: settings, ..Sources::default() }).unwrap()
}

/// A cluster that all tests of this process share.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) engines: Engines,
}

/// The cluster, if the environment names servers. Blocks while it starts.
pub(crate) fn shared() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| cluster_settings().map(start)).as_ref()
}

/// Opens the engines and runs the role ingest, on threads that outlive every test.
fn start(settings: Vec<(String, String)>) -> Pair {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let variables = settings.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut variables = variables;
            variables.push(("SALER_HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
            let config = config(variables);
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let handle = tokio::runtime::Handle::current();
            let engines = Engines::open(&config, "tests", &clock, &handle).await.unwrap();
            let roles = Roles::parse(&["ingest"]).unwrap();
            let ingest = Application::with_engines(config, roles, clock, engines.clone(), None).await.unwrap();
            tell.send(Engines { leaving: None, ..engines }).unwrap();
            ingest.run_until_stopped().await.unwrap();
        });
    });
    Pair { settings, engines: told.recv().expect("the servers answer") }
}
