//! The bit stream of a chunk, most significant bit first, and its integers of variable width.

/// The stream ended before the chunk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BitsError {
    /// Too few bits.
    #[error("the chunk is cut short")]
    Short,
    /// A varint of more than ten bytes.
    #[error("a varint does not end")]
    Varint,
    /// A window of bits that a float does not have.
    #[error("a float of more than 64 bits")]
    Window,
}

/// Reads bits.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

/// Widths behind the prefixes `10`, `110`, … of [`Bits::varbit_int`]; the last has eight ones and no zero.
const VARBIT_WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];

impl<'a> Bits<'a> {
    /// A reader at the first bit.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next bit.
    pub(super) fn bit(&mut self) -> Result<bool, BitsError> {
        let byte = self.bytes.get(self.position / 8).ok_or(BitsError::Short)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// The next `count` bits, at most 64.
    pub(super) fn bits(&mut self, count: u32) -> Result<u64, BitsError> {
        let mut value = 0_u64;
        let mut left = count;
        while left > 0 {
            let byte = self.bytes.get(self.position / 8).ok_or(BitsError::Short)?;
            let used = (self.position % 8) as u32;
            let step = left.min(8 - used);
            let taken = (u64::from(*byte) >> (8 - used - step)) & ((1 << step) - 1);
            value = (value << step) | taken;
            self.position += step as usize;
            left -= step;
        }
        Ok(value)
    }

    /// A two's complement number of `count` bits, whose largest is `1 << (count - 1)` itself.
    fn signed(&mut self, count: u32) -> Result<i64, BitsError> {
        let bits = self.bits(count)?;
        if count < 64 && bits > 1 << (count - 1) {
            return Ok((bits as i64).wrapping_sub(1 << count));
        }
        Ok(bits as i64)
    }

    /// An ordinary two's complement number of `count` bits, fewer than 64.
    pub(super) fn twos_complement(&mut self, count: u32) -> Result<i64, BitsError> {
        let shift = 64 - count;
        Ok((self.bits(count)? << shift) as i64 >> shift)
    }

    /// A float by its bits.
    pub(super) fn float(&mut self) -> Result<f64, BitsError> {
        self.bits(64).map(f64::from_bits)
    }

    /// An unsigned varint of whole bytes, wherever they begin.
    pub(super) fn uvarint(&mut self) -> Result<u64, BitsError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8)?;
            value |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BitsError::Varint)
    }

    /// A signed varint, zigzag.
    pub(super) fn varint(&mut self) -> Result<i64, BitsError> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// How many ones come before a zero, at most `most`.
    pub(super) fn ones(&mut self, most: u32) -> Result<u32, BitsError> {
        let mut ones = 0;
        while ones < most && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    /// `<varbit_ts>`: the delta of deltas of the timestamps of floats.
    pub(super) fn varbit_ts(&mut self) -> Result<i64, BitsError> {
        match self.ones(4)? {
            0 => Ok(0),
            1 => self.signed(14),
            2 => self.signed(17),
            3 => self.signed(20),
            _ => self.signed(64),
        }
    }

    /// `<varbit_int>`.
    pub(super) fn varbit_int(&mut self) -> Result<i64, BitsError> {
        match self.varbit_width()? {
            None => Ok(0),
            Some(width) => self.signed(width),
        }
    }

    /// `<varbit_uint>`: the same widths without a sign.
    pub(super) fn varbit_uint(&mut self) -> Result<u64, BitsError> {
        match self.varbit_width()? {
            None => Ok(0),
            Some(width) => self.bits(width),
        }
    }

    fn varbit_width(&mut self) -> Result<Option<u32>, BitsError> {
        let ones = self.ones(8)? as usize;
        Ok(ones
            .checked_sub(1)
            .and_then(|at| VARBIT_WIDTHS.get(at).copied()))
    }
}

/// A float that is written as its difference, by XOR, from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XorFloat {
    /// The float before.
    pub(super) value: f64,
    leading: u32,
    trailing: u32,
}

