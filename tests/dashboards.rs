//! The dashboards ask only what we understand.
//!
//! Every query of every panel and every variable is taken out of the JSON, Grafana's variables are
//! replaced as Grafana replaces them, and what it would send is parsed by the parser that its data
//! source leads to. A dashboard is also refused where Grafana would show it broken without a word: a
//! data source that is not provisioned, a panel id or a name given twice, a variable nobody defined.
//!
//! [`faults`] judges one dashboard and is itself tested on broken ones. Whether a query finds anything
//! is not judged here; that is asked of the running program.

// Helpers of tests fail as tests do; clippy knows only functions marked as tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

const PROVISIONING: &str = "dashboards/grafana/provisioning";

/// uid → type, of what is provisioned.
type DataSources = BTreeMap<String, String>;

/// Variable → what it stands for.
type Values = BTreeMap<String, String>;

#[test]
fn every_dashboard_asks_what_we_understand() {
    let sources = data_sources();
    let dashboards = dashboards();
    assert!(
        dashboards.len() >= 2,
        "found {} dashboards",
        dashboards.len()
    );
    let faults: Vec<String> = dashboards
        .iter()
        .flat_map(|(file, dashboard)| {
            faults(dashboard, &sources)
                .into_iter()
                .map(move |fault| format!("{file}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn dashboards_are_told_apart_and_link_to_each_other() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards
        .iter()
        .map(|(_, board)| text(board, "/uid"))
        .collect();
    assert_eq!(uids.len(), dashboards.len(), "a uid twice: {uids:?}");
    for (file, dashboard) in &dashboards {
        for link in list(dashboard, "/links") {
            let url = text(link, "/url");
            let uid = url.strip_prefix("/d/").unwrap_or_default();
            assert!(uids.contains(uid), "{file}: {url} leads nowhere");
        }
    }
}

#[test]
fn a_broken_dashboard_is_found_out() {
    let sources = DataSources::from([
        ("m".into(), "prometheus".into()),
        ("l".into(), "loki".into()),
    ]);
    let panel = |id: u32, uid: &str, expr: &str| {
        json!({"id": id, "datasource": {"type": if uid == "l" { "loki" } else { "prometheus" }, "uid": uid},
            "targets": [{"refId": "A", "expr": expr}]})
    };
    let board = |panels: Value, variables: Value| json!({"uid": "u", "schemaVersion": 42, "panels": panels, "templating": {"list": variables}});
    let node = json!([{"name": "node", "type": "query", "allValue": ".*", "datasource": {"type": "prometheus", "uid": "m"},
        "query": {"query": "label_values(up, instance)"}}]);
    let row = json!({"id": 1, "type": "row", "panels": [panel(1, "m", "up")]});
    for (dashboard, fault) in [
        (
            board(
                json!([panel(
                    1,
                    "m",
                    "sum(rate(up{a=~\"$node\"}[$__rate_interval]))"
                )]),
                node,
            ),
            "",
        ),
        (
            board(
                json!([panel(1, "l", "sum(rate({a=\"b\"}[$__auto]))")]),
                json!([]),
            ),
            "",
        ),
        (board(json!([]), json!([])), "no query"),
        (
            board(json!([panel(1, "x", "up")]), json!([])),
            "data source \"x\"",
        ),
        (
            board(json!([panel(1, "m", "up"), panel(1, "m", "up")]), json!([])),
            "id 1 is given twice",
        ),
        (board(json!([row]), json!([])), "id 1 is given twice"),
        (
            board(json!([panel(1, "m", "up{a=\"$nod\"}")]), json!([])),
            "$nod is no variable",
        ),
        (
            board(json!([panel(1, "m", "sum(up")]), json!([])),
            "cannot parse `sum(up`",
        ),
        (
            board(json!([panel(1, "l", "{a=\"b\"} |= ")]), json!([])),
            "cannot parse `{a=\"b\"} |= `",
        ),
        (
            board(json!([{"id": 1, "type": "stat", "targets": []}]), json!([])),
            "panel 1 has no query",
        ),
        (
            board(
                json!([panel(1, "m", "up")]),
                json!([{"name": "n", "type": "query", "datasource": {"type": "prometheus", "uid": "m"},
                    "query": {"query": "label_valus(up, instance)"}}]),
            ),
            "variable n: cannot read",
        ),
    ] {
        let found = faults(&dashboard, &sources);
        let expected = if fault.is_empty() {
            found.is_empty()
        } else {
            found.iter().any(|f| f.contains(fault))
        };
        assert!(expected, "{dashboard}: expected {fault:?}, found {found:?}");
    }
}

#[test]
fn variables_are_replaced_as_grafana_does() {
    let values = Values::from([
        ("node".into(), "(a|b)".into()),
        ("__range".into(), "3600s".into()),
    ]);
    for (text, expected) in [
        ("up{i=~\"$node\"}", Ok("up{i=~\"(a|b)\"}")),
        ("up[${__range}]", Ok("up[3600s]")),
        ("up{i=~\"${node:regex}x\"}", Ok("up{i=~\"(a|b)x\"}")),
        ("up{i=~\"a$\"}", Ok("up{i=~\"a$\"}")),
        ("$nodes", Err("$nodes is no variable")),
        ("${node", Err("${ is not closed")),
    ] {
        let got = render(text, &values);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }
}

/// What is wrong with a dashboard.
fn faults(dashboard: &Value, sources: &DataSources) -> Vec<String> {
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

/// What Grafana may put in: everything, one value, several. Grafana escapes the characters of a
/// regular expression in values twice, once for the expression and once for the string around it.
fn renderings(variables: &[Value], faults: &mut Vec<String>) -> Vec<Values> {
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
fn render(text: &str, values: &Values) -> Result<String, String> {
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

/// All panels, those within rows too.
fn panels(within: &Value) -> Vec<&Value> {
    list(within, "/panels")
        .iter()
        .flat_map(|panel| std::iter::once(panel).chain(panels(panel)))
        .collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(PROVISIONING)
        .join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboards() -> Vec<(String, Value)> {
    let parse = |path: PathBuf| {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let dashboard =
            serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{file}: {error}"));
        (file, dashboard)
    };
    files("dashboards", "json").into_iter().map(parse).collect()
}

fn data_sources() -> DataSources {
    let mut sources = DataSources::new();
    for path in files("datasources", "yaml") {
        let file: Value = serde_yaml_ng::from_str(&read(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for source in list(&file, "/datasources") {
            sources.insert(
                text(source, "/uid").to_owned(),
                text(source, "/type").to_owned(),
            );
        }
    }
    sources
}
