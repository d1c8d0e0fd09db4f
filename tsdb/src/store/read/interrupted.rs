//! That nothing asked of a store goes on when nobody waits for it; and, measured, how soon it stops.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::sample::{Sample, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;

use super::labels::LabelQuery;
use crate::database::{Tsdb, TsdbOptions};
use crate::query::source::ON_CHECK;
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

/// Asks, and calls `on_check` at each look with its number. Returns how many looks there were.
fn watched(
    (tsdb, question): (&Tsdb, Question),
    on_check: impl Fn(usize, &AtomicBool) + 'static,
) -> (Result<(), SelectError>, usize) {
    let cancel = Arc::new(AtomicBool::new(false));
    let looks = Rc::new(Cell::new(0));
    let (seen, flag) = (Rc::clone(&looks), Arc::clone(&cancel));
    let probe = move || {
        on_check(seen.get(), &flag);
        seen.set(seen.get() + 1);
    };
    let guard = Guard {
        cancel: Some(cancel),
        ..Guard::default()
    };
    ON_CHECK.replace(Some(Box::new(probe)));
    let answer = question(tsdb, &guard);
    ON_CHECK.replace(None);
    (answer, looks.get())
}

/// Asks, and cancels at a look.
fn canceled(asked: (&Tsdb, Question), at: usize) -> (Result<(), SelectError>, usize) {
    watched(asked, move |look, cancel| {
        if look == at {
            cancel.store(true, Ordering::Relaxed);
        }
    })
}

/// What is done between two looks takes no longer than this many series.
const SERIES_PER_LOOK: usize = 1100;

#[test]
fn what_is_asked_of_a_store_ends_when_nobody_waits() {
    let count = 8000;
    for flush in [false, true] {
        let tsdb = store(count, flush);
        for (name, question) in QUESTIONS {
            let asked = (&tsdb, question);
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
        let (answer, _) = canceled((&given_up_on, question), at * 3);
        // Once the index is whole a selection gets further than its few looks.
        if answer.is_ok() || at > 60 {
            break;
        }
    }
    assert_eq!(values(&given_up_on), values(&other));
    assert!(values(&other).len() > 4000);
}

/// What this thread has computed, in nanoseconds.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split_whitespace().next();
    first
        .and_then(|nanos| nanos.parse().ok())
        .expect("a number")
}

/// `TAFFRAIL_SERIES=1000000 cargo test --release -p tsdb --lib how_soon -- --ignored --nocapture`
#[test]
#[ignore = "measures; fails never"]
fn how_soon_a_store_stops() {
    let count = std::env::var("TAFFRAIL_SERIES");
    let count = count.map_or(100_000, |text| text.parse().expect("a number"));
    println!("{count} series; milliseconds of CPU time");
    println!("{:>8} {:>8} {:>8}", "whole", "look", "free");
    for flush in [false, true] {
        let tsdb = store(count, flush);
        for (name, question) in QUESTIONS {
            let begin = cpu_nanos();
            let (last, longest) = (Rc::new(Cell::new(begin)), Rc::new(Cell::new((0, 0))));
            let (coarse, gaps) = (Cell::new(Instant::now()), Rc::clone(&longest));
            let note = Rc::clone(&last);
            let (answer, all) = watched((&tsdb, question), move |look, _| {
                let is_long = coarse.replace(Instant::now()).elapsed() > Duration::from_millis(2);
                if is_long || look.is_multiple_of(64) {
                    let now = cpu_nanos();
                    gaps.set(gaps.get().max((now - note.replace(now), look)));
                }
            });
            answer.expect("it is read");
            let end = cpu_nanos();
            longest.set(longest.get().max((end - last.get(), all)));
            let frees = (1..=3).map(|part| {
                let canceled_at = Rc::new(Cell::new(0));
                let (at, note) = (part * (all - 1) / 3, Rc::clone(&canceled_at));
                let (answer, _) = watched((&tsdb, question), move |look, cancel| {
                    if look == at {
                        note.set(cpu_nanos());
                        cancel.store(true, Ordering::Relaxed);
                    }
                });
                // The first one who asked put in order what was new, and looked more often.
                if answer.is_err() {
                    cpu_nanos() - canceled_at.get()
                } else {
                    0
                }
            });
            let free = frees.max().unwrap_or_default();
            let millis = |nanos: u64| nanos as f64 / 1e6;
            let (gap, look) = longest.get();
            println!(
                "{:>8.1} {:>8.1} {:>8.1} {name}, in {} (before look {look} of {all})",
                millis(end - begin),
                millis(gap),
                millis(free),
                if flush { "a part" } else { "memory" }
            );
        }
    }
}
