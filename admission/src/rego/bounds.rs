//! What one evaluation may build.
//!
//! The clock ends an evaluation that takes long, but it is looked at between the steps of the interpreter, and one step is enough for
//! a builtin to double a text, or to write out a value that holds another one twice, forty levels deep. Memory that is not there ends
//! the whole process. So builtins that make something larger than one number are asked for through a guard, which reckons what the
//! call will build before it is made, and adds it up for the evaluation. What is over the bound is an error of the evaluation that no
//! template can swallow: as with the clock, it is not known what the rule would have said.
//!
//! What becomes an element is counted as well, by the interpreter ([`elements`](super::elements)) and by plans. Sets that operators
//! join are not: they share their elements, and what is kept of them is an element again.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use regorus::unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Span};
use regorus::{Engine, Source, Value};

use super::elements::KEPT;
use super::plan::{Function, NoAnswer};
use super::{Errors, builtins};

/// What a single call may build, in bytes: more than the largest request, written out.
pub(super) const CALL_BYTES_MAX: usize = 32 << 20;

/// What all calls of one evaluation may build, and its plan with them: two at once, in a process that has 256 MiB.
pub(super) const EVALUATION_BYTES_MAX: usize = 64 << 20;

/// What an element of a collection takes, roughly.
const ITEM_BYTES: usize = 48;

/// How wide a text may be that is put before each line of a larger one.
const INDENT_BYTES_MAX: usize = 64;

