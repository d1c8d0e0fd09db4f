//! Makes a tree ready for one query: durations become milliseconds, `@ start()` and `@ end()`
//! become instants, and selectors whose buckets nobody reads are marked.

use super::ast::{At, BinaryOp, Duration, DurationExpr, Expr, TimeShift, VectorSelector};

/// The query a tree is made ready for, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct QueryTimes {
    /// Its first instant.
    pub start: i64,
    /// Its last instant.
    pub end: i64,
    /// The distance of its instants; 0 for an instant query.
    pub step: i64,
}

/// Which durations are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Any.
    Any,
    /// Only those above zero.
    Positive,
}

/// The milliseconds of a number of seconds.
pub fn checked_millis(seconds: f64, range: Range) -> Result<i64, String> {
    if range == Range::Positive && (seconds.is_nan() || seconds <= 0.0) {
        return Err("duration must be greater than 0".to_owned());
    }
    // Upstream holds nanoseconds in 64 bits.
    if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 / 1e9 {
        return Err("duration out of range".to_owned());
    }
    Ok((seconds * 1000.0).round() as i64)
}

/// Makes a tree ready.
pub fn prepare(expr: &mut Expr, times: &QueryTimes) -> Result<(), String> {
    prepare_node(expr, times, false)
}

fn prepare_node(expr: &mut Expr, times: &QueryTimes, statistics: bool) -> Result<(), String> {
    match expr {
        Expr::Number(_) | Expr::Text(_) => Ok(()),
        Expr::Selector(node) => prepare_selector(node, times, statistics),
        Expr::Range(node) => {
            resolve(&mut node.range, times, Range::Positive)?;
            prepare_selector(&mut node.selector, times, statistics)
        }
        Expr::Subquery(node) => {
            prepare_shift(&mut node.shift, times)?;
            resolve(&mut node.range, times, Range::Positive)?;
            if let Some(step) = &mut node.step {
                resolve(step, times, Range::Positive)?;
            }
            // Resets are told apart by the buckets once samples may be missing between two.
            prepare_node(&mut node.expr, times, false)
        }
        Expr::Call(node) => {
            let statistics = match node.function.name {
                "histogram_count" | "histogram_sum" | "histogram_avg" => true,
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => false,
                _ => statistics,
            };
            node.args
                .iter_mut()
                .try_for_each(|arg| prepare_node(arg, times, statistics))
        }
        Expr::Aggregate(node) => {
            if let Some(param) = &mut node.param {
                prepare_node(param, times, statistics)?;
            }
            prepare_node(&mut node.expr, times, statistics)
        }
        Expr::Binary(node) => {
            prepare_node(&mut node.lhs, times, statistics)?;
            prepare_node(&mut node.rhs, times, statistics)
        }
        Expr::Unary(node) => prepare_node(&mut node.expr, times, statistics),
        Expr::Paren(node) => prepare_node(&mut node.expr, times, statistics),
    }
}

fn prepare_selector(
    node: &mut VectorSelector,
    times: &QueryTimes,
    statistics: bool,
) -> Result<(), String> {
    node.histogram_statistics = statistics;
    prepare_shift(&mut node.shift, times)
}

fn prepare_shift(shift: &mut TimeShift, times: &QueryTimes) -> Result<(), String> {
    shift.at = shift.at.map(|at| {
        At::Timestamp(match at {
            At::Timestamp(at) => at,
            At::Start => times.start,
            At::End => times.end,
        })
    });
    match &mut shift.offset {
        Some(offset) => resolve(offset, times, Range::Any),
        None => Ok(()),
    }
}

fn resolve(duration: &mut Duration, times: &QueryTimes, range: Range) -> Result<(), String> {
    if let Duration::Expr(expr) = duration {
        *duration = Duration::Millis(checked_millis(seconds(expr, times)?, range)?);
    }
    Ok(())
}

fn seconds(expr: &DurationExpr, times: &QueryTimes) -> Result<f64, String> {
    Ok(match expr {
        DurationExpr::Seconds { value, .. } => *value,
        DurationExpr::Step => times.step as f64 / 1000.0,
        DurationExpr::Range => times.end.saturating_sub(times.start) as f64 / 1000.0,
        DurationExpr::Negative(inner) => -seconds(inner, times)?,
        DurationExpr::Positive(inner) | DurationExpr::Paren(inner) => seconds(inner, times)?,
        DurationExpr::MinOf(a, b) => seconds(a, times)?.min(seconds(b, times)?),
        DurationExpr::MaxOf(a, b) => seconds(a, times)?.max(seconds(b, times)?),
        DurationExpr::Arithmetic(op, a, b) => {
            let (a, b) = (seconds(a, times)?, seconds(b, times)?);
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div if b == 0.0 => return Err("division by zero".to_owned()),
                BinaryOp::Div => a / b,
                BinaryOp::Mod if b == 0.0 => return Err("modulo by zero".to_owned()),
                BinaryOp::Mod => a % b,
                _ => a.powf(b),
            }
        }
    })
}
