//! Data on the move through the real binary: files into a closed store, a server on it, and out
//! again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::Taffrail;

fn fixture(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    dir.join("tsdb/tests/tsdb/fixtures/prometheus").join(name)
}

/// Runs a command to its end, in a folder.
fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail"));
    command.current_dir(dir).args(arguments);
    command.env("TAFFRAIL_LOG", "warn").output().expect("runs")
}

/// What a command that worked prints, and what it says.
fn done(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = run(dir, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let said = text(output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    (text(output.stdout), said)
}

/// What a command that did not work says.
fn failed(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Text with its `--config`: the samples of the fixtures are older than what is kept by default.
fn keep_for_ever(dir: &Path) -> &'static str {
    fs::write(
        dir.join("taffrail.yaml"),
        "metrics:\n  retention: forever\n",
    )
    .expect("written");
    "taffrail.yaml"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_is_served_and_exported() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let dir = dir.path();
    let config = keep_for_ever(dir);
    let mut lines = String::new();
    for n in 0..3 {
        let at = 1_700_000_000_000_i64 + n * 1000;
        let _ = writeln!(
            lines,
            "{{\"metric\":{{\"__name__\":\"tides\",\"n\":\"{n}\"}},\"values\":[{n},\"stale\",\"0x7ff8dead0000beef\"],\"timestamps\":[{at},{},{}]}}",
            at + 1,
            at + 2
        );
    }
    fs::write(dir.join("tides.jsonl"), &lines).expect("written");
    let block = fixture("native");
    let block = block.to_str().expect("UTF-8");
    let import = [
        "import",
        "--data",
        "data",
        "--config",
        config,
        "tides.jsonl",
        block,
    ];
    let (_, said) = done(dir, &import);
    // 976 samples of the block, 112 of them deleted, and nine.
    assert!(
        said.contains("12 series") || said.contains("13 series"),
        "{said}"
    );
    assert!(said.contains(", 873 samples, "), "{said}");
    assert!(!dir.join("data/import.json").exists());

    let export = ["export", "--data", "data", "--config", config, "--quiet"];
    let (exported, _) = done(dir, &export);
    let (again, _) = done(dir, &import);
    assert!(again.is_empty());
    assert_eq!(
        done(dir, &export).0,
        exported,
        "importing twice changes nothing"
    );
    for line in lines.lines() {
        assert!(exported.contains(line), "{line}");
    }

    // Another store, another way in: the same bytes come out.
    fs::write(dir.join("all.jsonl"), &exported).expect("written");
    let server = Taffrail::start(
        &dir.join("data"),
        &["--config", dir.join(config).to_str().expect("UTF-8")],
    );
    assert_eq!(server.value("tides{n=\"2\"} @ 1700000002").await, Some(2.0));
    let count = "sum(count_over_time({__name__=~\"erased|odd_floats\"}[2h] @ 1700007200))";
    // A window is open at its left, where both have a sample; and one marks the end of a series.
    assert_eq!(server.value(count).await, Some(148.0 + 13.0));
    let refusal = failed(dir, &import);
    assert!(
        refusal.contains("in use by another process") && refusal.contains("--url http://"),
        "{refusal}"
    );
    let selector = "{job=~\".*\",__name__=~\"tides|latency|odd_floats|erased|temperature|requests_total|jumpy\"}";
    let over_http = [
        "export",
        "--url",
        &server.http,
        "--match",
        selector,
        "-o",
        "http.jsonl",
    ];
    done(dir, &over_http);
    let from_server = fs::read_to_string(dir.join("http.jsonl")).expect("a file");
    assert_eq!(from_server, exported);
    assert!(server.terminate().success());

    let empty = dir.join("empty");
    let server = Taffrail::start(
        &empty,
        &["--config", dir.join(config).to_str().expect("UTF-8")],
    );
    done(dir, &["import", "--url", &server.http, "all.jsonl"]);
    let (from_server, said) = done(dir, &["export", "--url", &server.http, "--match", selector]);
    assert_eq!(from_server, exported);
    assert!(said.contains(" 873 samples, "), "{said}");

    // A snapshot is a data folder.
    let (name, _) = done(dir, &["snapshot", "--url", &server.http]);
    assert!(server.terminate().success());
    let snapshot = empty.join("snapshots").join(name.trim());
    let snapshot = snapshot.to_str().expect("UTF-8");
    let from_snapshot = [
        "export", "--data", snapshot, "--config", config, "--quiet", "--match", selector,
    ];
    assert_eq!(done(dir, &from_snapshot).0, exported);
    assert!(Path::new(snapshot).join("logs/MANIFEST").exists());
}

#[test]
fn an_import_that_stops_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let dir = dir.path();
    let config = keep_for_ever(dir);
    let good = |n: i64| format!("boats{{n=\"{n}\"}} {n} 1700000000.001\n");
    let text: String =
        (0..100).map(good).collect::<String>() + "boats nonsense\n" + &good(100) + "# EOF\n";
    fs::write(dir.join("boats.om"), &text).expect("written");
    let import = ["import", "--data", "data", "--config", config, "boats.om"];
    let said = failed(dir, &import);
    assert!(
        said.contains(
            "boats.om: line 101: not a number: \"nonsense\"; --on-error skip leaves it out"
        ),
        "{said}"
    );
    let checkpoint = fs::read_to_string(dir.join("data/import.json")).expect("a checkpoint");
    assert!(checkpoint.contains("\"items\": 100"), "{checkpoint}");

    let skipping = [&import[..], &["--on-error", "skip"]].concat();
    let (_, said) = done(dir, &skipping);
    assert!(
        said.contains("going on behind line or series 100"),
        "{said}"
    );
    assert!(
        said.contains("1 lines or chunks that could not be read"),
        "{said}"
    );
    assert!(!dir.join("data/import.json").exists());
    let (exported, _) = done(
        dir,
        &[
            "export",
            "--data",
            "data",
            "--config",
            config,
            "--format",
            "openmetrics",
        ],
    );
    assert_eq!(exported.lines().count(), 101 + 1);

    // What is older than the retention is not dropped in silence.
    let said = failed(
        dir,
        &[
            "import",
            "--data",
            "other",
            "boats.om",
            "--on-error",
            "stop",
        ],
    );
    assert!(
        said.contains("100 samples were refused: too old sample")
            && said.contains("metrics.retention"),
        "{said}"
    );
}
