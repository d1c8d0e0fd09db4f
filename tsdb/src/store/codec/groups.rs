//! Integers in groups of 128, each with the bits that its group needs.
//!
//! ```text
//! group    width u8 (0 to 64; 128 more where patches follow), base ivarint,
//!          patches: count u8, positions u8 each, then per patch the high bits uvarint
//!          of a full group: the low 32 bits (fewer where the width is) in rows, then the rest in rows
//!          of the last group, if it has fewer than 128: `width` bits each, least significant first,
//!          filled up to a byte
//! rows     `w` bits of each of 128 integers in `4 w` words of 32 bits, little-endian. Integer `i` is in
//!          lane `i % 4`; word `4 k + l` is the `k`-th of lane `l`; a lane is its 32 integers, `w`
//!          bits each, least significant first
//! ```
//!
//! An integer is the base and its bits added, wrapping around; the high bits of a patch stand above
//! the width. So a few odd integers do not widen their group, and with four lanes that move in
//! step a compiler unpacks four integers at a time.

use storage::codec::{Cursor, Malformed, put_ivarint, put_u32, put_uvarint};

/// Integers that share a width.
pub(super) const GROUP: usize = 128;
const LANES: usize = 4;
const ROWS: usize = GROUP / LANES;
const PATCHED: u8 = 0x80;
/// Integers that are patched at most; more are no exceptions.
const PATCHES_MAX: usize = 24;
/// Integers below the base at most.
const STRAYS_MAX: usize = 4;

/// Appends the groups of `integers`.
pub(super) fn encode(integers: &[i64], out: &mut Vec<u8>) {
    for group in integers.chunks(GROUP) {
        encode_group(group, out);
    }
}

/// About how many bytes the groups of `integers` take for each that is looked at: of many, every fourth.
pub(super) fn estimate(integers: &[i64]) -> usize {
    let every = if integers.len() > 8 * GROUP { 4 } else { 1 };
    let groups = integers.chunks(GROUP).step_by(every);
    groups.map(|group| frame_of(group).bytes).sum()
}

/// What a group is written with.
#[derive(Clone, Copy, Debug)]
struct Frame {
    base: i64,
    width: u32,
    /// Bytes of the bits and the patches.
    bytes: usize,
}

fn encode_group(group: &[i64], out: &mut Vec<u8>) {
    let frame = frame_of(group);
    let Frame { base, width, .. } = frame;
    let mut low = [0u64; GROUP];
    let mut positions = Vec::new();
    let mut high = Vec::new();
    for ((position, integer), low) in group.iter().enumerate().zip(&mut low) {
        let offset = integer.wrapping_sub(base) as u64;
        *low = offset & mask(width);
        if *low != offset {
            positions.push(position as u8);
            put_uvarint(&mut high, offset >> width);
        }
    }
    out.push(width as u8 | if positions.is_empty() { 0 } else { PATCHED });
    put_ivarint(out, base);
    if !positions.is_empty() {
        out.push(positions.len() as u8);
        out.append(&mut positions);
        out.append(&mut high);
    }
    if group.len() == GROUP {
        pack_rows(&low, 0, width.min(32), out);
        pack_rows(&low, 32, width.saturating_sub(32), out);
    } else {
        pack_rest(low.get(..group.len()).unwrap_or_default(), width, out);
    }
}

/// The least integer as base, unless a few stray below the others: the counter that starts again.
fn frame_of(group: &[i64]) -> Frame {
    let least = group.iter().copied().min().unwrap_or_default();
    let most = group.iter().copied().max().unwrap_or_default();
    let best = framed(group, least);
    // How far the mean is from both. Each summand is a share of its integer, so that no sum overflows.
    let above_least = |integer: &i64| integer.wrapping_sub(least) as u64 / GROUP as u64;
    let below = group.iter().map(above_least).fold(0u64, u64::wrapping_add);
    let above = (most.wrapping_sub(least) as u64).wrapping_sub(below);
    if below / 4 <= above.saturating_add(4) {
        return best;
    }
    let Some(base) = above_strays(group) else {
        return best;
    };
    let other = framed(group, base);
    if other.bytes < best.bytes {
        other
    } else {
        best
    }
}

