//! What group commit adds to the disk's own fdatasync: producers that each append one record of 300 bytes and wait, against
//! a bare write and fdatasync of the same bytes, measured in turns on the same disk.
//!
//! `cargo run --release -p storage --example log_bench [FOLDER]`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it fails and prints")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Timestamp, WorkspaceId};
use storage::log::embedded::disk::{Disk, RealDisk};
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Log, NewRecord, ReadLimit, Topic};

const RECORD_BYTES: usize = 300;
const ROUND: Duration = Duration::from_secs(2);

fn record() -> NewRecord {
    NewRecord {
        key: WorkspaceId::from_bytes([7; 16]),
        at: Timestamp::from_unix_millis(1_795_000_000_000),
        value: vec![b'x'; RECORD_BYTES].into(),
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Writes `batch` records at once and syncs, again and again; the time of each turn.
fn bare(dir: &Path, batch: usize) -> Vec<Duration> {
    let path = dir.join("bare");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).unwrap();
    let bytes = vec![b'x'; (RECORD_BYTES + 44) * batch];
    let (mut position, mut reserved) = (0, 0);
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < ROUND {
        let turn = Instant::now();
        let end = position + bytes.len() as u64;
        if end > reserved {
            RealDisk.reserve(&file, &path, reserved, end + (4 << 20)).unwrap();
            reserved = end + (4 << 20);
        }
        file.write_all_at(&bytes, position).unwrap();
        file.sync_data().unwrap();
        position = end;
        times.push(turn.elapsed());
    }
    std::fs::remove_file(path).unwrap();
    times
}

async fn produce(log: &Arc<EmbeddedLog>, topic: Topic, producers: usize) -> (Vec<Duration>, Duration) {
    let began = Instant::now();
    let producers: Vec<_> = (0..producers)
        .map(|_| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < ROUND {
                    let turn = Instant::now();
                    log.append(topic, 0, vec![record()]).await.unwrap();
                    times.push(turn.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for producer in producers {
        times.extend(producer.await.unwrap());
    }
    (times, began.elapsed())
}

fn rate(count: usize, took: Duration) -> u128 {
    count as u128 * 1_000 / took.as_millis().max(1)
}

/// `a / b` with one decimal place.
fn ratio(a: u128, b: u128) -> String {
    let tenths = a * 10 / b.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("target/log-bench"), PathBuf::from);
    std::fs::create_dir_all(&dir).unwrap();
    let options = || EmbeddedLogOptions::new(dir.join("log"), 1);
    let log = Arc::new(EmbeddedLog::open(options()).unwrap());
    for producers in [1, 16, 64, 256] {
        let mut floor = bare(&dir, 1);
        let (mut times, took) = produce(&log, Topic::Commands, producers).await;
        let one = percentile(&mut floor, 50);
        let half = percentile(&mut times, 50);
        println!(
            "{producers:4} producers: {:7}/s, {} times one writer that syncs; p50 {half:?}, p99 {:?}; bare p50 {one:?}, \
             p99 {:?}; added at p50 {:?}",
            rate(times.len(), took),
            ratio(rate(times.len(), took), rate(floor.len(), ROUND)),
            percentile(&mut times, 99),
            percentile(&mut floor, 99),
            half.saturating_sub(one),
        );
    }
    let (mut times, took) = produce(&log, Topic::Events, 1).await;
    let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!("events without sync: {}/s; p50 {half:?}, p99 {most:?}", rate(times.len(), took));

    for _ in 0..1_000 {
        log.append(Topic::Events, 0, vec![record(); 1_000]).await.unwrap();
    }
    let next = log.bounds(Topic::Events, 0).await.unwrap().next;
    let began = Instant::now();
    let mut from = 0;
    while from < next {
        let limit = ReadLimit { records: 10_000, ..ReadLimit::default() };
        from += log.read(Topic::Events, 0, from, limit).await.unwrap().len() as u64;
    }
    println!("reading {next} records from the disk: {}/s", rate(usize::try_from(next).unwrap(), began.elapsed()));
    log.close().await;
    drop(log);
    let began = Instant::now();
    drop(EmbeddedLog::open(options()).unwrap());
    println!("opening {} MiB: {:?}", (next * 344) >> 20, began.elapsed());
    std::fs::remove_dir_all(dir.join("log")).unwrap();
}
