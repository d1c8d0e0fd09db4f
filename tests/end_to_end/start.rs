//! Starting and stopping: what is wrong is said clearly, and nothing is left half-done.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::Taffrail;

pub(crate) fn taffrail(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_taffrail"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn refused(arguments: &[&str]) -> String {
    let output = taffrail(arguments);
    assert!(!output.status.success(), "{arguments:?} was accepted");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn arguments<'a>(data: &'a Path, rest: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "run",
        "--webhook",
        "127.0.0.1:0",
        "--data",
        data.to_str().expect("UTF-8"),
    ];
    all.extend(rest);
    all
}

#[test]
fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound").to_string();
    let error = refused(&arguments(dir.path(), &["--http", &address]));
    assert!(
        error.contains(&address) && error.contains("in use"),
        "{error}"
    );
    let error = refused(&[
        "run",
        "--http",
        "127.0.0.1:0",
        "--webhook",
        &address,
        "--data",
        dir.path().to_str().expect("UTF-8"),
    ]);
    assert!(
        error.contains(&address) && error.contains("in use"),
        "{error}"
    );
}

#[test]
fn whoever_serves_reviews_has_no_huge_page() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let server = Taffrail::start(dir.path(), &[]);
    let pid = server.pid().as_raw_nonzero();
    let line = |file: &str, name: &str| -> String {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect(file);
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_default().trim().to_string()
    };
    assert_eq!(line("status", "THP_enabled:"), "0");
    assert_eq!(line("smaps_rollup", "AnonHugePages:"), "0 kB");
}

#[test]
fn a_data_folder_in_use_is_named() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let _server = Taffrail::start(dir.path(), &[]);
    let error = refused(&arguments(dir.path(), &["--http", "127.0.0.1:0"]));
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_data_folder_of_a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("temporary folder");
    assert!(Taffrail::start(dir.path(), &[]).terminate().success());
    let manifest = dir.path().join("metrics").join("MANIFEST");
    let newer = "taffrail-manifest 99 00000000\n{}";
    std::fs::write(&manifest, newer).expect("writes");
    let error = refused(&arguments(dir.path(), &["--http", "127.0.0.1:0"]));
    assert!(error.contains("format 99"), "{error}");
    assert_eq!(std::fs::read_to_string(&manifest).expect("there"), newer);
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let config = dir.path().join("taffrail.yaml");
    std::fs::write(&config, "http: 127.0.0.1:0\nagent:\n  scrap: {}\n").expect("writes");
    let config = config.to_str().expect("UTF-8");
    for command in [&["check", config][..], &["run", "--config", config]] {
        let error = refused(command);
        assert!(error.contains("taffrail.yaml:3:"), "{error}");
        assert!(error.contains("unknown field `scrap`"), "{error}");
    }
}

#[test]
fn manifests_are_judged_on_the_command_line() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let manifest = |name: &str, privileged: bool| {
        let path = dir.path().join(name);
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: probe, namespace: shop}}\nspec:\n  containers:\n  - name: c\n    image: example.com/c\n    securityContext: {{privileged: {privileged}}}\n"
        );
        std::fs::write(&path, text).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (good, bad) = (manifest("good.yaml", false), manifest("bad.yaml", true));
    assert!(taffrail(&["policy", "check", &good]).status.success());
    let output = taffrail(&["policy", "check", &good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.contains("must not set securityContext.privileged=true"),
        "{text}"
    );
    let output = taffrail(&["policy", "check", "--output", "json", &bad]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(json.to_string().contains("bad.yaml"), "{json}");
}

#[test]
fn the_command_line_explains_itself() {
    let help = String::from_utf8(taffrail(&["--help"]).stdout).expect("UTF-8");
    for word in [
        "run", "query", "logs", "policy", "check", "version", "--http", "--data",
    ] {
        assert!(help.contains(word), "{word} is missing:\n{help}");
    }
    let version = String::from_utf8(taffrail(&["version"]).stdout).expect("UTF-8");
    assert!(version.starts_with("taffrail "), "{version}");
    let error = refused(&["query", "up", "--server", "http://127.0.0.1:9"]);
    assert!(error.contains("cannot reach http://127.0.0.1:9"), "{error}");
}

#[test]
fn query_and_logs_print_tables_and_json() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let server = Taffrail::start(dir.path(), &[]);
    let run = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &server.http]);
        let output = taffrail(&all);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(run(&["query", "1+1"]), "2\n");
    assert_eq!(run(&["query", "vector(3)"]), "SERIES  VALUE\n{}      3\n");
    let range = run(&["query", "vector(3)", "--since", "2s", "--step", "1s"]);
    assert_eq!(range.lines().count(), 4, "{range}");
    let json: serde_json::Value =
        serde_json::from_str(&run(&["query", "1+1", "--output", "json"])).expect("JSON");
    assert_eq!(json["result"][1], "2");
    assert!(run(&["logs", r#"{app="nobody"}"#]).is_empty());
    let counted = run(&["logs", "vector(1)", "--since", "2s", "--step", "1s"]);
    assert!(counted.starts_with("SERIES"), "{counted}");
}
