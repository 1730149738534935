//! How often and how soon a failed partition is tried again.

use std::time::Duration;

use crate::stdx::prng::Prng;

/// What became of earlier tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// So many failures since records last arrived; 0 for none.
    Counted(u16),
    /// The last failure was one that no other try can mend.
    Never,
}

impl Retry {
    /// No failure.
    pub const NONE: Retry = Retry::Counted(0);
    /// The most failures that a record can count.
    pub const COUNTED_MAX: u16 = i16::MAX.cast_unsigned();
}

/// When to try again: `mirror.failed.retry.*` of the KIP, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// The longest wait after the first failure; it doubles with each one.
    pub initial_backoff_ms: u32,
    /// The longest wait of all.
    pub max_backoff_ms: u32,
    /// With so many failures it is left alone; 0: with the first.
    pub max_attempts: u16,
}

impl Default for RetryOptions {
    fn default() -> RetryOptions {
        RetryOptions {
            initial_backoff_ms: 100,
            max_backoff_ms: 300_000,
            max_attempts: 20,
        }
    }
}

impl RetryOptions {
    /// Whether nothing is tried any more.
    #[must_use]
    pub fn is_exhausted(&self, retry: Retry) -> bool {
        match retry {
            Retry::Counted(failures) => failures >= self.max_attempts,
            Retry::Never => true,
        }
    }

    /// One failure more.
    #[must_use]
    pub fn counted(&self, retry: Retry, is_retryable: bool) -> Retry {
        let most = self.max_attempts.min(Retry::COUNTED_MAX);
        match retry {
            Retry::Counted(failures) if is_retryable => {
                Retry::Counted(failures.saturating_add(1).min(most))
            }
            _ => Retry::Never,
        }
    }

    /// How long to wait after so many failures: anything up to the bound of that many, so that
    /// partitions that failed together do not come back together.
    #[must_use]
    pub fn wait(&self, failures: u16, chance: &mut Prng) -> Duration {
        let doublings = u32::from(failures.saturating_sub(1));
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let doubled = u64::from(self.initial_backoff_ms).saturating_mul(factor);
        let most = doubled.min(u64::from(self.max_backoff_ms));
        Duration::from_millis(chance.below(most + 1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RetryOptions = RetryOptions {
        initial_backoff_ms: 100,
        max_backoff_ms: 1_000,
        max_attempts: 3,
    };

    #[test]
    fn waits_are_spread_below_a_bound_that_doubles() {
        let bounds = [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (64, 1_000),
            (u16::MAX, 1_000),
        ];
        for (failures, bound) in bounds {
            let mut chance = Prng::new(7);
            let waits = (0..1_000).map(|_| OPTIONS.wait(failures, &mut chance).as_millis());
            let waits: Vec<u128> = waits.collect();
            let (least, most) = (waits.iter().min(), waits.iter().max());
            assert!(waits.iter().all(|wait| (1..=bound).contains(wait)));
            assert!(least < Some(&(bound / 10)), "{failures}: {least:?}");
            assert!(most > Some(&(bound * 9 / 10)), "{failures}: {most:?}");
        }
    }

    #[test]
    fn failures_are_counted_up_to_the_bound_and_never_means_never() {
        let mut retry = Retry::NONE;
        for failures in [1, 2, 3, 3] {
            retry = OPTIONS.counted(retry, true);
            assert_eq!(retry, Retry::Counted(failures));
            assert_eq!(OPTIONS.is_exhausted(retry), failures == 3);
        }
        assert_eq!(OPTIONS.counted(retry, false), Retry::Never);
        assert_eq!(OPTIONS.counted(Retry::Never, true), Retry::Never);
        assert!(OPTIONS.is_exhausted(Retry::Never));
        let off = RetryOptions {
            max_attempts: 0,
            ..OPTIONS
        };
        assert!(off.is_exhausted(off.counted(Retry::NONE, true)));
    }
}
