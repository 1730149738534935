//! For how long we may speak as a leader: the only memory that two of our threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Instant;

/// How long the controller holds us for alive at least. The thread that sends heartbeats extends
/// it; the one that answers followers looks before each answer, so that a process which was frozen
/// and is woken says nothing under an epoch that may be over. Over from the beginning.
#[derive(Clone, Debug, Default)]
pub struct Lease(Arc<AtomicU64>);

impl Lease {
    /// A heartbeat was answered: we are trusted until then, or for longer if we were before.
    pub fn extend(&self, until: Instant) {
        self.0.fetch_max(until.nanos(), Ordering::AcqRel);
    }

    /// The controller trusts us no longer, or may do so.
    pub fn end(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// For how long from now on we are trusted.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        Instant::from_nanos(self.0.load(Ordering::Acquire)).since(now)
    }

    /// Whether we are trusted at this moment.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        now.nanos() < self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_extended_and_ended_and_never_shortened() {
        let (lease, at) = (Lease::default(), Instant::from_nanos);
        assert!(!lease.holds(at(0)), "nobody has trusted us yet");
        let other = lease.clone();
        other.extend(at(10));
        other.extend(at(7));
        assert!(lease.holds(at(9)) && !lease.holds(at(10)));
        let left = [at(4), at(11)].map(|now| lease.left(now));
        assert_eq!(left, [Duration::from_nanos(6), Duration::ZERO]);
        lease.end();
        assert!(!other.holds(at(1)));
        other.extend(at(20));
        assert!(lease.holds(at(19)));
    }
}