impl XorFloat {
    /// The first of a row, which is written whole.
    pub(super) const fn first(value: f64) -> Self {
        Self {
            value,
            leading: 0,
            trailing: 0,
        }
    }

    /// `<varbit_xor>`: the next one.
    pub(super) fn read(&mut self, bits: &mut Bits<'_>) -> Result<f64, BitsError> {
        if bits.bit()? {
            let is_new = bits.bit()?;
            self.read_changed(bits, is_new)?;
        }
        Ok(self.value)
    }

    /// The next one, which differs: within the window of the last difference or a new one.
    pub(super) fn read_changed(
        &mut self,
        bits: &mut Bits<'_>,
        is_new: bool,
    ) -> Result<(), BitsError> {
        if is_new {
            self.leading = bits.bits(5)? as u32;
            let significant = match bits.bits(6)? as u32 {
                // 64 does not fit, and 0 would be no difference.
                0 => 64,
                significant => significant,
            };
            self.trailing = 64_u32
                .checked_sub(self.leading + significant)
                .ok_or(BitsError::Window)?;
        }
        let difference = bits.bits(64 - self.leading - self.trailing)? << self.trailing;
        self.value = f64::from_bits(self.value.to_bits() ^ difference);
        Ok(())
    }
}

/// Which samples of a chunk carry a start timestamp. They are read over: what is imported has no
/// place for them yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Starts {
    has_first: bool,
    /// From which sample on the others carry one; 0 is none.
    from: usize,
}

impl Starts {
    /// The byte that says it.
    pub(super) fn read(bits: &mut Bits<'_>) -> Result<Self, BitsError> {
        Ok(Self {
            has_first: bits.bit()?,
            from: bits.bits(7)? as usize,
        })
    }

    /// Reads over the start of a sample, where it has one.
    pub(super) fn skip(self, bits: &mut Bits<'_>, number: usize) -> Result<(), BitsError> {
        match number {
            0 if self.has_first => bits.varint()?,
            1.. if self.from > 0 && number >= self.from => bits.varbit_int()?,
            _ => 0,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_width_are_read() {
        type Read = fn(&mut Bits<'_>) -> Result<i64, BitsError>;
        let check = |read: Read, text: &str, expected: i64| {
            let bytes: Vec<u8> = text
                .as_bytes()
                .chunks(8)
                .map(|bits| {
                    let bits = std::str::from_utf8(bits).expect("ASCII");
                    u8::from_str_radix(&format!("{bits:0<8}"), 2).expect("bits")
                })
                .collect();
            assert_eq!(read(&mut Bits::new(&bytes)), Ok(expected), "{text}");
        };
        let all = |prefix: &str| format!("{prefix}{}", "1".repeat(64));
        let int: Read = |bits| bits.varbit_int();
        check(int, "0", 0);
        check(int, "10001", 1);
        check(int, "10100", 4);
        check(int, "10101", -3);
        check(int, "110100000", 32);
        check(int, "110111111", -1);
        check(int, &all("11111111"), -1);
        let ts: Read = |bits| bits.varbit_ts();
        check(ts, "0", 0);
        check(ts, "1010000000000000", 8192);
        check(ts, "1010000000000001", -8191);
        check(ts, &all("1111"), -1);
        check(|bits| bits.twos_complement(2), "10", -2);
        let varint: Read = |bits| bits.varint();
        check(varint, "00000101", -3);
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        assert_eq!(Bits::new(&[]).bit(), Err(BitsError::Short));
        assert_eq!(Bits::new(&[0xff]).bits(9), Err(BitsError::Short));
        assert_eq!(Bits::new(&[0xff; 11]).uvarint(), Err(BitsError::Varint));
        // 31 leading zeros and 63 bits are more than there are.
        let bytes = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ];
        let mut float = XorFloat::first(0.0);
        assert_eq!(float.read(&mut Bits::new(&bytes)), Err(BitsError::Window));
    }
}
