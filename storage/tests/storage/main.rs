//! The store on a simulated disk: crashes, faults, damage, and a model to compare with.

// Helpers outside `#[test]` functions assert too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod budget;
mod crash;
mod damage;
mod delete;
mod faults;
mod merge;
mod model;
mod real;
mod retention;
mod snapshot;
mod tier;
mod toy;
