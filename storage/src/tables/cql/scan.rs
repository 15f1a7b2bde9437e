//! Reading ranges of a partition.
//!
//! A range is read in the driver's pages. Where very many rows of a range were deleted a short time ago, Apache Cassandra gives
//! up the read (after 100,000 tombstones, unless configured otherwise), and would do so for as long as tombstones are kept. Then
//! the range is read in halves, and those in halves if need be, by the first column of the clustering key: slow, but it ends.

use std::ops::{Bound as RangeBound, ControlFlow};

use schemas::tables::{ColumnType, Order, Table, Value};
use schemas::{Timestamp, WorkspaceId};
use scylla::response::PagingState;

use super::changes::is_storable;
use super::failure::Failure;
use super::server::{Bound, Server};
use super::statements::{Edge, Operation};
use super::values::{Answer, Bind};
use crate::tables::{Key, Row, Scan, TablesError, codec};

/// How many parts of a range are tried. Halving a range of instants down to a part of it takes some forty.
const PARTS: usize = 1_000;

/// A range of values of the first column of a clustering key, as numbers in the order of the values; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    low: u128,
    high: u128,
}

/// The rows of a scan.
pub(super) async fn scan(server: &Server, table: &'static Table, scan: Scan) -> Result<Vec<Row>, TablesError> {
    codec::encode_scan(table, &scan)?;
    let key = Key { partition: scan.partition.clone(), clustering: Vec::new() };
    if scan.limit == 0 || !is_storable(&key) {
        return Ok(Vec::new());
    }
    let failure = match Box::pin(read(server, table, &scan)).await {
        Err(Stopped::Asking(Failure::TooManyDeleted(reason))) => reason,
        other => return other.map_err(TablesError::from),
    };
    let Some(whole) = span_of(table, &scan) else { return Err(Failure::TooManyDeleted(failure).into()) };
    tracing::warn!(table = table.name, reason = %failure, "a range is read in parts, since very many of its rows were deleted");
    Box::pin(in_parts(server, table, scan, whole)).await
}

/// Reads a range in halves, and those in halves.
async fn in_parts(server: &Server, table: &'static Table, scan: Scan, whole: Span) -> Result<Vec<Row>, TablesError> {
    // Ascending values come first unless the table or the scan turns them round.
    let is_ascending = (table.order == Order::Ascending) != scan.backwards;
    let mut rows: Vec<Row> = Vec::new();
    let mut spans = halves(whole, is_ascending).map_or_else(Vec::new, |[first, second]| vec![second, first]);
    for _ in 0..PARTS {
        let Some(piece) = spans.pop() else { return Ok(rows) };
        let mut part = narrowed(table, &scan, whole, piece);
        part.limit = scan.limit - rows.len();
        match Box::pin(read(server, table, &part)).await {
            Ok(mut found) => {
                rows.append(&mut found);
                if rows.len() >= scan.limit {
                    return Ok(rows);
                }
            }
            Err(Stopped::Asking(Failure::TooManyDeleted(reason))) => match halves(piece, is_ascending) {
                Some([first, second]) => spans.extend([second, first]),
                None => return Err(Failure::TooManyDeleted(reason).into()),
            },
            Err(other) => return Err(other.into()),
        }
    }
    Err(TablesError::Unavailable {
        reason: format!(
            "a range of the table {} has so many deleted rows that {PARTS} parts of it are not all",
            table.name
        ),
    })
}

/// Why a read ended early.
enum Stopped {
    /// The servers did not answer it.
    Asking(Failure),
    /// The answer was not what it should be.
    Reading(TablesError),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Asking(failure)
    }
}

impl From<TablesError> for Stopped {
    fn from(error: TablesError) -> Self {
        Self::Reading(error)
    }
}

impl From<Stopped> for TablesError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Asking(failure) => failure.into(),
            Stopped::Reading(error) => error,
        }
    }
}

