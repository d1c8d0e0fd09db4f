//! Chunks that Prometheus 3.16's own library encoded, of the encodings that no block of the tests has.

use model::histogram::{CounterResetHint, Histogram, Span};
use model::sample::{HistogramSample, Sample};
use model::time::Timestamp;
use proptest::prelude::*;

use super::chunk::{Chunk, decode};

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal")
    };
    digits.map(byte).collect()
}

/// With no start timestamps, with all of them, and with some from the middle on.
const XOR2: [&str; 3] = [
    "00140080a0abfef9623ff0000000000000e807509bffdfe001fdffd37ffe001f0251cf8005f000000000005302060feff90000000000007dffffffffffeaa3430008000000000001f000000009502f8ffe019fffefffffffed5fa0e05a002fe100000000d17dfdccccccccccccdfdc02000efefffc1fe0c73ed288ccf60300",
    "00148180a0abfef9623ff0000000000000e807e8077b83684dffecff85c003f4dffd6318bdfff80078ee04a39ff76bad000b91f000000000005302060feff90000000000007f7d67f4fdffffffffffeaa3430008000000000001fc0aae74f000000009502f8ffe019ffffdfffffdabf41c31efffffffed5fa0e05a003f8000004a817c852fe100000000e6e8befee666666666666f3bfcfb843c02000fbf023efefffc1fe0c73ed288ccf6037c081300",
    "00140780a0abfef9623ff0000000000000e807509bffdfe001fdffd37ffe001fc08b0f0251cff1f3c002fc258bf8000000000029810307f7fc8000000000003f09c41efffffffffff551a18004000000000000fe0557307800000004a817c7ff00cffff67c7bfffffffb57e83816800fe0000012a05f200bf840000000385a2fbfb999999999999bf67e7f0ac2f008003d9f9dfdfff83fc18e7da51199ec06f81005",
];

const FLOATS: [(i64, u64); 20] = [
    (1_700_000_000_000, 0x3ff0_0000_0000_0000),
    (1_700_000_001_000, 0x3ff0_0000_0000_0000),
    (1_700_000_002_000, 0x4004_0000_0000_0000),
    (1_700_000_003_000, 0x7ff0_0000_0000_0002),
    (1_700_000_004_003, 0x7ff0_0000_0000_0002),
    (1_700_000_005_003, 0x4004_0000_0000_0000),
    (1_700_000_006_003, 0x4004_0000_0000_0000),
    (1_700_000_007_002, 0x4008_0000_0000_0000),
    (1_700_000_027_002, 0x7ff0_0000_0000_0002),
    (1_700_000_047_002, 0x401c_0000_0000_0000),
    (1_700_000_747_002, 0x7ff8_0000_0000_0001),
    (1_700_000_747_003, 0x7ff0_0000_0000_0000),
    (1_705_000_747_003, 0x8000_0000_0000_0000),
    (1_705_000_747_008, 0x0000_0000_0000_0000),
    (1_705_000_747_013, 0x0000_0000_0000_0001),
    (1_705_000_747_018, 0x3fb9_9999_9999_999a),
    (1_705_000_747_023, 0x7ff0_0000_0000_0002),
    (1_705_000_747_028, 0x3fb9_9999_9999_999a),
    (1_705_000_751_129, 0x3fb9_9999_9999_999a),
    (1_705_000_751_133, 0x7e37_e43c_8800_759c),
];

#[test]
fn floats_of_the_newer_encoding_are_read() {
    for hex in XOR2 {
        let Ok(Chunk::Floats(samples)) = decode(4, &bytes(hex)) else {
            panic!("{hex}");
        };
        let bits = |sample: &Sample| (sample.timestamp.0, sample.value.to_bits());
        assert_eq!(
            samples.iter().map(bits).collect::<Vec<_>>(),
            FLOATS,
            "{hex}"
        );
    }
}

/// Integers and floats, with start timestamps as above.
const HISTOGRAMS: [[&str; 2]; 3] = [
    [
        "000600f38c6517f0000c5e7f2b4004c000000000000000118fc1d4cce388bfff148c25fff246b13491292230",
        "000600f38c6517f0000c5e7f2b4002004000000000000000000000000000000000000000000001ff800000000000020000000000000007c1d4ceb0788afff117fff097fff60396a17b84bfff84bfffb01eb0b945d80f589bac2f683943d6172ed07b02e53b6838f605c8",
    ],
    [
        "000682f38c6517f0000c5e7f2b4004c000000000000000118d04e00fc1d4cce388bfff148c25fff3e181f646b134f83a9b9129f072e32233e0ea7c",
        "000682f38c6517f0000c5e7f2b4002004000000000000000000000000000000000000000000001ff80000000000002000000000000000504e00fc1d4ceb0788afff117fff097fff60396a17b84bfff84bfffb01eb0bf8607d945d80f589bac2f683f83a9b943d6172ed07b02fe0e5c653b6838f605cfc1d4f8",
    ],
    [
        "000603f38c6517f0000c5e7f2b4004c000000000000000118fc1d4cce388bfff148c25fff246b134f89c2f9129f0752d2233e0ea60",
        "000603f38c6517f0000c5e7f2b4002004000000000000000000000000000000000000000000001ff800000000000020000000000000007c1d4ceb0788afff117fff097fff60396a17b84bfff84bfffb01eb0b945d80f589bac2f683f89c2f943d6172ed07b02fe0ea5a53b6838f605cfc1d4c0",
    ],
];

#[test]
fn a_staleness_marker_may_come_first() {
    let hex = "00080080a0abfef9627ff00000000000020af426c007f3ffb87bc9ffdf80";
    let Ok(Chunk::Floats(samples)) = decode(4, &bytes(hex)) else {
        panic!("{hex}");
    };
    let stale = model::sample::STALE_NAN_BITS;
    let (one, more) = (1.0_f64.to_bits(), 2.5_f64.to_bits());
    let values: Vec<u64> = samples.iter().map(|s| s.value.to_bits()).collect();
    assert_eq!(values, [stale, stale, more, stale, one, one, more, stale]);
}

#[test]
fn histograms_with_start_timestamps_are_read() {
    let expected: Vec<HistogramSample> = (0..6)
        .map(|n| HistogramSample {
            timestamp: Timestamp(1_700_000_000_000 + n * 15_000 + n * n),
            histogram: Histogram {
                counter_reset_hint: match n {
                    0 => CounterResetHint::Unknown,
                    _ => CounterResetHint::NotReset,
                },
                schema: 1,
                zero_threshold: 0.5,
                zero_count: n as f64,
                count: (3 * n + 3) as f64,
                sum: n as f64 * 1.5,
                positive_spans: vec![Span {
                    offset: 1,
                    length: 2,
                }],
                positive_buckets: vec![(n + 1) as f64, (n + 2) as f64],
                ..Histogram::default()
            },
        })
        .collect();
    for chunks in HISTOGRAMS {
        for (encoding, hex) in (5..).zip(chunks) {
            let decoded = decode(encoding, &bytes(hex));
            assert_eq!(
                decoded,
                Ok(Chunk::Histograms(expected.clone())),
                "{encoding} {hex}"
            );
        }
    }
}

#[test]
fn an_unknown_encoding_is_named() {
    let error = decode(9, &[]).expect_err("unknown");
    assert!(
        error.starts_with("the chunk's encoding 9 is none of XOR (1)"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(encoding in 0_u8..8, data: Vec<u8>) {
        let _ = decode(encoding, &data);
    }
}
