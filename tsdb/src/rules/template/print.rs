//! Values as Go prints them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use gotmpl::{FuncMap, Value};
use model::vector::format_general;

use super::{Outcome, failed, time};

/// The function that everything printed goes through.
pub(super) const PRINT: &str = "__print";

/// The functions that print, instead of the library's.
pub(super) fn register(functions: &mut FuncMap) {
    functions.insert(
        PRINT.to_owned(),
        Arc::new(|arguments| match arguments {
            [Value::Nil] | [] => Ok(Value::Nil),
            [value, ..] => Ok(Value::String(go_text(value).into())),
        }),
    );
    functions.insert(
        "print".to_owned(),
        Arc::new(|arguments| Ok(Value::String(print(arguments).into()))),
    );
    functions.insert(
        "println".to_owned(),
        Arc::new(|arguments| {
            let texts: Vec<String> = arguments.iter().map(go_text).collect();
            Ok(Value::String(format!("{}\n", texts.join(" ")).into()))
        }),
    );
    functions.insert("printf".to_owned(), Arc::new(printf));
}

/// The library's, but for floats behind `%v`, which Go writes as `%g` does.
fn printf(arguments: &[Value]) -> Outcome {
    let [Value::String(format), operands @ ..] = arguments else {
        return Err(failed("printf needs a text that says how to print"));
    };
    let mut data: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut call = String::from("{{printf .f");
    for (index, operand) in operands.iter().enumerate() {
        let operand = match operand {
            Value::Map(_) | Value::List(_) => Value::String(go_text(operand).into()),
            operand => operand.clone(),
        };
        data.insert(format!("a{index}").into(), operand);
        let _ = write!(call, " .a{index}");
    }
    call.push_str("}}");
    data.insert(
        "f".into(),
        Value::String(float_verbs(format, operands).into()),
    );
    let template = gotmpl::Template::new("printf").parse(&call)?;
    let text = template.execute_to_string(&Value::Map(Arc::new(data)))?;
    Ok(Value::String(text.into()))
}

/// The format with `%v` made `%g` where the operand is a float. Formats that number their operands
/// stay as they are.
fn float_verbs(format: &str, operands: &[Value]) -> String {
    let mut out = String::with_capacity(format.len());
    let mut operands = operands.iter();
    let mut in_verb = false;
    for c in format.chars() {
        let mut written = c;
        if !in_verb {
            in_verb = c == '%';
        } else if c == '*' {
            operands.next();
        } else if !matches!(c, '+' | '-' | '#' | ' ' | '.' | '[' | ']' | '0'..='9') {
            in_verb = false;
            let is_float = c != '%' && matches!(operands.next(), Some(Value::Float(_)));
            if c == 'v' && is_float {
                written = 'g';
            }
        }
        out.push(written);
    }
    out
}

/// Go puts a space between two operands where neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for argument in arguments {
        let is_text = matches!(argument, Value::String(_));
        if !after_text && !is_text {
            out.push(' ');
        }
        out.push_str(&go_text(argument));
        after_text = is_text;
    }
    out
}

/// A value as `%v` writes it.
pub(super) fn go_text(value: &Value) -> String {
    if let Some(text) = time::text(value) {
        return text;
    }
    match value {
        Value::Float(value) => format_general(*value),
        Value::List(values) => {
            let texts: Vec<String> = values.iter().map(go_text).collect();
            format!("[{}]", texts.join(" "))
        }
        Value::Map(pairs) => {
            let mut out = String::from("map[");
            for (index, (key, value)) in pairs.iter().enumerate() {
                let space = if index > 0 { " " } else { "" };
                let _ = write!(out, "{space}{key}:{}", go_text(value));
            }
            out.push(']');
            out
        }
        value => value.to_string(),
    }
}

/// The type of a value in Go's words, for errors.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Nil => "interface {}",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "template.queryResult",
        Value::Map(pairs) if pairs.contains_key("ExternalLabels") => {
            "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
        }
        Value::Map(pairs) if pairs.contains_key("Labels") => "*template.sample",
        Value::Map(_) => "map[string]string",
        Value::Function(_) => "func",
    }
}
