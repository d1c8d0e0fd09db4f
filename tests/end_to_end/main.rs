//! The real binary, end to end: real input goes in, the process is killed, and what comes out
//! after a restart is what went in.

// Helpers outside `#[test]` functions assert too, and long runs print what they counted.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod admission;
mod alerts;
mod auth;
mod clients;
mod cluster;
mod drain;
mod flows;
mod harness;
mod hostile;
mod hostile_reviews;
mod kill;
mod machine;
mod mixed;
mod moving;
mod netpol;
mod pki;
mod prometheus;
mod start;
mod tenants;
mod tier;
mod tls;
