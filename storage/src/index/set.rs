//! Sets of numbers as bytes.
//!
//! Most sets are a few numbers or a few runs of them, some are long and ragged: each is written in the
//! smaller of two forms. What a set's numbers are (tails, groups) is its reader's matter.
//!
//! ```text
//! 0  runs*            numbers left out before the run, twice, plus one where it is longer than one: uvarint;
//!                     then for a longer one its length less two: uvarint
//! 1  roaring bitmap   in its portable form
//! ```

use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::bits::Bits;
use crate::codec::{Cursor, Malformed, put_uvarint};

const RUNS: u8 = 0;
const ROARING: u8 = 1;
/// Sets up to this size are not tried as a bitmap, which begins with more.
const RUNS_BYTES_MIN: usize = 64;
/// A set with a byte for so many numbers that it could have is collected as bits, which are then no longer
/// than a multiple of what was read.
const NUMBERS_PER_BYTE: usize = 512;

/// Appends a set, given as its runs: first and last, in order, not touching each other.
pub(super) fn put_set(out: &mut Vec<u8>, runs: impl Iterator<Item = (u32, u32)>) {
    let start = out.len();
    out.push(RUNS);
    let mut next = 0_u64;
    let mut all: Vec<(u32, u32)> = Vec::new();
    for (first, last) in runs {
        let (before, length) = (u64::from(first) - next, u64::from(last - first) + 1);
        put_uvarint(out, before << 1 | u64::from(length > 1));
        if length > 1 {
            put_uvarint(out, length - 2);
        }
        next = u64::from(last) + 1;
        all.push((first, last));
    }
    let runs_bytes = out.len() - start;
    if runs_bytes <= RUNS_BYTES_MIN {
        return;
    }
    let mut bitmap = RoaringBitmap::new();
    for (first, last) in all {
        bitmap.insert_range(first..=last);
    }
    bitmap.optimize();
    if bitmap.serialized_size() + 1 < runs_bytes {
        out.truncate(start);
        out.push(ROARING);
        // Writing to a vector cannot fail.
        let _ = bitmap.serialize_into(&mut *out);
    }
}

/// The runs of a set.
pub(super) fn runs(set: &RoaringBitmap) -> impl Iterator<Item = (u32, u32)> {
    let mut numbers = set.iter();
    std::iter::from_fn(move || {
        let range = numbers.next_range()?;
        Some((*range.start(), *range.end()))
    })
}

/// A set of numbers below `limit`.
pub(super) fn decode_set(bytes: &[u8], limit: u32) -> Result<RoaringBitmap, Malformed> {
    if bytes.len() >= limit as usize / NUMBERS_PER_BYTE {
        let mut bits = Bits::default();
        each_run(bytes, limit, |first, last| {
            bits.insert(first, last);
            ControlFlow::Continue(())
        })?;
        return Ok(bits.into_set());
    }
    let mut set = RoaringBitmap::new();
    let mut previous = None;
    each_run(bytes, limit, |first, last| {
        if first == last && previous != first.checked_sub(1) {
            // Runs come in order, so this is the greatest.
            let _ = set.try_push(first);
        } else {
            set.insert_range(first..=last);
        }
        previous = Some(last);
        ControlFlow::Continue(())
    })?;
    Ok(set)
}

/// Shows the runs of a set of numbers below `limit` until `visit` has seen enough.
pub(super) fn each_run(
    bytes: &[u8],
    limit: u32,
    mut visit: impl FnMut(u32, u32) -> ControlFlow<()>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(bytes);
    match cursor.u8()? {
        RUNS => {
            let mut next = 0_u64;
            while !cursor.is_at_end() {
                let word = cursor.uvarint()?;
                let first = next.saturating_add(word >> 1);
                let more = if word & 1 == 1 {
                    cursor.uvarint()?.saturating_add(1)
                } else {
                    0
                };
                let last = first.saturating_add(more);
                if last >= u64::from(limit) {
                    return Err(cursor.malformed("a number that there is"));
                }
                next = last + 1;
                if visit(first as u32, last as u32).is_break() {
                    break;
                }
            }
            Ok(())
        }
        ROARING => {
            let set = RoaringBitmap::deserialize_from(bytes.get(1..).unwrap_or_default())
                .map_err(|_| cursor.malformed("a roaring bitmap"))?;
            if set.max().is_some_and(|max| max >= limit) {
                return Err(cursor.malformed("numbers that there are"));
            }
            for (first, last) in runs(&set) {
                if visit(first, last).is_break() {
                    break;
                }
            }
            Ok(())
        }
        _ => Err(cursor.malformed("a kind of set")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(set: &RoaringBitmap) {
        let mut bytes = Vec::new();
        put_set(&mut bytes, runs(set));
        let limit = set.max().map_or(0, |max| max + 1);
        assert_eq!(decode_set(&bytes, limit).expect("own bytes"), *set);
        let mut shown = Vec::new();
        each_run(&bytes, limit, |first, last| {
            shown.push((first, last));
            ControlFlow::Continue(())
        })
        .expect("own bytes");
        assert!(shown.into_iter().eq(runs(set)));
        let sparse = limit.saturating_add(1 << 24);
        assert_eq!(decode_set(&bytes, sparse).expect("own bytes"), *set);
        if limit > 0 {
            assert!(decode_set(&bytes, limit - 1).is_err());
        }
    }

    #[test]
    fn every_shape_comes_back() {
        check(&RoaringBitmap::new());
        check(&RoaringBitmap::from([0]));
        check(&(5..100_000).collect());
        check(&(0..100_000).filter(|n| n % 3 == 0).collect());
        check(&(0..100_000).map(|n| n * 700).collect());
    }

    proptest! {
        #[test]
        fn any_set_comes_back(gaps in prop::collection::vec(1_u32..5, 0..600)) {
            let mut next = 0;
            check(&gaps.into_iter().map(|gap| { next += gap; next }).collect());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Ok(set) = decode_set(&bytes, 1 << 20) {
                prop_assert!(set.max().is_none_or(|max| max < 1 << 20));
            }
        }
    }
}
