//! A list that grows without ever being moved.
//!
//! A vector that doubles holds one and a half times what it needs on the average and three times while it
//! moves, which at a million series is what the series themselves take. Pages of a fixed number
//! of items waste one page at most, and are given back at once.

/// Items of a page, as a power of two.
const PAGE_BITS: u32 = 12;
const PAGE_ITEMS: usize = 1 << PAGE_BITS;

/// A list in pages.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        match self.pages.split_last() {
            Some((last, full)) => full.len() * PAGE_ITEMS + last.len(),
            None => 0,
        }
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let page = self.pages.get((at >> PAGE_BITS) as usize)?;
        page.get(at as usize & (PAGE_ITEMS - 1))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let page = self.pages.get_mut((at >> PAGE_BITS) as usize)?;
        page.get_mut(at as usize & (PAGE_ITEMS - 1))
    }

    /// Appends an item.
    #[inline]
    pub(super) fn push(&mut self, item: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE_ITEMS => last.push(item),
            // The first page grows, so that what is small stays small.
            None => self.pages.push(vec![item]),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE_ITEMS);
                page.push(item);
                self.pages.push(page);
            }
        }
    }

    /// The items in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// What the pages take in memory.
    pub(super) fn bytes(&self) -> usize {
        let items: usize = match self.pages.as_slice() {
            [] => 0,
            [first, rest @ ..] => first.capacity() + rest.len() * PAGE_ITEMS,
        };
        items * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

/// Runs of items, each in one piece, one behind another.
#[derive(Debug)]
pub(super) struct Runs<T> {
    pages: Vec<Vec<T>>,
}

/// Items of a page of runs, as a power of two.
const RUN_PAGE_BITS: u32 = 16;
const RUN_PAGE_ITEMS: usize = 1 << RUN_PAGE_BITS;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunPlace {
    start: u32,
    len: u32,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T: Copy> Runs<T> {
    /// Appends a run; one longer than a page gets a page to itself. `None` where no place is left.
    pub(super) fn push(&mut self, run: &[T]) -> Option<RunPlace> {
        let fits = self
            .pages
            .last()
            .is_some_and(|last| last.len() + run.len() <= RUN_PAGE_ITEMS);
        if !fits {
            // The first page grows, so that what is small stays small.
            let items = if self.pages.is_empty() {
                0
            } else {
                RUN_PAGE_ITEMS
            };
            self.pages.push(Vec::with_capacity(items.max(run.len())));
        }
        let number = u32::try_from(self.pages.len() - 1).ok()?;
        let page = self.pages.last_mut()?;
        let offset = page.len() as u32;
        let place = RunPlace {
            start: number.checked_mul(1 << RUN_PAGE_BITS)? + offset,
            len: u32::try_from(run.len()).ok()?,
        };
        page.extend_from_slice(run);
        Some(place)
    }

    #[inline]
    pub(super) fn get(&self, place: RunPlace) -> &[T] {
        let page = self.pages.get((place.start >> RUN_PAGE_BITS) as usize);
        let start = place.start as usize & (RUN_PAGE_ITEMS - 1);
        page.and_then(|page| page.get(start..start + place.len as usize))
            .unwrap_or_default()
    }

    /// What the pages take in memory.
    pub(super) fn bytes(&self) -> usize {
        let items: usize = self.pages.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_there() {
        let mut pages = Pages::default();
        for item in 0..3 * PAGE_ITEMS as u32 + 7 {
            assert_eq!(pages.len(), item as usize);
            pages.push(item);
        }
        assert!(pages.iter().copied().eq(0..3 * PAGE_ITEMS as u32 + 7));
        assert_eq!(pages.get(PAGE_ITEMS as u32), Some(&(PAGE_ITEMS as u32)));
        assert_eq!(pages.get(3 * PAGE_ITEMS as u32 + 7), None);
        assert!(pages.bytes() >= pages.len() * 4);
    }

    #[test]
    fn runs_stay_whole() {
        let mut runs = Runs::default();
        let lengths = [0, 1, 70_000, 3, RUN_PAGE_ITEMS, 40_000, 40_000];
        let texts: Vec<Vec<u8>> = (0u8..).zip(lengths).map(|(b, n)| vec![b; n]).collect();
        let places: Vec<_> = texts.iter().map(|text| runs.push(text)).collect();
        for (text, place) in texts.iter().zip(places) {
            assert_eq!(runs.get(place.expect("room")), text);
        }
    }
}
