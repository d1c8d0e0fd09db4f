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
    let (format, operands) = for_library(format, operands);
    let mut data: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut call = String::from("{{printf .f");
    for (index, operand) in operands.into_iter().enumerate() {
        data.insert(format!("a{index}").into(), operand);
        let _ = write!(call, " .a{index}");
    }
    call.push_str("}}");
    data.insert("f".into(), Value::String(format.into()));
    let template = gotmpl::Template::new("printf").parse(&call)?;
    let text = template.execute_to_string(&Value::Map(Arc::new(data)))?;
    Ok(Value::String(text.into()))
}

/// Verbs that floats may have.
const FLOAT_VERBS: &str = "eEfFgGbxX";

/// The format and its operands, changed so that the library writes what Go does: `%v` is `%g` where the operand is
/// a float, `%T` is the name of a type, and other verbs do not take floats. Formats that number their
/// operands stay as they are.
fn for_library(format: &str, operands: &[Value]) -> (String, Vec<Value>) {
    let mut out = String::with_capacity(format.len());
    let mut operands = operands.to_vec();
    let mut at = 0;
    let mut in_verb = false;
    for c in format.chars() {
        let mut written = c;
        if !in_verb {
            in_verb = c == '%';
        } else if c == '*' {
            at += 1;
        } else if !matches!(c, '+' | '-' | '#' | ' ' | '.' | '[' | ']' | '0'..='9') {
            in_verb = false;
            if c != '%'
                && let Some(operand) = operands.get_mut(at)
            {
                at += 1;
                let text = match &*operand {
                    operand if c == 'T' => Some(go_type(operand).to_owned()),
                    Value::Float(_) if c == 'v' => {
                        written = 'g';
                        None
                    }
                    Value::Float(value) if !FLOAT_VERBS.contains(c) => {
                        Some(format!("%!{c}(float64={})", format_general(*value)))
                    }
                    one @ (Value::Map(_) | Value::List(_)) => Some(go_text(one)),
                    _ => None,
                };
                if let Some(text) = text {
                    *operand = Value::String(text.into());
                    written = 's';
                }
            }
        }
        out.push(written);
    }
    (out, operands)
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
        Value::Map(pairs)
            if pairs
                .get("Labels")
                .is_some_and(|one| matches!(one, Value::Map(_))) =>
        {
            // What Go has as a structure prints its values in their order.
            let fields = ["Labels", "ExternalLabels", "ExternalURL", "Value"];
            let values = fields.iter().filter_map(|field| pairs.get(*field));
            let texts: Vec<String> = values.map(go_text).collect();
            format!("{{{}}}", texts.join(" "))
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
