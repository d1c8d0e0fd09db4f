//! `metadata`, `status/buildinfo`.

use axum::extract::State;
use model::sample::Metadata;
use model::vector::{write_list, write_text};

use super::Api;
use super::params::Params;
use super::response::{ApiError, Success};

/// `metadata`
pub(super) async fn metadata(State(api): State<Api>, params: Params) -> Result<Success, ApiError> {
    let limit = number(&params, "limit")?;
    let limit_per_metric = number(&params, "limit_per_metric")?;
    let per_metric = limit_per_metric.filter(|limit| *limit > 0);
    let mut families = Vec::new();
    let mut add = |family: &str, known: &[Metadata]| {
        if limit.is_none_or(|limit| families.len() < limit) && !known.is_empty() {
            let shown = known.len().min(per_metric.unwrap_or(usize::MAX));
            families.push((
                family.to_owned(),
                known.get(..shown).unwrap_or_default().to_vec(),
            ));
        }
    };
    let store = api.tsdb.metadata();
    match params.get("metric") {
        "" => store.each(add),
        metric => add(metric, &store.of(metric)),
    }
    let mut data = String::from("{");
    for (index, (family, known)) in families.iter().enumerate() {
        if index > 0 {
            data.push(',');
        }
        write_text(&mut data, family);
        data.push(':');
        write_list(&mut data, known, write_metadata);
    }
    data.push('}');
    Ok(Success::new(data))
}

fn write_metadata(out: &mut String, metadata: &Metadata) {
    out.push_str("{\"type\":");
    write_text(out, metadata.metric_type.as_str());
    out.push_str(",\"help\":");
    write_text(out, &metadata.help);
    out.push_str(",\"unit\":");
    write_text(out, &metadata.unit);
    out.push('}');
}

/// A number; none where it is negative, as upstream has it.
fn number(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    let text = params.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number: i64 = text
        .parse()
        .map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).ok())
}

/// `status/buildinfo`. Grafana reads the version to learn what the server can do.
pub(super) async fn buildinfo(State(api): State<Api>) -> Success {
    let mut data = String::from("{\"version\":");
    write_text(&mut data, &api.options().version);
    for name in ["revision", "branch", "buildUser", "buildDate", "goVersion"] {
        data.push(',');
        write_text(&mut data, name);
        data.push_str(":\"\"");
    }
    data.push('}');
    Success::new(data)
}
