//! JSON lines: the text that says everything the store holds, bit for bit.
//!
//! # Format
//!
//! A line is an object with samples of one series; a series may have any number of lines:
//!
//! ```json
//! {"metric":{"__name__":"up","job":"a"},"values":[1,0.5,"NaN"],"timestamps":[1700000000000,1700000015000,1700000030000]}
//! ```
//!
//! `metric` is the label set. `values` and `timestamps` are as long as each other; timestamps are whole
//! milliseconds since the epoch, in any order when read, ascending when written. This much is what
//! VictoriaMetrics exports and imports. What JSON's numbers cannot say is a text:
//!
//! | written | means |
//! | --- | --- |
//! | `"NaN"` | the NaN of an ordinary computation, bits 0x7ff8000000000001 |
//! | `"stale"` | the staleness marker, bits 0x7ff0000000000002 |
//! | `"+Inf"`, `"-Inf"` | the infinities |
//! | `"0x7ff8dead0000beef"` | a float by its 64 bits, sixteen digits: any other NaN |
//!
//! Every other float is a number: the shortest decimal that reads back to the same bits; `-0` is
//! minus zero. When read, `null` is `"NaN"`, and `"Inf"`, `"Infinity"`, `"-Infinity"` are the infinities.
//!
//! Native histograms stand beside the floats, where there are any:
//!
//! ```json
//! {"metric":{"__name__":"h"},"values":[],"timestamps":[],"histograms":[{"schema":1,"count":3,"sum":18.4,
//!  "zero_threshold":0.001,"zero_count":1,"positive_spans":[[0,2]],"positive_buckets":[1,1],
//!  "counter_reset_hint":"not_reset"}],"histogram_timestamps":[1700000000000]}
//! ```
//!
//! (in one line). `histograms` and `histogram_timestamps` are as long as each other. Spans are pairs of
//! offset and length, buckets are absolute counts, `custom_values` are the upper bounds where the schema is −53;
//! `negative_spans` and `negative_buckets` are the other half. `counter_reset_hint` is `reset`, `not_reset`
//! or `gauge`. Every field but `schema`, `count` and `sum` is left out where it is zero, empty or unknown.
//!
//! A line holds at most [`writer::LINE_FLOATS`] floats or [`writer::LINE_HISTOGRAMS`] histograms when written.

mod number;
pub mod reader;
pub mod writer;

#[cfg(test)]
mod tests;
