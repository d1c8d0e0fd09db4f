//! Single bits in a byte string, most significant first.

use storage::codec::{Cursor, Malformed};

/// Writes bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// Bits not in `out` yet, in the low end.
    pending: u128,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the low `count` bits of `value`; at most 64.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        let mask = (1u128 << count) - 1;
        self.pending = (self.pending << count) | (u128::from(value) & mask);
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.pending_bits -= 8;
            self.out.push((self.pending >> self.pending_bits) as u8);
        }
        self.pending &= (1 << self.pending_bits) - 1;
    }

    /// The bytes, the last one filled up with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.pending_bits > 0 {
            self.put(0, 8 - self.pending_bits);
        }
        self.out
    }
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct BitReader<'a, 'b> {
    cursor: &'a mut Cursor<'b>,
    pending: u128,
    pending_bits: u32,
}

impl<'a, 'b> BitReader<'a, 'b> {
    /// Reads from the next byte of `cursor` on; whole bytes are taken from it.
    pub(super) const fn new(cursor: &'a mut Cursor<'b>) -> Self {
        Self {
            cursor,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// The next `count` bits; at most 64.
    pub(super) fn take(&mut self, count: u32) -> Result<u64, Malformed> {
        while self.pending_bits < count {
            self.pending = (self.pending << 8) | u128::from(self.cursor.u8()?);
            self.pending_bits += 8;
        }
        self.pending_bits -= count;
        let value = (self.pending >> self.pending_bits) as u64;
        self.pending &= (1 << self.pending_bits) - 1;
        if count == 64 {
            return Ok(value);
        }
        Ok(value & ((1 << count) - 1))
    }

    /// The error for the present offset.
    pub(super) const fn malformed(&self, expected: &'static str) -> Malformed {
        self.cursor.malformed(expected)
    }
}
