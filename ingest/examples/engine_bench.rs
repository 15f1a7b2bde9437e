//! How many commands a second one engine applies on the embedded log and tables, against what the same thread needs only
//! to read the commands and write the events as JSON: `cargo run --release -p ingest --example engine_bench [COMMANDS]`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails may panic, and prints its figures"
)]

use std::sync::Arc;
use std::time::Instant;

use ingest::commands::Commands;
use ingest::engine::{EngineDeps, EngineStatus, run};
use schemas::channel::{AssignmentPolicy, Channel, Medium, Provider};
use schemas::command::{Actor, Command, CommandRecord, InboundMessage};
use schemas::event::EventRecord;
use schemas::message::Body;
use schemas::{ChannelId, WorkspaceId};
use storage::clock::SystemClock;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Log, ReadLimit, Topic, partition_of};
use storage::tables::embedded::{EmbeddedTables, EmbeddedTablesOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 1;
const CUSTOMERS: usize = 1_000;

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir_in(".").unwrap();
    let clock = Arc::new(SystemClock);
    let log: Arc<dyn Log> =
        Arc::new(EmbeddedLog::open(EmbeddedLogOptions::new(dir.path().join("log"), PARTITIONS)).unwrap());
    let tables = Arc::new(EmbeddedTables::open(EmbeddedTablesOptions::new(dir.path().join("tables"))).unwrap());
    let commands = Commands::new(Arc::clone(&log), clock.clone());
    let workspace_id = fill(&commands, count).await;
    let partition = partition_of(workspace_id, PARTITIONS);

    let deps = EngineDeps { log: Arc::clone(&log), tables, commands, clock };
    let (status, mut seen) = watch::channel(EngineStatus::default());
    let shutdown = CancellationToken::new();
    let end = log.bounds(Topic::Commands, partition).await.unwrap().next;
    let begun = Instant::now();
    let engine = tokio::spawn(run(partition, deps, status, shutdown.clone()));
    seen.wait_for(|status| status.next_offset >= end).await.unwrap();
    let engine_seconds = begun.elapsed().as_secs_f64();
    shutdown.cancel();
    engine.await.unwrap().unwrap();

    let json_seconds = json_only(log.as_ref(), partition).await;
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let per_second = |seconds: f64| end as f64 / seconds;
    println!(
        "engine     {:>9.0} commands/s, {:>6.1} us each",
        per_second(engine_seconds),
        1e6 / per_second(engine_seconds)
    );
    println!(
        "JSON alone {:>9.0} commands/s, {:>6.1} us each",
        per_second(json_seconds),
        1e6 / per_second(json_seconds)
    );
    println!("ratio      {:>9.2}", json_seconds / engine_seconds);
}

/// Messages of many customers, in turn.
async fn fill(commands: &Commands, count: usize) -> WorkspaceId {
    let now = storage::clock::Clock::now(&SystemClock);
    let (workspace_id, channel_id) = (WorkspaceId::new(now, &[1; 10]), ChannelId::new(now, &[2; 10]));
    let channel = Channel {
        id: channel_id,
        workspace_id,
        name: "SMS".to_owned(),
        provider: Provider::Twilio,
        medium: Medium::Sms,
        address: "+14155550100".to_owned(),
        assignment: AssignmentPolicy::Manual,
        reopen_hours: 24,
        active: true,
        version: 1,
    };
    let configure = commands.record(workspace_id, Actor::System, Command::ConfigureChannel { channel });
    commands.append(&configure).await.unwrap();
    let record = |n: usize| {
        let from = format!("+9665{:08}", n % CUSTOMERS);
        let message = InboundMessage {
            external_id: format!("SM{n:032}"),
            phone: Some(from.clone()),
            from,
            also_from: Vec::new(),
            email: None,
            to: "+14155550100".to_owned(),
            profile_name: Some("سارة العتيبي".to_owned()),
            body: Body::text("السلام عليكم، هل الطلب رقم 1024 جاهز؟ I have been waiting since Monday."),
            opt_out: None,
        };
        let command = Command::ReceiveMessage { channel_id, message: Box::new(message) };
        commands.record(workspace_id, Actor::Channel { channel_id }, command)
    };
    let all: Vec<CommandRecord> = (0..count).map(record).collect();
    for chunk in all.chunks(1_000) {
        commands.append_all(chunk).await.unwrap();
    }
    workspace_id
}

/// Reads every command and every event, and writes every event, as the engine must at least.
async fn json_only(log: &dyn Log, partition: u32) -> f64 {
    let begun = Instant::now();
    let (mut from, mut bytes) = (0, 0);
    loop {
        let page = log.read(Topic::Commands, partition, from, ReadLimit::default()).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.offset + 1;
        for record in &page {
            let command: CommandRecord = serde_json::from_slice(&record.value).unwrap();
            bytes += command.workspace_id.as_bytes().len();
        }
    }
    from = 0;
    let reading = begun.elapsed().as_secs_f64();
    let mut events: Vec<EventRecord> = Vec::new();
    loop {
        let page = log.read(Topic::Events, partition, from, ReadLimit::default()).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.offset + 1;
        events.extend(page.iter().map(|record| serde_json::from_slice::<EventRecord>(&record.value).unwrap()));
    }
    let begun = Instant::now();
    for event in &events {
        bytes += serde_json::to_vec(event).unwrap().len();
    }
    assert!(bytes > 0, "the work is not optimised away");
    reading + begun.elapsed().as_secs_f64()
}
