//! Asking a server: one request, one JSON answer or one clear error.
//!
//! Whoever asks does it through [`post`], which shows the credentials and trusts whom the command line says.

use agent::access::without_secret;
use anyhow::{Context as _, anyhow, bail};
use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use crate::cli::ClientArgs;
use crate::cli::access::AccessArgs;

/// Sends a form and returns the `data` of the answer, and the warnings beside it.
pub(crate) async fn ask(
    client: &ClientArgs,
    path: &str,
    form: &[(&str, String)],
) -> anyhow::Result<Answer> {
    let server = client.server.trim_end_matches('/');
    let response = post(server, path, &client.access)
        .await?
        .form(form)
        .send()
        .await
        .map_err(|error| {
            if error.is_connect() {
                anyhow!("cannot reach {server}; is `taffrail run` running there? Name another server with --server")
            } else {
                anyhow::Error::new(error)
            }
        })?;
    let status = response.status();
    let body = response.text().await.context("the answer broke off")?;
    let json: Option<Value> = serde_json::from_str(&body).ok();
    if !status.is_success() {
        // Prometheus' API puts the reason into JSON, Loki's answers in plain text.
        let reason = json
            .as_ref()
            .and_then(|json| json.get("error")?.as_str())
            .unwrap_or(body.trim());
        bail!("{server} answers {status}: {reason}{}", hint(status));
    }
    let mut json = json.ok_or_else(|| {
        anyhow!("{server}{path} does not answer in JSON; is it a Taffrail server?")
    })?;
    let texts = |list: Option<&Value>| {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let warnings = texts(json.get("warnings"));
    let data = json
        .get_mut("data")
        .map(Value::take)
        .ok_or_else(|| anyhow!("the answer of {server}{path} has no data"))?;
    Ok(Answer { data, warnings })
}

/// A request to a server, with credentials.
pub(crate) async fn post(
    server: &str,
    path: &str,
    access: &AccessArgs,
) -> anyhow::Result<RequestBuilder> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    let url = Url::parse(&url).with_context(|| format!("{server}: write http://HOST:PORT"))?;
    without_secret(&url)?;
    let access = access.access();
    let client = access.client()?.build()?;
    Ok(access.authorize(client.post(url)).await?)
}

/// What helps whom a server does not admit.
pub(crate) fn hint(status: reqwest::StatusCode) -> &'static str {
    match status {
        reqwest::StatusCode::UNAUTHORIZED => {
            "; say who you are with --bearer-token-file, --user and --password-file, or --cert and --key"
        }
        _ => "",
    }
}

/// What a server answered.
pub(crate) struct Answer {
    /// `resultType` and `result`.
    pub(crate) data: Value,
    /// What was odd about the query.
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The kind of the result.
    pub(crate) fn result_type(&self) -> &str {
        self.data
            .get("resultType")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The elements of the result.
    pub(crate) fn result(&self) -> &[Value] {
        self.data
            .get("result")
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }
}

/// A label set in PromQL's notation, from its JSON object.
pub(crate) fn series_name(metric: Option<&Value>) -> String {
    let pairs = metric.and_then(Value::as_object).into_iter().flatten();
    let labels = model::labels::Labels::from_pairs(
        pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())),
    );
    labels.to_string()
}

/// An instant on the command line, as seconds with decimals: `now`, `now-1h`, RFC 3339 or Unix
/// seconds.
pub(crate) fn instant(text: &str) -> anyhow::Result<f64> {
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix("now-") {
        return Ok(now - seconds(ago)?);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(seconds);
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        anyhow!("{text:?} is not a time: write now, now-1h, 2026-01-31T12:00:00Z or Unix seconds")
    })?;
    Ok(at.as_millisecond() as f64 / 1000.0)
}

/// A duration on the command line, in seconds.
pub(crate) fn seconds(text: &str) -> anyhow::Result<f64> {
    let millis = model::time::parse_duration(text)
        .map_err(|error| anyhow!("{error}: write 30s, 5m, 1h30m or 7d"))?;
    Ok(millis as f64 / 1000.0)
}

/// Seconds since the epoch as a person reads them, in UTC.
pub(crate) fn readable_time(seconds: f64) -> String {
    jiff::Timestamp::from_millisecond((seconds * 1000.0).round() as i64)
        .map_or_else(|_| seconds.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_every_notation() {
        assert_eq!(instant("1700000000.5").expect("seconds"), 1_700_000_000.5);
        assert_eq!(
            instant("2023-11-14T22:13:20Z").expect("RFC 3339"),
            1_700_000_000.0
        );
        let ago = instant("now").expect("now") - instant("now-1h").expect("relative");
        assert!((3599.0..3601.0).contains(&ago), "{ago}");
        for wrong in ["yesterday", "now-1x", ""] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }
}
