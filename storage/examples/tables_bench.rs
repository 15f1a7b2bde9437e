//! What the embedded tables cost, beside an ordered map in memory and a plain file, in one run of one process.
//!
//! ```text
//! cargo run --release -p storage --example tables_bench -- [ROWS]     (1,000,000 by default)
//! ```
//!
//! Read the ratios: absolute figures say as much about the machine's other work as about the tables.
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a program that prints figures")]

mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use schemas::tables::{CONTACTS, EXTERNAL_MESSAGES, MESSAGES, MESSAGES_PER_BUCKET, OUTBOX, Value, message_bucket};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use storage::tables::{Batch, Key, Row, Scan, Sync, Tables, codec};

use support::{int, uuid, workspace};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Rows of a batch, as the conversation engine writes them for a handful of messages.
const BATCH_ROWS: u64 = 20;
const BODY_BYTES: usize = 300;
const READS: u64 = 5_000;

#[tokio::main]
async fn main() -> Outcome {
    let rows = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let dir = tempfile::tempdir()?;
    println!("resident before opening: {:.1} MB", resident_mb()?);
    let tables = EmbeddedTables::open(EmbeddedTablesOptions::new(dir.path().join("main")))?;
    println!("resident, open and empty: {:.1} MB", resident_mb()?);
    small_rows(&tables, rows).await?;
    drop(tables);
    let began = Instant::now();
    let tables = EmbeddedTables::open(EmbeddedTablesOptions::new(dir.path().join("main")))?;
    println!("opened again in {:?}, resident {:.1} MB", began.elapsed(), resident_mb()?);
    batches(&tables, dir.path(), rows / 10).await?;
    reads(&tables, rows).await?;
    syncs(&tables, dir.path()).await?;
    deleted_messages(&tables, rows).await?;
    deleted_partition(&tables, rows).await?;
    println!("on disk: {:.1} MB, resident {:.1} MB", tables.size_bytes() as f64 / 1e6, resident_mb()?);
    Ok(())
}

fn external(n: u64) -> Row {
    let key = Key::of([workspace(0), uuid(1), format!("SM{:032x}", n.wrapping_mul(0x9E37_79B9)).into()]);
    Row::new(key).with("conversation_id", uuid(n / 10)).with("seq", n.cast_signed())
}

fn message(conversation: u64, seq: u64) -> Row {
    let key = Key::of([workspace(0), uuid(conversation), Value::Int(message_bucket(seq))]).at([int(seq)]);
    Row::new(key).with("body", vec![b'x'; BODY_BYTES])
}

fn contact(n: u64) -> Row {
    Row::new(Key::of([workspace(0), uuid(n)])).with("body", vec![b'y'; BODY_BYTES])
}

fn per_second(count: u64, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}

fn micros(taken: Duration, count: u64) -> f64 {
    taken.as_secs_f64() * 1e6 / count as f64
}

/// Memory of this process.
fn resident_mb() -> Outcome<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split_whitespace().nth(1).ok_or("statm has no second field")?.parse()?;
    Ok(pages * 4096.0 / 1e6)
}

async fn small_rows(tables: &EmbeddedTables, rows: u64) -> Outcome {
    let began = Instant::now();
    let mut most = 0.0_f64;
    let mut slowest = Duration::ZERO;
    for first in (0..rows).step_by(1_000) {
        let mut batch = Batch::default();
        for n in first..rows.min(first + 1_000) {
            batch.put(EXTERNAL_MESSAGES, external(n));
        }
        let written = Instant::now();
        tables.write(batch, Sync::Later).await?;
        slowest = slowest.max(written.elapsed());
        most = most.max(resident_mb()?);
    }
    tables.sync().await?;
    println!(
        "{rows} small rows: {:.0} rows/s, slowest batch of 1,000 {slowest:?}, resident {:.1} MB, at most {most:.1} MB",
        per_second(rows, began.elapsed()),
        resident_mb()?
    );
    Ok(())
}

/// Batches of rows, written by the tables, into a map, and into a file.
async fn batches(tables: &EmbeddedTables, dir: &std::path::Path, rows: u64) -> Outcome {
    let work = |first: u64| (first..first + BATCH_ROWS).map(contact);
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    for first in (0..rows).step_by(usize::try_from(BATCH_ROWS)?) {
        let mut batch = Batch::default();
        work(first).for_each(|row| batch.put(CONTACTS, row));
        let written = Instant::now();
        tables.write(batch, Sync::Later).await?;
        slowest = slowest.max(written.elapsed());
    }
    let own = began.elapsed();
    let began = Instant::now();
    let mut map = BTreeMap::new();
    for row in (0..rows).map(contact) {
        map.insert(codec::encode_key(CONTACTS, &row.key)?, row.columns);
    }
    let in_map = began.elapsed();
    let began = Instant::now();
    let mut file = BufWriter::new(File::create(dir.join("plain"))?);
    for key in map.keys() {
        file.write_all(key)?;
        file.write_all(&[b'y'; BODY_BYTES])?;
    }
    file.flush()?;
    let in_file = began.elapsed();
    println!(
        "batches of {BATCH_ROWS}: {:.0} rows/s, {:.0} us a batch, slowest {slowest:?}; {:.1} times a map, {:.1} times a file",
        per_second(rows, own),
        micros(own, rows / BATCH_ROWS),
        own.as_secs_f64() / in_map.as_secs_f64(),
        own.as_secs_f64() / in_file.as_secs_f64()
    );
    let began = Instant::now();
    let found = (0..READS).filter(|n| {
        let key = codec::encode_key(CONTACTS, &contact(n * 7 % rows).key);
        key.is_ok_and(|key| map.contains_key(&key))
    });
    let found = found.count();
    println!("a map's point read: {:.1} us ({found} found)", micros(began.elapsed(), READS));
    Ok(())
}

