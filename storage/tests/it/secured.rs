//! Servers that ask for TLS and a password: with both the engines work as without, and with a wrong authority or password they
//! say what is wrong.
//!
//! `SALER_TEST_SECURED_KAFKA` and `SALER_TEST_SECURED_CQL` name the servers, `SALER_TEST_SECURED_TLS` the folder with the
//! authority that signed their certificates (`ca.pem`) and one that did not (`other-ca.pem`), as `deploy/test-servers.sh start
//! --secured` has it. Without them these tests are skipped by name, and say so.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use schemas::channel::Secret as Password;
use schemas::tables::LABELS;
use schemas::{Timestamp, WorkspaceId};
use storage::log::kafka::{KafkaLog, KafkaOptions, SaslMechanism, Secret, Security, Tls};
use storage::log::{Log, NewRecord, ReadLimit, Topic};
use storage::tables::cql::{CqlCredentials, CqlOptions, CqlTables, CqlTls};
use storage::tables::{Key, Row, Tables};

/// What `deploy/test-servers.sh` gives its servers.
const KAFKA_USER: (&str, &str) = ("saler", "test-password");
const CQL_USER: (&str, &str) = ("cassandra", "cassandra");

/// What a variable names, and the folder of certificates.
fn server(variable: &str) -> Option<(String, PathBuf)> {
    let named = |name: &str| std::env::var_os(name).map(|value| value.into_string().unwrap());
    let found = named(variable).zip(named("SALER_TEST_SECURED_TLS").map(PathBuf::from));
    if found.is_none() {
        println!("skipped: no server with TLS and a password (set {variable} and SALER_TEST_SECURED_TLS)");
    }
    found
}

fn unique() -> u64 {
    RandomState::new().hash_one(0)
}

fn kafka(brokers: &str, ca_file: PathBuf, password: &str) -> KafkaOptions {
    KafkaOptions {
        topic_prefix: format!("test-secured-{:016x}", unique()),
        partitions: 1,
        append_timeout: Duration::from_mins(1),
        security: Security::Sasl {
            mechanism: SaslMechanism::ScramSha512,
            username: KAFKA_USER.0.to_owned(),
            password: Secret::new(password),
            tls: Some(Tls { ca_file: Some(ca_file), ..Tls::default() }),
        },
        ..KafkaOptions::new([brokers])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_on_brokers_that_ask_for_tls_and_a_password_keeps_records() {
    let Some((brokers, tls)) = server("SALER_TEST_SECURED_KAFKA") else { return };
    let log = KafkaLog::open(kafka(&brokers, tls.join("ca.pem"), KAFKA_USER.1)).await.unwrap();
    let record = NewRecord {
        key: WorkspaceId::from_bytes([1; 16]),
        at: Timestamp::from_unix_micros(1),
        value: Bytes::from_static(b"over TLS"),
    };
    let first = log.append(Topic::Commands, 0, vec![record]).await.unwrap();
    log.wait_for(Topic::Commands, 0, first).await.unwrap();
    let read = log.read(Topic::Commands, 0, first, ReadLimit { records: 1, bytes: 100 }).await.unwrap();
    assert_eq!(read.first().map(|record| &record.value[..]), Some(&b"over TLS"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_says_that_a_password_or_an_authority_is_wrong() {
    let Some((brokers, tls)) = server("SALER_TEST_SECURED_KAFKA") else { return };
    let wrong_password = kafka(&brokers, tls.join("ca.pem"), "guessed");
    let error = KafkaLog::open(wrong_password).await.unwrap_err().to_string();
    assert!(error.contains("username and password in [kafka]") && !error.contains("guessed"), "{error}");
    let wrong_authority = kafka(&brokers, tls.join("other-ca.pem"), KAFKA_USER.1);
    let error = KafkaLog::open(wrong_authority).await.unwrap_err().to_string();
    assert!(error.contains("ca_file in [kafka]"), "{error}");
    let no_tls = KafkaOptions { security: Security::Plaintext, ..kafka(&brokers, tls.join("ca.pem"), "") };
    let error = KafkaLog::open(no_tls).await.unwrap_err().to_string();
    assert!(error.contains("security in [kafka]"), "{error}");
}

fn cql(node: &str, ca_file: PathBuf, password: &str) -> CqlOptions {
    CqlOptions {
        keyspace: "saler_test_secured".to_owned(),
        replication: 1,
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_mins(1),
        credentials: Some(CqlCredentials { username: CQL_USER.0.to_owned(), password: Password::new(password) }),
        tls: Some(CqlTls { ca_file, identity: None }),
        ..CqlOptions::new([node])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_on_a_node_that_asks_for_tls_and_a_password_keep_rows() {
    let Some((node, tls)) = server("SALER_TEST_SECURED_CQL") else { return };
    let tables = CqlTables::open(cql(&node, tls.join("ca.pem"), CQL_USER.1)).await.unwrap();
    let key = Key::of([WorkspaceId::from_bytes([1; 16]).into()]).at(["label".into()]);
    let row = Row::new(key.clone()).with("body", unique().to_le_bytes().to_vec());
    tables.insert_if_absent(LABELS, row.clone()).await.unwrap();
    assert!(tables.get(LABELS, key).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_say_that_a_password_or_an_authority_is_wrong() {
    let Some((node, tls)) = server("SALER_TEST_SECURED_CQL") else { return };
    let brief = |options: CqlOptions| CqlOptions { connect_timeout: Duration::from_secs(30), ..options };
    let wrong_password = brief(cql(&node, tls.join("ca.pem"), "guessed"));
    let error = CqlTables::open(wrong_password).await.unwrap_err().to_string();
    assert!(error.contains("username and password in [scylla]") && !error.contains("guessed"), "{error}");
    let wrong_authority = brief(cql(&node, tls.join("other-ca.pem"), CQL_USER.1));
    let error = CqlTables::open(wrong_authority).await.unwrap_err().to_string();
    assert!(error.contains("ca_file in [scylla]"), "{error}");
    let no_password = CqlOptions { credentials: None, ..brief(cql(&node, tls.join("ca.pem"), "")) };
    let error = CqlTables::open(no_password).await.unwrap_err().to_string();
    assert!(error.contains("username and password in [scylla]"), "{error}");
}
