//! CPU time of the thread as what criterion measures.
//!
//! On a machine that does other things as well the clock on the wall measures these, too.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Time that the thread had a processor, user and system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, began: Duration) -> Duration {
        Self::now().saturating_sub(began)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
