//! The system's clocks.

use std::future::Future;
use std::time::Duration;

use crate::io::Clock;
use crate::model::{Instant, WallTime};

/// `CLOCK_MONOTONIC`, whose zero all threads share, and `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Instant {
        let time = read(libc::CLOCK_MONOTONIC);
        Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallTime {
        WallTime(i64::try_from(read(libc::CLOCK_REALTIME).as_millis()).unwrap_or(i64::MAX))
    }

    fn worked(&self) -> Duration {
        thread_cpu()
    }

    fn sleep_until(&self, moment: Instant) -> impl Future<Output = ()> + 'static {
        let wait = moment.since(self.now());
        tokio::time::sleep(wait)
    }
}

/// CPU time that all threads of the process and the kernel's for it have used.
#[must_use]
pub fn process_cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// CPU time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec, which lives on this stack frame.
    let code = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(
        code, 0,
        "the clocks that are read here are on every kernel with io_uring"
    );
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
