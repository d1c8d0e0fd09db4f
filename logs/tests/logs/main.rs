//! The log engine as the program holds it: on a disk that fails, against a model, over HTTP.

// Helpers of tests assert by unwrapping, outside of functions that clippy knows for tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod api;
mod crash;
mod damage;
mod lifecycle;
mod metrics;
mod model;
mod pages;
mod support;
