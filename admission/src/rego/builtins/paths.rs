//! Parts of objects, by the paths that lead to them.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;

use super::{Builtin, arguments, elements, kind};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "json.filter",
        arity: 2,
        run: filter,
    },
    Builtin {
        name: "json.remove",
        arity: 2,
        run: remove,
    },
];

/// Paths, taken together by their beginnings; one without a member ends there, whatever others say beyond it.
#[derive(Default)]
struct Paths(BTreeMap<Value, Paths>);

impl Paths {
    /// Of an array or a set of paths: `"a/b"`, where `~1` is a slash and `~0` a tilde, or `["a", "b"]`.
    fn new(of: &Value) -> Result<Self, String> {
        let mut paths = Paths::default();
        for path in elements(of)? {
            let steps: Vec<Value> = match path {
                Value::String(path) if path.is_empty() => Vec::new(),
                Value::String(path) => {
                    let steps = path.trim_start_matches('/').split('/');
                    let plain = |step: &str| step.replace("~1", "/").replace("~0", "~");
                    steps.map(|step| Value::from(plain(step))).collect()
                }
                Value::Array(steps) => steps.iter().cloned().collect(),
                other => {
                    return Err(format!(
                        "a path is a string or an array, not {}",
                        kind(other)
                    ));
                }
            };
            paths.insert(steps);
        }
        Ok(paths)
    }

    fn insert(&mut self, steps: Vec<Value>) {
        let mut place = self;
        let mut is_new = true;
        let last = steps.len().checked_sub(1);
        for (i, step) in steps.into_iter().enumerate() {
            if !is_new && place.is_end() {
                return;
            }
            is_new = !place.0.contains_key(&step);
            place = place.0.entry(step).or_default();
            if Some(i) == last {
                place.0.clear();
            }
        }
    }

    /// Whether a path ends here.
    fn is_end(&self) -> bool {
        self.0.is_empty()
    }

    /// What they say of an element of an array.
    fn at(&self, index: usize) -> Option<&Paths> {
        self.0.get(&Value::from(index.to_string()))
    }
}

fn of_object(given: &[Value]) -> Result<(&Value, Paths), String> {
    let [of, paths] = arguments(given)?;
    if !matches!(of, Value::Object(_)) {
        return Err(format!("expected an object, got {}", kind(of)));
    }
    Ok((of, Paths::new(paths)?))
}

fn filter(given: &[Value]) -> Result<Value, String> {
    let (of, paths) = of_object(given)?;
    if paths.is_end() {
        return Ok(Value::new_object());
    }
    Ok(filtered(of, &paths))
}

/// What paths lead to.
fn filtered(of: &Value, paths: &Paths) -> Value {
    if paths.is_end() {
        return of.clone();
    }
    match of {
        Value::Object(members) => members
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), filtered(value, paths.0.get(key)?))))
            .collect::<BTreeMap<_, _>>()
            .into(),
        Value::Array(items) => (items.iter().enumerate())
            .filter_map(|(index, item)| Some(filtered(item, paths.at(index)?)))
            .collect::<Vec<_>>()
            .into(),
        Value::Set(items) => items
            .iter()
            .filter_map(|item| Some(filtered(item, paths.0.get(item)?)))
            .collect::<BTreeSet<_>>()
            .into(),
        other => other.clone(),
    }
}

fn remove(given: &[Value]) -> Result<Value, String> {
    let (of, paths) = of_object(given)?;
    Ok(remaining(of, &paths))
}

/// What paths do not lead to.
fn remaining(of: &Value, paths: &Paths) -> Value {
    let rest = |value: &Value, paths: Option<&Paths>| match paths {
        None => Some(value.clone()),
        Some(paths) if paths.is_end() => None,
        Some(paths) => Some(remaining(value, paths)),
    };
    match of {
        Value::Object(members) => members
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), rest(value, paths.0.get(key))?)))
            .collect::<BTreeMap<_, _>>()
            .into(),
        Value::Array(items) => (items.iter().enumerate())
            .filter_map(|(index, item)| rest(item, paths.at(index)))
            .collect::<Vec<_>>()
            .into(),
        Value::Set(items) => items
            .iter()
            .filter_map(|item| rest(item, paths.0.get(item)))
            .collect::<BTreeSet<_>>()
            .into(),
        other => other.clone(),
    }
}
