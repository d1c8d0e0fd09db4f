//! Rules over a real store on a simulated disk, at a clock that the test sets.

mod api;
mod faults;

use std::path::Path;
use std::sync::Arc;

use ::model::sample::is_stale_nan;
use ::model::time::{TimeRange, Timestamp};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::query::{Guard, Source as _, parse_series_selector};
use tsdb::rules::notifier::{Alertmanager, Credentials, Deliver, DeliveryError, Notifier};
use tsdb::rules::{RuleManager, RulesConfig};
use tsdb::{Tsdb, TsdbOptions};

use crate::api::{NOW, series};

/// Keeps what is posted.
#[derive(Default)]
struct Post(Mutex<Vec<Value>>);

impl Deliver for Post {
    fn post(&self, _: &Alertmanager, body: String) -> Result<(), DeliveryError> {
        let alerts: Value = serde_json::from_str(&body).expect("JSON");
        let alerts = alerts.as_array().expect("a list").clone();
        self.0.lock().extend(alerts);
        Ok(())
    }
}

const MINUTE_MS: i64 = 60_000;

/// A server with rules, as far as this member goes.
struct Server {
    disk: SimDisk,
    tsdb: Tsdb,
    rules: RuleManager,
    clock: Arc<ManualClock>,
    post: Arc<Post>,
    dir: tempfile::TempDir,
    config: RulesConfig,
}

impl Server {
    /// Starts just before a minute, so that every group is due for the first time within it.
    fn start(disk: &SimDisk, minute: i64, rules: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        Self::start_with(dir, disk, minute, rules)
    }

    /// Is killed, and starts on what is on the disk, with its file of rules where it was: a group's place in
    /// the minute follows from the file's name.
    fn restart(self, minute: i64, rules: &str) -> Self {
        let Self {
            disk,
            dir,
            tsdb,
            rules: manager,
            ..
        } = self;
        drop((manager, tsdb));
        Self::start_with(dir, &disk.after_kill(), minute, rules)
    }

    fn start_with(dir: tempfile::TempDir, disk: &SimDisk, minute: i64, rules: &str) -> Self {
        let now = NOW + minute * MINUTE_MS - 1;
        std::fs::write(dir.path().join("a.yml"), rules).expect("writes");
        let clock = Arc::new(ManualClock::new(Timestamp(now)));
        let (of_store, of_disk) = (Arc::<ManualClock>::clone(&clock), Arc::new(disk.clone()));
        let options = TsdbOptions::default();
        let (tsdb, _) = Tsdb::open(of_disk, of_store, Path::new("/data"), options).expect("opens");
        let post = Arc::new(Post::default());
        let manager = RuleManager::new(
            Arc::new(tsdb.clone()),
            Arc::new(tsdb.clone()),
            Notifier::new(Arc::<Post>::clone(&post)),
            Arc::<ManualClock>::clone(&clock),
        );
        let config = RulesConfig {
            files: vec![dir.path().join("*.yml").to_string_lossy().into_owned()],
            external_url: "http://here".into(),
            alertmanagers: vec![Alertmanager {
                url: "http://am/api/v2/alerts".to_owned(),
                timeout: std::time::Duration::from_secs(1),
                credentials: Credentials::None,
            }],
            ..RulesConfig::default()
        };
        manager.load(&config).expect("valid rules");
        Self {
            disk: disk.clone(),
            tsdb,
            rules: manager,
            clock,
            post,
            dir,
            config,
        }
    }

    fn reload(&self, rules: &str) -> Result<(), String> {
        std::fs::write(self.dir.path().join("a.yml"), rules).expect("writes");
        self.rules.load(&self.config).map_err(|e| e.to_string())
    }

    /// Lets minutes pass: at the start of each, `gauge` says what the gauge is; at its end, what was due
    /// within is evaluated, as of when it was due.
    fn minutes(&self, from: i64, count: i64, gauge: impl Fn(i64) -> Option<f64>) {
        for minute in from..from + count {
            let start = NOW + minute * MINUTE_MS;
            self.clock.set(Timestamp(start));
            if let Some(value) = gauge(minute) {
                let labels = [("__name__", "gauge"), ("instance", "a")];
                let sample = series(&labels, &[(start, value)]);
                self.tsdb.append(&[sample]).expect("stores");
            }
            self.clock.set(Timestamp(start + MINUTE_MS - 1));
            self.rules.run_due();
        }
    }

