//! Cases of both formats, faults with their lines, and the differential and property tests.

mod differential;
mod properties;

use super::*;

/// Everything a body says, one line each, in a notation short enough to compare.
fn render(body: &str, format: Format) -> String {
    let mut parser = Parser::new(body, format);
    let mut lines = Vec::new();
    loop {
        lines.push(match parser.next() {
            Ok(None) => break,
            Err(error) => format!("error {error}"),
            Ok(Some(Item::Help { family, text })) => format!("help {family} {text:?}"),
            Ok(Some(Item::Type {
                family,
                metric_type,
            })) => format!("type {family} {}", metric_type.as_str()),
            Ok(Some(Item::Unit { family, unit })) => format!("unit {family} {unit}"),
            Ok(Some(Item::Sample(sample))) => render_sample(&sample),
        });
        if lines.last().is_some_and(|line| line.starts_with("error")) {
            break;
        }
    }
    lines.join("\n")
}

fn render_sample(sample: &Sample<'_, '_>) -> String {
    let labels = sample.to_labels().map_or_else(
        |twice| format!("twice {twice}"),
        |labels| labels.to_string(),
    );
    let at = |timestamp: Option<Timestamp>| {
        timestamp.map_or(String::new(), |at| format!(" @{}", at.millis()))
    };
    let exemplar = sample.exemplar.as_ref().map_or(String::new(), |exemplar| {
        format!(
            " # {} {}{}",
            exemplar.to_labels().expect("labels once"),
            exemplar.value,
            at(exemplar.timestamp)
        )
    });
    format!(
        "{labels} {}{}{exemplar}",
        sample.value,
        at(sample.timestamp)
    )
}

fn check(format: Format, cases: &[(&str, &str)]) {
    for (body, want) in cases {
        assert_eq!(&render(body, format), want, "{body:?}");
    }
}

