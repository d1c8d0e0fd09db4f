//! One dashboard, judged: every query parsed by the language of its data source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::variables::{Values, render, renderings};

/// uid → type, of what is provisioned.
pub(crate) type DataSources = BTreeMap<String, String>;

/// What is wrong with a dashboard.
pub(crate) fn faults(dashboard: &Value, sources: &DataSources) -> Vec<String> {
    let mut faults = Vec::new();
    let panels = panels(dashboard);
    let mut ids = BTreeSet::new();
    for panel in &panels {
        if !ids.insert(panel["id"].as_u64()) {
            faults.push(format!("panel id {} is given twice", panel["id"]));
        }
    }
    let variables = list(dashboard, "/templating/list");
    let renderings = renderings(variables, &mut faults);
    let mut queries = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let at = format!("panel {}", panel["id"]);
        let targets = list(panel, "/targets");
        if targets.is_empty() {
            faults.push(format!("{at} has no query"));
        }
        let mut names = BTreeSet::new();
        for target in targets {
            queries += 1;
            let at = format!("{at}, query {}", target["refId"]);
            if !names.insert(target["refId"].as_str()) {
                faults.push(format!("{at} is given twice"));
            }
            let source = target.get("datasource").unwrap_or(&panel["datasource"]);
            let asked = language(source, sources)
                .and_then(|language| ask(language, text(target, "/expr"), &renderings));
            faults.extend(asked.err().map(|fault| format!("{at}: {fault}")));
        }
    }
    if queries == 0 {
        faults.push("no query at all".to_owned());
    }
    for variable in variables
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        let asked = language(&variable["datasource"], sources)
            .and_then(|language| ask_values(language, &variable["query"], &renderings));
        faults.extend(
            asked
                .err()
                .map(|fault| format!("variable {}: {fault}", text(variable, "/name"))),
        );
    }
    faults
}

/// The languages of the two data sources.
#[derive(Clone, Copy)]
enum Language {
    PromQl,
    LogQl,
}

fn language(source: &Value, sources: &DataSources) -> Result<Language, String> {
    let (uid, kind) = (text(source, "/uid"), text(source, "/type"));
    match sources.get(uid).map(String::as_str) {
        Some(provisioned) if provisioned != kind => Err(format!(
            "data source {uid:?} is of type {provisioned}, not {kind}"
        )),
        Some("prometheus") => Ok(Language::PromQl),
        Some("loki") => Ok(Language::LogQl),
        _ => Err(format!("data source {uid:?} is not provisioned")),
    }
}

/// Parses a query as Grafana sends it, with each of the renderings.
fn ask(language: Language, query: &str, renderings: &[Values]) -> Result<(), String> {
    for values in renderings {
        let sent = render(query, values)?;
        match language {
            Language::PromQl => tsdb::query::parse(&sent)
                .map(drop)
                .map_err(|error| error.to_string()),
            Language::LogQl => logs::query::parse(&sent)
                .map(drop)
                .map_err(|error| error.to_string()),
        }
        .map_err(|error| format!("cannot parse `{sent}`: {error}"))?;
    }
    Ok(())
}

/// Parses what a variable's values are asked with: `label_values([SELECTOR, ]LABEL)` of metrics; of
/// logs, an object with the label and perhaps a selector.
fn ask_values(language: Language, query: &Value, renderings: &[Values]) -> Result<(), String> {
    let (selector, label) = match language {
        Language::PromQl => text(query, "/query")
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .map(|inside| inside.rsplit_once(',').unwrap_or(("", inside))),
        Language::LogQl => {
            (query["type"] == 1).then(|| (text(query, "/stream"), text(query, "/label")))
        }
    }
    .ok_or_else(|| format!("cannot read {query}"))?;
    let label = label.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if label.is_empty() || !label.chars().all(is_name) {
        return Err(format!("{label:?} is no label"));
    }
    if selector.is_empty() {
        Ok(())
    } else {
        ask(language, selector, renderings)
    }
}

/// All panels, those within rows too.
fn panels(within: &Value) -> Vec<&Value> {
    list(within, "/panels")
        .iter()
        .flat_map(|panel| std::iter::once(panel).chain(panels(panel)))
        .collect()
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
