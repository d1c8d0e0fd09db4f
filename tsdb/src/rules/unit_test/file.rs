//! A file of unit tests, as it is written: promtool's format.

use model::labels::Labels;
use model::time::{Timestamp, parse_duration};

use super::notation::{self, Point};
use crate::rules::yaml::{self, Node, YamlError};
use model::histogram::Histogram;

/// A file of tests.
#[derive(Debug)]
pub(super) struct TestFile {
    /// Rule files, or globs of them; relative to the file of tests.
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval_ms: i64,
    /// Names of groups; those that are not here come first.
    pub(super) group_eval_order: Vec<String>,
    /// Whether floats may differ in the last bit.
    pub(super) is_fuzzy: bool,
    pub(super) tests: Vec<TestGroup>,
}

/// Series, and what rules and queries are expected to make of them.
#[derive(Debug)]
pub(super) struct TestGroup {
    pub(super) name: String,
    pub(super) interval_ms: i64,
    pub(super) start: Timestamp,
    pub(super) input: Vec<(Labels, Vec<Point>)>,
    pub(super) alert_tests: Vec<AlertTest>,
    pub(super) expr_tests: Vec<ExprTest>,
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
}

/// Which alerts fire at an instant.
#[derive(Debug)]
pub(super) struct AlertTest {
    pub(super) eval_time_ms: i64,
    pub(super) alert: String,
    pub(super) expected: Vec<(Labels, Vec<(String, String)>)>,
}

/// What an expression gives at an instant.
#[derive(Debug)]
pub(super) struct ExprTest {
    pub(super) expr: String,
    pub(super) eval_time_ms: i64,
    pub(super) expected: Vec<ExpectedSample>,
}

/// A sample that is expected.
#[derive(Debug)]
pub(super) struct ExpectedSample {
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) histogram: Option<Histogram>,
}

const MINUTE_MS: i64 = 60_000;

impl TestFile {
    pub(super) fn parse(text: &str) -> Result<Self, YamlError> {
        let documents = yaml::parse(text)?;
        let empty = Node {
            line: 1,
            column: 1,
            content: yaml::Content::Null,
        };
        let document = documents.first().unwrap_or(&empty);
        let [files, interval, order, fuzzy, tests] = fields(
            document,
            [
                "rule_files",
                "evaluation_interval",
                "group_eval_order",
                "fuzzy_compare",
                "tests",
            ],
        )?;
        let is_fuzzy = match fuzzy {
            None => false,
            Some(node) => node
                .text()?
                .parse()
                .map_err(|_| YamlError::new(node.line, "fuzzy_compare must be true or false"))?,
        };
        let mut file = Self {
            rule_files: texts(files)?,
            evaluation_interval_ms: duration(interval)?.filter(|i| *i > 0).unwrap_or(MINUTE_MS),
            group_eval_order: texts(order)?,
            is_fuzzy,
            tests: Vec::new(),
        };
        for name in &file.group_eval_order {
            let same = file.group_eval_order.iter().filter(|other| *other == name);
            if same.count() > 1 {
                let line = order.map_or(1, |node| node.line);
                let message = format!("group name repeated in evaluation order: {name}");
                return Err(YamlError::new(line, message));
            }
        }
        for node in elements(tests)? {
            file.tests
                .push(TestGroup::of(node, file.evaluation_interval_ms)?);
        }
        Ok(file)
    }
}

impl TestGroup {
    fn of(node: &Node, evaluation_interval_ms: i64) -> Result<Self, YamlError> {
        let keys = [
            "name",
            "interval",
            "start_timestamp",
            "input_series",
            "alert_rule_test",
            "promql_expr_test",
            "external_labels",
            "external_url",
        ];
        let [name, interval, start, input, alerts, exprs, labels, url] = fields(node, keys)?;
        let mut group = Self {
            name: text(name)?,
            interval_ms: duration(interval)?
                .filter(|i| *i > 0)
                .unwrap_or(evaluation_interval_ms),
            start: start.map_or(Ok(Timestamp(0)), instant)?,
            input: Vec::new(),
            alert_tests: Vec::new(),
            expr_tests: Vec::new(),
            external_labels: Labels::from_pairs(pairs(labels)?),
            external_url: text(url)?,
        };
        for node in elements(input)? {
            let [series, values] = fields(node, ["series", "values"])?;
            let at = |node: Option<&Node>, message: String| {
                YamlError::new(node.map_or(1, |node| node.line), message)
            };
            let labels = notation::labels(&text(series)?).map_err(|error| at(series, error))?;
            let points = notation::points(&text(values)?).map_err(|error| at(values, error))?;
            group.input.push((labels, points));
        }
        for node in elements(alerts)? {
            group.alert_tests.push(AlertTest::of(node, &group.name)?);
        }
        for node in elements(exprs)? {
            group.expr_tests.push(ExprTest::of(node)?);
        }
        Ok(group)
    }
}

