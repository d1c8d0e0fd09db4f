//! Rules through the real binary: samples go in, what is recorded and what fires comes out, a kill
//! changes neither, and a real Alertmanager has the alert, and has it resolved.
//!
//! `TAFFRAIL_ALERTMANAGER` names the program (`prometheus-alertmanager` if it does not), `TAFFRAIL_PROMTOOL`
//! promtool.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use serde_json::Value;

use crate::harness::{Taffrail, until};

const RULES: &str = r#"
groups:
- name: boats
  interval: 1s
  rules:
  - record: boats:sum
    expr: sum(boats)
  - alert: TooManyBoats
    expr: boats:sum > 10
    for: 1s
    labels: {severity: page}
    annotations:
      summary: "{{ $value }} boats, {{ $labels.missing }}in {{ $externalLabels.port }}"
"#;

fn gauge(value: f64) -> SeriesSamples {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let timestamp = Timestamp(now.expect("after 1970").as_millis() as i64);
    SeriesSamples {
        labels: Labels::from_pairs([("__name__", "boats"), ("harbour", "a")]),
        samples: vec![Sample { timestamp, value }],
        ..SeriesSamples::default()
    }
}

/// Starts a server with these rules in its folder. Returns it, and its configuration's name.
fn start(dir: &Path, rules: &str, more: &str) -> Taffrail {
    let config = dir.join("taffrail.yaml");
    fs::write(dir.join("boats.yml"), rules).expect("writes");
    let text = format!(
        "agent:\n  scrape:\n    interval: 1h\nrules:\n  files: [boats.yml]\n  evaluation_interval: 1s\n  external_labels: {{port: Kiel}}\n{more}"
    );
    fs::write(&config, text).expect("writes");
    let config = config.to_str().expect("UTF-8");
    Taffrail::start(&dir.join("data"), &["--config", config])
}

