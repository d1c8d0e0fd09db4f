//! The block folders of Prometheus' own store, read.
//!
//! A data folder of Prometheus holds a write-ahead log and blocks, folders named by a ULID. A block
//! is `meta.json`, `index` (symbols, series, postings), `chunks/NNNNNN` and `tombstones`. [`block`] walks the
//! series of the index in its order and reads the chunks they name; postings are not needed for that. The
//! log, which holds the newest two or three hours, is not read: stop Prometheus after a snapshot
//! (`/api/v1/admin/tsdb/snapshot`), which is nothing but blocks.
//!
//! Every checksum there is is compared: symbols, the table of contents, each series, each chunk, tombstones. What
//! is wrong names its file and offset and costs a series or a chunk; what was deleted stays deleted.
//! Chunk encodings that are not known here are refused by number and name.
//!
//! - [`bits`]: the bit stream and the integers of variable width in chunks.
//! - [`xor`]: a chunk of floats.
//! - [`xor2`]: a chunk of floats of the newer encoding.
//! - [`histograms`]: a chunk of native histograms, with integers or floats for counts.
//! - [`encode`]: samples to chunks, the other way, for remote read.
//! - [`chunk`]: a chunk in its file: length, encoding, checksum.
//! - [`index`]: symbols and series.
//! - [`tombstones`]: what was deleted.
//! - [`block`]: a block as a source; the blocks of a folder.
//!
//! Source: Prometheus' `tsdb/docs/format`. Integers are big-endian or varints, checksums CRC-32C.

mod bits;
pub mod block;
pub mod chunk;
pub(crate) mod encode;
mod histograms;
mod index;
mod tombstones;
mod xor;
mod xor2;

#[cfg(test)]
mod tests;
