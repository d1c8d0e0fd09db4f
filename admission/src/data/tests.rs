//! What is asked, once, within bounds, and what becomes of a question without an answer.

use std::sync::Mutex;

use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::metrics::Metrics;
use crate::rego::{Edition, Program, ProgramError, Text};

/// Answers by the expression, and counts.
#[derive(Default)]
struct Fixed(Mutex<Vec<Question>>);

impl DataSource for Fixed {
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError> {
        self.0.lock().unwrap().push(question.clone());
        let labels = BTreeMap::from([("pod".to_string(), "p".to_string())]);
        match question.query.as_str() {
            "one" => Ok(Answer::Vector(vec![(labels, 1.5)])),
            "odd" => Ok(Answer::Vector(vec![
                (labels.clone(), f64::NAN),
                (labels, 1.5),
            ])),
            "line" => Ok(Answer::Lines(vec![(labels, 1.0, "text".to_string())])),
            "many" => Ok(Answer::Vector(vec![(labels, 1.0); bounds.series_max + 1])),
            "long" => Ok(Answer::Lines(vec![(labels, 1.0, "x".repeat(40_000))])),
            _ => Err(DataError::Unanswered("nobody is at home".to_string())),
        }
    }
}

#[test]
fn questions_are_counted_by_language_and_outcome() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let source = Arc::new(Fixed::default());
    let limits = DataLimits {
        questions_max: 4,
        ..DataLimits::default()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    let session = Session::new(source, limits, deadline, 0);
    let mut session = session.counted(Some(metrics.data));
    // Twice the same is one question.
    for query in ["one", "one", "many", "nobody", "line", "odd"] {
        let language = match query {
            "line" => Language::Logql,
            _ => Language::Promql,
        };
        let _ = session.answer(language, query, &json!({}));
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let outcomes = ["answered", "too_large", "unanswered", "too_many"];
    for (language, outcome) in
        (outcomes.map(|outcome| ("promql", outcome)).into_iter()).chain([("logql", "answered")])
    {
        let series = format!(
            "taffrail_admission_data_questions_total{{language=\"{language}\",outcome=\"{outcome}\"}} 1\n"
        );
        assert!(text.contains(&series), "{series}: {text}");
    }
    let took = "taffrail_admission_data_question_duration_seconds_count{language=\"promql\"} 4\n";
    assert!(text.contains(took), "{text}");
}

fn program(body: &str) -> Program {
    let text = Text {
        name: "t".to_string(),
        rego: format!("package t\n\nanswer := x if {{\n{body}\n}}\n"),
        edition: Edition::V1,
    };
    Program::allowing(&text, &[], "answer", &[], Allowed::ALL).unwrap()
}

fn asked(source: &Arc<Fixed>, body: &str) -> (Result<Value, String>, Vec<Asked>) {
    let program = program(body);
    let limit = Duration::from_mins(1);
    let session = Session::new(
        source.clone(),
        DataLimits::default(),
        Instant::now() + limit,
        1_000_000,
    );
    let nothing = regorus::Value::new_object();
    let (answer, asked) = with_session(Some(session), || {
        program.ask(&nothing, &Arc::new(regorus::Value::new_object()), limit)
    });
    let answer = answer.map_err(|error| match error {
        ProgramError::Failed(problem) => problem,
        ProgramError::Time(_) => "time".to_string(),
    });
    let answer = answer.map(|answer| serde_json::to_value(&answer.value).unwrap());
    (answer, asked)
}

#[test]
fn answers_have_one_shape_and_failures_are_no_silence() {
    for (body, expected) in [
        (
            "x := taffrail.promql(\"one\", {})",
            Ok(json!([{"labels": {"pod": "p"}, "value": 1.5}])),
        ),
        (
            "x := [s | some s in taffrail.promql(\"odd\", {}); s.value < 2]",
            Ok(json!([{"labels": {"pod": "p"}, "value": 1.5}])),
        ),
        (
            "x := taffrail.logql(\"line\", {})[0].line",
            Ok(json!("text")),
        ),
        (
            "x := taffrail.promql(\"gone\", {})",
            Err("taffrail.promql: nobody is at home (gone)"),
        ),
        // Neither a negation nor a comprehension makes consent of it.
        (
            "not taffrail.promql(\"gone\", {})\nx := 1",
            Err("nobody is at home"),
        ),
        (
            "x := [s | some s in taffrail.promql(\"gone\", {})]",
            Err("nobody is at home"),
        ),
        (
            "x := taffrail.promql(\"many\", {})",
            Err("admission.data.series_max"),
        ),
        (
            "x := taffrail.logql(\"long\", {})",
            Err("admission.data.bytes_max"),
        ),
        (
            "x := taffrail.promql(\"one\", {\"sins\": \"1h\"})",
            Err("unknown option \"sins\""),
        ),
        (
            "x := taffrail.promql(\"one\", {\"offset\": \"1 h\"})",
            Err("offset \"1 h\" is no duration"),
        ),
        (
            "x := taffrail.promql(\"one\", {\"since\": \"1h\"})",
            Err("since needs step"),
        ),
        (
            "x := taffrail.promql(1, {})",
            Err("takes a text and an object"),
        ),
        (
            "x := [y | some i in numbers.range(0, 16); y := taffrail.promql(sprintf(\"one\", []), {\"limit\": i + 1})]",
            Err("more than 16 questions"),
        ),
    ] {
        let (answer, _) = asked(&Arc::default(), body);
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{body}"),
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{body}: {problem}"),
            (answer, expected) => panic!("{body}: {answer:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_question_is_asked_once_and_a_replay_answers_from_the_record() {
    let source = Arc::new(Fixed::default());
    let body = "a := taffrail.promql(\"one\", {\"offset\": \"1m30s\"})\n\
                b := taffrail.promql(\"one\", {\"offset\": \"1m30s\"})\nx := [a, b]";
    let (answer, recorded) = asked(&source, body);
    let questions = source.0.lock().unwrap().clone();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].at_millis, 910_000);
    assert_eq!(recorded.len(), 1);
    let kept = serde_json::to_string(&recorded).unwrap();
    let read: Vec<Asked> = serde_json::from_str(&kept).unwrap();
    assert_eq!(read, recorded);
    let bounds = Bounds {
        deadline: Instant::now(),
        series_max: 0,
        bytes_max: 0,
    };
    let replayed = Recorded::new(&read).ask(&questions[0], bounds).unwrap();
    let Answer::Recorded(replayed) = replayed else {
        panic!("{replayed:?}")
    };
    assert_eq!(json!([replayed, replayed]), answer.unwrap());
    let other = Question {
        query: "other".to_string(),
        ..questions[0].clone()
    };
    assert_eq!(
        Recorded::new(&read).ask(&other, bounds),
        Err(DataError::NotRecorded)
    );
}

#[test]
fn what_is_not_allowed_does_not_load() {
    let rego = "package t\n\n# taffrail.logql(\nanswer := taffrail.promql(\"one\", {})\n";
    let text = Text {
        name: "t".to_string(),
        rego: rego.to_string(),
        edition: Edition::V1,
    };
    let refusal = Program::new(&text, &[], "answer", &[]).unwrap_err();
    assert_eq!(refusal.line, 4);
    let said = "set admission.data.promql to allow";
    assert!(refusal.to_string().contains(said), "{refusal}");
}

/// The policies that come with the program, by the tests beside them.
#[test]
fn the_examples_hold() {
    use crate::gatekeeper::suite::{Filter, Outcome, run_path};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/data");
    let results = run_path(folder.as_ref(), &Filter::default()).unwrap();
    let mut cases = 0;
    for result in &results {
        assert_eq!(result.problem, None, "{}", result.path.display());
        for case in result.tests.iter().flat_map(|test| &test.cases) {
            cases += 1;
            let path = result.path.display();
            assert!(matches!(case.outcome, Outcome::Pass), "{path} {case:?}");
        }
    }
    assert_eq!((results.len(), cases), (3, 12));
}

#[test]
fn an_audit_asks_the_same_once_until_it_is_answered() {
    let source = Arc::new(Fixed::default());
    let kept = Arc::new(KeptAnswers::of(source.clone()));
    let deadline = Instant::now() + Duration::from_mins(1);
    for object in 0..3 {
        let mut session = Session::new(kept.clone(), DataLimits::default(), deadline, 5);
        assert!(
            session.answer(Language::Promql, "one", &json!({})).is_ok(),
            "{object}"
        );
        for query in ["nobody", "many"] {
            assert!(session.answer(Language::Promql, query, &json!({})).is_err());
        }
    }
    let asked = source.0.lock().unwrap();
    let times = |query| {
        asked
            .iter()
            .filter(|question| question.query == query)
            .count()
    };
    assert_eq!((times("one"), times("nobody"), times("many")), (1, 3, 3));
}
