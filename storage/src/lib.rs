//! What a durable store is made of, once, for metrics, logs and whatever else must not be lost.
//!
//! A store is a log-structured merge of immutable parts:
//!
//! ```text
//! append → write-ahead log → memtable → flush → part → merge → part … → expire
//!            ack here
//! ```
//!
//! This member knows nothing of samples or log lines. A member that has rows to keep describes
//! them with the [`table::Table`] trait (how a batch becomes a record, how a record changes a
//! memtable, how memtables become parts and parts become one) and gets a [`store::Store`] that is
//! crash-safe, bounded and self-maintaining. The invariants are listed in [`store`]; each has a
//! test in `tests/` that tries to break it on a simulated disk.
//!
//! There is no async here and no global: the disk and the clock are handed in, so that a seed
//! replays a failure. Whoever calls from an async thread moves the call off it first.
//!
//! Modules, in the order data flows:
//!
//! - [`clock`]: the time, handed in.
//! - [`disk`]: the disk, handed in: the real one and a simulated one that fails on request.
//! - [`codec`]: varints and the cursor that durable formats are read with.
//! - [`patience`]: how long whoever asked waits.
//! - [`pages`]: lists that grow in place, for what there are millions of.
//! - [`wal`]: the write-ahead log: frames, segments, group commit, replay.
//! - [`index`]: labels to series, in memory and in a part.
//! - [`part`]: the container of an immutable part: checksummed blocks and named sections.
//! - [`tier`]: old parts in a bucket.
//! - [`manifest`]: which parts there are; the one thing that changes by rename.
//! - [`table`]: what a member says about its rows.
//! - [`store`]: the store itself: append, view, flush, merge, expire, recover.
//! - [`crash`]: the crash test that every table must pass.

pub mod clock;
pub mod codec;
pub mod crash;
pub mod disk;
pub mod index;
pub mod manifest;
pub mod pages;
pub mod part;
pub mod patience;
pub mod store;
pub mod table;
pub mod tier;
pub mod wal;