async fn reads(tables: &EmbeddedTables, rows: u64) -> Outcome {
    let began = Instant::now();
    for n in 0..READS {
        tables.get(CONTACTS, contact(n * 7 % (rows / 10)).key).await?;
    }
    println!("point read of a row that is there: {:.1} us", micros(began.elapsed(), READS));
    let began = Instant::now();
    for n in 0..READS {
        tables.get(EXTERNAL_MESSAGES, external(rows + n).key).await?;
    }
    println!("point read of a row that is not there: {:.1} us", micros(began.elapsed(), READS));
    let began = Instant::now();
    for first in (0..READS).step_by(50) {
        let keys = (first..first + 50).map(|n| (EXTERNAL_MESSAGES, external(n * 31 % rows).key));
        tables.get_many(keys.collect()).await?;
    }
    println!("one of 50 point reads together: {:.1} us", micros(began.elapsed(), READS));
    let began = Instant::now();
    for _ in 0..READS {
        tokio::task::spawn_blocking(|| ()).await?;
    }
    println!("of which the way to a blocking thread and back: {:.1} us", micros(began.elapsed(), READS));
    for first in (1..=100 * MESSAGES_PER_BUCKET).step_by(100) {
        let mut batch = Batch::default();
        (first..first + 100).for_each(|n| batch.put(MESSAGES, message(n % 100, 1 + n / 100)));
        tables.write(batch, Sync::Later).await?;
    }
    let began = Instant::now();
    for n in 0..READS / 10 {
        last_messages(tables, n % 100, MESSAGES_PER_BUCKET).await?;
    }
    println!("the last 50 messages of a conversation: {:.1} us", micros(began.elapsed(), READS / 10));
    Ok(())
}

async fn syncs(tables: &EmbeddedTables, dir: &std::path::Path) -> Outcome {
    const SYNCS: u64 = 200;
    let began = Instant::now();
    for n in 0..SYNCS {
        let mut batch = Batch::default();
        batch.put(CONTACTS, contact(n));
        tables.write(batch, Sync::Now).await?;
    }
    let own = began.elapsed();
    let mut file = File::create(dir.join("synced"))?;
    let began = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[0; BODY_BYTES])?;
        file.sync_data()?;
    }
    let plain = began.elapsed();
    println!(
        "a durable write: {:.0} us, {:.1} times an fdatasync of {:.0} us",
        micros(own, SYNCS),
        own.as_secs_f64() / plain.as_secs_f64(),
        micros(plain, SYNCS)
    );
    Ok(())
}

/// The last 50 messages, bucket by bucket from the newest one.
async fn last_messages(tables: &EmbeddedTables, conversation: u64, last_seq: u64) -> Outcome<usize> {
    let mut found = 0;
    for bucket in (0..=message_bucket(last_seq)).rev() {
        let partition = [workspace(0), uuid(conversation), Value::Int(bucket)];
        let scan = Scan::of(partition, 50 - found).backwards();
        found += tables.scan(MESSAGES, scan).await?.len();
        if found == 50 {
            break;
        }
    }
    Ok(found)
}

/// A long conversation of which all but the first messages were deleted.
async fn deleted_messages(tables: &EmbeddedTables, messages: u64) -> Outcome {
    let kept = messages / 1_000;
    for first in (1..=messages).step_by(1_000) {
        let mut batch = Batch::default();
        (first..first + 1_000).for_each(|seq| batch.put(MESSAGES, message(1_000, seq)));
        tables.write(batch, Sync::Later).await?;
    }
    let began = Instant::now();
    last_messages(tables, 1_000, messages).await?;
    let before = began.elapsed();
    for first in (kept + 1..=messages).step_by(1_000) {
        let mut batch = Batch::default();
        (first..first + 1_000).for_each(|seq| batch.delete(MESSAGES, message(1_000, seq).key));
        tables.write(batch, Sync::Later).await?;
    }
    let began = Instant::now();
    let found = last_messages(tables, 1_000, messages).await?;
    println!(
        "last 50 of {messages} messages: {before:?}; with all but the first {kept} deleted: {:?} over {} empty buckets ({found} found)",
        began.elapsed(),
        (messages - kept) / MESSAGES_PER_BUCKET
    );
    Ok(())
}

/// One partition that is written at one end and deleted at the other: what an outbox is.
async fn deleted_partition(tables: &EmbeddedTables, rows: u64) -> Outcome {
    let key = |n: u64| Key::of([int(7)]).at([int(n)]);
    for first in (0..rows).step_by(1_000) {
        let mut batch = Batch::default();
        for n in first..first + 1_000 {
            batch.put(OUTBOX, Row::new(key(n)).with("body", vec![b'z'; BODY_BYTES]));
            if n >= 1_000 {
                batch.delete(OUTBOX, key(n - 1_000));
            }
        }
        tables.write(batch, Sync::Later).await?;
    }
    for (name, scan) in [("first", Scan::of([int(7)], 50)), ("last", Scan::of([int(7)], 50).backwards())] {
        let began = Instant::now();
        let found = tables.scan(OUTBOX, scan).await?.len();
        println!("the {name} {found} of a partition of 1,000 rows after {rows} deletions: {:?}", began.elapsed());
    }
    Ok(())
}
