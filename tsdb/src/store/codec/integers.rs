//! Floats that follow from integers: exact decimals by their mantissas, all others by their bits.
//!
//! ```text
//! head      source u8, exceptions, divisor uvarint, first ivarint
//! source    0 to 12: an integer is a value times 10 to this power; 64: an integer is the bits of a value,
//!           negative ones (as 64-bit integers) with all bits but the sign flipped, so that the integers
//!           have the order of the floats; 128 more where exceptions follow
//! exceptions  count uvarint, then per exception the position, ivarint against the one before, then f64
//!           each
//! packed    head, order u8, then
//!           0: groups of the steps
//!           1: groups of the changes of the steps, from the second on
//!           2: first change ivarint, groups of the changes of the changes, from the third on
//! pco       head, then the steps as a pco chunk: header, chunk metadata and one page of i64
//! runs      head, then per run of equal steps: samples uvarint, and unless the block ends there the change
//!           to the next run's step, ivarint
//! ```
//!
//! The integers are `first + divisor × step`; the first step is 0. At the position of an exception the integer
//! says nothing and the exception says the value: a staleness marker costs its block ten bytes.
//! Everything wraps around in 64 bits. Groups are described in [`groups`](super::groups).

use storage::codec::{Cursor, Malformed, put_f64, put_ivarint, put_uvarint};

use super::decimal::{POWERS, mantissa};
use super::groups::Group;
use super::{groups, pco};

const BITS: u8 = 64;
const EXCEPTIONS: u8 = 128;
/// Shorter runs, on average, are groups' work.
const RUN_SAMPLES_MIN: usize = 16;

/// The integers of a block, and how to come back.
#[derive(Debug)]
pub(super) struct Integers {
    source: u8,
    exceptions: Vec<(usize, f64)>,
    divisor: i64,
    first: i64,
    steps: Vec<i64>,
}

impl Integers {
    /// The mantissas of decimals; none where more than a few values are no decimals of one exponent.
    pub(super) fn of_decimals(values: &[f64]) -> Option<Self> {
        // A block without a marker may still have a few odd values.
        let exceptions_max = values.len() / 64 + 2;
        let mut exponent = 0usize;
        let mut inexact = 0;
        for value in values {
            let mut candidate = exponent;
            while candidate < POWERS.len() && mantissa(*value, candidate).is_none() {
                candidate += 1;
            }
            if candidate < POWERS.len() {
                exponent = candidate;
            } else {
                inexact += 1;
                if inexact > exceptions_max {
                    return None;
                }
            }
        }
        let mut integers = Vec::with_capacity(values.len());
        let mut exceptions = Vec::new();
        for (position, value) in values.iter().enumerate() {
            let exact = mantissa(*value, exponent);
            if exact.is_none() {
                exceptions.push((position, *value));
            }
            let before = || integers.last().copied();
            integers.push(exact.or_else(before).unwrap_or_default());
        }
        // A larger exponent may have pushed others past 2^53.
        if exceptions.len() > exceptions_max || exceptions.len() >= values.len() {
            return None;
        }
        if let Some((0, _)) = exceptions.first() {
            let position = |i: &usize| exceptions.iter().all(|(position, _)| position != i);
            let exact = (0..values.len()).find(position);
            let exact = exact.and_then(|at| integers.get(at).copied());
            for integer in integers.iter_mut().take_while(|integer| **integer == 0) {
                *integer = exact.unwrap_or_default();
            }
        }
        Some(Self::reduced(exponent as u8, exceptions, integers))
    }

    /// The bits of any values.
    pub(super) fn of_bits(values: &[f64]) -> Self {
        let integers = values.iter().map(|value| ordered(value.to_bits() as i64));
        Self::reduced(BITS, Vec::new(), integers.collect())
    }