/// The integer behind the widest gap among the least ones.
fn above_strays(group: &[i64]) -> Option<i64> {
    let mut least = [i64::MAX; STRAYS_MAX + 1];
    for integer in group {
        let mut integer = *integer;
        for slot in &mut least {
            if integer < *slot {
                std::mem::swap(slot, &mut integer);
            }
        }
    }
    let pairs = least.iter().zip(least.iter().skip(1));
    let widest = pairs.max_by_key(|(a, b)| b.wrapping_sub(**a) as u64);
    widest
        .map(|(_, base)| *base)
        .filter(|base| *base != i64::MAX)
}

/// The best width for a base.
fn framed(group: &[i64], base: i64) -> Frame {
    // How many integers need as many bits.
    let mut needing = [0usize; 65];
    for integer in group {
        let bits = 64 - (integer.wrapping_sub(base) as u64).leading_zeros();
        if let Some(count) = needing.get_mut(bits as usize) {
            *count += 1;
        }
    }
    let widest = needing.iter().rposition(|count| *count > 0).unwrap_or(0);
    let bytes_of = |width: usize| (width * group.len()).div_ceil(8);
    let mut best = Frame {
        base,
        width: widest as u32,
        bytes: bytes_of(widest),
    };
    for width in (0..widest).rev() {
        let wider = needing.iter().enumerate().skip(width + 1).take(widest);
        let mut patches = 0;
        let mut bytes = bytes_of(width) + 1;
        for (bits, count) in wider {
            patches += count;
            bytes += count * (1 + (bits - width).div_ceil(7));
        }
        if patches > PATCHES_MAX {
            break;
        }
        if bytes < best.bytes {
            best = Frame {
                base,
                width: width as u32,
                bytes,
            };
        }
    }
    best
}

const fn mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

/// Appends `width` bits, at most 32, of each integer from bit `from` on.
fn pack_rows(integers: &[u64; GROUP], from: u32, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mut words = [0u64; LANES];
    let mut filled = 0;
    for row in integers.chunks_exact(LANES) {
        for (word, integer) in words.iter_mut().zip(row) {
            *word |= ((integer >> from) & mask(width)) << filled;
        }
        filled += width;
        if filled >= 32 {
            for word in &mut words {
                put_u32(out, *word as u32);
                *word >>= 32;
            }
            filled -= 32;
        }
    }
}

