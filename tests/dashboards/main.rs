//! The dashboards ask only what we understand.
//!
//! Every query of every panel and every variable is taken out of the JSON, Grafana's variables are
//! replaced as Grafana replaces them, and what it would send is parsed by the parser that its data
//! source leads to. A dashboard is also refused where Grafana would show it broken without a word: a
//! data source that is not provisioned, a panel id or a name given twice, a variable nobody defined.
//!
//! [`faults::faults`] judges one dashboard and is itself tested on broken ones. Whether a query finds anything
//! is not judged here; that is asked of the running program.

// Helpers of tests fail as tests do; clippy knows only functions marked as tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod faults;
mod variables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use faults::{DataSources, faults, list, text};
use variables::{Values, render};

const PROVISIONING: &str = "dashboards/grafana/provisioning";

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
