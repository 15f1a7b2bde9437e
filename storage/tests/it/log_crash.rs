//! A process that is killed at any moment loses nothing that it acknowledged.
//!
//! The test runs its own binary again as a child that appends and prints what was acknowledged, kills it, and opens what it
//! has left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use storage::contract::log::record;
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions};
use storage::log::{Log, ReadLimit, Topic};

use super::log_support::small;

/// Names the folder in which the child appends; without it, the child's test does nothing.
const DIR_VARIABLE: &str = "SALER_TEST_LOG_DIR";
const ROUNDS: u64 = 12;

fn options(dir: &Path) -> EmbeddedLogOptions {
    EmbeddedLogOptions { segment_bytes: 16 << 10, ..small(dir) }
}

#[test]
fn child_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let log = Arc::new(EmbeddedLog::open(options(Path::new(&dir))).unwrap());
        let producers = (0..8_usize).map(|producer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let topic = Topic::ALL[producer % 2];
                for n in 0_u64.. {
                    let text = format!("{producer}-{n}-{}", "x".repeat(usize::try_from(n % 300).unwrap()));
                    let offset = log.append(topic, 0, vec![record(text.clone())]).await.unwrap();
                    // One write for a line, so that lines stay whole.
                    let line = format!("ack {topic} {offset} {text}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            })
        });
        for producer in producers.collect::<Vec<_>>() {
            producer.await.unwrap();
        }
    });
}

fn spawn_child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log_crash::child_appends_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(DIR_VARIABLE, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<(String, u64), String> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = spawn_child(dir.path());
        let output = BufReader::new(child.stdout.take().unwrap());
        // The moment of the kill differs by round: after a number of lines that has no pattern with groups or segments.
        let lines_until_kill = 3 + round * round * 17 % 400;
        let mut lines = 0;
        for line in output.lines() {
            let line = line.unwrap();
            // The harness prints its own words before the first line, without a line end.
            let Some((_, ack)) = line.split_once("ack ") else { continue };
            let mut words = ack.splitn(3, ' ');
            let (Some(topic), Some(offset), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let before = acknowledged.insert((topic.to_owned(), offset.parse().unwrap()), text.to_owned());
            assert_eq!(before, None, "offset {offset} of {topic} was given twice");
            lines += 1;
            if lines == lines_until_kill {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(lines >= lines_until_kill, "the child ended by itself");
        verify(dir.path(), &acknowledged);
    }
}

fn verify(dir: &Path, acknowledged: &BTreeMap<(String, u64), String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let log = EmbeddedLog::open(options(dir)).unwrap();
        for topic in Topic::ALL {
            let next = log.bounds(topic, 0).await.unwrap().next;
            let mut from = 0;
            let mut held = BTreeMap::new();
            while from < next {
                for record in log.read(topic, 0, from, ReadLimit::default()).await.unwrap() {
                    assert_eq!(record.offset, from);
                    held.insert(record.offset, record.value);
                    from += 1;
                }
            }
            for ((_, offset), text) in acknowledged.iter().filter(|((of, _), _)| of == topic.name()) {
                assert_eq!(held.get(offset).map(|value| &value[..]), Some(text.as_bytes()), "{topic} {offset}");
            }
        }
    });
}
