//! What the engine says of itself.

use prometheus_client::registry::Registry;

use crate::support::{batch, fresh};

#[test]
fn the_counters_follow_what_happens() {
    let logs = fresh();
    let mut registry = Registry::default();
    logs.register(&mut registry);
    logs.push(batch(0)).expect("writes");
    logs.push(vec![::model::entry::StreamEntries {
        entries: vec![::model::entry::Entry::default()],
        ..Default::default()
    }])
    .expect_err("no labels");
    logs.store().flush().expect("flushes");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for line in [
        "taffrail_logs_received_lines_total 5",
        "taffrail_logs_refused_lines_total 1",
        "taffrail_logs_wal_records_total 1",
        "taffrail_logs_flushes_total 1",
        "taffrail_logs_parts 1",
        "# TYPE taffrail_logs_memory_bytes gauge",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}