fn pack_rest(integers: &[u64], width: u32, out: &mut Vec<u8>) {
    let mut pending = 0u128;
    let mut filled = 0;
    for integer in integers {
        pending |= u128::from(*integer) << filled;
        filled += width;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

/// What a group that was read holds.
pub(super) enum Group<'a> {
    /// Zeros, as many.
    Zeros(usize),
    /// Any integers.
    Integers(&'a [i64]),
}

/// Reads groups of `count` integers in all, and hands each group on in order.
pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    count: usize,
    mut each: impl FnMut(Group<'_>),
) -> Result<(), Malformed> {
    let mut left = count;
    let mut integers = [0i64; GROUP];
    while left > 0 {
        let length = left.min(GROUP);
        let group = integers.get_mut(..length).unwrap_or_default();
        if decode_group(cursor, group)? {
            each(Group::Integers(group));
        } else {
            each(Group::Zeros(length));
        }
        left -= length;
    }
    Ok(())
}

/// Reads a group, or says that it has nothing but zeros.
fn decode_group(cursor: &mut Cursor<'_>, group: &mut [i64]) -> Result<bool, Malformed> {
    let head = cursor.u8()?;
    let width = u32::from(head & !PATCHED);
    if width > 64 {
        return Err(cursor.malformed("a width of at most 64 bits"));
    }
    let base = cursor.ivarint()?;
    if head == 0 && base == 0 {
        return Ok(false);
    }
    let mut positions: &[u8] = &[];
    let mut patches = cursor.clone();
    if head & PATCHED != 0 {
        let count = usize::from(cursor.u8()?);
        positions = cursor.take(count)?;
        patches = cursor.clone();
        for _ in 0..count {
            cursor.uvarint()?;
        }
    }
    if width == 0 {
        group.fill(base);
    } else if let Ok(group) = <&mut [i64; GROUP]>::try_from(&mut *group) {
        let low = unpack_rows(cursor, width.min(32))?;
        for (integer, low) in group.iter_mut().zip(low.as_flattened()) {
            *integer = base.wrapping_add(i64::from(*low));
        }
        if width > 32 {
            let high = unpack_rows(cursor, width - 32)?;
            for (integer, high) in group.iter_mut().zip(high.as_flattened()) {
                *integer = integer.wrapping_add(i64::from(*high) << 32);
            }
        }
    } else {
        unpack_rest(cursor, width, base, group)?;
    }
    for position in positions {
        let high = patches.uvarint()?;
        let Some(integer) = group.get_mut(usize::from(*position)) else {
            return Err(cursor.malformed("a position within the group"));
        };
        let high = high.checked_shl(width).unwrap_or_default();
        *integer = integer.wrapping_add(high as i64);
    }
    Ok(true)
}

/// Rows of `width` bits: 1 to 32.
fn unpack_rows(cursor: &mut Cursor<'_>, width: u32) -> Result<[[u32; LANES]; ROWS], Malformed> {
    let bytes = cursor.take(width as usize * LANES * size_of::<u32>())?;
    let mask = mask(width) as u32;
    let mut words = bytes.as_chunks::<4>().0.as_chunks::<LANES>().0.iter();
    let mut next = || {
        let words = words.next().copied().unwrap_or_default();
        words.map(u32::from_le_bytes)
    };
    let mut rows = [[0u32; LANES]; ROWS];
    let mut low = next();
    let mut shift = 0;
    for row in &mut rows {
        for (integer, low) in row.iter_mut().zip(low) {
            *integer = low >> shift;
        }
        shift += width;
        if shift >= 32 {
            shift -= 32;
            low = next();
            if shift > 0 {
                let left = width - shift;
                for (integer, low) in row.iter_mut().zip(low) {
                    *integer |= low << left;
                }
            }
        }
        for integer in row {
            *integer &= mask;
        }
    }
    Ok(rows)
}

fn unpack_rest(
    cursor: &mut Cursor<'_>,
    width: u32,
    base: i64,
    group: &mut [i64],
) -> Result<(), Malformed> {
    let bytes = cursor.take((width as usize * group.len()).div_ceil(8))?;
    let mut bytes = bytes.iter();
    let mut pending = 0u128;
    let mut filled = 0;
    for integer in group {
        while filled < width {
            let byte = bytes.next().copied().unwrap_or_default();
            pending |= u128::from(byte) << filled;
            filled += 8;
        }
        *integer = base.wrapping_add((pending as u64 & mask(width)) as i64);
        pending >>= width;
        filled -= width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(integers: &[i64]) -> usize {
        let mut bytes = Vec::new();
        encode(integers, &mut bytes);
        let mut cursor = Cursor::new(&bytes);
        let mut back = Vec::new();
        decode(&mut cursor, integers.len(), |group| match group {
            Group::Zeros(count) => back.extend(std::iter::repeat_n(0, count)),
            Group::Integers(integers) => back.extend_from_slice(integers),
        })
        .expect("own");
        assert_eq!(back, integers);
        assert!(cursor.is_at_end());
        bytes.len()
    }

    #[test]
    fn every_width_comes_back_in_full_and_in_short_groups() {
        for width in 0..=64 {
            for count in [1, 127, 128, 129, 300] {
                let integers: Vec<i64> = (0..count)
                    .map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask(width)) as i64)
                    .collect();
                check(&integers);
            }
        }
    }

    #[test]
    fn a_few_odd_integers_do_not_widen_their_group() {
        for odd in [i64::MAX, 1 << 40, -1, -(1 << 30), i64::MIN] {
            let mut integers: Vec<i64> = (0..128).map(|i| i % 4).collect();
            assert_eq!(check(&integers), 2 + 32);
            integers[77] = odd;
            assert!(check(&integers) <= 2 + 32 + 2 + 16 + 10, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_integers_come_back(integers in prop::collection::vec(any::<i64>(), 0..300), keep in 0..64u32, odd: prop::sample::Index) {
            let mut narrow: Vec<i64> = integers.iter().map(|integer| integer >> keep).collect();
            check(&narrow);
            if let Some(integer) = narrow.get_mut(odd.index(integers.len().max(1))) {
                *integer = i64::MIN;
            }
            check(&narrow);
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>, count in 0..300usize) {
            let _ = decode(&mut Cursor::new(&bytes), count, |_| {});
        }
    }
}
