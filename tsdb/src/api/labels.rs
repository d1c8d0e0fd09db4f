//! `labels`, `label/NAME/values`, `series`.

use axum::extract::{Path, State};
use model::vector::{write_labels, write_text};

use super::Api;
use super::params::Params;
use super::response::{ApiError, Success};
use super::text::Text;
use crate::query::Guard;
use crate::store::read::labels::LabelQuery;

/// What a name, a value or a label set takes as text, about.
const ITEM_BYTES: usize = 128;
const TRUNCATED: &str = "results truncated due to limit";
/// Starts a label name that is escaped to fit into a path.
const ESCAPED: &str = "U__";

/// `labels`
pub(super) async fn names(State(api): State<Api>, params: Params) -> Result<Success, ApiError> {
    let (range, limit) = (params.range()?, params.limit()?);
    api.run_query(None, move |api, guard| {
        let matchers = &params.matchers(guard)?;
        let query = LabelQuery { matchers, range };
        let names = api.tsdb.reader().label_names(query, guard)?;
        listed(names, limit, guard, |out, name| write_text(out, name))
    })
    .await
}

/// `label/NAME/values`
pub(super) async fn values(
    State(api): State<Api>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Success, ApiError> {
    let name = unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let (range, limit) = (params.range()?, params.limit()?);
    api.run_query(None, move |api, guard| {
        let matchers = &params.matchers(guard)?;
        let query = LabelQuery { matchers, range };
        let reader = api.tsdb.reader();
        let values = reader.label_values(&name, query, limit, guard)?;
        listed(values, limit, guard, |out, value| write_text(out, value))
    })
    .await
}

/// `series`
pub(super) async fn series(State(api): State<Api>, params: Params) -> Result<Success, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (range, limit) = (params.range()?, params.limit()?);
    api.run_query(None, move |api, guard| {
        let matchers = &params.matchers(guard)?;
        let query = LabelQuery { matchers, range };
        let series = api.tsdb.reader().series(query, limit, guard)?;
        listed(series, limit, guard, write_labels)
    })
    .await
}

/// Drops each item once it is written.
fn listed<T>(
    items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    limit: Option<usize>,
    guard: &Guard,
    mut write: impl FnMut(&mut String, &T),
) -> Result<Success, ApiError> {
    let items = items.into_iter();
    let found = items.len();
    let shown = limit.map_or(found, |limit| limit.min(found));
    let mut data = Text::of(guard);
    data.write_list(items.take(shown), |data, item| {
        data.write(ITEM_BYTES, |out| write(out, &item))
    })?;
    let mut success = Success::new(data);
    if shown < found {
        success.warnings.push(TRUNCATED.to_owned());
    }
    Ok(success)
}

/// A label name as it is, of one that may be escaped: `U__`, then `__` for an underscore and
/// `_2e_` for the character U+002E. What is not such a name is taken as it stands.
/// Source: `model.UnescapeName` of Prometheus' `common`.
fn unescape(name: &str) -> String {
    let as_it_stands = || name.to_owned();
    let Some(mut rest) = name.strip_prefix(ESCAPED) else {
        return as_it_stands();
    };
    let mut unescaped = String::with_capacity(rest.len());
    while let Some((before, after)) = rest.split_once('_') {
        unescaped.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            unescaped.push('_');
            rest = after;
            continue;
        }
        let Some((code, after)) = after.split_once('_') else {
            return as_it_stands();
        };
        let character = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        let Some(character) = character.filter(|_| code.len() <= 6) else {
            return as_it_stands();
        };
        unescaped.push(character);
        rest = after;
    }
    unescaped.push_str(rest);
    unescaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_unescaped() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U___263a_", "☺"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_2e", "U__a_2e"),
            ("U__", ""),
        ] {
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
    }
}
