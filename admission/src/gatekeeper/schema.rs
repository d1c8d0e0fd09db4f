//! The schema of a template's parameters: OpenAPI v3, as structural schemas of Kubernetes use it.

use serde_json::{Map, Value};

use crate::rego::builtins::compile_pattern;

/// How deep a value is followed into a schema.
const DEPTH_MAX: usize = 64;

/// What parameters may be.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    root: Option<Value>,
    /// Whether fields that the schema does not name are refused.
    closed: bool,
}

impl Schema {
    /// From `spec.crd.spec.validation` of a template. `legacy_default` is what an absent
    /// `legacySchema` means in the template's version: with it, fields the schema does not name
    /// are taken as they are.
    pub fn read(validation: Option<&Value>, legacy_default: bool) -> Result<Self, String> {
        let member = |name| validation.and_then(|validation| validation.get(name));
        let legacy = member("legacySchema").and_then(Value::as_bool);
        let root = match member("openAPIV3Schema") {
            None | Some(Value::Null) => None,
            Some(schema @ Value::Object(_)) => Some(schema.clone()),
            Some(_) => return Err("openAPIV3Schema must be an object".to_string()),
        };
        if let Some(root) = &root {
            patterns(root, 0)?;
        }
        Ok(Schema {
            root,
            closed: !legacy.unwrap_or(legacy_default),
        })
    }

    /// Puts the schema's defaults where there is no value.
    pub fn default(&self, value: &mut Value) {
        if let Some(root) = &self.root {
            default(root, value, 0);
        }
    }

    /// The first field that does not fit, and why.
    pub fn check(&self, value: &Value, path: &str) -> Result<(), String> {
        match &self.root {
            Some(root) => check(root, value, path, 0),
            None => Ok(()),
        }
    }

    /// The first field that the schema does not name, where it must.
    pub fn unknown(&self, value: &Value, path: &str) -> Option<String> {
        if !self.closed {
            return None;
        }
        if let Some(root) = &self.root {
            unknown(root, value, path, 0)
        } else {
            let empty = value.as_object().is_some_and(Map::is_empty);
            (!empty).then(|| path.to_string())
        }
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The schema of a member, by name or as an additional one.
fn member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
        })
}

fn default(schema: &Value, value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                let Some(given) = property.get("default") else {
                    continue;
                };
                let absent = match members.get(name) {
                    None => true,
                    Some(Value::Null) => !flag(property, "nullable"),
                    Some(_) => false,
                };
                if absent {
                    members.insert(name.clone(), given.clone());
                }
            }
            for (name, value) in members.iter_mut() {
                if let Some(schema) = member(schema, name) {
                    default(schema, value, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    default(schema, item, depth + 1);
                }
            }
        }
        _ => {}
    }
}

fn unknown(schema: &Value, value: &Value, path: &str, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX || flag(schema, "x-kubernetes-preserve-unknown-fields") {
        return None;
    }
    match value {
        Value::Object(members) => {
            let open = match schema.get("additionalProperties") {
                Some(Value::Bool(open)) => *open,
                Some(_) => true,
                // A schema that says nothing of members says nothing against them.
                None => schema.get("type").is_none() && schema.get("properties").is_none(),
            };
            members.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match member(schema, name) {
                    Some(schema) => unknown(schema, value, &path, depth + 1),
                    None if open || flag(schema, "x-kubernetes-embedded-resource") => None,
                    None => Some(path),
                }
            })
        }
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| {
            unknown(
                schema.get("items")?,
                item,
                &format!("{path}[{i}]"),
                depth + 1,
            )
        }),
        _ => None,
    }
}

