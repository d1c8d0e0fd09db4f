//! Types: which expressions may stand where. The words of the errors are upstream's.
//!
//! Checking also settles what depends on types: the cardinality of set operators, and that matching
//! has no meaning where a side is a scalar.

use model::labels::METRIC_NAME;

use super::ast::{Binary, BinaryOp, Call, Cardinality, Expr, Span, ValueType, VectorSelector};
use super::parser::ParseError;

/// The error of a selector that would select everything.
pub const NO_MATCHER: &str = "vector selector must contain at least one non-empty matcher";

/// Checks a tree, and settles what depends on types.
pub fn check(input: &str, expr: &mut Expr) -> Result<(), ParseError> {
    Checker { input }.expr(expr).map(|_| ())
}

struct Checker<'a> {
    input: &'a str,
}

type Checked<T> = Result<T, ParseError>;

impl Checker<'_> {
    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Checked<T> {
        Err(ParseError::at(self.input, span, message))
    }

    fn expr(&self, expr: &mut Expr) -> Checked<ValueType> {
        match expr {
            Expr::Number(_) | Expr::Text(_) => {}
            Expr::Selector(node) => self.selector(node)?,
            Expr::Range(node) => self.selector(&node.selector)?,
            Expr::Subquery(node) => {
                let inner = self.expr(&mut node.expr)?;
                if inner != ValueType::Vector {
                    let name = inner.name();
                    let message =
                        format!("subquery is only allowed on instant vector, got {name} instead");
                    return self.fail(node.span, message);
                }
            }
            Expr::Call(node) => self.call(node)?,
            Expr::Aggregate(node) => {
                self.expect(&mut node.expr, ValueType::Vector, "aggregation expression")?;
                if let (Some(param), Some(wanted)) = (&mut node.param, node.op.param()) {
                    self.expect(param, wanted, "aggregation parameter")?;
                }
            }
            Expr::Binary(node) => self.binary(node)?,
            Expr::Unary(node) => {
                let inner = self.expr(&mut node.expr)?;
                if !matches!(inner, ValueType::Scalar | ValueType::Vector) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        inner.documented()
                    );
                    return self.fail(node.span, message);
                }
            }
            Expr::Paren(node) => {
                self.expr(&mut node.expr)?;
            }
        }
        Ok(expr.value_type())
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Checked<()> {
        let given = self.expr(expr)?;
        if given == wanted {
            return Ok(());
        }
        let message = format!(
            "expected type {} in {context}, got {}",
            wanted.documented(),
            given.documented()
        );
        self.fail(expr.span(), message)
    }

    fn selector(&self, node: &VectorSelector) -> Checked<()> {
        if let Some(name) = &node.name {
            let others = node.matchers.len().saturating_sub(1);
            if let Some(second) = node
                .matchers
                .iter()
                .take(others)
                .find(|matcher| matcher.name() == METRIC_NAME)
            {
                let second = second.value();
                let message = format!("metric name must not be set twice: {name:?} or {second:?}");
                return self.fail(node.span, message);
            }
            return Ok(());
        }
        if node.only_labels || node.matchers.iter().any(|matcher| !matcher.matches_empty()) {
            return Ok(());
        }
        self.fail(node.span, NO_MATCHER)
    }

    fn call(&self, node: &mut Call) -> Checked<()> {
        let function = node.function;
        let (name, given) = (function.name, node.args.len());
        if given < function.arguments_min() {
            let wanted = function.arguments_min();
            let message = if function.arguments_max() == Some(wanted) {
                format!("expected {wanted} argument(s) in call to {name:?}, got {given}")
            } else {
                format!("expected at least {wanted} argument(s) in call to {name:?}, got {given}")
            };
            return self.fail(node.span, message);
        }
        if let Some(wanted) = function.arguments_max().filter(|wanted| given > *wanted) {
            let message = if function.arguments_min() == wanted {
                format!("expected {wanted} argument(s) in call to {name:?}, got {given}")
            } else {
                format!("expected at most {wanted} argument(s) in call to {name:?}, got {given}")
            };
            return self.fail(node.span, message);
        }
        if name == "info"
            && let Some(labels) = node.args.get_mut(1)
        {
            let place = labels.span();
            match labels {
                Expr::Selector(selector) if selector.name.is_some() => {
                    let message = "expected label selectors only, got vector selector instead";
                    return self.fail(place, message);
                }
                Expr::Selector(selector) => selector.only_labels = true,
                _ => return self.fail(place, "expected label selectors only"),
            }
        }
        for (index, arg) in node.args.iter_mut().enumerate() {
            let wanted = function.argument(index);
            self.expect(arg, wanted, &format!("call to function {name:?}"))?;
        }
        Ok(())
    }

    fn binary(&self, node: &mut Binary) -> Checked<()> {
        let lhs = self.expr(&mut node.lhs)?;
        let rhs = self.expr(&mut node.rhs)?;
        let op = node.op;
        let whole = node.lhs.span().to(node.rhs.span());
        let between = self.operator_span(node);
        if node.returns_bool && !op.is_comparison() {
            let message = "bool modifier can only be used on comparison operators";
            return self.fail(between, message);
        }
        let scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if op.is_comparison() && !node.returns_bool && scalars {
            let message = "comparisons between scalars must use BOOL modifier";
            return self.fail(between, message);
        }
        for (side, given) in [(&node.lhs, lhs), (&node.rhs, rhs)] {
            if !matches!(given, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.span(), message);
            }
        }
        let vectors = lhs == ValueType::Vector && rhs == ValueType::Vector;
        if op.is_set() && !vectors {
            let message = format!(
                "set operator {:?} not allowed in binary scalar expression",
                op.as_str()
            );
            return self.fail(whole, message);
        }
        if scalars && matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            let message = format!(
                "operator {:?} not allowed for Scalar operations",
                op.as_str()
            );
            return self.fail(between, message);
        }
        self.matching(node, vectors, whole, between)
    }

    fn matching(
        &self,
        node: &mut Binary,
        vectors: bool,
        whole: Span,
        between: Span,
    ) -> Checked<()> {
        let Some(matching) = &mut node.matching else {
            return Ok(());
        };
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if matching.on
            && let Some(label) = matching
                .labels
                .iter()
                .find(|label| matching.include.contains(label))
        {
            let message = format!("label {label:?} must not occur in ON and GROUP clause at once");
            return self.fail(between, message);
        }
        if !vectors {
            if !matching.labels.is_empty() {
                let message = "vector matching only allowed between instant vectors";
                return self.fail(whole, message);
            }
            if fills {
                let message = "filling in missing series only allowed between instant vectors";
                return self.fail(whole, message);
            }
            node.matching = None;
            return Ok(());
        }
        if node.op.is_set() {
            if matching.cardinality != Cardinality::OneToOne {
                let op = node.op.as_str();
                return self.fail(whole, format!("no grouping allowed for {op:?} operation"));
            }
            if fills {
                let message = "filling in missing series not allowed for set operators";
                return self.fail(whole, message);
            }
            matching.cardinality = Cardinality::ManyToMany;
        }
        Ok(())
    }

    /// Where the operator and its modifiers stand, without the blanks around.
    fn operator_span(&self, node: &Binary) -> Span {
        let (start, end) = (node.lhs.span().end, node.rhs.span().start);
        let text = self.input.get(start..end).unwrap_or_default();
        let blanks = text.len() - text.trim_start().len();
        Span {
            start: start + blanks,
            end,
        }
    }
}
