//! KPIs over a range: the same numbers by SQL, what cannot be asked, and their description in the documents.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use analytics::SeriesError;
use analytics::kpi::definitions;
use chrono_tz::Tz;
use schemas::Timestamp;
use schemas::api::analytics::KpiSeriesQuery;
use schemas::kpi::{KpiBucket, KpiDefinition, KpiDimension, KpiKind, KpiMeasure, KpiSeriesAnswer};
use schemas::message::DeliveryStatus;
use schemas::sla::SlaTarget;
use serde_json::Value;
use storage::log::memory::MemoryLog;

use crate::events::{Op, START, World};
use crate::hub::{Hub, PARTITIONS, append, options};

const STORY: &[Op] = &[
    Op::Hours(1),
    Op::Inbound(0),
    Op::Assign(0, Some(0)),
    Op::Label(0),
    Op::Promise(0, SlaTarget::FirstResponse, 60),
    Op::Promise(0, SlaTarget::Resolution, 90_000),
    Op::Wait(40),
    Op::Reply(0, 0),
    Op::Report(0, DeliveryStatus::Delivered),
    Op::Report(0, DeliveryStatus::Read),
    Op::Inbound(1),
    Op::Bot(1),
    Op::Report(1, DeliveryStatus::Failed),
    Op::Promise(1, SlaTarget::NextResponse, 900),
    Op::Wait(600),
    Op::Reply(1, 1),
    Op::Pend(1),
    Op::Wait(7_000),
    Op::Open(1, 1),
    Op::Assign(0, Some(2)),
    Op::Wait(50_000),
    Op::Inbound(2),
    Op::Promise(2, SlaTarget::FirstResponse, 3),
    Op::Wait(5),
    Op::Due(2),
    Op::Take(3, 1),
    Op::Note(3, 0),
    Op::Resolve(0, 2),
    Op::Resolve(2, 2),
    Op::Inbound(2),
];

const ZONE: Tz = Tz::Asia__Amman;

fn query(kpis: &str) -> KpiSeriesQuery {
    let day = 86_400;
    let from = START.unix_seconds().div_euclid(day) * day;
    KpiSeriesQuery {
        kpis: kpis.to_owned(),
        from: Timestamp::from_unix_seconds(from),
        to: Timestamp::from_unix_seconds(from + 3 * day),
        bucket: None,
        by: None,
        channel_id: None,
        agent_id: None,
        label: None,
        compare: None,
        groups: None,
    }
}

/// A number of a row of SQL, by the name of its column.
fn number(row: &[Value], columns: &[String], name: &str) -> Option<f64> {
    columns.iter().position(|column| column == name).and_then(|place| row[place].as_f64())
}

