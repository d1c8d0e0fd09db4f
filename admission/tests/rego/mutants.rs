//! The modules of `cases.jsonl` with a few tokens changed, which is how people err, too: whatever the plan answers, the
//! interpreter answers, unless it fails; and neither of them panics.

use std::cell::Cell;
use std::time::Duration;

use admission::rego::{Edition, ProgramError, Text};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use super::{Case, Documents, module, program};

/// How many mutants there are; one in ten or so is Rego that answers.
const MUTANTS: u32 = 10_000;

/// What may be put anywhere.
const PIECES: [&str; 40] = [
    "-",
    " - 1",
    "+ 1",
    "* 2",
    "| {1}",
    "& {1}",
    "== ",
    "!= ",
    "< ",
    "not ",
    "_",
    "0",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "set()",
    "[1, 2]",
    "{\"a\": 1}",
    "{1, 2}",
    "x",
    "input",
    "input.parameters.nope",
    "input.parameters.min",
    "input.review.object.spec.containers",
    "[_]",
    "[i]",
    "[x]",
    ".name",
    "count(",
    ")",
    "some i, x in ",
    ";",
    "\n",
    ":= ",
    "= ",
    "in ",
    " with input as {} ",
    " else := 1 ",
];

/// What is different each time it is asked, and what regorus panics at: layouts of times.
const LEFT_OUT: [&str; 5] = ["now_ns", "rand.", "uuid.", "time.parse_ns", "time.format"];

#[derive(Debug, Clone)]
enum Change {
    Remove(Index),
    Insert(Index, Piece),
    Replace(Index, Piece),
    Swap(Index, Index),
}

#[derive(Debug, Clone)]
enum Piece {
    Any(&'static str),
    /// Some tokens of a case.
    OfCase(Index, Index, usize),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        prop::sample::select(PIECES.to_vec()).prop_map(Piece::Any),
        (any::<Index>(), any::<Index>(), 1..8_usize)
            .prop_map(|(case, from, count)| Piece::OfCase(case, from, count)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<Index>().prop_map(Change::Remove),
        (any::<Index>(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), piece()).prop_map(|(at, piece)| Change::Replace(at, piece)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Swap(a, b)),
    ]
}

/// Words, numbers, texts, blanks, and signs one by one but for those of two.
fn tokens(rego: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = rego;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_')
            }
            ' ' => rest.find(|c| c != ' '),
            '"' | '`' => rest
                .char_indices()
                .skip(1)
                .find(|(at, c)| *c == first && rest.get(at - 1..*at) != Some("\\"))
                .map(|(at, _)| at + 1),
            ':' | '=' | '<' | '>' | '!' if rest.get(1..2) == Some("=") => Some(2),
            c => Some(c.len_utf8()),
        };
        let (token, after) = rest.split_at(end.unwrap_or(rest.len()));
        tokens.push(token.to_string());
        rest = after;
    }
    tokens
}

/// The cases, in tokens.
struct Cases(Vec<(Vec<String>, Edition)>);

impl Cases {
    fn mutant(&self, of: Index, changes: &[Change]) -> Text {
        let (mut tokens, edition) = of.get(&self.0).clone();
        for change in changes {
            let length = tokens.len();
            match change {
                Change::Insert(at, piece) => {
                    let at = at.index(length + 1);
                    tokens.splice(at..at, self.piece(piece));
                }
                _ if length == 0 => {}
                Change::Remove(at) => {
                    tokens.remove(at.index(length));
                }
                Change::Replace(at, piece) => {
                    let at = at.index(length);
                    tokens.splice(at..=at, self.piece(piece));
                }
                Change::Swap(a, b) => tokens.swap(a.index(length), b.index(length)),
            }
        }
        module(&tokens.concat(), edition)
    }

    fn piece(&self, piece: &Piece) -> Vec<String> {
        match piece {
            Piece::Any(text) => vec![(*text).to_string()],
            Piece::OfCase(case, from, count) => {
                let (tokens, _) = case.get(&self.0);
                let from = from.index(tokens.len());
                tokens.iter().skip(from).take(*count).cloned().collect()
            }
        }
    }
}

/// Gives so many mutants to `check`; the same ones each time, so that what is found is found again.
pub(crate) fn each(count: u32, check: impl Fn(&Text) -> TestCaseResult) -> Result<(), String> {
    let cases = Case::all().map_err(|error| error.to_string())?;
    let cases = cases
        .iter()
        .map(|case| (tokens(&case.rego), case.edition()));
    let cases = Cases(cases.collect());
    let config = Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mutants = (any::<Index>(), prop::collection::vec(change(), 1..4));
    TestRunner::new_with_rng(config, random)
        .run(&mutants, |(of, changes)| {
            let text = cases.mutant(of, &changes);
            if LEFT_OUT.iter().any(|name| text.rego.contains(name)) {
                return Ok(());
            }
            check(&text)
        })
        .map_err(|failure| failure.to_string())
}

#[test]
fn what_a_plan_answers_the_interpreter_answers() {
    let Documents { input, data } = Documents::new().unwrap();
    let compared = Cell::new(0);
    each(MUTANTS, |text| {
        let Ok(program) = program(text) else {
            return Ok(());
        };
        let limit = Duration::from_secs(2);
        let answers = [
            program.ask(&input, &data, limit),
            program.interpret(&input, &data, limit),
        ];
        for answer in &answers {
            if let Err(ProgramError::Failed(problem)) = answer {
                prop_assert!(!problem.contains("panicked"), "{}", text.rego);
            }
        }
        if let [Ok(plan), Ok(interpreter)] = &answers {
            prop_assert_eq!(&plan.value, &interpreter.value, "{}", text.rego);
            compared.set(compared.get() + 1);
        }
        Ok(())
    })
    .unwrap();
    let compared = compared.get();
    assert!(compared > MUTANTS / 20, "{compared} were compared");
}