    /// The state of the first rule's first alert, and the minute since when it is active.
    fn alert(&self) -> (&'static str, i64) {
        let state = self.rules.groups()[0].state();
        let alert = state.rules[0].alerts.all().next().expect("an alert");
        let minute = (alert.active_at.millis() - NOW).div_euclid(MINUTE_MS);
        (alert.state.as_str(), minute)
    }

    /// Samples that match, as `NAME{labels} value@minute`, staleness as `stale`.
    fn samples(&self, selector: &str) -> Vec<(String, Vec<String>)> {
        let matchers = parse_series_selector(selector).expect("a selector");
        let selected = self
            .tsdb
            .reader()
            .select(TimeRange::ALL, &matchers, &Guard::default())
            .expect("reads");
        let mut all: Vec<(String, Vec<String>)> = selected
            .read_all()
            .expect("reads")
            .iter()
            .map(|series| {
                let pairs = series.timestamps.iter().zip(&series.values);
                let texts = pairs.map(|(at, value)| {
                    let minute = (at - NOW).div_euclid(MINUTE_MS);
                    if is_stale_nan(*value) {
                        format!("stale@{minute}")
                    } else {
                        format!("{value}@{minute}")
                    }
                });
                (series.labels.to_string(), texts.collect())
            })
            .collect();
        all.sort();
        all
    }

    /// What was sent since it was asked last, as `labels startsAt endsAt` in minutes.
    fn sent(&self) -> Vec<String> {
        while self.rules.notifier().send_one_batch() {}
        let minute = |value: &Value| {
            let at: jiff::Timestamp = value.as_str().expect("a text").parse().expect("a time");
            (at.as_millisecond() - NOW).div_euclid(MINUTE_MS)
        };
        let alerts = std::mem::take(&mut *self.post.0.lock());
        let texts = alerts.iter().map(|alert| {
            let (from, to) = (minute(&alert["startsAt"]), minute(&alert["endsAt"]));
            format!("{} {from} {to}", alert["labels"]["alertname"])
        });
        texts.collect()
    }

    async fn get(&self, uri: &str) -> (u16, Value) {
        let router = tsdb::api::rules::router(self.rules.clone());
        let request = Request::builder().uri(uri).body(Body::empty());
        let response = router.oneshot(request.expect("a request")).await;
        let response = response.expect("infallible");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("in memory");
        let json = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        (status, json)
    }
}

fn one(labels: &str, samples: &[&str]) -> (String, Vec<String>) {
    let samples = samples.iter().map(|text| (*text).to_owned());
    (labels.to_owned(), samples.collect())
}

const RECORDING: &str = r"
groups:
- name: g
  rules:
  - record: doubled
    expr: gauge * 2
    labels: {unit: x}
  - record: again
    expr: doubled + 1
";

#[test]
fn recorded_series_are_there_for_the_next_rule_and_end_when_nothing_gives_them() {
    let server = Server::start(&SimDisk::new(1), 0, RECORDING);
    // The gauge counts for five minutes after its last sample.
    server.minutes(0, 9, |minute| (minute <= 2).then_some(minute as f64 + 1.0));
    let expected = one(
        r#"doubled{instance="a", unit="x"}"#,
        &["2@0", "4@1", "6@2", "6@3", "6@4", "6@5", "6@6", "stale@7"],
    );
    assert_eq!(server.samples("doubled"), [expected]);
    let expected = one(
        r#"again{instance="a", unit="x"}"#,
        &["3@0", "5@1", "7@2", "7@3", "7@4", "7@5", "7@6", "stale@7"],
    );
    assert_eq!(server.samples("again"), [expected]);
}

#[test]
fn a_group_may_look_at_the_past_and_its_samples_lie_there() {
    let text = RECORDING.replace("name: g\n", "name: g\n  query_offset: 2m\n");
    let server = Server::start(&SimDisk::new(1), 0, &text);
    server.minutes(0, 6, |minute| (minute <= 3).then_some(minute as f64));
    let expected = one(
        r#"doubled{instance="a", unit="x"}"#,
        &["0@0", "2@1", "4@2", "6@3"],
    );
    assert_eq!(server.samples("doubled"), [expected]);
}