#[test]
fn text_is_read() {
    check(
        Format::Text,
        &[
            ("", ""),
            ("up 1\n", "up 1"),
            ("up 1", "up 1"),
            ("\n  \n\tup\t 1 \n", "up 1"),
            ("up{} 1", "up 1"),
            ("a:b_c:d{x=\"1\",} 2 1500", "a:b_c:d{x=\"1\"} 2 @1500"),
            (
                "a { x = \"1\" , y = \"2\" } 3 -4 ",
                "a{x=\"1\", y=\"2\"} 3 @-4",
            ),
            (r#"a{x="q\"b\\s\nn\t"} 1"#, r#"a{x="q\"b\\s\nn\\t"} 1"#),
            (r##"a{x="}, {=",y="#"} 1"##, r##"a{x="}, {=", y="#"} 1"##),
            (r#"a{x="ü€",y=""} NaN"#, "a{x=\"ü€\"} NaN"),
            (
                r#"{"a.b", "x.y"="1", z="2"} 1"#,
                r#"{__name__="a.b", "x.y"="1", z="2"} 1"#,
            ),
            (r#"{"a\"b"} 1"#, r#"{__name__="a\"b"} 1"#),
            ("a +Inf\na -Inf\na 1e-3", "a inf\na -inf\na 0.001"),
            (
                "# HELP a b\\nc \\\\ \\\"\n# TYPE a counter\n",
                "help a \"b\\nc \\\\ \\\\\\\"\"\ntype a counter",
            ),
            (
                "#HELP a b\n# anything\n#\n# TYPE\t a\tuntyped ",
                "type a unknown",
            ),
            ("# HELP a\n# HELP b ", "help a \"\"\nhelp b \"\""),
            (r#"# HELP "a.b" c"#, "help a.b \"c\""),
            (r#"a{x="1",x="2"} 1"#, "twice x 1"),
            ("# EOF\na 1", "a 1"),
        ],
    );
}

#[test]
fn openmetrics_is_read() {
    check(
        Format::OpenMetrics,
        &[
            ("# EOF\n", ""),
            ("# EOF", ""),
            (
                "# HELP a_seconds b \\\"c\\\"\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1 1.5\n# EOF\n",
                "help a_seconds \"b \\\"c\\\"\"\ntype a_seconds gauge\nunit a_seconds seconds\na_seconds 1 @1500",
            ),
            (
                "# TYPE a counter\na_total{x=\"1\"} 17 1520879607.789 # {trace_id=\"z\"} 0.5 1520879607.1\na_created 5\n# EOF",
                "type a counter\na_total{x=\"1\"} 17 @1520879607789 # {trace_id=\"z\"} 0.5 @1520879607100\na_created 5",
            ),
            (
                "a_bucket{le=\"1\"} 1 # {} 2\n# EOF",
                "a_bucket{le=\"1\"} 1 # {} 2",
            ),
            (
                "# TYPE a stateset\n# TYPE b unknown\n# TYPE c info\n# EOF",
                "type a stateset\ntype b unknown\ntype c info",
            ),
        ],
    );
}

#[test]
fn a_fault_names_its_line() {
    check(
        Format::Text,
        &[
            (
                "a 1\n=b 2",
                "a 1\nerror line 2: expected a metric name, got \"=b 2\"",
            ),
            ("1a 2", "error line 1: expected a metric name, got \"1a 2\""),
            (
                "{x=\"1\"} 2",
                "error line 1: a series without a metric name",
            ),
            (
                "{\"a\",\"b\"} 2",
                "error line 1: a second metric name in one series: \"b\"",
            ),
            (
                "a{\"b\"} 2",
                "error line 1: a second metric name in one series: \"b\"",
            ),
            ("a", "error line 1: expected a value after the series"),
            ("a ", "error line 1: expected a value after the series"),
            (
                "a-b 1",
                "error line 1: expected a blank before the value, got \"-b 1\"",
            ),
            (
                "a{x} 1",
                "error line 1: expected \"=\" after the label name \"x\"",
            ),
            (
                "a{x=1} 1",
                "error line 1: expected a quoted value for the label \"x\"",
            ),
            (
                "a{x=\"1} 1",
                "error line 1: a quoted text does not end on its line",
            ),
            (
                "a{x=\"1\\",
                "error line 1: a quoted text does not end on its line",
            ),
            (
                "a{=\"1\"} 1",
                "error line 1: expected a label name, got \"\\\"1\\\"} 1\"",
            ),
            (
                "a{,} 1",
                "error line 1: expected a label name, got \",} 1\"",
            ),
            (
                "a{x=\"1\" y=\"2\"} 1",
                "error line 1: expected \",\" or \"}\" after a label, got \"y=\\\"2\\\"} 1\"",
            ),
            ("a b", "error line 1: not a number: \"b\""),
            ("a 1\r", "error line 1: not a number: \"1\\r\""),
            ("a 1 1.5", "error line 1: not a timestamp: \"1.5\""),
            (
                "a 1 2 3",
                "error line 1: unexpected text at the end of the line: \"3\"",
            ),
            (
                "a 1 # {} 1",
                "error line 1: unexpected text at the end of the line: \"# {} 1\"",
            ),
            (
                "# TYPE a info",
                "error line 1: unknown metric type \"info\"",
            ),
            ("# TYPE a", "error line 1: unknown metric type \"\""),
        ],
    );
    check(
        Format::OpenMetrics,
        &[
            ("", "error line 0: data does not end with # EOF"),
            ("a 1\n", "a 1\nerror line 1: data does not end with # EOF"),
            ("# EOF\na 1", "error line 2: unexpected data after # EOF"),
            ("\n# EOF", "error line 1: OpenMetrics has no empty lines"),
            (
                "# hello\n# EOF",
                "error line 1: expected HELP, TYPE, UNIT or EOF after \"#\", got \" hello\"",
            ),
            (
                "a  1\n# EOF",
                "error line 1: expected a value after the series",
            ),
            (
                "# TYPE a untyped\n# EOF",
                "error line 1: unknown metric type \"untyped\"",
            ),
            (
                "# UNIT a seconds\n# EOF",
                "error line 1: unit \"seconds\" is not a suffix of the metric family \"a\"",
            ),
            ("a 1 NaN\n# EOF", "error line 1: not a timestamp: \"NaN\""),
            (
                "a 1 #\n# EOF",
                "error line 1: expected an exemplar \"# {…} value\", got \" #\"",
            ),
            (
                "a 1 # {} \n# EOF",
                "error line 1: expected a value after the series",
            ),
        ],
    );
}

#[test]
fn the_series_text_is_a_key() {
    let mut parser = Parser::new("a{x=\"1\"} 1\n  b \t2\n{\"c\"} 3", Format::Text);
    let mut keys = Vec::new();
    while let Some(item) = parser.next().expect("a valid body") {
        if let Item::Sample(sample) = item {
            keys.push(sample.series.to_owned());
        }
    }
    assert_eq!(keys, ["a{x=\"1\"}", "b", "{\"c\"}"]);
}

#[test]
fn a_content_type_names_the_format() {
    for (content_type, want) in [
        (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics,
        ),
        ("Application/OpenMetrics-Text", Format::OpenMetrics),
        ("text/plain; version=0.0.4", Format::Text),
        ("", Format::Text),
    ] {
        assert_eq!(
            Format::from_content_type(content_type),
            want,
            "{content_type}"
        );
    }
}