thread_local! {
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// A builtin, and what a call of it may build.
struct Guard {
    name: &'static str,
    reckon: fn(&[Value]) -> usize,
}

impl Guard {
    fn call(
        &self,
        builtin: BuiltinFcn,
        arguments: &[Value],
        errors: Errors,
    ) -> Result<Value, GuardError> {
        spend(self.name, (self.reckon)(arguments))?;
        match (call(builtin, arguments, true), errors) {
            (Err(problem), Errors::Swallowed) => {
                builtins::remember(self.name, &super::message(&problem.to_string()));
                Ok(call(builtin, arguments, false).unwrap_or(Value::Undefined))
            }
            (result, _) => result,
        }
    }
}

/// Builtins that answer otherwise each time, or from more than their arguments; the interpreter keeps their answers.
const CHANGING: [&str; 7] = [
    "opa.runtime",
    "print",
    "rand.intn",
    "time.now_ns",
    "trace",
    "uuid.rfc4122",
    "walk",
];

/// A builtin of regorus as a plan calls it: bounded where what it builds may be large.
pub(crate) fn function(name: &str, errors: Errors) -> Option<Function> {
    if CHANGING.contains(&name) {
        return None;
    }
    let builtin = BUILTINS.get(name).copied()?;
    let function: Function = match GUARDS.iter().find(|guard| guard.name == name) {
        Some(guard) => Arc::new(move |arguments: &[Value]| {
            guard.call(builtin, arguments, errors).map_err(|_| NoAnswer)
        }),
        None => Arc::new(move |arguments: &[Value]| {
            call(builtin, arguments, true).map_err(|_| NoAnswer)
        }),
    };
    Some(function)
}

/// Calls a builtin from nowhere in particular.
fn call(builtin: BuiltinFcn, arguments: &[Value], strict: bool) -> Result<Value, GuardError> {
    let (span, parameters) = &*NOWHERE;
    let parameters = parameters.get(..arguments.len()).unwrap_or_default();
    (builtin.0)(span, parameters, arguments, strict)
        .map_err(|error| GuardError::Builtin(error.to_string()))
}

/// Calls one of regorus' builtins, without a guard.
pub(super) fn plain(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let builtin = BUILTINS.get(name).copied();
    let builtin = builtin.ok_or_else(|| format!("there is no builtin {name}"))?;
    call(builtin, arguments, true).map_err(|error| error.to_string())
}

const GUARDS: &[Guard] = &[
    guard("concat", concat),
    guard("replace", replace),
    guard("strings.replace_n", replace_n),
    guard("split", |arguments| {
        lengths(arguments).saturating_mul(ITEM_BYTES)
    }),
    guard("sprintf", written),
    guard("lower", lengths),
    guard("upper", lengths),
    guard("substring", lengths),
    guard("strings.reverse", lengths),
    guard("trim", lengths),
    guard("trim_left", lengths),
    guard("trim_prefix", lengths),
    guard("trim_right", lengths),
    guard("trim_space", lengths),
    guard("trim_suffix", lengths),
    guard("base64.encode", |arguments| 2 * lengths(arguments)),
    guard("base64.decode", lengths),
    guard("base64url.encode", |arguments| 2 * lengths(arguments)),
    guard("base64url.encode_no_pad", |arguments| {
        2 * lengths(arguments)
    }),
    guard("base64url.decode", lengths),
    guard("hex.encode", |arguments| 2 * lengths(arguments)),
    guard("hex.decode", lengths),
    guard("urlquery.encode", |arguments| 3 * lengths(arguments)),
    guard("urlquery.decode", lengths),
    guard("urlquery.encode_object", |arguments| {
        written(arguments).saturating_mul(3)
    }),
    guard("json.marshal", written),
    guard("json.marshal_with_options", indented),
    guard("json.unmarshal", |arguments| {
        lengths(arguments).saturating_mul(4)
    }),
    guard("yaml.marshal", |arguments| {
        written(arguments).saturating_mul(2)
    }),
    guard("yaml.unmarshal", |arguments| {
        lengths(arguments).saturating_mul(4)
    }),
    guard("array.concat", items),
    guard("array.reverse", items),
    guard("array.slice", items),
    guard("sort", items),
    guard("union", inner_items),
    guard("intersection", inner_items),
    guard("object.union", items),
    guard("object.union_n", inner_items),
    guard("object.filter", items),
    guard("object.remove", items),
    guard("object.keys", items),
    guard("json.filter", items),
    guard("json.remove", items),
    guard("json.patch", items),
    guard("numbers.range", range),
    guard("numbers.range_step", range),
    guard("bits.lsh", shifted),
];

const fn guard(name: &'static str, reckon: fn(&[Value]) -> usize) -> Guard {
    Guard { name, reckon }
}

/// Begins an evaluation on this thread.
pub(crate) fn begin() {
    SPENT.set(0);
}

/// Guards the builtins that a text names, where an engine has nothing of that name yet, and counts its elements.
pub(crate) fn install(engine: &mut Engine, text: &str, errors: Errors) {
    if text.contains(KEPT) {
        let extension = |mut arguments: Vec<Value>| {
            let kept = arguments.pop().unwrap_or(Value::Undefined);
            element(&kept)?;
            Ok(kept)
        };
        let _ = engine.add_extension(KEPT.to_string(), 1, Box::new(extension));
    }
    for guard in GUARDS.iter().filter(|guard| text.contains(guard.name)) {
        let Some(builtin) = BUILTINS.get(guard.name).copied() else {
            continue;
        };
        let extension = move |arguments: Vec<Value>| Ok(guard.call(builtin, &arguments, errors)?);
        // Its only error is that there is one of this name, which is bounded already.
        let _ = engine.add_extension(guard.name.to_string(), builtin.1, Box::new(extension));
    }
}

/// A call that would build too much.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooLarge {
    #[error("{0} would build more than {CALL_BYTES_MAX} bytes")]
    Call(&'static str),
    #[error("{0}: the evaluation builds more than {EVALUATION_BYTES_MAX} bytes in all")]
    Evaluation(&'static str),
}

/// Why a call has no value.
#[derive(Debug, thiserror::Error)]
enum GuardError {
    #[error(transparent)]
    Size(#[from] TooLarge),
    #[error("{0}")]
    Builtin(String),
}

/// What a call of a builtin is going to build, in bytes, where a guard can tell.
pub(super) fn reckoning(name: &str) -> Option<fn(&[Value]) -> usize> {
    let guard = GUARDS.iter().find(|guard| guard.name == name)?;
    Some(guard.reckon)
}

/// Counts what a builtin of ours has built.
pub(super) fn after(name: &'static str, value: &Value) -> Result<(), TooLarge> {
    spend(
        name,
        length(value).saturating_add(items(std::slice::from_ref(value))),
    )
}

/// Counts an element that an evaluation puts into a collection: its place there, and its own, if it is one.
pub(super) fn element(value: &Value) -> Result<(), TooLarge> {
    let places = count(value).saturating_add(1);
    spend("a collection", places.saturating_mul(ITEM_BYTES))
}

/// Whether this evaluation was refused something for its size.
pub(super) fn is_spent() -> bool {
    SPENT.get() > EVALUATION_BYTES_MAX
}

/// Counts what a call builds, and refuses it where that is too much.
pub(super) fn spend(name: &'static str, bytes: usize) -> Result<(), TooLarge> {
    if bytes > CALL_BYTES_MAX {
        // However little was built before it: what is refused once is not asked for again.
        SPENT.set(usize::MAX);
        return Err(TooLarge::Call(name));
    }
    SPENT.set(SPENT.get().saturating_add(bytes));
    if is_spent() {
        return Err(TooLarge::Evaluation(name));
    }
    Ok(())
}

/// What a builtin's errors point at: it is called from here, and not from a line.
#[allow(clippy::expect_used, reason = "only what is too long is no source")]
static NOWHERE: LazyLock<(Span, Vec<Ref<Expr>>)> = LazyLock::new(|| {
    let source = Source::from_contents("a builtin".to_string(), String::new());
    let source = source.expect("an empty text is a source");
    let span = Span {
        source,
        line: 1,
        col: 1,
        start: 0,
        end: 0,
    };
    let nothing = |eidx| {
        Ref::new(Expr::Null {
            span: span.clone(),
            value: Value::Null,
            eidx,
        })
    };
    let parameters = (0..4).map(nothing).collect();
    (span, parameters)
});

/// The bytes of texts, without those in collections.
fn lengths(arguments: &[Value]) -> usize {
    arguments.iter().map(length).fold(0, usize::saturating_add)
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// How many elements a value has itself.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    }
}

/// What a collection of all their elements takes; the elements themselves are shared.
fn items(arguments: &[Value]) -> usize {
    let items = arguments.iter().map(count).fold(0, usize::saturating_add);
    items.saturating_mul(ITEM_BYTES)
}

/// The same of what is in them.
fn inner_items(arguments: &[Value]) -> usize {
    each(arguments.first(), |item| items(std::slice::from_ref(item)))
}

/// What `of` says of each element of an array or a set.
fn each(value: Option<&Value>, of: impl Fn(&Value) -> usize) -> usize {
    match value {
        Some(Value::Array(items)) => items.iter().map(of).fold(0, usize::saturating_add),
        Some(Value::Set(items)) => items.iter().map(of).fold(0, usize::saturating_add),
        _ => 0,
    }
}

/// How long values are when they are written out, as far as it matters: a value that holds another one twice is written out twice.
fn written(arguments: &[Value]) -> usize {
    let mut left = CALL_BYTES_MAX + 1;
    for argument in arguments {
        if !write(argument, &mut left) {
            break;
        }
    }
    CALL_BYTES_MAX + 1 - left
}

/// Takes what a value needs from what is left; whether something is.
fn write(value: &Value, left: &mut usize) -> bool {
    // As if every other character had to be escaped, and a quotation mark at each end and a comma.
    let own = match value {
        Value::String(text) => text.len().saturating_mul(2).saturating_add(3),
        _ => 8,
    };
    *left = left.saturating_sub(own);
    *left > 0
        && match value {
            Value::Array(items) => items.iter().all(|item| write(item, left)),
            Value::Set(items) => items.iter().all(|item| write(item, left)),
            Value::Object(members) => members
                .iter()
                .all(|(key, value)| write(key, left) && write(value, left)),
            _ => true,
        }
}

/// Lines, each of which begins with what the caller wants.
fn indented(arguments: &[Value]) -> usize {
    let (value, options) = arguments.split_at(arguments.len().min(1));
    let wide = |option: &Value| match option {
        Value::Object(members) => members.iter().map(|(_, text)| length(text)).max(),
        _ => None,
    };
    if options
        .iter()
        .filter_map(wide)
        .any(|bytes| bytes > INDENT_BYTES_MAX)
    {
        return usize::MAX;
    }
    written(value).saturating_mul(INDENT_BYTES_MAX / 8)
}

/// `concat(delimiter, texts)`
fn concat(arguments: &[Value]) -> usize {
    let delimiter = lengths(arguments.get(..1).unwrap_or_default());
    each(arguments.get(1), |text| {
        length(text).saturating_add(delimiter)
    })
}

/// `replace(text, old, new)`
fn replace(arguments: &[Value]) -> usize {
    match arguments {
        [Value::String(text), Value::String(old), new] => {
            text.len().saturating_add(replaced(text, old, new))
        }
        _ => 0,
    }
}

/// `strings.replace_n({old: new}, text)`
fn replace_n(arguments: &[Value]) -> usize {
    let [Value::Object(patterns), Value::String(text)] = arguments else {
        return 0;
    };
    let grown = patterns.iter().map(|(old, new)| match old {
        Value::String(old) => replaced(text, old, new),
        _ => 0,
    });
    grown.fold(text.len(), usize::saturating_add)
}

fn replaced(text: &str, old: &str, new: &Value) -> usize {
    text.matches(old).count().saturating_mul(length(new))
}

/// `numbers.range(from, to)`
fn range(arguments: &[Value]) -> usize {
    let number = |at: usize| arguments.get(at).and_then(|value| value.as_f64().ok());
    match (number(0), number(1)) {
        // A float becomes the nearest number there is.
        (Some(from), Some(to)) => ((to - from).abs() as usize).saturating_mul(ITEM_BYTES),
        _ => 0,
    }
}

/// `bits.lsh(number, bits)`
fn shifted(arguments: &[Value]) -> usize {
    let bits = arguments.get(1).and_then(|value| value.as_f64().ok());
    bits.map_or(0, |bits| bits.abs() as usize / 8)
}

#[cfg(test)]
mod tests;