/// Whether SQL gave the points of an answer's only KPI, and nothing else.
async fn agrees_with_sql(hub: &Hub, world: &World, answer: &KpiSeriesAnswer) {
    let series = &answer.series[0];
    let result = hub.try_sql(world.workspace_id, &series.sql).await;
    let result = result.unwrap_or_else(|error| panic!("{}: {error}", series.sql));
    let columns: Vec<_> = result.columns().unwrap().into_iter().map(|column| column.name).collect();
    let rows = result.to_json_rows().unwrap();
    assert_eq!(columns[..3], ["bucket", "dimension", "key"]);
    let mut found = 0;
    for row in &rows {
        let start: Option<Timestamp> =
            row[0].as_str().map(|text| format!("{}Z", text.trim_end_matches('Z')).parse().unwrap());
        let place = answer
            .buckets
            .iter()
            .rposition(|bucket| start.is_none_or(|start| *bucket >= start && *bucket <= start.max(answer.range.from)));
        let key = row[2].as_str().map(str::to_owned);
        let group = series.groups.iter().find(|group| group.key == key);
        let point = group.and_then(|group| group.points[place.unwrap()].clone()).unwrap_or_default();
        let told = |name| number(row, &columns, name);
        let KpiMeasure { value, average, p50, p90, p95, p99, .. } = point;
        let numbers = [("value", value), ("average", average), ("p50", p50), ("p90", p90), ("p95", p95), ("p99", p99)];
        for (name, of_api) in numbers {
            let of_sql = told(name);
            let both_nothing = of_api.is_none_or(|n| n == 0.0) && of_sql.is_none_or(|n| n == 0.0);
            // SQL's JSON may write the last digit of a very small number otherwise.
            let same = of_api.zip(of_sql).is_some_and(|(a, b)| (a - b).abs() <= a.abs() * 1e-14);
            assert!(
                same || of_api == of_sql || both_nothing,
                "{} {name} of {key:?}: {of_api:?} {of_sql:?}",
                series.kpi
            );
        }
        found += usize::from(value.is_some_and(|value| value > 0.0));
    }
    let points = series.groups.iter().flat_map(|group| group.points.iter().flatten());
    assert_eq!(found, points.filter(|point| point.value.is_some_and(|value| value > 0.0)).count(), "{}", series.kpi);
    assert!(found > 0, "{} is nowhere", series.kpi);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_an_answer_gives_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let mut world = World::of("a", STORY);
    append(&log, &world.events).await;
    let hub = Hub::open(options(folder.path()), &log);
    hub.caught_up().await;
    hub.analytics.flush().await.unwrap();
    let stored = world.events.len();
    world.play(&[Op::Inbound(4), Op::Wait(60), Op::Reply(4, 1), Op::Resolve(4, 1)]);
    append(&log, &world.events[stored..]).await;
    hub.caught_up().await;
    for kpi in definitions().unwrap().iter().filter(|kpi| kpi.kind != KpiKind::Gauge) {
        let mut asked = KpiSeriesQuery { by: Some(KpiDimension::Channel), ..query(&kpi.name) };
        if kpi.kind != KpiKind::Ratio && kpi.dimensions.contains(&KpiDimension::Agent) {
            asked = KpiSeriesQuery { by: Some(KpiDimension::Agent), bucket: Some(KpiBucket::Hour), ..asked };
        }
        let answer = hub.analytics.kpi_series(world.workspace_id, ZONE, &asked).await.unwrap();
        agrees_with_sql(&hub, &world, &answer).await;
    }
    let by_label = KpiSeriesQuery { by: Some(KpiDimension::Label), bucket: Some(KpiBucket::None), ..query("resolved") };
    let filtered =
        KpiSeriesQuery { label: Some("vip".to_owned()), channel_id: Some(world.channels[0]), ..query("reply_time") };
    for asked in [by_label, filtered] {
        let answer = hub.analytics.kpi_series(world.workspace_id, ZONE, &asked).await.unwrap();
        agrees_with_sql(&hub, &world, &answer).await;
    }
    // Another workspace has nothing, and is told so as zeros.
    let nobody = World::new("nobody").workspace_id;
    let nothing = hub.analytics.kpi_series(nobody, ZONE, &query("messages_in,reply_time,read_rate")).await.unwrap();
    assert_eq!(nothing.buckets.len(), 4, "days of Amman begin within those of UTC");
    let totals: Vec<_> = nothing.series.iter().map(|series| (series.total.value, series.groups.len())).collect();
    assert_eq!(totals, [(Some(0.0), 1), (None, 1), (None, 1)]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let hub = Hub::open(options(folder.path()), &log);
    let workspace_id = World::new("a").workspace_id;
    let good = || query("messages_in");
    let later = |seconds: i64| Timestamp::from_unix_seconds(good().from.unix_seconds() + seconds);
    let cases = [
        (KpiSeriesQuery { kpis: "nonsense".to_owned(), ..good() }, "kpis"),
        (KpiSeriesQuery { kpis: "open".to_owned(), ..good() }, "kpis"),
        (KpiSeriesQuery { kpis: "notes,notes".to_owned(), ..good() }, "kpis"),
        (KpiSeriesQuery { from: later(1), ..good() }, "from"),
        (KpiSeriesQuery { to: good().from, ..good() }, "to"),
        (KpiSeriesQuery { to: later(733 * 86_400), ..good() }, "to"),
        (KpiSeriesQuery { bucket: Some(KpiBucket::Minute), ..good() }, "bucket"),
        (KpiSeriesQuery { kpis: "read_rate".to_owned(), by: Some(KpiDimension::Agent), ..good() }, "by"),
        (KpiSeriesQuery { kpis: "read_rate".to_owned(), label: Some("vip".to_owned()), ..good() }, "label"),
        (KpiSeriesQuery { label: Some("x".repeat(51)), ..good() }, "label"),
        (KpiSeriesQuery { groups: Some(0), ..good() }, "groups"),
        (KpiSeriesQuery { groups: Some(101), ..good() }, "groups"),
    ];
    for (asked, field) in cases {
        match hub.analytics.kpi_series(workspace_id, ZONE, &asked).await {
            Err(SeriesError::Question(error)) => assert_eq!(error.field, field, "{error}"),
            other => panic!("{asked:?}: {other:?}"),
        }
    }
    let quoted = KpiSeriesQuery { label: Some("it's; DROP TABLE x".to_owned()), ..good() };
    let answer = tokio::time::timeout(Duration::from_mins(1), hub.analytics.kpi_series(workspace_id, ZONE, &quoted));
    assert_eq!(answer.await.unwrap().unwrap().series[0].total.value, Some(0.0));
    hub.stop().await;
}

/// Set to any value, the description of KPIs in the documents is written anew.
const REWRITE: &str = "REWRITE_KPIS";
const BEGIN: &str = "<!-- KPIs: made from analytics/kpis by the tests -->\n";
const END: &str = "<!-- end of KPIs -->\n";

fn described(definitions: &[KpiDefinition]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (kind, title) in [
        (KpiKind::Count, "How many"),
        (KpiKind::Duration, "How long"),
        (KpiKind::Ratio, "Which part"),
        (KpiKind::Gauge, "How it stands now"),
    ] {
        writeln!(text, "\n### {title}\n\n| KPI | unit | told apart by | what it is |\n| --- | --- | --- | --- |")
            .unwrap();
        for kpi in definitions.iter().filter(|kpi| kpi.kind == kind) {
            let dimensions: Vec<_> = kpi.dimensions.iter().map(|dimension| dimension.as_str()).collect();
            let (unit, dimensions) = (kpi.unit.as_str(), dimensions.join(", "));
            writeln!(text, "| `{}` {} | {unit} | {dimensions} | {} |", kpi.name, kpi.title, kpi.definition).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_documents_describe_every_kpi_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/analytics.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", described(&definitions().unwrap()));
    if std::env::vars_os().any(|(name, _)| name == REWRITE) {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(document == wanted, "docs/analytics.md is out of date: run the tests with {REWRITE}=1 and commit it");
    }
}
