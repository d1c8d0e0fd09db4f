//! Which labels, streams and volumes there are.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::response::Response;
use model::labels::Labels;

use super::Api;
use super::error::ApiError;
use super::params::Params;
use super::response;
use crate::store::Volume;

/// `labels`: the names.
pub(super) async fn names(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (matchers, range) = (params.selector()?, params.labels_range()?);
    let logs = api.logs.clone();
    let work = move |_| Ok(logs.snapshot().label_names(&matchers, range)?);
    let names = api.queries.run(work).await?;
    Ok(response::json(response::success_texts(&names)))
}

/// `label/NAME/values`
pub(super) async fn values(
    State(api): State<Api>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (matchers, range) = (params.selector()?, params.labels_range()?);
    let logs = api.logs.clone();
    let work = move |_| Ok(logs.snapshot().label_values(&name, &matchers, range)?);
    let values = api.queries.run(work).await?;
    Ok(response::json(response::success_texts(&values)))
}

/// `series`: the label sets of the streams.
pub(super) async fn series(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (selectors, range) = (params.selectors()?, params.labels_range()?);
    let logs = api.logs.clone();
    let work = move |_| {
        let snapshot = logs.snapshot();
        let mut series = BTreeSet::new();
        for matchers in selectors {
            let volumes = snapshot.volumes(&matchers, range)?;
            series.extend(volumes.into_iter().map(|(labels, _)| labels));
        }
        Ok(series)
    };
    let series = api.queries.run(work).await?;
    Ok(response::json(response::success_series(&series)))
}

/// `index/stats`: how much a selector covers.
pub(super) async fn stats(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (matchers, range) = (params.selector()?, params.range()?);
    let logs = api.logs.clone();
    let work = move |_| {
        let volumes = logs.snapshot().volumes(&matchers, range)?;
        let mut total = Volume::default();
        for (_, volume) in &volumes {
            total += *volume;
        }
        Ok(response::index_stats(volumes.len(), total))
    };
    api.queries.run(work).await.map(response::json)
}

/// `index/volume`: bytes by the labels the selector names, the largest first.
pub(super) async fn volume(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (matchers, range, limit) = (params.selector()?, params.range()?, params.limit()?);
    let wanted = params
        .text("targetLabels")
        .split(',')
        .filter(|name| !name.is_empty());
    let mut wanted: BTreeSet<String> = wanted.map(str::to_owned).collect();
    if wanted.is_empty() {
        wanted.extend(matchers.iter().map(|matcher| matcher.name().to_owned()));
    }
    let by_label_name = match params.text("aggregateBy") {
        "" | "series" => false,
        "labels" => true,
        other => {
            return Err(ApiError::Parameter(format!(
                "invalid aggregateBy '{other}': it is series or labels"
            )));
        }
    };
    let logs = api.logs.clone();
    let work = move |_| {
        let mut bytes: BTreeMap<Labels, u64> = BTreeMap::new();
        for (labels, volume) in logs.snapshot().volumes(&matchers, range)? {
            let kept = labels.filtered(|name| wanted.contains(name));
            if !by_label_name {
                *bytes.entry(kept).or_default() += volume.bytes;
                continue;
            }
            for (name, _) in &kept {
                *bytes.entry(Labels::from_pairs([(name, name)])).or_default() += volume.bytes;
            }
        }
        let mut bytes: Vec<(Labels, u64)> = bytes.into_iter().collect();
        bytes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        bytes.truncate(limit);
        Ok(response::volumes(&bytes, range.end))
    };
    api.queries.run(work).await.map(response::json)
}

/// `detected_labels`: the names with how many values each has.
pub(super) async fn detected(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let (matchers, range) = (params.selector()?, params.range()?);
    let logs = api.logs.clone();
    let work = move |_| {
        let snapshot = logs.snapshot();
        let mut counts = Vec::new();
        for name in snapshot.label_names(&matchers, range)? {
            let values = snapshot.label_values(&name, &matchers, range)?;
            counts.push((name, values.len()));
        }
        Ok(response::detected_labels(&counts))
    };
    api.queries.run(work).await.map(response::json)
}
