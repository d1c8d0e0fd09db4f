//! Tenants: what one has, no other sees, whatever it asks, and neither do those who name none.

use std::fs;
use std::path::Path;

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use model::wire::remote_read::{LabelMatcher, Query, ReadRequest};
use prost::Message as _;
use reqwest::{Client, RequestBuilder};

use crate::harness::{Taffrail, base_ms, until};

fn start(folder: &Path, more: &str) -> Taffrail {
    let config = folder.join("taffrail.yaml");
    let rules = folder.join("rules.yml");
    let text = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - record: of_rule\n    expr: vector(1)\n  - record: counted\n    expr: count({__name__=~\"only.*\"})\n";
    fs::write(rules, text).expect("writes");
    let text = format!(
        "tenants:\n  enabled: true\n{more}rules:\n  files: [rules.yml]\nagent:\n  tail: {{pods: false}}\n"
    );
    fs::write(&config, text).expect("writes");
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    Taffrail::start(&folder.join("data"), &arguments)
}

/// A series whose name, label's name and label's value are a tenant's own.
fn series(tenant: &str, base: i64) -> SeriesSamples {
    SeriesSamples {
        labels: Labels::from_pairs([
            ("__name__".to_owned(), format!("only_{tenant}")),
            (format!("label_{tenant}"), format!("value-{tenant}")),
            ("shared".to_owned(), format!("shared-{tenant}")),
        ]),
        samples: vec![Sample {
            timestamp: Timestamp(base),
            value: 1.0,
        }],
        ..SeriesSamples::default()
    }
}

/// Whether an answer holds anything that only this tenant has.
fn shows(answer: &[u8], tenant: &str) -> bool {
    let marks = ["only_", "label_", "value-", "shared-", "line-"];
    let text = String::from_utf8_lossy(answer);
    marks
        .iter()
        .any(|mark| text.contains(&format!("{mark}{tenant}")))
}

async fn write(server: &mut Taffrail, tenant: &str, base: i64) -> bool {
    server.speak_for(tenant);
    let lines = [(base * 1_000_000, format!("line-{tenant}"))];
    let labels = format!("{{shared=\"shared-{tenant}\", label_{tenant}=\"value-{tenant}\"}}");
    server.write(&[series(tenant, base)]).await && server.push(&labels, &lines).await
}

/// Everything that shows what is stored: paths with their parameters, and whether each shows a tenant's own.
fn questions(base: i64) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let seconds = |at: i64| (at as f64 / 1000.0).to_string();
    let all = || ("match[]", "{__name__=~\"only.*\"}".to_owned());
    let nanos = |at: i64| (at * 1_000_000).to_string();
    let metrics = || {
        vec![
            ("start", seconds(base - 1000)),
            ("end", seconds(base + 1000)),
        ]
    };
    let logs = || vec![("start", nanos(base - 1000)), ("end", nanos(base + 1000))];
    let with = |mut range: Vec<(&'static str, String)>, more: Vec<(&'static str, String)>| {
        range.extend(more);
        range
    };
    let query = |text: &str| ("query", text.to_owned());
    let every = "{__name__=~\"only.*\"}";
    let streams = "{shared=~\".+\"}";
    vec![
        ("/api/v1/query", vec![query(every), ("time", seconds(base))]),
        (
            "/api/v1/query_range",
            with(metrics(), vec![query(every), ("step", "1".to_owned())]),
        ),
        ("/api/v1/series", with(metrics(), vec![all()])),
        ("/api/v1/labels", metrics()),
        ("/api/v1/label/shared/values", metrics()),
        ("/api/v1/label/__name__/values", metrics()),
        ("/api/v1/export", vec![all()]),
        ("/api/v1/status/tsdb", vec![("limit", "100".to_owned())]),
        (
            "/loki/api/v1/query_range",
            with(logs(), vec![query(streams)]),
        ),
        (
            "/loki/api/v1/query",
            vec![
                query("count_over_time({shared=~\".+\"}[1h])"),
                ("time", nanos(base + 1000)),
            ],
        ),
        ("/loki/api/v1/labels", logs()),
        ("/loki/api/v1/label/shared/values", logs()),
        (
            "/loki/api/v1/series",
            with(logs(), vec![("match[]", streams.to_owned())]),
        ),
        (
            "/loki/api/v1/index/volume",
            with(logs(), vec![query(streams)]),
        ),
    ]
}

/// Remote read of all that a tenant has.
fn read(client: &Client, server: &str, base: i64) -> RequestBuilder {
    let request = ReadRequest {
        queries: vec![Query {
            start_timestamp_ms: base - 1000,
            end_timestamp_ms: base + 1000,
            matchers: vec![LabelMatcher {
                kind: 2,
                name: "__name__".to_owned(),
                value: "only.*".to_owned(),
            }],
        }],
        ..ReadRequest::default()
    };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
    client
        .post(format!("{server}/api/v1/read"))
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .body(body.expect("compresses"))
}

/// Asks everything for a tenant and holds it against who has what.
async fn check(server: &Taffrail, tenant: &str, everybody: &[&str], has: bool, base: i64) {
    let client = Client::new();
    for (path, parameters) in questions(base) {
        let request = client
            .get(format!("{}{path}", server.http))
            .query(&parameters);
        let response = request.header("X-Scope-OrgID", tenant).send().await;
        let response = response.expect("answers");
        let name = format!("{path} as {tenant}");
        assert_eq!(
            response.status(),
            200,
            "{name}: {:?}",
            response.text().await
        );
        let body = response.bytes().await.expect("a body");
        judge(&name, &body, tenant, everybody, has);
    }
    let response = read(&client, &server.http, base)
        .header("X-Scope-OrgID", tenant)
        .send()
        .await;
    let body = response.expect("answers").bytes().await.expect("a body");
    let body = snap::raw::Decoder::new()
        .decompress_vec(&body)
        .expect("snappy");
    judge(&format!("read as {tenant}"), &body, tenant, everybody, has);
}

fn judge(name: &str, body: &[u8], tenant: &str, everybody: &[&str], has: bool) {
    let text = String::from_utf8_lossy(body);
    assert_eq!(shows(body, tenant), has, "{name}: {text}");
    for other in everybody.iter().filter(|other| **other != tenant) {
        assert!(!shows(body, other), "{name} shows what {other} has: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_no_other_sees() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = start(folder.path(), "");
    let base = base_ms();
    let everybody = ["anonymous", "north", "south"];
    for tenant in everybody {
        assert!(write(&mut server, tenant, base).await, "{tenant}");
    }
    for tenant in everybody {
        check(&server, tenant, &everybody, true, base).await;
    }
    // Who has nothing finds nothing, and asking makes nothing.
    check(&server, "west", &everybody, false, base).await;
    assert!(!folder.path().join("data/tenants/west").exists());

    // What the program stores of its own accord is the default tenant's, and rules see no other's samples.
    server.speak_for("anonymous");
    until("rules are evaluated", async || {
        server.value("of_rule").await
    })
    .await;
    until("it scrapes itself", async || {
        let up = server.value("up{job=\"taffrail\"}").await;
        up.filter(|up| *up == 1.0)
    })
    .await;
    for tenant in ["north", "south", "west"] {
        server.speak_for(tenant);
        for expression in ["of_rule", "counted", "up", "{job=~\".+\"}"] {
            assert_eq!(
                server.value(expression).await,
                None,
                "{expression} as {tenant}"
            );
        }
        for (path, empty) in [
            ("/api/v1/rules", "{\"groups\":[]}"),
            ("/api/v1/alerts", "{\"alerts\":[]}"),
            ("/api/v1/metadata", "{}"),
        ] {
            let data = server.data(path, &[]).await;
            assert_eq!(data.to_string(), empty, "{path} as {tenant}");
        }
        let targets = server.data("/api/v1/targets", &[]).await;
        assert_eq!(targets["activeTargets"].to_string(), "[]", "{tenant}");
        let config = server.data("/api/v1/status/config", &[]).await;
        assert_eq!(config["yaml"], "", "{tenant}");
    }

    // A deletion is of one, and so is a snapshot.
    server.speak_for("north");
    let of_all = [("match[]", "{__name__=~\".+\"}".to_owned())];
    let deleted = server
        .post("/api/v1/admin/tsdb/delete_series", &of_all)
        .await;
    assert_eq!(deleted, Some(204));
    assert_eq!(server.value("count({__name__=~\".+\"})").await, None);
    assert_eq!(
        server.post("/api/v1/admin/tsdb/snapshot", &[]).await,
        Some(200)
    );
    assert!(folder.path().join("data/tenants/north/snapshots").exists());
    assert!(!folder.path().join("data/snapshots").exists());
    check(&server, "south", &everybody, true, base).await;
    check(&server, "anonymous", &everybody, true, base).await;

    // All of it is there after a restart, whoever asks first.
    server.kill();
    let mut server = start(folder.path(), "");
    check(&server, "south", &everybody, true, base).await;
    check(&server, "anonymous", &everybody, true, base).await;
    assert!(write(&mut server, "north", base).await);
    check(&server, "north", &everybody, true, base).await;
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_no_tenant_is_not_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = start(folder.path(), "  count_max: 2\n");
    let client = Client::new();
    let mut asked = 0;
    let long = "a".repeat(151);
    for (path, _) in questions(base_ms()) {
        for (names, status, reason) in [
            (&[][..], 401, "no org id"),
            (&[""], 401, "no org id"),
            (&["north", "south"], 401, "no org id"),
            (&["north|south"], 400, "unsupported character '|'"),
            (&["../north"], 400, "unsupported character '/'"),
            (&[".."], 400, "'.' or '..'"),
            (&[long.as_str()], 400, "max 150 characters"),
        ] {
            let mut request = client.get(format!("{}{path}", server.http));
            for name in names {
                request = request.header("X-Scope-OrgID", *name);
            }
            let response = request.send().await.expect("answers");
            assert_eq!(response.status(), status, "{path} {names:?}");
            let text = response.text().await.expect("a body");
            assert!(text.contains(reason), "{path} {names:?}: {text}");
            asked += 1;
        }
    }
    assert!(asked > 50);
    for open in ["/-/healthy", "/-/ready", "/metrics"] {
        let response = client.get(format!("{}{open}", server.http)).send().await;
        assert_eq!(response.expect("answers").status(), 200, "{open}");
    }

    // There may be two beside the default one.
    let base = base_ms();
    for (tenant, expected) in [
        ("north", true),
        ("south", true),
        ("west", false),
        ("anonymous", true),
        ("north", true),
    ] {
        assert_eq!(write(&mut server, tenant, base).await, expected, "{tenant}");
    }
    let refused = client
        .post(format!("{}/api/v1/write", server.http))
        .header("X-Scope-OrgID", "west");
    let refused = refused.send().await.expect("answers");
    assert_eq!(refused.status(), 400);
    let text = refused.text().await.expect("a body");
    assert!(text.contains("raise tenants.count_max"), "{text}");
    assert!(server.terminate().success());
}
