//! Which tails have which pairs, for some pairs at a time.
//!
//! All of it at once would be as much as the tails themselves; a name after the other would look at
//! every tail for each of many names. So names are taken together until they have a good number of tails.

use std::ops::Range;

use super::apart::Ordered;

/// Tails of the names that are taken together. One name alone may have more: as many as there are.
const TAILS_AT_ONCE: u64 = if cfg!(test) { 16 } else { 1 << 21 };

/// The tails of each pair, asked for in order.
pub(super) struct Postings<'a> {
    of: &'a Ordered,
    names: &'a [Range<u32>],
    /// By pair: how many tails have it.
    counts: Vec<u32>,
    /// The pairs whose tails are at hand.
    pairs: Range<u32>,
    /// Where the tails of each of them end.
    ends: Vec<usize>,
    tails: Vec<u32>,
}

impl<'a> Postings<'a> {
    /// `names` are the pairs of each name.
    pub(super) fn new(of: &'a Ordered, names: &'a [Range<u32>]) -> Self {
        let mut counts = vec![0; of.pairs()];
        for pair in of.each_tail().flatten() {
            if let Some(count) = counts.get_mut(*pair as usize) {
                *count += 1;
            }
        }
        Self {
            of,
            names,
            counts,
            pairs: 0..0,
            ends: Vec::new(),
            tails: Vec::new(),
        }
    }

    /// Makes the tails of a name's pairs be at hand.
    pub(super) fn take(&mut self, name: usize) {
        let names = self.names.get(name..).unwrap_or_default();
        let Some(first) = names.first() else {
            return;
        };
        if self.pairs.start <= first.start && first.end <= self.pairs.end {
            return;
        }
        let (mut tails, mut end) = (0, first.end);
        for (number, pairs) in names.iter().enumerate() {
            tails += self.counts_of(pairs).map(u64::from).sum::<u64>();
            if number > 0 && tails > TAILS_AT_ONCE {
                break;
            }
            end = pairs.end;
        }
        self.gather(first.start..end);
    }

    fn counts_of(&self, pairs: &Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let pairs = pairs.start as usize..pairs.end as usize;
        self.counts.get(pairs).unwrap_or_default().iter().copied()
    }

    fn gather(&mut self, pairs: Range<u32>) {
        self.ends.clear();
        let mut sum = 0;
        for count in self
            .counts
            .get(pairs.start as usize..pairs.end as usize)
            .unwrap_or_default()
        {
            // Where they begin, until they are there.
            self.ends.push(sum);
            sum += *count as usize;
        }
        self.tails.clear();
        self.tails.resize(sum, 0);
        for (tail, of_tail) in (0..).zip(self.of.each_tail()) {
            let start = of_tail.partition_point(|pair| *pair < pairs.start);
            let inside = of_tail.iter().skip(start);
            for pair in inside.take_while(|pair| **pair < pairs.end) {
                let Some(end) = self.ends.get_mut((pair - pairs.start) as usize) else {
                    continue;
                };
                if let Some(place) = self.tails.get_mut(*end) {
                    *place = tail;
                }
                *end += 1;
            }
        }
        self.pairs = pairs;
    }

    /// The tails of a pair that is at hand, in order.
    pub(super) fn of(&self, pair: u32) -> &[u32] {
        let Some(at) = pair.checked_sub(self.pairs.start) else {
            return &[];
        };
        let end = self.ends.get(at as usize).copied().unwrap_or_default();
        let start = (at as usize).checked_sub(1);
        let start = start.and_then(|before| self.ends.get(before)).copied();
        self.tails
            .get(start.unwrap_or_default()..end)
            .unwrap_or_default()
    }
}

/// The runs of numbers in order: first and last.
pub(super) fn runs_of(numbers: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    runs.filter_map(|run| Some((*run.first()?, *run.last()?)))
}
