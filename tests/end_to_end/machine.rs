//! What the program shows of the machine it runs on, without configuration.

use crate::harness::{Taffrail, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_there_under_the_names_dashboards_use() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let config = dir.path().join("taffrail.yaml");
    std::fs::write(&config, "agent:\n  collect:\n    interval: 1s\n").expect("writes");
    let config = config.to_str().expect("UTF-8");
    let server = Taffrail::start(&dir.path().join("data"), &["--config", config]);
    let cpu = r#"rate(container_cpu_usage_seconds_total{id="/"}[30s])"#;
    let rate = until("the root cgroup's CPU has a rate", async || {
        server.value(cpu).await
    })
    .await;
    let cores = server.value("machine_cpu_cores").await.expect("known");
    assert!(
        rate > 0.0 && rate <= cores * 1.05,
        "{rate} of {cores} cores"
    );
    // The same load, seen by the kernel's other counter.
    let idle = r#"count(node_cpu_seconds_total{mode="idle"})"#;
    assert_eq!(server.value(idle).await, Some(cores));
    let total = server
        .value("node_memory_MemTotal_bytes")
        .await
        .expect("known");
    assert_eq!(server.value("machine_memory_bytes").await, Some(total));
    let set = server
        .value(r#"container_memory_working_set_bytes{id="/"}"#)
        .await;
    assert!(
        set.is_some_and(|set| set > 0.0 && set <= total),
        "{set:?} of {total}"
    );
    assert!(
        server
            .value("time() - node_boot_time_seconds")
            .await
            .is_some_and(|up| up > 0.0)
    );
    // Its own counters are scraped like any target's.
    until("its own metrics are scraped", async || {
        server
            .value(r#"up{job="taffrail"}"#)
            .await
            .filter(|up| *up == 1.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grafana_finds_both_data_sources_healthy() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let server = Taffrail::start(dir.path(), &[]);
    let data = server.data("/api/v1/query", &[("query", "1+1")]).await;
    assert_eq!(data["resultType"], "scalar");
    assert_eq!(data["result"][1], "2");
    let data = server
        .data("/loki/api/v1/query", &[("query", "vector(1)+vector(1)")])
        .await;
    assert_eq!(data["resultType"], "vector");
    assert_eq!(data["result"][0]["value"][1], "2");
    for path in ["/api/v1/status/buildinfo", "/loki/api/v1/status/buildinfo"] {
        let (status, body) = server.get(path, &[]).await;
        assert_eq!(status, 200, "{path}");
        assert!(body.contains("\"version\""), "{path}: {body}");
    }
    let (status, body) = server.get("/api/v1/query", &[("query", "sum(")]).await;
    assert_eq!(status, 400);
    assert!(body.contains("\"errorType\":\"bad_data\""), "{body}");
    let (status, body) = server.get("/loki/api/v1/query", &[("query", "{")]).await;
    assert_eq!(status, 400);
    assert!(body.starts_with("parse error"), "{body}");
    let (status, _) = server.get("/nowhere", &[]).await;
    assert_eq!(status, 404);
}
