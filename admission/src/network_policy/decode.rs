//! From Kubernetes objects to what is evaluated, refusing what the API server would refuse.
//!
//! Every error names the field it is about. Null and absent are one, as they are for the API
//! server. A field of a policy that nobody here knows is an error too: it may well be the one
//! that narrows the rule. Of pods and namespaces only what matters is read.

mod cluster_network_policy;
mod network_policy;
mod object;
mod selector;

use std::cell::Cell;

use serde_json::{Map, Value};

use super::selector::Selector;

pub(super) use object::gone;
pub use object::{Object, object};

/// A label selector that stands alone, at `path`.
pub(super) fn label_selector(value: &Value, path: &str) -> Result<Selector, Malformed> {
    selector::selector(&Field {
        value: Some(value).filter(|value| !value.is_null()),
        path: path.to_string(),
        items_left: &Cell::new(ITEMS_MAX),
    })
}

/// A field that cannot be meant as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Malformed {
    /// The field.
    pub path: String,
    /// What is wrong with it, and what it must be.
    pub problem: String,
}

/// A field: its value and where it stands.
#[derive(Clone)]
struct Field<'a> {
    value: Option<&'a Value>,
    path: String,
    /// How many items of lists may still be read of the object.
    items_left: &'a Cell<usize>,
}

/// The most items all lists of an object have together: some 9,000 blocks of addresses are the
/// most that people write, and whoever writes more than anybody reads should not cost seconds.
const ITEMS_MAX: usize = 16_384;

/// The most rules, ports of a rule, and selectors among the peers of a rule; each multiplies
/// what others cost.
const MULTIPLIERS_MAX: usize = 1024;

type Read<T> = Result<T, Malformed>;

impl<'a> Field<'a> {
    fn root(value: &'a Value, items_left: &'a Cell<usize>) -> Self {
        Field {
            value: Some(value).filter(|value| !value.is_null()),
            path: String::new(),
            items_left,
        }
    }

    /// Nothing, at the same place.
    fn absent(&self) -> Self {
        Field {
            value: None,
            ..self.clone()
        }
    }

    /// Refuses more of them than anybody means.
    fn at_most(&self, count: usize) -> Read<()> {
        if count > MULTIPLIERS_MAX {
            return self.wrong(format!(
                "holds {count}: no more than {MULTIPLIERS_MAX} are judged; split it"
            ));
        }
        Ok(())
    }

    fn wrong<T>(&self, problem: impl Into<String>) -> Read<T> {
        Err(Malformed {
            path: if self.path.is_empty() {
                "object".to_string()
            } else {
                self.path.clone()
            },
            problem: problem.into(),
        })
    }

    fn is_absent(&self) -> bool {
        self.value.is_none()
    }

    /// A member; absent where this field is.
    fn member(&self, name: &str) -> Read<Field<'a>> {
        let value = self.object()?.and_then(|members| members.get(name));
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        };
        Ok(Field {
            value: value.filter(|value| !value.is_null()),
            path,
            items_left: self.items_left,
        })
    }

    fn object(&self) -> Read<Option<&'a Map<String, Value>>> {
        match self.value {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => self.wrong("must be an object"),
        }
    }

    /// Refuses members other than `known`.
    fn only(&self, known: &[&str]) -> Read<()> {
        let members = self.object()?.into_iter().flat_map(Map::keys);
        for name in members {
            if !known.contains(&name.as_str()) {
                return self.wrong(format!(
                    "unknown field {name:?}: must be one of {}",
                    known.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The items of a list; none where it is absent.
    fn items(&self) -> Read<Vec<Field<'a>>> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let Some(left) = self.items_left.get().checked_sub(items.len()) else {
                    return self.wrong(format!(
                        "no more than {ITEMS_MAX} items of lists are judged in one object; split it"
                    ));
                };
                self.items_left.set(left);
                Ok(items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| Field {
                        value: Some(item).filter(|item| !item.is_null()),
                        path: format!("{}[{i}]", self.path),
                        items_left: self.items_left,
                    })
                    .collect())
            }
            Some(_) => self.wrong("must be a list"),
        }
    }

    fn text(&self) -> Read<Option<&'a str>> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong("must be a string"),
        }
    }

    /// A string that is there and not empty.
    fn required_text(&self) -> Read<&'a str> {
        match self.text()? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => self.wrong("is required"),
        }
    }

    fn integer(&self) -> Read<Option<i64>> {
        match self.value {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => self.wrong("must be a whole number"),
            },
        }
    }

    fn truth(&self) -> Read<bool> {
        match self.value {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(_) => self.wrong("must be true or false"),
        }
    }

    /// A port number, where there is one.
    fn port(&self) -> Read<Option<u16>> {
        let Some(number) = self.integer()? else {
            return Ok(None);
        };
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => self.wrong(format!("must be a port from 1 to 65535, not {number}")),
        }
    }

    /// Exactly one of `names` is there; which, and what it holds.
    fn one_of<'n>(&self, names: &[&'n str]) -> Read<(&'n str, Field<'a>)> {
        self.only(names)?;
        let mut found = None;
        for name in names {
            let member = self.member(name)?;
            if member.is_absent() {
                continue;
            }
            if found.is_some() {
                return self.wrong(format!(
                    "must hold one of {}, not several",
                    names.join(", ")
                ));
            }
            found = Some((*name, member));
        }
        match found {
            Some(found) => Ok(found),
            None => self.wrong(format!("must hold one of {}", names.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests;