async fn read(server: &Server, table: &'static Table, scan: &Scan) -> Result<Vec<Row>, Stopped> {
    let (Ok(start), Ok(end)) = (edge(&scan.start), edge(&scan.end)) else { return Ok(Vec::new()) };
    let operation = Operation::Scan {
        backwards: scan.backwards,
        start: start.map(|(edge, _)| edge),
        end: end.map(|(edge, _)| edge),
    };
    let mut values: Vec<_> = scan.partition.iter().map(Bind::Value).collect();
    let bounds = [start, end];
    values.extend(bounds.iter().flatten().flat_map(|(_, values)| values.iter().map(Bind::Value)));
    values.push(Bind::Small(i32::try_from(scan.limit).unwrap_or(i32::MAX)));
    let bound = Bound { statement: server.prepare(table, operation).await?, values };
    let key = Key { partition: scan.partition.clone(), clustering: Vec::new() };
    let mut rows = Vec::new();
    pages(server, table, &bound, &key, &mut |row| rows.push(row)).await?;
    Ok(rows)
}

/// All rows of a table, in no order, each given to `take`.
pub(super) async fn everything(
    server: &Server,
    table: &'static Table,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), TablesError> {
    let bound = Bound { statement: server.prepare(table, Operation::All).await?, values: Vec::new() };
    let whole = Key { partition: Vec::new(), clustering: Vec::new() };
    pages(server, table, &bound, &whole, take).await.map_err(TablesError::from)
}

/// All rows that a statement finds, page by page. `key` is what all of them have in common.
async fn pages(
    server: &Server,
    table: &'static Table,
    bound: &Bound<'_>,
    key: &Key,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), Stopped> {
    let mut from = PagingState::start();
    loop {
        let (result, next) = Box::pin(server.page(bound, from)).await?;
        let rows = result.into_rows_result().map_err(|error| TablesError::Unavailable { reason: error.to_string() })?;
        for mut row in Answer::new(table.name, &rows)?.into_rows() {
            take(row.row(table, key.clone())?);
        }
        match next.into_paging_control_flow() {
            ControlFlow::Continue(state) => from = state,
            ControlFlow::Break(()) => return Ok(()),
        }
    }
}

/// A bound of a scan for a statement: `None` for no bound. `Err` if no row can be within it.
fn edge(bound: &RangeBound<Vec<Value>>) -> Result<Option<(Edge, &[Value])>, ()> {
    let (values, is_included) = match bound {
        RangeBound::Unbounded => return Ok(None),
        RangeBound::Included(values) => (values, true),
        RangeBound::Excluded(values) => (values, false),
    };
    match (values.is_empty(), is_included) {
        // All rows begin with nothing.
        (true, true) => Ok(None),
        (true, false) => Err(()),
        (false, _) => Ok(Some((Edge { is_included, columns: values.len() }, values))),
    }
}

/// What a scan spans of the first column of the clustering key. `None` for texts and bytes, which have no middle.
fn span_of(table: &Table, scan: &Scan) -> Option<Span> {
    let kind = table.clustering_key.first()?.kind;
    let all = match kind {
        ColumnType::Workspace | ColumnType::Uuid => Span { low: 0, high: u128::MAX },
        ColumnType::Int | ColumnType::Timestamp => Span { low: 0, high: u128::from(u64::MAX) },
        ColumnType::Text | ColumnType::Blob => return None,
    };
    let first = |bound: &RangeBound<Vec<Value>>| match bound {
        RangeBound::Included(values) | RangeBound::Excluded(values) => values.first().and_then(number_of),
        RangeBound::Unbounded => None,
    };
    let (low, high) = match table.order {
        Order::Ascending => (first(&scan.start), first(&scan.end)),
        Order::Descending => (first(&scan.end), first(&scan.start)),
    };
    Some(Span { low: low.unwrap_or(all.low), high: high.unwrap_or(all.high) })
}

/// The halves of a span in the order of reading. `None` if it has no two.
const fn halves(span: Span, is_ascending: bool) -> Option<[Span; 2]> {
    if span.low >= span.high {
        return None;
    }
    let middle = span.low + (span.high - span.low) / 2;
    let (lower, upper) = (Span { low: span.low, high: middle }, Span { low: middle + 1, high: span.high });
    Some(if is_ascending { [lower, upper] } else { [upper, lower] })
}

