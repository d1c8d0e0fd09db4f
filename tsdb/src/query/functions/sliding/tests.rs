//! All windows at once against one window at a time, bit for bit.

use model::sample::stale_nan;
use proptest::prelude::*;

use super::{Ranges, Scratch, Sliding};
use crate::query::annotations::Annotations;
use crate::query::ast::{Extension, Span};
use crate::query::functions::window::{RangeFunction, Sample, Window};
use crate::query::functions::{Body, FUNCTIONS};

fn all() -> Vec<(Sliding, RangeFunction)> {
    let named = FUNCTIONS.iter().filter_map(|function| {
        let Body::Range(run) = function.body else {
            return None;
        };
        Some((Sliding::of(function.name)?, run))
    });
    named.collect()
}

/// What the function makes of each window by itself.
fn one_by_one(
    run: RangeFunction,
    times: &[i64],
    values: &[f64],
    ends: &[i64],
    range: i64,
) -> Vec<f64> {
    let mut column = Vec::new();
    for end in ends {
        let start = end - range;
        let low = times.partition_point(|at| *at <= start);
        let high = times.partition_point(|at| at <= end);
        let window = Window {
            times: &times[low..high],
            values: &values[low..high],
            starts: &[],
            histograms: &[],
            histogram_starts: &[],
            start,
            end: *end,
            evaluated_at: *end,
            range_seconds: range as f64 / 1000.0,
            extension: Extension::None,
            scalars: &[],
            metric: "",
            span: Span::default(),
        };
        let sample = if low == high {
            None
        } else {
            run(&window, &mut Annotations::default()).expect("makes sense")
        };
        column.push(match sample {
            Some(Sample::Float(value)) => value,
            _ => stale_nan(),
        });
    }
    column
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Values as they occur: counters with resets, small integers, decimals, and what is special.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let special = prop::sample::select(vec![
        0.0,
        -0.0,
        f64::NAN,
        f64::from_bits(0xfff8_0000_0000_0123),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE / 2.0,
        9_007_199_254_740_991.0,
        2_251_799_813_685_247.0,
        -2_251_799_813_685_248.0,
    ]);
    let integer = (-3_i64..4).prop_map(|value| value as f64);
    let zero = prop::sample::select(vec![0.0, -0.0]);
    let counter = prop::collection::vec(0_u32..40, 0..300).prop_map(|rises| {
        let mut value = 0.0;
        let next = |rise: &u32| {
            // Now and then it starts again.
            value = if *rise == 0 {
                0.0
            } else {
                value + f64::from(*rise)
            };
            value
        };
        rises.iter().map(next).collect::<Vec<f64>>()
    });
    let some = |one: BoxedStrategy<f64>| prop::collection::vec(one, 0..300);
    prop_oneof![
        counter.clone(),
        counter.prop_map(|values| values.iter().map(|value| value / 100.0).collect()),
        some(integer.clone().boxed()),
        some(zero.boxed()),
        some((-1e6_f64..1e6).boxed()),
        some(any::<u64>().prop_map(f64::from_bits).boxed()),
        some(prop_oneof![integer, special].boxed()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn all_windows_at_once_give_the_bits_of_each_by_itself(
        values in values(),
        gaps in prop::collection::vec(prop_oneof![9 => Just(15_i64), 1 => 1_i64..200], 300),
        start in -100_i64..2000,
        step in 1_i64..700,
        count in 1_usize..60,
        range in 1_i64..2500,
    ) {
        let mut at = 0;
        let times: Vec<i64> = gaps.iter().take(values.len()).map(|gap| { at += gap; at }).collect();
        // A staleness marker is no sample.
        let kept = times.iter().zip(&values).filter(|(_, v)| v.to_bits() != stale_nan().to_bits());
        let (times, values): (Vec<i64>, Vec<f64>) = kept.map(|(t, v)| (*t, *v)).unzip();
        let ends: Vec<i64> = (0..count as i64).map(|index| start + index * step).collect();
        let mut scratch = Scratch::default();
        for (sliding, run) in all() {
            // The second time the places are known already.
            let ranges = Ranges { ends: ends.iter().copied(), range_millis: range };
            scratch.place(&times.clone().into(), ranges);
            let expected = one_by_one(run, &times, &values, &ends, range);
            let got = sliding.column(&values, &mut scratch);
            prop_assert_eq!(bits(&got), bits(&expected), "{:?}", sliding);
        }
    }
}

/// Sums of long windows come from prefixes; they are those of each window by itself but for the last bit.
#[test]
fn long_windows_that_share_their_samples_are_added_up_once() {
    let times: Vec<i64> = (0..6000).map(|at| at * 15).collect();
    let value = |at: i64| (at as f64 * 0.7).sin() * 10_f64.powi((at % 5) as i32) + 3.3;
    let smooth: Vec<f64> = (0..6000).map(value).collect();
    // Most of what was added is gone again.
    let spiked = |at: usize, smooth: &f64| if at == 700 { 1e18 } else { *smooth };
    let spiked: Vec<f64> = smooth
        .iter()
        .enumerate()
        .map(|(at, v)| spiked(at, v))
        .collect();
    let opposed: Vec<f64> = smooth
        .iter()
        .enumerate()
        .map(|(at, v)| if at % 2 == 0 { *v } else { -v })
        .collect();
    let with = |at: usize, odd: f64| {
        let mut values = smooth.clone();
        values[at] = odd;
        values
    };
    let special = [f64::NAN, f64::INFINITY, f64::MAX].map(|odd| with(4000, odd));
    let all_special = special.into_iter().chain([smooth.clone(), spiked, opposed]);
    for (number, values) in all_special.enumerate() {
        // Of one window, of some that share little, and of many.
        for count in [1, 3, 4, 200] {
            let ends: Vec<i64> = (0..count).map(|index| 80_000 - index * 300).rev().collect();
            for (name, sliding) in [
                ("sum_over_time", Sliding::Sum),
                ("avg_over_time", Sliding::Avg),
            ] {
                let (_, run) = all()
                    .into_iter()
                    .find(|(one, _)| *one == sliding)
                    .expect(name);
                let mut scratch = Scratch::default();
                let ranges = Ranges {
                    ends: ends.iter().copied(),
                    range_millis: 24_000,
                };
                scratch.place(&times.clone().into(), ranges);
                let expected = one_by_one(run, &times, &values, &ends, 24_000);
                let got = sliding.column(&values, &mut scratch);
                assert_eq!(got.len(), expected.len());
                for (got, expected) in got.iter().zip(&expected) {
                    let is_same = got.to_bits() == expected.to_bits()
                        || (got - expected).abs() <= expected.abs() * f64::EPSILON;
                    assert!(is_same, "{name} of {number}: {got:?} {expected:?}");
                }
            }
        }
    }
}

#[test]
fn every_function_that_slides_is_in_the_table() {
    assert_eq!(all().len(), 17);
}
