//! Every codec gives the same bits back, and no bytes make a decoder panic.

use model::histogram::Histogram;
use model::sample::STALE_NAN_BITS;
use proptest::prelude::*;
use storage::codec::Cursor;
use storage::index::LabelIndex as _;
use storage::table::{Density, Memtable as _, Shard};
use tsdb::ingest::batch::Batch;
use tsdb::store::codec::{BLOCK_SAMPLES_MAX, exemplars, histograms, starts, timestamps, values};
use tsdb::store::memtable::MetricsMemtable;

use crate::support::{any_float, any_histogram, batch, guard};

/// Fresh and settled.
fn check_values(values: &[f64]) -> [Vec<u8>; 2] {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    [Density::Hot, Density::Settled].map(|density| {
        let (mut body, mut back) = (Vec::new(), Vec::new());
        values::encode(values, density, &mut body);
        values::decode(&body, values.len(), &mut back).expect("own encoding");
        assert_eq!(bits(&back), bits(values));
        body
    })
}

fn check_timestamps(timestamps: &[i64]) -> usize {
    let mut body = Vec::new();
    timestamps::encode(timestamps, &mut body);
    let back = timestamps::decode(&body).expect("own encoding");
    assert_eq!(back, timestamps);
    body.len()
}

#[test]
fn each_kind_of_values_takes_its_codec_and_little_room() {
    let many = |f: fn(u32) -> f64| (0..8192).map(f).collect::<Vec<f64>>();
    // Evenly spread, and mostly small.
    let spread = |i: u32| {
        let mixed = i.wrapping_mul(0x9e37_79b9);
        (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b) >> 12
    };
    let skewed = |i: u32| (spread(i) << 12 | 1).leading_zeros().pow(2);
    let mut marked: Vec<f64> = (0..8192).map(|i| f64::from(spread(i) % 128)).collect();
    let even = marked.clone();
    marked[4000] = f64::from_bits(STALE_NAN_BITS);
    marked[4001] = 0.1 + 0.2;
    let pages = (0..8192).map(|i| f64::from(spread(i) % 8 * 4096)).collect();
    let counter = (0..8192).scan(1e9, |count, i| {
        *count = if i == 5000 {
            0.0
        } else {
            *count + f64::from(spread(i) % 16)
        };
        Some(*count)
    });
    let settles = (0..8192).map(|i| f64::from(skewed(i))).collect();
    let sums = (0..8192).scan(1e3, |sum, i| {
        *sum += f64::from(spread(i)).sqrt() / 7.0;
        Some(*sum)
    });
    let mut seldom = many(|i| f64::from(i / 1000));
    seldom[5500] = f64::from_bits(STALE_NAN_BITS);
    // Tags and most bytes, fresh and settled. The noise is even steps, which pco finds.
    for (what, values, tags, bytes_max) in [
        ("constant", many(|_| 0.1), [1, 1], [9, 9]),
        ("steps", many(|i| f64::from(i) * 15.0), [2, 2], [8, 8]),
        ("integers", even, [5, 5], [7400, 7400]),
        ("two odd values", marked, [5, 5], [7430, 7430]),
        ("pages", pages, [5, 5], [3300, 3300]),
        (
            "a counter that starts again",
            counter.collect(),
            [5, 5],
            [4400, 4400],
        ),
        ("mostly small", settles, [5, 6], [8192, 4096]),
        ("seldom", seldom, [9, 9], [48, 48]),
        ("sums", sums.collect(), [5, 5], [44_000, 44_000]),
        (
            "noise",
            many(|i| f64::from_bits(u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            [0, 7],
            [8 * 8192 + 1, 8 * 8192 + 1],
        ),
        ("none", Vec::new(), [0, 0], [1, 1]),
        ("one", vec![f64::NAN], [1, 1], [9, 9]),
    ] {
        let bodies = check_values(&values);
        for ((body, tag), bytes_max) in bodies.iter().zip(tags).zip(bytes_max) {
            assert_eq!(body[0], tag, "{what}");
            assert!(body.len() <= bytes_max, "{what}: {} bytes", body.len());
        }
    }
}

#[test]
fn a_steady_scrape_costs_a_dozen_bytes_a_block() {
    let steady: Vec<i64> = (0..8192).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    assert!(check_timestamps(&steady) <= 12);
    let jitter: Vec<i64> = steady.iter().map(|at| at + at / 15_000 % 3).collect();
    assert!(check_timestamps(&jitter) <= 8192 + 12);
    for edge in [
        &[][..],
        &[7],
        &[i64::MIN, i64::MAX],
        &[i64::MIN, -1, 0, i64::MAX],
    ] {
        check_timestamps(edge);
    }
}

fn check_histograms(all: &[Histogram]) {
    let mut body = Vec::new();
    let mut previous = None;
    for histogram in all {
        histograms::encode(histogram, previous, &mut body);
        previous = Some(histogram);
    }
    let mut cursor = Cursor::new(&body);
    let mut previous: Option<Histogram> = None;
    for histogram in all {
        let back = histograms::decode(&mut cursor, previous.as_ref()).expect("own encoding");
        assert!(back.same_bits(histogram), "{back:?} {histogram:?}");
        previous = Some(back);
    }
    assert!(cursor.is_at_end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_floats_come_back(values in prop::collection::vec(any_float(), 0..300)) {
        check_values(&values);
    }

    #[test]
    fn decimals_come_back(values in prop::collection::vec(-100_000_000i64..100_000_000, 1..300), digits in 0..13i32) {
        let values: Vec<f64> = values.into_iter().map(|v| v as f64 / 10f64.powi(digits)).collect();
        check_values(&values);
    }

    #[test]
    fn runs_come_back(runs in prop::collection::vec((any_float(), 1..200usize), 1..8)) {
        let values: Vec<f64> = runs.into_iter().flat_map(|(value, run)| vec![value; run]).collect();
        check_values(&values);
    }

    #[test]
    fn any_starts_come_back(starts in prop::collection::vec((any::<i64>(), 1..4usize, any::<bool>()), 0..50)) {
        // Runs of one start, and starts that move along with their samples.
        let starts: Vec<i64> = starts
            .into_iter()
            .flat_map(|(start, run, moves)| (0..run as i64).map(move |i| start.wrapping_add(i * i64::from(moves))))
            .collect();
        let timestamps: Vec<i64> = (1..).take(starts.len()).collect();
        let (mut body, mut back) = (Vec::new(), Vec::new());
        starts::encode(&starts, &timestamps, &mut body);
        starts::decode(&body, &timestamps, &mut back).expect("own encoding");
        assert_eq!(back, starts);
    }

    #[test]
    fn any_timestamps_come_back(timestamps in prop::collection::btree_set(any::<i64>(), 0..200)) {
        check_timestamps(&timestamps.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn any_histograms_come_back(all in prop::collection::vec(any_histogram(), 0..6), repeat in 1..4usize) {
        // Repeated, so that each meets one of its own layout.
        let all: Vec<Histogram> = all.into_iter().flat_map(|h| std::iter::repeat_n(h, repeat)).collect();
        check_histograms(&all);
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>, tag in 0..11u8, count in 0..BLOCK_SAMPLES_MAX) {
        let mut tagged = vec![tag];
        tagged.extend_from_slice(&bytes);
        for bytes in [&bytes, &tagged] {
            let _ = values::decode(bytes, count, &mut Vec::new());
            let _ = starts::decode(bytes, &[1, 2, 3], &mut Vec::new());
            let _ = exemplars::decode(bytes, count);
            let _ = timestamps::decode(bytes);
            let _ = histograms::decode(&mut Cursor::new(bytes), None);
            let _ = histograms::decode(&mut Cursor::new(bytes), Some(&Histogram::default()));
            let _ = MetricsMemtable::default().apply(bytes);
        }
    }

    #[test]
    fn a_damaged_record_is_applied_without_a_panic(number in 0..20u64, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut memtable = MetricsMemtable::default();
        let mut record = Vec::new();
        memtable.encode(&Batch::of(&batch(number)), Shard::WHOLE, &mut record);
        let at = at.index(record.len());
        record[at] = byte;
        let _ = memtable.apply(&record);
        record.truncate(cut.index(record.len()));
        let _ = memtable.apply(&record);
    }
}

#[test]
fn a_lost_record_never_lends_its_rows_to_another_series() {
    let mut writer = MetricsMemtable::default();
    let mut records = Vec::new();
    for number in 0..6 {
        let mut record = Vec::new();
        writer.encode(&Batch::of(&batch(number)), Shard::WHOLE, &mut record);
        writer.apply(&record).expect("own record");
        records.push(record);
    }
    for lost in 0..records.len() {
        let mut memtable = MetricsMemtable::default();
        for (number, record) in records.iter().enumerate() {
            if number != lost {
                let _ = memtable.apply(record);
            }
        }
        let index = memtable.index(&guard()).expect("nobody interrupts");
        for number in 0..index.len() {
            let labels = index.labels(number).expect("a series has labels");
            let Some(found) = memtable.columns(number) else {
                continue;
            };
            let place = writer
                .index(&guard())
                .expect("nobody interrupts")
                .get(&labels)
                .expect("the writer knows it");
            let whole = writer.columns(place).expect("a series has columns");
            for at in &found.floats.timestamps {
                assert!(
                    whole.floats.timestamps.contains(at),
                    "{labels} at {at}, lost {lost}"
                );
            }
        }
    }
}
