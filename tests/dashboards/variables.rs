//! Grafana's variables, replaced as Grafana replaces them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::faults::text;

/// Variable → what it stands for.
pub(crate) type Values = BTreeMap<String, String>;

/// What Grafana may put in: everything, one value, several. Grafana escapes the characters of a
/// regular expression in values twice, once for the expression and once for the string around it.
pub(crate) fn renderings(variables: &[Value], faults: &mut Vec<String>) -> Vec<Values> {
    let built_in = [
        ("__interval", "15s"),
        ("__interval_ms", "15000"),
        ("__rate_interval", "1m0s"),
        ("__range", "21600s"),
        ("__range_s", "21600"),
        ("__range_ms", "21600000"),
        ("__auto", "1m"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut renderings = vec![Values::from_iter(built_in.map(owned)); 3];
    for variable in variables {
        let name = text(variable, "/name");
        let choices = match text(variable, "/type") {
            "query" => [
                variable["allValue"].as_str().unwrap_or("(web-0)"),
                "web-0",
                r"(web-0|kube\\.system)",
            ],
            "textbox" => ["", "refused", "err(or|s)"],
            other => {
                faults.push(format!(
                    "variable {name}: this test does not know the type {other:?}"
                ));
                continue;
            }
        };
        for (values, choice) in renderings.iter_mut().zip(choices) {
            if values.insert(name.to_owned(), choice.to_owned()).is_some() {
                faults.push(format!("variable {name} is given twice"));
            }
        }
    }
    renderings
}

/// Replaces `$name`, `${name}` and `${name:format}`. A `$` before anything else is itself.
pub(crate) fn render(text: &str, values: &Values) -> Result<String, String> {
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        rendered.push_str(before);
        let (name, next) = if let Some(braced) = after.strip_prefix('{') {
            let (inside, next) = braced.split_once('}').ok_or("${ is not closed")?;
            (inside.split(':').next().unwrap_or(inside), next)
        } else {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            after.split_at(end)
        };
        if name.is_empty() {
            rendered.push('$');
        } else {
            rendered.push_str(
                values
                    .get(name)
                    .ok_or_else(|| format!("${name} is no variable"))?,
            );
        }
        rest = next;
    }
    rendered.push_str(rest);
    Ok(rendered)
}
