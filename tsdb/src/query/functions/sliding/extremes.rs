//! The greatest or the least of all windows.
//!
//! Samples are cut where a window begins or ends, so that each window is a row of whole pieces, and
//! the best of each piece is found once. The pieces that may yet be the best of a window wait in a
//! queue, best first; a piece that a later one beats leaves it. So each sample is looked at once
//! and each piece moves twice.
//!
//! Which of equal values (`0` and `-0`) and which NaN stays is part of the answer: the first of
//! equal ones, any number rather than NaN, and the last NaN where there is nothing else. That rule
//! gives the same whether it is applied to samples or to the best of their pieces.

use model::sample::stale_nan;

use super::placed::Scratch;

/// Lanes that are compared at once.
const LANES: usize = 8;
/// Pieces below this are not worth lanes.
const WIDE_MIN: usize = 16;

/// The best of each window. `worst` is what every number but itself beats.
pub(super) fn column(
    values: &[f64],
    scratch: &mut Scratch,
    beats: impl Fn(f64, f64) -> bool + Copy,
    worst: f64,
) -> Vec<f64> {
    let mut queue = std::mem::take(&mut scratch.best);
    queue.clear();
    let mut head = 0;
    let mut done = 0;
    let mut cuts = scratch.windows().iter().map(|(low, _)| *low).peekable();
    let mut column = Vec::with_capacity(scratch.windows().len());
    for (low, high) in scratch.windows() {
        if low == high {
            column.push(stale_nan());
            continue;
        }
        done = done.max(*low);
        while done < *high {
            while cuts.next_if(|cut| *cut <= done).is_some() {}
            let end = cuts.peek().map_or(*high, |cut| *high.min(cut));
            let piece = values.get(done as usize..end as usize).unwrap_or_default();
            let Some(best) = best_of(piece, beats, worst) else {
                break;
            };
            while queue.len() > head
                && queue
                    .last()
                    .is_some_and(|(_, last)| beats(best, *last) || last.is_nan())
            {
                queue.pop();
            }
            queue.push((done, best));
            done = end;
        }
        while queue.get(head).is_some_and(|(start, _)| start < low) {
            head += 1;
        }
        let best = queue.get(head).map(|(_, best)| *best);
        column.push(best.unwrap_or(stale_nan()));
    }
    scratch.best = queue;
    column
}

fn best_of(piece: &[f64], beats: impl Fn(f64, f64) -> bool + Copy, worst: f64) -> Option<f64> {
    if piece.len() >= WIDE_MIN {
        let better = |new: f64, best: f64| if beats(new, best) { new } else { best };
        let mut lanes = [worst; LANES];
        let chunks = piece.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (best, new) in lanes.iter_mut().zip(chunk) {
                *best = better(*new, *best);
            }
        }
        let best = lanes
            .iter()
            .chain(rest)
            .fold(worst, |best, new| better(*new, best));
        // Of equal numbers only zeros differ; and the worst may stand for no number at all.
        if best != 0.0 && best != worst {
            return Some(best);
        }
    }
    let (first, rest) = piece.split_first()?;
    Some(rest.iter().fold(*first, |best, new| {
        if beats(*new, best) || best.is_nan() {
            *new
        } else {
            best
        }
    }))
}
