//! Functions of labels, and orders of series.

use std::cmp::Ordering;

use model::labels::METRIC_NAME;
use model::matcher::{MatcherError, anchored};

use super::{EvalError, Evaluator, Grid, Result, Series, Value, merge_same_labels};
use crate::query::ast::Call;
use crate::query::functions::Special;
use crate::query::giving_up::{each_column, retain_present};
use crate::query::order::sort_by;
use crate::query::quoting::is_valid_utf8;
use crate::query::source::touch;

impl Evaluator<'_> {
    pub(super) fn label_replace(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let name = Self::text_argument(call, 1)?;
        let replacement = Self::text_argument(call, 2)?;
        let source = Self::text_argument(call, 3)?;
        let pattern = Self::text_argument(call, 4)?;
        let regex = anchored(pattern).map_err(|error| {
            EvalError::Message(match error {
                MatcherError::TooLarge { .. } => format!("label_replace(): {error}"),
                MatcherError::Syntax { .. } => {
                    format!("invalid regular expression in label_replace(): {pattern}")
                }
            })
        })?;
        check_name(name, "destination", "label_replace")?;
        let mut series = self.argument(call, 0, grid)?;
        for (at, series) in series.iter_mut().enumerate() {
            self.guard.check_at(at)?;
            let value = series.labels.get(source).unwrap_or_default();
            let Some(captures) = regex.captures(value) else {
                continue;
            };
            // Each reference may stand for all of the value.
            let references = replacement.matches('$').count();
            let most = replacement.len() + references.saturating_mul(value.len());
            self.room(most)?;
            let mut replaced = String::new();
            captures.expand(replacement, &mut replaced);
            self.guard.memory.give(most);
            self.room(replaced.len() + series.labels.as_encoded().len())?;
            rename(series, name, &replaced);
        }
        Ok(Value::Vector(merge_same_labels(series, self.guard)?))
    }

    pub(super) fn label_join(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let name = Self::text_argument(call, 1)?;
        let separator = Self::text_argument(call, 2)?;
        let mut sources = Vec::new();
        for index in 3..call.args.len() {
            let source = Self::text_argument(call, index)?;
            check_name(source, "source", "label_join")?;
            sources.push(source);
        }
        check_name(name, "destination", "label_join")?;
        let mut series = self.argument(call, 0, grid)?;
        for (at, series) in series.iter_mut().enumerate() {
            self.guard.check_at(at)?;
            let value = |source: &&str| series.labels.get(source).unwrap_or_default();
            let parts = sources
                .iter()
                .map(|name| value(name).len() + separator.len());
            self.room(parts.sum::<usize>() + series.labels.as_encoded().len())?;
            let joined = sources
                .iter()
                .map(value)
                .collect::<Vec<_>>()
                .join(separator);
            rename(series, name, &joined);
        }
        Ok(Value::Vector(merge_same_labels(series, self.guard)?))
    }

    /// `sort` and `sort_desc`, which leave histograms out.
    pub(super) fn sort(&mut self, special: Special, call: &Call, grid: Grid) -> Result<Value> {
        let mut series = self.argument(call, 0, grid)?;
        each_column(&mut series, self.guard, super::Column::drop_histograms)?;
        retain_present(&mut series, self.guard)?;
        if self.sorts(call, grid) {
            let value = |series: &Series| series.column.float(0).unwrap_or(f64::NAN);
            sort_by(&mut series, self.guard, |a, b| {
                let (a, b) = (value(a), value(b));
                let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                match (a.is_nan(), b.is_nan()) {
                    (true, true) => Ordering::Equal,
                    (true, false) => Ordering::Greater,
                    (false, true) => Ordering::Less,
                    (false, false) if special == Special::SortDesc => order.reverse(),
                    (false, false) => order,
                }
            })?;
        }
        Ok(Value::Vector(series))
    }

    pub(super) fn sort_by_label(
        &mut self,
        special: Special,
        call: &Call,
        grid: Grid,
    ) -> Result<Value> {
        let mut names = Vec::new();
        for index in 1..call.args.len() {
            names.push(Self::text_argument(call, index)?);
        }
        let mut series = self.argument(call, 0, grid)?;
        if self.sorts(call, grid) {
            sort_by(&mut series, self.guard, |a, b| {
                let by_names = names
                    .iter()
                    .map(|name| natural_order(label_of(a, name), label_of(b, name)))
                    .find(|order| order.is_ne());
                let order = by_names.unwrap_or_else(|| a.labels.cmp(&b.labels));
                if special == Special::SortByLabelDesc {
                    order.reverse()
                } else {
                    order
                }
            })?;
        }
        Ok(Value::Vector(series))
    }

    /// Whether an order makes sense: only at a single instant it does.
    fn sorts(&mut self, call: &Call, grid: Grid) -> bool {
        if self.times.start != self.times.end {
            self.annotations.ineffective_sort(call.span);
        }
        grid.len == 1
    }
}

/// The value of a label, empty where there is none.
fn label_of<'s>(series: &'s Series, name: &str) -> &'s str {
    series.labels.get(name).unwrap_or_default()
}

/// Sets a label; a name that is set stays.
fn rename(series: &mut Series, name: &str, value: &str) {
    touch();
    let mut labels = series.labels.to_builder();
    labels.set(name, value);
    series.labels = labels.build();
    if name == METRIC_NAME {
        series.drops_name = false;
    }
}

fn check_name(name: &str, role: &str, function: &str) -> Result<()> {
    if name.is_empty() || !is_valid_utf8(name) {
        return Err(EvalError::Message(format!(
            "invalid {role} label name in {function}(): {name}"
        )));
    }
    Ok(())
}

/// Texts in an order in which `node10` follows `node9`.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let (head_a, rest_a) = chunk(a);
        let (head_b, rest_b) = chunk(b);
        let order = match (head_a.parse::<i64>(), head_b.parse::<i64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => head_a.cmp(head_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading digits of a text, or what stands before the first ones.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_count() {
        for (a, b, order) in [
            ("node9", "node10", Ordering::Less),
            ("a", "b", Ordering::Less),
            ("1.2.10", "1.2.9", Ordering::Greater),
            ("x", "x1", Ordering::Less),
            ("", "a", Ordering::Less),
            ("7", "7", Ordering::Equal),
        ] {
            assert_eq!(natural_order(a, b), order, "{a} {b}");
        }
    }
}
