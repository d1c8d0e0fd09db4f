//! The metrics store: codecs, crashes, a model to compare with, damage, and the HTTP API.

// Helpers outside `#[test]` functions assert too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod admin;
mod api;
mod codecs;
mod concurrent;
mod crash;
mod damage;
mod endpoints;
mod export;
mod formats;
mod known;
mod labels;
mod life;
mod limits;
mod model;
mod otlp;
mod queries;
mod read;
mod registry;
mod rollup;
mod rules;
mod support;
mod surroundings;
mod transfer;
mod write;
mod write_2;
