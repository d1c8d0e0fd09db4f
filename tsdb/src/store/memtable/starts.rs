//! When the counters behind the samples of one series started.
//!
//! Few senders say so, hence starts are kept beside the rows and by the row's place among the rows of the
//! series: a row that is written over takes its start with it.

/// The starts that are known, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Starts {
    floats: Vec<(u32, i64)>,
    histograms: Vec<(u32, i64)>,
}

impl Starts {
    /// Notes for each of `rows`, an instant and a start, when the counter behind the last sample at that
    /// instant started. `floats` are the instants of the series' floats and `histograms` those of its
    /// histograms, each with the number of floats before it, both in the order of writing.
    pub(super) fn write(
        &mut self,
        rows: &[(i64, i64)],
        floats: impl Iterator<Item = i64>,
        histograms: impl Iterator<Item = (u32, i64)>,
    ) {
        let mut wanted: Vec<Wanted> = rows.iter().map(|row| Wanted::of(*row)).collect();
        // Of two starts at one instant the later counts.
        wanted.reverse();
        wanted.sort_by_key(|wanted| wanted.at);
        wanted.dedup_by_key(|wanted| wanted.at);
        let find = |wanted: &[Wanted], at| wanted.binary_search_by_key(&at, |w| w.at).ok();
        for (row, at) in (0..).zip(floats) {
            if let Some(found) = find(&wanted, at).and_then(|place| wanted.get_mut(place)) {
                found.float = Some(row);
            }
        }
        for (row, (floats, at)) in (0..).zip(histograms) {
            if let Some(found) = find(&wanted, at).and_then(|place| wanted.get_mut(place))
                && found.float.is_none_or(|float| float < floats)
            {
                found.histogram = Some(row);
            }
        }
        for wanted in wanted {
            match (wanted.histogram, wanted.float) {
                (Some(row), _) => put(&mut self.histograms, row, wanted.start),
                (None, Some(row)) => put(&mut self.floats, row, wanted.start),
                (None, None) => {}
            }
        }
    }

    /// The starts of the floats.
    pub(super) const fn floats(&self) -> Lookup<'_> {
        Lookup {
            rest: self.floats.as_slice(),
        }
    }

    /// The starts of the histograms.
    pub(super) const fn histograms(&self) -> Lookup<'_> {
        Lookup {
            rest: self.histograms.as_slice(),
        }
    }

    /// What they take in memory, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        (self.floats.len() + self.histograms.len()) * size_of::<(u32, i64)>()
    }
}

/// A row whose start is told.
struct Wanted {
    at: i64,
    start: i64,
    float: Option<u32>,
    histogram: Option<u32>,
}

impl Wanted {
    const fn of((at, start): (i64, i64)) -> Self {
        Self {
            at,
            start,
            float: None,
            histogram: None,
        }
    }
}

/// Mostly the row comes behind all others; where it does not, the list is kept in order.
fn put(starts: &mut Vec<(u32, i64)>, row: u32, start: i64) {
    match starts.last() {
        Some((last, _)) if *last >= row => {
            match starts.binary_search_by_key(&row, |(row, _)| *row) {
                Ok(place) => {
                    if let Some(known) = starts.get_mut(place) {
                        known.1 = start;
                    }
                }
                Err(place) => starts.insert(place, (row, start)),
            }
        }
        _ => starts.push((row, start)),
    }
}

/// Looks the starts of rows up, in the order of the rows.
pub(super) struct Lookup<'a> {
    rest: &'a [(u32, i64)],
}

impl Lookup<'_> {
    /// The start of a row that comes behind the one before; 0 where it is not known.
    pub(super) fn of(&mut self, row: u32) -> i64 {
        while let Some(((known, start), rest)) = self.rest.split_first() {
            if *known > row {
                break;
            }
            self.rest = rest;
            if *known == row {
                return *start;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_belongs_to_the_last_sample_at_its_instant() {
        let mut starts = Starts::default();
        // A float at 10 and 20; then a histogram at 20, and a float at 10 again.
        let floats = [10, 20, 10];
        let histograms = [(2, 20)];
        let write = |starts: &mut Starts, rows: &[(i64, i64)], floats: &[i64]| {
            starts.write(rows, floats.iter().copied(), histograms.into_iter());
        };
        write(&mut starts, &[(10, 1), (20, 2)], &floats[..2]);
        write(&mut starts, &[(10, 4), (10, 3), (30, 9)], &floats);
        let mut lookup = starts.floats();
        assert_eq!([0, 1, 2, 3].map(|row| lookup.of(row)), [1, 0, 3, 0]);
        assert_eq!(starts.histograms().of(0), 2);
    }
}
