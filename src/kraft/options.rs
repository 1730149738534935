//! What may be set about being a member.

use std::time::Duration;

/// How often, how long, how much. Built by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the controller hears of us, in milliseconds.
    pub heartbeat_interval_ms: u32,
    /// After so long without hearing of us the controller fences us, in milliseconds: the
    /// controllers' own `broker.session.timeout.ms`.
    pub session_timeout_ms: u32,
    /// How long connecting, and then each answer, may take, in milliseconds.
    pub request_timeout_ms: u32,
    /// How long the controller may hold a fetch back for want of records, in milliseconds.
    pub fetch_wait_ms: u32,
    /// Bytes of the metadata log, or of its snapshot, that one answer may hold. A heartbeat that
    /// falls due meanwhile waits until an answer is taken in.
    pub fetch_bytes_max: u32,
    /// The first wait after a failure, in milliseconds; it doubles with every further one.
    pub retry_backoff_ms: u32,
    /// The longest wait after a failure, in milliseconds.
    pub retry_backoff_max_ms: u32,
    /// The wait after a refusal for want of rights, in milliseconds: each is a stack trace in the
    /// controller's log.
    pub denied_backoff_ms: u32,
    /// Partitions in one proposal to the controller.
    pub proposals_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            heartbeat_interval_ms: 2_000,
            session_timeout_ms: 9_000,
            request_timeout_ms: 4_000,
            fetch_wait_ms: 500,
            fetch_bytes_max: 1 << 20,
            retry_backoff_ms: 50,
            retry_backoff_max_ms: 1_000,
            denied_backoff_ms: 10_000,
            proposals_max: 4_000,
        }
    }
}

impl Options {
    /// Stops the process where `config` let through what it has to refuse.
    pub(super) fn assert_sound(&self) {
        let sound = self.heartbeat_interval_ms > 0
            && self.heartbeat_interval_ms < self.session_timeout_ms
            && self.request_timeout_ms > self.fetch_wait_ms
            && i32::try_from(self.fetch_wait_ms).is_ok()
            && self.fetch_bytes_max > 0
            && i32::try_from(self.fetch_bytes_max).is_ok()
            && self.retry_backoff_ms > 0
            && self.retry_backoff_ms <= self.retry_backoff_max_ms
            && self.denied_backoff_ms > 0
            && self.proposals_max > 0;
        assert!(
            sound,
            "options of membership contradict themselves: {self:?}"
        );
    }

    pub(super) fn heartbeat_interval(&self) -> Duration {
        millis(self.heartbeat_interval_ms)
    }

    pub(super) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    pub(super) fn request_timeout(&self) -> Duration {
        millis(self.request_timeout_ms)
    }

    pub(super) fn denied_backoff(&self) -> Duration {
        millis(self.denied_backoff_ms)
    }

    /// The wait after so many failures in a row.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let doubled = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        let wait = self.retry_backoff_ms.saturating_mul(doubled);
        millis(wait.min(self.retry_backoff_max_ms))
    }
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
