//! Every KPI equals a plain recomputation from the log, over random histories with late and duplicate events, flushes and
//! restarts; and the board says the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use analytics::kpi::series::{Minutes, SeriesPlan};
use analytics::kpi::{BoardTables, KpiEngine, definitions};
use analytics::store::Partition;
use analytics::zone::bucket_start;
use chrono_tz::Tz;
use proptest::prelude::*;
use schemas::Timestamp;
use schemas::api::analytics::{KpiCompare, KpiSeriesQuery};
use schemas::event::EventRecord;
use schemas::kpi::{KpiBucket, KpiDefinition, KpiDimension, KpiKind, KpiMeasure, KpiRange, KpiSeriesAnswer, KpiValue};

use crate::events::{World, histories};
use crate::plain::{Thing, things};
use crate::store::flush;

const ZONES: [Tz; 3] = [Tz::UTC, Tz::Asia__Kathmandu, Tz::America__New_York];

fn open(folder: &Path) -> Partition {
    Partition::open(folder, 0, 1, "epoch").unwrap()
}

/// Applies what the log holds from where the partition stands.
fn replay(partition: &mut Partition, log: &[EventRecord]) {
    let from = usize::try_from(partition.next_offset().unwrap_or(0)).unwrap();
    for (offset, event) in log.iter().enumerate().skip(from) {
        partition.apply(offset as u64, Some(event.clone()));
    }
}

/// The events as a log holds them that was written to again after crashes: some stretches stand twice.
fn with_repeats(events: &[EventRecord], repeats: &[usize]) -> Vec<EventRecord> {
    let mut log = Vec::new();
    for (index, event) in events.iter().enumerate() {
        log.push(event.clone());
        if repeats.contains(&(index % 37)) {
            log.extend_from_slice(&events[index.saturating_sub(3)..=index]);
        }
    }
    log
}

fn minutes(partition: &Partition, world: &World) -> Minutes {
    let (files, fresh) = partition.minutes(world.workspace_id).unwrap();
    let files = files.iter().map(|file| format!("file://{}", file.path.display())).collect();
    Minutes { files, fresh: fresh.into_iter().collect() }
}

/// A measure, recomputed: how many, and the durations in order.
#[derive(Clone, Debug, Default)]
struct Plain {
    count: u64,
    part: u64,
    micros: Vec<i64>,
}

fn close(told: Option<f64>, exact: f64) -> bool {
    told.is_some_and(|told| (told - exact).abs() <= 0.0011 + exact * 0.0101)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

impl Plain {
    fn agrees(&self, kpi: &KpiDefinition, told: &KpiMeasure) -> bool {
        let number = |n: u64| f64::from(u32::try_from(n).unwrap());
        match kpi.kind {
            KpiKind::Count | KpiKind::Gauge => told.value == Some(number(self.count)),
            KpiKind::Ratio => {
                let value = (self.count > 0).then(|| number(self.part) / number(self.count));
                (told.count, told.part, told.value) == (Some(self.count), Some(self.part), value)
            }
            KpiKind::Duration if self.count == 0 => (told.count.unwrap_or(0), told.value) == (0, None),
            KpiKind::Duration => {
                let mut sorted = self.micros.clone();
                sorted.sort_unstable();
                let at = |quantile: usize| seconds(sorted[(sorted.len() * quantile).div_ceil(100).max(1) - 1]);
                let average = seconds(sorted.iter().sum()) / number(self.count);
                let told_average = told.average.unwrap_or(-1.0);
                told.count == Some(self.count)
                    && (told_average - average).abs() <= average * 1e-12
                    && close(told.p50, at(50))
                    && close(told.p90, at(90))
                    && close(told.p95, at(95))
                    && close(told.p99, at(99))
                    && told.value == told.p50
            }
        }
    }
}

/// What a KPI's part and whole are made of.
fn parts(kpi: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kpi {
        "delivery_rate" => (&["delivery_rate"], &["messages_out"]),
        "read_rate" => (&["read_rate"], &["messages_out"]),
        "failure_rate" => (&["failure_rate"], &["messages_out"]),
        "negative_share" => (&["negative"], &["negative", "neutral", "positive"]),
        "positive_share" => (&["positive"], &["negative", "neutral", "positive"]),
        "sla_hit_rate" => (&["sla_met"], &["sla_met", "sla_missed"]),
        "sla_first_response_hit_rate" => (&["first+"], &["first+", "first-"]),
        "sla_next_response_hit_rate" => (&["next+"], &["next+", "next-"]),
        "sla_resolution_hit_rate" => (&["resolution+"], &["resolution+", "resolution-"]),
        "reopen_rate" => (&["reopened"], &["resolved"]),
        _ => (&[], &[]),
    }
}

/// A KPI over some things, by group.
fn plain<'a>(
    kpi: &KpiDefinition,
    by: Option<KpiDimension>,
    things: impl Iterator<Item = &'a Thing>,
) -> BTreeMap<Option<String>, Plain> {
    let (part, whole) = parts(&kpi.name);
    let mut groups: BTreeMap<Option<String>, Plain> = BTreeMap::new();
    for thing in things {
        let is_part = part.contains(&thing.kpi);
        let is_whole = whole.contains(&thing.kpi) || thing.kpi == kpi.name;
        let is_counted = if kpi.kind == KpiKind::Ratio { whole.contains(&thing.kpi) } else { is_whole };
        if !is_part && !is_counted {
            continue;
        }
        for key in thing.keys(by) {
            let group = groups.entry(key).or_default();
            group.part += u64::from(is_part);
            if is_counted {
                group.count += 1;
                group.micros.push(thing.micros);
            }
        }
    }
    groups
}

