//! Protobuf as bytes on the wire: fields one after another, borrowed from the message.
//!
//! Only what a reader of messages needs, and nothing that allocates: what a message means, and how
//! much of it may be kept, is its reader's business. Groups, which nobody sends, are refused.

use storage::codec::Malformed;

/// The value of a field, by wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(Wire<'a>),
    Fixed32,
}

/// A message, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wire<'a> {
    bytes: &'a [u8],
    /// Where the bytes start in the whole request, for errors.
    offset: usize,
}

impl<'a> Wire<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// What is left, as it is.
    pub(super) const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) const fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed {
            offset: self.offset,
            expected,
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(self.malformed("more bytes"));
        };
        self.bytes = rest;
        self.offset += length;
        Ok(taken)
    }

    /// An unsigned varint.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.bytes = rest;
                self.offset += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (byte, shift) in self.bytes.iter().zip((0..64).step_by(7)) {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return Err(self.malformed("a varint of at most 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.take(shift / 7 + 1)?;
                return Ok(value);
            }
        }
        Err(self.malformed("a whole varint"))
    }

    /// A fixed 64-bit integer.
    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let Some((first, rest)) = self.bytes.split_first_chunk() else {
            return Err(self.malformed("eight bytes"));
        };
        self.bytes = rest;
        self.offset += 8;
        Ok(u64::from_le_bytes(*first))
    }

    /// A message or a text behind its length.
    #[inline]
    fn bytes(&mut self) -> Result<Self, Malformed> {
        let length = usize::try_from(self.varint()?);
        let length = length.map_err(|_| self.malformed("a length that fits"))?;
        let offset = self.offset;
        let bytes = self.take(length)?;
        Ok(Self { bytes, offset })
    }

    /// The next field, if there is one.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?);
        let key = key.map_err(|_| self.malformed("the key of a field"))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.bytes()?),
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return Err(self.malformed("a field of a known wire type")),
        };
        if key < 8 {
            return Err(self.malformed("a field's number above 0"));
        }
        Ok(Some((key >> 3, value)))
    }

    /// Takes the messages and texts that come next under this key, whose lengths are of one byte or
    /// two: their keys and lengths too, as they lie there.
    #[inline]
    pub(super) fn take_all_of(&mut self, key: u8) -> &'a [u8] {
        let whole = self.bytes;
        let mut rest = whole;
        loop {
            let (length, after) = match rest {
                [first, length @ 0..0x80, after @ ..] if *first == key => {
                    (usize::from(*length), after)
                }
                [first, low, high @ 0..0x80, after @ ..] if *first == key => {
                    (usize::from(*low & 0x7f) | usize::from(*high) << 7, after)
                }
                _ => break,
            };
            let Some(after) = after.get(length..) else {
                break;
            };
            rest = after;
        }
        let taken = whole.len() - rest.len();
        self.bytes = rest;
        self.offset += taken;
        whole.get(..taken).unwrap_or_default()
    }

    /// The error of a field that has another wire type than its message says.
    pub(super) const fn wrong_type(&self) -> Malformed {
        self.malformed("a field of the wire type that the message says")
    }

    /// The text.
    pub(super) fn text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes).map_err(|_| self.malformed("UTF-8"))
    }
}

impl<'a> Value<'a> {
    /// The integer, where it is one; the message it stands in says where the error is.
    pub(super) fn varint(self, of: &Wire<'_>) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(of.wrong_type()),
        }
    }

    /// The float, where it is one.
    pub(super) fn double(self, of: &Wire<'_>) -> Result<f64, Malformed> {
        match self {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(of.wrong_type()),
        }
    }

    /// The message or the text, where it is one.
    pub(super) fn bytes(self, of: &Wire<'_>) -> Result<Wire<'a>, Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(of.wrong_type()),
        }
    }
}

/// A signed integer that was folded to be short where it is small.
pub(super) const fn unfold(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
