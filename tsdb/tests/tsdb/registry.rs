//! Memtables that share their series: whatever is sealed, replayed or lost, a row stays with the
//! labels it was written for.

use std::collections::BTreeSet;

use ::model::labels::Labels;
use proptest::prelude::*;
use storage::codec::{put_bytes, put_f64, put_ivarint, put_uvarint};
use storage::index::{LabelIndex as _, SeriesRef};
use storage::table::{Memtable as _, Shard};
use tsdb::ingest::batch::Batch;
use tsdb::store::memtable::MetricsMemtable;

use crate::support::{floats, guard, labels};

/// What a memtable holds: labels, instant, bits.
type Found = BTreeSet<(Labels, i64, u64)>;

fn found_in(table: &MetricsMemtable) -> Found {
    let mut found = Found::new();
    let numbers: Vec<(SeriesRef, Labels)> = {
        let index = table.index(&guard()).expect("nobody interrupts");
        (0..index.len())
            .map(|number| (number, index.labels(number).expect("a series has labels")))
            .collect()
    };
    for (number, labels) in numbers {
        assert_eq!(
            table
                .index(&guard())
                .expect("nobody interrupts")
                .get(&labels),
            Some(number)
        );
        let columns = table.columns(number).unwrap_or_default();
        let floats = columns.floats.timestamps.iter().zip(&columns.floats.values);
        found.extend(floats.map(|(at, value)| (labels.clone(), *at, value.to_bits())));
    }
    found
}

/// A segment of the log, and what its memtable must hold.
#[derive(Default)]
struct Segment {
    records: Vec<Vec<u8>>,
    rows: Vec<Found>,
}

#[derive(Clone, Debug)]
enum Operation {
    /// Each of the series has a row; its value says which series it is.
    Write(Vec<u64>),
    /// Encoded, and then the log refuses it.
    Refused(Vec<u64>),
    Seal,
}

fn operation() -> impl Strategy<Value = Operation> {
    let series = || {
        prop_oneof![
            prop::collection::vec(0..8u64, 1..8),
            prop::collection::vec(0..200u64, 1..30),
        ]
    };
    prop_oneof![
        6 => series().prop_map(Operation::Write),
        1 => series().prop_map(Operation::Refused),
        2 => Just(Operation::Seal),
    ]
}

fn write(table: &MetricsMemtable, shard: Shard, series: &[u64], at: i64) -> (Vec<u8>, Found) {
    let rows = series
        .iter()
        .map(|number| floats(*number, &[(at, *number as f64)]));
    let batch = Batch::of(&rows.collect::<Vec<_>>());
    let mut record = Vec::new();
    table.encode(&batch, shard, &mut record);
    let of = |number: &u64| (labels(*number), at, (*number as f64).to_bits());
    let rows = series.iter().map(of).zip(batch.iter());
    let rows = rows.filter(|(_, series)| shard.holds(series.hash));
    (record, rows.map(|(row, _)| row).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_row_stays_with_its_labels(
        operations in prop::collection::vec(operation(), 1..40),
        lost: prop::sample::Index,
        shard in 0..3u32,
    ) {
        let shard = if shard == 2 { Shard::WHOLE } else { Shard { number: shard, of: 2 } };
        let mut sealed = Vec::new();
        let (mut table, mut segment) = (MetricsMemtable::default(), Segment::default());
        for (at, operation) in (0..).zip(operations) {
            match operation {
                Operation::Write(series) => {
                    let (record, rows) = write(&table, shard, &series, at);
                    table.apply(&record).expect("own record");
                    segment.records.push(record);
                    segment.rows.push(rows);
                }
                Operation::Refused(series) => {
                    write(&table, shard, &series, at);
                }
                Operation::Seal => {
                    let next = table.successor();
                    sealed.push((std::mem::replace(&mut table, next), std::mem::take(&mut segment)));
                }
            }
        }
        sealed.push((table, segment));
        for (table, segment) in &sealed {
            let whole: Found = segment.rows.iter().flatten().cloned().collect();
            prop_assert_eq!(&found_in(table), &whole);
            let mut replayed = MetricsMemtable::default();
            for record in &segment.records {
                replayed.apply(record).expect("own record");
            }
            prop_assert_eq!(&found_in(&replayed), &whole);
            if segment.records.is_empty() {
                continue;
            }
            let lost = lost.index(segment.records.len());
            let mut damaged = MetricsMemtable::default();
            for (number, record) in segment.records.iter().enumerate() {
                if number != lost {
                    let _ = damaged.apply(record);
                }
            }
            let found = found_in(&damaged);
            prop_assert!(found.is_subset(&whole));
            // Of what came before the loss nothing is missing.
            for row in segment.rows.iter().take(lost).flatten() {
                prop_assert!(found.contains(row));
            }
        }
    }
}

#[test]
fn idle_series_leave_with_their_memtables() {
    let mut table = MetricsMemtable::default();
    let everyone: Vec<u64> = (0..100).collect();
    for at in 0..20 {
        let series = if at == 0 {
            everyone.as_slice()
        } else {
            &[1, 2]
        };
        let (record, _) = write(&table, Shard::WHOLE, series, at);
        table.apply(&record).expect("own record");
        table = table.successor();
    }
    assert!(
        table.index(&guard()).expect("nobody interrupts").len() <= 2,
        "{} series",
        table.index(&guard()).expect("nobody interrupts").len()
    );
}

#[test]
fn busy_series_cost_the_next_memtable_nothing() {
    let mut table = MetricsMemtable::default();
    let everyone: Vec<u64> = (0..1000).collect();
    let mut sizes = Vec::new();
    for at in 0..3 {
        let (record, _) = write(&table, Shard::WHOLE, &everyone, at);
        table.apply(&record).expect("own record");
        sizes.push(table.bytes());
        assert_eq!(
            table.index(&guard()).expect("nobody interrupts").len(),
            1000
        );
        table = table.successor();
    }
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    assert_eq!(sizes[1], sizes[2]);
}

/// As the first version wrote it.
#[test]
fn a_record_of_version_1_is_replayed() {
    let mut series = Vec::new();
    put_uvarint(&mut series, 2);
    for number in [7, 3] {
        put_uvarint(&mut series, number);
        put_bytes(&mut series, labels(number).as_encoded().as_bytes());
    }
    let mut rows = Vec::new();
    put_uvarint(&mut rows, 2);
    for (change, count) in [(7, 2), (-4, 1)] {
        put_ivarint(&mut rows, change);
        put_uvarint(&mut rows, count);
    }
    rows.push(1);
    for change in [100, 5, -5] {
        put_ivarint(&mut rows, change);
    }
    for value in [1.0, -0.0, 3.0] {
        put_f64(&mut rows, value);
    }
    let mut record = vec![1, 1];
    put_bytes(&mut record, &series);
    record.push(2);
    put_bytes(&mut record, &rows);
    let mut table = MetricsMemtable::default();
    table.apply(&record).expect("a record of version 1");
    let expected: Found = [(7, 100, 1.0), (7, 105, -0.0), (3, 100, 3.0f64)]
        .into_iter()
        .map(|(number, at, value)| (labels(number), at, value.to_bits()))
        .collect();
    assert_eq!(found_in(&table), expected);
}
