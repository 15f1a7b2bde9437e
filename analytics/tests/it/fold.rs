//! The fold: deterministic, resumable, and equal to a naive count.

use analytics::fold::Fold;
use analytics::fold::cell::{Count, WINDOW_MINUTES, minute_of};
use analytics::fold::fact::{Fact, FactKind};
use analytics::rows::WorkspaceRows;
use proptest::prelude::*;
use schemas::event::{Event, EventRecord};
use schemas::message::Direction;
use schemas::sla::SlaState;

use crate::events::{Op, World, histories, ops};

fn apply(fold: &mut Fold, from: usize, events: &[EventRecord], rows: &mut WorkspaceRows) {
    for (i, event) in events.iter().enumerate() {
        fold.apply((from + i) as u64, event.clone(), rows);
    }
}

fn fold(events: &[EventRecord]) -> (Fold, WorkspaceRows) {
    let (mut fold, mut rows) = (Fold::default(), WorkspaceRows::default());
    apply(&mut fold, 0, events, &mut rows);
    (fold, rows)
}

fn facts(world: &World) -> Vec<Fact> {
    fold(&world.events).1.facts().to_vec()
}

fn of(kind: FactKind, facts: &[Fact]) -> Vec<(Option<i64>, Option<schemas::UserId>)> {
    let of_kind = facts.iter().filter(|fact| fact.kind == kind);
    of_kind.map(|fact| (fact.micros.map(|micros| micros / 1_000_000), fact.agent_id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_replay_gives_the_same_bytes_and_duplicates_change_nothing(ops in ops(60)) {
        let world = World::of("a", &ops);
        let (once, rows) = fold(&world.events);
        let (mut again, mut rows_again) = (Fold::default(), WorkspaceRows::default());
        for i in 0..world.events.len() {
            let back = i.saturating_sub(3);
            apply(&mut again, back, &world.events[back..=i], &mut rows_again);
        }
        prop_assert_eq!(once.snapshot().unwrap(), again.snapshot().unwrap());
        let batches = |rows| analytics::batch::batches(world.workspace_id, rows).unwrap();
        prop_assert_eq!(batches(&rows).len(), batches(&rows_again).len());
        for ((_, batch), (_, batch_again)) in batches(&rows).into_iter().zip(batches(&rows_again)) {
            prop_assert_eq!(batch, batch_again);
        }
    }

    #[test]
    fn a_snapshot_midway_changes_nothing(ops in ops(60), cut in 0.0..1.0_f64) {
        let world = World::of("a", &ops);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a test's index")]
        let cut = (world.events.len() as f64 * cut) as usize;
        let (straight, rows) = fold(&world.events);
        let (mut first, mut resumed_rows) = (Fold::default(), WorkspaceRows::default());
        apply(&mut first, 0, &world.events[..cut], &mut resumed_rows);
        let mut resumed = Fold::restore(&first.snapshot().unwrap()).unwrap();
        apply(&mut resumed, cut, &world.events[cut..], &mut resumed_rows);
        prop_assert_eq!(straight.snapshot().unwrap(), resumed.snapshot().unwrap());
        prop_assert_eq!(rows.facts(), resumed_rows.facts());
        prop_assert_eq!(rows.messages(), resumed_rows.messages());
        let gauges = |fold: &Fold| format!("{:?}", fold.workspace(world.workspace_id).map(|w| &w.gauges));
        prop_assert_eq!(gauges(&straight), gauges(&resumed));
    }

    #[test]
    fn counts_equal_a_naive_count(ops in ops(80)) {
        let world = World::of("a", &ops);
        let (fold, rows) = fold(&world.events);
        let first = world.events.last().map_or(0, |event| minute_of(event.at) - WINDOW_MINUTES + 1);
        let recent = || world.events.iter().filter(|event| minute_of(event.at) >= first);
        let inbound = recent().filter(|event| {
            matches!(&event.event, Event::MessageAdded { message } if message.direction == Direction::Inbound)
        }).count();
        let resolved = recent().filter(|event| {
            matches!(event.event, Event::ConversationStatusChanged { to: schemas::conversation::Status::Resolved, .. })
        }).count();
        let workspace = fold.workspace(world.workspace_id);
        let totals = workspace.map(|workspace| workspace.window.totals_since(first)).unwrap_or_default();
        let sum = |count| usize::try_from(totals.values().map(|cell| cell.count(count)).sum::<i64>()).unwrap();
        prop_assert_eq!((sum(Count::MessagesIn), sum(Count::Resolved)), (inbound, resolved));
        let (mut open, mut waiting, mut oldest) = (0, 0, None);
        for (_, gauge) in workspace.iter().flat_map(|workspace| workspace.gauges.iter()) {
            open += gauge.open;
            waiting += gauge.waiting();
            oldest = [oldest, gauge.oldest_waiting_since()].into_iter().flatten().min();
        }
        let now = || world.conversations();
        prop_assert_eq!(open, now().filter(|c| c.status == schemas::conversation::Status::Open).count() as u64);
        prop_assert_eq!(waiting, now().filter(|c| c.waiting_since.is_some()).count() as u64);
        prop_assert_eq!(oldest, now().filter_map(|c| c.waiting_since).min());
        let mut ids: Vec<_> = rows.facts().iter().map(|fact| fact.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), rows.facts().len());
    }

    #[test]
    fn promises_are_told_as_they_stand_and_each_has_one_end(ops in histories(80)) {
        let world = World::of("a", &ops);
        let (fold, rows) = fold(&world.events);
        let (mut at_risk, mut breached) = (0, 0);
        for (_, gauge) in fold.workspace(world.workspace_id).iter().flat_map(|workspace| workspace.gauges.iter()) {
            at_risk += gauge.sla_at_risk;
            breached += gauge.sla_breached;
        }
        let standing = |state| world.conversations().filter_map(|c| c.sla.as_ref()).filter(|sla| sla.state == state).count() as u64;
        prop_assert_eq!((at_risk, breached), (standing(SlaState::AtRisk), standing(SlaState::Breached)));
        let running: usize = world.conversations().filter_map(|c| c.sla.as_ref()).map(|sla| sla.clocks.len()).sum();
        prop_assert_eq!(rows.promises().filter(|row| row.ended_at.is_none()).count(), running);
        for row in rows.promises() {
            prop_assert_eq!(row.breached_at().is_some(), row.state == "missed", "{:?}", row);
        }
    }

    #[test]
    fn every_wait_ends_in_a_fact_or_still_runs(ops in ops(80)) {
        let world = World::of("a", &ops);
        let facts = facts(&world);
        let ended = facts.iter().filter(|f| matches!(f.kind, FactKind::ReplyTime | FactKind::AbandonedWait)).count();
        let running = world.conversations().filter(|c| c.waiting_since.is_some()).count();
        let mut begun = 0;
        let mut waits = std::collections::BTreeMap::new();
        for event in &world.events {
            let Some(conversation) = event.conversation.as_ref() else { continue };
            let before = waits.insert(conversation.id, conversation.waiting_since).flatten();
            begun += usize::from(before.is_none() && conversation.waiting_since.is_some());
        }
        prop_assert_eq!(ended + running, begun);
        prop_assert!(facts.iter().all(|fact| fact.start_at.is_some()));
    }
}

#[test]
fn a_first_response_runs_through_bots_and_is_credited_to_who_answered() {
    let world = World::of(
        "a",
        &[
            Op::Inbound(0),
            Op::Assign(0, Some(1)),
            Op::Wait(60),
            Op::Bot(0),
            Op::Wait(60),
            Op::Reply(0, 2),
            Op::Reply(0, 1),
        ],
    );
    let facts = facts(&world);
    assert_eq!(of(FactKind::FirstResponse, &facts), [(Some(120), Some(world.agents[2]))]);
    assert_eq!(of(FactKind::ReplyTime, &facts), [(Some(120), Some(world.agents[2]))]);
}

#[test]
fn a_conversation_that_the_workspace_began_has_no_first_response_but_reply_times() {
    let world = World::of("a", &[Op::Start(0, 0), Op::Wait(9), Op::Inbound(0), Op::Wait(5), Op::Reply(0, 0)]);
    let facts = facts(&world);
    assert_eq!(of(FactKind::FirstResponse, &facts), []);
    assert_eq!(of(FactKind::ReplyTime, &facts), [(Some(5), Some(world.agents[0]))]);
}

#[test]
fn a_wait_that_ends_in_resolving_is_abandoned_and_a_reopening_starts_the_clocks_anew() {
    let world = World::of(
        "a",
        &[
            Op::Inbound(0),
            Op::Wait(100),
            Op::Resolve(0, 1),
            Op::Wait(1_000),
            Op::Inbound(0),
            Op::Wait(30),
            Op::Reply(0, 0),
            Op::Assign(0, Some(0)),
            Op::Resolve(0, 1),
        ],
    );
    let facts = facts(&world);
    assert_eq!(of(FactKind::AbandonedWait, &facts), [(Some(100), None)]);
    assert_eq!(of(FactKind::Reopen, &facts), [(Some(1_000), None)]);
    assert_eq!(of(FactKind::FirstResponse, &facts), [(Some(30), Some(world.agents[0]))]);
    // The resolver where nobody is assigned, else the assignee.
    assert_eq!(
        of(FactKind::Resolution, &facts),
        [(Some(100), Some(world.agents[1])), (Some(30), Some(world.agents[0]))]
    );
    assert_eq!(of(FactKind::Assignment, &facts).len(), 1);
}

#[test]
fn facts_keep_the_labels_of_their_moment() {
    let world = World::of("a", &[Op::Inbound(0), Op::Reply(0, 0), Op::Label(0), Op::Resolve(0, 0)]);
    let facts = facts(&world);
    let labels = |kind| facts.iter().find(|fact| fact.kind == kind).map(|fact| fact.labels.clone());
    assert_eq!(labels(FactKind::FirstResponse), Some(vec![]));
    assert_eq!(labels(FactKind::Resolution), Some(vec!["vip".to_owned()]));
}
