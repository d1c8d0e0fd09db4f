//! The floats of a memtable.
//!
//! A series has five rows a block, and a block is a cache line: what a series of a scrape a minute
//! costs is one block and a note of sixteen bytes where it is. Blocks are taken one after another
//! from pages, so that a scrape that comes in the order of the one before runs through memory, and a
//! flush gives everything back at once. Rows name their instant by a number: those of a scrape share it.

use storage::index::SeriesRef;
use storage::pages::Pages;

use super::super::columns::Columns;

/// Rows of a block.
const BLOCK_ROWS: u32 = 5;

/// Rows of one series in the order of writing, and the block that goes on.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Block {
    values: [f64; BLOCK_ROWS as usize],
    instants: [u32; BLOCK_ROWS as usize],
    next: u32,
}

/// Where the rows of a series are.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    first: u32,
    last: u32,
    rows: u32,
}

/// The floats of all series.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By place in the registry.
    chains: Pages<Chain>,
    blocks: Pages<Block>,
    /// Instants, each of which differs from the one before.
    instants: Pages<i64>,
    last_instant: Option<i64>,
}

impl Rows {
    /// Sets the instant of the rows that follow. `None` where there are too many rows.
    #[inline]
    pub(super) fn at(&mut self, instant: i64) -> Option<u32> {
        if self.last_instant != Some(instant) {
            if self.instants.len() >= u32::MAX as usize {
                return None;
            }
            self.instants.push(instant);
            self.last_instant = Some(instant);
        }
        Some((self.instants.len() as u32).wrapping_sub(1))
    }

    /// Appends a row to a series; `instant` is what [`Self::at`] gave. `None` where there are too many.
    #[inline]
    pub(super) fn push(&mut self, series: SeriesRef, instant: u32, value: f64) -> Option<()> {
        while self.chains.len() <= series as usize {
            self.chains.push(Chain::default());
        }
        let chain = self.chains.get_mut(series)?;
        let slot = chain.rows % BLOCK_ROWS;
        if slot == 0 {
            let new = u32::try_from(self.blocks.len()).ok()?;
            if chain.rows == 0 {
                chain.first = new;
            } else {
                self.blocks.get_mut(chain.last)?.next = new;
            }
            chain.last = new;
            self.blocks.push(Block::default());
        }
        let rows = chain.rows.checked_add(1)?;
        let block = self.blocks.get_mut(chain.last)?;
        *block.values.get_mut(slot as usize)? = value;
        *block.instants.get_mut(slot as usize)? = instant;
        chain.rows = rows;
        Some(())
    }

    /// How many rows a series has.
    #[inline]
    pub(super) fn len_of(&self, series: SeriesRef) -> u32 {
        self.chains.get(series).map_or(0, |chain| chain.rows)
    }

    /// The rows of a series in the order of writing.
    pub(super) fn of(&self, series: SeriesRef) -> impl Iterator<Item = (i64, f64)> {
        let chain = self.chains.get(series).copied().unwrap_or_default();
        let mut block = self.blocks.get(chain.first);
        (0..chain.rows).map_while(move |row| {
            let slot = (row % BLOCK_ROWS) as usize;
            if slot == 0 && row > 0 {
                block = self.blocks.get(block?.next);
            }
            let block = block?;
            let at = self.instants.get(*block.instants.get(slot)?)?;
            Some((*at, *block.values.get(slot)?))
        })
    }

    /// The instants that rows have, with repetitions.
    pub(super) fn instants(&self) -> impl Iterator<Item = i64> {
        self.instants.iter().copied()
    }

    /// The rows of a series as columns: in order of time, the last of each instant.
    pub(super) fn columns_of(&self, series: SeriesRef, columns: &mut Columns) {
        let rows = self.len_of(series) as usize;
        let mut ordered = true;
        let mut before = i64::MIN;
        let floats = &mut columns.floats;
        floats.timestamps.reserve(rows);
        floats.values.reserve(rows);
        for (row, (at, value)) in self.of(series).enumerate() {
            ordered &= row == 0 || before < at;
            before = at;
            floats.timestamps.push(at);
            floats.values.push(value);
        }
        if !ordered {
            *columns = Columns::default();
            columns.write_floats(self.of(series).collect());
        }
    }

    /// What as many rows of each of as many series take at the most.
    pub(super) fn bytes_of(series: u64, rows: u64) -> usize {
        let block = rows.div_ceil(u64::from(BLOCK_ROWS)) * size_of::<Block>() as u64;
        let instants = rows * size_of::<i64>() as u64;
        let bytes = series.saturating_mul(block + instants + size_of::<Chain>() as u64);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// What the rows take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.chains.bytes() + self.blocks.bytes() + self.instants.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_cache_line() {
        assert_eq!(size_of::<Block>(), 64);
    }

    #[test]
    fn rows_come_back_in_the_order_of_writing() {
        let mut rows = Rows::default();
        for row in 0..23i64 {
            for series in [0, 7, 3] {
                let at = if series == 7 { 100 - row } else { row / 2 };
                let at = rows.at(at).expect("room");
                let value = row as f64 + f64::from(series) * 100.0;
                rows.push(series, at, value).expect("room");
            }
        }
        let of = |series| rows.of(series).collect::<Vec<_>>();
        let expected: Vec<_> = (0..23).map(|row| (100 - row, row as f64 + 700.0)).collect();
        assert_eq!(of(7), expected);
        assert_eq!(of(5), []);
        let mut columns = Columns::default();
        rows.columns_of(3, &mut columns);
        assert_eq!(columns.floats.timestamps, (0..12).collect::<Vec<_>>());
        assert_eq!(columns.floats.values[3], 307.0);
    }
}
