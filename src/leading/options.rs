//! What may be set about leading.

use std::time::Duration;

/// Nobody is kept waiting for longer, however many partitions are asked for.
const ANSWER_PACE_MAX: Duration = Duration::from_millis(50);

/// How long, how many, how much. Built by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A follower that has not had everything for so long is to be in sync no longer, in
    /// milliseconds: Kafka's `replica.lag.time.max.ms`.
    pub replica_lag_max_ms: u32,
    /// How often at most control is told where partitions stand, in milliseconds. Whether one is
    /// drained is told sooner.
    pub report_interval_ms: u32,
    /// A proposal of which no fate is told for so long is repeated, in milliseconds.
    pub proposal_timeout_ms: u32,
    /// Connections that may be open at a time: each follower has as many as it has fetchers
    /// (`num.replica.fetchers`), each coordinator of transactions one.
    pub connections_max: u32,
    /// A connection over which nothing has come for so long is closed, in milliseconds: Kafka's
    /// `connections.max.idle.ms`.
    pub idle_timeout_ms: u32,
    /// Bytes of records in one answer, but for a batch that is larger: as many as stock followers
    /// ask for (`replica.fetch.response.max.bytes`).
    pub answer_bytes_max: u32,
    /// After an answer a connection gets the next one no sooner than after so long for each
    /// partition that it asks for, in microseconds, but for what is urgent. Every answer has every
    /// partition, so that a trickle of records into many would else be answered with little else
    /// than what has not moved.
    pub answer_pace_us: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            replica_lag_max_ms: 30_000,
            report_interval_ms: 100,
            proposal_timeout_ms: 30_000,
            connections_max: 256,
            idle_timeout_ms: 600_000,
            answer_bytes_max: 10 << 20,
            answer_pace_us: 10,
        }
    }
}

impl Options {
    /// Stops the process where `config` let through what it has to refuse.
    pub(super) fn assert_sound(&self) {
        let sound = self.replica_lag_max_ms > 0
            && self.report_interval_ms > 0
            && self.proposal_timeout_ms > 0
            && self.connections_max > 0
            && self.idle_timeout_ms > 0
            && self.answer_bytes_max > 0;
        assert!(sound, "options of leading contradict themselves: {self:?}");
    }

    pub(super) fn replica_lag_max(&self) -> Duration {
        millis(self.replica_lag_max_ms)
    }

    pub(super) fn report_interval(&self) -> Duration {
        millis(self.report_interval_ms)
    }

    pub(super) fn proposal_timeout(&self) -> Duration {
        millis(self.proposal_timeout_ms)
    }

    /// The time between two answers of so many partitions.
    pub(super) fn answer_pace(&self, partitions: usize) -> Duration {
        let partitions = u64::try_from(partitions).unwrap_or(u64::MAX);
        let pace = u64::from(self.answer_pace_us).saturating_mul(partitions);
        Duration::from_micros(pace).min(ANSWER_PACE_MAX)
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        millis(self.idle_timeout_ms)
    }
}

fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}
