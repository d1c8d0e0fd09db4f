//! What is looked at of a value, as bytes: two values have the same if and only if a plan gets the same of them.
//!
//! That is at most, for a number that is written in two ways has two keys. Each value begins with what it is and, where that does not
//! say where it ends, how long it is or what ends it; so no value's bytes are the beginning of another's.

use serde_json::Value as Json;

use super::Reads;

const NULL: u8 = b'n';
const FALSE: u8 = b'f';
const TRUE: u8 = b't';
const SIGNED: u8 = b'i';
const UNSIGNED: u8 = b'u';
const FLOAT: u8 = b'd';
const TEXT: u8 = b's';
const ITEMS: u8 = b'[';
const LENGTH: u8 = b'l';
const MEMBERS: u8 = b'{';
const MEMBER: u8 = b':';
const END: u8 = b'}';

/// It would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A key that is being written.
#[derive(Debug)]
pub(crate) struct Key {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Key {
    /// Nothing yet, and never more than `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Key {
            bytes: Vec::new(),
            bytes_max,
        }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds bytes whose number is known to who reads them.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds what [`Reads::value_of`] makes a value of.
    pub(crate) fn value(
        &mut self,
        reads: &Reads,
        json: &Json,
        counts: fn(&Json) -> bool,
    ) -> Result<(), TooLong> {
        match json {
            Json::Null => self.raw(&[NULL]),
            Json::Bool(false) => self.raw(&[FALSE]),
            Json::Bool(true) => self.raw(&[TRUE]),
            Json::Number(number) => {
                let (what, bytes) = if let Some(number) = number.as_i64() {
                    (SIGNED, number.to_le_bytes())
                } else if let Some(number) = number.as_u64() {
                    (UNSIGNED, number.to_le_bytes())
                } else if let Some(number) = number.as_f64() {
                    (FLOAT, number.to_le_bytes())
                } else {
                    return self.raw(&[NULL]);
                };
                self.raw(&[what])?;
                self.raw(&bytes)
            }
            Json::String(text) => self.text(TEXT, text),
            Json::Array(items) => match reads.each() {
                Some(each) => {
                    self.raw(&[ITEMS])?;
                    for item in items {
                        self.value(each, item, counts)?;
                    }
                    self.raw(&[END])
                }
                None if reads.names => {
                    self.raw(&[LENGTH])?;
                    self.raw(&items.len().to_le_bytes())
                }
                None => self.raw(&[ITEMS, END]),
            },
            Json::Object(members) => {
                self.raw(&[MEMBERS])?;
                for (name, value) in members.iter().filter(|(_, value)| counts(value)) {
                    if let Some(reads) = reads.of(name) {
                        self.text(MEMBER, name)?;
                        self.value(reads, value, counts)?;
                    } else if reads.names {
                        self.text(MEMBER, name)?;
                        self.raw(&[NULL])?;
                    }
                }
                self.raw(&[END])
            }
        }
    }

    fn text(&mut self, what: u8, text: &str) -> Result<(), TooLong> {
        self.raw(&[what])?;
        self.raw(&text.len().to_le_bytes())?;
        self.raw(text.as_bytes())
    }
}
