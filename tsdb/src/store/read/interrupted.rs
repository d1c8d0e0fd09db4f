//! That nothing asked of a store goes on when nobody waits for it; and, measured, how soon it stops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::sample::{Sample, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;

use super::labels::LabelQuery;
use crate::database::{Tsdb, TsdbOptions};
use crate::query::watched::{canceled, measure, measured_series, watched};
use crate::query::{Guard, Interrupted, Samples, SelectError, Source as _};
use crate::transfer::export::{ExportError, export};

const NOW: i64 = 1_700_000_000_000;

/// A store with so many series, in a part or in memory.
fn store(count: usize, flush: bool) -> Tsdb {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
    let disk = Arc::new(SimDisk::new(1));
    let options = TsdbOptions::default();
    let (tsdb, _) = Tsdb::open(disk, clock, Path::new("/data"), options).expect("opens");
    // In no order.
    let series = (0..count).map(|number| number * 7919 % count);
    let series: Vec<SeriesSamples> = series
        .map(|number| SeriesSamples {
            labels: Labels::from_pairs([
                ("__name__", format!("wide_{}", number % 10)),
                ("pod", format!("pod-{number:07}")),
                ("zone", format!("z{}", number % 7)),
            ]),
            samples: vec![Sample {
                timestamp: Timestamp(NOW),
                value: 1.0,
            }],
            ..SeriesSamples::default()
        })
        .collect();
    for some in series.chunks(10_000) {
        tsdb.append(some).expect("stores");
    }
    if flush {
        tsdb.store().flush().expect("flushes");
    }
    tsdb
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Vec<Matcher> {
    vec![Matcher::new(op, name, value).expect("valid")]
}

fn all() -> [Vec<Matcher>; 1] {
    [matcher(MatchOp::Regex, "__name__", "wide_.*")]
}

fn query(matchers: &[Vec<Matcher>]) -> LabelQuery<'_> {
    LabelQuery {
        matchers,
        range: TimeRange::ALL,
    }
}

type Question = fn(&Tsdb, &Guard) -> Result<(), SelectError>;

const QUESTIONS: [(&str, Question); 11] = [
    ("a selection", |tsdb, guard| {
        let [matchers] = all();
        let selected = tsdb.source().select(TimeRange::ALL, &matchers, guard)?;
        let (mut reader, mut samples) = (selected.reader(), Samples::default());
        (0..selected.labels().len()).try_for_each(|series| reader.read(series, &mut samples))
    }),
    ("a selection by values", |tsdb, guard| {
        let matchers = matcher(MatchOp::Regex, "pod", ".*[13]");
        let selected = tsdb.source().select(TimeRange::ALL, &matchers, guard);
        selected.map(|_| ())
    }),
    ("label names", |tsdb, guard| {
        tsdb.reader().label_names(query(&[]), guard).map(|_| ())
    }),
    ("label names of some", |tsdb, guard| {
        let some = [matcher(MatchOp::NotRegex, "pod", ".*8")];
        tsdb.reader().label_names(query(&some), guard).map(|_| ())
    }),
    ("label values", |tsdb, guard| {
        let values = tsdb.reader().label_values("pod", query(&[]), None, guard);
        values.map(|_| ())
    }),
    ("label values of some", |tsdb, guard| {
        let some = [matcher(MatchOp::Regex, "zone", "z[1-4]")];
        let values = tsdb.reader().label_values("pod", query(&some), None, guard);
        values.map(|_| ())
    }),
    ("series", |tsdb, guard| {
        tsdb.reader().series(query(&all()), None, guard).map(|_| ())
    }),
    ("exemplars", |tsdb, guard| {
        let [matchers] = all();
        let found = tsdb.reader().exemplars(&matchers, TimeRange::ALL, guard);
        found.map(|_| ())
    }),
    ("cardinality", |tsdb, guard| {
        tsdb.reader().cardinality(&[], 10, guard).map(|_| ())
    }),
    ("an export", |tsdb, guard| {
        let mut text = String::new();
        let taken = export(&tsdb.reader(), &all(), TimeRange::ALL, guard, |series| {
            text.clear();
            series.write_json_lines(&mut text);
            Ok::<_, SelectError>(())
        });
        taken.map_err(|error| match error {
            ExportError::Select(error) | ExportError::Taker(error) => error,
        })
    }),
    ("a selection of none", |tsdb, guard| {
        let mut matchers = matcher(MatchOp::Regex, "pod", ".*[13]");
        matchers.extend(matcher(MatchOp::Regex, "zone", "z[1-4].+"));
        let selected = tsdb.source().select(TimeRange::ALL, &matchers, guard);
        selected.map(|_| ())
    }),
];

/// A question as it is watched.
fn asked(
    tsdb: &Tsdb,
    question: Question,
) -> impl Fn(&Arc<AtomicBool>) -> Result<(), SelectError> + Copy {
    move |cancel| {
        let guard = Guard {
            cancel: Some(Arc::clone(cancel)),
            ..Guard::default()
        };
        question(tsdb, &guard)
    }
}

/// What is done between two looks takes no longer than this many series.
const SERIES_PER_LOOK: usize = 1100;

#[test]
fn what_is_asked_of_a_store_ends_when_nobody_waits() {
    let count = 8000;
    for flush in [false, true] {
        let tsdb = store(count, flush);
        for (name, question) in QUESTIONS {
            let asked = asked(&tsdb, question);
            // The first one puts in order what is new in memory.
            question(&tsdb, &Guard::default()).expect("it is read");
            let (answer, all) = watched(asked, |_, _| {});
            answer.expect("it is read");
            // Label names alone are known without looking at anything.
            let few = name == "label names" || name == "a selection of none";
            assert!(few || all > count / SERIES_PER_LOOK, "{name}: {all} looks");
            for at in [0, 1, 2, all / 3, all / 2, all - 2, all - 1] {
                let (answer, looks) = canceled(asked, at);
                let expected = Err(SelectError::Interrupted(Interrupted::Canceled));
                assert_eq!(answer, expected, "{name} at {at} of {all}");
                assert_eq!(looks, at + 1, "{name}: it went on after {at} of {all}");
            }
        }
    }
}

#[test]
fn what_is_new_in_memory_is_put_in_order_by_the_next_one_who_asks() {
    let (given_up_on, other) = (store(8000, false), store(8000, false));
    let values = |tsdb: &Tsdb| {
        let matchers = matcher(MatchOp::Regex, "zone", "z[1-4]");
        let some = &[matchers];
        let reader = tsdb.reader();
        let values = reader.label_values("pod", query(some), None, &Guard::default());
        values.expect("it is read")
    };
    let (_, question) = QUESTIONS[0];
    for at in 0.. {
        let (answer, _) = canceled(asked(&given_up_on, question), at * 3);
        // Once the index is whole a selection gets further than its few looks.
        if answer.is_ok() || at > 60 {
            break;
        }
    }
    assert_eq!(values(&given_up_on), values(&other));
    assert!(values(&other).len() > 4000);
}

/// `TAFFRAIL_SERIES=1000000 cargo test --release -p tsdb --lib how_soon -- --ignored --nocapture`
#[test]
#[ignore = "measures; fails never"]
fn how_soon_a_store_stops() {
    let count = measured_series();
    for flush in [false, true] {
        let tsdb = store(count, flush);
        for (name, question) in QUESTIONS {
            let place = if flush { "a part" } else { "memory" };
            // The first one who asks puts in order what is new, and looks more often: it may be answered.
            measure(&format!("{name}, in {place}"), asked(&tsdb, question));
        }
    }
}