fn within(range: KpiRange) -> impl Fn(&&Thing) -> bool {
    move |thing| range.from <= thing.at && thing.at < range.to
}

/// Compares an answer with the recomputation; tells what differs.
fn check(answer: &KpiSeriesAnswer, definitions: &[KpiDefinition], things: &[Thing], zone: Tz) -> Result<(), String> {
    for series in &answer.series {
        let kpi = definitions.iter().find(|kpi| kpi.name == series.kpi).unwrap();
        let compare = |what: &str, told: &KpiMeasure, expected: Option<&Plain>| {
            let expected = expected.cloned().unwrap_or_default();
            if expected.agrees(kpi, told) {
                return Ok(());
            }
            Err(format!("{} {what}: {told:?} is told, {expected:?} was computed", kpi.name))
        };
        let in_range = || things.iter().filter(within(answer.range));
        compare("total", &series.total, plain(kpi, None, in_range()).get(&None))?;
        let expected = plain(kpi, answer.by, in_range());
        for (key, group) in &expected {
            if group.count > 0 && !series.groups.iter().any(|told| told.key == *key) {
                return Err(format!("{} has no group {key:?}", kpi.name));
            }
        }
        let before = |range: KpiRange| things.iter().filter(within(range));
        for group in &series.groups {
            compare(&format!("of {:?}", group.key), &group.total, expected.get(&group.key))?;
            if let Some(range) = answer.previous {
                let previous = plain(kpi, answer.by, before(range));
                compare("before", group.previous.as_ref().unwrap(), previous.get(&group.key))?;
                let previous = plain(kpi, None, before(range));
                compare("total before", series.previous.as_ref().unwrap(), previous.get(&None))?;
            }
            if group.points.len() != answer.buckets.len() {
                return Err(format!("{} points for {} buckets", group.points.len(), answer.buckets.len()));
            }
            for (start, point) in answer.buckets.iter().zip(&group.points) {
                let bucket = bucket_start(answer.bucket, zone, *start);
                let of_bucket = in_range().filter(|thing| bucket_start(answer.bucket, zone, thing.at) == bucket);
                let expected = plain(kpi, answer.by, of_bucket);
                let told = point.clone().unwrap_or_else(|| KpiMeasure {
                    count: Some(0),
                    part: Some(expected.get(&group.key).map_or(0, |plain| plain.part)),
                    ..KpiMeasure::default()
                });
                compare(&format!("at {start} of {:?}", group.key), &told, expected.get(&group.key))?;
            }
        }
    }
    Ok(())
}

