//! Frames of chunks.
//!
//! ```text
//! frame   length uvarint, CRC-32C of the message u32 big-endian, message: prometheus.ChunkedReadResponse
//! ```
//!
//! A frame has chunks of one series. A series whose chunks take more than a frame may has several, each
//! with its labels.

use model::labels::Labels;
use model::wire::remote_read::{Chunk, ChunkedReadResponse, ChunkedSeries};
use model::wire::remote_write::{LabelPair, labels_to};
use prost::Message as _;
use prost::encoding::encode_varint;

use super::super::streamed::{Sink, Stopped};
use crate::query::Samples;
use crate::transfer::prometheus::encode;

/// Bytes of labels and chunks beyond which a frame is sent; upstream's default.
const FRAME_BYTES: usize = 1 << 20;

/// Sends the chunks of a series, which answers the query of this number.
pub(super) fn send(
    query_index: i64,
    labels: &Labels,
    samples: &Samples,
    sink: &Sink,
) -> Result<(), Stopped> {
    let labels = labels_to(labels);
    let mut waiting = Vec::new();
    let mut bytes = 0;
    let mut result = Ok(());
    let histograms = &samples.histograms;
    encode::chunks(&samples.timestamps, &samples.values, histograms, |chunk| {
        bytes += chunk.data.len();
        waiting.push(chunk);
        if bytes >= FRAME_BYTES && result.is_ok() {
            bytes = 0;
            result = sink.send(frame(query_index, &labels, std::mem::take(&mut waiting)));
        }
    });
    result?;
    if waiting.is_empty() {
        return Ok(());
    }
    sink.send(frame(query_index, &labels, waiting))
}

fn frame(query_index: i64, labels: &[LabelPair], chunks: Vec<Chunk>) -> Vec<u8> {
    let message = ChunkedReadResponse {
        chunked_series: vec![ChunkedSeries {
            labels: labels.to_vec(),
            chunks,
        }],
        query_index,
    };
    let message = message.encode_to_vec();
    let mut frame = Vec::with_capacity(message.len() + 16);
    encode_varint(message.len() as u64, &mut frame);
    frame.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}
