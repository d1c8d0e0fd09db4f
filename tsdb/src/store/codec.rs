//! How the columns of a block become bytes, and back to the same bits.
//!
//! Every body of timestamps, floats and starts opens with the tag of its codec, so that a codec is added
//! without a new format and a reader that lacks it says so. An encoder tries what may fit, keeps the
//! smallest, decodes what it made and compares bits; what does not come back bit for bit is written raw.
//!
//! - [`bits`]: single bits in a byte string.
//! - [`timestamps`]: milliseconds, strictly ascending.
//! - [`values`]: floats, any 64 bits.
//! - [`integers`]: floats by the integers they follow from; [`groups`] and [`pco`] write integers.
//! - [`xor`], [`decimal`]: codecs of floats.
//! - [`histograms`]: native histograms, each against the one before.
//! - [`starts`]: when the counter behind each sample started.
//! - [`exemplars`]: traces that stand for samples.

mod bits;
pub(super) mod decimal;
pub mod exemplars;
mod groups;
pub mod histograms;
mod integers;
mod pco;
pub mod starts;
pub mod timestamps;
pub mod values;
mod xor;

/// The most samples a block holds.
pub const BLOCK_SAMPLES_MAX: usize = 8192;

/// Integers below this, positive or negative, are exact floats.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// The integer below 2^53 with the very bits of `value`; none for `-0`.
fn exact_integer(value: f64) -> Option<i64> {
    let integer = value as i64;
    let is_exact = value.abs() < INTEGER_MAX && (integer as f64).to_bits() == value.to_bits();
    is_exact.then_some(integer)
}
