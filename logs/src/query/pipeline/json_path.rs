//! Paths into a JSON value: `user.id`, `tags[0]`, `["odd key"][1].x`.

use std::borrow::Cow;

use super::json::JsonScanner;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
}

/// Where in a value to look.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

impl JsonPath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err("the path is empty".to_owned());
        }
        while !rest.is_empty() {
            let (step, after) = if let Some(bracket) = rest.strip_prefix('[') {
                bracket_step(bracket)?
            } else {
                let field = match rest.strip_prefix('.') {
                    Some(field) if !steps.is_empty() => field,
                    Some(_) => return Err("unexpected '.'".to_owned()),
                    None if steps.is_empty() => rest,
                    None => return Err("expecting '.' or '['".to_owned()),
                };
                let end = field.find(['.', '[']).unwrap_or(field.len());
                let (name, after) = field.split_at(end);
                let valid = !name.is_empty()
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                    && name.chars().all(|c| c.is_alphanumeric() || c == '_');
                if !valid {
                    return Err(format!("unexpected field {name:?}"));
                }
                (Step::Field(name.to_owned()), after)
            };
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The value at the path, as a label shows it; `None` where there is none.
    pub(super) fn find<'l>(&self, text: &'l str) -> Result<Option<Cow<'l, str>>, &'static str> {
        find(&mut JsonScanner::new(text), &self.0)
    }
}

/// `"key"]` or `0]`.
fn bracket_step(text: &str) -> Result<(Step, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, after) = quoted
            .split_once("\"]")
            .ok_or_else(|| "missing '\"]' behind a key".to_owned())?;
        return Ok((Step::Field(key.to_owned()), after));
    }
    let (index, after) = text
        .split_once(']')
        .ok_or_else(|| "missing ']' behind an index".to_owned())?;
    let index = index
        .parse()
        .map_err(|_| format!("invalid index {index:?}"))?;
    Ok((Step::Index(index), after))
}

fn find<'l>(
    scanner: &mut JsonScanner<'l>,
    steps: &[Step],
) -> Result<Option<Cow<'l, str>>, &'static str> {
    let Some((step, rest)) = steps.split_first() else {
        return scanner.value().map(Some);
    };
    let mut found = None;
    match (step, scanner.peek()) {
        (Step::Field(wanted), Some(b'{')) => scanner.object(|scanner, key| {
            if found.is_none() && key == *wanted {
                found = find(scanner, rest)?;
                return Ok(());
            }
            scanner.skip_value(0)
        })?,
        (Step::Index(wanted), Some(b'[')) => scanner.array(|scanner, index| {
            if index == *wanted {
                found = find(scanner, rest)?;
                return Ok(());
            }
            scanner.skip_value(0)
        })?,
        _ => scanner.skip_value(0)?,
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let line = r#"{"u":{"id":"u1","odd key":[10,{"x":null}]},"t":["a","b"],"o":{"k":[1, 2]}}"#;
        for (path, value) in [
            ("u.id", Some("u1")),
            ("t[1]", Some("b")),
            ("t[2]", None),
            (r#"u["odd key"][0]"#, Some("10")),
            (r#"["u"]["odd key"][1].x"#, Some("")),
            ("o.k", Some("[1, 2]")),
            ("u.id.more", None),
        ] {
            let found = JsonPath::parse(path).expect(path).find(line).expect("json");
            assert_eq!(found.as_deref(), value, "{path}");
        }
        for path in ["", "user[", ".a", "a..b", "a[x]", "a]", "1a"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