#[test]
fn a_group_is_due_at_the_same_place_of_every_interval_and_counts_what_it_missed() {
    let server = Server::start(&SimDisk::new(1), 0, RECORDING);
    server.minutes(0, 3, |_| Some(1.0));
    let group = &server.rules.groups()[0];
    let first = group.state().last_evaluation.expect("evaluated");
    assert_eq!(group.slot(first), first);
    assert_eq!(
        group.slot(Timestamp(first.millis() - 1)).millis(),
        first.millis() - MINUTE_MS
    );
    server.minutes(13, 1, |_| Some(1.0));
    let counters = &group.counters;
    let load =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        (load(&counters.iterations), load(&counters.missed)),
        (14, 10)
    );
    let last = group.state().last_evaluation.expect("evaluated");
    assert_eq!(last.millis(), first.millis() + 11 * MINUTE_MS);
}

const ALERTING: &str = r#"
groups:
- name: g
  rules:
  - alert: High
    expr: gauge > 10
    for: 2m
    keep_firing_for: 3m
    labels: {severity: page, value: "{{ $value }}"}
    annotations: {summary: "{{ $labels.instance }} is at {{ $value }}"}
  - alert: Now
    expr: gauge > 20
"#;

#[tokio::test]
async fn an_alert_is_pending_fires_goes_on_and_is_resolved() {
    let text = ALERTING.replace(", value: \"{{ $value }}\"", "");
    let server = Server::start(&SimDisk::new(1), 0, &text);
    // The first two evaluations write no state: there might be one of an earlier run.
    server.minutes(0, 14, |minute| {
        Some(if (2..7).contains(&minute) { 15.0 } else { 5.0 })
    });
    let series = |state: &str| {
        format!(
            r#"ALERTS{{alertname="High", alertstate="{state}", instance="a", severity="page"}}"#
        )
    };
    let firing = ["1@4", "1@5", "1@6", "1@7", "1@8", "1@9", "stale@10"];
    let expected = [
        one(&series("firing"), &firing),
        one(&series("pending"), &["1@2", "1@3", "stale@4"]),
    ];
    assert_eq!(server.samples("ALERTS"), expected);
    // Every second minute, as the resend delay is a minute and must be over; then that it is over.
    let expected = ["4 8", "4 10", "4 12", "4 10", "4 10"];
    assert_eq!(
        server.sent(),
        expected.map(|times| format!("\"High\" {times}"))
    );

    let (_, json) = server.get("/api/v1/alerts").await;
    assert_eq!(json["data"]["alerts"], serde_json::json!([]));
}

#[test]
fn the_state_of_alerts_survives_a_restart() {
    let text =
        "groups:\n- name: g\n  rules:\n  - alert: Slow\n    expr: gauge > 10\n    for: 30m\n";
    let server = Server::start(&SimDisk::new(1), 0, text);
    server.minutes(0, 20, |_| Some(15.0));
    assert_eq!(server.alert(), ("pending", 0));
    // Killed after minute 19, and looked at again in minute 27: what lies between does not count.
    let server = server.restart(26, text);
    server.minutes(26, 12, |_| Some(15.0));
    assert_eq!(server.alert(), ("pending", 8));
    server.minutes(38, 1, |_| Some(15.0));
    assert_eq!(server.alert(), ("firing", 8));
    // Away for longer than is tolerated: pending anew.
    let server = server.restart(400, text);
    server.minutes(400, 4, |_| Some(15.0));
    assert_eq!(server.alert(), ("pending", 400));
}

#[test]
fn a_reload_soon_after_a_restart_does_not_forget_the_state_of_alerts() {
    let text =
        "groups:\n- name: g\n  rules:\n  - alert: Slow\n    expr: gauge > 10\n    for: 30m\n";
    let server = Server::start(&SimDisk::new(1), 0, text);
    server.minutes(0, 5, |_| Some(15.0));
    let server = server.restart(5, text);
    server.minutes(5, 1, |_| Some(15.0));
    server
        .reload(&format!("{text}  - record: more\n    expr: gauge\n"))
        .expect("taken");
    // Due anew after the reload, so the second evaluation is that of the minute after the next at the latest.
    server.minutes(6, 3, |_| Some(15.0));
    let is_restored = server.rules.groups()[0].state().rules[0].alerts.is_restored;
    let (_, minute) = server.alert();
    assert!(is_restored && minute <= 3, "{minute}");
    let written = server.samples("ALERTS_FOR_STATE");
    assert!(
        written[0].1.last().is_some_and(|last| last.ends_with("@8")),
        "{written:?}"
    );
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let server = Server::start(&SimDisk::new(1), 600, RECORDING);
    server.minutes(600, 2, |_| Some(1.0));
    server.minutes(0, 3, |_| Some(1.0));
    let last = server.rules.groups()[0]
        .state()
        .last_evaluation
        .expect("evaluated");
    assert_eq!((last.millis() - NOW).div_euclid(MINUTE_MS), 2);
}

