//! Expressions that stand in a query more than once, and are evaluated once.
//!
//! Before a query is evaluated its tree is searched for equal parts: selectors, calls, aggregations and
//! operators that read series. The value of the first of them is kept, within the query's memory, until the
//! last of them has had it. Positions make no difference to a value; what there is to say beside
//! it is said once in any case, where it arose first.

use std::collections::HashMap;

use super::{Grid, Value};
use crate::query::ast::Expr;

/// Parts of a tree that are compared with each other; trees with more are evaluated as they stand.
const PARTS_MAX: usize = 64;

/// Where a part of the tree stands. No two parts that are compared stand at the same place.
type Place = (usize, usize);

/// The parts of a tree that stand in it more than once, and values of them.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The number of each part.
    numbers: HashMap<Place, usize>,
    /// How often each number will still be asked for.
    left: Vec<usize>,
    kept: HashMap<(usize, Instants), Value>,
}

/// The instants of a grid: first, step, count.
type Instants = (i64, i64, usize);

const fn instants(grid: Grid) -> Instants {
    (grid.start, grid.step, grid.len)
}

/// A value that was kept.
pub(super) enum Kept<'k> {
    /// It will be asked for again.
    Again(&'k Value),
    /// It will not, and is no longer kept.
    Last(Value),
}

impl Repeats {
    /// Those of a tree.
    pub(super) fn of(expr: &Expr) -> Self {
        let mut parts = Vec::new();
        gather(expr, &mut parts);
        let mut repeats = Self::default();
        if parts.len() > PARTS_MAX {
            return repeats;
        }
        let is_repeated = |part: &Expr| parts.iter().filter(|other| **other == part).count() > 1;
        let mut found: Vec<&Expr> = Vec::new();
        mark(expr, &is_repeated, &mut |part| {
            let number = found.iter().position(|known| *known == part);
            let number = number.unwrap_or_else(|| {
                found.push(part);
                repeats.left.push(0);
                found.len() - 1
            });
            if let Some(left) = repeats.left.get_mut(number) {
                *left += 1;
            }
            repeats.numbers.insert(place(part), number);
        });
        // All but one may stand within something larger that is repeated.
        let left = &repeats.left;
        let is_asked_again = |number: &usize| left.get(*number).is_some_and(|left| *left > 1);
        repeats.numbers.retain(|_, number| is_asked_again(number));
        repeats
    }

    /// The number of a part that is repeated.
    pub(super) fn number(&self, part: &Expr) -> Option<usize> {
        if self.numbers.is_empty() || !is_part(part) {
            return None;
        }
        self.numbers.get(&place(part)).copied()
    }

    /// How large the value is that is kept.
    pub(super) fn kept(&self, number: usize, grid: Grid) -> Option<&Value> {
        self.kept.get(&(number, instants(grid)))
    }

    /// The value that is kept.
    pub(super) fn take(&mut self, number: usize, grid: Grid) -> Option<Kept<'_>> {
        let key = (number, instants(grid));
        let left = self.left.get_mut(number)?;
        *left = left.saturating_sub(1);
        if *left == 0 {
            return self.kept.remove(&key).map(Kept::Last);
        }
        self.kept.get(&key).map(Kept::Again)
    }

    /// Whether the value of a part that was just evaluated will be asked for again.
    pub(super) fn is_wanted(&mut self, number: usize) -> bool {
        let Some(left) = self.left.get_mut(number) else {
            return false;
        };
        *left = left.saturating_sub(1);
        *left > 0
    }

    /// The values that are still kept: nobody asked for them again.
    pub(super) fn into_kept(self) -> impl Iterator<Item = Value> {
        self.kept.into_values()
    }

    /// Keeps a value.
    pub(super) fn keep(&mut self, number: usize, grid: Grid, value: Value) {
        self.kept.insert((number, instants(grid)), value);
    }
}

fn place(part: &Expr) -> Place {
    let span = part.span();
    (span.start, span.end)
}

/// Whether it is worth keeping: it reads series, or is made of what does.
const fn is_part(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Selector(_) | Expr::Call(_) | Expr::Aggregate(_) | Expr::Binary(_)
    )
}

fn gather<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    if parts.len() > PARTS_MAX {
        return;
    }
    if is_part(expr) {
        parts.push(expr);
    }
    each_child(expr, &mut |child| gather(child, parts));
}

/// Calls `found` for what is repeated, but not for what is in it.
fn mark<'e>(
    expr: &'e Expr,
    is_repeated: &impl Fn(&Expr) -> bool,
    found: &mut impl FnMut(&'e Expr),
) {
    if is_part(expr) && is_repeated(expr) {
        found(expr);
    } else {
        each_child(expr, &mut |child| mark(child, is_repeated, found));
    }
}

/// The expressions whose values an expression is made of. The selector of a range yields no values.
fn each_child<'e>(expr: &'e Expr, with: &mut dyn FnMut(&'e Expr)) {
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Selector(_) | Expr::Range(_) => {}
        Expr::Subquery(node) => with(&node.expr),
        Expr::Call(node) => node.args.iter().for_each(with),
        Expr::Aggregate(node) => {
            node.param.iter().for_each(|param| with(param));
            with(&node.expr);
        }
        Expr::Binary(node) => {
            with(&node.lhs);
            with(&node.rhs);
        }
        Expr::Unary(node) => with(&node.expr),
        Expr::Paren(node) => with(&node.expr),
    }
}

#[cfg(test)]
mod tests {
    use super::Repeats;
    use crate::query::parse;

    #[test]
    fn equal_parts_are_found_once_and_not_what_is_in_them() {
        for (query, expected) in [
            ("a - b", vec![]),
            ("a - a", vec![2]),
            (
                "sum(rate(a[5m])) / (sum(rate(a[5m])) + sum(rate(b[5m])))",
                vec![2],
            ),
            (
                "sum(rate(a[5m])) / (sum( rate(a[5m]) ) + rate(a[5m]))",
                vec![2],
            ),
            ("(t - f - c) / t", vec![2]),
            ("a + a + a * b + b", vec![3, 2]),
            ("a[5m] - a[5m]", vec![]),
            ("a offset 5m - a", vec![]),
            ("1 + 1", vec![]),
        ] {
            let Ok(expr) = parse(query) else { continue };
            let repeats = Repeats::of(&expr);
            let mut counts: Vec<usize> = (0..repeats.left.len())
                .map(|of| {
                    repeats
                        .numbers
                        .values()
                        .filter(|number| **number == of)
                        .count()
                })
                .filter(|count| *count > 0)
                .collect();
            counts.sort_by(|a, b| b.cmp(a));
            assert_eq!(counts, expected, "{query}");
        }
    }
}
