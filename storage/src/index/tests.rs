//! Every index against looking at every series.

#![allow(clippy::expect_used)] // a test asserts
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::LabelIndex;
use super::memory::MemoryIndex;
use super::reader::IndexReader;
use super::values::Values;
use super::version_1;
use super::writer::write_index;
use crate::disk::Disk as _;
use crate::disk::sim::SimDisk;
use crate::part::PartError;
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;

mod impatient;

const NAMES: [&str; 5] = ["A", "__name__", "pod", "zone", "missing"];

/// What writes an index.
type Write = fn(&[Labels], &mut PartWriter) -> Result<(), PartError>;

/// A part with the index of `series`.
fn part(series: &[Labels], write: Write) -> IndexReader {
    let (disk, path) = (SimDisk::new(1), Path::new("/part"));
    let mut writer = PartWriter::create(&disk, path).expect("creates");
    write(series, &mut writer).expect("writes");
    writer.finish().expect("finishes");
    IndexReader::open(&PartFile::open(&disk, path).expect("a part")).expect("an index")
}

fn values_of(index: &dyn LabelIndex, name: &str, matchers: &[Matcher]) -> Vec<String> {
    all_of(index.label_values(name, matchers).expect("reads"))
}

fn all_of(mut values: Box<dyn Values + '_>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(value) = values.next().expect("reads") {
        found.push(value.to_owned());
    }
    found
}

/// Asks what some series have, and looks at them.
fn check_among(index: &dyn LabelIndex, series: &[Labels], chosen: &RoaringBitmap) {
    let labels = || chosen.iter().filter_map(|n| series.get(n as usize));
    let names: BTreeSet<&str> = labels()
        .flat_map(Labels::iter)
        .map(|(name, _)| name)
        .collect();
    let found = index.label_names_among(chosen).expect("reads");
    assert!(found.iter().eq(names), "names {found:?} of {chosen:?}");
    for name in NAMES {
        let values: BTreeSet<&str> = labels().filter_map(|labels| labels.get(name)).collect();
        let found = all_of(index.label_values_among(name, chosen).expect("reads"));
        assert!(found.iter().eq(values), "{name}: {found:?} of {chosen:?}");
    }
}

/// Asks an index of `series` everything, and looks at the series themselves.
fn check(index: &dyn LabelIndex, series: &[Labels], matchers: &[Matcher]) {
    let passing: Vec<(u32, &Labels)> = (0..)
        .zip(series)
        .filter(|(_, labels)| matchers.iter().all(|m| m.matches_labels(labels)))
        .collect();
    let expected: RoaringBitmap = passing.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        index.select(matchers).expect("reads"),
        expected,
        "{matchers:?}"
    );
    let labels = || passing.iter().map(|(_, labels)| *labels);
    let names: BTreeSet<&str> = labels()
        .flat_map(Labels::iter)
        .map(|(name, _)| name)
        .collect();
    let found = index.label_names_of(matchers).expect("reads");
    assert!(found.iter().eq(names), "names {found:?} for {matchers:?}");
    for name in NAMES {
        let values: BTreeSet<&str> = labels().filter_map(|labels| labels.get(name)).collect();
        let found = values_of(index, name, matchers);
        assert!(
            found.iter().eq(values),
            "{name}: {found:?} for {matchers:?}"
        );
    }
}

/// The values one by one, with who has them.
fn check_postings(index: &dyn LabelIndex, series: &[Labels]) {
    assert_eq!(index.len() as usize, series.len());
    for name in NAMES {
        let mut having: BTreeMap<&str, RoaringBitmap> = BTreeMap::new();
        for (number, labels) in (0..).zip(series) {
            if let Some(value) = labels.get(name) {
                having.entry(value).or_default().insert(number);
            }
        }
        let all = having
            .values()
            .fold(RoaringBitmap::new(), |all, set| all | set);
        assert_eq!(index.presence(name).expect("reads"), all, "{name}");
        assert!(index.postings(name, "").expect("reads").is_empty());
        for prefix in ["", "a", "app-3-"] {
            let mut expected = having.iter().filter(|(value, _)| value.starts_with(prefix));
            index
                .each_value(name, prefix, &mut |value, postings| {
                    let (text, series) = expected.next().expect("no more values");
                    assert_eq!(value, *text, "{name}");
                    assert_eq!(postings()?, *series, "{name}={value}");
                    Ok(())
                })
                .expect("reads");
            assert_eq!(expected.next(), None, "{name}");
        }
        for (value, series) in having.iter().step_by(13) {
            let found = index.postings(name, value).expect("reads");
            assert_eq!(found, *series, "{name}={value}");
        }
    }
}

