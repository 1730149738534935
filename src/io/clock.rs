//! Time: what it is now, and waiting for it.

use std::future::Future;
use std::time::Duration;

use crate::model::{Instant, WallTime};

/// The clocks of one thread.
pub trait Clock: Clone + 'static {
    /// The clock that only goes forward; all threads of a process share its zero.
    fn now(&self) -> Instant;

    /// The wall clock.
    fn wall(&self) -> WallTime;

    /// CPU time that this thread has used, as far as that is known.
    fn worked(&self) -> Duration {
        Duration::ZERO
    }

    /// Waits until `moment`. May be dropped at any time.
    fn sleep_until(&self, moment: Instant) -> impl Future<Output = ()> + 'static;
}
