//! The generated day held against the codecs of a reference day: is it as hard as it should be?
//!
//! The reference is a day of the same kind, of which only figures are known: bytes a sample of its values for
//! six codecs, at three sizes of blocks. The movements and the mix of [`benches::day`] were fitted to
//! all eighteen at once, to none of the store's own; this program is the evidence. What each kind
//! of series contributes follows the table.

#![allow(clippy::print_stdout)] // a program that prints a table

mod codecs;

use std::collections::BTreeMap;

use benches::day::{Day, Kind};

/// Samples of a block: a chunk of Prometheus', two hours, a day.
const BLOCKS: [usize; 3] = [120, 480, 5_760];

/// The figures of the reference day.
const REFERENCE: [[f64; BLOCKS.len()]; codecs::NAMES.len()] = [
    [1.45, 1.44, 1.59],
    [0.95, 0.82, 0.76],
    [0.87, 0.83, 0.84],
    [0.91, 0.73, 0.70],
    [0.87, 0.71, 0.68],
    [0.80, 0.70, 0.64],
];

/// Bytes by codec and size of block.
type Bytes = [[usize; BLOCKS.len()]; codecs::NAMES.len()];

fn main() -> anyhow::Result<()> {
    let mut kinds: BTreeMap<Kind, (usize, Bytes)> = BTreeMap::new();
    for series in Day::default().series() {
        let (samples, bytes) = kinds.entry(series.kind).or_default();
        *samples += series.values.len();
        for (size, block) in BLOCKS.iter().enumerate() {
            for block in series.values.chunks(*block) {
                let found = codecs::bytes(block)?;
                for (sum, found) in bytes.iter_mut().zip(found) {
                    if let Some(sum) = sum.get_mut(size) {
                        *sum += found;
                    }
                }
            }
        }
    }
    let samples: usize = kinds.values().map(|(samples, _)| samples).sum();
    println!("| bytes a sample, values only | block | reference | here | difference |");
    println!("| --- | --- | --- | --- | --- |");
    for (codec, (name, reference)) in codecs::NAMES.iter().zip(REFERENCE).enumerate() {
        for (size, (block, reference)) in BLOCKS.iter().zip(reference).enumerate() {
            let here = kinds.values().map(|(_, bytes)| cell(bytes, codec, size));
            let here = here.sum::<usize>() as f64 / samples as f64;
            let percent = (here / reference - 1.0) * 100.0;
            println!("| {name} | {block} | {reference:.2} | {here:.3} | {percent:+.1} % |");
        }
    }
    println!("\n| kind | series | by codec, bytes a sample of the kind at {BLOCKS:?} |");
    println!("| --- | --- | --- |");
    for (kind, (of_kind, bytes)) in &kinds {
        let figures = bytes.map(|sizes| {
            let figures = sizes.map(|bytes| format!("{:.3}", bytes as f64 / *of_kind as f64));
            figures.join(" ")
        });
        let share = *of_kind as f64 / samples as f64 * 100.0;
        println!("| {kind:?} | {share:.0} % | {} |", figures.join(" / "));
    }
    Ok(())
}

fn cell(bytes: &Bytes, codec: usize, size: usize) -> usize {
    let sizes = bytes.get(codec);
    sizes
        .and_then(|sizes| sizes.get(size))
        .copied()
        .unwrap_or_default()
}