impl AlertTest {
    fn of(node: &Node, group: &str) -> Result<Self, YamlError> {
        let [time, name, alerts] = fields(node, ["eval_time", "alertname", "exp_alerts"])?;
        let (eval_time_ms, alert) = (duration(time)?.unwrap_or_default(), text(name)?);
        if alert.is_empty() {
            let time = model::time::format_duration(eval_time_ms);
            let group = match group {
                "" => String::new(),
                group => format!(" (in TestGroup {group})"),
            };
            let message = format!(
                "an item under alert_rule_test misses required attribute alertname at eval_time {time}{group}"
            );
            return Err(YamlError::new(node.line, message));
        }
        let mut expected = Vec::new();
        for node in elements(alerts)? {
            let [labels, annotations] = fields(node, ["exp_labels", "exp_annotations"])?;
            let mut labels = pairs(labels)?;
            labels.push((crate::rules::alerts::ALERT_NAME.to_owned(), alert.clone()));
            let mut annotations = pairs(annotations)?;
            annotations.sort();
            expected.push((Labels::from_pairs(labels), annotations));
        }
        Ok(Self {
            eval_time_ms,
            alert,
            expected,
        })
    }
}

impl ExprTest {
    fn of(node: &Node) -> Result<Self, YamlError> {
        let [expr, time, samples] = fields(node, ["expr", "eval_time", "exp_samples"])?;
        let mut expected = Vec::new();
        for node in elements(samples)? {
            let [labels, value, histogram] = fields(node, ["labels", "value", "histogram"])?;
            let wrong = |message: String| YamlError::new(node.line, message);
            let histogram = text(histogram)?;
            let histogram = if histogram.is_empty() {
                None
            } else {
                Some(notation::expected_histogram(&histogram).map_err(wrong)?)
            };
            let number = text(value)?;
            let value = if number.is_empty() {
                0.0
            } else {
                notation::float(&number)
                    .ok_or_else(|| wrong(format!("value {number:?} is no number")))?
            };
            expected.push(ExpectedSample {
                labels: notation::labels(&text(labels)?).map_err(wrong)?,
                value,
                histogram,
            });
        }
        Ok(Self {
            expr: text(expr)?,
            eval_time_ms: duration(time)?.unwrap_or_default(),
            expected,
        })
    }
}

/// The fields of a mapping; a key that is not known is a mistake.
fn fields<'n, const N: usize>(
    node: &'n Node,
    keys: [&str; N],
) -> Result<[Option<&'n Node>; N], YamlError> {
    let mut fields = [None; N];
    for (key, value) in node.pairs()? {
        let name = key.text()?;
        let place = keys.iter().position(|known| *known == name);
        let Some(field) = place.and_then(|place| fields.get_mut(place)) else {
            let known = keys.join(", ");
            let message = format!("field {name} not found; known are {known}");
            return Err(YamlError::new(key.line, message));
        };
        *field = Some(value);
    }
    Ok(fields)
}

fn text(node: Option<&Node>) -> Result<String, YamlError> {
    node.map_or(Ok(String::new()), |node| node.text().map(str::to_owned))
}

fn elements(node: Option<&Node>) -> Result<&[Node], YamlError> {
    node.map_or(Ok(&[]), Node::elements)
}

fn texts(node: Option<&Node>) -> Result<Vec<String>, YamlError> {
    let nodes = elements(node)?.iter();
    nodes.map(|node| node.text().map(str::to_owned)).collect()
}

fn pairs(node: Option<&Node>) -> Result<Vec<(String, String)>, YamlError> {
    let pairs = node.map_or(Ok([].as_slice()), Node::pairs)?.iter();
    pairs
        .map(|(name, value)| Ok((name.text()?.to_owned(), value.text()?.to_owned())))
        .collect()
}

fn duration(node: Option<&Node>) -> Result<Option<i64>, YamlError> {
    let Some(node) = node else { return Ok(None) };
    let millis = parse_duration(node.text()?);
    millis
        .map(Some)
        .map_err(|error| YamlError::new(node.line, error.to_string()))
}

/// Seconds since the epoch, or RFC 3339.
fn instant(node: &Node) -> Result<Timestamp, YamlError> {
    let text = node.text()?;
    if let Some(seconds) = notation::float(text).filter(|seconds| seconds.is_finite()) {
        return Ok(Timestamp((seconds * 1000.0) as i64));
    }
    let parsed = text.parse::<jiff::Timestamp>();
    parsed
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| {
            let message = format!("start_timestamp {text:?} must be seconds or RFC 3339");
            YamlError::new(node.line, message)
        })
}