fn check_labels(index: &IndexReader, series: &[Labels], wanted: &RoaringBitmap) {
    let mut found = Vec::new();
    index
        .labels_of(wanted, |number, labels| found.push((number, labels)))
        .expect("reads");
    let expected = wanted.iter().filter_map(|number| {
        let labels = series.get(number as usize)?;
        Some((number, labels.clone()))
    });
    assert!(found.iter().cloned().eq(expected));
    for most in [1, 3, 70] {
        let mut first = Vec::new();
        index
            .labels_until(wanted, |number, labels| {
                first.push((number, labels));
                if first.len() < most {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
            .expect("reads");
        assert!(first.iter().eq(found.iter().take(most)));
    }
}

/// The first set that comes twice is dropped: an index has each once.
fn unique(series: Vec<Labels>) -> Vec<Labels> {
    let mut seen = BTreeSet::new();
    let mut series = series;
    series.retain(|labels| seen.insert(labels.clone()));
    series
}

fn check_all(series: Vec<Labels>, matchers: &[Vec<Matcher>], wanted: &RoaringBitmap) {
    let shuffled = unique(series);
    let mut ordered = shuffled.clone();
    ordered.sort();
    for series in [shuffled, ordered] {
        let mut memory = MemoryIndex::default();
        for labels in &series {
            memory.get_or_insert(labels);
        }
        let parts = [write_index, version_1::write].map(|write| part(&series, write));
        for part in &parts {
            assert_eq!(part.all_labels().expect("reads"), series);
            check_labels(part, &series, wanted);
        }
        let [part, of_version_1] = &parts;
        for index in [&memory as &dyn LabelIndex, part, of_version_1] {
            check_postings(index, &series);
            check(index, &series, &[]);
            for matchers in matchers {
                check(index, &series, matchers);
                let passing = index.select(matchers).expect("reads");
                check_among(index, &series, &(passing - wanted));
            }
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,2}-[01]",
        "[aAbä\n.0-]{1,4}",
        Just("up".to_owned()),
        Just("x".repeat(300)),
    ]
}

fn label_set() -> impl Strategy<Value = Labels> {
    let label = |share: f64| prop::option::weighted(share, value());
    (label(0.1), label(0.8), label(0.7), label(0.5)).prop_map(|values| {
        let (first, name, pod, zone) = values;
        let all = [first, name, pod, zone];
        let pairs = NAMES.iter().zip(all);
        Labels::from_pairs(pairs.map(|(name, value)| (*name, value.unwrap_or_default())))
    })
}

/// Expressions of every kind of piece; those that do not compile are left out.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "ä",
        "0",
        "-",
        "up",
        ".",
        ".*",
        ".+",
        "[ab]",
        "[^a]",
        "[a-z]",
        r"\d",
        r"\w",
        r"\W",
        "a?",
        "b*",
        "(a|b)",
        "(?:up|a-0)",
        "|",
        "^",
        "$",
        r"\b",
        r"\B",
        "(?i)",
        "(?i:AB)",
        "(?-s:.)",
        "(?s).",
        "(?U)",
        "a{2}",
        "[[:alpha:]]",
        r"\pL",
        "x{300}",
        r"\x{e4}",
        "\n",
        r"\n",
        "()",
        "(?m:^a$)",
        r"\Qa.\E",
        r"\z",
        r"\A",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn matcher() -> impl Strategy<Value = Option<Matcher>> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let equality = (
        prop::sample::select(vec![Equal, NotEqual]),
        prop_oneof![value(), Just(String::new())],
    );
    let regex = (prop::sample::select(vec![Regex, NotRegex]), pattern());
    let asked = prop_oneof![1 => equality, 4 => regex];
    (prop::sample::select(NAMES.to_vec()), asked)
        .prop_map(|(name, (op, value))| Matcher::new(op, name, value).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_index_agrees_with_looking_at_every_series(
        series in prop::collection::vec(label_set(), 0..40),
        matchers in prop::collection::vec(prop::collection::vec(matcher(), 1..4), 1..12),
        wanted in prop::collection::btree_set(0_u32..50, 0..20),
    ) {
        let matchers: Vec<Vec<Matcher>> =
            matchers.into_iter().map(|all| all.into_iter().flatten().collect()).collect();
        check_all(series, &matchers, &wanted.into_iter().collect());
    }
}

/// Enough for many blocks of values, tails and groups, and for either way to values.
#[test]
fn a_large_index_agrees_with_looking_at_every_series() {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let mut series = Vec::new();
    for pod in 0..400_u32 {
        for metric in 0..if pod % 50 == 0 { 40 } else { 3 } {
            series.push(Labels::from_pairs([
                ("__name__", format!("metric_{metric}")),
                (
                    "pod",
                    format!(
                        "app-{}-{:05x}",
                        pod % 7,
                        pod.wrapping_mul(2_654_435_761) >> 12
                    ),
                ),
                ("zone", format!("z{}", pod % 3)),
                ("A", if pod % 90 == 7 { "x" } else { "" }.to_owned()),
            ]));
        }
    }
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("valid");
    let matchers = [
        vec![matcher(Regex, "pod", "app-3-.*")],
        vec![matcher(Regex, "pod", ".*[0-4]")],
        vec![matcher(NotRegex, "pod", "app-[0-3].*")],
        vec![matcher(Regex, "pod", "(?i)APP-1-.*f")],
        vec![
            matcher(Equal, "zone", "z1"),
            matcher(Equal, "__name__", "metric_1"),
        ],
        vec![matcher(Equal, "__name__", "metric_30")],
        vec![
            matcher(NotEqual, "__name__", "metric_1"),
            matcher(Equal, "A", "x"),
        ],
        vec![
            matcher(Regex, "__name__", "metric_[23].+"),
            matcher(NotEqual, "zone", "z0"),
        ],
        vec![matcher(Equal, "pod", "app-0-00000")],
        vec![matcher(NotEqual, "A", "")],
        vec![matcher(Equal, "missing", "x")],
    ];
    let wanted: RoaringBitmap = (0..3000).step_by(7).collect();
    check_all(series, &matchers, &wanted);
}

/// The tails of a pod lie far from each other, and many pods have one zone: values are found by walking
/// tails, by asking values, and by the one after the other.
#[test]
fn values_of_scattered_tails_agree_with_looking_at_every_series() {
    use MatchOp::{Equal, NotEqual, Regex};
    let mut series = Vec::new();
    for pod in 0..150_u32 {
        for number in 0..30 {
            series.push(Labels::from_pairs([
                ("A", format!("{number:02}")),
                ("__name__", format!("metric_{}", number % 4)),
                ("pod", format!("app-{}-{pod:03}", pod % 7)),
                (
                    "zone",
                    if pod % 10 == 9 {
                        String::new()
                    } else {
                        format!("z{}", pod % 10)
                    },
                ),
            ]));
        }
    }
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("valid");
    let matchers = [
        vec![matcher(Regex, "pod", "app-3-.*")],
        vec![matcher(Regex, "pod", ".*1")],
        vec![matcher(Regex, "pod", "app-1-001|app-2-002|none")],
        vec![matcher(Equal, "zone", "z3")],
        vec![matcher(Equal, "zone", "")],
        vec![matcher(Equal, "A", "07"), matcher(NotEqual, "zone", "z3")],
        vec![matcher(Regex, "A", "0.|2."), matcher(Equal, "zone", "z1")],
        vec![matcher(Equal, "pod", "app-0-014")],
        vec![
            matcher(Equal, "A", "07"),
            matcher(Regex, "pod", "app-[1-5]-.+"),
        ],
    ];
    let wanted: RoaringBitmap = (0..4500).filter(|number| number % 150 < 70).collect();
    check_all(series, &matchers, &wanted);
}

/// What a part is written as must not change without being meant to: a merge of equal parts is equal.
#[test]
fn the_bytes_of_an_index_are_what_they_were() {
    let mut state = 1_u32;
    let mut below = |limit: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % limit
    };
    let mut checksum = 0;
    for count in [0, 1, 2, 7, 40, 300, 3_000] {
        for first in [false, true] {
            let sets = (0..count).map(|_| {
                let first = if first && below(9) == 0 { "x" } else { "" };
                let name = if below(20) == 0 { 99 } else { below(12) };
                Labels::from_pairs([
                    ("A", first.to_owned()),
                    ("__name__", "n".repeat(name as usize % 99)),
                    ("pod", format!("pod-{}", below(count))),
                    ("zone", "z".repeat(below(3) as usize)),
                    (["le", "own"][below(2) as usize], below(5).to_string()),
                ])
            });
            let shuffled = unique(sets.collect());
            let mut ordered = shuffled.clone();
            ordered.sort();
            for series in [shuffled, ordered] {
                let (disk, path) = (SimDisk::new(1), Path::new("/part"));
                let mut writer = PartWriter::create(&disk, path).expect("creates");
                write_index(&series, &mut writer).expect("writes");
                writer.finish().expect("finishes");
                let bytes = disk.read(path).expect("reads");
                checksum = crc32c::crc32c_append(checksum, &bytes);
            }
        }
    }
    assert_eq!(checksum, 3_538_744_214);
}

#[test]
fn a_label_set_that_comes_twice_is_refused() {
    let [a, b] = ["a", "b"].map(|name| Labels::from_pairs([("__name__", name), ("pod", "p")]));
    for series in [[&b, &a, &b], [&a, &a, &b], [&b, &b, &a]] {
        let series: Vec<Labels> = series.into_iter().cloned().collect();
        let mut writer = PartWriter::create(&SimDisk::new(1), Path::new("/part")).expect("creates");
        let refused = write_index(&series, &mut writer).expect_err("twice");
        assert!(refused.to_string().contains("twice"), "{refused}");
    }
}
