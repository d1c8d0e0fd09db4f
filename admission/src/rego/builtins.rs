//! The builtins templates may call: regorus' own, and ours in the place of those that it lacks or
//! that answer otherwise than OPA's.
//!
//! Ours take values and give one; an argument they cannot use makes the call undefined, as in
//! OPA, and is remembered by the thread ([`swallowed`]) so that the answer can tell. What they build
//! is bounded, for their arguments are what users send.

mod arithmetic;
mod casts;
mod durations;
mod format;
mod globs;
mod members;
mod networks;
mod paths;
mod patterns;
mod subset;
mod texts;
mod units;
mod urls;
mod verbs;
mod versions;
mod yamls;

pub(super) use members::holds;
pub use patterns::compile as compile_pattern;

use std::cell::RefCell;
use std::sync::Arc;

use regorus::{Engine, Value};

use super::Errors;
use super::bounds::{self, TooLarge};
use super::plan::{Function, NoAnswer};

/// A builtin of ours.
struct Builtin {
    name: &'static str,
    arity: u8,
    run: fn(&[Value]) -> Result<Value, String>,
}

impl Builtin {
    /// [`Builtin::call`], where what it builds is within the bounds of the evaluation.
    fn bounded(
        &'static self,
        errors: Errors,
    ) -> impl Fn(&[Value]) -> Result<Value, CallError> + Clone {
        let reckon = bounds::reckoning(self.name);
        move |arguments| {
            if let Some(reckon) = reckon {
                bounds::spend(self.name, reckon(arguments))?;
            }
            let value = self.call(arguments, errors)?;
            bounds::after(self.name, &value)?;
            Ok(value)
        }
    }

    /// Its value. Where it has none and errors are swallowed: undefined, and the error remembered.
    fn call(&self, arguments: &[Value], errors: Errors) -> Result<Value, CallError> {
        (self.run)(arguments).or_else(|problem| match errors {
            Errors::Told => Err(CallError::Refused(told(self.name, &problem))),
            Errors::Swallowed => {
                remember(self.name, &problem);
                Ok(Value::Undefined)
            }
        })
    }
}

/// Why a call has no value.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("{0}")]
    Refused(String),
}

/// An error of a builtin as its author named it.
fn told(name: &str, problem: &str) -> String {
    let name = match name {
        PLUS => "+",
        MINUS => "-",
        MUL => "*",
        DIV => "/",
        REM => "%",
        OR => "|",
        AND => "&",
        IN | PAIR_IN => "in",
        name => name,
    };
    format!("{name}: {problem}")
}

/// No array that a builtin of ours makes is longer.
const ITEMS_MAX: usize = 1 << 17;

/// No text that a builtin of ours makes is longer.
const TEXT_BYTES_MAX: usize = 1 << 22;

/// Gives a collection as it is, and nothing for what is none. Only the normaliser calls it.
pub(super) const COLLECTION: &str = "__taffrail_collection";

/// What operators become. Only the normaliser calls them.
pub(super) const PLUS: &str = "__taffrail_plus";
/// `-`, of numbers and of sets.
pub(super) const MINUS: &str = "__taffrail_minus";
/// `*`
pub(super) const MUL: &str = "__taffrail_mul";
/// `/`
pub(super) const DIV: &str = "__taffrail_div";
/// `%`
pub(super) const REM: &str = "__taffrail_rem";
/// `|`
pub(super) const OR: &str = "__taffrail_or";
/// `&`
pub(super) const AND: &str = "__taffrail_and";
/// `x in xs`
pub(super) const IN: &str = "__taffrail_in";
/// `k, x in xs`
pub(super) const PAIR_IN: &str = "__taffrail_pair_in";

