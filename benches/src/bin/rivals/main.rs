//! Taffrail held against Prometheus and VictoriaMetrics: one command, one table.
//!
//! Every system is a process of its own, found on PATH or named by a flag, and spoken to over HTTP with the same
//! remote-write bodies and the same query strings on the same data. What a row measures, and what it leaves
//! out, stands at the head of its module and in `benches/README.md`. A rival that is not installed
//! has "absent" in its column; a row that fails says why, and the others go on.
//!
//! Modules, in the order data flows:
//!
//! - [`arguments`]: what is measured, how large, and where the programs are.
//! - [`series`]: series to send: generated, or recorded once.
//! - [`process`]: a child process: its CPU time and memory, and its end.
//! - [`system`]: the three systems: how each is started, what it calls things.
//! - [`client`]: remote write from several connections, and queries.
//! - [`offline`]: what is done to Taffrail's files while no process has them.
//! - [`rows`]: the rows of the table.
//! - [`report`]: the table and the JSON.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program that prints a table

mod arguments;
mod client;
mod offline;
mod process;
mod report;
mod rows;
mod series;
mod system;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use arguments::Arguments;
use report::Report;
use system::Bench;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // One crypto provider for every client of this process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bench = Bench::new(&arguments)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut report = Report::new(&bench);
    let path = &arguments.json;
    for row in arguments.rows() {
        eprintln!("--- {row:?}");
        let found = runtime.block_on(rows::run(row, &bench));
        report.add(row, found);
        // After each row: what takes half an hour is not lost with the last of it.
        report
            .write_json(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", report.table());
    println!("written to {}", path.display());
    let complete = !arguments.require_rivals || bench.absent().is_empty();
    if !complete {
        eprintln!("--require-rivals: absent: {}", bench.absent().join(", "));
    }
    Ok(if complete && !report.has_failed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
