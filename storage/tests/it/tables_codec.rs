//! Properties of the keys and rows as bytes.

use std::ops::Bound;

use proptest::prelude::*;
use schemas::tables::{
    CONVERSATION_VIEWS, ColumnType, DEAD_LETTERS, EXTERNAL_MESSAGES, MESSAGES, Order, SESSIONS, TIMERS, Table, Value,
};
use schemas::{Timestamp, WorkspaceId};
use storage::tables::codec::{self, Cell};
use storage::tables::{Key, Row, Scan};

const TABLES: [&Table; 5] = [TIMERS, CONVERSATION_VIEWS, DEAD_LETTERS, MESSAGES, EXTERNAL_MESSAGES];

/// Text in which zeros, the escape's own bytes and characters of every length are frequent.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        Just('\0'),
        Just('\u{1}'),
        Just('a'),
        Just('b'),
        Just('\u{FF}'),
        Just('م'),
        Just('😀'),
        any::<char>()
    ];
    prop::collection::vec(character, 0..6).prop_map(|characters| characters.into_iter().collect())
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -2..3_i64, Just(i64::MIN), Just(i64::MAX), -300..300_i64]
}

fn value(kind: ColumnType) -> BoxedStrategy<Value> {
    match kind {
        ColumnType::Workspace => (0..3_u8).prop_map(|n| Value::from(WorkspaceId::from_bytes([n; 16]))).boxed(),
        ColumnType::Uuid => {
            prop_oneof![any::<[u8; 16]>(), (0..3_u8).prop_map(|n| [n; 16])].prop_map(Value::Uuid).boxed()
        }
        ColumnType::Text => text().prop_map(Value::Text).boxed(),
        ColumnType::Int => int().prop_map(Value::Int).boxed(),
        ColumnType::Timestamp => int().prop_map(|micros| Value::Timestamp(Timestamp::from_unix_micros(micros))).boxed(),
        ColumnType::Blob => {
            prop::collection::vec(prop_oneof![Just(0), Just(255), any::<u8>()], 0..6).prop_map(Value::Blob).boxed()
        }
    }
}

fn key(table: &'static Table) -> impl Strategy<Value = Key> {
    let values = |columns: &'static [schemas::tables::Column]| {
        columns.iter().map(|column| value(column.kind)).collect::<Vec<_>>()
    };
    (values(table.partition_key), values(table.clustering_key))
        .prop_map(|(partition, clustering)| Key { partition, clustering })
}

fn keys(count: usize) -> impl Strategy<Value = (&'static Table, Vec<Key>)> {
    prop::sample::select(&TABLES[..])
        .prop_flat_map(move |table| (Just(table), prop::collection::vec(key(table), count)))
}

fn compare(table: &Table, a: &Key, b: &Key) -> std::cmp::Ordering {
    let clustering = match table.order {
        Order::Ascending => a.clustering.cmp(&b.clustering),
        Order::Descending => b.clustering.cmp(&a.clustering),
    };
    a.partition.cmp(&b.partition).then(clustering)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_sort_as_keys_do_and_give_the_keys_back((table, keys) in keys(2)) {
        let bytes: Vec<_> = keys.iter().map(|key| codec::encode_key(table, key).unwrap()).collect();
        prop_assert_eq!(bytes[0].cmp(&bytes[1]), compare(table, &keys[0], &keys[1]));
        for (key, bytes) in keys.iter().zip(&bytes) {
            prop_assert_eq!(&codec::decode_key(table, bytes).unwrap(), key);
        }
    }

    #[test]
    fn a_range_holds_the_keys_between_its_bounds_and_no_others(
        (table, keys) in keys(3),
        same_partition in any::<bool>(),
        depth in 0..4_usize,
        kind in 0..6_usize,
    ) {
        let [mut candidate, start, end] = <[Key; 3]>::try_from(keys).unwrap();
        if same_partition {
            candidate.partition.clone_from(&start.partition);
        }
        let cut = |key: Key| key.clustering.into_iter().take(depth).collect::<Vec<_>>();
        let partition = start.partition.clone();
        let (start, end) = (cut(start), cut(end));
        let (from, to) = match kind {
            0 => (Bound::Unbounded, Bound::Unbounded),
            1 => (Bound::Included(start.clone()), Bound::Unbounded),
            2 => (Bound::Excluded(start.clone()), Bound::Unbounded),
            3 => (Bound::Unbounded, Bound::Included(end.clone())),
            4 => (Bound::Unbounded, Bound::Excluded(end.clone())),
            _ => (Bound::Included(start.clone()), Bound::Included(end.clone())),
        };
        let scan = Scan { start: from, end: to, ..Scan::of(partition.clone(), 1) };
        let (first, last) = codec::encode_scan(table, &scan).unwrap();
        let bytes = codec::encode_key(table, &candidate).unwrap();
        let place = |bound: &[Value]| {
            let ordering = candidate.clustering[..bound.len()].cmp(bound);
            if table.order == Order::Descending { ordering.reverse() } else { ordering }
        };
        let expected = candidate.partition == partition && match kind {
            0 => true,
            1 => place(&start).is_ge(),
            2 => place(&start).is_gt(),
            3 => place(&end).is_le(),
            4 => place(&end).is_lt(),
            _ => place(&start).is_ge() && place(&end).is_le(),
        };
        prop_assert_eq!(first <= bytes && bytes < last, expected);
    }

    #[test]
    fn rows_come_back(version in prop::option::of(int()), body in prop::option::of(prop::collection::vec(any::<u8>(), 0..300))) {
        let key = Key::of([Value::Uuid([1; 16])]);
        let mut row = Row::new(key.clone());
        let mut cells = Vec::new();
        if let Some(version) = version {
            row = row.with("version", version);
            cells.push(Cell::new(0, Value::Int(version)).unwrap());
        }
        if let Some(body) = body {
            row = row.with("body", body.clone());
            cells.push(Cell::new(1, Value::Blob(body)).unwrap());
        }
        let key_bytes = codec::encode_key(SESSIONS, &key).unwrap();
        let bytes = codec::encode_row(&key_bytes, &cells);
        prop_assert_eq!(codec::decode_row(SESSIONS, key.clone(), &key_bytes, &bytes).unwrap(), row);
        // Any flipped bit is found.
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            prop_assert!(codec::decode_row(SESSIONS, key.clone(), &key_bytes, &flipped).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_key(bytes in prop::collection::vec(prop_oneof![Just(0), Just(255), any::<u8>()], 0..80), number in 0..30_u8) {
        for table in schemas::tables::ALL {
            let mut bytes = bytes.clone();
            if let [first, second, ..] = bytes.as_mut_slice() {
                (*first, *second) = (0, number);
            }
            if let Ok(key) = codec::decode_key(table, &bytes) {
                prop_assert_eq!(codec::encode_key(table, &key).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_row(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let key = Key::of([Value::Uuid([1; 16])]);
        let mut payload = vec![1];
        payload.extend_from_slice(&bytes);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(b"key");
        hasher.update(&payload);
        let mut row = hasher.finalize().to_le_bytes().to_vec();
        row.extend_from_slice(&payload);
        for row in [&bytes, &row] {
            let _any_answer = codec::decode_row(SESSIONS, key.clone(), b"key", row);
        }
    }
}
