//! `export`: every sample of the series that match, as JSON lines, streamed.
//!
//! Path and shape are VictoriaMetrics'; the format is [`crate::transfer::json_lines`]. One series is in
//! memory at a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Api;
use super::params::Params;
use super::response::{ApiError, ErrorType};
use super::streamed::{Stopped, streamed};
use crate::query::Guard;
use crate::transfer::export::{ExportError, export};

const CONTENT_TYPE: &str = "application/stream+json; charset=utf-8";
/// Text that is sent at once, but for the last series' length.
const CHUNK_BYTES: usize = 64 << 10;

/// `export`
pub(super) async fn lines(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let turn = Arc::clone(&api.exports).try_acquire_owned().map_err(|_| {
        let reason = "too many exports are running; try again later";
        ApiError::new(ErrorType::Unavailable, reason)
    })?;
    let guard = Guard {
        memory: api.tsdb.engine().memory().allotment(),
        ..Guard::default()
    };
    let sets = params.matchers(&guard)?;
    let work = streamed(turn, CONTENT_TYPE, guard.memory, move |guard, sink| {
        let mut text = String::new();
        let ended = export(&api.tsdb.reader(), &sets, range, guard, |series| {
            series.write_json_lines(&mut text);
            if text.len() < CHUNK_BYTES {
                return Ok(());
            }
            sink.send(std::mem::take(&mut text).into_bytes())
        });
        ended.map_err(|error| match error {
            ExportError::Select(error) => Stopped::Select(error),
            ExportError::Taker(stopped) => stopped,
        })?;
        sink.send(text.into_bytes())
    });
    work.await
}