/// What the board says, compared with an answer over its window.
fn check_board(values: &[KpiValue], answer: &KpiSeriesAnswer) -> Result<(), String> {
    for series in &answer.series {
        for group in &series.groups {
            let shown = values.iter().find(|value| {
                let key = match answer.by {
                    None => value.channel_id.is_none() && value.agent_id.is_none(),
                    Some(KpiDimension::Channel) => {
                        value.channel_id.map(|id| id.to_string()) == group.key && group.key.is_some()
                    }
                    Some(_) => value.agent_id.map(|id| id.to_string()) == group.key && group.key.is_some(),
                };
                value.kpi == series.kpi && key
            });
            let told = shown.map(|v| (v.value, v.average, v.p50, v.p90, v.p95, v.p99));
            let same = group.total.clone();
            let expected = (same.value, same.average, same.p50, same.p90, same.p95, same.p99);
            let nobody = answer.by.is_some() && (group.key.is_none() || group.total.value.is_none());
            if told != Some(expected) && !nobody {
                return Err(format!(
                    "{} of {:?}: the board says {told:?}, the series {expected:?}",
                    series.kpi, group.key
                ));
            }
        }
    }
    Ok(())
}

fn names(definitions: &[KpiDefinition], by: Option<KpiDimension>) -> Vec<String> {
    let with = |kpi: &&KpiDefinition| kpi.kind != KpiKind::Gauge && by.is_none_or(|by| kpi.dimensions.contains(&by));
    definitions.iter().filter(with).map(|kpi| kpi.name.clone()).collect()
}

fn floor(at: Timestamp, seconds: i64) -> i64 {
    at.unix_seconds().div_euclid(seconds) * seconds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn every_kpi_equals_a_plain_recomputation(
        ops in histories(120),
        repeats in prop::collection::vec(0..37_usize, 0..4),
        steps in prop::collection::vec(0..3_u8, 1..5),
        by in prop::option::of(0..3_usize),
        bucket in 0..KpiBucket::ALL.len(),
        zone in 0..ZONES.len(),
        skip_minutes in 0..400_i64,
    ) {
        let world = World::of("a", &ops);
        let log = with_repeats(&world.events, &repeats);
        let folder = tempfile::tempdir().unwrap();
        let mut partition = open(folder.path());
        for (i, step) in steps.iter().enumerate() {
            replay(&mut partition, &log[..log.len() * (i + 1) / steps.len()]);
            match step {
                0 => {}
                1 => flush(&mut partition, folder.path()),
                _ => partition = open(folder.path()),
            }
        }
        replay(&mut partition, &log);

        let definitions = definitions().unwrap();
        let things = things(&log);
        let (by, bucket, zone) = (by.map(|by| KpiDimension::ALL[by]), KpiBucket::ALL[bucket], ZONES[zone]);
        let latest = world.events.iter().map(|event| event.at).max().unwrap_or(world.now);
        // Small buckets of a short range, large ones of all there is.
        let length = match bucket {
            KpiBucket::Minute => 3_600,
            KpiBucket::QuarterHour | KpiBucket::Hour => 40 * 3_600,
            _ => 40 * 86_400,
        };
        let to = floor(latest, 60) + 60 - skip_minutes * 60;
        let query = |names: &[String], by, bucket, (from, to): (i64, i64)| KpiSeriesQuery {
            kpis: names.join(","),
            from: Timestamp::from_unix_seconds(from),
            to: Timestamp::from_unix_seconds(to),
            bucket: Some(bucket),
            by,
            channel_id: None,
            agent_id: None,
            label: None,
            compare: Some(KpiCompare::Previous),
            groups: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let minutes = minutes(&partition, &world);
        for names in names(&definitions, by).chunks(12) {
            let plan = SeriesPlan::new(&definitions, &query(names, by, bucket, (to - length, to)), zone).unwrap();
            let answer = runtime.block_on(plan.compute(&minutes, latest)).unwrap();
            let checked = check(&answer, &definitions, &things, zone);
            prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
        }

        // The board's 24 hours.
        let engine = Arc::new(KpiEngine::new(definitions.clone()));
        let tables = BoardTables::of(partition.fold().workspace(world.workspace_id), latest).unwrap();
        let values = runtime.block_on(runtime.spawn_blocking(move || engine.values(tables))).unwrap().unwrap();
        let window = (floor(latest, 60) - 1_439 * 60, floor(latest, 60) + 60);
        let by = by.filter(|by| *by != KpiDimension::Label);
        for names in names(&definitions, by).chunks(12) {
            // Of the time before the board knows nothing.
            let asked = KpiSeriesQuery { compare: None, ..query(names, by, KpiBucket::None, window) };
            let plan = SeriesPlan::new(&definitions, &asked, zone).unwrap();
            let answer = runtime.block_on(plan.compute(&minutes, latest)).unwrap();
            let checked = check_board(&values, &answer);
            prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
        }
    }
}
