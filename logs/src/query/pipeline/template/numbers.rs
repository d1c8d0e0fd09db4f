//! Functions on numbers; texts are read as numbers where they are some.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::{Outcome, argument, int_argument, text_argument, to_float, to_int};
use crate::query::units::{parse_bytes, parse_go_duration};

/// Registers a function that folds whole numbers from left to right.
fn add_int(functions: &mut FuncMap, name: &'static str, fold: fn(i64, i64) -> Option<i64>) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| {
            let mut numbers = arguments.iter().map(to_int);
            let first = numbers.next().unwrap_or_default();
            numbers
                .try_fold(first, fold)
                .map(Value::Int)
                .ok_or_else(|| TemplateError::Exec(format!("{name}: division by zero")))
        }),
    );
}

/// Registers a function that folds floats from left to right.
fn add_float(functions: &mut FuncMap, name: &'static str, fold: fn(f64, f64) -> f64) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| {
            let mut numbers = arguments.iter().map(to_float);
            let first = numbers.next().unwrap_or_default();
            Ok(Value::Float(numbers.fold(first, fold)))
        }),
    );
}

/// Registers a function of one float.
fn add_rounding(functions: &mut FuncMap, name: &'static str, round: fn(f64) -> f64) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| {
            argument(name, arguments, 0).map(|value| Value::Float(round(to_float(value))))
        }),
    );
}

pub(super) fn register(functions: &mut FuncMap) {
    add_int(functions, "add", |a, b| Some(a.wrapping_add(b)));
    add_int(functions, "sub", |a, b| Some(a.wrapping_sub(b)));
    add_int(functions, "mul", |a, b| Some(a.wrapping_mul(b)));
    add_int(functions, "div", i64::checked_div);
    add_int(functions, "mod", i64::checked_rem);
    add_int(functions, "max", |a, b| Some(a.max(b)));
    add_int(functions, "min", |a, b| Some(a.min(b)));
    add_float(functions, "addf", |a, b| a + b);
    add_float(functions, "subf", |a, b| a - b);
    add_float(functions, "mulf", |a, b| a * b);
    add_float(functions, "divf", |a, b| a / b);
    add_float(functions, "maxf", f64::max);
    add_float(functions, "minf", f64::min);
    add_rounding(functions, "ceil", f64::ceil);
    add_rounding(functions, "floor", f64::floor);
    add_rounding(functions, "float64", |value| value);
    functions.insert(
        "int".to_owned(),
        Arc::new(|arguments| int_argument("int", arguments, 0).map(Value::Int)),
    );
    functions.insert("round".to_owned(), Arc::new(round));
    functions.insert(
        "bytes".to_owned(),
        Arc::new(|arguments| {
            let text = text_argument("bytes", arguments, 0)?;
            parse_bytes(&text)
                .map(|bytes| Value::Float(bytes as f64))
                .map_err(TemplateError::Exec)
        }),
    );
    for name in ["duration", "duration_seconds"] {
        functions.insert(
            name.to_owned(),
            Arc::new(move |arguments| {
                let text = text_argument(name, arguments, 0)?;
                parse_go_duration(&text)
                    .map(|nanos| Value::Float(nanos as f64 / 1e9))
                    .map_err(TemplateError::Exec)
            }),
        );
    }
}

/// `round value places`, half away from zero.
fn round(arguments: &[Value]) -> Outcome {
    let value = to_float(argument("round", arguments, 0)?);
    let places = int_argument("round", arguments, 1)?.clamp(0, 15) as i32;
    let scale = 10_f64.powi(places);
    Ok(Value::Float((value * scale).round() / scale))
}
