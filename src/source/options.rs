//! What may be set about fetching from a source.

use crate::protocol::fetch::Replica;

/// How much to ask for, how long to wait, and when to give up. Built by `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whom the source's brokers know as a replica of what is followed: us, where the source is the
    /// cluster that we are a broker of. A replica is shown everything up to the log's end, obeys
    /// its leader, and acknowledges with every request what it holds. None for a consumer.
    pub replica: Option<Replica>,
    /// Bytes of records that one fetch answer may hold.
    pub fetch_bytes_max: u32,
    /// Bytes of records that one partition may take of an answer.
    pub partition_fetch_bytes_max: u32,
    /// Bytes up to which room is made for a batch that is larger than
    /// `partition_fetch_bytes_max`; larger ones stop their partition.
    pub batch_bytes_max: u32,
    /// How long the source may hold a fetch back for want of records, in milliseconds.
    pub fetch_wait_ms: u32,
    /// Bytes for whose sake the source may hold a fetch back.
    pub fetch_min_bytes: u32,
    /// Connections to each source broker.
    pub lanes_per_broker: u16,
    /// The first wait after a failure, in milliseconds; it doubles with every further one.
    pub retry_backoff_ms: u32,
    /// The longest wait after a failure, in milliseconds.
    pub retry_backoff_max_ms: u32,
    /// So many empty answers in a row below an unmoved high watermark mean that the records up
    /// to there are gone (compaction), not late.
    pub empty_answers_max: u32,
    /// So many answers in a row whose first batch is damaged stop the partition.
    pub corrupt_answers_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            replica: None,
            fetch_bytes_max: 16 << 20,
            partition_fetch_bytes_max: 4 << 20,
            batch_bytes_max: 256 << 20,
            fetch_wait_ms: 500,
            fetch_min_bytes: 1,
            lanes_per_broker: 1,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 5_000,
            empty_answers_max: 3,
            corrupt_answers_max: 5,
        }
    }
}

impl Options {
    /// Stops the process where `config` let through what it has to refuse.
    pub(super) fn assert_sound(&self) {
        let sound = self.fetch_bytes_max > 0
            && self.partition_fetch_bytes_max > 0
            && self.batch_bytes_max >= self.partition_fetch_bytes_max
            && i32::try_from(self.batch_bytes_max.max(self.fetch_bytes_max)).is_ok()
            && self.lanes_per_broker > 0
            && self.retry_backoff_ms > 0
            && self.retry_backoff_ms <= self.retry_backoff_max_ms
            && self.empty_answers_max > 0
            && self.corrupt_answers_max > 0;
        assert!(
            sound,
            "options of the source contradict themselves: {self:?}"
        );
    }
}
