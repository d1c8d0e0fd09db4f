//! The small encodings every durable format here is made of.
//!
//! Integers are LEB128 varints (signed ones zigzag first) or fixed little-endian; byte strings
//! stand behind their length. Reading goes through [`Cursor`], which never panics and says at
//! which offset the bytes stopped making sense.

/// Bytes that are not what the format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes at offset {offset}: expected {expected}")]
pub struct Malformed {
    /// Offset from the start of the decoded bytes.
    pub offset: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

/// Appends an unsigned varint.
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed varint.
pub fn put_ivarint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a byte string behind its length.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a fixed 32-bit integer.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed 64-bit integer.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a float by its bits.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    put_u64(out, value.to_bits());
}

/// Reads what the functions above wrote.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Whether everything was read.
    pub const fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Offset of the next byte.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub const fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// The error for the present offset.
    pub const fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed {
            offset: self.position,
            expected,
        }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self
            .position
            .checked_add(length)
            .ok_or_else(|| self.malformed("a length that fits"))?;
        let taken = self
            .bytes
            .get(self.position..end)
            .ok_or_else(|| self.malformed("more bytes"))?;
        self.position = end;
        Ok(taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let byte = *self
            .bytes
            .get(self.position)
            .ok_or_else(|| self.malformed("a byte"))?;
        self.position += 1;
        Ok(byte)
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed("a varint of at most 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a varint of at most ten bytes"))
    }

    /// A signed varint.
    pub fn ivarint(&mut self) -> Result<i64, Malformed> {
        let value = self.uvarint()?;
        Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    /// An unsigned varint that counts things each of which takes at least `bytes_each` bytes, so
    /// that a damaged count cannot ask for more memory than the input could fill.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, Malformed> {
        let count = self.uvarint()?;
        let most = self.remaining() / bytes_each.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| self.malformed("a count that the rest can hold"))
    }

    /// A byte string behind its length.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length =
            usize::try_from(self.uvarint()?).map_err(|_| self.malformed("a length that fits"))?;
        self.take(length)
    }

    /// A text behind its length.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("UTF-8"))
    }

    /// A fixed 32-bit integer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let taken = self.take(4)?;
        let array = taken.try_into().map_err(|_| self.malformed("four bytes"))?;
        Ok(u32::from_le_bytes(array))
    }

    /// A fixed 64-bit integer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let taken = self.take(8)?;
        let array = taken
            .try_into()
            .map_err(|_| self.malformed("eight bytes"))?;
        Ok(u64::from_le_bytes(array))
    }

    /// A float by its bits.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_bits(self.u64()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read(unsigned: u64, signed: i64, float: f64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_uvarint(&mut out, unsigned);
            put_ivarint(&mut out, signed);
            put_f64(&mut out, float);
            put_bytes(&mut out, &bytes);
            put_u32(&mut out, 7);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.uvarint(), Ok(unsigned));
            prop_assert_eq!(cursor.ivarint(), Ok(signed));
            prop_assert_eq!(cursor.f64().map(f64::to_bits), Ok(float.to_bits()));
            prop_assert_eq!(cursor.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!(cursor.u32(), Ok(7));
            prop_assert!(cursor.is_at_end());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let mut cursor = Cursor::new(&bytes);
            while !cursor.is_at_end() {
                if cursor.count(1).and_then(|_| cursor.ivarint()).and_then(|_| cursor.text()).is_err() {
                    break;
                }
            }
        }
    }
}