    /// Takes the first integer and the greatest common divisor out.
    fn reduced(source: u8, exceptions: Vec<(usize, f64)>, mut integers: Vec<i64>) -> Self {
        let first = integers.first().copied().unwrap_or_default();
        let mut divisor = 0u64;
        for integer in &mut integers {
            *integer = integer.wrapping_sub(first);
            if divisor != 1 && *integer != 0 {
                divisor = common_divisor(integer.unsigned_abs(), divisor);
            }
        }
        let divisor = i64::try_from(divisor).unwrap_or(1).max(1);
        if divisor > 1 {
            for integer in &mut integers {
                *integer /= divisor;
            }
        }
        Self {
            source,
            exceptions,
            divisor,
            first,
            steps: integers,
        }
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        if self.exceptions.is_empty() {
            out.push(self.source);
        } else {
            out.push(self.source | EXCEPTIONS);
            put_uvarint(out, self.exceptions.len() as u64);
            let mut before = 0;
            for (position, _) in &self.exceptions {
                put_ivarint(out, *position as i64 - before);
                before = *position as i64;
            }
            for (_, value) in &self.exceptions {
                put_f64(out, *value);
            }
        }
        put_uvarint(out, self.divisor as u64);
        put_ivarint(out, self.first);
    }

    /// Appends the packed form, in the order that promises to be the smallest.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        self.put_head(out);
        let changed = changes(&self.steps);
        let second = changes(&changed);
        let costs = [&self.steps, &changed, &second].map(|column| groups::estimate(column));
        let order = (1..costs.len()).fold(0, |best, order| {
            if costs.get(order) < costs.get(best) {
                order
            } else {
                best
            }
        });
        out.push(order as u8);
        match order {
            0 => groups::encode(&self.steps, out),
            1 => groups::encode(&changed, out),
            _ => {
                put_ivarint(out, changed.first().copied().unwrap_or_default());
                groups::encode(&second, out);
            }
        }
    }

    /// Appends the runs of equal steps; none where the steps change too often to be worth a try.
    pub(super) fn runs(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut runs = self.steps.chunk_by(PartialEq::eq).peekable();
        if runs.clone().count() > self.steps.len() / RUN_SAMPLES_MIN {
            return None;
        }
        self.put_head(out);
        while let Some(run) = runs.next() {
            put_uvarint(out, run.len() as u64);
            let next = runs.peek().and_then(|next| next.first());
            if let (Some(next), Some(step)) = (next, run.first()) {
                put_ivarint(out, next.wrapping_sub(*step));
            }
        }
        Some(())
    }

    /// Appends the form with pco, where that can be made.
    pub(super) fn pco(&self, out: &mut Vec<u8>) -> Option<()> {
        self.put_head(out);
        pco::encode_integers(&self.steps, out)
    }
}

/// What the head of a body says.
struct Head<'a> {
    source: u8,
    positions: Vec<usize>,
    exceptions: Cursor<'a>,
    divisor: i64,
    first: i64,
}

impl<'a> Head<'a> {
    fn read(cursor: &mut Cursor<'a>, count: usize) -> Result<Self, Malformed> {
        let flags = cursor.u8()?;
        let source = flags & !EXCEPTIONS;
        if source != BITS && usize::from(source) >= POWERS.len() {
            return Err(cursor.malformed("a source of integers this program knows"));
        }
        let mut positions = Vec::new();
        let mut exceptions = Cursor::new(&[]);
        if flags & EXCEPTIONS != 0 {
            let mut position = 0i64;
            for _ in 0..cursor.count(9)? {
                position = position.wrapping_add(cursor.ivarint()?);
                let within = usize::try_from(position).ok().filter(|at| *at < count);
                positions.push(within.ok_or_else(|| cursor.malformed("a position in the block"))?);
            }
            exceptions = Cursor::new(cursor.take(positions.len() * size_of::<f64>())?);
        }
        Ok(Self {
            source,
            positions,
            exceptions,
            divisor: cursor.uvarint()? as i64,
            first: cursor.ivarint()?,
        })
    }

