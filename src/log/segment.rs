//! The segment that is written: how full it is, and what its indexes get with each batch
//! (`LogSegment`).

use crate::model::{Offset, Position, WallTime};

use super::LogOptions;
use super::fact::BatchFact;
use super::index::{AbortedTxn, OFFSET_ENTRY, OffsetEntry, TIME_ENTRY, TimeEntry};

/// Offsets that may be missing at the beginning of a segment. A wider gap lies between two of them:
/// an index could not span it and the segment's batches.
pub(super) const GAP_MAX: u64 = 1 << 30;

/// Index bytes that are not in their files yet. Written when they are many, and before a sync.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) offsets: Vec<u8>,
    pub(super) times: Vec<u8>,
    pub(super) aborted: Vec<u8>,
}

impl Pending {
    pub(super) fn bytes(&self) -> usize {
        self.offsets.len() + self.times.len() + self.aborted.len()
    }
}

/// Bytes that are in the index files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) offsets: u64,
    pub(super) times: u64,
    pub(super) aborted: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    /// Bytes of batches; the next one begins there.
    pub(super) size: u64,
    pub(super) written: Written,
    pub(super) pending: Pending,
    pub(super) offset_entries: usize,
    pub(super) time_entries: usize,
    last_time_entry: i64,
    created: WallTime,
    /// The largest timestamp of its first batch.
    pub(super) first_timestamp: Option<i64>,
    max_timestamp: i64,
    max_timestamp_last: Offset,
    bytes_since_entry: u64,
}

/// What a plan adds to a segment before it is committed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planned {
    pub(super) bytes: u64,
    pub(super) batches: usize,
    pub(super) first_timestamp: Option<i64>,
}

impl Segment {
    pub(super) fn new(base: Offset, created: WallTime) -> Segment {
        Segment {
            base,
            size: 0,
            written: Written::default(),
            pending: Pending::default(),
            offset_entries: 0,
            time_entries: 0,
            last_time_entry: -1,
            created,
            first_timestamp: None,
            max_timestamp: -1,
            max_timestamp_last: base,
            bytes_since_entry: 0,
        }
    }

    /// A segment of which the first `size` bytes and index entries stay as they are.
    pub(super) fn kept(
        base: Offset,
        created: WallTime,
        size: u64,
        entries: (usize, usize, u64),
        last_time: Option<TimeEntry>,
    ) -> Segment {
        let (offset_entries, time_entries, aborted) = entries;
        Segment {
            size,
            written: Written {
                offsets: (offset_entries * OFFSET_ENTRY) as u64,
                times: (time_entries * TIME_ENTRY) as u64,
                aborted,
            },
            offset_entries,
            time_entries,
            last_time_entry: last_time.map_or(-1, |entry| entry.timestamp),
            max_timestamp: last_time.map_or(-1, |entry| entry.timestamp),
            max_timestamp_last: last_time.map_or(base, |entry| entry.last),
            ..Segment::new(base, created)
        }
    }

    /// Whether `fact` has to go into a new segment, after what is planned for this one.
    pub(super) fn is_full_for(
        &self,
        fact: &BatchFact,
        planned: &Planned,
        now: WallTime,
        options: &LogOptions,
    ) -> bool {
        if fact.base < self.base || fact.last.since(self.base) > i32::MAX as u64 {
            return true;
        }
        let size = self.size + planned.bytes;
        if size == 0 {
            return false;
        }
        let first = self.first_timestamp.or(planned.first_timestamp);
        let waited_ms = match first.filter(|first| *first >= 0 && fact.max_timestamp >= 0) {
            Some(first) => fact.max_timestamp.saturating_sub(first),
            None => now.0.saturating_sub(self.created.0),
        };
        let entries_max = options.index_bytes_max as usize / TIME_ENTRY;
        // The time index keeps a place for the entry that ends the segment.
        let entries = self.offset_entries.max(self.time_entries) + planned.batches;
        size + u64::from(fact.bytes) > u64::from(options.segment_bytes)
            || waited_ms > options.segment_ms
            || entries + 1 >= entries_max
    }

    /// `fact`'s batch lies at the segment's end now.
    pub(super) fn apply(&mut self, fact: &BatchFact, options: &LogOptions) {
        assert!(fact.base >= self.base, "a batch lies below its segment");
        if self.size == 0 || self.first_timestamp.is_none() {
            self.first_timestamp = Some(fact.max_timestamp);
        }
        if fact.max_timestamp > self.max_timestamp {
            self.max_timestamp = fact.max_timestamp;
            self.max_timestamp_last = fact.last;
        }
        if self.bytes_since_entry > u64::from(options.index_interval_bytes) {
            let entry = OffsetEntry {
                last: fact.last,
                position: Position::new(self.size),
            };
            entry.push(self.base, &mut self.pending.offsets);
            self.offset_entries += 1;
            self.push_time();
            self.bytes_since_entry = 0;
        }
        self.size += u64::from(fact.bytes);
        self.bytes_since_entry += u64::from(fact.bytes);
    }

    pub(super) fn aborted(&mut self, txn: AbortedTxn) {
        txn.push(&mut self.pending.aborted);
    }

    /// The last entry of the time index, as a segment gets it when no batch follows.
    pub(super) fn finish(&mut self) {
        self.push_time();
    }

    fn push_time(&mut self) {
        if self.max_timestamp > self.last_time_entry {
            let entry = TimeEntry {
                timestamp: self.max_timestamp,
                last: self.max_timestamp_last,
            };
            entry.push(self.base, &mut self.pending.times);
            self.time_entries += 1;
            self.last_time_entry = self.max_timestamp;
        }
    }
}
