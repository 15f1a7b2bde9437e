//! What the tables cost on CQL servers: batches, reads, conditional writes, and reading past what was deleted.
//!
//! ```text
//! cargo run -p storage --example cql_bench -- 127.0.0.1:19042 [MESSAGES]     (1,000,000 by default; 0: no reading past what was deleted)
//! ```
//!
//! Makes the keyspace `saler_bench`, and removes it before and after. The servers do nearly all of the work, so a program built
//! without optimisation shows the same.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program that prints figures"
)]

mod support;

use std::error::Error;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use schemas::tables::{
    CONTACTS, CONVERSATION_VIEWS, CONVERSATIONS, ENGINE_POSITIONS, EXTERNAL_MESSAGES, IDENTITIES, MESSAGES,
    MESSAGES_PER_BUCKET, OUTBOX, SESSIONS, Value, message_bucket,
};
use scylla::client::session_builder::SessionBuilder;
use storage::tables::cql::{CqlOptions, CqlTables};
use storage::tables::{Batch, Derivation, Key, Row, Scan, Sync, Tables};

use support::{int, uuid, workspace};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const KEYSPACE: &str = "saler_bench";
const BODY_BYTES: usize = 700;
/// How many loads run at once.
const LOADS: usize = 8;
const TURN_PARTITION: u32 = 1;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("name a server, such as 127.0.0.1:19042")?;
    let messages: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    drop_keyspace(&server).await?;
    let began = Instant::now();
    let options = CqlOptions {
        keyspace: KEYSPACE.to_owned(),
        replication: 1,
        request_timeout: Duration::from_secs(30),
        ..CqlOptions::new([server.as_str()])
    };
    let tables = CqlTables::open(options.clone()).await?;
    println!("all tables made in {:?}", began.elapsed());
    let began = Instant::now();
    drop(CqlTables::open(options).await?);
    println!("opened again in {:?}", began.elapsed());
    batches(&tables).await?;
    single_rows(&tables).await?;
    if messages == 0 {
        drop(tables);
        return drop_keyspace(&server).await;
    }
    deleted_list(&tables).await?;
    for which in [Deleted::Newest, Deleted::Oldest, Deleted::AllBut1000th] {
        deleted_messages(&tables, messages, which).await?;
    }
    drop(tables);
    drop_keyspace(&server).await
}

async fn drop_keyspace(server: &str) -> Outcome {
    let session = SessionBuilder::new().known_node(server).fetch_schema_metadata(false).build().await?;
    session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {KEYSPACE}"), ()).await?;
    Ok(())
}

fn body() -> Value {
    Value::Blob(vec![b'x'; BODY_BYTES])
}

fn message_key(conversation: u64, seq: u64) -> Key {
    Key::of([workspace(1), uuid(conversation), Value::Int(message_bucket(seq))]).at([int(seq)])
}

/// The rows of an inbound message, as the conversation engine writes them.
fn inbound(batch: &mut Batch, n: u64) {
    let workspace = || workspace(1);
    let view = |at: u64| vec![Value::Timestamp(schemas::Timestamp::from_unix_micros(at.cast_signed())), uuid(n)];
    let conversation = Key::of([workspace(), uuid(n)]);
    batch.put(CONVERSATIONS, Row::new(conversation).with("body", body()).with("engine", vec![0; 100]));
    batch.put(MESSAGES, Row::new(message_key(n, 1)).with("body", body()));
    batch.put(CONTACTS, Row::new(Key::of([workspace(), uuid(n)])).with("body", vec![0; 200]));
    let identity = Key::of([workspace(), uuid(2), n.to_string().into()]);
    batch.put(IDENTITIES, Row::new(identity.clone()).with("contact_id", uuid(n)));
    batch.put(EXTERNAL_MESSAGES, Row::new(identity).with("conversation_id", uuid(n)).with("seq", 1_i64));
    for name in ["open/all", "open/none"] {
        batch.delete(CONVERSATION_VIEWS, Key::of([workspace(), name.into()]).at(view(n)));
        batch.put(CONVERSATION_VIEWS, Row::new(Key::of([workspace(), name.into()]).at(view(n + 1))));
    }
}

struct Times(Vec<Duration>);

