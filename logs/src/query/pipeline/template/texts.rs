//! Functions on texts. Those with a capital letter take the text first, as Go's `strings` does; the
//! others take it last, so that it can be piped in.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};
use regex::{NoExpand, Regex};

use crate::query::pipeline::line_filter::compile_regex;

use super::{Outcome, argument, int_argument, text_argument};

/// The longest text `repeat`, `indent` and the alignments make, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

fn text(value: impl Into<Arc<str>>) -> Value {
    Value::String(value.into())
}

/// Registers a function of texts.
fn add<const N: usize>(
    functions: &mut FuncMap,
    name: &'static str,
    function: impl Fn([&str; N]) -> Value + Send + Sync + 'static,
) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| {
            let mut texts: [String; N] = std::array::from_fn(|_| String::new());
            for (at, slot) in texts.iter_mut().enumerate() {
                *slot = text_argument(name, arguments, at)?;
            }
            Ok(function(texts.each_ref().map(String::as_str)))
        }),
    );
}

/// Registers a function of a number and a text.
fn add_counted(functions: &mut FuncMap, name: &'static str, function: fn(i64, &str) -> Outcome) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| {
            let count = int_argument(name, arguments, 0)?;
            function(count, &text_argument(name, arguments, 1)?)
        }),
    );
}

pub(super) fn register(functions: &mut FuncMap) {
    for name in ["lower", "ToLower"] {
        add(functions, name, |[s]| text(s.to_lowercase()));
    }
    for name in ["upper", "ToUpper"] {
        add(functions, name, |[s]| text(s.to_uppercase()));
    }
    add(functions, "title", |[s]| text(title(s)));
    for name in ["trim", "trimSpace", "TrimSpace"] {
        add(functions, name, |[s]| text(s.trim()));
    }
    add(functions, "Trim", |[s, set]| {
        text(s.trim_matches(|c| set.contains(c)))
    });
    add(functions, "TrimLeft", |[s, set]| {
        text(s.trim_start_matches(|c| set.contains(c)))
    });
    add(functions, "TrimRight", |[s, set]| {
        text(s.trim_end_matches(|c| set.contains(c)))
    });
    add(functions, "TrimPrefix", |[s, p]| {
        text(s.strip_prefix(p).unwrap_or(s))
    });
    add(functions, "TrimSuffix", |[s, p]| {
        text(s.strip_suffix(p).unwrap_or(s))
    });
    add(functions, "trimAll", |[set, s]| {
        text(s.trim_matches(|c| set.contains(c)))
    });
    add(functions, "trimPrefix", |[p, s]| {
        text(s.strip_prefix(p).unwrap_or(s))
    });
    add(functions, "trimSuffix", |[p, s]| {
        text(s.strip_suffix(p).unwrap_or(s))
    });
    add(functions, "replace", |[old, new, s]| {
        text(s.replace(old, new))
    });
    add(functions, "contains", |[part, s]| {
        Value::Bool(s.contains(part))
    });
    add(functions, "hasPrefix", |[part, s]| {
        Value::Bool(s.starts_with(part))
    });
    add(functions, "hasSuffix", |[part, s]| {
        Value::Bool(s.ends_with(part))
    });
    functions.insert("Replace".to_owned(), Arc::new(replace_counted));
    functions.insert("substr".to_owned(), Arc::new(substr));
    functions.insert("default".to_owned(), Arc::new(default));
    add_counted(functions, "trunc", |n, s| Ok(text(trunc(n, s))));
    add_counted(functions, "repeat", repeat);
    add_counted(functions, "indent", |n, s| indent(n, s).map(text));
    add_counted(functions, "nindent", |n, s| {
        indent(n, s).map(|s| text(format!("\n{s}")))
    });
    add_counted(functions, "alignLeft", |n, s| align(n, s, false));
    add_counted(functions, "alignRight", |n, s| align(n, s, true));
    functions.insert(
        "regexReplaceAll".to_owned(),
        Arc::new(|arguments| {
            let (regex, s, with) = regex_arguments("regexReplaceAll", arguments)?;
            Ok(text(regex.replace_all(&s, with.as_str())))
        }),
    );
    functions.insert(
        "regexReplaceAllLiteral".to_owned(),
        Arc::new(|arguments| {
            let (regex, s, with) = regex_arguments("regexReplaceAllLiteral", arguments)?;
            Ok(text(regex.replace_all(&s, NoExpand(&with))))
        }),
    );
    functions.insert(
        "count".to_owned(),
        Arc::new(|arguments| {
            let regex = regex(&text_argument("count", arguments, 0)?)?;
            let s = text_argument("count", arguments, 1)?;
            Ok(Value::Int(regex.find_iter(&s).count() as i64))
        }),
    );
}

