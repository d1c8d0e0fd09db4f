//! A tree over many lines: what does not fit a line is opened, and what it holds is indented. Where upstream's
//! `format_query` breaks a line, so does this.

use std::fmt::Write as _;

use super::{AggregateHead, Operator, Window};
use crate::query::ast::Expr;

/// Bytes that a line may have before its expression is opened.
const LINE_BYTES_MAX: usize = 100;

/// The tree as `format_query` shows it.
pub fn pretty(expr: &Expr) -> String {
    let mut text = String::new();
    write(&mut text, expr, 0);
    text
}

fn indent(text: &mut String, level: usize) {
    for _ in 0..level {
        text.push_str("  ");
    }
}

/// Writes an expression, its first line indented too. Writing to a text cannot fail.
fn write(text: &mut String, expr: &Expr, level: usize) {
    let line = expr.to_string();
    match expr {
        Expr::Binary(node) if line.len() > LINE_BYTES_MAX => {
            write(text, &node.lhs, level + 1);
            text.push('\n');
            indent(text, level);
            let _ = writeln!(text, "{}", Operator(node));
            write(text, &node.rhs, level + 1);
        }
        Expr::Aggregate(node) if line.len() > LINE_BYTES_MAX => {
            let param = node.param.as_deref().into_iter();
            let head = AggregateHead(node).to_string();
            write_list(text, &head, param.chain([&*node.expr]), level);
        }
        Expr::Call(node) if line.len() > LINE_BYTES_MAX => {
            write_list(text, node.function.name, node.args.iter(), level);
        }
        Expr::Paren(node) if line.len() > LINE_BYTES_MAX => {
            write_list(text, "", [&*node.expr].into_iter(), level);
        }
        Expr::Subquery(node) if line.len() > LINE_BYTES_MAX => {
            write(text, &node.expr, level);
            let _ = write!(text, "{}", Window(node));
        }
        // As upstream leaves it: a subquery that fits its line begins at the margin.
        Expr::Subquery(_) => text.push_str(&line),
        Expr::Unary(node) if line.len() > LINE_BYTES_MAX => {
            let mut inner = String::new();
            write(&mut inner, &node.expr, level);
            indent(text, level);
            let _ = write!(text, "{}{}", node.sign, inner.trim_start());
        }
        _ => {
            indent(text, level);
            text.push_str(&line);
        }
    }
}

/// Writes a head and a list in parentheses, a line for each.
fn write_list<'a>(
    text: &mut String,
    head: &str,
    items: impl Iterator<Item = &'a Expr>,
    level: usize,
) {
    indent(text, level);
    text.push_str(head);
    text.push('(');
    for (index, item) in items.enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        write(text, item, level + 1);
    }
    text.push('\n');
    indent(text, level);
    text.push(')');
}
