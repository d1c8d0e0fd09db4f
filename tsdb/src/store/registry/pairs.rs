//! Label pairs to numbers: each pair is kept once.

use std::cmp::Ordering;

use hashbrown::HashTable;
use model::labels::{decode_pair, encode_pair};
use storage::pages::{Pages, RunPlace, Texts};
use xxhash_rust::xxh3::xxh3_64;

/// The number of a pair.
pub(in crate::store) type PairNumber = u32;

/// The pairs that are known.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Their durable form.
    text: Texts,
    places: Pages<RunPlace>,
    by_text: HashTable<PairNumber>,
}

impl Pairs {
    /// How many there are; their numbers are `0..len`.
    pub(super) fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// The durable form of a pair.
    #[inline]
    pub(super) fn text_of(&self, pair: PairNumber) -> &str {
        let place = self.places.get(pair);
        place.map_or("", |place| self.text.get(*place))
    }

    /// The same as bytes.
    #[inline]
    pub(super) fn bytes_of(&self, pair: PairNumber) -> &[u8] {
        self.text_of(pair).as_bytes()
    }

    /// The name and the value of a pair.
    pub(super) fn parts_of(&self, pair: PairNumber) -> (&str, &str) {
        decode_pair(self.text_of(pair)).unwrap_or_default()
    }

    /// The number of a pair in its durable form, given now if it is new.
    pub(super) fn intern(&mut self, pair: &str) -> Option<PairNumber> {
        let hash = xxh3_64(pair.as_bytes());
        let is_it = |number: &PairNumber| self.text_of(*number) == pair;
        if let Some(known) = self.by_text.find(hash, is_it) {
            return Some(*known);
        }
        let number = u32::try_from(self.places.len()).ok()?;
        self.places.push(self.text.push(pair)?);
        let (places, text) = (&self.places, &self.text);
        self.by_text.insert_unique(hash, number, |number| {
            let place = places.get(*number);
            xxh3_64(place.map_or("", |place| text.get(*place)).as_bytes())
        });
        Some(number)
    }

    /// The number of `name="value"`, if it is known.
    pub(super) fn find(&self, name: &str, value: &str) -> Option<PairNumber> {
        let pair = encode_pair(name, value);
        let is_it = |number: &PairNumber| self.text_of(*number) == pair;
        let found = self.by_text.find(xxh3_64(pair.as_bytes()), is_it);
        found.copied()
    }

    /// By name, then by value.
    pub(super) fn compare(&self, a: PairNumber, b: PairNumber) -> Ordering {
        self.parts_of(a).cmp(&self.parts_of(b))
    }

    /// What the pairs take in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.bytes() + self.places.bytes() + self.by_text.allocation_size()
    }
}
