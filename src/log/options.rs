//! What may be set about a log: the topic's own `segment.*` and `retention.*` settings.

/// When a segment ends and how dense its indexes are. Kafka's names and meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `segment.bytes`: no batch is appended to a segment that would grow larger.
    pub segment_bytes: u32,
    /// `segment.ms`: no segment holds timestamps that lie further apart.
    pub segment_ms: i64,
    /// `index.interval.bytes`: bytes of batches between two index entries.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: no index grows larger.
    pub index_bytes_max: u32,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            index_interval_bytes: 4096,
            index_bytes_max: 10 << 20,
        }
    }
}

/// Which segments go, from the oldest one on. Kafka's names and meanings; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`: a segment goes whose newest record is older.
    pub ms: Option<u64>,
    /// `retention.bytes`: a segment goes without which the log still has so many bytes.
    pub bytes: Option<u64>,
}
