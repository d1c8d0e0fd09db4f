use super::*;

/// Whether a text is refused with a message that holds a part.
fn check(query: &str, part: &str) {
    let error = parse(query).expect_err(query).to_string();
    assert!(
        error.contains(part),
        "{query}\n  got: {error}\n  not: {part}"
    );
}

#[test]
fn wrong_queries_are_refused_where_they_go_wrong() {
    for (query, part) in [
        (
            "",
            "parse error at line 1, col 1: syntax error: unexpected $end",
        ),
        (
            "{a=\"b\"",
            "parse error at line 1, col 7: syntax error: unexpected $end",
        ),
        (
            "{a=\"b\"}\n| json |",
            "parse error at line 2, col 9: syntax error",
        ),
        (
            "{a=\"b\"} |= 5",
            "col 12: syntax error: unexpected NUMBER, expecting STRING",
        ),
        (
            "{a=b}",
            "col 4: syntax error: unexpected IDENTIFIER, expecting STRING",
        ),
        ("{a=\"b\"} | drop", "unexpected $end, expecting IDENTIFIER"),
        (
            "rate({a=\"b\"})",
            "col 13: syntax error: unexpected ), expecting RANGE",
        ),
        ("rate({a=\"b\"}[5])", "col 13: not a valid duration string"),
        ("rate({a=\"b\"}[5m)", "missing closing ']' in duration"),
        ("rate({a=\"b\"}[-5m])", "not a valid duration string"),
        (
            "sum({a=\"b\"})",
            "col 5: syntax error: unexpected log query",
        ),
        ("{a=\"b\"} + 1", "col 9: syntax error: unexpected +"),
        ("1 + {a=\"b\"}", "col 5: syntax error: unexpected {"),
        (
            "-rate({a=\"b\"}[1m])",
            "col 2: syntax error: unexpected rate, expecting NUMBER",
        ),
        (
            "1 or vector(1)",
            "unexpected literal for left leg of logical/set binary operation (or): 1",
        ),
        (
            "vector(1) and on (a) group_left vector(1)",
            "no grouping allowed for and operation",
        ),
        ("vector(1) + bool vector(1)", "unexpected bool"),
        ("topk(0, vector(1))", "invalid parameter topk(0,"),
        (
            "sum(2, vector(1))",
            "unsupported parameter for operation sum",
        ),
        ("sort(vector(1)) by (a)", "grouping not allowed for sort"),
        (
            "{a=~\".*\"}",
            "parse error : queries require at least one regexp or equality matcher",
        ),
        (
            "{}",
            "parse error : queries require at least one regexp or equality matcher",
        ),
        ("{a=~\"(\"}", "error parsing regexp"),
        ("{a=\"b\"} | json x=\"a[\"", "cannot parse expression"),
        ("{a=\"b\"} | logfmt --loose", "unknown flag --loose"),
        (
            "{a=\"b\"} | label_format a=b, a=c",
            "multiple label name 'a' not allowed",
        ),
        (
            "{a=\"b\"} | label_format __error__=b",
            "__error__ cannot be formatted",
        ),
        ("{a=\"b\"} | pattern \"<a><b>\"", "consecutive capture"),
        ("{a=\"b\"} | x > 5EB", "unable to parse literal"),
        ("{a=\"b\"} ; x", "unexpected ;"),
        ("{a=\"b\"} \u{1}", "unexpected character"),
        ("0b11", "unable to parse literal as a float"),
    ] {
        check(query, part);
    }
}

#[test]
fn no_query_exhausts_the_stack_or_the_memory() {
    check(
        &format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        "nests deeper than",
    );
    check(
        &format!("vector(1){}", "+vector(1)".repeat(5000)),
        "more than",
    );
    check(
        &format!("{{a=\"b\"}} | x=\"1\"{}", " or x=\"1\"".repeat(5000)),
        "more than",
    );
    check(
        &format!("{{a=\"b\"}}{}", " |~ \"x.y\"".repeat(5000)),
        "more than",
    );
    check(
        &format!("{{a=\"{}\"}}", "b".repeat(1 << 20)),
        "is longer than",
    );
    check("{a=~\"(.{1000}){1000}\"}", "too large");
}

#[test]
fn precedence_is_upstreams() {
    for (query, written) in [
        (
            "vector(1) + vector(2) * vector(3)",
            "(vector(1) + (vector(2) * vector(3)))",
        ),
        (
            "vector(1) - vector(2) - vector(3)",
            "((vector(1) - vector(2)) - vector(3))",
        ),
        (
            "vector(1) ^ vector(2) ^ vector(3)",
            "(vector(1) ^ (vector(2) ^ vector(3)))",
        ),
        (
            "vector(1) or vector(2) and vector(3)",
            "(vector(1) or (vector(2) and vector(3)))",
        ),
        (
            "vector(1) > vector(2) + vector(3)",
            "(vector(1) > (vector(2) + vector(3)))",
        ),
        ("-2 ^ 2", "4"),
        ("2 % 2 ^ 3", "2"),
        (
            "{a=\"b\"} | x=\"1\" or y=\"2\", z=\"3\"",
            "{a=\"b\"} | (x=\"1\" or (y=\"2\" and z=\"3\"))",
        ),
    ] {
        assert_eq!(parse(query).expect(query).to_string(), written, "{query}");
    }
}

#[test]
fn words_of_functions_may_name_labels() {
    for query in [
        "{rate=\"a\", by=\"b\"} | rate > 5 | count=\"x\"",
        "sum by (rate, duration) (count_over_time({a=\"b\"}[1m]))",
        "sum_over_time({a=\"b\"} | unwrap bytes(bytes) [1m])",
        "sum_over_time({a=\"b\"} | unwrap duration [1m])",
        "sum(rate({a=\"b\"}[1m] | json | x=\"1\"))",
        "sum(rate((({a=\"b\"} |= \"x\") | json)[1m] offset -5m))",
        "# first\n{a=\"b\"} # second\n|= \"#\"",
    ] {
        parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}