impl Times {
    fn print(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |part: f64| {
            let place = (self.0.len() as f64 * part) as usize;
            self.0.get(place.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        println!("{what}: p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0));
    }
}

async fn batches(tables: &CqlTables) -> Outcome {
    let turn = tables.take_turn(TURN_PARTITION).await?;
    let mut offset = 0;
    for (messages, rounds) in [(1_u64, 300_u64), (16, 100), (128, 40)] {
        let mut times = Vec::new();
        let mut rows = 0;
        let began = Instant::now();
        for _ in 0..rounds {
            let next_offset = offset + messages;
            let mut batch = Batch::derived(Derivation { partition: TURN_PARTITION, turn, next_offset });
            (offset..next_offset).for_each(|n| inbound(&mut batch, n));
            let outbox = Key::of([TURN_PARTITION.into()]).at([int(next_offset)]);
            batch.put(OUTBOX, Row::new(outbox).with("body", vec![0; BODY_BYTES * 2 * messages as usize]));
            let position = Row::new(Key::of([TURN_PARTITION.into()])).with("next_offset", next_offset.cast_signed());
            batch.put(ENGINE_POSITIONS, position);
            rows += batch.mutations.len();
            offset = next_offset;
            let began = Instant::now();
            tables.write(batch, Sync::Later).await?;
            times.push(began.elapsed());
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{:.0} messages/s, {:.0} rows/s", (messages * rounds) as f64 / seconds, rows as f64 / seconds);
        Times(times).print(&format!("a derived batch of {messages} messages"));
    }
    Ok(())
}

async fn single_rows(tables: &CqlTables) -> Outcome {
    let mut gets = Vec::new();
    let mut updates = Vec::new();
    let mut inserts = Vec::new();
    for n in 0..300_u64 {
        let key = Key::of([uuid(n)]);
        let began = Instant::now();
        tables.insert_if_absent(SESSIONS, Row::new(key.clone()).with("version", 1_i64)).await?;
        inserts.push(began.elapsed());
        let began = Instant::now();
        tables.update_if(SESSIONS, Row::new(key).with("version", 2_i64), "version", Some(1_i64.into())).await?;
        updates.push(began.elapsed());
        let began = Instant::now();
        tables.get(CONVERSATIONS, Key::of([workspace(1), uuid(n)])).await?;
        gets.push(began.elapsed());
    }
    Times(gets).print("get");
    Times(inserts).print("insert-if-absent");
    Times(updates).print("update-if");
    Ok(())
}

/// A list through which many rows went, and in which few are left.
async fn deleted_list(tables: &CqlTables) -> Outcome {
    let partition = || Key::of([uuid(9), "open/none".into()]);
    let place = |n: u64| [Value::Timestamp(schemas::Timestamp::from_unix_micros(n.cast_signed())), uuid(n)];
    for gone in [1_000, 20_000, 90_000, 150_000_u64] {
        for first in (0..gone).step_by(500) {
            let mut batch = Batch::default();
            for n in first..first + 500 {
                batch.delete(CONVERSATION_VIEWS, partition().at(place(n + 1_000)));
            }
            tables.write(batch, Sync::Later).await?;
        }
        let mut batch = Batch::default();
        (0..50).for_each(|n| batch.put(CONVERSATION_VIEWS, Row::new(partition().at(place(n)))));
        tables.write(batch, Sync::Later).await?;
        let began = Instant::now();
        match tables.scan(CONVERSATION_VIEWS, Scan::of(partition().partition, 50)).await {
            Ok(rows) => println!("a list of {} rows behind {gone} deleted ones: {:?}", rows.len(), began.elapsed()),
            Err(error) => println!("a list behind {gone} deleted rows: {error}"),
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deleted {
    Newest,
    Oldest,
    AllBut1000th,
}

/// The last 50 of a conversation, as the gateway reads them: bucket by bucket from the newest.
async fn last_messages(tables: &CqlTables, conversation: u64, last: u64) -> Outcome<(usize, usize)> {
    let mut found = 0;
    let mut buckets = 0;
    let mut bucket = message_bucket(last);
    while bucket >= 0 && found < 50 {
        let partition = [workspace(1), uuid(conversation), Value::Int(bucket)];
        found += tables.scan(MESSAGES, Scan::of(partition, 50 - found).backwards()).await?.len();
        bucket -= 1;
        buckets += 1;
    }
    Ok((found, buckets))
}

async fn deleted_messages(tables: &CqlTables, messages: u64, which: Deleted) -> Outcome {
    let kept = messages / 1_000;
    let conversation = 1_000_000 + which as u64;
    let is_deleted = |seq: u64| match which {
        Deleted::Newest => seq > kept,
        Deleted::Oldest => seq <= messages - kept,
        Deleted::AllBut1000th => !seq.is_multiple_of(1_000),
    };
    let buckets = || (1..=messages).step_by(MESSAGES_PER_BUCKET as usize);
    let began = Instant::now();
    for is_deletion in [false, true] {
        let writes = buckets().map(|first| {
            let mut batch = Batch::default();
            for seq in first..(first + MESSAGES_PER_BUCKET).min(messages + 1) {
                if !is_deletion {
                    batch.put(MESSAGES, Row::new(message_key(conversation, seq)).with("body", vec![b'x'; 100]));
                } else if is_deleted(seq) {
                    batch.delete(MESSAGES, message_key(conversation, seq));
                }
            }
            tables.write(batch, Sync::Later)
        });
        futures::stream::iter(writes).buffer_unordered(LOADS).try_collect::<Vec<()>>().await?;
        if !is_deletion {
            let mut times = Vec::new();
            for _ in 0..50 {
                let began = Instant::now();
                last_messages(tables, conversation, messages).await?;
                times.push(began.elapsed());
            }
            Times(times).print(&format!("last 50 of {messages}, none deleted"));
        }
    }
    println!("(written and deleted in {:?})", began.elapsed());
    let mut times = Vec::new();
    let mut seen = (0, 0);
    for _ in 0..if which == Deleted::Newest { 3 } else { 30 } {
        let began = Instant::now();
        seen = last_messages(tables, conversation, messages).await?;
        times.push(began.elapsed());
    }
    let (found, buckets) = seen;
    Times(times).print(&format!(
        "last 50 of {messages}, all but {kept} deleted ({which:?}): {found} found in {buckets} buckets"
    ));
    Ok(())
}
