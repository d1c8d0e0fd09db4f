//! The allocator: fast where there is memory, frugal where there is little, and without surprises where somebody waits.
//!
//! Many small allocations of differing lives are what a store makes, on many threads; the system's allocator
//! keeps what they leave behind, so the program has its own. Left alone, that one too keeps freed memory for a
//! second, and takes pages of 2 MiB where the machine has them, each of which stays for as long as one
//! allocation in it does: fast, and several times of what is in use. In a small container that is the
//! difference between a process and none. And while the kernel makes such a page, or cuts it up again, whoever needs memory waits for
//! milliseconds: who serves reviews does without.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::config::memory::Memory;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Below this much memory it is given back at once.
const FRUGAL_BELOW_BYTES: u64 = 4 << 30;

/// The number of the option for how many milliseconds freed memory is kept (`mi_option_purge_delay`), which the
/// binding does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Set where the process has begun without huge pages.
const BEGAN: &str = "TAFFRAIL_WITHOUT_HUGE_PAGES";

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Getting much done.
    Throughput,
    /// Keeping nobody waiting.
    Latency,
}

/// Begins once more without huge pages where nobody may wait for them: the first are there before `main`, and stay. What is
/// disabled remains so in the program that takes the place of this one. Call it before anything is begun.
pub(crate) fn begin(aim: Aim) {
    if aim == Aim::Throughput || std::env::var_os(BEGAN).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else {
        return;
    };
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        return tracing::debug!(%error, "huge pages stay on");
    }
    let mut again = Command::new(program);
    let error = again.arg0(name).args(arguments).env(BEGAN, "1").exec();
    tracing::debug!(%error, "the first huge pages stay");
}

/// Settles between speed and size by what there is. Call it before threads are started.
pub(crate) fn settle(memory: Memory, aim: Aim) {
    let is_frugal = memory.bytes() < FRUGAL_BELOW_BYTES;
    if (is_frugal || aim == Aim::Latency)
        && let Err(error) = rustix::thread::disable_transparent_huge_pages(true)
    {
        tracing::debug!(%error, "huge pages stay on");
    }
    if !is_frugal {
        return;
    }
    // SAFETY: the option exists in the version of the allocator that is linked (a test asks it for its default),
    // and setting one is an atomic store.
    #[allow(
        unsafe_code,
        reason = "the binding has no safe form; 699 → 203 MiB peak in the hostile suite"
    )]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reading an option is an atomic load; a number that is none is checked for.
        #[allow(unsafe_code, reason = "as above")]
        let delay_ms = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(
            delay_ms, 1000,
            "the allocator numbers its options otherwise now"
        );
    }
}