/// The alerts of the API, as `NAME STATE since`.
async fn alerts(server: &Taffrail) -> Vec<(String, String, String)> {
    let data = server.data("/api/v1/alerts", &[]).await;
    let alerts = data["alerts"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    alerts
        .map(|alert| {
            let name = text(&alert["labels"]["alertname"]);
            (name, text(&alert["state"]), text(&alert["activeAt"]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_give_is_there_after_a_kill_and_reloads_take_all_or_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // Pending for long enough that a restart matters.
    let rules = RULES.replace("for: 1s", "for: 1h");
    let server = start(dir.path(), &rules, "");
    assert!(server.write(&[gauge(12.0)]).await);
    until("the alert is pending and stored", async || {
        let stored = server.value("ALERTS_FOR_STATE").await?;
        (alerts(&server).await.len() == 1).then_some(stored)
    })
    .await;
    let since = server.value("ALERTS_FOR_STATE").await.expect("stored");
    assert_eq!(server.value("boats:sum").await, Some(12.0));
    let samples = server.value("count_over_time(boats:sum[1h])").await;
    server.kill();

    let server = start(dir.path(), &rules, "");
    assert!(server.value("count_over_time(boats:sum[1h])").await >= samples);
    until("the alert is restored", async || {
        let alert = alerts(&server).await.pop()?;
        let active: jiff::Timestamp = alert.2.parse().expect("a time");
        // What nobody looked at does not count: some seconds later than it was, never as young as the start.
        let later = active.as_second() as f64 - since;
        let again = server.value("ALERTS_FOR_STATE").await?;
        (again >= since && (0.0..60.0).contains(&later)).then_some(())
    })
    .await;

    // A file with a mistake changes nothing and is named; a good one is taken, by API and by signal.
    let path = dir.path().join("boats.yml");
    fs::write(&path, rules.replace("sum(boats)", "sum(boats")).expect("writes");
    assert_eq!(server.post("/-/reload", &[]).await, Some(500));
    assert_eq!(alerts(&server).await.len(), 1);
    fs::write(&path, rules.replace("TooManyBoats", "Regatta")).expect("writes");
    assert_eq!(server.post("/-/reload", &[]).await, Some(200));
    until("the renamed alert is there alone", async || {
        let names = alerts(&server).await;
        matches!(names.as_slice(), [(name, ..)] if name == "Regatta").then_some(())
    })
    .await;
    fs::write(&path, "groups: []\n").expect("writes");
    rustix::process::kill_process(server.pid(), rustix::process::Signal::HUP).expect("alive");
    until("there are no rules", async || {
        let data = server.data("/api/v1/rules", &[]).await;
        (data["groups"] == Value::Array(Vec::new())).then_some(())
    })
    .await;
    assert!(server.terminate().success());
}

/// A running Alertmanager.
struct Alertmanager {
    child: Child,
    http: String,
}

impl Alertmanager {
    fn start(dir: &Path) -> Self {
        let program = std::env::var("TAFFRAIL_ALERTMANAGER");
        let program = program.unwrap_or("prometheus-alertmanager".to_owned());
        let config = dir.join("alertmanager.yml");
        fs::write(
            &config,
            "route: {receiver: none}\nreceivers: [{name: none}]\n",
        )
        .expect("writes");
        // Free at this moment; nobody else is expected to take it before the child does.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(&program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.join("am").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--cluster.listen-address=", "--log.level=error"])
            .stdout(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}; install Debian's package prometheus-alertmanager, or name the program in TAFFRAIL_ALERTMANAGER")
        });
        Self {
            child,
            http: format!("http://{address}"),
        }
    }

    /// What it knows of the alert.
    async fn alert(&self, client: &reqwest::Client) -> Option<Value> {
        let request = client.get(format!("{}/api/v2/alerts", self.http));
        let alerts: Value = request.send().await.ok()?.json().await.ok()?;
        let alerts = alerts.as_array()?.iter();
        let mut ours = alerts.filter(|one| one["labels"]["alertname"] == "TooManyBoats");
        ours.next().cloned()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real Alertmanager: run by .ci/run"]
async fn a_real_alertmanager_has_the_alert_and_has_it_resolved() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let alertmanager = Alertmanager::start(dir.path());
    let more = format!("  alertmanagers:\n  - url: {}\n", alertmanager.http);
    let server = start(dir.path(), RULES, &more);
    let client = reqwest::Client::new();
    assert!(server.write(&[gauge(12.0)]).await);
    let alert = until("Alertmanager has the alert", || alertmanager.alert(&client)).await;
    let expected =
        serde_json::json!({"alertname": "TooManyBoats", "port": "Kiel", "severity": "page"});
    assert_eq!(alert["labels"], expected);
    assert_eq!(alert["annotations"]["summary"], "12 boats, in Kiel");
    assert_eq!(alert["status"]["state"], "active");
    let link = alert["generatorURL"].as_str().expect("a link");
    assert!(
        link.ends_with("/graph?g0.expr=boats%3Asum+%3E+10&g0.tab=1"),
        "{link}"
    );
    let path = link
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'));
    let (path, _) = path
        .and_then(|(_, path)| path.split_once('?'))
        .expect("a path");
    let (status, page) = server.get(&format!("/{path}"), &[]).await;
    assert!(status == 200 && page.contains("g0.expr"), "{status}");
    // Alertmanager shows what has not ended.
    assert!(server.write(&[gauge(5.0)]).await);
    until("Alertmanager has it resolved", async || {
        alertmanager.alert(&client).await.is_none().then_some(())
    })
    .await;
    let (_, metrics) = server.get("/metrics", &[]).await;
    let sent = metrics
        .lines()
        .find(|line| line.starts_with("prometheus_notifications_sent_total"));
    assert!(sent.is_some_and(|line| !line.ends_with(" 0")), "{sent:?}");
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| {
        panic!("{program}: {error}; install Debian's package prometheus, or name the program in TAFFRAIL_PROMTOOL")
    })
}

const UNIT_TEST: &str = r#"
rule_files: [boats.yml]
evaluation_interval: 1s
tests:
- interval: 1s
  external_labels: {port: Kiel}
  input_series:
  - {series: 'boats{harbour="a"}', values: '5 12x5 1234567x5 stale'}
  - {series: 'boats{harbour="b"}', values: '_x3 0+1x9'}
  alert_rule_test:
  - {eval_time: 1s, alertname: TooManyBoats}
  - eval_time: 2s
    alertname: TooManyBoats
    exp_alerts:
    - exp_labels: {severity: page}
      exp_annotations: {summary: '12 boats, in Kiel'}
  - eval_time: 8s
    alertname: TooManyBoats
    exp_alerts:
    - exp_labels: {severity: page}
      exp_annotations: {summary: '1.234572e+06 boats, in Kiel'}
  promql_expr_test:
  - {expr: 'boats:sum', eval_time: 3s, exp_samples: [{labels: 'boats:sum', value: 12}]}
  - {expr: 'boats:sum', eval_time: 14s, exp_samples: [{labels: 'boats:sum', value: 9}]}
"#;

/// Checks and tests say what they should; `others` is promtool, and says the same.
fn check_and_test(program: &str, of: [&[&str]; 2], dir: &Path) {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    };
    let good = write("boats.yml", RULES);
    let double = RULES.replace(
        "  - alert",
        "  - record: boats:sum\n    expr: vector(1)\n  - alert",
    );
    for (rules, success, part) in [
        (good.clone(), true, "SUCCESS: 2 rules found"),
        (
            write("bad.yml", &RULES.replace("sum(boats)", "sum(boats")),
            false,
            "could not parse expression",
        ),
        (
            write("template.yml", &RULES.replace("$value", "$valu")),
            false,
            "undefined variable \"$valu\"",
        ),
        (
            write("key.yml", &RULES.replace("record:", "recrd:")),
            false,
            "field recrd not found",
        ),
        (
            write("double.yml", &double),
            false,
            "1 duplicate rule(s) found",
        ),
    ] {
        let mut arguments = of[0].to_vec();
        arguments.push(&rules);
        let output = run(program, &arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains(part), "{rules}: {text}");
        // Duplicates are a warning to promtool, unless it is told otherwise.
        assert!(
            output.status.success() == success || rules.ends_with("double.yml"),
            "{text}"
        );
    }
    for (text, success) in [
        (UNIT_TEST.to_owned(), true),
        (UNIT_TEST.replace("value: 9", "value: 8"), false),
        (UNIT_TEST.replace("12 boats", "13 boats"), false),
        (UNIT_TEST.replace("eval_time: 2s", "evaltime: 2s"), false),
    ] {
        let test = write("test.yml", &text);
        let mut arguments = of[1].to_vec();
        arguments.push(&test);
        let output = run(program, &arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.success(), success, "{said}");
        assert!(
            said.contains(if success { "  SUCCESS" } else { "  FAILED:" }),
            "{said}"
        );
    }
}

#[test]
fn rule_files_are_checked_and_tested() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let commands: [&[&str]; 2] = [&["check", "rules"], &["test", "rules"]];
    check_and_test(env!("CARGO_BIN_EXE_taffrail"), commands, dir.path());
}

#[test]
#[ignore = "needs promtool: run by .ci/run"]
fn promtool_says_the_same_of_the_same_files() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let promtool = std::env::var("TAFFRAIL_PROMTOOL").unwrap_or("promtool".to_owned());
    let commands: [&[&str]; 2] = [&["check", "rules"], &["test", "rules"]];
    check_and_test(&promtool, commands, dir.path());
}
