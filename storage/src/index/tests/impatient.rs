//! That no question to the index of a part goes on when nobody waits for the answer, wherever that is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use super::{Write, part};
use crate::index::LabelIndex as _;
use crate::index::reader::IndexReader;
use crate::index::values::Values;
use crate::index::{version_1, writer::write_index};
use crate::part::PartError;
use crate::patience::{GivenUp, Patience};

const SERIES: u32 = 20_000;
/// However a question is answered, it is asked at least so often whether somebody waits: the values of a label
/// that each series has of its own are this many thousands.
const ASKED_MIN: usize = SERIES as usize / 1100;

type Question = fn(&IndexReader) -> Result<(), PartError>;

fn read(values: Result<Box<dyn Values + '_>, PartError>) -> Result<(), PartError> {
    let mut values = values?;
    while values.next()?.is_some() {}
    Ok(())
}

fn every() -> RoaringBitmap {
    (0..SERIES).collect()
}

fn matcher(op: MatchOp, name: &str, value: &str) -> [Matcher; 1] {
    [Matcher::new(op, name, value).expect("valid")]
}

const QUESTIONS: [(&str, Question); 9] = [
    ("which series match", |index| {
        index
            .select(&matcher(MatchOp::Regex, "pod", ".*[13]"))
            .map(|_| ())
    }),
    ("which series do not", |index| {
        index
            .select(&matcher(MatchOp::NotRegex, "pod", ".*7|x.*"))
            .map(|_| ())
    }),
    ("which metrics match", |index| {
        index
            .select(&matcher(MatchOp::Regex, "__name__", ".*[13]"))
            .map(|_| ())
    }),
    ("each value", |index| {
        index.each_value("pod", "", &mut |_, _| Ok(()))
    }),
    ("all values", |index| read(index.label_values("pod", &[]))),
    ("values of some", |index| {
        read(index.label_values("pod", &matcher(MatchOp::Regex, "zone", "z[1-4]")))
    }),
    ("values among these", |index| {
        read(index.label_values_among("pod", &every()))
    }),
    ("names of some", |index| {
        let some = matcher(MatchOp::NotRegex, "pod", ".*8");
        index.label_names_of(&some).map(|_| ())
    }),
    ("labels", |index| index.labels_of(&every(), |_, _| {})),
];

/// Asks, and gives up at a look. Returns the answer and how often was looked.
fn asked(index: &IndexReader, question: Question, at: usize) -> (Result<(), PartError>, usize) {
    let looks = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&looks);
    let patience = Patience::new(move || {
        if seen.fetch_add(1, Ordering::Relaxed) == at {
            return Err(GivenUp::Canceled);
        }
        Ok(())
    });
    let answer = question(&index.patient(&patience));
    (answer, looks.load(Ordering::Relaxed))
}

#[test]
fn an_index_is_read_no_further_when_nobody_waits() {
    let series: Vec<Labels> = (0..SERIES)
        .map(|number| {
            Labels::from_pairs([
                ("__name__", format!("metric-{number:05}")),
                ("pod", format!("pod-{number:05}")),
                ("zone", format!("z{}", number % 7)),
            ])
        })
        .collect();
    let versions: [Write; 2] = [write_index, version_1::write];
    for (version, write) in versions.into_iter().enumerate() {
        let index = part(&series, write);
        for (name, question) in QUESTIONS {
            let (answer, all) = asked(&index, question, usize::MAX);
            answer.expect("it is read");
            assert!(all > ASKED_MIN, "{name}, {version}: {all} looks");
            for at in [0, 1, all / 2, all - 1] {
                let (answer, looks) = asked(&index, question, at);
                let given_up = matches!(answer, Err(PartError::GivenUp(GivenUp::Canceled)));
                assert!(given_up, "{name}, {version}, at {at} of {all}: {answer:?}");
                assert_eq!(looks, at + 1, "{name}, {version}: it went on");
            }
        }
    }
}
