//! `parse_query`: the tree of a query, as upstream's page for it draws it.
//!
//! Field names and their order (the alphabet's) are upstream's `web/api/v1/translate_ast.go`.

use axum::extract::State;
use model::matcher::{MatchOp, Matcher};
use model::vector::format_float;
use serde_json::{Value, json};

use super::Api;
use super::params::Params;
use super::response::{ApiError, Success};
use crate::query::ast::{
    Aggregate, At, Binary, Call, Cardinality, Duration, Expr, Extension, Grouping, Matching, Sign,
    TimeShift, VectorSelector,
};
use crate::query::functions::Function;

/// `parse_query`
pub(super) async fn parse_query(
    State(api): State<Api>,
    params: Params,
) -> Result<Success, ApiError> {
    api.run_query(None, move |_, guard| {
        let expr = params.expression(guard)?;
        Ok(Success::new(tree(&expr).to_string()))
    })
    .await
}

fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Number(number) => {
            json!({"type": "numberLiteral", "val": decimal(number.value)})
        }
        Expr::Text(text) => json!({"type": "stringLiteral", "val": text.value}),
        Expr::Selector(selector) => selector_tree("vectorSelector", selector),
        Expr::Range(range) => {
            let mut node = selector_tree("matrixSelector", &range.selector);
            put(&mut node, "range", range.range.millis().into());
            node
        }
        Expr::Subquery(subquery) => {
            let mut node = json!({
                "type": "subquery",
                "expr": tree(&subquery.expr),
                "range": subquery.range.millis(),
                "step": subquery.step.as_ref().map_or(0, Duration::millis),
            });
            put_shift(&mut node, &subquery.shift);
            node
        }
        Expr::Call(call) => call_tree(call),
        Expr::Aggregate(aggregate) => aggregate_tree(aggregate),
        Expr::Binary(binary) => binary_tree(binary),
        Expr::Unary(unary) => {
            let op = match unary.sign {
                Sign::Plus => "+",
                Sign::Minus => "-",
            };
            json!({"type": "unaryExpr", "op": op, "expr": tree(&unary.expr)})
        }
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": tree(&paren.expr)}),
    }
}

fn put(node: &mut Value, name: &str, value: Value) {
    if let Some(fields) = node.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn put_shift(node: &mut Value, shift: &TimeShift) {
    let (timestamp, bound) = match shift.at {
        Some(At::Timestamp(at)) => (Some(at), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
        None => (None, None),
    };
    put(node, "offset", shift.offset_millis().into());
    put(node, "timestamp", json!(timestamp));
    put(node, "startOrEnd", json!(bound));
}

fn selector_tree(kind: &str, selector: &VectorSelector) -> Value {
    let matchers: Vec<Value> = selector.matchers.iter().map(matcher).collect();
    let mut node = json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": matchers,
        "anchored": selector.extension == Extension::Anchored,
        "smoothed": selector.extension == Extension::Smoothed,
    });
    put_shift(&mut node, &selector.shift);
    node
}

fn matcher(matcher: &Matcher) -> Value {
    let op = match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({"name": matcher.name(), "value": matcher.value(), "type": op})
}

fn call_tree(call: &Call) -> Value {
    let args: Vec<Value> = call.args.iter().map(tree).collect();
    let function = call.function;
    let types: Vec<&str> = function
        .arguments()
        .iter()
        .map(|kind| kind.name())
        .collect();
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": types,
            "variadic": variadic(function),
            "returnType": function.returns.name(),
        },
        "args": args,
    })
}

/// How many arguments may follow those that must be there: -1 for any number.
fn variadic(function: &Function) -> i64 {
    let (min, max) = (function.arguments_min(), function.arguments_max());
    max.map_or(-1, |max| max.saturating_sub(min) as i64)
}

fn aggregate_tree(aggregate: &Aggregate) -> Value {
    json!({
        "type": "aggregation",
        "op": aggregate.op.as_str(),
        "expr": tree(&aggregate.expr),
        "param": aggregate.param.as_deref().map(tree),
        "grouping": aggregate.labels,
        "without": aggregate.grouping == Grouping::Without,
    })
}

fn binary_tree(binary: &Binary) -> Value {
    json!({
        "type": "binaryExpr",
        "op": binary.op.as_str(),
        "lhs": tree(&binary.lhs),
        "rhs": tree(&binary.rhs),
        "matching": binary.matching.as_ref().map(matching),
        "bool": binary.returns_bool,
    })
}

fn matching(matching: &Matching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {
            "lhs": matching.fill_left.map(number),
            "rhs": matching.fill_right.map(number),
        },
    })
}

/// A float as a number of JSON, without a fraction where it is whole.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return json!(value as i64);
    }
    json!(value)
}

/// A float without an exponent.
fn decimal(value: f64) -> String {
    if value.is_finite() {
        return format!("{value}");
    }
    format_float(value)
}
