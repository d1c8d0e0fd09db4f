//! What Prometheus' and Loki's APIs answer, as rules see it.

use admission::data::{Answer, LabelMap};
use serde_json::Value;

/// The answer of either API.
pub(super) fn read(answer: &Value) -> Option<Answer> {
    let data = answer.get("data")?;
    let result = data.get("result")?;
    let number = |value: &Value| -> Option<f64> { value.as_str()?.parse().ok() };
    let point = |point: &Value| Some((point.get(0)?.as_f64()?, number(point.get(1)?)?));
    let labels = |of: &Value, key: &str| -> LabelMap {
        let labels = of.get(key).and_then(Value::as_object).into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    };
    match data.get("resultType")?.as_str()? {
        "scalar" => Some(Answer::Vector(vec![(LabelMap::new(), point(result)?.1)])),
        "string" => {
            let text = result.get(1)?.as_str()?.to_owned();
            Some(Answer::Lines(vec![(
                LabelMap::new(),
                result.get(0)?.as_f64()?,
                text,
            )]))
        }
        "vector" => {
            let of = result.as_array()?.iter().map(|one| {
                let value = one
                    .get("value")
                    .map_or(Some(f64::NAN), |value| Some(point(value)?.1));
                Some((labels(one, "metric"), value?))
            });
            Some(Answer::Vector(of.collect::<Option<_>>()?))
        }
        "matrix" => {
            let of = result.as_array()?.iter().map(|one| {
                let points = one
                    .get("values")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                Some((
                    labels(one, "metric"),
                    points.map(point).collect::<Option<_>>()?,
                ))
            });
            Some(Answer::Matrix(of.collect::<Option<_>>()?))
        }
        "streams" => {
            let mut lines = Vec::new();
            for stream in result.as_array()? {
                let entries = stream.get("values").and_then(Value::as_array);
                for entry in entries.into_iter().flatten() {
                    let nanos: i64 = entry.get(0)?.as_str()?.parse().ok()?;
                    let line = entry.get(1)?.as_str()?.to_owned();
                    lines.push((labels(stream, "stream"), nanos as f64 / 1e9, line));
                }
            }
            lines.sort_by(|a, b| b.1.total_cmp(&a.1));
            Some(Answer::Lines(lines))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_either_api_answers_is_read() {
        let one = LabelMap::from([("a".to_owned(), "b".to_owned())]);
        let metric = json!({"a": "b"});
        for (data, expected) in [
            (
                json!({"resultType": "scalar", "result": [1.5, "2"]}),
                Some(Answer::Vector(vec![(LabelMap::new(), 2.0)])),
            ),
            (
                json!({"resultType": "vector", "result": [{"metric": metric, "value": [1, "+Inf"]}]}),
                Some(Answer::Vector(vec![(one.clone(), f64::INFINITY)])),
            ),
            (
                json!({"resultType": "matrix", "result": [{"metric": metric, "values": [[1, "2"], [3, "4"]]}]}),
                Some(Answer::Matrix(vec![(
                    one.clone(),
                    vec![(1.0, 2.0), (3.0, 4.0)],
                )])),
            ),
            (
                json!({"resultType": "streams", "result": [{"stream": metric,
                    "values": [["1000000000", "old"], ["2000000000", "new"]]}]}),
                Some(Answer::Lines(vec![
                    (one.clone(), 2.0, "new".to_owned()),
                    (one, 1.0, "old".to_owned()),
                ])),
            ),
            (
                json!({"resultType": "vector", "result": [{"value": [1, 2]}]}),
                None,
            ),
            (json!({"resultType": "other", "result": []}), None),
            (json!(null), None),
        ] {
            assert_eq!(read(&json!({"data": data})), expected, "{data}");
        }
    }
}
