//! Sockets that listen throughout, and resume whenever they are cut off.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{RECONNECT_PAUSE, Shared};
use crate::checker::{Entry, Stored, check};
use crate::generator::socket::{Heard, SignOn, Socket};
use crate::generator::swarm::message_event;
use crate::hub::fixture::Fixture;

/// How long sockets may take in the end to be given everything.
const GIVEN_WITHIN: Duration = Duration::from_secs(20);

/// Opens all sockets before the first message is sent, and listens with each.
pub(super) async fn start(
    fixture: &Fixture,
    shared: &Shared,
    sockets: u32,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut tasks = JoinSet::new();
    let spaces = (0_u32..).zip(&fixture.spaces).cycle();
    for ((socket, index), (space_number, space)) in (0..sockets).zip(0..).zip(spaces) {
        let sign_on = fixture.sign_on(space, index, vec!["inbox".to_owned()]);
        let (opened, _welcome) = Socket::open(&sign_on, None).await.context("a socket could not be opened")?;
        shared.record(Entry::Listen { socket, space: space_number })?;
        tasks.spawn(listen_until_stopped(shared.clone(), sign_on, socket, opened));
    }
    Ok(tasks)
}

async fn listen_until_stopped(
    mut shared: Shared,
    mut sign_on: SignOn,
    number: u32,
    mut socket: Socket,
) -> anyhow::Result<()> {
    let mut turn = 0;
    loop {
        let mut failed = Ok(());
        let listened = tokio::select! {
            () = shared.stop.cancelled() => return failed,
            listened = socket.listen(|heard| {
                if let Some(entry) = entry_of(number, &heard)
                    && failed.is_ok()
                {
                    failed = shared.record(entry);
                }
            }) => listened,
        };
        failed?;
        if listened.is_ok() {
            continue;
        }
        let resume = socket.resume();
        socket = loop {
            turn += 1;
            let Some(address) = shared.gateway(turn).await else { return Ok(()) };
            sign_on.address = address;
            match Socket::open(&sign_on, Some(resume.clone())).await {
                Ok((opened, welcome)) => {
                    if !welcome.resumed {
                        shared.record(Entry::Gap { socket: number })?;
                    }
                    break opened;
                }
                Err(_not_yet) => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        };
    }
}

fn entry_of(socket: u32, heard: &Heard<'_>) -> Option<Entry> {
    match heard {
        Heard::Event { place: (partition, offset), frame } => {
            let event = message_event(frame)?;
            Some(Entry::Receive {
                socket,
                partition: *partition,
                offset: *offset,
                conversation: event.conversation,
                seq: event.seq,
                key: event.index,
            })
        }
        Heard::Gap(_) => Some(Entry::Gap { socket }),
        Heard::Miscount { .. } => Some(Entry::Miscount { socket }),
        _ => None,
    }
}

/// Waits until every socket has been given the last message, or for some time; the checker tells what is missing.
pub(super) async fn all_given(shared: &Shared, stored: &[Stored], sockets: u32) {
    let start = Instant::now();
    let received = || shared.with_history(|entries| check(entries, stored).violations);
    while sockets > 0 && start.elapsed() < GIVEN_WITHIN && received() > 0 {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
