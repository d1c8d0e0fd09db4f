use std::fmt::Write as _;

use model::time::Timestamp;
use serde_json::json;

use super::*;

const ACCEPTED: TimeRange = TimeRange::new(Timestamp(0), Timestamp(10_000_000));

/// Every series with its samples and starts, then families, then refusals.
fn translated(metrics: &Json, attributes: &Json) -> Vec<String> {
    let text = json!({"resourceMetrics": [{
        "resource": {"attributes": attributes},
        "scopeMetrics": [{"scope": {"name": "x"}, "metrics": metrics}],
    }]});
    let limits = IngestLimits::default();
    let decoded = decode(
        text.to_string().as_bytes(),
        Encoding::Json,
        &limits,
        ACCEPTED,
    );
    let (batch, refused) = decoded.expect("an export");
    let mut lines = Vec::new();
    for (series, owned) in batch.iter().zip(batch.to_series()) {
        let mut line = owned.labels.to_string();
        for sample in series.floats {
            let _ = write!(line, " {}@{}", sample.value, sample.timestamp.0);
        }
        for sample in series.histograms {
            let _ = write!(line, " {:?}@{}", sample.histogram, sample.timestamp.0);
        }
        for (_, start) in series.starts {
            let _ = write!(line, " start {}", start.start);
        }
        for exemplar in series.exemplars {
            let _ = write!(line, " # {} {}", exemplar.labels, exemplar.value);
        }
        lines.push(line);
    }
    for family in batch.metadata() {
        let kind = family.metric_type.as_str();
        lines.push(format!(
            "{} {kind} {:?} {:?}",
            family.family, family.help, family.unit
        ));
    }
    if !refused.is_empty() {
        lines.push(format!("{} refused: {refused}", refused.samples));
    }
    lines
}

fn check(metrics: &Json, expected: &[&str]) {
    assert_eq!(translated(metrics, &json!([])), expected);
}

fn attribute(key: &str, value: &str) -> Json {
    json!({"key": key, "value": {"stringValue": value}})
}

#[test]
fn numbers_are_floats_with_their_attributes() {
    check(
        &json!([{
            "name": "memory.usage", "unit": "By", "description": "Used.",
            "gauge": {"dataPoints": [
                {"timeUnixNano": "5000000000", "asDouble": 1.5, "attributes": [attribute("a.b", "x"), attribute("a_b", "y")]},
                {"timeUnixNano": 6_000_000_000_u64, "asInt": "7", "attributes": [
                    {"key": "n", "value": {"intValue": "3"}},
                    {"key": "b", "value": {"boolValue": true}},
                    {"key": "f", "value": {"doubleValue": 2.0}},
                    {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "q"}, {"intValue": 1}]}}},
                    {"key": "none"},
                ]},
                {"timeUnixNano": "7000000000", "flags": 1},
            ]},
        }]),
        &[
            "memory_usage_bytes{a_b=\"x;y\"} 1.5@5000",
            "memory_usage_bytes{b=\"true\", f=\"2\", l=\"[\\\"q\\\",1]\", n=\"3\"} 7@6000",
            "memory_usage_bytes NaN@7000",
            "memory_usage_bytes gauge \"Used.\" \"By\"",
        ],
    );
}

#[test]
fn sums_are_counters_where_they_only_grow_and_deltas_are_refused() {
    let points = json!([{
        "timeUnixNano": "5000000000", "startTimeUnixNano": "1000000000", "asInt": 3,
        "exemplars": [{"timeUnixNano": "4000000000", "asDouble": 1.0, "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "b7ad6b7169203331", "filteredAttributes": [attribute("k", "v")]}],
    }]);
    check(
        &json!([
            {"name": "hits", "sum": {"dataPoints": points, "aggregationTemporality": 2, "isMonotonic": true}},
            {"name": "queue", "sum": {"dataPoints": [{"timeUnixNano": "1000000"}], "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE"}},
            {"name": "delta", "sum": {"dataPoints": points, "aggregationTemporality": 1, "isMonotonic": true}},
            {"name": "empty"},
        ]),
        &[
            "hits_total 3@5000 start 1000 # {k=\"v\", span_id=\"b7ad6b7169203331\", trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 1",
            "queue 0@1",
            "hits_total counter \"\" \"\"",
            "queue gauge \"\" \"\"",
            "1 refused: metric \"delta\" was not taken: its temporality is not cumulative; configure the sender so that it is\n\
             metric \"empty\" was not taken: it has no data of a kind that is known",
        ],
    );
}

#[test]
fn explicit_bounds_are_a_classic_histogram() {
    check(
        &json!([{"name": "latency", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{
            "timeUnixNano": "2000000", "count": "6", "sum": 9.5, "bucketCounts": ["1", 2, "3"], "explicitBounds": [0.5, 1e3],
            "exemplars": [{"asDouble": 0.6}, {"asDouble": 5e3}],
        }]}}]),
        &[
            "latency_seconds_sum 9.5@2",
            "latency_seconds_count 6@2",
            "latency_seconds_bucket{le=\"0.5\"} 1@2",
            "latency_seconds_bucket{le=\"1000\"} 3@2 # {} 0.6",
            "latency_seconds_bucket{le=\"+Inf\"} 6@2 # {} 5000",
            "latency_seconds histogram \"\" \"s\"",
        ],
    );
}