thread_local! {
    static SWALLOWED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers an error that was swallowed, if it is the first.
pub(super) fn remember(name: &str, problem: &str) {
    SWALLOWED.with_borrow_mut(|first| {
        first.get_or_insert_with(|| told(name, problem));
    });
}

/// The first error that a builtin of ours swallowed since this was last asked.
pub(super) fn swallowed() -> Option<String> {
    SWALLOWED.with_borrow_mut(Option::take)
}

fn all() -> impl Iterator<Item = &'static Builtin> {
    [
        arithmetic::BUILTINS,
        casts::BUILTINS,
        durations::BUILTINS,
        format::BUILTINS,
        globs::BUILTINS,
        members::BUILTINS,
        networks::BUILTINS,
        paths::BUILTINS,
        patterns::BUILTINS,
        subset::BUILTINS,
        texts::BUILTINS,
        units::BUILTINS,
        urls::BUILTINS,
        versions::BUILTINS,
        yamls::BUILTINS,
    ]
    .into_iter()
    .flatten()
}

/// How many arguments a builtin takes; None where there is no such builtin.
pub fn arity(name: &str) -> Option<usize> {
    if refused(name).is_some() {
        return None;
    }
    if let Some(builtin) = all().find(|builtin| builtin.name == name) {
        return Some(usize::from(builtin.arity));
    }
    regorus::unstable::BUILTINS
        .get(name)
        .map(|builtin| usize::from(builtin.1))
}

/// Why a builtin of OPA's may not be called, where it may not.
pub fn refused(name: &str) -> Option<String> {
    let why = match name {
        "http.send" | "net.lookup_ip_addr" => {
            "asks the network, which a review must not wait for: give the data as inventory"
        }
        "external_data" => {
            "asks external data providers, which are not supported: give the data as inventory"
        }
        "rego.parse_module" | "rego.metadata.rule" | "rego.metadata.chain" => {
            "reads policies as data, which is not supported: pass what it needs as parameters"
        }
        "test.sleep" => "only waits: leave it out",
        _ if name.starts_with("io.jwt.")
            || name.starts_with("crypto.") && name != "crypto.sha256"
            || name.starts_with("graphql.")
            || name.starts_with("providers.")
            || name.starts_with("json.match_schema")
            || name.starts_with("json.verify_schema")
            || name == "strings.render_template" =>
        {
            "is a builtin of OPA that is not supported here: write the rule without it"
        }
        _ if name.starts_with("__taffrail")
            || name.starts_with("azure.")
            || name.starts_with("__builtin") =>
        {
            "is no builtin of OPA: write the rule without it"
        }
        _ => return None,
    };
    Some(format!("{name} {why}"))
}

/// Puts those of ours that a text names into an engine, before those of regorus. Only those, for every clone of
/// an engine copies their names. One that is there already stays.
pub(crate) fn install(engine: &mut Engine, text: &str, errors: Errors) {
    for builtin in all().filter(|builtin| text.contains(builtin.name)) {
        let call = builtin.bounded(errors);
        let extension = move |arguments: Vec<Value>| Ok(call(&arguments)?);
        // Its only error is that there is one of this name, which another module has put there.
        let name = builtin.name.to_string();
        let _ = engine.add_extension(name, builtin.arity, Box::new(extension));
    }
}

/// One of ours, as a plan calls it.
pub(crate) fn function(name: &str, errors: Errors) -> Option<Function> {
    let builtin = all().find(|builtin| builtin.name == name)?;
    let call = builtin.bounded(errors);
    Some(Arc::new(move |arguments: &[Value]| {
        call(arguments).map_err(|_| NoAnswer)
    }))
}

/// The arguments, as many as the builtin takes.
fn arguments<const N: usize>(arguments: &[Value]) -> Result<&[Value; N], String> {
    arguments
        .try_into()
        .map_err(|_| format!("takes {N} arguments, not {}", arguments.len()))
}

/// What regorus' builtin of this name gives.
fn of_regorus(name: &str, arguments: &[Value]) -> Result<Value, String> {
    bounds::plain(name, arguments).map_err(|problem| super::message(&problem))
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("expected a string, got {}", kind(other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Set(_) => "set",
        Value::Object(_) => "object",
        Value::Undefined => "undefined",
    }
}

/// The elements of an array or a set.
fn elements(value: &Value) -> Result<Vec<&Value>, String> {
    match value {
        Value::Array(items) => Ok(items.iter().collect()),
        Value::Set(items) => Ok(items.iter().collect()),
        other => Err(format!("expected an array or set, got {}", kind(other))),
    }
}
