//! Floats of one series, by column.

use std::ops::Range;

use model::time::TimeRange;

/// Floats in order of time, without two at one instant.
#[derive(Clone, Debug, Default)]
pub struct Floats {
    /// Milliseconds, strictly ascending.
    pub timestamps: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
    /// When the counter behind each value started, in milliseconds, 0 where that is not known: as
    /// many as there are values, or none where it is known of no value.
    pub starts: Vec<i64>,
}

/// A float as it arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatRow {
    /// When, in milliseconds.
    pub at: i64,
    /// How much.
    pub value: f64,
    /// When the counter behind it started, in milliseconds; 0 where that is not known.
    pub start: i64,
}

impl Floats {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Appends a float behind all others.
    pub(super) fn push(&mut self, row: FloatRow) {
        push_start(&mut self.starts, self.timestamps.len(), row.start);
        self.timestamps.push(row.at);
        self.values.push(row.value);
    }

    /// Appends floats that come behind all others.
    pub(super) fn append(&mut self, mut newer: Self) {
        let rows = self.timestamps.len();
        append_starts(
            &mut self.starts,
            rows,
            &newer.starts,
            newer.timestamps.len(),
        );
        self.timestamps.append(&mut newer.timestamps);
        self.values.append(&mut newer.values);
    }

    /// Keeps the floats whose instant passes.
    pub(super) fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        let kept: Vec<bool> = self.timestamps.iter().map(|at| keep(*at)).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        retain_flagged(&mut self.timestamps, &kept);
        retain_flagged(&mut self.values, &kept);
        retain_flagged(&mut self.starts, &kept);
    }

    /// Keeps the floats in `range`.
    pub(super) fn restrict(&mut self, range: TimeRange) {
        let positions = self.positions(range);
        restrict_to(&mut self.timestamps, &positions);
        restrict_to(&mut self.values, &positions);
        restrict_to(&mut self.starts, &positions);
    }

    /// A copy of the floats in `range`.
    pub(super) fn copy_of(&self, range: TimeRange) -> Self {
        let positions = self.positions(range);
        let timestamps = self.timestamps.get(positions.clone());
        Self {
            timestamps: timestamps.unwrap_or_default().to_vec(),
            values: (self.values.get(positions.clone()))
                .unwrap_or_default()
                .to_vec(),
            starts: self.starts.get(positions).unwrap_or_default().to_vec(),
        }
    }

    /// Writes `newer` over what is here.
    pub(super) fn overlay(&mut self, newer: Self) {
        let Some(first) = newer.timestamps.first() else {
            return;
        };
        let mut older = self.split_off(*first).into_rows().peekable();
        for row in newer.into_rows() {
            while let Some(before) = older.next_if(|older| older.at < row.at) {
                self.push(before);
            }
            older.next_if(|older| older.at == row.at);
            self.push(row);
        }
        for row in older {
            self.push(row);
        }
    }

    /// Each float with its start.
    fn into_rows(self) -> impl Iterator<Item = FloatRow> {
        let starts = self.starts.into_iter().chain(std::iter::repeat(0));
        self.timestamps
            .into_iter()
            .zip(self.values)
            .zip(starts)
            .map(|((at, value), start)| FloatRow { at, value, start })
    }

    /// Takes the floats at `at` and later away.
    fn split_off(&mut self, at: i64) -> Self {
        let position = self.timestamps.partition_point(|candidate| *candidate < at);
        Self {
            timestamps: self.timestamps.split_off(position),
            values: self.values.split_off(position),
            starts: self.starts.split_off(position.min(self.starts.len())),
        }
    }

    fn positions(&self, range: TimeRange) -> Range<usize> {
        let start = self.timestamps.partition_point(|at| *at < range.start.0);
        let end = self.timestamps.partition_point(|at| *at <= range.end.0);
        start..end.max(start)
    }
}

/// Appends the start of one more row to those of the `rows` before it.
pub(super) fn push_start(starts: &mut Vec<i64>, rows: usize, start: i64) {
    if start != 0 || !starts.is_empty() {
        starts.resize(rows, 0);
        starts.push(start);
    }
}

/// Appends the starts of `newer_rows` rows to those of `older_rows`.
pub(super) fn append_starts(
    older: &mut Vec<i64>,
    older_rows: usize,
    newer: &[i64],
    newer_rows: usize,
) {
    if !older.is_empty() || !newer.is_empty() {
        older.resize(older_rows, 0);
        older.extend_from_slice(newer);
        older.resize(older_rows + newer_rows, 0);
    }
}

/// Keeps the elements whose flag is set; without elements there is nothing to keep.
pub(super) fn retain_flagged<T>(elements: &mut Vec<T>, kept: &[bool]) {
    let mut flags = kept.iter();
    elements.retain(|_| flags.next() == Some(&true));
}

fn restrict_to<T>(elements: &mut Vec<T>, positions: &Range<usize>) {
    elements.truncate(positions.end);
    elements.drain(..positions.start.min(elements.len()));
}
