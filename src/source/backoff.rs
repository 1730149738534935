//! How long to wait after failures: longer each time, up to a bound, never quite the same.

use std::time::Duration;

use super::Options;
use crate::model::Instant;
use crate::stdx::prng::Prng;

/// A wait is spread by a fifth to both sides, as Kafka's own clients do.
const JITTER_PERCENT: u64 = 20;

/// The failures in a row of one partition or one broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure; says until when to wait because of it.
    pub(super) fn fail(&mut self, now: Instant, options: &Options, prng: &mut Prng) -> Instant {
        let first = u64::from(options.retry_backoff_ms);
        let longest = u64::from(options.retry_backoff_max_ms);
        let doubled = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let wait_ms = first.saturating_mul(doubled).min(longest);
        self.failures = self.failures.saturating_add(1);
        let percent = 100 - JITTER_PERCENT + prng.below(2 * JITTER_PERCENT + 1);
        let spread_ms = (wait_ms * percent / 100).clamp(1, longest);
        now.after(Duration::from_millis(spread_ms))
    }

    /// Forgets the failures: something went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since something last went well.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}