#[test]
fn exponential_bounds_are_a_native_histogram() {
    let point = |scale: i32, offset: i32, counts: &[u32]| {
        json!([{"name": "h", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{
            "timeUnixNano": "2000000", "count": "9", "sum": 1.0, "scale": scale, "zeroCount": "1",
            "positive": {"offset": offset, "bucketCounts": counts},
        }]}}])
    };
    let native = |schema: i32, span: &str, buckets: &str| {
        format!(
            "h Histogram {{ counter_reset_hint: Unknown, schema: {schema}, zero_threshold: 1e-128, zero_count: 1.0, count: 9.0, sum: 1.0, \
             positive_spans: [{span}], positive_buckets: [{buckets}], negative_spans: [], negative_buckets: [], custom_values: [] }}@2"
        )
    };
    let family = "h histogram \"\" \"\"";
    let span = |offset: i32, length: u32| format!("Span {{ offset: {offset}, length: {length} }}");
    check(
        &point(3, -2, &[0, 2, 0, 6, 0]),
        &[&native(3, &span(0, 3), "2.0, 0.0, 6.0"), family],
    );
    // Two of scale 9 are one of scale 8: -3 and -2, -1 alone, 0 and 1.
    check(
        &point(9, -3, &[1, 2, 3, 4, 5]),
        &[&native(8, &span(-1, 3), "1.0, 5.0, 9.0"), family],
    );
    check(&point(0, 5, &[]), &[&native(0, "", ""), family]);
    let refused = "1 refused: metric \"h\" was not taken: its scale is below -4, which no native histogram has; let the sender merge fewer buckets";
    check(&point(-5, 0, &[1]), &[family, refused]);
}

#[test]
fn summaries_have_quantiles() {
    check(
        &json!([{"name": "rpc", "summary": {"dataPoints": [{
            "timeUnixNano": "2000000", "count": "6", "sum": 9.5,
            "quantileValues": [{"quantile": 0.99, "value": 3.0}, {"quantile": 1, "value": "Infinity"}],
        }]}}]),
        &[
            "rpc_sum 9.5@2",
            "rpc_count 6@2",
            "rpc{quantile=\"0.99\"} 3@2",
            "rpc{quantile=\"1\"} inf@2",
            "rpc summary \"\" \"\"",
        ],
    );
}

#[test]
fn a_resource_is_job_instance_and_target_info() {
    let identity = || {
        vec![
            attribute("service.name", "shop"),
            attribute("service.namespace", "eu"),
            attribute("service.instance.id", "i1"),
        ]
    };
    let metrics = json!([{"name": "up", "gauge": {"dataPoints": [
        {"timeUnixNano": "1000000000", "asInt": 1}, {"timeUnixNano": "301000000000", "asInt": 1},
    ]}}]);
    let up = "up{instance=\"i1\", job=\"eu/shop\"}";
    let points = [format!("{up} 1@1000"), format!("{up} 1@301000")];
    let family = "up gauge \"\" \"\"".to_owned();
    let alone = translated(&metrics, &identity().into());
    assert_eq!(
        alone,
        [points.as_slice(), std::slice::from_ref(&family)].concat(),
        "nothing else is known"
    );
    let mut attributes = identity();
    attributes.push(attribute("host.name", "h"));
    let info =
        "target_info{host_name=\"h\", instance=\"i1\", job=\"eu/shop\"} 1@1000 1@151000 1@301000"
            .to_owned();
    let told = translated(&metrics, &attributes.into());
    assert_eq!(told, [points.as_slice(), &[info, family]].concat());
    let nobody = translated(&metrics, &json!([attribute("host.name", "h")]));
    assert_eq!(nobody.len(), 3, "nobody is identified: {nobody:?}");
}

#[test]
fn both_encodings_are_one_message() {
    let text = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","gauge":{"dataPoints":[{"timeUnixNano":"1000000","asInt":"5"}]}}]}]}],"unknown":{"a":[1]}}"#;
    let message: ExportMetricsServiceRequest = serde_json::from_str(text).expect("an export");
    let limits = IngestLimits::default();
    let bytes = message.encode_to_vec();
    let of = |body: &[u8], encoding| {
        let decoded = decode(body, encoding, &limits, ACCEPTED);
        decoded.expect("an export").0.to_series()
    };
    assert_eq!(
        of(&bytes, Encoding::Protobuf),
        of(text.as_bytes(), Encoding::Json)
    );
    for (body, encoding) in [
        (&b"\x0a\x05"[..], Encoding::Protobuf),
        (b"{", Encoding::Json),
        (br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asInt":"x"}]}}]}]}]}"#, Encoding::Json),
    ] {
        assert!(decode(body, encoding, &limits, ACCEPTED).is_err(), "{encoding:?}");
    }
}

#[test]
fn an_export_is_weighed_before_it_is_decoded() {
    let limits = IngestLimits {
        decoded_bytes_max: 100_000,
        ..IngestLimits::default()
    };
    // Ten thousand empty points take two bytes each.
    let points = [0x0a, 0].repeat(10_000);
    let within = |field: u8, inner: &[u8]| {
        let mut out = vec![field << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend_from_slice(inner);
        out
    };
    let message = within(1, &within(2, &within(2, &within(5, &points))));
    let decoded = decode(&message, Encoding::Protobuf, &limits, ACCEPTED);
    assert!(matches!(decoded, Err(OtlpError::TooHeavy { bytes, .. }) if bytes > 1_000_000));
    let mut deep = Vec::new();
    for _ in 0..200 {
        deep = within(5, &within(1, &deep));
    }
    let message = within(1, &within(1, &within(1, &within(2, &deep))));
    assert!(decode(&message, Encoding::Protobuf, &limits, ACCEPTED).is_err());
    let text = format!("[{}]", "{},".repeat(10_000));
    assert!(decode(text.as_bytes(), Encoding::Json, &limits, ACCEPTED).is_err());
}
