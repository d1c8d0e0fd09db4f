//! The shapes of `rules`, `alerts` and `alertmanagers`, and how rules are chosen.

use std::fmt::Write as _;

use serde_json::Value;
use storage::disk::sim::SimDisk;

use super::{ALERTING, RECORDING, Server};

#[tokio::test]
async fn rules_and_alerts_have_upstreams_shapes() {
    let server = Server::start(&SimDisk::new(1), 0, ALERTING);
    let (status, json) = server.get("/api/v1/rules").await;
    assert_eq!(status, 200);
    let file = server
        .dir
        .path()
        .join("a.yml")
        .to_string_lossy()
        .into_owned();
    let rule = |name: &str, query: &str, rest: Value| {
        let mut rule = serde_json::json!({
            "state": "inactive", "name": name, "query": query, "alerts": [],
            "health": "unknown", "evaluationTime": 0, "lastEvaluation": "0001-01-01T00:00:00Z",
            "type": "alerting"
        });
        for (key, value) in rest.as_object().expect("an object") {
            rule[key] = value.clone();
        }
        rule
    };
    let high = rule(
        "High",
        "gauge > 10",
        serde_json::json!({
            "duration": 120, "keepFiringFor": 180,
            "labels": {"severity": "page", "value": "{{ $value }}"},
            "annotations": {"summary": "{{ $labels.instance }} is at {{ $value }}"}
        }),
    );
    let now = rule(
        "Now",
        "gauge > 20",
        serde_json::json!({"duration": 0, "keepFiringFor": 0, "labels": {}, "annotations": {}}),
    );
    let expected = serde_json::json!({"status": "success", "data": {"groups": [{
        "name": "g", "file": file, "interval": 60, "limit": 0, "evaluationTime": 0,
        "lastEvaluation": "0001-01-01T00:00:00Z", "rules": [high, now]
    }]}});
    assert_eq!(json, expected);

    server.minutes(0, 3, |_| Some(25.0));
    let (_, json) = server.get("/api/v1/rules?rule_name[]=Now").await;
    let rules = &json["data"]["groups"][0]["rules"];
    assert_eq!(rules.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&rules[0]["state"], &rules[0]["health"]),
        (&"firing".into(), &"ok".into())
    );
    let (_, json) = server.get("/api/v1/alerts").await;
    let alerts = json["data"]["alerts"].as_array().expect("a list");
    assert_eq!(alerts.len(), 2, "{json}");
    assert_eq!(alerts[0]["labels"]["value"], "25");
    assert_eq!(alerts[0]["annotations"]["summary"], "a is at 25");
    assert_eq!(alerts[0]["value"], "2.5e+01");
    let (_, json) = server.get("/api/v1/alertmanagers").await;
    assert_eq!(
        json["data"],
        serde_json::json!({"activeAlertmanagers": [{"url": "http://am/api/v2/alerts"}], "droppedAlertmanagers": []})
    );
}

#[tokio::test]
async fn rules_are_chosen_and_paged() {
    let text = format!(
        "{RECORDING}{}",
        ALERTING
            .replace("groups:\n", "")
            .replace("name: g", "name: h")
    );
    let server = Server::start(&SimDisk::new(1), 0, &text);
    server.minutes(0, 2, |_| Some(25.0));
    for (query, expected) in [
        ("", "g:doubled,again h:High,Now"),
        ("type=alert", "h:High,Now"),
        ("type=record", "g:doubled,again"),
        ("rule_name[]=High&rule_name[]=again", "g:again h:High"),
        ("rule_group[]=h", "h:High,Now"),
        ("file[]=nowhere", ""),
        ("match[]={severity=\"page\"}", "h:High"),
        (
            "match[]={unit=~\"x|y\"}&match[]={severity=\"page\"}",
            "g:doubled h:High",
        ),
        ("group_limit=1", "g:doubled,again"),
        ("group_limit=1&type=alert", "h:High,Now"),
    ] {
        let query = query
            .replace('"', "%22")
            .replace('|', "%7C")
            .replace(['{', '}'], "");
        let query = query
            .replace("match[]=", "match[]=%7B")
            .replace("%22&", "%22%7D&");
        let query = if query.ends_with("%22") {
            format!("{query}%7D")
        } else {
            query
        };
        let (status, json) = server.get(&format!("/api/v1/rules?{query}")).await;
        assert_eq!(status, 200, "{query}: {json}");
        let mut text = String::new();
        for group in json["data"]["groups"].as_array().expect("groups") {
            let rules = group["rules"].as_array().expect("rules").iter();
            let names: Vec<&str> = rules.filter_map(|rule| rule["name"].as_str()).collect();
            let _ = write!(
                text,
                "{}:{} ",
                group["name"].as_str().expect("a name"),
                names.join(",")
            );
        }
        assert_eq!(text.trim_end(), expected, "{query}");
    }
    let (_, json) = server.get("/api/v1/rules?group_limit=1").await;
    let token = json["data"]["groupNextToken"]
        .as_str()
        .expect("there is more");
    let (_, json) = server
        .get(&format!(
            "/api/v1/rules?group_limit=1&group_next_token={token}"
        ))
        .await;
    assert_eq!(json["data"]["groups"][0]["name"], "h");
    assert!(json["data"].get("groupNextToken").is_none());
    let (_, json) = server
        .get("/api/v1/rules?exclude_alerts=true&rule_name[]=Now")
        .await;
    assert_eq!(
        json["data"]["groups"][0]["rules"][0]["alerts"],
        serde_json::json!([])
    );
    for query in [
        "type=x",
        "group_limit=0",
        "group_limit=x",
        "group_next_token=x",
        "group_limit=1&group_next_token=x",
        "exclude_alerts=x",
        "match[]=x%7B",
    ] {
        let (status, json) = server.get(&format!("/api/v1/rules?{query}")).await;
        assert_eq!(
            (status, &json["errorType"]),
            (400, &"bad_data".into()),
            "{query}"
        );
    }
}
