//! The children of an expression, for whoever visits all of them.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Query};

/// What an expression is made of.
pub(super) enum Child<'a> {
    /// A part that is evaluated with it.
    Expr(&'a Expr),
    /// The body of a comprehension.
    Query(&'a Query),
}

/// The direct children, in the order of the text.
pub(super) fn children(expr: &Expr) -> Vec<Child<'_>> {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => Vec::new(),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().map(|item| Child::Expr(item)).collect()
        }
        Expr::Object { fields, .. } => fields
            .iter()
            .flat_map(|(_, key, value)| [Child::Expr(key), Child::Expr(value)])
            .collect(),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            vec![Child::Expr(term), Child::Query(query)]
        }
        Expr::ObjectCompr {
            key, value, query, ..
        } => vec![Child::Expr(key), Child::Expr(value), Child::Query(query)],
        Expr::Call { fcn, params, .. } => std::iter::once(Child::Expr(fcn))
            .chain(params.iter().map(|param| Child::Expr(param)))
            .collect(),
        Expr::UnaryExpr { expr, .. } => vec![Child::Expr(expr)],
        Expr::RefDot { refr, .. } => vec![Child::Expr(refr)],
        Expr::RefBrack { refr, index, .. } => vec![Child::Expr(refr), Child::Expr(index)],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![Child::Expr(lhs), Child::Expr(rhs)],
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => key
            .iter()
            .map(|key| Child::Expr(key))
            .chain([Child::Expr(value), Child::Expr(collection)])
            .collect(),
    }
}

/// `pattern := walk(of)`.
pub(super) struct Walked<'a> {
    pub(super) pattern: &'a Expr,
    pub(super) of: &'a Expr,
    pub(super) op: &'a AssignOp,
}

/// What is walked through by an assignment.
pub(super) fn walked(expr: &Expr) -> Option<Walked<'_>> {
    match expr {
        Expr::AssignExpr {
            lhs: pattern,
            rhs,
            op,
            ..
        } => match rhs.as_ref() {
            Expr::Call { fcn, params, .. } if path_of(fcn)? == ["walk"] => {
                match params.as_slice() {
                    [of] => Some(Walked { pattern, of, op }),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether the expression computes something, as a call or an operator does.
pub(super) fn computes(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Call { .. }
            | Expr::UnaryExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::AssignExpr { .. }
            | Expr::Membership { .. }
    )
}

/// The dotted path of a function's name, where it is one.
pub(super) fn path_of(expr: &Expr) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::Var { value, .. } => {
                path.push(value.as_string().ok()?.to_string());
                break;
            }
            Expr::RefDot { refr, field, .. } => {
                path.push(field.1.as_string().ok()?.to_string());
                at = refr;
            }
            Expr::RefBrack { refr, index, .. } => match index.as_ref() {
                Expr::String { value, .. } => {
                    path.push(value.as_string().ok()?.to_string());
                    at = refr;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
    path.reverse();
    Some(path)
}

/// The variables of an expression, those of its comprehensions' bodies aside.
pub(super) fn variables(expr: &Expr, found: &mut BTreeSet<String>) {
    if let Expr::Var { value, .. } = expr {
        if let Ok(name) = value.as_string() {
            found.insert(name.to_string());
        }
        return;
    }
    if matches!(
        expr,
        Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. }
    ) {
        return;
    }
    let skip_function = usize::from(matches!(expr, Expr::Call { .. }));
    for child in children(expr).into_iter().skip(skip_function) {
        if let Child::Expr(child) = child {
            variables(child, found);
        }
    }
}
