//! What the log on Kafka takes durably, against librdkafka's bare producer with the same settings on the same topics:
//! producers that each append one record of 300 bytes and wait, in turns; and the time of one append alone.
//!
//! `SALER_TEST_KAFKA=127.0.0.1:19092 cargo run --release -p storage --example kafka_throughput [RECORDS A CALL]`
//!
//! Ends with an error if the log takes less than half of what the bare producer takes, in the median of the rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it fails and prints")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use schemas::{Timestamp, WorkspaceId};
use storage::log::kafka::{KafkaLog, KafkaOptions};
use storage::log::{Log, NewRecord, ReadLimit, Topic};
use tokio::sync::Semaphore;

const RECORD_BYTES: usize = 300;
const PARTITIONS: u32 = 4;
const ROUND: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 9;
/// Records that wait to be kept at once, in both.
const IN_FLIGHT: usize = 2_000;
const WANTED_RATIO: f64 = 0.5;

/// Looks like the JSON of the hub: compressible, but not one byte over and over.
fn value(n: u64) -> Vec<u8> {
    let mut text = format!(r#"{{"kind":"receive_message","id":"{n:032x}","from":"+4917{n:08}","text":""#);
    let mut state = n | 1;
    while text.len() < RECORD_BYTES - 2 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap()));
    }
    text.push_str("\"}");
    text.into_bytes()
}

fn record(n: u64) -> NewRecord {
    NewRecord {
        key: WorkspaceId::from_bytes([7; 16]),
        at: Timestamp::from_unix_millis(1_795_000_000_000),
        value: value(n).into(),
    }
}

/// Counts what the bare producer has kept, and gives its room back.
struct Counted {
    kept: AtomicU64,
    room: Arc<Semaphore>,
}

impl ClientContext for Counted {}

impl ProducerContext for Counted {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok());
        self.kept.fetch_add(1, Ordering::Relaxed);
        self.room.add_permits(1);
    }
}

/// Records a second of the bare producer.
async fn bare(brokers: &str, topic: &str) -> f64 {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let producer: ThreadedProducer<Counted> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        .create_with_context(Counted { kept: AtomicU64::new(0), room: Arc::clone(&room) })
        .unwrap();
    let key = [7_u8; 16];
    let began = Instant::now();
    let mut n = 0_u64;
    while began.elapsed() < ROUND {
        room.acquire().await.unwrap().forget();
        n += 1;
        let value = value(n);
        let record = BaseRecord::to(topic).partition((n % u64::from(PARTITIONS)).try_into().unwrap());
        producer.send(record.key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
    }
    let kept = producer.client().context().kept.load(Ordering::Relaxed);
    let rate = per_second(kept, began.elapsed());
    producer.flush(Duration::from_secs(30)).unwrap();
    rate
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Records a second of the log.
async fn log_rate(log: &Arc<KafkaLog>, records_a_call: u64) -> f64 {
    let kept = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let callers = IN_FLIGHT / usize::try_from(records_a_call).unwrap();
    let callers: Vec<_> = (0..callers as u64)
        .map(|caller| {
            let (log, kept) = (Arc::clone(log), Arc::clone(&kept));
            tokio::spawn(async move {
                let partition = u32::try_from(caller).unwrap() % PARTITIONS;
                let mut n = caller << 32;
                while began.elapsed() < ROUND {
                    let records = (0..records_a_call).map(|part| record(n + part)).collect();
                    n += records_a_call;
                    log.append(Topic::Commands, partition, records).await.unwrap();
                    kept.fetch_add(records_a_call, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    per_second(kept.load(Ordering::Relaxed), began.elapsed())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    println!("{what}: p50 {:?}, p99 {:?}", percentile(&mut times, 50), percentile(&mut times, 99));
}

/// The time of one append when nobody else appends, and until a reader here and one in another process have it.
async fn latencies(log: &Arc<KafkaLog>, other: &Arc<KafkaLog>) {
    let mut next = log.sync(Topic::Events, 0).await.unwrap();
    let (mut appended, mut here, mut there) = (Vec::new(), Vec::new(), Vec::new());
    let reader = |log: &Arc<KafkaLog>, next: u64| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            log.wait_for(Topic::Events, 0, next).await.unwrap();
            let records = log.read(Topic::Events, 0, next, ReadLimit::default()).await.unwrap();
            assert_eq!(records.len(), 1);
            Instant::now()
        })
    };
    for turn in 0..600 {
        let (own, foreign) = (reader(log, next), reader(other, next));
        tokio::time::sleep(Duration::from_millis(2)).await;
        let began = Instant::now();
        next = log.append(Topic::Events, 0, vec![record(next)]).await.unwrap() + 1;
        let took = began.elapsed();
        let (own, foreign) = (own.await.unwrap() - began, foreign.await.unwrap() - began);
        // The first ones make connections.
        if turn >= 100 {
            appended.push(took);
            here.push(own);
            there.push(foreign);
        }
    }
    print_times("one append alone", appended);
    print_times("until a reader in this process has it", here);
    print_times("until a reader in another process has it", there);
}

async fn reading(log: &Arc<KafkaLog>) {
    let end = log.bounds(Topic::Commands, 0).await.unwrap().next;
    let (began, mut from) = (Instant::now(), 0);
    while from < end {
        from += log.read(Topic::Commands, 0, from, ReadLimit::default()).await.unwrap().len() as u64;
    }
    println!("catching up: {:.0} records/s over {end} records", per_second(end, began.elapsed()));
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the server of benchmarks is named by the environment")]
async fn main() -> ExitCode {
    let Ok(brokers) = std::env::var("SALER_TEST_KAFKA") else {
        println!("skipped: no Kafka server (set SALER_TEST_KAFKA)");
        return ExitCode::SUCCESS;
    };
    let records_a_call = std::env::args().nth(1).map_or(1, |count| count.parse().unwrap());
    let prefix = format!("bench-{}", std::process::id());
    let topic = format!("{prefix}.commands");
    let options = KafkaOptions {
        topic_prefix: prefix,
        partitions: PARTITIONS,
        ..KafkaOptions::new(brokers.split(',').map(str::to_owned))
    };
    let log = Arc::new(KafkaLog::open(options.clone()).await.unwrap());
    let other = Arc::new(KafkaLog::open(options).await.unwrap());
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let (bare, ours) = (bare(&brokers, &topic).await, log_rate(&log, records_a_call).await);
        println!("round {round}: bare {bare:.0} records/s, log {ours:.0} records/s");
        // The first one warms the broker up.
        if round > 0 {
            ratios.push(ours / bare);
        }
    }
    latencies(&log, &other).await;
    reading(&other).await;
    log.close().await;
    other.close().await;
    // Other work on the machine changes from round to round, but little within one.
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    println!(
        "the log takes {ratio:.2} of the bare producer, {records_a_call} records a call; {WANTED_RATIO} is wanted"
    );
    if ratio < WANTED_RATIO { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