/// The scan within a part of its span. Where the part ends with the span, the scan's own bound stays.
fn narrowed(table: &Table, scan: &Scan, whole: Span, piece: Span) -> Scan {
    let kind = table.clustering_key.first().map_or(ColumnType::Int, |column| column.kind);
    let at = |number| RangeBound::Included(vec![value_of(kind, number)]);
    let (start, end) = match table.order {
        Order::Ascending => ((piece.low, whole.low), (piece.high, whole.high)),
        Order::Descending => ((piece.high, whole.high), (piece.low, whole.low)),
    };
    let mut part = scan.clone();
    if start.0 != start.1 {
        part.start = at(start.0);
    }
    if end.0 != end.1 {
        part.end = at(end.0);
    }
    part
}

fn number_of(value: &Value) -> Option<u128> {
    let of_int = |n: i64| u128::from(n.cast_unsigned() ^ (1 << 63));
    Some(match value {
        Value::Workspace(id) => u128::from_be_bytes(*id.as_bytes()),
        Value::Uuid(bytes) => u128::from_be_bytes(*bytes),
        Value::Int(n) => of_int(*n),
        Value::Timestamp(at) => of_int(at.unix_micros()),
        Value::Text(_) | Value::Blob(_) => return None,
    })
}

fn value_of(kind: ColumnType, number: u128) -> Value {
    let int = || (u64::try_from(number).unwrap_or(u64::MAX) ^ (1 << 63)).cast_signed();
    match kind {
        ColumnType::Timestamp => Value::Timestamp(Timestamp::from_unix_micros(int())),
        ColumnType::Int => Value::Int(int()),
        ColumnType::Workspace => Value::Workspace(WorkspaceId::from_bytes(number.to_be_bytes())),
        ColumnType::Uuid | ColumnType::Text | ColumnType::Blob => Value::Uuid(number.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use schemas::tables::{CONVERSATION_VIEWS, LABELS, PENDING_SENDS, TIMERS};

    use super::*;

    #[test]
    fn numbers_keep_the_order_of_values() {
        for n in [i64::MIN, -1, 0, 1, i64::MAX] {
            let value = Value::Int(n);
            assert_eq!(value_of(ColumnType::Int, number_of(&value).unwrap()), value);
        }
        assert!(number_of(&Value::Int(-1)) < number_of(&Value::Int(0)));
        let id = Value::Uuid([7; 16]);
        assert_eq!(value_of(ColumnType::Uuid, number_of(&id).unwrap()), id);
        assert_eq!(span_of(LABELS, &Scan::of([WorkspaceId::from_bytes([0; 16]).into()], 1)), None);
    }

    #[test]
    fn parts_hold_together_all_of_the_whole() {
        let at = |n: i64| vec![Value::Timestamp(Timestamp::from_unix_micros(n))];
        for (table, is_ascending) in [(TIMERS, true), (CONVERSATION_VIEWS, false)] {
            let (first, last) = if is_ascending { (10, 20) } else { (20, 10) };
            let scan = Scan {
                start: RangeBound::Excluded(at(first)),
                end: RangeBound::Included(at(last)),
                ..Scan::of([Value::Int(1)], 9)
            };
            let whole = span_of(table, &scan).unwrap();
            let [one, two] = halves(whole, is_ascending).unwrap();
            let (one, two) = (narrowed(table, &scan, whole, one), narrowed(table, &scan, whole, two));
            assert_eq!((one.start, two.end), (RangeBound::Excluded(at(first)), RangeBound::Included(at(last))));
            let (until, from) = if is_ascending { (15, 16) } else { (16, 15) };
            assert_eq!((one.end, two.start), (RangeBound::Included(at(until)), RangeBound::Included(at(from))));
        }
        let whole = span_of(PENDING_SENDS, &Scan::of([Value::Int(1)], 9)).unwrap();
        assert_eq!(halves(whole, true).unwrap()[1].low, 1 << 127);
        assert_eq!(halves(Span { low: 5, high: 5 }, true), None);
    }
}
