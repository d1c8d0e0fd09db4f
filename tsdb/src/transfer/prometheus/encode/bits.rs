//! The bit stream of a chunk, written: most significant bit first.

/// Writes bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// Bits of the last byte that are in use; 0 where it is whole.
    used: u32,
}

/// Widths behind the prefixes `10`, `110`, … of [`BitWriter::varbit_int`].
const VARBIT_WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];
/// The same of [`BitWriter::varbit_ts`].
const VARBIT_TS_WIDTHS: [u32; 4] = [14, 17, 20, 64];

impl BitWriter {
    /// The low `count` bits of `value`; at most 64.
    pub(super) fn bits(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.used == 0 {
                self.out.push(0);
            }
            let room = 8 - self.used;
            let step = room.min(left);
            left -= step;
            let taken = (value >> left) as u8 & (0xff >> (8 - step));
            if let Some(last) = self.out.last_mut() {
                *last |= taken << (room - step);
            }
            self.used = (self.used + step) % 8;
        }
    }

    pub(super) fn float(&mut self, value: f64) {
        self.bits(value.to_bits(), 64);
    }

    /// An unsigned varint of whole bytes, wherever they begin.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    /// A signed varint, zigzag.
    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63) as u64);
    }

    /// `<varbit_ts>`: the delta of deltas of the timestamps of floats.
    pub(super) fn varbit_ts(&mut self, value: i64) {
        self.signed(value, &VARBIT_TS_WIDTHS);
    }

    /// `<varbit_int>`.
    pub(super) fn varbit_int(&mut self, value: i64) {
        self.signed(value, &VARBIT_WIDTHS);
    }

    /// `<varbit_uint>`.
    pub(super) fn varbit_uint(&mut self, value: u64) {
        let fits = |width: u32| width == 64 || value >> width == 0;
        self.prefixed(value, &VARBIT_WIDTHS, fits);
    }

    /// In the narrowest width whose largest number, half of it, is counted to the positive ones.
    fn signed(&mut self, value: i64, widths: &[u32]) {
        let fits = |width: u32| {
            let half = 1_i64.checked_shl(width - 1).filter(|half| *half > 0);
            half.is_none_or(|half| -half < value && value <= half)
        };
        self.prefixed(value as u64, widths, fits);
    }

    /// As many ones as the place of the width, a zero unless it is the last, and the bits.
    fn prefixed(&mut self, value: u64, widths: &[u32], fits: impl Fn(u32) -> bool) {
        if value == 0 {
            return self.bits(0, 1);
        }
        for (ones, width) in (1..).zip(widths) {
            if !fits(*width) {
                continue;
            }
            let is_last = ones as usize == widths.len();
            self.bits((1 << ones) - 1, ones);
            if !is_last {
                self.bits(0, 1);
            }
            return self.bits(value, *width);
        }
    }

    /// The bytes, the last one filled up with zeros.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// A row of floats, each as its difference, by XOR, from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XorWriter {
    before: Option<u64>,
    /// Leading and trailing zeros of the window in use.
    window: Option<(u32, u32)>,
}

/// The largest count of leading zeros that five bits hold.
const LEADING_MAX: u32 = 31;

impl XorWriter {
    /// The next float; the first is written whole.
    pub(super) fn put(&mut self, value: f64, out: &mut BitWriter) {
        let bits = value.to_bits();
        let Some(before) = self.before.replace(bits) else {
            return out.bits(bits, 64);
        };
        let difference = before ^ bits;
        if difference == 0 {
            return out.bits(0, 1);
        }
        let leading = difference.leading_zeros().min(LEADING_MAX);
        let trailing = difference.trailing_zeros();
        if let Some((of_leading, of_trailing)) = self.window
            && leading >= of_leading
            && trailing >= of_trailing
        {
            out.bits(0b10, 2);
            return out.bits(difference >> of_trailing, 64 - of_leading - of_trailing);
        }
        let significant = 64 - leading - trailing;
        out.bits(0b11, 2);
        out.bits(u64::from(leading), 5);
        // 64 does not fit, and is written as 0.
        out.bits(u64::from(significant), 6);
        out.bits(difference >> trailing, significant);
        self.window = Some((leading, trailing));
    }
}
