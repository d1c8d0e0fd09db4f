//! What tests see of the looks at a guard: how many there are, what lies between two, and what comes after one
//! at which the work is cancelled.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::source::ON_CHECK;

/// Asks, and calls `on_check` at each look with its number. Returns how many looks there were.
pub(crate) fn watched<R>(
    ask: impl FnOnce(&Arc<AtomicBool>) -> R,
    on_check: impl Fn(usize, &AtomicBool) + 'static,
) -> (R, usize) {
    let cancel = Arc::new(AtomicBool::new(false));
    let looks = Rc::new(Cell::new(0));
    let (seen, flag) = (Rc::clone(&looks), Arc::clone(&cancel));
    let probe = move || {
        on_check(seen.get(), &flag);
        seen.set(seen.get() + 1);
    };
    ON_CHECK.replace(Some(Box::new(probe)));
    let answer = ask(&cancel);
    ON_CHECK.replace(None);
    (answer, looks.get())
}

/// Asks, and cancels at a look.
pub(crate) fn canceled<R>(ask: impl FnOnce(&Arc<AtomicBool>) -> R, at: usize) -> (R, usize) {
    watched(ask, move |look, cancel| {
        if look == at {
            cancel.store(true, Ordering::Relaxed);
        }
    })
}

/// What this thread has computed, in nanoseconds.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split_whitespace().next();
    first
        .and_then(|nanos| nanos.parse().ok())
        .expect("a number")
}

/// How many series are measured, and the head of the table.
pub(crate) fn measured_series() -> usize {
    let count = std::env::var("TAFFRAIL_SERIES");
    let count = count.map_or(100_000, |text| text.parse().expect("a number"));
    println!("{count} series; milliseconds of CPU time");
    println!("{:>8} {:>8} {:>8}", "whole", "look", "free");
    count
}

/// Prints what `ask` takes as a whole, the longest time between two of its looks, and what giving back takes
/// when it is cancelled at one of three. Returns how many of these were answered all the same.
pub(crate) fn measure<R, E: std::fmt::Debug>(
    name: &str,
    ask: impl Fn(&Arc<AtomicBool>) -> Result<R, E>,
) -> usize {
    let begin = cpu_nanos();
    let (last, longest) = (Rc::new(Cell::new(begin)), Rc::new(Cell::new((0, 0))));
    let (coarse, gaps) = (Cell::new(Instant::now()), Rc::clone(&longest));
    let note = Rc::clone(&last);
    let (answer, all) = watched(&ask, move |look, _| {
        // A series is read between most, and a clock that the kernel keeps costs more than that.
        let is_long = coarse.replace(Instant::now()).elapsed() > Duration::from_millis(2);
        if is_long || look.is_multiple_of(64) {
            let now = cpu_nanos();
            gaps.set(gaps.get().max((now - note.replace(now), look)));
        }
    });
    answer.map(drop).expect("it is answered");
    let end = cpu_nanos();
    longest.set(longest.get().max((end - last.get(), all)));
    let (mut free, mut answered) = (0, 0);
    for part in 1..=3 {
        let canceled_at = Rc::new(Cell::new(0));
        let (at, note) = (part * (all - 1) / 3, Rc::clone(&canceled_at));
        let (answer, _) = watched(&ask, move |look, cancel| {
            if look == at {
                note.set(cpu_nanos());
                cancel.store(true, Ordering::Relaxed);
            }
        });
        match answer {
            Ok(_) => answered += 1,
            Err(_) => free = free.max(cpu_nanos() - canceled_at.get()),
        }
    }
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let (gap, look) = longest.get();
    println!(
        "{:>8.1} {:>8.1} {:>8.1} {name} (before look {look} of {all})",
        millis(end - begin),
        millis(gap),
        millis(free)
    );
    answered
}