    /// Appends the values of some steps.
    fn put_values(&self, steps: &[i64], out: &mut Vec<f64>) {
        let Self { divisor, first, .. } = *self;
        let integers = steps
            .iter()
            .map(|step| first.wrapping_add(step.wrapping_mul(divisor)));
        match POWERS.get(usize::from(self.source)) {
            Some(1.0) => out.extend(integers.map(|integer| integer as f64)),
            Some(power) => out.extend(integers.map(|integer| integer as f64 / power)),
            None => out.extend(integers.map(|bits| f64::from_bits(ordered(bits) as u64))),
        }
    }

    /// Appends the value of one step, `count` times.
    fn put_same(&self, step: i64, count: usize, out: &mut Vec<f64>) {
        let before = out.len();
        self.put_values(&[step], out);
        let value = out.get(before).copied().unwrap_or_default();
        out.resize(before + count, value);
    }

    /// Writes the exceptions over the values behind the first `before` of `out`.
    fn patch(mut self, before: usize, out: &mut [f64]) -> Result<(), Malformed> {
        for position in &self.positions {
            let value = self.exceptions.f64()?;
            if let Some(slot) = out.get_mut(before + position) {
                *slot = value;
            }
        }
        Ok(())
    }
}

/// Appends the values of a packed body.
pub(super) fn unpack(
    cursor: &mut Cursor<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let head = Head::read(cursor, count)?;
    let before = out.len();
    let order = cursor.u8()?;
    let mut steps = [0i64; groups::GROUP];
    let (mut step, mut change) = (0i64, 0i64);
    match order {
        0 => groups::decode(cursor, count, |group| match group {
            Group::Zeros(count) => head.put_same(0, count, out),
            Group::Integers(steps) => head.put_values(steps, out),
        })?,
        1 => {
            head.put_same(0, count.min(1), out);
            groups::decode(cursor, count.saturating_sub(1), |group| match group {
                Group::Zeros(count) => head.put_same(step, count, out),
                Group::Integers(changes) => {
                    for (slot, change) in steps.iter_mut().zip(changes) {
                        step = step.wrapping_add(*change);
                        *slot = step;
                    }
                    head.put_values(steps.get(..changes.len()).unwrap_or_default(), out);
                }
            })?;
        }
        2 => {
            change = change.wrapping_add(cursor.ivarint()?);
            step = step.wrapping_add(change);
            head.put_values([0, step].get(..count.min(2)).unwrap_or_default(), out);
            groups::decode(cursor, count.saturating_sub(2), |group| {
                let zeros = [0i64; groups::GROUP];
                let second = match group {
                    Group::Zeros(count) => zeros.get(..count).unwrap_or_default(),
                    Group::Integers(second) => second,
                };
                for (slot, second) in steps.iter_mut().zip(second) {
                    change = change.wrapping_add(*second);
                    step = step.wrapping_add(change);
                    *slot = step;
                }
                head.put_values(steps.get(..second.len()).unwrap_or_default(), out);
            })?;
        }
        _ => return Err(cursor.malformed("an order of changes of at most 2")),
    }
    head.patch(before, out)
}

/// Appends the values of a body with runs.
pub(super) fn decode_runs(
    cursor: &mut Cursor<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let head = Head::read(cursor, count)?;
    let before = out.len();
    let (mut step, mut left) = (0i64, count);
    while left > 0 {
        let run = usize::try_from(cursor.uvarint()?)
            .ok()
            .filter(|run| (1..=left).contains(run))
            .ok_or_else(|| cursor.malformed("a run within the block"))?;
        head.put_same(step, run, out);
        left -= run;
        if left > 0 {
            step = step.wrapping_add(cursor.ivarint()?);
        }
    }
    head.patch(before, out)
}

/// Appends the values of a body with pco.
pub(super) fn decode_pco(
    cursor: &mut Cursor<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let head = Head::read(cursor, count)?;
    let before = out.len();
    let steps = pco::decode_integers(cursor, count)?;
    head.put_values(&steps, out);
    head.patch(before, out)
}

/// Bits in the order of the floats, and back.
const fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// From each integer to the next.
fn changes(integers: &[i64]) -> Vec<i64> {
    let next = integers.iter().skip(1);
    let pairs = integers.iter().zip(next);
    pairs.map(|(a, b)| b.wrapping_sub(*a)).collect()
}
