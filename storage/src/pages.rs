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
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        match self.pages.split_last() {
            Some((last, full)) => full.len() * PAGE_ITEMS + last.len(),
            None => 0,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The item at a place.
    #[inline]
    pub fn get(&self, at: u32) -> Option<&T> {
        let page = self.pages.get((at >> PAGE_BITS) as usize)?;
        page.get(at as usize & (PAGE_ITEMS - 1))
    }

    /// The item at a place, to change.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let page = self.pages.get_mut((at >> PAGE_BITS) as usize)?;
        page.get_mut(at as usize & (PAGE_ITEMS - 1))
    }

    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: T) {
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
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// The pages in order.
    pub fn into_pages(self) -> impl Iterator<Item = Vec<T>> {
        self.pages.into_iter()
    }

    /// What the pages take in memory.
    pub fn bytes(&self) -> usize {
        let items: usize = match self.pages.as_slice() {
            [] => 0,
            [first, rest @ ..] => first.capacity() + rest.len() * PAGE_ITEMS,
        };
        items * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

/// Runs of items, each in one piece, one behind another.
#[derive(Debug)]
pub struct Runs<T> {
    pages: Vec<Vec<T>>,
}

/// Items of a page of runs, as a power of two.
const RUN_PAGE_BITS: u32 = 16;
const RUN_PAGE_ITEMS: usize = 1 << RUN_PAGE_BITS;

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunPlace {
    start: u32,
    len: u32,
}

impl RunPlace {
    /// The place of `len` items behind the `offset` items of a page that is not full.
    fn new(page: usize, offset: usize, len: usize) -> Option<Self> {
        let page = u32::try_from(page).ok()?;
        Some(Self {
            start: page.checked_mul(1 << RUN_PAGE_BITS)? + u32::try_from(offset).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }
}

/// What room a new page has. The first one grows, so that what is small stays small.
const fn page_items(is_first: bool, run: usize) -> usize {
    if is_first || run > RUN_PAGE_ITEMS {
        run
    } else {
        RUN_PAGE_ITEMS
    }
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T: Copy> Runs<T> {
    /// Appends a run; one longer than a page gets a page to itself. `None` where no place is left.
    pub fn push(&mut self, run: &[T]) -> Option<RunPlace> {
        let fits = self
            .pages
            .last()
            .is_some_and(|last| last.len() + run.len() <= RUN_PAGE_ITEMS);
        if !fits {
            let items = page_items(self.pages.is_empty(), run.len());
            self.pages.push(Vec::with_capacity(items));
        }
        let number = self.pages.len() - 1;
        let page = self.pages.last_mut()?;
        let place = RunPlace::new(number, page.len(), run.len())?;
        page.extend_from_slice(run);
        Some(place)
    }

    /// The items of all runs, to change.
    pub fn items_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }

    /// The run at a place.
    #[inline]
    pub fn get(&self, place: RunPlace) -> &[T] {
        let page = self.pages.get((place.start >> RUN_PAGE_BITS) as usize);
        let start = place.start as usize & (RUN_PAGE_ITEMS - 1);
        page.and_then(|page| page.get(start..start + place.len as usize))
            .unwrap_or_default()
    }

    /// What the pages take in memory.
    pub fn bytes(&self) -> usize {
        let items: usize = self.pages.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.pages.capacity() * size_of::<Vec<T>>()
    }
}

/// Texts, each in one piece, one behind another. As [`Runs`], but a text need not be checked again to
/// be one.
#[derive(Debug, Default)]
pub struct Texts {
    pages: Vec<String>,
}

impl Texts {
    /// Appends a text; one longer than a page gets a page to itself. `None` where no place is left.
    pub fn push(&mut self, text: &str) -> Option<RunPlace> {
        let fits = self
            .pages
            .last()
            .is_some_and(|last| last.len() + text.len() <= RUN_PAGE_ITEMS);
        if !fits {
            let bytes = page_items(self.pages.is_empty(), text.len());
            self.pages.push(String::with_capacity(bytes));
        }
        let number = self.pages.len() - 1;
        let page = self.pages.last_mut()?;
        let place = RunPlace::new(number, page.len(), text.len())?;
        page.push_str(text);
        Some(place)
    }

    /// The text at a place.
    #[inline]
    pub fn get(&self, place: RunPlace) -> &str {
        let page = self.pages.get((place.start >> RUN_PAGE_BITS) as usize);
        let start = place.start as usize & (RUN_PAGE_ITEMS - 1);
        page.and_then(|page| page.get(start..start + place.len as usize))
            .unwrap_or_default()
    }

    /// What the pages take in memory.
    pub fn bytes(&self) -> usize {
        let bytes: usize = self.pages.iter().map(String::capacity).sum();
        bytes + self.pages.capacity() * size_of::<String>()
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
        let mut all = Texts::default();
        let texts: Vec<String> = lengths.map(|n| "ä".repeat(n / 2)).into();
        let places: Vec<_> = texts.iter().map(|text| all.push(text)).collect();
        for (text, place) in texts.iter().zip(places) {
            assert_eq!(all.get(place.expect("room")), text);
        }
    }
}