fn check(schema: &Value, value: &Value, path: &str, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("{path} is nested too deep"));
    }
    if value.is_null() && flag(schema, "nullable") {
        return Ok(());
    }
    types(schema, value, path)?;
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<_> = allowed.iter().map(Value::to_string).collect();
        return Err(format!(
            "{path} is {value}: expected one of {}",
            allowed.join(", ")
        ));
    }
    match value {
        Value::String(text) => strings(schema, text, path)?,
        Value::Number(_) => numbers(schema, value, path)?,
        Value::Array(items) => {
            lengths(schema, "minItems", "maxItems", items.len(), path, "items")?;
            if flag(schema, "uniqueItems") {
                let twice = items
                    .iter()
                    .enumerate()
                    .any(|(i, item)| items.iter().skip(i + 1).any(|o| o == item));
                if twice {
                    return Err(format!("{path} holds an item twice"));
                }
            }
            if let Some(schema) = schema.get("items") {
                for (i, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{i}]"), depth + 1)?;
                }
            }
        }
        Value::Object(members) => {
            lengths(
                schema,
                "minProperties",
                "maxProperties",
                members.len(),
                path,
                "members",
            )?;
            for name in schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                if let Some(name) = name.as_str().filter(|name| !members.contains_key(*name)) {
                    return Err(format!("{path}.{name} is required"));
                }
            }
            for (name, value) in members {
                let path = format!("{path}.{name}");
                if let Some(schema) = member(schema, name) {
                    check(schema, value, &path, depth + 1)?;
                } else if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
                    return Err(format!("{path} is not allowed"));
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    combinations(schema, value, path, depth)
}

fn types(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    if flag(schema, "x-kubernetes-int-or-string") {
        return if value.is_string() || value.is_i64() || value.is_u64() {
            Ok(())
        } else {
            Err(format!(
                "{path} is {value}: expected an integer or a string"
            ))
        };
    }
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else {
        return Ok(());
    };
    let fits = match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{path} is {value}: expected type {wanted}"))
    }
}

fn strings(schema: &Value, text: &str, path: &str) -> Result<(), String> {
    lengths(
        schema,
        "minLength",
        "maxLength",
        text.chars().count(),
        path,
        "characters",
    )?;
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
        return Ok(());
    };
    match compile_pattern(pattern) {
        Ok(regex) if regex.is_match(text) => Ok(()),
        _ => Err(format!("{path} is {text:?}: expected to match {pattern:?}")),
    }
}

fn numbers(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum")
        && (number < least || flag(schema, "exclusiveMinimum") && number <= least)
    {
        return Err(format!("{path} is {value}: expected no less than {least}"));
    }
    if let Some(most) = bound("maximum")
        && (number > most || flag(schema, "exclusiveMaximum") && number >= most)
    {
        return Err(format!("{path} is {value}: expected no more than {most}"));
    }
    match bound("multipleOf") {
        Some(of) if of > 0.0 && number % of != 0.0 => {
            Err(format!("{path} is {value}: expected a multiple of {of}"))
        }
        _ => Ok(()),
    }
}

fn lengths(
    schema: &Value,
    least: &str,
    most: &str,
    length: usize,
    path: &str,
    of: &str,
) -> Result<(), String> {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let length = length as u64;
    if bound(least).is_some_and(|least| length < least)
        || bound(most).is_some_and(|most| length > most)
    {
        return Err(format!(
            "{path} has {length} {of}, which {least} or {most} forbids"
        ));
    }
    Ok(())
}

fn combinations(schema: &Value, value: &Value, path: &str, depth: usize) -> Result<(), String> {
    let list = |name| schema.get(name).and_then(Value::as_array);
    for all in list("allOf").into_iter().flatten() {
        check(all, value, path, depth + 1)?;
    }
    let fitting = |list: &[Value]| {
        list.iter()
            .filter(|schema| check(schema, value, path, depth + 1).is_ok())
            .count()
    };
    if list("anyOf").is_some_and(|list| fitting(list) == 0) {
        return Err(format!("{path} fits none of anyOf"));
    }
    if list("oneOf").is_some_and(|list| fitting(list) != 1) {
        return Err(format!("{path} does not fit exactly one of oneOf"));
    }
    match schema.get("not") {
        Some(not) if check(not, value, path, depth + 1).is_ok() => {
            Err(format!("{path} fits what it must not fit"))
        }
        _ => Ok(()),
    }
}

/// Refuses patterns that cannot be read, before a constraint needs them.
fn patterns(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("the schema is nested too deep".to_string());
    }
    match schema {
        Value::Object(members) => {
            if let Some(pattern) = members.get("pattern").and_then(Value::as_str)
                && compile_pattern(pattern).is_err()
            {
                return Err(format!(
                    "the pattern {pattern:?} of the schema cannot be read"
                ));
            }
            members
                .values()
                .try_for_each(|member| patterns(member, depth + 1))
        }
        Value::Array(items) => items.iter().try_for_each(|item| patterns(item, depth + 1)),
        _ => Ok(()),
    }
}