#[test]
fn a_reload_takes_all_or_nothing_and_keeps_what_goes_on() {
    let server = Server::start(
        &SimDisk::new(1),
        0,
        &ALERTING.replace("for: 2m", "for: 20m"),
    );
    server.minutes(0, 5, |_| Some(25.0));
    let since = |server: &Server| {
        let groups = server.rules.groups();
        let state = groups[0].state();
        let alert = state.rules[0].alerts.all().next().cloned();
        alert.map(|alert| alert.active_at)
    };
    let before = since(&server);
    assert!(before.is_some(), "{:?}", server.rules.groups()[0].state());
    // A mistake anywhere: nothing changes.
    let error = server.reload("groups:\n- name: g\n  rules:\n  - alert: High\n    expr: gauge >\n");
    let error = error.expect_err("refused");
    assert!(
        error.contains(
            "a.yml: 5:11: group \"g\", rule 1, \"High\", could not parse expression: 1:8:"
        ),
        "{error}"
    );
    assert!(!server.rules.last_reload().succeeded);
    server.minutes(5, 1, |_| Some(25.0));
    assert_eq!(since(&server), before);
    // The same again: the group goes on.
    let group = Arc::clone(&server.rules.groups()[0]);
    server
        .reload(&ALERTING.replace("for: 2m", "for: 20m"))
        .expect("taken");
    assert!(Arc::ptr_eq(&group, &server.rules.groups()[0]));
    // A rule more, one less: what stays keeps its state, what is gone ends.
    let other = ALERTING
        .replace("for: 2m", "for: 20m")
        .replace("alert: Now", "alert: Then");
    server.reload(&other).expect("taken");
    assert_eq!(since(&server), before);
    server.minutes(6, 2, |_| Some(25.0));
    let now = server.samples(r#"ALERTS{alertname="Now"}"#);
    assert!(
        now[0]
            .1
            .last()
            .is_some_and(|last| last.starts_with("stale@")),
        "{now:?}"
    );
    assert!(!server.samples(r#"ALERTS{alertname="Then"}"#).is_empty());
    // The whole group under another name: its series end, two intervals later.
    server.reload("groups: []\n").expect("taken");
    server.minutes(8, 4, |_| Some(25.0));
    let then = server.samples(r#"ALERTS{alertname="Then"}"#);
    assert!(
        then[0]
            .1
            .last()
            .is_some_and(|last| last.starts_with("stale@")),
        "{then:?}"
    );
}

#[test]
fn what_a_rule_may_not_give_is_an_error_of_the_rule() {
    let text = r#"
groups:
- name: g
  limit: 1
  rules:
  - record: same
    expr: label_replace(gauge, "n", "1", "", "") or label_replace(gauge, "n", "2", "", "")
    labels: {n: x}
  - record: many
    expr: label_replace(gauge, "n", "1", "", "") or label_replace(gauge, "n", "2", "", "")
  - alert: Many
    expr: label_replace(gauge, "n", "1", "", "") or label_replace(gauge, "n", "2", "", "")
  - alert: Same
    expr: label_replace(gauge, "n", "1", "", "") or label_replace(gauge, "n", "2", "", "")
    labels: {n: x}
  - record: range
    expr: gauge[5m]
  - record: number
    expr: 1 + 1
"#;
    let server = Server::start(&SimDisk::new(1), 0, text);
    server.minutes(0, 2, |_| Some(1.0));
    let state = server.rules.groups()[0].state();
    let found: Vec<String> = state
        .rules
        .iter()
        .map(|rule| format!("{:?}", rule.health))
        .collect();
    let bad = |text: &str| format!("Bad({text:?})");
    assert_eq!(
        found,
        [
            bad("vector contains metrics with the same labelset after applying rule labels"),
            bad("exceeded limit of 1 with 2 series"),
            bad("exceeded limit of 1 with 2 alerts"),
            bad("vector contains metrics with the same labelset after applying alert labels"),
            bad("rule result is not a vector or scalar"),
            "Good".to_owned(),
        ]
    );
    assert_eq!(server.samples("number").len(), 1);
}
