//! A log whose end a loss of power took, under tables that kept what came of it.

use std::sync::Arc;
use std::time::Duration;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineError, EngineStatus, run};
use schemas::command::Actor;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Durability, Log, NewRecord, Topic};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::hub::{CUSTOMER, Hub, PARTITIONS, received, sms};

/// A log in `dir` that kept only the first `kept` commands of the hub's.
async fn shortened(hub: &Hub, dir: &tempfile::TempDir, durability: Durability, kept: usize) -> Arc<EmbeddedLog> {
    let options =
        EmbeddedLogOptions { durability, min_free_bytes: 0, ..EmbeddedLogOptions::new(dir.path(), PARTITIONS) };
    let log = Arc::new(EmbeddedLog::open(options).unwrap());
    let values = hub.values(Topic::Commands).await.into_iter().take(kept);
    let records = values.map(|value| NewRecord { key: hub.workspace, at: hub.now(), value: value.into() }).collect();
    log.append(Topic::Commands, hub.partition, records).await.unwrap();
    log
}

fn deps(hub: &Hub, log: &Arc<EmbeddedLog>) -> EngineDeps {
    let commands = Commands::new(log.clone(), hub.clock.clone());
    EngineDeps { log: log.clone(), commands, ..hub.deps() }
}

#[tokio::test]
async fn what_an_interval_lost_keeps_its_place_and_its_effect() {
    let hub = Hub::new().await;
    for n in 1..=3 {
        hub.receive(sms(), &format!("SM{n}"), CUSTOMER, "hello").await;
    }
    hub.settle().await;
    let all = hub.values(Topic::Commands).await.len();
    let dir = tempfile::tempdir().unwrap();
    let log = shortened(&hub, &dir, Durability::Interval(Duration::from_millis(1)), all - 2).await;
    let deps = deps(&hub, &log);

    let (status, mut seen) = watch::channel(EngineStatus::default());
    let shutdown = CancellationToken::new();
    let customer_goes_on = async {
        seen.wait_for(|status| status.caught_up).await.expect("the engine runs");
        // The provider repeats what it was not answered for; then the customer writes once more.
        for external_id in ["SM3", "SM4"] {
            let command = received(sms(), external_id, CUSTOMER, "hello");
            let record = deps.commands.record(hub.workspace, Actor::Channel { channel_id: sms() }, command);
            deps.commands.append(&record).await.unwrap();
        }
        let end = u64::try_from(all).unwrap() + 2;
        seen.wait_for(|status| status.next_offset >= end).await.expect("the engine runs");
        shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(run(hub.partition, deps.clone(), status, shutdown.clone()), customer_goes_on);
    ran.unwrap();

    let conversation = hub.conversation().await;
    assert_eq!(conversation.last_seq, 4, "three of before, and one more");
    assert_eq!(log.bounds(Topic::Commands, hub.partition).await.unwrap().next, u64::try_from(all).unwrap() + 2);
}

#[tokio::test]
async fn a_log_that_promises_fsync_and_lost_its_end_stops_the_engine() {
    let hub = Hub::new().await;
    hub.receive(sms(), "SM1", CUSTOMER, "hello").await;
    hub.settle().await;
    let position = u64::try_from(hub.values(Topic::Commands).await.len()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = shortened(&hub, &dir, Durability::Fsync, 1).await;
    let (status, _seen) = watch::channel(EngineStatus::default());
    let ran = run(hub.partition, deps(&hub, &log), status, CancellationToken::new()).await;
    assert!(matches!(ran, Err(EngineError::Ahead { next: 1, position: found, .. }) if found == position), "{ran:?}");
}
