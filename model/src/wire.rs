//! Formats that cross the network, as messages and as conversions to the model's own types.
//!
//! The protobuf messages are written by hand: they are small, the crates that ship them are
//! stale, and a build must not need `protoc`.

pub mod exposition;
pub mod loki_push;
pub mod otlp;
pub mod remote_read;
pub mod remote_write;
