//! Errors with their words and places, and what hostile texts may not do.

use super::{HEIGHT_MAX, Syntax, parse, parse_series_selector, parse_with};
use crate::query::ast::{BinaryOp, Expr};

#[test]
fn errors_name_the_place_and_what_was_expected() {
    for (query, error) in [
        ("", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        ("foo)", "1:4: parse error: unexpected right parenthesis ')'"),
        (
            "foo{",
            "1:5: parse error: unexpected end of input inside braces",
        ),
        (
            "foo{a}",
            "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator",
        ),
        (
            "foo{a=1}",
            "1:7: parse error: unexpected character inside braces: '1'",
        ),
        (
            "{a=\"\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo{__name__=\"bar\"}",
            "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        (
            "nothing()",
            "1:1: parse error: unknown function with name \"nothing\"",
        ),
        (
            "rate(foo)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "rate(foo[5m], 1)",
            "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2",
        ),
        (
            "rate(foo[0])",
            "1:10: parse error: duration must be greater than 0",
        ),
        (
            "1 > 2",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
        (
            "a and 1",
            "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "a + on(b) group_left(b) c",
            "1:3: parse error: label \"b\" must not occur in ON and GROUP clause at once",
        ),
        (
            "(a + b)[5m]",
            "1:8: parse error: ranges only allowed for vector selectors",
        ),
        (
            "1 offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        (
            "a offset 1m offset 2m",
            "1:1: parse error: offset may not be set multiple times",
        ),
        (
            "a offset b",
            "1:10: parse error: unexpected identifier \"b\" in offset, expected number, duration, step(), or range()",
        ),
        (
            "topk(foo)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "sum(\n  a b)",
            "2:5: parse error: unexpected identifier \"b\"",
        ),
        ("\"open", "1:1: parse error: unterminated quoted string"),
        (
            "5z",
            "1:1: parse error: bad number or duration syntax: \"5z\"",
        ),
    ] {
        let got = parse(query).expect_err(query).to_string();
        assert_eq!(got, error, "{query}");
    }
}

#[test]
fn words_of_the_language_are_names_where_names_belong() {
    for query in [
        "sum",
        "offset + by",
        "start{on=\"1\", bool=\"2\"}",
        "sum by (on, without, \"ü.x\") (group)",
        "a + on (fill) fill",
        "node_namespace_pod:kube_pod_info:{a=\"b\"}",
        "{\"quoted.name\", \"label.name\"=\"x\"}",
        "step + range",
    ] {
        parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}

#[test]
fn operators_group_by_precedence() {
    for (query, grouped) in [
        ("a + b * c", "a + (b * c)"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("a - b - c", "(a - b) - c"),
        ("a or b and c", "a or (b and c)"),
        ("-a ^ b", "-(a ^ b)"),
        ("a == b + c", "a == (b + c)"),
        ("a % b atan2 c", "(a % b) atan2 c"),
    ] {
        let tree = |text: &str| {
            let mut text = parse(text).expect("valid").to_string();
            text.retain(|c| c != '(' && c != ')');
            text
        };
        assert_eq!(tree(query), tree(grouped));
        let shape = |expr: &Expr| strip(expr);
        assert_eq!(
            shape(&parse(query).expect("valid")),
            shape(&parse(grouped).expect("valid")),
            "{query}"
        );
    }
}

/// The tree in prefix notation, without parentheses of its own.
fn strip(expr: &Expr) -> String {
    match expr {
        Expr::Paren(paren) => strip(&paren.expr),
        Expr::Unary(unary) => format!("(neg {})", strip(&unary.expr)),
        Expr::Binary(binary) => {
            let op: BinaryOp = binary.op;
            format!(
                "({} {} {})",
                op.as_str(),
                strip(&binary.lhs),
                strip(&binary.rhs)
            )
        }
        other => other.to_string(),
    }
}

#[test]
fn experimental_parts_can_be_refused() {
    for query in [
        "limitk(1, a)",
        "info(a)",
        "rate(a[1m+1m])",
        "a smoothed",
        "a + fill(0) b",
    ] {
        assert!(parse(query).is_ok(), "{query}");
        let error = parse_with(query, Syntax::Stable).expect_err(query);
        assert!(error.message.contains("is experimental"), "{error}");
    }
}

#[test]
fn depth_is_bounded_whatever_is_sent() {
    let deep = 100_000;
    for query in [
        "(".repeat(deep),
        "-".repeat(deep) + "1",
        "abs(".repeat(deep),
        "1".to_owned() + &"+1".repeat(deep),
        "1".to_owned() + &"^1".repeat(deep),
        "a".to_owned() + &"[1m:1m]".repeat(deep),
        "a[".to_owned() + &"(".repeat(deep),
        "a[1".to_owned() + &"+1".repeat(deep) + "]",
    ] {
        let error = parse(&query).expect_err("too deep");
        assert!(
            error.message.contains("nested") || error.message.contains("unclosed"),
            "{error}"
        );
    }
    let allowed = "1".to_owned() + &"+1".repeat(HEIGHT_MAX - 1);
    assert!(parse(&allowed).is_ok());
}

#[test]
fn regular_expressions_are_bounded_together() {
    let of = |count: usize| format!("a{{{}}}", vec![r#"b=~"\\pL{60}""#; count].join(","));
    assert!(parse(&of(1)).is_ok(), "one is allowed");
    for query in [of(5), format!("{0} + {0} + {0} + {0} + {0}", of(1))] {
        let error = parse(&query).expect_err("together they are too large");
        let expected = "compile to more than 8388608 bytes together; use fewer, or simpler ones";
        assert!(error.message.contains(expected), "{error}");
    }
    assert!(parse(&format!("a{{{}}}", vec![r#"b=~"x.*|y.+""#; 300].join(","))).is_ok());
}

#[test]
fn series_selectors_are_parsed_alone() {
    let matchers = parse_series_selector(r#"up{job!="x"}"#).expect("valid");
    let texts: Vec<_> = matchers.iter().map(ToString::to_string).collect();
    assert_eq!(texts, [r#"job!="x""#, r#"__name__="up""#]);
    for wrong in ["up[5m]", "sum(up)", "{}", "1"] {
        assert!(parse_series_selector(wrong).is_err(), "{wrong}");
    }
}