fn regex(pattern: &str) -> Result<Regex, TemplateError> {
    compile_regex(pattern).map_err(TemplateError::Exec)
}

fn regex_arguments(
    name: &str,
    arguments: &[Value],
) -> Result<(Regex, String, String), TemplateError> {
    Ok((
        regex(&text_argument(name, arguments, 0)?)?,
        text_argument(name, arguments, 1)?,
        text_argument(name, arguments, 2)?,
    ))
}

fn replace_counted(arguments: &[Value]) -> Outcome {
    let s = text_argument("Replace", arguments, 0)?;
    let old = text_argument("Replace", arguments, 1)?;
    let new = text_argument("Replace", arguments, 2)?;
    let count = int_argument("Replace", arguments, 3)?;
    Ok(text(match usize::try_from(count) {
        Ok(count) => s.replacen(&old, &new, count),
        Err(_) => s.replace(&old, &new),
    }))
}

/// `substr start end text`, in bytes as upstream counts; a negative start is zero, a negative
/// end is the end.
fn substr(arguments: &[Value]) -> Outcome {
    let start = int_argument("substr", arguments, 0)?;
    let end = int_argument("substr", arguments, 1)?;
    let s = text_argument("substr", arguments, 2)?;
    let start = usize::try_from(start).unwrap_or(0).min(s.len());
    let end = usize::try_from(end)
        .unwrap_or(s.len())
        .clamp(start, s.len());
    let cut = s.as_bytes().get(start..end).unwrap_or_default();
    Ok(text(String::from_utf8_lossy(cut)))
}

fn default(arguments: &[Value]) -> Outcome {
    let given = arguments.get(1).filter(|value| value.is_truthy());
    match given {
        Some(value) => Ok(value.clone()),
        None => argument("default", arguments, 0).cloned(),
    }
}

fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut start = true;
    for c in s.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

/// The first `n` characters, or the last where `n` is negative.
fn trunc(n: i64, s: &str) -> String {
    let characters = s.chars().count();
    let wanted = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted >= characters {
        return s.to_owned();
    }
    if n < 0 {
        s.chars().skip(characters - wanted).collect()
    } else {
        s.chars().take(wanted).collect()
    }
}

fn repeat(n: i64, s: &str) -> Outcome {
    let count = usize::try_from(n).unwrap_or(0);
    if s.len().saturating_mul(count) > TEXT_BYTES_MAX {
        return Err(too_long("repeat"));
    }
    Ok(text(s.repeat(count)))
}

fn indent(n: i64, s: &str) -> Result<String, TemplateError> {
    let width = usize::try_from(n).unwrap_or(0);
    let lines = s.matches('\n').count() + 1;
    if width.saturating_mul(lines) > TEXT_BYTES_MAX {
        return Err(too_long("indent"));
    }
    let blanks = " ".repeat(width);
    Ok(format!(
        "{blanks}{}",
        s.replace('\n', &format!("\n{blanks}"))
    ))
}

/// Exactly `n` characters: cut, or filled with blanks on the side away from the text.
fn align(n: i64, s: &str, right: bool) -> Outcome {
    let width = usize::try_from(n).unwrap_or(0);
    if width > TEXT_BYTES_MAX {
        return Err(too_long("align"));
    }
    let characters = s.chars().count();
    let blanks = " ".repeat(width.saturating_sub(characters));
    Ok(text(if right {
        let kept: String = s.chars().skip(characters.saturating_sub(width)).collect();
        format!("{blanks}{kept}")
    } else {
        let kept: String = s.chars().take(width).collect();
        format!("{kept}{blanks}")
    }))
}

fn too_long(function: &str) -> TemplateError {
    TemplateError::Exec(format!(
        "{function} would make a text longer than {TEXT_BYTES_MAX} bytes"
    ))
}
